"""One live connection per world, on which any number of episodes take turns.

An episode is the log of its successful writes.  Turning to another one is ROLLBACK, BEGIN and a replay of its log: a few
microseconds at any size of the world.  So thousands of episodes live in a process at the price of their logs, none sees
another's rows, and a host can be dropped at any time.

Changes are recorded by SQLite's preupdate hook while a call runs.  After a call's own statements the *laws* of the schema
that watch these changes are applied (`worlddb.schema.laws`): totals are derived anew, then rules are checked.  A call that
fails is cut from the database and from the record alike.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import apsw

from worlddb.schema.laws import Law, laws
from worlddb.schema.model import Schema
from worlddb.world import clock
from worlddb.world.diff import Change, Diff, Key, Row
from worlddb.world.mint import Mints
from worlddb.world.model import World
from worlddb.world.sandbox import Sandbox

Binds: TypeAlias = dict[str, Any] | Sequence[Any]

HOSTS = 128
"""Live hosts kept in a process (one is some 300 KB and its statements); the one used longest ago gives way."""
STATEMENTS = 512
"""Prepared statements kept per host."""
ROUNDS = 16
"""How often derived totals may feed one another in one call."""


class Event(NamedTuple):
    """One row change as the hook saw it, in the order of happening."""

    table: str
    op: str
    old: Row | None
    new: Row | None


class Broken(Exception):
    """A law refuses the changes of a call.  The engine turns it into data."""

    def __init__(self, law: Law, found: dict[str, Any]) -> None:
        super().__init__(law.say)
        self.law, self.found = law, found


class Log:
    """The state of an episode: the statements that succeeded, and what they changed in sum."""

    __slots__ = ("diff", "ids", "inserted", "marks", "statements")

    def __init__(self, ids: int = 0) -> None:
        self.ids = ids
        """Added to every running number of the world, so that the episode's new rows get other keys."""
        self.statements: list[tuple[str, Binds]] = []
        self.marks: list[tuple[int, int]] = []
        """After each call that wrote: how many statements there are, how many rows had been inserted."""
        self.inserted = 0
        self.diff = Diff()

    def copy(self) -> Log:
        """An independent copy."""
        twin = Log(self.ids)
        twin.statements, twin.marks = self.statements.copy(), self.marks.copy()
        twin.inserted, twin.diff = self.inserted, self.diff.copy()
        return twin


class _Watch:
    """What the host needs to know of one table: where its key stands, and the laws by kind of change."""

    def __init__(self, schema: Schema, key: str, found: Sequence[Law]) -> None:
        table = schema[key]
        places = {c.key: i for i, c in enumerate(table.columns)}
        self.table = key
        self.key = tuple(places[k] for k in table.primary_key)
        self.derive = self._index(found, places, True)
        self.check = self._index(found, places, False)

    @staticmethod
    def _index(found: Sequence[Law], places: dict[str, int], derive: bool) -> dict[str, tuple[Any, ...]]:
        return {
            op: tuple(
                (law, frozenset(places[c] for c in law.columns), tuple((v == "new", places[c]) for v, c in law.binds))
                for law in found
                if op in law.events and (law.kind == "derive") is derive
            )
            for op in ("insert", "update", "delete")
        }


