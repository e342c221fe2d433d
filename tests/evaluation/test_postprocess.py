"""Every step of post-processing: its plain definition, short videos, edges, and what it refuses."""

from __future__ import annotations

import importlib
import inspect
from functools import partial
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import Moments, ccc, moments, pcc
from abawfw.evaluation.postprocess import (
    AffineCalibration,
    BinomialSmoothing,
    ExponentialSmoothing,
    GapInterpolation,
    GaussianSmoothing,
    MeanSmoothing,
    MedianSmoothing,
    Pipeline,
    Postprocessor,
    ReplicatedSmoothing,
    SavitzkyGolaySmoothing,
)
from abawfw.registry import POSTPROCESSORS

SEQUENCES = arrays(np.float64, st.integers(1, 60), elements=st.floats(-5, 5))
WINDOWS = st.integers(0, 40)
KERNELS = st.one_of(
    st.builds(MeanSmoothing, WINDOWS),
    st.builds(BinomialSmoothing, WINDOWS),
    st.builds(GaussianSmoothing, st.floats(0, 40)),
    st.builds(MedianSmoothing, WINDOWS),
    st.builds(ExponentialSmoothing, st.floats(0, 200)),
    st.builds(ReplicatedSmoothing, WINDOWS, st.sampled_from(['equal', 'gaussian'])),
    st.tuples(WINDOWS, st.integers(0, 3)).map(lambda a: SavitzkyGolaySmoothing(a[0], min(a[1], 2 * a[0]))),
)
STEPS = st.one_of(KERNELS, st.builds(GapInterpolation, st.integers(0, 60)))


@pytest.fixture(scope='module', autouse=True)
def imported() -> None:
    """Steps import scipy where they use it; the first example of a test must not take the time of that."""
    for name in ('scipy.ndimage', 'scipy.signal', 'pandas'):
        importlib.import_module(name)


def masks(draw: st.DrawFn, x: np.ndarray) -> np.ndarray:
    return np.array(draw(st.lists(st.booleans(), min_size=len(x), max_size=len(x))), dtype=bool)


def plain(x: np.ndarray, weight: Any) -> np.ndarray:
    """The weighted mean over the frames that exist, one frame at a time."""
    frames = np.arange(len(x))
    weights = np.array([[weight(abs(int(s - t))) for s in frames] for t in frames])
    return (weights * x).sum(axis=1) / weights.sum(axis=1)


@given(STEPS, SEQUENCES, st.data())
def test_length_stays_and_every_value_is_finite(step: Postprocessor, x: np.ndarray, data: Any) -> None:
    before = x.copy()
    found = step(x, masks(data.draw, x))
    assert found.dtype == np.float64
    assert found.shape == x.shape
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(x, before)


@given(STEPS, st.integers(1, 90), st.floats(-1, 1), st.data())
def test_constants_stay_constant(step: Postprocessor, length: int, value: float, data: Any) -> None:
    x = np.full(length, value)
    np.testing.assert_allclose(step(x, masks(data.draw, x)), x, rtol=0, atol=1e-12)


@given(KERNELS, SEQUENCES)
def test_kernels_know_no_direction_of_time(step: Postprocessor, x: np.ndarray) -> None:
    np.testing.assert_allclose(step(x[::-1]), step(x)[::-1], rtol=0, atol=1e-9)


@given(SEQUENCES, WINDOWS)
def test_mean(x: np.ndarray, window: int) -> None:
    expected = plain(x, lambda k: float(k <= window))
    np.testing.assert_allclose(MeanSmoothing(window)(x), expected, rtol=0, atol=1e-11)


@given(SEQUENCES, WINDOWS)
def test_binomial(x: np.ndarray, window: int) -> None:
    def weight(k: int) -> float:
        return comb(2 * window, window + k) / 4**window if k <= window else 0.0

    np.testing.assert_allclose(BinomialSmoothing(window)(x), plain(x, weight), rtol=0, atol=1e-10)


