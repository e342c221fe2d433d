# RUCAIM3's transformer (arXiv:2203.13032; docs/rucaim3.md, The four models).
hidden = 256
layers = 4
heads = 4
ffn = 1024
regressor = [256, 256]
regressor_dropout = 0.3
losses = [dict(type='CCCLoss', over='batch')]
segment_length = 250

transformer = dict(
    type='TransformerContext',
    hidden='${hidden}',
    layers='${layers}',
    heads='${heads}',
    ffn='${ffn}',
    dropout=0.1,
)
model = dict(
    type='VAEstimator',
    targets='${targets}',
    context=['${transformer}'],
    head=dict(
        type='RegressionHead', layers='${regressor}', dropout='${regressor_dropout}', losses='${losses}'
    ),
)

# Segments do not depend on one another, so any of them may share a batch.
# Two at a time: see configs/rucaim3/README.md.
train_sampler = dict(type='ClipSampler', batch_size=2, shuffle=True)
val_sampler = dict(type='ClipSampler', batch_size=16, shuffle=False)
