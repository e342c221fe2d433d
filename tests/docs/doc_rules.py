"""What stands for what, and what is shortened, when the commands of the pages are run. All of it is here.

A command is run as it stands, unless a rule below says otherwise; one that is neither a tool's nor covered by
a rule fails the test.
"""

from __future__ import annotations

import re

# Names on the pages that the reader replaces, and what stands for them here.
PLACEHOLDERS = {
    '/data/affwild2': 'data/affwild2',
    'VIDEOS_DIR': 'videos',
    'VIDEOS': 'videos',
    'VIDEO': 'videos/later.mp4',
    'LABELS_DIR': 'labels',
    'LABELS': 'labels',
    'RATINGS': 'ratings',
    'ANNOTATIONS': 'annotations',
    'FACE_DIR': 'face',
    'VOICE_DIR': 'voice',
    'FPS_CSV': 'fps.csv',
    'TEST_LIST': 'test.txt',
    'SAMPLE': 'sample.txt',
    'RUN_A': 'work_dirs/a',
    'RUN_B': 'work_dirs/b',
    'RUN': 'work_dirs/a',
    'STORE': 'data/affwild2',
    'SRC_DIR': 'reference',
    'PREFIX': 'golden',
    'OUT.pth': 'converted/model.pth',
    'OUT.onnx': 'a.onnx',
    'CONFIG': 'configs/rucaim3/transformer_demo.py',
    'DIR': 'data/dir',
}
# The same where a page means something of its own.
PLACEHOLDERS_OF = {
    'configs/tagf/README.md': {'RUN': 'work_dirs/free'},
    'docs/challenge.md': {'SAMPLE': 'official_sample.txt'},
    'docs/statistics.md': {'CONFIG': 'configs/tagf/tagf_embeddings_affwild2.py'},
}

# A reader has these before the page begins. Whatever a command makes itself is taken away before it.
GIVEN = (
    *('data/affwild2', 'data/affwild2_trials', 'data/affwild2_embeddings', 'data/demo', 'data/demo_trials'),
    *('data/ceap360vr', 'work_dirs/a', 'work_dirs/b', 'work_dirs/demo', 'work_dirs/free'),
    'work_dirs/transformer_affwild2',
    *('data/spoilt', 'short', 'damaged', 'work_dirs/untested', 'work_dirs/untrained', 'work_dirs/damaged'),
    'work_dirs/other_data',
    *('videos', 'labels', 'video.mp4', 'annotations', 'face', 'voice', 'fps.csv', 'test.txt', 'sample.txt'),
    'official_sample.txt',
    *('ratings', 'data/gump'),
    *('space.py', 'weights', 'reference', 'CEAP-360VR', 'CEAP-360VR-Dataset'),
)

# What needs videos with faces or numbers of the reference systems, which not every machine has.
NEEDS_SHARED = re.compile(r'\bvideos?\b|\bdata/own|_own\b|\bdamaged\b|SRC_DIR|ceap|gump', re.IGNORECASE)

# Sizes and numbers of epochs of trainings: by the name of the config.
NO_WORKERS = 'train_dataloader.num_workers=0 val_dataloader.num_workers=0'
TINY = [
    (r'_ceap360vr', 'epochs=1 constant_epochs=1 hidden=16 regressor=[8] segment_length=200 heads=2 ffn=16 '
     'layers=1 train_dataloader.dataset.debug=4 val_dataloader.dataset.debug=6'),
    (r'mine/parts', 'epochs=1 segment_length=200'),
    (r'mine/pixels', 'epochs=1 warmup=1'),
    (r'rucaim3/transformer|mine/', 'epochs=1 constant_epochs=1 lr=1e-2 hidden=16 regressor=[8] '
     'segment_length=200 heads=2 ffn=16 layers=1'),
    (r'tagf/tagf_(free_length_)?embeddings', 'epochs=1 warmup=1 batch_size=4 video_channels=[8,8] '
     f'audio_channels=[4,4] regressor=[4] {NO_WORKERS}'),
    (r'mamba_va/\w+_demo', 'epochs=1 warmup=0 channels=[8,8] layers=1 regressor=[4] batch_size=4 '
     f'{NO_WORKERS}'),
    (r'own/pixels', 'epochs=1 warmup=1 window=20 hop=15 batch_size=4 leader_channels=[8,8] '
     f'follower_channels=[4,4] {NO_WORKERS} model.backbones.face48.width=2'),
]  # fmt: skip

