"""What a component's constructor accepts, and building one from its config.

A constructor's annotations are what the check of a config holds values against, for components from outside
this package too. Ranges stand there as well: the types below, or any constraint of ``annotated_types``.
"""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt

from abawfw.errors import AbawfwError, ConfigError, nearest

if TYPE_CHECKING:
    from mmengine.registry import Registry

# Upper ends are far beyond what anybody wants: what lies above is a slip that fills memory, or no float32.
WholeNumber = Annotated[int, Ge(0), Le(10**9)]
"""0 or more: frames, epochs."""
Count = Annotated[int, Ge(1), Le(10**9)]
"""1 or more: frames, epochs, videos."""
Width = Annotated[int, Ge(1), Le(2**16)]
"""Length of vectors, channels of a layer, heads."""
Depth = Annotated[int, Ge(1), Le(1000)]
"""Layers, steps, stages: parts that are built one by one."""
Positive = Annotated[float, Gt(0), Le(3e38)]
"""A rate, a weight, a norm."""
NonNegative = Annotated[float, Ge(0), Le(3e38)]
"""A deviation, a decay."""
Probability = Annotated[float, Ge(0), Lt(1)]
"""Probability of dropping a value; with 1 nothing would be left."""
Fraction = Annotated[float, Gt(0), Lt(1)]
"""Between 0 and 1, which change nothing and leave nothing."""

# What an error of pydantic asks for; those it names by a class are no matter of a config.
_KINDS = {
    'int_type': 'a whole number',
    'int_from_float': 'a whole number',
    'float_type': 'a number',
    'bool_type': 'True or False',
    'string_type': 'a text',
    'list_type': 'a list',
    'tuple_type': 'a list',
    'sequence_str': 'a list',
    'dict_type': 'a dict',
    'mapping_type': 'a dict',
    'none_required': 'None',
    'greater_than': 'above {gt:g}',
    'greater_than_equal': '{ge:g} or more',
    'less_than': 'below {lt:g}',
    'less_than_equal': '{le:,.9g} or less',
    'too_short': 'a list of at least {min_length}',
    'string_too_short': 'a text of {min_length} or more characters',
    'too_long': 'a list of at most {max_length}',
    'missing': 'there, as a value of the list',
    'literal_error': '{expected}',
}
_INSTANCES = {'Sequence': 'a list', 'Mapping': 'a dict'}


class Argument(NamedTuple):
    """An argument of a constructor.

    Attributes:
        annotation: its type; ``Any`` where there is none or it cannot be evaluated.
        default: ``inspect.Parameter.empty`` where it must be given.
    """

    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is inspect.Parameter.empty

    def is_default(self, value: Any) -> bool:
        """Whether this is its default, which may be None whatever its annotation says."""
        if type(value) is not type(self.default):
            return False
        alike = value == self.default
        return bool(alike.all() if hasattr(alike, 'all') else alike)


@functools.cache
def arguments(component: Any) -> dict[str, Argument]:
    """The arguments that a component accepts, by name; ``**kwargs`` are followed to the base classes."""
    functions = [component]
    if inspect.isclass(component):
        functions = [vars(c)['__init__'] for c in component.__mro__ if '__init__' in vars(c)]
    found: dict[str, Argument] = {}
    for function in functions:
        parameters = [p for p in inspect.signature(function).parameters.values() if p.name != 'self']
        for p in parameters:
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                found.setdefault(p.name, Argument(_evaluated(p.annotation, function), p.default))
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


def _evaluated(annotation: Any, function: Any) -> Any:
    if annotation is inspect.Parameter.empty:
        return Any
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, getattr(inspect.unwrap(function), '__globals__', {}))
    except Exception:  # a name that is imported for type checkers only
        return Any


def wrong_value(annotation: Any, value: Any) -> tuple[str, str, Any] | None:
    """What is wrong with a value of a config, if anything.

    Nothing is converted: a text is no number and no bool, ``True`` is no number, ``1.0`` no whole one. A list
    may stand for a tuple, and the other way round.

    Args:
        annotation: type, with the ranges of ``typing.Annotated``.
        value: plain, as in a config.

    Returns:
        Where within the value, such as ``[2]``, what is expected there, and what is there; None if it is
        right, or if the annotation names classes only, of which a config can hold no instance.
    """
    from pydantic import ValidationError  # here: nothing but the check needs it

    try:
        validator = _validator(annotation)
    except Exception:  # a type that pydantic cannot check; the constructor will
        return None
    first = None
    for kind in (None, list, tuple):
        try:
            validator.validate_python(value if kind is None else _sequences(value, kind))
        except ValidationError as error:
            first = first or error
        else:
            return None
    errors = first.errors(include_url=False) if first is not None else []
    wanted = list(dict.fromkeys(text for e in errors if (text := _wanted(e))))
    if wanted in ([], ['None']):
        return None
    # of a union every member fails, each under its own name
    first_step = errors[0]['loc'][0] if errors[0]['loc'] else 0
    inner = not isinstance(first_step, str) or (isinstance(value, dict) and first_step in value)
    united = len({e['loc'] for e in errors}) > 1 and not inner
    steps = () if united else errors[0]['loc']
    place = ''.join(f'[{step}]' if isinstance(step, int) else f'.{step}' for step in steps if step != '[key]')
    found = value if united or errors[0]['type'] == 'missing' else errors[0]['input']
    return place, ' or '.join(wanted if united else wanted[:1]), found


