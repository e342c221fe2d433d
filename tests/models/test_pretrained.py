"""Files of pre-trained weights: what fits, what does not, and what is refused."""

from __future__ import annotations

import logging
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from abawfw.errors import CheckpointError, DataError
from abawfw.models.backbones import IResNet, VGGish
from abawfw.models.weight_files import load_pretrained


def sound(seed: int, **options: Any) -> VGGish:
    torch.manual_seed(seed)
    return VGGish((96, 64), hidden=6, width=2, **options)


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {f'{prefix}{name}': tensor for name, tensor in state.items()}


@pytest.mark.parametrize('prefix', ['', 'module.', 'backbone.', 'spatial.audio.backbone.', 'module.net.'])
@pytest.mark.parametrize('wrapper', ['', 'state_dict', 'model_state_dict', 'model', 'net', 'any_other'])
def test_usual_formats(tmp_path: Path, prefix: str, wrapper: str) -> None:
    theirs, ours = sound(0), sound(1)
    stored: Any = prefixed(theirs.state_dict(), prefix)
    stored = {wrapper: stored, 'epoch': 3} if wrapper else stored
    torch.save(stored, tmp_path / 'w.pth')
    report = load_pretrained(ours, tmp_path / 'w.pth')
    assert (report.prefix, report.missing, report.unexpected, report.shapes) == (prefix, [], [], [])
    assert sorted(report.matched) == sorted(theirs.state_dict())
    assert report.log_level == logging.INFO
    assert str(report).startswith(f'{tmp_path / "w.pth"}: 18 tensors loaded')
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(tensor, ours.state_dict()[name])


def test_a_number_beside_the_weights_is_none_of_them(tmp_path: Path) -> None:
    theirs, ours = sound(0), sound(1)
    for wrapper in ('model_state_dict', 'weights_of_mine'):
        torch.save({wrapper: theirs.state_dict(), 'best_loss': torch.tensor(0.3)}, tmp_path / 'w.pth')
        assert len(load_pretrained(ours, tmp_path / 'w.pth').matched) == 18
        assert torch.equal(theirs.embeddings[4].weight, ours.embeddings[4].weight)


def test_weights_under_two_unknown_keys_are_not_guessed(tmp_path: Path) -> None:
    state = sound(0).state_dict()
    torch.save({'teacher': state, 'student': state, 'epoch': 3}, tmp_path / 'w.pth')
    with pytest.raises(
        CheckpointError, match=r'w\.pth: tensors by name stand under teacher, student, and it is'
    ):
        load_pretrained(sound(1), tmp_path / 'w.pth')
    torch.save({**state, 'ema': state}, tmp_path / 'w.pth')
    with pytest.raises(CheckpointError, match='stand under ema, no key, and it is unknown'):
        load_pretrained(sound(1), tmp_path / 'w.pth')


def test_weights_that_are_not_finite_are_named_at_loading(tmp_path: Path) -> None:
    state = {k: v.clone() for k, v in sound(0).state_dict().items()}
    state['embeddings.4.weight'][3, 2] = float('nan')
    torch.save({'model_state_dict': state}, tmp_path / 'w.pth')
    ours = sound(1)
    before = ours.embeddings[4].weight.clone()
    with pytest.raises(
        CheckpointError, match=r'w\.pth: embeddings\.4\.weight is NaN or infinite in 1 of 768'
    ):
        load_pretrained(ours, tmp_path / 'w.pth')
    assert torch.equal(ours.embeddings[4].weight, before)


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'w.pth')
    with pytest.raises(DataError, match=r'w\.pth: is a pipe'):
        load_pretrained(sound(0), tmp_path / 'w.pth')


def test_a_whole_system_s_checkpoint(tmp_path: Path) -> None:
    """Each backbone finds its own part in it."""
    face = IResNet((40, 40, 3), units=(1, 1, 1, 1), width=2)
    stored = prefixed(face.state_dict(), 'spatial.visual.backbone.')
    stored |= prefixed(sound(0).state_dict(), 'spatial.audio.backbone.')
    stored |= {'spatial.visual.logits.weight': torch.zeros(8, 512), 'regressor1.weight': torch.zeros(2, 2)}
    torch.save(stored, tmp_path / 'w.pth')
    other = IResNet((40, 40, 3), units=(1, 1, 1, 1), width=2)
    report = load_pretrained(other, tmp_path / 'w.pth')
    assert report.prefix == 'spatial.visual.backbone.'
    assert len(report.matched) == len(face.state_dict())
    assert len(report.unexpected) == 18 + 2
    assert '(20): spatial.audio.backbone.features.0.weight' in str(report)
    assert str(report).endswith(', ...')
    assert load_pretrained(sound(1), tmp_path / 'w.pth').prefix == 'spatial.audio.backbone.'


