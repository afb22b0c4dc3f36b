"""Puts the reports of a run beside it: report.md, report.html, report.json."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from worlddb.runs.figures import Summary, summary
from worlddb.runs.folder import Run
from worlddb.runs.page import page
from worlddb.runs.table import write_table
from worlddb.runs.words import markdown

LINES = 3
"""Lines of a verdict that are shown of an example."""


class Published(NamedTuple):
    """What lies where."""

    summary: Summary
    markdown: Path
    html: Path
    table: Path


def publish(run: Run) -> Published:
    """Write the reports and the table of a run, in the place of older ones.

    Raises:
        BadRequest: nothing was attempted yet.
        StoreError: the run is damaged, or cannot be written.
    """
    found = summary(run)
    html = run.write("report.html", page(found, _told(run, found)).encode())
    text = run.write("report.md", markdown(found).encode())
    run.write("report.json", msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    return Published(found, text, html, write_table(run))


def _told(run: Run, found: Summary) -> dict[str, str]:
    """What the first failed attempt at each example was told."""
    wanted = {task for failure in found.failures for task in failure.examples}
    told: dict[str, str] = {}
    for record in run.records() if wanted else ():
        if record.task in wanted and record.task not in told and not record.passed:
            told[record.task] = "; ".join(str(line) for line in record.attempt.verdict.lines[:LINES])
    return told
