_base_ = [
    '../_base_/datasets/own.py',
    '../_base_/models/own.py',
    '../_base_/schedules/tagf.py',
    '../_base_/tagf_runtime.py',
]
features = ['face_embedding', 'egemaps', 'logmel']
normalized = ['egemaps']
# Small enough to be trained from scratch.
model = dict(
    backbones=dict(logmel=dict(type='VGGish', hidden=256, width=16)),
    encoders=dict(
        face_embedding='${leader_encoder}', egemaps='${follower_encoder}', logmel='${follower_encoder}'
    ),
)
