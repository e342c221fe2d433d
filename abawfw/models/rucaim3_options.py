"""The options of a training run of the RUCAIM3 reference, and what they mean here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from abawfw.errors import CheckpointError

OPTIONS = 'train_opt.conf'
TARGETS = {'both': ['valence', 'arousal'], 'valence': ['valence'], 'arousal': ['arousal']}
MODES = {'multihead': 'multihead', 'single': 'single', 'None': 'none', None: 'none'}


class Options(dict[str, Any]):
    """``train_opt.conf``, the options of one of the reference's four models (spec/rucaim3.md)."""

    @classmethod
    def read(cls, path: Path) -> Options:
        """Read the file.

        Raises:
            CheckpointError: it is missing, or no JSON.
        """
        try:
            return cls(json.loads(path.read_text()))
        except FileNotFoundError as error:
            raise CheckpointError(f'{path} is missing: it lies beside the checkpoints') from error
        except ValueError as error:
            raise CheckpointError(f'{path} is no JSON: {error}') from error

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
