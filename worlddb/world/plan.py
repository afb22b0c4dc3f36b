"""Decides in which order tables are filled, how many rows each gets, and which references wait until the end."""

from __future__ import annotations

from typing import Any

from worlddb.schema.model import Schema, Table
from worlddb.schema.rules import SumEq

WEIGHT = {"tiny": 3, "small": 7, "medium": 17, "large": 56, "huge": 116}
"""Share of the rows that a table of each size gets."""
LEAST = {"tiny": 3, "small": 3, "medium": 4, "large": 5, "huge": 6}


def order(schema: Schema, touched: list[set[tuple[str, str]]]) -> tuple[list[Table], set[tuple[str, str]]]:
    """Tables with parents first, and the (table, role) of nullable references that close a circle and wait.

    `touched` holds what each rule depends on, in the order of the schema's rules.  Where there is a choice, a table that
    a rule of another one looks at (the lines before the payments that may not exceed their sum) comes first.
    """
    wishes = _wishes(schema, touched)
    left = {t.key: t for t in schema.tables}
    done: list[Table] = []
    late: set[tuple[str, str]] = set()
    while left:
        ready = [t for t in left.values() if not _waits(t, left, late)]
        if not ready:
            late |= _break(left)
            continue
        pick = next((t for t in ready if not wishes.get(t.key, set()) & set(left) - {t.key}), ready[0])
        done.append(left.pop(pick.key))
    return done, late


def _waits(table: Table, left: dict[str, Table], late: set[tuple[str, str]]) -> bool:
    return any(f.table in left and f.table != table.key and (table.key, f.key) not in late for f in table.foreign_keys)


def _break(left: dict[str, Table]) -> set[tuple[str, str]]:
    """The references to postpone so that a circle opens: the optional ones of the table with the fewest others."""
    open_keys = {t.key: [f for f in t.foreign_keys if f.table in left and f.table != t.key] for t in left.values()}
    table = min(left.values(), key=lambda t: sum(not f.nullable for f in open_keys[t.key]))
    optional = [f for f in open_keys[table.key] if f.nullable]
    return {(table.key, f.key) for f in optional or open_keys[table.key]}


def _wishes(schema: Schema, touched: list[set[tuple[str, str]]]) -> dict[str, set[str]]:
    """Table -> the tables that its rules look at beside its ancestors."""
    wishes: dict[str, set[str]] = {}
    for table in schema.tables:
        if table.polymorphic:
            wishes[table.key] = set(table.polymorphic.tables)
    totals = {(r.table, r.column): r.of for r in schema.rules if isinstance(r, SumEq)}
    for rule, columns in zip(schema.rules, touched, strict=True):
        looked: Any = getattr(rule, "needs", "") or getattr(rule, "none_of", "")
        if looked and looked != rule.table:
            wishes.setdefault(rule.table, set()).add(looked)
        for column in columns:
            source = totals.get(column)
            if source and source != rule.table and column[0] != rule.table:
                wishes.setdefault(rule.table, set()).add(source)
    return wishes


def counts(schema: Schema, rows: int) -> dict[str, int]:
    """Rows to draw for each table, about `rows` in all."""
    whole = sum(WEIGHT[t.size] for t in schema.tables)
    found = {}
    for table in schema.tables:
        share = rows * WEIGHT[table.size] // whole
        found[table.key] = max(LEAST[table.size], share) if rows >= 100 else max(3, share)
    return found
