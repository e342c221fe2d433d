# Add '../_base_/tensorboard.py' to the bases of an experiment: figures for TensorBoard (extra `tensorboard`).
visualizer = dict(type='Visualizer', vis_backends=[dict(type='TensorboardVisBackend')])
