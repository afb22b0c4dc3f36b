"""Frames -> the image of a SQLite database, with the proof that every rule of the schema holds in it."""

from __future__ import annotations

from typing import Any

import apsw
import numpy as np

from worlddb.rng import Stream
from worlddb.schema.ddl import checks, names
from worlddb.schema.model import Column, Schema, Table
from worlddb.schema.rules import quote
from worlddb.semantics.types import semantic_type
from worlddb.world.frame import Array, Frame, Frames, Mask, is_moment

PAGE = 4096
"""Bytes per page: SQLite's own default; smaller pages make smaller files, but larger ones once they are compressed."""
APPLICATION_ID = 0x574C4442
"""'WLDB' in the database header, so that `file` and worlddb know what it is."""
SQLITE_VERSION = 3046000
"""What the header says of the library that wrote it: constant, or the bytes would depend on the installed SQLite."""
FIRST_KEYS = (1, 1, 1, 100, 1001, 5000)


def keys(frames: Frames, stream: Stream) -> dict[str, list[Any]]:
    """The primary keys of every table with a key of its own, in row order."""
    return {
        t.key: _keys(t, frames[t.key].n, stream.child(t.key))
        for t in frames.schema.tables
        if t.key_style != "composite"
    }


def _keys(table: Table, n: int, stream: Stream) -> list[Any]:
    if table.key_style == "uuid":
        high, low = stream.bits(n).tolist(), stream.bits(n).tolist()
        return [_uuid(a, b) for a, b in zip(high, low, strict=True)]
    first = stream.pick(FIRST_KEYS)
    if table.key_style == "code":
        return [f"{table.code_prefix}-{number:05d}" for number in range(first, first + n)]
    return list(range(first, first + n))


def _uuid(high: int, low: int) -> str:
    """A version 4 UUID from 128 random bits."""
    text = f"{(high & ~0xF000) | 0x4000:016x}{(low >> 2) | (1 << 63):016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def render(frame: Frame, ids: dict[str, list[Any]]) -> list[list[Any]]:
    """The columns of a table as they are stored, in the table's order."""
    moments = _texts(frame)
    return [_stored(frame, column, ids, moments) for column in frame.table.columns]


def _texts(frame: Frame) -> dict[str, Array]:
    """All moments of a table as ISO 8601 text, made in one go."""
    found = [c for c in frame.table.columns if is_moment(c.type)]
    if not found or not frame.n:
        return {c.key: np.empty(0, object) for c in found}
    stacked = np.concatenate([frame.cols[c.key] for c in found]).astype("datetime64[s]")
    letters = np.datetime_as_string(stacked, unit="s").astype("<U19").view(np.uint32).reshape(len(stacked), 19)
    letters[:, 10] = ord(" ")
    texts = letters.reshape(-1).view("<U19").reshape(len(found), frame.n)
    return {
        c.key: (texts[i].astype("<U10") if semantic_type(c.type).temporal == "date" else texts[i]).astype(object)
        for i, c in enumerate(found)
    }


def _stored(frame: Frame, column: Column, ids: dict[str, list[Any]], moments: dict[str, Array]) -> list[Any]:
    table, key = frame.table, column.key
    if key in ids.get(table.key, ()) or (key,) == table.primary_key:
        return ids[table.key]
    if key in table.parents:
        theirs = [*ids[table.parents[key].table], None]
        return [theirs[row] for row in frame.cols[key].tolist()]
    if table.polymorphic and key == table.polymorphic.id_column:
        return _targets(frame, ids, semantic_type(column.type).sql)
    values: Array = moments[key] if key in moments else frame.cols[key]
    if column.values:
        values = np.array(column.values, object)[values]
    null = frame.nulls.get(key)
    if null is not None and null.any():
        values = values.astype(object)
        values[null] = None
    return list(values.tolist())


