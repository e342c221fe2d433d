_base_ = '../tagf/tagf_free_length_embeddings_affwild2.py'
gate = 'hierarchical_mlp'
