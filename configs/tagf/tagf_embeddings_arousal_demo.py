_base_ = './tagf_embeddings_demo.py'
targets = ['arousal']
