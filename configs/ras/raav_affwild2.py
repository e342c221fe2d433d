_base_ = [
    '../_base_/datasets/affwild2_ras.py',
    '../_base_/models/ras_raav.py',
    '../_base_/schedules/ras_raav.py',
    '../_base_/ras_raav_runtime.py',
]
features = ['face', 'behaviour', 'audio']
window = 120  # with the hop, those of its audio, 4 s every 2 s, at 30 frames per second
hop = 60
