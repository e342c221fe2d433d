_base_ = './mamba_va_gump.py'
initial = 'authors'
period_unit = 'batch'
