# Schedule of TAGF and its family with backbones that are released in three stages (docs/tagf.md, Training).
_base_ = './tagf.py'
stages = [
    ['backbones.video.output_layer', 'backbones.logmel.embeddings.4'],
    # last stage of IR-50, then the last units of the one before it (the reference's parameters 142 to 162),
    # and VGGish's other fully connected layers
    [
        'backbones.video.body.21',
        'backbones.video.body.22',
        'backbones.video.body.23',
        'backbones.logmel.embeddings.2',
    ],
    [
        'backbones.video.body.18',
        'backbones.video.body.19',
        'backbones.video.body.20',
        'backbones.logmel.embeddings.0',
    ],
]
release = dict(type='GradualReleaseHook', stages='${stages}', min_lr=1e-8)
custom_hooks = ['${reload_best}', '${early_stop}', '${release}', '${training_log}', '${validation_loss}']
