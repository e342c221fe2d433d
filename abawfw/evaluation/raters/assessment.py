"""Everything that is known of the raters of one target: agreement, delays, and what is fused of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from abawfw.errors import counted, few
from abawfw.evaluation.functional import Agreement, Delay, VideoRatings, rater_agreement, rater_delays
from abawfw.evaluation.functional.ratings import raters_of
from abawfw.evaluation.raters.base import FusedRatings, RaterFusion
from abawfw.groups import Groups

RISE = 5e-4
"""By which alpha must rise without a rater who is listed as one who disagrees: less is not seen in print."""


@dataclass(frozen=True)
class Assessment:
    """Of the raters of one target.

    Attributes:
        target: 'valence' or 'arousal'.
        videos: the ratings.
        fused: what a rule makes of them.
        agreement: over all videos.
        by_video: agreement of each video that several have rated.
        delays: by rater.
        unit: what intervals are drawn over, 'video' or 'group'.
        unit_text: the same with numbers.
    """

    target: str
    videos: Mapping[str, VideoRatings]
    fused: FusedRatings
    agreement: Agreement
    by_video: Mapping[str, Agreement]
    delays: Mapping[str, Delay]
    unit: str
    unit_text: str

    @property
    def raters(self) -> list[str]:
        """All of them."""
        return raters_of(self.videos)

    def warnings(self) -> list[str]:
        """What somebody should know before using the label, a line each; nobody is left out for it."""
        lines = [*self._alone(), *self._unmoved(), *self._disagreeing()]
        lines += [f'{r}: {d.warning}' for r, d in self.delays.items() if d.warning]
        labelled = {name: np.isfinite(self.fused.labels[name]) for name in self.videos}
        parted = {n: v.rated & ~v.common & labelled[n] for n, v in self.videos.items()}
        if some := {name: int(frames.sum()) for name, frames in parted.items() if frames.any()}:
            frames = counted(sum(some.values()), 'frame')
            lines.append(
                f'{frames} of {few([*some])} rated by some of their raters only: there '
                'the label is that of those, and may jump where one begins or ends'
            )
        lost = {n: v.rated & ~labelled[n] for n, v in self.videos.items()}
        if some := {name: int(frames.sum()) for name, frames in lost.items() if frames.any()}:
            each = few([f'{name} ({frames:,} of {len(lost[name]):,})' for name, frames in some.items()])
            lines.append(
                f'{counted(sum(some.values()), "rated frame")} without a label, in {each}: by this rule who '
                'rated them does not count, or was moved away in time; --fusion RaterMean labels them'
            )
        unrated = {n: ~v.rated & ~labelled[n] for n, v in self.videos.items()}
        if some := {name: int(frames.sum()) for name, frames in unrated.items() if frames.any()}:
            total = sum(len(video.rated) for video in self.videos.values())
            lines.append(
                f'{sum(some.values()):,} of {counted(total, "frame")} rated by nobody, in {few([*some])}: '
                'they have no label'
            )
        return [f'{self.target}: {line}' for line in lines]

    def _alone(self) -> list[str]:
        alone: dict[tuple[str, bool], list[str]] = {}
        for name, video in self.videos.items():
            if len(video.raters) == 1:
                label = self.fused.labels[name]
                # files have six digits
                kept = np.allclose(label, video.values[0], rtol=0, atol=1e-6, equal_nan=True)
                alone.setdefault((video.raters[0], kept), []).append(name)
        return [
            f'one rater, {rater}, of {few(names)}: the label is that rating as '
            f'{"it is" if kept else "the rule changes it"}, and no agreement can be measured; add the file '
            'of a second rater'
            for (rater, kept), names in alone.items()
        ]

    def obstacles(self) -> list[str]:
        """Why some of the figures have no interval, each reason once."""
        measures = [m for of in self.agreement.raters.values() for m in (of.ccc, of.pcc)]
        measures += [m for of in self.agreement.panels for m in (of.alpha, of.icc)]
        found = [m.interval.obstacle for m in measures] + [d.obstacle for d in self.delays.values()]
        return [text for text in dict.fromkeys(found) if text]

    def _unmoved(self) -> list[str]:
        lines = []
        for rater in self.raters:
            of = [v.values[v.raters.index(rater)] for v in self.videos.values() if rater in v.raters]
            said = np.concatenate(of)
            said = said[np.isfinite(said)]
            if len(said) and np.ptp(said) == 0:
                counts = 'its weight is 0' if self.fused.weights.get(rater) == 0 else 'it counts as it is'
                lines.append(
                    f'{rater} never moves: {said[0]:g} in {counted(len(said), "frame")}; {counts}, remove '
                    'the files of this rater if it was no rating'
                )
        return lines

    def _disagreeing(self) -> list[str]:
        panels = self.agreement.panels
        lines = []
        for rater, of in self.agreement.raters.items():
            whole = panels[0].alpha.value if rater in panels[0].raters else None
            if of.ccc.value is not None and of.ccc.value <= 0:
                lines.append(f'{rater} disagrees: CCC {of.ccc.value:.2f} with the mean of the others')
            elif whole is not None and of.alpha_without is not None and of.alpha_without - whole >= RISE:
                lines.append(
                    f'{rater} disagrees: without this rater alpha rises from {whole:.3f} to '
                    f'{of.alpha_without:.3f}; CCC with the mean of the others {of.ccc.value:.2f}'
                )
        return lines


def assess(
    target: str, videos: Mapping[str, VideoRatings], fusion: RaterFusion, bound: float, groups: Groups
) -> Assessment:
    """Measure the raters of a target, and fuse their ratings.

    Args:
        target: 'valence' or 'arousal'.
        videos: the ratings.
        fusion: the rule.
        bound: seconds, the largest delay that is looked for.
        groups: videos that depend on one another.
    """
    units, unit = groups.units(videos), groups.unit(videos)
    several = {name: video for name, video in videos.items() if len(video.raters) > 1}
    return Assessment(
        target,
        videos,
        fusion(videos),
        rater_agreement(videos, units, unit),
        {name: rater_agreement({name: video}) for name, video in several.items()},
        rater_delays(videos, bound, units, unit),
        unit,
        groups.text(videos),
    )
