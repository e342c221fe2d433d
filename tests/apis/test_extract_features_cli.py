"""From a folder of videos to a store, with whatever such folders hold."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import ROOT, call, call_apart
from extraction.made_videos import constant_rate, plain, write_video
from forked_python import forked_workers, python

from abawfw.apis.extract_features import extract_features
from abawfw.config.overrides import parse_options
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.npy_file import NpyWriter
from abawfw.errors import ConfigError, DataError
from abawfw.extraction.pipeline.plan import ExtractionPlan
from abawfw.extraction.video.source_videos import SourceVideo


@pytest.fixture(autouse=True)
def workers() -> Iterator[None]:
    with forked_workers():
        yield


SOUND = ['--features', 'logmel', 'mfcc']


def made(path: Path, count: int = 20, sound: bool = True, **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, 2000 * count).astype(np.float32)
    return write_video(path, plain(count), constant_rate(count, 24), samples if sound else None, **more)


def annotate(root: Path, **rows: dict[str, int]) -> Path:
    """Annotations of some rows; the second row has no label."""
    for folder, videos in rows.items():
        (root / folder).mkdir(parents=True)
        for video, count in videos.items():
            lines = [f'{i / 100:.3f},{-i / 100:.3f}' for i in range(count)]
            lines[1] = '-5,-5'
            (root / folder / f'{video}.txt').write_text('\n'.join(['valence,arousal', *lines]))
    return root


def test_partitions_labels_and_options(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    videos, store = tmp_path / 'videos', tmp_path / 'store'
    for name in 'abc':
        made(videos / f'{name}.mp4')
    labels = annotate(tmp_path / 'labels', Train_Set={'a': 21, 'x': 3}, Validation_Set={'b': 19})
    half = labels / 'Validation_Set/b.txt'
    half.write_text(half.read_text().replace('0.050,-0.050', '0.050,-5'))
    options = ['--annotations', labels, '--jobs', 2]
    found = call(capfd, 'extract_features', videos, store, *SOUND, *options)
    assert found.code == 0, found.err
    assert found.err == ''
    lines = found.out.splitlines()
    assert lines[0] == f'{labels}: no video for 1 annotations: x'
    assert lines[1] == '3 videos to extract'
    assert sorted(line for line in lines[2:-1] if not line.startswith(' ')) == [
        f'{name}: {partition}, 20 frames, 0.79 s'
        for name, partition in zip('abc', ('train', 'val', 'test'), strict=True)
    ]
    assert '  annotation of a: 21 rows for 20 frames: the last 1 omitted' in lines
    assert '  annotation of b: 19 rows for 20 frames: no label for the last 1 frame' in lines
    assert f'  {half}: 1 frame with only one of valence and arousal used for neither, first 5' in lines
    assert found.err == ''  # done before the first line about progress is due
    assert lines[-1] == f'{store}: 3 trials (train 1, val 1, test 1), 60 frames'
    opened = open_store(store)
    read = opened.labels('a', 0, 20)
    assert np.isnan(read[1]).all()
    np.testing.assert_allclose(read[2:, 0], np.arange(2, 20) / 100, atol=1e-6)
    assert np.isnan(opened.labels('b', 0, 20)[19]).all()
    assert opened.extraction.keys() == {'logmel', 'mfcc'}
    assert {n: (i.dims, i.dtype) for n, i in opened.features().items()} == {
        'logmel': ((96, 64), 'float16'),
        'mfcc': ((39,), 'float32'),
    }
    checked = call_apart('check_data', store)
    assert checked.code == 0, checked.out + checked.err

    # again, with everything done; then with something changed
    found = call(capfd, 'extract_features', videos, store, *SOUND, *options)
    assert (found.code, found.err.strip()) == (
        2,
        f'error: {store}: exists already; continue it (--resume), or choose another folder',
    )
    options.append('--resume')
    before = (store / 'a/mfcc.npy').stat().st_mtime_ns
    found = call(capfd, 'extract_features', videos, store, *SOUND, *options)
    assert found.code == 0, found.err
    assert found.out.splitlines()[-1].endswith('60 frames, 3 videos finished before')
    assert (store / 'a/mfcc.npy').stat().st_mtime_ns == before
    found = call(capfd, 'extract_features', videos, store, '--features', 'logmel', *options)
    assert found.code == 2
    assert 'mfcc: is in the store, and was not asked for' in found.err
    (labels / 'Train_Set/a.txt').write_text('valence,arousal\n' + '0.5,0.5\n' * 20)
    found = call(capfd, 'extract_features', videos, store, *SOUND, *options)
    assert found.code == 1
    assert '  a: has changed since it was extracted (annotation: another one now); remove ' in found.err
    assert f'remove {store}/a to extract it again' in found.err
    shutil.rmtree(store / 'a')
    found = call(capfd, 'extract_features', videos, store, *SOUND, *options)
    assert found.code == 0, found.err
    assert open_store(store).labels('a', 0, 1)[0, 0] == 0.5


def test_bad_videos_do_not_keep_the_others(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    videos, store = tmp_path / 'videos', tmp_path / 'store'
    good = made(videos / 'good.mp4')
    made(videos / 'silent.mp4', sound=False)
    made(videos / 'one.mp4', 1)
    made(videos / 'turned.mp4', 3, rotation=90)
    (videos / 'empty.mp4').touch()
    (videos / 'text.mp4').write_text('dear diary, ' * 50)
    (videos / 'cut.mp4').write_bytes(good.read_bytes()[:2000])
    write_video(videos / 'sound.mp4', [], [], np.zeros(9000, np.float32))
    (videos / 'notes.txt').touch()
    found = call(capfd, 'extract_features', videos, store, '--features', 'face48', 'logmel', '--jobs', 2)
    assert found.code == 1
    title, *failed = found.err.splitlines()
    assert title == '4 videos failed:'
    assert [line.split(':')[0].strip() for line in failed] == ['cut', 'empty', 'sound', 'text']
    assert f'{videos}/empty.mp4: empty file' in failed[1]
    assert 'has no video stream' in failed[2]
    assert found.out.splitlines()[0] == (
        f'{videos}: omitted, since they are no videos by their ending: notes.txt'
    )
    assert found.out.splitlines()[1] == '8 videos to extract'
    assert {f'{name}: failed, see the end' for name in ('cut', 'empty', 'sound', 'text')} <= {
        *found.out.splitlines()
    }
    assert '  no audio' in found.out.splitlines()
    assert 'good: test, 20 frames, 0.79 s, a face in 0' in found.out.splitlines()
    opened = open_store(store)
    assert [v.video_id for v in opened.videos()] == ['good', 'one', 'silent', 'turned']
    assert not opened.observed('silent', 'logmel', 0, 20).any()
    assert opened.extraction['faces']['detector'] == 'mtcnn'
    assert sorted(p.name for p in store.iterdir()) == [
        *('extraction.json', 'good', 'one', 'silent', 'trials.json', 'turned')
    ]
    table = call_apart('check_data', store)
    assert 'no face in 20 of 20 frames' in table.out
    for name in ('empty', 'text', 'cut', 'sound'):
        (videos / f'{name}.mp4').unlink()
    options = ['--resume', '--cfg-options', 'faces.min_face=30']
    found = call(capfd, 'extract_features', videos, store, '--features', 'face48', 'logmel', *options)
    assert found.code == 2
    assert 'faces: min_face is 40 in the store, 30 now' in found.err
    found = call(capfd, 'extract_features', videos, store, '--features', 'face48', 'logmel', '--resume')
    assert found.code == 0, found.err


def test_names_are_looked_at_before_the_work(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    videos, store = tmp_path / 'videos', tmp_path / 'store'
    made(videos / '12:30:45.mp4', 4)
    made(videos / 'caf\N{LATIN SMALL LETTER E WITH ACUTE}.mp4', 4)
    for name in ('twice.mp4', 'twice.mkv', f'{"long" * 62}est.mp4'):
        (videos / name).touch()
    found = call(capfd, 'extract_features', videos, store, *SOUND, '--jobs', 2)
    assert found.code == 1
    title, *failed = found.err.splitlines()
    assert title == '2 videos failed:'
    assert failed[0].endswith('rename it, 2 bytes shorter')
    assert 'two videos of the name' in failed[1]
    assert [v.video_id for v in open_store(store).videos()] == [
        '12:30:45',
        'caf\N{LATIN SMALL LETTER E WITH ACUTE}',
    ]


@pytest.mark.parametrize(
    ('words', 'told'),
    [
        (['--features', 'logmle'], "feature 'logmle' cannot be extracted; did you mean 'logmel'?"),
        (['--features', 'logmel', 'logmel'], 'feature logmel: given twice'),
        ([*SOUND, '--cfg-options', 'mfcc.stpe=3'], "feature 'mfcc' has no option 'stpe'"),
        (
            [*SOUND, '--cfg-options', 'egemaps.mode=window'],
            "options of 'egemaps': there are: faces, logmel, mfcc",
        ),
        ([*SOUND, '--cfg-options', 'mfcc=3'], '--cfg-options mfcc=...: give FEATURE.OPTION=VALUE'),
        ([*SOUND, '--cfg-options', 'mfcc'], '--cfg-options mfcc: give KEY=VALUE'),
        ([*SOUND, '--jobs', '0'], 'jobs=0: 1 or more'),
        ([*SOUND, '--persons', '3'], 'persons=3: no effect, since no feature looks at faces'),
        (['--features', 'face48', '--persons', '0'], '--persons: must be largest, all, or a whole number'),
        (['--features', 'face48', '--crops', 'gone'], 'gone: no such folder of crops'),
        (
            ['--features', 'face48', '--crops', '.', '--cfg-options', 'faces.min_face=9'],
            'crops are used instead',
        ),
        (['--features', 'face48', '--cfg-options', 'faces.min_fase=9'], "did you mean 'min_face'?"),
        (['--features', 'face48', '--cfg-options', 'faces.type=MTCN'], "face detector 'MTCN'"),
        (['--features', 'logmel', 'face_embedding'], 'face_embedding: '),
        ([*SOUND, '--annotations', 'gone'], 'gone: no such folder'),
    ],
)
def test_what_is_wrong_is_told_before_the_first_video(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    (tmp_path / 'videos').mkdir()
    (tmp_path / 'videos/a.mp4').touch()
    found = call(capfd, 'extract_features', tmp_path / 'videos', tmp_path / 'store', *words)
    assert found.code == 2
    assert told in found.err
    assert found.out == ''
    assert not (tmp_path / 'store').exists()


def test_options() -> None:
    assert parse_options([]) == {}
    words = [
        'face_embedding.weights=a b.pth',
        'face_embedding.backbone.type=IResNet',
        'x.layers=[1, 2]',
        'x.y.z=3',
    ]
    assert parse_options(words) == {
        'face_embedding': {'weights': 'a b.pth', 'backbone': {'type': 'IResNet'}},
        'x': {'layers': [1, 2], 'y': {'z': 3}},
    }
    with pytest.raises(ConfigError, match=r'give FEATURE\.OPTION=VALUE'):
        parse_options(['.weights=3'])


def test_an_output_that_cannot_be_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made(tmp_path / 'videos/a.mp4')
    (tmp_path / 'file').touch()
    for place in ('/proc/abawfw/store', tmp_path / 'file/store', tmp_path / 'file'):
        found = call(capfd, 'extract_features', tmp_path / 'videos', place, *SOUND)
        assert found.code == 2
        assert found.err.startswith('error: ')
        assert len(found.err.splitlines()) == 1


def test_a_full_disk_leaves_the_store_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker does, in this process; that the others are not started is a matter of `work_through`."""
    made(tmp_path / 'videos/a.mp4')
    made(tmp_path / 'videos/b.mp4')
    store = tmp_path / 'store'
    extract_features(tmp_path / 'videos/a.mp4', store, ['logmel', 'mfcc'])
    before = {path: path.read_bytes() for path in store.rglob('*') if path.is_file()}
    write = NpyWriter.write

    def full(self: NpyWriter, rows: np.ndarray) -> None:
        if rows.shape[1:] == (39,):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, rows)

    monkeypatch.setattr(NpyWriter, 'write', full)
    plan = ExtractionPlan(store, ('logmel', 'mfcc'), {})
    with pytest.raises(OSError, match='No space left'):
        plan(SourceVideo('b', tmp_path / 'videos/b.mp4'), lambda _: None)
    assert {path: path.read_bytes() for path in store.rglob('*') if path.is_file()} == before
    monkeypatch.undo()
    done = extract_features(tmp_path / 'videos', store, ['logmel', 'mfcc'], resume=True)
    assert [t.info.video_id for t in done.trials] == ['a', 'b']
    assert (done.kept, done.failed) == (('a',), {})


