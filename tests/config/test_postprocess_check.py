"""What is wrong with a config's post-processing is told before anything is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from abawfw.config.check import config_problems
from abawfw.config.loading import VAConfig, load_config

CONFIG = Path(__file__).parents[2] / 'configs' / 'rucaim3' / 'transformer_affwild2.py'
LIST = "must be a list such as [dict(type='MeanSmoothing', window=50)], not "


def problems(postprocess: Any) -> list[str]:
    cfg = load_config(CONFIG).to_dict()
    return config_problems(VAConfig({**cfg, 'postprocess': postprocess}))


@pytest.mark.parametrize(
    'right',
    [
        [],
        [{'type': 'GapInterpolation', 'limit': 5}, {'type': 'MeanSmoothing', 'window': 3}],
        {'valence': [{'type': 'AffineCalibration'}]},
        {'valence': [{'type': 'AffineCalibration', 'slope': 1.1, 'intercept': 0.0}], 'arousal': []},
    ],
)
def test_right(right: Any) -> None:
    assert problems(right) == []


@pytest.mark.parametrize(
    ('wrong', 'line'),
    [
        (
            [{'type': 'MeanSmothing', 'window': 3}],
            "postprocess[0]: no postprocessor is called 'MeanSmothing': did you mean 'MeanSmoothing'?",
        ),
        (
            {'valence': [{'type': 'GaussianSmoothing', 'sgma': 3, 'sigma': 3}]},
            "postprocess.valence[0].sgma: GaussianSmoothing has no such argument: did you mean 'sigma'?",
        ),
        ([{'type': 'MeanSmoothing'}], "postprocess[0]: MeanSmoothing needs the argument 'window'"),
        ([{'window': 3}], "postprocess[0]: 'type' is missing: which postprocessor?"),
        (
            {'valense': []},
            "postprocess.valense: the run has no such target: did you mean 'valence'?",
        ),
        (
            {'type': 'MeanSmoothing', 'window': 3},
            f"postprocess: {LIST}{{'type': 'MeanSmoothing', 'window': 3}}",
        ),
        ({'arousal': ['MeanSmoothing']}, f"postprocess.arousal: {LIST}['MeanSmoothing']"),
        (3, f'postprocess: {LIST}3'),
    ],
)
def test_wrong(wrong: Any, line: str) -> None:
    assert problems(wrong) == [line]
