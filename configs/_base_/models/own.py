# LFAN (docs/tagf.md, Models) on what tools/extract_features.py makes; the first feature leads. An experiment
# says which feature goes through which encoder.
leader_channels = [128, 128, 64, 64]
follower_channels = [64, 64, 32, 32]
fusion_dropout = 0.1
losses = [dict(type='WindowCCCLoss')]
batch_size = 12

leader_encoder = dict(type='TCN', channels='${leader_channels}')
follower_encoder = dict(type='TCN', channels='${follower_channels}')
model = dict(
    type='VAEstimator',
    targets='${targets}',
    optional='${optional}',
    fusion=dict(type='LeaderFollowerFusion', dim=32, heads=2, dropout='${fusion_dropout}'),
    head=dict(type='TanhHead', layers=[], losses='${losses}'),
)
