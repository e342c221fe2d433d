from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tool_here import tool_here

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import ccc
from abawfw.prediction_files import read_predictions
from abawfw.results.predictions import write_predictions
from abawfw.submission.ensemble import Ensemble, TargetEnsemble
from abawfw.submission.formats import HEADER

ROOT = Path(__file__).resolve().parents[2]
Curves = dict[str, np.ndarray]


def curves(seed: int, lengths: tuple[int, ...] = (200, 150, 90, 260, 120, 80)) -> Curves:
    rng = np.random.default_rng(seed)
    return {f'v{i}': np.clip(rng.normal(0, 0.4, n), -1, 1) for i, n in enumerate(lengths)}


def noisy(labels: Curves, seed: int, noise: float, scale: float = 1.0) -> Curves:
    rng = np.random.default_rng(seed)
    return {v: np.clip(scale * y + rng.normal(0, noise, len(y)), -1, 1) for v, y in labels.items()}


def make_run(folder: Path, preds: Curves, labels: Curves, test: Curves | None = None) -> Path:
    for target in ('valence', 'arousal'):
        write_predictions(folder / 'predictions', 'val', target, preds, labels, 0)
        if test is not None:
            write_predictions(folder / 'predictions', 'tst', target, test, None, 0)
    return folder


def weights_of(ensemble: TargetEnsemble) -> list[float]:
    return [c.weight for c in ensemble.contributions]


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return tool_here('ensemble', *arguments)


@pytest.mark.parametrize('smoothed', [False, True])
def test_golden_command_line(golden: Path, tmp_path: Path, smoothed: bool) -> None:
    pipeline = golden / 'pipeline_mini'
    runs = [pipeline / 'test_results' / name for name in ('transformer', 'transformer_attention_multihead')]
    done = command(*runs, *['--smoothed'] * smoothed, '--out', tmp_path / 'submit' / 'ens')
    assert done.returncode == 0, done.stderr
    theirs = pipeline / f'submit_smoothed_{"y" if smoothed else "n"}' / 'ens'
    files = sorted(p.relative_to(theirs) for p in theirs.rglob('*.txt'))
    assert files == sorted(
        p.relative_to(tmp_path / 'submit/ens') for p in (tmp_path / 'submit').rglob('*') if p.is_file()
    )
    for name in files:
        a, b = ((root / name).read_text().splitlines() for root in (tmp_path / 'submit' / 'ens', theirs))
        assert a[0] == b[0] == name.parts[0]
        np.testing.assert_allclose(np.array(a[1:], float), np.array(b[1:], float), rtol=0, atol=1e-6)
    printed = dict(re.findall(r'^(\w+), val(?:.*\n)+?  ensemble +(.*)$', done.stdout, re.M))
    stage = 'with' if smoothed else 'without'
    for line in (pipeline / 'get_preds_stdout.txt').read_text().splitlines():
        target, values, which = re.fullmatch(
            r'Ensemble (\w+) Val result (.*) (with|without) smooth', line
        ).groups()  # type: ignore[union-attr]
        if which != stage:
            continue
        expected = dict(zip(values.split()[::2], values.split()[1::2], strict=True))
        ours = dict(zip(printed[target].split()[::2], printed[target].split()[1::2], strict=True))
        for name, value in expected.items():
            assert float(ours[name]) == pytest.approx(float(value), abs=1.5e-6)
    assert '162 rows in 6 files' in done.stdout


