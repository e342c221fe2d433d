"""The search: the reference's, calibration, and a number that is not the one tuned on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import ccc, pcc, smooth
from abawfw.evaluation.postprocess import (
    AffineCalibration,
    MeanSmoothing,
    Pipeline,
    Postprocessor,
    candidates,
    tune,
)
from abawfw.registry import POSTPROCESSORS
from abawfw.results.report_table import cross_validated_rows, render_table, report_rows

Videos = dict[str, np.ndarray]


def made_up(videos: int = 12, seed: int = 0, noise: float = 0.5) -> tuple[Videos, Videos]:
    """Predictions that vary too little, about a level of their own in every video; slow labels."""
    rng = np.random.default_rng(seed)
    labels = {}
    for k in range(videos):
        steps = rng.normal(0, 1, int(rng.integers(100, 400)))
        labels[f'v{k:02}'] = np.tanh(smooth(np.cumsum(steps) / 10, 5) + rng.normal(0, 0.3))
    preds = {v: 0.5 * y + rng.normal(0, noise, len(y)) + rng.normal(0.1, 0.2) for v, y in labels.items()}
    labels['v00'][:30] = np.nan
    return preds, labels


def joined(videos: Videos, names: Any = None) -> np.ndarray:
    return np.concatenate([videos[v] for v in (videos if names is None else names)])


def agreement(preds: Videos, labels: Videos, measure: Any = ccc) -> float:
    return measure(joined(labels, preds), joined(preds))


def test_the_search_of_the_reference(golden: Path) -> None:
    numbers = np.load(golden / 'smoothing.npz')
    preds = {str(n): numbers[f'search_pred/{n}'] for n in (101, 191, 333)}
    labels = {str(n): numbers[f'search_label/{n}'] for n in (101, 191, 333)}
    tried = candidates(['MeanSmoothing'])
    assert [p.window for p in tried] == list(numbers['search_windows'])
    assert tune(tried, preds, labels).pipeline.window == numbers['search_best_window']
    for pipeline, expected in zip(tried, numbers['search_ccc'], strict=True):
        done = pipeline.videos(preds, clip=False)
        assert agreement(done, labels) == pytest.approx(expected, abs=1e-9)


def test_kernels_are_alternatives_and_slots_follow_one_another() -> None:
    count = {
        name: len(POSTPROCESSORS.get(name).grid)
        for name in ('GapInterpolation', 'MeanSmoothing', 'MedianSmoothing')
    }
    tried = candidates(['AffineCalibration', 'MeanSmoothing', 'GapInterpolation', 'MedianSmoothing'])
    assert len(tried) == count['GapInterpolation'] * (count['MeanSmoothing'] + count['MedianSmoothing'])
    names = {tuple(type(step).__name__ for step in p.steps) for p in tried}
    kernels = ('MeanSmoothing', 'MedianSmoothing')
    assert names == {('GapInterpolation', kernel, 'AffineCalibration') for kernel in kernels}
    assert len({str(p) for p in tried}) == len(tried)
    assert len(candidates(['MeanSmoothing', 'MeanSmoothing'])) == count['MeanSmoothing']


def brute_force(tried: list[Pipeline], preds: Videos, labels: Videos) -> Pipeline:
    """Fit every candidate and measure its values."""
    fitted = [p.fit(preds, labels) for p in tried]
    scores = [agreement(p.videos(preds, clip=False), labels) for p in fitted]
    return fitted[int(np.argmax(scores))]


@pytest.mark.parametrize('names', [['MeanSmoothing'], ['ExponentialSmoothing', 'AffineCalibration']])
def test_choices_are_those_of_every_candidate_fitted_and_measured(names: list[str]) -> None:
    preds, labels = made_up()
    tried = candidates(names)
    found = tune(tried, preds, labels)
    assert str(found.pipeline) == str(brute_force(tried, preds, labels))
    # the same without each fold; folds are dealt from the longest video to the shortest
    names = sorted(preds, key=lambda v: -np.isfinite(labels[v]).sum())
    assert len(found.folds) == 10
    for k, chosen in enumerate(found.folds):
        fold = names[k::10]
        fitted = brute_force(tried, {v: preds[v] for v in preds if v not in fold}, labels)
        assert chosen.steps[0].settings() == fitted.steps[0].settings()
        for v in fold:
            np.testing.assert_allclose(found.left_out[v], fitted(preds[v]), rtol=0, atol=1e-12)


def test_a_video_never_speaks_for_itself() -> None:
    """Other labels of a video change what is done to the others, and nothing of what is done to it."""
    preds, labels = made_up(6)
    tried = candidates(['MeanSmoothing', 'AffineCalibration'])
    before = tune(tried, preds, labels)
    after = tune(tried, preds, labels | {'v03': -labels['v03']})
    np.testing.assert_array_equal(before.left_out['v03'], after.left_out['v03'])
    assert str(before.pipeline) != str(after.pipeline)
    assert np.abs(before.left_out['v01'] - after.left_out['v01']).max() > 1e-3


def test_the_number_tuned_on_is_too_good() -> None:
    """Predictions without any relation to the labels: the tuned number says there is one, the other not."""
    rng = np.random.default_rng(1)
    tuned_on, nested = [], []
    for _ in range(20):
        labels = {str(k): np.cumsum(rng.normal(0, 0.05, 150)).clip(-1, 1) for k in range(5)}
        preds = {v: np.cumsum(rng.normal(0, 0.05, 150)) for v in labels}
        found = tune(candidates(['MeanSmoothing', 'AffineCalibration']), preds, labels)
        tuned_on.append(agreement(found.pipeline.videos(preds), labels))
        nested.append(agreement(found.left_out, labels))
    assert np.mean(tuned_on) > np.mean(nested) + 0.02


def test_calibration_alone_is_fitted_and_cross_validated() -> None:
    preds, labels = made_up(noise=0.1)
    found = tune([Pipeline([MeanSmoothing(3), AffineCalibration()])], preds, labels)
    done = found.pipeline.videos(preds, clip=False)
    smoothed = Pipeline.of(3).videos(preds, clip=False)
    assert agreement(done, labels) == pytest.approx(agreement(smoothed, labels, pcc))
    assert {str(p) for p in found.folds} == {'MeanSmoothing(window=3), AffineCalibration()'}
    assert set(found.left_out) == set(preds)


def test_videos_without_labels_are_of_no_use() -> None:
    preds, labels = made_up(4)
    tried = candidates(['MeanSmoothing'])
    before = tune(tried, preds, labels)
    after = tune(tried, preds | {'x': np.zeros(50)}, labels | {'x': np.full(50, np.nan)})
    assert str(before.pipeline) == str(after.pipeline)
    assert before.left_out.keys() == after.left_out.keys()
    assert len(after.folds) == 4


def test_rows() -> None:
    preds, labels = made_up()
    found = tune(candidates(['MeanSmoothing', 'AffineCalibration']), preds, labels)
    rows = report_rows('valence', preds, labels, found.pipeline)
    all_rows = cross_validated_rows(rows, found, labels)
    assert [row['stage'] for row in all_rows] == ['raw', 'clipped', 'smoothed', 'cross-validated']
    assert not rows[2]['notes']
    assert all_rows[3]['ccc'] == pytest.approx(agreement(found.left_out, labels))
    assert (all_rows[3]['videos'], all_rows[3]['frames']) == (rows[2]['videos'], rows[2]['frames'])
    text = render_table(all_rows)
    assert 'valence, smoothed: tuned on these videos, so no estimate for others' in text
    assert 'valence, cross-validated: each video by what the other folds of 10 chose: MeanSmoothing(' in text


def test_one_labelled_video_has_no_other() -> None:
    preds, labels = made_up(2)
    labels['v01'][:] = np.nan
    found = tune(candidates(['MeanSmoothing']), preds, labels)
    assert found.left_out == {}
    rows = cross_validated_rows(report_rows('arousal', preds, labels, found.pipeline), found, labels)
    assert [row['stage'] for row in rows] == ['raw', 'clipped', 'smoothed']
    text = render_table(rows)
    assert 'arousal, smoothed: tuned on the one labelled video, so no estimate for others; cross-val' in text


@pytest.mark.parametrize('length', [1, 3])
def test_videos_of_a_few_frames(length: int) -> None:
    rng = np.random.default_rng(0)
    labels = {v: rng.uniform(-1, 1, length) for v in 'abc'}
    preds = {v: rng.uniform(-1, 1, length) for v in 'abc'}
    names = ['MeanSmoothing', 'MedianSmoothing', 'SavitzkyGolaySmoothing', 'AffineCalibration']
    found = tune(candidates(names), preds, labels)
    assert all(np.isfinite(x).all() and len(x) == length for x in found.left_out.values())


def test_refused() -> None:
    with pytest.raises(ConfigError, match=r"--search MeanSmothing: .* did you mean 'MeanSmoothing'"):
        candidates(['MeanSmothing'])
    with pytest.raises(ConfigError, match=r'^--search Nope: .*\n--search Bad: [^\n]*$'):
        candidates(['MeanSmoothing', 'Nope', 'Bad', 'Nope'])
    preds, labels = made_up(2)
    with pytest.raises(DataError, match='no frame of val has a label'):
        tune(candidates(['MeanSmoothing']), preds, {v: np.full(len(x), np.nan) for v, x in preds.items()})
    with pytest.raises(DataError, match='video v00: GapInterpolation needs'):
        tune(candidates(['GapInterpolation']), preds, labels)


def test_steps_of_the_user() -> None:
    class Doubled(Postprocessor):
        """Twice the prediction."""

        grid: ClassVar[Any] = [{'times': 1.0}, {'times': 2.0}]

        def __init__(self, times: float) -> None:
            self.times = times

        def _process(self, x: np.ndarray, faces: np.ndarray | None) -> np.ndarray:
            return self.times * x

    class Slotless(Doubled):
        """It says not when."""

        slot: ClassVar[str] = 'end'

    class Gridless(Doubled):
        """Nothing to try."""

        grid: ClassVar[Any] = ()

    POSTPROCESSORS.register_module(module=Doubled)
    POSTPROCESSORS.register_module(module=Gridless)
    POSTPROCESSORS.register_module(module=Slotless)
    try:
        labels = made_up(noise=0)[1]
        halved = {v: np.nan_to_num(y) / 2 for v, y in labels.items()}
        assert str(tune(candidates(['Doubled']), halved, labels).pipeline) == 'Doubled(times=2)'
        with pytest.raises(ConfigError, match='no grid'):
            candidates(['Gridless'])
        with pytest.raises(ConfigError, match="its slot 'end' is none of gaps, smoothing, calibration"):
            candidates(['Slotless'])
    finally:
        for name in ('Doubled', 'Gridless', 'Slotless'):
            POSTPROCESSORS.module_dict.pop(name)
