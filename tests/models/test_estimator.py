"""The estimator: its slots, its modes, and the state it keeps per lane."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from model_cases import CONTEXTS, DIMS, SMALL, batch, build, clip, split
from torch import nn

from abawfw.checkpoints import save_checkpoint
from abawfw.errors import CheckpointError, ConfigError, DataError, TrainingError
from abawfw.models import VADataPreprocessor
from abawfw.models.layers import Dropout
from abawfw.registry import BACKBONES, ENCODERS, MODELS

HEAD = {'type': 'RegressionHead', 'layers': [8]}
OF_CLIPS = ('transformer', 'pre-norm', 'conformer', 'mamba-of-clips')
STATEFUL = [name for name in CONTEXTS if name not in OF_CLIPS]


@pytest.fixture
def components() -> Any:
    """A backbone and an encoder, registered for the time of a test."""

    class MeanBackbone(nn.Module):
        def __init__(self, in_dim: tuple[int, ...]) -> None:
            super().__init__()
            self.out_dim = in_dim[0]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(-1)

    class ScaleEncoder(nn.Module):
        def __init__(self, in_dim: int, scale: float) -> None:
            super().__init__()
            self.out_dim, self.scale = in_dim, nn.Parameter(torch.tensor(scale))

        def forward(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
            return x * self.scale

    BACKBONES.register_module(module=MeanBackbone)
    ENCODERS.register_module(module=ScaleEncoder)
    yield
    del BACKBONES._module_dict['MeanBackbone'], ENCODERS._module_dict['ScaleEncoder']


@pytest.mark.usefixtures('components')
def test_slots_in_a_row() -> None:
    model = MODELS.build(
        {
            'type': 'VAEstimator',
            'input_dims': {'image': (4, 6), 'sound': 3},
            'backbones': {'image': {'type': 'MeanBackbone'}},
            'encoders': {'sound': {'type': 'ScaleEncoder', 'scale': 2.0}},
            'head': {'type': 'RegressionHead', 'layers': []},
        }
    ).eval()
    image, sound = torch.randn(2, 5, 4, 6), torch.randn(2, 5, 3)
    valid = torch.ones(2, 5, dtype=torch.bool)
    expected = model.head(torch.cat([image.mean(-1), 2 * sound], dim=-1), valid).va
    torch.testing.assert_close(model({'sound': sound, 'image': image}).va, expected)
    assert list(model.subnetworks()) == ['encoders.sound', 'head']


class SeenFrames(nn.Module):
    """Keeps the frames it was given, and gives their first two values."""

    def __init__(self, in_dim: tuple[int, ...]) -> None:
        super().__init__()
        self.out_dim = 2

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        self.frames = frames
        return frames[:, 0, :2].float()


class SeenEncoder(nn.Module):
    """Keeps what it was given."""

    def __init__(self, in_dim: int) -> None:
        super().__init__()
        self.out_dim = in_dim

    def forward(self, x: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
        self.x, self.observed = x, observed
        return x


@pytest.fixture
def seeing() -> Any:
    BACKBONES.register_module(module=SeenFrames)
    ENCODERS.register_module(module=SeenEncoder)
    yield
    del BACKBONES._module_dict['SeenFrames'], ENCODERS._module_dict['SeenEncoder']


def sight_and_sound(**changes: Any) -> Any:
    return MODELS.build(
        {
            'type': 'VAEstimator',
            'input_dims': {'image': (3, 4), 'sound': 2},
            'backbones': {'image': {'type': 'SeenFrames'}},
            'encoders': {'image': {'type': 'SeenEncoder'}, 'sound': {'type': 'SeenEncoder'}},
            'head': {'type': 'RegressionHead', 'layers': []},
            **changes,
        }
    )


@pytest.mark.usefixtures('seeing')
def test_backbones_see_observed_frames_only() -> None:
    model = sight_and_sound()
    samples = [clip('a', 0, 3, 4), clip('b', 0, 4, 4)]
    samples[0].observed[1, 0] = False
    image = torch.randint(1, 255, (2, 4, 3, 4), dtype=torch.uint8)
    model({'image': image, 'sound': torch.randn(2, 4, 2)}, batch(*samples), mode='predict')
    expected = torch.stack([image[0, 0], image[0, 2], *image[1]])
    assert torch.equal(model.backbones['image'].frames, expected)
    vectors = image[:, :, 0, :2].float()
    vectors[0, [1, 3]] = 0
    assert torch.equal(model.encoders['image'].x, vectors)
    assert model.encoders['image'].observed.tolist() == [[True, False, True, False], [True] * 4]
    assert model.encoders['sound'].observed.tolist() == [[True, True, True, False], [True] * 4]


@pytest.mark.usefixtures('seeing')
def test_a_batch_in_which_nothing_was_observed() -> None:
    model = sight_and_sound()
    sample = clip('a', 0, 3, 3)
    sample.observed[:] = False
    image, sound = torch.ones(1, 3, 3, 4, dtype=torch.uint8), torch.zeros(1, 3, 2)
    losses = model({'image': image, 'sound': sound}, batch(sample), mode='loss')
    assert not hasattr(model.backbones['image'], 'frames')
    assert losses['loss_ccc'].item() == 0


@pytest.mark.usefixtures('seeing')
def test_frames_of_which_nothing_was_seen_teach_nothing() -> None:
    model = sight_and_sound()
    image, sound = torch.ones(1, 6, 3, 4, dtype=torch.uint8), torch.randn(1, 6, 2)
    unseen, unlabelled = clip('a', 0, 6, 6), clip('a', 0, 6, 6)
    unseen.observed[2:4] = False
    unlabelled.gt_va[2:4] = float('nan')
    unlabelled.observed[2:4, 0] = False
    losses = [
        model({'image': image, 'sound': sound}, batch(s), mode='loss')['loss_ccc']
        for s in (unseen, unlabelled)
    ]
    # of the second, the sound was heard, so without the labels' gap it would count
    assert losses[0].item() == pytest.approx(losses[1].item(), abs=1e-6)
    unlabelled.gt_va = clip('a', 0, 6, 6).gt_va
    again = model({'image': image, 'sound': sound}, batch(unlabelled), mode='loss')['loss_ccc']
    assert abs(again.item() - losses[0].item()) > 1e-3


@pytest.mark.usefixtures('seeing')
def test_an_optional_modality_may_be_absent() -> None:
    model, sound = sight_and_sound(optional=['image']).eval(), torch.randn(1, 5, 2)
    sample = clip('a', 0, 5, 5)
    sample.observed = sample.observed[:, 1:]
    model({'sound': sound}, batch(sample), mode='predict')
    assert torch.equal(model.encoders['image'].x, torch.zeros(1, 5, 2))
    assert not model.encoders['image'].observed.any()
    assert torch.equal(model.encoders['sound'].x, sound)
    with pytest.raises(DataError, match=r'needs the modality sound, and there are image.*optional'):
        model({'image': torch.ones(1, 5, 3, 4)})


def test_a_frozen_lstm_can_be_learnt_through() -> None:
    """cuDNN computes no gradient through an LSTM in evaluation mode: training mode, with the same output."""
    gates = [{'type': 'FeedForward', 'hidden': 16}, {'type': 'LSTMContext', 'hidden': 16}]
    model = build('fclstm-xl', context=gates, frozen=('context.1',))
    lstm = model.context[1].rnn = nn.LSTM(16, 16, 2, batch_first=True, dropout=0.5).requires_grad_(False)
    x, state = torch.randn(1, 6, 16), torch.zeros(2, 1, 16)
    expected = lstm.eval()(x, (state, state))[0]
    modes = []
    lstm.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    for training in (True, False, True, True):
        model.train(training)
        torch.testing.assert_close(lstm(x, (state, state))[0], expected)
    assert modes == [True, False, True, True]
    assert not model.context[1].training
    model.release(['context.1'])
    assert (lstm.dropout, lstm.training) == (0.5, True)
    assert not torch.equal(lstm(x, (state, state))[0], expected)
    model.train()
    assert lstm.dropout == 0.5


def test_released_parts_train_within_frozen_ones() -> None:
    model = build('transformer', frozen=('context.0',)).train()
    names = [n for n, _ in model.context[0].named_children()]
    part = f'context.0.{names[0]}'
    model.release([part])
    assert model.released == (part,)
    for switch in (True, False, True):
        model.train(switch)
        assert all(m.training == switch for m in model.get_submodule(part).modules())
    assert not model.context[0].training
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    inside = {n for n in trained if n.startswith('context.')}
    assert inside == {n for n, _ in model.named_parameters() if n.startswith(f'{part}.')}
    with pytest.raises(ConfigError, match='no part'):
        model.release(['context.0.nothing'])


@pytest.mark.parametrize('slot', ['backbones', 'encoders'])
def test_slot_for_an_unknown_modality(slot: str) -> None:
    with pytest.raises(ConfigError, match=rf'{slot} names the modality voice: there are: a, b'):
        build('transformer', **{slot: {'voice': {'type': 'Any'}}})


def test_frames_that_need_a_backbone() -> None:
    with pytest.raises(ConfigError, match=r'modality image .* \(3, 8, 8\).*backbone'):
        MODELS.build({'type': 'VAEstimator', 'input_dims': {'image': (3, 8, 8)}, 'head': HEAD})


def test_order_of_input_dims_is_the_order_of_concatenation() -> None:
    model = MODELS.build({'type': 'VAEstimator', 'input_dims': DIMS, 'head': HEAD}).eval()
    x = torch.randn(2, 4, 8)
    torch.testing.assert_close(
        model(split(x)).va, model.head(x, torch.ones(x.shape[:2], dtype=torch.bool)).va
    )


def test_changed_sizes_reach_every_slot() -> None:
    for name in CONTEXTS:
        wide = [{**c, 'hidden': 24} if 'hidden' in c else c for c in CONTEXTS[name]]
        model = build(name, context=wide, input_dims={'b': 5, 'a': 3, 'c': 2})
        x = {'a': torch.zeros(1, 4, 3), 'b': torch.zeros(1, 4, 5), 'c': torch.zeros(1, 4, 2)}
        assert model(x).va.shape == (1, 4, 2)


@pytest.mark.parametrize('targets', [['valence'], ['arousal'], ['valence', 'arousal']])
def test_targets_choose_the_labels(targets: list[str]) -> None:
    model = build('transformer', targets=targets).eval()
    sample = clip('v', 0, 6, 6)
    x = split(torch.randn(1, 6, 8))
    pred = model(x).va
    columns = [('valence', 'arousal').index(t) for t in targets]
    assert pred.shape == (1, 6, len(targets))
    expected = model.head.loss(model(x), sample.gt_va[None][..., columns], sample.valid[None])
    torch.testing.assert_close(model(x, batch(sample), mode='loss'), expected)


@pytest.mark.parametrize('targets', [[], ['arousal', 'valence'], ['dominance']])
def test_unknown_targets(targets: list[str]) -> None:
    with pytest.raises(ConfigError, match='targets'):
        build('transformer', targets=targets)


def test_predictions_are_cut_to_the_frames() -> None:
    model = build('transformer').eval()
    samples = batch(clip('v', 0, 6, 6, 0), clip('w', 0, 2, 6, 1))
    x = split(torch.randn(2, 6, 8))
    losses = model(x, samples, mode='loss')
    assert all(key.startswith('loss') and value.dtype == torch.float32 for key, value in losses.items())
    trained = samples.predictions()
    assert [p.shape for p in trained] == [(6, 2), (2, 2)]
    assert not any(p.requires_grad for p in trained)
    kept = samples.pred_va
    (out,) = model.val_step({'inputs': x, 'data_samples': samples})
    assert samples.pred_va is kept
    assert out.pred_va is not kept
    for new, old in zip(out.predictions(), trained, strict=True):
        torch.testing.assert_close(new, old)


@pytest.mark.parametrize('name', CONTEXTS)
def test_bfloat16(name: str) -> None:
    model = build(name).train()
    for start in (0, 6):
        sample = batch(clip('v', start, 6, 6))
        with torch.autocast('cpu', torch.bfloat16):
            losses = model(split(torch.randn(1, 6, 8)), sample, mode='loss')
        assert all(v.dtype == torch.float32 for v in losses.values())
        assert sample.pred_va.dtype == torch.float32
        sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert all(p.dtype == torch.float32 for k, p in model.lane_state().items() if k.endswith('state.0.0'))


def test_preprocessor_moves_all_of_a_batch_once() -> None:
    preprocessor = VADataPreprocessor()
    preprocessor._device = torch.device('meta')
    given = {
        'inputs': {'a': torch.zeros(2, 3, 2)},
        'data_samples': batch(clip('v', 0, 3, 3), clip('w', 0, 2, 3)),
    }
    moved = preprocessor(given)
    tensors = [moved['inputs']['a'], *moved['data_samples'].tensors]
    assert {x.device.type for x in tensors} == {'meta'}
    assert len(tensors) == 7  # with the places of the frames of two modalities
    assert given == moved  # hooks have what was moved
    assert preprocessor(given)['data_samples'] is moved['data_samples']
    assert moved['data_samples'].video_id == ['v', 'w']


def test_modes_without_samples() -> None:
    model = build('transformer')
    with pytest.raises(ValueError, match="'loss' needs data samples"):
        model(split(torch.zeros(1, 3, 8)), mode='loss')


# --- lanes


@pytest.mark.parametrize('name', STATEFUL)
def test_state_goes_from_clip_to_clip_and_stops_at_the_video(name: str) -> None:
    model = build(name).eval()
    x = torch.randn(1, 6, 8)

    def predict(video: str, start: int) -> torch.Tensor:
        with torch.no_grad():
            return model(split(x), batch(clip(video, start, 6, 6)), mode='predict')[0].predictions()[0]

    first, second, again = predict('v', 0), predict('v', 6), predict('w', 0)
    assert not torch.allclose(first, second, atol=1e-3)
    torch.testing.assert_close(first, again)


@pytest.mark.parametrize('name', STATEFUL)
def test_evaluation_does_not_disturb_training(name: str) -> None:
    model = build(name).train()
    for module in model.modules():
        if isinstance(module, Dropout):
            module.p = 0.0
    x = [torch.randn(1, 6, 8) for _ in range(2)]
    model(split(x[0]), batch(clip('v', 0, 6, 6)), mode='loss')
    undisturbed = copy.deepcopy(model)(split(x[1]), batch(clip('v', 6, 6, 6)), mode='loss')
    model.eval()
    model(split(x[1]), batch(clip('other', 0, 6, 6)), mode='predict')
    model.train()
    torch.testing.assert_close(model(split(x[1]), batch(clip('v', 6, 6, 6)), mode='loss'), undisturbed)


@pytest.mark.parametrize('name', CONTEXTS)
def test_lane_state_continues_exactly(name: str, tmp_path: Path) -> None:
    model, other = build(name).train(), build(name).train()
    x = [torch.randn(2, 6, 8) for _ in range(3)]
    batches = [
        batch(clip('v', 0, 6, 6, 3), clip('wörld', 0, 6, 6, 1)),
        batch(clip('v', 6, 6, 6, 3), clip('wörld', 6, 2, 6, 1)),
        batch(clip('v', 12, 6, 6, 3), clip('u', 0, 6, 6, 1)),
    ]
    for i in range(2):
        model(split(x[i]), batches[i], mode='loss')
    torch.save({'lanes': model.lane_state(), 'rng': torch.get_rng_state()}, tmp_path / 'state.pth')
    expected = model(split(x[2]), batches[2], mode='loss')
    saved = torch.load(tmp_path / 'state.pth', weights_only=True)
    other.load_lane_state(saved['lanes'])
    torch.set_rng_state(saved['rng'])
    got = other(split(x[2]), batches[2], mode='loss')
    assert all(torch.equal(got[k], expected[k]) for k in expected)
    after = {k: v.tolist() for k, v in model.lane_state().items()}
    assert after == {k: v.tolist() for k, v in other.lane_state().items()}


def test_damaged_lane_state() -> None:
    model = build('fclstm-xl')
    with pytest.raises(CheckpointError, match='lane states'):
        model.load_lane_state({'0.position': torch.tensor(3)})


def test_a_clip_that_does_not_continue_its_lane() -> None:
    model = build('fclstm-xl').train()
    x = split(torch.zeros(1, 6, 8))
    with pytest.raises(
        TrainingError, match=r'video v starts at frame 6 in lane 2, which has seen nothing yet'
    ):
        model(x, batch(clip('v', 6, 6, 6, 2)), mode='loss')
    model(x, batch(clip('v', 0, 6, 6, 2)), mode='loss')
    with pytest.raises(TrainingError, match=r'starts at frame 3 .*is at frame 6 of v'):
        model(x, batch(clip('v', 3, 6, 6, 2)), mode='loss')
    with pytest.raises(TrainingError, match=r'video w starts at frame 6 .*is at frame 6 of v'):
        model(x, batch(clip('w', 6, 6, 6, 2)), mode='loss')
    model.reset_lanes()
    with pytest.raises(TrainingError, match='nothing yet'):
        model(x, batch(clip('v', 6, 6, 6, 2)), mode='loss')
    # A model without state takes clips in any order.
    build('transformer')(x, batch(clip('v', 6, 6, 6, 2)), mode='loss')


def test_two_clips_in_one_lane() -> None:
    x, samples = split(torch.zeros(2, 6, 8)), batch(clip('v', 0, 6, 6, 1), clip('w', 0, 6, 6, 1))
    with pytest.raises(ConfigError, match=r'lane 1 has two clips in one batch \(videos v and w\).*LaneBatch'):
        build('fclstm-xl')(x, samples, mode='loss')
    build('transformer')(x, samples, mode='loss')


def test_state_is_cut_off_from_the_graph() -> None:
    model = build('transformer-lstm').train()
    x = [torch.randn(1, 6, 8, requires_grad=True) for _ in range(2)]
    for i in range(2):
        sum(model(split(x[i]), batch(clip('v', 6 * i, 6, 6)), mode='loss').values()).backward()
        if i == 0:
            x[0].grad = None
    assert x[0].grad is None
    assert x[1].grad is not None


# --- parts


@pytest.mark.parametrize('name', CONTEXTS)
def test_subnetworks_cover_every_parameter_once(name: str) -> None:
    model = build(name)
    parts = model.subnetworks()
    assert sum(len(list(p.parameters())) for p in parts.values()) == len(list(model.parameters()))
    assert [k for k in parts if k != 'head'] == [
        f'context.{i}' for i, c in enumerate(model.context) if list(c.parameters())
    ]


def test_frozen_part() -> None:
    model = build('transformer-lstm', frozen=('context.1',)).train()
    frozen = {k: v.clone() for k, v in model.context[1].state_dict().items()}
    assert not any(m.training for m in model.context[1].modules())
    assert model.context[0].training
    assert model.head.training
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    before = model.context[0].linear.weight.clone()
    sum(model(split(torch.randn(1, 6, 8)), batch(clip('v', 0, 6, 6)), mode='loss').values()).backward()
    optimiser.step()
    assert not torch.equal(model.context[0].linear.weight, before)
    assert all(torch.equal(v, frozen[k]) for k, v in model.context[1].state_dict().items())
    model.eval()
    model.train()
    assert not model.context[1].training


def test_unknown_part() -> None:
    with pytest.raises(ConfigError, match=r"no part 'contxt.0': did you mean 'context\.0'\?"):
        build('transformer', frozen=('contxt.0',))
    with pytest.raises(ConfigError, match=r"no part 'context\.1'"):
        build('transformer', pretrained={'context.1': 'x.pth'})


FROZEN_TRANSFORMER = [{'type': 'TransformerContext', **SMALL}, {'type': 'LSTMContext', 'hidden': 16}]


def test_a_trained_transformer_frozen_inside_transformer_lstm(tmp_path: Path) -> None:
    trained = build('transformer')
    file = tmp_path / 'transformer.pth'
    save_checkpoint({'state_dict': trained.state_dict(), 'meta': {'epoch': 3}}, file)
    model = MODELS.build(
        {
            'type': 'VAEstimator',
            'input_dims': DIMS,
            'context': FROZEN_TRANSFORMER,
            'head': HEAD,
            'frozen': ('context.0',),
            'pretrained': {'context.0': str(file)},
        }
    )
    model.init_weights()
    model.train()
    for key, value in trained.context[0].state_dict().items():
        assert torch.equal(model.context[0].state_dict()[key], value)
    x = torch.randn(1, 6, 8)
    valid = torch.ones(1, 6, dtype=torch.bool)
    torch.testing.assert_close(model.context[0](x, valid), trained.eval().context[0](x, valid))
    sum(model(split(x), batch(clip('v', 0, 6, 6)), mode='loss').values()).backward()
    assert all(p.grad is None for p in model.context[0].parameters())


def test_pretrained_weights_that_do_not_fit(tmp_path: Path) -> None:
    small = [{**FROZEN_TRANSFORMER[0], 'ffn': 32, 'affine': True, 'layers': 3}]
    save_checkpoint(
        {'meta': {'epoch': 3}, 'state_dict': build('transformer').state_dict()}, tmp_path / 'a.pth'
    )
    model = build('transformer', context=small, pretrained={'context.0': str(tmp_path / 'a.pth')})
    with pytest.raises(CheckpointError) as caught:
        model.init_weights()
    assert re.search(r'missing \(\d+\): layers\.2\.', str(caught.value))
    assert 'layers.0.linear1.weight: (24, 16) in the checkpoint, (32, 16) in the model' in str(caught.value)


class Evil:
    """An object whose unpickling would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ('run',))


@pytest.mark.parametrize('content', ['absent', 'cut', 'code', 'list'])
def test_pretrained_file_that_cannot_be_read(tmp_path: Path, content: str, capsys: Any) -> None:
    file = tmp_path / 'x.pth'
    if content == 'cut':
        torch.save(build('transformer').state_dict(), file)
        file.write_bytes(file.read_bytes()[:1000])
    elif content == 'code':
        torch.save({'state_dict': Evil()}, file)
    elif content == 'list':
        torch.save([torch.zeros(2)], file)
    model = build('transformer', pretrained={'context.0': str(file)})
    with pytest.raises(CheckpointError, match=r'x\.pth'):
        model.init_weights()
    assert 'run' not in capsys.readouterr().out
