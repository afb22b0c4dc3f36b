"""The commands that turn worlds into tables of data."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

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

TABLES = ("parquet",)
QUESTIONS = ("nestful",)
ATTEMPTS = ("trl", "trl-completion", "openai", "sharegpt", "actionstudio", "bfcl", "verl", "skyrl", "nemo")
"""Formats: of whole stores, of questions, of attempts (worlddb/export/formats.py has them)."""


@click.command()
@store_argument
@click.option(
    "--format", "kind", type=click.Choice([*TABLES, *ATTEMPTS, *QUESTIONS]), default="parquet", show_default=True,
    help="Format of the files.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path),
    help="Of parquet a folder to make, export/ in the store if not given; of all others a file, named after the format.",
)  # fmt: skip
@click.option(
    "--split", metavar="NAME",
    help="train or eval: one side of the suites' line; or shares, a file each: train=0.9,eval=0.1.",
)  # fmt: skip
@click.option(
    "--from", "runs", type=click.Path(path_type=Path), metavar="RUNS",
    help="Recorded attempts (JSON lines, or a folder of such files) instead of the gold.",
)  # fmt: skip
@click.option(
    "--min-reward", type=float, default=1.0, show_default=True, metavar="R", help="Leave out what is worth less."
)
@click.option(
    "--recoveries", type=float, default=0.0, metavar="P",
    help="With probability P the gold makes a mistake that is refused, and mends it.",
)  # fmt: skip
@click.option(
    "--thoughts", type=click.Choice(["none", "template"]), default="none", show_default=True,
    help="A sentence before each call of the gold.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, metavar="N", help="Of the mistakes.")
@workers_option
def export(path: Path, kind: str, out: Path | None, workers: int | None, **given: Any) -> None:
    """Write the worlds of the store PATH (data/out if not given) as Parquet files, or their tasks as rows for a trainer.

    The tables of parquet are worlds, tables, columns, keys, rules; tasks, the gold (one row a call) and rejections (why
    the gate refused others); and rows, which has every row of every world as JSON.  All other formats have a row for each
    task: conversations in which the gold is played (trl, openai, sharegpt, actionstudio), prompts with the address of the
    task (verl, skyrl, nemo), questions with their calls (bfcl, nestful).  docs/exports.md shows how each of them is loaded.

    \b
    Examples:
      worlddb export
      worlddb export data/small --format trl --split train --recoveries 0.2
      worlddb export data/small --format trl --split train=0.9,eval=0.1 --out data/sft.parquet
      worlddb export data/small --format openai --from runs/chat.jsonl
      worlddb export --format nestful --out questions.jsonl
    """
    source = click.get_current_context().get_parameter_source
    told = [n for n in given if (how := source(n)) is not None and how.name != "DEFAULT"]
    allowed = {"parquet": (), "nestful": ("split",)}.get(kind, tuple(given))
    if idle := [n for n in told if n not in allowed]:
        raise click.UsageError(f"--format {kind} takes no {' and no '.join(_OPTIONS.get(n, f'--{n}') for n in idle)}")
    if given["runs"] and (idle := [n for n in told if n in _OF_GOLD]):
        raise click.UsageError(f"--{idle[0]} is of the gold; leave it out where attempts come from a file")
    if kind == "nestful":
        _export_nestful(path, out, given["split"])
    elif kind in ATTEMPTS:
        _export_attempts(path, kind, out, workers, given)
    else:
        _export_tables(path, out, workers)


_OPTIONS = {"runs": "--from", "min_reward": "--min-reward"}
_OF_GOLD = ("recoveries", "thoughts", "seed")


def _export_tables(path: Path, out: Path | None, workers: int | None) -> None:
    from worlddb.export.parquet import export as export_store
    from worlddb.store import open_store

    note_unfinished(open_store(path))
    with progress("exporting worlds") as report:
        target = export_store(path, out, workers=workers, progress=report)
    click.echo(f'exported to {target}; try: worlddb query {target} "SELECT count(*) FROM rows"')


def _export_attempts(path: Path, kind: str, out: Path | None, workers: int | None, given: dict[str, Any]) -> None:
    from worlddb.export.golds import Manner
    from worlddb.export.rows import Order, export_rows
    from worlddb.export.splits import splits_of
    from worlddb.store import open_store

    if given["runs"] is None:
        note_unfinished(open_store(path))
    manner = Manner(given["recoveries"], given["thoughts"], given["seed"])
    order = Order(kind, splits_of(given["split"]), manner, given["min_reward"])
    with progress("exporting") as report:
        done = export_rows(path, order, out, runs=given["runs"], workers=workers, progress=report)
    wrote = ", ".join(f"{rows} rows are in {file}" for file, rows in done.rows.items())
    click.echo(f"{wrote}; attempts left out: {_reasons(done.left_out)}")


def _export_nestful(path: Path, out: Path | None, split: str | None) -> None:
    from worlddb.export.nestful import export as export_questions
    from worlddb.export.splits import keepers, splits_of
    from worlddb.store import open_store

    store = open_store(path)
    note_unfinished(store)
    base, splits = out or store.path / "nestful.jsonl", splits_of(split)
    for name, keep in keepers(splits):
        several = name and (splits.shares or out is None)
        target = base.with_name(f"{base.stem}-{name}{base.suffix}") if several else base
        with progress("exporting tasks") as report:
            done = export_questions(path, target, keep=keep, progress=report)
        click.echo(f"{done.samples} samples are in {done.path}; tasks left out: {_reasons(done.left_out)}")


def _reasons(left_out: dict[str, int]) -> str:
    return ", ".join(f"{n} because {why}" for why, n in sorted(left_out.items())) or "none"


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
