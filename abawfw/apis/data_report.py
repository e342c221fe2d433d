"""The page of a data set: what tools/report.py --data writes."""

from __future__ import annotations

from pathlib import Path

from abawfw.apis.progress import Report, unseen
from abawfw.apis.report import NAME, check_page
from abawfw.datasets.stores.kinds import find_store_kind


def write_data_report(store: Path | str, out: Path | None = None, progress: Report = unseen) -> Path:
    """Look at all of a store and write its page, also where parts of the store are broken.

    Args:
        store: folder of the store.
        out: file to write; None for ``report.html`` in the store.
        progress: called now and then while the store is read.

    Returns:
        The file, written whole or not at all.

    Raises:
        ConfigError: the file cannot be written.
        DataError: there is no such folder, nothing in it that looks like a store, or plotly is not installed.
    """
    from abawfw.datasets.facts import read_facts
    from abawfw.visualization.data_page import data_page

    find_store_kind(store)  # before a folder is made for the page
    out = out or Path(store) / NAME
    check_page(out, NAME)
    data_page(read_facts(store, lambda done, total: progress('reading the data', done, total))).write(out)
    return out
