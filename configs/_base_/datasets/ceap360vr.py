# CEAP-360VR, written by tools/dataset_converters/ceap360vr.py.
_base_ = './affwild2.py'
data_root = 'data/ceap360vr'
features = ['lum', 'head', 'gaze']
pipeline = [dict(type='LoadFeatures'), dict(type='Normalize', method='train'), dict(type='PackVA')]
