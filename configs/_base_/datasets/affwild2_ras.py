# Aff-Wild2 as vectors per frame of team RAS (configs/ras/README.md), in any store with official partitions.
_base_ = './affwild2_embeddings.py'
data_root = 'data/affwild2_ras'
features = ['face', 'behaviour']
split = dict(_delete_=True, type='OfficialSplit')
window = 400  # with the hop, src_fusion_model/config_best.toml
hop = 150
masked = True
trial_files = False
pipeline = [dict(type='LoadFeatures', masked='${masked}'), '${normalize}', dict(type='PackVA')]
