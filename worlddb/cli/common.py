"""What the commands share: the store option, tables, JSON, and progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from worlddb.spawner import Progress
    from worlddb.store import Store

DEFAULT_STORE = Path("data/out")
PAGE = 80
"""Characters of a line, where there is no terminal to ask."""
Command = TypeVar("Command", bound=Callable[..., Any])


def store_argument(command: Command) -> Command:
    """PATH: the folder of a store, data/out if not given."""
    return click.argument("path", type=click.Path(path_type=Path), default=DEFAULT_STORE, required=False)(command)


def workers_option(command: Command) -> Command:
    """--workers."""
    return click.option("--workers", type=int, metavar="N", help="Processes; one per core if not given.")(command)


def crew_options(command: Command) -> Command:
    """--workers, --backend and --address: who does the work."""
    address = click.option(
        "--address", help="Ray cluster to use, 'auto' or HOST:PORT; if not given, it starts one here."
    )
    backend = click.option(
        "--backend", type=click.Choice(["process", "ray"]), default="process", show_default=True,
        help="Processes of this machine, or a Ray cluster whose machines share the folder.",
    )  # fmt: skip
    return workers_option(backend(address(command)))


def json_option(command: Command) -> Command:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(command)


def print_json(data: Any) -> None:
    """Print any data of ours as indented JSON."""
    import json

    import msgspec

    plain = msgspec.to_builtins(data, enc_hook=str)
    click.echo(json.dumps(plain, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under their column names, numbers to the right, lines cut to the width of a terminal.

    Where the output goes elsewhere, rows are whole, so that nothing is lost; the line under the names is no longer than a page
    is wide.
    """
    cells = [[_cell(v) for v in row] for row in rows]
    widths = [max(len(c), *(len(r[i]) for r in cells), 0) if cells else len(c) for i, c in enumerate(columns)]
    right = [bool(rows) and all(isinstance(r[i], int | float | None) for r in rows) for i in range(len(columns))]

    def line(values: Sequence[str]) -> str:
        aligned = (v.rjust(w) if r else v.ljust(w) for v, w, r in zip(values, widths, right, strict=True))
        return "  ".join(aligned).rstrip()

    rule = line(["─" * w for w in widths])[: terminal_width() or PAGE]
    for text in (line(columns), rule, *map(line, cells)):
        click.echo(_fitted(text))


def _cell(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split())


def _fitted(text: str) -> str:
    width = terminal_width()
    return text if not width or len(text) <= width else text[: width - 1] + "…"


def terminal_width() -> int:
    """The width of the terminal, in characters; 0 where the output goes elsewhere."""
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def save_text(path: Path, text: str) -> None:
    """Write a new file."""
    from worlddb.errors import StoreError

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise StoreError(f"{path} exists already; choose another name, or remove it first") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}; choose another place") from None


def note_unfinished(store: Store) -> None:
    """Say on stderr that a store lacks worlds."""
    if not store.finished:
        cure = f"'worlddb spawn --resume --out {store.path}' completes it"
        click.echo(f"note: {store.path} has {len(store)} of {store.recipe.n} worlds; {cure}", err=True)


@contextmanager
def progress(title: str) -> Iterator[Progress]:
    """A progress bar on stderr if that is a terminal, else a line every few seconds."""
    if not sys.stderr.isatty():
        yield _sparse_lines(title)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    look = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*look, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _sparse_lines(title: str, every: float = 5.0) -> Progress:
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= every:
            last = time.monotonic()
            click.echo(f"{title}: {done} of {total}", err=True)

    return report
