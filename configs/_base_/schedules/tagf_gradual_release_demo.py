# For the demo data: a higher rate, and a release as soon as an epoch is no better.
_base_ = './tagf_gradual_release.py'
lr = 1e-3
epochs = 12
warmup = 1
param_scheduler = [dict(type='WarmupPlateauLR', warmup='${warmup}', patience=1, factor=0.1)]
stages = [
    ['backbones.video.output_layer', 'backbones.video.body.3', 'backbones.logmel.embeddings.4'],
    ['backbones.video.body.2', 'backbones.video.body.1', 'backbones.logmel.embeddings.2'],
]
release = dict(min_lr=5e-4)
