# The audio features alone.
_base_ = './transformer_affwild2.py'
features = ['vggish', 'wav2vec', 'compare', 'egemaps']
