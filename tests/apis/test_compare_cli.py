"""tools/compare.py: what it says of runs, and what it refuses."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command_line import call
from evaluation import simulated_videos as made
from written_runs import LABELS, write_run

from abawfw.apis.compare import compare
from abawfw.errors import DataError
from abawfw.evaluation.functional import Moments, ccc, paired_bootstrap, paired_permutation
from abawfw.groups import Groups
from abawfw.results import compared_score
from abawfw.results import comparison as comparison_module
from abawfw.results.compared_score import ComparedScore
from abawfw.results.comparison import Comparison
from abawfw.results.predictions import write_predictions
from abawfw.results.run import Run
from abawfw.results.side_files import write_val_groups


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
    assert lines[2].split()[-1] == lines[4].split()[-1] == 'worse'
    # its p-value is .04, and there are two comparisons
    assert lines[3].endswith('0.0800  not significant after correction for 2 comparisons')
    assert lines[4].split()[:2] == ['bad', 'mean']
    assert 'baseline: good; smoothed predictions, 12 videos, 3,360 labelled frames' in found.out
    assert 'drawn and swapped: 12 videos, no groups known, which count as 9.7 of equal length' in found.out
    assert '97.5 % interval' in lines[0]
    assert 'interval: 97.5 %, corrected for 2 comparisons' in found.out
    turned = call(capfd, 'compare', bad, good).out.splitlines()
    assert [line.split()[-1] for line in turned[2:5]] == ['better', 'comparisons', 'better']


def test_a_noised_copy_is_found(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run, rng = write_run(tmp_path / 'run', 0), np.random.default_rng(0)
    for target in ('valence', 'arousal'):
        found = Run(run)
        noised = {
            v: pred + 0.3 * made.slow(rng, len(pred)) for v, pred in found.predictions(target, 'raw').items()
        }
        folder = tmp_path / 'copy/predictions'
        write_predictions(folder, 'val', target, noised, found.labels(target), 0)
    lines = call(capfd, 'compare', run, tmp_path / 'copy').out.splitlines()
    assert [line.split()[-1] for line in lines[2:5]] == ['worse'] * 3


def drawn_run(name: str, videos: made.Drawn) -> Any:
    """What a comparison asks of a run, without its files, which take far longer than the statistics."""
    moments = {f'v{k}': of for k, of in enumerate(videos.moments())}
    return SimpleNamespace(
        name=name, targets=('valence',), groups=Groups({}), tuned=(), moments=lambda target, stage: moments
    )


@pytest.mark.slow
def test_equal_runs_are_called_different_in_one_of_twenty_pairs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """docs/statistics.md has the share."""
    # a fifth of the draws, for the sake of time
    for module, names in (
        (comparison_module, ['bootstrap_ccc']),
        (compared_score, ['paired_bootstrap', 'paired_permutation']),
    ):
        for name in names:
            monkeypatch.setattr(module, name, functools.partial(getattr(module, name), replicates=2000))
    wrong = 0
    for seed in range(100):
        rng = np.random.default_rng([seed, 4])
        lengths = np.array(made.lengths(rng, 40))
        labels = made.labels_together(rng, lengths).clip(-1, 1)
        runs = [drawn_run(name, made.predicted_together(rng, labels, lengths)) for name in 'ab']
        (score,) = Comparison(runs, 'raw').scores
        wrong += score.verdict in ('better', 'worse')
    # 5 % of 100 with the 95 % of a binomial around it
    assert 1 <= wrong <= 10
    page = (Path(__file__).parents[2] / 'docs/statistics.md').read_text()
    told = re.search(r'called different (\d+) of 100 pairs', page)
    assert told is not None
    assert abs(int(told[1]) - wrong) <= 1  # machines round differently


def test_identical_runs_do_not_differ(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one, same = write_run(tmp_path / 'one', 0), write_run(tmp_path / 'same', 0)
    lines = call(capfd, 'compare', one, same).out.splitlines()
    for line in lines[2:4]:
        assert re.search(
            r'\+0\.0000 +\+0\.0000 \.\. \+0\.0000 +1\.0000 +1\.0000 +1\.0000  equal to 4 digits$', line
        )
    assert re.search(r'mean .* \+0\.0000 \.\. \+0\.0000 +- +- +-  equal to 4 digits$', lines[4])


def test_many_runs_are_corrected_for_their_number(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f'run{k}', k, 0.2 + 0.03 * k, ('valence',)) for k in range(4)]
    comparison = compare(runs)
    assert [s.run for s in comparison.scores] == ['run1', 'run2', 'run3']
    assert comparison.level == pytest.approx(1 - 0.05 / 3)
    for k, score in enumerate(comparison.scores, 1):
        pair = (list(Run(runs[i]).moments('valence').values()) for i in (0, k))
        a, b = pair
        alone = paired_bootstrap(a, b)
        p = max(alone.p_value or 0, paired_permutation(a, b))
        assert score.p_value == p
        assert score.corrected == min(1, 3 * p)
        assert (
            (score.difference.low or 0)
            <= (alone.low or 0)
            < (alone.high or 0)
            <= (score.difference.high or 0)
        )


def agrees(score: ComparedScore) -> None:
    """Interval, p-values and words say the same."""
    low, high = score.difference.low, score.difference.high
    assert low is not None
    assert high is not None
    assert low <= score.difference.value <= high
    assert (score.verdict == 'better') == (low > 0)
    assert (score.verdict == 'worse') == (high < 0)
    if score.target != 'mean':
        assert (score.corrected is not None and score.corrected < 0.05) == (low > 0 or high < 0)
    assert ('correction' in score.verdict) == (
        score.p_value is not None and score.p_value < 0.05 <= (score.corrected or 0)
    )


def test_intervals_p_values_and_words_agree(tmp_path: Path) -> None:
    """Over runs from clearly worse to hardly so, some of which are significant before correction only."""
    runs = [write_run(tmp_path / 'a', 0, 0.2)]
    runs += [write_run(tmp_path / f'b{k}', k, 0.2 + 0.05 * k) for k in range(1, 7)]
    comparison = compare(runs)
    assert comparison.comparisons == 12
    for score in comparison.scores:
        agrees(score)
    words = {score.verdict for score in comparison.scores}
    assert words == {'worse', 'not significant', 'not significant after correction for 12 comparisons'}


def test_the_mean_follows_from_its_targets_and_is_no_comparison(tmp_path: Path) -> None:
    comparison = compare([write_run(tmp_path / 'a', 0, 0.1), write_run(tmp_path / 'b', 1, 0.4)])
    valence, arousal, mean = comparison.scores
    assert comparison.comparisons == 2
    assert (mean.p_value, mean.permutation, mean.corrected) == (None, None, None)
    for end in ('value', 'low', 'high'):
        ends = [getattr(score.difference, end) for score in (valence, arousal)]
        assert getattr(mean.difference, end) == pytest.approx(np.mean(ends))
    assert mean.ccc - mean.baseline_ccc == pytest.approx(mean.difference.value)


PAIRS = Groups({f'v{k:02}': f'p{min(k, 11 - k)}' for k in range(12)})  # of 560 frames each


def with_groups(run: Path, groups: Groups = PAIRS) -> Path:
    write_val_groups(run / 'predictions', groups)
    return run


def test_groups_are_drawn_and_swapped_as_a_whole(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    runs = [with_groups(write_run(tmp_path / name, k, 0.2 + 0.1 * k)) for k, name in enumerate('ab')]
    comparison = compare(runs)
    pooled = []
    for run in runs:
        of = Run(run).moments('valence')
        pooled.append([Moments.pool([of[f'v{k:02}'], of[f'v{11 - k:02}']]) for k in range(6)])
    expected = paired_bootstrap(*pooled, level=0.975)
    score = comparison.scores[0]
    assert score.difference.p_value == expected.p_value
    assert score.permutation == paired_permutation(*pooled)
    out = call(capfd, 'compare', *runs).out
    assert 'drawn and swapped: 6 groups (12 videos), which count as 6.0 of equal length' in out
    assert 'runs exchanged within a group' in out


def test_too_few_groups_for_any_significance_are_reported(tmp_path: Path) -> None:
    """6 persons can be swapped in 64 ways: 2 of them are as far apart as what was found, or more."""
    labels = {f'v{k}': made.labels(np.random.default_rng([k, 9]), 300).clip(-1, 1) for k in range(12)}
    groups = Groups({video: f'p{k // 2}' for k, video in enumerate(labels)})
    rng = np.random.default_rng(0)
    for name, noise in (('a', 0.05), ('b', 0.6)):
        for target in ('valence', 'arousal'):
            preds = {v: made.predicted(rng, label, noise) for v, label in labels.items()}
            write_predictions(tmp_path / name / 'predictions', 'val', target, preds, labels, 0)
        write_val_groups(tmp_path / name / 'predictions', groups)
    comparison = compare([tmp_path / 'a', tmp_path / 'b'])
    assert (
        'swapping 6 groups gives no corrected p below 0.062: no difference can be significant with '
        'so few groups '
        'and 2 comparisons'
    ) in comparison.notes
    for score in comparison.scores:
        agrees(score)
        assert score.verdict.startswith('not significant')
    assert comparison.scores[0].difference.high == 0.0  # swapping cannot exclude it


def test_runs_that_contradict_one_another_in_groups_are_refused(tmp_path: Path) -> None:
    a, c = with_groups(write_run(tmp_path / 'a', 0)), write_run(tmp_path / 'c', 2)
    b = with_groups(write_run(tmp_path / 'b', 1), Groups({'v01': 'p1', 'v02': 'p7'}))
    assert compare([c, a]).groups == compare([a, c]).groups == PAIRS
    with pytest.raises(DataError, match='a and b differ in the groups of videos: v02 is of p2 and of p7'):
        compare([a, b])


def test_groups_of_other_predictions_are_refused(tmp_path: Path) -> None:
    run, other = with_groups(write_run(tmp_path / 'a', 0)), write_run(tmp_path / 'b', 1)
    path = run / 'predictions/val_groups.csv'
    path.write_text(path.read_text().replace('v03,', 'v3,'))
    with pytest.raises(
        DataError, match=r"val_groups\.csv: mend .*\n  line 5: no video 'v3'; did you mean 'v0"
    ):
        compare([run, other])


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
    assert [line.split()[-2:] for line in found.out.splitlines()[2:5]] == [['no', 'interval']] * 3
    assert 'note: no intervals and no p-values: 1 labelled video: an interval needs 5 or more' in found.out
    assert 'excludes 0' not in found.out


def test_targets_on_other_videos_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    runs = [write_run(tmp_path / name, seed) for seed, name in enumerate('ab')]
    for run in runs:
        write_run(run, 5, targets=('arousal',), videos=11)
    found = call(capfd, 'compare', *runs)
    assert found.code == 2
    assert f'{runs[0]}: only one of valence and arousal has the videos v11; test the run' in found.err


def test_targets_with_their_videos_in_another_order_are_the_same(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, seed) for seed, name in enumerate('ab')]
    expected = compare(runs).scores
    for path in (runs[0] / 'predictions').glob('*arousal*.json'):
        turned = dict(reversed(json.loads(path.read_text()).items()))
        path.write_text(json.dumps(turned))
    assert compare(runs).scores == expected


def test_rounding_is_no_difference(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path / 'run', 0, targets=('valence',)))
    scaled = {v: pred * (1 - 1e-7) for v, pred in run.predictions('valence', 'raw').items()}
    write_predictions(tmp_path / 'scaled/predictions', 'val', 'valence', scaled, run.labels('valence'), 0)
    (score,) = compare([tmp_path / 'run', tmp_path / 'scaled']).scores
    assert score.difference.value != 0
    assert score.verdict == 'equal to 4 digits'


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
