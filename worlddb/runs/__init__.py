"""Stored runs: many attempts of one agent in a folder that can be read, gone on with, reported on and compared."""

from worlddb.runs.compare import Comparison, compare
from worlddb.runs.curriculum import curriculum, harder
from worlddb.runs.figures import Summary, summary
from worlddb.runs.folder import Run, begin_run, open_run
from worlddb.runs.model import Brief, Manifest, Record

__all__ = [
    "Brief", "Comparison", "Manifest", "Record", "Run", "Summary", "begin_run", "compare", "curriculum", "harder", "open_run",
    "summary",
]  # fmt: skip
