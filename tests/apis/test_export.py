"""Exported files: what they give, what they say of themselves, and what is refused."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from command_line import ROOT, call
from saved_runs import TINY_CHANNELS, TINY_PIXELS, TINY_RUCAIM3, TINY_TRANSFORMER, save_run
from tool_here import tool_here

from abawfw.apis.export import KEY, LENGTHS, TOLERANCE, ExportReport, export
from abawfw.apis.trained_run import load_run
from abawfw.checkpoints import load_checkpoint, save_checkpoint
from abawfw.errors import CheckpointError, ConfigError, DataError, TrainingError
from abawfw.structures.va_batch import Frames

SOUND = {'affectnet': 5, 'vggish': 3}
VECTORS = {'video_embedding': 5, 'audio_embedding': 4}
WORDS = {**VECTORS, 'bert': 6}
PIXELS = {'video': (40, 40, 3), 'logmel': (96, 64)}
WINDOW = {**TINY_CHANNELS, 'regressor': [6], 'window': 12}
slow = pytest.mark.slow
pytestmark = pytest.mark.usefixtures('one_table')
Session = onnxruntime.InferenceSession


def session_of(path: Path) -> Session:
    return Session(path, providers=['CPUExecutionProvider'])


def description(session: Session) -> dict[str, Any]:
    return json.loads(session.get_modelmeta().custom_metadata_map[KEY])


# one layer, or one step of co-attention, is traced as others are; tracing takes seconds
ONE = {'video_channels': [6], 'audio_channels': [6]}
NONE = {'model.encoders': {}}
ONE_STEP = {**WINDOW, **ONE, 'model.fusion.steps': 1}
ONE_LAYER = {'hidden': 8, 'heads': 2, 'layers': 1, 'window': 12}
CONFORMER = {'type': 'ConformerContext', 'layers': 1, 'heads': 2, 'ffn': 8, 'kernel': 3}
POOLING = {'type': 'AttentionPooling', 'frames': 4, 'hidden': 4}
# in one graph: behind a GRU the exporter knows no length but the example's, and a Conformer looks at it
SEQUENCE = [
    {'type': 'MambaContext', 'layers': 1},
    {'type': 'GRUContext', 'hidden': 8},
    {**CONFORMER, 'past': 5},
    CONFORMER,
]
ENCODER = {'type': 'AttentionEncoder', 'dim': 4, 'heads': 2, 'layers': 1}


@slow
@pytest.mark.parametrize(
    ('config', 'dims', 'values'),
    [
        ('tagf/can_affwild2', PIXELS, {**TINY_PIXELS, **NONE}),
        ('tagf/lfan_demo', WORDS, {**TINY_CHANNELS, **NONE}),
        ('tagf/rjcma_demo', WORDS, {**ONE_STEP, **NONE, 'optional': ['bert']}),
        ('tagf/tagf_free_length_demo', VECTORS, ONE_STEP),  # gate: mlp
        ('ras/dcmmoe_demo', VECTORS, {**ONE_LAYER, 'model.encoders': {'audio_embedding': ENCODER}}),
        ('ras/raav_demo', VECTORS, {**ONE_LAYER, 'ffn': 8, 'model.encoders': {'audio_embedding': POOLING}}),
        ('mamba_va/mamba_va_demo', {'video_embedding': 5}, {'channels': [6], 'layers': 1, 'regressor': [4]}),
        ('mamba_va/mamba_carried_demo', SOUND, {**TINY_RUCAIM3, 'model.context': SEQUENCE}),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_shipped_kinds(tmp_path: Path, config: str, dims: dict[str, Any], values: dict[str, Any]) -> None:
    """Those that no other test here or in test_onnx_page.py exports."""
    run = save_run(tmp_path, config, dims, **values)
    check_exported(run, tmp_path / 'out.onnx')
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ['out.onnx']


def check_exported(run: Path, out: Path) -> ExportReport:
    report = export(run, out)
    fixed = report.description['length']
    assert set(report.differences) == ({fixed} if fixed else set(LENGTHS))
    assert max(report.differences.values()) < TOLERANCE / 10
    assert report.description == description(session_of(out))
    return report


class Exported(NamedTuple):
    run: Path
    out: Path
    printed: list[str]


@pytest.fixture(scope='module')
def attention(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """What the command line leaves and prints for a run with a memory."""
    folder = tmp_path_factory.mktemp('attention')
    values = {**TINY_TRANSFORMER, 'memory_average': 4, 'memory_capacity': 5}
    run = save_run(folder, 'rucaim3/transformer_attention_demo', SOUND, **values)
    out = folder / 'new' / 'out.onnx'
    found = tool_here('export', run / 'config.py', run / 'best_ccc_valence_epoch_1.pth', '--onnx', out)
    assert (found.returncode, found.stderr) == (0, '')
    return Exported(run, out, found.stdout.splitlines())


def offline(run: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """The estimators of the run over one clip that starts a video."""
    tensors = {name: torch.from_numpy(x)[None] for name, x in inputs.items()}
    with torch.no_grad():
        parts = [n.model(tensors).va[0][:, n.columns] for n in load_run(run).networks]
    return torch.cat(parts, dim=1).numpy()


def vectors(frames: int, dims: dict[str, int], seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal((frames, dim), np.float32) for name, dim in dims.items()}


@pytest.mark.parametrize('cuts', [[], [1], [7, 8, 40], list(range(1, 60))], ids=len)
def test_state_is_carried_through_inputs_and_outputs(lstm: tuple[Path, Path], cuts: list[int]) -> None:
    run, out = lstm
    session = session_of(out)
    video = vectors(60, SOUND)
    pairs = description(session)['states']
    assert len(pairs) == 4  # output and cell of two networks
    shapes = {value.name: value.shape for value in session.get_inputs()}
    state = {pair['input']: np.zeros(shapes[pair['input']], np.float32) for pair in pairs}
    names = ['va', *(pair['output'] for pair in pairs)]
    found = []
    for part in np.split(np.arange(60), cuts):
        va, *after = session.run(names, {**{f: x[part] for f, x in video.items()}, **state})
        state = {pair['input']: x for pair, x in zip(pairs, after, strict=True)}
        found.append(va)
    np.testing.assert_allclose(np.concatenate(found), offline(run, video), rtol=0, atol=1e-5)


def test_each_target_has_its_own_best_checkpoint(lstm: tuple[Path, Path]) -> None:
    said = description(session_of(lstm[1]))
    assert said['targets'] == ['valence', 'arousal']
    assert said['checkpoints'] == {t: f'best_ccc_{t}_epoch_1.pth' for t in said['targets']}
    weights = [n.model.head.out.weight for n in load_run(lstm[0]).networks]
    assert not torch.equal(*weights)


def test_checkpoints_of_two_runs_are_refused(tmp_path: Path) -> None:
    run = save_run(tmp_path, 'rucaim3/fclstm_xl_demo', SOUND, separate=True, **TINY_RUCAIM3)
    path = run / 'best_ccc_arousal_epoch_1.pth'
    stored = load_checkpoint(path)
    stored['meta']['fitted'][0]['vggish'][0][1] += 1
    save_checkpoint(stored, path)
    with pytest.raises(CheckpointError, match=f'{path} and .*trained with other statistics'):
        export(run, tmp_path / 'out.onnx')


def test_one_network_where_both_files_hold_the_same_weights(tmp_path: Path) -> None:
    run = save_run(tmp_path, 'rucaim3/fclstm_xl_demo', SOUND, **TINY_RUCAIM3)
    (network,) = load_run(run).networks
    assert network.targets == ('valence', 'arousal')


def test_the_description_is_enough_to_normalise(lstm: tuple[Path, Path]) -> None:
    said = description(session_of(lstm[1]))
    fitted = load_run(lstm[0]).fitted
    assert fitted is not None
    (step,) = said['pipeline']
    assert (step['type'], step['method'], said['clips']) == (
        'Normalize',
        'train',
        {'type': 'Segments', 'length': 20},
    )
    for name, (mean, std) in fitted[0].items():
        np.testing.assert_allclose(step['statistics'][name]['mean'], mean, rtol=1e-6)
        np.testing.assert_allclose(step['statistics'][name]['std'], std, rtol=1e-6)
    assert said['features'] == {f: {'dims': [d], 'dtype': 'float32'} for f, d in SOUND.items()}
    assert said['postprocess'] == {
        'valence': [{'type': 'MeanSmoothing', 'window': 50}],
        'arousal': [{'type': 'MeanSmoothing', 'window': 20}],
    }
    assert said['masks'] == []


def test_nothing_of_this_machine_is_in_the_file(lstm: tuple[Path, Path]) -> None:
    content = lstm[1].read_bytes()
    assert b'.py' not in content
    assert str(ROOT).encode() not in content


def test_runtime_does_not_warn_of_shapes(lstm: tuple[Path, Path], capfd: pytest.CaptureFixture[str]) -> None:
    session = session_of(lstm[1])
    state = {i.name: np.zeros(i.shape, np.float32) for i in session.get_inputs() if 'state' in i.name}
    assert session.run(['va'], {**vectors(5000, SOUND), **state})[0].shape == (5000, 2)
    assert capfd.readouterr() == ('', '')


def test_a_memory_beyond_its_capacity(attention: Exported) -> None:
    session = session_of(attention.out)
    model = load_run(attention.run).networks[0].model
    memory, count = np.zeros((5, 8), np.float32), np.zeros((), np.int64)
    states = [c.initial_state(1) for c in model.stateful]
    for turn, frames in enumerate((9, 30, 3, 1, 11)):
        clip = vectors(frames, SOUND, turn)
        tensors = {name: torch.from_numpy(x)[None] for name, x in clip.items()}
        seen, valid = torch.ones(1, frames, 2, dtype=torch.bool), torch.ones(1, frames, dtype=torch.bool)
        with torch.no_grad():
            x, states = model.extract(tensors, Frames(valid, seen), states)
            expected = model.head(x, valid).va[0].numpy()
        va, memory, count = session.run(
            ['va', 'next_state.1.memory', 'next_state.1.count'],
            {**clip, 'state.1.memory': memory, 'state.1.count': count},
        )
        np.testing.assert_allclose(va, expected, rtol=0, atol=1e-5)
        assert memory.shape == (5, 8)
    assert count == 5


def test_a_memory_that_grows_is_refused(tmp_path: Path) -> None:
    run = save_run(
        tmp_path,
        'rucaim3/transformer_attention_demo',
        SOUND,
        **TINY_TRANSFORMER,
        memory_capacity=None,
    )
    with pytest.raises(ConfigError, match='capacity=None'):
        export(run, tmp_path / 'out.onnx')


def test_windows_of_one_length_are_padded_and_told_so(tmp_path: Path) -> None:
    run = save_run(tmp_path, 'tagf/tagf_embeddings_demo', VECTORS, **ONE_STEP)  # gate: lstm
    check_exported(run, tmp_path / 'out.onnx')
    session = session_of(tmp_path / 'out.onnx')
    said = description(session)
    assert (said['length'], said['masks']) == (12, [f'{name}_observed' for name in VECTORS])
    assert said['pipeline'][-1] == {'type': 'PadTo', 'length': 12}
    clip = vectors(12, VECTORS)
    told = {name: np.arange(12) < 7 for name in said['masks']}
    (va,) = session.run(['va'], {**clip, **told})
    for x in clip.values():
        x[7:] = 99  # told not to be there
    (other,) = session.run(['va'], {**clip, **told})
    np.testing.assert_array_equal(va[:7], other[:7])
    shown = {name: np.ones(12, bool) for name in said['masks']}
    assert np.abs(session.run(['va'], {**clip, **shown})[0] - va)[:7].max() > 1e-3


@pytest.mark.parametrize('change', [0.01, float('nan')])
def test_a_file_that_differs_is_not_kept(
    lstm: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: float
) -> None:
    run, written = lstm
    out = tmp_path / 'out.onnx'
    out.write_text('what was there before')

    def spoilt(_: Any, path: Path) -> None:
        file = onnx.load(written)
        bias = next(x for x in file.graph.initializer if 'head.out.bias' in x.name)
        bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + change, bias.name))
        onnx.save(file, path)

    # the package has a function of this name, too
    monkeypatch.setattr(importlib.import_module('abawfw.apis.export'), 'write_graph', spoilt)
    with pytest.raises(TrainingError, match='differs from PyTorch by'):
        export(run, out)
    assert out.read_text() == 'what was there before'
    assert [p.name for p in tmp_path.iterdir()] == ['out.onnx']


def test_what_cannot_be_written_is_told_before_loading(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """There is no run at all, and yet it is the file that is told of."""
    with pytest.raises(ConfigError, match=r'is a folder; name a file to write, such as .*/model\.onnx'):
        export(tmp_path / 'nowhere', tmp_path)
    (tmp_path / 'file').touch()
    with pytest.raises(ConfigError, match=r'best\.pth: the file has a name that ends in \.onnx'):
        export(tmp_path / 'nowhere', tmp_path / 'best.pth')  # a checkpoint named by mistake
    with pytest.raises(
        DataError, match=r'file/folder: cannot be written \(Not a directory\); choose another place'
    ):
        export(tmp_path / 'nowhere', tmp_path / 'file/folder/out.onnx')
    found = call(capfd, 'export', tmp_path / 'nowhere', '--onnx', tmp_path)
    assert found.code == 2
    assert found.err.startswith('error: ')


@pytest.mark.parametrize('missing', ['onnx', 'onnxscript', 'onnxruntime'])
def test_a_missing_package_is_named(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.import_module

    def without(name: str, *rest: Any) -> Any:
        if name == missing:
            raise ImportError(f'No module named {name!r}')
        return found(name, *rest)

    monkeypatch.setattr(importlib, 'import_module', without)
    with pytest.raises(ConfigError, match=rf'needs {missing}, .*pip install -e \.\[export\]'):
        export(tmp_path, tmp_path / 'out.onnx')


@slow
def test_what_training_wrote(trained: Path, tmp_path: Path) -> None:
    """A transformer without state."""
    report = check_exported(trained, tmp_path / 'out.onnx')
    assert list(report.description['features']) == ['egemaps', 'affectnet']
    (step,) = report.description['pipeline']
    assert set(step['statistics']) == {'egemaps', 'affectnet'}


def test_command_line(attention: Exported) -> None:
    lines = attention.printed
    assert 'frames of a clip: up to 512' in lines
    assert 'input  affectnet: (time, 5) float32' in lines
    assert 'state  state.1.memory -> next_state.1.memory, zeros at the start of a video' in lines
    for length in LENGTHS:
        (line,) = [x for x in lines if f'two clips of {length} frames' in x]
        assert float(line.rpartition(' ')[2]) < TOLERANCE / 10
    assert session_of(attention.out).get_outputs()[0].shape == ['time', 2]


def test_command_line_without_a_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = call(capfd, 'export', tmp_path / 'absent', '--onnx', tmp_path / 'out.onnx')
    assert (found.code, found.out) == (2, '')
    assert found.err == f'error: {tmp_path}/absent: no such run or config file\n'


def test_a_run_without_a_checkpoint(tmp_path: Path) -> None:
    run = save_run(tmp_path, 'rucaim3/fclstm_xl_demo', SOUND, **TINY_RUCAIM3)
    for path in run.glob('*.pth'):
        path.unlink()
    with pytest.raises(CheckpointError, match=r'no best_ccc_valence_epoch_\*'):
        load_run(run)
