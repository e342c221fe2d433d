"""From the reference's state dicts of TAGF and its family to predictions, by command lines alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tagf_forward
import tagf_names
import torch
from command_line import ROOT, call
from float32 import assert_float32_of
from golden_recipe import fill, parameter_names
from torch import Tensor
from vector_trials import write_vectors

from abawfw.datasets.stores.trials.writer import TrialWriter
from abawfw.models.backbones import IResNet, VGGish

CONFIGS = ROOT / 'configs/tagf'
SYSTEMS = {  # -> --system, shipped config
    'tagf': ('tagf', 'tagf_embeddings_affwild2'),
    'lfan': ('lfan', 'lfan_embeddings_affwild2'),
    'can': ('can', 'can_embeddings_affwild2'),
    'can_coattn': ('can', 'can_coattn_embeddings_affwild2'),
    'rcma': ('rcma', 'rjcma_embeddings_affwild2'),
}
FEATURES = {'video': 'video_embedding', 'logmel': 'audio_embedding', 'bert': 'bert'}
LENGTHS = {'short': 40, 'tail': 333}


def windows(length: int) -> list[tuple[int, int]]:
    """300 frames every 200, one flush with the end if a tail is left (docs/tagf.md, Data)."""
    starts = list(range(0, max(length - 300, 0) + 1, 200))
    if starts[-1] + 300 < length:
        starts.append(length - 300)
    return [(start, min(start + 300, length)) for start in starts]


@pytest.fixture(scope='module')
def trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the embeddings of two trials for evaluation."""
    root = tmp_path_factory.mktemp('trials') / 'store'
    dims = {FEATURES[m]: (tagf_names.DIMS[m],) for m in FEATURES}
    trials = {'first': ('train', 20)} | {name: ('val', length) for name, length in LENGTHS.items()}
    return write_vectors(root, trials, dims, rates=dict.fromkeys(trials, 30.0))


def config_of(folder: Path, name: str, *lines: str) -> Path:
    """A config for one target that inherits a shipped one."""
    path = folder / 'one_target.py'
    own = [f"_base_ = '{CONFIGS}/{name}.py'", "targets = ['valence']", *lines]
    path.write_text('\n'.join(own) + '\n')
    return path


def expected(system: str, weights: dict[str, Tensor], trials: Path, name: str) -> np.ndarray:
    """The mean over the windows of a trial of what the formulas say, in the precision of the weights."""
    precision = next(iter(weights.values())).dtype
    used = tagf_names.CHANNELS[system]
    arrays = {m: np.load(trials / name / f'{FEATURES[m]}.npy') for m in used}
    total, count = np.zeros(LENGTHS[name]), np.zeros(LENGTHS[name])
    for start, stop in windows(LENGTHS[name]):
        inputs = {m: torch.zeros(1, 300, a.shape[1], dtype=precision) for m, a in arrays.items()}
        for m, values in inputs.items():
            values[0, : stop - start] = torch.from_numpy(arrays[m][start:stop])
        with torch.no_grad():
            out = tagf_forward.forward(system, inputs, weights)[0, : stop - start, 0]
        total[start:stop] += out.numpy()
        count[start:stop] += 1
    return total / count


PLAIN = ("split = dict(_delete_=True, type='OfficialSplit')", 'normalized = []')


