"""Data stay in memory where they are small in comparison."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.logging import print_log

from abawfw.datasets.loading.resident import NotResidentError, Resident
from abawfw.datasets.loading.stream import Stream
from abawfw.registry import LOADINGS

FRACTION = 0.25
"""Of the memory that is free: all that is resident in a process takes at most this part of it."""


@LOADINGS.register_module()
class Auto:
    """``Resident`` where the data take at most a quarter of the free memory, and ``Stream`` otherwise.

    What counts is the memory of the device that computes: that of the GPU, or what this machine has available
    within the limits of its control groups (containers, jobs of Slurm). It is decided before anything is
    loaded, from the number of frames; training and validation data count together.

    Args:
        dataset: of the clips.
        sampler: of the batches.
        num_workers: processes that read, where data are streamed.
        seed: of the run.
    """

    def __init__(self, dataset: Any, sampler: Any, num_workers: int, seed: int) -> None:
        self.given = dataset, sampler, num_workers, seed
        self.chosen: Resident | Stream
        self.why = ''
        try:
            self.chosen = Resident(dataset, sampler, num_workers, FRACTION)
        except NotResidentError as error:
            self._stream(error)

    def _stream(self, error: NotResidentError) -> None:
        self.chosen = Stream(*self.given)
        self.why = f', not resident: {error}'

    @property
    def fact(self) -> str:
        """How data are loaded, for the log, and why."""
        return f'{self.chosen.fact}{self.why}'

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The sampler's batches."""
        if isinstance(self.chosen, Resident):
            try:
                self.chosen.load()
            except NotResidentError as error:  # what only a look at every clip shows
                self._stream(error)
                print_log(f'data are {self.fact}', 'current')
        return iter(self.chosen)
