"""The options of a training run of the RUCAIM3 reference, and what they mean here."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from abawfw.errors import CheckpointError, DataError
from abawfw.json_files import read_json

OPTIONS = 'train_opt.conf'
TARGETS = {'both': ['valence', 'arousal'], 'valence': ['valence'], 'arousal': ['arousal']}
MAX_SIZE, MAX_LAYERS = 1 << 16, 1000
MODES = {'multihead': 'multihead', 'single': 'single', 'None': 'none', None: 'none'}


def _whole(value: Any, least: int = 1, most: int = 1 << 31) -> bool:
    return type(value) is int and least <= value <= most


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_list(value: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(map(fits, value))


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _sizes(value: Any) -> bool:
    return _text(value) and all(
        re.fullmatch('[0-9]{1,5}', n) and 0 < int(n) <= MAX_SIZE for n in value.split(',')
    )


# Options that are read: what is expected of each, and whether a value is that.
KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(('model', 'target', 'feature_set', 'norm_features', 'norm_method'), ('text', _text)),
    'residual': ('y or n', _text),
    'former_attention': ('text or None', lambda value: value is None or _text(value)),
    'loss_type': ('text, or a list of it', lambda value: _text(value) or _is_list(value, _text)),
    'loss_weights': ('a list of numbers', lambda value: _is_list(value, _number)),
    'regress_layers': ('sizes, as in 256,256', _sizes),
    **dict.fromkeys(
        ('hidden_size', 'nhead', 'ffn_dim'),
        (f'a whole number from 1 to {MAX_SIZE}', lambda value: _whole(value, 1, MAX_SIZE)),
    ),
    'num_layers': (f'a whole number from 1 to {MAX_LAYERS}', lambda value: _whole(value, 1, MAX_LAYERS)),
    **dict.fromkeys(('max_seq_len', 'batch_size', 'mem_avg_len'), ('a whole number from 1', _whole)),
    **dict.fromkeys(
        ('niter', 'niter_decay', 'run_idx'), ('a whole number from 0', lambda value: _whole(value, 0))
    ),
    'max_mem_len': ('a whole number, or -1', lambda value: _whole(value, -1)),
    **dict.fromkeys(('dropout_rate', 'lr', 'beta1'), ('a number', _number)),
    'use_pe': ('true or false', lambda value: isinstance(value, bool)),
}


class Options(dict[str, Any]):
    """``train_opt.conf``, the options of one of the reference's four models (docs/rucaim3.md)."""

    @classmethod
    def read(cls, path: Path) -> Options:
        """Read the file.

        Raises:
            CheckpointError: it is missing or no JSON, or an option has a value that it cannot have.
        """
        try:
            content = read_json(path)
        except DataError as error:
            raise CheckpointError(f'{error}; it lies beside the checkpoints') from None
        if not isinstance(content, dict):
            raise CheckpointError(f'{path}: holds {type(content).__name__}, expected the options by name')
        for key, (expected, fits) in KINDS.items():
            if key in content and not fits(content[key]):
                raise CheckpointError(f'{path}: {key} is {str(content[key])[:60]!r}, expected {expected}')
        return cls(content)

    def __missing__(self, key: str) -> Any:
        raise CheckpointError(f'{OPTIONS} lacks the option {key}')

    def choose(self, key: str, known: dict[Any, Any]) -> Any:
        """Translate the value of an option.

        Raises:
            CheckpointError: the value is unknown.
        """
        if self[key] not in known:
            raise CheckpointError(
                f'{OPTIONS}: unknown {key} {self[key]!r}; known: {", ".join(map(str, known))}'
            )
        return known[self[key]]

    def targets(self) -> list[str]:
        """What is estimated."""
        return self.choose('target', TARGETS)

    def context(self) -> list[dict[str, Any]]:
        """Configs of the contexts.

        Raises:
            CheckpointError: the options describe something that cannot be converted.
        """
        if self.get('transformer_pretrained'):
            raise CheckpointError(f'{OPTIONS}: models with transformer_pretrained cannot be converted')
        hidden = self['hidden_size']
        feed_forward = {'type': 'FeedForward', 'hidden': hidden}
        lstm = {'type': 'LSTMContext', 'hidden': hidden}
        if self['model'] == 'fclstm_xl':
            return [feed_forward, lstm]
        transformer = {
            'type': 'TransformerContext',
            'hidden': hidden,
            'layers': self['num_layers'],
            'heads': self['nhead'],
            'ffn': self['ffn_dim'],
            'position': self['use_pe'],
        }
        if self['model'] == 'transformer_lstm':
            transformer |= {'affine': False, 'residual': self.choose('residual', {'y': True, 'n': False})}
            return [feed_forward, transformer, lstm]
        if self['model'] == 'transformer':
            return [transformer]
        memory = {
            'type': 'MemoryAttention',
            'mode': self.choose('former_attention', MODES),
            'average': self['mem_avg_len'],
            'capacity': None if self['max_mem_len'] == -1 else self['max_mem_len'],
        }
        return [transformer, memory]

    def head(self, outputs: float) -> dict[str, Any]:
        """Config of the head whose last layer has ``outputs`` outputs per target: 1, or 20 or 22 bins.

        Raises:
            CheckpointError: the options contradict this, or name an unknown loss.
        """
        types = [self['loss_type']] if isinstance(self['loss_type'], str) else self['loss_type']
        factors = self['loss_weights']
        if outputs not in (1, 20, 22) or ('ce' in types and outputs == 1):
            raise CheckpointError(
                f'{OPTIONS} has loss_type {types}, but the regressor has {outputs:g} outputs per target'
            )
        if len(types) != len(factors):
            raise CheckpointError(f'{OPTIONS}: {len(types)} loss_type, but {len(factors)} loss_weights')
        head: dict[str, Any] = {
            'type': 'RegressionHead' if outputs == 1 else 'BinHead',
            'layers': [int(x) for x in self['regress_layers'].split(',')],
            'dropout': self['dropout_rate'],
            'losses': [_loss(x, factor) for x, factor in zip(types, factors, strict=True)],
        }
        if outputs > 1:
            head |= {'bins': 'weighted' if self.get('cls_weighted') else 'uniform', 'ends': outputs == 22}
        return head

    def training(self) -> dict[str, Any]:
        """How the model was trained, in our words."""
        chosen = [] if self['norm_features'] in ('None', '') else self['norm_features'].split(',')
        method = self.choose('norm_method', {'trn': 'train', 'batch': 'sequence'})
        return {
            'model': self['model'],
            'features': self['feature_set'].split(','),
            'normalize': {'features': chosen, 'method': method} if chosen else None,
            'segment_length': self['max_seq_len'],
            'batch_size': self['batch_size'],
            'lr': self['lr'],
            'beta1': self['beta1'],
            'constant_epochs': self['niter'],
            'decay_epochs': self['niter_decay'],
            'seed': 99 + self['run_idx'],
        }


def _loss(name: str, weight: float) -> dict[str, Any]:
    """Config of a loss, such as ``batch_ccc``, ``vmse`` or ``ce``."""
    match = re.fullmatch(r'(batch_)?(v|a)?(ccc)|(v|a)?(mse)|(ce)', name)
    if match is None:
        raise CheckpointError(f'{OPTIONS}: unknown loss_type {name!r}')
    batch, ccc, mse = match[1], match[3], match[5]
    loss: dict[str, Any] = {'type': 'CCCLoss' if ccc else 'MSELoss' if mse else 'BinnedCrossEntropyLoss'}
    if ccc and not batch:
        loss['over'] = 'clip'
    if target := match[2] or match[4]:
        loss['targets'] = ['valence' if target == 'v' else 'arousal']
    return loss if weight == 1 else {**loss, 'weight': weight}
