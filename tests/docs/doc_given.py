"""What a reader is said to have before a page begins, made small: data, videos, annotations, trained runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
import torch
from apis.command_line import ROOT
from docs.doc_sandbox import Sandbox, run_tool
from extraction.face_clips import FRAMES, clip
from extraction.made_networks import pooled

from abawfw.datasets.demo.rucaim3 import make_demo_data
from abawfw.datasets.demo.trials import make_demo_trials
from abawfw.datasets.stores import open_store
from abawfw.models.backbones import IResNet, VGGish

# Features of Aff-Wild2 that configs and pages name beyond those of the demo data: as copies of one of these.
MORE_FEATURES = ('wav2vec', 'compare', 'denseface', 'FAU')
VIDEO_FRAMES = 20  # detecting faces is what takes longest
RUNS = {
    'a': 'rucaim3/transformer_affwild2 --seed 1',
    'b': 'rucaim3/transformer_affwild2 --seed 2',
    'demo': 'rucaim3/transformer_demo',
    'free': 'tagf/tagf_free_length_embeddings_affwild2',
}


def make_given(root: Path, shared: Path | None) -> None:
    """Make everything; what needs ``shared`` only where it is."""
    (root / 'data').mkdir(parents=True)
    make_demo_data(root / 'data/demo', videos=(10, 6, 2), scale=0.03)
    _affwild2(root)
    make_demo_trials(root / 'data/demo_trials', videos=(5, 2, 1), scale=0.01)
    for name in ('affwild2_trials', 'affwild2_embeddings'):
        (root / 'data' / name).symlink_to(root / 'data/demo_trials')
    _weights(root / 'weights')
    _space(root / 'space.py')
    _annotations(root)
    if shared is not None:
        (root / 'data/ceap360vr').symlink_to(shared / 'data/ceap360vr')
        (root / 'data/gump').symlink_to(shared / 'data/gump')
        (root / 'reference').symlink_to(_reference(root, shared))
        _ceap360vr(root, shared)
        _videos(root, shared)
    _runs(root)
    _trouble(root)


def _affwild2(root: Path) -> None:
    shutil.copytree(root / 'data/demo', root / 'data/affwild2')
    for name in MORE_FEATURES:
        for path in (root / 'data/affwild2/features').rglob('*egemaps*'):
            shutil.copy(path, path.with_name(path.name.replace('egemaps', name)))


def _runs(root: Path) -> None:
    """Tested runs of one epoch on the Aff-Wild2-like data; that of the demo on its own."""
    box = Sandbox(root / 'trainer', root)
    for name, words in RUNS.items():
        config, _, options = words.partition(' ')
        for command in (
            f'python tools/train.py configs/{config}.py --work-dir work_dirs/{name} {options}'.strip(),
            f'python tools/test.py work_dirs/{name}',
        ):
            done = box.run(command)
            assert done.code == 0, done.output
    (box.folder / 'work_dirs').rename(root / 'work_dirs')
    shutil.copytree(root / 'work_dirs/a', root / 'work_dirs/transformer_affwild2')
    shutil.rmtree(box.folder)


def _trouble(root: Path) -> None:
    """What is wrong with something, for the messages of docs/troubleshooting.md."""
    shutil.copytree(root / 'data/demo', root / 'data/spoilt')
    with h5py.File(root / 'data/spoilt/features/train_vggish.h5', 'r+') as file:
        first, second = list(file)[:2]
        values = file[f'{first}/fts'][:-3]
        del file[f'{first}/fts']
        file[f'{first}/fts'] = values
        file[f'{second}/fts'][5, 2] = np.nan
    shutil.copytree(root / 'face', root / 'short')
    np.save(root / 'short/one.npy', np.zeros((FRAMES - 5, 6), np.float32))
    (root / 'damaged').mkdir()
    (root / 'damaged/a.mp4').write_text('no video')
    runs = root / 'work_dirs'
    shutil.copytree(runs / 'demo', runs / 'untested')
    shutil.rmtree(runs / 'untested/predictions')
    shutil.copytree(runs / 'untested', runs / 'damaged')
    for state in (runs / 'damaged').glob('epoch_*.pth'):
        state.write_bytes(state.read_bytes()[:1000])
    (runs / 'untrained').mkdir()
    shutil.copy(runs / 'demo/config.py', runs / 'untrained')
    shutil.copytree(runs / 'untested', runs / 'other_data')
    make_demo_data(root / 'data/other', seed=1, videos=(2, 5, 1), scale=0.03)
    done = run_tool(root, [str(ROOT / 'tools/test.py'), 'work_dirs/other_data', '--data-root', 'data/other'])
    assert done.code == 0, done.output


def _annotations(root: Path) -> None:
    """Annotations and feature files as for tools/dataset_converters/affwild2.py, and a sample to fill."""
    rng = np.random.default_rng(0)
    partitions = {'one': 'Train_Set', 'two': 'Train_Set', 'three': 'Validation_Set', 'four': ''}
    for video, folder in partitions.items():
        labels = _labels(rng, FRAMES)
        for feature, dim in (('face', 6), ('voice', 4)):  # from which the labels can be told
            (root / feature).mkdir(exist_ok=True)
            np.save(root / feature / f'{video}.npy', np.tile(labels, dim // 2).astype(np.float32))
        if folder:
            _write_labels(root / f'annotations/VA_Estimation_Challenge/{folder}/{video}.txt', labels)
    write_sample(root / 'sample.txt', sample_of(root / 'data/demo_trials'))
    write_sample(root / 'official_sample.txt', [('four', FRAMES)])
    (root / 'test.txt').write_text('four\n')
    (root / 'fps.csv').write_text(''.join(f'{name},30\n' for name in partitions))


def _labels(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Valence and arousal that move, (frames, 2)."""
    return 0.8 * np.sin(np.arange(frames)[:, None] / 9 + rng.uniform(0, 6, 2))


