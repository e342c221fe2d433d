# RJCMA, recursive joint cross-attention of three modalities, on vectors per frame (arXiv:2403.13659).
video_channels = [512, 512, 256, 256]
audio_channels = [128, 128, 128, 128]
text_channels = [256, 256, 128, 128]
regressor = [256]
fusion_dropout = 0.6
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
    fusion=dict(
        type='CoAttentionFusion',
        joint='raw',
        time_mix='linear',
        length='${window}',
        steps=2,
        states='last',
        dropout='${fusion_dropout}',
    ),
    head=dict(type='TanhHead', layers='${regressor}', losses='${losses}'),
)
