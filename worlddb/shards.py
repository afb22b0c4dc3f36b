"""Shards: a few worlds with their tasks in one SQLite file, packed; the files of which a store consists."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import zstandard

from worlddb.codecs import Codecs
from worlddb.errors import StoreError
from worlddb.files import partial_path, publish, unwritable
from worlddb.schema.model import Schema
from worlddb.tasks.model import Task
from worlddb.world.model import Recipe, World

if TYPE_CHECKING:
    import apsw

    from worlddb.gate import Batch

FORMAT = 2
"""Version of this layout; raised when an older worlddb could not read it.  1: without tasks."""
_TASKS = msgspec.msgpack.Decoder(Task)
_COUNTS, _FIGURES = msgspec.json.Decoder(dict[str, int]), msgspec.json.Decoder(dict[str, float])

_SHARD = """
CREATE TABLE worlds (
  position INTEGER PRIMARY KEY, id TEXT NOT NULL, recipe TEXT NOT NULL, digest TEXT NOT NULL, now INTEGER NOT NULL,
  locale TEXT NOT NULL, counts TEXT NOT NULL, size INTEGER NOT NULL, schema BLOB NOT NULL, image BLOB NOT NULL
) STRICT;
CREATE TABLE domains (id TEXT PRIMARY KEY, "group" TEXT NOT NULL, title TEXT NOT NULL, summary TEXT NOT NULL) STRICT;
"""
_SHARD_TASKS = """
CREATE TABLE tasks (
  position INTEGER NOT NULL, number INTEGER NOT NULL, id TEXT NOT NULL, family TEXT NOT NULL, structure TEXT NOT NULL,
  task BLOB NOT NULL, PRIMARY KEY (position, number)
) STRICT;
CREATE TABLE gates (
  position INTEGER PRIMARY KEY, proposed INTEGER NOT NULL, rejected TEXT NOT NULL, figures TEXT NOT NULL
) STRICT;
"""
"""Since format 2."""


class DomainNote(NamedTuple):
    """What a store says of a domain, so that nobody needs the domain file to read it."""

    id: str
    group: str
    title: str
    summary: str


class Gated(NamedTuple):
    """What the gate noted of a world: how many tasks were proposed, and why some were rejected."""

    proposed: int
    rejected: dict[str, int]
    """'family: reason' -> how many."""
    figures: dict[str, float]
    """Sums over the tasks."""


NOTHING = Gated(0, {}, {})
"""Of a world without tasks."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One world in a shard, still packed."""

    position: int
    id: str
    recipe: Recipe
    digest: str
    """SHA-256 of the image, in hex, as it was when the world was grown."""
    now: int
    locale: str
    counts: dict[str, int]
    size: int
    """Bytes of the image."""
    shard: Path
    codecs: Codecs
    packed_schema: bytes
    packed_image: bytes
    packed_tasks: tuple[bytes, ...] = ()
    """By number."""
    gated: Gated = NOTHING

    @property
    def stored(self) -> int:
        """Bytes of schema and image as stored; its tasks come on top."""
        return len(self.packed_schema) + len(self.packed_image)

    @cached_property
    def schema(self) -> Schema:
        """The world's schema."""
        with reading(self.shard):
            return msgspec.msgpack.decode(self.codecs.schemas.unpack(self.packed_schema), type=Schema)

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """The world's tasks, by number.

        Raises:
            StoreError: their bytes are damaged.
        """
        return _unpack_tasks(self.packed_tasks, self.codecs, self.shard)

    def world(self) -> World:
        """The world, unpacked; its tasks are unpacked when they are first asked for.

        Raises:
            StoreError: its bytes are damaged.
        """
        with reading(self.shard):
            image = self.codecs.images.unpack(self.packed_image)
        world = World(
            recipe=self.recipe, schema=self.schema, image=image, now=self.now, locale=self.locale, counts=self.counts
        )
        world.hold_tasks(partial(_unpack_tasks, self.packed_tasks, self.codecs, self.shard))
        return world


def shard_path(home: Path, number: int) -> Path:
    """Where a shard lies."""
    return home / "shards" / f"{number:05d}.sqlite"


def shard_numbers(home: Path, shards: int) -> list[int]:
    """The numbers below `shards` of the shards that are there, in order.

    The folder is listed once: to ask for each is slow on a network's file system, which also remembers what was not there.
    """
    try:
        names = [Path(entry.name) for entry in os.scandir(home / "shards")]
    except OSError:
        return []
    numbers = (int(name.stem) for name in names if name.suffix == ".sqlite" and name.stem.isdecimal())
    return sorted(n for n in numbers if n < shards)