def _write_labels(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(['valence,arousal', *(f'{v:.3f},{a:.3f}' for v, a in labels)]) + '\n')


def write_sample(path: Path, videos: Iterable[tuple[str, int]]) -> None:
    """A challenge's sample with these videos and numbers of frames."""
    rows = [f'{name}/{i + 1:05}.jpg,-5,-5' for name, frames in videos for i in range(frames)]
    path.write_text('\n'.join(['image_location,valence,arousal', *rows]) + '\n')


def sample_of(root: Path) -> list[tuple[str, int]]:
    """Videos of a store's test partition and their numbers of frames."""
    return [(v.video_id, v.num_frames) for v in open_store(root).videos() if v.partition == 'test']


def _weights(folder: Path) -> None:
    """Files of weights that configs and pages name, of small networks."""
    folder.mkdir()
    small = {'units': [1, 1, 1, 1], 'width': 4}
    networks = {
        'ir50': IResNet((40, 40, 3), size=40, **small),
        'arcface': IResNet((112, 112, 3), size=112, **small),
        'vggish': VGGish((96, 64), hidden=8, width=2),
    }
    for name, network in networks.items():
        torch.save(network.state_dict(), folder / f'{name}.pth')
    pooled(folder / 'face_va.onnx', ('n', 3, 32, 32))


def _space(path: Path) -> None:
    path.write_text("space = {'lr': [1e-4, 3e-4], 'gate': ['lstm', 'mlp']}\n")


def _reference(root: Path, shared: Path) -> Path:
    """A trained run of RUCAIM3's own code."""
    golden = shared / 'golden/rucaim3'
    return shutil.copytree(golden / 'weights_mini/transformer', root / 'reference_run')


def _ceap360vr(root: Path, shared: Path) -> None:
    """The public repository with two participants, and two made from them who train."""
    clone = root / 'CEAP-360VR-Dataset'
    shutil.copytree(shared / 'data/ceap360vr_raw/CEAP-360VR', clone / 'CEAP-360VR')
    for number, other in ((1, 3), (2, 4)):
        for path in sorted(clone.rglob(f'P{number}_*.json')):
            text = path.read_text().replace(f'"P{number}"', f'"P{other}"')
            text = text.replace(f'"ParticipantID": "{number}"', f'"ParticipantID": "{other}"')
            path.with_name(path.name.replace(f'P{number}_', f'P{other}_')).write_text(text)
    (root / 'CEAP-360VR').symlink_to(clone / 'CEAP-360VR')


def _videos(root: Path, shared: Path) -> None:
    """Three short videos with faces and labels, and one without labels."""
    langer, single = (shared / f'media/{n}.mp4' for n in ('WolfgangLanger_Pexels', 'single_face'))
    (root / 'videos').mkdir()
    rng = np.random.default_rng(1)
    for name, source, start, folder in (
        ('first', langer, 0, 'Train_Set'),
        ('later', langer, 100, 'Train_Set'),
        ('single', single, 0, 'Validation_Set'),
        ('unknown', single, 30, ''),
    ):
        clip(source, root / f'videos/{name}.mp4', start, seconds=1.0, count=VIDEO_FRAMES)
        if folder:
            _write_labels(root / f'labels/{folder}/{name}.txt', _labels(rng, VIDEO_FRAMES))
    shutil.copy(root / 'videos/later.mp4', root / 'video.mp4')
    _ratings(root / 'ratings', rng)


def _ratings(folder: Path, rng: np.random.Generator) -> None:
    """Two persons who rate the labelled videos, 30 times a second."""
    folder.mkdir()
    for video in ('first', 'later', 'single'):
        for rater in ('anna', 'ben'):
            rows = [f'{k / 30:.4f},{v:.3f},{a:.3f}' for k, (v, a) in enumerate(_labels(rng, VIDEO_FRAMES))]
            text = '\n'.join(['time,valence,arousal', *rows]) + '\n'
            (folder / f'{video}.{rater}.1.csv').write_text(text)
