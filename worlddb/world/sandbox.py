"""The sandbox in which an agent's own SQL runs, on the connection that also serves trusted SQL.

Three walls, none of which looks at a wall clock, so that a call has the same outcome on every machine:

1. The text is cut into tokens: the kind of statement, and the few things that SQLite's authorizer is not told of.
2. The authorizer lets through the world's own tables and the functions of a list, and nothing else.
3. Budgets: opcodes, the length of any one value, temporary space, rows and bytes of the result, rows changed.

Opcodes alone bound nothing, as one of them may work through a whole text.  So the product is bounded: texts of up to
1,000 bytes with many steps, or longer ones with few; and functions that are slow for the length of what they read make
the steps fewer.  A query that meets a longer text on the way is started again under the second bound.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable

import apsw
import msgspec

from worlddb.world.clock import allow_spill
from worlddb.world.sqltext import (
    FUNCTIONS,
    HIDDEN,
    READING,
    TABLE_FUNCTIONS,
    WRITING,
    ZONES,
    Parameters,
    Refused,
    Statement,
    Stop,
    Value,
    checked,
    denied,
    statements,
    utf8,
)

__all__ = ["Bound", "Limits", "Refused", "Rows", "Sandbox"]


class Rows(msgspec.Struct, frozen=True):
    """What SQL answered: the rows of the last statement that has any."""

    columns: tuple[str, ...]
    rows: list[tuple[str | int | float | None, ...]]
    """Blobs stand as hexadecimal SQL literals (x'00ff'), infinite numbers as None."""
    truncated: bool
    """Whether there are more rows than these."""
    changes: int
    """Rows inserted, updated and deleted, cascades included."""


class Bound(msgspec.Struct, frozen=True):
    """How much a statement may do."""

    steps: int
    """Opcodes, counted by the thousand."""
    length: int
    """Bytes of a single text, blob or stored record."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The budgets of one call.  The worst that an adversary finds stays within about two seconds and 100 MB."""

    short: Bound = Bound(2_000_000, 1_000)
    """For queries, at first."""
    long: Bound = Bound(100_000, 10_000)
    """For queries that met a text beyond `short`."""
    write: Bound = Bound(200_000, 4_000)
    """For statements that write."""
    pattern: int = 50
    """Bytes of a LIKE or GLOB pattern."""
    text: int = 20_000
    """Bytes of SQL, and of all parameters together."""
    columns: int = 200
    rows: int = 200
    size: int = 64_000
    """Characters of a result, of about 8 for a number; the rows beyond are cut off."""
    changes: int = 1_000
    stores: int = 30
    """Sorters and intermediate tables of one statement, each of which may grow to 2 MB."""


STORES = frozenset({"OpenEphemeral", "OpenAutoindex", "SorterOpen"})
"""Opcodes that begin a sorter or an intermediate table."""
SHORT = 300
"""Characters in which no statement opens so many stores that it would have to be asked."""
_READ = apsw.SQLITE_READ
WHOLE = 1_000_000
"""A whole budget, in the parts in which it is spent: a call may spend two, each statement under each bound one."""


