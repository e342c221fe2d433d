"""The numbers of TAGF's evaluation: agreement of sequences, and of windows put together to videos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from abawfw.errors import DataError
from abawfw.evaluation.functional import Moments, assemble, ccc, moments, pcc, pcc_p_value, rmse
from abawfw.evaluation.va_metric import VAMetric
from abawfw.structures import VABatch, VAClip


@pytest.fixture(scope='module')
def arrays(golden_tagf: Path) -> dict[str, np.ndarray]:
    with np.load(golden_tagf / 'metrics.npz') as stored:
        return {name: stored[name] for name in stored.files}


@pytest.fixture(scope='module')
def expected(golden_tagf: Path) -> dict[str, dict]:
    return json.loads((golden_tagf / 'metrics.json').read_text())


@pytest.mark.parametrize(('case', 'rtol'), [('normal64', 1e-12), ('normal32', 1e-6)])
def test_agreement(arrays: dict[str, np.ndarray], expected: dict[str, dict], case: str, rtol: float) -> None:
    label, output, numbers = arrays['label'], arrays['output'], expected[case]
    if case == 'normal32':
        label, output = label.astype(np.float32), output.astype(np.float32)
    assert rmse(label, output) == pytest.approx(numbers['rmse'], rel=rtol)
    assert pcc(label, output) == pytest.approx(numbers['pcc'][0], rel=rtol)
    assert reference_ccc(label, output) == pytest.approx(numbers['ccc'], rel=rtol)
    p_value = pcc_p_value(pcc(label, output), len(label))
    assert p_value == pytest.approx(expected['normal64']['pcc'][1], rel=1e-4 if rtol > 1e-9 else 1e-9)


def test_perfect_predictions_lack_one_frame(arrays: dict[str, np.ndarray], expected: dict[str, dict]) -> None:
    label = arrays['label']
    assert rmse(label, label) == expected['perfect']['rmse'] == 0
    assert reference_ccc(label, label) == pytest.approx(expected['perfect']['ccc'], rel=1e-12)
    assert reference_ccc(label, label) == pytest.approx(999 / 1000, rel=1e-12)
    assert ccc(label, label) == pytest.approx(1.0, rel=1e-12)


def test_ccc_of_each_column(arrays: dict[str, np.ndarray]) -> None:
    found = [
        reference_ccc(label, output)
        for label, output in zip(
            arrays['label'].reshape(4, 250), arrays['output'].reshape(4, 250), strict=True
        )
    ]
    np.testing.assert_allclose(found, arrays['ccc_2d'][:, 0], rtol=1e-12)


def test_two_frames(arrays: dict[str, np.ndarray], expected: dict[str, dict]) -> None:
    label, output, numbers = arrays['label'][:2], arrays['output'][:2], expected['two_points']
    assert rmse(label, output) == pytest.approx(numbers['rmse'], rel=1e-12)
    assert [pcc(label, output), pcc_p_value(-1.0, 2)] == pytest.approx(numbers['pcc'], rel=1e-12)
    assert reference_ccc(label, output) == pytest.approx(numbers['ccc'], rel=1e-12)


def test_one_frame_has_no_agreement_where_the_reference_fails(
    arrays: dict[str, np.ndarray], expected: dict[str, dict]
) -> None:
    label, output = arrays['label'][:1], arrays['output'][:1]
    assert rmse(label, output) == pytest.approx(expected['one_point']['rmse'], rel=1e-12)
    assert pcc(label, output) == ccc(label, output) == 0.0


def test_constants_have_no_agreement(arrays: dict[str, np.ndarray], expected: dict[str, dict]) -> None:
    label, constant = arrays['label'], np.full(1000, 0.3)
    assert ccc(label, constant) == pytest.approx(expected['const_output']['ccc'], abs=1e-12)
    assert ccc(constant, constant) == expected['const_both_equal']['ccc'] == 0
    assert ccc(constant, constant - 0.5) == expected['const_both_diff']['ccc'] == 0
    assert pcc(label, constant) == pcc(constant, constant) == 0  # NaN in the reference
    assert rmse(constant, constant - 0.5) == pytest.approx(expected['const_both_diff']['rmse'], rel=1e-12)


def test_predictions_that_are_not_finite_are_refused(arrays: dict[str, np.ndarray]) -> None:
    for case, frames, first in (('output_nan', 2, 3), ('output_inf', 1, 7)):
        with pytest.raises(DataError, match=f'not finite in {frames} frames?, first in frame {first}'):
            ccc(arrays['label'], arrays[case])
    with pytest.raises(DataError, match='no frame has a label'):
        ccc(np.full(5, np.nan), np.zeros(5))


def test_frames_without_label_are_left_out_of_all_terms(arrays: dict[str, np.ndarray]) -> None:
    label, output = arrays['label_nan'], arrays['output']
    assert np.isnan(label).sum() == 1
    rest = np.delete(label, 10), np.delete(output, 10)
    for measure in (rmse, pcc, ccc):
        assert measure(label, output) == measure(*rest)


def test_windows_are_averaged_and_videos_measured(golden_tagf: Path) -> None:
    with np.load(golden_tagf / 'overlap_average.npz') as stored:
        numbers = {name: stored[name] for name in stored.files}
    metrics = json.loads((golden_tagf / 'overlap_metrics.json').read_text())
    assert sorted(numbers['order']) == list(range(10))
    labels, outputs = [], []
    for trial in numbers['trial_order_seen']:
        label, average = numbers[f'label_{trial}'], numbers[f'avg_{trial}']
        windows = [
            (numbers['win_start'][i], numbers['win_output'][i, : numbers['win_len'][i]])
            for i in numbers['order']
            if numbers['win_trial'][i] == trial
        ]
        found = assemble(windows, len(label), trial)[:, 0]
        np.testing.assert_allclose(found, average, rtol=0, atol=1e-7)
        check(label, found, metrics[trial])
        labels.append(label)
        outputs.append(found)
    check(np.concatenate(labels), np.concatenate(outputs), metrics['overall'])
    pooled = Moments.pool(moments(label, output) for label, output in zip(labels, outputs, strict=True))
    assert pooled.ccc == pytest.approx(ccc(np.concatenate(labels), np.concatenate(outputs)), rel=1e-12)


def test_the_metric_of_a_run_says_the_same(golden_tagf: Path) -> None:
    with np.load(golden_tagf / 'overlap_average.npz') as stored:
        numbers = {name: stored[name] for name in stored.files}
    expected = json.loads((golden_tagf / 'overlap_metrics.json').read_text())['overall']
    metric = VAMetric(targets=['valence'])
    for batch in np.split(numbers['order'], [4, 8]):
        samples = []
        for i in batch:
            trial, start, n = (
                str(numbers['win_trial'][i]),
                int(numbers['win_start'][i]),
                int(numbers['win_len'][i]),
            )
            label = numbers[f'label_{trial}']
            gt_va = torch.from_numpy(np.tile(label[start : start + n, None], 2))
            valid = torch.ones(n, dtype=torch.bool)
            sample = VABatch.of(
                [VAClip(trial, start, n, len(label), 0, not start, gt_va, valid, valid[:, None])]
            )
            sample.pred_va = torch.from_numpy(numbers['win_output'][None, i, :n])
            samples.append(sample)
        metric.process(None, samples)
    found = metric.evaluate(10)
    assert found['pcc_valence'] == pytest.approx(expected['pcc'][0], rel=1e-6)
    assert found['rmse_valence'] == pytest.approx(expected['rmse'], rel=1e-6)
    frames = sum(len(numbers[f'label_{trial}']) for trial in numbers['trial_order_seen'])
    # ours has biased variances
    assert found['ccc_valence'] == pytest.approx(expected['ccc'], abs=1 / frames)


def check(label: np.ndarray, output: np.ndarray, numbers: dict) -> None:
    assert rmse(label, output) == pytest.approx(numbers['rmse'], rel=1e-6)
    assert pcc(label, output) == pytest.approx(numbers['pcc'][0], rel=1e-6)
    assert pcc_p_value(numbers['pcc'][0], len(label)) == pytest.approx(numbers['pcc'][1], rel=1e-6, abs=1e-30)
    assert reference_ccc(label, output) == pytest.approx(numbers['ccc'], rel=1e-6)


def reference_ccc(label: np.ndarray, output: np.ndarray) -> float:
    """The CCC of the package with the reference's variances, over n - 1; its covariance is over n as well."""
    distance = (label.mean() - output.mean()) ** 2
    biased, unbiased = (label.var(ddof=d) + output.var(ddof=d) + distance for d in (0, 1))
    return float(ccc(label, output) * biased / unbiased)
