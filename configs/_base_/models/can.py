# CAN, attention over channels, on vectors per frame (docs/tagf.md, Models).
video_channels = [256, 256, 128, 128, 128]
audio_channels = [128, 128, 64, 64, 64]
regressor = [256]  # as wide as the fused sequence: 128 per modality
losses = [dict(type='WindowCCCLoss')]
batch_size = 12

video_encoder = dict(type='TCN', channels='${video_channels}', dropout=0.2)
audio_encoder = dict(type='TCN', channels='${audio_channels}', dropout=0.2)
model = dict(
    type='VAEstimator',
    targets='${targets}',
    optional='${optional}',
    encoders=dict(video_embedding='${video_encoder}', audio_embedding='${audio_encoder}'),
    fusion=dict(type='ChannelAttentionFusion', dim=128),
    head=dict(type='TanhHead', layers='${regressor}', losses='${losses}'),
)
