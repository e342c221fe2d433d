"""The estimator with the reference's weights gives the reference's outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from abawfw.models.convert.rucaim3 import convert_rucaim3
from abawfw.registry import MODELS
from abawfw.structures import VABatch, VAClip

CASES = (
    'transformer',
    'transformer_nope',
    'transformer_valence',
    'transformer_ce',
    'transformer_ce_weighted',
    'transformer_lstm_res_y',
    'transformer_lstm_res_n',
    'transformer_lstm_ce',
    'transformer_attention_multihead',
    'transformer_attention_single',
    'transformer_attention_none',
    'transformer_attention_multihead_unlimited',
    'transformer_attention_multihead_cap',
    'fclstm_xl',
    'fclstm_xl_cls20',
)
# Two targets in 22 bins: the reference scrambles the centres, so only the logits can be compared.
SCRAMBLED = ('transformer_ce', 'transformer_ce_weighted', 'transformer_lstm_ce')


def load_case(golden: Path, size: str, case: str, tmp_path: Path) -> tuple[Any, dict[str, Any]]:
    """The estimator of a case with its weights, and the options it was trained with."""
    folder = golden / f'weights_{size}'
    if not folder.is_dir():
        pytest.skip(f'no golden numbers of size {size} here')
    info = json.loads((golden / 'cases.json').read_text())[size][case]
    for weights in (folder / info['weights']).glob('*.pth'):
        (tmp_path / weights.name).symlink_to(weights)
    (tmp_path / 'train_opt.conf').symlink_to(folder / case / 'train_opt.conf')
    weights, cfg, options = convert_rucaim3(tmp_path, 'golden')
    with np.load(golden / f'inputs_{size}.npz') as inputs:
        dims = dict(zip(inputs['feature_names'].tolist(), inputs['feature_dims'].tolist(), strict=True))
    assert list(dims) == options['features']
    model = MODELS.build({**cfg, 'input_dims': dims})
    model.load_state_dict(weights)
    return model, options


def split_features(feature: np.ndarray, dims: dict[str, int]) -> dict[str, torch.Tensor]:
    parts = torch.from_numpy(feature).split(list(dims.values()), dim=-1)
    return dict(zip(dims, parts, strict=True))


def predict_video(model: nn.Module, feature: np.ndarray, length: int) -> np.ndarray:
    """Predictions of one video, (frames, targets), run segment by segment on its own."""
    model.eval()
    dims = model.input_dims
    found = []
    for start in range(0, len(feature), length):
        part = feature[None, start : start + length]
        frames = part.shape[1]
        sample = VAClip(
            video_id='x',
            start=start,
            num_frames=frames,
            video_length=len(feature),
            lane=0,
            starts_video=start == 0,
            gt_va=torch.full((frames, 2), torch.nan),
            valid=torch.ones(frames, dtype=torch.bool),
            observed=torch.ones(frames, len(dims), dtype=torch.bool),
        )
        data = {'inputs': split_features(part, dims), 'data_samples': VABatch.of([sample])}
        with torch.no_grad():
            found.append(model.val_step(data)[0].predictions()[0].numpy())
    return np.concatenate(found)


@pytest.mark.parametrize('size', ['mini', 'full'])
@pytest.mark.parametrize('case', [c for c in CASES if c not in SCRAMBLED])
def test_outputs_of_single_videos(golden: Path, tmp_path: Path, size: str, case: str) -> None:
    model, options = load_case(golden, size, case, tmp_path)
    with np.load(golden / f'inputs_{size}.npz') as inputs, np.load(golden / f'outputs_{size}.npz') as outputs:
        for i, length in enumerate(inputs['length']):
            got = predict_video(model, inputs['feature'][i, :length], options['segment_length'])
            expected = outputs[f'{case}/solo{i}'][0].reshape(length, -1)
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('size', ['mini', 'full'])
@pytest.mark.parametrize('case', [*SCRAMBLED, 'fclstm_xl_cls20'])
def test_logits_of_the_first_segment(golden: Path, tmp_path: Path, size: str, case: str) -> None:
    model, options = load_case(golden, size, case, tmp_path)
    model.eval()
    with np.load(golden / f'inputs_{size}.npz') as inputs, np.load(golden / f'outputs_{size}.npz') as outputs:
        # The reference attends to padding in the shorter videos, so theirs are run at the padded length.
        part = inputs['feature'][:, : options['segment_length']]
        with torch.no_grad():
            logits = model(split_features(part, model.input_dims)).logits.numpy()
        expected = outputs[f'{case}/seg0_logits']
        if expected.ndim == 3:
            expected = expected.reshape(*expected.shape[:2], 20, 2)
            got = logits.transpose(0, 1, 3, 2)
        else:
            got = logits.transpose(0, 3, 1, 2)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
