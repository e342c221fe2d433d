"""What only shows when a run is built, found out at the price of a fraction of a second."""

from __future__ import annotations

import abawfw.quick_mmengine  # noqa: F401, before MMEngine

# isort: split
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import initialize
from mmengine.registry import DefaultScope
from mmengine.runner import ValLoop
from torch import nn
from torch.overrides import TorchFunctionMode

from abawfw.apis.build import model_config, overlapping, refuse_overlap, stored_tokens
from abawfw.apis.check_optimisation import built_wrapper, check_rates
from abawfw.apis.postprocessing import configured
from abawfw.components import arguments, build, component_of, described
from abawfw.datasets.clip_request import ClipRequest
from abawfw.datasets.loader import one_clip
from abawfw.datasets.samplers.epoch_batch_sampler import EpochBatchSampler
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.kinds import with_check_data
from abawfw.datasets.transforms.load_predictions import teacher_problems
from abawfw.datasets.transforms.noise import Noise
from abawfw.datasets.transforms.normalize import Normalize, refuse_images
from abawfw.engine.hooks import (
    EarlyStopHook,
    EMAHook,
    GradualReleaseHook,
    ParamSchedulerHook,
    PruningHook,
    ReloadBestHook,
    SummaryHook,
    TrainingMetricHook,
    VACheckpointHook,
)
from abawfw.engine.loops import VATrainLoop
from abawfw.engine.monitor import check_measured, check_monitor
from abawfw.engine.schedulers import WarmupPlateauLR
from abawfw.errors import AbawfwError, ConfigError, DataError, nearest
from abawfw.evaluation.postprocess import Pipeline
from abawfw.evaluation.va_metric import VAMetric
from abawfw.models.parts import contract_problems
from abawfw.registry import DATASETS, HOOKS, LOOPS, METRICS, MODELS, PARAM_SCHEDULERS, SAMPLERS

# Which partition a loader reads: another one would be trained on, or measured, without anybody noticing.
LOADERS = {'train_dataloader': 'train', 'val_dataloader': 'val'}


def build_problems(cfg: Config, store: FeatureStore) -> list[str]:
    """Build what a run is made of, without a pass over the data and without memory for weights.

    Components of the model that are not from this package are also run on a small batch.

    A component of the user's that reads its weights while it is built cannot be built without memory: what is
    wrong with such a one is reported when the run is built. So is what is wrong with a dataset of the user's
    that has no argument ``fit``, and with a model behind it.

    Args:
        cfg: resolved config whose keys, components and arguments are right.
        store: the one at its data_root.

    Returns:
        One line per problem.
    """
    check = _BuildCheck(cfg)
    with DefaultScope.overwrite_default_scope('abawfw'), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of layers without elements: they are repeated when the run is built
        datasets = {}
        for key, partition in LOADERS.items():
            other = list(_partition_problems(cfg, key, partition))
            check.add(other)
            if other:
                continue
            found = check.step(f'{key}.dataset', partial(_unfitted, cfg, key, store))
            if found is not None:
                datasets[key] = found
                check.step(f'{key}.sampler', partial(_sampler, cfg, key, found))
                check.step(f'{key}.dataset', partial(_one_clip, found))
        check.add(_unlike(datasets))
        model = None
        if 'train_dataloader' in datasets:
            model = _model(cfg, check, datasets['train_dataloader'])
            check.add(teacher_problems(datasets, None if model is None else model.has_teacher))
            check.add(_noisy_tokens(cfg, datasets['train_dataloader']))
        schedules = (
            [] if model is None else check.step('optim_wrapper', partial(_optimisation, cfg, model, check))
        )
        check.step('train_cfg', partial(_derived, LOOPS, cfg.train_cfg, VATrainLoop))
        check.step('val_cfg', partial(_derived, LOOPS, cfg.val_cfg, ValLoop))
        metrics = [
            check.step(f'val_evaluator[{i}]', partial(METRICS.build, metric))
            for i, metric in enumerate(_listed(cfg.val_evaluator))
        ]
        if None not in metrics and not any(isinstance(metric, VAMetric) for metric in metrics):
            check.add(['val_evaluator: a run needs VAMetric, whose scores choose the best weights'])
        _hooks(cfg, check, model, schedules or [])
    return [*check.lines(), *_postprocess_problems(cfg)]


