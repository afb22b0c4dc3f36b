"""The commands that turn worlds into tables of data."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import click

from worlddb.cli.common import (
    DEFAULT_STORE,
    note_unfinished,
    print_json,
    print_table,
    progress,
    store_argument,
    workers_option,
)


@click.command()
@store_argument
@click.option(
    "--format",
    "kind",
    type=click.Choice(["parquet", "nestful"]),
    default="parquet",
    show_default=True,
    help="Format of the files.",
)
@click.option(
    "--out", type=click.Path(path_type=Path),
    help="Folder to make, export/ inside the store if not given; for nestful a file, nestful.jsonl in the store.",
)  # fmt: skip
@workers_option
def export(path: Path, kind: str, out: Path | None, workers: int | None) -> None:
    """Write the worlds of the store PATH (data/out if not given) as Parquet files, or their questions as nested calls.

    The tables are worlds, tables, columns, keys, rules; tasks, the gold (one row a call) and rejections (why the gate
    refused others); and rows, which has every row of every world as JSON.  The format nestful has a line of JSON for each
    task that only asks for one value: nested calls of functions that give one value each.

    \b
    Examples:
      worlddb export
      worlddb export data/small --out parquet
      worlddb export --format nestful --out questions.jsonl
    """
    if kind == "nestful":
        _export_nestful(path, out)
        return
    from worlddb.export.parquet import export as export_store
    from worlddb.store import open_store

    note_unfinished(open_store(path))
    with progress("exporting worlds") as report:
        target = export_store(path, out, workers=workers, progress=report)
    click.echo(f'exported to {target}; try: worlddb query {target} "SELECT count(*) FROM rows"')


def _export_nestful(path: Path, out: Path | None) -> None:
    from worlddb.export.nestful import export as export_questions
    from worlddb.store import open_store

    note_unfinished(open_store(path))
    with progress("exporting tasks") as report:
        done = export_questions(path, out, progress=report)
    left = ", ".join(f"{n} because {why}" for why, n in sorted(done.left_out.items()))
    click.echo(f"{done.samples} samples are in {done.path}; tasks left out: {left or 'none'}")


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[PATH] SQL")
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV with a header.")
def query(words: tuple[str, ...], as_json: bool, as_csv: bool) -> None:
    """Run SQL (DuckDB's) over an export.

    PATH is its folder, or that of a store that was exported (data/out if not given).  Each exported table is a view:
    worlds, tables, columns, keys, rules, tasks, gold, rejections, rows.

    \b
    Examples:
      worlddb query "SELECT domain, count(*) FROM worlds GROUP BY 1 ORDER BY 2 DESC"
      worlddb query "SELECT data->>'status' AS status, count(*) FROM rows WHERE entity = 'invoice' GROUP BY 1"
      worlddb query "SELECT family, count(*), avg(calls) FROM tasks GROUP BY 1 ORDER BY 2 DESC"
      worlddb query "SELECT t.instruction, g.name, g.call FROM tasks t JOIN gold g USING (task) LIMIT 9"
      worlddb query "SELECT family, reason, sum(rejected) FROM rejections GROUP BY ALL ORDER BY 3 DESC"
      worlddb query data/small/export "SELECT kind, count(*) FROM rules GROUP BY 1" --csv
    """
    if len(words) > 2:
        raise click.UsageError("give at most a PATH and the SQL; put the SQL in quotes")
    if as_json and as_csv:
        raise click.UsageError("choose one of --json and --csv")
    from worlddb.export.query import query as run_query

    answer = run_query(words[0] if len(words) == 2 else DEFAULT_STORE, words[-1])
    if as_json:
        print_json([dict(zip(answer.columns, row, strict=True)) for row in answer.rows])
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows(answer.rows)
    else:
        print_table(answer.columns, answer.rows)
