"""How far the labels of two partitions lie apart."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import ks_2samp

from abawfw.datasets.facts.partition_facts import PartitionFacts


@dataclass(frozen=True)
class PartitionShift:
    """One target in a partition, against another partition.

    Attributes:
        of: the partition.
        against: the other one.
        target: 'valence' or 'arousal'.
        means: mean of its frames minus that of the other, in standard deviations of the frames of the other;
            None where those do not vary.
        distance: Kolmogorov and Smirnov's D between the means of the videos, or of groups of them as far as
            they are known: the largest difference between the fractions of them whose mean is at most some
            value. Not of frames: frames of a video depend on one another, and taken as if they did not, every
            partition would differ from any other.
        p: how often D would be as large if the videos, or groups, of both came from one distribution.
    """

    of: str
    against: str
    target: str
    means: float | None
    distance: float
    p: float

    @classmethod
    def between(
        cls, of: tuple[str, PartitionFacts], against: tuple[str, PartitionFacts], target: str
    ) -> PartitionShift:
        """Compare two partitions, (name, facts) each, both with labels."""
        (name, facts), (other_name, other) = of, against
        here, there = facts.targets[target], other.targets[target]
        test = ks_2samp(facts.unit_means(target), other.unit_means(target))
        return cls(
            of=name,
            against=other_name,
            target=target,
            means=(here.mean - there.mean) / there.std if there.std else None,
            distance=float(test.statistic),
            p=float(test.pvalue),
        )
