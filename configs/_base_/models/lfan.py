# LFAN, leader-follower attention, on vectors per frame (arXiv:2107.01175; docs/tagf.md, Models).
video_channels = [256, 256, 128, 128]
audio_channels = [64, 64, 32, 32]
text_channels = [256, 256, 128, 128]
fusion_dropout = 0.1
losses = [dict(type='WindowCCCLoss')]
batch_size = 12

video_encoder = dict(type='TCN', channels='${video_channels}')
audio_encoder = dict(type='TCN', channels='${audio_channels}')
text_encoder = dict(type='TCN', channels='${text_channels}')
model = dict(
    type='VAEstimator',
    targets='${targets}',
    optional='${optional}',
    encoders=dict(
        video_embedding='${video_encoder}', audio_embedding='${audio_encoder}', bert='${text_encoder}'
    ),
    fusion=dict(type='LeaderFollowerFusion', dim=32, heads=2, dropout='${fusion_dropout}'),
    head=dict(type='TanhHead', layers=[], losses='${losses}'),
)
