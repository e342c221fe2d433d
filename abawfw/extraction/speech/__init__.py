"""Whose the audio of a video is, where several faces are seen."""

from __future__ import annotations

from typing import Any

from abawfw.components import construct
from abawfw.errors import ConfigError, nearest
from abawfw.extraction.speech.base import SPEECH, SpeechRule, notes_on
from abawfw.extraction.speech.mouth_moves import MouthMoves
from abawfw.registry import SPEECH_RULES

__all__ = ['SPEECH', 'MouthMoves', 'SpeechRule', 'build_speech_rule', 'notes_on']


def build_speech_rule(type: str = 'MouthMoves', **options: Any) -> SpeechRule:
    """A registered rule.

    Raises:
        ConfigError: there is no such rule, or it has no such option or value.
    """
    component = SPEECH_RULES.module_dict.get(str(type))  # `SPEECH_RULES.get` would import torch
    if component is None:
        raise ConfigError(f'{SPEECH} rule {type!r}; {nearest(str(type), SPEECH_RULES.module_dict)}')
    rule: SpeechRule = construct(component, options, f'{SPEECH} rule {type!r}')
    return rule
