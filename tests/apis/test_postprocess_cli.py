"""Post-processing through tools/test.py and back out of the inferencer."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from command_line import ROOT, call
from vector_trials import tagf_run, write_vectors

from abawfw.apis import VAInferencer
from abawfw.config.loading import load_config
from abawfw.datasets.stores import open_store
from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import ccc
from abawfw.evaluation.postprocess import Pipeline, candidates
from abawfw.prediction_files import read_predictions
from abawfw.results.side_files import read_faces

CONFIG = ROOT / 'configs/tagf/tagf_embeddings_demo.py'
LENGTHS = {'a': ('train', 31), 'b': ('val', 45), 'c': ('val', 7), 'd': ('val', 60), 'e': ('test', 41)}
GAPS = [
    {'type': 'GapInterpolation', 'limit': 3},
    {'type': 'GaussianSmoothing', 'sigma': 1.5},
    {'type': 'AffineCalibration'},
]


def seen(length: int) -> np.ndarray:
    return np.arange(length) % 7 < 5


@pytest.fixture(scope='module')
def trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trials of vectors, the faces of which are missed in two of seven frames."""
    root = tmp_path_factory.mktemp('trials') / 'store'
    rates = dict.fromkeys(LENGTHS, 25.0)
    return write_vectors(root, LENGTHS, valid=lambda _, n: {'video_embedding': seen(n)}, rates=rates)


def run_of(folder: Path, trials: Path, **overrides: Any) -> Path:
    return tagf_run(folder / 'run', trials, **overrides)


def report_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / 'report.json').read_text())


def scores(report: dict[str, Any], target: str) -> dict[str, float]:
    return {row['stage']: row['ccc'] for row in report['rows']['val'] if row['target'] == target}


def assert_inferred_alike(run: Path) -> None:
    """The inferencer's curves of every video, from the store and from arrays, are those of the files."""
    inferencer = VAInferencer(run, 'cpu')
    store = open_store(inferencer.cfg.data_root)
    tables = inferencer.predict_store(store)
    compared = 0
    for target in inferencer.targets:
        for partition in ('val', 'tst'):
            preds = read_predictions(run / 'predictions', partition, target, smoothed=True).preds
            for video, expected in preds.items():
                np.testing.assert_allclose(tables[video][target], expected, rtol=0, atol=1e-6)
                arrays = {f: store.read(video, f, 0, len(expected)) for f in inferencer.features}
                observed = {f: store.observed(video, f, 0, len(expected)) for f in inferencer.features}
                table = inferencer.predict_arrays(arrays, fps=25, observed=observed)
                np.testing.assert_allclose(table[target], expected, rtol=0, atol=1e-6)
                compared += 1
    assert compared == 4 * len(inferencer.targets)


