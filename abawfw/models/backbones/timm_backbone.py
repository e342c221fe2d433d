"""Any image network of timm."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from mmengine.logging import print_log
from torch import Tensor, nn

from abawfw.errors import ConfigError
from abawfw.models.backbones.frame_backbone import FrameBackbone
from abawfw.registry import BACKBONES


@BACKBONES.register_module()
class TimmBackbone(FrameBackbone):
    """A network of timm without its classifier; ``type='timm:NAME'`` in a config is short for it.

    Its parts are those of ``net``, such as ``net.layer4``. Needs the extra ``features``.

    Args:
        in_dim: shape of a frame, (height, width, channels), or (height, width) for one channel. uint8 is
            scaled by the mean and standard deviation that the network was trained with (0.5 each for other
            numbers of channels than 3); floating-point values are taken as they are.
        name: what timm calls it, such as ``resnet18`` or ``resnet18.a1_in1k``.
        pretrained: start training from timm's own weights, which it downloads.
        weights: file of pre-trained weights, read before training.
        options: further arguments of ``timm.create_model``, such as ``drop_rate``.

    Raises:
        ConfigError: timm is not installed, or it knows no such network or option.
    """

    weights_source = 'timm downloads its own weights with pretrained=True'

    def __init__(
        self,
        in_dim: Sequence[int],
        name: str,
        pretrained: bool = False,
        weights: str | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        dims = tuple(in_dim) if isinstance(in_dim, Sequence) else (in_dim,)
        if len(dims) not in (2, 3):
            raise ConfigError(
                f'timm:{name} takes frames (height, width, channels) or (height, width), the dataset gives '
                f'{dims}'
            )
        if pretrained and weights is not None:
            raise ConfigError(f'timm:{name}: pretrained=True or weights={weights!r}, not both')
        arguments: dict[str, Any] = {
            'model_name': name,
            'num_classes': 0,
            'in_chans': dims[2] if len(dims) == 3 else 1,
            **(options or {}),
        }
        net = _create(**arguments)
        # width after the pooling: some networks have a layer between
        out_dim = getattr(net, 'head_hidden_size', None) or net.num_features
        super().__init__(dims, dims, out_dim, weights)
        self.net = net
        self.pretrained = pretrained
        self._arguments = arguments
        half = (0.5,) * arguments['in_chans']
        trained_with = getattr(net, 'pretrained_cfg', {}) if arguments['in_chans'] == 3 else {}
        self.set_scale(trained_with.get('mean', half), trained_with.get('std', half))

    @property
    def network(self) -> nn.Module:
        """What pre-trained weights are for: the names of timm have no ``net.`` before them."""
        return self.net

    def stages(self) -> list[nn.Module]:
        """The network as a whole."""
        return [self.net]

    def prepare(self, frames: Tensor) -> Tensor:
        """Pixels to (n, channels, height, width) float32."""
        images = frames.unsqueeze(-1) if len(self.in_dim) == 2 else frames
        return self.scaled(images).movedim(-1, 1)

    def init_weights(self) -> None:
        """Load the pre-trained weights, if there are any, and log what fitted.

        Raises:
            ConfigError: timm cannot give its weights.
            CheckpointError: the file is missing, cannot be read, or holds nothing of this network.
        """
        if self.pretrained:
            self.net.load_state_dict(_create(pretrained=True, **self._arguments).state_dict())
            name = self._arguments['model_name']
            print_log(f"timm:{name} starts from timm's weights", logger='current', level=logging.INFO)
        super().init_weights()


def _create(**arguments: Any) -> Any:
    """A network of timm."""
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # a torchvision that does not fit torch is a RuntimeError
        raise ConfigError(
            f'timm:{arguments["model_name"]} needs timm, which cannot be imported ({error}): '
            'pip install -e .[timm]'
        ) from error
    try:
        return timm.create_model(**arguments)
    except Exception as error:  # unknown names, wrong options and no network, each raises something else
        raise ConfigError(f'timm:{arguments["model_name"]}: {type(error).__name__}: {error}') from error