@pytest.mark.parametrize('system', SYSTEMS)
def test_the_same_numbers(
    system: str, trials: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    choice, name = SYSTEMS[system]
    weights = fill(tagf_names.reference(system), 'convert')
    torch.save(weights, tmp_path / 'model_state_dict.pth')
    out = tmp_path / 'converted/model.pth'
    found = call(
        capfd,
        'convert_checkpoint',
        *('--system', choice, tmp_path / 'model_state_dict.pth', out),
        *('--config', config_of(tmp_path, name, *PLAIN)),
    )
    assert found.code == 0, found.err
    options = ['val_dataloader.num_workers=0', f'data_root={trials}']
    found = call(capfd, 'test', out.with_suffix('.py'), out, '--partition', 'val', '--cfg-options', *options)
    assert found.code == 0, found.err
    stored = json.loads((out.parent / 'predictions/val_pred_valence_nosmooth_ori.json').read_text())
    for trial in LENGTHS:
        exact = expected(system, tagf_forward.double(weights), trials, trial)
        assert_float32_of(stored[trial]['pred'], exact, expected(system, weights, trials, trial))
        assert np.ptp(exact) > 1e-3


TINY_BACKBONES = (
    'face_backbone = dict(units=[1, 1, 1, 1], width=2)',
    'audio_backbone = dict(hidden=6, width=2)',
)


def test_the_same_numbers_from_pixels(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    face = IResNet((40, 40, 3), units=(1, 1, 1, 1), width=2).eval()
    sound = VGGish((96, 64), hidden=6, width=2).eval()
    weights = fill(tagf_names.reference('tagf'), 'convert')
    pixels = {f'spatial.visual.backbone.{k}': v for k, v in face.state_dict().items()}
    pixels |= {f'spatial.audio.backbone.{k}': v for k, v in sound.state_dict().items()}
    pixels |= {
        'spatial.visual.logits.weight': torch.zeros(8, 512),
        'spatial.visual.logits.bias': torch.zeros(8),
    }
    torch.save(weights | pixels, tmp_path / 'model_state_dict.pth')

    rng = np.random.default_rng(0)
    video = rng.integers(1, 256, (300, 48, 48, 3), dtype=np.uint8)
    logmel = rng.normal(size=(300, 96, 64)).astype(np.float16)
    root = tmp_path / 'store'
    dims, dtypes = {'video': (48, 48, 3), 'logmel': (96, 64)}, {'video': 'uint8', 'logmel': 'float16'}
    with TrialWriter(root, dims, dtypes) as writer:
        writer.add('v', 'val', {'video': video, 'logmel': logmel}, np.zeros((300, 2)))
        first = {'video': video[:5], 'logmel': logmel[:5]}
        writer.add('first', 'train', first, np.zeros((5, 2)))

    config, out = config_of(tmp_path, 'tagf_affwild2', *PLAIN, *TINY_BACKBONES), tmp_path / 'out.pth'
    options = ['--system', 'tagf', tmp_path / 'model_state_dict.pth', out, '--config', config]
    found = call(capfd, 'convert_checkpoint', *options)
    assert found.code == 0, found.err
    options = ['val_dataloader.num_workers=0', f'data_root={root}']
    found = call(capfd, 'test', out.with_suffix('.py'), out, '--partition', 'val', '--cfg-options', *options)
    assert found.code == 0, found.err  # though the weights that training starts from are not there
    stored = json.loads((tmp_path / 'predictions/val_pred_valence_nosmooth_ori.json').read_text())
    with torch.no_grad():
        inputs = {
            'video': face(torch.from_numpy(video[:, 4:44, 4:44])).unsqueeze(0),
            'logmel': sound(torch.from_numpy(logmel)).unsqueeze(0),
        }
        curve = tagf_forward.forward('tagf', inputs, weights)[0, :, 0]
        exact = tagf_forward.forward('tagf', tagf_forward.double(inputs), tagf_forward.double(weights))
    assert_float32_of(stored['v']['pred'], exact[0, :, 0], curve)


def test_names_are_those_of_the_golden_checkpoint(golden_tagf: Path) -> None:
    assert tagf_names.reference('tagf', extra=False) == parameter_names(golden_tagf)['lfan_tagf']


class Conversion:
    """Converts state dicts and says what was printed."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capfd = folder, capfd
        self.out = folder / 'out.pth'

    def __call__(self, system: str, stored: Any, config: Path, *more: str, save: bool = True) -> Any:
        source = self.folder / 'model_state_dict.pth'
        if save:
            torch.save(stored, source)
        options = ['--system', SYSTEMS[system][0], source, self.out, '--config', config, *more]
        return call(self.capfd, 'convert_checkpoint', *options)

    def refused(self, *args: Any, **kwargs: Any) -> str:
        found = self(*args, **kwargs)
        assert found.code == 2, found.out
        assert found.err.startswith('error: ')
        assert not self.out.exists()
        return found.err


@pytest.fixture
def convert(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Conversion:
    return Conversion(tmp_path, capfd)


@pytest.fixture
def stored() -> dict[str, Tensor]:
    """A TAGF checkpoint of zeros, with all that the reference does not use."""
    return zeros('tagf')


def zeros(system: str, **options: Any) -> dict[str, Tensor]:
    return {name: torch.zeros(shape) for name, shape in tagf_names.reference(system, **options).items()}


def tagf_config(folder: Path, *lines: str) -> Path:
    return config_of(folder, 'tagf_embeddings_affwild2', *lines)


def test_what_is_left_out_is_told(convert: Conversion, stored: dict[str, Tensor], tmp_path: Path) -> None:
    stored['spatial.visual.backbone.body.0.res_layer.1.weight'] = torch.zeros(2, 2)
    stored['spatial.visual.logits.bias'] = torch.zeros(8)
    found = convert('tagf', stored, tagf_config(tmp_path))
    assert found.code == 0, found.err
    aliases = 2 * 4 * 2 * 3  # modalities, levels, convolutions, tensors
    assert found.out.splitlines() == [
        f'119 tensors written to {tmp_path}/out.pth, config to {tmp_path}/out.py',
        f'omitted, a second name of the same: temporal.video.* ({aliases // 2}), '
        f'temporal.logmel.* ({aliases // 2})',
        'omitted, encoded and discarded by the reference: temporal.vggish.* (28), bn.vggish.* (5)',
        'omitted, never used by the reference: TAGF.vregressor.* (2), TAGF.Joint.* (11), '
        'spatial.visual.logits.bias',
        'omitted, the config starts from stored embeddings: '
        'spatial.visual.backbone.body.0.res_layer.1.weight',
        'features, in this order: video_embedding, audio_embedding',
        f'next: python tools/test.py {tmp_path}/out.py {tmp_path}/out.pth --data-root DIR',
    ]


def test_a_data_parallel_checkpoint(convert: Conversion, tmp_path: Path) -> None:
    stored = {f'module.{k}': v for k, v in zeros('can').items()}
    assert convert('can', stored, config_of(tmp_path, 'can_embeddings_affwild2')).code == 0


@pytest.mark.parametrize(
    ('drop', 'line'),
    [
        (['regressor1.bias'], 'missing: head.hidden.0.linear.bias'),
        (
            ['bn.video.running_var', 'TAGF.coattn.dcn_layers.1.dense_coattn.value2_linear.bias'],
            'missing: encoders.video_embedding.norm.running_var, fusion.steps.1.values.audio_embedding.bias',
        ),
        (
            ['TAGF.video_temporal_encoder.init_hidden'],
            'missing: fusion.gates.video_embedding.lstm.init_hidden',
        ),
    ],
)
def test_missing(
    convert: Conversion, stored: dict[str, Tensor], tmp_path: Path, drop: list[str], line: str
) -> None:
    for name in drop:
        del stored[name]
    assert line in convert.refused('tagf', stored, tagf_config(tmp_path))


def test_without_the_backbones_of_the_config(
    convert: Conversion, stored: dict[str, Tensor], tmp_path: Path
) -> None:
    config = config_of(tmp_path, 'tagf_affwild2', *TINY_BACKBONES)
    message = convert.refused('tagf', stored, config)
    assert 'missing: backbones.video.* (' in message
    assert 'comes without its backbones: take a config that starts from embeddings' in message


def test_unexpected(convert: Conversion, stored: dict[str, Tensor], tmp_path: Path) -> None:
    stored['TAGF.other.weight'] = stored['TAGF.coattn.dcn_layers.2.linears.0.0.bias'] = torch.zeros(3)
    message = convert.refused('tagf', stored, tagf_config(tmp_path))
    assert 'not of this system: TAGF.other.weight, fusion.steps.2.outputs.video_embedding.bias' in message


def test_another_shape(convert: Conversion, stored: dict[str, Tensor], tmp_path: Path) -> None:
    stored['regressor2.weight'] = torch.zeros(2, 256)
    message = convert.refused('tagf', stored, tagf_config(tmp_path))
    assert 'head.out.weight: (2, 256) in the checkpoint, (1, 256) in the config' in message


def test_windows_of_another_length(convert: Conversion, tmp_path: Path) -> None:
    for system, name in (('tagf', 'tagf_embeddings_affwild2'), ('rcma', 'rjcma_embeddings_affwild2')):
        config = config_of(tmp_path, name, 'window = 30')
        message = convert.refused(system, zeros(system, length=20), config)
        assert 'trained on windows of 20 frames, the config has windows of 30: set window=20' in message


def test_both_targets(convert: Conversion, stored: dict[str, Tensor]) -> None:
    config = CONFIGS / 'tagf_embeddings_affwild2.py'
    message = convert.refused('tagf', stored, config)
    assert 'one target, the config has valence and arousal' in message
    assert '--cfg-options targets=[valence]' in message
    found = convert('tagf', stored, config, '--cfg-options', 'targets=[arousal]')
    assert found.code == 0, found.err
    assert "targets = ['arousal']" in convert.out.with_suffix('.py').read_text()


def test_order_of_modalities(convert: Conversion, tmp_path: Path) -> None:
    config = config_of(
        tmp_path, 'can_coattn_embeddings_affwild2', "features = ['video_embedding', 'audio_embedding']"
    )
    message = convert.refused('can_coattn', zeros('can_coattn'), config)
    assert 'logmel, video, those of the config video, logmel' in message
    assert "['audio_embedding', 'video_embedding']" in message
    config = config_of(tmp_path, 'lfan_embeddings_affwild2')
    message = convert.refused('lfan', {k: v for k, v in zeros('lfan').items() if '.bert.' not in k}, config)
    assert "set features to ['video', 'logmel']" in message


def test_config_of_another_system(convert: Conversion, stored: dict[str, Tensor], tmp_path: Path) -> None:
    lfan = config_of(tmp_path, 'lfan_embeddings_affwild2')
    assert 'a checkpoint of tagf needs CoAttentionFusion' in convert.refused('tagf', stored, lfan)
    assert 'needs ChannelAttentionFusion or CoAttentionFusion' in convert.refused('can', stored, lfan)
    rjcma = config_of(tmp_path, 'rjcma_embeddings_affwild2')
    assert "joint='raw' where tagf has 'projected'" in convert.refused('tagf', stored, rjcma)
    free = config_of(tmp_path, 'tagf_mlp_gate_embeddings_affwild2')
    assert "gate='mlp' where tagf has 'lstm'" in convert.refused('tagf', stored, free)


def test_config_with_a_mistake(convert: Conversion, stored: dict[str, Tensor], tmp_path: Path) -> None:
    config = tagf_config(tmp_path, 'model = dict(fusion=dict(step=3))')
    assert "did you mean 'steps'" in convert.refused('tagf', stored, config)


def test_whole_pickled_module(convert: Conversion, tmp_path: Path) -> None:
    message = convert.refused('tagf', torch.nn.Linear(2, 2), tagf_config(tmp_path))
    assert 'refused' in message
    assert 'torch.save(model.state_dict(), ...)' in message


def test_paths_and_options(convert: Conversion, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (['--system', 'tagf', 'a', 'b'], '--system tagf needs --config'),
        (['--system', 'tagf', 'a', 'b', 'c', '--config', 'd'], '--system tagf takes SRC.pth OUT.pth'),
        (['--system', 'rucaim3', 'a', 'b'], '--system rucaim3 takes SRC_DIR PREFIX OUT.pth'),
        (['--system', 'rucaim3', 'a', 'b', 'c', '--config', 'd'], 'omit --config'),
    ):
        found = call(capfd, 'convert_checkpoint', *arguments)
        assert found.code == 2
        assert message in found.err
    message = convert.refused('tagf', None, tagf_config(tmp_path), save=False)
    assert 'model_state_dict.pth: no such file' in message


def test_existing_output(convert: Conversion, stored: dict[str, Tensor], tmp_path: Path) -> None:
    (tmp_path / 'out.py').write_text('mine')
    message = convert.refused('tagf', stored, tagf_config(tmp_path))
    assert f'{tmp_path}/out.py: choose another name' in message
    assert (tmp_path / 'out.py').read_text() == 'mine'


def test_a_checkpoint_of_ras(tmp_path: Path, capfd: pytest.CaptureFixture[str], golden_2025: Path) -> None:
    """Both targets, by the same command line; its modalities are the config's, in their order."""
    weights = fill(parameter_names(golden_2025 / 'ras')['fusion_directed'], 'convert')
    torch.save(weights, tmp_path / 'best.pt')
    arguments = ['--system', 'ras', tmp_path / 'best.pt', tmp_path / 'out.pth']
    found = call(capfd, 'convert_checkpoint', *arguments)
    assert (found.code, found.err.count('needs --config: a config of this system\n')) == (2, 1)
    config = ['--config', ROOT / 'configs/ras/directed_affwild2.py', '--cfg-options']
    found = call(capfd, 'convert_checkpoint', *arguments, *config, 'hidden=16', 'heads=4', 'layers=2')
    assert found.code == 0, found.err
    assert f'{len(weights)} tensors written to' in found.out
    assert 'features, in this order: face, behaviour' in found.out
    assert 'taken from the config: query=face, key=behaviour, value=behaviour:' in found.out
    stored = torch.load(tmp_path / 'out.pth', weights_only=True)
    assert stored['meta']['input_dims'] == {'face': 10, 'behaviour': 7}
    theirs = weights['projections.llm.0.weight']
    assert torch.equal(stored['state_dict']['fusion.projections.behaviour.0.weight'], theirs)