@given(SEQUENCES, st.floats(0.05, 40))
def test_gaussian(x: np.ndarray, sigma: float) -> None:
    def weight(k: int) -> float:
        return float(np.exp(-0.5 * (k / sigma) ** 2)) if k <= int(4 * sigma + 0.5) else 0.0

    np.testing.assert_allclose(GaussianSmoothing(sigma)(x), plain(x, weight), rtol=0, atol=1e-10)


@given(SEQUENCES, st.floats(0.01, 500))
def test_exponential(x: np.ndarray, time_constant: float) -> None:
    expected = plain(x, lambda k: float(np.exp(-k / time_constant)))
    np.testing.assert_allclose(ExponentialSmoothing(time_constant)(x), expected, rtol=0, atol=1e-9)


def test_exponential_mean_of_the_past(golden_2025: Path) -> None:
    """At the last frame of a video nothing is ahead: team RAS's one-sided average, but for its first value.

    Of frame t that is .3 of x[t] and .7 of the one before, from x[0] on, which so counts for all that would
    be before it: .7 ** (t + 1) of the whole.
    """
    with np.load(golden_2025 / 'ras/postprocess.npz') as arrays:
        x, expected = arrays['x'].astype(float), arrays['ema_0.3']
    before = 0.7 ** np.arange(1, len(x) + 1)
    step = ExponentialSmoothing(-1 / np.log(0.7))
    found = np.array([step(x[: t + 1])[-1] for t in range(len(x))])
    np.testing.assert_allclose(before * x[0] + (1 - before) * found, expected, rtol=0, atol=1e-6)


@given(SEQUENCES, WINDOWS)
def test_median(x: np.ndarray, window: int) -> None:
    expected = [np.median(x[max(0, t - window) : t + window + 1]) for t in range(len(x))]
    np.testing.assert_allclose(MedianSmoothing(window)(x), expected, rtol=0, atol=1e-14)


@given(SEQUENCES, st.integers(0, 20), st.integers(0, 4))
def test_savitzky_golay(x: np.ndarray, window: int, order: int) -> None:
    """A polynomial by least squares for every frame, that of the outermost whole windows at the ends."""
    order = min(order, 2 * window)
    width = min(2 * window + 1, len(x))
    expected = []
    for t in range(len(x)):
        start = min(max(t - window, 0), len(x) - width)
        frames = np.arange(start, start + width)
        powers = np.vander((frames - t) / max(width, 1), min(order, width - 1) + 1, increasing=True)
        expected.append(np.linalg.lstsq(powers, x[frames], rcond=None)[0][0])
    np.testing.assert_allclose(SavitzkyGolaySmoothing(window, order)(x), expected, rtol=0, atol=1e-7)


