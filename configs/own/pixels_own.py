_base_ = [
    '../_base_/datasets/own_pixels.py',
    '../_base_/models/own.py',
    '../_base_/schedules/tagf.py',
    '../_base_/tagf_runtime.py',
]
features = ['face48', 'egemaps', 'mfcc']
normalized = ['egemaps', 'mfcc']
# Small enough to be trained from scratch.
model = dict(
    backbones=dict(face48=dict(type='IResNet', size='${pixels}', units=[1, 1, 1, 1], width=16)),
    encoders=dict(face48='${leader_encoder}', egemaps='${follower_encoder}', mfcc='${follower_encoder}'),
)
