"""Verdicts on an agent that acted elsewhere, from the database before and after.

Only what is committed counts.  A file is copied with its journal or WAL and opened as SQLite would after a crash, so that a
transaction that was left open is as if it had never begun; the caller's files stay as they are.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import apsw

from worlddb.episode.verdict import Line, Verdict
from worlddb.episode.verify import UNANSWERED, Trail, verdict_on
from worlddb.errors import BadRequest, StoreError
from worlddb.schema.model import Schema, Table
from worlddb.schema.rules import quote
from worlddb.tasks.forms import Window, window_of
from worlddb.tasks.goal import Goal
from worlddb.tools.session import Start
from worlddb.world.diff import Diff, Row
from worlddb.world.model import World

Snapshot: TypeAlias = str | Path | bytes | apsw.Connection | sqlite3.Connection
"""A database: a file, the bytes of one, or a connection."""

DAY = 86_400
TOLD = 10
"""Violations that are told one by one."""
_BESIDE = ("-wal", "-journal")


class Unfinished(BadRequest):
    """A connection with an open transaction: what is committed cannot be told from it."""


class Damaged(StoreError):
    """A file or image that SQLite cannot read."""


@contextmanager
def opened(snapshot: Snapshot) -> Iterator[apsw.Connection]:
    """A private copy of what a snapshot has committed.

    Raises:
        StoreError: there is no such file; Damaged: it is no database.
        Unfinished: a connection to a database in memory has an open transaction.
    """
    with tempfile.TemporaryDirectory(prefix="worlddb-") as folder:
        connection = apsw.Connection(":memory:")
        try:
            if isinstance(snapshot, apsw.Connection | sqlite3.Connection):
                source = _file_of(snapshot)
                if source and Path(source).is_file():
                    connection.close()
                    connection = _copied(Path(source), Path(folder))
                elif snapshot.in_transaction:
                    raise Unfinished("the connection has an open transaction; commit it or roll it back first")
                else:
                    connection.deserialize("main", _image(snapshot))
            elif isinstance(snapshot, bytes):
                connection.deserialize("main", snapshot)
            else:
                connection.close()
                connection = _copied(Path(snapshot), Path(folder))
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            yield connection
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise Damaged(f"this is no sound SQLite database: {error}") from None
        finally:
            connection.close()


def _file_of(connection: apsw.Connection | sqlite3.Connection) -> str:
    """The file behind a connection; '' or a mere name for one in memory."""
    if isinstance(connection, apsw.Connection):
        return connection.db_filename("main")
    return next((str(row[2]) for row in connection.execute("PRAGMA database_list") if row[1] == "main"), "")


def _image(connection: apsw.Connection | sqlite3.Connection) -> bytes:
    return connection.serialize("main") if isinstance(connection, apsw.Connection) else connection.serialize()


def _copied(path: Path, folder: Path) -> apsw.Connection:
    """A copy of a database file with all that belongs to it, opened: SQLite rolls back what was never committed."""
    _there(path)
    target = folder / "copy.sqlite"
    shutil.copyfile(path, target)
    for ending in _BESIDE:
        beside = path.with_name(path.name + ending)
        if beside.is_file():
            shutil.copyfile(beside, target.with_name(target.name + ending))
    return apsw.Connection(str(target))


# --- the difference


def diff_of(schema: Schema, before: Snapshot, after: Snapshot) -> Diff:
    """The net row changes between two snapshots, by primary key: equal to the diff of the episode that led from one to the other.

    Raises:
        BadRequest: a table of the schema is missing, or has other columns.
        StoreError: one of them is no database.
    """
    with opened(before) as first, opened(after) as second:
        return _diff(schema, first, second)


def _diff(schema: Schema, first: apsw.Connection, second: apsw.Connection) -> Diff:
    diff = Diff()
    for table in schema.tables:
        places = [i for k in table.primary_key for i, c in enumerate(table.columns) if c.key == k]
        old, new = _rows(first, table), _rows(second, table)
        gone = {tuple(row[i] for i in places): row for row in old - new}
        made = {tuple(row[i] for i in places): row for row in new - old}
        for key in (*gone, *(k for k in made if k not in gone)):
            diff.add(table.key, key, gone.get(key), made.get(key))
    return diff


def _rows(connection: apsw.Connection, table: Table) -> set[Row]:
    sql = f"SELECT {', '.join(quote(c.name) for c in table.columns)} FROM {quote(table.name)}"
    try:
        return set(connection.execute(sql))
    except apsw.SQLError as error:
        raise BadRequest(f"the table {table.name} is not as in the schema: {error}") from None


# --- is the database as it should be?


def breaches(schema: Schema, first: apsw.Connection, second: apsw.Connection) -> Iterator[Line]:
    """What is wrong with the second database: its schema is another one, it is damaged, or rows break a rule."""
    old, new = _objects(first), _objects(second)
    for name in sorted({n for n, _ in old ^ new}):
        state = (
            "is gone" if name not in {n for n, _ in new} else "is new" if name not in {n for n, _ in old} else "differs"
        )
        yield Line(kind="SCHEMA", text=f"{name} {state}")
    for (text,) in list(second.execute("PRAGMA integrity_check(10)")):
        if text != "ok":
            yield Line(kind="INTEGRITY", text=str(text))
    known = set(first.execute("PRAGMA foreign_key_check"))
    broken = [row for row in second.execute("PRAGMA foreign_key_check") if row not in known]
    for child, rowid, parent, _ in broken[:TOLD]:
        yield Line(kind="INTEGRITY", text=f"{child} row {rowid} refers to a row of {parent} that is not there")
    for rule in schema.rules:
        sql = rule.violations(schema)
        found = list(second.execute(sql))
        fresh = [row for row in found if row not in set(first.execute(sql))] if found else []
        if fresh:
            yield Line(
                kind="INTEGRITY", text=f"{rule.say} Broken by {len(fresh)} rows, such as {fresh[0]}", table=rule.table
            )


def _objects(connection: apsw.Connection) -> set[tuple[str, str]]:
    """Tables, indexes, views and triggers with their SQL; what SQLite keeps for itself aside."""
    sql = (
        "SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    return {(str(name), str(text)) for name, text in connection.execute(sql)}


# --- the verdict


def verify_snapshots(
    world: World,
    goal: Goal,
    before: Snapshot | None,
    after: Snapshot,
    answer: Any = UNANSWERED,
    *,
    start: Start | None = None,
    now: int | None = None,
) -> Verdict:
    """The verdict from two snapshots alone; `before` None is the world as it was grown.

    What only a journal tells (forbidden moments, evidence) is named in `not_judged`.  Clock columns may hold any moment from
    the start of the episode to `now` (Unix seconds), by default a day later.

    Raises:
        StoreError: there is no such file.
    """
    began = world.now + (start or Start()).clock
    window = window_of(began, began + DAY if now is None else now)
    _there(before)
    _there(after)

    def trail() -> Trail:
        with opened(world.image if before is None else before) as first:
            try:
                with opened(after) as second:
                    return _trail(world.schema, first, second, window, answer)
            except (Unfinished, Damaged) as failure:
                line = Line(kind="INTEGRITY", text=str(failure))
                return Trail(world.schema, Diff(), window, answer, breaches=(line,))

    return verdict_on(goal, trail)


def _there(snapshot: Snapshot | None) -> None:
    """Raises StoreError for a file that does not exist: a slip of the caller's and nothing that an agent did."""
    if isinstance(snapshot, str | Path) and not Path(snapshot).is_file():
        raise StoreError(f"there is no file {snapshot}")


def _trail(schema: Schema, first: apsw.Connection, second: apsw.Connection, window: Window, answer: Any) -> Trail:
    found = tuple(_told(schema, first, second))
    try:
        diff = _diff(schema, first, second)
    except BadRequest as failure:
        diff, found = Diff(), (*found, Line(kind="SCHEMA", text=str(failure)))
    return Trail(schema, diff, window, answer, breaches=found)


def _told(schema: Schema, first: apsw.Connection, second: apsw.Connection) -> Iterator[Line]:
    """`breaches`, up to the first question that a changed schema leaves without an answer."""
    try:
        yield from breaches(schema, first, second)
    except apsw.SQLError as error:
        yield Line(kind="SCHEMA", text=f"it cannot be checked: {error}")
