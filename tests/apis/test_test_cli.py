"""tools/test.py: what it takes, writes, prints and refuses."""

from __future__ import annotations

import importlib
import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from command_line import call, call_apart
from killed import dead_process
from networks import load_model

from abawfw.apis.build import build_loader
from abawfw.apis.trained_run import predict_together
from abawfw.config.loading import load_config, resolve
from abawfw.datasets.stores import open_store
from abawfw.evaluation.functional import ccc
from abawfw.files import HOST
from abawfw.prediction_files import read_predictions


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained run, to be spoilt."""
    return shutil.copytree(trained, tmp_path / 'run')


def best_of(run: Path, target: str) -> Path:
    return run / json.loads((run / 'summary.json').read_text())['best'][f'ccc_{target}']['file']


def test_files_and_table(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = call(capfd, 'test', run)
    assert found.code == 0, found.err
    assert found.err == ''
    lines = found.out.splitlines()
    assert f'valence: {best_of(run, "valence")}' in lines
    assert f'arousal: {best_of(run, "arousal")}' in lines
    rows = [line.split()[:2] for line in lines if line.startswith(('valence  ', 'arousal  '))]
    stages = ['raw', 'clipped', 'smoothed']
    assert rows == [[t, s] for t in ('valence', 'arousal') for s in stages]
    files = {p.name for p in (run / 'predictions').iterdir()}
    assert lines[-1] == f'{len(files)} files written to {run}/predictions'
    assert 'report.json' in files

    # the table's raw CCC, computed apart
    cfg = resolve(load_config(run / 'config.py'))
    loader = build_loader(cfg, 'val_dataloader')
    report = json.loads((run / 'predictions/report.json').read_text())
    best = json.loads((run / 'summary.json').read_text())['best']
    for column, target in enumerate(('valence', 'arousal')):
        model = load_model(cfg, best_of(run, target), loader.dataset.input_dims)
        with torch.autocast('cpu', torch.bfloat16):  # as it is trained and validated
            videos = predict_together([model], loader)[0]
        true = np.concatenate([v.label[:, column] for v in videos.values()])
        pred = np.concatenate([v.pred[:, column] for v in videos.values()])
        known = np.isfinite(true)
        (row,) = [r for r in report['rows']['val'] if (r['target'], r['stage']) == (target, 'raw')]
        assert row['ccc'] == pytest.approx(ccc(true[known], pred[known]), abs=1e-9)
        assert row['ccc'] == pytest.approx(best[f'ccc_{target}']['score'], abs=1e-6)
        assert (row['frames'], row['videos']) == (known.sum(), 2)


def test_what_a_killed_test_left_is_removed(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    left = [f'.{name}.{dead_process()}@{HOST}.tmp' for name in ('tst_pred_valence.json', 'report.json')]
    living = f'.val_faces.json.{os.getppid()}@{HOST}.tmp'
    (run / 'predictions').mkdir()
    for name in (*left, living):
        (run / 'predictions' / name).write_text('half')
    assert call(capfd, 'test', run, '--partition', 'val').code == 0
    assert [p.name for p in (run / 'predictions').glob('.*')] == [living]


def test_lower_bounds_are_those_of_the_training_videos(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(capfd, 'test', run).code == 0
    root = Path(load_config(run / 'config.py').data_root)
    labels = {}
    for partition in ('train', 'val'):
        with h5py.File(root / f'targets/{partition}_valid_targets.h5') as file:
            for target in ('valence', 'arousal'):
                columns = [group[target][()].astype(np.float64) for group in file.values()]
                labels[partition, target] = [np.where(x == -5, np.nan, x) for x in columns]
    report = json.loads((run / 'predictions/report.json').read_text())
    for target in ('valence', 'arousal'):
        train, val = labels['train', target], labels['val', target]
        longest = max(map(len, train))
        course = np.nanmean([np.pad(x, (0, longest - len(x)), constant_values=np.nan) for x in train], axis=0)
        course = np.where(np.isnan(course), np.nanmean(np.concatenate(train)), course)
        beyond = np.full(max(map(len, val)), np.nanmean(np.concatenate(train)))
        preds = [np.concatenate([course[: len(x)], beyond])[: len(x)] for x in val]
        expected = ccc(np.concatenate(val), np.concatenate(preds))
        assert report['lower_bounds'][target] == {'constant': 0.0, 'course': pytest.approx(expected)}
    # another partition that is tested later leaves them
    assert call(capfd, 'test', run, '--partition', 'test').code == 0
    assert json.loads((run / 'predictions/report.json').read_text())['lower_bounds'] == report['lower_bounds']


def test_groups_go_with_the_predictions(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = shutil.copytree(load_config(run / 'config.py').data_root, tmp_path / 'data')
    with h5py.File(root / 'targets/train_valid_targets.h5') as train:
        names = list(train)
    with h5py.File(root / 'targets/val_valid_targets.h5') as val:
        of_val = list(val)
    rows = [*(f'{name},{name}' for name in names), *(f'{name},anna' for name in of_val)]
    (root / 'groups.csv').write_text('\n'.join(['video,group', *rows]))
    found = call(capfd, 'test', run, '--data-root', root)
    assert 'intervals: bootstrap over 1 group (2 videos), which count as 1.0 of equal length' in found.out
    assert 'no interval: 1 labelled group: an interval needs 5 or more' in found.out
    path = run / 'predictions/val_groups.csv'
    assert path.read_text().splitlines() == ['video,group', *(f'{name},anna' for name in of_val)]
    report = json.loads((run / 'predictions/report.json').read_text())
    assert report['rows']['val'][0]['unit'] == '1 group (2 videos)'
    # without groups, what an earlier test left goes
    found = call(capfd, 'test', run)
    assert 'bootstrap over 2 videos, no groups known' in found.out
    assert not path.exists()


def test_choices(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / 'out'
    options = ['--partition', 'val', '--target', 'arousal', '--window', 'arousal=3', '--out', out]
    found = call(capfd, 'test', run, *options)
    assert found.code == 0, found.err
    report = json.loads((out / 'report.json').read_text())
    assert report['postprocess'] == {'val': {'arousal': ['MeanSmoothing(window=3)']}}
    assert not [p for p in out.iterdir() if 'valence' in p.name or 'tst' in p.name]
    assert not (run / 'predictions').exists()


@pytest.mark.slow
def test_config_and_checkpoint(run: Path, tmp_path: Path) -> None:
    """The other form, in a process of its own: same model, same predictions."""
    found = call_apart('test', run / 'config.py', best_of(run, 'valence'), '--out', tmp_path / 'one')
    assert found.code == 0, found.err
    assert found.err == ''
    report = json.loads((tmp_path / 'one/report.json').read_text())
    assert {r['target'] for r in report['rows']['val']} == {'valence', 'arousal'}
    again = call_apart('test', run, '--target', 'valence', '--out', tmp_path / 'two')
    assert again.code == 0, again.err
    for path in (tmp_path / 'two').iterdir():
        if path.name != 'report.json':
            assert path.read_bytes() == (tmp_path / 'one' / path.name).read_bytes()


def test_no_labels_no_row(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = call(capfd, 'test', run, '--partition', 'test')
    assert found.code == 0, found.err
    assert 'CCC' not in found.out
    assert list((run / 'predictions').glob('*tst*'))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--window', 'valence=x'], '--window valence=x: give valence=FRAMES arousal=FRAMES'),
        (['--window', 'mood=3'], '--window mood=3'),
        (['--window', 'search'], '--window search'),
        (['--cfg-options', 'features=["affectnet","egemaps"]'], 'trained with input_dims'),
        (['--cfg-options', 'features=["affectnet"]'], 'trained with input_dims'),
        (['--cfg-options', 'targets=["valence"]'], 'trained with targets'),
        (['--cfg-options', 'hidden=24'], 'belongs to another architecture'),
        (['--data-root', 'nowhere'], 'nowhere'),
        (
            ['--window', 'valence=10000000000', 'arousal=10000000001'],
            'windows.valence: must be ',
        ),
    ],
)
def test_refused(run: Path, capfd: pytest.CaptureFixture[str], options: list[str], message: str) -> None:
    found = call(capfd, 'test', run, *options)
    assert found.code == 2, found
    assert found.err.startswith('error: ')
    assert message in found.err
    assert 'Traceback' not in found.err


def test_what_is_no_run(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'empty').mkdir()
    for arguments, message in (
        ([tmp_path / 'empty'], 'no such config file'),
        ([run / 'config.py'], 'give either the work_dirs of runs, or a config file and a checkpoint'),
        ([run, best_of(run, 'valence')], 'give either'),
        ([run / 'config.py', tmp_path / 'no.pth'], 'no such checkpoint'),
    ):
        found = call(capfd, 'test', *arguments)
        assert found.code == 2
        assert message in found.err


def test_bad_checkpoints(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = best_of(run, 'valence')
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert 'damaged or half-written' in call(capfd, 'test', run).err
    torch.save({'state_dict': Path('x')}, path)
    assert 'refused' in call(capfd, 'test', run).err
    path.unlink()
    found = call(capfd, 'test', run)
    assert found.code == 2
    assert 'no best_ccc_valence_epoch_*.pth; train the run first' in found.err


def test_two_best_after_a_kill(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Killed between writing the better and removing the old: the better counts."""
    newer = run / 'best_ccc_valence_epoch_12.pth'
    shutil.copy(best_of(run, 'valence'), newer)
    assert f'valence: {newer}' in call(capfd, 'test', run).out


