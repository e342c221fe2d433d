"""Every file under configs/ loads, passes the check, and builds a model that runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from abawfw.apis.build import build_loader, model_config
from abawfw.apis.check import check_config
from abawfw.config.loading import load_config, resolve
from abawfw.datasets.demo.rucaim3 import make_demo_data
from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer
from abawfw.datasets.stores.trials.writer import TrialWriter
from abawfw.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
FILES = sorted(CONFIGS.rglob('*.py'))
EXPERIMENTS = [path for path in FILES if CONFIGS / '_base_' not in path.parents]
# Features that each data set has; sizes play no part, a config never states one.
FEATURES = {
    # the known features of docs/rucaim3.md, Layout of the data
    'affwild2': (
        *(
            'denseface',
            'affectnet',
            'vggface2',
            'vggish',
            'compare',
            'wav2vec',
            'egemaps',
            'FAU',
            'head_pose',
        ),
        *('eye_gaze', 'FAU_situ'),
    ),
    'ceap360vr': ('lum', 'head', 'gaze'),
}
# The arrays of TAGF's trials (docs/tagf.md, Preprocessing) and stored vectors.
TRIALS = {
    'video': (48, 48, 3),
    'logmel': (96, 64),
    'bert': (768,),
    'video_embedding': (512,),
    'audio_embedding': (128,),
}
TRIAL_TYPES = {'video': 'uint8', 'logmel': 'float16', 'face48': 'uint8'}
# What tools/extract_features.py makes.
EXTRACTED = {
    'face48': (48, 48, 3),
    'face_embedding': (512,),
    'logmel': (96, 64),
    'egemaps': (88,),
    'mfcc': (39,),
}


def name_of(path: Path) -> str:
    return str(path.relative_to(CONFIGS))


@pytest.fixture(scope='module')
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small store for each kind of data set that a config may be for."""
    root = tmp_path_factory.mktemp('stores')
    for name, features in FEATURES.items():
        with RUCAIM3Writer(root / name, {f: (2 + i,) for i, f in enumerate(features)}) as writer:
            for partition in ('train', 'val'):
                arrays = {f: np.zeros((6, *dims)) for f, dims in writer.features.items()}
                writer.add(f'video_{partition}', partition, arrays, labels=np.zeros((6, 2)))
    make_demo_data(root / 'demo', videos=(2, 2, 1), scale=0.02)
    for name, trials in (('trials', TRIALS), ('own', EXTRACTED)):
        types = {feature: dtype for feature, dtype in TRIAL_TYPES.items() if feature in trials}
        with TrialWriter(root / name, trials, types) as writer:
            for i in range(7):  # enough for six folds
                arrays = {f: np.zeros((6, *dims), types.get(f)) for f, dims in trials.items()}
                writer.add(f'trial_{i}', 'val' if i == 6 else 'train', arrays, labels=np.zeros((6, 2)))
    return {name: root / name for name in (*FEATURES, 'demo', 'trials', 'own')}


@pytest.fixture(scope='module', autouse=True)
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The files of pre-trained weights that configs name are there; nothing reads them."""
    folder = tmp_path_factory.mktemp('here')
    for name in ('ir50', 'vggish'):
        (folder / 'weights').mkdir(exist_ok=True)
        (folder / 'weights' / f'{name}.pth').touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


def store_of(path: Path, stores: dict[str, Path]) -> Path:
    if path.parent.name == 'own':
        return stores['own']
    if path.parent.name == 'tagf' and 'ceap360vr' not in path.stem:
        return stores['trials']
    (root,) = [root for name, root in stores.items() if name in path.stem.split('_')]
    return root


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_loads(path: Path) -> None:
    assert len(load_config(path))


@pytest.mark.parametrize('path', EXPERIMENTS, ids=name_of)
def test_is_checked_and_its_model_runs(path: Path, stores: dict[str, Path]) -> None:
    check_and_run(path, store_of(path, stores))


def check_and_run(path: Path, root: Path) -> None:
    cfg = load_config(path, {'data_root': str(root)})
    check_config(cfg)
    cfg = resolve(cfg)
    loader = build_loader(cfg, 'val_dataloader')
    dims = loader.dataset.input_dims
    model = MODELS.build(model_config(cfg, dims)).eval()
    assert list(dims) == list(cfg.features)
    loader.batch_sampler.set_epoch(0)
    batch = next(iter(loader.batch_sampler))
    data = loader.collate_fn([loader.dataset[request] for request in batch])
    with torch.no_grad():
        samples = model(data['inputs'], data['data_samples'], mode='predict')
    for sample in samples:
        assert sample.pred_va.shape == (sample.num_frames, len(cfg.targets))
        assert torch.isfinite(sample.pred_va).all()


@pytest.mark.parametrize('path', EXPERIMENTS, ids=name_of)
def test_lists_its_bases_and_at_most_8_lines_that_differ(path: Path) -> None:
    text = path.read_text()
    statements = ast.parse(text).body
    bases = next(s for s in statements if isinstance(s, ast.Assign) and ast.unparse(s.targets[0]) == '_base_')
    listing = range(bases.lineno, (bases.end_lineno or bases.lineno) + 1)
    own = [
        line
        for number, line in enumerate(text.splitlines(), 1)
        if number not in listing and line.strip() and not line.lstrip().startswith('#')
    ]
    assert len(own) <= 8


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_has_at_most_four_levels_of_dict(path: Path) -> None:
    def depth(value: object) -> int:
        if isinstance(value, dict):
            return 1 + max(map(depth, value.values()), default=0)
        return max(map(depth, value), default=0) if isinstance(value, (list, tuple)) else 0

    assert depth(load_config(path).to_dict()) - 1 <= 4


READMES = [path for path in sorted(CONFIGS.glob('*/README.md')) if path.parent.name != 'own']


@pytest.mark.parametrize('readme', READMES, ids=lambda p: p.parent.name)
def test_results_table_names_configs_that_exist(readme: Path) -> None:
    text = readme.read_text()
    rows = [line for line in text.splitlines() if line.startswith('| [')]
    linked = [re.search(r'\]\((\w+\.py)\)', row)[1] for row in rows]
    assert linked
    for name in linked:
        assert (readme.parent / name).is_file(), name
    width = next(line.count('|') for line in text.splitlines() if line.startswith('| model | valence, raw'))
    assert {row.count('|') for row in rows} == {width}


@pytest.mark.parametrize('path', EXPERIMENTS, ids=name_of)
def test_values_that_the_command_line_reaches(path: Path) -> None:
    cfg = resolve(load_config(path, {'normalized': ['x'], 'debug': 3}))
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        assert [t.features for t in loader.dataset.pipeline if t.type == 'Normalize'] == [['x']]
        assert loader.dataset.debug == 3
    if 'fusion' in cfg.model and cfg.model.fusion.type in ('CoAttentionFusion', 'LeaderFollowerFusion'):
        assert resolve(load_config(path, {'fusion_dropout': 0.25})).model.fusion.dropout == 0.25
