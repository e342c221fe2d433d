"""What a worker loads, and what it is sent."""

from __future__ import annotations

import importlib
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from abawfw.apis.extract_for_run import extract_for_run, extractors_of_run
from abawfw.errors import ConfigError, DataError
from abawfw.extraction.extractors import build_extractor
from abawfw.extraction.packages import optional_package
from abawfw.extraction.pipeline.plan import ExtractionPlan

ROOT = Path(__file__).parents[2]


def test_no_torch_unless_a_network_needs_it() -> None:
    """It takes seconds and 200 MB in every worker."""
    code = (
        'import sys; from pathlib import Path; from abawfw.extraction.pipeline.plan import ExtractionPlan\n'
    )
    code += "plan = ExtractionPlan(Path('x'), ('face48', 'logmel', 'mfcc', 'egemaps', 'compare'), {})\n"
    code += "plan.check(); plan.settings(); plan.infos; print([m for m in ('torch',) if m in sys.modules])"
    line = [sys.executable, '-c', code]
    result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == '[]\n'


def test_networks_are_not_sent() -> None:
    plan = ExtractionPlan(Path('x'), ('face48', 'mfcc'), {'faces': {'min_face': 30}})
    plan.check()
    before = plan.settings()
    assert len(pickle.dumps(plan)) < 1000
    again = pickle.loads(pickle.dumps(plan))
    assert again == plan
    assert 'extractors' not in vars(again)
    assert again.settings() == before
    assert before['faces'] == {**plan.faces.settings(), 'persons': 1, 'hold': 0.5}
    assert before['faces']['min_face'] == 30


def test_all_that_is_missing_is_told_at_once() -> None:
    plan = ExtractionPlan(
        Path('x'), ('face_embedding', 'mfcc', 'vggish'), {'vggish': {'weights': 'gone.pth'}}
    )
    with pytest.raises(DataError) as error:
        plan.check()
    title, *lines = str(error.value).splitlines()
    assert 'nothing was started' in title
    assert [line.split(':')[0].strip() for line in lines if line.startswith('  ')] == [
        'face_embedding',
        'vggish',
    ]


def test_faces_only_where_they_are_needed(tmp_path: Path) -> None:
    assert ExtractionPlan(tmp_path, ('mfcc',), {}).faces is None
    assert 'faces' not in ExtractionPlan(tmp_path, ('mfcc',), {}).settings()
    crops = ExtractionPlan(tmp_path, ('face48',), {}, crops=tmp_path)
    assert crops.settings()['faces'] == {'detector': 'official crops'}
    with pytest.raises(ConfigError, match=f'persons=2: no effect, since the folders in {tmp_path} say whose'):
        ExtractionPlan(tmp_path, ('face48',), {}, crops=tmp_path, persons=2)
    with pytest.raises(ConfigError, match="persons=0: 'all', or how many persons"):
        ExtractionPlan(tmp_path, ('mfcc',), {}, persons=0)


def test_whose_the_audio_is(tmp_path: Path) -> None:
    rule = {'speech': {'type': 'MouthMoves', 'window': 0.5}}
    plan = ExtractionPlan(tmp_path, ('face48', 'mfcc'), rule, persons='all')
    plan.check()
    settings = plan.settings()
    assert settings['faces']['persons'] == 'all'
    assert settings['speech'] == {
        'rule': 'MouthMoves', 'vad': 'energy', 'threshold': 0.5, 'pause': 0.2, 'motion': 0.1, 'window': 0.5
    }  # fmt: skip
    assert any('speech is what is louder than the background' in note for note in plan.notes)
    assert pickle.loads(pickle.dumps(plan)).settings() == settings
    assert 'speech' not in ExtractionPlan(tmp_path, ('face48', 'mfcc'), {}).settings()
    for features, options, more, told in (
        (('face48',), rule, {}, 'no feature is made of audio'),
        (('mfcc',), rule, {}, 'no faces are looked for'),
        (('face48', 'mfcc'), rule, {'crops': tmp_path}, 'no faces are looked for'),
        (('face48', 'mfcc'), {'speech': {'type': 'MouthMove'}}, {}, "did you mean 'MouthMoves'"),
        (('face48', 'mfcc'), {'speech': {'windw': 1}}, {}, "no option 'windw'; did you mean 'window'"),
        (('face48', 'mfcc'), {'speech': {'window': -1}}, {}, "'MouthMoves': window=-1: must be 0 or more"),
    ):
        with pytest.raises(ConfigError) as error:
            ExtractionPlan(tmp_path, features, options, **more).settings()
        assert told in str(error.value)


