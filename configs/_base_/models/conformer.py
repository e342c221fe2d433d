# A linear map, Conformer layers (arXiv:2005.08100), attention to means of earlier frames (arXiv:2203.13032).
hidden = 256
layers = 4
heads = 4  # this, the kernel and the ratio of ffn and hidden: table 1 of the former paper, but for 32 frames
ffn = 1024
kernel = 31
dropout = 0.1
past = None  # a number makes the Conformer causal, and carries its state
memory_average = 10
memory_capacity = 100
regressor = [128]
losses = [dict(type='CCCLoss', over='batch')]
segment_length = 250
lanes = 8

enter = dict(type='FeedForward', hidden='${hidden}', dropout='${dropout}')
conformer = dict(
    type='ConformerContext',
    layers='${layers}',
    heads='${heads}',
    ffn='${ffn}',
    kernel='${kernel}',
    dropout='${dropout}',
    past='${past}',
)
memory = dict(
    type='MemoryAttention', heads='${heads}', average='${memory_average}', capacity='${memory_capacity}'
)
context = ['${enter}', '${conformer}', '${memory}']
model = dict(
    type='VAEstimator',
    targets='${targets}',
    context='${context}',
    head=dict(type='RegressionHead', layers='${regressor}', dropout='${dropout}', losses='${losses}'),
)

train_sampler = dict(type='LaneBatchSampler', lanes='${lanes}', shuffle=True)
val_sampler = dict(type='LaneBatchSampler', lanes=16, shuffle=False)
