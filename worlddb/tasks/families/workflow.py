"""A row is led through several states by the actions of the business: confirm, check in, check out.

What has to be settled first, so that it may come to its end (open payments of a stay), is settled first; a detail may change
on the way.  Every step is asked for by itself, and none can be left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from worlddb.schema.model import ForeignKey, Table
from worlddb.tasks.draft import Draft
from worlddb.tasks.families.targets import actions, arguments, present, target
from worlddb.tasks.ground import Ground, Row, flat
from worlddb.tasks.plan import Const, Do, Each, Expr, Find, Item, Of, Plan, Where
from worlddb.tools.keys import call_of, rows_of
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
    """A plan, or None where nothing came of it.  `depth`: rows named by way of others; `size`: of the whole."""
    tables = [t for t in draft.schema.tables if steps_of(draft.ground, t) and draft.ground.readers[t.key]]
    if not tables:
        return None
    for form in draft.stream.shuffled((several_moves, several_moves, with_parts, with_detail)):
        for _ in range(TRIES):
            mark = draft.mark()
            if form(draft, draft.stream.pick(tables), depth, size) and shown(draft):
                return draft.plan(NAME)
            draft.back(mark)
    return None


def shown(draft: Draft) -> bool:
    """True where tools show all that the rows of a draft are named by."""
    return all(
        any({w.column for w in n.where} | ({n.sort} if n.sort else set()) <= r.shows.keys() for r in readers)
        for n in draft.nodes
        if isinstance(n, Find) and (readers := draft.ground.readers[n.table]) is not None
    )


# --- trying


class Trial(NamedTuple):
    """How changes went that were tried: all of them, or the first that did not succeed."""

    code: str = ""
    """Of the error; 'SAME' where a call changed nothing."""
    rule: str = ""
    """Of the error: the name of the business rule behind it."""

    @property
    def done(self) -> bool:
        """True where every call changed something."""
        return not self.code


def rehearse(draft: Draft, dos: Sequence[Do]) -> Trial:
    """Carry out changes, one after the other, in a session of their own that leaves nothing behind."""
    session = draft.ground.world.session(draft.ground.toolset)
    made: dict[str, Row] = {}

    def value(given: Expr, item: Row | None) -> Any:
        if isinstance(given, Item):
            return item[given.column] if item else None
        if isinstance(given, Each):
            return [r[given.column] for r in draft.rows(given.node)]
        if isinstance(given, Of) and given.node in made:
            return made[given.node][given.column]
        return draft.value(given)

    for do in dos:
        tool = draft.ground.toolset.by_key(do.tool)
        if tool is None:
            return Trial("UNKNOWN_TOOL")
        for item in draft.rows(do.each) if do.each else (None,):
            arguments = {
                k: [{f: value(v, item) for f, v in one.items()} for one in g] if isinstance(g, tuple) else value(g, item)
                for k, g in do.arguments.items()
            }
            call = call_of(draft.ground.toolset, tool.key, public(tool, arguments))
            result = session.call(call.name, call.arguments)
            if result.error is not None:
                return Trial(result.error.code, result.error.rule)
            if not session.journal[-1].changes:
                return Trial("SAME")
            if tool.reply.shape == "row":
                shown = rows_of(tool.reply, result.data)[0]
                made[do.name] = {f.column: shown[f.key] for f in tool.reply.fields if f.key == f.column}
    return Trial()


def public(tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
    """Stored values as an API takes them: flags are true and false."""
    flags = {p.key for p in flat(tool.params) if p.convert == "flag"}
    inner = {p.key: {f.key for f in p.fields if f.convert == "flag"} for p in tool.params if p.fields}
    found = dict[str, Any]()
    for key, given in arguments.items():
        if key in inner:
            found[key] = [{k: bool(v) if k in inner[key] else v for k, v in one.items()} for one in given]
        else:
            found[key] = bool(given) if key in flags and given is not None else given
    return found


# --- moves


def steps_of(ground: Ground, table: Table) -> tuple[Step, ...]:
    """The moves of a table's machine for which there is a tool of their own."""
    if table.lifecycle is None or len(table.primary_key) != 1:
        return ()
    tools = {t.key: t for t in actions(ground, "transition")}
    return tuple(
        Step(before, way.to, tools[f"{table.key}.{way.stem}"])
        for way in ways(ground.site, table)
        for before in way.origins
        if f"{table.key}.{way.stem}" in tools
    )


def walks(table: Table, steps: Sequence[Step], state: str, least: int, most: int) -> list[tuple[Step, ...]]:
    """The ways on from a state, of `least` to `most` steps, none of which could be left out, and none a circle."""
    assert table.lifecycle is not None
    moves = set(table.lifecycle.moves)
    found, open_ = list[tuple[Step, ...]](), [(s,) for s in steps if s.before == state]
    while open_:
        way = open_.pop(0)
        if len(way) >= least:
            found.append(way)
        if len(way) < most:
            been = {state, *(s.after for s in way)}
            last = way[-1]
            open_ += [
                (*way, s)
                for s in steps
                if s.before == last.after and s.after not in been and (last.before, s.after) not in moves
            ]
    return found


