"""What a data set is like: lengths, labels, missing frames, bounds."""

from abawfw.datasets.facts.data_facts import DataFacts, read_facts
from abawfw.datasets.facts.missing_facts import MissingFacts
from abawfw.datasets.facts.partition_facts import PartitionFacts
from abawfw.datasets.facts.partition_shift import PartitionShift
from abawfw.datasets.facts.target_facts import TargetFacts
from abawfw.datasets.facts.video_facts import VideoFacts

__all__ = [
    'DataFacts',
    'MissingFacts',
    'PartitionFacts',
    'PartitionShift',
    'TargetFacts',
    'VideoFacts',
    'read_facts',
]
