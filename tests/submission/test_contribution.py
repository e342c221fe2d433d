"""What each run adds to an ensemble."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_ensemble import ROOT, Curves, command, curves, make_run, noisy

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import ccc, ccc_centring
from abawfw.results.predictions import write_predictions
from abawfw.submission.contribution import Contribution, contributions
from abawfw.submission.ensemble import Ensemble
from abawfw.submission.weights import FITTED, RULES

LABELS = curves(0)
LABELS['v0'][:50] = np.nan
FULL = curves(0)
PREDS = {
    name: noisy(FULL, seed, noise, scale)
    for name, seed, noise, scale in (
        ('c', 1, 0.3, 0.8),
        ('a', 2, 0.6, 1),
        ('d', 3, 0.2, -0.5),
        ('b', 4, 0.4, 0.6),
    )
}


def joined(curves_: Curves) -> np.ndarray:
    return np.concatenate([curves_[v] for v in LABELS])


@pytest.mark.parametrize('rule', RULES)
def test_the_same_as_an_ensemble_without_the_run(tmp_path: Path, rule: str) -> None:
    runs = {name: make_run(tmp_path / name, pred, LABELS) for name, pred in PREDS.items()}

    def told(names: list[str]) -> float | None:
        found = Ensemble([runs[n] for n in names], ['valence'], weights=rule).targets['valence']
        assert found.val is not None
        return found.cross_validated_ccc if rule in FITTED else found.val.ccc

    found = Ensemble(list(runs.values()), ['valence'], weights=rule).targets['valence']
    pure = contributions(rule, LABELS, PREDS)
    assert [row.run for row in pure] == ['c', 'a', 'd', 'b']
    assert [Path(row.run).name for row in found.contributions] == ['c', 'a', 'd', 'b']
    for row, of_files in zip(pure, found.contributions, strict=True):
        together, without = told(list(PREDS)), told([n for n in PREDS if n != row.run])
        assert together is not None
        assert without is not None
        for one in (row, of_files):
            assert one.ccc == pytest.approx(ccc(joined(LABELS), joined(PREDS[row.run])), rel=1e-9)
            assert one.together == pytest.approx(together, abs=1e-9)
            assert one.without == pytest.approx(without, abs=1e-7)
            assert one.adds == pytest.approx(together - without, abs=1e-7)
        assert row.weight == pytest.approx(of_files.weight)
    assert sum(row.weight for row in pure) == pytest.approx(1)


def test_of_equal_weights_frame_by_frame() -> None:
    label = joined(LABELS)
    everyone = ccc(label, np.mean([joined(p) for p in PREDS.values()], axis=0))
    for row in contributions('mean', LABELS, PREDS):
        others = ccc(label, np.mean([joined(p) for n, p in PREDS.items() if n != row.run], axis=0))
        assert row.together == pytest.approx(everyone, rel=1e-9)
        assert row.without == pytest.approx(others, rel=1e-9)
        assert row.adds == pytest.approx(everyone - others, abs=1e-9)
    harm = {row.run: row.adds for row in contributions('mean', LABELS, PREDS)}
    assert harm['d'] < 0 < harm['c']


def test_correlation_of_errors() -> None:
    labelled = ~np.isnan(joined(LABELS))
    errors = np.stack([(joined(p) - joined(LABELS))[labelled] for p in PREDS.values()])
    expected = (np.corrcoef(errors).sum(axis=1) - 1) / 3
    found = [row.error_correlation for row in contributions('greedy', LABELS, PREDS)]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_an_error_that_never_varies_is_related_to_none() -> None:
    preds = {'exact': FULL, 'above': {v: y + 0.1 for v, y in FULL.items()}, 'noisy': PREDS['a']}
    assert [row.error_correlation for row in contributions('mean', LABELS, preds)] == [0, 0, 0]


@pytest.mark.parametrize('rule', ['mean', 'fit', 'greedy'])
def test_a_copy_adds_nothing(rule: str) -> None:
    rows = contributions(rule, LABELS, {'first': PREDS['c'], 'copy': PREDS['c']})
    assert [row.adds for row in rows] == pytest.approx([0, 0], abs=1e-9)
    assert [row.error_correlation for row in rows] == pytest.approx([1, 1])


def test_runs_that_know_nothing_are_seen_through() -> None:
    """On the frames of the fit none could harm; greedy selection does not take them."""
    nothing = {str(i): noisy(FULL, 100 + i, 0.4, scale=0) for i in range(12)}
    adds = {
        rule: [row.adds for row in contributions(rule, LABELS, {'c': PREDS['c'], **nothing})]
        for rule in ('mean', 'fit', 'greedy')
    }
    for values in adds.values():
        assert values[0] > 0.1
    assert np.mean(adds['mean'][1:]) < 0
    assert min(adds['fit'][1:]) < 0
    assert adds['greedy'][1:] == [0] * 12


def test_one_run_and_one_video() -> None:
    (alone,) = contributions('greedy', LABELS, {'c': PREDS['c']})
    assert (alone.weight, alone.without, alone.adds, alone.error_correlation) == (1, None, None, None)
    assert alone.alone
    one = {'v1': LABELS['v1']}
    preds = {name: {'v1': pred['v1']} for name, pred in PREDS.items()}
    for row in contributions('fit', one, preds):
        assert row.adds is None
        assert row.error_correlation is not None
    assert all(row.adds is not None for row in contributions('mean', one, preds))


def test_others_that_no_rule_can_weight_count_alike() -> None:
    """Without the only run that is any good, what is left is worth little, and that is told."""
    preds = {'good': PREDS['c'], 'bad': PREDS['d'], 'worse': noisy(FULL, 9, 0.1, -1)}
    row = contributions('greedy', LABELS, preds)[0]
    rest = ccc(joined(LABELS), (joined(preds['bad']) + joined(preds['worse'])) / 2)
    assert row.weight == 1
    assert row.without == pytest.approx(rest, rel=1e-9)


def test_what_cannot_be_compared() -> None:
    with pytest.raises(ConfigError, match='no rule'):
        contributions('median', LABELS, PREDS)
    with pytest.raises(DataError, match='there is no run'):
        contributions('mean', LABELS, {})
    fewer = {v: p for v, p in PREDS['a'].items() if v != 'v1'}
    with pytest.raises(DataError, match='only the labels has the videos v1'):
        contributions('mean', LABELS, {'c': PREDS['c'], 'a': fewer})
    short = PREDS['a'] | {'v2': PREDS['a']['v2'][:-1]}
    with pytest.raises(
        DataError, match=r'the labels and a differ in the number of frames of v2 \(90 and 89\)'
    ):
        contributions('mean', LABELS, {'c': PREDS['c'], 'a': short})
    broken = PREDS['a'] | {'v2': np.where(np.arange(90) == 7, np.nan, 0)}
    with pytest.raises(DataError, match='a, video v2, frame 7: the prediction is nan'):
        contributions('mean', LABELS, {'c': PREDS['c'], 'a': broken})
    with pytest.raises(DataError, match='no frame has a label'):
        contributions('mean', {v: np.full(len(y), np.nan) for v, y in LABELS.items()}, PREDS)
    with pytest.raises(DataError, match='no run has a positive CCC'):
        contributions('greedy', LABELS, {'d': PREDS['d'], 'e': PREDS['d']})


def make_seed(folder: Path, videos: tuple[str, ...], seed: int) -> Curves:
    labels = {v: LABELS[v] for v in videos}
    pred = noisy({v: FULL[v] for v in videos}, seed, 0.3)
    for target in ('valence', 'arousal'):
        write_predictions(folder / 'predictions', 'val', target, pred, labels, 0)
        write_predictions(folder / 'predictions', 'tst', target, curves(seed, (5, 4)), None, 0)
    return pred


@pytest.mark.parametrize('rule', ['mean', 'centred'])
def test_runs_of_folds_are_compared_within_their_fold(tmp_path: Path, rule: str) -> None:
    folds = {'fold0_a': ('v0', 'v1'), 'fold1': ('v2', 'v3'), 'fold0_b': ('v0', 'v1')}
    made = {n: make_seed(tmp_path / n, videos, i) for i, (n, videos) in enumerate(folds.items())}
    done = command(*(tmp_path / n for n in folds), '--weights', rule, '--out', tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if str(tmp_path / 'fold') in line]
    assert [Path(line.split()[0]).name for line in rows] == list(folds) * 2
    assert ['adds' in line for line in rows] == [True, False, True] * 2
    assert '1 of 3 runs without another on the same val videos: nothing to compare with' in done.stdout
    assert ('centring' if rule == 'centred' else 'averaging') in done.stdout
    assert 'the others of the fold, weighted anew' in done.stdout

    label = np.concatenate([LABELS[v] for v in ('v0', 'v1')])
    pair = {v: np.stack([made['fold0_a'][v], made['fold0_b'][v]]) for v in ('v0', 'v1')}
    mean = {v: p.mean(axis=0) for v, p in pair.items()}
    if rule == 'centred':
        mean = {v: np.clip(ccc_centring(p).centred.mean(axis=0), -1, 1) for v, p in pair.items()}
    together = ccc(label, np.concatenate(list(mean.values())))
    found = Ensemble([tmp_path / n for n in folds], ['valence'], weights=rule).targets['valence']
    for name, row in zip(folds, found.contributions, strict=True):
        assert row.weight == pytest.approx(1 / 3)
        if name == 'fold1':
            assert row.alone
            assert row.adds is None
            continue
        other = made['fold0_b' if name == 'fold0_a' else 'fold0_a']
        without = ccc(label, np.concatenate([other[v] for v in ('v0', 'v1')]))
        assert row.adds == pytest.approx(together - without, abs=1e-9)


def test_centred_val_is_measured_within_the_scale_as_it_is_submitted(tmp_path: Path) -> None:
    labels = {'v': np.linspace(0, 1, 50)}
    high = {'v': np.where(labels['v'] < 0.1, -1.0, 1.0)}
    preds = [high, high, {'v': np.where(labels['v'] > 0.9, 1.0, -1.0)}]
    mean = ccc_centring([p['v'] for p in preds]).centred.mean(axis=0)
    assert mean.max() > 1  # at the high level of two runs, the peak of the third
    runs = [make_run(tmp_path / str(i), p, labels, p) for i, p in enumerate(preds)]
    found = Ensemble(runs, ['valence'], weights='centred').targets['valence']
    assert found.preds is not None
    assert found.val is not None
    np.testing.assert_allclose(found.preds['v'], np.clip(mean, -1, 1), atol=1e-12)
    assert found.val.ccc == pytest.approx(ccc(labels['v'], found.preds['v']), rel=1e-9)


def test_command_line_of_greedy(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / n, pred, LABELS, curves(7, (5, 4))) for n, pred in PREDS.items()]
    done = command(*runs, '--weights', 'greedy', '--target', 'valence', '--out', tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    rows = contributions('greedy', LABELS, PREDS)
    lines = done.stdout.splitlines()
    for line, row in zip(lines[1:5], rows, strict=True):
        words = line.split()
        assert Path(words[0]).name == row.run
        assert words[1::2][:3] == ['ccc', 'weight', 'adds']
        assert words[2] == f'{row.ccc:.6f}'
        assert float(words[4]) == pytest.approx(row.weight, abs=6e-5)
        assert float(words[6]) == pytest.approx(row.adds, abs=6e-7)
        assert f'(without it {row.without:9.6f})' in line
        assert f'errors {row.error_correlation:+.2f}' in line
    honest = f'cross-validated over {len(LABELS)} videos, no groups known: ccc {rows[0].together:9.6f}'
    assert honest in done.stdout
    assert 'weighted anew, cross-validated likewise' in done.stdout


def test_what_is_nothing_but_rounding_has_no_sign() -> None:
    spec = importlib.util.spec_from_file_location('ensemble_tool', ROOT / 'tools' / 'ensemble.py')
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    row = Contribution('run', 0.4, 0.0, 0.5, 0.5 + 1e-12, 0.1)
    assert ' adds +0.000000 ' in tool.row_line(row, 11)
    assert ' adds -0.000001 ' in tool.row_line(replace(row, without=0.500001), 11)


def test_command_line_of_one_video(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / n, {'v1': PREDS[n]['v1']}, {'v1': LABELS['v1']}) for n in 'ca']
    shown = command(*runs, '--weights', 'fit', '--target', 'valence', '--out', tmp_path / 'out').stdout
    assert 'ccc none: there is only one with a label' in shown
    assert 'adds' not in shown
    assert 'errors: mean correlation' in shown


def test_command_line_of_one_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / 'a', PREDS['a'], LABELS, curves(7, (5, 4)))
    done = command(run, '--weights', 'greedy', '--target', 'valence', '--out', tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    assert 'weight 1.0000' in done.stdout
    assert 'one run: nothing to compare it with' in done.stdout
    assert 'adds' not in done.stdout


def test_command_line_on_what_greedy_cannot_weight(tmp_path: Path) -> None:
    bad = [make_run(tmp_path / n, PREDS['d'], LABELS) for n in ('d', 'e')]
    fold = make_run(tmp_path / 'f', {'w': LABELS['v1']}, {'w': LABELS['v1']})
    for runs, message in ((bad, 'no run has a positive CCC'), ([bad[0], fold], 'use mean or centred')):
        done = command(*runs, '--weights', 'greedy', '--out', tmp_path / 'out')
        assert done.returncode == 2
        assert message in done.stderr
        assert 'Traceback' not in done.stderr


def test_help_tells_every_rule() -> None:
    shown = command('--help').stdout
    for rule, text in RULES.items():
        assert f'  {rule:8} {text}\n' in shown