@functools.cache
def _validator(annotation: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(annotation, config=ConfigDict(strict=True, arbitrary_types_allowed=True))


def _sequences(value: Any, kind: type) -> Any:
    if isinstance(value, dict):
        return {k: _sequences(v, kind) for k, v in value.items()}
    return kind(_sequences(v, kind) for v in value) if isinstance(value, (list, tuple)) else value


def _wanted(error: Mapping[str, Any]) -> str:
    if error['type'] == 'is_instance_of':
        return _INSTANCES.get(error['ctx']['class'], '')
    return _KINDS.get(error['type'], '').format(**error.get('ctx', {}))


@contextmanager
def building(place: str) -> Iterator[None]:
    """Turn what goes wrong while something is built from a config into one message that names its place.

    A constructor may come from anywhere and raise anything; whoever wrote the config is to read what, and
    where it was raised, and no traceback. Never put around more than building: errors of training are bugs.

    Raises:
        ConfigError: in place of what is no error of abawfw or of the operating system.
    """
    try:
        yield
    except (AbawfwError, OSError):
        raise
    except Exception as error:
        raise ConfigError(f'{place}: {described(error)}' if place else described(error)) from error


def described(error: BaseException) -> str:
    """An unexpected error in one line: its type, its text, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    # the innermost line that is no library's: torch raises within its own what a component lacks
    own = [frame for frame in frames if 'site-packages' not in frame.filename] or frames
    where = f' ({Path(own[-1].filename).name}, line {own[-1].lineno})' if own else ''
    return f'{type(error).__name__}: {error}{where}'


def build(registry: Registry, cfg: Mapping[str, Any], place: str, **supplied: Any) -> Any:
    """Build a component of the model or of the data.

    Args:
        registry: that it is registered in.
        cfg: its config.
        place: of the config, for errors.
        supplied: what the builder knows, such as ``in_dim``; handed over where the constructor has it.

    Raises:
        ConfigError: it cannot be built.
    """
    component = component_of(registry, cfg, place)
    given = {k: v for k, v in supplied.items() if k in arguments(component)}
    try:
        with building(place):
            return registry.build(dict(cfg), default_args=given)
    except ConfigError as error:
        text = str(error)
        raise error if text.startswith(place) else ConfigError(f'{place}: {text}') from error


def construct(component: Any, options: Mapping[str, Any], place: str, **supplied: Any) -> Any:
    """Call a constructor with options of the user's, held against it first.

    Args:
        component: class or function.
        options: by name.
        place: what has them, for errors, such as ``feature 'mfcc'``.
        supplied: arguments that are no options.

    Raises:
        ConfigError: it has no such option, or takes no such value.
    """
    known = {name: a for name, a in arguments(component).items() if name not in supplied}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(component).parameters.values())
    for name, value in options.items():
        if name in supplied or (name not in known and not takes_any):
            raise ConfigError(
                f'{place} has no option {name!r}; {nearest(name, known) if known else "it has none"}'
            )
        argument = known.get(name)
        if argument is None or argument.is_default(value):
            continue
        if wrong := wrong_value(argument.annotation, value):
            inner, wanted, found = wrong
            choices = list(_choices(argument.annotation))
            if choices:
                raise ConfigError(f'{place}: {name} {found!r}; {nearest(str(found), choices)}')
            raise ConfigError(f'{place}: {name}{inner}={found!r}: must be {wanted}')
    with building(place):
        return component(**supplied, **options)


def construct_named(
    registry: Registry, name: str, options: Mapping[str, Any], place: str, unknown: str = '', **defaults: Any
) -> Any:
    """A component by its name, without PyTorch, which ``registry.get`` would import for a log line.

    Args:
        registry: that it is registered in; the room of its components must have been imported.
        name: of the component.
        options: of the user's, by name.
        place: what has them, as ``construct`` takes it.
        unknown: what the error adds to place where there is no such component.
        defaults: options that the user has not given, as far as the constructor has them.

    Raises:
        ConfigError: there is no such component, or it has no such option or value.
    """
    component = registry.module_dict.get(name)
    if component is None:
        raise ConfigError(f'{place}{unknown}; {nearest(name, registry.module_dict)}')
    known = {key: value for key, value in defaults.items() if key in arguments(component)}
    return construct(component, {**known, **options}, place)


def _choices(annotation: Any) -> Iterator[str]:
    """The texts that an annotation with ``Literal`` allows."""
    for part in get_args(annotation):
        if get_origin(annotation) is not Literal:
            yield from _choices(part)
        elif isinstance(part, str):
            yield part


def component_of(registry: Registry, cfg: Any, place: str) -> Any:
    """The class or function that a config names.

    Raises:
        ConfigError: there is none of this name.
    """
    name = cfg.get('type') if isinstance(cfg, Mapping) else None
    component = registered(registry, name) if isinstance(name, str) else name
    if not callable(component):
        raise ConfigError(f'{place}: no {registry.name} is called {name!r}')
    return component


def registered(registry: Registry, name: str) -> Any:
    """The component of a registry that has this name; None if there is none.

    MMEngine also imports whatever module or object of Python the name could mean.
    """
    try:
        # its own lookup writes a debug message for each name, which is most of its time
        found = registry.module_dict.get(name) or registry.get(name)
    except Exception:  # importing the name may do anything
        return None
    return found if inspect.isclass(found) or inspect.isroutine(found) else None
