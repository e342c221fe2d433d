"""tools/train.py: what it takes, writes, prints and refuses."""

from __future__ import annotations

import csv
import importlib
import json
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from command_line import ROOT, TINY, TINY_TRANSFORMER, call, call_apart

from abawfw.apis.train import train
from abawfw.checkpoints import load_checkpoint
from abawfw.config.loading import load_config
from abawfw.datasets.demo.rucaim3 import make_demo_data
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer
from abawfw.engine import VARunner
from abawfw.engine.hooks.interrupt_hook import resume_command

CONFIG = ROOT / 'configs/rucaim3/transformer_demo.py'
STATEFUL = ROOT / 'configs/rucaim3/fclstm_xl_demo.py'


def test_options_reach_what_they_must(trained: Path, demo_data: Path) -> None:
    config = load_config(trained / 'config.py')
    assert config.data_root == str(demo_data)
    assert config.features == ['egemaps', 'affectnet']
    assert config.seed == 7
    assert config.optim_wrapper.precision == 'bf16'
    assert config.hidden == 16
    meta = load_checkpoint(trained / 'epoch_2.pth')['meta']
    assert list(meta['input_dims']) == ['egemaps', 'affectnet']
    summary = json.loads((trained / 'summary.json').read_text())
    assert (summary['seed'], summary['status']) == (7, 'done')


def test_files_and_output(trained: Path) -> None:
    out, _, err = (trained / 'printed.txt').read_text().partition('---\n')
    assert err == ''  # PyTorch is loaded already: see test_cli.py for the line that comes before it
    first, *log, done, where = out.splitlines()
    assert first == 'reading the data: which videos there are, and statistics for what is normalised'
    stamp = re.compile(r'\d\d/\d\d \d\d:\d\d:\d\d (.*)')
    *facts, head, one, two = [stamp.fullmatch(line)[1] for line in log]
    store = open_store(load_config(trained / 'config.py').data_root)
    expected = []
    for partition in ('train', 'val'):
        videos = [video for video in store.videos() if video.partition == partition]
        frames = sum(video.num_frames for video in videos)
        size = frames * sum(store.feature(name).dims[0] for name in ('egemaps', 'affectnet')) * 4 / 1e6
        expected.append(f'{partition}: {len(videos)} videos, {frames:,} frames, {size:.1f} MB')
        expected.append(f'{partition}: resident in host memory')
    weights = load_checkpoint(trained / 'epoch_2.pth')['state_dict'].values()
    count = sum(w.numel() for w in weights)
    expected += [
        f'model: {count:,} parameters, {count:,} of them trained from the start',
        'computes on CPU in bf16, 1 thread',
    ]
    assert [fact.partition(', ')[0] if 'resident' in fact else fact for fact in facts] == expected
    assert head == 'a line per epoch: mean loss, CCC in training/validation, seconds of training'
    number = r'-?\d\.\d{3}'
    for epoch, line in enumerate((one, two), 1):
        scores = rf'valence {number}/{number}  arousal {number}/{number}'
        assert re.fullmatch(rf'epoch {epoch}/2  loss \d\.\d{{4}}  {scores}  \d+\.\d s', line)
    assert all(len(line) < 100 for line in [first, *log, done])
    assert done.startswith('done after 2 epochs; best on val: ccc ')
    run = 'work_dirs/transformer_demo'
    assert where == f'everything is in {run}; next: python tools/test.py {run}'
    files = {p.name for p in trained.iterdir() if p.is_file()} - {'printed.txt'}
    best = {b['file'] for b in json.loads((trained / 'summary.json').read_text())['best'].values()}
    assert len(best) == 3
    assert files == {'config.py', 'metrics.csv', 'summary.json', 'epoch_1.pth', 'epoch_2.pth', *best}


