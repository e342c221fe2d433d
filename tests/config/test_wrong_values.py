"""Wrong values on every key of the shipped kinds of config: the check refuses each by name, before a run."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abawfw.apis.check import check_config
from abawfw.config.check import config_problems
from abawfw.config.loading import VAConfig, load_config
from abawfw.datasets.demo.rucaim3 import make_demo_data
from abawfw.datasets.demo.trials import make_demo_trials
from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer
from abawfw.datasets.stores.trials.writer import TrialWriter
from abawfw.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / 'configs'
# One of each kind: what trains on segments and on lanes, with memory, from vectors and from pixels, with
# stages, a text modality, and on one's own data. A part that an earlier one has is not tried again.
KINDS = {
    'rucaim3/transformer_demo': 'demo',
    'rucaim3/transformer_attention_demo': 'demo',
    'rucaim3/fclstm_xl_demo': 'demo',
    'tagf/tagf_demo': 'trials',
    'tagf/lfan_demo': 'trials',
    'own/embedding_own': 'own',
}
WRONG: dict[type, list[Any]] = {
    bool: ['no', 1, None],
    int: [-1, 0, 1.5, 'abc', None, True, [], 10**30],
    float: [-1e-3, 0, 'abc', None, True, {}, 1e39, float('inf')],
    str: [3, None, '', []],
    list: ['abc', 3, None, {}, [None], [], [-1]],
    tuple: [0, (0.5,), (0.5, 2), (0.5, 'a'), None, 'abc'],
    dict: [3, [], {'a': 1}, None],
    type(None): ['abc', -1, [], 1.5],
}
# What of these is right, by the last names of the key: it turns something off, or another config has it.
RIGHT: dict[str, list[Any]] = {
    'windows.valence': [0],
    'windows.arousal': [0],
    'regressor': [[]],
    'regressor_dropout': [0],
    'fusion_dropout': [0],
    'dropout': [0],
    'constant_epochs': [0],
    'warmup': [0],
    'patience': [0],  # of the schedule
    'weight_decay': [0],
    'start': [0],
    'seed': [0],
    'fold': [0],
    'num_workers': [0],
    'std': [0],
    'fused': [None],
    'max_norm': [None],
    'memory_capacity': [None],
    'init_cfg': [None],
    'layer': [None],
    'gate': [None],
    'fusion': [None],
    'frozen': [[]],
    'param_scheduler': [None, []],
    'split': [None],
    'normalized': [None, []],
    'pipeline.1.features': [[]],  # of pixels: only what is cropped in training is
    'default_hooks.log': [None],
    'default_hooks.progress': [None],
    'default_hooks.non_finite_loss': [None],
    'default_hooks.interrupt': [None],
}
EXTRACTED = {'face_embedding': (512,), 'logmel': (96, 64), 'egemaps': (88,)}


# A value that takes a component away, or its name, leaves other values without a use.
FALLOUT = ("'type' is missing", 'nothing refers to it')


@pytest.fixture(scope='module')
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp('stores')
    make_demo_data(root / 'demo', videos=(2, 2, 1), scale=0.02)
    make_demo_trials(root / 'trials', videos=(6, 2, 1), scale=0.01)
    with TrialWriter(root / 'own', EXTRACTED, {'logmel': 'float16'}) as writer:
        for partition in ('train', 'val'):
            arrays = {f: np.zeros((6, *dims)) for f, dims in EXTRACTED.items()}
            arrays['logmel'] = arrays['logmel'].astype('float16')
            writer.add(partition, partition, arrays, labels=np.zeros((6, 2)))
    return {name: root / name for name in ('demo', 'trials', 'own')}


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every key of a config with its value."""
    if path:
        yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from places(value, (*path, key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from places(value, (*path, i))


def problems_with(plain: dict[str, Any], path: tuple[Any, ...], value: Any) -> str:
    """What the check says against a config with one value changed; nothing if it is content."""
    changed = copy.deepcopy(plain)
    node = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    # values first: what they refuse needs no look at the data
    lines = config_problems(VAConfig(changed))
    if not lines:
        try:
            check_config(VAConfig(changed), training=True)
        except ConfigError as error:
            return str(error)
    return '\n'.join(lines)


def is_right(path: tuple[Any, ...], value: Any) -> bool:
    dotted = '.'.join(map(str, path))
    return any(
        (dotted == key or dotted.endswith(f'.{key}'))
        and any(type(v) is type(value) and v == value for v in values)
        for key, values in RIGHT.items()
    )


def complaints(path: tuple[Any, ...], value: Any, found: str) -> Iterator[str]:
    """What is wrong with what the check says of a value."""
    names = [*(str(key) for key in path if key != 'type'), repr(value), *FALLOUT]
    if not found and not is_right(path, value):
        yield f'{path}={value!r} is accepted'
    elif found and not any(name in found for name in names):
        yield f'{path}={value!r} is not named in {found}'
    elif any(f'{error}: ' in found for error in ('AttributeError', 'KeyError', 'TypeError')):
        yield f'{path}={value!r} is explained in the words of Python: {found}'


def test_wrong_values_on_every_key(stores: dict[str, Path]) -> None:
    tried, seen, failures = 0, set(), list[str]()
    for kind, store in KINDS.items():
        plain = load_config(CONFIGS / f'{kind}.py', {'data_root': str(stores[store])}).to_dict()
        check_config(VAConfig(plain), training=True)
        for path, old in places(plain):
            if (isinstance(old, str) and '${' in old) or (path, repr(old)) in seen:
                continue
            seen.add((path, repr(old)))
            for value in WRONG[type(old)]:
                if type(old) is type(value) and old == value:
                    continue
                tried += 1
                failures += complaints(path, value, problems_with(plain, path, value))
    assert not failures, '\n'.join(failures)
    assert tried > 1200


BASE = CONFIGS / 'rucaim3/transformer_demo.py'


@pytest.fixture(scope='module')
def plain(stores: dict[str, Path]) -> dict[str, Any]:
    return load_config(BASE, {'data_root': str(stores['demo'])}).to_dict()


@pytest.mark.parametrize(
    ('key', 'value', 'line'),
    [
        ('epochs', 0, 'epochs: must be 1 or more, not 0 (end of ConstantThenLinearLR, '),
        ('lr', -1e-3, 'lr: must be above 0, not -0.001 (lr of Adam)'),
        ('lr', None, 'lr: must be a number, not None (lr of Adam)'),
        ('optim_wrapper.max_norm', -1, 'optim_wrapper.max_norm: must be above 0, not -1'),
        ('optim_wrapper.max_norm', 0, 'optim_wrapper.max_norm: must be above 0, not 0'),
        (
            'optim_wrapper.max_norm',
            float('inf'),
            'optim_wrapper.max_norm: inf is no number that a config can hold; give a finite one',
        ),
        ('train_sampler.shuffle', 'no', "train_sampler.shuffle: must be True or False, not 'no'"),
        ('targets', 'valence', "targets: must be a list, not 'valence'"),
        ('data_root', 2023, 'data_root: must be a text, not 2023'),
        ('seed', -1, 'seed: must be 0 or more, not -1'),
        ('train_dataloader.num_workers', -1, 'train_dataloader.num_workers: must be 0 or more, not -1'),
        ('losses', [], 'losses: must be a list of at least 1, not [] (losses of RegressionHead)'),
        ('losses.0.weight', -1.0, 'losses[0].weight: must be above 0, not -1.0 (weight of CCCLoss)'),
        ('windows.valence', 'a', "windows.valence: must be a whole number, not 'a' (windows of VAMetric)"),
        ('model.context.0', 'abc', "model.context[0]: must be a dict, not 'abc' (context of VAEstimator)"),
        ('val_evaluator', [{'type': 'DumpResults', 'out_file_path': 'x.pkl'}], 'a run needs VAMetric'),
        ('load_from', 'nowhere.pth', 'load_from: nowhere.pth: no such checkpoint'),
        ('default_hooks.summary', None, 'default_hooks: a run needs SummaryHook'),
        (
            'train_dataloader.dataset.partition',
            'test',
            "train_dataloader.dataset.partition: 'test': a run is trained on 'train'; dataset.split "
        ),
        (
            'val_dataloader.dataset.partition',
            'train',
            "val_dataloader.dataset.partition: 'train': a run is validated on 'val'; dataset.split "
        ),
        (
            'train_cfg.type',
            'EpochBasedTrainLoop',
            'train_cfg: EpochBasedTrainLoop lacks what training uses: take VATrainLoop',
        ),
        (
            'optim_wrapper.paramwise_cfg',
            {'head': {'lr': -1}},
            'optim_wrapper.paramwise_cfg.head.lr: must be 0 or more, not -1',
        ),
        ('hidden', 30, 'model.context[0]: 4 attention heads do not divide a width of 30: change one of them'),
        ('features', ['affectnet,vggish'], 'separate names by spaces on the command line: '),
    ],
)  # fmt: skip
def test_one_line_names_the_key_and_what_is_right(
    plain: dict[str, Any], key: str, value: Any, line: str
) -> None:
    path = tuple(int(part) if part.isdigit() else part for part in key.split('.'))
    found = problems_with(plain, path, value).splitlines()
    assert len([text for text in found if line in text]) == 1, found
    assert len(found) <= 2, 'a title at most'


def test_clips_longer_than_the_model_takes(tmp_path: Path) -> None:
    features = ('affectnet', 'vggish', 'egemaps')
    with RUCAIM3Writer(tmp_path / 'store', dict.fromkeys(features, (2,))) as writer:
        for partition in ('train', 'val'):
            values = {name: np.zeros((700, 2)) for name in features}
            writer.add(partition, partition, values, labels=np.zeros((700, 2)))
    plain = load_config(BASE, {'data_root': str(tmp_path / 'store')}).to_dict()
    (_, line) = problems_with(plain, ('segment_length',), 600).splitlines()
    assert line.startswith(
        '  model.context[0]: TransformerContext takes clips of at most 512 frames, and the longest has 600'
    )
    assert problems_with(plain, ('segment_length',), 512) == ''


def test_a_model_that_no_memory_holds(plain: dict[str, Any]) -> None:
    found = problems_with(plain, ('regressor',), [65536, 65536, 65536])
    assert 'model: its parameters take 34 GB' in found or not found, 'a machine with more memory'


def test_a_list_may_stand_for_a_tuple(plain: dict[str, Any]) -> None:
    assert problems_with(plain, ('optim_wrapper', 'optimizer', 'betas'), [0.5, 0.9]) == ''


def test_parts_for_a_constructor_that_ignores_them() -> None:
    given = {'optim_wrapper.paramwise_cfg': {'head': {'lr': 1e-4}, 'bias_decay_mult': 0.0}}
    problems = config_problems(load_config(CONFIGS / 'ras/raav_affwild2.py', given))
    (line,) = [text for text in problems if 'paramwise_cfg' in text]
    assert line.startswith('optim_wrapper.paramwise_cfg.head: there is no such setting: ')
    assert 'SubnetworkConstructor takes parts and patterns' in line


def test_folds(stores: dict[str, Path]) -> None:
    plain = load_config(
        CONFIGS / 'tagf/tagf_embeddings_demo.py', {'data_root': str(stores['trials'])}
    ).to_dict()
    for value in (-1, 6, '1', 1.0, None, True):
        assert 'fold: must be' in problems_with(plain, ('fold',), value)
    assert problems_with(plain, ('fold',), 3) == ''
