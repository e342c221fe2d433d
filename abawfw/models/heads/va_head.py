"""What a head returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from abawfw.errors import ConfigError
from abawfw.models.layers import Dropout
from abawfw.models.losses import VALoss, build_loss


class HeadOutput(NamedTuple):
    """Predictions of a batch of clips.

    Attributes:
        va: ``(batch, time, targets)`` float32, in the order of the head's targets.
        logits: ``(batch, time, targets, classes)`` where the head classifies, otherwise None.
    """

    va: Tensor
    logits: Tensor | None = None


ACTIVATIONS = {'relu': nn.ReLU, 'gelu': nn.GELU}
NORMS = ('none', 'first', 'each')


def hidden_layers(
    in_dim: int, layers: Sequence[int], dropout: float, activation: str = 'relu', norm: str = 'none'
) -> nn.Sequential:
    """Build [Linear, ReLU, Dropout]* (docs/rucaim3.md, The four models), or what the last two make of it.

    Layer ``3 i`` holds the same parameters as ``module.{3 i}`` of the reference, without normalisation.

    Args:
        in_dim: width of the sequence that comes in.
        layers: widths of the hidden layers.
        dropout: probability of dropping a hidden unit.
        activation: a key of ``ACTIVATIONS``.
        norm: ``first``: a layer normalisation in front of all; ``each``: one behind every Linear.

    Raises:
        ConfigError: an unknown activation or place.
    """
    if activation not in ACTIVATIONS or norm not in NORMS:
        raise ConfigError(
            f'a head has no activation={activation!r} with norm={norm!r}: choose from '
            f'{", ".join(ACTIVATIONS)} and from {", ".join(NORMS)}'
        )
    hidden: list[nn.Module] = [nn.LayerNorm(in_dim)] if norm == 'first' else []
    for width, wider in pairwise([in_dim, *layers]):
        hidden += [nn.Linear(width, wider), *([nn.LayerNorm(wider)] if norm == 'each' else [])]
        hidden += [ACTIVATIONS[activation](), Dropout(dropout)]
    return nn.Sequential(*hidden)


class VAHead(nn.Module, ABC):
    """Hidden layers, then Linear to the targets, trained with a sum of losses.

    A subclass says what its hidden layers are, and what becomes of the outputs.

    Args:
        hidden: the hidden layers.
        width: of what the hidden layers return.
        targets: names of what is predicted, in the order of the columns.
        losses: one dict per loss of `LOSSES`. Its `targets` may name some of the head's.
        classes: outputs per target.

    Raises:
        ConfigError: a loss names a target that the head does not have, or needs a head of another kind.
    """

    classifies = False

    def __init__(
        self,
        hidden: nn.Module,
        width: int,
        targets: Sequence[str],
        losses: Sequence[dict[str, Any]],
        classes: int = 1,
    ) -> None:
        super().__init__()
        self.targets = tuple(targets)
        self.hidden = hidden
        self.out = nn.Linear(width, len(self.targets) * classes)
        self.losses = nn.ModuleDict()
        self._columns: dict[str, list[int] | None] = {}
        if not losses:
            raise ConfigError(f'{type(self).__name__}: losses=[]: nothing would be learnt; give one or more')
        for i, cfg in enumerate(losses):
            self._add_loss(build_loss(cfg, f'model.head.losses[{i}]'))

    def _add_loss(self, loss: VALoss) -> None:
        if loss.on_classes and not self.classifies:
            raise ConfigError(
                f'{type(loss).__name__} needs classes, {type(self).__name__} has none: use BinHead'
            )
        chosen = self.targets if loss.targets is None else loss.targets
        unknown = [x for x in chosen if x not in self.targets]
        if unknown or not chosen:
            raise ConfigError(
                f'{type(loss).__name__}: targets={list(chosen)}, but the head predicts {list(self.targets)}; '
                'name some of these, or omit targets for all of them'
            )
        key = name = '_'.join(['loss', loss.name, *(loss.targets or ())])
        turn = 1
        while key in self.losses:  # by key: losses of two types may have one name
            turn += 1
            key = f'{name}_{turn}'
        self.losses[key] = loss
        self._columns[key] = None if loss.targets is None else [self.targets.index(x) for x in chosen]

    @abstractmethod
    def forward(self, x: Tensor, valid: Tensor) -> HeadOutput:
        """Predict from a sequence ``(batch, time, in_dim)``.

        Args:
            x: the sequence.
            valid: ``(batch, time)`` bool, False on padding, which must not enter statistics of the batch.
        """

    def classes_of(self, label: Tensor) -> Tensor:
        """Return the class of each label ``(batch, time, targets)``; -1 where there is none."""
        raise NotImplementedError(f'{type(self).__name__} has no classes')

    def probabilities_of(self, label: Tensor, sigma: float) -> Tensor:
        """Return those of each class, ``(batch, time, targets, classes)``, around a label; -1 without one."""
        raise NotImplementedError(f'{type(self).__name__} has no classes')

    @property
    def has_teacher(self) -> bool:
        """Whether one of the losses needs a teacher's predictions."""
        return any(loss.of_teacher for loss in self.losses.values())

    def loss(
        self, output: HeadOutput, gt: Tensor, mask: Tensor, teacher: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return every loss, weighted, as float32 scalars with a graph.

        Args:
            output: what `forward` returned.
            gt: labels ``(batch, time, targets)``, NaN where there is none.
            mask: ``(batch, time)`` bool, False on padding and wherever a frame must not count.
            teacher: predictions of a teacher, as ``gt``; None where there are none, as in validation.

        Returns:
            ``loss_{name}``, followed by the loss's targets where it names some (``loss_ccc_valence``), and by
            a number where that occurs again (``loss_ccc_2``).
        """
        values = {}
        for key, loss in self.losses.items():
            if loss.on_classes and output.logits is not None:
                pred = output.logits
                sigma: Any = loss.sigma
                label = self.probabilities_of(gt, sigma) if sigma else self.classes_of(gt)
            elif loss.of_teacher:
                pred, label = output.va, torch.full_like(gt, torch.nan) if teacher is None else teacher
            else:
                pred, label = output.va, gt
            columns = self._columns[key]
            values[key] = loss(_chosen(pred, columns), _chosen(label, columns), mask)
        return values


def _chosen(x: Tensor, columns: Sequence[int] | None) -> Tensor:
    """Columns of (batch, time, targets, ...), None for all; a list as an index would have to be uploaded."""
    return x if columns is None else torch.stack([x[:, :, column] for column in columns], dim=2)
