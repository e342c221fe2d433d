"""Mel-frequency cepstral coefficients."""

from __future__ import annotations

from pathlib import Path

from abawfw.extraction.extractors.smile import SmileExtractor
from abawfw.registry import EXTRACTORS

CONFIG = Path(__file__).with_name('mfcc_0_d_a.conf')


@EXTRACTORS.register_module('mfcc')
class MFCC(SmileExtractor):
    """MFCC_0_D_A of HTK: c1 to c12 and c0 of 25 ms from each frame on, their deltas and accelerations.

    Extracted by openSMILE, which is free for research only: see its licence before any commercial use. It
    analyses the audio every 10 ms, and each frame takes the nearest row: a step of 1 / fps (docs/tagf.md,
    Preprocessing), which openSMILE rounds to whole samples, would be off by 11 frames after ten minutes.
    """

    name = 'mfcc'
    analyses = ((CONFIG, 'lld'),)
    before, after = 1, 0.2  # accelerations reach over 4 rows to both sides

    @property
    def dims(self) -> tuple[int, ...]:
        """c1 to c12 and c0, their deltas, their accelerations."""
        return (39,)