@pytest.mark.parametrize(
    'command',
    [
        ('train', CONFIG, '--data-root', 'nowhere'),
        ('train', CONFIG, '--data-root', 'nowhere', '--check-only'),
        ('test', 'RUN'),
        ('infer', 'video.mp4', 'RUN'),
        ('extract_features', 'videos', 'store', '--features', 'face48'),
        ('extract_embeddings', CONFIG, 'store', '--data-root', 'nowhere'),
    ],
    ids=lambda command: command[0],
)
def test_a_device_that_is_not_there(
    command: tuple, tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said in a line, before anything else that is wrong."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    found = call(capfd, *command, '--device', 'cuda:1')
    assert (found.code, found.out) == (2, '')
    assert re.search(
        r"^error: device 'cuda:1': no GPU is visible here \(.*\): use cpu or auto$", found.err, re.M
    )
    assert not any(tmp_path.iterdir())


def test_threads_of_a_run(demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it trains, in its log, and in the command that goes on; a config's, at most one per core."""
    monkeypatch.delenv('OMP_NUM_THREADS')
    monkeypatch.setattr('os.cpu_count', lambda: 3)
    seen = []

    def run(runner: VARunner) -> None:
        computed = next(line for line in runner.facts if line.startswith('computes on'))
        seen.append((torch.get_num_threads(), computed.rpartition(', ')[2], resume_command(runner)))
        (Path(runner.work_dir) / 'summary.json').write_text('{}')

    monkeypatch.setattr(importlib.import_module('abawfw.apis.train'), '_run', run)
    overrides = {'data_root': str(demo_data), 'hidden': 16, 'layers': 1}
    for number, (configured, threads) in enumerate(
        [({}, None), ({'threads': 64}, None), ({'threads': 3}, 2)]
    ):
        train(load_config(CONFIG, overrides | configured), tmp_path / str(number), threads=threads)
    assert [found[:2] for found in seen] == [(1, '1 thread'), (3, '3 threads'), (2, '2 threads')]
    assert [found[2].endswith(' --resume --threads 2') for found in seen] == [False, False, True]
    assert torch.get_num_threads() == 1


def test_a_run_is_not_trained_over(trained: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = call(capfd, 'train', trained / 'config.py', '--work-dir', trained)
    assert found.code == 2
    way_out = 'continue it with --resume, or choose another place with --work-dir'
    assert found.err == f'error: {trained} holds a run already: {way_out}\n'


def test_resume_and_more_epochs(trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = [trained / 'config.py', '--work-dir', tmp_path / 'run', '--cfg-options', 'epochs=3']
    found = call(capfd, 'train', *options, '--resume', trained / 'epoch_2.pth')
    assert found.code == 0, found.err
    assert 'epoch 3/3' in found.out
    assert 'epoch 2/3' not in found.out
    rows = csv.DictReader((tmp_path / 'run/metrics.csv').read_text().splitlines())
    rates = [float(row['lr']) for row in rows]
    # constant for one epoch, then towards zero: of two epochs, and from the third on of three
    assert rates == pytest.approx([1e-3, 1e-3 / 2, 1e-3 / 3])
    assert call(capfd, 'train', *options, '--resume').code == 0
    missing = call(capfd, 'train', *options, '--resume', tmp_path / 'epoch_9.pth')
    assert missing.code == 2
    assert missing.err == f'error: --resume {tmp_path}/epoch_9.pth: no such checkpoint\n'


def test_check_only_builds_nothing(
    demo_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = [CONFIG, '--data-root', demo_data, '--work-dir', tmp_path / 'run', '--check-only']
    found = call(capfd, 'train', *options)
    assert (found.code, found.out) == (0, f'{CONFIG}: no problem found\n')
    wrong = call(capfd, 'train', *options, '--features', 'affectnet', 'vgish')
    assert wrong.code == 2
    assert "no feature 'vgish'" in wrong.err
    assert 'vggish' in wrong.err
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('wrong', ["targets=['arousal','valence']", 'heads=3', "features=['egemaps']"])
def test_a_start_that_fails_leaves_nothing_behind(
    demo_data: Path, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], wrong: str
) -> None:
    options = [CONFIG, '--data-root', demo_data]
    tiny = ['--cfg-options', *TINY_TRANSFORMER, wrong]
    if wrong.startswith('features'):
        run = shutil.copytree(trained, tmp_path / 'run')
        options.append('--resume')
    else:
        run = tmp_path / 'run'
    before = sorted(run.rglob('*'))
    assert call(capfd, 'train', *options, '--work-dir', run, *tiny).code == 2
    assert sorted(run.rglob('*')) == before
    assert run.exists() == bool(before)


def test_missing_data_root(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = call(capfd, 'train', CONFIG, '--data-root', tmp_path / 'nowhere', '--work-dir', tmp_path / 'run')
    assert found.code == 2
    assert str(tmp_path / 'nowhere') in found.err
    assert not (tmp_path / 'run').exists()


def test_one_target(demo_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / 'run'
    found = call(
        capfd,
        'train',
        *(STATEFUL, '--data-root', demo_data, '--work-dir', run),
        *('--cfg-options', *TINY, "targets=['arousal']"),
    )
    assert found.code == 0, found.err
    best = json.loads((run / 'summary.json').read_text())['best']
    assert set(best) == {'ccc', 'ccc_arousal'}
    found = call(capfd, 'test', run)
    assert found.code == 0, found.err
    assert 'valence' not in found.out
    found = call(capfd, 'test', run, '--target', 'valence')
    assert (found.code, found.err) == (2, 'error: --target valence: the model estimates arousal only\n')


# --- data that cannot be trained on


def refused(capfd: pytest.CaptureFixture[str], data: Path, *more: str, config: Path = CONFIG) -> str:
    """Train on spoilt data; what is said, which must be one message without a traceback."""
    options = [
        '--data-root',
        data,
        '--work-dir',
        data.parent / 'run',
        '--cfg-options',
        *TINY_TRANSFORMER,
        *more,
    ]
    found = call(capfd, 'train', config, *options)
    assert found.code == 2, found
    assert 'Traceback' not in found.err
    assert 'worker process' not in found.err
    message = found.err[found.err.index('error: ') :]
    return message.removeprefix('error: ')


def change(root: Path, name: str, path: str, index: object, value: object) -> None:
    with h5py.File(root / name, 'r+') as file:
        file[path][index] = value


def first_video(root: Path, partition: str = 'train') -> str:
    with h5py.File(root / f'targets/{partition}_valid_targets.h5') as file:
        return next(iter(file))


@pytest.mark.parametrize('workers', [0, 2])
def test_features_that_are_no_numbers(spoilt: Path, capfd: pytest.CaptureFixture[str], workers: int) -> None:
    video = first_video(spoilt, 'val')  # of val: statistics are taken over train only
    change(spoilt, 'features/val_egemaps.h5', f'{video}/fts', slice(3, 5), np.nan)
    # so that validation comes first to what is wrong
    policy = 'Stream' if workers else 'Auto'
    loading = f'val_dataloader.loading.type={policy}'
    message = refused(capfd, spoilt, f'val_dataloader.num_workers={workers}', loading)
    for part in ('egemaps', video, 'frame 3', '2 '):
        assert part in message


def test_resident_data_that_are_larger_than_memory(
    spoilt: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('abawfw.datasets.loading.resident.free_memory', lambda device: 10_000)
    message = refused(capfd, spoilt, 'train_dataloader.loading.type=Resident')
    assert message.startswith('the data take ')
    assert "the limit is 0.0 MB, 100% of what is free: set loading=dict(type='Auto'), or 'Stream'" in message
    assert not (spoilt.parent / 'run/config.py').exists()


def test_statistics_of_features_that_are_no_numbers(spoilt: Path, capfd: pytest.CaptureFixture[str]) -> None:
    video = first_video(spoilt)
    change(spoilt, 'features/train_egemaps.h5', f'{video}/fts', 7, np.inf)
    message = refused(capfd, spoilt)
    for part in ('egemaps', video, 'frame 7'):
        assert part in message


def test_label_out_of_range(spoilt: Path, capfd: pytest.CaptureFixture[str]) -> None:
    video = first_video(spoilt)
    change(spoilt, 'targets/train_valid_targets.h5', f'{video}/valence', 9, 1.5)
    message = refused(capfd, spoilt)
    for part in (video, '9', '1.5'):
        assert part in message


def test_length_mismatch(spoilt: Path, capfd: pytest.CaptureFixture[str]) -> None:
    video = first_video(spoilt)
    with h5py.File(spoilt / 'features/train_egemaps.h5', 'r+') as file:
        values = file[f'{video}/fts'][:]
        del file[f'{video}/fts']
        file[f'{video}/fts'] = values[:-3]
    message = refused(capfd, spoilt)
    for part in ('egemaps', video, str(len(values)), str(len(values) - 3)):
        assert part in message


def test_missing_feature(spoilt: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for path in (spoilt / 'features').glob('*vggish*'):
        path.unlink()
    message = refused(capfd, spoilt)
    assert "no feature 'vggish'" in message
    assert not (spoilt.parent / 'run').exists()


def test_duplicate_video(spoilt: Path, capfd: pytest.CaptureFixture[str]) -> None:
    video = first_video(spoilt)
    for kind in (
        'targets/{}_valid_targets',
        'features/{}_egemaps',
        'features/{}_affectnet',
        'features/{}_vggish',
    ):
        source, target = (spoilt / f'{kind.format(p)}.h5' for p in ('train', 'val'))
        with h5py.File(source) as a, h5py.File(target, 'r+') as b:
            a.copy(a[video], b, video)
    message = refused(capfd, spoilt)
    for part in (video, 'train', 'val'):
        assert part in message


@pytest.mark.parametrize('name', ['targets/train_valid_targets.h5', 'features/train_egemaps.h5'])
def test_truncated_hdf5(spoilt: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    content = (spoilt / name).read_bytes()
    (spoilt / name).write_bytes(content[: len(content) // 2])
    message = refused(capfd, spoilt)
    assert name in message
    assert message.endswith(f'; python tools/check_data.py {spoilt} lists everything\n')
    assert message.count('check_data') == 1


def test_short_and_constant_videos(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A video of one frame trains; constant labels score 0, not NaN."""
    rng = np.random.default_rng(0)
    with RUCAIM3Writer(tmp_path / 'data', {'f': (3,)}) as writer:
        for name, partition, frames in [
            ('a', 'train', 90),
            ('b', 'train', 1),
            ('c', 'val', 50),
            ('d', 'val', 1),
        ]:
            labels = rng.uniform(-1, 1, (frames, 2)) if partition == 'train' else np.full((frames, 2), 0.25)
            writer.add(name, partition, {'f': rng.normal(size=(frames, 3))}, labels)
    for config, tiny in ((CONFIG, TINY_TRANSFORMER), (STATEFUL, TINY)):
        run = tmp_path / config.stem
        options = ['--data-root', tmp_path / 'data', '--features', 'f', '--work-dir', run]
        found = call(capfd, 'train', config, *options, '--cfg-options', *tiny)
        assert found.code == 0, found.err
        best = json.loads((run / 'summary.json').read_text())['best']
        assert {b['score'] for b in best.values()} == {0.0}
        found = call(capfd, 'test', run)
        assert found.code == 0, found.err
        assert 'labels or predictions are constant: CCC and PCC are 0 by definition' in found.out
        assert 'nan' not in found.out.lower()


@pytest.mark.slow
def test_an_error_in_a_process_of_its_own(tmp_path: Path) -> None:
    found = call_apart('train', CONFIG, '--data-root', tmp_path / 'nowhere', folder=tmp_path)
    assert found.code == 2
    assert found.err.startswith('error: ')
    assert 'Traceback' not in found.err


def test_a_damaged_feature_that_is_not_asked_for_is_no_matter(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / 'data'
    make_demo_data(data, videos=(2, 2, 0), scale=0.03)
    spoilt = data / 'features/train_vggish.h5'
    spoilt.write_bytes(spoilt.read_bytes()[:1000])
    options = [CONFIG, '--data-root', data, '--check-only', '--features', 'affectnet']
    assert call(capfd, 'train', *options).code == 0
    both = call(capfd, 'train', *options, 'affectnet')
    assert both.code == 2
    assert "'affectnet' is named twice" in both.err


def test_a_run_goes_on_where_its_own_config_lies(trained: Path, tmp_path: Path) -> None:
    from abawfw.apis.train import default_work_dir

    assert default_work_dir(trained / 'config.py') == trained
    assert default_work_dir(tmp_path / 'config.py') == Path('work_dirs/config')
