_base_ = './tagf_embeddings_demo.py'
gate = 'mlp'
time_mix = 'attention'
masked = True
pipeline = [dict(type='LoadFeatures', masked='${masked}'), '${normalize}', dict(type='PackVA')]
model = dict(fusion=dict(length=None))
