"""From a loaded config to data loaders, a model and the trackers that record a run."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dist import get_dist_info

from abawfw.checkpoints import load_checkpoint, load_state_dict
from abawfw.components import build, building
from abawfw.config.loading import TRACKERS
from abawfw.datasets.loader import build_dataloader
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.kinds import with_check_data
from abawfw.errors import CheckpointError, ConfigError, DataError
from abawfw.models.parts import pretrained_file
from abawfw.registry import MODELS, VISBACKENDS


def build_loader(
    cfg: Config,
    key: str,
    partition: str | None = None,
    fitted: list | None = None,
    store: FeatureStore | None = None,
) -> Any:
    """Build ``train_dataloader`` or ``val_dataloader`` of a resolved config, for this rank.

    Args:
        cfg: resolved config.
        key: which of the two.
        partition: read this partition instead of the one in the config.
        fitted: what transforms took from the training videos, instead of fitting them again.
        store: read all videos of this partition of this store, which has nothing to do with the data of the
            config and its folds; in this process, which already holds it.

    Returns:
        ``DataLoader``; typed Any, since torch's type hides the dataset's and the sampler's.

    Raises:
        DataError: what the store or a transform finds in the data; it ends with how to see everything.
    """
    loader = copy.deepcopy(cfg[key].to_dict())
    if partition is not None:
        loader['dataset']['partition'] = partition
    if fitted is not None:
        loader['dataset']['fitted'] = fitted
    if store is not None:
        loader['dataset'] |= {'store': store, 'split': {'type': 'OfficialSplit'}, 'debug': None}
        loader['num_workers'] = 0
    if partition is not None or store is not None:
        loader['loading'] = {'type': 'Stream'}  # to be predicted, each clip once
    rank, world_size = get_dist_info()
    try:
        with building(key):
            return build_dataloader(loader, seed=cfg.seed, rank=rank, world_size=world_size)
    except DataError as error:
        if not isinstance(loader['dataset']['store'], str):
            raise
        raise DataError(with_check_data(error, loader['dataset']['store'])) from error


def fitted_of(meta: dict[str, Any]) -> list[dict[str, Any]] | None:
    """What transforms took from the training videos, by the ``meta`` of a checkpoint; None if unknown."""
    stored = meta.get('fitted')
    if stored is None:
        return None
    return [{name: tuple(t.numpy() for t in pair) for name, pair in step.items()} for step in stored]


def same_fitted(one: list[dict[str, Any]] | None, other: list[dict[str, Any]] | None) -> bool:
    """Whether transforms took the same from the training videos, as ``fitted_of`` gives it."""
    if one is None or other is None:
        return one is other
    return [step.keys() for step in one] == [step.keys() for step in other] and all(
        np.array_equal(x, y)
        for ours, theirs in zip(one, other, strict=True)
        for name in ours
        for x, y in zip(ours[name], theirs[name], strict=True)
    )


def check_pretrained(cfg: Config, dataset: Any) -> Iterator[str]:
    """Hold what the parts that ``model.pretrained`` names have learned on against the data of a run.

    A part of one feature, such as an encoder, is compared by what was done to this feature; any other by all
    features, in their order. What a checkpoint does not say, as a converted one its statistics, is not
    compared.

    Args:
        cfg: resolved config.
        dataset: that of ``train_dataloader``, fitted.

    Returns:
        A line for the log per part that learned on the statistics of other training videos.

    Raises:
        CheckpointError: a part learned on other features, or on features normalised in another way.
    """
    for part, source in (cfg.model.get('pretrained') or {}).items():
        path = pretrained_file(source)
        meta = load_checkpoint(path)['meta']
        there, fitted = meta.get('input_dims'), fitted_of(meta)
        if there is None:
            continue
        own = set(part.split('.')) & dataset.input_dims.keys()
        trained = _seen_by(own, there, fitted or [])
        here = _seen_by(own, dataset.input_dims, [] if fitted is None else dataset.fitted)
        if _described(*trained) != _described(*here):
            raise CheckpointError(
                f'{path}: its part {part} was trained on {_described(*trained)}; this run has '
                f'{_described(*here)}: give features and pipeline as its config has them, or omit it from '
                'model.pretrained'
            )
        if not same_fitted(trained[1], here[1]):
            yield (
                f'model.pretrained.{part}: {path} was trained on features normalised by the statistics of '
                'other training videos: of another data set, or of another fold, and then it may have '
                'learned from videos that this run validates on'
            )


def _seen_by(
    own: set[str], dims: dict[str, Any], fitted: list[dict[str, Any]]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Sizes and statistics of the features that a part sees: its own, or all where it has none."""
    if not own:
        return dims, fitted
    steps = [{name: step[name] for name in step if name in own} for step in fitted]
    return {name: dims[name] for name in dims if name in own}, [step for step in steps if step]


def _described(dims: dict[str, Any], fitted: list[dict[str, Any]]) -> str:
    """Features with their sizes, in order, and the sizes of the statistics that each step took of them."""
    sizes = [', '.join(f'{name} {np.shape(step[name][0])}' for name in sorted(step)) for step in fitted]
    steps = ' and '.join(f'statistics of training videos ({text or "none"})' for text in sizes)
    return f'{", ".join(f"{k} ({v})" for k, v in dims.items())} with {steps or "no statistics"}'


