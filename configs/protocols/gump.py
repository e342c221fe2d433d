# Every system that takes one feature, on ratings of a film (docs/your_data.md, Forrest Gump).
data_root = 'data/gump'
configs = [
    '../rucaim3/transformer_gump.py',
    '../rucaim3/transformer_lstm_gump.py',
    '../rucaim3/transformer_attention_gump.py',
    '../rucaim3/fclstm_xl_gump.py',
    '../mamba_va/mamba_va_gump.py',
    '../mamba_va/mamba_carried_gump.py',
    '../ras/visual_gump.py',
]
seeds = [1, 2, 3]
