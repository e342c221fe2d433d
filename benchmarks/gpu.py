"""Training at Aff-Wild2's size on the device of this machine: what of the device's speed a user gets."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.device import get_device

from abawfw.apis.build import model_config
from abawfw.config.loading import load_config, resolve
from abawfw.datasets.demo.signals import affwild2_lengths
from abawfw.datasets.stores.packed.pack import pack_store
from abawfw.datasets.stores.records import FeatureInfo
from abawfw.devices import computing_with, matmul_precision, multiplying_in
from abawfw.engine.optim.va_optim_wrapper import PRECISIONS, autocast, check_precision
from abawfw.errors import ConfigError
from abawfw.registry import CLIPS, MODELS, SAMPLERS
from benchmarks.bare_loop import BareLoop, ReadyBatch
from benchmarks.random_store import RandomStore
from benchmarks.timing import Spread, in_turn, seconds, wait
from benchmarks.train import FrameworkEpochs, clips_of

RUCAIM3 = {'affectnet': 342, 'vggish': 128, 'wav2vec': 768}  # docs/rucaim3.md, Layout of the data


class Case(NamedTuple):
    """A config, the lengths of its features, and what makes it so small that a CPU has it at once."""

    config: str
    features: dict[str, int]
    tiny: dict[str, Any]


CASES = {
    'transformer': Case(
        'rucaim3/transformer_affwild2.py',
        RUCAIM3,
        {'hidden': 8, 'heads': 2, 'ffn': 8, 'layers': 1, 'regressor': [4], 'segment_length': 20},
    ),
    'fclstm_xl': Case(
        'rucaim3/fclstm_xl_affwild2.py', RUCAIM3, {'hidden': 8, 'regressor': [4], 'segment_length': 20}
    ),
    'tagf': Case(
        'tagf/tagf_embeddings_affwild2.py',
        {'video_embedding': 512, 'audio_embedding': 128},
        {'video_channels': [8], 'audio_channels': [8], 'regressor': [4], 'window': 20, 'hop': 20},
    ),
}

LOADING = [f'{key}.loading.type' for key in ('train_dataloader', 'val_dataloader')]
VARIANTS: dict[str, dict[str, Any]] = {
    'streaming': dict.fromkeys(LOADING, 'Stream'),
    'resident': dict.fromkeys(LOADING, 'Resident'),
    'compiled': {**dict.fromkeys(LOADING, 'Resident'), 'compile': {'mode': 'reduce-overhead'}},
}
"""Ways in which the framework trains, each with the values of a config that ask for it."""

VIDEOS = 10  # of the store that is trained from, as long as those of Aff-Wild2: dozens of batches
SHORT, NARROW = [40] * 10, 4  # and where the CPU computes: frames of the videos, values of a feature
READY = 8  # batches that lie on the device
MATRIX = {'cuda': 8192, 'cpu': 256}


def benchmark_gpu(rounds: int) -> dict[str, Any]:
    """Time training steps of models of shipped size on data of Aff-Wild2's size; tiny ones on a CPU.

    Args:
        rounds: epochs to time, after one that is not timed.

    Returns:
        ``device``, ``matmul_precision``, and per precision ``peak_teraflops``, of a product of two large
        matrices. Then by model and precision, where a step's arithmetic is taken as 6 operations per
        parameter and frame that exists: ``ready``, a bare loop over random batches that lie on the device,
        and each of ``VARIANTS``, each with ``step_ms``, ``epoch_seconds`` (steps of an epoch of Aff-Wild2),
        ``frames_per_second``, ``peak_fraction``; ``host_ms``, until a step is handed to the device, which a
        value that is read back prolongs to the end of the step; and for variants ``run_iter_ms``, a step
        from a batch on. A precision that the device does not have is omitted, and so is
        what cannot be compiled, in whose place stands why.
    """
    with multiplying_in(), computing_with(None, None):
        precisions = [p for p in PRECISIONS if p != 'fp16' and _has(p)]
        peaks = {p: _peak(p, rounds) for p in precisions}
        name = torch.cuda.get_device_name() if get_device() == 'cuda' else get_device()
        figures: dict[str, Any] = {'device': name, 'matmul_precision': matmul_precision() or 'float32'}
        figures['peak_teraflops'] = {p: peak / 1e12 for p, peak in peaks.items()}
        for case in CASES:
            figures[case] = {p: _case(case, p, rounds, peaks[p]) for p in precisions}
    return figures


def _has(precision: str) -> bool:
    try:
        check_precision(precision)
    except ConfigError:
        return False
    return True


def _peak(precision: str, rounds: int) -> float:
    """Operations per second of a product of two large matrices, the fastest of some."""
    size = MATRIX['cuda' if get_device() == 'cuda' else 'cpu']
    with autocast(precision), torch.no_grad():
        a, b = (torch.randn(size, size, device=get_device()) for _ in range(2))
        a, b = (a, b) if precision == 'fp32' else (a.to(PRECISIONS[precision]), b.to(PRECISIONS[precision]))
        took = [seconds(lambda: torch.mm(a, b)) for _ in range(rounds + 3)]
    return 2 * size**3 / min(took[1:])


def _case(name: str, precision: str, rounds: int, peak: float) -> dict[str, Any]:
    """A model in one precision: the bare loop and every variant, measured in turn."""
    case, small = CASES[name], get_device() == 'cpu'
    features = {n: NARROW if small else dim for n, dim in case.features.items()}
    overrides = {'optim_wrapper.precision': precision, 'train_dataloader.num_workers': 0}
    overrides |= {'val_dataloader.num_workers': 0} | (case.tiny if small else {})
    cfg = resolve(load_config(case.config, overrides))
    model = MODELS.build(model_config(cfg, features))
    loop, batches = BareLoop(model, cfg.optim_wrapper, precision), _ready(cfg, features)
    parameters = sum(p.numel() for p in model.parameters())
    frames: dict[str, float] = {'ready': batches[0].valid.numel()}
    actions: dict[str, Callable[[], Any]] = {'ready': partial(_bare_steps, loop, batches)}
    figures: dict[str, Any] = {}
    with TemporaryDirectory(prefix='abawfw-benchmark-') as folder:
        root = Path(folder) / 'store'
        infos = {n: FeatureInfo((dim,), 'float32') for n, dim in features.items()}
        lengths = SHORT if small else affwild2_lengths('train', cfg.seed)[:VIDEOS]
        pack_store(RandomStore(Path(folder), infos, lengths), root)
        for variant, settings in VARIANTS.items():
            given = overrides | settings | {'data_root': str(root)}
            work_dir = Path(folder) / f'{name}-{precision}-{variant}'
            run = FrameworkEpochs(load_config(case.config, given), work_dir)
            if 'compile' in settings and run.runner.compiled != settings['compile']['mode']:
                figures[variant] = f'omitted, cannot be compiled: {run.runner.compiled}'
                continue
            actions[variant] = partial(_framework_steps, run)
            frames[variant] = _frames_per_step(run.runner.train_dataloader)
        actions['ready']()  # the framework has trained an epoch by now
        took = in_turn(actions, rounds)
    steps = _steps_on_affwild2(cfg)
    figures |= {'parameters': parameters, 'frames_per_step': frames['ready'], 'steps_per_epoch': steps}
    for variant, rows in took.items():
        whole = [row['step_ms'] / 1e3 for row in rows]
        figures[variant] = {key: Spread.of([row[key] for row in rows]) for key in rows[0]} | {
            'epoch_seconds': Spread.of([s * steps for s in whole]),
            'frames_per_second': Spread.of([frames[variant] / s for s in whole]),
            'peak_fraction': Spread.of([6 * parameters * frames[variant] / s / peak for s in whole]),
        }
    return figures


def _ready(cfg: Config, features: dict[str, int]) -> list[ReadyBatch]:
    """Random batches on the device, as large as the config's."""
    sampler, length = cfg.train_dataloader.sampler, cfg.train_dataloader.dataset.clips.length
    rows, device = sampler.get('lanes') or sampler.batch_size, get_device()
    return [
        ReadyBatch(
            {name: torch.randn(rows, length, dim, device=device) for name, dim in features.items()},
            torch.rand(rows, length, len(cfg.targets), device=device) * 2 - 1,
            torch.ones(rows, length, dtype=torch.bool, device=device),
            torch.arange(rows, device=device),
            torch.ones(rows, dtype=torch.bool, device=device),
            [length] * rows,
        )
        for _ in range(READY)
    ]


