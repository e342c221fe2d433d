"""The formulas that conversions are compared with, in float64, give the golden numbers themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tagf_forward
import torch
from golden_recipe import fill, parameter_names
from torch import Tensor


def arrays(golden_tagf: Path, name: str) -> dict[str, Tensor]:
    with np.load(golden_tagf / f'{name}.npz') as file:
        return {key: torch.from_numpy(file[key]).double() for key in file}


def weights(golden_tagf: Path, name: str, tag: str) -> dict[str, Tensor]:
    return tagf_forward.double(fill(parameter_names(golden_tagf)[name], tag))


@pytest.mark.parametrize('name', ['tcn_lfan_logmel', 'tcn_can_logmel'])
def test_tcn(golden_tagf: Path, name: str) -> None:
    golden = arrays(golden_tagf, name)
    exact = tagf_forward.tcn(golden['x'].transpose(1, 2), weights(golden_tagf, name, f'TCN_{name[4:]}'))
    torch.testing.assert_close(exact.transpose(1, 2), golden['out'], rtol=0, atol=1e-5)


def test_tagf(golden_tagf: Path) -> None:
    golden = arrays(golden_tagf, 'tagf')
    out = tagf_forward.tagf(golden['video'], golden['audio'], weights(golden_tagf, 'tagf', 'TAGF'))
    torch.testing.assert_close(out, golden['out'], rtol=0, atol=1e-5)


def test_leader_follower(golden_tagf: Path) -> None:
    golden = arrays(golden_tagf, 'mm_transformer')
    inputs = {m: golden[m] for m in ('video', 'logmel', 'bert')}
    out = tagf_forward.leader_follower(inputs, weights(golden_tagf, 'mm_transformer', 'MMTE'))
    torch.testing.assert_close(out, golden['out'], rtol=0, atol=1e-5)


def test_channel_attention(golden_tagf: Path) -> None:
    golden = arrays(golden_tagf, 'attention_fusion')
    xs = [golden[f'{m}_BCT'].transpose(1, 2) for m in ('video', 'logmel')]
    out = tagf_forward.channel_attention(xs, weights(golden_tagf, 'attention_fusion', 'AttentionFusion'))
    torch.testing.assert_close(out, golden['out'], rtol=0, atol=1e-6)
