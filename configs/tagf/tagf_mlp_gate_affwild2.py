# Ours: an MLP weighs the steps of co-attention, without the bounds of the reference (docs/tagf.md, Models).
_base_ = './tagf_affwild2.py'
gate = 'mlp'
