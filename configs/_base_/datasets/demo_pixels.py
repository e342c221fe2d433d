# The small Aff-Wild2-like data set of tools/make_demo_data.py --layout trials, from pixels and log-mel.
_base_ = './affwild2_pixels.py'
data_root = 'data/demo_trials'
