# As published: the authors' initial values, and restarts counted in batches.
_base_ = './mamba_va_affwild2.py'
initial = 'authors'
period_unit = 'batch'
