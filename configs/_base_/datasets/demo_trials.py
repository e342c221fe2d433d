# The small Aff-Wild2-like data set of tools/make_demo_data.py --layout trials, from stored vectors.
_base_ = './affwild2_embeddings.py'
data_root = 'data/demo_trials'
