"""Effects of actions on who is in charge, what belongs where, what is said, and what comes to its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from worlddb.schema.model import ForeignKey, Table
from worlddb.schema.rules import always_set
from worlddb.semantics.types import is_a
from worlddb.tasks.effects.case import Answer, Case
from worlddb.tasks.effects.desk import is_updated_at, key_of, references
from worlddb.tasks.sql import Row
from worlddb.tools.kinds.actions.sights import open_states, origins, text_column
from worlddb.tools.model import Param
from worlddb.tools.words import state_word

_ASSIGNED = ("allocated", "assigned", "dispatched", "scheduled", "triaged")
_HAPPENED = ("updated", "modified", "changed")
_LEVELS = (("low", "minor"), ("medium", "normal", "moderate"), ("high", "major"), ("urgent", "critical", "severe"))
_GONE = frozenset([
    "archived", "banned", "blocked", "cancelled", "closed", "deceased", "deleted", "dissolved", "ended", "expired", "faulty",
    "frozen", "inactive", "left", "lost", "out_of_service", "rejected", "retired", "scrapped", "sold", "suspended",
    "terminated", "trashed", "void", "voided", "withdrawn", "written_off",
])  # fmt: skip
"""States of things that nothing new is done with."""


# --- what hangs on a row


def _hangs(case: Case, child: Table, row: Row) -> Row | None:
    """What ties a new row of a child to a row of the tool's table; None where nothing does."""
    key = row[case.table.primary_key[0]]
    link = next((f for t, f in case.facts.holders(case.table) if t.key == child.key), None)
    if link is not None:
        return {link.columns[0]: key}
    pair = child.polymorphic
    if pair and case.table.key in pair.tables:
        kind = child[pair.type_column].values[pair.tables.index(case.table.key)]
        number = is_a(child[pair.id_column].type, "polymorphic_ref")
        return {pair.type_column: kind, pair.id_column: key if number else str(key)}
    return None


def note(case: Case, row: Row, *happened: str, who: tuple[Table, object] | None = None) -> None:
    """The line that the action writes to the history of a row, where it says that it writes one."""
    for log in _linked_first(case):
        if log.archetype == "event_log" and (log.key, "insert") in case.tool.writes:
            tied = _hangs(case, log, row)
            if tied is None:
                continue
            for column, reference in references(log).items():
                if who and column not in tied and reference.table == who[0].key:
                    tied[column] = who[1]
            tied |= {c.key: happened[0] for c in log.columns if is_a(c.type, "tag") and not c.unique}
            case.born(log, tied, prefer=(*happened, *_HAPPENED), form=False)
            return


def _linked_first(case: Case) -> list[Table]:
    """The tables of the schema, those first that refer to the tool's table."""
    holders = {t.key: None for t, _ in case.facts.holders(case.table)}
    return [case.schema[k] for k in dict.fromkeys([*holders, *(t.key for t in case.schema.tables)])]


def say(case: Case, child: Table, row: Row) -> Answer:
    """A new message to a row, with what is said."""
    text = text_column(child)
    tied = _hangs(case, child, row)
    assert text is not None
    assert tied is not None
    key = case.born(child, {**its(case, child), **tied, text.key: case["body"]}, its_params(case), form=False)
    return case.answer(child, key)


def its(case: Case, table: Table, prefix: str = "its_") -> Row:
    """What was given for a new row beside what the action itself is about: the parameters 'its_…'."""
    found = [p for p in case.tool.params if p.table == table.key and p.column and p.key.startswith(prefix)]
    return {p.column: case[p.key] for p in found if case[p.key] is not None}


def its_params(case: Case) -> list[Param]:
    """The parameters of a new row."""
    return [p for p in case.tool.params if p.key.startswith("its_")]


# --- who is in charge


def still_open(case: Case, table: Table, row: Row) -> bool:
    """True for a row that is neither over, frozen nor gone."""
    machine = table.lifecycle
    if machine is None:
        return not unusable(case, table, row)
    workable = [s for s in open_states(table) if s not in case.facts.frozen(table)]
    return not workable or len(workable) == len(machine.states) or row[machine.column] in workable


def unusable(case: Case, table: Table, row: Row) -> bool:
    """True for a row that nothing new is done with."""
    for column in table.columns:
        value, key = row[column.key], column.key
        if value is None:
            continue
        if (is_a(column.type, "is_active") or key == "is_active") and value == 0:
            return True
        if (is_a(column.type, "is_deleted") or key in ("is_deleted", "is_archived")) and value == 1:
            return True
        if is_a(column.type, "deleted_at"):
            return True
        if key in ("left_on", "discontinued_at") and value <= case.desk.moment(column):
            return True
    return table.lifecycle is not None and state_word(row[table.lifecycle.column]) in _GONE


def assign(case: Case) -> Answer:
    """Somebody is in charge of a row now; where that is a state of its own, it goes there."""
    table, row = case.table, case.row()
    link = table.parents[case.tail[0]]
    values: Row = {link.columns[0]: case["who_id"]}
    machine = table.lifecycle
    state = next((s for s in machine.states if state_word(s) in _ASSIGNED), "") if machine else ""
    if machine and state and state not in case.facts.frozen(table):
        before = [s for s in origins(table, state) if s in open_states(table)]
        if row[machine.column] in before:
            values |= case.entering(table, state)
    case.desk.change(table, row, values)
    note(case, row, "assigned", "reassigned", who=(case.schema[link.table], case["who_id"]))
    return case.answer(table, key_of(table, row))


