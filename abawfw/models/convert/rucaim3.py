"""Checkpoints of the RUCAIM3 reference: its sub-network files to an estimator's config and weights."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from abawfw.checkpoints import refuse_not_finite
from abawfw.errors import AbawfwError, CheckpointError, DataError
from abawfw.json_files import read_json
from abawfw.models.layers.transformer import sinusoids
from abawfw.models.weight_files import read_weights
from abawfw.registry import MODELS

ENCODER = [
    (r'affine\.(weight|bias)', r'context.{i}.affine.\1'),
    (r'encoder\.layers\.(\d+)\.(.+)', r'context.{i}.layers.\1.\2'),
    (r'position_embeddings\.weight', 'position'),  # follows from its size: compared, not kept
    (r'linear\.(weight|bias)', ''),  # owned, but never used by the reference
]
FC = [(r'module\.0\.(weight|bias)', r'context.{i}.linear.\1')]
LSTM = [(r'(rnn\..+)', r'context.{i}.\1')]
ATTENTION = [(r'(.+)', r'context.{i}.attention.\1')]
REGRESSOR = [
    (r'module\.(\d+)\.(weight|bias)', r'head.hidden.\1.\2'),
    (r'fc_out\.(weight|bias)', r'head.out.\1'),
]
# model -> (sub-network, index of its context, renaming of its parameters)
NETS: dict[str, list[tuple[str, int, list[tuple[str, str]]]]] = {
    'transformer': [('seq', 0, ENCODER), ('reg', 0, REGRESSOR)],
    'transformer_lstm': [('fc', 0, FC), ('te', 1, ENCODER), ('lstm', 2, LSTM), ('reg', 0, REGRESSOR)],
    'transformer_attention': [('seq', 0, ENCODER), ('reg', 0, REGRESSOR), ('attn', 1, ATTENTION)],
    'fclstm_xl': [('fc', 0, FC), ('seq', 1, LSTM), ('reg', 0, REGRESSOR)],
}


def convert_rucaim3(source: Path, prefix: str) -> tuple[dict[str, Tensor], dict[str, Any], dict[str, Any]]:
    """Read ``{prefix}_net_{seq,reg,fc,te,lstm,attn}.pth`` and ``train_opt.conf`` (docs/rucaim3.md).

    Only tensors are read from the files, never code.

    Args:
        source: the folder they lie in.
        prefix: what their names begin with, such as ``best_valence``.

    Returns:
        The weights; the config of the `VAEstimator` they fit, without ``input_dims``; and how it was trained:
        ``model, features, input_dim, normalize`` (None or dict(features, method)), ``segment_length``,
        ``batch_size, lr, beta1, constant_epochs, decay_epochs, seed``, and ``ignored``, the names of
        parameters that were omitted.

    Raises:
        CheckpointError: a file is missing or damaged, an option is unknown, or weights and options
                contradict.
    """
    source = Path(source)
    opt = Options.read(source / OPTIONS)
    name = opt['model']
    if name not in NETS:
        raise CheckpointError(f'{source / OPTIONS}: unknown model {name!r}; known: {", ".join(NETS)}')
    context = opt.context()
    weights: dict[str, Tensor] = {}
    ignored, problems = [], []
    for net, index, rules in NETS[name]:
        path = source / f'{prefix}_net_{net}.pth'
        used = net != 'attn' or context[index]['mode'] == 'multihead'
        for key, tensor in read_weights(path).items():
            new = next((m.expand(t) for p, t in rules if (m := re.fullmatch(p, key))), None) if used else ''
            if new is None:
                problems.append(f'{path.name} holds {key}, which {name} does not have')
            elif new == 'position':
                if (
                    tensor.ndim != 2
                    or not len(tensor)
                    or not np.allclose(tensor.double().numpy(), sinusoids(*tensor.shape), atol=1e-5)
                ):
                    problems.append(f'{path.name}: {key} is not the sinusoidal table')
            elif new == '':
                ignored.append(f'net_{net}.{key}')
            else:
                weights[new.format(i=index)] = tensor
    inputs = weights.get('context.0.affine.weight', weights.get('context.0.linear.weight'))
    outputs = weights.get('head.out.weight')
    if inputs is None or inputs.ndim != 2:
        problems.append('the input layer is missing')
    if outputs is None or outputs.ndim != 2:
        problems.append('fc_out is missing')
    if problems or inputs is None or outputs is None:
        raise CheckpointError(f'{source / prefix}: {"; ".join(problems)}')
    targets = opt.targets()
    head = opt.head(len(outputs) / len(targets))
    model = {'type': 'VAEstimator', 'context': context, 'head': head, 'targets': targets}
    _compare(source / prefix, weights, model, inputs.shape[1])
    return weights, model, {**opt.training(), 'input_dim': inputs.shape[1], 'ignored': ignored}


def _compare(source: Path, weights: dict[str, Tensor], model: dict[str, Any], input_dim: int) -> None:
    """Check names and shapes against the model that the options describe."""
    try:
        with torch.device('meta'):  # shapes alone: sizes in the options may ask for any memory
            estimator = MODELS.build({**model, 'input_dims': {'all': input_dim}})
    except AbawfwError as error:
        raise CheckpointError(f'{source}: its options describe no model: {error}') from error
    built = estimator.state_dict()
    problems = [f'missing {k}' for k in built if k not in weights]
    problems += [f'unexpected {k}' for k in weights if k not in built]
    problems += [
        f'{k} is {tuple(weights[k].shape)}, its options say {tuple(v.shape)}'
        for k, v in built.items()
        if k in weights and weights[k].shape != v.shape
    ]
    if problems:
        raise CheckpointError(f'{source}: weights and {OPTIONS} contradict: {"; ".join(problems)}')
    refuse_not_finite(estimator, weights, source)


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
        """How the model was trained, as values of our configs."""
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
