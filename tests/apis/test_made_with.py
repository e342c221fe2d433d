"""What predictions were made with: written beside them, and compared with the run by who reads them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import call

from abawfw.apis.test import test as run_test
from abawfw.config.loading import load_config
from abawfw.results.run import Run
from abawfw.submission.ensemble import Ensemble

TARGETS = ('valence', 'arousal')


def best_of(run: Path, target: str) -> Path:
    return run / json.loads((run / 'summary.json').read_text())['best'][f'ccc_{target}']['file']


@pytest.fixture(scope='module')
def tested(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, tested with the best checkpoint of each target."""
    run = shutil.copytree(trained, tmp_path_factory.mktemp('tested') / 'run')
    run_test(load_config(run / 'config.py'), {t: best_of(run, t) for t in TARGETS}, run / 'predictions')
    return run


@pytest.fixture
def run(tested: Path, tmp_path: Path) -> Path:
    """A copy, to be spoilt."""
    return shutil.copytree(tested, tmp_path / 'run')


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


def test_a_checkpoint_on_its_own_leaves_the_predictions_of_its_run_alone(
    run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The habit of MMEngine's users."""
    before, checkpoint = files_of(run / 'predictions'), best_of(run, 'valence')
    found = call(capfd, 'test', run / 'config.py', checkpoint, '--window', 'valence=3')
    assert found.code == 0, found.err
    own = run / f'predictions_{checkpoint.stem}'
    assert f' files written to {own}\n' in found.out
    assert files_of(run / 'predictions') == before
    assert {name for name in before if name != 'val_faces.json'} <= set(files_of(own))
    made_with = json.loads((own / 'report.json').read_text())['made_with']
    assert made_with['val']['arousal']['checkpoint'] == f'../{checkpoint.name}'
    assert Run(own).doubts == []
    # what the run is inferred with is still what it was tested with itself
    kept = json.loads((run / 'predictions/postprocess_valence.json').read_text())
    assert kept['postprocess'] == [{'type': 'MeanSmoothing', 'window': 50}]


def test_the_record(tested: Path) -> None:
    made_with = json.loads((tested / 'predictions/report.json').read_text())['made_with']
    assert list(made_with) == ['val', 'test']
    text = load_config(tested / 'config.py').pretty_text
    for target in TARGETS:
        checkpoint = best_of(tested, target)
        assert made_with['val'][target] == {
            'checkpoint': f'../{checkpoint.name}',
            'digest': hashlib.blake2b(checkpoint.read_bytes()).hexdigest(),
            'config': 'config.py',
            'config_sha256': hashlib.sha256(text.encode()).hexdigest(),
        }
    assert made_with['test'] == made_with['val']
    assert Run(tested).doubts == []


def test_partitions_and_targets_that_are_tested_again_alone(
    run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = run / 'epoch_1.pth'
    found = call(
        *(capfd, 'test', run / 'config.py', other, '--out', run / 'predictions'),
        *('--partition', 'test', '--target', 'arousal'),
    )
    assert found.code == 0, found.err
    made_with = json.loads((run / 'predictions/report.json').read_text())['made_with']
    assert made_with['test']['arousal']['checkpoint'] == '../epoch_1.pth'
    for partition, target in (('val', 'arousal'), ('val', 'valence'), ('test', 'valence')):
        assert made_with[partition][target]['checkpoint'] == f'../{best_of(run, target).name}'
    assert Run(run).doubts == []  # which reads val


def trained_on(run: Path) -> str:
    """A later epoch is better at valence."""
    old, new = best_of(run, 'valence'), run / 'best_ccc_valence_epoch_9.pth'
    old.rename(new)
    summary = json.loads((run / 'summary.json').read_text())
    summary['best']['ccc_valence'] = {'score': 0.9, 'epoch': 9, 'file': new.name}
    (run / 'summary.json').write_text(json.dumps(summary))
    return f"the checkpoint that predicted valence of val is {old.name}, not {new.name}, the run's best"


def trained_anew(run: Path) -> str:
    """The same epoch is the best one again, of other weights."""
    checkpoint = best_of(run, 'valence')
    shutil.copy(run / 'epoch_1.pth', checkpoint)
    return (
        f'the checkpoint that predicted valence of val is another {checkpoint.name} than the one that is '
        'there now'
    )


def removed(run: Path) -> str:
    checkpoint = best_of(run, 'valence')
    checkpoint.unlink()
    return f'the checkpoint that predicted valence of val is {checkpoint.name}, which is not there any more'


def older(run: Path) -> str:
    """Of a version that did not write it down."""
    report = json.loads((run / 'predictions/report.json').read_text())
    del report['made_with']
    (run / 'predictions/report.json').write_text(json.dumps(report))
    return 'the checkpoint that predicted valence of val, arousal of val is unknown'


@pytest.mark.parametrize('change', [trained_on, trained_anew, removed, older])
def test_everybody_who_reads_predictions_says_what_did_not_make_them(
    tested: Path, run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], change: Callable[[Path], str]
) -> None:
    said = change(run)
    (doubt,) = Run(run).doubts
    assert doubt.startswith(said)
    assert doubt.endswith('; test the run again')
    compared = call(capfd, 'compare', tested, run)
    assert f'note: {run}: {doubt}' in compared.out
    assert sum(str(run) in line for line in compared.out.splitlines() if line.startswith('note: ')) == 1
    found = call(capfd, 'report', run)
    assert found.code == 0, found.err
    page = (run / 'report.html').read_text()
    assert f'<p class=warning>{said[0].upper()}{said[1:]}'.replace("'", '&#x27;') in page

    assert f'note: {doubt}\n' in call(capfd, 'plot_curves', run).out

    found_by_ensemble = Ensemble([tested, run], ['valence'], smoothed=True).targets['valence'].doubts
    assert len(found_by_ensemble) == 1
    assert found_by_ensemble[0].startswith(f'{run}: {said.partition(" of val")[0]} of val')


def test_a_table_of_runs_does_not_join_scores_of_two_checkpoints(run: Path) -> None:
    found = Run(run).scores(TARGETS)
    assert found is not None
    best = json.loads((run / 'summary.json').read_text())['best']
    assert found['ccc_valence'] == best['ccc_valence']['score']
    trained_on(run)
    assert Run(run).scores(TARGETS) is None
    older(run)  # then nothing speaks against it
    assert Run(run).scores(TARGETS) is not None


@pytest.mark.parametrize(
    'strange',
    [
        None,
        [],
        'x',
        {'val': None},
        {'val': {'valence': 3}},
        {'val': {'valence': {'checkpoint': 1, 'digest': 2}}},
    ],
)
def test_a_record_that_is_none_counts_as_unknown(run: Path, strange: Any) -> None:
    path = run / 'predictions/report.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | {'made_with': strange}))
    (doubt,) = Run(run).doubts
    assert 'predicted valence of val, arousal of val is unknown' in doubt


def test_prediction_files_alone_have_nothing_to_be_compared_with(run: Path, tmp_path: Path) -> None:
    alone = tmp_path / 'alone'
    shutil.copytree(run / 'predictions', alone)
    (alone / 'report.json').unlink()
    assert Run(alone).doubts == []
