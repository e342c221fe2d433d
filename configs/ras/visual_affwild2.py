_base_ = [
    '../_base_/datasets/affwild2_ras.py',
    '../_base_/models/ras_visual.py',
    '../_base_/schedules/ras.py',
    '../_base_/ras_runtime.py',
]
features = ['face']
