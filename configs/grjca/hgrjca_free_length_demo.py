_base_ = '../tagf/tagf_free_length_demo.py'
gate = 'hierarchical_mlp'
