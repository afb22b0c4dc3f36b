"""What goals and verdicts need to know of a table: the class of each column, its references; and the time of an episode."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from worlddb.schema.model import Schema, Table
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tasks.goal import Key
from worlddb.tools.session import Session
from worlddb.world.diff import Change, Row
from worlddb.world.mint import is_minted

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?Z?)?")


class Window(NamedTuple):
    """The time of an episode: its start and its present clock, 'YYYY-MM-DD HH:MM:SS'."""

    low: str
    high: str

    def holds(self, value: Any) -> bool:
        """True for a moment or date (text) within; both ends belong to it, each to the precision of the value."""
        if not isinstance(value, str) or not _MOMENT.fullmatch(value):
            return False
        text = value.removesuffix("Z").replace("T", " ")[:19]
        return self.low[: len(text)] <= text <= self.high[: len(text)]


@lru_cache(4096)
def clock_text(now: int) -> str:
    """A moment, Unix seconds, as the world stores it: 'YYYY-MM-DD HH:MM:SS'."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S")


def window_of(began: int, now: int) -> Window:
    """The window between two clocks, Unix seconds."""
    return Window(clock_text(began), clock_text(now))


def window_in(session: Session) -> Window:
    """The window of an episode so far."""
    return window_of(session.world.now + session.start.clock, session.now)


# --- what the verifier needs to know of a table


class Reference(NamedTuple):
    """A foreign key, by positions.  Of a polymorphic pair `tables` says where each value of the type column leads."""

    columns: tuple[int, ...]
    parent: str
    refs: tuple[int, ...]
    tables: dict[str, str] | None = None
    kind: int = -1
    """Position of the type column of a polymorphic pair."""

    def target(self, row: Row) -> tuple[str, Key] | None:
        """Table and key values that a row refers to; None where it refers to nothing."""
        found = tuple(row[i] for i in self.columns)
        if None in found:
            return None
        if self.tables is None:
            return self.parent, found
        parent = self.tables.get(row[self.kind])
        return None if parent is None else (parent, (str(found[0]),))  # stored as text whatever the parent's key is


class Form(NamedTuple):
    """A table as goals and verdicts see it.

    `classes` has one word for each column: key (made by the server), minted, clock, bookkeeping, decimal, text, json, bag,
    or exact.  Parts of references are `exact` as long as they refer to rows that were there.
    """

    table: Table
    columns: tuple[str, ...]
    names: tuple[str, ...]
    classes: tuple[str, ...]
    scales: tuple[float, ...]
    """Half a unit of each decimal column."""
    happened: tuple[bool, ...]
    """Columns that no clock type keeps but a tool may stamp (the day on which a shop was closed)."""
    places: dict[str, int]
    key: tuple[int, ...]
    references: tuple[Reference, ...]
    by_content: bool
    """True for a junction whose key is a mere number: its rows are the same if what they link is."""
    weight: int
    """Columns of a new row that tell something: neither made by the server nor by its clock."""


def forms_of(schema: Schema) -> dict[str, Form]:
    """The form of every table, by table key; made once for each schema."""
    made: dict[str, Form] | None = schema.__dict__.get("_forms")
    if made is None:
        made = schema.__dict__["_forms"] = {t.key: _form(schema, t) for t in schema.tables}
    return made


HAPPENED = ("date", "datetime")
"""Types of moments that mean nothing more special: what has happened, as against what is planned or due."""
SILENT = ("key", "minted", "clock", "bookkeeping")
"""Classes whose values say nothing about what an agent wanted."""


def _form(schema: Schema, table: Table) -> Form:
    places = {c.key: i for i, c in enumerate(table.columns)}
    kinds = [semantic_type(c.type) for c in table.columns]
    classes = tuple(_class(table, i) for i in range(len(table.columns)))
    key = tuple(places[k] for k in table.primary_key)
    references = [
        Reference(tuple(places[c] for c in f.columns), f.table, _positions(schema[f.table], f.ref))
        for f in table.foreign_keys
    ]
    if (pair := table.polymorphic) is not None:
        leads = dict(zip(table[pair.type_column].values, pair.tables, strict=False))
        references.append(Reference((places[pair.id_column],), "", (0,), leads, places[pair.type_column]))
    return Form(
        table=table, columns=tuple(places), names=tuple(c.name for c in table.columns), classes=classes,
        scales=tuple(0.5 * 10.0**-k.scale for k in kinds), happened=tuple(c.type in HAPPENED for c in table.columns),
        places=places, key=key, references=tuple(references),
        by_content=table.archetype == "junction" and classes[key[0]] == "key" and len(key) == 1,
        weight=sum(c not in SILENT for c in classes),
    )  # fmt: skip


def _positions(table: Table, columns: Iterable[str]) -> tuple[int, ...]:
    keys = [c.key for c in table.columns]
    return tuple(keys.index(c) for c in columns)


def _class(table: Table, at: int) -> str:
    column = table.columns[at]
    kind = semantic_type(column.type)
    own = (column.key,) == table.primary_key
    if column.key in table.key_columns and not own:
        return "exact"
    if own and column.key not in {c for f in table.foreign_keys for c in f.columns}:
        return "key"
    if not own and is_minted(table, column):
        return "minted"
    if kind.compare in ("clock", "bookkeeping"):
        return kind.compare
    if kind.sql == "REAL":
        return "decimal"
    if kind.compare in ("text.short", "text.free"):
        return "text"
    if kind.compare == "set":
        return "bag"
    return "json" if is_a(column.type, "document") else "exact"


def tells(schema: Schema, change: Change) -> bool:
    """True for a change that says more than that its row was touched: clocks and bookkeeping aside."""
    if change.before is None or change.after is None:
        return True
    classes = forms_of(schema)[change.table].classes
    return any(
        a != b and kind not in ("clock", "bookkeeping")
        for a, b, kind in zip(change.before, change.after, classes, strict=True)
    )
