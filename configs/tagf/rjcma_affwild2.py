_base_ = [
    '../_base_/datasets/affwild2_pixels.py',
    '../_base_/models/rjcma_pixels.py',
    '../_base_/schedules/tagf_gradual_release.py',
    '../_base_/tagf_runtime.py',
]
lr = 1e-5  # docs/tagf.md, Training
features = ['video', 'logmel', 'bert']
normalized = ['bert']
