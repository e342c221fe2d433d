# DCMMOE of team RAS as the paper (arXiv:2603.13056) has it: an expert for each ordered pair of modalities.
_base_ = './ras_visual.py'
heads = 16  # the paper; its code has no experts

model = dict(
    encoders=dict(_delete_=True),
    fusion=dict(
        type='MixtureOfExpertsFusion',
        dim='${hidden}',
        layers='${layers}',
        heads='${heads}',
        dropout='${dropout}',
    ),
)