def test_a_config_with_post_processing(
    trials: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Gaps, a Gaussian and a calibration for valence; arousal keeps the mean over its window."""
    run = run_of(tmp_path, trials, postprocess={'valence': GAPS}, windows={'valence': 2, 'arousal': 4})
    with pytest.raises(ConfigError, match=rf'is to be fitted on val first; .*python tools/test.py {run}'):
        VAInferencer(run, 'cpu')
    found = call(capfd, 'test', run)
    assert found.code == 0, found.err
    folder = run / 'predictions'
    report = report_of(folder)
    assert report['postprocess']['val']['arousal'] == ['MeanSmoothing(window=4)']
    gaps, gaussian, calibration = report['postprocess']['val']['valence']
    assert (gaps, gaussian) == ('GapInterpolation(limit=3)', 'GaussianSmoothing(sigma=1.5)')
    assert calibration.startswith('AffineCalibration(slope=')
    assert (
        f'valence, smoothed: {", ".join(report["postprocess"]["val"]["valence"])}' in found.out.splitlines()
    )
    # val, by hand: bridged, smoothed, given mean and spread of the labels, clipped
    raw, labels = read_predictions(folder, 'val', 'valence', raw=True)
    assert labels is not None
    fixed = Pipeline.build(GAPS[:2])
    before = {v: fixed.unclipped(x, seen(len(x))) for v, x in raw.items()}
    x, y = np.concatenate(list(before.values())), np.concatenate([labels[v] for v in raw])
    smoothed = read_predictions(folder, 'val', 'valence', smoothed=True).preds
    # predictions that do not rise with the labels are only shifted
    slope = y.std() / x.std() if np.corrcoef(x, y)[0, 1] > 0 else 1.0
    for video, values in before.items():
        expected = np.clip((values - x.mean()) * slope + y.mean(), -1, 1)
        np.testing.assert_allclose(smoothed[video], expected, rtol=0, atol=1e-6)
    # the calibration is fitted on val, so the table has a number that is not
    assert list(scores(report, 'valence')) == ['raw', 'clipped', 'smoothed', 'cross-validated']
    assert list(scores(report, 'arousal')) == ['raw', 'clipped', 'smoothed']
    assert 'tuned on these videos' in found.out
    lines = (folder / 'val_pred_valence_result.txt').read_text().splitlines()
    assert lines[2].startswith('smoothed_ccc:\t')
    assert lines[3] == f'post-processing:\t{", ".join(report["postprocess"]["val"]["valence"])}'
    assert (folder / 'val_pred_arousal_result.txt').read_text().splitlines()[3] == 'setting window:\t4'
    faces = read_faces(folder, {v: len(pred) for v, pred in raw.items()})
    assert faces is not None
    assert {v: m.tolist() for v, m in faces.items()} == {v: seen(len(x)).tolist() for v, x in raw.items()}
    assert_inferred_alike(run)


def test_search(trials: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = run_of(tmp_path, trials)
    folder = run / 'predictions'
    assert call(capfd, 'test', run).code == 0
    assert VAInferencer(run, 'cpu').postprocess['valence'].window == 50
    names = ['GapInterpolation', 'MeanSmoothing', 'MedianSmoothing', 'AffineCalibration']
    found = call(capfd, 'test', run, '--search', *names)
    assert found.code == 0, found.err
    report = report_of(folder)
    for target in ('valence', 'arousal'):
        raw, labels = read_predictions(folder, 'val', target, raw=True)
        assert labels is not None
        y = np.concatenate([labels[v] for v in raw])
        best = -1.0
        for pipeline in candidates(names):
            fitted = pipeline.fit(raw, labels, {v: seen(len(x)) for v, x in raw.items()})
            done = [fitted.unclipped(x, seen(len(x))) for x in raw.values()]
            if (score := ccc(y, np.concatenate(done))) > best:
                best, texts = score, fitted.texts()
        assert report['postprocess']['val'][target] == texts
        assert list(scores(report, target)) == ['raw', 'clipped', 'smoothed', 'cross-validated']
    assert_inferred_alike(run)  # the test partition and any other video get what was chosen
    # the line that keeps the choice in a config does: the same files, from a config that names it
    (line,) = [line for line in found.out.splitlines() if line.startswith('postprocess = ')]
    kept = tmp_path / 'kept'
    shutil.copytree(run, kept, ignore=shutil.ignore_patterns('predictions'))
    with (kept / 'config.py').open('a') as file:
        file.write(line + '\n')
    assert ast.literal_eval(line.partition(' = ')[2]).keys() == {'valence', 'arousal'}
    assert call(capfd, 'test', kept).code == 0
    for path in folder.glob('*_pred_*.json'):
        assert (kept / 'predictions' / path.name).read_bytes() == path.read_bytes()
    assert 'cross-validated' not in (kept / 'predictions/report.json').read_text()  # nothing is tuned here
    # and a test without a search is one without what it found
    assert call(capfd, 'test', run).code == 0
    assert VAInferencer(run, 'cpu').postprocess['valence'].window == 50


def test_search_without_names_is_that_of_the_reference(
    trials: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A mean; val is tested, too, where only the test partition is asked for; not for infer if elsewhere."""
    run = run_of(tmp_path, trials)
    out = tmp_path / 'out'
    found = call(capfd, 'test', run, '--out', out, '--partition', 'test', '--search')
    assert found.code == 0, found.err
    assert 'tools/infer.py' not in found.out
    assert 'note: val was tested, too' in found.out
    raw, labels = read_predictions_of_val(run, tmp_path, capfd)
    y = np.concatenate([labels[v] for v in raw])
    by_window = {
        w: ccc(y, np.concatenate([Pipeline.of(w).unclipped(x) for x in raw.values()]))
        for w in range(0, 100, 5)
    }
    best = max(by_window, key=by_window.__getitem__)
    steps = report_of(out)['postprocess']
    assert steps['val'] == steps['test']
    assert steps['val']['valence'] == [f'MeanSmoothing(window={best})']
    tuned = read_predictions(out, 'val', 'valence', smoothed=True)
    assert ccc(y, np.concatenate([tuned.preds[v] for v in raw])) == pytest.approx(by_window[best], abs=1e-3)
    assert VAInferencer(run, 'cpu').postprocess['valence'].window == 50


def test_the_test_partition_later_gets_what_was_tuned_on_val(
    trials: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ('run', 'other'):
        (tmp_path / name).mkdir()
    run, other = (run_of(tmp_path / name, trials) for name in ('run', 'other'))
    names = ['--search', 'MeanSmoothing', 'AffineCalibration']
    assert call(capfd, 'test', other, *names).code == 0
    assert call(capfd, 'test', run, '--partition', 'val', *names).code == 0
    before = report_of(run / 'predictions')
    assert call(capfd, 'test', run, '--partition', 'test').code == 0
    after = report_of(run / 'predictions')
    assert after['rows'] == before['rows']
    assert after['postprocess'] == report_of(other / 'predictions')['postprocess']
    for path in (other / 'predictions').glob('*_pred_*.json'):
        assert (run / 'predictions' / path.name).read_bytes() == path.read_bytes()
    # not where the command says something else, which is told and keeps what val was tested with
    found = call(capfd, 'test', run, '--partition', 'test', '--window', 'valence=3')
    steps = report_of(run / 'predictions')['postprocess']
    assert steps['test']['valence'] == ['MeanSmoothing(window=3)']
    assert steps['val'] == before['postprocess']['val']
    assert f'note: valence: what {run}/predictions has of val was smoothed by MeanSmoothing' in found.out
    assert call(capfd, 'test', run, '--partition', 'test').code == 0
    assert report_of(run / 'predictions') == after
    # nor for other weights of the same name
    path = next(run.glob('best_ccc_valence_*.pth'))
    stored = torch.load(path, weights_only=True)
    torch.save({**stored, 'meta': {**stored['meta'], 'epoch': 99}}, path)
    found = call(capfd, 'test', run, '--partition', 'test')
    assert f'note: valence: what {run}/predictions has of val was predicted by other weights' in found.out
    assert 'note: arousal' not in found.out
    # a damaged report is not written over
    (run / 'predictions/report.json').write_text('{')
    found = call(capfd, 'test', run, '--partition', 'test')
    assert found.code == 2
    assert 'report.json is damaged: no JSON' in found.err
    assert 'so what other partitions reached cannot be kept' in found.err
    assert call(capfd, 'test', other, '--target', 'valence').code == 0
    assert set(report_of(other / 'predictions')['postprocess']['val']) == {'valence', 'arousal'}
    assert {r['target'] for r in report_of(other / 'predictions')['rows']['val']} == {'valence', 'arousal'}


def read_predictions_of_val(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Any:
    assert call(capfd, 'test', run, '--out', tmp_path / 'val', '--partition', 'val').code == 0
    return read_predictions(tmp_path / 'val', 'val', 'valence', raw=True)


def test_one_labelled_video(trials: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    store = shutil.copytree(trials, tmp_path / 'store')
    for video in 'cd':
        path = store / video / 'VA_continuous_label.npy'
        np.save(path, np.full_like(np.load(path), -5))
    run = run_of(tmp_path, store)
    found = call(capfd, 'test', run, '--search', '--partition', 'val')
    assert found.code == 0, found.err
    assert 'valence, smoothed: tuned on the one labelled video, so no estimate for others' in found.out
    assert list(scores(report_of(run / 'predictions'), 'valence')) == ['raw', 'clipped', 'smoothed']


def test_what_was_chosen_belongs_to_a_checkpoint(
    trials: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = run_of(tmp_path, trials)
    assert call(capfd, 'test', run, '--search', 'AffineCalibration').code == 0
    assert str(VAInferencer(run, 'cpu').postprocess['arousal']).startswith('AffineCalibration(slope=')
    (run / 'best_ccc_arousal_epoch_1.pth').rename(run / 'best_ccc_arousal_epoch_9.pth')
    found = VAInferencer(run, 'cpu').postprocess
    assert str(found['arousal']) == 'MeanSmoothing(window=20)'
    assert str(found['valence']).startswith('AffineCalibration(slope=')
    path = run / 'predictions/postprocess_valence.json'
    for text in ('{', '[]', json.dumps({**json.loads(path.read_text()), 'postprocess': [{'type': 'x'}]})):
        path.write_text(text)
        with pytest.raises(DataError, match=r'postprocess_valence\.json is damaged'):
            VAInferencer(run, 'cpu')


@pytest.mark.parametrize(
    ('overrides', 'options', 'message'),
    [
        ({}, ['--search', 'MeanSmothing'], "no postprocessor is called so: did you mean 'MeanSmoothing'?"),
        ({}, ['--search', '--window', 'valence=3'], 'give only one'),
        ({'postprocess': []}, ['--window', 'valence=3'], 'the config smooths otherwise, by postprocess'),
        ({}, ['--cfg-options', 'postprocess.mood=1'], 'postprocess.mood: the run has no such target'),
        (
            {'postprocess': [{'type': 'MeanSmoothing', 'window': -1}]},
            [],
            'postprocess[0]: MeanSmoothing(window=-1): it must be a whole number',
        ),
    ],
)
def test_refused(
    trials: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    overrides: dict[str, Any],
    options: list[str],
    message: str,
) -> None:
    run = run_of(tmp_path, trials, **overrides)
    found = call(capfd, 'test', run, *options)
    assert found.code == 2, found
    assert message in found.err
    assert 'Traceback' not in found.err
    assert not (run / 'predictions').exists()


def test_a_value_that_cannot_be_is_told_before_training(
    trials: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / 'config.py'
    step = "dict(type='SavitzkyGolaySmoothing', window=1, order=3)"
    wide = "dict(type='GaussianSmoothing', sigma=1e308)"
    split = "split = dict(_delete_=True, type='OfficialSplit')"
    steps = f'postprocess = dict(arousal=[{step}], valence=[{wide}])'
    config.write_text(f'_base_ = {str(CONFIG)!r}\n{split}\n{steps}\n')
    found = call(capfd, 'train', config, '--check-only', '--data-root', trials)
    assert found.code == 2
    title, *lines = found.err.splitlines()
    assert '2 problems' in title
    assert lines[0].startswith('  postprocess.valence[0]: GaussianSmoothing(sigma=1e+308): it must be')
    assert lines[1].startswith(
        '  postprocess.arousal[0]: SavitzkyGolaySmoothing(window=1, order=3): 3 frames'
    )


def test_faces_are_known_where_a_feature_of_faces_has_a_mask(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without one: no file of faces, and no way to bridge gaps."""
    run = shutil.copytree(trained, tmp_path / 'run')
    root = Path(load_config(run / 'config.py').data_root)
    assert call(capfd, 'test', run).code == 0
    faces = json.loads((run / 'predictions/val_faces.json').read_text())
    with h5py.File(root / 'features/val_affectnet.h5') as file:
        observed = {name: group['valid'][()] != 0 for name, group in file.items()}
    assert list(faces) == list(observed)
    for video, found in observed.items():
        without = sum(stop - start for start, stop in faces[video]['without'])
        assert (faces[video]['frames'], without) == (len(found), (~found).sum())

    root = shutil.copytree(root, tmp_path / 'unmasked')
    for path in root.glob('features/*_affectnet.h5'):
        with h5py.File(path, 'r+') as file:
            for group in file.values():
                del group['valid']
    found = call(capfd, 'test', run, '--data-root', root, '--search', 'GapInterpolation')
    assert found.code == 2
    assert 'GapInterpolation needs the frames without a face, which are unknown' in found.err
    found = call(capfd, 'test', run, '--data-root', root)
    assert found.code == 0, found.err
    assert not (run / 'predictions/val_faces.json').exists()


def test_no_val_to_tune_on(trials: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = run_of(tmp_path, trials)
    store = write_vectors(tmp_path / 'other', {'new': ('test', 5)})
    options = ['--data-root', store, '--partition', 'test', '--out', tmp_path / 'out']
    assert call(capfd, 'test', run, *options).code == 0
    found = call(capfd, 'test', run, *options, '--search')
    assert found.code == 2
    assert 'no partition val; it has test' in found.err
