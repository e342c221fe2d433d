"""Checkpoints of the RUCAIM3 reference: its sub-network files to an estimator's config and weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from abawfw.checkpoints import refuse_not_finite
from abawfw.errors import AbawfwError, CheckpointError
from abawfw.models.layers.position import sinusoids
from abawfw.models.rucaim3_options import OPTIONS, Options
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
        parameters that were left out.

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
