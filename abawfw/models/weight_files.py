"""Files of weights in the usual public formats, read without running code."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from abawfw.checkpoints import refuse_not_finite
from abawfw.errors import AbawfwError, CheckpointError
from abawfw.files import check_plain
from abawfw.inert_pickle import RefusedPickleError
from abawfw.registry import BACKBONES
from abawfw.tensor_files import read_tensor_file

WRAPPERS = ('state_dict', 'model_state_dict', 'model', 'net')
"""Keys under which training scripts put the weights among other things."""
MAX_NAME = 1000


def read_weights(path: Path, source: str = '') -> dict[str, Tensor]:
    """Read a file of weights without running code that may be in it.

    Args:
        path: a state dict written by ``torch.save``, bare or under a key of `WRAPPERS` or the only
            one that holds tensors by name, or a ``.safetensors`` file.
        source: where a user gets such a file, for the error if it is missing.

    Raises:
        CheckpointError: the file is missing or damaged, carries objects, or holds no weights.
    """
    if not path.exists():
        raise CheckpointError(missing_file(path, source))
    check_plain(path)
    if path.suffix == '.safetensors':
        return _read_safetensors(path)
    try:
        stored = read_tensor_file(path)
    except AbawfwError:
        raise
    except RefusedPickleError as error:
        raise CheckpointError(
            f'{path}: refused. It is no plain file of weights: it holds objects ({error}), and loading them '
            'could run code. If you trust it, load it with the program that wrote it '
            "and save the model's weights alone: torch.save(model.state_dict(), ...)"
        ) from None
    except Exception as error:  # a file can be damaged in many ways
        raise CheckpointError(
            f'{path}: cannot be read as a file of weights ({type(error).__name__}: {error})'
        ) from error
    return _named_tensors(stored, path)


def missing_weights(model: Any) -> list[str]:
    """Files of weights that a model's config names and that are not there, a line each.

    Args:
        model: the resolved config of an estimator; its other errors are reported elsewhere.
    """
    problems = []
    parts = model if isinstance(model, Mapping) else {}
    backbones, pretrained = parts.get('backbones'), parts.get('pretrained')
    for modality, cfg in backbones.items() if isinstance(backbones, Mapping) else ():
        path = cfg.get('weights') if isinstance(cfg, Mapping) else None
        if isinstance(path, str) and not Path(path).is_file():
            component = BACKBONES.get(str(cfg.get('type')))
            problem = missing_file(Path(path), getattr(component, 'weights_source', ''))
            problems.append(f'model.backbones.{modality}.weights: {problem}')
    for part, path in pretrained.items() if isinstance(pretrained, Mapping) else ():
        if not Path(path).exists():
            problems.append(f'model.pretrained.{part}: {path}: no such checkpoint or run')
    return problems


def missing_file(path: Path, source: str) -> str:
    """What is wrong where there is no file of weights, and the way out."""
    return f'{path}: no such file of weights' + (f'; {source}' if source else '')


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise CheckpointError(
            f'{path}: reading .safetensors needs the package safetensors: pip install safetensors'
        ) from error
    try:
        return load_file(path)
    except Exception as error:
        raise CheckpointError(f'{path}: cannot be read ({type(error).__name__}: {error})') from error


def _named_tensors(stored: object, path: Path) -> dict[str, Tensor]:
    """The weights in what a file holds, bare or wrapped."""
    while isinstance(stored, Mapping):
        inner = next((stored[k] for k in WRAPPERS if isinstance(stored.get(k), Mapping)), None)
        if inner is None:
            break
        stored = inner
    weights = _tensors_of(stored)
    nested = (
        {k: found for k, v in stored.items() if (found := _tensors_of(v))}
        if isinstance(stored, Mapping)
        else {}
    )
    if nested and all(tensor.numel() == 1 for tensor in weights.values()):
        weights = {}  # what stands beside named tensors, such as the best score, is no weight
    if len(nested) + bool(weights) > 1:
        places = [*map(str, nested), *(['no key'] if weights else [])]
        raise CheckpointError(
            f'{path}: tensors by name stand under {", ".join(places)}, and it is unknown which are meant: '
            'save those of the model alone: torch.save(model.state_dict(), ...)'
        )
    for found in (weights, *nested.values()):
        if any(len(name) > MAX_NAME for name in found):
            raise CheckpointError(f'{path}: a tensor has a name of more than {MAX_NAME:,} characters')
        if found:
            return found
    keys = f' of {", ".join(map(str, list(stored)[:5]))}' if isinstance(stored, Mapping) else ''
    raise CheckpointError(
        f'{path}: a {type(stored).__name__}{keys}, and no weights by name; save the state dict of the model: '
        'torch.save(model.state_dict(), ...)'
    )


def _tensors_of(stored: object) -> dict[str, Tensor]:
    """The tensors that stand in a dict by name."""
    if not isinstance(stored, Mapping):
        return {}
    return {k: v for k, v in stored.items() if isinstance(k, str) and isinstance(v, Tensor)}


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
            ('not of this network, omitted', self.unexpected, few),
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