def test_rules(tmp_path: Path) -> None:
    labels = curves(0)
    labels['v0'][:50] = np.nan
    preds = [noisy(labels, 1, 0.3), noisy(labels, 2, 0.6), noisy(labels, 3, 0.2, scale=-0.5)]
    test = [curves(10 + i, (7, 3)) for i in range(3)]
    for pred in preds:
        pred['v0'] = np.nan_to_num(pred['v0'])
    runs = [
        make_run(tmp_path / str(i), p, labels, t) for i, (p, t) in enumerate(zip(preds, test, strict=True))
    ]
    label = np.concatenate(list(labels.values()))
    joined = [np.concatenate(list(p.values())) for p in preds]
    single = [ccc(label, p) for p in joined]
    found = {
        rule: Ensemble(runs, ['valence'], weights=rule).targets['valence'] for rule in ('mean', 'ccc', 'fit')
    }
    for e in found.values():
        np.testing.assert_allclose([c.ccc for c in e.contributions], single, rtol=1e-9)
        weights = weights_of(e)
        assert sum(weights) == pytest.approx(1)
        assert min(weights) >= 0
        mixed = sum(w * p for w, p in zip(weights, joined, strict=True))
        assert e.val.ccc == pytest.approx(ccc(label, mixed), rel=1e-9)
        assert e.preds is not None
        expected = sum(w * t['v1'] for w, t in zip(weights, test, strict=True))
        np.testing.assert_allclose(e.preds['v1'], expected, atol=1e-12)
    assert weights_of(found['mean']) == pytest.approx([1 / 3] * 3)
    assert found['mean'].cross_validated_ccc is None
    positive = np.maximum(single, 0)
    np.testing.assert_allclose(weights_of(found['ccc']), positive / positive.sum(), rtol=1e-9)
    grid = [(a, b, 1 - a - b) for a in np.linspace(0, 1, 41) for b in np.linspace(0, 1 - a, 41)]
    best = max(ccc(label, sum(w * p for w, p in zip(g, joined, strict=True))) for g in grid)
    assert found['fit'].val.ccc >= best - 1e-9
    assert weights_of(found['fit'])[2] == 0


def test_cross_validated_gain_is_honest(tmp_path: Path) -> None:
    """Of runs that know nothing, a fit looks good on its own frames and not on those of other videos."""
    labels = curves(0, (12,) * 8)
    runs = [make_run(tmp_path / str(i), noisy(labels, 100 + i, 0.4, scale=0), labels) for i in range(20)]
    found = Ensemble(runs, ['valence'], weights='fit').targets['valence']
    assert found.val.ccc > 0.2
    assert found.cross_validated_ccc is not None
    assert found.cross_validated_ccc < found.val.ccc - 0.1
    assert found.preds is None


def test_one_video_cannot_be_cross_validated(tmp_path: Path) -> None:
    labels = curves(0, (50,))
    run = make_run(tmp_path / 'a', noisy(labels, 1, 0.1), labels)
    assert Ensemble([run], ['valence'], weights='fit').targets['valence'].cross_validated_ccc is None


def test_no_run_worth_its_ccc(tmp_path: Path) -> None:
    labels = curves(0)
    runs = [make_run(tmp_path / str(i), noisy(labels, i, 0.1, scale=-1), labels) for i in range(2)]
    with pytest.raises(DataError, match='no run has a positive CCC'):
        Ensemble(runs, weights='ccc')
    with pytest.raises(ConfigError, match='no rule'):
        Ensemble(runs, weights='median')
    with pytest.raises(ConfigError, match='at least one run'):
        Ensemble([])


def test_runs_that_differ_are_listed_and_nothing_is_written(tmp_path: Path) -> None:
    labels = curves(0)
    first = make_run(tmp_path / 'first', labels, labels, labels)
    others = {v: y for v, y in labels.items() if v != 'v1'} | {f'w{i}': np.zeros(4) for i in range(7)}
    others['v2'] = others['v2'][:-3]
    changed = {v: y.copy() for v, y in others.items()}
    changed['v3'][4] += 0.1
    second = make_run(tmp_path / 'second', others, changed, {'v1': labels['v1']})
    done = command(first, second, '--out', tmp_path / 'out')
    assert done.returncode == 2
    for text in (
        f'val, valence: only {first} has the videos v1\n',
        f'only {second} has the videos w0, w1, w2, w3, w4 and 2 more\n',
        f'{first} and {second} differ in the number of frames of v2 (90 and 87)\n',
        'differ in the labels of v3\n',
        f'tst, arousal: only {first} has the videos v0, v2, v3, v4, v5\n',
    ):
        assert text in done.stderr
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'out').exists()


