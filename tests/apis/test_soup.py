"""Mean of weights: which runs are in it, what it is worth, that it is a run, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import ROOT, call
from random_runs import make_run

from abawfw.apis import soup as soups
from abawfw.apis.build import build_loader, restore_model
from abawfw.apis.soup import TargetSoup, greedy_soup
from abawfw.apis.trained_run import TrainedRun, load_run
from abawfw.checkpoints import best_checkpoint, load_checkpoint, save_checkpoint
from abawfw.config.loading import load_config, resolve
from abawfw.datasets.demo.trials import make_demo_trials
from abawfw.datasets.stores import open_store
from abawfw.evaluation.functional import Moments, ccc, moments
from abawfw.files import HOST
from abawfw.models.layers import MaskedBatchNorm
from abawfw.progress import unseen

TARGETS = ('valence', 'arousal')


def changed(source: Path, place: Path, seed: int, noise: float) -> Path:
    """A copy of a run with another seed in its config and noise on its weights."""
    place.mkdir()
    text = (source / 'config.py').read_text()
    assert 'seed = 7' in text
    (place / 'config.py').write_text(text.replace('seed = 7', f'seed = {seed}'))
    generator = torch.Generator().manual_seed(seed)
    for target in TARGETS:
        path = best_checkpoint(source, f'ccc_{target}')
        stored = load_checkpoint(path)
        for x in stored['state_dict'].values():
            x += noise * torch.randn(x.shape, generator=generator)
        save_checkpoint(stored, place / path.name)
    return place


@pytest.fixture(scope='module')
def members(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs near a trained one, and one far from it."""
    folder = tmp_path_factory.mktemp('members')
    return [changed(trained, folder / f'run{i}', 10 + i, noise) for i, noise in enumerate((0.03, 1.0, 0.03))]


def score(cfg: Any, path: Path, target: str) -> float:
    preds, labels = TrainedRun(cfg, {target: path}).predict('val')[target]
    return ccc(np.concatenate([*labels.values()]), np.concatenate([*preds.values()]))


