# The same in windows.
_base_ = './ceap360vr_windows.py'
data_root = 'data/gump'
features = ['gump']
windows = dict(valence=8, arousal=3)  # 1.6 s and .6 s
window = 150  # 30 s
hop = 75  # 15 s
pipeline = [dict(type='LoadFeatures', masked='${masked}'), '${normalize}', dict(type='PackVA')]
