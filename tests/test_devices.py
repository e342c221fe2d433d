from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import mmengine.device.utils
import pytest
import torch
from mmengine.device import get_device
from mmengine.registry import Registry
from torch import cuda

from abawfw import devices
from abawfw.components import construct_named
from abawfw.devices import (
    SHARED_OUT,
    SMALL,
    computing_on,
    computing_with,
    find_device,
    matmul_precision,
    multiplying_in,
)
from abawfw.errors import ConfigError
from abawfw.extraction.pipeline.plan import ExtractionPlan


def gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let torch report so many GPUs."""
    monkeypatch.setattr(cuda, 'is_available', lambda: count > 0)
    monkeypatch.setattr(cuda, 'device_count', lambda: count)
    monkeypatch.setattr(cuda, 'get_device_name', lambda i: f'GPU {"AB"[i]}')


def test_names_of_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_device('cpu') == 'cpu'
    assert find_device() == get_device()
    gpus(monkeypatch, 2)
    for name in ('cuda', 'cuda:0', 'cuda:1'):
        assert find_device(name) == name


def test_a_gpu_is_one_of_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """MMEngine names others too, such as Apple's, on which no run could be resumed exactly."""
    monkeypatch.setattr(mmengine.device.utils, 'DEVICE', 'mps')
    assert find_device() == 'cpu'
    with computing_on() as device:
        assert (device, get_device()) == ('cpu', 'cpu')


def test_names_that_mean_nothing() -> None:
    for name in ('gpu', 'cuda:', 'cuda:x', 'cuda1', 'CPU', '', 'cpu:0', 'cuda:-1'):
        with pytest.raises(ConfigError, match=r'is unknown: give auto, cpu, cuda, or cuda:N for the N-th'):
            find_device(name)


def test_gpus_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 2)
    with pytest.raises(ConfigError) as found:
        find_device('cuda:7')
    assert str(found.value) == (
        "device 'cuda:7': 2 GPUs visible here: cuda:0 (GPU A), cuda:1 (GPU B): choose from these, or use cpu"
    )
    gpus(monkeypatch, 0)
    for cuda_of_torch, hidden, why in (
        (None, None, 'is built without CUDA'),
        ('13.0', '', "CUDA_VISIBLE_DEVICES='' hides"),
        ('13.0', None, 'see nvidia-smi'),
    ):
        monkeypatch.setattr(torch.version, 'cuda', cuda_of_torch)
        monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
        if hidden is not None:
            monkeypatch.setenv('CUDA_VISIBLE_DEVICES', hidden)
        with pytest.raises(ConfigError, match=rf'no GPU is visible here \(.*{why}.*\): use cpu or auto'):
            find_device('cuda')


def test_a_block_has_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    before = get_device()
    gpus(monkeypatch, 2)
    entered = []

    class Current:
        def __init__(self, index: int) -> None:
            self.index = index

        def __enter__(self) -> None:
            entered.append(self.index)

        def __exit__(self, *error: object) -> None:
            entered.append(None)

    monkeypatch.setattr(cuda, 'device', Current)
    with computing_on('cuda:1') as device:
        assert (device, get_device(), find_device(), entered) == ('cuda:1', 'cuda', 'cuda', [1])
        with computing_on('cpu'):
            assert get_device() == find_device() == 'cpu'
        assert get_device() == 'cuda'
    assert entered == [1, None]
    with pytest.raises(KeyError), computing_on('cpu'):
        raise KeyError
    assert get_device() == before


def test_the_device_reaches_what_runs_networks() -> None:
    made = Registry('made')

    @made.register_module()
    class WithNetwork:
        def __init__(self, weights: str, device: str = 'cpu') -> None:
            self.given = {'weights': weights, 'device': device}

    @made.register_module()
    class Without:
        def __init__(self, weights: str) -> None:
            self.given = {'weights': weights}

    def given(name: str, **options: str) -> dict[str, str]:
        found: dict[str, str] = construct_named(made, name, options, 'made', device='cuda:1').given
        return found

    assert given('WithNetwork', weights='w.pth') == {'weights': 'w.pth', 'device': 'cuda:1'}
    assert given('WithNetwork', weights='w.pth', device='cpu') == {'weights': 'w.pth', 'device': 'cpu'}
    assert given('Without', weights='w.pth') == {'weights': 'w.pth'}
    with pytest.raises(ConfigError, match=r"^made: none; did you mean 'Without'\?$"):
        construct_named(made, 'Withuot', {}, 'made', ': none')


def test_extraction_on_a_device_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {'face_embedding': {'backbone': {'type': 'timm:resnet10t', 'pretrained': True}}}
    plan = ExtractionPlan(tmp_path, ('face48', 'face_embedding'), options, device='cuda:3')
    assert plan.faces.device == 'cuda:3'
    gpus(monkeypatch, 1)
    network = plan.extractors[1]._network
    with pytest.raises(ConfigError, match=r"device 'cuda:3': 1 GPU visible here: cuda:0 \(GPU A\)"):
        _ = network._place


