"""The desk at which the second gold makes its changes: rows are read as dicts, and written one by one with values worked out.

Everything is by key.  A change keeps what every change of the business keeps: formulas are computed anew, and the time of the
last change follows.  Totals follow by the laws of the world, once a whole call has been made (`worlddb.world.host`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, TypeAlias

from worlddb.errors import WorlddbError
from worlddb.schema.ddl import formula_tokens
from worlddb.schema.laws import laws
from worlddb.schema.model import Column, ForeignKey, Schema, Table
from worlddb.schema.rules import Immutable, quote
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tasks.sql import Row
from worlddb.tools.words import Vocabulary
from worlddb.world.diff import Key
from worlddb.world.host import Host

Statement: TypeAlias = tuple[str, tuple[Any, ...]]
_RANK = {"+": 1, "-": 1, "*": 2, "/": 2}


class Lost(WorlddbError):
    """A change of something that is not there, or that cannot be said without a choice of the tool's own."""


class Facts:
    """What the schema says of its tables, beyond their columns."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.words = Vocabulary(schema)

    @cached_property
    def derived(self) -> frozenset[tuple[str, str]]:
        """(table, column) of every total that the laws keep."""
        return frozenset(place for law in laws(self.schema) for place in law.writes)

    def frozen(self, table: Table, column: str = "") -> frozenset[str]:
        """States in which a row itself cannot change (of a column: as a rule on that column says)."""
        rules = [r for r in self.schema.rules if isinstance(r, Immutable) and r.table == table.key and not r.holder]
        return frozenset(str(s) for r in rules if not column or r.column == column for s in r.states)

    def holders(self, table: Table) -> list[tuple[Table, ForeignKey]]:
        """Other tables that refer to one by one column."""
        return [(t, f) for t, f in self.schema.children[table.key] if len(f.columns) == 1 and t.key != table.key]


class Desk:
    """Reads and writes rows of the episode on which the host stands."""

    def __init__(self, host: Host, now: str) -> None:
        self.host, self.now = host, now
        self.schema = host.world.schema
        self.statements: list[Statement] = []

    def moment(self, column: Column) -> str:
        """The present, as a column stores it."""
        return self.now[:10] if semantic_type(column.type).temporal == "date" else self.now

    # --- reading

    def rows(self, table: Table, where: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows with these values (None: NULL), by primary key."""
        conditions = " AND ".join(f"{quote(table[k].name)} IS ?" for k in where or ())
        order = ", ".join(quote(table[k].name) for k in table.primary_key)
        names = ", ".join(quote(c.name) for c in table.columns)
        sql = f"SELECT {names} FROM {quote(table.name)}{f' WHERE {conditions}' if conditions else ''} ORDER BY {order}"
        keys = [c.key for c in table.columns]
        return [dict(zip(keys, row, strict=True)) for row in self.host.rows(sql, tuple((where or {}).values()))]

    def row(self, table: Table, key: Any) -> Row:
        """The row of a key: a value, or a tuple where it has several columns.

        Raises:
            Lost: there is none.
        """
        values = key if isinstance(key, tuple) else (key,)
        found = self.rows(table, dict(zip(table.primary_key, values, strict=True)))
        if not found:
            raise Lost(f"there is no {table.key} {key}")
        return found[0]

    # --- writing

    def insert(self, table: Table, values: Row) -> Key:
        """A new row; its primary key.  Columns that are not named are NULL, formulas are computed."""
        row = {c.key: values[c.key] for c in table.columns if c.key in values}
        row |= formulas(table, {c.key: row.get(c.key) for c in table.columns}, set(row))
        names = ", ".join(quote(table[k].name) for k in row)
        self._run(
            f"INSERT INTO {quote(table.name)} ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
        )
        if table.key_style == "integer" and len(table.primary_key) == 1 and row.get(table.primary_key[0]) is None:
            return (self.host.connection.last_insert_rowid(),)
        return tuple(row[k] for k in table.primary_key)

    def change(self, table: Table, row: Row, values: Row, *, touch: bool = True) -> None:
        """New values of a row; `touch`: the time of its last change follows."""
        given = dict(values)
        if touch:
            given |= {c.key: self.moment(c) for c in table.columns if is_updated_at(c) and c.key not in given}
        if not given:
            return
        given |= formulas(table, row | given, set(given))
        sets = ", ".join(f"{quote(table[k].name)} = ?" for k in given)
        self._run(
            f"UPDATE {quote(table.name)} SET {sets} WHERE {at_key(table)}", (*given.values(), *key_of(table, row))
        )

    def drop(self, table: Table, row: Row) -> None:
        """Deletes a row; what hangs on it goes along as the schema says."""
        self._run(f"DELETE FROM {quote(table.name)} WHERE {at_key(table)}", key_of(table, row))

    def _run(self, sql: str, binds: tuple[Any, ...]) -> None:
        self.statements.append((sql, binds))
        self.host.write(sql, binds)


def at_key(table: Table) -> str:
    """The condition that picks a row by its key."""
    return " AND ".join(f"{quote(table[k].name)} = ?" for k in table.primary_key)


def key_of(table: Table, row: Row) -> Key:
    """The primary key of a row."""
    return tuple(row[k] for k in table.primary_key)


def is_updated_at(column: Column) -> bool:
    """True for the time of a row's last change."""
    return is_a(column.type, "updated_at") or column.key == "updated_at"


def references(table: Table) -> dict[str, ForeignKey]:
    """Column key -> the reference that it alone makes."""
    return {f.columns[0]: f for f in table.foreign_keys if len(f.columns) == 1}


# --- formulas


def formulas(table: Table, row: Row, changed: Iterable[str]) -> Row:
    """The formula columns that read what has changed, or one another, as SQLite would compute them over the row."""
    fresh, names = dict[str, Any](), set(changed)
    waiting = [c for c in table.columns if c.formula and c.key not in names]
    while ready := [c for c in waiting if names & set(formula_tokens(c.formula))]:
        waiting.remove(ready[0])
        fresh[ready[0].key] = _climb(formula_tokens(ready[0].formula), 1, row | fresh)[0]
        names.add(ready[0].key)
    return fresh


def _climb(tokens: list[str], rank: int, row: Row) -> tuple[Any, list[str]]:
    """Precedence climbing over the tokens of a formula: a value, and the tokens after it."""
    first, *rest = tokens
    if first == "(":
        value, rest = _climb(rest, 1, row)
        rest = rest[1:]
    else:
        value = int(first) if first.isdigit() else row[first]
    while rest and _RANK.get(rest[0], 0) >= rank:
        operator = rest[0]
        right, rest = _climb(rest[1:], _RANK[operator] + 1, row)
        value = _apply(operator, value, right)
    return value, rest


def _apply(operator: str, a: Any, b: Any) -> Any:
    if a is None or b is None or (operator == "/" and not b):
        return None
    if operator == "/":
        if isinstance(a, float) or isinstance(b, float):
            return a / b
        whole = abs(a) // abs(b)
        return whole if (a < 0) == (b < 0) else -whole
    return a + b if operator == "+" else a - b if operator == "-" else a * b
