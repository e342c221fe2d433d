"""Backbones: golden vectors, frames of the wrong size, memory, and what can be released."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from golden_recipe import fill, parameter_names
from torch import Tensor, nn

from abawfw.errors import ConfigError, DataError
from abawfw.models.backbones import FrameBackbone, IResNet, VGGish
from abawfw.models.backbones.frame_backbone import CHUNK, frames_at_once
from abawfw.registry import BACKBONES, MODELS

TINY_FACE = {'type': 'IResNet', 'units': (1, 1, 2, 1), 'width': 2}
TINY_SOUND = {'type': 'VGGish', 'hidden': 6, 'width': 2}


def tiny(cfg: dict[str, Any], **more: Any) -> FrameBackbone:
    torch.manual_seed(0)
    dims = (40, 40, 3) if cfg['type'] == 'IResNet' else (96, 64)
    backbone = BACKBONES.build({**cfg, **more}, default_args={'in_dim': dims})
    for part in backbone.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.uniform_(part.running_mean, -0.1, 0.1)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
    return backbone


def frames_for(backbone: FrameBackbone, n: int) -> Tensor:
    generator = torch.Generator().manual_seed(n)
    if len(backbone.in_dim) == 3:
        return torch.randint(0, 256, (n, *backbone.in_dim), dtype=torch.uint8, generator=generator)
    return torch.randn(n, *backbone.in_dim, generator=generator).half()


def golden_backbone(golden_tagf: Path, name: str, tag: str, backbone: FrameBackbone) -> dict[str, np.ndarray]:
    """Fill a backbone by the recipe, all of it and nothing else; returns input and output."""
    weights = fill(parameter_names(golden_tagf)[name], tag)
    own = {k.removeprefix('backbone.'): v for k, v in weights.items() if not k.startswith('logits.')}
    backbone.load_state_dict(own, strict=True)
    with np.load(golden_tagf / f'{name}.npz') as file:
        return dict(file)


def test_faces_are_the_reference_s(golden_tagf: Path) -> None:
    backbone = IResNet((40, 40, 3)).eval()
    arrays = golden_backbone(golden_tagf, 'ir50_recipe', 'IR50', backbone)
    with torch.no_grad():
        out = backbone(torch.from_numpy(arrays['x']).movedim(1, -1))
    assert backbone.out_dim == 512
    np.testing.assert_allclose(out.numpy(), arrays['out'], rtol=0, atol=1e-5)


def test_sound_is_the_reference_s(golden_tagf: Path) -> None:
    backbone = VGGish((96, 64)).eval()
    arrays = golden_backbone(golden_tagf, 'vggish_recipe', 'VGGish', backbone)
    x = torch.from_numpy(arrays['x'])
    with torch.no_grad():
        out = backbone(x)
        half = backbone(x.half())
    assert backbone.out_dim == 128
    np.testing.assert_allclose(out.numpy(), arrays['out'], rtol=0, atol=1e-5)
    torch.testing.assert_close(half, backbone(x.half().float()))


def test_pixels_are_scaled_inside() -> None:
    backbone = tiny(TINY_FACE).eval()
    pixels = frames_for(backbone, 3)
    torch.testing.assert_close(backbone(pixels), backbone((pixels.float() / 255 - 0.5) / 0.5))
    torch.testing.assert_close(backbone(pixels).norm(dim=-1), torch.ones(3))


def test_faces_of_112_pixels() -> None:
    backbone = IResNet((112, 112, 3), size=112, units=(1, 1, 1, 1), width=2).eval()
    assert backbone.output_layer[3].in_features == 16 * 7 * 7
    assert backbone(torch.zeros(2, 112, 112, 3, dtype=torch.uint8)).shape == (2, 512)


@pytest.mark.parametrize(
    ('cfg', 'dims', 'message'),
    [
        (TINY_FACE, (48, 48, 3), r'IResNet takes frames of shape \(40, 40, 3\), the dataset gives \(48, 48'),
        (TINY_FACE, 512, r'\(512,\)'),
        (TINY_SOUND, (64, 96), r'VGGish takes frames of shape \(96, 64\), the dataset gives \(64, 96\)'),
        ({**TINY_FACE, 'size': 64}, (64, 64, 3), r'size=64\): there are 40 and 112'),
        ({**TINY_FACE, 'units': (1, 1, 1)}, (40, 40, 3), 'four stages'),
    ],
)
def test_frames_of_another_size(cfg: dict, dims: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BACKBONES.build(cfg, default_args={'in_dim': dims})


@pytest.mark.parametrize('cfg', [TINY_FACE, TINY_SOUND], ids=['face', 'sound'])
def test_batch_of_another_size(cfg: dict) -> None:
    backbone = tiny(cfg)
    with pytest.raises(DataError, match=r'takes frames of shape .*, not \(7,'):
        backbone(torch.zeros(4, 7, *backbone.in_dim[1:]))


def test_pieces_grow_with_the_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert frames_at_once(torch.device('cpu')) == CHUNK
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    for gib, frames in ((80, 1280), (8, 128), (2, CHUNK)):
        memory = SimpleNamespace(total_memory=gib << 30)
        monkeypatch.setattr(torch.cuda, 'get_device_properties', lambda _, memory=memory: memory)
        assert frames_at_once(torch.device('cuda', 0)) == frames


class Watch:
    """Notes how many frames a part is given at a time, and whether it learns."""

    def __init__(self, part: nn.Module) -> None:
        self.sizes: list[int] = []
        self.learns: list[bool] = []
        part.register_forward_hook(self)

    def __call__(self, part: nn.Module, args: Any, output: Tensor) -> None:
        self.sizes.append(len(output))
        self.learns.append(output.requires_grad)


@pytest.mark.parametrize('cfg', [TINY_FACE, TINY_SOUND], ids=['face', 'sound'])
def test_a_frozen_backbone_runs_in_pieces_and_keeps_no_gradient_memory(cfg: dict) -> None:
    backbone = tiny(cfg).eval()
    frames = frames_for(backbone, CHUNK + 5)
    whole = backbone(frames)  # its parameters may learn: all at once
    first, last = (Watch(part) for part in (backbone.stages()[0], backbone.stages()[-1]))
    backbone.requires_grad_(False)
    pieces = backbone(frames)
    assert whole.requires_grad
    assert not pieces.requires_grad
    assert first.sizes == last.sizes == [CHUNK, 5]
    torch.testing.assert_close(pieces, whole.detach(), rtol=1e-5, atol=1e-6)


def test_evaluation_runs_in_pieces_whatever_is_trained() -> None:
    backbone = tiny(TINY_FACE).eval()
    watch = Watch(backbone.input_layer)
    with torch.no_grad():
        backbone(frames_for(backbone, CHUNK + 1))
    assert watch.sizes == [CHUNK, 1]


def test_batch_statistics_see_the_whole_batch() -> None:
    backbone = tiny(TINY_FACE).train().requires_grad_(False)
    watch = Watch(backbone.input_layer)
    backbone(frames_for(backbone, CHUNK + 1))
    assert watch.sizes == [CHUNK + 1]


@pytest.mark.parametrize(
    ('cfg', 'released', 'before'),
    [
        (TINY_FACE, ['output_layer'], 'body.4'),
        (TINY_FACE, ['output_layer', 'body.4'], 'body.3'),
        (TINY_SOUND, ['embeddings.4'], 'embeddings.2'),
        (TINY_SOUND, ['embeddings.4', 'embeddings.2', 'embeddings.0'], 'features.13'),
    ],
)
def test_release(cfg: dict, released: list[str], before: str) -> None:
    """What lies before a released part still keeps no memory; gradients are those of an open backbone."""
    modality, dims = ('video', (40, 40, 3)) if cfg is TINY_FACE else ('logmel', (96, 64))
    model = MODELS.build(
        {
            'type': 'VAEstimator',
            'input_dims': {modality: dims},
            'backbones': {modality: cfg},
            'head': {'type': 'RegressionHead', 'layers': []},
            'frozen': [f'backbones.{modality}'],
        }
    ).train()
    model.release([f'backbones.{modality}.{name}' for name in released])
    model.eval()  # so that dropout plays no part in the comparison
    backbone = model.backbones[modality]
    watch = Watch(backbone.get_submodule(before))
    frames = frames_for(backbone, CHUNK + 2)
    weights = torch.randn(len(frames), backbone.out_dim)
    (backbone(frames) * weights).sum().backward()
    trained = {n: p.grad for n, p in backbone.named_parameters() if p.grad is not None}
    assert set(trained) == {
        n for n, _ in backbone.named_parameters() if any(n.startswith(f'{r}.') for r in released)
    }
    assert watch.sizes == [CHUNK, 2]
    assert watch.learns == [False, False]
    backbone.zero_grad()
    backbone.requires_grad_(True)
    (backbone(frames) * weights).sum().backward()
    for name, gradient in trained.items():
        expected = backbone.get_parameter(name).grad
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
        assert gradient.abs().max() > 0


def test_gradient_with_respect_to_the_frames() -> None:
    backbone = tiny(TINY_SOUND).eval().requires_grad_(False)
    frames = torch.randn(2, 96, 64, requires_grad=True)
    backbone(frames).sum().backward()
    assert frames.grad is not None


def test_a_single_face_in_training() -> None:
    """As in a batch of windows with one face in all: it has no batch statistics."""
    backbone = tiny(TINY_FACE).eval()
    frame = frames_for(backbone, 1)
    expected = backbone(frame)
    backbone.output_layer[4].train()
    torch.testing.assert_close(backbone(frame), expected)
    backbone.output_layer.train()
    vector = backbone(frame)
    vector.sum().backward()
    assert vector.isfinite().all()
    assert not torch.allclose(backbone(frames_for(backbone, 3))[:1], expected)  # batch statistics of three


def test_a_vector_of_zeros_stays_finite() -> None:
    backbone = tiny(TINY_FACE).eval()
    for parameter in backbone.output_layer[4].parameters():
        nn.init.zeros_(parameter)
    backbone(frames_for(backbone, 1)).sum().backward()
    assert all(p.grad.isfinite().all() for p in backbone.parameters())
