# Two models on the made-up data (python tools/make_demo_data.py data/demo).
data_root = 'data/demo'
configs = ['../rucaim3/transformer_demo.py', '../rucaim3/fclstm_xl_demo.py']
seeds = [1, 2]
