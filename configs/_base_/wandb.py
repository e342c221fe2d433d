# Add '../_base_/wandb.py' to the bases of an experiment: its figures for Weights & Biases (extra `wandb`).
wandb_mode = 'offline'  # written to the run's folder, for `wandb sync`; 'online' sends them while it trains
wandb_init = dict(project='abawfw', mode='${wandb_mode}')
wandb = dict(type='WandbVisBackend', init_kwargs='${wandb_init}')
