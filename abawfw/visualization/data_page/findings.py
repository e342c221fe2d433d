"""What is wrong with a data set."""

from __future__ import annotations

from abawfw.datasets.check import DataReport
from abawfw.visualization.blocks import Block, Column, Paragraph, Table

COLUMNS = [Column(title) for title in ('severity', 'check', 'partition', 'video', 'feature', 'found')]
# What was found is a sentence or two, with the name of a file: it is broken into lines instead of cut.
STYLE = '.findings td:last-child { white-space: normal; min-width: 40ch; overflow-wrap: anywhere; }'


class FindingTable(Table):
    """A table of findings, in the order of the report: errors first.

    Args:
        report: what was found.
    """

    def __init__(self, report: DataReport) -> None:
        rows = [
            [p.severity, p.check, p.partition or None, p.video_id or None, p.feature or None, p.text]
            for p in report.problems
        ]
        super().__init__('Findings, errors first', COLUMNS, rows)

    def html(self, uid: str) -> str:
        """The table, its last column in lines."""
        return f'<style>{STYLE}</style><div class="findings">{super().html(uid)}</div>'


def finding_blocks(report: DataReport) -> list[Block]:
    """One table of all findings, if there are any."""
    return [FindingTable(report) if report.problems else Paragraph('Nothing.')]