def test_progress_and_reports(tmp_path: Path) -> None:
    made(tmp_path / 'videos/a.mp4')
    made(tmp_path / 'videos/b.mp4', 40)
    seen, told = [], []
    extract_features(
        tmp_path / 'videos',
        tmp_path / 'store',
        ['mfcc'],
        progress=lambda *step: seen.append(step),
        tell=told.append,
    )
    whats, steps, totals = zip(*seen, strict=True)
    assert set(whats) == {'extracting 2 videos, in kB'}
    assert list(steps) == sorted(steps)
    sizes = [max(round(path.stat().st_size / 1000), 1) for path in (tmp_path / 'videos').iterdir()]
    assert set(totals) == {steps[-1]} == {sum(sizes)}
    assert any(0.2 < step / sum(sizes) < 0.9 for step in steps)
    assert told[0] == '2 videos to extract'
    assert [report.video for report in told[1:]] == ['b', 'a']  # the longest first


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGINT])
def test_interrupted_and_continued(tmp_path: Path, number: int) -> None:
    videos, store = tmp_path / 'videos', tmp_path / 'store'
    made(videos / 'a.mp4', 60)
    for name in 'bcdef':
        shutil.copy(videos / 'a.mp4', videos / f'{name}.mp4')
    line = [python(), str(ROOT / 'tools/extract_features.py'), str(videos), str(store), *SOUND]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(3000):
        if (store / 'trials.json').exists() or process.poll() is not None:
            break
        time.sleep(0.01)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode in (-number, 130), error
    if number == signal.SIGINT:
        assert re.search(r'interrupted; kept: \d finished trials?, --resume goes on', error)
    finished = [trial['trial'] for trial in json.loads((store / 'trials.json').read_text())['trials']]
    assert 0 < len(finished) < 6
    assert [v.video_id for v in open_store(store).videos()] == finished
    found = call_apart('extract_features', videos, store, *SOUND, '--resume')
    assert found.code == 0, found.err
    opened = open_store(store)
    assert [v.video_id for v in opened.videos()] == list('abcdef')
    expected = opened.read('a', 'mfcc', 0, 60)
    for name in 'bcdef':
        np.testing.assert_array_equal(opened.read(name, 'mfcc', 0, 60), expected)


