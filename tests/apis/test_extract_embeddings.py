"""Embeddings extracted once: the rest of the model gives on them what the whole one gives on pixels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import ROOT, call

from abawfw.apis.build import model_config
from abawfw.apis.face_frames import track_of
from abawfw.checkpoints import save_checkpoint
from abawfw.config.loading import load_config, resolve
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.records import write_extraction
from abawfw.datasets.stores.trials.writer import TrialWriter
from abawfw.registry import MODELS

CONFIGS = ROOT / 'configs/tagf'
LENGTHS = {'a': ('train', 31), 'b': ('val', 45), 'c': ('val', 7), 'd': ('test', 20)}
TINY = """
face_backbone = dict(units=[1, 1, 1, 1], width=2, weights=None)
audio_backbone = dict(hidden=6, width=2, weights=None)
"""
SMALL = """
video_channels = [4, 4]
audio_channels = [4, 4]
regressor = [4]
window = 20
hop = 15
batch_size = 3
masked = {masked}
targets = ['valence']
split = dict(_delete_=True, type='OfficialSplit')
train_dataloader = dict(num_workers=0)
val_dataloader = dict(num_workers=0)
"""


@pytest.fixture(scope='module')
def pixels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trials of random pictures and spectrograms, some without a face."""
    root = tmp_path_factory.mktemp('pixels') / 'store'
    rng = np.random.default_rng(0)
    dims = {'video': (48, 48, 3), 'logmel': (96, 64), 'bert': (768,), 'half': (3,), 'video_embedding': (5,)}
    dtypes = {'video': 'uint8', 'logmel': 'float16', 'half': 'float16'}
    with TrialWriter(root, dims, dtypes) as writer:
        for name, (partition, length) in LENGTHS.items():
            arrays = {
                feature: rng.normal(size=(length, *shape)).astype(dtypes.get(feature, 'float32'))
                for feature, shape in dims.items()
            }
            arrays['video'] = rng.integers(1, 256, (length, 48, 48, 3), dtype=np.uint8)
            masks = {}
            if name == 'b':
                masks['video'] = np.arange(length) % 5 > 0  # pictures that are there and do not count
                masks['bert'] = np.arange(length) > 3
            elif name == 'c':
                arrays['video'][2:4] = 0  # black, without a mask
            labels = rng.uniform(-1, 1, (length, 2))
            labels[3] = np.nan
            labels_or_none = None if partition == 'test' else labels
            writer.add(name, partition, arrays, labels_or_none, masks, 25.0, group=f'person {name}')
    return root


def config(folder: Path, name: str, masked: bool = False, more: str = '') -> Path:
    path = folder / f'{name}.py'
    path.write_text(f"_base_ = '{CONFIGS}/{name}.py'\n{SMALL.format(masked=masked)}{more}")
    return path


def model_of(path: Path, dims: dict[str, Any]) -> tuple[Any, Any]:
    cfg = resolve(load_config(path))
    return cfg, MODELS.build(model_config(cfg, dims))


def save(path: Path, cfg: Any, model: Any, dims: dict[str, Any], fitted: Any = ({},)) -> Path:
    meta = {'targets': list(cfg.targets), 'input_dims': dims, 'seed': 0, 'config': '', 'fitted': list(fitted)}
    save_checkpoint({'meta': meta, 'state_dict': model.state_dict()}, path)
    return path


def predictions(
    capfd: pytest.CaptureFixture[str], path: Path, checkpoint: Path, root: Path
) -> dict[str, Any]:
    out = checkpoint.with_suffix('')
    found = call(capfd, 'test', path, checkpoint, '--data-root', root, '--partition', 'val', '--out', out)
    assert found.code == 0, found.err
    stored = json.loads((out / 'val_pred_valence_nosmooth_ori.json').read_text())
    return {trial: np.array(entry['pred']) for trial, entry in stored.items()}


PIXEL_DIMS = {'video': (40, 40, 3), 'logmel': (96, 64)}
VECTOR_DIMS = {'video_embedding': 512, 'audio_embedding': 128}


