# Visual dynamic model of team RAS (arXiv:2603.13056): self-attention over the vectors of faces.
hidden = 256
heads = 8  # src_visual_dynamic_model/config_best.toml; the paper has 16
layers = 5
dropout = 0.1
losses = [dict(type='WindowCCCLoss', biased=True)]
batch_size = 8

encoder = dict(
    type='AttentionEncoder', dim='${hidden}', layers='${layers}', heads='${heads}', dropout='${dropout}'
)
model = dict(
    type='VAEstimator',
    targets='${targets}',
    optional='${optional}',
    encoders=dict(face='${encoder}'),
    head=dict(
        type='RegressionHead',
        layers=['${hidden}'],
        dropout='${dropout}',
        losses='${losses}',
        activation='gelu',
        norm='each',
    ),
)
