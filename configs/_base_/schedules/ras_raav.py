# Of RAAV: a constant rate, gradients clipped.
_base_ = './ras.py'
lr = 5e-5
epochs = 50
patience = 6
optim_wrapper = dict(
    type='abawfw.VAOptimWrapper',  # that constructor looks it up in MMEngine's registry
    constructor='DefaultOptimWrapperConstructor',  # one group: the norm of all gradients is clipped
    max_norm=1.0,
)
param_scheduler = []
