# The same from small faces.
_base_ = './own.py'
pixels = 40  # of 48: a random crop and flip per window in training, the centre in evaluation

pipeline = [
    dict(type='LoadFeatures', masked='${masked}'),
    dict(type='CentreCrop', features=['face48'], size='${pixels}'),
    '${normalize}',
    dict(type='PadTo', length='${window}'),
    dict(type='PackVA'),
]
train_pipeline = [
    dict(type='LoadFeatures', masked='${masked}'),
    dict(type='RandomCropFlip', features=['face48'], size='${pixels}'),
    '${normalize}',
    dict(type='PadTo', length='${window}'),
    dict(type='PackVA'),
]
