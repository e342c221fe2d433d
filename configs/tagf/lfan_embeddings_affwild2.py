_base_ = [
    '../_base_/datasets/affwild2_embeddings.py',
    '../_base_/models/lfan.py',
    '../_base_/schedules/tagf.py',
    '../_base_/tagf_runtime.py',
]
lr = 1e-5  # docs/tagf.md, Training
features = ['video_embedding', 'audio_embedding', 'bert']
normalized = ['bert']
