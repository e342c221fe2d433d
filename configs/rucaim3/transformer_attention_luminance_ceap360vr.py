# The luminance of the stimulus alone, without head and gaze, which differ between persons (docs/results.md).
_base_ = './transformer_attention_ema_ceap360vr.py'
features = ['lum']
hidden = 64  # two inputs need no more
epochs = 16