def _frames_per_step(loader: Any) -> float:
    """Frames of the clips of an epoch, by its batches: the mean, without padding."""
    return sum(clip.stop - clip.start for clip in loader.dataset.clips) / len(loader.batch_sampler)


def _steps_on_affwild2(cfg: Config) -> int:
    """Batches of a training epoch on videos as long as those of Aff-Wild2."""
    rule = CLIPS.build(cfg.train_dataloader.dataset.clips.to_dict())
    dataset = clips_of(affwild2_lengths('train', cfg.seed), rule)
    context = {'dataset': dataset, 'seed': cfg.seed}
    return len(list(SAMPLERS.build(cfg.train_dataloader.sampler.to_dict(), default_args=context)))


def _bare_steps(loop: BareLoop, batches: Sequence[ReadyBatch]) -> dict[str, float]:
    """Milliseconds of a step, and until it is handed to the device."""
    host = []
    for batch in batches[:3]:
        wait()
        host.append(_issued(partial(loop.epoch, [batch])))
    return {'step_ms': 1e3 * seconds(partial(loop.epoch, batches)) / len(batches), 'host_ms': min(host)}


def _framework_steps(run: FrameworkEpochs) -> dict[str, float]:
    """The same of an epoch of the framework, and of a step from a batch on."""
    loop = run.runner.train_loop
    epoch = run.epoch()
    steps = len(loop.dataloader.batch_sampler)
    host, whole = [], []

    def run_iter(index: int, batch: Any) -> None:
        step = partial(type(loop).run_iter, loop, index, batch)
        wait()
        whole.append(1e3 * seconds(lambda: host.append(_issued(step))))

    loop.run_iter = run_iter
    run.epoch()
    del loop.run_iter
    middle = len(host) // 2
    return {
        'step_ms': 1e3 * epoch.train / steps,
        'host_ms': sorted(host)[middle],
        'run_iter_ms': sorted(whole)[middle],
    }


def _issued(action: Callable[[], object]) -> float:
    """Milliseconds until an action returns, whatever the device still has to do."""
    started = time.perf_counter()
    action()
    return 1e3 * (time.perf_counter() - started)
