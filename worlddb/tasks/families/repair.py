"""A record that people stumble over is found by what is odd about it, and put right.

The rules of a world always hold, so that what is odd is what people notice: a value unlike that of its fellows, one that is
missing though it can be looked up, something long due and still open, a stay without a room, an amount off the list price.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.semantics.types import semantic_type
from worlddb.tasks import columns
from worlddb.tasks.draft import Draft
from worlddb.tasks.families.acts import Act, Given, key_param, rehearse, shown, standing, stated, the
from worlddb.tasks.families.targets import actions, wants
from worlddb.tasks.families.values import UNASKED
from worlddb.tasks.families.workflow import steps_of
from worlddb.tasks.ground import flat
from worlddb.tasks.plan import Const, Each, Group, Of, Plan, Where
from worlddb.tasks.reckon import Row
from worlddb.tools.kinds.parents import dead_ends
from worlddb.tools.model import Param, Tool
from worlddb.tools.words import state_word

NAME = "repair"
TRIES = 6
FELLOWS = 40
"""Rows among which one stands out, at most."""
_LATE = ("overdue", "expired", "lapsed", "late", "delayed", "no_show", "missed", "past_due", "in_arrears")
"""States of what was not done in time."""
_DUE = frozenset(
    ["due_date", "deadline", "end_at", "end_date", "expiry_date", "check_out_date", "arrival_at", "scheduled_at"]
)
"""Types of days by which something ought to be over."""

_THINGS = ("resource", "place", "party", "staff", "org", "catalog_item", "asset", "stock")
"""Archetypes of what is there for long: it does not follow what is done with it."""
_LOOSE = ("message", "review", "event_log", "document", "result")
"""Archetypes of what says nothing about how far a whole has come."""


def propose(draft: Draft, depth: int, size: int) -> Plan | None:
    """A plan, or None where nothing came of it.  `depth`: rows named by way of others; `size` is not looked at."""
    for form in draft.stream.shuffled(FORMS):
        for _ in range(TRIES):
            mark = draft.mark()
            if form(draft, depth) and shown(draft):
                return draft.plan(NAME)
            draft.back(mark)
    return None


# --- what mends


def _menders(draft: Draft, *kinds: str) -> list[tuple[Tool, str, Param]]:
    """Tools that set one value of one row: the parameter of the row, and that of the value."""
    found = []
    for tool in actions(draft.ground, *(kinds or ("update",))):
        params = flat(tool.params)
        needed = [p for p in params if p.required]
        keys = [p.key for p in needed if p.role == "key" and wants(draft.ground, p) == tool.table]
        for param in params:
            alone = all(p is param or p.key in keys for p in needed)
            if len(keys) == 1 and alone and param.role == "value" and param.table == tool.table and not param.hidden:
                found.append((tool, keys[0], param))
    return found


def _mends(draft: Draft, tool: Tool, key: str, row: Row, param: Param, value: object) -> bool:
    arguments: dict[str, Given] = {key: the(draft.ground, tool.table, row), param.key: stated(param, value)}
    return rehearse(draft, [Act(tool, arguments)]).done


_SHARED = frozenset(["category", "location"])
_NEVER = frozenset(["flag", "moment"]) | UNASKED
"""Types that say too little to be odd, or that the clock writes."""


def _shared(table: Table, column: Column) -> bool:
    """True for a column that may well be the same in two rows: a price, a day, a category; no name, no number of its own."""
    kind = semantic_type(column.type)
    alike = bool(column.values or kind.temporal or kind.sql != "TEXT" or columns.is_any(column, _SHARED))
    return alike and columns.spoken(table, column) and not columns.is_any(column, _NEVER) and not column.unique


# --- forms


def odd_one(draft: Draft, depth: int) -> bool:
    """One of its fellows has another value than most of them, and gets the usual one."""
    options = [
        (tool, key, param, link)
        for tool, key, param in _menders(draft)
        for link in draft.ground.parents(draft.schema[tool.table])
        if param.column in draft.schema[tool.table]
        and _shared(draft.schema[tool.table], draft.schema[tool.table][param.column])
    ]
    if not options:
        return False
    tool, key, param, link = draft.stream.pick(options)
    table, column = draft.schema[tool.table], param.column
    for parent in draft.stream.sample(standing(draft.ground, link.table), 3 * TRIES):
        rows = draft.ground.of(table.key, link.columns[0], parent[link.ref[0]])
        values = Counter(r[column] for r in rows)
        if (
            not 3 <= len(rows) <= FELLOWS
            or len(values) != 2
            or None in values
            or len(standing(draft.ground, table.key, rows)) < len(rows)
        ):
            continue
        (usual, many), (odd, once) = values.most_common(2)
        row = next(r for r in rows if r[column] == odd)
        if once != 1 or many < 2 or not _mends(draft, tool, key, row, param, usual):
            continue
        name = draft.refer(link.table, parent, depth)
        if name is None:
            return False
        own = Where(column=link.columns[0], value=draft.key(name))
        group = Of(node=draft.add(Group(name="", of=draft.find(table.key, own, many=True), column=column)))
        found = draft.find(table.key, own, Where(column=column, op="ne", value=group))
        draft.do(tool, {key: draft.key(found), param.key: group})
        return True
    return False


def missing(draft: Draft, depth: int) -> bool:
    """The only one of its fellows that lacks a value gets that of another, or of what it belongs to, or a stated one."""
    options = [
        (tool, key, param, link)
        for tool, key, param in _menders(draft, "update", "action")
        for link in draft.ground.parents(draft.schema[tool.table])
        if link.columns[0] != param.column and _may_lack(draft, tool, param)
    ]
    if not options:
        return False
    tool, key, param, link = draft.stream.pick(options)
    table, column = draft.schema[tool.table], param.column
    for row in draft.stream.sample([r for r in standing(draft.ground, table.key) if r[column] is None], 2 * TRIES):
        if row[link.columns[0]] is None:
            continue
        fellows = draft.ground.of(table.key, link.columns[0], row[link.columns[0]])
        if not 2 <= len(fellows) <= FELLOWS or sum(r[column] is None for r in fellows) > 1:
            continue
        mark = draft.mark()
        if _filled(draft, tool, key, param, link, row, fellows, depth):
            return True
        draft.back(mark)
    return False


def _may_lack(draft: Draft, tool: Tool, param: Param) -> bool:
    """True for a value that may be missing, and that another record, or the name of one, can supply."""
    table, target = draft.schema[tool.table], wants(draft.ground, param)
    if param.column not in table or not table[param.column].nullable:
        return False
    return target != tool.table if target else _shared(table, table[param.column])


def _filled(
    draft: Draft, tool: Tool, key: str, param: Param, link: ForeignKey, row: Row, fellows: Sequence[Row], depth: int
) -> bool:
    """Name the row by what it lacks, and where the value is found."""
    table, column = draft.schema[tool.table], param.column
    target = wants(draft.ground, param)
    if target:
        options = [r for r in standing(draft.ground, target) if r is not row]
    else:
        options = [r for r in standing(draft.ground, table.key, fellows) if r[column] is not None]
        options = options or [r for r in standing(draft.ground, table.key) if r[column] is not None]
    for model in draft.stream.sample(options, TRIES):
        value = model[draft.schema[target].primary_key[0]] if target else model[column]
        if not _mends(draft, tool, key, row, param, value):
            continue
        parent = draft.ground.row(link.table, row[link.columns[0]])
        name = draft.refer(link.table, parent, depth) if parent else None
        source = draft.refer(target or table.key, model, 0) if name else None
        if name is None or source is None or source == name:
            return False
        own = Where(column=link.columns[0], value=draft.key(name))
        found = draft.find(table.key, own, Where(column=column, op="null"))
        if draft.row(found) is not row:
            return False
        draft.do(
            tool, {key: draft.key(found), param.key: draft.key(source) if target else Of(node=source, column=column)}
        )
        return True
    return False


def off_the_list(draft: Draft, depth: int) -> bool:
    """A price or amount that is not that of what it stands for: the line of a product at another price than the product's."""
    options = []
    for tool, key, param in _menders(draft):
        table = draft.schema[tool.table]
        for link in draft.ground.parents(table):
            home = draft.schema[link.table]
            options += [
                (tool, key, param, link, c)
                for c in home.columns
                if param.column in table and home.key != table.key and draft.ground.readers[home.key]
                and _same_thing(home, c, table, table[param.column], link)
            ]  # fmt: skip
    if not options:
        return False
    tool, key, param, link, listed = draft.stream.pick(options)
    table, home = draft.schema[tool.table], draft.schema[link.table]
    for parent in draft.stream.sample(standing(draft.ground, home.key), 2 * TRIES):
        value = parent[listed.key]
        rows = draft.ground.of(table.key, link.columns[0], parent[link.ref[0]])
        off = [r for r in standing(draft.ground, table.key, rows) if r[param.column] not in (None, value)]
        if value is None or len(off) != 1 or not _mends(draft, tool, key, off[0], param, value):
            continue
        name = draft.refer(home.key, parent, depth)
        if name is None:
            return False
        right = Of(node=name, column=listed.key)
        where = Where(column=link.columns[0], value=draft.key(name)), Where(column=param.column, op="ne", value=right)
        found = draft.find(table.key, *where)
        draft.do(tool, {key: draft.key(found), param.key: right})
        return draft.rows(found) == (off[0],)
    return False


