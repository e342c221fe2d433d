"""Bins against the reference's numbers, and labels that lie exactly on a bound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from abawfw.errors import ConfigError
from abawfw.models.heads import make_bins

TARGETS = ('valence', 'arousal')
KINDS = {'uniform': 'unweighted', 'weighted': 'weighted'}


@pytest.mark.parametrize('kind', KINDS)
def test_centres_bounds_and_classes_of_the_reference(golden: Path, kind: str) -> None:
    bins = make_bins(kind, TARGETS, ends=True)
    with np.load(golden / 'bins.npz') as stored:
        grid = torch.from_numpy(stored['grid'])
        classes = bins.classes_of(torch.stack([grid, grid], -1))
        for column, target in enumerate(TARGETS):
            name = f'{KINDS[kind]}/{target}'
            bounds = stored[f'{name}/bounds']
            np.testing.assert_allclose(bins.centres[column], stored[f'{name}/centers'], rtol=0, atol=1e-7)
            np.testing.assert_allclose(bins.bounds[column], bounds, rtol=0, atol=1e-7)
            # The reference puts labels exactly on a bound into class 0 (spec, defect 8).
            off = np.abs(stored['grid'][:, None] - bounds).min(1) > 1e-6
            assert off.sum() > 1970
            np.testing.assert_array_equal(classes[off, column], stored[f'{name}/labels_of_grid'][off])


def test_labels_on_a_bound_belong_above_it() -> None:
    bins = make_bins('uniform', ['valence'], ends=True)
    label = torch.tensor([-1.0, -0.975, -0.9, -0.8, -0.1, 0.0, 0.1, 0.7, 0.8, 0.9, 0.975, 1.0]).unsqueeze(-1)
    assert bins.classes_of(label).squeeze(-1).tolist() == [0, 1, 2, 3, 10, 11, 12, 18, 19, 20, 21, 21]


def test_without_ends_twenty_classes_cover_everything() -> None:
    bins = make_bins('uniform', ['valence'], ends=False)
    np.testing.assert_allclose(bins.centres[0], np.arange(20) / 10 - 0.95, atol=1e-7)
    label = torch.tensor([-1.0, -0.95, -0.9, 0.0, 0.85, 0.9, 1.0]).unsqueeze(-1)
    assert bins.classes_of(label).squeeze(-1).tolist() == [0, 0, 1, 10, 18, 19, 19]


def test_weighted_bins_differ_between_targets() -> None:
    bins = make_bins('weighted', TARGETS, ends=True)
    assert bins.classes_of(torch.tensor([0.1, 0.1])).tolist() == [10, 5]


def test_no_label_has_no_class() -> None:
    label = torch.tensor([[float('nan'), 0.05], [0.05, float('nan')]])
    assert make_bins('uniform', TARGETS, ends=True).classes_of(label).tolist() == [[-1, 11], [11, -1]]


@given(st.floats(-1, 1, width=32), st.sampled_from(sorted(KINDS)), st.sampled_from(TARGETS), st.booleans())
def test_a_label_lies_within_the_bounds_of_its_class(
    value: float, kind: str, target: str, ends: bool
) -> None:
    bins = make_bins(kind, [target], ends)
    k = int(bins.classes_of(torch.tensor([value])))
    low, high = bins.bounds[0, k].item(), bins.bounds[0, k + 1].item()
    assert low <= value < high or value == high == 1
    assert low <= bins.centres[0, k].item() <= high


def test_what_there_are_no_bins_for_is_refused() -> None:
    with pytest.raises(ConfigError, match="bins='even' is unknown; choose 'uniform' or 'weighted'"):
        make_bins('even', TARGETS, ends=True)
    with pytest.raises(ConfigError, match="not for 'dominance'; use 'uniform'"):
        make_bins('weighted', ['dominance'], ends=True)


@pytest.mark.parametrize('ends', [True, False])
@pytest.mark.parametrize('kind', KINDS)
def test_probabilities_of_bins_around_a_label(kind: str, ends: bool) -> None:
    """Against counts of a label with a normal error that stays between -1 and 1."""
    bins = make_bins(kind, TARGETS, ends)
    label = torch.tensor([[0.33, -0.95], [float('nan'), 1.0]])
    found = bins.probabilities_of(label, 0.1)
    assert (found[1, 0] == -1).all()
    rng = np.random.default_rng(0)
    for row, column in ((0, 0), (0, 1), (1, 1)):
        drawn = rng.normal(label[row, column].item(), 0.1, 200_000)
        drawn = drawn[abs(drawn) <= 1]
        counts = np.histogram(drawn, bins.bounds[column].double().numpy())[0]
        np.testing.assert_allclose(found[row, column], counts / len(drawn), rtol=0, atol=0.005)
        assert found[row, column].sum().item() == pytest.approx(1, abs=1e-6)


@given(st.floats(-1, 1, width=32), st.sampled_from(sorted(KINDS)), st.booleans())
def test_without_an_error_to_speak_of_the_bin_of_the_label_has_all(
    label: float, kind: str, ends: bool
) -> None:
    bins = make_bins(kind, TARGETS, ends)
    labels = torch.tensor([label, label])
    apart = (labels[:, None] - bins.bounds[:, 1:-1]).abs().amin(-1)
    found, classes = bins.probabilities_of(labels, 1e-6), bins.classes_of(labels)
    for column in (apart > 1e-5).nonzero()[:, 0].tolist():
        assert found[column, classes[column]].item() == pytest.approx(1, abs=1e-5)
