# Mamba-VA (arXiv:2503.10104; docs/mamba_va.md, Models).
channels = [1024, 768, 512, 256]
kernel = 15
dropout = 0.2
layers = 4
states = 8
initial = 'paper'
regressor = [128]
# covariances over n - 1, and the sum of both targets
losses = [dict(type='CCCLoss', over='batch', unbiased=True, weight=2.0)]
batch_size = 16

encoder = dict(
    type='TCN',
    channels='${channels}',
    kernel='${kernel}',
    dropout='${dropout}',
    activation='prelu',
    norm=False,
    residual_std=0.01,
)
model = dict(
    type='VAEstimator',
    targets='${targets}',
    optional='${optional}',
    encoders=dict(mae='${encoder}'),
    context=[
        dict(type='MambaContext', layers='${layers}', states='${states}', initial='${initial}', carry=False)
    ],
    head=dict(type='RegressionHead', layers='${regressor}', dropout=0.0, losses='${losses}'),
)
