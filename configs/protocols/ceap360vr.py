# Every config for CEAP-360VR with all features (tools/dataset_converters/ceap360vr.py writes the data).
data_root = 'data/ceap360vr'
configs = [
    '../rucaim3/transformer_ceap360vr.py',
    '../rucaim3/transformer_lstm_ceap360vr.py',
    '../rucaim3/transformer_attention_ceap360vr.py',
    '../rucaim3/transformer_attention_ema_ceap360vr.py',
    '../rucaim3/fclstm_xl_ceap360vr.py',
    '../tagf/tagf_ceap360vr.py',
    '../tagf/tagf_mlp_gate_ceap360vr.py',
    '../tagf/tagf_free_length_ceap360vr.py',
    '../grjca/grjca_ceap360vr.py',
    '../grjca/hgrjca_ceap360vr.py',
    '../grjca/hgrjca_free_length_ceap360vr.py',
    '../mamba_va/mamba_va_ceap360vr.py',
    '../mamba_va/mamba_va_faithful_ceap360vr.py',
    '../mamba_va/mamba_carried_ceap360vr.py',
    '../ras/visual_ceap360vr.py',
    '../ras/directed_ceap360vr.py',
    '../ras/dcmmoe_ceap360vr.py',
    '../ras/raav_ceap360vr.py',
    '../ras/raav_reference_ceap360vr.py',
    '../sequence/gru_ceap360vr.py',
    '../sequence/conformer_ceap360vr.py',
    '../sequence/conformer_causal_ceap360vr.py',
    # what overlap at test time and an average of the weights bring, alone and together
    dict(config='../rucaim3/transformer_ceap360vr.py', name='transformer_overlap', options=['overlap=2']),
    dict(
        config='../rucaim3/transformer_ceap360vr.py',
        name='transformer_ema',
        options=['custom_hooks=[dict(type=EMAHook,decay=0.99)]'],
    ),
    dict(
        config='../rucaim3/transformer_ceap360vr.py',
        name='transformer_ema_overlap',
        options=['custom_hooks=[dict(type=EMAHook,decay=0.99)]', 'overlap=2'],
    ),
]
seeds = [1, 2, 3]
