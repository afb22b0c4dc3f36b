"""The same change to each row of a set: cancel all bookings of that week, mark every open invoice of a client as paid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from worlddb.tasks import columns
from worlddb.tasks.draft import Draft
from worlddb.tasks.families.single import choose
from worlddb.tasks.families.targets import Target, arguments, bulks, repeats, target, wants
from worlddb.tasks.families.trial import Outcome, doable, outcomes
from worlddb.tasks.ground import flat
from worlddb.tasks.plan import Const, Each, Item, Of, Plan, Where
from worlddb.tasks.reckon import Row, meets
from worlddb.tools.model import Param, Tool

NAME = "for_all"
TRIES = 6
KINDS = ("transition", "action", "update", "archive", "delete", "create")
BULK = 0.3
"""The share of tries in which a bulk tool is sought."""
TESTED = 40
"""Rows of a set that may have to be tried."""
ONCE = (".merge", ".move_all", ".hand_over", ".swap", ".duplicate")
"""Ends of the keys of actions that nobody does to row after row."""
Accepts = Callable[[Row], bool]


def propose(draft: Draft, depth: int, size: int) -> Plan | None:
    """A plan, or None where nothing came of it."""
    for _ in range(TRIES):
        mark = draft.mark()
        plan = (_bulk if draft.stream.chance(BULK) else _each)(draft, min(depth, size - 3), max(2, size - 1))
        if plan is not None and not repeats(draft):
            return plan
        draft.back(mark)
    return None


def _bulk(draft: Draft, depth: int, size: int) -> Plan | None:
    """One call of a bulk tool for all keys."""
    options = [(t, p) for t, p in bulks(draft.ground) if not any(q.required for q in t.params if q is not p)]
    if not options:
        return None
    tool, param = draft.stream.pick(options)
    name = gathered(
        draft, param.table, lambda r: doable(draft.ground, tool, {param.key: [r[param.column]]}), size, depth
    )
    if name is None or not doable(draft.ground, tool, {param.key: [r[param.column] for r in draft.rows(name)]}):
        return None
    draft.do(tool, {param.key: Each(node=name, column=param.column)})
    return draft.plan(NAME)


def _each(draft: Draft, depth: int, size: int) -> Plan | None:
    """One call for each row."""
    tool = choose(draft, *KINDS)
    param = _about(draft, tool) if tool and not tool.key.endswith(ONCE) else None
    found = target(draft, tool) if tool and param else None
    if tool is None or param is None or found is None or param.key not in found.rows or _personal(draft, found):
        return None
    table, seed = found.rows[param.key]
    key = draft.schema[table].primary_key[0]
    shared = {k: v for k, v in found.call(draft.ground)[1].items() if k != param.key}
    name = gathered(draft, table, lambda r: doable(draft.ground, tool, shared | {param.key: r[key]}), size, depth, seed)
    if name is None:
        return None
    trial = outcomes(draft.ground, [(tool, shared | {param.key: r[key]}) for r in draft.rows(name)])
    if len(trial) < len(draft.rows(name)) or not all(o.works for o in trial) or _overlap(trial):
        return None
    said: dict[str, Any] | None = arguments(draft, found, 0, named={param.key: Of(node=name, column=key)})
    if said is None:
        return None
    draft.do(tool, said | {param.key: Item(column=key)}, each=name)
    return draft.plan(NAME)


def _personal(draft: Draft, found: Target) -> bool:
    """True where the call gives a row what only one should have: a name, a number, an address."""
    own = draft.schema[found.tool.table]
    personal = {c.key for c in columns.names(own)} | {own.title}
    return found.tool.kind == "update" and any(
        p.column in personal for p in flat(found.tool.params) if p.key in found.stated
    )


def _overlap(trial: Sequence[Outcome]) -> bool:
    """True where a row that one call makes, changes or removes is removed by another: one of the two might not count."""
    gone = Counter((c.table, c.key) for o in trial for c in o.changes if c.after is None)
    seen = Counter((c.table, c.key) for o in trial for c in o.changes)
    return any(seen[place] > 1 for place in gone)


def _about(draft: Draft, tool: Tool) -> Param | None:
    """The parameter that names the row which a call is about."""
    options = [p for p in tool.params if p.required and wants(draft.ground, p)]
    own = [p for p in options if p.table == tool.table and p.role == "key"]
    return (own or options or [None])[0]  # type: ignore[list-item]


def gathered(draft: Draft, table: str, accepts: Accepts, most: int, depth: int, seed: Row | None = None) -> str | None:
    """Describe a set of 2 to `most` rows of a table all of which are accepted; the name of its Find, or None."""
    home, rows = draft.schema[table], draft.ground.table(table)
    seed = seed or (draft.stream.pick(rows) if rows else None)
    if seed is None or not draft.ground.readers[table]:
        return None
    accepts = _remembered(accepts)
    where, left = _first(draft, table, seed, depth)
    for _ in range(3):
        if 2 <= len(left) <= most and _all(draft, table, left, accepts):
            return draft.find(table, *where, many=True)
        used = {w.column for w in where}
        fit = [
            (w, kept) for w in draft.traits(home, seed)
            if w.column not in used and 2 <= len(kept := _kept(left, w)) < len(left)
        ]  # fmt: skip
        good = [(w, kept) for w, kept in fit if len(kept) <= most and _all(draft, table, kept, accepts)]
        if not fit:
            return None
        one, left = draft.stream.pick(good or fit)
        where.append(one)
    return None


def _remembered(accepts: Accepts) -> Accepts:
    """The same, with no row tried twice."""
    known: dict[int, bool] = {}

    def asked(row: Row) -> bool:
        if id(row) not in known:
            known[id(row)] = accepts(row)
        return known[id(row)]

    return asked


def _first(draft: Draft, table: str, seed: Row, depth: int) -> tuple[list[Where], list[Row]]:
    """What the set shares to begin with: a state, a parent, or both."""
    home, where, left = draft.schema[table], list[Where](), list(draft.ground.table(table))
    if home.lifecycle and draft.stream.chance(0.8):
        where.append(draft.equals(home, home[home.lifecycle.column], seed))
        left = _kept(left, where[0])
    links = [f for f in draft.ground.parents(home) if seed[f.columns[0]] is not None]
    if links and draft.stream.chance(0.6):
        link = draft.stream.pick(links)
        kept = [r for r in left if r[link.columns[0]] == seed[link.columns[0]]]
        parent = draft.ground.row(link.table, seed[link.columns[0]])
        name = draft.refer(link.table, parent, depth) if parent and len(kept) >= 2 else None
        if name is not None:
            return [*where, Where(column=link.columns[0], value=draft.key(name))], kept
    return where, left


def _kept(rows: Sequence[Row], where: Where) -> list[Row]:
    """The rows that meet a condition whose values are stated."""
    wanted = [where.value.value] if isinstance(where.value, Const) else [v.value for v in where.values]
    return [r for r in rows if meets(r[where.column], where.op, wanted)]


def _all(draft: Draft, table: str, rows: Sequence[Row], accepts: Accepts) -> bool:
    """True where each of the rows is present and accepted."""
    gone = columns.archived(draft.schema[table])
    return len(rows) <= TESTED and all((not gone or r[gone] is None) and accepts(r) for r in rows)
