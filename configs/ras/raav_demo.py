_base_ = [
    '../_base_/datasets/demo_trials_masked.py',
    '../_base_/models/ras_raav.py',
    '../_base_/schedules/ras_small.py',
    '../_base_/ras_runtime.py',
]
hidden = 32
ffn = 64  # trains in a minute
priors = dict(_delete_=True, video_embedding=1)
tokens = 'audio_embedding'
