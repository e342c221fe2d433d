_base_ = [
    '../_base_/datasets/affwild2_mae.py',
    '../_base_/models/mamba_va.py',
    '../_base_/schedules/mamba_va.py',
    '../_base_/default_runtime.py',
]
seed = 42  # docs/mamba_va.md, Training
