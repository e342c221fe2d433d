"""Checking a config before anything is built: every mistake at once, with the nearest right name."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MinLen
from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry

from abawfw import registry as registries
from abawfw.components import (
    Count,
    Fraction,
    NonNegative,
    Positive,
    WholeNumber,
    arguments,
    registered,
    wrong_value,
)
from abawfw.config.loading import (
    OWN_KEYS,
    REFERENCE,
    RUNNER_KEYS,
    TRACKERS,
    VAConfig,
    load_config,
    not_plain,
    referenced_names,
    resolve_references,
    stands_at,
)
from abawfw.config.ranges import FACTORS, RANGES
from abawfw.errors import ConfigError, nearest

Part = dict[str, Any]
Parts = Sequence[Part]
Target = Literal['valence', 'arousal']
Seed = Annotated[int, Ge(0), Le(2**32 - 1)]

# What stands at the top level, but for values of the user's that others refer to.
TOP_LEVEL: dict[str, Any] = {
    'data_root': str,
    'features': Annotated[Sequence[str], MinLen(1)],
    'targets': Annotated[Sequence[Target], MinLen(1)],
    'seed': Seed,
    'windows': Mapping[Target, WholeNumber],
    'postprocess': Any,  # by target or for all: see _postprocess
    'trial_files': bool,
    'intervals': Part,
    'overlap': Count,
    'overlap_weights': Literal['uniform', 'triangle', 'gaussian'],
    'threads': Count,
    'matmul_precision': Literal['tf32', 'float32'],
    'compile': Part | None,
    **dict.fromkeys(TRACKERS, Part | None),
    'model': Part,
    'train_dataloader': Part,
    'val_dataloader': Part,
    'train_cfg': Part,
    'val_cfg': Part,
    'optim_wrapper': Part,
    'param_scheduler': Parts | Part | None,
    'val_evaluator': Annotated[Parts, MinLen(1)] | Part,
    'default_hooks': dict[str, Part | None],
    'custom_hooks': Parts | None,
    'load_from': str | None,
    'visualizer': Part | None,
    'default_scope': Literal['abawfw'],
    'randomness': Part,
    'custom_imports': Part,
}

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
    'loading': registries.LOADINGS,
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
    **dict.fromkeys(TRACKERS, registries.VISBACKENDS),
}

# Settings that are no component: what stands in them.
LOADER = {
    'dataset': Part,
    'sampler': Part,
    'num_workers': Annotated[int, Ge(0), Le(256)],
    'loading': Part,
}
GROUPS: dict[str, dict[str, Any]] = {
    'train_dataloader': LOADER,
    'val_dataloader': LOADER,
    'intervals': {'alpha': Fraction},
    'randomness': {'seed': Seed | None, 'deterministic': bool, 'diff_rank_seed': bool},
    'compile': {'mode': Literal['default', 'reduce-overhead', 'max-autotune', 'max-autotune-no-cudagraphs']},
    'custom_imports': {'imports': Sequence[str] | str, 'allow_failed_imports': bool},
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
    'loading policy': {'dataset', 'sampler', 'num_workers', 'seed', 'within'},
    'loop': {'runner', 'dataloader', 'evaluator'},
    'optim wrapper': {'optimizer'},
    'optimizer': {'params'},
    'parameter scheduler': {'optimizer', 'param_name'},
    'visualizer': {'name', 'save_dir'},
    'visualizer backend': {'save_dir'},
}

# Arguments that are supplied where a config does not state them.
DEFAULTED = {'parameter scheduler': {'end'}}

# Arguments that are taken out before the component is called.
PRIORITIES = Literal[
    'HIGHEST', 'VERY_HIGH', 'HIGH', 'ABOVE_NORMAL', 'NORMAL', 'BELOW_NORMAL', 'LOW', 'VERY_LOW', 'LOWEST'
]
TAKEN_OUT: dict[str, dict[str, Any]] = {
    'optim wrapper': {'optimizer': Part, 'constructor': str, 'paramwise_cfg': Part | None},
    'hook': {'priority': Annotated[int, Ge(0), Le(100)] | PRIORITIES},
    'loss': {'weight': Positive, 'targets': Sequence[str] | None},
}

# Arguments whose keys are names of the user's choice and no settings.
PLAIN = frozenset({'paramwise_cfg'})


def config_problems(config: Config) -> list[str]:
    """Compare a loaded config with the registries and the signatures of the components it names.

    Returns:
        One line per problem: unknown or missing top-level keys, references to nothing, unknown components,
        arguments a component does not have, arguments it needs and does not get, values of another type or
        out of their range, values that a run could not write down.
    """
    partly_resolved, problems = resolve_references(config)
    resolved = partly_resolved.to_dict()
    problems += not_plain(config)
    problems += _top_level(config)
    problems += _postprocess(resolved)
    check = _Check(config)
    with DefaultScope.overwrite_default_scope('abawfw'):
        for key in [key for key in resolved if key in TOP_LEVEL]:
            if check.value(key, resolved[key], TOP_LEVEL[key]) and key in REGISTRY_OF.keys() | GROUPS:
                check.walk(resolved[key], key, REGISTRY_OF.get(key))
    return sorted(dict.fromkeys([*problems, *check.lines()]))


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


class _Check:
    """Goes through a resolved config and gathers problems."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.problems: list[str] = []
        self.wrong: dict[str, dict[str, None]] = {}

    def value(self, place: str, value: Any, annotation: Any, whose: str = '') -> bool:
        """Hold a value against its type and range; ``whose`` argument it is stands behind the message."""
        wrong = wrong_value(annotation, value)
        if wrong is None:
            return True
        inner, wanted, found = wrong
        if (isinstance(found, str) and REFERENCE.search(found)) or not_plain(Config({'x': found})):
            return True  # a reference to nothing, or no value of a config: reported by itself
        line = f'{stands_at(self.config, place + inner)}: must be {wanted}, not {_short(found)}'
        self.wrong.setdefault(line, {})[whose] = None
        return False

    def lines(self) -> list[str]:
        """One per problem; a value that several arguments take has one."""
        values = []
        for line, owners in self.wrong.items():
            named = ', '.join(owner for owner in owners if owner)
            values.append(f'{line} ({named})' if named else line)
        return [*self.problems, *values]

    def walk(self, node: Any, place: str, registry: Registry | None) -> None:
        """Go through a value and all that is in it; ``registry`` is the one that its components are of."""
        key = place.rpartition('.')[2]
        if isinstance(node, (list, tuple)):
            for i, item in enumerate(node):
                self.walk(item, f'{place}[{i}]', registry)
        elif isinstance(node, dict) and 'type' in node:
            self._component(node, place, registry)
        elif isinstance(node, dict):
            if registry is not None and key not in NAMED:
                self.problems.append(f"{place}: 'type' is missing: which {registry.name}?")
            for name, value in node.items():
                if key in GROUPS and name not in GROUPS[key]:
                    hint = nearest(name, GROUPS[key])
                    self.problems.append(f'{place}.{name}: there is no such setting: {hint}')
                elif key in GROUPS and not self.value(f'{place}.{name}', value, GROUPS[key][name]):
                    continue
                self.walk(value, f'{place}.{name}', registry if key in NAMED else REGISTRY_OF.get(name))
            for name in ('dataset', 'sampler', 'num_workers'):
                if key.endswith('_dataloader') and name not in node:
                    self.problems.append(f"{place}: '{name}' is missing")

    def _component(self, node: dict, place: str, registry: Registry | None) -> None:
        given = {k: v for k, v in node.items() if k not in ('type', '_scope_')}
        for key, value in given.items():
            if key not in PLAIN:
                self.walk(value, f'{place}.{key}', REGISTRY_OF.get(key))
        if registry is None:
            self.problems.append(f"{place}: no component is expected here (type '{node['type']}')")
            return
        if not isinstance(node['type'], str):
            self.problems.append(
                f'{stands_at(self.config, f"{place}.type")}: {_short(node["type"])} is no text that names a '
                f'{registry.name}'
            )
            return
        component = registered(registry, node['type'])
        if component is None:
            hint = nearest(node['type'], _names(registry))
            self.problems.append(f"{place}: no {registry.name} is called '{node['type']}': {hint}")
            return
        self._arguments(component, given, place, registry)
        if registry is registries.OPTIM_WRAPPERS:
            self._constructor(given, place)

    def _constructor(self, given: dict[str, Any], place: str) -> None:
        """What builds the optimiser, and the options that it gives to parts of the model."""
        name, options = given.get('constructor'), given.get('paramwise_cfg')
        builders = registries.OPTIM_WRAPPER_CONSTRUCTORS
        if isinstance(name, str) and registered(builders, name) is None:
            hint = nearest(name, _names(builders))
            self.problems.append(f"{place}.constructor: no {builders.name} is called '{name}': {hint}")
        here = f'{place}.paramwise_cfg'
        if not isinstance(options, dict):
            return
        if name == 'SubnetworkConstructor' and self.value(here, options, dict[str, Part]):
            # a part with a rate of 0 stays as it is
            self._options(here, options, {**RANGES['optimizer'], 'lr': NonNegative})
        elif name in (None, 'DefaultOptimWrapperConstructor'):
            for key, value in options.items():
                if key not in FACTORS:
                    self.problems.append(
                        f'{here}.{key}: there is no such setting: {nearest(key, FACTORS)}; '
                        'SubnetworkConstructor takes parts and patterns'
                    )
                elif self.value(f'{here}.{key}', value, FACTORS[key]) and key == 'custom_keys':
                    factors = dict.fromkeys(('lr_mult', 'decay_mult'), NonNegative)
                    self._options(f'{here}.{key}', value, factors)

    def _options(self, place: str, parts: dict[str, Part], kinds: dict[str, Any]) -> None:
        for part, options in parts.items():
            for key in kinds.keys() & options.keys():
                self.value(f'{place}.{part}.{key}', options[key], kinds[key])

    def _arguments(self, component: Any, given: dict[str, Any], place: str, registry: Registry) -> None:
        name = component.__name__
        known = arguments(component)
        if registry is registries.LOSSES and not inspect.isclass(component):
            known = dict(list(known.items())[3:])  # a function of predictions, labels and a mask
        supplied = SUPPLIED.get(registry.name, set())
        taken_out = TAKEN_OUT.get(registry.name, {})
        own = {k: a.annotation for k, a in known.items()}
        foreign = component.__module__.startswith(('torch.', 'mmengine.'))
        stated = {**own, **taken_out, **(RANGES.get(registry.name, {}) if foreign else {})}
        for key, value in given.items():
            if key in supplied - taken_out.keys():
                self.problems.append(f'{place}.{key}: is set by what {name} is built from; omit it')
            elif key not in known.keys() | taken_out:
                hint = nearest(str(key), known.keys() - supplied)
                self.problems.append(f'{place}.{key}: {name} has no such argument: {hint}')
            elif key not in known or not known[key].is_default(value):
                self.value(f'{place}.{key}', value, stated[key], f'{key} of {name}')
        for key, argument in known.items():
            if argument.required and key not in supplied | DEFAULTED.get(registry.name, set()) | given.keys():
                self.problems.append(f"{place}: {name} needs the argument '{key}'")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f'{text[:77]}...'


def _names(registry: Registry) -> set[str]:
    registry.import_from_location()
    parent = registry.parent
    return set(registry.module_dict) | (_names(parent) if parent is not None else set())


def written_problems(config: Config) -> list[str]:
    """What a run would not read again of its config as it is: it is written to a file and loaded."""
    text = VAConfig(config.to_dict()).pretty_text
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'config.py'
        path.write_text(text, encoding='utf-8', errors='backslashreplace')
        try:
            again = load_config(path)
        except ConfigError as error:
            return [f'a run could not read its own config again: {str(error).removeprefix(f"{path}")}']
    after = again.to_dict()
    changed = [k for k, v in config.to_dict().items() if repr(after.get(k)) != repr(v)]
    return [f'{key}: {config[key]!r} is another value when a run reads its config again' for key in changed]
