"""Overrides of a config as they stand on a command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from mmengine.config import DictAction

from abawfw.errors import ConfigError


def parse_words(words: Sequence[str]) -> dict[str, Any]:
    """Overrides by dotted key, read as every tool reads ``--cfg-options``.

    Raises:
        ConfigError: a word without '='.
    """
    wrong = [word for word in words if '=' not in word]
    if wrong:
        raise ConfigError(f'--cfg-options {" ".join(wrong)}: give KEY=VALUE')
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='*', action=DictAction, default={})
    return dict(parser.parse_args(['--cfg-options', *words]).cfg_options)
