"""Checking a config before anything is built: every mistake at once, with the nearest right name."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry

from abawfw import registry as registries
from abawfw.config import OWN_KEYS, RUNNER_KEYS, referenced_names, resolve_references
from abawfw.errors import nearest

REQUIRED_KEYS = (
    *('data_root', 'features', 'targets', 'seed', 'model', 'train_dataloader', 'val_dataloader', 'train_cfg'),
    'val_cfg',
    *('optim_wrapper', 'val_evaluator'),
)

# Which registry a value belongs to, by the key it stands under.
REGISTRY_OF = {
    'model': registries.MODELS,
    'data_preprocessor': registries.MODELS,
    'dataset': registries.DATASETS,
    'store': registries.STORES,
    'split': registries.SPLITS,
    'clips': registries.CLIPS,
    'pipeline': registries.TRANSFORMS,
    'sampler': registries.SAMPLERS,
    'backbones': registries.BACKBONES,
    'encoders': registries.ENCODERS,
    'fusion': registries.FUSIONS,
    'context': registries.CONTEXTS,
    'head': registries.HEADS,
    'losses': registries.LOSSES,
    'init_cfg': registries.WEIGHT_INITIALIZERS,
    'train_cfg': registries.LOOPS,
    'val_cfg': registries.LOOPS,
    'optim_wrapper': registries.OPTIM_WRAPPERS,
    'optimizer': registries.OPTIMIZERS,
    'param_scheduler': registries.PARAM_SCHEDULERS,
    'val_evaluator': registries.METRICS,
    'default_hooks': registries.HOOKS,
    'custom_hooks': registries.HOOKS,
    'visualizer': registries.VISUALIZERS,
    'vis_backends': registries.VISBACKENDS,
    'postprocess': registries.POSTPROCESSORS,
}

# Settings that are no component: what stands in them.
GROUPS = {
    'train_dataloader': {'dataset', 'sampler', 'num_workers'},
    'val_dataloader': {'dataset', 'sampler', 'num_workers'},
    'randomness': {'seed', 'deterministic', 'diff_rank_seed'},
}

# Keys under which components stand by a name of the user's choice.
NAMED = frozenset({'backbones', 'encoders', 'default_hooks', 'postprocess'})

# Arguments that the builder supplies and a config does not state, by registry name.
SUPPLIED = {
    'dataset': {'fitted', 'fit'},
    'backbone': {'in_dim'},
    'model': {'input_dims'},
    'encoder': {'in_dim'},
    'fusion': {'in_dims'},
    'context': {'in_dim'},
    'head': {'in_dim', 'targets'},
    'sampler': {'dataset', 'seed', 'rank', 'world_size'},
    'loop': {'runner', 'dataloader', 'evaluator'},
    'optim wrapper': {'optimizer'},
    'optimizer': {'params'},
    'parameter scheduler': {'optimizer', 'param_name'},
    'visualizer': {'name', 'save_dir'},
    'visualizer backend': {'save_dir'},
}

# Keys that MMEngine takes out before it calls the component.
TAKEN_OUT = {'optim wrapper': {'optimizer', 'constructor', 'paramwise_cfg'}, 'hook': {'priority'}}

# Arguments whose keys are names of the user's choice and no settings.
PLAIN = frozenset({'paramwise_cfg'})


def config_problems(config: Config) -> list[str]:
    """Compare a loaded config with the registries and the signatures of the components it names.

    Returns:
        One line per problem: unknown or missing top-level keys, references to nothing, unknown components,
        arguments a component does not have, arguments it needs and does not get.
    """
    partly_resolved, problems = resolve_references(config)
    resolved = partly_resolved.to_dict()
    problems += _top_level(config)
    problems += _postprocess(resolved)
    with DefaultScope.overwrite_default_scope('abawfw'):
        for key in (RUNNER_KEYS | {'postprocess'}) & resolved.keys():
            problems += _walk(resolved[key], key, REGISTRY_OF.get(key))
    return sorted(problems)


def _top_level(config: Config) -> Iterator[str]:
    known = RUNNER_KEYS | OWN_KEYS | referenced_names(config)
    for key in config:
        if key not in known:
            hint = nearest(key, known)
            yield f"unknown top-level key '{key}', and nothing refers to it as '${{{key}}}': {hint}"
    for key in REQUIRED_KEYS:
        if key not in config:
            yield f"top-level key '{key}' is missing"


def _postprocess(resolved: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the shape of ``postprocess``: a list of components, or one per target."""
    given = resolved.get('postprocess', [])
    by_target = isinstance(given, dict) and 'type' not in given
    for target, steps in given.items() if by_target else [('', given)]:
        place = f'postprocess.{target}' if target else 'postprocess'
        targets = resolved.get('targets') or ()
        if target and target not in targets:
            yield f'{place}: the run has no such target: {nearest(target, targets)}'
        if not isinstance(steps, (list, tuple)) or not all(isinstance(step, dict) for step in steps):
            yield f"{place}: must be a list such as [dict(type='MeanSmoothing', window=50)], not {steps!r}"


