"""Whether the features of a store were extracted as those that a run was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from abawfw.apis.face_frames import shows_faces
from abawfw.datasets.stores.base import FeatureStore
from abawfw.errors import DataError
from abawfw.features.detectors.base import FACES, recorded


def compare_extraction(store: FeatureStore, features: Sequence[str], trained: Mapping[str, Any]) -> list[str]:
    """Compare the settings of a store with those of training, for each feature of a run that the store has.

    Args:
        store: whose features are to be predicted from.
        features: of the run.
        trained: settings by feature, and under ``faces``, as the run's checkpoint has them.

    Returns:
        Notes: faces found in another way, for a run that looks at them, and features whose settings only one
        side tells. Where one side tells nothing at all, there is nothing to compare.

    Raises:
        DataError: a feature was extracted with other settings.
    """
    here = store.extraction
    if not here or not trained:
        return []
    notes = []
    names = set(store.feature_names())
    for feature in (f for f in features if f in names):
        if feature in here and feature in trained:
            if changes := _differences(trained[feature], here[feature]):
                raise DataError(
                    f'{store.root}: feature {feature!r} was extracted with {"; ".join(changes)}: extract the '
                    'store with the settings of training, or take a run that was trained on its own'
                )
        elif feature in here or feature in trained:
            known = 'the store' if feature in here else 'the run'
            notes.append(f'{feature}: only {known} tells how it was extracted, so this was not compared')
    looks = any(f in names and shows_faces(f) for f in features)
    if looks and (changes := _differences(recorded(trained.get(FACES, {})), recorded(here.get(FACES, {})))):
        notes.append(f'faces were found in another way for training: {"; ".join(changes)}')
    return notes


def _differences(trained: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Each setting that differs, with both values."""
    return [
        f'{key} {here.get(key, "absent")!r}, for training {trained.get(key, "absent")!r}'
        for key in sorted(trained.keys() | here.keys())
        if trained.get(key, 'absent') != here.get(key, 'absent')
    ]
