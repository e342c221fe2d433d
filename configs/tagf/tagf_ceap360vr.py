_base_ = [
    '../_base_/datasets/ceap360vr_windows.py',
    '../_base_/models/tagf.py',
    '../_base_/schedules/tagf_ceap360vr.py',
    '../_base_/tagf_runtime.py',
]
encoder = dict(type='TCN', channels=[32, 32, 32, 32])  # 17 inputs need no more
model = dict(encoders=dict(_delete_=True, lum='${encoder}', head='${encoder}', gaze='${encoder}'))
# within 300 frames these labels hardly vary: a CCC per window teaches little
losses = [dict(type='CCCLoss', over='batch')]
regressor = [64]
