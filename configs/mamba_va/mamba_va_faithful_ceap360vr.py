_base_ = './mamba_va_ceap360vr.py'
initial = 'authors'
period_unit = 'batch'
