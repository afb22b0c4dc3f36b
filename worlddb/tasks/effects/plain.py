"""Effects of what every API has: create, update, delete, archive, link."""

from __future__ import annotations

from typing import Any

from worlddb.schema.model import ForeignKey, Table
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tasks.effects.case import GONE, Answer, Case
from worlddb.tasks.effects.desk import Lost, key_of, references
from worlddb.tasks.sql import Row
from worlddb.tools.model import Param
from worlddb.world.diff import Key

# --- new rows


def create(case: Case) -> Answer:
    """A new row."""
    return case.answer(case.table, _made(case, case.table, case.tool.params, case.given))


def _made(case: Case, table: Table, params: tuple[Param, ...], given: Any, fixed: Row | None = None) -> Key:
    values = case.said(table, params, given) | (fixed or {})
    return case.born(table, values | _own_key(table, given), params)


def _own_key(table: Table, given: Any) -> Row:
    """A key that is itself a reference is given, as 'id'."""
    own = table.primary_key[0]
    shared = len(table.primary_key) == 1 and own in references(table)
    return {own: given["id"]} if shared and given.get("id") is not None else {}


def create_with(case: Case) -> Answer:
    """A header and its lines."""
    items = case.tool.param("items")
    child = case.schema[items.table]
    link = next(f for f in child.foreign_keys if f.table == case.table.key and not f.nullable)
    key = _made(case, case.table, tuple(p for p in case.tool.params if p is not items), case.given)
    for item in case["items"]:
        _made(case, child, items.fields, item, {link.columns[0]: key[0]})
    return case.answer(case.table, key)


def bulk_create(case: Case) -> Answer:
    """Several rows of one table."""
    for item in case["items"]:
        _made(case, case.table, case.tool.param("items").fields, item)
    return None


def get_or_create(case: Case) -> Answer:
    """The row with a name that is there, or a new one."""
    natural = next(
        c.key for c in case.table.columns if c.unique and semantic_type(c.type).sql == "TEXT" and case[c.key]
    )
    there = case.desk.rows(case.table, {natural: case[natural]})
    return case.answer(case.table, key_of(case.table, there[0])) if there else create(case)


# --- changed rows


def update(case: Case) -> Answer:
    """New values of columns."""
    row = case.row()
    case.desk.change(case.table, row, case.said(case.table))
    return case.answer(case.table, key_of(case.table, row))


def adjust(case: Case) -> Answer:
    """An amount that goes up or down by a difference."""
    row, column = case.row(), case.tail[-1].removeprefix("adjust_")
    case.desk.change(case.table, row, {column: (row[column] or 0) + case["delta"]})
    return case.answer(case.table, key_of(case.table, row))


def switch(case: Case) -> Answer:
    """Out of use and back: the column that says so, by its kind of value."""
    table, row, off = case.table, case.row(), case.tool.kind == "archive"
    if case.tail[-1] in ("archive", "restore"):
        stamps = table.lifecycle.stamps.values() if table.lifecycle else ()
        column = next(c for c in table.columns if c.key in GONE and c.key not in stamps)
        flag = is_a(column.type, "flag")
        value = int(off) if flag else case.desk.moment(column) if off else None
    else:
        column = next(c for c in table.columns if c.type == "is_active" or c.key == "is_active")
        value = int(not off)
    case.desk.change(table, row, {column.key: value})
    return case.answer(table, key_of(table, row))


def delete(case: Case) -> Answer:
    """A row, and the notes on it that no foreign key ties to it."""
    row = case.row()
    for table in case.schema.tables:
        pair = table.polymorphic
        if pair and case.table.key in pair.tables:
            values = table[pair.type_column].values or pair.tables
            kind = values[pair.tables.index(case.table.key)]
            key = row[case.table.primary_key[0]]
            text = semantic_type(table[pair.id_column].type).sql == "TEXT"
            for note in case.desk.rows(table, {pair.type_column: kind, pair.id_column: str(key) if text else key}):
                case.desk.drop(table, note)
    case.desk.drop(case.table, row)
    return None


# --- links


def link(case: Case) -> Answer:
    """Two rows are tied together."""
    return create(case)


def _sides(case: Case) -> tuple[ForeignKey, ...]:
    """The references by which the parameters of role 'key' name what a link ties together."""
    known = references(case.table)
    return tuple(known[p.column] for p in case.tool.params if p.role == "key" and p.column in known)


def unlink(case: Case) -> Answer:
    """Two rows are untied."""
    where = {f.columns[0]: case[f.columns[0]] for f in _sides(case)}
    found = case.desk.rows(case.table, where)
    if not found:
        raise Lost(f"no {case.table.key} ties these together")
    for row in found:
        case.desk.drop(case.table, row)
    return None


def set_links(case: Case) -> Answer:
    """One side gets exactly these others."""
    (own,) = _sides(case)
    other = next(
        f for f in references(case.table).values() if f != own and case.tail[-1] == f"set_{f.key}_of_{own.key}"
    )
    mine = {own.columns[0]: case[own.columns[0]]}
    there = case.desk.rows(case.table, mine)
    for row in there:
        if row[other.columns[0]] not in case["ids"]:
            case.desk.drop(case.table, row)
    known = {row[other.columns[0]] for row in there}
    for key in sorted(k for k in set(case["ids"]) if k not in known):
        case.born(case.table, {**mine, other.columns[0]: key}, case.tool.params)
    return None


def put(case: Case) -> Answer:
    """What a link says: made, or said anew."""
    table, said = case.table, case.said(case.table)
    there = case.desk.rows(table, {k: said[k] for k in table.primary_key})
    if not there:
        return create(case)
    asked = {p.column for p in case.tool.params if p.required}
    case.desk.change(table, there[0], {k: v for k, v in said.items() if k in asked and k not in table.primary_key})
    return case.answer(table, key_of(table, there[0]))