def _same_thing(home: Table, listed: Column, table: Table, column: Column, link: ForeignKey) -> bool:
    """True where a column is meant to hold what the parent's does."""
    if column.like == f"{link.key}.{listed.key}":
        return True
    if (
        not (columns.spoken(home, listed) and columns.spoken(table, column))
        or listed.type != column.type
        or listed.values
    ):
        return False
    return (
        columns.is_any(column, frozenset(["money", "location", "capacity", "due_date", "end_date"]))
        and listed.key == column.key
    )


def long_due(draft: Draft, depth: int) -> bool:
    """What was due before today and still stands as if it were not: it is marked, or brought to its end."""
    today = datetime.fromtimestamp(draft.ground.world.now, UTC).strftime("%Y-%m-%d")
    options = []
    for table in draft.schema.tables:
        days = [c for c in table.columns if columns.spoken(table, c) and columns.is_any(c, _DUE)]
        for step in steps_of(draft.ground, table) if days else ():
            assert table.lifecycle is not None
            late = state_word(step.after) in _LATE
            ends = not table.lifecycle.exits(step.after) and step.after not in dead_ends(table.lifecycle)
            options += [(table, step, c) for c in days if late or ends]
    if not options:
        return False
    table, step, day = draft.stream.pick(options)
    machine = table.lifecycle
    assert machine is not None
    tail = " 00:00:00" if semantic_type(day.type).temporal == "datetime" else ""
    state = Where(column=machine.column, value=Const(value=step.before, table=table.key, column=machine.column))
    since = Where(column=day.key, op="lt", value=Const(value=f"{today}{tail}", table=table.key, column=day.key))
    rows = [
        r for r in standing(draft.ground, table.key)
        if r[machine.column] == step.before and r[day.key] is not None and r[day.key] < f"{today}{tail}"
    ]  # fmt: skip
    links = draft.ground.parents(table)
    for row in draft.stream.sample(rows, TRIES):
        if not rehearse(
            draft, [Act(step.tool, {key_param(draft.ground, step.tool): the(draft.ground, table.key, row)})]
        ).done:
            continue
        found = (
            draft.find(table.key, state, since)
            if len(rows) == 1
            else _among(draft, table, links, row, rows, (state, since), depth)
        )
        if found is None or draft.rows(found) != (row,):
            return False
        draft.do(step.tool, {key_param(draft.ground, step.tool): draft.key(found)})
        return True
    return False