class _BuildCheck:
    """Gathers what is wrong with each step; the same text of several places makes one line."""

    def __init__(self, cfg: Config) -> None:
        self.root = cfg.data_root
        self.found: dict[str, list[str]] = {}

    def step(self, place: str, make: Callable[[], Any]) -> Any:
        """What a step gives; None if it fails."""
        try:
            return make()
        except Exception as error:  # of a constructor, which may raise anything
            text = _text(error, self.root)
            places = self.found.setdefault(text, [])
            if place not in places and not text.startswith(place.partition('[')[0]):
                places.append(place)
            return None

    def add(self, lines: Iterable[str]) -> None:
        """Problems that name their place."""
        for line in lines:
            self.found.setdefault(line, [])

    def lines(self) -> list[str]:
        """One per problem."""
        return [f'{", ".join(places)}: {text}' if places else text for text, places in self.found.items()]


def _postprocess_problems(cfg: Config) -> list[str]:
    """What the steps of post-processing refuse, each with its place; or else, windows that cannot be."""
    try:
        Pipeline.by_target(cfg.to_dict().get('postprocess', {}), cfg.targets)
    except ConfigError as error:
        return str(error).splitlines()
    try:
        configured(cfg, cfg.targets)
    except (AbawfwError, TypeError, ValueError) as error:
        return _text(error, cfg.data_root).splitlines()
    return []


def _partition_problems(cfg: Config, key: str, partition: str) -> Iterator[str]:
    found = cfg[key].dataset.get('partition', partition)
    if found != partition:
        what = 'trained on' if partition == 'train' else 'validated on'
        yield (
            f'{key}.dataset.partition: {found!r}: a run is {what} {partition!r}; dataset.split chooses other '
            'videos for it, and tools/test.py predicts other partitions'
        )


def _unlike(datasets: dict[str, Any]) -> Iterator[str]:
    """Frames that are validated on of other sizes than those that are trained on."""
    sizes = [dataset.input_dims for dataset in datasets.values()]
    for name in sizes[0] if len(sizes) == len(LOADERS) else ():
        trained, validated = sizes[0][name], sizes[1].get(name)
        if trained != validated:
            yield (
                f'val_dataloader.dataset.pipeline: gives frames of {name} of {validated}, and the '
                f'train_pipeline of {trained}: what one does to the size of features, the other must do, too'
            )


def _model(cfg: Config, check: _BuildCheck, dataset: Any) -> Any:
    """The model without memory, or None, and what is wrong with it."""
    given = model_config(cfg, dataset.input_dims)
    model = check.step('model', partial(_without_memory, given))
    if model is not None:
        check.add(_too_large(model))
        check.add(_too_long(model, dataset))
        check.step('model.init_cfg', partial(_initial_weights, model))
        is_bytes = {f for f in dataset.features if dataset.store.feature(f).dtype == 'uint8'}
        longest = max(clip.stop - clip.start for clip in dataset.clips)
        check.step('model', lambda: check.add(contract_problems(given, model, longest, is_bytes)))
        check.step('overlap', lambda: refuse_overlap(overlapping(cfg).get('overlap', 1), model))
    return model


def _noisy_tokens(cfg: Config, dataset: Any) -> Iterator[str]:
    """Noise on a feature whose equal vectors are one token: every frame would be one."""
    for transform in dataset.pipeline:
        if isinstance(transform, Noise):
            for name in sorted(stored_tokens(cfg).intersection(transform.features or ())):
                yield (
                    f'train_dataloader.dataset.pipeline: Noise would make each frame of {name} a token of '
                    'its own, where model.fusion.tokens takes equal vectors for one: name the other '
                    'features, features=[...]'
                )


def _unfitted(cfg: Config, key: str, store: FeatureStore) -> Any:
    """The dataset of a loader, unfitted; None where it cannot be built without a pass over the data."""
    dataset = cfg[key].to_dict()['dataset']
    if 'fit' not in arguments(component_of(DATASETS, dataset, f'{key}.dataset')):
        return None
    if dataset['store'] == cfg.data_root:
        dataset['store'] = store  # it is open already
    return build(DATASETS, {**dataset, 'fit': False}, '')  # the places of both loaders stand before one line


