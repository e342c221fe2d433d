"""From a run to curves of anything: a store, arrays, or a video."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from abawfw.apis.build import clips_of, stored_tokens
from abawfw.apis.extract_for_run import compare_extraction, speech_notes
from abawfw.apis.face_frames import check_observed, face_frames, refuse_scaled
from abawfw.apis.postprocessing import as_tested, intervals_as_tested
from abawfw.apis.trained_run import TrainedRun
from abawfw.checkpoints import best_checkpoint
from abawfw.config.check import config_problems
from abawfw.config.loading import load_config, raise_problems, resolve
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.array_store import ArrayStore
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.frame_rates import ResampledStore, resampling
from abawfw.devices import AUTO, find_device
from abawfw.errors import ConfigError, DataError, nearest
from abawfw.evaluation.functional.affect_words import SOURCE, affect_words
from abawfw.extraction.speech import SPEECH, build_speech_rule
from abawfw.files import temporary_files
from abawfw.results.run import CONFIG

if TYPE_CHECKING:
    from abawfw.extraction.extractors import Extractor


class VAInferencer:
    """Valence and arousal over time, by the checkpoints of a run that are best at each target.

    What is predicted goes through the data pipeline of the run's validation: its clips, the statistics of its
    training videos, carried state, the mean over overlapping windows, and the post-processing with which
    ``tools/test.py`` last tested the run, whose numbers come out.

    Tables have one row per frame, its time in seconds as the index (NaN where it is unknown), and the
    columns ``frame``, counted from 0; ``valence`` and ``arousal``, smoothed and clipped to [-1, 1];
    ``valence_raw`` and ``arousal_raw``, as the model gave them; and ``face``, whether a face was detected.
    Where no track of the face is at hand, as for arrays and packed stores, ``face`` is whether the run's
    features of faces were observed, and missing (NA) for a run without any. A run of one target has columns
    of that one. Where the run was tested with ``--intervals``, their ends are in ``valence_low`` and
    ``valence_high``, ``arousal_low`` and ``arousal_high``, before ``face``. With ``words`` a last column
    ``word`` names the region of the plane, see ``affect_words``.

    A video whose frames have another rate than those of training is computed at the rate of training: see
    ``resampling`` for which, and ``ResampledStore`` for how. Post-processing acts there, too, as its windows
    count frames; then curves go back to the times of the video's own frames, linearly. Numbers of
    ``tools/test.py``, which takes the frames of a store as they are, differ for such a video.

    Args:
        run: work_dir of a trained run.
        device: what computes, networks of extractors included, as ``find_device`` takes it.
        threads: of the CPU; None for what ``computing_with`` finds right.
        overrides: values of the run's config by dotted key, such as ``{'overlap': 2}``.
        words: also name the region of the plane.

    Attributes:
        cfg: the run's config, resolved.
        device: what computes.
        features: names of the features that the run needs, in its order.
        optional: those of them that may be absent.
        targets: what it estimates.
        postprocess: what smooths and clips the predictions of each target.
        intervals: how far these may be off, by target, of those that were tested so; see
            ``intervals_as_tested``.
        trained: the checkpoints and networks of the targets.

    Raises:
        ConfigError: the run's config is missing or broken, post-processing is to be fitted and the run was
            not tested, there is no such device, or words are asked for of a run of one target.
        CheckpointError: the run has no best checkpoints, or damaged ones.

    >>> from abawfw.datasets import open_store
    >>> tables = VAInferencer('work_dirs/run', device='cpu').predict_store(open_store('data/demo'))
    >>> list(next(iter(tables.values())).columns)
    ['frame', 'valence', 'arousal', 'valence_raw', 'arousal_raw', 'face']
    """

    def __init__(
        self,
        run: str | Path,
        device: str = AUTO,
        threads: int | None = None,
        overrides: dict[str, Any] | None = None,
        words: bool = False,
    ) -> None:
        self.run = Path(run)
        cfg = load_config(self.run / CONFIG, overrides)
        raise_problems(cfg, config_problems(cfg))
        self.cfg = cfg = resolve(cfg)
        self.device = find_device(device)
        self.features: list[str] = list(cfg.features)
        self.optional: tuple[str, ...] = tuple(cfg.get('optional') or ())
        self.targets: list[str] = list(cfg.targets)
        self.words = words
        if words and len(self.targets) < 2:
            raise ConfigError(f'{run}: estimates {self.targets[0]} only; words need valence and arousal')
        checkpoints = {target: best_checkpoint(self.run, f'ccc_{target}') for target in self.targets}
        self.postprocess = as_tested(cfg, checkpoints)
        self.intervals = intervals_as_tested(checkpoints, self.postprocess, clips_of(cfg))
        self.trained = TrainedRun(cfg, checkpoints, self.device, threads)

    @property
    def checkpoints(self) -> dict[str, Path]:
        """The checkpoint of each target."""
        return self.trained.checkpoints

    def head(self) -> dict[str, Any]:
        """What the JSON file of a video says of what it was made with."""
        return {
            'run': self.run.name,
            'checkpoints': {target: path.name for target, path in self.checkpoints.items()},
            'postprocess': {target: steps.texts() for target, steps in self.postprocess.items()},
            'intervals': {target: kept.settings() for target, kept in self.intervals.items()},
            'trained_fps': self.fps,
        } | words_head(self.words)

    @property
    def extraction(self) -> dict[str, Any]:
        """Extraction settings of the run's training features, by feature; {} where they are unknown."""
        return dict(self.trained.networks[0][0].meta.get('extraction') or {})

    @property
    def fps(self) -> list[float] | None:
        """Lowest and highest frames per second of the training videos; None where they are unknown."""
        return self.trained.networks[0][0].meta.get('fps')

    def predict_store(
        self, store: str | Path | FeatureStore, skip: Collection[str] = ()
    ) -> dict[str, pd.DataFrame]:
        """Tables of the videos of a store, of every partition, by name.

        Args:
            store: it, or its folder.
            skip: names of videos to omit, such as those of which nothing was observed.

        Raises:
            DataError: the store lacks a feature, has one that was extracted with other settings than for
                training, or is damaged; or nothing that the run looks at was observed in a video.
            CheckpointError: its features have other sizes than those of training.
        """
        store = store if isinstance(store, FeatureStore) else open_store(store)
        self.notes_on(store)
        for video in store.videos():
            if video.video_id not in skip:
                self.check_video(store, video.video_id)
        return self._predict(store, skip=skip)

    def check_video(self, store: FeatureStore, video: str) -> list[str]:
        """Notes on features of the run that were observed in no frame of a video, and on its frame rate.

        Raises:
            DataError: none of them was, so that there is nothing to predict from; or images are no bytes.
        """
        frames = store.video(video).num_frames
        known = set(store.feature_names())
        name = video if isinstance(store, ArrayStore) else f'{store.root}: video {video!r}'
        for feature in known.intersection(self.features):
            info = store.feature(feature)
            refuse_scaled(name, feature, info.dims, info.dtype)
        notes = check_observed(
            name, {f: store.observed(video, f, 0, frames) for f in self.features if f in known}
        )
        rate = resampling(store.times(video), self.fps).note
        return notes if rate is None else [*notes, rate]

    def notes_on(self, store: FeatureStore) -> list[str]:
        """What is worth knowing of how a store was extracted, compared with training, a line each.

        Raises:
            DataError: a feature was extracted with other settings.
        """
        return [*self.trained.notes, *compare_extraction(store, self.features, self.extraction)]

    def _predict(
        self, store: FeatureStore, face: NDArray[np.bool_] | None = None, skip: Collection[str] = ()
    ) -> dict[str, pd.DataFrame]:
        """Tables by video; ``face`` is that of the only video, where a track of it is at hand."""
        curves: dict[str, dict[str, NDArray]] = {target: {} for target in self.targets}
        plans = {v.video_id: resampling(store.times(v.video_id), self.fps).grid for v in store.videos()}
        grids = {video: grid for video, grid in plans.items() if grid is not None}
        seen = ResampledStore(store, grids, stored_tokens(self.cfg)) if grids else store
        for partition in dict.fromkeys(video.partition for video in store.videos()):
            for target, (predicted, _) in self.trained.predict(partition, seen).items():
                curves[target] |= predicted
        return {
            video.video_id: self._table(
                video.video_id,
                {target: curves[target][video.video_id] for target in self.targets},
                store.times(video.video_id),
                face_frames(store, video.video_id, self.features) if face is None else face,
                seen,
            )
            for video in store.videos()
            if video.video_id not in skip
        }

    def predict_arrays(
        self,
        arrays: Mapping[str, ArrayLike],
        times: ArrayLike | None = None,
        fps: float | None = None,
        observed: Mapping[str, ArrayLike] | None = None,
        name: str = 'arrays',
    ) -> pd.DataFrame:
        """The table of one video whose features are at hand.

        Args:
            arrays: (frames, *dims) of each feature of the run; optional ones may be omitted.
            times: (frames,) seconds at which each frame is shown, or
            fps: frames per second.
            observed: (frames,) bool of features that were not always there; False where they were not.
            name: what messages call the video.

        Raises:
            DataError: neither or both of times and fps, a feature of the run is missing, one is given that it
                does not know, they do not fit together, images are no bytes, or none was observed in any
                frame.
            CheckpointError: a feature has another size than in training.
        """
        missing = [f for f in self.features if f not in arrays and f not in self.optional]
        if missing:
            raise DataError(
                f'{name}: {self.run} needs {", ".join(self.features)}, and {", ".join(missing)} is missing'
            )
        for feature, values in arrays.items():
            refuse_scaled(name, feature, np.shape(values)[1:], np.asarray(values).dtype.name)
            if feature not in self.features:
                raise DataError(
                    f'{name}: {self.run} knows no feature {feature!r}; {nearest(feature, self.features)}'
                )
        if (times is None) == (fps is None):
            raise DataError(f'{name}: give either the times of the frames in seconds, or fps')
        if fps is not None:
            if not 0 < fps < np.inf:
                raise DataError(f'{name}: fps={fps}; frames per second are a number above 0')
            times = np.arange(max(len(np.asarray(a)) for a in arrays.values())) / fps
        store = ArrayStore(name, arrays, observed, times)
        self.check_video(store, name)
        return self._predict(store)[name]

    def predict_video(
        self,
        path: str | Path,
        extractors: Mapping[str, Extractor] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> VideoPrediction:
        """Extract what the run needs from a video, and predict.

        Only what the run needs is extracted, with the settings of its training data; of several persons, the
        one seen largest and longest (sum of the sides of the boxes) counts.

        Args:
            path: a video file.
            extractors: of features of the run, in place of those that its checkpoint names.
            options: arguments of extractors by feature that no checkpoint holds, such as
                ``{'face_embedding': {'weights': FILE}}``; under 'speech' those of the rule that says whose
                the audio is, such as ``{'type': 'MouthMoves'}``.
            progress: called now and then with the fraction of the extraction that is done.

        Raises:
            DataError: the video cannot be read, a feature cannot be extracted here, or nothing that the run
                looks at was found in the video.
        """
        (found,) = self.predict_persons(path, 1, extractors, options, progress)
        return found

    def predict_persons(
        self,
        path: str | Path,
        persons: int | str = 'all',
        extractors: Mapping[str, Extractor] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> list[VideoPrediction]:
        """The same for everyone in a video, or for the ``persons`` seen largest and longest.

        Raises:
            ConfigError: the run looks at no faces.
            DataError: as `predict_video`.
        """
        from abawfw.apis.extract_for_run import extract_for_run, extractors_of_run

        options = dict(options or {})
        asked = options.pop(SPEECH, None)
        speech = None if asked is None else build_speech_rule(**asked)
        chosen, notes = extractors_of_run(
            self.run, self.features, self.optional, self.extraction, extractors, options, self.device
        )
        notes += speech_notes(self.extraction.get(SPEECH, {}), {} if speech is None else speech.settings())
        done = []
        with temporary_files(), TemporaryDirectory(prefix='abawfw-') as folder:
            faces = self.extraction.get('faces')
            for found in extract_for_run(
                Path(path), chosen, Path(folder), faces, progress, self.device, persons, speech
            ):
                face = None if found.track is None else found.track.found
                store = ArrayStore(str(path), found.arrays, found.observed, found.times)
                try:
                    missing = self.check_video(store, str(path))
                except DataError as error:  # the notes say why, as where something is not taken for a face
                    raise DataError('\n  '.join([str(error), *found.notes])) from error
                table = self._predict(store, face)[str(path)]
                told = (*self.trained.notes, *notes, *found.notes, *missing)
                done.append(VideoPrediction(table, found.track, told, found.person))
        return done

    def _table(
        self,
        video: str,
        curves: Mapping[str, NDArray],
        times: NDArray | None,
        face: NDArray[np.bool_] | None,
        seen: FeatureStore,
    ) -> pd.DataFrame:
        """The table of a video whose curves have the frames of ``seen``, and times and face its own."""
        moved = seen if isinstance(seen, ResampledStore) and seen.resamples(video) else None
        there = face if moved is None or face is None else face[moved.nearest(video)]
        kept = {
            t: self.postprocess[t].videos({video: curves[t]}, {video: there})[video] for t in self.targets
        }
        ends: dict[str, NDArray] = {}
        for t, of in self.intervals.items():
            if of.found.reach is not None:
                ends[f'{t}_low'], ends[f'{t}_high'] = of.found.limits(kept[t])
        if moved is not None:
            kept, curves, ends = (
                {t: moved.back(video, curve) for t, curve in stage.items()} for stage in (kept, curves, ends)
            )
        return curve_table(kept, curves, times, face, self.words, ends)


def curve_table(
    kept: Mapping[str, NDArray],
    raw: Mapping[str, NDArray],
    times: NDArray | None,
    face: NDArray[np.bool_] | None,
    words: bool = False,
    ends: Mapping[str, NDArray] | None = None,
) -> pd.DataFrame:
    """The table of a video, as `VAInferencer` describes it.

    Args:
        kept: (frames,) of each target, after post-processing.
        raw: the same before it.
        times: (frames,) seconds; None where they are unknown.
        face: (frames,) where a face was detected; None where that is unknown.
        words: also name the region of the plane.
        ends: (frames,) of intervals, by name of the column.
    """
    length = len(next(iter(kept.values())))
    index = pd.Index(np.full(length, np.nan) if times is None else times, name='time')
    columns: dict[str, Any] = {'frame': np.arange(length), **kept}
    columns |= {f'{target}_raw': raw[target] for target in kept}
    columns |= {**(ends or {}), 'face': _boolean(face, length)}
    if words:
        columns['word'] = affect_words(kept['valence'], kept['arousal'])
    return pd.DataFrame(columns, index=index)


def words_head(words: bool) -> dict[str, str]:
    """Where words come from, for the JSON file of a video that has them."""
    return {'words': f'nearest of the centres of {SOURCE}'} if words else {}


def _boolean(face: NDArray[np.bool_] | None, length: int) -> Any:
    """A column of truth values; NA where they are unknown."""
    return pd.array(np.full(length, None) if face is None else face, dtype='boolean')


if TYPE_CHECKING:
    from abawfw.extraction.faces.track import FaceTrack


@dataclass(frozen=True)
class VideoPrediction:
    """Curves of a video.

    Attributes:
        table: one row per decoded frame, as ``VAInferencer`` describes it; ``face`` is True where a face was
            detected, and is missing (NA) for a run that looks at no face.
        track: where the face is, for a run that looks at faces.
        notes: what was missing, repaired or taken for granted, a line each.
        person: 'left', 'right', 'person1', ..., where several are looked for.
    """

    table: pd.DataFrame
    track: FaceTrack | None
    notes: tuple[str, ...]
    person: str = ''
