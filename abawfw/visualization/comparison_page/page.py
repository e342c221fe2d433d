"""The page that compares runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from abawfw.errors import counted
from abawfw.evaluation.comparison import Comparison, reading
from abawfw.visualization.blocks import Block, Paragraph, Preformatted, SideBySide
from abawfw.visualization.comparison_page.figures import differences_figure, scores_figure, videos_figure
from abawfw.visualization.comparison_page.looks import short_names
from abawfw.visualization.comparison_page.tables import differences_table, ensemble_table, scores_table
from abawfw.visualization.comparison_page.videos import video_browser
from abawfw.visualization.page import Page
from abawfw.visualization.palette import SERIES

NAMED = 4  # runs that have room in the title
VIDEOS = (
    "A video's own CCC says how well its course is met; what a video makes of the difference is the "
    'difference over all frames less that without the video.'
)
AGAIN = (
    f'There are {len(SERIES)} colours: from run {len(SERIES) + 1} on they come again, with other dashes and '
    'marks.'
)
ENSEMBLE = (
    'Rules that look at labels are measured on videos that, like all of their groups, took no part '
    'in finding '
    'the weights. A run can be '
    'weak and add much, if its errors differ from those of the others.'
)


class ComparisonPage:
    """Runs side by side: scores, differences, videos, and what each adds to an ensemble of all.

    Args:
        comparison: the runs.
        ensembles: for each target, by rule of weights, what each run adds: rows of run, CCC alone, weight,
            CCC together, CCC without it, what it adds, and correlation of its errors with those of others; or
            a text that says why the rule finds no weights.
        changes: for each run but the first, lines that tell what its config changes; None where a config
            cannot be read.
    """

    def __init__(
        self,
        comparison: Comparison,
        ensembles: Mapping[str, Mapping[str, Sequence[Sequence[Any]] | str]],
        changes: Mapping[str, Sequence[str] | None],
    ) -> None:
        self.comparison = comparison
        self.ensembles = ensembles
        self.changes = changes

    def page(self) -> Page:
        """The page, to be rendered or written."""
        c = self.comparison
        frames = sum(m.n for m in c.moments[c.targets[0]][0])
        few = len(c.names) <= NAMED
        page = Page(
            f'Comparison of {", ".join(short_names(c.names)) if few else f"{len(c.names)} runs"}',
            f'{c.stage.capitalize()} predictions of {counted(len(c.videos), "video")}, '
            f'{counted(frames, "labelled frame")}. The baseline is {c.names[0]}.',
        )
        scores = f'Over all frames of all videos. Intervals: bootstrap over {c.unit_text}.'
        missing = [Paragraph(sentence(text), warning=True) for text in c.missing_intervals]
        page.section('Scores', *missing, scores_table(c), scores_figure(c), note=scores)
        warnings = [Paragraph(sentence(note), warning=True) for note in c.notes]
        note = ' '.join(
            sentence(line) for line in (*reading(c).splitlines(), f'drawn and swapped are {c.unit_text}')
        )
        differences = [*warnings, differences_table(c), differences_figure(c)]
        page.section('Differences to the baseline', *differences, note=note)
        scatter = SideBySide(*(videos_figure(c, target) for target in c.targets))
        note = f'{VIDEOS} {AGAIN}' if len(c.runs) > len(SERIES) else VIDEOS
        page.section('Video by video', scatter, video_browser(c), note=note)
        for target, by_rule in self.ensembles.items():
            blocks = [
                Paragraph(found) if isinstance(found, str) else ensemble_table(rule, found)
                for rule, found in by_rule.items()
            ]
            page.section(f'Ensemble of all, {target}', SideBySide(*blocks), note=ENSEMBLE)
        configs = map(self._config, c.names[1:])
        page.section('Configs', *configs, note='What each run changes of the baseline.')
        return page

    def _config(self, name: str) -> Block:
        lines = self.changes[name]
        if lines is None:
            return Paragraph(f'{name}: the config of this run or of the baseline cannot be read.')
        if not lines:
            return Paragraph(f'{name}: the same config.')
        differ = f'{counted(len(lines), "value")} differ{"s" if len(lines) == 1 else ""}'
        return Preformatted(f'{name}: {differ}', '\n'.join(lines), opened=True)


def sentence(text: str) -> str:
    """A note as a sentence of its own."""
    return f'{text[:1].upper()}{text[1:]}.'
