_base_ = './tagf_ceap360vr.py'
gate = 'mlp'
