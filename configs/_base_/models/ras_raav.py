# RAAV of team RAS (arXiv:2603.13056): a gate with priors, audio of its own rate, one pre-norm layer.
hidden = 256
heads = 4  # this and what follows, mm_cfg_va_s2s.yaml
ffn = 1024
layers = 1
dropout = 0.1
priors = dict(face=0.85, behaviour=0.15)
tokens = 'audio'
latents = 4
repaired = True  # the reference: neither positions, nor normalisation of windows without audio
losses = [
    dict(type='CCCLoss', targets=['valence'], weight=0.7),
    dict(type='CCCLoss', targets=['arousal'], weight=0.3),
    dict(type='MSELoss', over='mean', weight=0.01),
]
batch_size = 8

encoder = dict(
    type='PreNormEncoderContext',
    layers='${layers}',
    heads='${heads}',
    ffn='${ffn}',
    dropout='${dropout}',
    position='${repaired}',
)
model = dict(
    type='VAEstimator',
    targets='${targets}',
    optional='${optional}',
    fusion=dict(
        type='ReliabilityFusion',
        priors='${priors}',
        tokens='${tokens}',
        dim='${hidden}',
        heads='${heads}',
        latents='${latents}',
        dropout='${dropout}',
        normalize_all='${repaired}',
    ),
    context=['${encoder}'],
    head=dict(
        type='RegressionHead',
        layers=['${hidden}'],
        dropout='${dropout}',
        losses='${losses}',
        activation='gelu',
        norm='first',
    ),
)
