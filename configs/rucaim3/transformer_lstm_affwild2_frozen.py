# A trained transformer, frozen, under an LSTM. Train configs/rucaim3/transformer_affwild2.py
# first, or name another run of it: its best checkpoint by mean CCC is taken.
_base_ = './transformer_lstm_affwild2.py'
transformer_run = 'work_dirs/transformer_affwild2'
transformer = dict(affine=True, residual=False)
model = dict(
    pretrained={'context.0': '${transformer_run}'},
    frozen=['context.0'],
    context=['${transformer}', dict(type='LSTMContext', hidden='${hidden}')],
)
