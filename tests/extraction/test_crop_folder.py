"""Official crops: numbers are frames, what is missing is not observed."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from abawfw.errors import DataError
from abawfw.extraction.faces.trial_faces import CropFolder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Crops of frames 2, 3 and 6 of a video; each is red, and as bright as its number."""
    for number in (2, 3, 6):
        write(tmp_path / 'crops' / 'v' / f'{number:05}.jpg', grey(number))
    (tmp_path / 'crops' / 'v' / '.DS_Store').touch()
    (tmp_path / 'crops' / 'empty_left').mkdir()
    return tmp_path / 'crops'


def grey(number: int, side: int = 112) -> np.ndarray:
    rgb = np.zeros((side, side, 3), np.uint8)
    rgb[..., 0] = 40 * number
    return rgb


def write(path: Path, rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rgb[..., ::-1])


def test_frames_are_numbered_from_one(root: Path) -> None:
    times = np.arange(8) / 30
    track = CropFolder(root).track('v', times)
    assert track.found.tolist() == [False, True, True, False, False, True, False, False]
    assert track.observed.tolist() == track.found.tolist()
    assert track.scores.tolist() == track.found.astype(float).tolist()
    assert np.isnan(track.boxes).all()
    np.testing.assert_array_equal(track.times, times)


def test_crops_come_with_their_frames(root: Path) -> None:
    for size in (112, 48, 130):
        seen = dict(CropFolder(root).crops('v', 8, size))
        assert list(seen) == list(range(8))
        for index, rgb in seen.items():
            assert rgb.shape == (size, size, 3)
            level = 40 * (index + 1) if index + 1 in (2, 3, 6) else 0
            np.testing.assert_allclose(rgb.reshape(-1, 3), [[level, 0, 0]] * size**2, atol=3)


def test_a_video_without_any_crop(root: Path) -> None:
    assert not CropFolder(root).track('empty_left', np.arange(5.0)).observed.any()
    assert not any(rgb.any() for _, rgb in CropFolder(root).crops('empty_left', 5))


def test_crops_just_beyond_the_end_are_left_out_and_told(root: Path) -> None:
    folder = CropFolder(root)
    assert folder.track('v', np.arange(5.0)).found.tolist() == [False, True, True, False, False]
    assert len(list(folder.crops('v', 5))) == 5
    assert folder.notes == ['v: the video has 5 frames, omitted: 00006.jpg']
    with pytest.raises(DataError, match=r'00006\.jpg: the video has 3 frames: crops of another video'):
        folder.track('v', np.arange(3.0))


def test_a_large_crop_is_shrunk_by_areas(root: Path) -> None:
    chequer = np.repeat((np.indices((112, 112)).sum(0) % 2 * 255).astype(np.uint8)[..., None], 3, 2)
    write(root / 'w' / '00001.png', chequer)
    ((_, rgb),) = CropFolder(root).crops('w', 1, 56)
    assert np.unique(rgb).tolist() in ([127], [128])


def test_what_is_no_crop(root: Path) -> None:
    with pytest.raises(DataError, match='nowhere: no such folder'):
        CropFolder(root / 'nowhere')
    folder = CropFolder(root)
    with pytest.raises(DataError, match=r"no crops of the video 'empty_lef': did you mean 'empty_left'"):
        folder.track('empty_lef', np.arange(5.0))
    write(root / 'wide' / '00001.jpg', np.zeros((90, 120, 3), np.uint8))
    with pytest.raises(DataError, match='120 x 90: aligned crops are square'):
        list(folder.crops('wide', 1))
    (root / 'torn').mkdir()
    header = struct.pack('>4s2I5B', b'IHDR', 40_000, 40_000, 8, 2, 0, 0, 0)
    huge = struct.pack('>8sI17sI', b'\x89PNG\r\n\x1a\n', 13, header, zlib.crc32(header))
    for content in (b'', b'no picture', huge):
        (root / 'torn' / '00001.jpg').write_bytes(content)
        with pytest.raises(DataError, match=r'torn/00001\.jpg: damaged'):
            list(folder.crops('torn', 1))
    (root / 'torn' / '00001.jpg').unlink()
    os.mkfifo(root / 'torn' / '00001.jpg')
    with pytest.raises(DataError, match=r'torn/00001\.jpg: is a pipe'):
        list(folder.crops('torn', 1))
    for name in ('frame.jpg', '00000.jpg', '00003.txt'):
        (root / 'odd').mkdir(exist_ok=True)
        (root / 'odd' / name).touch()
        with pytest.raises(DataError, match=f'{name}: is no crop'):
            folder.track('odd', np.arange(5.0))
        (root / 'odd' / name).unlink()
    write(root / 'twice' / '00001.jpg', grey(1))
    write(root / 'twice' / '1.png', grey(1))
    with pytest.raises(DataError, match=r'1\.png: frame 1 again, beside 00001\.jpg'):
        folder.track('twice', np.arange(5.0))
