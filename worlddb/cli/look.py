"""The commands that look at worlds."""

from __future__ import annotations

from pathlib import Path

import click

from worlddb.cli.common import (
    json_option,
    note_unfinished,
    print_json,
    print_table,
    progress,
    save_text,
    store_argument,
    workers_option,
)

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
    from worlddb.catalog import worlds
    from worlddb.store import open_store

    store = open_store(path)
    note_unfinished(store)
    found = worlds(store, domain, profile, locale)
    if as_json:
        print_json([w.model_dump() for w in found])
        return
    columns = ("world", "profile", "locale", "tables", "columns", "rules", "rows", "title")
    print_table(columns, [[getattr(w, c) for c in columns] for w in found])


@click.command()
@click.argument("world")
@_store_option
@_profile_option
@click.option("--rows", default=3, show_default=True, help="Sample rows of each table.")
@click.option("--rules", is_flag=True, help="Only the business rules.")
@click.option("--mermaid", is_flag=True, help="Only an ER diagram, as Mermaid.")
@click.option("--svg", type=click.Path(path_type=Path), help="Write an ER diagram to this SVG file instead.")
def show(world: str, store: Path | None, profile: str, rows: int, rules: bool, mermaid: bool, svg: Path | None) -> None:
    """Show one world: its schema as a tree, its rules, and some rows.

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
@store_argument
@click.option("--regrow", is_flag=True, help="Grow each world again from its recipe, too, and compare.")
@click.option("--pools", type=click.Path(path_type=Path), help="The value pools that the store was grown with.")
@click.option("--domain", default="", help="The domain file that the store was grown with.")
@json_option
@workers_option
def check(path: Path, regrow: bool, pools: Path | None, domain: str, as_json: bool, workers: int | None) -> None:
    """Check every world of the store PATH (data/out if not given): digest, integrity, foreign keys, rules.

    The exit status is 1 where anything is wrong.

    \b
    Examples:
      worlddb check
      worlddb check data/small --regrow --json
    """
    from worlddb.check import check_store

    with progress("checking") as report:
        found = check_store(path, regrow=regrow, pools=pools, domain=domain, workers=workers, progress=report)
    if as_json:
        print_json(found)
    else:
        if found.faults:
            print_table(("where", "fault"), [(f.where, f.what) for f in found.faults])
        click.echo(f"{found.sound} of {found.worlds} worlds are sound")
    if not found.ok:
        raise SystemExit(1)
