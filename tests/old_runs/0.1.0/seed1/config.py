data_root = 'data'
features = ['affectnet']
targets = ['valence', 'arousal']
windows = {'valence': 50, 'arousal': 20}
pipeline = [{'type': 'LoadFeatures'}, {'type': 'Normalize', 'method': 'train'}, {'type': 'PackVA'}]
train_dataloader = {'dataset': {'type': 'ClipDataset',
             'store': '${data_root}',
             'features': '${features}',
             'partition': 'train',
             'clips': {'type': 'Segments', 'length': '${segment_length}'},
             'pipeline': '${pipeline}'},
 'sampler': '${train_sampler}',
 'num_workers': 0}
val_dataloader = {'dataset': {'type': 'ClipDataset',
             'store': '${data_root}',
             'features': '${features}',
             'partition': 'val',
             'clips': {'type': 'Segments', 'length': '${segment_length}'},
             'pipeline': '${pipeline}'},
 'sampler': '${val_sampler}',
 'num_workers': 0}
val_evaluator = {'type': 'VAMetric', 'targets': '${targets}', 'windows': '${windows}'}
hidden = 8
layers = 1
heads = 2
ffn = 8
regressor = [4]
regressor_dropout = 0.3
losses = [{'type': 'CCCLoss', 'over': 'batch'}]
segment_length = 8
transformer = {'type': 'TransformerContext',
 'hidden': '${hidden}',
 'layers': '${layers}',
 'heads': '${heads}',
 'ffn': '${ffn}',
 'dropout': 0.1}
model = {'type': 'VAEstimator',
 'targets': '${targets}',
 'context': ['${transformer}'],
 'head': {'type': 'RegressionHead',
          'layers': '${regressor}',
          'dropout': '${regressor_dropout}',
          'losses': '${losses}'}}
train_sampler = {'type': 'ClipSampler', 'batch_size': 2, 'shuffle': True}
val_sampler = {'type': 'ClipSampler', 'batch_size': 16, 'shuffle': False}
lr = 0.003
epochs = 4
constant_epochs = 1
optim_wrapper = {'type': 'VAOptimWrapper',
 'constructor': 'SubnetworkConstructor',
 'optimizer': {'type': 'Adam', 'lr': '${lr}', 'betas': (0.5, 0.999), 'fused': True},
 'max_norm': 5.0,
 'precision': 'fp32'}
param_scheduler = [{'type': 'ConstantThenLinearLR', 'constant_epochs': '${constant_epochs}', 'end': '${epochs}'}]
train_cfg = {'type': 'VATrainLoop', 'max_epochs': '${epochs}'}
val_cfg = {'type': 'ValLoop'}
default_scope = 'abawfw'
seed = 1
randomness = {'seed': '${seed}'}
default_hooks = {'runtime_info': None,
 'timer': None,
 'sampler_seed': None,
 'logger': None,
 'param_scheduler': {'type': 'ParamSchedulerHook'},
 'training_metric': {'type': 'TrainingMetricHook'},
 'non_finite_loss': {'type': 'NonFiniteLossHook'},
 'progress': {'type': 'ProgressHook'},
 'log': {'type': 'EpochLogHook'},
 'checkpoint': {'type': 'VACheckpointHook', 'batches': 0},
 'summary': {'type': 'SummaryHook'},
 'interrupt': {'type': 'InterruptHook'}}
