"""One call to be carried out by statements: the tool, what was given, and what the business does with new rows and states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from worlddb.schema.ddl import bounds
from worlddb.schema.model import Column, Schema, Table
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tasks.effects.desk import Desk, Facts, is_updated_at, references
from worlddb.tasks.sql import Row
from worlddb.tools.model import Param, Tool
from worlddb.tools.words import state_word
from worlddb.world.diff import Key
from worlddb.world.mint import is_minted

Answer: TypeAlias = tuple[str, Key] | None
"""Table and primary key of the row with which a call answers; None where it answers otherwise."""

GONE = ("deleted_at", "archived_at", "is_deleted", "is_archived")
"""Columns that say that a row is no longer there for people."""


class Case:
    """A call: `case["id"]` is what was given for a parameter (by key), None where it was not."""

    def __init__(self, desk: Desk, facts: Facts, tool: Tool, given: Mapping[str, Any]) -> None:
        self.desk, self.facts, self.tool, self.given = desk, facts, tool, given
        self.schema: Schema = facts.schema
        self.table = facts.schema[tool.table]
        self.tail = tool.key.split(".")[1:]
        """What follows the table in the tool's key: ('check_in',), ('total', 'payment', 'pay')."""

    def __getitem__(self, key: str) -> Any:
        return self.given.get(key)

    def row(self, table: Table | None = None, prefix: str = "") -> Row:
        """The row that the key parameters name."""
        home = table or self.table
        if len(home.primary_key) == 1:
            return self.desk.row(home, self[f"{prefix}id"])
        return self.desk.row(home, tuple(self[f"{prefix}{k}"] for k in home.primary_key))

    def said(self, table: Table, params: Iterable[Param] | None = None, given: Mapping[str, Any] | None = None) -> Row:
        """Column -> value, of what was given for columns of a table; what was not given is not there."""
        values = self.given if given is None else given
        found = [p for p in params or self.tool.params if p.table == table.key and p.column and p.role == "value"]
        return {p.column: values[p.key] for p in found if p.key in values}

    def answer(self, table: Table, key: Key | Any) -> Answer:
        """The answer that is this row."""
        return table.key, key if isinstance(key, tuple) else (key,)

    # --- new rows

    def born(
        self, table: Table, given: Row, params: Iterable[Param] = (), *, prefer: Sequence[str] = (), form: bool = True
    ) -> Key:
        """A new row with what was given, and for all other columns what the business puts in.

        Args:
            given: by column; a None counts as not given.
            params: parameters (or fields of an item) with which it might have been given: their defaults count.
            prefer: words for closed lists that nobody was asked about.
            form: a form that people fill in, which offers usual values; not an action that writes a row on the side.
        """
        birth = _Birth(self, table, given, {p.column: p for p in params if p.table == table.key}, tuple(prefer), form)
        return self.desk.insert(table, birth.values())

    # --- states

    def entering(self, table: Table, state: str) -> Row:
        """What a row that enters a state gets: the state, and the moment that records it."""
        machine = table.lifecycle
        assert machine is not None
        stamp = machine.stamps.get(state, "")
        return {machine.column: state, **({stamp: self.desk.moment(table[stamp])} if stamp else {})}

    def enter(self, table: Table, row: Row, state: str, values: Row | None = None) -> None:
        """Move a row into a state; the time of its last change stays in states that freeze it."""
        self.desk.change(
            table, row, {**(values or {}), **self.entering(table, state)}, touch=state not in self.facts.frozen(table)
        )

    @staticmethod
    def state(table: Table, word: str) -> str:
        """The stored state of that word."""
        machine = table.lifecycle
        assert machine is not None
        return next(s for s in machine.states if state_word(s) == word)


