"""Checkpoints of other systems: to one of ours, and the config to use it with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from abawfw.checkpoints import save_checkpoint
from abawfw.config import OWN_KEYS, RUNNER_KEYS, VAConfig, drop_unused, load_config
from abawfw.errors import CheckpointError
from abawfw.files import write_text
from abawfw.models.convert_rucaim3 import convert_rucaim3


def convert_rucaim3_checkpoint(source: Path, prefix: str, out: Path, configs: Path) -> list[str]:
    """Convert the sub-network files of a RUCAIM3 run (spec/rucaim3.md, Converting its checkpoints).

    Args:
        source: folder with ``PREFIX_net_*.pth`` and ``train_opt.conf``.
        prefix: what the files' names begin with.
        out: checkpoint to write; the config is written beside it, with the ending ``.py``.
        configs: folder with the shipped configs, whose data and runtime parts the new config takes over.

    Returns:
        What the user should know, a line each.

    Raises:
        CheckpointError: the files are missing, contradict one another, or ``out`` exists.
    """
    config_file = out.with_suffix('.py')
    taken = [str(p) for p in (out, config_file) if p.exists()]
    if taken or out.suffix == '.py':
        raise CheckpointError(
            f'{", ".join(taken) or out}: choose another name for the checkpoint, ending in .pth'
        )
    weights, model, options = convert_rucaim3(source, prefix)
    config = _config(configs / f'{options["model"]}_affwild2.py', model, options)
    meta = {
        'targets': model['targets'],
        'seed': options['seed'],
        'config': config.pretty_text,
        'source': 'rucaim3',
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint({'meta': meta, 'state_dict': weights}, out)
    write_text(
        config_file,
        f'# Converted from {prefix} of a {options["model"]} run of RUCAIM3.\n{config.pretty_text}',
    )
    lines = [f'{len(weights)} tensors written to {out}, config to {config_file}']
    if options['ignored']:
        lines.append(f'left out, since the reference does not use them: {", ".join(options["ignored"])}')
    lines.append(f'features, in this order: {", ".join(options["features"])} ({options["input_dim"]} inputs)')
    return lines


def _config(template: Path, model: dict[str, Any], options: dict[str, Any]) -> VAConfig:
    """The shipped config of the same model with this run's model, features and training options."""
    config = load_config(template)
    pipeline: list[dict[str, Any]] = [{'type': 'LoadFeatures'}, {'type': 'PackVA'}]
    if options['normalize']:
        pipeline.insert(1, {'type': 'Normalize', **options['normalize']})
    values = config.to_dict() | {
        'features': options['features'],
        'targets': model['targets'],
        'pipeline': pipeline,
        'segment_length': options['segment_length'],
        'model': {**model, 'targets': '${targets}'},
        'lr': options['lr'],
        'constant_epochs': options['constant_epochs'],
        'epochs': options['constant_epochs'] + options['decay_epochs'],
        'seed': options['seed'],
    }
    values['optim_wrapper']['optimizer']['betas'] = [options['beta1'], 0.999]
    # the template's sizes, such as `hidden`, now stand in the model itself
    drop_unused(values, values.keys() - RUNNER_KEYS - OWN_KEYS)
    return VAConfig(values)
