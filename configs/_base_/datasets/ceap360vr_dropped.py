# CEAP-360VR, head and gaze at times withheld in training: what a person does is remembered too easily.
_base_ = './ceap360vr.py'
withheld = 0.3  # probability for each, in a clip

train_pipeline = [
    dict(type='LoadFeatures'),
    '${normalize}',
    dict(type='ModalityDropout', p='${withheld}', features=['head', 'gaze']),
    dict(type='PackVA'),
]
train_dataloader = dict(dataset=dict(pipeline='${train_pipeline}'))
