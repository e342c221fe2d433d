# The small Aff-Wild2-like data set of tools/make_demo_data.py.
_base_ = './affwild2.py'
data_root = 'data/demo'
features = ['affectnet', 'vggish', 'egemaps']
normalized = '${features}'
