"""Pickles of strangers, read into values that can do nothing.

A pickle is a program that names functions and calls them. Here nothing is called: what it names becomes a
`Name`, a call becomes a `Call` that records its arguments, and who reads the file makes the few values that
it wants from these records with code of its own. A list of allowed names alone would not do, since numpy's
and torch's own functions trust the state that the file hands them.
"""

from __future__ import annotations

import codecs
import pickletools
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

MAX_STEPS = 2_000_000
"""Steps of a pickle, and values met on a walk over what it holds: what thousands of videos or tensors need
is a hundredth of it."""
MAX_DEPTH = 50
"""Containers within one another."""
INT_BITS = 128


class RefusedPickleError(Exception):
    """A pickle asks for something that is not known to be plain; the text says for what."""


class Name(NamedTuple):
    """A function or class that a pickle names; it is never looked up."""

    module: str
    name: str


@dataclass
class Call:
    """A call that a pickle asks for, and that is never made.

    Attributes:
        function: what is called.
        arguments: what it gets.
        state: what the result would be given afterwards.
        pairs: keys and values that would be set in the result.
    """

    function: Name
    arguments: tuple[Any, ...]
    state: Any = None
    pairs: list[tuple[Any, Any]] = field(default_factory=list)


class _Pairs(list[tuple[Any, Any]]):
    """A dict, whose keys are not hashed before they are known to be plain."""


class _Elements(list[Any]):
    """A set, likewise."""


class Python2Text(bytes):
    """A ``str`` of Python 2: text, or bytes."""


BASIC = frozenset(
    {
        Name('collections', 'OrderedDict'),
        Name('_codecs', 'encode'),  # how the oldest protocols write bytes
        *(
            Name(module, name)
            for module in ('builtins', '__builtin__')
            for name in ('set', 'frozenset', 'bytes', 'complex')
        ),
    }
)
"""Names that `plain` understands by itself; all other plain values are built in to the format."""


def read_inert(
    file: BinaryIO, known: Collection[Name], persistent: Callable[[Any], Any] | None = None
) -> Any:
    """The value that a pickle describes, with nothing in it called or built; to be given to `plain`.

    Args:
        file: of a size that the caller has bounded; it is read up to the end of this pickle.
        known: what may be named; anything else is refused as soon as it is.
        persistent: makes the record of what the pickle knows by an id of its own, as torch's storages; it
            gets the inert id. Without it such ids are refused.

    Raises:
        RefusedPickleError: it names anything else.
        ValueError: it is damaged, or no pickle; IndexError, KeyError, TypeError and UnicodeError may
            come too.
    """
    machine = _Machine(file, frozenset(known), persistent)
    for _ in range(MAX_STEPS):
        if machine.step():
            return machine.result()
    raise ValueError(f'more than {MAX_STEPS:,} steps')


class Walk:
    """Turns inert values into plain ones: dicts, lists, tuples, sets, text, bytes and numbers.

    Args:
        make: makes the value of a `Call`, `Name` or record of a persistent id that is not among `BASIC`; it
            gets the record, and a function that makes the plain value of what is within it. Each record is
            made once, however often a pickle refers to it.

    Raises:
        ValueError: more than `MAX_STEPS` values are met, or `MAX_DEPTH` containers within one another; a key
            is no text or number; text holds NUL or half a surrogate pair.
    """

    def __init__(self, make: Callable[[Any, Callable[[Any], Any]], Any]) -> None:
        self._make = make
        self._left = MAX_STEPS
        self._depth = 0
        self._made: dict[int, tuple[Any, Any]] = {}

    def plain(self, value: Any) -> Any:
        """The plain value of an inert one."""
        self._left -= 1
        if self._left < 0:
            raise ValueError(f'more than {MAX_STEPS:,} values')
        if value is None or type(value) in (bool, int, float, bytes):
            return value
        if type(value) is str:
            return _checked_text(value)
        if type(value) is Python2Text:
            return _checked_text(value.decode('utf-8'))
        if self._depth >= MAX_DEPTH:
            raise ValueError(f'more than {MAX_DEPTH} containers within one another')
        self._depth += 1
        try:
            return self._container(value)
        finally:
            self._depth -= 1

    def _container(self, value: Any) -> Any:
        if type(value) is list:
            return [self.plain(item) for item in value]
        if type(value) is tuple:
            return tuple(self.plain(item) for item in value)
        if type(value) is _Pairs:
            return {_key(self.plain(key)): self.plain(item) for key, item in value}
        if type(value) is _Elements:
            return {_key(self.plain(item)) for item in value}
        if id(value) not in self._made:
            basic = type(value) is Call and value.function in BASIC
            made = self._basic(value) if basic else self._make(value, self.plain)
            self._made[id(value)] = (made, value)  # kept, so that no other record gets its id
        return self._made[id(value)][0]

    def _basic(self, call: Call) -> Any:
        name = call.function.name
        if name == 'encode':
            text, encoding = call.arguments
            # never shown before it is known to be text: a tuple may be small here, and endless when written
            if type(text) is not str or type(encoding) is not str or encoding != 'latin1':
                raise ValueError('bytes in an encoding that pickles do not use')
            return text.encode('latin1')
        arguments = [self.plain(item) for item in call.arguments]
        if name == 'complex':
            real, imaginary = arguments
            return complex(float(real), float(imaginary))
        (items,) = arguments or ([],)
        if not isinstance(items, list):
            raise ValueError(f'{name} of {type(items).__name__}')
        if name == 'OrderedDict':
            pairs = [(self.plain(key), self.plain(item)) for key, item in call.pairs]
            return {_key(key): item for key, item in [*items, *pairs]}
        if name == 'bytes':
            return bytes(items)
        keys = map(_key, items)
        return set(keys) if name == 'set' else frozenset(keys)