@pytest.mark.parametrize(
    ('options', 'more', 'told'),
    [
        ({'faces': {'min_face': 30}}, {}, 'faces.min_face'),
        ({}, {'persons': 2}, 'persons=2'),
        ({}, {'crops': Path('crops')}, 'crops crops'),
    ],
)
def test_options_for_faces_that_nobody_looks_at(
    options: dict[str, dict[str, Any]], more: dict[str, Any], told: str
) -> None:
    plan = ExtractionPlan(Path('x'), ('mfcc',), options, **more)
    with pytest.raises(ConfigError, match=rf'^{told}: no effect, since no feature looks at faces \(mfcc\)'):
        plan.check()


@pytest.mark.parametrize(
    'error',
    [
        MemoryError(),
        ImportError('/x/opensmile.so: failed to map segment from shared object'),
        RuntimeError('std::bad_alloc'),
    ],
)
def test_no_memory_for_a_package_is_no_missing_package(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(name: str) -> None:
        raise error

    monkeypatch.setattr(importlib, 'import_module', fail)
    with pytest.raises(DataError, match='mfcc needs opensmile, and there is not enough memory to load it'):
        optional_package('opensmile', 'features', 'mfcc')


@pytest.mark.parametrize(
    ('options', 'told'),
    [
        ({'sound_onnx': {'normalize': 'no'}}, "feature 'sound_onnx': normalize='no': must be True or False"),
        ({'face_embedding': {'weights': 5}}, "feature 'face_embedding': weights=5: must be a text"),
        (
            {'face_embedding': {'backbone': 5}},
            "feature 'face_embedding': backbone=5: must be a text or",
        ),
        ({'face_embedding': {'size': 'abc'}}, "'face_embedding': size='abc': must be a whole number"),
        ({'egemaps': {'mode': 5}}, "feature 'egemaps': mode 5; there are: stream, window"),
        ({'egemaps': {'mode': 'windows'}}, "feature 'egemaps': mode 'windows'; did you mean 'window'?"),
        ({'wav2vec2': {'model': 5}}, "feature 'wav2vec2': model=5: must be a text"),
        ({'face48': {}, 'faces': {'min_face': 'abc'}}, "'MTCNNDetector': min_face='abc': must be a whole"),
        ({'face48': {}, 'faces': {'confidence': 'abc'}}, "confidence='abc': must be a number"),
        ({'face48': {}, 'faces': {'type': 5}}, 'face detector 5; '),
        ({'face48': {}, 'mfcc': {}, 'speech': {'pause': 'abc'}}, "pause='abc': must be a number"),
    ],
)
def test_options_are_held_against_what_takes_them(options: dict[str, Any], told: str, tmp_path: Path) -> None:
    features = tuple(name for name in options if name not in ('faces', 'speech'))
    plan = ExtractionPlan(tmp_path, features, options)
    with pytest.raises(ConfigError) as error:
        _ = plan.extractors, plan.faces, plan.speech
    assert told in str(error.value)


def test_a_file_may_be_given_as_a_path(tmp_path: Path) -> None:
    build_extractor('face_embedding', weights=tmp_path / 'weights.pth', size=40)


def test_settings_of_a_checkpoint_that_no_extractor_takes(tmp_path: Path) -> None:
    """They are untrusted: a run that cannot be used says so, and why."""
    for trained, told in (
        ({'egemaps': {'mode': 5}}, "egemaps: feature 'egemaps': mode 5; "),
        (
            {'face_embedding': {'backbone': 5}},
            "feature 'face_embedding': backbone=5: must be a text or",
        ),
        ({'face_embedding': {'backbone': {}}}, "feature 'face_embedding': no backbone "),
    ):
        with pytest.raises(DataError, match=re.escape(told)):
            extractors_of_run(tmp_path, list(trained), [], trained)
    extractors = {'face48': build_extractor('face48')}
    with pytest.raises(DataError, match=r"faces, as found for training: .* min_face='abc': must be a whole"):
        extract_for_run(tmp_path / 'v.mp4', extractors, tmp_path, {'min_face': 'abc'})
