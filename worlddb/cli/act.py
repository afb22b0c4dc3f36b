"""The commands that act in a world: its tools, and calls of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worlddb.cli.common import Command, print_json, terminal_width

if TYPE_CHECKING:
    from worlddb.tools.model import Tool
    from worlddb.tools.session import Entry, Session
    from worlddb.tools.toolset import Toolset
    from worlddb.world.model import World

_OPTIONS = (
    click.option(
        "--store", type=click.Path(path_type=Path), help="Take the world from this store; else from data/out, or grow it."
    ),
    click.option(
        "--profile", default="default", show_default=True, help="Profile to grow with where no store has the world."
    ),
    click.option("--style", default="", help="Style of the API, such as crud; the world's own if not given."),
    click.option(
        "--sets", type=click.Choice(["crud", "sql", "both", "sql_read", "both_read"]), default="crud",
        show_default=True, help="Tools of the business, free SQL, or both; in *_read, SQL only reads.",
    ),
)  # fmt: skip
_COLOURS = {"+": "green", "-": "red", "~": "yellow"}


def world_options(command: Command) -> Command:
    """--store, --profile, --style and --sets: which world, and which API of it."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def find_api(world: str, store: Path | None, profile: str, style: str, sets: str) -> tuple[World, Toolset]:
    """The world that the options name, and its API."""
    from worlddb.store import find_world

    found = find_world(world, store, profile)
    return found, found.toolset(style or None, sets=sets)


@click.command()
@click.argument("world")
@world_options
@click.option(
    "--format", "form", type=click.Choice(["table", "openai", "mcp", "json"]), default="table", show_default=True,
    help="For people, for a framework, or all that a tool is.",
)  # fmt: skip
@click.option("--kind", "kinds", multiple=True, help="Only tools of this kind, such as create; repeatable.")
@click.option("--name", default="", help="One tool: parameters, answer, errors and rules.")
def tools(
    world: str, store: Path | None, profile: str, style: str, sets: str, form: str, kinds: tuple[str, ...], name: str
) -> None:
    """Show the tools that an agent gets in a world.

    WORLD is an id (hotel-12), a seed (42) or an index in the store ('#12').  The signs before a table tell what a tool
    may do there: + new rows, ~ changed rows, - deleted rows.  --name TOOL tells all about one of them.

    \b
    Examples:
      worlddb tools 42
      worlddb tools hotel-12 --style crud --kind create --kind transition
      worlddb tools '#0' --store data/small
      worlddb tools 42 --sets sql --name run_sql
      worlddb tools 42 --format openai > tools.json
    """
    from worlddb.errors import UnknownName
    from worlddb.tools import show
    from worlddb.tools.model import KINDS

    found, toolset = find_api(world, store, profile, style, sets)
    for kind in kinds:
        if kind not in KINDS:
            raise UnknownName("kind of tool", kind, KINDS)
    chosen = [toolset[name]] if name else [t for t in toolset if not kinds or t.kind in kinds]
    if form != "table":
        print_json(_forms(toolset, form, chosen))
    elif name:
        click.echo("\n".join(show.tool_lines(chosen[0], found.schema)))
    else:
        lines = show.tools_lines(chosen, found.schema, terminal_width() or show.TABLE)
        click.echo("\n".join([*lines, *[""] * bool(lines), show.kinds_text(chosen)]))


def _forms(toolset: Toolset, form: str, chosen: Sequence[Tool]) -> list[Any]:
    """The chosen tools as a framework wants them; 'json': as they are, programs included."""
    import json

    forms: dict[str, Callable[[], Any]] = {
        "openai": toolset.openai, "mcp": toolset.mcp, "json": lambda: json.loads(toolset.json()),
    }  # fmt: skip
    names = {t.name for t in chosen}
    return [data for tool, data in zip(toolset, forms[form](), strict=True) if tool.name in names]


@click.command()
@click.argument("world")
@click.argument("tool")
@click.argument("arguments", nargs=-1)
@world_options
@click.option(
    "--then", nargs=2, multiple=True, metavar="TOOL ARGUMENTS", help="A further call in the same episode; repeatable."
)
@click.option(
    "--session", "file", type=click.Path(path_type=Path, dir_okay=False),
    help="File of the episode: gone on with where it is there, written afterwards.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON: tool, ok, result and changes; a list with --then.")