@given(st.integers(1, 300), st.integers(1, 60), st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_savitzky_golay_keeps_polynomials(n: int, window: int, a: float, b: float, c: float) -> None:
    t = np.linspace(-1, 1, n)
    x = a + b * t + c * t**2
    np.testing.assert_allclose(SavitzkyGolaySmoothing(window, 2)(x), x, rtol=0, atol=1e-9)


@given(st.sampled_from([10, 50, 190, 1000, 5000]), st.integers(0, 10), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_savitzky_golay_keeps_its_digits_in_any_window(window: int, order: int, seed: int) -> None:
    """At a frame of each part of a video, by least squares with Chebyshev polynomials."""
    x = np.random.default_rng(seed).normal(size=3 * window + 1)
    found = SavitzkyGolaySmoothing(window, order)(x)
    whole = 2 * window + 1
    for t, start in ((1, 0), (window + window // 2, window // 2), (len(x) - 2, len(x) - whole)):
        frames = np.arange(start, start + whole)
        expected = np.polynomial.Chebyshev.fit(frames, x[frames], order)(t)
        assert found[t] == pytest.approx(expected, rel=0, abs=1e-9)


@given(SEQUENCES, st.integers(0, 60), st.data())
def test_gaps(x: np.ndarray, limit: int, data: Any) -> None:
    """Each frame on its own: the nearest faces to the left and to the right, and the line between them."""
    faces = masks(data.draw, x)
    expected = x.copy()
    for t in np.flatnonzero(~faces):
        left, right = np.flatnonzero(faces[:t]), t + np.flatnonzero(faces[t:])
        before, after = (left[-1] if len(left) else None), (right[0] if len(right) else None)
        length = (len(x) if after is None else after) - (-1 if before is None else before) - 1
        if length > limit or (before is None and after is None):
            continue
        if before is None or after is None:
            expected[t] = x[after if before is None else before]
        else:
            expected[t] = x[before] + (x[after] - x[before]) * (t - before) / (after - before)
    np.testing.assert_allclose(GapInterpolation(limit)(x, faces), expected, rtol=0, atol=1e-12)


def test_gaps_need_the_frames_with_a_face() -> None:
    with pytest.raises(DataError, match='which are unknown'):
        GapInterpolation(3)([0.1, 0.2])
    with pytest.raises(DataError, match=r'2 predictions, but a mask of faces of shape \(3,\)'):
        GapInterpolation(3)([0.1, 0.2], [True, False, True])
    with pytest.raises(DataError, match='video b: GapInterpolation needs'):
        Pipeline([GapInterpolation(3)]).videos({'a': [0.1], 'b': [0.1]}, {'a': [True], 'b': None})


@given(st.integers(0, 2**32), st.floats(0.05, 3), st.floats(-1, 1))
def test_calibration(seed: int, scale: float, shift: float) -> None:
    rng = np.random.default_rng(seed)
    true = rng.uniform(-1, 1, 50)
    pred = scale * (true + rng.normal(0, 0.5, 50)) + shift
    step = AffineCalibration().fit(moments(true, pred))
    found = step(pred)
    assert found.mean() == pytest.approx(true.mean(), abs=1e-9)
    assert found.std() == pytest.approx(true.std(), abs=1e-9)
    assert ccc(true, found) == pytest.approx(pcc(true, pred), abs=1e-9)
    assert step.fitted
    assert AffineCalibration(step.slope, step.intercept)(pred) == pytest.approx(found)


def test_calibration_of_what_does_not_vary_shifts() -> None:
    step = AffineCalibration().fit(moments([0.0, 0.4], [0.5, 0.5]))
    assert (step.slope, step.intercept) == (1.0, pytest.approx(-0.3))


def test_calibration_that_is_not_fitted() -> None:
    assert not AffineCalibration().fitted
    with pytest.raises(ConfigError, match=r'not fitted; python tools/test\.py RUN fits it on val'):
        AffineCalibration()([0.1])
    with pytest.raises(ConfigError, match='give both, or none'):
        AffineCalibration(slope=2.0)


@pytest.mark.parametrize('size', [2, 7, 9, 11, 13])
def test_replicated_ends_of_the_reference(golden_2025: Path, size: int) -> None:
    """Team RAS gives windows in all their frames, of which an even number is one more."""
    with np.load(golden_2025 / 'ras/postprocess.npz') as arrays:
        for weights, name in (('equal', 'moving_average'), ('gaussian', 'gaussian')):
            found = ReplicatedSmoothing(size // 2, weights)(arrays['x'])
            np.testing.assert_allclose(found, arrays[f'{name}_{size}'], rtol=0, atol=1e-6)


@pytest.mark.parametrize('weights', ['equal', 'gaussian'])
def test_replicated_ends_of_a_video_shorter_than_the_window(weights: str) -> None:
    x = np.array([1.0, -2.0, 4.0])
    long = np.concatenate([np.full(20, 1.0), x, np.full(20, 4.0)])
    expected = ReplicatedSmoothing(8, weights)(long)[20:23]
    np.testing.assert_allclose(ReplicatedSmoothing(8, weights)(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('length', [0, 1, 3, 10, 400])
def test_long_windows_on_short_videos(length: int) -> None:
    """Far beyond the video, a kernel averages all of it."""
    x = np.random.default_rng(length).normal(size=length)
    steps = (
        MeanSmoothing(10**9),
        BinomialSmoothing(10**9),
        GaussianSmoothing(1e9),
        ExponentialSmoothing(1e9),
    )
    for step in steps:
        np.testing.assert_allclose(step(x), np.full(length, x.mean() if length else 0), atol=1e-6)
    np.testing.assert_allclose(MedianSmoothing(10**9)(x), np.full(length, np.median(x) if length else 0))


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: MeanSmoothing(-1), r'MeanSmoothing\(window=-1\): it must be a whole number of frames'),
        (lambda: BinomialSmoothing(1.5), r'BinomialSmoothing\(window=1\.5\)'),
        (lambda: MedianSmoothing('a'), r"MedianSmoothing\(window='a'\)"),
        (lambda: GaussianSmoothing(-0.1), r'GaussianSmoothing\(sigma=-0\.1\): it must be a finite number'),
        (lambda: GaussianSmoothing('a'), r"GaussianSmoothing\(sigma='a'\)"),
        (lambda: ExponentialSmoothing(float('inf')), r'ExponentialSmoothing\(time_constant=inf\)'),
        (lambda: ExponentialSmoothing(float('nan')), r'ExponentialSmoothing\(time_constant=nan\)'),
        (lambda: GapInterpolation(-3), r'GapInterpolation\(limit=-3\)'),
        *(
            (partial(component, value), rf'\({name}=.*\): .*, from 0 to 1,000,000,000$')
            for component, name in (
                (MeanSmoothing, 'window'),
                (BinomialSmoothing, 'window'),
                (MedianSmoothing, 'window'),
                (GaussianSmoothing, 'sigma'),
                (ExponentialSmoothing, 'time_constant'),
                (GapInterpolation, 'limit'),
                (partial(SavitzkyGolaySmoothing, order=2), 'window'),
            )
            for value in (10**9 + 1, 10**400, 1e308)
        ),
        (
            lambda: SavitzkyGolaySmoothing(100, 150),
            r'SavitzkyGolaySmoothing\(order=150\): it must be a whole number, from 0 to 10$',
        ),
        (lambda: AffineCalibration(1e308, 0.0), r'AffineCalibration\(slope=1e\+308\): .*, from -1e\+100'),
        (lambda: AffineCalibration(1, 10**400), r'AffineCalibration\(intercept=1000+\): .* to 1e\+100$'),
        (lambda: AffineCalibration(1, float('nan')), r'AffineCalibration\(intercept=nan\)'),
        (lambda: ReplicatedSmoothing(10**6 + 1), r'ReplicatedSmoothing\(window=1000001\): .*1,000,000$'),
        (lambda: ReplicatedSmoothing(1, 'flat'), "weights='flat'.: choose from equal, gaussian"),
        (lambda: SavitzkyGolaySmoothing(1, 3), '3 frames fix a polynomial of degree 2 at most'),
    ],
)
def test_arguments_that_cannot_be(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_predictions_that_cannot_be() -> None:
    with pytest.raises(DataError, match='first in frame 1'):
        MeanSmoothing(1)([0.0, np.nan])
    with pytest.raises(DataError, match=r'\(2, 1\)'):
        MeanSmoothing(1)(np.zeros((2, 1)))


def test_every_registered_step_can_be_searched_and_written_down() -> None:
    POSTPROCESSORS.import_from_location()
    steps = [c for c in POSTPROCESSORS.module_dict.values() if c.__module__.startswith('abawfw.')]
    assert len(steps) == 9
    for component in steps:
        for arguments in component.grid:
            step = component(**arguments)
            assert POSTPROCESSORS.build(step.settings()).settings() == step.settings()
            assert {k: v for k, v in step.settings().items() if k != 'type'} == arguments
        assert inspect.getdoc(component)


def test_pipeline_goes_step_by_step_and_clips_last() -> None:
    x, faces = np.array([0.0, 9.0, 0.2, 3.0]), np.array([True, False, True, True])
    steps = [GapInterpolation(1), MeanSmoothing(1), AffineCalibration(2.0, -0.5)]
    bridged = np.array([0.0, 0.1, 0.2, 3.0])
    smoothed = np.array([0.05, 0.1, bridged[1:].mean(), 1.6])
    pipeline = Pipeline(steps)
    np.testing.assert_allclose(pipeline.unclipped(x, faces), 2 * smoothed - 0.5)
    np.testing.assert_allclose(pipeline(x, faces), [-0.4, -0.3, 1.0, 1.0])
    np.testing.assert_allclose(pipeline.videos({'v': x}, {'v': faces})['v'], pipeline(x, faces))
    np.testing.assert_allclose(Pipeline()(x), [0.0, 1.0, 0.2, 1.0])
    assert str(Pipeline()) == 'as it is'
    assert pipeline.texts() == [
        'GapInterpolation(limit=1)',
        'MeanSmoothing(window=1)',
        'AffineCalibration(slope=2, intercept=-0.5)',
    ]
    again = Pipeline.build(pipeline.settings())
    np.testing.assert_array_equal(again(x, faces), pipeline(x, faces))
    assert pipeline.window is None
    assert Pipeline.of(7).window == 7


def test_all_values_that_cannot_be_are_told_with_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    class Halved(MeanSmoothing):
        """A step of the user's that looks at nothing."""

        def __init__(self, of: Any) -> None:
            super().__init__(of / 2)

    POSTPROCESSORS.import_from_location()
    monkeypatch.setitem(POSTPROCESSORS.module_dict, 'Halved', Halved)
    wrong = [
        {'type': 'MeanSmoothing', 'window': -1},
        {'type': 'AffineCalibration'},
        {'type': 'Nope'},
        {'type': 'Halved', 'of': 'x'},
    ]
    lines = [
        r'%s\[0\]: MeanSmoothing\(window=-1\): it must be .*',
        r"%s\[2\]: no postprocessor is called 'Nope'; .*",
        r'%s\[3\]: TypeError: .*unsupported operand.*',
    ]
    with pytest.raises(ConfigError, match='^' + '\n'.join(line % 'postprocess' for line in lines) + '$'):
        Pipeline.by_target(wrong, ['valence', 'arousal'])
    by_target = {'arousal': wrong[:1], 'valence': [wrong[1], wrong[0]], 'other': wrong}
    places = [r'postprocess\.valence\[1\]: Mean.*', r'postprocess\.arousal\[0\]: Mean.*']
    with pytest.raises(ConfigError, match='^' + '\n'.join(places) + '$'):
        Pipeline.by_target(by_target, ['valence', 'arousal'])
    good = Pipeline.by_target({'arousal': [{'type': 'MeanSmoothing', 'window': 3}]}, ['valence', 'arousal'])
    assert {target: pipeline.window for target, pipeline in good.items()} == {'arousal': 3}


def test_a_step_is_fitted_to_what_the_steps_before_it_give() -> None:
    rng = np.random.default_rng(0)
    labels = {v: rng.uniform(-1, 1, n) for v, n in (('a', 40), ('b', 7))}
    preds = {v: 0.3 * y + rng.normal(0.2, 0.3, len(y)) for v, y in labels.items()}
    labels['a'][:5] = np.nan
    fitted = Pipeline([MeanSmoothing(2), AffineCalibration(), MedianSmoothing(1)]).fit(preds, labels)
    assert fitted.fitted
    smoothed = np.concatenate([MeanSmoothing(2)(x) for x in preds.values()])
    true = np.concatenate(list(labels.values()))
    known = np.isfinite(true)
    step = fitted.steps[1]
    assert isinstance(step, AffineCalibration)
    assert step.slope == pytest.approx(true[known].std() / smoothed[known].std())
    assert step.intercept == pytest.approx(true[known].mean() - step.slope * smoothed[known].mean())
    assert not Pipeline([AffineCalibration()]).fitted
    with pytest.raises(DataError, match='no frame has a label'):
        AffineCalibration().fit(Moments())
