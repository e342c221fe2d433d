_base_ = [
    '../_base_/datasets/demo_trials.py',
    '../_base_/models/rjcma.py',
    '../_base_/schedules/tagf_demo.py',
    '../_base_/tagf_runtime.py',
]
video_channels = [64, 64, 32, 32]  # trains in a minute
audio_channels = [32, 32, 32, 32]
batch_size = 4
text_channels = [64, 64, 32, 32]
features = ['video_embedding', 'audio_embedding', 'bert']
normalized = ['bert']
regressor = [32]
