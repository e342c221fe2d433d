_base_ = [
    '../_base_/datasets/own.py',
    '../_base_/models/own.py',
    '../_base_/schedules/tagf.py',
    '../_base_/tagf_runtime.py',
]
data_root = 'data/own_network'
features = ['face_onnx', 'mfcc']
normalized = ['face_onnx', 'mfcc']
model = dict(encoders=dict(face_onnx='${leader_encoder}', mfcc='${follower_encoder}'))
