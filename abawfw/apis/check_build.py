"""What only shows when a run is built, found out at the price of a fraction of a second."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch.overrides import TorchFunctionMode

from abawfw.apis.build import model_config
from abawfw.apis.check import with_check_data
from abawfw.apis.postprocessing import configured
from abawfw.config_check import signature
from abawfw.datasets.stores.base import FeatureStore
from abawfw.errors import AbawfwError, ConfigError, DataError
from abawfw.evaluation.postprocess import Pipeline
from abawfw.registry import DATASETS, MODELS

LOADERS = ('train_dataloader', 'val_dataloader')


def build_problems(cfg: Config, store: FeatureStore) -> list[str]:
    """Build datasets without a pass over the data, the model without memory for its weights, post-processing.

    A component of the user's that reads its weights while it is built cannot be built without memory: what is
    wrong with such a one is told when the run is built. So is what is wrong with a dataset of the user's that
    has no argument ``fit``, and with a model behind it.

    Args:
        cfg: resolved config whose keys, components and arguments are right.
        store: the one at its data_root.

    Returns:
        One line per problem.
    """
    problems: dict[str, list[str]] = {}
    dims = None
    with DefaultScope.overwrite_default_scope('abawfw'), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of layers without elements: they are told again
        for key in LOADERS:
            try:
                dataset = _unfitted(cfg, key, store)
                if dataset is not None and key == LOADERS[0]:
                    dims = dataset.input_dims
            except (AbawfwError, TypeError, ValueError) as error:
                problems.setdefault(_text(error, cfg.data_root), []).append(f'{key}.dataset')
        if dims is not None:
            try:
                _build_without_memory(model_config(cfg, dims))
            except (AbawfwError, TypeError, ValueError) as error:
                problems.setdefault(_text(error, cfg.data_root), []).append('model')
    found = [f'{", ".join(places)}: {text}' for text, places in problems.items()]
    return found + _postprocess_problems(cfg)


def _postprocess_problems(cfg: Config) -> list[str]:
    """What the steps of post-processing refuse, each with its place; or else, windows that cannot be."""
    try:
        Pipeline.by_target(cfg.to_dict().get('postprocess', {}), cfg.targets)
    except ConfigError as error:
        return str(error).splitlines()
    try:
        configured(cfg, cfg.targets)
    except (AbawfwError, TypeError, ValueError) as error:
        return _text(error, cfg.data_root).splitlines()
    return []


def _unfitted(cfg: Config, key: str, store: FeatureStore) -> Any:
    """The dataset of a loader, unfitted; None where it cannot be built without a pass over the data."""
    dataset = cfg[key].to_dict()['dataset']
    component = DATASETS.get(dataset['type']) if isinstance(dataset['type'], str) else dataset['type']
    if 'fit' not in signature(component)[0]:
        return None
    if dataset['store'] == cfg.data_root:
        dataset['store'] = store  # it is open already
    return DATASETS.build({**dataset, 'fit': False})


def _build_without_memory(model: dict[str, Any]) -> None:
    """Build a model whose tensors have shapes and no values."""
    try:
        with torch.device('meta'), _NormsWithoutValues():
            MODELS.build(model)
    except RuntimeError:
        return  # a component looks at values


class _NormsWithoutValues(TorchFunctionMode):
    """Weight normalisation of tensors without values.

    torch imports its compiler for their norms, which takes longer than all the rest of the check.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.norm_except_dim:
            weight, _, dim = args
            return weight.new_empty([size if i == dim else 1 for i, size in enumerate(weight.shape)])
        if func is torch._weight_norm:
            return torch.empty_like(args[0])
        return func(*args, **(kwargs or {}))


def _text(error: Exception, root: Any) -> str:
    if isinstance(error, DataError):
        text = with_check_data(error, root)
    else:
        text = str(error) if isinstance(error, AbawfwError) else f'{type(error).__name__}: {error}'
    return text.replace('\n', '\n    ')
