"""The commands that look at worlds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from worlddb.cli.common import (
    DEFAULT_STORE,
    crew_options,
    json_option,
    note_unfinished,
    print_json,
    print_table,
    progress,
    save_text,
    store_argument,
    workers_option,
)

if TYPE_CHECKING:
    from worlddb.check import Report
    from worlddb.disjoint import Disjoint

_store_option = click.option(
    "--store", type=click.Path(path_type=Path), help="Take the world from this store; else from data/out, or grow it."
)
_profile_option = click.option(
    "--profile", default="default", show_default=True, help="Profile to grow with where no store has the world."
)


@click.command("list")
@store_argument
@click.option("--domain", default="", help="Only worlds of this domain.")
@click.option("--profile", default="", help="Only worlds of this profile.")
@click.option("--locale", default="", help="Only worlds of this locale, such as de_DE.")
@json_option
def list_worlds(path: Path, domain: str, profile: str, locale: str, as_json: bool) -> None:
    """List the worlds of the store PATH (data/out if not given).

    \b
    Examples:
      worlddb list
      worlddb list data/small --domain hotel --json
    """
    from worlddb.catalog import task_counts, worlds
    from worlddb.store import open_store

    store = open_store(path)
    note_unfinished(store)
    found = worlds(store, domain, profile, locale)
    tasks = task_counts(store)
    rows = [{**w.model_dump(), "tasks": tasks.get(w.position, 0)} for w in found]
    if as_json:
        print_json(rows)
        return
    columns = ("world", "profile", "locale", "tables", "columns", "rules", "rows", "tasks", "title")
    print_table(columns, [[row[c] for c in columns] for row in rows])


@click.command()
@click.argument("world")
@_store_option
@_profile_option
@click.option("--rows", default=3, show_default=True, help="Sample rows of each table.")
@click.option("--rules", is_flag=True, help="Only the business rules.")
@click.option("--mermaid", is_flag=True, help="Only an ER diagram, as Mermaid.")
@click.option("--svg", type=click.Path(path_type=Path), help="Write an ER diagram to this SVG file instead.")
def show(world: str, store: Path | None, profile: str, rows: int, rules: bool, mermaid: bool, svg: Path | None) -> None:
    """Show one world: its schema as a tree, its rules, some rows, and the tasks that its store has.

    WORLD is an id (hotel-42), a seed (42) or an index in the store ('#12').

    \b
    Examples:
      worlddb show 42
      worlddb show hotel-42 --store data/small --svg hotel.svg
      worlddb show '#0' --mermaid
    """
    from worlddb.describe import first_rows, samples
    from worlddb.schema import diagram
    from worlddb.store import find_world

    found = find_world(world, store, profile)
    if svg is not None:
        save_text(svg, diagram.svg(found.schema))
        click.echo(f"the diagram of {found.id} is in {svg}")
    elif mermaid:
        click.echo(diagram.mermaid(found.schema))
    elif rules:
        for rule in found.schema.rules:
            click.echo(f"{rule.kind:<14} {found.schema[rule.table].name}: {rule.say}")
    else:
        click.echo(diagram.tree(found.schema, first_rows(found)))
        for table, columns, sample in samples(found, rows):
            click.echo(f"\n{table}")
            print_table(columns, sample)
        if found.holds_tasks and found.tasks:
            click.echo("\ntasks")
            print_table(
                ("task", "family", "calls", "instruction"),
                [(t.id, t.family, t.card.calls, t.instruction) for t in found.tasks],
            )


@click.command("open")
@click.argument("world")
@click.option("--to", type=click.Path(path_type=Path), required=True, help="The SQLite file to write.")
@_store_option
@_profile_option
def open_world(world: str, to: Path, store: Path | None, profile: str) -> None:
    """Write one world to a SQLite file, which any SQLite client opens.

    WORLD is an id (hotel-42), a seed (42) or an index in the store ('#12').

    \b
    Example:
      worlddb open hotel-42 --to hotel.sqlite && sqlite3 hotel.sqlite .schema
    """
    from worlddb.store import find_world

    found = find_world(world, store, profile)
    found.save(to)
    click.echo(f"{found.id}, {found.rows} rows, is in {to}")


@click.command()
@store_argument
@json_option
@workers_option
def stats(path: Path, as_json: bool, workers: int | None) -> None:
    """Measure how real the worlds of PATH look, beside the bars.

    PATH is a store (data/out if not given), a SQLite file of any origin, or a folder of such files.

    \b
    Examples:
      worlddb stats
      worlddb stats chinook.sqlite --json
    """
    from worlddb.schema.metrics import columns
    from worlddb.stats import stats as measure

    with progress("measuring") as report:
        found = measure(path, workers=workers, progress=report)
    if as_json:
        print_json(found)
        return
    rows = columns(found)
    print_table(list(rows[0]), [list(row.values()) for row in rows])
    judged = sum(r.inside is not None for r in found.rows)
    click.echo(f"\n{found.databases} databases; {judged - len(found.outside)} of {judged} metrics inside their bars")


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option("--regrow", is_flag=True, help="Make each world and its tasks again from the recipe, too, and compare.")
@click.option("--pools", type=click.Path(path_type=Path), help="The value pools that the store was grown with.")
@click.option("--domain", default="", help="The domain file that the store was grown with.")
@json_option
@crew_options
def check(
    paths: tuple[Path, ...], regrow: bool, pools: Path | None, domain: str, as_json: bool, workers: int | None, backend: str,
    address: str | None,
) -> None:  # fmt: skip
    """Check every world and task of the store PATH (data/out if not given).

    Worlds: digest, integrity, foreign keys, rules.  Tasks: the gold, played in the world, earns the reward, and doing
    nothing does not; in a store of a suite, nothing is used that the suite holds out.  What the gate rejected, and why,
    is shown as well.  Of several stores it is also shown that no two have a world or a structure of tasks in common.

    The exit status is 1 where anything is wrong.

    \b
    Examples:
      worlddb check
      worlddb check data/small --regrow --json
      worlddb check data/train data/eval
    """
    from worlddb.check import check_store
    from worlddb.disjoint import check_disjoint

    found = []
    for path in paths or (DEFAULT_STORE,):
        with progress(f"checking {path}" if len(paths) > 1 else "checking") as report:
            found.append(
                check_store(
                    path, regrow=regrow, pools=pools, domain=domain, workers=workers, backend=backend, address=address,
                    progress=report,
                )
            )  # fmt: skip
    apart = check_disjoint(paths) if len(paths) > 1 else None
    if as_json:
        print_json({"stores": found, "content": apart.stores, "in_common": apart.pairs} if apart else found[0])
    else:
        for one in found:
            _print_report(one, named=len(found) > 1)
        if apart:
            _print_disjoint(apart)
    if not all(one.ok for one in found) or (apart and not apart.ok):
        raise SystemExit(1)


def _print_report(found: Report, *, named: bool) -> None:
    if found.faults:
        print_table(("where", "fault"), [(f.where, f.what) for f in found.faults])
    click.echo(f"{found.path + ': ' if named else ''}{found.sound} of {found.worlds} worlds are sound")
    tasks = found.tasks
    if not tasks.asked:
        return
    less = f"; {tasks.short} worlds have fewer" if tasks.short else ""
    click.echo(f"{tasks.sound} of {tasks.admitted} tasks are sound, {tasks.asked} were asked for{less}")
    click.echo(f"{tasks.structures} structures; {tasks.proposed} proposals\n")
    print_table(
        ("family", "tasks", "admitted", "proposed", "rate"),
        [(f.family, f.tasks, f.admitted, f.proposed, f"{f.rate:.1%}") for f in tasks.families],
    )
    if tasks.rejected:
        click.echo()
        print_table(
            ("family", "rejected because", "proposals"), [(r.family, r.reason, r.proposals) for r in tasks.rejected]
        )
        click.echo()
        print_table(("rejected because", "which means"), list({r.reason: r.means for r in tasks.rejected}.items()))
    if tasks.figures:
        click.echo()
        print_table(("measured by the gate", "in all"), [(k, round(v, 4)) for k, v in tasks.figures.items()])
    click.echo()


def _print_disjoint(apart: Disjoint) -> None:
    print_table(
        ("store", "suite", "worlds", "tasks", "structures", "domains"),
        [(s.path, s.suite, s.worlds, s.tasks, s.structures, s.domains) for s in apart.stores],
    )
    click.echo()
    print_table(
        ("in common", "worlds", "structures", "instructions", "domains"),
        [(f"{p.one} and {p.other}", p.worlds, p.structures, p.instructions, p.domains) for p in apart.pairs],
    )
    for pair in apart.pairs:
        for fault in pair.faults:
            click.echo(f"{pair.one} and {pair.other}: {fault}")