def damaged(path: Path, what: object) -> StoreError:
    """The error for a damaged shard."""
    home = path.parent.parent
    return StoreError(
        f"{path} is damaged ({what}); remove it, and 'worlddb spawn --resume --out {home}' grows its worlds again"
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What goes wrong while a shard is read is damage to it, in one line."""
    import apsw

    try:
        yield
    except (apsw.Error, zstandard.ZstdError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise damaged(path, str(error).partition("\n")[0]) from None


def open_shard(path: Path) -> apsw.Connection:
    """A shard, to read; raises apsw.Error where it is damaged, and StoreError where it is of a newer format."""
    import apsw

    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    name = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    # immutable: a shard never changes, so readers need neither locks nor write permission
    db = apsw.Connection(f"file:{name}?immutable=1", flags=flags)
    version = db.pragma("user_version")
    if not isinstance(version, int) or version > FORMAT:
        raise StoreError(f"{path} has store format {version}, and this worlddb reads up to {FORMAT}; upgrade worlddb")
    return db


def _entry(row: tuple[Any, ...], path: Path, codecs: Codecs, noted: dict[int, _Note]) -> Entry:
    position, name, recipe, digest, now, locale, counts, size, schema, image = row
    tasks, gated = noted.get(position, ((), NOTHING))
    with reading(path):
        return Entry(
            position=position, id=name, recipe=msgspec.json.decode(recipe, type=Recipe), digest=digest, now=now,
            locale=locale, counts=msgspec.json.decode(counts, type=dict[str, int]), size=size, shard=path,
            codecs=codecs, packed_schema=schema, packed_image=image, packed_tasks=tasks, gated=gated,
        )  # fmt: skip


def read_shard(path: Path, codecs: Codecs) -> Iterator[Entry]:
    """The packed worlds of a shard, in order.

    Raises:
        StoreError: it is damaged.
    """
    with reading(path), closing(open_shard(path)) as db:
        noted = _notes(db)
        for row in db.execute("SELECT * FROM worlds ORDER BY position"):
            yield _entry(row, path, codecs, noted)


def read_entry(db: apsw.Connection, path: Path, position: int, codecs: Codecs) -> Entry:
    """The packed world at a position, from the open shard of that path.

    Raises:
        StoreError: it is damaged.
    """
    with reading(path):
        row = db.execute("SELECT * FROM worlds WHERE position = ?", (position,)).fetchone()
        noted = _notes(db, position)
    if row is None:
        raise damaged(path, f"world {position} is missing")
    return _entry(row, path, codecs, noted)


def read_ids(path: Path) -> list[str]:
    """The ids of a shard's worlds, in order.

    Raises:
        StoreError: it is damaged.
    """
    with reading(path), closing(open_shard(path)) as db:
        return [str(row[0]) for row in db.execute("SELECT id FROM worlds ORDER BY position")]


def read_domains(path: Path) -> list[DomainNote]:
    """The domains of a shard's worlds.

    Raises:
        StoreError: it is damaged.
    """
    with reading(path), closing(open_shard(path)) as db:
        return [DomainNote(*map(str, row)) for row in db.execute("SELECT * FROM domains ORDER BY id")]


class _Note(NamedTuple):
    """What a shard has on the tasks of one world."""

    packed: tuple[bytes, ...]
    gated: Gated


def _notes(db: apsw.Connection, position: int | None = None) -> dict[int, _Note]:
    """Position -> tasks and gate, of all worlds of a shard that were asked for tasks, or of one."""
    if not _has_tasks(db):
        return {}
    where, values = ("", ()) if position is None else (" WHERE position = ?", (position,))
    packed: dict[int, list[bytes]] = {}
    for at, task in db.execute(f"SELECT position, task FROM tasks{where} ORDER BY position, number", values):
        packed.setdefault(at, []).append(task)
    return {
        at: _Note(tuple(packed.get(at, ())), Gated(proposed, _COUNTS.decode(rejected), _FIGURES.decode(figures)))
        for at, proposed, rejected, figures in db.execute(f"SELECT * FROM gates{where} ORDER BY position", values)
    }


def _has_tasks(db: apsw.Connection) -> bool:
    return int(db.pragma("user_version")) >= 2


def _unpack_tasks(packed: Iterable[bytes], codecs: Codecs, shard: Path) -> tuple[Task, ...]:
    with reading(shard):
        return tuple(_TASKS.decode(codecs.tasks.unpack(task)) for task in packed)


def read_tasks(path: Path, codecs: Codecs) -> Iterator[Task]:
    """The tasks of a shard's worlds, in order, without the worlds.

    Raises:
        StoreError: it is damaged.
    """
    with reading(path), closing(open_shard(path)) as db:
        noted = _notes(db)
    for note in noted.values():
        yield from _unpack_tasks(note.packed, codecs, path)


def count_tasks(path: Path) -> int:
    """How many tasks a shard's worlds have.

    Raises:
        StoreError: it is damaged.
    """
    with reading(path), closing(open_shard(path)) as db:
        return int(db.execute("SELECT count(*) FROM tasks").get) if _has_tasks(db) else 0


def count_worlds(path: Path) -> int:
    """How many worlds a shard has.

    Raises:
        StoreError: it is damaged.
    """
    with reading(path), closing(open_shard(path)) as db:
        return int(db.execute("SELECT count(*) FROM worlds").get)


class Grown(NamedTuple):
    """One world on its way into a shard."""

    position: int
    world: World
    batch: Batch | None
    """Its tasks; None where none were asked for."""


def write_shard(
    path: Path, worlds: list[Grown], domains: dict[str, DomainNote], codecs: Codecs, layout: int = FORMAT
) -> None:
    """Write worlds to a new shard, which appears whole or not at all; `layout` is the format of the store.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    import apsw

    partial = partial_path(path)
    try:
        with closing(apsw.Connection(str(partial))) as db:
            # no journal and no syncs of SQLite's own: until the rename below nobody reads this file
            for pragma in ("page_size = 4096", "journal_mode = OFF", "synchronous = OFF", f"user_version = {layout}"):
                db.execute(f"PRAGMA {pragma}").fetchall()
            with db:
                db.execute(_SHARD)
                db.executemany(f"INSERT INTO worlds VALUES ({', '.join('?' * 10)})", (_row(w, codecs) for w in worlds))
                db.executemany("INSERT INTO domains VALUES (?, ?, ?, ?)", [domains[k] for k in sorted(domains)])
                if layout >= 2:
                    db.execute(_SHARD_TASKS)
                    db.executemany("INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?)", _task_rows(worlds, codecs))
                    db.executemany("INSERT INTO gates VALUES (?, ?, ?, ?)", _gate_rows(worlds))
        publish(partial, path)
    except (apsw.FullError, apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError) as error:
        raise unwritable(path, str(error)) from None
    except OSError as error:
        raise unwritable(path, error.strerror or str(error)) from None
    finally:
        partial.unlink(missing_ok=True)


def _row(grown: Grown, codecs: Codecs) -> tuple[object, ...]:
    world = grown.world
    recipe, counts = msgspec.json.encode(world.recipe).decode(), msgspec.json.encode(world.counts).decode()
    schema = codecs.schemas.pack(msgspec.msgpack.encode(world.schema))
    image = codecs.images.pack(world.image)
    return (
        grown.position, world.id, recipe, world.digest, world.now, world.locale, counts, len(world.image), schema, image
    )  # fmt: skip


def _task_rows(worlds: Iterable[Grown], codecs: Codecs) -> Iterator[tuple[object, ...]]:
    for position, _, batch in worlds:
        for task in batch.tasks if batch else ():
            packed = codecs.tasks.pack(pack_task(task))
            yield position, task_number(task), task.id, task.family, task.card.structure, packed


def family_and_reason(rejected: str) -> tuple[str, str]:
    """The two parts of a key of `Gated.rejected`."""
    family, colon, reason = rejected.partition(": ")
    return (family, reason) if colon else ("", rejected)


def task_number(task: Task) -> int:
    """The number in its id."""
    return int(task.id.rpartition("/")[2])


def pack_task(task: Task) -> bytes:
    """A task as it is stored, before compression: equal tasks give equal bytes."""
    return msgspec.msgpack.encode(task, order="deterministic")


def _gate_rows(worlds: Iterable[Grown]) -> Iterator[tuple[object, ...]]:
    for position, _, batch in worlds:
        if batch:
            rejected, figures = (
                msgspec.json.encode(x, order="sorted").decode() for x in (batch.rejected, batch.figures)
            )
            yield position, batch.proposed, rejected, figures