def test_val_alone_is_measured_but_not_submitted(tmp_path: Path) -> None:
    labels = curves(0)
    run = make_run(tmp_path / 'run', noisy(labels, 1, 0.2), labels)
    other = make_run(tmp_path / 'other', noisy(labels, 2, 0.2), labels)
    done = command(run, other, '--out', tmp_path / 'out', '--weights', 'fit')
    assert done.returncode == 2
    assert done.stdout.count('ensemble') == 2
    assert done.stdout.count('cross-validated over 6 videos, no groups known: ccc') == 2
    assert 'no test predictions of valence, arousal, so no submission is written' in done.stderr
    assert not (tmp_path / 'out').exists()


def test_a_negative_number_of_repairs(tmp_path: Path) -> None:
    done = command(tmp_path / 'run', '--out', tmp_path / 'out', '--allow-repair', '-5')
    assert done.returncode == 2
    assert done.stderr == 'error: --allow-repair -5: a number of frames, 0 or more\n'


def test_repairs_where_nothing_is_repaired(tmp_path: Path) -> None:
    """Before any run is read."""
    done = command(tmp_path / 'run', '--out', tmp_path / 'out', '--allow-repair', '5')
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr.startswith('error: --allow-repair 5: predictions are repaired to fit a sample')


def test_missing_run(tmp_path: Path) -> None:
    done = command(tmp_path / 'nothing', '--out', tmp_path / 'out')
    assert done.returncode == 2
    assert 'python tools/test.py RUN' in done.stderr


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--format', 'abaw', '--sample', 'sample.txt', '--target', 'valence'], 'arousal is not among'),
        (['--format', 'per-video', '--target', 'arousal'], 'valence is not among the targets'),
        (['--format', 'abaw'], 'give it with --sample FILE'),
        (['--sample', 'sample.txt'], 'per-target has none'),
    ],
)
def test_a_format_that_cannot_be_written_is_refused_before_anything_is_read(
    tmp_path: Path, options: list[str], message: str
) -> None:
    labels = curves(0)
    run = make_run(tmp_path / 'run', noisy(labels, 1, 0.2), labels, labels)
    (tmp_path / 'sample.txt').write_text(f'{HEADER}\nv0/00001.jpg\n')
    words = [tmp_path / word if word == 'sample.txt' else word for word in options]
    done = command(run, '--out', tmp_path / 'out', *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ''


def test_predictions_of_train_are_averaged_for_a_student(tmp_path: Path) -> None:
    """With the weights that val finds, into prediction files as those of a run."""
    labels, learned = curves(0), curves(1, (9, 4))
    runs = []
    for i, noise in enumerate((0.3, 0.4, 2.0)):
        runs.append(make_run(tmp_path / str(i), noisy(labels, 10 + i, noise), labels))
        for target in ('valence', 'arousal'):
            taught = noisy(learned, 20 + i, noise)
            write_predictions(runs[-1] / 'predictions', 'train', target, taught, learned, 0)
    out = tmp_path / 'teacher'
    words = [*runs, '--weights', 'greedy', '--partition', 'train', '--out', out]
    done = command(*words)
    assert done.returncode == 0, done.stderr
    weights = weights_of(Ensemble(runs, ['valence'], weights='greedy').targets['valence'])
    assert weights[2] == 0 < weights[1]
    each = [read_predictions(run / 'predictions', 'train', 'valence').preds['v0'] for run in runs]
    found = read_predictions(out, 'train', 'valence')
    expected = sum(w * p for w, p in zip(weights, each, strict=True))
    np.testing.assert_allclose(found.preds['v0'], expected, atol=1e-12)
    assert found.labels is None
    assert {p.name for p in out.iterdir()} == {
        f'train_pred_{target}_nosmooth.json' for target in ('valence', 'arousal')
    }
    assert '26 rows in 2 files' in done.stdout
    assert command(*words, '--overwrite').returncode == 0
    (out / 'val_pred_valence_nosmooth.json').touch()  # of a run, which nothing replaces
    refused = command(*words, '--overwrite')
    assert 'val_pred_valence_nosmooth.json) and is not overwritten' in refused.stderr
    refused = command(*runs, '--partition', 'train', '--format', 'per-video', '--out', tmp_path / 'other')
    assert refused.stderr == 'error: --partition train: nothing is submitted; omit --format and --sample\n'
    (runs[1] / 'predictions/train_pred_valence_nosmooth.json').unlink()
    assert '--partition train' in command(*words[:-1], tmp_path / 'other').stderr