def _sampler(cfg: Config, key: str, dataset: Any) -> None:
    given = cfg[key].to_dict()['sampler']
    sampler = build(SAMPLERS, given, f'{key}.sampler', dataset=dataset, seed=cfg.seed, rank=0, world_size=1)
    if not isinstance(sampler, EpochBatchSampler):
        raise ConfigError(
            f'{type(sampler).__name__} cannot start in mid-epoch: derive it from EpochBatchSampler '
            '(abawfw.datasets.samplers), as ClipSampler and LaneBatchSampler are'
        )
    sampler.set_epoch(0)
    if not len(sampler):
        raise ConfigError(f'{type(sampler).__name__} makes no batch of {len(dataset.clips)} clips')


def _one_clip(dataset: Any) -> None:
    """Run the longest clip through the pipeline, as far as that needs no statistics of the data."""
    for transform in dataset.pipeline:
        if isinstance(transform, Normalize):
            for feature in transform.features or ():
                refuse_images(dataset.store, feature)
            nothing = np.zeros(1, np.float32), np.ones(1, np.float32)
            transform.load(dict.fromkeys(transform.features or (), nothing))
        elif hasattr(transform, 'fit'):
            return
    lengths = [clip.stop - clip.start for clip in dataset.clips]
    try:
        batch = one_clip(dataset, ClipRequest(lengths.index(max(lengths))))
    except DataError:
        return  # of the data, not of the config: reported when they are read
    for name, dims in dataset.input_dims.items():
        shape = tuple(batch['inputs'][name].shape[2:])
        if shape != ((dims,) if isinstance(dims, int) else tuple(dims)):
            raise ConfigError(
                f'the pipeline gives frames of {name} of shape {shape}, and says {dims}: a transform that '
                'changes it must say so in output_dims(input_dims)'
            )


def _without_memory(model: dict[str, Any]) -> Any:
    """The model with tensors that have shapes and no values; None if a component looks at values."""
    try:
        with torch.device('meta'), _NormsWithoutValues():
            return MODELS.build(model)
    except (RuntimeError, ConfigError) as error:
        if 'meta' in str(error):
            return None
        raise


class _NormsWithoutValues(TorchFunctionMode):
    """Weight normalisation of tensors without values.

    torch imports its compiler for their norms, which takes longer than all the rest of the check.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.norm_except_dim:
            weight, _, dim = args
            return weight.new_empty([size if i == dim else 1 for i, size in enumerate(weight.shape)])
        if func is torch._weight_norm:
            return torch.empty_like(args[0])
        return func(*args, **(kwargs or {}))


def _initial_weights(model: Any) -> None:
    """Draw initial weights of no memory, as ``init_cfg`` says."""
    if not model.init_cfg:
        return
    names = {base.__name__ for module in model.modules() for base in type(module).__mro__}
    for given in model.init_cfg if isinstance(model.init_cfg, list) else [model.init_cfg]:
        layers = given.get('layer') or ()
        for layer in [layers] if isinstance(layers, str) else layers:
            if layer not in names:
                raise ConfigError(f'the model has no layer {layer!r}: {nearest(layer, names)}')
    initialize(model, model.init_cfg)


def _too_large(model: nn.Module) -> Iterator[str]:
    """Parameters that do not fit into the memory of this machine."""
    needed = sum(p.numel() * p.element_size() for p in model.parameters())
    there = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    if needed > there:
        largest = max(model.named_parameters(), key=lambda named: named[1].numel())
        yield (
            f'model: its parameters take {needed / 1e9:,.0f} GB, and this machine has {there / 1e9:,.0f} GB; '
            f'the largest is {largest[0]} of shape {tuple(largest[1].shape)}'
        )


def _too_long(model: Any, dataset: Any) -> Iterator[str]:
    """Clips that a part of the model cannot take."""
    longest = max(clip.stop - clip.start for clip in dataset.clips)
    for i, context in enumerate(model.context):
        limit = getattr(context, 'max_length', None)
        if limit is not None and longest > limit:
            yield (
                f'model.context[{i}]: {type(context).__name__} takes clips of at most {limit} frames, and '
                f'the longest has {longest}: cut shorter ones (train_dataloader.dataset.clips)'
            )


def _optimisation(cfg: Config, model: Any, check: _BuildCheck) -> list[Any]:
    """The schedules, for optimiser and wrapper of the model's parameters."""
    wrapper = built_wrapper(model, cfg.optim_wrapper.to_dict())
    built = []
    for i, schedule in enumerate(_listed(cfg.get('param_scheduler') or ())):
        # how many batches there are is not known here
        end = cfg.train_cfg.get('max_epochs') if schedule.get('by_epoch', True) else 10**9
        given = {'optimizer': wrapper, 'end': end, **schedule}
        built.append(check.step(f'param_scheduler[{i}]', partial(PARAM_SCHEDULERS.build, given)))
    check.step('param_scheduler', partial(check_rates, wrapper.optimizer, built, cfg.train_cfg.max_epochs))
    return built


