"""The parts of an estimator: built per modality, found by name, started from a checkpoint."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import Registry
from torch import Tensor, nn

from abawfw.checkpoints import best_checkpoint, load_checkpoint, load_state_dict
from abawfw.components import build, described
from abawfw.errors import AbawfwError, ConfigError, nearest
from abawfw.models.losses import VALoss, build_loss
from abawfw.registry import BACKBONES, CONTEXTS, ENCODERS, FUSIONS, HEADS


def build_per_modality(
    registry: Registry, slot: str, cfgs: dict[str, dict] | None, dims: dict[str, Any]
) -> nn.ModuleDict:
    """Build the component of each modality and put its output dim into ``dims``.

    Raises:
        ConfigError: a config is given for a modality that does not exist, or a component cannot be built.
    """
    built = nn.ModuleDict()
    for name, cfg in (cfgs or {}).items():
        if name not in dims:
            raise ConfigError(f'{slot} names the modality {name}: {nearest(name, list(dims))}')
        place = f'model.{slot}.{name}'
        built[name] = build(registry, cfg, place, in_dim=dims[name])
        dims[name] = out_dim(built[name], place, dims[name])
    return built


def out_dim(part: nn.Module, place: str, in_dim: Any) -> int:
    """Length of the vectors that a part gives, which it says in ``out_dim``; by default, that of its input.

    Args:
        part: a component of a slot.
        place: of its config, for errors.
        in_dim: of its input; no int where it takes no vectors, or several.

    Raises:
        ConfigError: it says none, and there is no default, or one that is no length.
    """
    found = getattr(part, 'out_dim', in_dim)
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        said = f'out_dim={part.out_dim!r}' if hasattr(part, 'out_dim') else 'no out_dim'
        raise ConfigError(
            f'{place}: {type(part).__name__} has {said}: set self.out_dim to the length of the vectors that '
            'it gives'
        )
    return found


def is_stateful(context: nn.Module) -> bool:
    """Whether a context carries state from clip to clip; one that does not say so does not."""
    return bool(getattr(context, 'stateful', False))


def takes_lengths(context: nn.Module) -> bool:
    """Whether ``forward`` has an argument ``lengths``, for the number of frames of each clip as a list.

    A context that decides by it, such as where to cut, need not read that back from a device.
    """
    kind: Any = type(context)
    return _has_lengths(kind)


@functools.cache
def _has_lengths(kind: Any) -> bool:
    return 'lengths' in inspect.signature(kind.forward).parameters


def find_part(model: nn.Module, name: str) -> nn.Module:
    """Return the sub-module ``name``.

    Raises:
        ConfigError: there is none.
    """
    modules = dict(model.named_modules())
    if not name or name not in modules:
        known = [n for n in modules if n and n.count('.') <= 1 and len(list(modules[n].parameters()))]
        raise ConfigError(f'the model has no part {name!r}: {nearest(name, known)}')
    return modules[name]


def hold_still(part: nn.Module, training: bool) -> None:
    """Put a frozen part into evaluation mode, so that it gives in training what it gives in validation.

    cuDNN computes no gradient through an LSTM or GRU in evaluation mode, and parts below may be learning from
    it: these stay in training mode, in which they differ by the dropout between their layers alone, which is
    taken away.
    """
    part.eval()
    for module in part.modules():
        if training and isinstance(module, nn.RNNBase):
            if module.dropout:
                module.dropout_when_learning, module.dropout = module.dropout, 0.0
            module.train()


def let_learn(part: nn.Module, training: bool) -> None:
    """Put a part that was frozen into the mode of the model, with what :func:`hold_still` took away."""
    part.train(training)
    for module in part.modules():
        if isinstance(module, nn.RNNBase):
            module.dropout = module.__dict__.pop('dropout_when_learning', module.dropout)


def pretrained_file(source: str) -> Path:
    """The checkpoint that ``pretrained`` names: of the work_dir of a run, the best one by mean CCC.

    Raises:
        CheckpointError: the run has none.
    """
    path = Path(source)
    return best_checkpoint(path, 'ccc') if path.is_dir() else path


def load_part(model: nn.Module, name: str, source: str) -> None:
    """Load the sub-module ``name`` from the sub-module of the same name of a trained model.

    Args:
        model: what the part belongs to.
        name: of the part, such as ``context.0``.
        source: a checkpoint, or the work_dir of a run, whose best one by mean CCC is taken.

    Raises:
        CheckpointError: the file cannot be read, or its parameters differ from those of the part.
    """
    path = pretrained_file(source)
    weights = load_checkpoint(path)['state_dict']
    prefix = f'{name}.'
    found = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    load_state_dict(find_part(model, name), found, path)


ROWS = 2
LONGEST = 512  # frames of the batch that is tried, where clips are longer
FAR = 100.0  # what is put where nothing may look


def contract_problems(cfg: Mapping[str, Any], model: Any, frames: int, bytes_in: set[str]) -> Iterator[str]:
    """Try out each component of a model that is not one of this package.

    Args:
        cfg: the model's config, with its ``input_dims``.
        model: the estimator, built from it, on any device; its components are built again on the CPU.
        frames: of the longest clip.
        bytes_in: features that are stored as bytes, as pixels are.

    Returns:
        One line per problem.
    """
    frames = min(frames, LONGEST)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        dims = dict(cfg['input_dims'])
        for name, given in (cfg.get('backbones') or {}).items():
            part, place, dim = model.backbones[name], f'model.backbones.{name}', dims[name]
            dims[name] = out_dim(part, place, None)
            if is_foreign(part):
                make = partial(build, BACKBONES, given, place, in_dim=dim)
                yield from _tried(place, make, _backbone, dim, dims[name], name in bytes_in)
        for name, given in (cfg.get('encoders') or {}).items():
            part, place, dim = model.encoders[name], f'model.encoders.{name}', dims[name]
            dims[name] = out_dim(part, place, dim)
            if is_foreign(part):
                make = partial(build, ENCODERS, given, place, in_dim=dim)
                yield from _tried(place, make, _sequence, dim, dims[name], frames, 'observed')
        width = out_dim(model.fusion, 'model.fusion', None)
        if is_foreign(model.fusion):
            make = partial(build, FUSIONS, cfg['fusion'], 'model.fusion', in_dims=dims)
            yield from _tried('model.fusion', make, _fusion, dims, width, frames)
        for i, given in enumerate(cfg.get('context') or ()):
            part, place, dim = model.context[i], f'model.context[{i}]', width
            width = out_dim(part, place, dim)
            if is_foreign(part):
                make = partial(build, CONTEXTS, given, place, in_dim=dim)
                check = _stateful if is_stateful(part) else _sequence
                yield from _tried(place, make, check, dim, width, frames, 'valid')
        targets = tuple(model.targets)
        if is_foreign(model.head):
            make = partial(build, HEADS, cfg['head'], 'model.head', in_dim=width, targets=targets)
            yield from _tried('model.head', make, _head, width, len(targets), frames)
        losses = list(getattr(model.head, 'losses', nn.ModuleDict()).values())
        for i, (loss, given) in enumerate(zip(losses, cfg['head'].get('losses') or (), strict=False)):
            if is_foreign(getattr(loss, 'function', loss)) and not loss.on_classes:
                place, columns = f'model.head.losses[{i}]', len(loss.targets or targets)
                yield from _tried(place, partial(build_loss, given, place), _loss, columns, frames)


def is_foreign(part: Any) -> bool:
    """Whether a component is not one of this package."""
    return not type(part).__module__.startswith('abawfw.')


def _tried(place: str, make: Callable[[], Any], check: Callable[..., None], *known: Any) -> Iterator[str]:
    """What is wrong with one component, if anything."""
    try:
        part = make()
    except AbawfwError as error:
        yield str(error)
        return
    own = getattr(part, 'function', part)  # of a PlainLoss
    name = own.func.__name__ if isinstance(own, partial) else type(own).__name__
    try:
        check(part, *known)
    except ConfigError as error:
        yield f'{place}: {name}: {error}'
    except Exception as error:
        yield f'{place}: {name}, run on a small batch: {described(error)}'


def _backbone(part: Any, dim: Any, width: int, is_bytes: bool) -> None:
    shape = (3, *((dim,) if isinstance(dim, int) else dim))
    frames = torch.randint(256, shape, dtype=torch.uint8) if is_bytes else torch.randn(shape)
    part.eval()
    with torch.no_grad():
        y = _of_shape(part(frames), (3, width), 'frames (n, *dims)', '(n, out_dim)')
        _same(part(frames[:1]), y[:1], 'another frame of the batch changes what a frame gives')


def _sequence(part: Any, dim: int, width: int, frames: int, mask_name: str) -> None:
    """Encoders and contexts that carry no state: (batch, time, dim) and a mask to (batch, time, out_dim)."""
    x, mask = torch.randn(ROWS, frames, dim), _mask(frames)
    asked = f'(x, {mask_name}) with x (batch, time, in_dim)'
    part.eval()
    with torch.no_grad():
        y = _of_shape(part(x, mask), (ROWS, frames, width), asked, '(batch, time, out_dim)')
        spoilt = part(x.masked_fill(~mask.unsqueeze(-1), FAR), mask)
        _same(spoilt[mask], y[mask], f'looks at frames that {mask_name} excludes: mask them')
        _same(part(x[:1], mask[:1]), y[:1], 'another clip of the batch changes what a clip gives')
    _learns(part, part.train()(x, mask)[mask])


def _stateful(part: Any, dim: int, width: int, frames: int, mask_name: str) -> None:
    """Contexts that carry state."""
    x, mask = torch.randn(ROWS, frames, dim), _mask(frames)
    state = part.initial_state(ROWS, torch.device('cpu'))
    if not isinstance(state, tuple) or not all(isinstance(t, Tensor) and len(t) == ROWS for t in state):
        raise ConfigError('has initial_state(n, device), which must give a tuple of tensors (n, ...)')
    part.eval()
    with torch.no_grad():
        result = part(x, mask, state)
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], tuple):
            raise ConfigError('is stateful: forward(x, valid, state) must give (y, state), state a tuple')
        asked = '(x, valid, state) with x (batch, time, in_dim)'
        y = _of_shape(result[0], (ROWS, frames, width), asked, '(batch, time, out_dim)')
        spoilt, after = part(x.masked_fill(~mask.unsqueeze(-1), FAR), mask, state)
        _same(spoilt[mask], y[mask], 'looks at frames that valid excludes: mask them')
        if len(after) != len(state) or any(len(t) != ROWS for t in after):
            raise ConfigError(f'gives a state of {len(after)} tensors, started with one of {len(state)}')
        for one, other in zip(after, result[1], strict=True):
            _same(one.float(), other.float(), 'takes padding into the state that it carries on')
    _learns(part, part.train()(x, mask, state)[0][mask])


def _fusion(part: Any, dims: Mapping[str, int], width: int, frames: int) -> None:
    x = {name: torch.randn(ROWS, frames, dim) for name, dim in dims.items()}
    seen = {name: _mask(frames).roll(i, dims=1) for i, name in enumerate(dims)}
    part.eval()
    with torch.no_grad():
        asked = '(inputs, observed), both {modality: ...}'
        y = _of_shape(part(x, seen), (ROWS, frames, width), asked, '(batch, time, out_dim)')
        _same(
            part({k: v[:1] for k, v in x.items()}, {k: v[:1] for k, v in seen.items()}),
            y[:1],
            'another clip of the batch changes what a clip gives',
        )
        if len(dims) > 1:
            spoilt = {k: v.masked_fill(~seen[k].unsqueeze(-1), FAR) for k, v in x.items()}
            _same(part(spoilt, seen), y, 'looks at a modality where it was not observed: mask it')
    _learns(part, part.train()(x, seen))


def _head(part: Any, dim: int, targets: int, frames: int) -> None:
    x, mask = torch.randn(ROWS, frames, dim), _mask(frames)
    output = part.train()(x, mask)
    shape = (ROWS, frames, targets)
    _of_shape(getattr(output, 'va', None), shape, '(x, valid)', 'HeadOutput with va (batch, time, targets)')
    values = part.loss(output, torch.rand(shape) * 2 - 1, mask)
    if (
        not isinstance(values, dict)
        or not values
        or not all(isinstance(v, Tensor) and v.ndim == 0 and v.requires_grad for v in values.values())
    ):
        raise ConfigError(
            'has loss(output, gt, mask), which must give a dict of scalar tensors with a gradient'
        )


def _loss(part: Any, targets: int, frames: int) -> None:
    pred = torch.randn(ROWS, frames, targets, requires_grad=True)
    label = torch.rand(ROWS, frames, targets) * 2 - 1
    label[0, 0, 0] = float('nan')
    unweighted: list[Tensor | float] = []
    if isinstance(part, VALoss):  # its forward has a gradient of zeros for batches without a label
        compute = part.compute

        def recorded(*given: Tensor) -> Tensor:
            unweighted.append(compute(*given))
            return unweighted[-1]  # type: ignore[return-value]

        part.compute = recorded  # type: ignore[method-assign, assignment]
    value = part(pred, label, _mask(frames))
    if not isinstance(value, Tensor) or value.ndim or not torch.isfinite(value):
        shown = tuple(value.shape) if isinstance(value, Tensor) and value.ndim else value
        raise ConfigError(f'gives {shown}: a loss is one finite number, a tensor without axes')
    if not all(_depends(v, pred) for v in [value, *unweighted]):
        raise ConfigError(
            'does not depend on the predictions: it has no gradient, and nothing would be learnt; compute it '
            'from pred, without detach(), item() or numpy'
        )
    value.backward()
    if pred.grad is None or not torch.isfinite(pred.grad).all():
        raise ConfigError('gives a gradient that is not finite')


def _depends(value: Tensor | float, on: Tensor) -> bool:
    """Whether there is a way in the graph from a value back to a tensor, whatever the gradient is."""
    if not isinstance(value, Tensor) or not value.requires_grad:
        return False
    return torch.autograd.grad(value, on, retain_graph=True, allow_unused=True)[0] is not None


def _mask(frames: int) -> Tensor:
    """(rows, frames) bool, False at the end of the last row."""
    mask = torch.ones(ROWS, frames, dtype=torch.bool)
    mask[-1, frames - frames // 4 :] = False
    return mask


def _of_shape(found: Any, shape: tuple[int, ...], asked: str, wanted: str) -> Tensor:
    if not isinstance(found, Tensor):
        raise ConfigError(f'gives a {type(found).__name__}: forward{asked} must give {wanted}, a tensor')
    if tuple(found.shape) != shape:
        raise ConfigError(f'gives {tuple(found.shape)}: forward{asked} must give {wanted}, here {shape}')
    return found


def _same(found: Tensor, expected: Tensor, otherwise: str) -> None:
    if not torch.allclose(found, expected, rtol=1e-3, atol=1e-4, equal_nan=True):
        raise ConfigError(otherwise)


def _learns(part: nn.Module, y: Tensor) -> None:
    """A part with parameters to learn must be connected to what it gives."""
    if any(p.requires_grad for p in part.parameters()) and not y.requires_grad:
        raise ConfigError('has parameters, but what it gives has no gradient')
