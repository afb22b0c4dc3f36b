"""Actions: each carried out with arguments drawn from its world, and its net changes held against what it should do.

The expectations below read the diff and the rows, never the tool's program.  After every success all rules of the schema
hold over the whole database, foreign keys are whole, and the answer is what `returns` promises.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from statistics import median
from typing import Any, NamedTuple

import jsonschema
import pytest
from msgspec.structs import replace

from worlddb.rng import Stream
from worlddb.schema.grow import grow
from worlddb.schema.model import ForeignKey, Schema, Table
from worlddb.schema.rules import Immutable, NoOverlap, UniqueActive, quote
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.kinds.actions import propose
from worlddb.tools.kinds.actions.sights import open_states
from worlddb.tools.model import Guard, Param, Result, Tool
from worlddb.tools.session import Session
from worlddb.tools.site import Site
from worlddb.tools.styles import Style, dress
from worlddb.tools.toolset import Toolset
from worlddb.tools.words import state_word
from worlddb.world.generate import generate
from worlddb.world.model import World
from worlddb.world.profiles import profile

RARE = (
    "warehouse", "online_retail", "retail_bank", "loyalty_program", "invoicing", "university", "event_ticketing", "gym",
    "restaurant", "messaging_workspace", "freight_forwarding", "procurement",
)  # fmt: skip
"""Domains with patterns that few worlds have: stock by place, prices, accounts, classes with a waiting list."""
SEEDS = tuple(range(80 + 2 * len(RARE)))
DRAWS = 40
Row = dict[str, Any]


# --- one world


class Stage:
    """A world with its actions, and its rows as they were grown."""

    def __init__(self, seed: int) -> None:
        domain = RARE[(seed - 80) // 2] if 80 <= seed < 80 + 2 * len(RARE) else ""
        self.world: World = generate(seed, domain=domain)
        self.schema = self.world.schema
        self.now_text = datetime.fromtimestamp(self.world.now, UTC).strftime("%Y-%m-%d %H:%M:%S")
        self.site = Site(self.schema)
        self.tools = dress(list(propose(self.site)), Style(), self.site.words)
        self.toolset = Toolset(self.schema, tuple(self.tools), Style())
        connection = self.world.connect()
        self.rows: dict[str, list[Row]] = {t.key: list(_read(connection.execute, t)) for t in self.schema.tables}
        connection.close()

    def now(self, table: str, session: Session) -> list[Row]:
        """The rows of a table in an episode."""
        return list(_read(session.rows, self.schema[table]))

    def key(self, table: str, row: Row) -> Any:
        """The single key of a row."""
        return row[self.schema[table].primary_key[0]]

    def find(self, table: str, key: Any) -> Row:
        """A row as it was grown."""
        return next(r for r in self.rows[table] if self.key(table, r) == key)


def _read(run: Callable[[str], Any], table: Table) -> Iterator[Row]:
    columns = [c.key for c in table.columns]
    names = ", ".join(quote(c.name) for c in table.columns)
    return (dict(zip(columns, row, strict=True)) for row in run(f"SELECT {names} FROM {quote(table.name)}"))


@cache
def stage(seed: int) -> Stage:
    """The stage of a seed."""
    return Stage(seed)


def pattern(tool: Tool) -> str:
    """The last part of a tool's key: which pattern it is an instance of."""
    return tool.key.rpartition(".")[2]


# --- drawing arguments