def unassign(case: Case) -> Answer:
    """Nobody is in charge of a row any more."""
    row = case.row()
    case.desk.change(case.table, row, {case.table.parents[case.tail[0]].columns[0]: None})
    note(case, row, "unassigned")
    return case.answer(case.table, key_of(case.table, row))


def all_to_another(case: Case) -> Answer:
    """All open rows of one parent go to another one."""
    column = case.table.parents[case.tail[0]].columns[0]
    for row in case.desk.rows(case.table, {column: case["from_id"]}):
        if still_open(case, case.table, row):
            case.desk.change(case.table, row, {column: case["to_id"]})
    return None


def retire(case: Case) -> Answer:
    """Somebody goes out of service: what is open is free for others."""
    row = case.row()
    for child, link in case.facts.holders(case.table):
        loose = link.nullable and len(child.primary_key) == 1 and child.lifecycle and open_states(child)
        if loose and not always_set(case.schema, child, link):
            for work in case.desk.rows(child, {link.columns[0]: row[case.table.primary_key[0]]}):
                if still_open(case, child, work):
                    case.desk.change(child, work, {link.columns[0]: None})
    case.desk.change(case.table, row, {"is_active": 0})
    return case.answer(case.table, key_of(case.table, row))


# --- where things belong


def move(case: Case) -> Answer:
    """A row goes to another parent (of a tree: or to the top), to its last place where places are numbered."""
    table, row = case.table, case.row()
    column = table.parents[case.tail[0]].columns[0]
    values: Row = {column: case["to_id"]}
    pair = next((u for u in table.uniques if column in u and len(u) == 2), None)
    place = next((k for k in pair or () if k != column), "")
    if place and is_a(table[place].type, "position_index"):
        beside = case.desk.rows(table, {column: case["to_id"]})
        values[place] = max((r[place] for r in beside if r[place] is not None), default=0) + 1
    case.desk.change(table, row, values)
    note(case, row, "moved")
    return case.answer(table, key_of(table, row))


# --- what is said, and ends


def comment(case: Case) -> Answer:
    """A message; what it is about counts as changed."""
    row, machine = case.row(), case.table.lifecycle
    found = say(case, case.schema[case.tail[0]], row)
    frozen = machine is not None and row[machine.column] in case.facts.frozen(case.table)
    if not frozen and any(is_updated_at(c) for c in case.table.columns):
        case.desk.change(case.table, row, {})
    return found


def say_and_close(case: Case) -> Answer:
    """A move to an end, with a message."""
    row = case.row()
    say(case, case.schema[case.tail[1]], row)
    case.enter(case.table, row, case.state(case.table, case.tail[0]))
    return case.answer(case.table, key_of(case.table, row))


def note_and_close(case: Case) -> Answer:
    """A move to an end, with a line of history."""
    row = case.row()
    case.enter(case.table, row, case.state(case.table, case.tail[0]))
    note(case, row, case.tail[0], "closed", "completed", "status_changed")
    return case.answer(case.table, key_of(case.table, row))


def escalate(case: Case) -> Answer:
    """One level up."""
    table, row, column = case.table, case.row(), case.table[case.tail[0]]
    rank = {word: n for n, words in enumerate(_LEVELS) for word in words}
    levels = sorted(column.values, key=lambda v: rank[v.lower()])
    values: Row = {column.key: dict(pairwise(levels))[row[column.key]]}
    if "is_escalated" in table:
        values["is_escalated"] = 1
    case.desk.change(table, row, values)
    note(case, row, "escalated")
    if "body" in case.given:
        child = next(case.schema[p.table] for p in case.tool.params if p.key == "body")
        say(case, child, row)
    return case.answer(table, key_of(table, row))


def finish(case: Case) -> Answer:
    """A row comes to an end, and so does what is open below it."""
    table, row = case.table, case.row()
    child = case.schema[case.tail[1]]
    end, theirs = case.state(table, case.tail[0]), case.state(child, case.tail[2])
    ready = [s for s in origins(child, theirs) if s in open_states(child)]
    assert child.lifecycle is not None
    link = _whole(case, child, ready)
    for part in case.desk.rows(child, {link.columns[0]: row[table.primary_key[0]]}):
        if part[child.lifecycle.column] in ready:
            case.enter(child, part, theirs)
    case.enter(table, row, end)
    return case.answer(table, key_of(table, row))


def _whole(case: Case, child: Table, ready: Sequence[str]) -> ForeignKey:
    """The reference of a part to its whole: one that must be set, the one that takes it along before others."""
    found = [f for t, f in case.facts.holders(case.table) if t.key == child.key and not f.nullable]
    return next((f for f in found if f.on_delete == "CASCADE"), found[0])


ACTIONS: dict[str, Callable[[Case], Answer]] = {
    "assign": assign, "unassign": unassign, "hand_over": all_to_another, "move_all": all_to_another, "retire": retire,
    "move": move, "comment": comment, "say_and_close": say_and_close, "note_and_close": note_and_close, "escalate": escalate,
    "finish": finish,
}  # fmt: skip
