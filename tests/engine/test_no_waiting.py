"""A training step on a device makes the host wait for nothing, and neither does a prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from config.config_stores import DemoStores, write_teacher
from engine.pretend_device import DEVICE, Waits, fake, in_child, place
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from abawfw.apis.build import build_loader, model_config
from abawfw.config.loading import load_config, resolve
from abawfw.datasets.transforms import LabelNoise, ModalityDropout, Noise, RandomCropFlip
from abawfw.engine.hooks import NonFiniteLossHook, TrainingMetricHook, ValidationLossHook
from abawfw.evaluation import VAMetric
from abawfw.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS
from abawfw.structures import VABatch, VAClip

CONFIGS = Path(__file__).parents[2] / 'configs'
# these differ from a third one in their targets or their vectors alone
SAME = (
    *('tagf_embeddings_demo.py', 'tagf_embeddings_valence_demo.py'),
    *('network_own.py', 'sound_own.py'),
)
KINDS = sorted([*CONFIGS.glob('*/*_demo.py'), *CONFIGS.glob('own/*.py')])
KINDS = [path for path in KINDS if path.name not in SAME]
ROWS = 3
FRAMES = 12  # of a clip, but of models for windows of one length
# Layers of one kind do the same: two are left of convolutions over time, one of a transformer. Frames of
# windows are more than the 64 that a frozen backbone takes at a time.
SHALLOW: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(
        ('video_channels', 'audio_channels', 'text_channels', 'leader_channels', 'follower_channels'),
        lambda channels: channels[-1:] * 2,
    ),
    'layers': lambda _: 1,
    'window': lambda _: 24,
    'hop': lambda _: 24,
}


def name_of(path: Path) -> str:
    return str(path.relative_to(CONFIGS))


def batch(
    model: Any,
    length: int,
    step: int,
    last: bool,
    types: dict[str, torch.dtype],
    mode: FakeTensorMode,
    hiding: Sequence[Any] = (),
    generator: Any = None,
) -> dict[str, Any]:
    """The next clip of every lane, some shorter, some with missed frames; one starts a video."""
    clips = []
    for row in range(ROWS):
        frames = length - 2 if row == 1 and last else length
        valid = torch.arange(length) < frames
        observed = valid[:, None].repeat(1, len(model.input_dims))
        observed[1, 0] = row > 0
        starts = step == 0 or (row, step) == (2, 1)
        where = (0 if starts else (step - (row == 2 and step > 0)) * length, frames, 10_000)
        video = f'v{row}' if row < 2 or not step else 'another'
        taught = torch.zeros(length, 2) if model.has_teacher else None
        clips.append(VAClip(video, *where, row, starts, torch.zeros(length, 2), valid, observed, taught))
    inputs = {}
    for name, dims in model.input_dims.items():
        shape = (ROWS, length, *((dims,) if isinstance(dims, int) else dims))
        inputs[name] = mode.from_tensor(torch.zeros(shape, dtype=types[name]))
    record = VABatch.of(clips)
    for transform in hiding:
        transform.hide(record, list(inputs), generator)
    return {'inputs': inputs, 'data_samples': record._changed(mode.from_tensor)}


def waits(
    cfg: Any, input_dims: dict[str, Any], types: dict[str, torch.dtype], change: Callable[[Any], None]
) -> dict[str, int]:
    """What a config's training steps and predictions wait for, beside the upload of the batches.

    Args:
        cfg: resolved config.
        input_dims: as its data set gives them.
        types: of the inputs in the store.
        change: called with the model before it is moved.
    """
    with fake() as mode:
        model = MODELS.build(model_config(cfg, input_dims))
        change(model)
        place(model)
        model.data_preprocessor._device = torch.device(DEVICE, 0)
        given = cfg.optim_wrapper.to_dict() | {'precision': 'fp32'}
        parts = {'type': given.pop('constructor'), 'paramwise_cfg': given.pop('paramwise_cfg', None)}
        wrapper = OPTIM_WRAPPER_CONSTRUCTORS.build({**parts, 'optim_wrapper_cfg': given})(model)
    runner: Any = SimpleNamespace(
        model=model,
        optim_wrapper=wrapper,
        rank=1,
        epoch=0,
        work_dir='run',
        train_loop=SimpleNamespace(record={}),
    )
    hooks = [NonFiniteLossHook(), TrainingMetricHook()]
    length = getattr(model.fusion, 'length', None) or FRAMES
    steps = 2 if model.stateful else 1  # what a step leaves to the next one is the state
    data = [batch(model, length, step, step == steps - 1, types, mode) for step in range(steps + 1)]
    moved = sum(len(x['inputs']) + len(x['data_samples'].tensors) for x in data)
    spy, metric, validation = Waits(), VAMetric(model.targets), ValidationLossHook()
    for hook in (*hooks, validation):
        for event in ('before_train', 'before_train_epoch', 'before_val_epoch'):
            getattr(hook, event)(runner)
    with mode, spy:
        model.train()
        for step, given in enumerate(data[:steps]):
            outputs = model.train_step(given, optim_wrapper=wrapper)
            for hook in hooks:
                hook.after_train_iter(runner, step, given, outputs)
        model.eval()
        with torch.no_grad():
            (given,) = data[steps:]
            given['data_samples'].starts_video = [True] * ROWS
            outputs = model.val_step(given)
            metric.process(given, outputs)
            validation.after_val_iter(runner, 0, given, outputs)
    assert spy.found.pop('upload') == moved
    return dict(spy.found)


def drawing_waits(look: Callable[[Tensor], Any] | None = None) -> dict[str, int]:
    """What the transforms that draw wait for, on a batch with missed frames: the upload of the batch alone.

    Args:
        look: at the pixels, behind them.
    """
    dims = {'video': (8, 8, 3), 'audio': (4,), 'bert': (6,)}
    crop, noise, dropout = RandomCropFlip(['video'], 6), Noise(0.1, ['audio']), ModalityDropout(0.5)
    dropout.features = list(dims)
    generator = torch.Generator().manual_seed(0)
    types = {'video': torch.uint8, 'audio': torch.float16, 'bert': torch.float32}
    mode = FakeTensorMode()
    given = batch(
        SimpleNamespace(input_dims=dims, has_teacher=False),
        FRAMES,
        0,
        True,
        types,
        mode,
        [dropout],
        generator,
    )
    inputs, record, spy = given['inputs'], given['data_samples'], Waits()
    hidden = [at is not None for at in record.observed_at]
    assert hidden == [True] * 3
    with mode, spy:
        inputs = {name: x.to(DEVICE) for name, x in inputs.items()}
        record = record.to(DEVICE)
        for transform in (crop, noise, dropout, LabelNoise(0.1)):
            transform(inputs, record, generator)  # of no device: one that computes nothing has none
        if look is not None:
            look(inputs['video'])
    assert {name: (x.dtype, tuple(x.shape[2:])) for name, x in inputs.items()} == {
        'video': (torch.uint8, (6, 6, 3)),
        'audio': (torch.float32, (4,)),
        'bert': (torch.float32, (6,)),
    }
    assert spy.found.pop('upload') == len(inputs) + len(record.tensors)
    return dict(spy.found)


class Looks(nn.Module):
    """A loss that is right, and waits."""

    def __init__(self, loss: nn.Module, look: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.loss, self.look = loss, look
        self.targets, self.on_classes, self.of_teacher = loss.targets, loss.on_classes, loss.of_teacher
        self.sigma = loss.sigma

    def forward(self, *given: Tensor) -> Tensor:
        value = self.loss(*given)
        self.look(value)
        return value


LOOKS: dict[str, Callable[[Tensor], Any]] = {
    'item': lambda x: x.item(),
    'decision': lambda x: x if x > 0 else -x,
    'mask as index': lambda x: x.view(1)[x.view(1) > 0],
    'copy to the host': lambda x: x.cpu(),
    'numbers of the host': lambda x: torch.tensor([1.0, 2.0], device=x.device),
    'list as index': lambda x: x.expand(3)[[0, 2]],
}


def as_it_is(model: Any) -> None:
    pass


def looking(how: str, model: Any) -> None:
    losses = model.head.losses
    for name, loss in losses.items():
        losses[name] = Looks(loss, LOOKS[how])


# A value that is made on the host has no kernel on this device: torch stops where it would be uploaded.
FOUND_OUT = {
    'item': 'DataDependentOutputException',
    'decision': 'DataDependentOutputException',
    'mask as index': 'DynamicOutputShapeException',
    'copy to the host': 'read back',
    'copy of a crop': 'read back',
    'numbers of the host': 'x: torch.tensor([1.0, 2.0]',
    'list as index': 'x: x.expand(3)[[0, 2]]',
}


@pytest.fixture(scope='module')
def stores(shipped_configs_are_read_once: None, tmp_path_factory: pytest.TempPathFactory) -> DemoStores:
    return DemoStores(tmp_path_factory.mktemp('stores'))


def prepared(path: Path, stores: DemoStores) -> Callable[..., dict[str, int]]:
    """`waits` of a config, made shallow, for a change of its model."""
    cfg = load_config(path)
    root = stores.of(cfg)
    cfg.data_root = str(root)
    if 'teacher' in cfg:
        cfg.teacher = str(write_teacher(stores.root / 'teacher', root))
    for name in SHALLOW.keys() & cfg.keys():
        cfg[name] = SHALLOW[name](cfg[name])
    cfg = resolve(cfg)
    loader = build_loader(cfg, 'train_dataloader')
    (first, *_) = next(iter(loader.batch_sampler))
    types = {name: x.dtype for name, x in loader.dataset[first]['inputs'].items()}
    return partial(waits, cfg, loader.dataset.input_dims, types)


@pytest.fixture(scope='module')
def found(stores: DemoStores, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each kind and each look waits for, found in one process: a start takes longer than a model."""
    actions = {name_of(path): partial(prepared(path, stores), as_it_is) for path in KINDS}
    run = prepared(CONFIGS / 'rucaim3/transformer_demo.py', stores)
    actions |= {name: partial(run, partial(looking, name)) for name in LOOKS}
    actions |= {'transforms': drawing_waits, 'copy of a crop': partial(drawing_waits, Tensor.cpu)}
    return in_child(actions, tmp_path_factory.mktemp('found') / 'found.json')


def test_nothing_is_waited_for(found: dict[str, Any]) -> None:
    waited = {name: found[name] for name in (*map(name_of, KINDS), 'transforms')}
    assert len(waited) == len(KINDS) + 1 >= 16
    assert {name: of for name, of in waited.items() if of} == {}


def test_a_look_at_a_value_is_found_out(found: dict[str, Any]) -> None:
    for name, why in FOUND_OUT.items():
        assert why in str(found[name]), found[name]
