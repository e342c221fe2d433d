# CEAP-360VR, written by tools/dataset_converters/ceap360vr.py.
_base_ = './affwild2.py'
data_root = 'data/ceap360vr'
features = ['lum', 'head', 'gaze']
normalized = '${features}'
