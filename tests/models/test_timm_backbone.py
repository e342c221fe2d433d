"""Networks of timm: from the config's spelling to vectors, with timm itself or a stand-in for it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch import Tensor, nn

from abawfw.config.check import config_problems
from abawfw.errors import ConfigError
from abawfw.models.backbones.frame_backbone import CHUNK
from abawfw.registry import BACKBONES

NAME = 'resnet10t.c3_in1k'  # a name with a dot, which registries take for a scope


class SmallNet(nn.Module):
    """What a network of timm shows of itself."""

    def __init__(self, in_chans: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_chans, 4, 3)
        self.drop = nn.Dropout(drop_rate)
        self.num_features = self.head_hidden_size = 4
        self.pretrained_cfg = {'mean': (0.1, 0.2, 0.3), 'std': (0.4, 0.5, 0.6)}

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.conv1(x)).mean(dim=(2, 3))


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def create_model(
        model_name: str, pretrained: bool = False, num_classes: int = 1000, in_chans: int = 3, **options: Any
    ) -> SmallNet:
        assert num_classes == 0
        if model_name != NAME:
            raise RuntimeError(f'Unknown model ({model_name})')
        net = SmallNet(in_chans, **options)
        if pretrained:
            nn.init.ones_(net.conv1.bias)
        return net

    timm = ModuleType('timm')
    timm.create_model = create_model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, 'timm', timm)


def build(dims: Any = (32, 32, 3), **more: Any) -> Any:
    return BACKBONES.build({'type': f'timm:{NAME}', **more}, default_args={'in_dim': dims})


@pytest.mark.usefixtures('stand_in')
def test_vectors() -> None:
    torch.manual_seed(0)
    backbone = build(options={'drop_rate': 0.5}).eval().requires_grad_(False)
    assert backbone.out_dim == 4
    assert backbone.net.drop.p == 0.5
    pixels = torch.randint(0, 256, (CHUNK + 3, 32, 32, 3), dtype=torch.uint8)
    cfg = backbone.net.pretrained_cfg
    scaled = (pixels / 255 - torch.tensor(cfg['mean'])) / torch.tensor(cfg['std'])
    vectors = backbone(pixels)
    torch.testing.assert_close(vectors, backbone.net(scaled.permute(0, 3, 1, 2)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(vectors, backbone(scaled), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures('stand_in')
def test_both_spellings_are_alike() -> None:
    both = [
        build(),
        BACKBONES.build({'type': 'TimmBackbone', 'name': NAME}, default_args={'in_dim': (9, 9, 3)}),
    ]
    assert type(both[0]) is type(both[1])
    assert list(both[0].state_dict()) == list(both[1].state_dict()) == ['net.conv1.weight', 'net.conv1.bias']


@pytest.mark.usefixtures('stand_in')
def test_one_channel() -> None:
    """Spectrograms, (time, bands), have no channels."""
    assert build((96, 64))(torch.randn(2, 96, 64).half()).shape == (2, 4)
    assert build((40, 40, 1))(torch.zeros(2, 40, 40, 1, dtype=torch.uint8)).shape == (2, 4)


@pytest.mark.usefixtures('stand_in')
def test_weights(tmp_path: Path) -> None:
    trained = build()
    torch.save({'model': trained.net.state_dict()}, tmp_path / 'w.pth')
    backbone = build(weights=str(tmp_path / 'w.pth'))
    backbone.init_weights()
    assert torch.equal(backbone.net.conv1.weight, trained.net.conv1.weight)
    timms = build(pretrained=True)
    assert not torch.equal(timms.net.conv1.bias, torch.ones(4))  # not before training
    timms.init_weights()
    assert torch.equal(timms.net.conv1.bias, torch.ones(4))


@pytest.mark.usefixtures('stand_in')
@pytest.mark.parametrize(
    ('dims', 'more', 'message'),
    [
        ((5,), {}, r'frames \(height, width, channels\).*\(5,\)'),
        (5, {}, r'gives \(5,\)'),
        ((9, 9, 3), {'pretrained': True, 'weights': 'w.pth'}, "weights='w.pth', not both"),
        ((9, 9, 3), {'options': {'depth': 3}}, r'timm:resnet10t\.c3_in1k: TypeError: .*depth'),
        ((9, 9, 3), {'type': 'timm:resnet'}, r'timm:resnet: RuntimeError: Unknown model'),
    ],
)
def test_what_cannot_be_built(dims: Any, more: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(dims, **more)


@pytest.mark.parametrize('error', [ImportError, RuntimeError])
def test_without_timm(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    class Failing:
        def find_spec(self, name: str, *args: Any) -> None:
            if name == 'timm':
                raise error('operator torchvision::nms does not exist')

    monkeypatch.delitem(sys.modules, 'timm', raising=False)
    monkeypatch.setattr(sys, 'meta_path', [Failing(), *sys.meta_path])
    with pytest.raises(ConfigError, match=r'torchvision::nms.*pip install -e \.\[timm\]'):
        build()


def test_config_check() -> None:
    def problems(**backbone: Any) -> list[str]:
        model = {'type': 'VAEstimator', 'head': {'type': 'RegressionHead'}, 'backbones': {'video': backbone}}
        return [p for p in config_problems(Config({'model': model})) if 'backbones' in p]

    assert problems(type=f'timm:{NAME}', pretrained=True) == []
    assert problems(type='TimmBackbone', name=NAME) == []
    assert problems(type='TimmBackbone') == ["model.backbones.video: TimmBackbone needs the argument 'name'"]
    (wrong,) = problems(type=f'timm:{NAME}', pretraind=True)
    assert 'has no such argument' in wrong
    assert "'pretrained'" in wrong
    (twice,) = problems(type=f'timm:{NAME}', name='other')
    assert f'timm:{NAME} has no such argument' in twice
    (unknown,) = problems(type='tim:resnet18')
    assert "no backbone is called 'tim:resnet18'" in unknown


def test_timm_itself() -> None:
    """Where timm can be imported; it needs a torchvision that fits torch."""
    try:
        import timm
    except (ImportError, RuntimeError) as error:
        pytest.skip(f'timm cannot be imported: {error}')
    torch.manual_seed(0)
    backbone = build(options={'drop_rate': 0.1}).eval().requires_grad_(False)
    pixels = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    cfg = timm.get_pretrained_cfg(NAME).to_dict()
    scaled = (pixels / 255 - torch.tensor(cfg['mean'])) / torch.tensor(cfg['std'])
    expected = backbone.net.forward_head(
        backbone.net.forward_features(scaled.permute(0, 3, 1, 2)), pre_logits=True
    )
    assert backbone(pixels).shape == (3, backbone.out_dim)
    torch.testing.assert_close(backbone(pixels), expected, rtol=1e-4, atol=1e-4)
    # a network with a layer between its features and the classifier
    mobile = BACKBONES.build({'type': 'timm:mobilenetv3_small_050'}, default_args={'in_dim': (32, 32, 3)})
    assert mobile.eval()(pixels).shape == (3, mobile.out_dim)
