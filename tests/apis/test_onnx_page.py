"""The script of docs/onnx.md, where only onnxruntime and numpy are installed, gives what infer.py gives."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import ROOT
from saved_runs import TINY_CHANNELS, save_run

from abawfw.apis import VAInferencer
from abawfw.apis.export import export
from abawfw.apis.trained_run import load_run
from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer

ALONE = ('onnxruntime', 'flatbuffers', 'numpy', 'packaging', 'protobuf')  # onnxruntime and what it requires
# states, and a network for each target; masks, and windows of one length that overlap more than in training
CASES = ('rucaim3/fclstm_xl_demo', 'tagf/can_coattn_demo')
WINDOWS = {**TINY_CHANNELS, 'regressor': [6], 'window': 12, 'hop': 8, 'overlap': 3}


@pytest.fixture(scope='module')
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has these packages and no others."""
    folder = tmp_path_factory.mktemp('alone')
    venv.create(folder, with_pip=False)
    (site,) = folder.glob('lib/python*/site-packages')
    for name in ALONE:
        files = importlib.metadata.files(name)
        assert files is not None, name
        for top in {file.parts[0] for file in files} - {'..'}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(importlib.metadata.distribution(name).locate_file(top))))
    return folder / 'bin/python'


@pytest.fixture(scope='module')
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script of the page."""
    page = (ROOT / 'docs/onnx.md').read_text()
    found = re.search(r'```python title="run_onnx.py"\n(.*?)```', page, re.DOTALL)
    assert found is not None
    path = tmp_path_factory.mktemp('script') / 'run_onnx.py'
    path.write_text(found[1])
    return path


@pytest.fixture(scope='module', params=CASES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run and its file."""
    request.getfixturevalue('one_table')
    if request.param.startswith('rucaim3'):
        return request.getfixturevalue('lstm')
    folder = tmp_path_factory.mktemp('exported')
    run = save_run(folder, request.param, {'video_embedding': 5, 'audio_embedding': 4}, **WINDOWS)
    export(run, folder / 'out.onnx')
    return run, folder / 'out.onnx'


@pytest.mark.slow
@pytest.mark.parametrize('frames', [7, 53])
def test_the_same_curve(
    python: Path, script: Path, tmp_path: Path, exported: tuple[Path, Path], frames: int
) -> None:
    run, out = exported
    dims = load_run(run).networks[0].model.input_dims
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(frames, dim)).astype(np.float32) for name, dim in dims.items()}
    with RUCAIM3Writer(tmp_path / 'store', {name: (dim,) for name, dim in dims.items()}) as writer:
        writer.add('v', 'test', arrays)
    expected = VAInferencer(run, 'cpu').predict_store(tmp_path / 'store')['v']
    given = []
    for name, x in arrays.items():
        np.save(tmp_path / f'{name}.npy', x)
        given.append(f'{name}={tmp_path / name}.npy')
    command = [str(python), '-I', str(script), str(out), *given]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    header, *lines = found.stdout.splitlines()
    assert header == 'frame,valence,arousal'
    curve: Any = np.array([line.split(',')[1:] for line in lines], float)
    np.testing.assert_allclose(curve, expected[['valence', 'arousal']], rtol=0, atol=2e-5)


@pytest.mark.parametrize('masked', [True, False])
def test_a_video_is_normalised_by_its_observed_frames(script: Path, masked: bool) -> None:
    page = script.read_text()
    part = page[page.index('# Normalisation') : page.index('# Clips as in training')]
    x = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    seen = np.arange(9) > 3
    step = {'type': 'Normalize', 'method': 'sequence', 'features': ['face'], 'masked': masked}
    names: dict[str, Any] = {'about': {'pipeline': [step]}, 'observed': {'face_observed': seen}, 'np': np}
    names['video'] = {'face': x}
    exec(part, names)
    taken = x[seen] if masked else x
    expected = (x - taken.mean(axis=0)) / taken.std(axis=0, ddof=1)
    np.testing.assert_allclose(names['video']['face'], expected, rtol=1e-4, atol=1e-5)
