_base_ = './mamba_va_demo.py'
initial = 'authors'
period_unit = 'batch'
