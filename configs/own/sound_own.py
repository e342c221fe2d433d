_base_ = [
    '../_base_/datasets/own.py',
    '../_base_/models/own.py',
    '../_base_/schedules/tagf.py',
    '../_base_/tagf_runtime.py',
]
features = ['egemaps', 'mfcc']
normalized = ['egemaps', 'mfcc']
model = dict(encoders=dict(egemaps='${leader_encoder}', mfcc='${follower_encoder}'))
