"""The page of a data set, section by section."""

from __future__ import annotations

from abawfw.datasets.facts import DataFacts
from abawfw.errors import counted
from abawfw.visualization.blocks import Facts
from abawfw.visualization.data_page.bounds import bound_blocks
from abawfw.visualization.data_page.findings import finding_blocks
from abawfw.visualization.data_page.labels import label_blocks
from abawfw.visualization.data_page.missing import missing_blocks
from abawfw.visualization.data_page.over_time import over_time_blocks
from abawfw.visualization.data_page.partitions import partition_blocks
from abawfw.visualization.data_page.videos import video_blocks
from abawfw.visualization.page import Page

OVER_TIME = (
    'Autocorrelation at lag k: the mean of (x[t] - m) (x[t + k] - m) over all pairs of frames k apart, '
    'divided by the variance, where m and the variance are those of all labelled frames of the partition. '
    'Pairs are taken within stretches of labelled frames, never across a gap. What differs between videos '
    'does not fade with the lag; at long lags only long videos count.'
)
BOUNDS = (
    'CCC of predictions that know only so much of the labels, over all labelled frames of a partition. Lower '
    'bounds know the labels of train alone, and a model that is not above them on val has learned '
    'nothing of use: '
    'a constant has a CCC of 0, whatever it is; the mean over the training videos at each frame '
    'knows when in a '
    'video something tends to happen (on train it is measured on what it was made of). Upper '
    'bounds know labels '
    'of the very videos, which no model is given. Mean of each video: tells videos apart perfectly, but not '
    'moments. Moving mean over so many frames before and after, '
    'within stretches of labelled frames and shorter at their ends: misses what is fast. Shifted: perfect '
    'but late, or early, which is the same; only frames count whose partner exists and has a label.'
)
MISSING = (
    'Frames in which a feature was not observed, where the store tells: for features of faces, frames '
    'without a face. A gap is a run of such frames within a video.'
)


def data_page(facts: DataFacts) -> Page:
    """Everything worth knowing of a data set before a model is trained on it."""
    page = Page(f'Data set {facts.report.root.resolve().name}', _intro(facts))
    page.section('Overview', Facts(_overview(facts)))
    page.section('Findings', *finding_blocks(facts.report), note='Everything that tools/check_data.py finds.')
    if not facts.partitions:
        return page
    page.section('Partitions', *partition_blocks(facts.partitions))
    labelled = {name: partition for name, partition in facts.partitions.items() if partition.labelled}
    if labelled:
        page.section('Labels', *label_blocks(labelled, facts.shifts))
        page.section('Labels over time', *over_time_blocks(labelled), note=OVER_TIME)
        page.section('Bounds', *bound_blocks(labelled), note=BOUNDS)
    page.section('Missing frames', *missing_blocks(facts.partitions), note=MISSING)
    page.section('Videos', *video_blocks(facts))
    return page


def _intro(facts: DataFacts) -> str:
    errors = facts.report.count('error')
    if not errors:
        return ''
    found = f'{counted(errors, "error")} {"was" if errors == 1 else "were"}'
    return f'{found} found in this data: see Findings. What cannot be read is left out of the other sections.'


def _overview(facts: DataFacts) -> dict[str, str]:
    report = facts.report
    return {
        'Store': f'{report.root} ({facts.kind})',
        'Videos': f'{len(report.videos):,}',
        'Frames': f'{sum(video.num_frames for video in report.videos):,}',
        'Groups': report.groups,
        'Features': ', '.join(report.features) or 'none',
        'Findings': report.counts(),
    }
