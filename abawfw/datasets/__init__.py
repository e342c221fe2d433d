"""Data: stores of features and labels, clips of them, what is done to a clip, and loaders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abawfw.lazy import lazy

if TYPE_CHECKING:
    from abawfw.datasets.checking.check import DataReport, check_store
    from abawfw.datasets.checking.facts import DataFacts, read_facts
    from abawfw.datasets.clip_dataset import ClipDataset
    from abawfw.datasets.demo.rucaim3 import make_demo_data
    from abawfw.datasets.demo.trials import make_demo_trials
    from abawfw.datasets.importers.affwild2 import convert_affwild2
    from abawfw.datasets.importers.ceap360vr import convert_ceap360vr
    from abawfw.datasets.loader import build_dataloader
    from abawfw.datasets.stores.array_store import ArrayStore
    from abawfw.datasets.stores.base import FeatureStore
    from abawfw.datasets.stores.kinds import open_store
    from abawfw.datasets.stores.packed.pack import pack_store
    from abawfw.datasets.stores.packed.store import PackedStore
    from abawfw.datasets.stores.records import FeatureInfo, VideoInfo
    from abawfw.datasets.stores.rucaim3.store import RUCAIM3Store
    from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer
    from abawfw.datasets.stores.trials.store import TrialStore
    from abawfw.datasets.stores.trials.writer import TrialWriter

lazy(__name__)
