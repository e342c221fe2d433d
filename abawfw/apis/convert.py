"""Checkpoints of other systems: to one of ours, and the config to use it with."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from abawfw.checkpoints import save_checkpoint
from abawfw.config.check import config_problems
from abawfw.config.loading import (
    OWN_KEYS,
    RUNNER_KEYS,
    VAConfig,
    drop_unused,
    load_config,
    raise_problems,
    resolve,
)
from abawfw.errors import CheckpointError, counted
from abawfw.files import write_text
from abawfw.models.convert.mamba_va import convert_mamba_va
from abawfw.models.convert.ras import convert_ras
from abawfw.models.convert.rucaim3 import convert_rucaim3
from abawfw.models.convert.tagf import convert_tagf


def convert_rucaim3_checkpoint(source: Path, prefix: str, out: Path, configs: Path) -> list[str]:
    """Convert the sub-network files of a RUCAIM3 run (docs/rucaim3.md, Use a trained run of the reference).

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
    _check_free(out)
    weights, model, options = convert_rucaim3(source, prefix)
    config = _config(configs / f'{options["model"]}_affwild2.py', model, options)
    meta = {'targets': model['targets'], 'seed': options['seed'], 'source': 'rucaim3'}
    title = f'Converted from {prefix} of a {options["model"]} run of RUCAIM3.'
    lines = [_write(out, weights, meta, config, title)]
    if options['ignored']:
        lines.append(f'omitted, since the reference does not use them: {", ".join(options["ignored"])}')
    lines.append(f'features, in this order: {", ".join(options["features"])} ({options["input_dim"]} inputs)')
    return lines


def convert_state_dict(
    source: Path, system: str, out: Path, config: Path, overrides: dict[str, Any] | None = None
) -> list[str]:
    """Convert the state dict of a run of TAGF's family (docs/tagf.md, Models), of Mamba-VA or of RAS.

    Args:
        source: the state dict, such as ``model_state_dict.pth``.
        system: ``tagf``, ``lfan``, ``can``, ``rcma``, ``grjca``, ``mamba_va`` or ``ras``.
        out: checkpoint to write; the config is written beside it, with the ending ``.py``.
        config: a config of the same system and sizes, of TAGF's family for one target, from pixels or from
            stored embeddings.
        overrides: values by dotted key instead of those in the config.

    Returns:
        What the user should know, a line each.

    Raises:
        CheckpointError: the file cannot be read, contradicts the config, or ``out`` exists.
        ConfigError: the config is of another system, or has both targets where the system has one.
    """
    _check_free(out)
    cfg = load_config(config, overrides)
    raise_problems(cfg, config_problems(cfg))
    resolved = resolve(cfg).to_dict()
    others = {'mamba_va': convert_mamba_va, 'ras': convert_ras}
    convert = others.get(system, partial(convert_tagf, system=system))
    found = convert(source, model=resolved['model'], features=resolved['features'])
    meta = {
        'targets': list(resolved['targets']),
        'input_dims': found.input_dims,
        'seed': resolved['seed'],
        'source': system,
    }
    lines = [_write(out, found.weights, meta, cfg, f'Converted from {source.name} of a run of {system}.')]
    lines += [f'omitted, {why}: {", ".join(names)}' for why, names in found.left_out.items()]
    lines += found.notes
    lines.append(f'features, in this order: {", ".join(found.input_dims)}')
    return lines


def _check_free(out: Path) -> None:
    """Refuse to write over files."""
    taken = [str(p) for p in (out, out.with_suffix('.py')) if p.exists()]
    if taken or out.suffix == '.py':
        raise CheckpointError(
            f'{", ".join(taken) or out}: choose another name for the checkpoint, ending in .pth'
        )


def _write(out: Path, weights: dict[str, Any], meta: dict[str, Any], config: VAConfig, title: str) -> str:
    """Write the checkpoint, and the config beside it; returns what was written."""
    text = config.pretty_text
    out.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint({'meta': {**meta, 'config': text}, 'state_dict': weights}, out)
    config_file = out.with_suffix('.py')
    write_text(config_file, f'# {title}\n{text}')
    return f'{counted(len(weights), "tensor")} written to {out}, config to {config_file}'


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
