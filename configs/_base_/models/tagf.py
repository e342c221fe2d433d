# TAGF on vectors per frame (arXiv:2507.02080; docs/tagf.md, Models).
video_channels = [512, 512, 256, 256]
audio_channels = [128, 128, 128, 128]
time_mix = 'linear'
gate = 'lstm'
fusion_dropout = 0.6  # of what co-attention scores and adds, before the gate weighs it
regressor = [256]
losses = [dict(type='WindowCCCLoss')]
batch_size = 12

video_encoder = dict(type='TCN', channels='${video_channels}')
audio_encoder = dict(type='TCN', channels='${audio_channels}')
model = dict(
    type='VAEstimator',
    targets='${targets}',
    optional='${optional}',
    encoders=dict(video_embedding='${video_encoder}', audio_embedding='${audio_encoder}'),
    fusion=dict(
        type='CoAttentionFusion',
        joint='projected',
        time_mix='${time_mix}',
        length='${window}',
        steps=2,
        states='all',
        gate='${gate}',
        normalize=True,
        dropout='${fusion_dropout}',
    ),
    head=dict(type='TanhHead', layers='${regressor}', losses='${losses}'),
)
