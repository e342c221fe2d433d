# RUCAIM3's transformer followed by an LSTM (arXiv:2203.13032; docs/rucaim3.md, The four models).
_base_ = './transformer.py'
transformer = dict(affine=False, residual=True)
model = dict(
    context=[
        dict(type='FeedForward', hidden='${hidden}', dropout=0.1),
        '${transformer}',
        dict(type='LSTMContext', hidden='${hidden}'),
    ],
)

# The LSTM's state is carried from one segment of a video to the next: lanes keep the order.
train_sampler = dict(_delete_=True, type='LaneBatchSampler', lanes=4, shuffle=True)
val_sampler = dict(_delete_=True, type='LaneBatchSampler', lanes=16, shuffle=False)
