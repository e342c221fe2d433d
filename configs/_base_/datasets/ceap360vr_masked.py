# CEAP-360VR, frames that were not observed left to the model's masks.
_base_ = './ceap360vr_windows.py'
masked = True
pipeline = [dict(type='LoadFeatures', masked='${masked}'), '${normalize}', dict(type='PackVA')]
