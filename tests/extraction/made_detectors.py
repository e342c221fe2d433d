"""Face detectors of tests in place of the one that is found by its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from abawfw.extraction.faces.detectors.base import DETECTOR, FaceDetector
from abawfw.registry import FACE_DETECTORS


class LabelledDetector(FaceDetector):
    """A detector that needs no package, known by its label."""

    label: str

    def settings(self) -> dict[str, Any]:
        return {'detector': self.label}

    def check(self) -> None:
        """Nothing is missing."""


@contextmanager
def found_by(kind: type[FaceDetector]) -> Iterator[None]:
    """Meanwhile faces are found by this detector wherever no other is named."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FACE_DETECTORS.module_dict, DETECTOR, kind)
        yield


def all_found_by(kind: type[FaceDetector]) -> Any:
    """A fixture: the faces of all tests of a module are found by this detector."""

    @pytest.fixture(scope='module', autouse=True)
    def detector() -> Iterator[None]:
        with found_by(kind):
            yield

    return detector