def _checked_text(text: str) -> str:
    # fast for what is nearly always there
    if not text.isascii() and any('\ud800' <= character <= '\udfff' for character in text):
        raise ValueError(f'text with half a surrogate pair: {text[:40]!r}')
    if '\0' in text:
        raise ValueError(f'text with a NUL: {text[:40]!r}')
    return text


def _key(value: Any) -> Any:
    """A key of a dict or set: of a kind that is hashed at once, and cannot be made to collide."""
    if not (value is None or isinstance(value, (str, bytes, bool, float, int))):
        raise ValueError(f'a {type(value).__name__} as a key')
    if isinstance(value, int) and value.bit_length() > 60:
        raise ValueError('a whole number of more than 60 bits as a key')
    return value


class _Machine:
    """The stack of a pickle, on which only inert values lie."""

    def __init__(
        self, file: BinaryIO, known: frozenset[Name], persistent: Callable[[Any], Any] | None
    ) -> None:
        self._file, self._known, self._persistent = file, known, persistent
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # what lies under each mark
        self._memo: dict[int, Any] = {}

    def step(self) -> bool:
        """Take the next step; True if it was the last."""
        code = self._file.read(1)
        if not code:
            raise ValueError('it ends too early')
        opcode = _OPCODES.get(code)
        if opcode is None:
            raise ValueError(f'unknown step {code!r}')
        if opcode.name == 'STOP':
            return True
        read = _READERS.get(opcode.name) or (opcode.arg.reader if opcode.arg else None)
        argument = read(self._file) if read else None
        constant = _CONSTANTS.get(opcode.name)
        if constant is not None:
            self._push(constant(argument))
        elif opcode.name in _TUPLES:
            self._push(tuple(self._take(_TUPLES[opcode.name])))
        elif opcode.name not in _IGNORED:
            method = getattr(self, f'_{opcode.name.lower()}', None)
            if method is None:
                raise RefusedPickleError(f'the step {opcode.name}')
            method(argument)
        return False

    def result(self) -> Any:
        """The value, when the last step is taken."""
        (value,) = self._stack
        if self._below:
            raise ValueError('it ends within a container')
        return value

    def _cut(self) -> list[Any]:
        """Take what lies above the last mark, and the mark."""
        items, self._stack = self._stack, self._below.pop()
        return items

    def _take(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise ValueError('it takes more values than there are')
        items = self._stack[-count:]
        del self._stack[-count:]
        return items

    def _mark(self, _: Any) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self, _: Any) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._cut()

    def _pop_mark(self, _: Any) -> None:
        self._cut()

    def _dup(self, _: Any) -> None:
        self._push(self._stack[-1])

    def _list(self, _: Any) -> None:
        self._push(self._cut())

    def _tuple(self, _: Any) -> None:
        self._push(tuple(self._cut()))

    def _dict(self, _: Any) -> None:
        self._push(_Pairs(_in_pairs(self._cut())))

    def _frozenset(self, _: Any) -> None:
        self._push(Call(Name('builtins', 'frozenset'), (self._cut(),)))

    def _append(self, _: Any) -> None:
        self._add_to(list, self._take(1))

    def _appends(self, _: Any) -> None:
        self._add_to(list, self._cut())

    def _additems(self, _: Any) -> None:
        self._add_to(_Elements, self._cut())

    def _add_to(self, kind: type[list[Any]], items: list[Any]) -> None:
        if type(self._stack[-1]) is not kind:
            raise ValueError(f'items are added to {type(self._stack[-1]).__name__}')
        self._stack[-1].extend(items)

    def _setitem(self, _: Any) -> None:
        self._set_in(self._take(2))

    def _setitems(self, _: Any) -> None:
        self._set_in(self._cut())

    def _set_in(self, items: list[Any]) -> None:
        target: Any = self._stack[-1]
        if type(target) is Call:
            target.pairs.extend(_in_pairs(items))
        elif type(target) is _Pairs:
            target.extend(_in_pairs(items))
        else:
            raise ValueError(f'items are set in {type(target).__name__}')

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, index: int) -> None:
        self._push(self._memo[index])

    _binget = _long_binget = _get

    def _global(self, both: str) -> None:
        module, _, name = both.partition(' ')
        self._name(module, name)

    def _stack_global(self, _: Any) -> None:
        module, name = self._take(2)
        self._name(module, name)

    def _name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise ValueError('a name that is no text')
        if (module, name) not in self._known:
            raise RefusedPickleError(f'{module}.{name}')
        self._push(Name(module, name))

    def _reduce(self, _: Any) -> None:
        function, arguments = self._take(2)
        if type(function) is not Name or type(arguments) is not tuple:
            raise ValueError(f'a call of {type(function).__name__} with {type(arguments).__name__}')
        self._push(Call(function, arguments))

    def _build(self, _: Any) -> None:
        (state,) = self._take(1)
        target = self._stack[-1]
        if type(target) is not Call or target.state is not None:
            raise ValueError(f'a state for {type(target).__name__}')
        target.state = state

    def _binpersid(self, _: Any) -> None:
        (identity,) = self._take(1)
        if self._persistent is None:
            raise RefusedPickleError('something outside of it (a persistent id)')
        self._push(self._persistent(identity))