def standing(draft: Draft, table: Table) -> list[Row]:
    """Rows of a table that nobody has put away."""
    return [r for r in draft.ground.table(table.key) if present(draft, table.key, r)]


def known_as(table: Table, row: Row) -> Const:
    """The key of a row, for trying only."""
    return Const(value=row[table.primary_key[0]], table=table.key, column=table.primary_key[0])


def moving(steps: Sequence[Step], key: Const | Of) -> list[Do]:
    """The changes that lead a row along."""
    return [Do(name=f"m{i}", tool=s.tool.key, arguments={"id": key}) for i, s in enumerate(steps)]


def key_param(tool: Tool) -> str:
    """The parameter by which a tool finds its row; '' where it needs more than that, or something else."""
    needed = [p for p in tool.params if p.required]
    return needed[0].key if len(needed) == 1 and needed[0].role == "key" else ""


# --- forms


def several_moves(draft: Draft, table: Table, depth: int, size: int) -> bool:
    """One row, two moves or more."""
    found = _led(draft, table, 2)
    if found is None:
        return False
    row, way = found
    if not rehearse(draft, moving(way, known_as(table, row))).done:
        return False
    name = draft.refer(table.key, row, depth)
    if name is None:
        return False
    for step in way:
        draft.do(step.tool, {"id": draft.key(name)})
    return True


def _led(draft: Draft, table: Table, least: int) -> tuple[Row, tuple[Step, ...]] | None:
    """A row and where it is led, to no dead end: nobody confirms what is to be cancelled."""
    machine, steps = table.lifecycle, [s for s in steps_of(draft.ground, table) if key_param(s.tool)]
    assert machine is not None
    by_state: dict[str, list[tuple[Step, ...]]] = {s: walks(table, steps, s, least, LONGEST) for s in machine.states}
    dead = dead_ends(machine)
    for state, found in by_state.items():
        by_state[state] = [way for way in found if way[-1].after not in dead]
    rows = [r for r in standing(draft, table) if by_state.get(r[machine.column])]
    if not rows:
        return None
    row = draft.stream.pick(rows)
    return row, draft.stream.pick(by_state[row[machine.column]])


def with_detail(draft: Draft, table: Table, depth: int, size: int) -> bool:
    """One row, a move or more, and one of its details changed on the way."""
    found = _led(draft, table, 1)
    updates = [t for t in actions(draft.ground, "update") if t.table == table.key and t.params[0].key == "id"]
    if found is None or not updates:
        return False
    row, way = found
    detail = target(draft, draft.stream.pick(updates), given={"id": row}, optional=1)
    if detail is None:
        return False
    name = draft.refer(table.key, row, depth)
    told = arguments(draft, detail, 0, named={"id": draft.key(name)}) if name else None
    if name is None or told is None:
        return False
    at = draft.stream.below(len(way))
    for step in way[:at]:
        draft.do(step.tool, {"id": draft.key(name)})
    draft.do(detail.tool, told)
    for step in way[at:]:
        draft.do(step.tool, {"id": draft.key(name)})
    return rehearse(draft, [n for n in draft.nodes if isinstance(n, Do)]).done


def with_parts(draft: Draft, table: Table, depth: int, size: int) -> bool:
    """A row comes to its end after what belongs to it has: its open payments are captured first."""
    options = list[tuple[Step, Table, ForeignKey, Step]]()
    for child, link in draft.ground.children(table.key):
        inner = [s for s in steps_of(draft.ground, child) if key_param(s.tool)] if child.key != table.key else []
        for step in (s for s in steps_of(draft.ground, table) if key_param(s.tool)) if inner else ():
            options += [(step, child, link, s) for s in inner if _ends(child, s)]
    if not options:
        return False
    step, child, link, inner_step = draft.stream.pick(options)
    machine, inside = table.lifecycle, child.lifecycle
    assert machine is not None and inside is not None
    for row in draft.stream.shuffled([r for r in standing(draft, table) if r[machine.column] == step.before])[:TRIES]:
        own = row[table.primary_key[0]]
        parts = [r for r in draft.ground.of(child.key, link.columns[0], own) if r[inside.column] == inner_step.before]
        if not 0 < len(parts) <= PARTS:
            continue
        before = [d for p in parts for d in moving((inner_step,), known_as(child, p))]
        if rehearse(draft, [*before, *moving((step,), known_as(table, row))]).done:
            return _settle(draft, table, row, step, child, link, inner_step, len(parts), depth)
    return False


def _ends(table: Table, step: Step) -> bool:
    assert table.lifecycle is not None
    return not table.lifecycle.exits(step.after)


def _settle(
    draft: Draft, table: Table, row: Row, step: Step, child: Table, link: ForeignKey, inner: Step, parts: int, depth: int
) -> bool:
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
        found = draft.find(child.key, *where, many=True)
        draft.do(inner.tool, {"id": Item(column=key)}, each=found)
    else:
        draft.do(inner.tool, {"id": Of(node=draft.find(child.key, *where), column=key)})
    draft.do(step.tool, {"id": draft.key(name)})
    return True
