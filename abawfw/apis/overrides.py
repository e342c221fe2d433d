"""Overrides of a config as they stand on a command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from mmengine.config import DictAction

from abawfw.errors import ConfigError


def parse_words(words: Sequence[str], option: str = '--cfg-options') -> dict[str, Any]:
    """Values by dotted key, read as every tool reads ``--cfg-options``.

    Args:
        words: each ``KEY=VALUE``.
        option: of the command line that they stand behind, for errors.

    Raises:
        ConfigError: a word without '='.
    """
    wrong = [word for word in words if '=' not in word]
    if wrong:
        raise ConfigError(f'{option} {" ".join(wrong)}: give KEY=VALUE')
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='*', action=DictAction, default={})
    return dict(parser.parse_args(['--cfg-options', *words]).cfg_options)
