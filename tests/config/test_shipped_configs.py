"""Every file under configs/ loads, passes the check, and builds a model that runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from abawfw.apis.build import model_config
from abawfw.apis.check import check_config
from abawfw.config import load_config, resolve
from abawfw.datasets.demo import make_demo_data
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.rucaim3_writer import RUCAIM3Writer
from abawfw.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
FILES = sorted(CONFIGS.rglob('*.py'))
EXPERIMENTS = [path for path in FILES if CONFIGS / '_base_' not in path.parents]
# Features that each data set has; sizes play no part, a config never states one.
FEATURES = {
    # the known features of spec/rucaim3.md
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
    return {name: root / name for name in (*FEATURES, 'demo')}


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_loads(path: Path) -> None:
    assert len(load_config(path))


@pytest.mark.parametrize('path', EXPERIMENTS, ids=name_of)
def test_is_checked_and_its_model_runs(path: Path, stores: dict[str, Path]) -> None:
    (root,) = [root for name, root in stores.items() if name in path.stem.split('_')]
    check_and_run(path, root)


def test_the_variant_of_the_readme(tmp_path: Path, stores: dict[str, Path]) -> None:
    readme = (CONFIGS.parent / 'README.md').read_text()
    variant = readme.partition('```python\n')[2].partition('```')[0]
    assert 2 <= len(variant.splitlines()) <= 8
    path = tmp_path / 'variant.py'
    path.write_text(variant.replace("'../", f"'{CONFIGS}/"))
    check_and_run(path, stores['demo'])


def check_and_run(path: Path, root: Path) -> None:
    cfg = load_config(path, {'data_root': str(root)})
    check_config(cfg)
    cfg = resolve(cfg)
    known = open_store(root).features()
    dims = {name: known[name].dims[0] for name in cfg.features}
    model = MODELS.build(model_config(cfg, dims)).eval()
    inputs = {name: torch.randn(2, 7, dim) for name, dim in dims.items()}
    with torch.no_grad():
        va = model(inputs).va
    assert va.shape == (2, 7, len(cfg.targets))
    assert torch.isfinite(va).all()


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


@pytest.mark.parametrize('readme', sorted(CONFIGS.glob('*/README.md')), ids=lambda p: p.parent.name)
def test_results_table_names_configs_that_exist(readme: Path) -> None:
    text = readme.read_text()
    rows = [line for line in text.splitlines() if line.startswith('| [')]
    linked = [re.search(r'\]\((\w+\.py)\)', row)[1] for row in rows]
    assert linked
    for name in linked:
        assert (readme.parent / name).is_file(), name
    width = next(line.count('|') for line in text.splitlines() if line.startswith('| model | valence, raw'))
    assert {row.count('|') for row in rows} == {width}
