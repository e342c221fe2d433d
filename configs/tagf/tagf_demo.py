_base_ = [
    '../_base_/datasets/demo_pixels.py',
    '../_base_/models/tagf_pixels.py',
    '../_base_/schedules/tagf_gradual_release_demo.py',
    '../_base_/tagf_runtime.py',
]
face_backbone = dict(units=[1, 1, 1, 1], width=16, weights=None)  # trains in minutes, from nothing
audio_backbone = dict(hidden=64, width=8, weights=None)
video_channels = [64, 64, 32, 32]
audio_channels = [32, 32, 32, 32]
regressor = [32]
batch_size = 2
