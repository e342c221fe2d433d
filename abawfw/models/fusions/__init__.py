"""Fusions: one sequence out of several modalities."""

from abawfw.models.fusions.channel_attention_fusion import ChannelAttentionFusion
from abawfw.models.fusions.co_attention_fusion import CoAttentionFusion
from abawfw.models.fusions.concat_fusion import ConcatFusion
from abawfw.models.fusions.directed_fusion import DirectedFusion
from abawfw.models.fusions.leader_follower_fusion import LeaderFollowerFusion
from abawfw.models.fusions.mixture_of_experts_fusion import MixtureOfExpertsFusion
from abawfw.models.fusions.reliability_fusion import ReliabilityFusion

__all__ = [
    'ChannelAttentionFusion',
    'CoAttentionFusion',
    'ConcatFusion',
    'DirectedFusion',
    'LeaderFollowerFusion',
    'MixtureOfExpertsFusion',
    'ReliabilityFusion',
]