def test_the_detector_takes_the_gpu_that_onnxruntime_can_use(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('onnxruntime', reason='needs the extra features')
    from abawfw.extraction.faces.detectors import mtcnn

    assert mtcnn.providers('cuda') == ['CPUExecutionProvider']
    assert 'onnxruntime-gpu' in mtcnn.MTCNNDetector(device='cuda:1').notes[0]
    assert mtcnn.MTCNNDetector().notes == mtcnn.MTCNNDetector(device='auto').notes == ()
    both = SimpleNamespace(get_available_providers=lambda: ['CUDAExecutionProvider', 'CPUExecutionProvider'])
    monkeypatch.setattr(mtcnn, 'optional_package', lambda *_: both)
    (first, options), last = mtcnn.providers('cuda:1')
    assert (first, options['device_id'], last) == ('CUDAExecutionProvider', 1, 'CPUExecutionProvider')
    assert mtcnn.providers('cpu') == ['CPUExecutionProvider']
    able = SimpleNamespace(get_providers=both.get_available_providers)
    monkeypatch.setattr(mtcnn, 'nets', lambda device: [SimpleNamespace(session=able)])
    assert mtcnn.MTCNNDetector(device='cuda:1').notes == ()
    assert 'device' not in mtcnn.MTCNNDetector(device='cuda').settings()


def test_products_are_of_one_precision_for_the_time_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    def now() -> tuple[bool, bool]:
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    before = now()
    assert before == (False, True)  # PyTorch's defaults: not alike
    monkeypatch.setattr(mmengine.device.utils, 'DEVICE', 'cuda')
    for capability, found in (((8, 0), 'tf32'), ((7, 5), 'float32')):
        monkeypatch.setattr(cuda, 'get_device_capability', lambda capability=capability: capability)
        with multiplying_in():
            assert now() == (True, True)
            assert matmul_precision() == found
            with multiplying_in('float32'):
                assert now() == (False, False)
                assert matmul_precision() == 'float32'
        assert now() == before
    monkeypatch.setattr(mmengine.device.utils, 'DEVICE', 'cpu')
    assert matmul_precision() is None


@pytest.mark.parametrize(
    ('threads', 'configured', 'parameters', 'environment', 'found'),
    [
        (None, None, SMALL, {}, 1),
        (None, None, SMALL + 1, {}, 3),  # as many as PyTorch takes
        (None, 2, SMALL, {}, 2),
        (4, 2, SMALL + 1, {}, 4),
        (None, 2, SMALL, {'OMP_NUM_THREADS': '3'}, 3),  # PyTorch has read it
        (None, None, SMALL, {'MKL_NUM_THREADS': '3'}, 3),
        (4, None, SMALL, {'OMP_NUM_THREADS': '3'}, 4),
        (None, None, SMALL, {'OMP_NUM_THREADS': '3', SHARED_OUT: '3'}, 1),
        (None, None, SMALL + 1, {'OMP_NUM_THREADS': '3', SHARED_OUT: '3'}, 3),
        (None, None, SMALL, {'OMP_NUM_THREADS': '3', SHARED_OUT: '2'}, 3),  # changed since by the user
    ],
)
def test_threads(
    threads: int | None,
    configured: int | None,
    parameters: int,
    environment: dict[str, str],
    found: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mmengine.device.utils, 'DEVICE', 'cpu')
    for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', SHARED_OUT):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    small, model = (torch.nn.ParameterList([torch.empty(n, device='meta')]) for n in (1, parameters))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with computing_with(threads, configured, small, model):
            assert torch.get_num_threads() == found
        assert torch.get_num_threads() == 3
        monkeypatch.setattr(mmengine.device.utils, 'DEVICE', 'cuda')
        if not environment and not threads and not configured:
            with computing_with(threads, configured, small, model):
                assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def control_group(root: Path, limit: str, used: int, inactive: int, names: tuple[str, str, str]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / names[0]).write_text(f'{limit}\n')
    (root / names[1]).write_text(f'{used}\n')
    (root / 'memory.stat').write_text(f'cache 5\n{names[2]} {inactive}\n')


@pytest.mark.parametrize('unified', [True, False])
def test_free_memory_is_what_the_narrowest_control_group_leaves(
    unified: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info, own = tmp_path / 'meminfo', tmp_path / 'cgroup'
    info.write_text('MemTotal: 9000 kB\nMemAvailable: 5000 kB\n')
    monkeypatch.setattr(devices, 'MEMINFO', info)
    monkeypatch.setattr(devices, 'OWN_CGROUPS', own)
    monkeypatch.setattr(devices, 'CGROUPS', tmp_path / 'fs')
    cpu, names = torch.device('cpu'), devices.CGROUP_FILES[unified]
    assert devices.free_memory(cpu) == 5_120_000  # no control groups
    own.write_text('0::/jobs/one\n' if unified else '3:cpuset:/\n2:cpu,memory:/jobs/one\n0::/\n')
    root = tmp_path / ('fs' if unified else 'fs/memory')
    assert devices.free_memory(cpu) == 5_120_000  # none that is seen from here
    unlimited = 'max' if unified else '9223372036854771712'
    control_group(root / 'jobs/one', unlimited, 100, 0, names)
    control_group(root / 'jobs', '4000000', 1_500_000, 500_000, names)
    control_group(root, unlimited, 100, 0, names)
    assert devices.free_memory(cpu) == 3_000_000
    control_group(root / 'jobs/one', '1000', 1_500, 0, names)
    assert devices.free_memory(cpu) == 0
    info.unlink()
    assert devices.free_memory(cpu) is None
