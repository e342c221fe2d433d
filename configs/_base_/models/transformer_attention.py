# RUCAIM3's transformer with attention to a memory of earlier segments (docs/rucaim3.md, The four models).
_base_ = './transformer.py'
memory_average = 10
memory_capacity = 100

model = dict(
    context=[
        '${transformer}',
        dict(
            type='MemoryAttention',
            mode='multihead',
            heads='${heads}',
            average='${memory_average}',
            capacity='${memory_capacity}',
        ),
    ],
)

# The memory is carried from one segment of a video to the next: lanes keep the order.
train_sampler = dict(_delete_=True, type='LaneBatchSampler', lanes=4, shuffle=True)
val_sampler = dict(_delete_=True, type='LaneBatchSampler', lanes=16, shuffle=False)
