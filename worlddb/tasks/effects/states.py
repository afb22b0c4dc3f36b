"""Effects of moves from state to state, of one row and of many, and of changes of many rows at once."""

from __future__ import annotations

from collections.abc import Iterable

from worlddb.schema.model import Lifecycle, Table
from worlddb.schema.rules import Immutable
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tasks.effects.case import Answer, Case
from worlddb.tasks.effects.desk import Lost, key_of
from worlddb.tasks.sql import Row
from worlddb.tools.kinds.rows import LOGS, speaks_of
from worlddb.tools.words import state_word
from worlddb.world.mint import is_minted

_OFF = ("cancelled", "canceled", "voided", "withdrawn")
_PARTS = 3
"""Kinds of parts that go along with a whole, at most."""


def target(case: Case) -> str:
    """The state into which the verb of the tool leads."""
    words = case.tool.words
    name = words.template or f"{words.verb}_{{noun}}"
    for (before, after), verb in case.facts.words.moves(case.table.key).items():
        if before != after and verb.name("{noun}") == name:
            return after
    raise Lost(f"no move of {case.table.key} is called {name}")


def machine_of(case: Case) -> Lifecycle:
    """The lifecycle of the tool's table."""
    assert case.table.lifecycle is not None
    return case.table.lifecycle


def move(case: Case) -> Answer:
    """One row goes into a state."""
    row = case.row()
    _move(case, [row], target(case), case.said(case.table))
    return case.answer(case.table, key_of(case.table, row))


def bulk_move(case: Case) -> Answer:
    """Each of several rows goes into a state."""
    _move(case, [case.desk.row(case.table, key) for key in sorted(case["ids"])], target(case), {})
    return None


def move_due(case: Case) -> Answer:
    """All whose day has come go into a state."""
    machine, state = machine_of(case), target(case)
    due = case.table[case.tool.param("before").column]
    limit = min(case["before"] or case.desk.moment(due), case.desk.moment(due))
    verbs = case.facts.words.moves(case.table.key)
    name = next(v.imperative for (a, b), v in verbs.items() if b == state and a != b)
    origins = {a for (a, b), v in verbs.items() if b == state and v.imperative == name}
    rows = [
        r
        for r in case.desk.rows(case.table)
        if r[machine.column] in origins and r[due.key] is not None and r[due.key] < limit
    ]
    _move(case, rows, state, {})
    return None


def advance(case: Case) -> Answer:
    """The next step of the usual way."""
    row, machine = case.row(), machine_of(case)
    at = machine.happy.index(row[machine.column])
    _one(case, case.table, row, machine.happy[at + 1], {})
    return case.answer(case.table, key_of(case.table, row))


def _move(case: Case, rows: Iterable[Row], state: str, said: Row) -> None:
    """Rows go into a state, after their parts."""
    moved = list(rows)
    for row in moved:
        _take_along(case, row, state)
    for row in moved:
        _one(case, case.table, row, state, said)


def _one(case: Case, table: Table, row: Row, state: str, said: Row) -> None:
    machine = table.lifecycle
    assert machine is not None
    told = {
        c.key: case.desk.moment(c)
        for c in table.columns
        if c.nullable and semantic_type(c.type).temporal in ("date", "datetime") and speaks_of(c, state)
        and not _is_kept(case, table, c.key)
    }  # fmt: skip
    still = row[machine.column] in case.facts.frozen(table, machine.column)
    case.desk.change(table, row, {**told, **case.entering(table, state), **said}, touch=not still)


def _is_kept(case: Case, table: Table, key: str) -> bool:
    """True for columns that the system fills by rules of their own."""
    column, machine = table[key], table.lifecycle
    return bool(
        is_minted(table, column) or column.formula or (table.key, key) in case.facts.derived
        or (machine and key in machine.stamps.values()) or key in ("created_at", "updated_at", "deleted_at")
        or any(is_a(column.type, t) for t in ("created_at", "updated_at", "deleted_at"))
    )  # fmt: skip


# --- parts of a whole


def ends(machine: Lifecycle) -> list[str]:
    """States from which nothing leads on."""
    return [s for s in machine.states if not machine.exits(s)]


def _take_along(case: Case, row: Row, state: str) -> None:
    """What is open below a row that comes to a bad end comes to the same."""
    machine = machine_of(case)
    if state not in ends(machine) or state == machine.happy[-1]:
        return
    parts = [
        (child, link)
        for child, link in case.facts.holders(case.table)
        if child.lifecycle and ends(child.lifecycle) and not link.nullable and child.archetype not in LOGS
    ]
    for child, link in parts[:_PARTS]:
        theirs = child.lifecycle
        assert theirs is not None
        bad = {state_word(s): s for s in ends(theirs) if s != theirs.happy[-1]}
        end = next((bad[w] for w in (state_word(state), *_OFF) if w in bad), None)
        frozen = any(
            isinstance(r, Immutable) and r.table == child.key and r.holder.split(".")[0] == link.key and state in r.states
            for r in case.schema.rules
        )  # fmt: skip
        if end is None or frozen:
            continue
        ready = {a for a, b in theirs.moves if b == end and a != end}
        for part in case.desk.rows(child, {link.columns[0]: row[case.table.primary_key[0]]}):
            if part[theirs.column] in ready:
                _one(case, child, part, end, {})


# --- many rows


def bulk_update(case: Case) -> Answer:
    """The same values for several rows."""
    said = case.said(case.table)
    for key in sorted(case["ids"]):
        case.desk.change(case.table, case.desk.row(case.table, key), said)
    return None


def reassign(case: Case) -> Answer:
    """All that is not over of one goes to another."""
    column = case.table.parents[case.tail[-1].removeprefix("reassign_")].columns[0]
    machine = machine_of(case)
    for row in case.desk.rows(case.table, {column: case[f"from_{column}"]}):
        if row[machine.column] not in ends(machine):
            case.desk.change(case.table, row, {column: case[f"to_{column}"]})
    return None


def reprice(case: Case) -> Answer:
    """Prices of a group rise or fall by a percentage."""
    column = case.tail[-1].removeprefix("adjust_").removesuffix("s")
    group = {p.column: case[p.key] for p in case.tool.params if p.role == "filter"}
    for row in case.desk.rows(case.table, group):
        if row[column] is not None:
            twice = row[column] * (100 + case["percent"]) * 2
            case.desk.change(case.table, row, {column: (abs(twice) + 100) // 200 * (1 if twice >= 0 else -1)})
    return None


def retire_stale(case: Case) -> Answer:
    """What nobody has touched for long is switched off."""
    switch = next(c.key for c in case.table.columns if c.type == "is_active" or c.key == "is_active")
    seen = case.tool.param("before").column
    for row in case.desk.rows(case.table):
        if row[switch] != 0 and row[seen] is not None and row[seen] < case["before"]:
            case.desk.change(case.table, row, {switch: 0})
    return None


def purge(case: Case) -> Answer:
    """Old rows to which nothing refers are deleted."""
    column = case.table[case.tool.param("before").column]
    limit = min(case["before"], case.desk.moment(column))
    children = [(t, f) for t, f in case.schema.children[case.table.key] if len(f.columns) == 1]
    needed = [f for _, f in children if not f.on_delete]
    for row in case.desk.rows(case.table):
        used = needed and any(case.desk.rows(t, {f.columns[0]: row[f.ref[0]]}) for t, f in children)
        if row[column.key] is not None and row[column.key] < limit and not used:
            case.desk.drop(case.table, row)
    return None