def _in_pairs(items: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(items[::2], items[1::2], strict=True))


def _whole(number: int) -> int:
    if number.bit_length() > INT_BITS:
        raise ValueError(f'a whole number of more than {INT_BITS} bits')
    return number


def _same(value: Any) -> Any:
    return value


def _read_python2_text(file: BinaryIO) -> bytes:
    """Pickletools reads ASCII only, and Python 2 wrote any bytes."""
    quoted = pickletools.read_stringnl(file, decode=False)
    return codecs.escape_decode(quoted)[0]


_OPCODES = {opcode.code.encode('latin1'): opcode for opcode in pickletools.opcodes}
_IGNORED = ('PROTO', 'FRAME')
_TUPLES = {'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3}
_READERS: dict[str, Callable[[BinaryIO], Any]] = {'STRING': _read_python2_text}
# Name of a step that puts a value on the stack -> the value of its argument.
_CONSTANTS: dict[str, Callable[[Any], Any]] = {
    'NONE': lambda _: None,
    'NEWTRUE': lambda _: True,
    'NEWFALSE': lambda _: False,
    'EMPTY_LIST': lambda _: [],
    'EMPTY_TUPLE': lambda _: (),
    'EMPTY_DICT': lambda _: _Pairs(),
    'EMPTY_SET': lambda _: _Elements(),
    'BYTEARRAY8': bytes,
    'STRING': Python2Text,
    'BINSTRING': lambda text: Python2Text(text.encode('latin1')),
    'SHORT_BINSTRING': lambda text: Python2Text(text.encode('latin1')),
    **dict.fromkeys(('INT', 'BININT', 'BININT1', 'BININT2', 'LONG', 'LONG1', 'LONG4'), _whole),
    **dict.fromkeys(('FLOAT', 'BINFLOAT', 'BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8'), _same),
    **dict.fromkeys(('UNICODE', 'SHORT_BINUNICODE', 'BINUNICODE', 'BINUNICODE8'), _same),
}
