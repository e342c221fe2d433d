# Ours: any window length, frames without a face masked, an MLP as gate.
_base_ = './tagf_embeddings_affwild2.py'
gate = 'mlp'
time_mix = 'attention'
masked = True
pipeline = [dict(type='LoadFeatures', masked='${masked}'), '${normalize}', dict(type='PackVA')]
model = dict(fusion=dict(length=None))
