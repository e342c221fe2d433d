# One target, as the reference trains.
_base_ = './tagf_embeddings_affwild2.py'
targets = ['valence']