def call(
    world: str, tool: str, arguments: tuple[str, ...], store: Path | None, profile: str, style: str, sets: str,
    then: tuple[tuple[str, str], ...], file: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Call a tool as an agent would, and show the result and the row changes that it made.

    WORLD is an id (hotel-12), a seed (42) or an index in the store ('#12').  TOOL is one that 'worlddb tools WORLD'
    shows.  ARGUMENTS are JSON, or name=value pairs, or - for JSON from stdin; a bare value goes to the next required
    parameter.  The exit status is 1 where a call was refused.  Nothing is kept without --session.

    \b
    In general:
      worlddb call WORLD TOOL name=value ids=1,2
      worlddb call WORLD TOOL '{"name": "value", "ids": [1, 2]}'

    \b
    Examples:
      worlddb call 42 run_sql 'sql=SELECT name FROM sqlite_schema' --sets sql
      worlddb call 42 run_sql '{"sql": "SELECT 1 + 1 AS two"}' --sets both --json
      worlddb call hotel-12 run_sql 'SELECT 1 AS one' --then run_sql 'sql="SELECT 2 AS two"' --sets sql
      worlddb call 42 run_sql 'SELECT 1 AS one' --sets sql --session stay.bin
      worlddb call 42 run_sql 'SELECT 2 AS two' --sets sql --session stay.bin
    """
    from worlddb.cli.line import read_json, read_text, read_words, tool_named

    found, toolset = find_api(world, store, profile, style, sets)
    session = open_session(found, toolset, file)
    if arguments == ("-",):
        given: Any = read_json(sys.stdin.read())
    else:
        given = read_words(tool_named(toolset, tool), arguments)
    calls = [(tool, given), *((name, read_text(tool_named(toolset, name), text)) for name, text in then)]
    entries = []
    for name, values in calls:
        session.call(name, values)
        entries.append(session.journal[-1])
    if file is not None:
        save_session(session, file)
    if as_json:
        data = [call_data(session, e) for e in entries]
        print_json(data if then else data[0])
    else:
        for entry in entries:
            _print_entry(session, entry, headed=len(entries) > 1)
    if not all(e.result.ok for e in entries):
        raise SystemExit(1)


def call_data(session: Session, entry: Entry) -> dict[str, Any]:
    """One call for scripts: {tool, ok, result, changes}."""
    from worlddb.tools.show import answer_data, change_data

    changes = [change_data(session.world.schema, c) for c in entry.changes]
    return {"tool": entry.name, "ok": entry.result.ok, "result": answer_data(entry.result), "changes": changes}


def _print_entry(session: Session, entry: Entry, *, headed: bool) -> None:
    from worlddb.tools import show

    if headed:
        click.echo(f"> {entry.name}")
    print_answer(show.pretty(show.answer_data(entry.result)))
    lines = show.diff_lines(session.world.schema, entry.changes)
    for line in (*lines, *([show.diff_summary(entry.changes)] if entry.wrote else ())):
        click.echo(painted(line))


def print_answer(text: str) -> None:
    """Print JSON, coloured on a terminal."""
    if not sys.stdout.isatty():
        click.echo(text)
        return
    from rich.console import Console

    Console().print_json(text)


def painted(line: str) -> str:
    """A line of a diff in the colour of its sign."""
    colour = _COLOURS.get(line[:1]) if line[1:2] == " " else None
    return click.style(line, fg=colour) if colour else line


# --- episodes in files


def open_session(world: World, toolset: Toolset, file: Path | None) -> Session:
    """The episode in a file, or a new one where there is no such file.

    Raises:
        BadRequest: the file holds no episode of this world and API.
        StoreError: it cannot be read.
    """
    from worlddb.errors import BadRequest, StoreError
    from worlddb.tools.session import resume

    if file is None:
        return world.session(toolset)
    try:
        return resume(world, toolset, file.read_bytes())
    except FileNotFoundError:
        return world.session(toolset)
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}") from None
    except BadRequest as error:
        raise BadRequest(f"{file}: {error}") from None


def save_session(session: Session, file: Path) -> None:
    """Write the episode to a file; one that was there is replaced as a whole, or stays as it was.

    Raises:
        StoreError: it cannot be written.
    """
    from worlddb.errors import StoreError

    part = file.with_name(f"{file.name}.part")
    try:
        part.write_bytes(session.suspend())
        part.replace(file)
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror}; choose another place") from None


@click.command()
@click.argument("world")
@world_options
def handbook(world: str, store: Path | None, profile: str, style: str, sets: str) -> None:
    """Print the handbook of a world, as its staff would be handed it: what there is, the rules, the policies.

    WORLD is an id (hotel-12), a seed (42) or an index in the store ('#12').  The rules are the system's own; policies hold in
    tasks of the profile 'policy', and some of them no system enforces.

    \b
    Examples:
      worlddb handbook 42
      worlddb handbook hotel-12 --style rest > handbook.md
    """
    from worlddb.policies.text import policies_text

    found, toolset = find_api(world, store, profile, style, sets)
    click.echo(f"{toolset.handbook()}\n{policies_text(found)}", nl=False)
