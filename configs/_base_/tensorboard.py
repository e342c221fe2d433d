# Add '../_base_/tensorboard.py' to the bases of an experiment: figures for TensorBoard (extra `tensorboard`).
tensorboard = dict(type='TensorboardVisBackend')
