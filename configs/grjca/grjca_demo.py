_base_ = '../tagf/tagf_embeddings_demo.py'
gate = 'linear'