def test_progress_on_a_terminal(tmp_path: Path) -> None:
    made(tmp_path / 'videos/a.mp4')
    terminal, theirs = pty.openpty()
    line = [python(), str(ROOT / 'tools/extract_features.py'), 'videos', 'store', '--features', 'mfcc']
    done = subprocess.run(line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs, text=True, check=False)
    os.close(theirs)
    shown = os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    assert done.returncode == 0
    assert 'extracting 1 video, in kB' in shown
    assert '100%' in shown
    assert shown.count('\x1b[?25l') == shown.count('\x1b[?25h') > 0  # the cursor is hidden, and shown again
    assert shown.endswith('\x1b[2K')  # and the bar is gone
    assert done.stdout.splitlines()[:2] == ['1 video to extract', 'a: test, 20 frames, 0.79 s']


def test_a_limit_on_the_size_of_files_names_the_file(tmp_path: Path) -> None:
    videos, store = tmp_path / 'videos', tmp_path / 'store'
    made(videos / 'long.mp4')
    made(videos / 'short.mp4', 3)
    line = [python(), str(ROOT / 'tools/extract_features.py'), str(videos), str(store), *SOUND]
    limit = 100_000  # bytes; log-mel takes 12,288 per frame
    done = subprocess.run(
        line,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 1
    title, reason = done.stderr.splitlines()
    assert title == '1 video failed:'
    assert re.fullmatch(
        rf'  long: {store}/\.long\.\S+/logmel\.npy: File too large \(limited by ulimit -f\)', reason
    )
    assert [v.video_id for v in open_store(store).videos()] == ['short']
    assert call_apart('extract_features', videos, store, *SOUND, '--resume').code == 0
    assert [v.video_id for v in open_store(store).videos()] == ['long', 'short']


def test_a_store_of_an_older_version_goes_on_as_it_was_begun(tmp_path: Path) -> None:
    """Its settings name no rule for tracks, since every track counted."""
    videos, root = tmp_path / 'videos', tmp_path / 'store'
    made(videos / 'a.mp4', 3)
    extract_features(videos, root, ['face48'])
    settings = json.loads((root / 'extraction.json').read_text())
    assert {k: settings['faces'].pop(k) for k in ('confidence', 'shortest')} == {
        'confidence': 0.9,
        'shortest': 0.5,
    }
    (root / 'extraction.json').write_text(json.dumps(settings))
    with pytest.raises(DataError, match=r'faces: confidence is 0\.0 in the store, 0\.9 now'):
        extract_features(
            videos, root, ['face48'], resume=True, options={'faces': {'confidence': 0.9, 'shortest': 0.0}}
        )
    made(videos / 'b.mp4', 3)
    told: list[Any] = []
    done = extract_features(videos, root, ['face48'], resume=True, tell=told.append)
    assert [t.info.video_id for t in done.trials] == ['a', 'b']
    assert 'older version, which took any track for a face; goes on so' in told[0]
    assert told[0].endswith('(faces.confidence=0, faces.shortest=0)')
    assert json.loads((root / 'extraction.json').read_text()) == settings


def test_videos_that_have_gone_stay(tmp_path: Path) -> None:
    made(tmp_path / 'videos/a.mp4')
    extract_features(tmp_path / 'videos', tmp_path / 'store', ['mfcc'])
    shutil.move(tmp_path / 'videos/a.mp4', tmp_path / 'videos/b.mp4')
    told: list[Any] = []
    done = extract_features(tmp_path / 'videos', tmp_path / 'store', ['mfcc'], resume=True, tell=told.append)
    assert told[0] == f'{tmp_path}/store: keeps 1 video not in {tmp_path}/videos: a'
    assert [t.info.video_id for t in done.trials] == ['a', 'b']


def test_changed_video(tmp_path: Path) -> None:
    """It keeps the others from nothing, and is recognised by more than its size."""
    videos, root = tmp_path / 'videos', tmp_path / 'store'
    path = made(videos / 'a.mp4')
    labels: Path | None = annotate(tmp_path / 'labels', Train_Set={'a_left': 20}, Validation_Set={'b': 20})

    def again(resume: bool = True) -> dict[str, str]:
        return extract_features(videos, root, ['mfcc'], annotations=labels, resume=resume).failed

    assert again(resume=False) == {}
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    made(videos / 'b.mp4')
    (failed,) = again().items()
    assert failed[0] == 'a'
    way_out = f'remove {root}/a_left to extract it again'
    assert failed[1] == f'has changed since it was extracted (content: another one now); {way_out}'
    assert [v.video_id for v in open_store(root).videos()] == ['a_left', 'b']
    # what an older version did not record is not compared
    trial = json.loads((root / 'a_left/trial.json').read_text())
    del trial['sources']
    (root / 'a_left/trial.json').write_text(json.dumps(trial))
    assert again() == {}
    made(path, 30)
    assert '(file size: ' in again()['a']
    path.write_bytes(content)
    kept, labels = labels, None
    assert '(partition: train then, test now; give --annotations as then; annotation: ' in again()['a']
    labels = kept
    shutil.copy(kept / 'Train_Set/a_left.txt', kept / 'Train_Set/a_right.txt')
    assert '(persons: a_left then, a_left, a_right now)' in again()['a']