@pytest.mark.parametrize('masked', [False, True])
def test_the_same_predictions(
    pixels: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], masked: bool
) -> None:
    torch.manual_seed(0)
    # with statistics that only the checkpoint knows
    fitted = [{'logmel': (torch.tensor(0.3), torch.tensor(2.0))}]
    whole_config = config(tmp_path, 'tagf_affwild2', masked, f"{TINY}normalized = ['logmel']\n")
    cfg, whole = model_of(whole_config, PIXEL_DIMS)
    for part in whole.modules():
        if isinstance(part, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            torch.nn.init.uniform_(part.running_var, 0.5, 1.5)
    checkpoint = save(tmp_path / 'whole.pth', cfg, whole, PIXEL_DIMS, fitted)
    out = tmp_path / 'embeddings'
    found = call(capfd, 'extract_embeddings', whole_config, checkpoint, out, '--data-root', pixels)
    assert found.code == 0, found.err
    assert found.out.splitlines()[0] == f'{out}: 4 videos, 103 frames, from {checkpoint}'
    assert found.out.splitlines()[-1] == '  copied: bert, half'

    rest_config = config(tmp_path, 'tagf_embeddings_affwild2', masked)
    cfg, rest = model_of(rest_config, VECTOR_DIMS)
    names = {'video': 'video_embedding', 'logmel': 'audio_embedding'}
    weights = {
        '.'.join(names.get(part, part) for part in name.split('.')): tensor
        for name, tensor in whole.state_dict().items()
        if not name.startswith('backbones.')
    }
    rest.load_state_dict(weights)
    rest_checkpoint = save(tmp_path / 'rest.pth', cfg, rest, VECTOR_DIMS)
    on_the_fly = predictions(capfd, whole_config, checkpoint, pixels)
    stored = predictions(capfd, rest_config, rest_checkpoint, out)
    assert list(stored) == ['b', 'c']
    for trial, curve in on_the_fly.items():
        np.testing.assert_allclose(stored[trial], curve, rtol=0, atol=1e-6)
        assert np.ptp(curve) > 1e-4


def test_all_else_is_copied(pixels: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = config(tmp_path, 'tagf_affwild2', more=TINY)
    cfg, model = model_of(path, PIXEL_DIMS)
    checkpoint = save(tmp_path / 'm.pth', cfg, model, PIXEL_DIMS)
    source, out = shutil.copytree(pixels, tmp_path / 'pixels'), tmp_path / 'embeddings'
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.1, 45))
    np.save(source / 'b/frame_times.npy', times)
    np.savez(source / 'b/face_track.npz', found=np.arange(45) > 7, filled=np.zeros(45, bool))
    write_extraction(source, {name: {'from': name} for name in ('video', 'bert', 'faces')})
    assert call(capfd, 'extract_embeddings', path, checkpoint, out, '--data-root', source).code == 0
    old, new = open_store(source), open_store(out)
    assert new.videos() == old.videos()
    np.testing.assert_array_equal(new.times('b'), times)
    np.testing.assert_allclose(new.times('a'), np.arange(31) / 25)
    assert new.extraction == {'bert': {'from': 'bert'}, 'faces': {'from': 'faces'}}
    track = track_of(new, 'b')
    assert track is not None
    assert (track[0].sum(), track[1].sum(), track_of(new, 'a')) == (37, 0, None)
    assert {n: (i.dims, i.dtype) for n, i in new.features().items()} == {
        'video_embedding': ((512,), 'float32'),
        'audio_embedding': ((128,), 'float32'),
        'bert': ((768,), 'float32'),
        'half': ((3,), 'float16'),
    }
    for video in old.videos():
        whole = (0, video.num_frames)
        np.testing.assert_array_equal(new.labels(video.video_id, *whole), old.labels(video.video_id, *whole))
        for name in ('bert', 'half'):
            assert np.array_equal(
                new.read(video.video_id, name, *whole), old.read(video.video_id, name, *whole)
            )
        for name, source in {'video_embedding': 'video', 'audio_embedding': 'logmel', 'bert': 'bert'}.items():
            expected = old.observed(video.video_id, source, *whole)
            assert np.array_equal(new.observed(video.video_id, name, *whole), expected)
    assert new.observed('b', 'video_embedding', 0, 45).sum() == 36
    assert new.observed('c', 'video_embedding', 0, 7).sum() == 5
    embeddings = config(tmp_path, 'tagf_embeddings_affwild2')
    found = call(capfd, 'extract_embeddings', embeddings, tmp_path / 'again', '--data-root', out)
    assert found.code == 2
    assert 'the model has no backbones' in found.err
    # what a picture without a face gives is there, for runs that do not mask
    face = model.backbones['video'].eval()
    picture = torch.from_numpy(np.load(pixels / 'b/video.npy')[:1, 4:44, 4:44])
    vector = new.read('b', 'video_embedding', 0, 1)
    np.testing.assert_allclose(vector, face(picture).detach(), rtol=0, atol=1e-6)