class Host:
    """The connection of one world.  Use `host_of`; hold `lock` from `turn_to` to the end of a call."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lock = threading.RLock()
        self.connection = clock.open_memory(STATEMENTS)
        self.connection.deserialize("main", world.image)
        self.connection.config(
            apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1
        )  # else indexed reads are prepared anew at every bind
        for pragma in ("foreign_keys = ON", "recursive_triggers = ON"):  # the latter: REPLACE reports what it deletes
            self.connection.execute(f"PRAGMA {pragma}")
        self.mints = Mints(world)
        self.sandbox = Sandbox(self.connection)
        found = laws(world.schema)
        self._watch = {
            t.name: _Watch(world.schema, t.key, [w for w in found if w.table == t.key]) for t in world.schema.tables
        }
        self._cursor = self.connection.cursor()
        self._numbers = bool(self.rows("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'"))
        self._events: list[Event] = []
        self._pending: list[tuple[str, Binds]] = []
        self._inserted = 0
        self._log: Log | None = None
        self._position = 0
        self._recording = True
        self.connection.preupdate_hook(self._hear)
        self._cursor.execute("BEGIN")

    def _hear(self, update: Any) -> None:
        if self._recording:
            op = update.op.lower()
            self._inserted += op == "insert"
            self._events.append(Event(update.table_name, op, update.old, update.new))

    # --- turning to an episode

    def turn_to(self, log: Log) -> None:
        """Bring the database into the state of an episode."""
        if self._log is not log or self._position != len(log.statements):
            self._replay(log, len(log.statements))

    def rewind(self, log: Log, calls: int) -> None:
        """Take back all but the first `calls` calls that wrote, and count their net changes anew."""
        kept, inserted = log.marks[calls - 1] if calls else (0, 0)
        del log.marks[calls:], log.statements[kept:]
        log.inserted, log.diff = inserted, Diff()
        self._replay(log, kept, record=True)
        self._fold(log)

    def _replay(self, log: Log, upto: int, *, record: bool = False) -> None:
        execute = self._cursor.execute
        if self._position or self._log is None or self._log.ids or log.ids:
            execute("ROLLBACK")
            execute("BEGIN")
        self._log, self._position, self._recording = log, upto, record
        if log.ids and self._numbers:
            execute("UPDATE sqlite_sequence SET seq = seq + ?", (log.ids,))
            self._events.clear()
        for sql, binds in log.statements[:upto]:
            execute(sql, binds).fetchall()  # several statements in one text run on only as far as they are read
        self._recording = True

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    # --- reading

    def rows(self, sql: str, binds: Binds = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._cursor.execute(sql, binds).fetchall()

    def names(self) -> tuple[str, ...]:
        """The column names of the last query that gave a row."""
        return tuple(d[0] for d in self._cursor.getdescription())

    def described(self, sql: str, binds: Binds = ()) -> dict[str, Any] | None:
        """The first row of a query by column name, or None."""
        for row in self._cursor.execute(sql, binds):
            found = dict(zip(self.names(), row, strict=True))
            self._cursor.close(True)  # lets go of the rows that follow
            self._cursor = self.connection.cursor()
            return found
        return None

    # --- writing: begin, write …, settle, then commit; or abort

    def begin(self) -> None:
        """Start a call that writes."""
        self._cursor.execute("SAVEPOINT call")
        self._events.clear()
        self._pending.clear()
        self._inserted = 0

    def write(self, sql: str, binds: Binds) -> int:
        """Run one statement of the call; the number of rows that it changed itself."""
        self._cursor.execute(sql, binds).fetchall()
        self._pending.append((sql, binds))
        return self.connection.changes()

    def ran(self, sql: str, binds: Binds) -> None:
        """Note statements of the call that were run elsewhere on this connection: in the sandbox."""
        self._pending.append((sql, binds))

    def settle(self) -> None:
        """Apply the laws to the call's changes: derive totals anew, then check the rules.

        Raises:
            Broken: a law refuses the changes; abort the call.
            apsw.Error: a constraint refuses what a law derives; abort the call.
        """
        if self._events:
            self._derive()
            self._check()

    def commit(self) -> tuple[Change, ...]:
        """Keep the call's changes, and tell them."""
        assert self._log is not None
        self._cursor.execute("RELEASE call")
        log = self._log
        log.inserted += self._inserted
        changes = self._fold(log)
        if self._pending:
            log.statements += self._pending
            log.marks.append((len(log.statements), log.inserted))
        self._position = len(log.statements)
        return changes

    def abort(self) -> None:
        """Undo the call: neither the database nor the record keeps anything of it."""
        self._cursor.execute("ROLLBACK TO call")
        self._cursor.execute("RELEASE call")
        self._events.clear()

    def mark(self) -> int:
        """How many row changes the call has made so far."""
        return len(self._events)

    def mint(self, table: str, column: str) -> Any:
        """A value of a column that the server numbers, for the next new row; it depends on the episode's history alone."""
        assert self._log is not None
        return self.mints.make(table, column, self._log.ids + self._log.inserted + self._inserted + 1)

    def _derive(self) -> None:
        done = 0
        for _ in range(ROUNDS):
            fresh, done = self._events[done:], len(self._events)
            for law, binds in self._laws(fresh, derive=True):
                self.write(law.sql, binds)
            if len(self._events) == done:
                return
        raise RuntimeError(f"{self.world.id}: derived totals feed one another without end")

    def _check(self) -> None:
        for law, binds in self._laws(self._events, derive=False):
            found = self.described(law.sql, binds)
            if found is not None:
                raise Broken(law, found)

    def _laws(self, events: Sequence[Event], *, derive: bool) -> list[tuple[Law, tuple[Any, ...]]]:
        """The laws that watch these events, each with its bound values, once."""
        found: dict[tuple[int, tuple[Any, ...]], Law] = {}
        for event in events:
            watch = self._watch.get(event.table)
            if watch is None:
                continue
            for law, columns, binds in (watch.derive if derive else watch.check)[event.op]:
                old, new = event.old, event.new
                if event.op == "update" and columns and all(old[c] == new[c] for c in columns):  # type: ignore[index]
                    continue
                values = tuple((new if is_new else old)[at] for is_new, at in binds)  # type: ignore[index]
                found.setdefault((id(law), values), law)
        return [(law, values) for (_, values), law in found.items()]

    def _fold(self, log: Log) -> tuple[Change, ...]:
        """Add the recorded events to the episode's net changes; the net changes of these events alone."""
        own = Diff()
        for name, _, old, new in self._events:
            watch = self._watch.get(name)
            if watch is None:
                continue
            before = None if old is None else tuple(old[i] for i in watch.key)
            after = None if new is None else tuple(new[i] for i in watch.key)
            for diff in (own, log.diff):
                if before == after:
                    diff.add(watch.table, before or (), old, new)
                    continue
                if before is not None:
                    diff.add(watch.table, before, old, None)
                if after is not None:
                    diff.add(watch.table, after, None, new)
        self._events.clear()
        return own.changes


_hosts: OrderedDict[str, Host] = OrderedDict()
_door = threading.Lock()


def host_of(world: World) -> Host:
    """The live host of a world: worlds with equal bytes share one.  Dropped hosts are made again from the world."""
    with _door:
        host = _hosts.get(world.digest)
        if host is None:
            host = _hosts[world.digest] = Host(world)
            while len(_hosts) > HOSTS:
                _hosts.popitem(last=False)
        _hosts.move_to_end(world.digest)
        return host


def key_of(schema: Schema, table: str, row: Row) -> Key:
    """The primary key of a stored row."""
    columns = [c.key for c in schema[table].columns]
    return tuple(row[columns.index(k)] for k in schema[table].primary_key)