def test_new_videos_are_normalised_as_the_training_videos_were(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A store of test videos alone gives the predictions that the whole store gives for them."""
    cfg = resolve(load_config(run / 'config.py'))
    assert any(t['type'] == 'Normalize' for t in cfg.pipeline)
    alone = tmp_path / 'alone'
    shutil.copytree(cfg.data_root, alone)
    for path in [*alone.rglob('train_*'), *alone.rglob('val_*')]:
        path.unlink()
    shutil.rmtree(alone / 'features/mean_std_on_trn')
    assert call(capfd, 'test', run).code == 0
    found = call(capfd, 'test', run, '--data-root', alone, '--partition', 'test', '--out', tmp_path / 'out')
    assert found.code == 0, found.err
    for name in ('tst_pred_valence_nosmooth.json', 'tst_pred_arousal_smooth.json'):
        assert (tmp_path / 'out' / name).read_text() == (run / 'predictions' / name).read_text()


def test_only_partitions_with_prediction_files(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(capfd, 'test', run, '--partition', 'all').code == 2
    twice = call(capfd, 'test', run, '--partition', 'val', 'val')
    assert sum(line.startswith('valence  raw') for line in twice.out.splitlines()) == 1


def test_what_the_run_has_learned_from(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Predictions of train, for a student, beside those of val."""
    found = call(capfd, 'test', run, '--partition', 'train', '--out', tmp_path)
    assert found.code == 0, found.err
    assert 'note: train: the run has learned from these labels' in found.out
    cfg = resolve(load_config(run / 'config.py'))
    store = open_store(cfg.data_root)
    videos = [v for v in store.videos() if v.partition == 'train']
    for column, target in enumerate(('valence', 'arousal')):
        stages = [read_predictions(tmp_path, 'train', target, raw=raw) for raw in (False, True)]
        for video in videos:
            pred, raw = (of.preds[video.video_id] for of in stages)
            np.testing.assert_array_equal(pred, raw.clip(-1, 1))
            labels = store.labels(video.video_id, 0, video.num_frames)[:, column]
            np.testing.assert_allclose(stages[0].labels[video.video_id], labels)
    assert list(stages[0].preds) == [v.video_id for v in videos]
    report = json.loads((tmp_path / 'report.json').read_text())
    assert list(report['rows']) == list(report['made_with']) == ['train']


def test_val_without_labels_names_the_way_out(
    run: Path, demo_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(demo_data, tmp_path / 'data')
    with h5py.File(data / 'targets/val_valid_targets.h5', 'a') as file:
        for video in file.values():
            video['arousal'][...] = -5
    for options in ([], ['--search']):
        found = call(capfd, 'test', run, '--data-root', data, *options)
        assert found.code == 2
        assert found.err == (
            f'error: {data}: no frame of val has a label of valence and arousal; test what has labels with '
            '--target, or the videos without labels with --partition test\n'
        )
    assert not list((run / 'predictions').glob('*'))
    assert call(capfd, 'test', run, '--data-root', data, '--partition', 'test').code == 0


def test_a_run_that_is_not_there_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = call(capfd, 'test', tmp_path / 'typo')
    assert (found.code, found.err) == (2, f'error: {tmp_path / "typo"}: no such run or config file\n')


def test_an_interrupted_test_is_told_and_mended_by_another(
    run: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(capfd, 'test', run).code == 0
    before = {p.name: p.read_bytes() for p in (run / 'predictions').iterdir()}
    from abawfw.results import predictions as prediction_files

    write = prediction_files.write_text

    def killed(path: Path, text: str) -> None:
        if path.name == 'val_pred_valence_smooth.json':
            raise KeyboardInterrupt
        write(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(prediction_files, 'write_text', killed)
        stopped = call(capfd, 'test', run, '--target', 'valence', '--window', 'valence=3')
    assert (stopped.code, stopped.err) == (
        130,
        f'interrupted while writing {run}/predictions: it is marked as incomplete, and the same command '
        'writes it anew\n',
    )
    # the smoothed predictions are still those of the test before, and not taken for those of this one
    found = call(capfd, 'report', run)
    assert found.code == 2
    assert 'a test was interrupted while it wrote valence of val' in found.err
    assert read_predictions(run / 'predictions', 'val', 'arousal').preds
    # a test of something else does not mend it, one of the same does
    assert call(capfd, 'test', run, '--target', 'arousal').code == 0
    assert call(capfd, 'report', run).code == 2
    assert call(capfd, 'test', run).code == 0
    assert {p.name: p.read_bytes() for p in (run / 'predictions').iterdir()} == before
    assert call(capfd, 'report', run).code == 0


def test_several_runs(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each as by itself, one table of all, and what failed at the end."""
    other = shutil.copytree(run, tmp_path / 'other')
    broken = shutil.copytree(run, tmp_path / 'broken')
    best_of(broken, 'arousal').unlink()
    found = call(capfd, 'test', run, broken, other, '--partition', 'val')
    assert found.code == 1
    title, reason = found.err.splitlines()
    assert title == '1 run failed:'
    assert reason.startswith(f'  {broken}: {broken}: no best_ccc_arousal_epoch_*.pth')
    assert f'{broken}:\nfailed, see the end' in found.out
    header, _, *rows = (line.split() for line in found.out.splitlines()[-4:])
    scores = [word for s in ('raw', 'smoothed') for t in ('valence', 'arousal') for word in (f'ccc_{t}', s)]
    assert header == ['run', 'partition', *scores]
    assert [row[:2] for row in rows] == [[str(run), 'val'], [str(other), 'val']]
    report = json.loads((run / 'predictions/report.json').read_text())
    ccc = {(r['target'], r['stage']): r['ccc'] for r in report['rows']['val']}
    for row in rows:
        stages = [(t, s) for s in ('raw', 'smoothed') for t in ('valence', 'arousal')]
        assert row[2:] == [f'{ccc[stage]:.4f}' for stage in stages]
    assert not (broken / 'predictions').exists()
    names = {path.name for path in (run / 'predictions').iterdir()}
    assert {path.name for path in (other / 'predictions').iterdir()} == names


def test_several_runs_refused(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    other = shutil.copytree(run, tmp_path / 'other')
    for arguments, message in (
        ([run, other, '--out', tmp_path / 'out'], '2 runs would replace the files of one another'),
        ([run, other, run], f'{run}: given twice'),
        ([run, tmp_path / 'typo'], f'{tmp_path}/typo: no such run or config file'),
        ([run, other, best_of(run, 'valence')], 'is no run; give either the work_dirs of runs, or a config'),
    ):
        found = call(capfd, 'test', *arguments)
        assert found.code == 2
        assert message in found.err
    assert not (run / 'predictions').exists()


def test_several_runs_interrupted(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [shutil.copytree(run, tmp_path / name) for name in ('b', 'c')]

    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module('abawfw.apis.test'), 'test', stop)
    found = call(capfd, 'test', run, *others)
    assert (found.code, found.err) == (
        130,
        f'interrupted while {run} was tested; to go on: python tools/test.py {run} {others[0]} {others[1]}\n',
    )
