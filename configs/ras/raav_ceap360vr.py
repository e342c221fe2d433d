_base_ = [
    '../_base_/datasets/ceap360vr_masked.py',
    '../_base_/models/ras_raav.py',
    '../_base_/schedules/ras_small.py',
    '../_base_/ras_runtime.py',
]
hidden = 64
ffn = 256
priors = dict(_delete_=True, lum=1, head=1, gaze=1)
tokens = None