def model_config(cfg: Config, input_dims: dict[str, int]) -> dict[str, Any]:
    """The model's config, with what the data say: the size of every feature, in the config's order."""
    return {**cfg.model.to_dict(), 'input_dims': dict(input_dims)}


def restore_model(cfg: Config, checkpoint: Path, stored: dict[str, Any], input_dims: dict[str, Any]) -> Any:
    """Build the model of a resolved config with the content of a checkpoint, in evaluation mode.

    Raises:
        CheckpointError: it was trained on other features or targets.
    """
    meta = stored['meta']
    dims = list(meta.get('input_dims', input_dims).items())
    absent = set(cfg.model.get('optional', ())) - input_dims.keys()  # the model knows how to do without
    for name, then, here in (
        ('input_dims', [d for d in dims if d[0] not in absent], list(input_dims.items())),
        ('targets', list(meta.get('targets', cfg.targets)), list(cfg.targets)),
    ):
        if then != here:
            raise CheckpointError(
                f'{checkpoint}: trained with {name} {then}, but config and data give {here}; '
                f'use the config and the features (in their order) it was trained with'
            )
    model = build(MODELS, model_config(cfg, dict(dims)), 'model')
    load_state_dict(model, stored['state_dict'], checkpoint)
    return model.eval()


def compile_mode(cfg: Config) -> str | None:
    """In which of its modes ``torch.compile`` is to compile training, validation and tests; None for not."""
    given = cfg.get('compile')
    return None if given is None else str(given.get('mode', 'default'))


def recorder(cfg: dict[str, Any]) -> dict[str, Any] | None:
    """The ``visualizer`` of a resolved config, with the trackers that stand under keys of their own.

    Those keys, and not one list, let the bases that turn trackers on add up.
    """
    own = [cfg[key] for key in TRACKERS if cfg.get(key) is not None]
    given = cfg.get('visualizer')
    if not own:
        return given
    more = (given or {}).get('vis_backends') or []
    return {'type': 'Visualizer', **(given or {}), 'vis_backends': [*more, *own]}


def missing_trackers(cfg: dict[str, Any]) -> Iterator[str]:
    """What is missing for the trackers of a resolved config, one line each.

    A tracker of ours says in ``needs`` which packages it imports and which extra of abawfw brings them, and
    with ``problem(config)`` why what it records to cannot be used.
    """
    visualizer = cfg.get('visualizer')
    listed = visualizer.get('vis_backends') if isinstance(visualizer, dict) else None
    named = {
        f'visualizer.vis_backends[{i}]': b for i, b in enumerate(listed if isinstance(listed, list) else ())
    }
    for place, backend in {**named, **{key: cfg.get(key) for key in TRACKERS}}.items():
        name = backend.get('type') if isinstance(backend, dict) else None
        tracker = VISBACKENDS.get(name) if isinstance(name, str) else None
        packages, extra = getattr(tracker, 'needs', ((), ''))
        missing = [package for package in packages if importlib.util.find_spec(package) is None]
        if missing:
            yield (
                f'{place}: {name} needs {", ".join(missing)}, which is not installed: '
                f'pip install -e .[{extra}]'
            )
            continue
        problem = getattr(tracker, 'problem', None)
        if problem is not None and (text := problem(backend)) is not None:
            yield f'{place}: {text}'


def overlapping(cfg: Config) -> Config:
    """The config with clips for evaluation that start every ``length / overlap`` frames.

    Raises:
        ConfigError: clips have no length, or a shorter one.
    """
    overlap = cfg.get('overlap', 1)
    if overlap == 1:
        return cfg
    clips = cfg.val_dataloader.dataset.clips
    length = clips.get('length')
    if length is None or length < overlap:
        why = f'{clips.type} has no length' if length is None else f'clips have {length} frames'
        raise ConfigError(f'overlap = {overlap}: {why}; choose a smaller number')
    cfg = copy.deepcopy(cfg)
    cfg.val_dataloader.dataset.clips = {
        'type': 'SlidingWindow',
        'length': length,
        'hop': length // overlap,
    }
    return cfg


def clips_of(cfg: Config) -> dict[str, Any]:
    """How videos are cut for predictions: settings of the rule, and ``weights`` where clips overlap by it."""
    found: dict[str, Any] = overlapping(cfg).val_dataloader.dataset.clips.to_dict()
    if found['type'] != 'Segments' and found.get('hop', 0) != found.get('length'):
        found['weights'] = cfg.get('overlap_weights', 'uniform')
    return found


def stored_tokens(cfg: Config) -> set[str]:
    """The feature that the fusion of a resolved config takes as tokens, if nothing before it makes them."""
    tokens = (cfg.model.get('fusion') or {}).get('tokens')
    made = {*(cfg.model.get('encoders') or ()), *(cfg.model.get('backbones') or ())}
    return {tokens} - made if isinstance(tokens, str) else set()


def refuse_overlap(overlap: int, model: Any) -> None:
    """Refuse clips that overlap for a model that carries state from one to the next.

    Raises:
        ConfigError: see above.
    """
    if overlap > 1 and (carrying := next(iter(model.stateful), None)):
        raise ConfigError(
            f'overlap = {overlap}: {type(carrying).__name__} carries state from the end of a clip to the '
            'next one, so that clips cannot overlap: leave it at 1'
        )
