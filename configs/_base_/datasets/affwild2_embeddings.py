# Aff-Wild2 in the npy-per-trial layout of TAGF (docs/tagf.md, Preprocessing), from stored vectors.
data_root = 'data/affwild2_trials'
features = ['video_embedding', 'audio_embedding']
optional = []
targets = ['valence', 'arousal']
windows = dict(valence=50, arousal=20)  # one-sided smoothing windows, in frames
fold = 0  # the official split; 1 to 5 validate another sixth of the videos (docs/tagf.md, Data)
debug = None  # take only so many videos of each of the six folds: five train, one validates
window = 300  # docs/tagf.md, Data
hop = 200
masked = False  # True: frames without a face count as not observed
normalized = []  # features to give zero mean and unit deviation, one of each per feature
trial_files = True  # predictions also as predict/extra/TARGET/TRIAL.txt

normalize = dict(type='Normalize', method='train_scalar', features='${normalized}', masked='${masked}')
pipeline = [
    dict(type='LoadFeatures', masked='${masked}'),
    '${normalize}',
    dict(type='PadTo', length='${window}'),
    dict(type='PackVA'),
]
train_pipeline = '${pipeline}'
split = dict(type='RolledKFold', fold='${fold}')
clips = dict(type='SlidingWindow', length='${window}', hop='${hop}')

train_dataloader = dict(
    dataset=dict(
        type='ClipDataset',
        store='${data_root}',
        features='${features}',
        optional='${optional}',
        partition='train',
        split='${split}',
        debug='${debug}',
        clips='${clips}',
        pipeline='${train_pipeline}',
    ),
    sampler=dict(type='ClipSampler', batch_size='${batch_size}', shuffle=True),
    num_workers=2,
)
val_dataloader = dict(
    dataset=dict(
        type='ClipDataset',
        store='${data_root}',
        features='${features}',
        optional='${optional}',
        partition='val',
        split='${split}',
        debug='${debug}',
        clips='${clips}',
        pipeline='${pipeline}',
    ),
    sampler=dict(type='ClipSampler', batch_size='${batch_size}', shuffle=False),
    num_workers=2,
)
val_evaluator = dict(type='VAMetric', targets='${targets}', windows='${windows}')
