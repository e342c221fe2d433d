# The luminance of the stimulus alone: what 20 persons do with head and gaze misleads about others.
_base_ = './transformer_attention_ema_ceap360vr.py'
features = ['lum']
hidden = 64  # two inputs need no more
epochs = 16
