# Fusion model of team RAS (arXiv:2603.13056): one modality attends to another.
_base_ = './ras_visual.py'
query = 'face'  # with key and value, src_fusion_model/config_best.toml
key = 'behaviour'
value = 'behaviour'

model = dict(
    encoders=dict(_delete_=True),
    fusion=dict(
        type='DirectedFusion',
        query='${query}',
        key='${key}',
        value='${value}',
        dim='${hidden}',
        layers='${layers}',
        heads='${heads}',
        dropout='${dropout}',
    ),
)
