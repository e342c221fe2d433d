# Aff-Wild2 in the npy-per-trial layout of TAGF, with the class token of a masked autoencoder as its feature.
_base_ = './affwild2_embeddings.py'
data_root = 'data/affwild2_mae'
features = ['mae']
pipeline = [dict(type='LoadFeatures', masked='${masked}'), '${normalize}', dict(type='PackVA')]
trial_files = False
