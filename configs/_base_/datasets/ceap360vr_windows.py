# CEAP-360VR, written by tools/dataset_converters/ceap360vr.py, in windows; each feature group is a modality.
_base_ = './affwild2_embeddings.py'
data_root = 'data/ceap360vr'
features = ['lum', 'head', 'gaze']
split = dict(_delete_=True, type='OfficialSplit')
normalized = '${features}'
normalize = dict(method='train')  # per dimension: they are quantities of different units
trial_files = False
