"""What the user of an exported file has to know, as plain values."""

from __future__ import annotations

from typing import Any

import numpy as np

import abawfw
from abawfw.apis.export_graph import ExportGraph
from abawfw.apis.load_run import LoadedRun
from abawfw.apis.postprocessing import as_tested
from abawfw.datasets.clip_dataset import load_fitted
from abawfw.datasets.transforms import LoadFeatures, PackVA, PadTo, ShiftLabels
from abawfw.registry import TRANSFORMS


def describe(run: LoadedRun, graph: ExportGraph) -> dict[str, Any]:
    """What to feed and what comes out.

    Returns:
        ``features``: dims and type of every input; ``masks``: the masks that are inputs; ``targets``: the
        columns of ``va``; ``states``: pairs of input and output; ``clips``: the rule by which the run cuts
        videos; ``length``: frames that every clip must have, ``max_length``: that it may have, or None;
        ``pipeline``: what the features go through before, in order, with statistics of the training videos
        (``mean``, ``std``); ``postprocess``: by target, the steps that the run applies to a whole video
        afterwards, before it clips; ``extraction``: settings of the extractors; ``checkpoints``: per target;
        ``version``.
    """
    dataset = run.cfg.val_dataloader.dataset
    return {
        'features': {
            name: {'dims': list(dims), 'dtype': 'uint8' if len(dims) == 3 else 'float32'}
            for name, dims in graph.dims.items()
        },
        'masks': [f'{name}_observed' for name in graph.masked],
        'targets': list(run.targets),
        'states': [{'input': f'state.{name}', 'output': f'next_state.{name}'} for name in graph.states],
        'clips': dataset.clips.to_dict(),
        'length': graph.length,
        'max_length': graph.max_length,
        'pipeline': _steps(run, padded=graph.length is not None),
        'postprocess': {t: p.settings() for t, p in as_tested(run.cfg, run.checkpoints).items()},
        'extraction': run.meta.get('extraction', {}),
        'checkpoints': {target: checkpoint.name for target, checkpoint in run.checkpoints.items()},
        'version': abawfw.__version__,
    }


def _steps(run: LoadedRun, padded: bool) -> list[dict[str, Any]]:
    """The transforms that change inputs, with the statistics that they took."""
    idle = (LoadFeatures, ShiftLabels, PackVA) if padded else (LoadFeatures, ShiftLabels, PackVA, PadTo)
    configs = [cfg.to_dict() for cfg in run.cfg.val_dataloader.dataset.pipeline]
    transforms = [TRANSFORMS.build(dict(cfg)) for cfg in configs]
    if run.fitted is not None:
        load_fitted(transforms, run.fitted)
    steps = []
    for transform, step in zip(transforms, configs, strict=True):
        if hasattr(transform, 'fit') and run.fitted is not None:
            step['statistics'] = {
                name: {'mean': np.asarray(mean).tolist(), 'std': np.asarray(std).tolist()}
                for name, (mean, std) in transform.fitted().items()
            }
        if not isinstance(transform, idle) and getattr(transform, 'features', None) != []:
            steps.append(step)
    return steps
