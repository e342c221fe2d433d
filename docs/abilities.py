"""What can be done with the shipped models, as a table: ``make docs`` writes it into README.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config

from abawfw.apis.build import model_config
from abawfw.apis.export import clip_lengths
from abawfw.apis.frame_pipeline import FramePipeline
from abawfw.apis.stream import stream_obstacles
from abawfw.config.loading import load_config, resolve
from abawfw.registry import MODELS


class Abilities(NamedTuple):
    """What models of the same kind can.

    Attributes:
        models: names of their configs, without the data set.
        obstacles: why they cannot take a video frame by frame, one line per part; none where they can.
        frames: of a clip, for the exported file.
    """

    models: tuple[str, ...]
    obstacles: tuple[str, ...]
    frames: str


def shipped_abilities(configs: Path) -> list[Abilities]:
    """Abilities of the models of all shipped experiments, those of a kind together.

    A folder of shipped experiments has a README; others are somebody's own and not looked at.
    """
    kinds: dict[tuple[tuple[str, ...], str], dict[str, None]] = {}
    of_name: dict[str, tuple[tuple[str, ...], str]] = {}
    for path in sorted(configs.glob('*/*.py')):
        if (path.parent / 'README.md').is_file():
            cfg = resolve(load_config(path))
            data_set = Path(cfg.data_root).name.partition('_')[0]
            name = path.stem.partition(f'_{data_set}')[0]
            kind = _kind(cfg)
            if of_name.setdefault(name, kind) != kind:  # on this data set it is another model
                name = path.stem
            kinds.setdefault(kind, {})[name] = None
    rows = [Abilities(tuple(names), obstacles, frames) for (obstacles, frames), names in kinds.items()]
    return sorted(rows, key=lambda row: bool(row.obstacles))


def _kind(cfg: Config) -> tuple[tuple[str, ...], str]:
    with torch.device('meta'):  # no memory, no random numbers: sizes alone are looked at
        model = MODELS.build(model_config(cfg, {name: _frame_dims(cfg, name) for name in cfg.features}))
    obstacles = FramePipeline(cfg.val_dataloader.dataset.pipeline, cfg.features).obstacles
    obstacles += [line.partition(', ')[2] for line in stream_obstacles(model)]
    length, limit = clip_lengths(model)
    frames = f'{length}' if length else 'any number' if limit is None else f'up to {limit}'
    return tuple(dict.fromkeys(obstacles)), frames


def _frame_dims(cfg: Config, feature: str) -> Any:
    """What the backbone of a feature takes; vectors may be of any length."""
    backbone = cfg.model.get('backbones', {}).get(feature)
    if backbone is None:
        return 8
    return (96, 64) if backbone.type == 'VGGish' else (backbone.get('size', 40),) * 2 + (3,)


def abilities_table(rows: list[Abilities]) -> str:
    """The rows as a table in Markdown."""
    lines = ['| models | frame by frame | ONNX, frames of a clip |', '|---|---|---|']
    for row in rows:
        streams = 'no. ' + '; '.join(row.obstacles) if row.obstacles else 'yes'
        lines.append(f'| {", ".join(row.models)} | {streams} | {row.frames} |')
    return '\n'.join(lines)
