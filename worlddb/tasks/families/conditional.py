"""A change that depends on what is found: where the total is above a limit do one thing, else another, or nothing."""

from __future__ import annotations

from typing import NamedTuple

from worlddb.schema.model import Column, Table
from worlddb.tasks import columns
from worlddb.tasks.draft import Draft
from worlddb.tasks.families.single import choose
from worlddb.tasks.families.targets import Target, actions, arguments, keyed, repeats, target, wants, within
from worlddb.tasks.families.values import limit
from worlddb.tasks.plan import Asked, Const, Find, Of, Plan, Where
from worlddb.tasks.reckon import COMPARE, Row
from worlddb.tools.model import Param, Tool

NAME = "conditional"
TRIES = 5
KINDS = ("transition", "update", "action", "archive", "delete", "create", "link")
OPPOSITE = {"lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}
SET_MOST = 40
"""Rows of a set whose figure decides."""


class Matter(NamedTuple):
    """What decides: a value that was found, and what it is compared with."""

    left: Of
    right: Const | Of


def propose(draft: Draft, depth: int, size: int) -> Plan | None:
    """A plan, or None where nothing came of it."""
    depth = min(depth, size - 3)
    for _ in range(TRIES):
        mark = draft.mark()
        plan = _conditional(draft, depth)
        if plan is not None and not repeats(draft):
            return plan
        draft.back(mark)
    return None


def _conditional(draft: Draft, depth: int) -> Plan | None:
    tool = choose(draft, *KINDS)
    found = target(draft, tool) if tool else None
    said = arguments(draft, found, depth) if found else None
    if tool is None or found is None or said is None:
        return None
    key, (table, row) = next(iter(found.rows.items()), ("", ("", {})))
    at = said.get(key)
    if not isinstance(at, Of):
        return None
    decides = _decides(draft, at.node, table, row)
    if decides is None:
        return None
    other = _other(draft, found, key, at)
    holds = draft.stream.chance(0.5)
    op = (
        draft.stream.pick(("gt", "lt"))
        if isinstance(decides.right, Of)
        else draft.stream.pick(("gt", "lt", "ge", "le"))
    )
    truth = COMPARE[op](draft.value(decides.left), draft.value(decides.right))
    if truth is not holds:
        op = OPPOSITE[op]
    test = draft.test(decides.left, op, decides.right)
    if other is not None:
        draft.do(tool, dict(said), when=test)
        draft.do(other.tool, {key_of(draft, other.tool, table).key: at, **_stated(other)}, unless=test)
        return draft.plan(NAME)
    if holds:
        draft.do(tool, dict(said), when=test)
    elif draft.stream.chance(0.8):
        draft.do(tool, dict(said), unless=test)
    else:
        draft.do(tool, dict(said), when=test)
        return draft.plan(NAME, Asked(shape="value", what=(decides.left,)))
    return draft.plan(NAME)


# --- the other branch


def key_of(draft: Draft, tool: Tool, table: str) -> Param:
    """The parameter of a tool that names the row."""
    return next(p for p in keyed(draft.ground, tool) if wants(draft.ground, p) == table)


def _other(draft: Draft, found: Target, key: str, at: Of) -> Target | None:
    """Something else that might be done with the same row, and would work."""
    if draft.stream.chance(0.4):
        return None
    table, row = found.rows[key]
    if at.column != draft.schema[table].primary_key[0]:
        return None
    tools = [
        t for t in actions(draft.ground, "transition", "update", "action", "archive")
        if t.key != found.tool.key and [wants(draft.ground, p) for p in keyed(draft.ground, t)] == [table]
    ]  # fmt: skip
    for tool in draft.stream.sample(tools, 4):
        other = target(draft, tool, given={key_of(draft, tool, table).key: row}, optional=1)
        if other is not None and len(other.rows) == 1 and other.outcome.changes != found.outcome.changes:
            return other
    return None


def _stated(found: Target) -> dict[str, Const]:
    params = {p.key: p for p in found.tool.params}
    return {k: Const(value=v, table=params[k].table, column=params[k].column) for k, v in found.stated.items()}


# --- what decides


def _decides(draft: Draft, name: str, table: str, row: Row) -> Matter | None:
    """A figure or value of the row, of a parent, of what belongs to it, or of another one to compare with."""
    for way in draft.stream.shuffled([_own, _own, _parent, _children, _children, _peer]):
        mark = draft.mark()
        found = way(draft, name, draft.schema[table], row)
        if found is not None:
            return found
        draft.back(mark)
    return None


def _own(draft: Draft, name: str, table: Table, row: Row) -> Matter | None:
    """A value of the row against a limit."""
    stated = {
        c for n in draft.nodes if isinstance(n, Find) and n.name == name for c in (n.sort, *(w.column for w in n.where))
    }
    options = _telling(table, row, stated)
    if not options:
        return None
    column = draft.stream.pick(options)
    return Matter(Of(node=name, column=column.key), limit(draft, table, column, row[column.key]))


def _telling(table: Table, row: Row, stated: set[str]) -> list[Column]:
    """Columns whose value may decide: when a row was entered only where there is nothing better."""
    found = [c for c in columns.ranks(table) if row[c.key] is not None and c.key not in stated]
    return [c for c in found if not columns.is_any(c, frozenset(["created_at"]))] or found


def _parent(draft: Draft, name: str, table: Table, row: Row) -> Matter | None:
    """A value of the row that it belongs to."""
    links = [f for f in draft.ground.parents(table) if row[f.columns[0]] is not None and draft.ground.readers[f.table]]
    if not links:
        return None
    link = draft.stream.pick(links)
    parent = draft.schema[link.table]
    found = draft.find(parent.key, Where(column=parent.primary_key[0], value=Of(node=name, column=link.columns[0])))
    return _own(draft, found, parent, draft.row(found))


def _children(draft: Draft, name: str, table: Table, row: Row) -> Matter | None:
    """How many rows belong to it, or what they come to; against a limit."""
    options = [
        (c, f) for c, f in draft.ground.children(table.key)
        if draft.ground.readers[c.key] and 1 < len(draft.ground.of(c.key, f.columns[0], row[table.primary_key[0]])) <= SET_MOST
    ]  # fmt: skip
    if not options:
        return None
    child, link = draft.stream.pick(options)
    if draft.stream.chance(0.2):
        last = columns.moments(child)
        rows = draft.ground.of(child.key, link.columns[0], row[table.primary_key[0]])
        one = within(draft, name, child, link, draft.stream.pick(rows)) if last else None
        return _own(draft, one, child, draft.row(one)) if one else None
    many = draft.find(child.key, Where(column=link.columns[0], value=draft.key(name)), many=True)
    gone = columns.archived(child)
    if gone and any(r[gone] is not None for r in draft.rows(many)):
        return None
    sums = columns.sums(child)
    if sums and draft.stream.chance(0.6):
        column = draft.stream.pick(sums)
        fold = Of(node=draft.fold(many, "sum", column.key))
        return Matter(fold, limit(draft, child, column, draft.value(fold))) if draft.value(fold) else None
    fold = Of(node=draft.fold(many))
    near = draft.value(fold) + draft.stream.pick((-1, 0, 1))
    return Matter(fold, Const(value=max(1, near), table="", column="number"))


def _peer(draft: Draft, name: str, table: Table, row: Row) -> Matter | None:
    """The same value of another row."""
    options = _telling(table, row, set())
    if not options:
        return None
    column = draft.stream.pick(options)
    other = draft.stream.pick(draft.ground.table(table.key))
    if other is row or other[column.key] is None or other[column.key] == row[column.key]:
        return None
    found = draft.refer(table.key, other, 0)
    if found is None:
        return None
    return Matter(Of(node=name, column=column.key), Of(node=found, column=column.key))
