# Aff-Wild2 in the npy-per-trial layout of TAGF, from pixels and log-mel (docs/tagf.md, Preprocessing).
_base_ = './affwild2_embeddings.py'
features = ['video', 'logmel']
pixels = 40  # of 48: a random crop and flip per window in training, the centre in evaluation

pipeline = [
    dict(type='LoadFeatures', masked='${masked}'),
    dict(type='CentreCrop', features=['video'], size='${pixels}'),
    '${normalize}',
    dict(type='PadTo', length='${window}'),
    dict(type='PackVA'),
]
train_pipeline = [
    dict(type='LoadFeatures', masked='${masked}'),
    dict(type='RandomCropFlip', features=['video'], size='${pixels}'),
    '${normalize}',
    dict(type='PadTo', length='${window}'),
    dict(type='PackVA'),
]
