# Ours: any window length, frames without a face masked, an MLP as gate.
_base_ = './tagf_affwild2.py'
gate = 'mlp'
time_mix = 'attention'
masked = True
model = dict(fusion=dict(length=None))