def test_command_line(members: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / 'soup'
    done = call(capfd, 'ensemble', *members, '--weights-average', '--out', out)
    assert done.code == 0, done.err
    cfg = resolve(load_config(members[0] / 'config.py'))
    summary = json.loads((out / 'summary.json').read_text())
    loaded = load_run(out)
    assert loaded.targets == TARGETS
    before = {path.name: path.read_bytes() for path in out.glob('*.pth')}
    for options in ((), ('--resume',)):
        refused = call(capfd, 'train', out / 'config.py', '--work-dir', out, *options)
        assert (refused.code, 'is a mean of weights, which cannot be resumed' in refused.err) == (2, True)
    assert {path.name: path.read_bytes() for path in out.glob('*.pth')} == before
    taken = {target: sum(of['taken']) for target, of in summary['soup'].items()}
    target = max(taken, key=lambda name: taken[name])
    assert taken[target] == 2, 'the case that is meant'
    paths = [best_checkpoint(run, f'ccc_{target}') for run in members]
    weights = [load_checkpoint(path)['state_dict'] for path in paths]
    alone = [score(cfg, path, target) for path in paths]
    chosen: list[int] = []
    best = -1.0
    for run in np.argsort(alone)[::-1].tolist():
        tried = [*chosen, run]
        mean = {k: torch.stack([weights[r][k] for r in tried]).mean(0) for k in weights[0]}
        save_checkpoint({**load_checkpoint(paths[0]), 'state_dict': mean}, tmp_path / 'mean.pth')
        if (found := score(cfg, tmp_path / 'mean.pth', target)) >= best:
            chosen, best, kept = tried, found, mean
    entry = summary['best'][f'ccc_{target}']
    assert entry['score'] == pytest.approx(best, abs=1e-5)
    said = summary['soup'][target]
    assert [Path(run).name for run, taken in zip(said['runs'], said['taken'], strict=True) if taken] == [
        members[run].name for run in chosen
    ]
    np.testing.assert_allclose(sorted(said['run_ccc']), sorted(alone), rtol=1e-6)
    stored = load_checkpoint(out / entry['file'])
    for name, x in stored['state_dict'].items():
        torch.testing.assert_close(x, kept[name], rtol=1e-6, atol=1e-7)
    assert all(str(paths[run]) in stored['meta']['source'] for run in chosen)
    assert done.out.count('averaged') == sum(taken.values())
    assert done.out.count('left out') == 6 - sum(taken.values())
    assert 'cross-validated over 2 videos' in done.out
    (first,) = (out / 'submission/valence').glob('*.txt')
    predicted = json.loads((out / 'predictions/tst_pred_valence_nosmooth.json').read_text())
    np.testing.assert_allclose(
        np.array(first.read_text().splitlines()[1:], float), predicted[first.stem]['pred'], atol=1e-6
    )
    assert not list(tmp_path.glob('.*'))


def test_it_is_the_old_one_or_the_new_one(
    members: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails or is interrupted as late as can be leaves what was there."""
    out = tmp_path / 'soup'
    out.mkdir()
    (out / 'summary.json').write_text('{"soup": {}}')

    def late(*args: Any, **more: Any) -> None:
        assert len(list(tmp_path.glob('.soup.*/best_*.pth'))) == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(soups, 'test', late)
    chosen = TargetSoup(('run0', 'run1'), (0.5, 0.4), (True, True), 0.6, None, '')
    monkeypatch.setattr(soups, '_choose', lambda *_: (chosen, frozenset([0, 1])))
    words = [*members[:2], '--weights-average', '--out', out]
    refused = call(capfd, 'ensemble', *words)
    assert 'exists already; choose another name or replace it with --overwrite' in refused.err
    restored = f'{out}: restored as it was; the process that was replacing it was killed'
    gone = subprocess.Popen(['true'])
    gone.wait()
    left = tmp_path / f'.soup.{gone.pid}@{HOST}.old'
    out.rename(left)
    assert f'with --overwrite; {restored}' in call(capfd, 'ensemble', *words).err
    out.rename(left)
    done = call(capfd, 'ensemble', *words, '--overwrite')
    assert (done.code, done.out) == (130, f'{restored}\n')
    assert [p.name for p in tmp_path.rglob('*')] == ['soup', 'summary.json']
    (out / 'inferred').mkdir()
    (out / 'inferred/a.va.json').touch()  # of somebody who went on with the mean
    assert f'({out}/inferred/a.va.json) and is not' in call(capfd, 'ensemble', *words, '--overwrite').err
    (out / 'inferred/a.va.json').unlink()
    for other in ('{"status": "done"}', '5', '["soup"]'):
        (out / 'summary.json').write_text(other)
        assert 'is not a mean of weights' in call(capfd, 'ensemble', *words, '--overwrite').err


def test_running_statistics_are_those_of_training(tmp_path: Path) -> None:
    make_demo_trials(tmp_path / 'trials', videos=(6, 2, 1), scale=0.01)
    tiny = {'video_channels': [4], 'audio_channels': [4], 'regressor': [4], 'batch_size': 2}
    overrides = {**tiny, 'data_root': str(tmp_path / 'trials')}
    config = ROOT / 'configs/tagf/can_demo.py'
    runs = [make_run(tmp_path / str(i), config, {**overrides, 'seed': i}) for i in range(2)]
    norm = 'encoders.video_embedding.norm'
    for i, run in enumerate(runs):
        for path in run.glob('best_*.pth'):
            stored = load_checkpoint(path)
            stored['state_dict'][f'{norm}.running_mean'] += 1 + i
            save_checkpoint(stored, path)
    cfg = resolve(load_config(runs[0] / 'config.py'))
    paths = [best_checkpoint(run, 'ccc_valence') for run in runs]
    mixer = soups._Mixer(cfg, open_store(tmp_path / 'trials'), 'valence', paths, tmp_path, unseen)
    assert mixer._differing == [norm]
    mixer.keep(frozenset([0, 1]), 0.5)
    (made,) = tmp_path.glob('best_*.pth')
    found = load_checkpoint(made)
    loader = build_loader(cfg, 'train_dataloader', 'train')
    model = restore_model(cfg, made, found, loader.dataset.input_dims)
    means = []

    def look(module: MaskedBatchNorm, given: tuple[torch.Tensor, torch.Tensor]) -> None:
        x, mask = given
        means.append((x[mask].mean(0), x[mask].var(0)))

    model.get_submodule(norm).register_forward_pre_hook(look)
    loader.batch_sampler.set_epoch(0)
    with torch.no_grad():
        for batch in loader:
            model.val_step(batch)
    assert len(means) >= 2
    for name, values in zip(('running_mean', 'running_var'), zip(*means, strict=True), strict=True):
        torch.testing.assert_close(found['state_dict'][f'{norm}.{name}'], torch.stack(values).mean(0))
    other = 'encoders.audio_embedding.norm.running_var'  # the same in both: kept
    assert torch.equal(found['state_dict'][other], load_checkpoint(paths[0])['state_dict'][other])


def test_choice_by_hand() -> None:
    """Best first; one that lowers the CCC is left out, one that leaves it as it is is taken."""
    worth = {
        frozenset([0]): 0.5, frozenset([1]): 0.3, frozenset([2]): 0.4, frozenset([3]): 0.1,
        frozenset([0, 2]): 0.45, frozenset([0, 1]): 0.5, frozenset([0, 1, 3]): 0.6,
    }  # fmt: skip

    def measure(chosen: frozenset[int]) -> Sequence[Moments]:
        return [of_ccc(worth[chosen]), of_ccc(-1.0)]

    assert greedy_soup(measure, 4, [0]) == {0, 1, 3}
    assert len(set(worth)) == 7


def of_ccc(value: float) -> Moments:
    """Statistics with this CCC."""
    found = Moments(2, 0.0, 0.0, 1.0, 1.0, value, 0.0)
    assert found.ccc == pytest.approx(value)
    return found


def test_the_cross_validated_score_is_honest() -> None:
    """Of means that know nothing the chosen one looks good on its own frames, and not on others."""
    rng = np.random.default_rng(0)
    labels = [rng.normal(size=12) for _ in range(8)]
    known: dict[frozenset[int], list[Moments]] = {}

    class Mixer:
        paths = (Path(),) * 12
        unit = '8 videos'

        def measure(self, chosen: frozenset[int]) -> list[Moments]:
            if chosen not in known:
                known[chosen] = [moments(y, rng.normal(size=12)) for y in labels]
            return known[chosen]

    found, chosen = soups._choose(Mixer(), [str(i) for i in range(12)])  # type: ignore[arg-type]
    assert found.ccc == pytest.approx(Moments.pool(known[chosen]).ccc)
    assert found.cross_validated_ccc is not None
    assert found.cross_validated_ccc < found.ccc - 0.1


CASES = {
    'one run': 'a mean of weights needs two runs of one config',
    'other config': 'hidden: 16 -> 8',
    'no weights': 'is no work_dir of a run, it has no config.py',
    'no checkpoint': 'no best_ccc_valence_epoch_*.pth; train the run first',
    'other shape': 'though their configs are the same: head.out.weight: (2, 8) and (2, 7)',
    'not finite': 'head.out.bias is NaN or infinite in 1 of 2 values',
    'target': '--target and --weights-average',
    'rule': '--weights and --weights-average',
    'statistics': 'were trained with other statistics of the training videos',
}


@pytest.mark.parametrize('case', CASES)
def test_what_is_refused(
    case: str, members: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(members[2], tmp_path / 'other')
    runs, more = [members[0], other], []
    if case == 'one run':
        runs = [members[0]]
    elif case == 'other config':
        text = (other / 'config.py').read_text()
        (other / 'config.py').write_text(text.replace('hidden = 16', 'hidden = 8'))
    elif case == 'no weights':
        shutil.rmtree(other)
        (other / 'predictions').mkdir(parents=True)
    elif case == 'no checkpoint':
        best_checkpoint(other, 'ccc_valence').unlink()
    elif case == 'target':
        more = ['--target', 'valence']
    elif case == 'rule':
        more = ['--weights', 'greedy']
    else:
        path = best_checkpoint(other, 'ccc_valence')
        stored = load_checkpoint(path)
        weights = stored['state_dict']
        if case == 'other shape':
            weights['head.out.weight'] = weights['head.out.weight'][:, :7].clone()
        elif case == 'not finite':
            weights['head.out.bias'][1] = torch.nan
        else:
            stored['meta']['fitted'] = None
        save_checkpoint(stored, path)
    done = call(capfd, 'ensemble', *runs, '--weights-average', '--out', tmp_path / 'out', *more)
    assert done.code == 2
    assert CASES[case] in done.err
    assert 'Traceback' not in done.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ['other']
