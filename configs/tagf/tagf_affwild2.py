_base_ = [
    '../_base_/datasets/affwild2_pixels.py',
    '../_base_/models/tagf_pixels.py',
    '../_base_/schedules/tagf_gradual_release.py',
    '../_base_/tagf_runtime.py',
]
