"""What is said against a store before anything is built."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import ROOT

from abawfw.apis.check import check_config
from abawfw.config import load_config
from abawfw.datasets.stores.trial_writer import TrialWriter
from abawfw.errors import ConfigError

CONFIG = ROOT / 'configs/tagf/tagf_embeddings_affwild2.py'


def test_optional_features_may_be_absent(tmp_path: Path) -> None:
    with TrialWriter(tmp_path / 'store', {'video_embedding': (512,)}) as writer:
        writer.add('v', 'train', {'video_embedding': np.zeros((3, 512))}, np.zeros((3, 2)))
    overrides = {'data_root': str(tmp_path / 'store')}
    with pytest.raises(ConfigError, match="has no feature 'audio_embedding'"):
        check_config(load_config(CONFIG, overrides))
    check_config(load_config(CONFIG, {**overrides, 'optional': ['audio_embedding']}))
    with pytest.raises(ConfigError, match="has no feature 'audio_embedding'"):
        check_config(load_config(CONFIG, {**overrides, 'optional': ['video_embedding']}))