def _derived(registry: Any, given: Any, base: type) -> None:
    component = component_of(registry, given, '')
    if not (isinstance(component, type) and issubclass(component, base)):
        raise ConfigError(
            f'{component.__name__} lacks what training uses: take {base.__name__}, or derive yours from it'
        )


# Without these nothing of a run is measured, kept or reported.
WATCHING = (EarlyStopHook, ReloadBestHook, GradualReleaseHook, PruningHook, WarmupPlateauLR)
NEEDED_HOOKS = (TrainingMetricHook, VACheckpointHook, SummaryHook)


def _hooks(cfg: Config, check: _BuildCheck, model: Any, schedules: list[Any]) -> None:
    """Build the hooks, and hold what they name against the model."""
    named = {f'default_hooks.{k}': v for k, v in cfg.get('default_hooks', {}).items() if v is not None}
    named |= {f'custom_hooks[{i}]': v for i, v in enumerate(cfg.get('custom_hooks') or ())}
    plateaus = [schedule for schedule in schedules if isinstance(schedule, WarmupPlateauLR)]
    built = {place: check.step(place, partial(_hook, given)) for place, given in named.items()}
    needed = NEEDED_HOOKS if not cfg.get('param_scheduler') else (*NEEDED_HOOKS, ParamSchedulerHook)
    for kind in needed:
        if not any(isinstance(hook, kind) for hook in built.values()) and None not in built.values():
            check.add([f'default_hooks: a run needs {kind.__name__}: see configs/_base_/default_runtime.py'])
    for place, hook in built.items():
        if isinstance(hook, EMAHook):
            check.step(place, partial(hook.check_run, list(built.values()), cfg.train_cfg.max_epochs))
    if model is None:  # parts of it and schedules are checked when the run is built
        for place, hook in built.items():
            if isinstance(hook, WATCHING) and 'targets' in cfg:
                check.step(place, partial(check_monitor, cfg.targets, type(hook).__name__, hook.monitor))
        return
    watching = {**built, **{f'param_scheduler[{i}]': schedule for i, schedule in enumerate(schedules)}}
    for place, owner in watching.items():
        if isinstance(owner, WATCHING):
            check.step(place, partial(check_monitor, model.targets, type(owner).__name__, owner.monitor))
        elif type(owner).__module__.startswith('mmengine.') and isinstance(
            getattr(owner, 'monitor', None), str
        ):
            # what metrics of the user's measure, only they know
            if [metric['type'] for metric in _listed(cfg.val_evaluator)] != ['VAMetric']:
                continue
            check.step(place, partial(check_measured, model.targets, owner))
        if isinstance(owner, GradualReleaseHook):
            check.step(place, partial(owner.check_parts, model))
            if not plateaus:
                check.add(
                    [f"{place}: GradualReleaseHook needs param_scheduler=[dict(type='WarmupPlateauLR', ...)]"]
                )


def _hook(given: Any) -> Hook:
    hook = HOOKS.build({k: v for k, v in given.to_dict().items() if k != 'priority'})
    if not isinstance(hook, Hook):
        raise ConfigError(f'{given["type"]} is no hook: derive it from mmengine.hooks.Hook')
    return hook


def _listed(given: Any) -> list[dict[str, Any]]:
    """Plain configs, of which there may be one or several."""
    items: Any = [given] if isinstance(given, dict) else given
    return [item.to_dict() for item in items]


def _text(error: Exception, root: Any) -> str:
    if isinstance(error, DataError):
        text = with_check_data(error, root)
    else:
        text = str(error) if isinstance(error, AbawfwError) else described(error)
    return text.replace('\n', '\n    ')