def _targets(frame: Frame, ids: dict[str, list[Any]], sql: str) -> list[Any]:
    assert frame.table.polymorphic is not None
    pair = frame.table.polymorphic
    found = [
        ids[pair.tables[code]][row]
        for code, row in zip(frame.cols[pair.type_column].tolist(), frame.cols[pair.id_column].tolist(), strict=True)
    ]
    return [str(i) for i in found] if sql == "TEXT" else found


def load(frames: Frames, ids: dict[str, list[Any]], statements: list[str]) -> apsw.Connection:
    """A database in memory with all rows in it, foreign-key indexes included, unique indexes not yet.

    `statements` is the schema's `ddl`.
    """
    connection = apsw.Connection(":memory:")
    connection.execute(f"PRAGMA page_size = {PAGE}").fetchall()
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}").fetchall()
    connection.execute("PRAGMA ignore_check_constraints = ON").fetchall()
    connection.execute("BEGIN")
    for statement in statements:
        if statement.startswith("CREATE TABLE"):
            connection.execute(statement)
    for table in frames.schema.tables:
        columns = render(frames[table.key], ids)
        marks = ", ".join("?" * len(columns))
        connection.executemany(f"INSERT INTO {quote(table.name)} VALUES ({marks})", zip(*columns, strict=True))
    for statement in statements:
        if statement.startswith("CREATE INDEX"):
            connection.execute(statement)
    connection.execute("COMMIT")
    connection.execute("PRAGMA ignore_check_constraints = OFF").fetchall()
    return connection


def violations(schema: Schema, connection: apsw.Connection) -> dict[int, list[tuple[Any, ...]]]:
    """Rule number -> primary keys of the rows that break it; empty where all is well."""
    found = {}
    for number, rule in enumerate(schema.rules):
        rows = connection.execute(rule.violations(schema)).fetchall()
        if rows:
            found[number] = rows
    return found


def unchecked(schema: Schema, connection: apsw.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Table -> primary keys of the rows that fail one of its CHECKs; empty where all is well."""
    found = {}
    for table in schema.tables:
        bodies = " AND ".join(f"({body})" for body in checks(schema, table))
        if bodies:
            own = names(table, table.primary_key)
            rows = connection.execute(f"SELECT {own} FROM {quote(table.name)} WHERE NOT ({bodies})").fetchall()
            if rows:
                found[table.key] = rows
    return found


def faults(connection: apsw.Connection, pragma: str = "integrity_check") -> list[str]:
    """What SQLite itself finds wrong: types, CHECKs, NOT NULLs, foreign keys.  Empty where all is well.

    `pragma` may be 'quick_check' for a database just made, whose indexes need not be held against their tables.
    """
    found = [str(row[0]) for row in connection.execute(f"PRAGMA {pragma}(20)").fetchall() if row[0] != "ok"]
    keys = connection.execute("PRAGMA foreign_key_check").fetchall()
    return found + [f"row {row} of {table} refers to a missing row of {parent}" for table, row, parent, _ in keys[:20]]


def marks(
    frames: Frames, ids: dict[str, list[Any]], broken: list[tuple[str, list[tuple[Any, ...]]]]
) -> dict[str, Mask]:
    """Rows given by table and primary key, as masks over the frames."""
    found: dict[str, Mask] = {}
    for table, rows in broken:
        frame = frames[table]
        if frame.table.key_style == "composite":
            parts = [_stored(frame, frame.table[k], ids, {}) for k in frame.table.primary_key]
            own = {key: row for row, key in enumerate(zip(*parts, strict=True))}
        else:
            own = {(key,): row for row, key in enumerate(ids[table])}
        mask = found.setdefault(table, np.zeros(frame.n, bool))
        mask[[own[row] for row in rows]] = True
    return found


def serialise(connection: apsw.Connection, statements: list[str]) -> bytes:
    """Add the unique indexes, and give the file's bytes, the same whatever SQLite wrote them."""
    for statement in statements:
        if statement.startswith("CREATE UNIQUE INDEX"):
            connection.execute(statement)
    image = bytearray(connection.serialize("main"))
    image[96:100] = SQLITE_VERSION.to_bytes(4, "big")
    return bytes(image)
