# RUCAIM3's transformer followed by an LSTM (spec/rucaim3.md, The four models).
_base_ = './transformer_attention.py'
model = dict(
    context=[
        dict(type='FeedForward', hidden='${hidden}', dropout=0.1),
        dict(
            type='TransformerContext',
            hidden='${hidden}',
            layers='${layers}',
            heads='${heads}',
            ffn='${ffn}',
            dropout=0.1,
            affine=False,
            residual=True,
        ),
        dict(type='LSTMContext', hidden='${hidden}'),
    ],
)
