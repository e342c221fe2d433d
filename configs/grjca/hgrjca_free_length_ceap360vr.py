_base_ = '../tagf/tagf_free_length_ceap360vr.py'
gate = 'hierarchical_mlp'
