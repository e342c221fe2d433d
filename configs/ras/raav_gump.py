_base_ = [
    '../_base_/datasets/gump_windows.py',
    '../_base_/models/ras_raav.py',
    '../_base_/schedules/ras_small.py',
    '../_base_/ras_runtime.py',
]
hidden = 32  # 92 inputs, but only 50 clips to learn from
ffn = 64
priors = dict(_delete_=True, gump=1)
tokens = None
