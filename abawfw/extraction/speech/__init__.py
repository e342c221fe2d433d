"""Whose the audio of a video is, where several faces are seen."""

from __future__ import annotations

from typing import Any

from abawfw.components import construct_named
from abawfw.extraction.speech.base import SPEECH, SpeechRule, notes_on
from abawfw.extraction.speech.mouth_moves import MouthMoves
from abawfw.registry import SPEECH_RULES

__all__ = ['SPEECH', 'MouthMoves', 'SpeechRule', 'build_speech_rule', 'notes_on']


def build_speech_rule(type: str = 'MouthMoves', **options: Any) -> SpeechRule:
    """A registered rule.

    Raises:
        ConfigError: there is no such rule, or it has no such option or value.
    """
    rule: SpeechRule = construct_named(SPEECH_RULES, str(type), options, f'{SPEECH} rule {type!r}')
    return rule
