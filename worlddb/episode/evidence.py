"""Evidence that no list of shown rows can tell: what an aggregate stood for, and what a query of the agent's own rested on.

A query in free SQL shows values and no rows.  Where a value matters, it has *considered* a row if its answer would have been
another with another value there; where only the rows themselves do, if it would have been another without that row: in the world
as it was then, or in that world without the other rows in question.  So the query is asked again, with this changed and that.
"""

from __future__ import annotations

import re
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

SAMPLE = 50
"""Rows of one table, evenly spread, that are asked for first: if the answer rests on each, they speak for all."""
BUDGET = 10_000
"""How often queries are asked again for one verdict, in all.  A question costs 1, and a little for every changed row."""
LONG = 500
"""What it costs more where it spends the whole budget of steps that a statement has: agents write queries that take long."""
VARIANTS = 2
"""Other values that are tried in the place of one, at most."""
_COUNTS = ("count", "count_different")
"""Aggregates (last part of the key) that tell how many rows there are, and no value of any."""
_DATED = re.compile(r"\d{4}-\d\d-\d\d")
_MORE = 1_000_003
"""Added to a number to see whether an answer depends on it."""


class Evidence:
    """What the calls of a session stood for without showing it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.left: float = BUDGET

    def __call__(self, entry: Entry, wanted: Collection[Read], column: str) -> Iterable[Read]:
        """The rows, of those wanted, that a call stood for; with a column (key), those of which it told a value there."""
        if entry.covers is not None:
            return self.session.covered(entry) if not column or self._reckons(entry) else ()
        if entry.result.ok and isinstance(entry.arguments, dict) and _is_sql(self.session, entry):
            return _Query(self, entry, column).considered(wanted)
        return ()

    def _reckons(self, entry: Entry) -> bool:
        """True for aggregates that work with values; the total of a page, and a count, do not."""
        tool = self.session.toolset[entry.name]
        return tool.kind == "aggregate" and tool.key.rpartition(".")[2] not in _COUNTS


def _is_sql(session: Session, entry: Entry) -> bool:
    return entry.name in session.toolset and session.toolset[entry.name].kind == "sql"


class _Query:
    """One call of free SQL, asked again."""

    def __init__(self, evidence: Evidence, entry: Entry, column: str) -> None:
        session = evidence.session
        self.evidence, self.column = evidence, column
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
        if not tables or self.evidence.left <= 0:
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
        spoilt = {k: self._spoilt(table, row, i) for i, (k, row) in enumerate(kept.items())}
        whole = self._answer(connection)

        def changed(rows: list[Key], variant: int) -> list[tuple[str, Row]]:
            """The changes that take rows away and put others in their places."""
            return [(gone, k) for k in rows] + [(back, r) for k in rows for r in spoilt[k][variant % len(spoilt[k])]]

        def mattering(rows: list[Key]) -> list[Key]:
            """Those on which the answer rests in the world as it was: halved again and again, for most queries rest on few."""
            if not rows or not any(self._differs(connection, whole, *changed(rows, v)) for v in range(VARIANTS)):
                return []
            half = len(rows) // 2
            return rows if len(rows) == 1 else mattering(rows[:half]) + mattering(rows[half:])

        sample = list(kept)[:: max(1, -(-len(kept) // SAMPLE))]
        found = set(mattering(sample))
        if len(found) == len(sample):
            return list(kept)
        found.update(mattering([k for k in kept if k not in sample]))
        hidden = [k for k in kept if k not in found]
        connection.execute("SAVEPOINT emptied")
        connection.executemany(gone, kept)
        none = self._answer(connection)
        if hidden and self._differs(connection, none, *((back, kept[k]) for k in hidden)):
            for k in hidden:
                if self.evidence.left <= 0:
                    break
                alone = self._answer(connection, (back, kept[k]))
                differ = (self._differs(connection, alone, *((back, r) for r in rows)) for rows in spoilt[k])
                found |= {k} if any(differ) else set()
        connection.execute("ROLLBACK TO emptied")
        return list(found)

    def _spoilt(self, table: str, row: Row, number: int) -> list[list[Row]]:
        """What may stand in the place of a row: nothing, or where a value matters the row with another one."""
        if not self.column:
            return [[]]
        at = [c.key for c in self.schema[table].columns].index(self.column)
        return [[(*row[:at], value, *row[at + 1 :])] for value in _others(row[at], number)]

    def _differs(self, connection: apsw.Connection, usual: Any, *changes: tuple[str, Row]) -> bool:
        """True where the query answers something else after some changes; changes that cannot be made tell nothing."""
        if self.evidence.left <= 0:
            return False
        try:
            return bool(self._answer(connection, *changes) != usual)
        except apsw.ConstraintError:  # the other value is taken
            return False

    def _answer(self, connection: apsw.Connection, *changes: tuple[str, Row]) -> Any:
        """What the query answers after some changes, which are taken back."""
        self.evidence.left -= 1 + len(changes) / 50
        connection.execute("SAVEPOINT supposed")
        try:
            for sql, values in changes:
                connection.execute(sql, values)
            found = self._sandbox.run(self.sql, self.binds, write=self.writes)
            self.evidence.left -= LONG * self._sandbox.spent
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
            connection.execute(
                "PRAGMA ignore_check_constraints = ON"
            )  # values that nobody could store show what depends on them
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


def _others(value: Any, number: int) -> list[Any]:
    """Stored values that differ from this one, of the same class: far from it (a mean is rounded), and near (for conditions).

    `number` is the row's: no two rows are moved by as much, or a difference of theirs would not tell.
    """
    if isinstance(value, int | float):
        return [value + _MORE * (number + 1), value + number + 1]
    if isinstance(value, str) and _DATED.match(value):
        return [f"{1801 + 7 * number}{value[4:]}"]  # still a moment, and another day
    return [f"~{number}{value or ''}~"] if value is None or isinstance(value, str) else [b"~"]
