# can from pixels and log-mel.
_base_ = ['./can.py', './pixel_backbones.py']
model = dict(
    backbones=dict(video='${face_backbone}', logmel='${audio_backbone}'),
    encoders=dict(_delete_=True, video='${video_encoder}', logmel='${audio_encoder}'),
    frozen=['backbones.video', 'backbones.logmel'],
)
