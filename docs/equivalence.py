"""How far this code is from the numbers of the two systems: what the tests of the reference numbers measure.

Run by generate.py. As a plugin of pytest it notes every difference that a test measures with numpy's
``assert_allclose`` or torch's ``assert_close``, and how large that test lets it be. Whenever these tests run,
tests/conftest.py holds them to what the pages say.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]

# What is compared: page, text, tests.
ROWS = [
    ('rucaim3', 'outputs of the four models and all their options, each video on its own',
     'tests/models/test_golden_outputs.py::test_outputs_of_single_videos'),
    ('rucaim3', 'logits of the models with bins',
     'tests/models/test_golden_outputs.py::test_logits_of_the_first_segment'),
    ('rucaim3', 'predictions of converted checkpoints, through the command lines',
     'tests/apis/test_convert_cli.py::test_converted_checkpoint_gives_the_golden_predictions'),
    ('rucaim3', 'losses, gradient norms and weights over ten training steps',
     'tests/models/test_golden_dynamics.py::test_ten_training_steps'),
    ('rucaim3', 'every loss, and its gradient',
     'tests/models/test_losses.py::test_every_golden_value_and_gradient'),
    ('rucaim3', 'learning rates',
     'tests/engine/test_optim.py::test_schedules_of_the_reference'),
    ('rucaim3', 'smoothing, mean',
     'tests/evaluation/test_smoothing.py::test_mean_golden'),
    ('rucaim3', 'smoothing, binomial',
     'tests/evaluation/test_smoothing.py::test_binomial_golden'),
    ('rucaim3', 'normalisation',
     'tests/datasets/test_transforms.py::test_normalisation_equals_the_reference'),
    ('rucaim3', 'centres and bounds of bins',
     'tests/models/test_bins.py::test_centres_bounds_and_classes_of_the_reference'),
    ('tagf', 'TAGF: fused vectors, steps, scores and weights of the gate',
     'tests/models/test_golden_tagf_fusion.py::test_tagf_output_scores_and_weights'),
    ('tagf', 'TAGF: gradients',
     'tests/models/test_golden_tagf_fusion.py::test_tagf_gradients'),
    ('tagf', 'co-attention, one layer',
     'tests/models/test_golden_tagf_fusion.py::test_dense_co_attention'),
    ('tagf', 'co-attention, every step',
     'tests/models/test_golden_tagf_fusion.py::test_every_step'),
    ('tagf', 'BiLSTM of the gate',
     'tests/models/test_golden_tagf_fusion.py::test_lstm_over_steps'),
    ('tagf', 'GRJCA, HGRJCA: steps, weights of the gates, fused vectors, gradients',
     'tests/models/test_golden_grjca.py::test_small'),
    ('tagf', 'LFAN: attention and fused vectors',
     'tests/models/test_leader_follower_fusion.py::test_reference_outputs_and_attention'),
    ('tagf', 'CAN: fused vectors',
     'tests/models/test_channel_attention_fusion.py::test_reference_outputs'),
    ('tagf', 'TCN',
     'tests/models/test_tcn.py::test_reference_outputs'),
    ('tagf', 'IR-50 (faces)',
     'tests/models/test_backbones.py::test_faces_are_the_reference_s'),
    ('tagf', 'VGGish (audio)',
     'tests/models/test_backbones.py::test_sound_is_the_reference_s'),
    ('tagf', 'log-mel',
     'tests/extraction/test_logmel.py::test_spectrogram'),
    ('tagf', 'loss per window, and its gradient',
     'tests/models/test_window_ccc_loss.py::test_reference_value_and_gradient'),
    ('tagf', 'predictions of converted checkpoints, through the command lines',
     'tests/apis/test_convert_tagf_cli.py::test_the_same_numbers'),
    ('tagf', 'learning rates and their plateaus',
     'tests/engine/test_warmup_plateau.py::test_traces_of_the_reference'),
    ('tagf', 'averages of overlapping windows',
     'tests/evaluation/test_tagf_metrics.py::test_windows_are_averaged_and_videos_measured'),
    ('tagf', 'CCC-weighted centring',
     'tests/evaluation/test_ccc_centring.py::test_golden'),
    ('mamba_va', 'selective scan: outputs, what is remembered, gradients',
     'tests/models/test_golden_mamba_va.py::test_selective_scan'),
    ('mamba_va', 'mixer: outputs, what is carried on, gradients of all parameters',
     'tests/models/test_golden_mamba_va.py::test_mixer'),
    ('mamba_va', 'Mamba layers, and gradients',
     'tests/models/test_golden_mamba_va.py::test_block_of_layers'),
    ('mamba_va', 'frame norm and Mamba layers, and gradients',
     'tests/models/test_golden_mamba_va.py::test_frames_are_normalised_before_the_layers'),
    ('mamba_va', 'TCN, and gradients',
     'tests/models/test_golden_mamba_va.py::test_tcn'),
    ('mamba_va', 'whole model, small, and gradients',
     'tests/models/test_golden_mamba_va.py::test_small_model'),
    ('mamba_va', 'predictions of the whole model at full size',
     'tests/models/test_golden_mamba_va.py::test_full_model'),
    ('mamba_va', 'loss, and its gradient',
     'tests/models/test_golden_mamba_va.py::test_losses_and_metric'),
    ('mamba_va', 'learning rates',
     'tests/engine/test_cosine_restarts.py::test_traces_of_the_reference'),
    ('mamba_va', 'predictions of a converted checkpoint, through the command lines',
     'tests/apis/test_convert_mamba_va_cli.py::test_the_same_numbers'),
]  # fmt: skip


class Measured(NamedTuple):
    """What the tests of a row found.

    Attributes:
        difference: the largest, absolute.
        tolerances: every pair (relative, absolute) that they allow.
    """

    difference: float
    tolerances: list[tuple[float, float]]


def reference_numbers() -> Path:
    """Where they lie, if they are on this machine; as in tests/conftest.py."""
    return Path(os.environ.get('ABAWFW_DATA', ROOT.parent / 'shared')) / 'golden'


def measure() -> dict[str, Measured]:
    """Run the tests of ROWS and collect what they measure, by test.

    Raises:
        RuntimeError: one of them failed, or was skipped because the reference's numbers are not there.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / 'found.json'
        done = subprocess.run(
            [
                sys.executable,
                '-m',
                'pytest',
                '-q',
                '-p',
                'equivalence',
                '-p',
                'no:cacheprovider',
                *(t for _, _, t in ROWS),
            ],
            cwd=ROOT,
            env=os.environ | {'PYTHONPATH': str(ROOT / 'docs'), 'EQUIVALENCE_OUT': str(found)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f'tests of the reference numbers do not pass:\n{done.stdout}')
        notes: dict[str, list[tuple[float, float, float]]] = json.loads(found.read_text())
    if lacking := [test for _, _, test in ROWS if test not in notes]:
        raise RuntimeError(f'nothing was measured by {", ".join(lacking)}: are the reference numbers there?')
    return {
        test: Measured(max(d for d, _, _ in rows), sorted({(r, a) for _, r, a in rows}))
        for test, rows in notes.items()
    }


def table(page: str, measured: dict[str, Measured]) -> str:
    """The rows of a page, Markdown.

    Processors round differently, so a difference is the largest measured on any of them: what the page says
    is only ever raised. Delete the row where its test has changed.
    """
    before = {what: float(number) for what, number, _ in _rows(page)}
    lines = ['| compared | difference, at most | the test allows | test |', '| --- | --- | --- | --- |']
    for of, text, test in ROWS:
        if of == page:
            found = measured[test]
            largest = rounded_up(max(found.difference, before.get(text, 0.0)))
            allowed = ', '.join(dict.fromkeys(_tolerance(*pair) for pair in found.tolerances))
            lines.append(f'| {text} | {largest} | {allowed} | `{test.partition("::")[0]}` |')
    return '\n'.join(lines) + '\n'


def rounded_up(value: float) -> str:
    """The next of 1, 3, 10, 30, ... in powers of ten: other machines round otherwise in the last digits."""
    if not value:
        return '0'
    power = math.floor(math.log10(value))
    digit = next(d for d in (1, 3, 10) if value <= d * 10.0**power * (1 + 1e-9))
    return f'1e{power + 1}' if digit == 10 else f'{digit}e{power}'


def _tolerance(relative: float, absolute: float) -> str:
    parts = [f'{absolute:.0e}'.replace('e-0', 'e-')] if absolute else []
    parts += [f'{relative:.0e}'.replace('e-0', 'e-') + ' of the value'] if relative else []
    return ' + '.join(parts) or '0'


def _rows(page: str) -> list[tuple[str, str, str]]:
    """What is compared, the difference at most, and the file of the test, as a page says."""
    text = (ROOT / f'docs/{page}.md').read_text(encoding='utf-8')
    return re.findall(r'^\| (.+?) \| (\d\S*) \| \d.* \| `(tests/.*)` \|$', text, re.MULTILINE)


def limits() -> dict[str, float]:
    """How far each test of ROWS may be from the reference at most, as the pages say.

    Raises:
        ValueError: a page has other rows than ROWS.
    """
    found = {}
    for page in dict.fromkeys(of for of, _, _ in ROWS):
        rows = _rows(page)
        tests = [test for of, _, test in ROWS if of == page]
        expected = [(what, test.partition('::')[0]) for of, what, test in ROWS if of == page]
        if [(what, file) for what, _, file in rows] != expected:
            raise ValueError(f'{page}.md has other rows than docs/equivalence.py: make docs writes them anew')
        found |= dict(zip(tests, (float(number) for _, number, _ in rows), strict=True))
    return found


# --- the plugin

Notes = list[tuple[float, float, float]]  # largest difference, relative and absolute tolerance
_notes: dict[str, Notes] = {}


def _array(value: Any) -> np.ndarray:
    return np.asarray(value.detach().cpu() if hasattr(value, 'detach') else value, dtype=float)


@contextmanager
def noted(module: ModuleType) -> Iterator[Notes]:
    """Note what the comparisons of a test see while it runs.

    Args:
        module: of the test. Its ``assert_nearly_all_close``, by which co-attention is compared, lets one
            element in a thousand be 3e-5 away.
    """
    import torch

    notes: Notes = []
    of_numpy, of_torch = np.testing.assert_allclose, torch.testing.assert_close
    nearly = getattr(module, 'assert_nearly_all_close', None)

    def note(actual: Any, expected: Any, relative: float, absolute: float) -> None:
        difference = np.abs(_array(actual) - _array(expected))
        largest = float(np.nanmax(difference)) if difference.size else 0.0
        notes.append((largest, relative, absolute))

    def assert_allclose(actual: Any, desired: Any, rtol: float = 1e-7, atol: float = 0, **more: Any) -> None:
        note(actual, desired, rtol, atol)
        of_numpy(actual, desired, rtol, atol, **more)

    def assert_close(
        actual: Any, expected: Any, rtol: float | None = None, atol: float | None = None, **more: Any
    ) -> None:
        # torch's own for float32
        note(actual, expected, 1.3e-6 if rtol is None else rtol, 1e-5 if atol is None else atol)
        of_torch(actual, expected, rtol=rtol, atol=atol, **more)

    def assert_nearly_all_close(found: Any, expected: Any) -> None:
        note(found, expected, 0, 3e-5)
        nearly(found, expected)

    with ExitStack() as stack:
        stack.enter_context(patch.object(np.testing, 'assert_allclose', assert_allclose))
        stack.enter_context(patch.object(torch.testing, 'assert_close', assert_close))
        if nearly is not None:
            stack.enter_context(patch.object(module, 'assert_nearly_all_close', assert_nearly_all_close))
        yield notes


@contextmanager
def held(test: str, module: ModuleType) -> Iterator[None]:
    """Hold a test of ROWS to what its page says, while it runs.

    Raises:
        AssertionError: it measured nothing, or a larger difference.
    """
    limit = limits()[test]
    with noted(module) as notes:
        yield
    assert notes, f'{test} compares nothing'
    largest = max(difference for difference, _, _ in notes)
    assert largest <= limit, f'further from the reference ({largest}) than the page says ({limit})'


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: Any) -> Iterator[None]:
    """Note what each test measures."""
    with noted(item.module) as notes:
        yield
    _notes.setdefault(item.nodeid.partition('[')[0], []).extend(notes)


def pytest_sessionfinish() -> None:
    """Write what was noted."""
    Path(os.environ['EQUIVALENCE_OUT']).write_text(json.dumps({test: n for test, n in _notes.items() if n}))
