"""A row is led through several states by the actions of the business: confirm, check in, check out.

What has to be settled first, so that it may come to its end (open payments of a stay), is settled first; a detail may change
on the way.  Every step is asked for by itself, and none can be left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from worlddb.schema.model import ForeignKey, Table
from worlddb.tasks.draft import Draft
from worlddb.tasks.families.acts import Act, Given, key_param, param_of, rehearse, say, shown, standing, stated, the
from worlddb.tasks.families.targets import actions, target
from worlddb.tasks.ground import Ground
from worlddb.tasks.plan import Const, Item, Of, Plan, Where
from worlddb.tasks.reckon import Row
from worlddb.tools.kinds.parents import dead_ends
from worlddb.tools.kinds.transition import ways
from worlddb.tools.model import Tool

NAME = "workflow"
TRIES = 6
LONGEST = 4
"""Moves of one row."""
PARTS = 3
"""Parts that are settled before the whole comes to its end."""


class Step(NamedTuple):
    """A move of one row: from a state to another, by a tool."""

    before: str
    after: str
    tool: Tool


def propose(draft: Draft, depth: int, size: int) -> Plan | None:
    """A plan, or None where nothing came of it.  `depth`: rows named by way of others; `size` is not looked at."""
    tables = [t for t in draft.schema.tables if steps_of(draft.ground, t) and draft.ground.readers[t.key]]
    if not tables:
        return None
    for form in draft.stream.shuffled(FORMS):
        for _ in range(TRIES):
            mark = draft.mark()
            if form(draft, draft.stream.pick(tables), depth) and shown(draft):
                return draft.plan(NAME)
            draft.back(mark)
    return None


# --- moves


def steps_of(ground: Ground, table: Table) -> tuple[Step, ...]:
    """The moves of a table's machine for which there is a tool that needs to know nothing but the row."""
    if table.lifecycle is None or len(table.primary_key) != 1:
        return ()
    tools = {t.key: t for t in actions(ground, "transition") if t.table == table.key and key_param(ground, t)}
    if not tools:
        return ()
    return tuple(
        Step(before, way.to, tools[f"{table.key}.{way.stem}"])
        for way in ways(ground.site, table)
        for before in way.origins
        if f"{table.key}.{way.stem}" in tools
    )


def walks(table: Table, steps: Sequence[Step], state: str, least: int, most: int) -> list[tuple[Step, ...]]:
    """The ways on from a state, of `least` to `most` steps: none of them could be left out, none leads in a circle, and none to
    a dead end, for nobody confirms what is to be cancelled."""
    assert table.lifecycle is not None
    moves, dead = set(table.lifecycle.moves), dead_ends(table.lifecycle)
    found, open_ = list[tuple[Step, ...]](), list[tuple[Step, ...]]((s,) for s in steps if s.before == state)
    while open_:
        way = open_.pop(0)
        if way[-1].after in dead:
            continue
        if len(way) >= least:
            found.append(way)
        if len(way) < most:
            been, last = {state, *(s.after for s in way)}, way[-1]
            open_ += [
                (*way, s)
                for s in steps
                if s.before == last.after and s.after not in been and (last.before, s.after) not in moves
            ]
    return found


def moving(steps: Sequence[Step], key: Given) -> list[Act]:
    """The acts that lead a row along."""
    return [Act(s.tool, {"id": key}) for s in steps]


def _led(draft: Draft, table: Table, least: int) -> tuple[Row, tuple[Step, ...]] | None:
    """A row and where it is led."""
    machine, steps = table.lifecycle, steps_of(draft.ground, table)
    assert machine is not None
    ahead = {s: walks(table, steps, s, least, LONGEST) for s in machine.states}
    rows = [r for r in standing(draft.ground, table.key) if ahead.get(r[machine.column])]
    if not rows:
        return None
    row = draft.stream.pick(rows)
    return row, draft.stream.pick(ahead[row[machine.column]])


# --- forms


def several_moves(draft: Draft, table: Table, depth: int) -> bool:
    """One row, two moves or more."""
    found = _led(draft, table, 2)
    if found is None:
        return False
    acts = moving(found[1], the(draft.ground, table.key, found[0]))
    return rehearse(draft, acts).done and say(draft, acts, depth)


def with_detail(draft: Draft, table: Table, depth: int) -> bool:
    """One row, a move or more, and one of its details changed on the way."""
    found = _led(draft, table, 1)
    updates = [t for t in actions(draft.ground, "update") if t.table == table.key and t.params[0].key == "id"]
    if found is None or not updates:
        return False
    row, way = found
    detail = target(draft, draft.stream.pick(updates), given={"id": row}, optional=1)
    if detail is None:
        return False
    told: dict[str, Given] = {k: the(draft.ground, *pair) for k, pair in detail.rows.items()}
    told |= {k: stated(param_of(detail.tool, k), v) for k, v in detail.stated.items()}
    acts = moving(way, the(draft.ground, table.key, row))
    acts.insert(draft.stream.below(len(way)), Act(detail.tool, told))
    return rehearse(draft, acts).done and say(draft, acts, depth)


def with_parts(draft: Draft, table: Table, depth: int) -> bool:
    """A row whose parts stand in its way: its open payments are captured, and then it is checked out."""
    options = [
        (step, child, link, inner)
        for child, link in draft.ground.children(table.key)
        if child.key != table.key and draft.ground.readers[child.key]
        for inner in steps_of(draft.ground, child)
        if child.lifecycle and not child.lifecycle.exits(inner.after)
        for step in steps_of(draft.ground, table)
        if table.lifecycle and step.after not in dead_ends(table.lifecycle)
    ]
    if not options:
        return False
    step, child, link, inner = draft.stream.pick(options)
    machine, inside = table.lifecycle, child.lifecycle
    assert machine is not None
    assert inside is not None
    rows = [r for r in standing(draft.ground, table.key) if r[machine.column] == step.before]
    for row in draft.stream.shuffled(rows)[:TRIES]:
        own = draft.ground.of(child.key, link.columns[0], row[table.primary_key[0]])
        parts = [r for r in own if r[inside.column] == inner.before]
        last = moving((step,), the(draft.ground, table.key, row))
        if 0 < len(parts) <= PARTS and not rehearse(draft, last).done:
            before = [a for p in parts for a in moving((inner,), the(draft.ground, child.key, p))]
            if rehearse(draft, [*before, *last]).done:
                return _settle(draft, table, row, step, child, link, inner, len(parts), depth)
    return False


def _settle(
    draft: Draft,
    table: Table,
    row: Row,
    step: Step,
    child: Table,
    link: ForeignKey,
    inner: Step,
    parts: int,
    depth: int,
) -> bool:
    """Say that the parts which stand in the one state are moved on, and then the whole."""
    name = draft.refer(table.key, row, depth)
    if name is None or child.lifecycle is None:
        return False
    state = Const(value=inner.before, table=child.key, column=child.lifecycle.column)
    where = (
        Where(column=link.columns[0], value=draft.key(name)),
        Where(column=child.lifecycle.column, value=state),
    )
    key = child.primary_key[0]
    if parts > 1:
        draft.do(inner.tool, {"id": Item(column=key)}, each=draft.find(child.key, *where, many=True))
    else:
        draft.do(inner.tool, {"id": Of(node=draft.find(child.key, *where), column=key)})
    draft.do(step.tool, {"id": draft.key(name)})
    return True


FORMS: tuple[Callable[[Draft, Table, int], bool], ...] = (several_moves, several_moves, with_detail, with_parts)
"""What happens, the usual twice."""