class _Birth:
    """Works out the values of one new row."""

    def __init__(
        self, case: Case, table: Table, given: Row, params: dict[str, Param], prefer: tuple[str, ...], form: bool
    ) -> None:
        self.case, self.desk, self.table, self.form = case, case.desk, table, form
        self.params, self.prefer = params, prefer
        self.found: Row = {k: v for k, v in given.items() if v is not None}

    def values(self) -> Row:
        """All columns but formulas, and keys that SQLite numbers."""
        for column in self.table.columns:
            if not column.formula:
                self.value(column)
        return self.found

    def value(self, column: Column) -> Any:
        """The value of one column; what it depends on comes first."""
        key = column.key
        if key not in self.found:
            own = (key,) == self.table.primary_key
            if own and self.table.key_style == "integer":
                return None
            self.found[key] = self._first(column)
        return self.found[key]

    def _first(self, column: Column) -> Any:
        table, key = self.table, column.key
        machine = table.lifecycle
        if is_minted(table, column) and key not in references(table):
            return self.desk.host.mint(table.key, key)
        if machine and key == machine.column:
            return machine.initial
        entered = self.form and machine is not None and machine.stamps.get(machine.initial) == key
        if entered or key == "created_at" or is_a(column.type, "created_at") or is_updated_at(column):
            return self.desk.moment(column)
        if key in GONE and (column.nullable or is_a(column.type, "flag")):
            return 0 if is_a(column.type, "flag") and (self.form or not column.nullable) else None
        if (table.key, key) in self.case.facts.derived:
            return None if column.nullable else 0
        if (offered := self._offered(column)) is not None:
            return offered
        if column.nullable:
            return None
        return self._needed(column)

    def _offered(self, column: Column) -> Any:
        """What is usual where nothing was said: a stated default, what a parent says, the next place in a row."""
        param = self.params.get(column.key)
        if param is not None and param.default is not None and self.form:
            return param.default
        copied = column.like and (param is not None or not self.form)
        if copied and (found := self._follow(column.like.split("."))) is not None:
            return found
        if param is None or not self.form:
            return None
        if column.key == "position" and semantic_type(column.type).sql == "INTEGER":
            return self._next_place(column)
        if column.key == "currency" and not column.like:
            return next(
                (v for f in self.table.foreign_keys if not f.nullable and (v := self._follow([f.key, "currency"]))),
                None,
            )
        return None

    def _follow(self, steps: list[str]) -> Any:
        """The value at the end of a path from the new row; None where it leads nowhere."""
        table, row = self.table, None
        for role in steps[:-1]:
            reference = table.parents.get(role)
            if reference is None or len(reference.columns) != 1:
                return None
            column = reference.columns[0]
            start = self.value(table[column]) if row is None else row[column]
            if start is None:
                return None
            table = self.case.schema[reference.table]
            row = next(iter(self.desk.rows(table, {reference.ref[0]: start})), None)
            if row is None:
                return None
        last = table.parents[steps[-1]].columns[0] if steps[-1] in table.parents else steps[-1]
        return None if row is None else row.get(last)

    def _next_place(self, column: Column) -> int:
        """The next number in the group to which the row belongs."""
        table = self.table
        group = next((u for u in table.uniques if column.key in u and len(u) == 2), ())
        parents = [k for k in group if k != column.key] or [f.columns[0] for f in table.foreign_keys if not f.nullable][
            :1
        ]
        others = self.desk.rows(table, {k: self.value(table[k]) for k in parents})
        after = max((r[column.key] for r in others if r[column.key] is not None), default=0) + 1
        high = bounds(column, semantic_type(column.type))[1]
        return after if high is None else min(after, int(high))

    def _needed(self, column: Column) -> Any:
        """What stands in a column that may not be empty and that nobody was asked about."""
        kind = semantic_type(column.type)
        if is_a(column.type, "flag"):
            return int(is_a(column.type, "is_active"))
        if not self.form and is_a(column.type, "position_index"):
            return max((r[column.key] for r in self.desk.rows(self.table)), default=0) + 1
        if column.values:
            words = {state_word(v): v for v in column.values}
            return next((words[p] for p in self.prefer if p in words), column.values[0])
        if kind.temporal in ("date", "datetime"):
            return self.desk.moment(column)
        if kind.sql != "TEXT":
            return max(0, int(bounds(column, kind)[0] or 0))
        return self.desk.now