def test_report_of_what_does_not_fit(tmp_path: Path) -> None:
    stored = sound(0).state_dict()
    del stored['features.3.bias']
    stored['embeddings.4.weight'] = torch.zeros(128, 9)
    stored['pca.weight'] = torch.zeros(3)
    torch.save(stored, tmp_path / 'w.pth')
    ours = sound(1)
    before = {k: v.clone() for k, v in ours.state_dict().items()}
    report = load_pretrained(ours, tmp_path / 'w.pth')
    assert report.missing == ['features.3.bias']
    assert report.unexpected == ['pca.weight']
    assert report.shapes == ['embeddings.4.weight (128, 9), the network (128, 6)']
    assert report.log_level == logging.WARNING
    assert str(report).splitlines() == [
        f'{tmp_path / "w.pth"}: 16 tensors loaded',
        '  missing, left as they were (1): features.3.bias',
        '  of another shape, left as they were (1): embeddings.4.weight (128, 9), the network (128, 6)',
        '  not of this network, omitted (1): pca.weight',
    ]
    for name in ('features.3.bias', 'embeddings.4.weight'):
        assert torch.equal(before[name], ours.state_dict()[name])


def test_nothing_fits(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 3).state_dict(), tmp_path / 'w.pth')
    with pytest.raises(CheckpointError, match=r'none of its 2 tensors fits VGGish: it has weight, bias'):
        load_pretrained(sound(0), tmp_path / 'w.pth')
    torch.save(prefixed(VGGish((96, 64), hidden=6, width=3).state_dict(), 'backbone.'), tmp_path / 'w.pth')
    smaller = nn.Sequential(nn.Conv2d(1, 9, 3))
    with pytest.raises(CheckpointError, match='none of its 18 tensors fits'):
        load_pretrained(smaller, tmp_path / 'w.pth')


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path('ran').touch, ()


@pytest.mark.parametrize('kind', ['module', 'pickle', 'evil', 'text'])
def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'w.pth'
    if kind == 'module':
        torch.save(sound(0), path)
    elif kind == 'pickle':
        path.write_bytes(pickle.dumps({'trainer': sound(0)}))
    elif kind == 'evil':
        torch.save({'state_dict': Evil()}, path)
    else:
        path.write_text('weights')
    message = r'cannot be read' if kind == 'text' else r'refused.*torch\.save\(model\.state_dict\(\)'
    with pytest.raises(CheckpointError, match=rf'w\.pth: {message}'):
        load_pretrained(sound(0), path)
    assert not (tmp_path / 'ran').exists()


def test_damaged(tmp_path: Path) -> None:
    path = tmp_path / 'w.pth'
    torch.save(sound(0).state_dict(), path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r'w\.pth: cannot be read'):
        load_pretrained(sound(0), path)


@pytest.mark.parametrize(
    ('stored', 'message'),
    [
        ({'epoch': 3, 'lr': 0.1}, 'a dict of epoch, lr, and no weights by name'),
        ([torch.zeros(2)], 'a list, and no weights by name'),
        ({}, 'no weights by name'),
        ({'state_dict': {'epoch': 1}}, 'a dict of epoch, and'),
    ],
)
def test_a_file_without_weights(tmp_path: Path, stored: Any, message: str) -> None:
    torch.save(stored, tmp_path / 'w.pth')
    with pytest.raises(CheckpointError, match=message):
        load_pretrained(sound(0), tmp_path / 'w.pth')


def test_safetensors_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'w.safetensors').write_bytes(b'')
    monkeypatch.setitem(sys.modules, 'safetensors.torch', None)
    with pytest.raises(CheckpointError, match='pip install safetensors'):
        load_pretrained(sound(0), tmp_path / 'w.safetensors')


def test_safetensors(tmp_path: Path) -> None:
    save_file = pytest.importorskip('safetensors.torch').save_file
    theirs, ours = sound(0), sound(1)
    save_file(prefixed(theirs.state_dict(), 'backbone.'), tmp_path / 'w.safetensors')
    assert len(load_pretrained(ours, tmp_path / 'w.safetensors').matched) == 18
    assert torch.equal(theirs.embeddings[4].weight, ours.embeddings[4].weight)
    (tmp_path / 'w.safetensors').write_bytes(b'short')
    with pytest.raises(CheckpointError, match=r'w\.safetensors: cannot be read'):
        load_pretrained(ours, tmp_path / 'w.safetensors')


def test_a_backbone_loads_its_weights_when_training_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[tuple[str, int]] = []
    target = 'abawfw.models.backbones.frame_backbone.print_log'
    monkeypatch.setattr(target, lambda text, logger, level: logged.append((text, level)))
    theirs = sound(0)
    torch.save(theirs.state_dict(), tmp_path / 'w.pth')
    ours = sound(1, weights=str(tmp_path / 'w.pth'))
    assert not torch.equal(theirs.embeddings[4].weight, ours.embeddings[4].weight)
    ours.init_weights()
    assert torch.equal(theirs.embeddings[4].weight, ours.embeddings[4].weight)
    assert logged == [(f'{tmp_path / "w.pth"}: 18 tensors loaded', logging.INFO)]


def test_missing_weights_name_where_to_get_them(tmp_path: Path) -> None:
    for backbone, source in (
        (sound(0, weights=str(tmp_path / 'w.pth')), 'torchvggish'),
        (IResNet((40, 40, 3), units=(1, 1, 1, 1), width=2, weights=str(tmp_path / 'w.pth')), 'ABAW3'),
    ):
        with pytest.raises(CheckpointError, match=rf'w\.pth: no such file of weights; .*{source}'):
            backbone.init_weights()
