"""Whose the audio of a video is, where several faces are seen."""

from __future__ import annotations

import inspect
from typing import Any

from abawfw.errors import ConfigError, nearest
from abawfw.extraction.speech.base import SPEECH, SpeechRule, notes_on
from abawfw.extraction.speech.mouth_moves import MouthMoves
from abawfw.registry import SPEECH_RULES

__all__ = ['SPEECH', 'MouthMoves', 'SpeechRule', 'build_speech_rule', 'notes_on']


def build_speech_rule(type: str = 'MouthMoves', **options: Any) -> SpeechRule:
    """A registered rule.

    Raises:
        ConfigError: there is no such rule, or it has no such option.
    """
    component = SPEECH_RULES.module_dict.get(type)  # `SPEECH_RULES.get` would import torch
    if component is None:
        raise ConfigError(f'{SPEECH} rule {type!r}; {nearest(type, SPEECH_RULES.module_dict)}')
    known = inspect.signature(component).parameters
    for option in options:
        if option not in known:
            raise ConfigError(f'{SPEECH} rule {type!r} has no option {option!r}; {nearest(option, known)}')
    rule: SpeechRule = component(**options)
    return rule
