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
from saved_runs import TINY_CHANNELS, TINY_RUCAIM3, save_run

from abawfw.apis import VAInferencer
from abawfw.apis.export import export
from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer

ALONE = ('onnxruntime', 'flatbuffers', 'numpy', 'packaging', 'protobuf')  # onnxruntime and what it requires
CASES = {
    'rucaim3/fclstm_xl_demo': ({'affectnet': 5, 'vggish': 3}, TINY_RUCAIM3),  # states, two networks
    'tagf/can_coattn_demo': (
        {'video_embedding': 5, 'audio_embedding': 4},
        {**TINY_CHANNELS, 'regressor': [6], 'window': 12, 'hop': 8},
    ),  # masks, overlapping windows of one length
}


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
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Name of a config, and a run of it with out.onnx beside it."""
    dims, values = CASES[request.param]
    folder = tmp_path_factory.mktemp('exported')
    run = save_run(folder, request.param, dims, separate=request.param.startswith('rucaim3'), **values)
    export(run, folder / 'out.onnx')
    return request.param, run


@pytest.mark.slow
@pytest.mark.parametrize('frames', [7, 53])
def test_the_same_curve(
    python: Path, script: Path, tmp_path: Path, exported: tuple[str, Path], frames: int
) -> None:
    config, run = exported
    dims, _ = CASES[config]
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(frames, dim)).astype(np.float32) for name, dim in dims.items()}
    with RUCAIM3Writer(tmp_path / 'store', {name: (dim,) for name, dim in dims.items()}) as writer:
        writer.add('v', 'test', arrays)
    expected = VAInferencer(run, 'cpu').predict_store(tmp_path / 'store')['v']
    given = []
    for name, x in arrays.items():
        np.save(tmp_path / f'{name}.npy', x)
        given.append(f'{name}={tmp_path / name}.npy')
    command = [str(python), '-I', str(script), str(run.parent / 'out.onnx'), *given]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    header, *lines = found.stdout.splitlines()
    assert header == 'frame,valence,arousal'
    curve: Any = np.array([line.split(',')[1:] for line in lines], float)
    np.testing.assert_allclose(curve, expected[['valence', 'arousal']], rtol=0, atol=2e-5)
