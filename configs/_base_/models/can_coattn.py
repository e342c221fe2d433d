# CAN with co-attention in place of attention over channels (docs/tagf.md, Models).
_base_ = './can.py'
regressor = [192]
fusion_dropout = 0.6
model = dict(
    fusion=dict(
        _delete_=True,
        type='CoAttentionFusion',
        joint='projected',
        time_mix='linear',
        length='${window}',
        steps=2,
        states='last',
        dropout='${fusion_dropout}',
    ),
)
