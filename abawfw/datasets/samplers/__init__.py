"""In what order clips come, and which share a batch."""

from abawfw.datasets.samplers.clip_sampler import ClipSampler
from abawfw.datasets.samplers.lane_batch_sampler import LaneBatchSampler

__all__ = ['ClipSampler', 'LaneBatchSampler']
