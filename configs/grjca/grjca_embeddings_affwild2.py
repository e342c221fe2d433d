_base_ = '../tagf/tagf_embeddings_affwild2.py'
gate = 'linear'
