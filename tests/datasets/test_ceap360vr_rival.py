"""The mean curve of a stimulus, against a computation with pandas."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest

from abawfw.datasets.importers.ceap360vr_features import stimulus_mean_ccc


def table(path, target):
    with h5py.File(path) as file:
        return pd.concat(
            pd.DataFrame({'stimulus': name[-2:], 'frame': np.arange(len(g[target])), 'value': g[target][()]})
            for name, g in file.items()
        )


def test_mean_curve_of_each_stimulus(shared):
    root = shared / 'data' / 'ceap360vr'
    found = stimulus_mean_ccc(root)
    for target in ('valence', 'arousal'):
        train = table(root / 'targets' / 'train_valid_targets.h5', target)
        val = table(root / 'targets' / 'val_valid_targets.h5', target)
        mean = train.groupby(['stimulus', 'frame'], as_index=False).value.mean()
        joined = val.merge(mean, on=['stimulus', 'frame'], suffixes=('', '_rival'))
        x, y = joined.value.astype('float64'), joined.value_rival
        covariance = np.cov(x, y, ddof=0)
        expected = 2 * covariance[0, 1] / (np.trace(covariance) + (x.mean() - y.mean()) ** 2)
        assert found[target] == pytest.approx(expected, abs=1e-6)
