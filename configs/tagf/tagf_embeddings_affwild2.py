_base_ = [
    '../_base_/datasets/affwild2_embeddings.py',
    '../_base_/models/tagf.py',
    '../_base_/schedules/tagf.py',
    '../_base_/tagf_runtime.py',
]
