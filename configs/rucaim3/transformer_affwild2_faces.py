# The face alone: expression features, action units, gaze and pose.
_base_ = './transformer_affwild2.py'
features = ['denseface', 'affectnet', 'FAU', 'FAU_situ', 'head_pose', 'eye_gaze']