class Sandbox:
    """Runs an agent's SQL on a connection of `clock.open_memory`; trusted SQL goes on unhindered between the calls.

    It takes the connection's authorizer and one progress handler for itself, for good: to change the authorizer would
    make SQLite prepare every statement again.  Tables must not be created or altered afterwards.
    """

    def __init__(self, connection: apsw.Connection, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.steps = 0
        """Opcodes of the last call, in full thousands."""
        self._db = connection
        self._tables: dict[str, list[str]] = {}
        for name in connection.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')").fetchall():
            if not str(name[0]).startswith("sqlite_"):
                columns = connection.execute("SELECT name FROM pragma_table_xinfo(?)", name).fetchall()
                self._tables[str(name[0])] = [str(c[0]) for c in columns]
        self._readable = {*(t.lower() for t in self._tables), *TABLE_FUNCTIONS, "sqlite_master"}
        self._modules = {str(r[0]) for r in connection.execute("SELECT name FROM pragma_module_list").fetchall()}
        self._active = self._write = self._writing = False
        self._bound, self._weight = self.limits.short, 1
        self._spent = self._cost = self._end = 0
        self._why: Refused | None = None
        self._columns: tuple[str, ...] = ()
        connection.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)
        connection.limit(apsw.SQLITE_LIMIT_WORKER_THREADS, 0)
        connection.limit(apsw.SQLITE_LIMIT_EXPR_DEPTH, 500)
        connection.limit(apsw.SQLITE_LIMIT_COMPOUND_SELECT, 100)
        connection.authorizer = self._authorize
        connection.set_progress_handler(self._tick, 1000, id=self)

    @property
    def spent(self) -> float:
        """How much of a statement's budget of steps the last call took: 1.0 is a whole one, and 2.0 the most."""
        return self._spent / WHOLE

    def run(self, sql: str, parameters: Parameters | None = None, *, write: bool = False) -> Rows | Refused:
        """Carries out one query or, if `write`, also statements that change rows, in order.

        After a refusal in write mode some changes may stand: the caller opens a savepoint before and rolls back to it.
        A statement stopped for its steps while it writes takes the whole transaction along, which is SQLite's way with
        interrupts, and then there is no savepoint left: see `connection.in_transaction`, and build the state up again.
        """
        self.steps = self._spent = 0
        try:
            size = len(utf8(sql))
            if size > self.limits.text:
                return Refused(
                    "SQL_TOO_LARGE", f"the SQL has {size:,} bytes; at most {self.limits.text:,} are accepted"
                )
            found = statements(sql)
            if isinstance(found, Refused):
                return found
            bindings = checked(parameters, self.limits.text)
            for statement in found:
                self._check(statement, bindings, write, alone=len(found) == 1)
            return self._run(found, bindings, write)
        except Stop as stop:
            return stop.refused

    def _check(self, statement: Statement, parameters: Parameters | None, write: bool, alone: bool) -> None:
        """Raises Stop for what the text alone shows."""
        if statement.kind not in READING and not (write and statement.kind in WRITING):
            if statement.kind in WRITING:
                raise denied("this tool only reads; use SELECT")
            kinds = "SELECT, WITH, VALUES, INSERT, UPDATE and DELETE" if write else "SELECT, WITH and VALUES"
            raise denied(f"{statement.kind} is not allowed here; statements begin with {kinds}")
        if not alone and not write:
            raise denied("one statement at a time; remove what follows the semicolon")
        if not alone and parameters and not isinstance(parameters, dict):
            raise Stop("SQL_ERROR", "several statements share their parameters by name: write :name and pass an object")
        if write and statement.names & HIDDEN:
            columns = {c.lower() for names in self._tables.values() for c in names}
            if statement.names & HIDDEN - columns:
                raise denied("rowid is not a column of these tables; use the primary key")
        if statement.zone_by_parameter and parameters:
            for value in parameters.values() if isinstance(parameters, dict) else parameters:
                if str(value).strip().lower() in ZONES or isinstance(value, bytes):
                    raise denied("all times are UTC, so 'localtime' and 'utc' are not available")

    def _run(self, statements: tuple[Statement, ...], parameters: Parameters | None, write: bool) -> Rows:
        before = self._db.total_changes()
        length = self._db.limit(apsw.SQLITE_LIMIT_LENGTH)
        pattern = self._db.limit(apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, self.limits.pattern)
        self._write = write
        allow_spill(False)
        answer = Rows((), [], False, 0)
        try:
            for statement in statements:
                found = self._tiers(statement, parameters)
                answer = found if found.columns else answer
                if self._db.total_changes() - before > self.limits.changes:
                    raise Stop(
                        "SQL_TOO_LARGE", f"more than {self.limits.changes:,} rows changed; change fewer at a time"
                    )
        finally:
            self._active = False
            allow_spill(True)
            self._db.limit(apsw.SQLITE_LIMIT_LENGTH, length)
            self._db.limit(apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, pattern)
        changes = self._db.total_changes() - before
        return msgspec.structs.replace(answer, changes=changes) if changes else answer

    def _tiers(self, statement: Statement, parameters: Parameters | None) -> Rows:
        try:
            return self._step(statement, parameters, self.limits.short)
        except apsw.TooBigError:
            if self._writing:
                raise self._too_long() from None
        try:
            return self._step(statement, parameters, self.limits.long)
        except apsw.TooBigError:
            raise self._too_long() from None

    def _step(self, statement: Statement, parameters: Parameters | None, bound: Bound) -> Rows:
        """One statement under one bound; apsw.TooBigError goes up."""
        self._weight, self._writing, self._why, self._columns = 1, False, None, ()
        self._use(bound)
        self._end = min(self._spent + WHOLE, 2 * WHOLE)
        cursor = self._db.cursor()
        cursor.exec_trace = self._prepared
        self._active = True
        try:
            if len(statement.sql) > SHORT:
                self._count_stores(statement, parameters)
            return self._fetch(cursor.execute(statement.sql, parameters, can_cache=False))
        except apsw.TooBigError:
            raise
        except apsw.InterruptError:
            raise self._exhausted() from None
        except apsw.CantOpenError:
            raise Stop(
                "SQL_BUDGET_EXCEEDED",
                "the statement sorts or keeps more than 2 MB; add a condition, or take fewer columns",
            ) from None
        except UnicodeDecodeError:
            raise Stop("SQL_ERROR", "the result holds text that is not UTF-8; select hex(...) of it") from None
        except KeyError as error:
            raise Stop("SQL_ERROR", f"there is no parameter named {error.args[0]!r} among those given") from None
        except apsw.Error as error:
            raise self._explain(error, statement) from None
        finally:
            self._active = False
            cursor.close(True)

    def _count_stores(self, statement: Statement, parameters: Parameters | None) -> None:
        """Looks at the program of a statement, for their number and not their size would make it fill the memory."""
        program = self._db.execute(statement.sql, parameters, can_cache=False, explain=1)
        stores = sum(row[1] in STORES for row in program)
        if stores > self.limits.stores:
            raise Stop(
                "SQL_BUDGET_EXCEEDED",
                f"the statement keeps {stores} intermediate results; with fewer subqueries, DISTINCTs and unindexed joins "
                f"it would keep {self.limits.stores} or less",
            )

    def _use(self, bound: Bound) -> None:
        self._bound = bound
        self._cost = 1000 * WHOLE // bound.steps
        self._db.limit(apsw.SQLITE_LIMIT_LENGTH, bound.length)

    def _prepared(self, cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
        """Called by apsw between preparing a statement and its first step: what it uses is known by now."""
        description = cursor.get_description()
        if len(description) > self.limits.columns:
            self._why = Refused("SQL_TOO_LARGE", f"{len(description)} columns; select at most {self.limits.columns}")
            return False
        if not cursor.is_readonly:
            self._writing = True
            self._use(self.limits.write)
        self._cost *= self._weight
        self._columns = tuple([column[0] for column in description])
        return True

    def _fetch(self, cursor: apsw.Cursor) -> Rows:
        rows: list[tuple[str | int | float | None, ...]] = []
        size = 0
        for row in cursor:
            safe, length = _safe(row)
            size += length
            if size > self.limits.size and not rows:
                raise Stop("SQL_TOO_LARGE", f"a row has over {self.limits.size:,} characters; select fewer columns")
            if size > self.limits.size or len(rows) == self.limits.rows:
                # a statement that writes has done so, foreign keys checked, before it returns its first row
                return Rows(self._columns, rows, True, 0)
            rows.append(safe)
        return Rows(self._columns, rows, False, 0)

    def _tick(self) -> bool:
        """Every thousand opcodes: True stops the statement."""
        if not self._active:
            return False
        self.steps += 1000
        self._spent += self._cost
        return self._spent > self._end

    def _authorize(
        self, action: int, first: str | None, second: str | None, database: str | None, by: str | None
    ) -> int:
        """Asked by SQLite for everything that a statement would do, while it is prepared."""
        if not self._active or (action == _READ and first in self._tables):  # most calls end here, one for each column
            return apsw.SQLITE_OK
        if action in (apsw.SQLITE_SELECT, apsw.SQLITE_RECURSIVE):
            return apsw.SQLITE_OK
        name = (first or "").lower()
        if action == _READ:
            if name in TABLE_FUNCTIONS:
                self._weight = max(self._weight, FUNCTIONS["json"])
            if name in self._readable or (
                database is None and not name.startswith("pragma_") and name not in self._modules
            ):
                return apsw.SQLITE_OK  # without a database it is a query in brackets or in WITH
            return self._deny(f"table {first} cannot be read; there are {', '.join(self._tables)}")
        if action == apsw.SQLITE_FUNCTION:
            weight = FUNCTIONS.get((second or "").lower())
            if weight is None:
                return self._deny(f"function {second}() is not available here")
            self._weight = max(self._weight, weight)
            return apsw.SQLITE_OK
        if action in (apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE):
            if self._write and name in self._readable and name not in ("sqlite_master", *TABLE_FUNCTIONS):
                return apsw.SQLITE_OK
            return self._deny(f"table {first} cannot be written" if self._write else "this tool only reads; use SELECT")
        return self._deny(
            "only queries are allowed" if not self._write else "only queries and changes of rows are allowed"
        )

    def _deny(self, message: str) -> int:
        self._why = Refused("SQL_NOT_ALLOWED", message)
        return apsw.SQLITE_DENY

    def _exhausted(self) -> Stop:
        steps = self._bound.steps // self._weight
        return Stop(
            "SQL_BUDGET_EXCEEDED",
            f"the statement needs more than {steps:,} steps; add a condition, join on keys, or put a LIMIT on what it reads",
        )

    def _too_long(self) -> Stop:
        return Stop(
            "SQL_TOO_LARGE", f"a text or row of more than {self._bound.length:,} bytes; work on fewer or shorter values"
        )

    def _explain(self, error: apsw.Error, statement: Statement) -> Stop:
        """SQLite's own message with what helps: the nearest name, the columns, the place."""
        if self._why:
            return Stop(self._why.code, self._why.message)
        message = str(error).partition("  Current offset")[0]
        if match := re.match(r"no such column: (.+)|table (.+) has no column named (.+)", message):
            wanted = (match[1] or match[3]).rpartition(".")[2]
            tables = {t: c for t, c in self._tables.items() if t.lower() in statement.names}
            columns = [c for names in tables.values() for c in names]
            listed = "; ".join(f"{t} has {', '.join(names)}" for t, names in tables.items())
            message += _near(wanted, columns) + (f" ({listed})" if listed else "")
        elif match := re.match(r"no such table: (.+)", message):
            message += _near(match[1].rpartition(".")[2], self._tables) + f" (there are {', '.join(self._tables)})"
        elif match := re.match(r"no such function: (.+)", message):
            message += _near(match[1], FUNCTIONS)
        elif "syntax error" in message and (offset := getattr(error, "error_offset", -1)) >= 0:
            rest = statement.sql.encode()[offset:].decode(errors="replace")
            message += f", at: {rest[:40]}"
        return Stop("SQL_ERROR", message)


def _safe(row: tuple[Value, ...]) -> tuple[tuple[str | int | float | None, ...], int]:
    """A row that JSON can hold, and about how many characters it takes."""
    size, odd = 0, False
    for value in row:
        if isinstance(value, str):
            size += len(value)
        elif isinstance(value, bytes):
            size += 2 * len(value)
            odd = True
        else:
            size += 8
            odd |= isinstance(value, float) and not math.isfinite(value)
    return (tuple([_value(v) for v in row]) if odd else row), size  # type: ignore[return-value]


def _value(value: Value) -> str | int | float | None:
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _near(name: str, known: Iterable[str]) -> str:
    """'; did you mean …?', or nothing where no name is near."""
    lower = {k.lower(): k for k in known}
    found = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    return f"; did you mean {lower[found[0]]}?" if found else ""
