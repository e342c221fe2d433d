# The made-up trials, frames that were not observed left to the model's masks.
_base_ = './demo_trials.py'
masked = True
pipeline = [dict(type='LoadFeatures', masked='${masked}'), '${normalize}', dict(type='PackVA')]