def _walk(node: Any, place: str, registry: Registry | None) -> Iterator[str]:
    key = place.rpartition('.')[2]
    if isinstance(node, (list, tuple)):
        for i, item in enumerate(node):
            yield from _walk(item, f'{place}[{i}]', registry)
    elif isinstance(node, dict) and 'type' in node:
        yield from _component(node, place, registry)
    elif isinstance(node, dict):
        if registry is not None and key not in NAMED:
            yield f"{place}: 'type' is missing: which {registry.name}?"
        for name, value in node.items():
            if key in GROUPS and name not in GROUPS[key]:
                yield f'{place}.{name}: there is no such setting: {nearest(name, GROUPS[key])}'
            yield from _walk(value, f'{place}.{name}', registry if key in NAMED else REGISTRY_OF.get(name))


def _component(node: dict, place: str, registry: Registry | None) -> Iterator[str]:
    arguments = {k: v for k, v in node.items() if k not in ('type', '_scope_')}
    for key, value in arguments.items():
        if key not in PLAIN:
            yield from _walk(value, f'{place}.{key}', REGISTRY_OF.get(key))
    if registry is None:
        yield f"{place}: no component is expected here (type '{node['type']}')"
        return
    component = node['type'] if not isinstance(node['type'], str) else registry.get(node['type'])
    if component is None:
        hint = nearest(node['type'], _names(registry))
        yield f"{place}: no {registry.name} is called '{node['type']}': {hint}"
        return
    name = component.__name__
    allowed, required = signature(component)
    supplied = SUPPLIED.get(registry.name, set())
    taken_out = TAKEN_OUT.get(registry.name, set())
    for key in arguments:
        if key in supplied - taken_out:
            yield f'{place}.{key}: is set by what {name} is built from; leave it away'
        elif key not in allowed | taken_out:
            yield f'{place}.{key}: {name} has no such argument: {nearest(key, allowed - supplied)}'
    for key in required - supplied - arguments.keys():
        yield f"{place}: {name} needs the argument '{key}'"


def _names(registry: Registry) -> set[str]:
    registry.import_from_location()
    parent = registry.parent
    return set(registry.module_dict) | (_names(parent) if parent is not None else set())


def signature(component: Any) -> tuple[set[str], set[str]]:
    """Names a component accepts and names it needs; ``**kwargs`` are followed to the base classes."""
    functions = [component]
    if inspect.isclass(component):
        functions = [vars(c)['__init__'] for c in component.__mro__ if '__init__' in vars(c)]
    allowed: set[str] = set()
    required: set[str] = set()
    for function in functions:
        parameters = [p for p in inspect.signature(function).parameters.values() if p.name != 'self']
        named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        allowed |= {p.name for p in named}
        required |= {p.name for p in named if p.default is p.empty}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return allowed, required
