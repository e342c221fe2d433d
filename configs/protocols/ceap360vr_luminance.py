# CEAP-360VR with the luminance of the stimulus alone, which is the same for all persons.
data_root = 'data/ceap360vr'
options = ['features=["lum"]']
configs = [
    '../rucaim3/transformer_ceap360vr.py',
    '../rucaim3/transformer_attention_ceap360vr.py',
    '../rucaim3/transformer_attention_ema_ceap360vr.py',
    '../rucaim3/transformer_attention_luminance_ceap360vr.py',
    '../rucaim3/fclstm_xl_ceap360vr.py',
    '../mamba_va/mamba_carried_ceap360vr.py',
]
seeds = [1, 2, 3]
