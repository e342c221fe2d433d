# What the sound alone tells.
_base_ = './transformer_affwild2.py'
features = ['vggish', 'wav2vec', 'compare', 'egemaps']
