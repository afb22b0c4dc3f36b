"""Evidence that no list of shown rows can tell: what an aggregate stood for, and what a query of the agent's own rested on.

A query in free SQL shows values and no rows.  It has *considered* a row if its answer would have been another without that
row: in the world as it was then, or in that world without the other rows in question (the dearest room hides all others
from `max(price)`; without it, each of them counts).  So the query is asked again, without this row and that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import apsw

from worlddb.episode.behaviour import Read
from worlddb.schema.model import Schema
from worlddb.schema.rules import quote
from worlddb.tools.session import Entry, Session
from worlddb.world import clock
from worlddb.world.diff import Diff, Key, Row
from worlddb.world.host import host_of
from worlddb.world.model import World
from worlddb.world.sandbox import Rows, Sandbox

SAMPLE = 100
"""Rows of one table for which a query is asked again; of more, so many, evenly spread, speak for all."""


def covered(session: Session, entry: Entry, wanted: Collection[Read]) -> Iterable[Read]:
    """The rows, of those wanted, that a call of a session stood for without showing them."""
    if entry.covers is not None:
        return session.covered(entry)
    if entry.result.ok and isinstance(entry.arguments, dict) and _is_sql(session, entry):
        return _Query(session, entry).considered(wanted)
    return ()


def _is_sql(session: Session, entry: Entry) -> bool:
    return entry.name in session.toolset and session.toolset[entry.name].kind == "sql"


class _Query:
    """One call of free SQL, asked again."""

    def __init__(self, session: Session, entry: Entry) -> None:
        self.world: World = session.world
        self.schema: Schema = session.world.schema
        self.entry = entry
        self.sql = entry.arguments["sql"]
        self.binds = entry.arguments.get("parameters")
        self.writes = not session.toolset[entry.name].read_only
        self.before = Diff()
        for earlier in session.journal[: entry.number - 1]:
            for change in earlier.changes:
                self.before.add(*change)

    def considered(self, wanted: Collection[Read]) -> list[Read]:
        """Those of the wanted rows on which the answer rested."""
        tables: dict[str, list[Key]] = {}
        for table, key in sorted(wanted, key=repr):
            if self.schema[table].name.lower() in self.sql.lower():
                tables.setdefault(table, []).append(key)
        if not tables:
            return []
        with self._state() as connection:
            return [(table, key) for table, keys in tables.items() for key in self._of(connection, table, keys)]

    def _of(self, connection: apsw.Connection, table: str, keys: list[Key]) -> list[Key]:
        """Those of some rows of one table on which the answer rested."""
        home = self.schema[table]
        name = quote(home.name)
        at_key = " AND ".join(f"{quote(home[k].name)} = ?" for k in home.primary_key)
        gone, back = (
            f"DELETE FROM {name} WHERE {at_key}",
            f"INSERT INTO {name} VALUES ({', '.join('?' * len(home.columns))})",
        )
        kept = {k: row for k in keys for row in connection.execute(f"SELECT * FROM {name} WHERE {at_key}", k)}
        asked = list(kept)[:: max(1, -(-len(kept) // SAMPLE))]
        whole = self._answer(connection)
        found = {k for k in asked if self._answer(connection, (gone, k)) != whole}
        connection.execute("SAVEPOINT emptied")
        connection.executemany(gone, kept)
        none = self._answer(connection)
        found |= {k for k in asked if k not in found and self._answer(connection, (back, kept[k])) != none}
        connection.execute("ROLLBACK TO emptied")
        return list(kept) if len(found) == len(asked) else list(found)

    def _answer(self, connection: apsw.Connection, *changes: tuple[str, Row]) -> Any:
        """What the query answers after some changes, which are taken back."""
        connection.execute("SAVEPOINT supposed")
        try:
            for sql, values in changes:
                connection.execute(sql, values)
            found = self._sandbox.run(self.sql, self.binds, write=self.writes)
            return (found.columns, found.rows) if isinstance(found, Rows) else None
        finally:
            connection.execute("ROLLBACK TO supposed")
            connection.execute("RELEASE supposed")

    @contextmanager
    def _state(self) -> Iterator[apsw.Connection]:
        """The world as it was before the call, on a connection where rows can be missing without others going along."""
        connection = clock.open_memory()
        try:
            connection.deserialize("main", self.world.image)
            clock.set_now(self.entry.now)
            connection.execute("BEGIN")
            for table, key, before, after in self.before:
                home = self.schema[table]
                if before is not None:
                    at_key = " AND ".join(f"{quote(home[k].name)} = ?" for k in home.primary_key)
                    connection.execute(f"DELETE FROM {quote(home.name)} WHERE {at_key}", key)
                if after is not None:
                    connection.execute(f"INSERT INTO {quote(home.name)} VALUES ({', '.join('?' * len(after))})", after)
            self._sandbox = Sandbox(connection, host_of(self.world).sandbox.limits)
            yield connection
        finally:
            connection.close()
