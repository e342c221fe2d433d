_base_ = [
    '../_base_/datasets/ceap360vr_masked.py',
    '../_base_/models/ras_dcmmoe.py',
    '../_base_/schedules/ras_small.py',
    '../_base_/ras_runtime.py',
]
# within a window these labels hardly vary: a CCC per window teaches little
losses = [dict(type='CCCLoss', over='batch')]
hidden = 64
heads = 4
layers = 2
