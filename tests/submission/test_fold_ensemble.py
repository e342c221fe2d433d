"""Runs that are folds of a cross-validation, or estimate one target each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from test_ensemble import Curves, command, curves, noisy

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import ccc, ccc_centring
from abawfw.results.predictions import write_predictions
from abawfw.results.run import CROSS_VALIDATION
from abawfw.results.trial_files import write_trial_files
from abawfw.series.runs import mean_and_std
from abawfw.submission.ensemble import Ensemble
from abawfw.text_files import csv_text

LABELS = curves(0)
TEST = curves(50, (7, 5))
FOLDS = {0: ('v0', 'v1'), 1: ('v2', 'v3'), 2: ('v4', 'v5')}


def make_fold(
    folder: Path, fold: int, seed: int = 0, targets: tuple[str, ...] = ('valence', 'arousal')
) -> tuple[Curves, Curves]:
    """A run that validates on the videos of its fold; returns its predictions of val and test."""
    labels = {v: LABELS[v] for v in FOLDS[fold]}
    val, test = noisy(labels, 10 * fold + seed, 0.3), noisy(TEST, 100 + 10 * fold + seed, 0.2)
    for target in targets:
        write_predictions(folder / 'predictions', 'val', target, val, labels, 0)
        write_predictions(folder / 'predictions', 'tst', target, test, None, 0)
    return val, test


def test_folder_of_folds(tmp_path: Path) -> None:
    made = {k: make_fold(tmp_path / f'cv/fold{k}', k) for k in (2, 0, 1)}
    found = Ensemble([tmp_path / 'cv']).targets['valence']
    assert [path.name for path in found.runs] == ['fold0', 'fold1', 'fold2']
    assert found.folds == 3
    for k, run in enumerate(found.contributions):
        true, pred = (np.concatenate([c[v] for v in FOLDS[k]]) for c in (LABELS, made[k][0]))
        assert run.ccc == pytest.approx(ccc(true, pred), rel=1e-9)
    everything = {v: p for val, _ in made.values() for v, p in val.items()}
    expected = ccc(*(np.concatenate([c[v] for v in LABELS]) for c in (LABELS, everything)))
    assert found.val is not None
    assert found.val.ccc == pytest.approx(expected, rel=1e-9)
    assert found.val.n == sum(map(len, LABELS.values()))
    assert found.preds is not None
    for video, pred in found.preds.items():
        np.testing.assert_allclose(pred, np.mean([t[video] for _, t in made.values()], axis=0), atol=1e-12)


def test_seeds_of_a_fold_are_averaged_before_they_are_measured(tmp_path: Path) -> None:
    made = {(k, s): make_fold(tmp_path / f'fold{k}_seed{s}', k, s)[0] for k in FOLDS for s in (0, 1)}
    found = Ensemble([tmp_path], ['arousal']).targets['arousal']
    assert (len(found.runs), found.folds) == (6, 3)
    pred = {v: (made[k, 0][v] + made[k, 1][v]) / 2 for k, videos in FOLDS.items() for v in videos}
    expected = ccc(*(np.concatenate([c[v] for v in LABELS]) for c in (LABELS, pred)))
    assert found.val is not None
    assert found.val.ccc == pytest.approx(expected, rel=1e-9)


def test_centred(tmp_path: Path) -> None:
    made = [make_fold(tmp_path / f'fold{k}', k) for k in FOLDS]
    found = Ensemble([tmp_path], ['valence'], weights='centred').targets['valence']
    assert found.preds is not None
    for video, pred in found.preds.items():
        expected = ccc_centring([test[video] for _, test in made]).centred.mean(axis=0)
        np.testing.assert_allclose(pred, expected, atol=1e-12)
    assert found.cross_validated_ccc is None
    for rule in ('ccc', 'fit'):
        with pytest.raises(ConfigError, match=r'3 runs of valence have 3 sets of them: use mean or centred'):
            Ensemble([tmp_path], ['valence'], weights=rule)


def test_centred_on_a_common_val(tmp_path: Path) -> None:
    preds = [noisy(LABELS, seed, 0.3) for seed in (1, 2)]
    preds[1] = {v: np.clip(p + 0.2, -1, 1) for v, p in preds[1].items()}
    for name, pred in zip('ab', preds, strict=True):
        write_predictions(tmp_path / name / 'predictions', 'val', 'valence', pred, LABELS, 0)
    found = Ensemble([tmp_path], ['valence'], weights='centred').targets['valence']
    together = {v: ccc_centring([p[v] for p in preds]).centred.mean(axis=0) for v in LABELS}
    expected = ccc(*(np.concatenate([c[v] for v in LABELS]) for c in (LABELS, together)))
    assert found.val is not None
    assert found.val.ccc == pytest.approx(expected, rel=1e-9)
    assert found.folds == 1


def test_folds_that_share_a_video_are_no_folds(tmp_path: Path) -> None:
    for k, videos in enumerate((('v0', 'v1'), ('v1', 'v2'))):
        labels = {v: LABELS[v] for v in videos}
        write_predictions(tmp_path / f'fold{k}/predictions', 'val', 'valence', labels, labels, 0)
    with pytest.raises(DataError, match=r'only .*fold0 has the videos v0\n.*only .*fold1 has the videos v2'):
        Ensemble([tmp_path], ['valence'])


def test_targets_from_different_runs(tmp_path: Path) -> None:
    for k in FOLDS:
        make_fold(tmp_path / f'valence_cv/fold{k}', k, 0, ('valence',))
        make_fold(tmp_path / f'arousal_cv/fold{k}', k, 1, ('arousal',))
    done = command(tmp_path / 'valence_cv', tmp_path / 'arousal_cv', '--out', tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('val of 3 folds, clipped predictions, 900 frames') == 2
    assert done.stdout.count('  out of fold') == 4
    for target in ('valence', 'arousal'):
        assert sum(f'{target}_cv/fold' in line for line in done.stdout.splitlines()) == 3
    assert '24 rows in 4 files' in done.stdout


def test_a_run_that_should_have_a_target_is_not_left_out(tmp_path: Path) -> None:
    make_fold(tmp_path / 'fold0', 0)
    make_fold(tmp_path / 'fold1', 1, 0, ('valence',))
    assert len(Ensemble([tmp_path], ['arousal']).targets['arousal'].runs) == 1
    best = {'best': {'ccc_valence': {}, 'ccc_arousal': {}}}
    (tmp_path / 'fold1/summary.json').write_text(json.dumps(best))
    with pytest.raises(DataError, match=r'fold1/predictions/val_pred_arousal_nosmooth.json is missing'):
        Ensemble([tmp_path], ['arousal'])


def test_a_fold_that_was_never_tested_is_missed(tmp_path: Path) -> None:
    make_fold(tmp_path / 'fold0', 0)
    (tmp_path / 'fold1').mkdir()
    (tmp_path / 'fold1/output.log').write_text('killed')
    with pytest.raises(DataError, match=r'fold1/.*is missing'):
        Ensemble([tmp_path], ['valence'])


@pytest.mark.parametrize('seeds', [(), (0, 1)])
def test_a_fold_whose_folder_is_gone_is_missed(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    names = [f'fold{k}_seed{s}' for s in seeds for k in FOLDS] or [f'fold{k}' for k in FOLDS]
    for name in names:
        make_fold(tmp_path / name, int(name[4]))
    rows = [{'run': name, 'ccc': 0.5} for name in names]
    (tmp_path / CROSS_VALIDATION).write_text(csv_text([*rows, *mean_and_std(rows, ['ccc'])]))
    assert len(Ensemble([tmp_path], ['valence']).targets['valence'].runs) == len(names)
    gone = [name for name in names if name.startswith('fold1')]
    for name in gone:
        shutil.rmtree(tmp_path / name)
    count = '1 run' if len(gone) == 1 else f'{len(gone)} runs'
    message = (
        rf'{CROSS_VALIDATION} names what is not there \({count}\): {", ".join(gone)}\. .*--out {tmp_path}'
    )
    with pytest.raises(DataError, match=message):
        Ensemble([tmp_path], ['valence'])
    left = [tmp_path / name for name in names if name not in gone]
    assert len(Ensemble(left, ['valence']).targets['valence'].runs) == len(left)


def test_the_table_of_an_older_version_and_a_damaged_one(tmp_path: Path) -> None:
    for fold in FOLDS:
        make_fold(tmp_path / f'fold{fold}', fold)
    table = tmp_path / CROSS_VALIDATION
    table.write_text('run,ccc\nfold0,0.5\nfold1,0.5\nfold2,0.5\nmean,0.5\ndeviation,0.0\n')
    assert len(Ensemble([tmp_path], ['valence']).targets['valence'].runs) == len(FOLDS)
    table.write_bytes(b'run,ccc\nfold\xff,0.5\n')
    with pytest.raises(DataError, match=rf'{CROSS_VALIDATION} is damaged: .*cross_validate\.py CONFIG --out'):
        Ensemble([tmp_path], ['valence'])


@pytest.mark.parametrize(
    ('paths', 'named'),
    [
        (['cv/fold0', 'cv/fold0'], 'cv/fold0 is named twice: '),
        (['cv/fold1', 'link'], 'link is named twice, also as cv/fold1: '),
        (['link', 'cv'], 'cv/fold1 is named twice, also as link: '),
        (['cv', 'cv/../cv/fold2'], r'cv/\.\./cv/fold2 is named twice, also as cv/fold2: '),
    ],
)
def test_a_run_that_is_named_twice_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paths: list[str], named: str
) -> None:
    for k in FOLDS:
        make_fold(tmp_path / f'cv/fold{k}', k)
    (tmp_path / 'link').symlink_to(tmp_path / 'cv/fold1')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f'^{named}it would count twice; name every run once'):
        Ensemble(paths, ['valence'])


def test_text_files_count_as_a_run_without_val(tmp_path: Path) -> None:
    _, test = make_fold(tmp_path / 'fold0', 0)
    other = noisy(TEST, 7, 0.1)
    for target in ('valence', 'arousal'):
        write_trial_files(tmp_path / 'text', 'test', target, other)
    runs = [tmp_path / 'fold0', tmp_path / 'text']
    found = Ensemble(runs).targets['arousal']
    assert found.val is None
    assert found.contributions[0].ccc is not None
    assert found.contributions[1].ccc is None
    assert found.preds is not None
    np.testing.assert_allclose(found.preds['v0'], (test['v0'] + other['v0']) / 2, atol=1e-12)
    done = command(*runs, '--out', tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    assert 'cannot be measured: a run has none' in done.stdout
    with pytest.raises(DataError, match='no smoothed predictions'):
        Ensemble(runs, smoothed=True)
    with pytest.raises(ConfigError, match='use mean or centred'):
        Ensemble(runs, weights='fit')
