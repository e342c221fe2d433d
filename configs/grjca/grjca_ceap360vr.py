_base_ = '../tagf/tagf_ceap360vr.py'
gate = 'linear'
