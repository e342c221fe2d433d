_base_ = [
    '../_base_/datasets/demo_trials_masked.py',
    '../_base_/models/ras_directed.py',
    '../_base_/schedules/ras_small.py',
    '../_base_/ras_runtime.py',
]
hidden = 32
heads = 4
layers = 2  # trains in a minute
query = 'video_embedding'
key = value = 'audio_embedding'
