# Pixels and log-mel to vectors: IR-50 of ArcFace on 40 x 40 faces, VGGish on .96 s (docs/tagf.md, Models).
# Both start from pre-trained weights, frozen; see configs/tagf/README.md for where these come from.
face_weights = 'weights/ir50.pth'
audio_weights = 'weights/vggish.pth'

face_backbone = dict(type='IResNet', size='${pixels}', weights='${face_weights}')
audio_backbone = dict(type='VGGish', weights='${audio_weights}')