def test_of_a_run(pixels: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its best checkpoint by mean CCC, and its own config."""
    run = tmp_path / 'run'
    run.mkdir()
    cfg, model = model_of(config(tmp_path, 'tagf_affwild2', more=TINY), PIXEL_DIMS)
    (run / 'config.py').write_text(load_config(tmp_path / 'tagf_affwild2.py').pretty_text)
    save(run / 'best_ccc_epoch_3.pth', cfg, model, PIXEL_DIMS)
    out = tmp_path / 'embeddings'
    found = call(capfd, 'extract_embeddings', run, out, '--data-root', pixels)
    assert found.code == 0, found.err
    assert 'best_ccc_epoch_3.pth' in found.out
    picture = torch.from_numpy(np.load(pixels / 'a/video.npy')[:, 4:44, 4:44])
    vectors = model.backbones['video'].eval()(picture).detach()
    np.testing.assert_allclose(np.load(out / 'a/video_embedding.npy'), vectors, rtol=0, atol=1e-6)


def test_of_the_weights_that_a_config_names(
    pixels: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = config(tmp_path, 'tagf_affwild2', more=TINY)
    _, model = model_of(path, PIXEL_DIMS)
    for name, part in model.backbones.items():
        torch.save(part.state_dict(), tmp_path / f'{name}.pth')
    weights = [f'face_backbone.weights={tmp_path}/video.pth', f'audio_backbone.weights={tmp_path}/logmel.pth']
    out = tmp_path / 'embeddings'
    options = ['--data-root', pixels, '--cfg-options']
    found = call(capfd, 'extract_embeddings', path, out, *options, *weights)
    assert found.code == 0, found.err
    windows = torch.from_numpy(np.load(pixels / 'd/logmel.npy'))
    vectors = model.backbones['logmel'].eval()(windows).detach()
    np.testing.assert_allclose(np.load(out / 'd/audio_embedding.npy'), vectors, rtol=0, atol=1e-6)

    for given, message in (
        (weights[:1], 'model.backbones.logmel: has no weights'),
        ([weights[0], f'audio_backbone.weights={tmp_path}/gone.pth'], 'gone.pth: no such file of weights'),
    ):
        found = call(capfd, 'extract_embeddings', path, tmp_path / 'other', *options, *given)
        assert found.code == 2
        assert message in found.err
        assert not (tmp_path / 'other').exists()


def test_a_checkpoint_of_another_pipeline(
    pixels: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = config(tmp_path, 'tagf_affwild2', more=TINY)
    cfg, model = model_of(path, PIXEL_DIMS)
    checkpoint = save(tmp_path / 'm.pth', cfg, model, PIXEL_DIMS, fitted=[{}, {}])
    found = call(capfd, 'extract_embeddings', path, checkpoint, tmp_path / 'out', '--data-root', pixels)
    assert found.code == 2
    assert '1 transforms that are fitted to training videos, and the checkpoint those of 2' in found.err


def test_complete_or_absent(
    pixels: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from abawfw.models.backbones import VGGish

    path = config(tmp_path, 'tagf_affwild2', more=TINY)
    cfg, model = model_of(path, PIXEL_DIMS)
    checkpoint = save(tmp_path / 'm.pth', cfg, model, PIXEL_DIMS)
    arguments = ['extract_embeddings', path, checkpoint, tmp_path / 'made/out', '--data-root', pixels]
    forward, calls = VGGish.forward, []

    def interrupted(self: VGGish, frames: torch.Tensor) -> torch.Tensor:
        calls.append(len(frames))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return forward(self, frames)

    monkeypatch.setattr(VGGish, 'forward', interrupted)
    assert call(capfd, *arguments).code == 130
    assert list((tmp_path / 'made').iterdir()) == []
    monkeypatch.undo()
    assert call(capfd, *arguments).code == 0
    found = call(capfd, *arguments)
    assert found.code == 2
    assert 'exists and is not an empty folder' in found.err
