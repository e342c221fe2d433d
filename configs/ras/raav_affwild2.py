_base_ = [
    '../_base_/datasets/affwild2_ras.py',
    '../_base_/models/ras_raav.py',
    '../_base_/schedules/ras_raav.py',
    '../_base_/ras_runtime.py',
]
features = ['face', 'behaviour', 'audio']
