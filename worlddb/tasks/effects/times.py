"""Effects of actions on reservations, and on who takes part in what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from worlddb.schema.model import ForeignKey, Table
from worlddb.schema.rules import Cap, NoOverlap, SameParent
from worlddb.semantics.types import semantic_type
from worlddb.tasks.effects.acts import its, its_params, note, unusable
from worlddb.tasks.effects.case import Answer, Case
from worlddb.tasks.effects.deals import meets, worded
from worlddb.tasks.effects.desk import Lost, key_of
from worlddb.tasks.sql import Row
from worlddb.tools.kinds.actions.sights import origins
from worlddb.tools.words import state_word

_NEVER = "9999-12-31"
_WAITING = ("waitlisted", "waiting", "queued", "requested", "applied", "pending", "invited")
_LEFT = ("cancelled", "dropped", "ended", "left", "released", "withdrawn")


def later(moment: str, span: timedelta, *, day: bool) -> str:
    """A stored moment moved on; `day`: stored as a date."""
    found = datetime.fromisoformat(moment) + span
    return found.strftime("%Y-%m-%d" if day else "%Y-%m-%d %H:%M:%S")


def span_of(start: str, end: str) -> timedelta:
    """From one stored moment to another."""
    return datetime.fromisoformat(end) - datetime.fromisoformat(start)


def is_day(table: Table, column: str) -> bool:
    """True where a column holds dates."""
    return semantic_type(table[column].type).temporal == "date"


# --- reservations


def reserve(case: Case) -> Answer:
    """A new reservation of a thing."""
    return _reserved(case, case["what_id"], {})


def reserve_any(case: Case) -> Answer:
    """A new reservation of the first thing of a kind that is free."""
    table, link = case.table, case.table.parents[case.tail[0]]
    things = case.schema[link.table]
    kind = next(f for f in _links(things) if f.table == case.tool.param("kind_id").table and _is_kind(case, link, f))
    rule = next(
        r for r in case.schema.rules if isinstance(r, NoOverlap) and (r.table, r.per) == (table.key, (link.key,))
    )
    for thing in case.desk.rows(things, {kind.columns[0]: case["kind_id"]}):
        key = thing[things.primary_key[0]]
        taken = [
            r for r in case.desk.rows(table, {link.columns[0]: key})
            if meets(r, rule.where) and r[rule.start] < case["end"] and (r[rule.end] or _NEVER) > case["start"]
        ]  # fmt: skip
        if not taken and not unusable(case, things, thing):
            return _reserved(case, key, _kind_too(case, link, kind))
    raise Lost(f"no {things.key} is free")


def _is_kind(case: Case, link: ForeignKey, kind: ForeignKey) -> bool:
    """True for the reference that says what kind of thing it is: of several to the same table, the one that a rule names."""
    same = [f for f in _links(case.schema[link.table]) if f.table == kind.table]
    named = {p for r in case.schema.rules if isinstance(r, SameParent) and r.table == case.table.key for p in r.paths}
    return kind is next((f for f in same if f"{link.key}.{f.key}" in named), same[0])


def _kind_too(case: Case, link: ForeignKey, kind: ForeignKey) -> Row:
    """Where the reservation names the kind as well: the same."""
    for rule in case.schema.rules:
        path = f"{link.key}.{kind.key}"
        if isinstance(rule, SameParent) and rule.table == case.table.key and path in rule.paths:
            other = next(p for p in rule.paths if p != path)
            return {case.table.parents[other].columns[0]: case["kind_id"]} if other in case.table.parents else {}
    return {}


def _links(table: Table) -> list[ForeignKey]:
    return [f for f in table.foreign_keys if len(f.columns) == 1]


def _reserved(case: Case, thing: Any, more: Row) -> Answer:
    times = {case.tool.param(k).column: case[k] for k in ("start", "end")}
    column = case.table.parents[case.tail[0]].columns[0]
    given = {**its(case, case.table), **more, **times, column: thing}
    return case.answer(case.table, case.born(case.table, given, its_params(case), form=False))


def reschedule(case: Case) -> Answer:
    """Another time, as long as before where only the start is said."""
    table, row = case.table, case.row()
    start, end = case.tool.param("start").column, case.tool.param("end").column
    until = case["end"]
    if until is None and row[end] is not None:
        until = later(row[end], span_of(row[start], case["start"]), day=is_day(table, end))
    case.desk.change(table, row, {start: case["start"], end: until})
    note(case, row, "rescheduled")
    return case.answer(table, key_of(table, row))


def extend(case: Case) -> Answer:
    """A later end."""
    row = case.row()
    case.desk.change(case.table, row, {case.tool.param("end").column: case["end"]})
    return case.answer(case.table, key_of(case.table, row))


def change_resource(case: Case) -> Answer:
    """Another thing at the same time."""
    row, link = case.row(), case.table.parents[case.tail[0]]
    case.desk.change(case.table, row, {link.columns[0]: case["to_id"]})
    note(case, row, f"{_role(case)}_changed")
    return case.answer(case.table, key_of(case.table, row))


def _role(case: Case) -> str:
    """What the tool calls the thing: its parameter is 'to_<role>_id'."""
    template = case.tool.words.template
    return template.removeprefix("change_").removesuffix("_of_{noun}")


def swap(case: Case) -> Answer:
    """Two reservations exchange what they have."""
    column = case.table.parents[case.tail[0]].columns[0]
    one, other = case.desk.row(case.table, case["from_id"]), case.desk.row(case.table, case["to_id"])
    case.desk.change(case.table, one, {column: other[column]})
    case.desk.change(case.table, other, {column: one[column]})
    return None


# --- taking part


def _sides(case: Case) -> tuple[ForeignKey, ForeignKey, Cap | None]:
    """Who, in what, and the rule on how many fit in."""
    homes = {p.key: p.table for p in case.tool.params}
    who = next(f for f in _links(case.table) if f.table == homes["who_id"])
    groups = [f for f in _links(case.table) if f.table == homes["group_id"] and f is not who]
    for rule in case.schema.rules:
        counts = isinstance(rule, Cap) and rule.table == case.table.key and not rule.column and not rule.each_day
        if counts and isinstance(rule, Cap) and len(rule.per) == 1 and not any("." in p for p in rule.where):
            group = next((g for g in groups if g.key == rule.per[0]), None)
            if group is not None and (isinstance(rule.at_most, int) or rule.at_most.startswith(f"{group.key}.")):
                return who, group, rule
    return who, groups[0], None


def _room_left(case: Case, group: ForeignKey, cap: Cap) -> bool:
    """True where somebody fits in."""
    taken = sum(meets(r, cap.where) for r in case.desk.rows(case.table, {group.columns[0]: case["group_id"]}))
    if isinstance(cap.at_most, int):
        return taken < cap.at_most
    table, (*steps, last) = case.schema[group.table], cap.at_most.split(".")[1:]
    row = case.desk.row(table, case["group_id"])
    for role in steps:
        link = table.parents[role]
        table = case.schema[link.table]
        row = case.desk.row(table, row[link.columns[0]])
    return row[last] is not None and taken < int(row[last])


def _admitted(case: Case, cap: Cap | None) -> str:
    """The state with a place to which those go who wait, where there is room; '' where nobody waits."""
    machine = case.table.lifecycle
    if machine is None or cap is None or state_word(machine.initial) not in _WAITING:
        return ""

    def counts(state: str) -> bool:
        states = cap.where.get(machine.column)
        return not isinstance(states, tuple) or state in states

    return "" if counts(machine.initial) else next((s for s in machine.exits(machine.initial) if counts(s)), "")


def join(case: Case) -> Answer:
    """Somebody takes part, or waits where it is full."""
    table = case.table
    who, group, cap = _sides(case)
    given = {**its(case, table), who.columns[0]: case["who_id"], group.columns[0]: case["group_id"]}
    key = case.born(table, given, its_params(case), form=False)
    state = _admitted(case, cap)
    if state and cap is not None and _room_left(case, group, cap):
        case.enter(table, case.desk.row(table, key), state)
    return case.answer(table, key)


def leave(case: Case) -> Answer:
    """Somebody takes part no more; the first who waits moves up."""
    table, machine = case.table, case.table.lifecycle
    who, group, cap = _sides(case)
    state = next(iter(worded(table, _LEFT)), "")
    for row in case.desk.rows(table, {who.columns[0]: case["who_id"], group.columns[0]: case["group_id"]}):
        if not state:
            case.desk.drop(table, row)
        elif machine and row[machine.column] in origins(table, state):
            case.enter(table, row, state)
    after = _admitted(case, cap)
    if after and machine and cap is not None and len(table.primary_key) == 1 and _room_left(case, group, cap):
        waiting = {group.columns[0]: case["group_id"], machine.column: machine.initial}
        for row in case.desk.rows(table, waiting)[:1]:
            case.enter(table, row, after)
    return case.answer(case.schema[group.table], case["group_id"])


ACTIONS: dict[str, Callable[[Case], Answer]] = {
    "reserve": reserve, "reserve_any": reserve_any, "reschedule": reschedule, "extend": extend,
    "change_resource": change_resource, "swap": swap, "join": join, "leave": leave,
}  # fmt: skip
