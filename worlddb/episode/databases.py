"""The net row changes between two SQLite databases of any origin, by the keys that they declare themselves."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from worlddb.episode.snapshots import Snapshot, diff_of, opened
from worlddb.errors import BadRequest, UnknownName
from worlddb.schema.model import Schema, Table
from worlddb.schema.reflect import reflect
from worlddb.schema.rules import quote
from worlddb.world.diff import Diff


def compared(before: Snapshot, after: Snapshot, tables: Collection[str] = ()) -> tuple[Schema, Diff]:
    """The schema that two databases share, and the net row changes from one to the other.

    Keys in the schema equal names.  `tables` are those to look at; empty: all.

    Raises:
        BadRequest: the schemas differ, or a table has no primary key.
        UnknownName: there is no such table.
        StoreError: a file is missing, or is no SQLite database.
    """
    with opened(before) as first, opened(after) as second:
        schema, other = reflect(first), reflect(second)
        known = {t.name: t for t in schema.tables} | {t.name: t for t in other.tables}
        for name in tables:
            if name not in known:
                raise UnknownName("table", name, known)
        wanted = [t for t in known.values() if not tables or t.name in tables]
        for table in wanted:
            _admit(schema, other, table)
            for connection in (first, second):
                _keyed(connection, table)
    shared = msgspec.structs.replace(schema, tables=tuple(t for t in schema.tables if t in wanted or t.name in tables))
    return shared, diff_of(shared, before, after)


def _admit(schema: Schema, other: Schema, table: Table) -> None:
    """Refuse a table whose rows cannot be compared."""
    cure = "name the tables to compare with --table"
    for side, one in (("before", schema), ("after", other)):
        if table.name not in one:
            raise BadRequest(f"the schemas differ: only one has the table {table.name}, not the one {side}; {cure}")
    old, new = ([c.name for c in s[table.name].columns] for s in (schema, other))
    if old != new or schema[table.name].primary_key != other[table.name].primary_key:
        odd = sorted(set(old) ^ set(new))
        what = f"columns ({', '.join(odd)})" if odd else "columns or keys in another order"
        raise BadRequest(f"the schemas differ: {table.name} has other {what} afterwards; {cure}")
    if not table.primary_key:
        raise BadRequest(f"{table.name} has no primary key, by which its rows could be told apart; {cure}")


def _keyed(connection: Any, table: Table) -> None:
    """Refuse rows without a key, which SQLite lets pass."""
    empty = " OR ".join(f"{quote(k)} IS NULL" for k in table.primary_key)
    if connection.execute(f"SELECT EXISTS (SELECT 1 FROM {quote(table.name)} WHERE {empty})").fetchone()[0]:
        raise BadRequest(f"{table.name} has rows whose primary key is NULL; name the tables to compare with --table")
