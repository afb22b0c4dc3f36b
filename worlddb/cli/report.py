"""The command `report`: figures over many runs."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from worlddb.cli.common import json_option, print_json

if TYPE_CHECKING:
    from worlddb.report import Report, Runs


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUNS.jsonl...")
@click.option(
    "--k",
    "ks",
    default="",
    metavar="K,K...",
    help="Attempts of pass@k and pass^k  [default: of 1,2,4,8 those that were made]",
)
@click.option(
    "--by",
    multiple=True,
    metavar="FIELD",
    help="Group by task, scenario or any field of the runs; repeatable  [default: family, level, profile where runs have them]",
)
@click.option("--bar", default=1.0, show_default=True, help="The reward from which on an attempt passes.")
@json_option
def report(runs: tuple[str, ...], ks: str, by: tuple[str, ...], bar: float, as_json: bool) -> None:
    """Report how often tasks were solved, and how reliably.

    RUNS.jsonl (- for stdin; several are read as one) has a line of JSON for each attempt: {"task": "hotel-12/3", "run": 0,
    "reward": 1.0}, with "scenario" where the task is a variant of another one, and any other fields to group by.

    pass@k is the chance that at least one of k attempts passes, pass^k that all of them do; all^k that k attempts at each
    variant of a scenario all pass.  They are averaged over the tasks (or scenarios) with at least k attempts; '-' where
    there are none.

    \b
    Examples:
      worlddb report runs.jsonl
      worlddb report runs.jsonl --k 1,2,4,8 --by family --by level
      worlddb report base.jsonl tuned.jsonl --by model --json
      zcat runs.jsonl.gz | worlddb report - --by task
    """  # fmt: skip
    from worlddb.report import Runs

    chosen = _numbers(ks)
    counted = Runs(by or None, bar)
    for name in runs:
        _read(counted, name)
    found = counted.report(chosen)
    if as_json:
        print_json(found)
    else:
        _print(found)


def _numbers(text: str) -> list[int] | None:
    from worlddb.errors import BadRequest

    if not text:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise BadRequest(f"--k takes numbers of attempts, such as 1,2,4,8, not '{text}'") from None


def _read(counted: Runs, name: str) -> None:
    from worlddb.errors import StoreError

    try:
        with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as lines:
            counted.read(lines, name)
    except OSError as error:
        raise StoreError(f"{name} cannot be read: {error.strerror}") from None


def _print(found: Report) -> None:
    from worlddb.report import columns_of, row_of

    columns = columns_of(found)
    rows = [("all", *row_of(found, found.all))]
    for table in found.tables:
        rows.append(("", *("" for _ in columns)))
        rows.append((table.by, *("" for _ in columns)))
        rows += [(f"  {_label(line.group)}", *row_of(found, line)) for line in table.lines]
    widths = [max(len(r[i]) for r in (("", *columns), *rows)) for i in range(len(columns) + 1)]
    for first, *others in (("", *columns), *rows):
        cells = [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(others, widths[1:], strict=True))]
        click.echo("  ".join(cells).rstrip())
    for k, tasks in found.all.counted.items():
        if tasks < found.all.tasks:
            click.echo(
                f"note: k = {k} is over the {tasks:,} of {found.all.tasks:,} tasks with so many attempts", err=True
            )


def _label(value: object) -> str:
    return "(none)" if value is None else " ".join(str(value).split()) or '""'
