"""One live connection per world, on which any number of episodes take turns.

An episode is the log of its row changes, each as the statement that makes it again.  Turning to another episode is
ROLLBACK, BEGIN and a replay of its log: a few microseconds at any size of the world.  So thousands of episodes live in a
process at the price of their logs, none sees another's rows, and a host can be dropped at any time.

Changes are recorded by SQLite's preupdate hook while a call runs.  After a call's own statements the *laws* of the schema
that watch these changes are applied (`worlddb.schema.laws`): totals are derived anew, then rules are checked.  A call that
fails is cut from the database and from the record alike.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import apsw
import msgspec

from worlddb.errors import BadRequest, QueryError
from worlddb.schema.laws import Law, key_law, watch
from worlddb.schema.model import Schema
from worlddb.schema.rules import quote
from worlddb.world import clock
from worlddb.world.diff import Change, Diff, Key, Row
from worlddb.world.mint import Mints
from worlddb.world.model import World
from worlddb.world.sandbox import Bound, Limits, Sandbox

Binds: TypeAlias = dict[str, Any] | Sequence[Any]

HOSTS = 128
"""Live hosts kept in a process (one is some 300 KB and its statements); the one used longest ago gives way."""
_QUERY = re.compile(
    r"\s*(SELECT|WITH|VALUES|EXPLAIN|PRAGMA\s+(foreign_key_check|integrity_check|quick_check|table_info))\b", re.I
)
_CHANGE = re.compile(r"\s*(INSERT|UPDATE|DELETE|WITH)\b", re.I)
_REPLACE = re.compile(r"\bOR\s+(REPLACE|ROLLBACK)\b(?!\s*\()", re.I)
"""REPLACE can leave a reference to nothing behind (an error of SQLite's own), ROLLBACK gives up the whole transaction."""
STATEMENTS = 512
"""Prepared statements kept per host."""
SHIFT = 97
"""A start's `ids` moves minted values on by at most so many: there are not that many of every kind."""
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
    """The state of an episode: its row changes in the order of happening, and what they are in sum."""

    __slots__ = ("diff", "ids", "inserted", "marks", "redo", "tied", "tops")

    def __init__(self, ids: int = 0) -> None:
        self.ids = ids
        """Added to every running number of the world, so that the episode's new rows get other keys."""
        self.redo: list[Event | tuple[str, tuple[Any, ...]]] = []
        """The row changes; each becomes the statement that makes it again, with its values, when that is first needed."""
        self.marks: list[tuple[int, int]] = []
        """After each call that wrote: the length of `redo`, and how many rows had been inserted."""
        self.inserted = 0
        self.diff = Diff()
        self.tops: dict[str, int] = {}
        """Table name -> the greatest key inserted, where SQLite numbers the rows."""
        self.tied = False
        """True once a call changed several rows: they may refer to one another, in no order."""

    def copy(self) -> Log:
        """An independent copy."""
        twin = Log(self.ids)
        twin.redo, twin.marks = self.redo.copy(), self.marks.copy()
        twin.inserted, twin.diff, twin.tied = self.inserted, self.diff.copy(), self.tied
        twin.tops = self.tops.copy()
        return twin


class _Watch:
    """What the host needs to know of one table: where its key stands, and the laws by kind of change."""

    def __init__(self, schema: Schema, key: str, found: dict[str, tuple[Law, ...]]) -> None:
        table = schema[key]
        places = {c.key: i for i, c in enumerate(table.columns)}
        self.table = key
        self.key = tuple(places[k] for k in table.primary_key)
        self.single = len(table.primary_key) == 1
        self.numbered = self.single and table.key_style == "integer"
        self.keeps = key_law(table)
        self._names = [quote(c.name) for c in table.columns]
        self._home = quote(table.name)
        self._at_key = " AND ".join(f"{self._names[i]} = ?" for i in self.key)
        self._insert = f"INSERT INTO {self._home} VALUES ({', '.join('?' * len(self._names))})"
        self._updates: dict[tuple[int, ...], str] = {}
        self.derive = {op: _placed(some, places, derive=True) for op, some in found.items()}
        self.check = {op: _placed(some, places, derive=False) for op, some in found.items()}

    def again(self, event: Event) -> tuple[str, tuple[Any, ...]]:
        """The statement that makes a row change again."""
        old, new = event.old, event.new
        if old is None:
            return self._insert, new or ()
        key = tuple(old[i] for i in self.key)
        if new is None:
            return f"DELETE FROM {self._home} WHERE {self._at_key}", key
        changed = tuple(i for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b)
        sql = self._updates.get(changed)
        if sql is None:
            sets = ", ".join(f"{self._names[i]} = ?" for i in changed or self.key)
            sql = self._updates[changed] = f"UPDATE {self._home} SET {sets} WHERE {self._at_key}"
        return sql, (*(new[i] for i in changed or self.key), *key)


Placed: TypeAlias = tuple[Law, tuple[int, ...], tuple[tuple[bool, int], ...]]
"""A law, the positions of the columns that it watches, and where its bound values come from: (of the new row?, position)."""


def _placed(found: Sequence[Law], places: dict[str, int], *, derive: bool) -> tuple[Placed, ...]:
    return tuple(
        (law, tuple(places[c] for c in law.columns), tuple((v == "new", places[c]) for v, c in law.binds))
        for law in found
        if (law.kind == "derive") is derive
    )


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
        self.sandbox = Sandbox(self.connection, _limits(world.rows))
        found = watch(world.schema)
        self._watch = {t.name: _Watch(world.schema, t.key, found[t.key]) for t in world.schema.tables}
        self._cursor = self.connection.cursor()
        self._numbers = bool(self.rows("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'"))
        self._first: dict[str, int] = dict(self.rows("SELECT name, seq FROM sqlite_sequence")) if self._numbers else {}
        self._loose = False
        self.busy = False
        """True while a call runs: the database then stays where it is."""
        self._events: list[Event] = []
        self._inserted = 0
        self._log: Log | None = None
        self._position = 0
        self._recording = True
        self.connection.preupdate_hook(self._hear)
        self._cursor.execute("BEGIN")

    def _hear(self, update: Any) -> None:
        if self._recording and update.table_name in self._watch:
            op = update.op.lower()
            self._inserted += op == "insert"
            self._events.append(Event(update.table_name, op, update.old, update.new))

    # --- turning to an episode

    def turn_to(self, log: Log) -> None:
        """Bring the database into the state of an episode.

        Raises:
            BadRequest: a call of some episode of this world is running.
        """
        if self.busy:
            raise BadRequest(
                "a call is running in this world; a plug-in acts through what it is given, not in sessions"
            )
        if self._log is not log or self._position != len(log.redo):
            self._replay(log)

    def rewind(self, log: Log, calls: int) -> None:
        """Take back all but the first `calls` calls that wrote, and count their net changes anew."""
        kept, inserted = log.marks[calls - 1] if calls else (0, 0)
        del log.marks[calls:], log.redo[kept:]
        log.inserted, log.diff, log.tops = inserted, Diff(), {}
        self._replay(log, record=True)
        self._count(log)
        self._fold(log)

    def _replay(self, log: Log, *, record: bool = False) -> None:
        execute = self._cursor.execute
        if not self.connection.in_transaction:
            execute("BEGIN")
        elif self._position or self._log is None or self._log.ids or log.ids:
            execute("ROLLBACK")
            execute("BEGIN")
        self._log = None  # until all of it stands
        self._recording = False
        if log.ids and self._numbers:
            execute("UPDATE sqlite_sequence SET seq = seq + ?", (log.ids,))
        self._recording = record
        if log.tied:
            execute("PRAGMA defer_foreign_keys = ON")
        for at, change in enumerate(log.redo):
            if isinstance(change, Event):
                change = log.redo[at] = self._watch[change.table].again(change)
            execute(*change)
        if log.tied:
            execute("PRAGMA defer_foreign_keys = OFF")
        self._recording = True
        self._log, self._position = log, len(log.redo)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    # --- reading

    def rows(self, sql: str, binds: Binds = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._cursor.execute(sql, binds).fetchall()

    def looked(self, sql: str, binds: Binds = ()) -> list[tuple[Any, ...]]:
        """All rows of a query of somebody else's.

        Raises:
            BadRequest: it is no query, or one that would change something.
        """

        def only_reads(cursor: apsw.Cursor, text: str, values: Any) -> bool:
            return bool(cursor.is_readonly and _QUERY.match(text))

        cursor = self.connection.cursor()
        cursor.exec_trace = only_reads
        try:
            return cursor.execute(sql, binds).fetchall()
        except apsw.ExecTraceAbort:
            raise BadRequest(
                "only queries may be run here; change rows by calls, or with a plug-in of your own"
            ) from None
        except apsw.Error as error:
            raise QueryError(str(error)) from None

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
        self._inserted = 0
        self._loose = False

    def write(self, sql: str, binds: Binds) -> int:
        """Run one statement of the call; the number of rows that it changed itself."""
        if " CONFLICT" in sql:
            self._loose = True
        self._cursor.execute(sql, binds).fetchall()
        return self.connection.changes()

    def written(self, sql: str, binds: Binds) -> int:
        """Run statements of somebody else's in a call that writes; the number of rows that the last one changed itself.

        Raises:
            BadRequest: one of them is no INSERT, UPDATE or DELETE, or is a REPLACE.
        """

        def only_writes(cursor: apsw.Cursor, text: str, values: Any) -> bool:
            return bool(_CHANGE.match(text)) and not _REPLACE.search(text)

        self.loosen()
        cursor = self.connection.cursor()
        cursor.exec_trace = only_writes
        try:
            cursor.execute(sql, binds).fetchall()
        except apsw.ExecTraceAbort:
            raise BadRequest("only INSERT, UPDATE and DELETE may be run here, and no REPLACE") from None
        return self.connection.changes()

    def loosen(self) -> None:
        """Say that the call runs statements which worlddb has not written: what leaves no event must be looked for."""
        self._loose = True

    def settle(self) -> None:
        """Apply the laws to the call's changes: derive totals anew, then check the rules.

        Raises:
            Broken: a law refuses the changes; abort the call.
            apsw.Error: a constraint refuses what a law derives; abort the call.
        """
        if self._events:
            self._keep_keys()
            self._derive()
            self._check()

    def commit(self, *, quiet: bool = False) -> tuple[Change, ...]:
        """Keep the call's changes, and tell them.  A `quiet` call that changed no row does not count as a write."""
        log = self._log
        assert log is not None
        self._count(log)
        if self._loose and self._numbers:
            self._renumber(log)
        self._cursor.execute("RELEASE call")
        if self._events or not quiet:
            log.inserted += self._inserted
            log.redo += self._events
            log.tied = log.tied or len(self._events) > 1
            log.marks.append((len(log.redo), log.inserted))
        self._position = len(log.redo)
        return self._fold(log)

    def abort(self) -> None:
        """Undo the call: neither the database nor the record keeps anything of it."""
        if self.connection.in_transaction:
            self._cursor.execute("ROLLBACK TO call")
            self._cursor.execute("RELEASE call")
        else:  # SQLite gives up the whole transaction when it stops a statement that writes
            log, self._log = self._log, None
            assert log is not None
            self._replay(log)
        self._events.clear()

    def _count(self, log: Log) -> None:
        """Note the greatest keys that the recorded events inserted."""
        for event in self._events:
            if event.old is not None or event.new is None:
                continue
            watch = self._watch[event.table]
            if watch.numbered:
                log.tops[event.table] = max(log.tops.get(event.table, 0), event.new[watch.key[0]])

    def _renumber(self, log: Log) -> None:
        """Set SQLite's counters to what the episode's rows say: an INSERT that made no row has moved them on."""
        for name, found in self.rows("SELECT name, seq FROM sqlite_sequence"):
            first = self._first.get(name)
            wanted = max((first or 0) + (log.ids if first is not None else 0), log.tops.get(name, 0))
            if found != wanted:
                self._cursor.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (wanted, name))

    def _keep_keys(self) -> None:
        """A row keeps its key, and the key of a row that is gone names no other one later."""
        assert self._log is not None
        for event in self._events:
            watch, old, new = self._watch[event.table], event.old, event.new
            if new is None:
                continue
            if old is not None:
                if any(old[i] != new[i] for i in watch.key):
                    raise Broken(watch.keeps, {"key": "/".join(str(new[i]) for i in watch.key)})
            elif watch.single and self._log.diff.is_gone(watch.table, (new[watch.key[0]],)):
                raise Broken(watch.keeps, {"key": str(new[watch.key[0]])})

    def mark(self) -> int:
        """How many row changes the call has made so far."""
        return len(self._events)

    def mint(self, table: str, column: str) -> Any:
        """A value of a column that the server numbers, for the next new row; it depends on the episode's history alone."""
        log = self._log
        assert log is not None
        number = log.ids % SHIFT + log.inserted + self._inserted + 1
        value = self.mints.make(table, column, number)
        if value is None:
            return None
        home = self.world.schema[table]
        sql = f"SELECT 1 FROM {quote(home.name)} WHERE {quote(home[column].name)} = ?"
        while self.rows(sql, (value,)):  # somebody has written it before its turn
            number += 1
            value = self.mints.make(table, column, number)
        return value

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
        for law, binds in self._laws(self._merged(), derive=False):
            found = self.described(law.sql, binds)
            if found is not None:
                raise Broken(law, found)

    def _merged(self) -> list[Event]:
        """The events, a row deleted and inserted again with the same key being one update, as the laws expect."""
        events = self._events
        if not any(e.op == "insert" for e in events) or not any(e.op == "delete" for e in events):
            return events
        found: list[Event | None] = []
        gone: dict[tuple[str, Key], int] = {}
        for event in events:
            key = (event.table, tuple((event.new or event.old or ())[i] for i in self._watch[event.table].key))
            if event.op == "insert" and key in gone:
                at = gone.pop(key)
                deleted, found[at] = found[at], None
                assert deleted is not None
                found.append(Event(event.table, "update", deleted.old, event.new))
                continue
            if event.op == "delete":
                gone[key] = len(found)
            found.append(event)
        return [e for e in found if e is not None]

    def _laws(self, events: Sequence[Event], *, derive: bool) -> list[tuple[Law, tuple[Any, ...]]]:
        """The laws that watch these events, each with its bound values, once."""
        found: dict[tuple[int, tuple[Any, ...]], Law] = {}
        for event in events:
            watch = self._watch[event.table]
            some = (watch.derive if derive else watch.check)[event.op]
            if not some:
                continue
            for law, columns, binds in some:
                old, new = event.old, event.new
                if event.op == "update" and columns and all(old[c] == new[c] for c in columns):  # type: ignore[index]
                    continue
                values = tuple((new if is_new else old)[at] for is_new, at in binds)  # type: ignore[index]
                found.setdefault((id(law), values), law)
        return [(law, values) for (_, values), law in found.items()]

    def _fold(self, log: Log) -> tuple[Change, ...]:
        """Add the recorded events to the episode's net changes; the net changes of these events alone."""
        if len(self._events) == 1:  # the usual call needs no sum
            event = self._events.pop()
            key = self._follow(event, log.diff)
            if key is not None:
                whole = Change(self._watch[event.table].table, key, event.old, event.new)
                return (whole,) if event.old != event.new else ()
            own = Diff()
            self._follow(event, own)
            return own.changes
        own = Diff()
        for event in self._events:
            self._follow(event, own)
            self._follow(event, log.diff)
        self._events.clear()
        return own.changes

    def _follow(self, event: Event, diff: Diff) -> Key | None:
        """Add one event to a diff.  Gives the row's key; None where the event gave it another one."""
        watch, old, new = self._watch[event.table], event.old, event.new
        before = None if old is None else tuple(old[i] for i in watch.key)
        after = None if new is None else tuple(new[i] for i in watch.key)
        if before is None or after is None or before == after:
            key = before if after is None else after
            diff.add(watch.table, key or (), old, new)
            return key
        diff.add(watch.table, before, old, None)
        diff.add(watch.table, after, None, new)
        return None


def _limits(rows: int) -> Limits:
    """The budgets of free SQL: the usual ones up to 10,000 rows, then growing with the world, to ten times as much."""
    usual, times = Limits(), min(max(rows / 10_000, 1), 10)
    bounds = {
        name: Bound(int(b.steps * times), b.length)
        for name in ("short", "long", "write")
        for b in (getattr(usual, name),)
    }
    return msgspec.structs.replace(usual, **bounds)


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
