"""Starting a part of a model from pre-trained weights."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from abawfw.checkpoints import refuse_not_finite
from abawfw.errors import CheckpointError
from abawfw.models.weight_files import read_weights


@dataclass(frozen=True)
class WeightsReport:
    """What of a file of weights fitted a model.

    Attributes:
        path: the file.
        prefix: what the names in the file begin with and those of the model do not.
        matched: names that were loaded.
        missing: names of the model that the file does not have.
        unexpected: names of the file that the model does not have.
        shapes: names of both whose shapes differ, with the two shapes; not loaded.
    """

    path: Path
    prefix: str
    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)

    @property
    def log_level(self) -> int:
        """A warning where a part of the model keeps the weights it was made with."""
        return logging.WARNING if self.missing or self.shapes else logging.INFO

    def __str__(self) -> str:
        """One line, and one more for each kind of name that did not fit."""
        after = f' after {self.prefix!r}' if self.prefix else ''
        title = f'{self.path}: {len(self.matched)} tensors loaded{after}'
        few = [*self.unexpected[:8], *(['...'] if len(self.unexpected) > 8 else [])]
        kinds = (
            ('missing, left as they were', self.missing, self.missing),
            ('of another shape, left as they were', self.shapes, self.shapes),
            ('not of this network, left out', self.unexpected, few),
        )
        lists = [f'  {kind} ({len(names)}): {", ".join(shown)}' for kind, names, shown in kinds if names]
        return '\n'.join([title, *lists])


def load_pretrained(model: nn.Module, path: str | Path, source: str = '') -> WeightsReport:
    """Load what fits of a file of weights into a model.

    Prefixes such as ``module.``, ``backbone.`` or ``spatial.visual.backbone.`` are found by comparing the
    names: the one under which most of the model is found is taken.

    Args:
        model: what to load into.
        path: the file; see `read_weights`.
        source: where a user gets such a file, for the error if it is missing.

    Raises:
        CheckpointError: the file is missing or cannot be read, or nothing in it fits, or weights are
            not finite.
    """
    path = Path(path)
    stored = read_weights(path, source)
    own = model.state_dict()
    prefix = _prefix(own, stored)
    found = {name.removeprefix(prefix): tensor for name, tensor in stored.items() if name.startswith(prefix)}
    fitting = {k: v for k, v in found.items() if k in own and own[k].shape == v.shape}
    if not fitting:
        raise CheckpointError(
            f'{path}: none of its {len(stored)} tensors fits {type(model).__name__}: it has '
            f'{", ".join(list(stored)[:3])} ..., the network {", ".join(list(own)[:3])} ...; '
            'choose the weights of this network, at this size'
        )
    refuse_not_finite(model, fitting, path)
    model.load_state_dict(fitting, strict=False)
    return WeightsReport(
        path,
        prefix,
        matched=list(fitting),
        missing=[k for k in own if k not in found],
        unexpected=[k for k in stored if not k.startswith(prefix) or k.removeprefix(prefix) not in own],
        shapes=[
            f'{k} {tuple(v.shape)}, the network {tuple(own[k].shape)}'
            for k, v in found.items()
            if k in own and k not in fitting
        ],
    )


def _prefix(own: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> str:
    """What the names in a file begin with and those of the model do not; '' where both are alike."""
    found = Counter[str]()
    for name in stored:
        parts = name.split('.')
        for i in range(len(parts)):
            if '.'.join(parts[i:]) in own:
                found['.'.join([*parts[:i], ''])] += 1
    # of equals the shortest: '' where the names are alike
    return min(found, key=lambda p: (-found[p], len(p)), default='')