def _among(
    draft: Draft,
    table: Table,
    links: Sequence[ForeignKey],
    row: Row,
    rows: Sequence[Row],
    where: tuple[Where, ...],
    depth: int,
) -> str | None:
    """The only such row of one of its parents."""
    for link in draft.stream.shuffled(links):
        at = link.columns[0]
        parent = draft.ground.row(link.table, row[at]) if row[at] is not None else None
        if parent is not None and sum(r[at] == row[at] for r in rows) == 1:
            mark = draft.mark()
            name = draft.refer(link.table, parent, depth)
            if name is not None:
                return draft.find(table.key, Where(column=at, value=draft.key(name)), *where)
            draft.back(mark)
    return None


def behind(draft: Draft, depth: int) -> bool:
    """A whole that lags behind its parts: the only order that is still pending though it has captured payments."""
    options = [
        (table, step, child, link, state)
        for table in draft.schema.tables
        for step in steps_of(draft.ground, table)
        for child, link in draft.ground.children(table.key)
        if child.lifecycle and child.key != table.key and draft.ground.readers[child.key] and draft.ground.readers[table.key]
        and table.archetype not in _THINGS and child.archetype not in _LOOSE
        and table.lifecycle and step.after in table.lifecycle.happy
        for state in child.lifecycle.happy[-1:]
    ]  # fmt: skip
    for table, step, child, link, state in draft.stream.sample(options, TRIES):
        assert table.lifecycle is not None
        assert child.lifecycle is not None
        done = {r[link.columns[0]] for r in draft.ground.table(child.key) if r[child.lifecycle.column] == state}
        key = table.primary_key[0]
        rows = [r for r in draft.ground.table(table.key) if r[table.lifecycle.column] == step.before and r[key] in done]
        act = {key_param(draft.ground, step.tool): the(draft.ground, table.key, rows[0])} if rows else {}
        if (
            len(rows) != 1
            or not standing(draft.ground, table.key, rows)
            or not rehearse(draft, [Act(step.tool, act)]).done
        ):
            continue
        ready = Where(
            column=child.lifecycle.column, value=Const(value=state, table=child.key, column=child.lifecycle.column)
        )
        parts = draft.find(child.key, ready, many=True)
        still = Const(value=step.before, table=table.key, column=table.lifecycle.column)
        found = draft.find(
            table.key,
            Where(column=key, op="in", value=Each(node=parts, column=link.columns[0])),
            Where(column=table.lifecycle.column, value=still),
        )
        draft.do(step.tool, {key_param(draft.ground, step.tool): draft.key(found)})
        return True
    return False


FORMS: tuple[Callable[[Draft, int], bool], ...] = (odd_one, missing, off_the_list, long_due, behind)
"""What is odd."""
