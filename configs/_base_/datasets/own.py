# One's own videos, a store of tools/extract_features.py (configs/own/README.md): its own partitions, frames
# without a face not observed, audio features normalised dimension by dimension.
_base_ = './affwild2_embeddings.py'
data_root = 'data/own'
masked = True
split = dict(_delete_=True, type='OfficialSplit')
normalize = dict(method='train')
