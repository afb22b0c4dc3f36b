"""What is to be submitted, and what must have been read for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from worlddb.schema.model import Column, Schema, Table
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tasks.draft import Draft
from worlddb.tasks.enact import Gold
from worlddb.tasks.goal import Answer, Need, Row
from worlddb.tasks.plan import Asked, Calc, Const, Do, Each, Find, Fold, Group, Of, Plan, Test

MINOR = 100
"""Minor units of money in a major one."""
NONE = Answer(kind="none")
HALF_CENT = 0.005
"""Means are given to two digits."""


_FIGURES = {
    "count": "count", "sum": "total", "mean": "average", "least": "lowest", "greatest": "highest", "minus": "difference",
    "plus": "sum", "times": "product", "percent": "amount", "days_after": "date", "days_between": "days",
}  # fmt: skip
"""What is worked out -> its name in a record."""


def answer_of(schema: Schema, plan: Plan, value: Any) -> Answer:
    """What must be submitted, where the gold has found this."""
    asked = plan.asked
    assert asked is not None
    if asked.shape == "none":
        return NONE
    if asked.shape == "record":
        parts = {
            name: _scalar(schema, plan, what, v)
            for name, what, v in zip(labels(plan, asked), asked.what, value, strict=True)
        }
        return Answer(kind="record", value=parts)
    one = _scalar(schema, plan, asked.what[0], None)
    if asked.shape == "value":
        return _scalar(schema, plan, asked.what[0], value)
    return Answer(
        kind=asked.shape, value=tuple(value), item=one.kind, tolerance=one.tolerance, minor=one.minor, aliases=one.aliases
    )  # fmt: skip


def labels(plan: Plan, asked: Asked) -> list[str]:
    """Names of the values of a record: the columns, or what is worked out, numbered where they repeat."""
    found: list[str] = []
    for what in asked.what:
        node = plan[what.node]
        name = what.column or _FIGURES[node.by if isinstance(node, Fold | Group) else getattr(node, "op", "count")]
        number = 2
        while name in found:
            name, number = f"{name.rstrip('0123456789')}{number}", number + 1
        found.append(name)
    return found


def _scalar(schema: Schema, plan: Plan, what: Of | Each, value: Any) -> Answer:
    place = column_of(schema, plan, what)
    if place is None:  # a number of rows or of days
        return Answer(kind="number", value=value)
    _, column = place
    node = plan[what.node]
    kind = semantic_type(column.type)
    if isinstance(node, Fold | Group) and not what.column and isinstance(node, Fold) and node.by == "mean":
        money = is_a(column.type, "money")
        return Answer(kind="number", value=value, tolerance=0.5 if money else HALF_CENT, minor=MINOR if money else 0)
    if is_a(column.type, "flag"):
        return Answer(kind="flag", value=value)
    if is_a(column.type, "money"):
        return Answer(kind="number", value=value, tolerance=0.5, minor=MINOR)
    if kind.sql != "TEXT" and not is_a(column.type, "reference"):
        return Answer(kind="number", value=value, tolerance=0.5 * 10.0**-kind.scale if kind.sql == "REAL" else 0.0)
    if isinstance(node, Calc) and kind.temporal:
        return Answer(kind="date", value=value)  # "what date is": the day alone will do
    if kind.temporal in ("date", "datetime"):
        return Answer(kind=kind.temporal, value=value)
    if column.values:
        return Answer(kind="text", value=value, aliases=(str(value).replace("_", " "),) if value is not None else ())
    return Answer(kind="code" if kind.compare == "exact" and not is_a(column.type, "category") else "text", value=value)


def in_words(wanted: Answer, value: Any) -> Any:
    """A found value as one submits it: a mean of money, which has parts of a minor unit, in major units."""
    if wanted.minor and isinstance(value, float) and not value.is_integer():
        return round(value / wanted.minor, 2)
    return value


def column_of(schema: Schema, plan: Plan, what: Of | Each) -> tuple[Table, Column] | None:
    """The table and column whose type a value has; None for counts and days."""
    node = plan[what.node]
    if isinstance(node, Find):
        return schema[node.table], schema[node.table][what.column]
    if isinstance(node, Fold):
        of = plan[node.of]
        assert isinstance(of, Find)
        return None if node.by == "count" else (schema[of.table], schema[of.table][node.column])
    if isinstance(node, Group):
        of = plan[node.of]
        assert isinstance(of, Find)
        return schema[of.table], schema[of.table][node.column]
    if isinstance(node, Do):
        table = schema[node.tool.partition(".")[0]]
        return table, table[what.column]
    assert isinstance(node, Calc)
    if node.op == "days_between":
        return None
    side = node.left if isinstance(node.left, Of) else node.right
    if isinstance(side, Const):
        return schema[side.table], schema[side.table][side.column]
    return column_of(schema, plan, side)


# --- evidence


def needs_of(schema: Schema, plan: Plan, draft: Draft, gold: Gold) -> tuple[Need, ...]:
    """The rows that an answer rests on; of a refusal, the rows that it is about."""
    if plan.asked is None:
        return ()
    if plan.asked.shape == "none":
        return tuple(dict.fromkeys(n for d in plan.dos for n in _refused(schema, plan, draft, gold, d)))
    found = [need for what in plan.asked.what for need in _needs(schema, plan, draft, gold, what)]
    return tuple(dict.fromkeys(found))


def _refused(schema: Schema, plan: Plan, draft: Draft, gold: Gold, do: Do) -> Iterator[Need]:
    """Of what cannot be done: the rows that it is about, or that it was tried on these."""
    for value in do.arguments.values():
        if isinstance(value, Of | Each):
            yield from (replace(n, tried=do.tool) for n in _needs(schema, plan, draft, gold, value))
    if do.each:
        yield from _needs(schema, plan, draft, gold, Each(node=do.each, column=""))


def _needs(schema: Schema, plan: Plan, draft: Draft, gold: Gold, what: Of | Each) -> Iterator[Need]:
    node = plan[what.node]
    if isinstance(node, Find):
        yield Need(ways=(_rows(schema, node.table, draft.rows(node.name)),), column=what.column)
    elif isinstance(node, Fold | Group):
        of = plan[node.of]
        assert isinstance(of, Find)
        counted = (node.over or node.column) if isinstance(node, Group) else node.column
        rows = [
            r for r in draft.rows(of.name) if not counted or r[counted] is not None
        ]  # nothing depends on the others
        ways = [_rows(schema, of.table, rows)]
        if isinstance(node, Fold) and node.by in ("least", "greatest"):
            ends = [r for r in rows if r[node.column] == draft.value(Of(node=node.name))]
            ways += [_rows(schema, of.table, [r]) for r in ends]
        yield Need(ways=tuple(ways), column=counted)
    elif isinstance(node, Calc | Test):
        for side in (node.left, node.right):
            if isinstance(side, Of):
                yield from _needs(schema, plan, draft, gold, side)
    elif isinstance(node, Do):
        table = schema[node.tool.partition(".")[0]]
        known = [r for r in gold.known[node.name].rows if set(table.primary_key) <= set(r)]
        old = [r for r in known if any(_key(table, r) == _key(table, o) for o in draft.ground.table(table.key))]
        if old:
            yield Need(ways=(_rows(schema, table.key, old),), column=what.column)


def _rows(schema: Schema, table: str, rows: Any) -> tuple[Row, ...]:
    return tuple(Row(table, _key(schema[table], r)) for r in rows)


def _key(table: Table, row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[k] for k in table.primary_key)