class Draw:
    """Arguments of one action, likely to be accepted: rows of all states evenly, references that belong together."""

    def __init__(self, on: Stage, tool: Tool, random_: random.Random) -> None:
        self.on, self.tool, self.random = on, tool, random_
        self.keys: dict[str, Row] = {}
        self.models: dict[str, Row | None] = {}
        self.akin = random_.random() < 0.7

    def arguments(self) -> Row:
        """A call's arguments, by public name."""
        if pattern(self.tool) == "split":
            return self._split()
        found: Row = {}
        if pattern(self.tool) in ("leave", "transfer_stock", "join"):
            found |= self._of_one_row()
        for param in self.tool.params:
            if param.name not in found and (param.required or self.random.random() < 0.3):
                value = self._value(param)
                if value is not None:
                    found[param.name] = value
        self._in_order(found)
        return found

    def _some(self, table: str) -> Row | None:
        rows, machine = self.on.rows[table], self.on.schema[table].lifecycle
        if rows and machine:
            state = self.random.choice(sorted({r[machine.column] for r in rows}))
            rows = [r for r in rows if r[machine.column] == state]
        return self.random.choice(rows) if rows else None

    def _split(self) -> Row:
        lines = self.tool.param("lines")
        child = self.on.schema[lines.table]
        line = self._some(child.key)
        assert line is not None
        links = [f.columns[0] for f in child.foreign_keys if f.table == self.tool.table and not f.nullable]
        column = self.random.choice(links)
        theirs = [self.on.key(child.key, r) for r in self.on.rows[child.key] if r[column] == line[column]]
        return {self.tool.param("id").name: line[column], lines.name: theirs[: max(1, len(theirs) // 2)]}

    def _of_one_row(self) -> Row:
        row, table = self._some(self.tool.table), self.on.schema[self.tool.table]
        found: Row = {}
        for param in self.tool.params:
            link, mixed = _link(table, param.table), pattern(self.tool) == "join" and self.random.random() < 0.5
            if row and param.role == "key" and link and not param.key.startswith("to_") and not mixed:
                found[param.name] = row[link.columns[0]]
        return {k: v for k, v in found.items() if v is not None}

    def _value(self, param: Param) -> Any:
        if param.fields:
            count = self.random.randint(1, 2)
            return [
                {f.name: self._value(f) for f in param.fields if f.required or self.random.random() < 0.5}
                for _ in range(count)
            ]
        table = self.on.schema[param.table]
        if param.role == "key" and (param.column,) == table.primary_key:
            return self._key(param)
        if (link := next((f for f in table.foreign_keys if f.columns == (param.column,)), None)) is not None:
            return self._reference(param, table, link)
        return self._plain(param, table)

    def _key(self, param: Param) -> Any:
        known = self.keys.get(param.table)
        row = self._relative(param.table, known) if known and self.random.random() < 0.6 else None
        row = row or self._some(param.table)
        if row is None:
            return None
        self.keys[param.table] = row
        return row[param.column]

    def _relative(self, table: str, row: Row) -> Row | None:
        """Another row with a parent in common."""
        links = [f.columns[0] for f in self.on.schema[table].foreign_keys if len(f.columns) == 1]
        twins = [r for r in self.on.rows[table] if r is not row and any(r[c] == row[c] is not None for c in links)]
        return self.random.choice(twins) if twins else None

    def _reference(self, param: Param, table: Table, link: ForeignKey) -> Any:
        """What a row of the table that has the keys drawn so far refers to."""
        if table.key not in self.models:
            fits = self.on.rows[table.key]
            for home, row in self.keys.items():
                other = _link(table, home)
                if other:
                    fits = [r for r in fits if r[other.columns[0]] == self.on.key(home, row)] or fits
            self.models[table.key] = self.random.choice(fits) if fits else None
        model = self.models[table.key]
        if self.akin and model and model[param.column] is not None:
            return model[param.column]
        parents = self.on.rows[link.table]
        return self.random.choice(parents)[link.ref[0]] if parents else None

    def _plain(self, param: Param, table: Table) -> Any:
        column, schema = table[param.column], param.schema
        kind = semantic_type(column.type)
        if kind.temporal in ("date", "datetime"):
            far = 400 if param.key in ("until", "end") and self.random.random() < 0.3 else 60
            days, hours = self.random.randint(1, far), self.random.randint(0, 12)
            at = datetime.fromtimestamp(self.on.world.now, UTC) + timedelta(days=days, hours=hours)
            return at.strftime("%Y-%m-%d" if kind.temporal == "date" else "%Y-%m-%d %H:%M:%S")
        if "enum" in schema:
            return self.random.choice([v for v in schema["enum"] if v is not None])
        values = [r[param.column] for r in self.on.rows[param.table] if r[param.column] is not None]
        value = self.random.choice(values) if values else "word" if kind.sql == "TEXT" else 1
        if column.unique and kind.sql == "TEXT":
            return f"{str(value)[:20]}{self.random.randint(1000, 9999)}"
        if is_a(column.type, "flag"):
            return bool(value)
        if param.key == "amount":
            value = max(1, abs(int(value)) // self.random.choice([1, 2, 10]))
        return max(value, schema["minimum"]) if "minimum" in schema else value

    def _in_order(self, found: Row) -> None:
        """An end after the start."""
        start = next((p.name for p in self.tool.params if p.key == "start"), "")
        end = next((p.name for p in self.tool.params if p.key == "end"), "")
        if start in found and end in found:
            shape = "%Y-%m-%d" if len(found[start]) == 10 else "%Y-%m-%d %H:%M:%S"
            days = timedelta(days=self.random.randint(1, 3))
            found[end] = (datetime.strptime(found[start], shape) + days).strftime(shape)


def _link(table: Table, parent: str) -> ForeignKey | None:
    return next((f for f in table.foreign_keys if len(f.columns) == 1 and f.table == parent), None)


# --- what has happened


class Done(NamedTuple):
    """A success: the arguments by parameter key, and the net changes by table."""

    on: Stage
    tool: Tool
    given: Row
    session: Session
    result: Result

    @property
    def table(self) -> Table:
        return self.on.schema[self.tool.table]

    @property
    def id(self) -> Any:
        return self.given["id"]

    def changed(self, table: str, op: str) -> list[tuple[Row | None, Row | None]]:
        """(before, after) of the rows of a table that one operation changed."""
        columns = [c.key for c in self.on.schema[table].columns]
        return [
            tuple(None if r is None else dict(zip(columns, r, strict=True)) for r in (c.before, c.after))  # type: ignore[misc]
            for c in self.session.diff().changes
            if (c.table, c.op) == (table, op)
        ]

    def inserted(self, table: str) -> list[Row]:
        return [after for _, after in self.changed(table, "insert") if after]

    def updated(self, table: str) -> list[tuple[Row, Row]]:
        return [(b, a) for b, a in self.changed(table, "update") if a and b]

    def one(self, table: str, key: Any) -> tuple[Row, Row]:
        """The row of a table that had this key, and is the only one that was updated beside derived totals."""
        found = [(b, a) for b, a in self.updated(table) if self.on.key(table, b) == key]
        assert len(found) == 1, self.tool.key
        return found[0]

    def differing(self, before: Row, after: Row) -> set[str]:
        """Columns that differ, without what follows by itself: totals, formulas, times of change."""
        home = self.table
        free = self.on.site.derived(home) | {c.key for c in home.columns if c.formula or is_a(c.type, "updated_at")}
        return {k for k in before if before[k] != after[k]} - free

    def touched(self) -> set[str]:
        return {c.table for c in self.session.diff().changes}


def _middle(tool: Tool) -> str:
    """The second part of a tool's key: mostly the role of a reference, or a child table."""
    return tool.key.split(".")[1]


def _state(table: Table) -> set[str]:
    machine = table.lifecycle
    return {machine.column, *machine.stamps.values()} if machine else set()


# --- expectations, one for each pattern


def moved(done: Done) -> None:
    column = done.table.parents[_middle(done.tool)].columns[0]
    before, after = done.one(done.tool.table, done.id)
    position = {c.key for c in done.table.columns if is_a(c.type, "position_index")}
    assert after[column] == done.given.get("to_id") != before[column]
    assert done.differing(before, after) - position == {column}


def moved_all(done: Done) -> None:
    column = done.table.parents[_middle(done.tool)].columns[0]
    changes = [(b, a) for b, a in done.updated(done.tool.table) if b[column] != a[column]]
    assert changes
    for before, after in changes:
        assert (before[column], after[column]) == (done.given["from_id"], done.given["to_id"])
        assert done.differing(before, after) == {column}
    data = done.result.data
    assert data["moved"] == len(changes)
    assert data["left"] == 0
    assert data["now"] >= len(changes)
    everything = [r for r in done.on.now(done.tool.table, done.session) if r[column] == done.given["from_id"]]
    assert len(everything) == sum(r[column] == done.given["from_id"] for r in done.on.rows[done.tool.table]) - len(
        changes
    )


def assigned(done: Done) -> None:
    column = done.table.parents[_middle(done.tool)].columns[0]
    before, after = done.one(done.tool.table, done.id)
    assert after[column] == done.given.get("who_id") != before[column]
    assert done.differing(before, after) - _state(done.table) == {column}


def retired(done: Done) -> None:
    before, after = done.one(done.tool.table, done.id)
    assert before["is_active"] != after["is_active"] == 0
    for child, link in done.on.schema.children[done.tool.table]:
        column, machine = link.columns[0], child.lifecycle
        for was, now in done.updated(child.key):
            if child.key != done.tool.table:
                assert (was[column], now[column]) in ((done.id, None), (was[column],) * 2)
        if (child.key, "update") in done.tool.writes and link.nullable and machine is not None:
            rows = [r for r in done.on.now(child.key, done.session) if r[column] == done.id]
            assert not [r for r in rows if r[machine.column] in open_states(child)]


def _no_overlap(on: Stage, tool: Tool) -> tuple[NoOverlap, str]:
    """The rule of time behind an action on reservations, and the column of what is reserved."""
    table, any_ = on.schema[tool.table], pattern(tool) in ("reschedule", "extend")
    rules = [r for r in on.schema.rules if isinstance(r, NoOverlap) and r.table == tool.table]
    rule = next(r for r in rules if any_ or r.per[0] == _middle(tool))
    return rule, table.parents[rule.per[0]].columns[0]


def _slot(done: Done) -> tuple[str, str, str]:
    rule, column = _no_overlap(done.on, done.tool)
    return column, rule.start, rule.end


def reserved(done: Done) -> None:
    column, start, end = _slot(done)
    (row,) = done.inserted(done.tool.table)
    assert (row[start][:10], row[end][:10]) == (done.given["start"][:10], done.given["end"][:10])
    assert row[column] == done.given["what_id"]


def reserved_any(done: Done) -> None:
    column, start, end = _slot(done)
    (row,) = done.inserted(done.tool.table)
    rule, _ = _no_overlap(done.on, done.tool)
    parent = done.on.schema[done.table.parents[_middle(done.tool)].table]
    kind = next(
        f.columns[0] for f in parent.foreign_keys
        if f.table == done.tool.param("kind_id").table
        and done.on.find(parent.key, row[column])[f.columns[0]] == done.given["kind_id"]
    )  # fmt: skip
    lower = [
        r for r in done.on.rows[parent.key]
        if r[kind] == done.given["kind_id"] and done.on.key(parent.key, r) < row[column] and _in_service(parent, r)
    ]  # fmt: skip
    for other in lower:  # each of them is taken then
        assert any(
            b[column] == done.on.key(parent.key, other) and b[start] < row[end] and (b[end] or "9999") > row[start]
            and all(b[c] in v for c, v in rule.where.items() if isinstance(v, tuple))
            for b in done.on.rows[done.tool.table]
        )  # fmt: skip


def _in_service(table: Table, row: Row) -> bool:
    """False for what is inactive by a flag or a state; states are judged by the tool's own refusals elsewhere."""
    flags = row.get("is_active", 1) != 0 and not row.get("is_deleted") and not row.get("is_archived")
    return bool(flags and not row.get("deleted_at") and table.lifecycle is None)


def rescheduled(done: Done) -> None:
    _, start, end = _slot(done)
    before, after = done.one(done.tool.table, done.id)
    assert after[start][:16] == done.given["start"][:16]
    assert done.differing(before, after) <= {start, end}
    if "end" in done.given:
        assert after[end][:16] == done.given["end"][:16]
    elif before[end]:
        assert _span(after[start], after[end]) == _span(before[start], before[end])


def _span(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def extended(done: Done) -> None:
    _, _, end = _slot(done)
    before, after = done.one(done.tool.table, done.id)
    assert done.differing(before, after) == {end}
    assert after[end] > before[end]


def resource_changed(done: Done) -> None:
    column, _, _ = _slot(done)
    before, after = done.one(done.tool.table, done.id)
    assert done.differing(before, after) == {column}
    assert after[column] == done.given["to_id"]


def swapped(done: Done) -> None:
    column, _, _ = _slot(done)
    (a, after_a), (b, after_b) = (done.one(done.tool.table, done.given[k]) for k in ("from_id", "to_id"))
    assert (after_a[column], after_b[column]) == (b[column], a[column])
    assert done.differing(a, after_a) == done.differing(b, after_b) == {column}


def paid(done: Done) -> None:
    payment = _middle(done.tool)
    (row,) = done.inserted(payment)
    link = next(
        f.columns[0]
        for f in done.on.schema[payment].foreign_keys
        if row[f.columns[0]] == done.id and f.table == done.tool.table
    )
    if "amount" in done.given:
        assert row["amount"] == done.given["amount"]
    else:  # nothing is left to pay: a further payment is refused
        again = done.session.call(done.tool.name, {done.tool.param("id").name: done.id, **_rest(done)})
        assert not again.ok
        assert again.error is not None
        assert again.error.rule.partition(":")[0] in ("outstanding", "state")
    assert (
        sum(r[link] == done.id for r in done.on.now(payment, done.session))
        == sum(r[link] == done.id for r in done.on.rows[payment]) + 1
    )


def _rest(done: Done) -> Row:
    return {p.name: done.given[p.key] for p in done.tool.params if p.required and p.key != "id"}


def refunded(done: Done) -> None:
    machine = done.table.lifecycle
    assert machine is not None
    before, after = done.one(done.tool.table, done.id)
    assert (before[machine.column], after[machine.column]) in machine.moves
    assert done.differing(before, after) <= _state(done.table)
    assert before["amount"] == after["amount"]


def funds_transferred(done: Done) -> None:
    balance = _middle(done.tool)
    (a, after_a), (b, after_b) = (done.one(done.tool.table, done.given[k]) for k in ("from_id", "to_id"))
    assert a[balance] - after_a[balance] == after_b[balance] - (b[balance] or 0) == done.given["amount"]
    total = sum(r[balance] or 0 for r in done.on.rows[done.tool.table])
    assert sum(r[balance] or 0 for r in done.on.now(done.tool.table, done.session)) == total
    entries = [r for t in done.touched() for r in done.inserted(t)]
    assert len(entries) in (0, 2)


def balance_moved(done: Done) -> None:
    balance, sign = _middle(done.tool), 1 if pattern(done.tool) == "top_up" else -1
    before, after = done.one(done.tool.table, done.id)
    assert after[balance] - before[balance] == sign * done.given["amount"]
    assert sum(len(done.inserted(t)) for t in done.touched()) == 1


def _quantity(table: Table) -> str:
    return next(c.key for c in table.columns if c.key == "quantity" or is_a(c.type, "stock_level"))


def stock_transferred(done: Done) -> None:
    column = _quantity(done.table)
    total = sum(r[column] or 0 for r in done.on.rows[done.tool.table])
    assert sum(r[column] or 0 for r in done.on.now(done.tool.table, done.session)) == total
    gains = sorted(a[column] - b[column] for b, a in done.updated(done.tool.table)) + [
        r[column] for r in done.inserted(done.tool.table)
    ]
    assert gains == [-done.given["amount"], done.given["amount"]]


def stock_changed(done: Done) -> None:
    column, sign = _quantity(done.table), 1 if pattern(done.tool) == "receive" else -1
    ((before, after),) = done.updated(done.tool.table)
    assert after[column] - before[column] == sign * done.given["amount"]


def placed(done: Done) -> None:
    child = done.on.schema[_middle(done.tool)]
    (parent,) = done.inserted(done.tool.table)
    rows, items = done.inserted(child.key), done.given["lines"]
    assert len(rows) == len(items)
    key = done.on.key(done.tool.table, parent)
    assert all(any(r[f.columns[0]] == key for f in child.foreign_keys if f.table == done.tool.table) for r in rows)
    machine = done.table.lifecycle
    assert machine is None or parent[machine.column] == machine.initial
    _prices_copied(done, child, rows, {f.column for f in done.tool.param("lines").fields})
    assert len(done.result.data[next(n for n, _ in done.tool.reply.nested)]) == len(items)


def _prices_copied(done: Done, child: Table, rows: list[Row], asked: set[str]) -> None:
    for column in child.columns:
        role, _, rest = column.like.partition(".")
        if rest and "." not in rest and role in child.parents and column.key not in asked:
            link = child.parents[role]
            for row in rows:
                if row[link.columns[0]] is not None:
                    assert row[column.key] == done.on.find(link.table, row[link.columns[0]])[rest]


def line_added(done: Done) -> None:
    child = done.on.schema[_middle(done.tool)]
    (row,) = done.inserted(child.key)
    refers = {row[f.columns[0]] for f in child.foreign_keys if len(f.columns) == 1}
    assert {done.id, done.given["what_id"]} <= refers
    _prices_copied(done, child, [row], {p.column for p in done.tool.params if p.table == child.key})


def finished(done: Done) -> None:
    machine, child = done.table.lifecycle, done.on.schema[done.tool.key.split(".")[2]]
    assert machine is not None
    assert child.lifecycle is not None
    before, after = done.one(done.tool.table, done.id)
    assert (before[machine.column], after[machine.column]) in machine.moves
    column, word = child.lifecycle.column, done.tool.key.split(".")[3]
    (end,) = (s for s in child.lifecycle.states if state_word(s) == word)
    changed = [(b, a) for b, a in done.updated(child.key) if b[column] != a[column]]
    assert {a[column] for _, a in changed} <= {end}
    links = [f.columns[0] for f in child.foreign_keys if f.table == done.tool.table]
    ours = [c for c in links if c in _tied_to(done, child)]
    assert all(done.id in [b[c] for c in links] for b, _ in changed)
    # nothing that could go there too is left open
    could = {a for a, b in child.lifecycle.moves if b == end} & set(open_states(child))
    assert not any(r[ours[0]] == done.id and r[column] in could for r in done.on.now(child.key, done.session))


def _tied_to(done: Done, child: Table) -> list[str]:
    """The first reference of a child to the table: the one that an action on both speaks of."""
    return [f.columns[0] for f in child.foreign_keys if f.table == done.tool.table][:1]


def spoken(done: Done) -> None:
    new = [(t, r) for t in done.touched() for r in done.inserted(t)]
    ((table, row),) = new
    if pattern(done.tool) != "note_and_close":
        assert done.given["body"].strip() in row.values()
    pair = done.on.schema[table].polymorphic
    ties = [row[f.columns[0]] for f in done.on.schema[table].foreign_keys if f.table == done.tool.table]
    assert done.id in ties or (pair is not None and str(row[pair.id_column]) == str(done.id))
    if pattern(done.tool) == "comment":
        assert not [1 for b, a in done.updated(done.tool.table) if done.differing(b, a)]
        return
    machine = done.table.lifecycle
    assert machine is not None
    before, after = done.one(done.tool.table, done.id)
    assert (before[machine.column], after[machine.column]) in machine.moves
    assert done.differing(before, after) <= _state(done.table)


def escalated(done: Done) -> None:
    column = _middle(done.tool)
    before, after = done.one(done.tool.table, done.id)
    order = ["low", "minor", "medium", "normal", "moderate", "high", "major", "urgent", "critical"]
    low, high = order.index(before[column].lower()), order.index(after[column].lower())
    assert low < high
    assert not any(low < order.index(v.lower()) < high for v in done.table[column].values)
    assert done.differing(before, after) <= {column, "is_escalated"}


def followed_up(done: Done) -> None:
    child = done.on.schema[_middle(done.tool)]
    (row,) = done.inserted(child.key)
    link = child.parents[done.tool.key.split(".")[2]].columns[0]
    assert row[link] == done.id
    source = done.on.find(done.tool.table, done.id)
    for own in child.foreign_keys:
        same = done.table.parents.get(own.key)
        if same is not None and same.table == own.table and own.columns[0] != link:
            assert row[own.columns[0]] == source[same.columns[0]]


def plan_changed(done: Done) -> None:
    link = done.table.parents[_middle(done.tool)]
    before, after = done.one(done.tool.table, done.id)
    assert after[link.columns[0]] == done.given["to_id"] != before[link.columns[0]]
    plan = done.on.find(link.table, done.given["to_id"])
    assert done.differing(before, after) <= {link.columns[0], "price", "billing_period"}
    if "price" in done.differing(before, after):
        assert after["price"] == plan["price"]


def renewed(done: Done) -> None:
    before, after = done.one(done.tool.table, done.id)
    until = [c for c in done.differing(before, after) if after[c] == done.given["until"]]
    assert len(until) == 1
    assert before[until[0]] is None or before[until[0]] < after[until[0]]
    assert done.differing(before, after) - {until[0], "renewal_count"} <= _state(done.table)


def joined(done: Done) -> None:
    (row,) = done.inserted(done.tool.table)
    refers = [row[f.columns[0]] for f in done.table.foreign_keys if len(f.columns) == 1]
    assert done.given["who_id"] in refers
    assert done.given["group_id"] in refers


def left(done: Done) -> None:
    ours = {done.given["who_id"], done.given["group_id"]}
    machine = done.table.lifecycle
    gone = [b for b, _ in done.changed(done.tool.table, "delete") if b]
    for row in gone or [b for b, _ in done.updated(done.tool.table) if done.given["who_id"] in b.values()]:
        assert ours <= set(row.values())
    assert gone or machine is not None


def duplicated(done: Done) -> None:
    (copy,) = done.inserted(done.tool.table)
    original, home = done.on.find(done.tool.table, done.id), done.table
    _alike(done, home, original, copy, {p.column for p in done.tool.params})
    child = done.on.schema[done.tool.reply.nested[0][1].fields[0].table]
    column = next(
        f.columns[0] for f in child.foreign_keys if f.table == home.key and f.columns[0] in _tied(done, child)
    )
    mine, theirs = done.inserted(child.key), [r for r in done.on.rows[child.key] if r[column] == done.id]
    assert {r[column] for r in mine} <= {done.on.key(home.key, copy)}
    same = sorted(_copied_columns(done, child) - {column})
    assert Counter(tuple(r[c] for c in same) for r in mine) == Counter(tuple(r[c] for c in same) for r in theirs)


def _tied(done: Done, child: Table) -> set[str]:
    """Columns by which the rows of a child belong to the row: the one that takes them along when it goes, else the first."""
    links = [f for f in child.foreign_keys if len(f.columns) == 1 and not f.nullable]
    return {next((f for f in links if f.on_delete == "CASCADE"), links[0]).columns[0]}


def _copied_columns(done: Done, table: Table) -> set[str]:
    """Columns that a copy has in common with its original."""
    own = set(table.primary_key) if len(table.primary_key) == 1 else set()
    system = {
        c.key
        for c in table.columns
        if done.on.site.system(table, c) or c.unique or is_a(c.type, "event_time") or is_a(c.type, "is_deleted")
    }
    machine = table.lifecycle
    return (
        {c.key for c in table.columns}
        - own
        - system
        - ({machine.column, *machine.stamps.values()} if machine else set())
    )


def _alike(done: Done, table: Table, original: Row, copy: Row, but: set[str]) -> None:
    for column in _copied_columns(done, table) - but:
        assert copy[column] == original[column], column
    machine = table.lifecycle
    assert machine is None or copy[machine.column] == machine.initial


def repeated(done: Done) -> None:
    (copy,) = done.inserted(done.tool.table)
    original = done.on.find(done.tool.table, done.id)
    planned = {c.key for c in done.table.columns if semantic_type(c.type).temporal in ("date", "datetime")}
    _alike(done, done.table, original, copy, planned)
    start = done.tool.param("start").column
    assert copy[start][:16] == done.given["start"][:16]
    for end in ("end_at", "ends_on"):
        if end in copy and original[end] and start in ("start_at", "starts_on"):
            assert _span(copy[start], copy[end]) == _span(original[start], original[end])


def merged(done: Done) -> None:
    gone = done.given["from_id"]
    keys = {done.on.key(done.tool.table, r) for r in done.on.now(done.tool.table, done.session)}
    assert keys == {done.on.key(done.tool.table, r) for r in done.on.rows[done.tool.table]} - {gone}
    for child, link in done.on.schema.children[done.tool.table]:
        column = link.columns[0]
        now, was = done.on.now(child.key, done.session), done.on.rows[child.key]
        assert gone not in [r[column] for r in now]
        if child.key != done.tool.table:
            _none_lost(done, child, column, was, now)


def _none_lost(done: Done, child: Table, column: str, was: list[Row], now: list[Row]) -> None:
    """Every row is there still, with the one that stays in place of the one that is gone; twins of such rows are not."""
    gone, stays = done.given["from_id"], done.given["to_id"]
    together = [
        s
        for s in (child.primary_key, *child.uniques, *((f.columns) for f in child.foreign_keys if f.unique))
        if column in s
    ]
    for rule in done.on.schema.rules:  # of two that a rule has but once, one is left
        if isinstance(rule, UniqueActive) and rule.table == child.key:
            ours = tuple(child.parents[p].columns[0] if p in child.parents else p for p in rule.per)
            together += [ours] if column in ours else []
    references = [c for f in child.foreign_keys if f.table == done.tool.table for c in f.columns]
    follows = [c.key for c in child.columns if is_a(c.type, "updated_at") or c.formula] + sorted(
        done.on.site.derived(child)
    )

    pair = child.polymorphic
    kind = (
        child[pair.type_column].values[pair.tables.index(done.tool.table)]
        if pair and done.tool.table in pair.tables
        else ""
    )

    def plain(row: Row) -> tuple[Any, ...]:
        row = {k: stays if k in references and v == gone else v for k, v in row.items() if k not in follows}
        if pair and kind and row[pair.type_column] == kind and str(row[pair.id_column]) == str(gone):
            row[pair.id_column] = type(row[pair.id_column])(stays)
        return tuple(row.values())

    left, expected = Counter(map(plain, now)), Counter(map(plain, was))
    assert not left - expected
    keys = [k for k in child.columns if k.key not in follows]
    for lost in expected - left:
        row = dict(zip((k.key for k in keys), lost, strict=True))
        assert any(any(all(r[k] == row[k] for k in s) for r in now) for s in together)


def split_up(done: Done) -> None:
    child = done.on.schema[_middle(done.tool)]
    (new,) = done.inserted(done.tool.table)
    key = done.on.key(done.tool.table, new)
    moved_ = {done.on.key(child.key, b): (b, a) for b, a in done.updated(child.key)}
    for line in done.given["lines"]:
        before, after = moved_[line]
        (column,) = {c for c in before if before[c] != after[c] and not is_a(child[c].type, "updated_at")}
        assert (before[column], after[column]) == (done.id, key)
    assert set(moved_) == set(done.given["lines"])
    assert len(done.on.now(child.key, done.session)) == len(done.on.rows[child.key])


EXPECTED: dict[str, Callable[[Done], None]] = {
    "move": moved, "move_all": moved_all, "hand_over": moved_all, "assign": assigned, "unassign": assigned, "retire": retired,
    "reserve": reserved, "reserve_any": reserved_any, "reschedule": rescheduled, "extend": extended,
    "change_resource": resource_changed, "swap": swapped, "pay": paid, "refund": refunded, "transfer_funds": funds_transferred,
    "top_up": balance_moved, "withdraw": balance_moved, "transfer_stock": stock_transferred, "receive": stock_changed,
    "issue": stock_changed, "place": placed, "add": line_added, "finish": finished, "comment": spoken, "say_and_close": spoken,
    "note_and_close": spoken, "escalate": escalated, "follow_up": followed_up, "change_plan": plan_changed, "renew": renewed,
    "join": joined, "leave": left, "duplicate": duplicated, "repeat": repeated, "merge": merged, "split": split_up,
}  # fmt: skip

GUARDS = {
    "state": "RULE_VIOLATION", "assigned": "CONFLICT", "unassigned": "RULE_VIOLATION", "inactive": "RULE_VIOLATION",
    "same": "INVALID_ARGUMENT", "empty": "RULE_VIOLATION", "there": "CONFLICT", "circle": "RULE_VIOLATION", "taken": "CONFLICT",
    "past": "RULE_VIOLATION", "span": "RULE_VIOLATION", "extend": "RULE_VIOLATION", "swap": "CONFLICT",
    "outstanding": "RULE_VIOLATION",
    "overdraw": "RULE_VIOLATION",
    "stock": "RULE_VIOLATION", "kind": "RULE_VIOLATION", "escalate": "RULE_VIOLATION", "once": "CONFLICT",
    "renew": "RULE_VIOLATION", "joined": "CONFLICT NOT_FOUND", "full": "RULE_VIOLATION", "open": "RULE_VIOLATION",
    "split": "RULE_VIOLATION", "planned": "RULE_VIOLATION",
}  # fmt: skip
"""What is before the colon in the name of a guard -> the codes that it may answer with."""


# --- the campaign: everything is called, once for all tests


class Campaign:
    """What came of calling the actions of many worlds."""

    def __init__(self) -> None:
        self.tools: Counter[str] = Counter()
        self.succeeded: Counter[str] = Counter()
        self.refused: dict[str, Counter[str]] = defaultdict(Counter)
        self.reasons: dict[str, list[str]] = defaultdict(list)


def judge(done: Done) -> None:
    """What holds after every success."""
    schema, session = done.on.schema, done.session
    jsonschema.validate(done.result.data, done.tool.returns)
    for change in session.diff().changes:
        allowed = {op for table, op in done.tool.writes if table == change.table}
        assert change.op in allowed or ("update" in allowed and len(schema[change.table].primary_key) > 1), (
            done.tool.key,
            change,
        )
    for rule in schema.rules:
        assert session.rows(rule.violations(schema)) == [], (done.tool.key, rule.say)
    assert session.rows("PRAGMA foreign_key_check") == []
    for table in schema.tables:
        for before, after in done.updated(table.key):
            times_are_set(done, table, before, after)
    EXPECTED[pattern(done.tool)](done)


def times_are_set(done: Done, table: Table, before: Row, after: Row) -> None:
    """A row that enters a state has its stamp; one whose content changed says when, unless it is frozen."""
    machine, today = table.lifecycle, done.on.now_text[:10]
    moved_ = machine is not None and before[machine.column] != after[machine.column]
    if machine and moved_ and (stamp := machine.stamps.get(after[machine.column])):
        assert after[stamp][:10] == today
        assert before[stamp] != after[stamp]
    frozen = {
        s for r in done.on.schema.rules if isinstance(r, Immutable) and r.table == table.key and not r.holder for s in r.states
    }  # fmt: skip
    content = (
        {k for k in before if before[k] != after[k]}
        - done.on.site.derived(table)
        - {c.key for c in table.columns if c.formula}
    )
    content -= {c for f in table.foreign_keys if f.on_delete == "SET NULL" for c in f.columns if after[c] is None}
    for column in table.columns:
        if is_a(column.type, "updated_at") and content and not (machine and after[machine.column] in frozen):
            assert after[column.key][:10] == today, (done.tool.key, table.key)


def refusal(tool: Tool, session: Session, result: Result) -> str:
    """The name of the rule behind a refusal, after a look at its form."""
    error = result.error
    assert error is not None
    assert len(session.diff()) == 0
    assert "{" not in error.message + error.cure, (tool.key, error)
    assert error.code == "NOT_FOUND" or error.code == "INVALID_ARGUMENT" or (error.rule and error.cure), (
        tool.key,
        error,
    )
    return f"{error.rule.partition(':')[0]} {error.code}"


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    """Every action of the worlds, with up to DRAWS draws of its arguments."""
    found = Campaign()
    for seed in SEEDS:
        on = stage(seed)
        for tool in on.tools:
            kind = pattern(tool)
            found.tools[kind] += 1
            draws = random.Random(f"{seed}/{tool.key}")
            reason: Counter[str] = Counter()
            for _ in range(DRAWS):
                arguments = Draw(on, tool, draws).arguments()
                session = Session(on.world, on.toolset)
                result = session.call(tool.name, arguments)
                if result.ok:
                    names = {p.name: p.key for p in tool.params}
                    given = {names[n]: v for n, v in arguments.items()}
                    judge(Done(on, tool, given, session, result))
                    found.succeeded[kind] += 1
                    break
                why = refusal(tool, session, result)
                found.refused[kind][why] += 1
                reason[why] += 1
            else:
                found.reasons[kind].append(f"{seed} {tool.key}: {reason.most_common(3)}")
    return found


def test_every_pattern_is_reached_and_mostly_succeeds(campaign: Campaign) -> None:
    """Nothing is proposed that cannot succeed; what never does in these draws is rare."""
    shares = {kind: campaign.succeeded[kind] / count for kind, count in campaign.tools.items()}
    for kind, count in sorted(campaign.tools.items()):
        print(f"{kind:16} {count:5} {shares[kind]:.2f} {campaign.reasons[kind][:1]}")
    assert set(campaign.tools) == set(EXPECTED)
    assert {k: v for k, v in shares.items() if v < 0.6} == {}
    assert sum(campaign.succeeded.values()) / campaign.tools.total() > 0.9


def test_every_guard_is_reached_and_answers_with_its_code(campaign: Campaign) -> None:
    """A refusal by a guard has the code that the guard is known by."""
    seen: dict[str, set[str]] = defaultdict(set)
    for refused in campaign.refused.values():
        for why in refused:
            name, _, code = why.partition(" ")
            if name in GUARDS:
                seen[name].add(code)
    assert {n: c for n, c in seen.items() if not c <= set(GUARDS[n].split())} == {}
    # what the draws respect, and a row without its usual start: see the tests below
    assert set(GUARDS) - set(seen) <= {"past", "span", "planned"}


def test_guards_are_known() -> None:
    """Every guard of every action has a name of the list above, or says only that something is not there."""
    names = set()
    for seed in SEEDS:
        for tool in stage(seed).tools:
            for step in tool.steps:
                if isinstance(step, Guard) and step.fault.code != "NOT_FOUND":
                    names.add(step.fault.rule.partition(":")[0])
                    assert step.fault.rule in tool.rules
    columns = names - set(GUARDS)
    assert all(any(c in t for s in SEEDS for t in stage(s).schema.tables) for c in columns), columns


def test_worlds_have_enough_actions() -> None:
    """Two candidates at least in every world, ten in most, and a good part of them writes several tables."""
    counts, several = list[int](), 0
    for seed in SEEDS:
        tools = stage(seed).tools
        counts.append(len(tools))
        several += sum(len({t for t, _ in tool.writes}) > 1 for tool in tools)
    assert min(counts) >= 2
    assert median(counts) >= 9
    assert several / sum(counts) > 0.3


def test_the_form_of_actions() -> None:
    """Kind, names and keys; a description that ends; parameters that are typed and told."""
    for seed in SEEDS:
        tools = stage(seed).tools
        assert len({t.key for t in tools}) == len({t.name for t in tools}) == len(tools)
        for tool in tools:
            assert (tool.kind, tool.cross, tool.read_only) == ("action", True, False)
            assert tool.writes
            assert tool.description.endswith(".")
            assert "{" not in tool.description
            assert "  " not in tool.description
            for param in tool.params:
                assert param.schema["description"], (tool.key, param.name)
                jsonschema.Draft202012Validator.check_schema(param.schema)


def test_a_missing_row_is_told() -> None:
    """A key that no row has is NOT_FOUND, whatever else is given, and names the parameter."""
    reached = set()
    for seed in range(20):
        on = stage(seed)
        for tool in on.tools:
            params = [p for p in tool.params if p.role == "key" and p.required]
            arguments = Draw(on, tool, random.Random(seed)).arguments()
            if not params or any(p.name not in arguments for p in params):
                continue
            first = params[0]
            value = arguments[first.name]
            arguments[first.name] = 999_999_999 if isinstance(value, int) else _unknown(value)
            session = Session(on.world, on.toolset)
            result = session.call(tool.name, arguments)
            assert result.error is not None, tool.key
            assert result.error.code == "NOT_FOUND", (tool.key, result.error)
            assert result.error.parameter == first.name
            assert len(session.diff()) == 0
            reached.add(pattern(tool))
    assert len(reached) > 20


def _unknown(value: str) -> str:
    head, _, tail = value.rpartition("-")
    return f"{head}-{'9' * len(tail)}"


def test_refusals_for_time_are_true() -> None:
    """Where a reservation is refused because of another one, that one is there, and the free start that is told is free."""
    seen = 0
    for seed in SEEDS:
        on = stage(seed)
        for tool in on.tools:
            if pattern(tool) != "reserve":
                continue
            rule, column = _no_overlap(on, tool)
            for row in on.rows[tool.table]:
                counts = all(row[c] in v for c, v in rule.where.items() if isinstance(v, tuple))
                if counts and row[column] is not None and row[rule.start] > on.now_text and row[rule.end]:
                    seen += _taken_is_true(on, tool, row, column, rule.start, rule.end)
                    break
    assert seen > 10


def _taken_is_true(on: Stage, tool: Tool, row: Row, column: str, start: str, end: str) -> int:
    arguments = Draw(on, tool, random.Random(0)).arguments()
    arguments |= {
        tool.param("what_id").name: row[column],
        tool.param("start").name: row[start],
        tool.param("end").name: row[end],
    }
    session = Session(on.world, on.toolset)
    error = session.call(tool.name, arguments).error
    assert error is not None
    if error.code != "CONFLICT":
        return 0
    assert str(on.key(tool.table, row)) in error.message
    assert row[start] in error.message
    free = error.cure.partition("length is ")[2].partition(";")[0]
    if not free[:1].isdigit():
        return 0
    shape = "%Y-%m-%d" if len(free) == 10 else "%Y-%m-%d %H:%M:%S"
    until = datetime.strptime(free, shape) + timedelta(seconds=_span(row[start], row[end]))
    arguments |= {tool.param("start").name: free, tool.param("end").name: until.strftime(shape)}
    again = session.call(tool.name, arguments)
    assert again.ok or (again.error is not None and not again.error.rule.startswith("taken:")), again.error
    return 1


def test_transfers_to_the_limit() -> None:
    """An account gives what it has, and not one unit more."""
    seen = 0
    for seed in range(200):
        on = stage(seed)
        for tool in on.tools:
            if pattern(tool) == "withdraw":
                balance = _middle(tool)
                rows = sorted((r for r in on.rows[tool.table] if 0 < r[balance] < 1000), key=lambda r: -r[balance])
                for row in rows[:5]:
                    key, amount = tool.param("id").name, tool.param("amount").name
                    call: Row = {key: on.key(tool.table, row), amount: row[balance] + 1}
                    session = Session(on.world, on.toolset)
                    error = session.call(tool.name, call).error
                    assert error is not None
                    if error.rule.startswith("overdraw"):
                        assert f"only {row[balance]};" in error.message
                        done = session.call(tool.name, {**call, amount: row[balance]})
                        seen += done.ok
    assert seen > 3


def test_times_are_checked() -> None:
    """A start that is past and an end before the start are refused, and a start alone keeps the length."""
    seen: Counter[str] = Counter()
    for seed in range(60):
        on = stage(seed)
        for tool in on.tools:
            if pattern(tool) not in ("reserve", "reserve_any"):
                continue
            arguments = Draw(on, tool, random.Random(seed)).arguments()
            start, end = tool.param("start").name, tool.param("end").name
            for wrong in ({start: "2001-01-01 10:00:00"[: len(arguments[start])]}, {end: arguments[start]}):
                session = Session(on.world, on.toolset)
                error = session.call(tool.name, {**arguments, **wrong}).error
                assert error is not None
                assert len(session.diff()) == 0
                seen[error.rule.partition(":")[0]] += 1
    assert seen["past"] > 10
    assert seen["span"] > 10


def test_imported_databases_have_actions_too() -> None:
    """Where there are no archetypes, structure is enough to merge and to move."""
    for seed in range(12):
        on = stage(seed)
        bare = replace(on.schema, tables=tuple(replace(t, archetype="") for t in on.schema.tables))
        site = Site(bare)
        tools = dress(list(propose(site)), Style(), site.words)
        assert {pattern(t) for t in tools} & {"merge", "move", "move_all"}
        toolset = Toolset(bare, tuple(tools), Style())
        succeeded = 0
        for tool in tools:
            draws = random.Random(seed)
            for _ in range(10):
                session = Session(on.world, toolset)
                result = session.call(tool.name, Draw(on, tool, draws).arguments())
                if result.ok:
                    succeeded += 1
                    jsonschema.validate(result.data, tool.returns)
                    for rule in on.schema.rules:
                        assert session.rows(rule.violations(on.schema)) == []
                    break
                refusal(tool, session, result)
        assert succeeded > len(tools) / 2


def grown(seed: int) -> Schema:
    """The schema that the world of a seed has by default, without its rows."""
    stream = Stream(seed, "default")
    return grow(stream.child("schema"), stream.child("tables").pick(profile("default").tables), "")


def test_an_end_takes_children_to_no_more_than_it_means() -> None:
    """What is below a row that ends is called off with it, or over with it; nothing is won, paid or approved on the way."""
    over = {"closed", "ended", "finished", "completed", "done", "archived", "retired"}
    off = {"cancelled", "canceled", "void", "voided", "withdrawn", "expired"}
    seen: set[tuple[str, str]] = set()
    for seed in range(300):
        for tool in propose(Site(grown(seed))):
            if pattern(tool) == "finish":
                _, mine, _, theirs, _ = tool.key.split(".")
                assert {mine, theirs} <= over or {mine, theirs} <= off, tool.key
                seen.add((mine, theirs))
    assert len(seen) > 5


def test_likes_and_memberships_stay_where_they_are() -> None:
    """Only what people put elsewhere is moved; a tree is one of places, not of ancestors or answers."""
    moved_, trees = Counter[str](), set[str]()
    for seed in range(200):
        schema = grown(seed)
        for tool in propose(Site(schema)):
            if pattern(tool) in ("move", "move_all"):
                table, link = schema[tool.table], schema[tool.table].parents[_middle(tool)]
                moved_[table.archetype] += 1
                trees |= {link.key} if link.table == table.key else set()
    stays = {
        "event_log",
        "message",
        "review",
        "measurement",
        "ledger",
        "payment",
        "membership",
        "junction",
        "assignment",
        "offer",
    }
    assert not stays & set(moved_)
    assert {"line", "resource", "taxonomy", "staff"} <= set(moved_)
    assert trees
    assert all("parent" in key or key in ("part_of", "folder") for key in trees), trees


def test_a_row_at_the_top_is_told_so() -> None:
    """Moving to the top what is there is refused in words, not with an empty value."""
    seen = 0
    for seed in SEEDS:
        on = stage(seed)
        for tool in on.tools:
            if pattern(tool) != "move" or tool.param("to_id").required:
                continue
            column = on.schema[tool.table].parents[_middle(tool)].columns[0]
            for row in on.rows[tool.table]:
                if row[column] is None:
                    session = Session(on.world, on.toolset)
                    error = session.call(tool.name, {tool.param("id").name: on.key(tool.table, row)}).error
                    assert error is not None
                    if error.rule.startswith("there:"):
                        assert error.message.endswith("is at the top already.")
                        seen += 1
                        break
    assert seen > 5


def test_most_pairs_can_be_merged() -> None:
    """A merge that the rules would mostly refuse is not offered."""
    succeeded: list[bool] = []
    for seed in SEEDS:
        on, draws = stage(seed), random.Random(seed)
        for tool in (t for t in on.tools if pattern(t) == "merge"):
            keys = [on.key(tool.table, r) for r in on.rows[tool.table]]
            pairs = [draws.sample(keys, 2) for _ in range(8)] if len(keys) > 1 else []
            names = [tool.param(k).name for k in ("from_id", "to_id")]
            done = [Session(on.world, on.toolset).call(tool.name, dict(zip(names, p, strict=True))).ok for p in pairs]
            succeeded.append(2 * sum(done) >= len(done))
    assert len(succeeded) > 50
    assert sum(succeeded) / len(succeeded) > 0.9


def test_an_end_takes_open_children_along() -> None:
    """Children go from every open state that leads to the end."""
    states: set[tuple[str, str]] = set()
    for seed in SEEDS:
        on = stage(seed)
        for tool in (t for t in on.tools if pattern(t) == "finish"):
            child = on.schema[tool.key.split(".")[2]]
            assert child.lifecycle is not None
            (end,) = (s for s in child.lifecycle.states if state_word(s) == tool.key.split(".")[3])
            ready = {a for a, b in child.lifecycle.moves if b == end} & set(open_states(child))
            link = next(f.columns[0] for f in child.foreign_keys if f.table == tool.table)
            rows = [r for r in on.rows[child.key] if r[child.lifecycle.column] in ready and r[link] is not None]
            for key in dict.fromkeys(r[link] for r in rows):
                session = Session(on.world, on.toolset)
                result = session.call(tool.name, {tool.param("id").name: key})
                if result.ok:
                    done = Done(on, tool, {"id": key}, session, result)
                    finished(done)
                    states |= {(tool.key, b[child.lifecycle.column]) for b, _ in done.updated(child.key)}
    assert len(states) > 1
