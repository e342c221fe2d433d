"""tools/compare.py: what it says of runs, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import call
from evaluation import simulated_videos as made
from written_runs import LABELS, write_run

from abawfw.apis.compare import compare
from abawfw.evaluation.functional import ccc, holm
from abawfw.evaluation.prediction_files import write_predictions
from abawfw.evaluation.tested_run import TestedRun


def frames_ccc(run: Path, target: str) -> float:
    content = json.loads((run / f'predictions/val_pred_{target}_smooth.json').read_text())
    return ccc(*(np.concatenate([v[key] for v in content.values()]) for key in ('label', 'pred')))


def test_a_noised_run_is_found_to_be_worse(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    good, bad = write_run(tmp_path / 'good', 0, 0.1), write_run(tmp_path / 'bad', 1, 0.5)
    found = call(capfd, 'compare', good, bad)
    assert (found.code, found.err) == (0, '')
    lines = found.out.splitlines()
    for line, target in zip(lines[2:4], ('valence', 'arousal'), strict=True):
        words = line.split()
        assert words[:2] == ['bad', target]
        a, b = frames_ccc(good, target), frames_ccc(bad, target)
        assert [float(x) for x in words[2:5]] == pytest.approx([a, b, b - a], abs=1e-4)
        assert words[-1] == 'worse'
    assert lines[4].split()[:2] == ['bad', 'mean']
    assert 'baseline: good; smoothed predictions, 12 videos' in found.out
    turned = call(capfd, 'compare', bad, good).out.splitlines()
    assert [line.split()[-1] for line in turned[2:5]] == ['better'] * 3


def test_a_noised_copy_is_found(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run, rng = write_run(tmp_path / 'run', 0), np.random.default_rng(0)
    for target in ('valence', 'arousal'):
        found = TestedRun(run)
        noised = {
            v: pred + 0.3 * made.slow(rng, len(pred)) for v, pred in found.predictions(target, 'raw').items()
        }
        folder = tmp_path / 'copy/predictions'
        write_predictions(folder, 'val', target, noised, found.labels(target), 0)
    lines = call(capfd, 'compare', run, tmp_path / 'copy').out.splitlines()
    assert [line.split()[-1] for line in lines[2:5]] == ['worse'] * 3


@pytest.mark.slow
def test_equal_runs_are_called_different_in_one_of_twenty_pairs(tmp_path: Path) -> None:
    """docs/statistics.md has the share."""
    wrong = 0
    for seed in range(200):
        rng = np.random.default_rng([seed, 4])
        labels = {f'v{k}': made.labels(rng, n).clip(-1, 1) for k, n in enumerate(made.lengths(rng, 40))}
        for name in 'ab':
            preds = {v: made.predicted(rng, label) for v, label in labels.items()}
            write_predictions(tmp_path / name / 'predictions', 'val', 'valence', preds, labels, 0)
        (score,) = compare([tmp_path / 'a', tmp_path / 'b'], 'raw').scores
        wrong += score.verdict != 'no difference'
    # 5 % of 200 with the 95 % of a binomial around it
    assert 4 <= wrong <= 16
    page = (Path(__file__).parents[2] / 'docs/statistics.md').read_text()
    told = re.search(r'called different (\d+) of 200 pairs', page)
    assert told is not None
    assert abs(int(told[1]) - wrong) <= 1  # machines round differently


def test_identical_runs_do_not_differ(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one, same = write_run(tmp_path / 'one', 0), write_run(tmp_path / 'same', 0)
    lines = call(capfd, 'compare', one, same).out.splitlines()
    for line in lines[2:5]:
        assert re.search(
            r'\+0\.0000 +\+0\.0000 \.\. \+0\.0000 +1\.0000 +1\.0000 +1\.0000  no difference$', line
        )


def test_many_runs_are_corrected_for_their_number(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f'run{k}', k, 0.2 + 0.03 * k, ('valence',)) for k in range(4)]
    comparison = compare(runs)
    assert [s.run for s in comparison.scores] == ['run1', 'run2', 'run3']
    p_values = [max(s.difference.p_value or 0, s.permutation or 0) for s in comparison.scores]
    expected = holm(p_values)
    assert [s.corrected for s in comparison.scores] == expected
    assert max(expected) <= 1
    assert expected[0] > p_values[0]


def test_the_stage_is_chosen(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, seed) for seed, name in enumerate('ab')]
    labels = dict(zip('xyzw', LABELS, strict=False))
    for run, factor in zip(runs, (1, 3), strict=True):
        preds = {v: factor * label for v, label in labels.items()}
        write_predictions(run / 'predictions', 'val', 'valence', preds, labels, 0)
        write_predictions(run / 'predictions', 'val', 'arousal', preds, labels, 0)
    raw, clipped = (compare(runs, stage).ccc(1, 'valence') for stage in ('raw', 'clipped'))
    assert raw < clipped < 1
    assert compare(runs, 'raw').ccc(0, 'valence') == pytest.approx(1)


def test_few_videos_have_no_p_value(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    runs = [write_run(tmp_path / name, seed, videos=1) for seed, name in enumerate('ab')]
    found = call(capfd, 'compare', *runs)
    assert found.code == 0
    assert found.out.splitlines()[2].endswith('too few videos')
    assert '1 labelled video(s): an interval over videos needs 4 or more' in found.out


def test_targets_on_other_videos_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    runs = [write_run(tmp_path / name, seed) for seed, name in enumerate('ab')]
    for run in runs:
        write_run(run, 5, targets=('arousal',), videos=11)
    found = call(capfd, 'compare', *runs)
    assert found.code == 2
    assert f'{runs[0]}: valence has the videos v00, ' in found.err


def test_rounding_is_no_difference(tmp_path: Path) -> None:
    run = TestedRun(write_run(tmp_path / 'run', 0, targets=('valence',)))
    scaled = {v: pred * (1 - 1e-7) for v, pred in run.predictions('valence', 'raw').items()}
    write_predictions(tmp_path / 'scaled/predictions', 'val', 'valence', scaled, run.labels('valence'), 0)
    (score,) = compare([tmp_path / 'run', tmp_path / 'scaled']).scores
    assert score.difference.value != 0
    assert score.verdict == 'no difference'


def test_a_target_without_labels_is_left_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    runs = [write_run(tmp_path / name, seed) for seed, name in enumerate('ab')]
    for path in [p for run in runs for p in run.glob('predictions/val_pred_arousal_*.json')]:
        content = json.loads(path.read_text())
        for video in content.values():
            video['label'] = [-5.0] * len(video['label'])
        path.write_text(json.dumps(content))
    assert compare(runs).targets == ('valence',)
    for path in [p for run in runs for p in run.glob('predictions/val_pred_valence_*.json')]:
        path.unlink()
    found = call(capfd, 'compare', *runs)
    assert (found.code, 'no frame has a label of arousal' in found.err) == (2, True)


def test_a_run_without_predictions_names_the_command(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'new').mkdir()
    found = call(capfd, 'compare', write_run(tmp_path / 'a', 0), tmp_path / 'new')
    assert found.code == 2
    assert found.err == (
        f'error: {tmp_path / "new"} has no predictions of val; make them with: '
        f'python tools/test.py {tmp_path / "new"}\n'
    )


def test_runs_on_other_videos_or_labels_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    a, b = write_run(tmp_path / 'a', 0), write_run(tmp_path / 'b', 1, videos=10)
    labels = {f'v{k:02}': np.roll(LABELS[k], 1 if k == 4 else 0) for k in range(10)}
    write_predictions(b / 'predictions', 'val', 'arousal', labels, labels, 0)
    found = call(capfd, 'compare', a, b)
    assert found.code == 2
    assert found.err.splitlines() == [
        'error: these runs cannot be compared:',
        f'  valence: only {a} has the videos v10, v11',
        f'  arousal: only {a} has the videos v10, v11',
        f'  arousal: {a} and {b} differ in the labels of v04',
    ]


def test_nan_in_predictions_is_refused_by_video(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    a, b = write_run(tmp_path / 'a', 0), write_run(tmp_path / 'b', 1)
    path = b / 'predictions/val_pred_valence_smooth.json'
    content = json.loads(path.read_text())
    content['v03']['pred'][5] = float('nan')
    path.write_text(json.dumps(content))
    found = call(capfd, 'compare', a, b)
    assert found.code == 2
    assert f'{path}, video v03, frame 5: "pred" is nan' in found.err


def test_the_same_run_twice_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    a = write_run(tmp_path / 'a', 0)
    (tmp_path / 'link').symlink_to(a)
    for same in (tmp_path / 'link', a / 'predictions'):
        found = call(capfd, 'compare', a, same)
        assert (found.code, found.err) == (
            2,
            f'error: {a} and {same} are the same run; name two different ones\n',
        )


def test_runs_without_a_common_target(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    a, b = (
        write_run(tmp_path / 'a', 0, targets=('valence',)),
        write_run(tmp_path / 'b', 1, targets=('arousal',)),
    )
    found = call(capfd, 'compare', a, b)
    assert found.code == 2
    assert 'no target in common: a: valence; b: arousal' in found.err


def test_tuned_predictions_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    runs = [write_run(tmp_path / name, k) for k, name in enumerate('ab')]
    rows = [{'target': 'arousal', 'stage': 'cross-validated'}]
    (runs[1] / 'predictions/report.json').write_text(json.dumps({'rows': {'val': rows}}))
    assert 'tuned on these very videos in b (arousal)' in call(capfd, 'compare', *runs).out
    assert 'tuned on' not in call(capfd, 'compare', *runs, '--stage', 'raw').out
