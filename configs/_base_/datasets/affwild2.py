# Aff-Wild2 in the HDF5 layout of RUCAIM3, or packed by tools/pack_features.py.
data_root = 'data/affwild2'
features = ['affectnet', 'vggish', 'wav2vec']
targets = ['valence', 'arousal']
windows = dict(
    valence=50, arousal=20
)  # one-sided smoothing windows of the reference (spec/rucaim3.md, Inference)

pipeline = [dict(type='LoadFeatures'), dict(type='PackVA')]

train_dataloader = dict(
    dataset=dict(
        type='ClipDataset',
        store='${data_root}',
        features='${features}',
        partition='train',
        clips=dict(type='Segments', length='${segment_length}'),
        pipeline='${pipeline}',
    ),
    sampler='${train_sampler}',
    num_workers=0,
)
val_dataloader = dict(
    dataset=dict(
        type='ClipDataset',
        store='${data_root}',
        features='${features}',
        partition='val',
        clips=dict(type='Segments', length='${segment_length}'),
        pipeline='${pipeline}',
    ),
    sampler='${val_sampler}',
    num_workers=0,
)
val_evaluator = dict(type='VAMetric', targets='${targets}', windows='${windows}')
