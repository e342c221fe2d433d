"""Backbones: pixels or log-mel spectrograms to one vector per frame."""

from abawfw.models.backbones.frame_backbone import FrameBackbone
from abawfw.models.backbones.iresnet import IResNet
from abawfw.models.backbones.timm_backbone import TimmBackbone
from abawfw.models.backbones.vggish import VGGish

__all__ = ['FrameBackbone', 'IResNet', 'TimmBackbone', 'VGGish']
