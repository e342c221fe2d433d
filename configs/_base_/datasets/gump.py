# Ratings of the film "Forrest Gump" (docs/your_data.md, Forrest Gump), 5 values a second: a frame is .2 s.
_base_ = './affwild2.py'
data_root = 'data/gump'
features = ['gump']
normalized = '${features}'
windows = dict(valence=8, arousal=3)  # 1.6 s and .6 s, as the published 50 and 20 frames of 30 a second
