_base_ = './transformer_attention_ceap360vr.py'
custom_hooks = [dict(type='EMAHook', decay=0.99)]  # over about 100 of the 624 steps
