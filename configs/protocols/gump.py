# Every config for ratings of a film (docs/your_data.md, Forrest Gump), which are one feature.
data_root = 'data/gump'
configs = [
    '../rucaim3/transformer_gump.py',
    '../rucaim3/transformer_lstm_gump.py',
    '../rucaim3/transformer_attention_gump.py',
    '../rucaim3/fclstm_xl_gump.py',
    '../mamba_va/mamba_va_gump.py',
    '../mamba_va/mamba_va_faithful_gump.py',
    '../mamba_va/mamba_carried_gump.py',
    '../ras/visual_gump.py',
    '../ras/raav_gump.py',
    '../ras/raav_reference_gump.py',
    '../sequence/gru_gump.py',
    '../sequence/conformer_gump.py',
    '../sequence/conformer_causal_gump.py',
    # what overlap at test time and an average of the weights bring, alone and together
    dict(config='../rucaim3/transformer_gump.py', name='transformer_overlap', options=['overlap=2']),
    dict(
        config='../rucaim3/transformer_gump.py',
        name='transformer_ema',
        options=['custom_hooks=[dict(type=EMAHook,decay=0.99)]'],
    ),
    dict(
        config='../rucaim3/transformer_gump.py',
        name='transformer_ema_overlap',
        options=['custom_hooks=[dict(type=EMAHook,decay=0.99)]', 'overlap=2'],
    ),
]
seeds = [1, 2, 3]