# What else is shortened, in commands and in files to be written: pattern, what takes its place, why.
SHORTENED = [
    (r'--folds 0 1 2( 3 4 5)?', '--folds 0', 'six runs take minutes'),
    (r'--seeds 0 1 2', '--seeds 0', 'as many times three'),
    (r'seeds = \[1, 2\]', 'seeds = [1]', 'four runs and tests, two of each config'),
    (r'--trials 20', '--trials 1', 'twenty runs take minutes'),
    (r'(train\.py configs/mine/student\.py)$', r'\1 --check-only', 'tests of their own train students'),
    (r'--jobs \d+', '--jobs 1', 'more processes than the tests have cores'),
    (r'\S+/train_raters\.h5 ', '', 'fifty clips of nine raters take seconds'),
    (
        r'(make_demo_data\.py data/demo)$',
        r'\1 --videos 10 6 2 --scale 0.03',
        'two runs on all of it take long',
    ),
    (
        r'(make_demo_data\.py data/demo_trials --layout trials)$',
        r'\1 --videos 5 2 1 --scale 0.01',
        'as above',
    ),
    (r'--videos 60 16 1', '--videos 6 3 1 --scale 0.01', '77 videos of pictures are large'),
    (
        r'(face_embedding\.weights=\S+)',
        r'\1 face_embedding.backbone.type=IResNet face_embedding.backbone.units=[1,1,1,1] '
        'face_embedding.backbone.width=4',
        'the weights given are those of a small network',
    ),
    (
        r'(?<![\w/])enet_b0_8_va_mtl\.onnx',
        'weights/face_va.onnx',
        'that file is not ours to give',
    ),
    (
        r'(extract_embeddings\.py configs/tagf/tagf_affwild2\.py \S+)',
        r'\1 --cfg-options face_backbone.units=[1,1,1,1] face_backbone.width=4 audio_backbone.hidden=8 '
        'audio_backbone.width=2',
        'the weights given are those of a small network',
    ),
]

# What is not run as it stands: pattern, how it is checked (see doc_sandbox.py), why.
CHECKED = [
    (r'pip install .*', 'install', 'the environment is there; the extras must be those of setup.py'),
    (r'python3 -m venv \.venv|\. \.venv/bin/activate', 'nothing', 'the environment is there'),
    (r'make [\w-]+', 'make', 'runs all tests or installs; the target must be one of the Makefile'),
    (r'tensorboard --logdir work_dirs', 'nothing', 'serves until it is stopped; what it reads has tests'),
    (r'git clone .*', 'clone', 'no network; what it brings is given'),
    (
        r'python tools/compare_configs\.py configs/protocols/(gump|ceap360vr(_luminance)?)\.py --jobs 2',
        'protocol',
        'dozens of runs take minutes to hours; the file must be a protocol of configs that are there',
    ),
    (r'(python )?tools/benchmark\.py .*', 'usage', 'measures for minutes; has tests of its own'),
    (r'(python )?tools/convert_checkpoint\.py --system (?!rucaim3).*', 'usage', 'its checkpoint is not ours'),
    (r'tools/\w+\.sh .*', 'script', 'needs several GPUs or a cluster; the arguments must be its usage'),
]  # fmt: skip

# Lines of options alone: the command that the page says they go with.
OPTIONS_OF = {'README.md': 'python tools/train.py configs/rucaim3/transformer_affwild2.py'}
