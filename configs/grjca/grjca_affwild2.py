_base_ = '../tagf/tagf_affwild2.py'
gate = 'linear'
