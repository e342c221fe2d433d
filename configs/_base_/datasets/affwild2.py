# Aff-Wild2 in the HDF5 layout of RUCAIM3, or packed by tools/pack_features.py.
data_root = 'data/affwild2'
features = ['affectnet', 'vggish', 'wav2vec']
targets = ['valence', 'arousal']
windows = dict(valence=50, arousal=20)  # one-sided smoothing windows, in frames (docs/rucaim3.md, Inference)
normalized = []  # features to give zero mean and unit deviation, per dimension
debug = None  # take only so many videos of each partition

# method='sequence': by the statistics of each video instead of the training partition's
normalize = dict(type='Normalize', method='train', features='${normalized}')
pipeline = [dict(type='LoadFeatures'), '${normalize}', dict(type='PackVA')]

train_dataloader = dict(
    dataset=dict(
        type='ClipDataset',
        store='${data_root}',
        features='${features}',
        partition='train',
        debug='${debug}',
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
        debug='${debug}',
        clips=dict(type='Segments', length='${segment_length}'),
        pipeline='${pipeline}',
    ),
    sampler='${val_sampler}',
    num_workers=0,
)
val_evaluator = dict(type='VAMetric', targets='${targets}', windows='${windows}')
