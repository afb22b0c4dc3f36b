"""Effects of actions that make one row out of two, or two out of one: merge, split, copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.schema.rules import UniqueActive
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tasks.effects.case import Answer, Case
from worlddb.tasks.effects.deals import meets
from worlddb.tasks.effects.desk import is_updated_at
from worlddb.tasks.effects.times import is_day, later, span_of
from worlddb.tasks.sql import Row
from worlddb.world.diff import Key
from worlddb.world.mint import is_minted

# --- copies


def _copy(case: Case, table: Table, row: Row, given: Row, span: timedelta | None = None) -> Key:
    """A new row like another one, in its initial state; planned moments move along by `span`."""
    values = dict(given)
    for column in table.columns:
        own = (column.key,) == table.primary_key
        if column.key in values or column.formula or (own and table.key_style == "integer"):
            continue
        if is_minted(table, column) and (own or not column.nullable):
            values[column.key] = case.desk.host.mint(table.key, column.key)
        else:
            values[column.key] = _copied(case, table, column, row[column.key], span)
    return case.desk.insert(table, values)


def _copied(case: Case, table: Table, column: Column, value: object, span: timedelta | None) -> object:
    """What a column holds in a copy."""
    machine, key = table.lifecycle, column.key
    if machine and key == machine.column:
        return machine.initial
    if machine and key in machine.stamps.values():
        return None
    if key == "created_at" or is_a(column.type, "created_at") or is_updated_at(column):
        return case.desk.moment(column)
    if (table.key, key) in case.facts.derived:
        return None if column.nullable else 0
    if is_a(column.type, "deleted_at") or (is_a(column.type, "event_time") and column.nullable):
        return None
    if is_a(column.type, "is_deleted"):
        return 0
    planned = semantic_type(column.type).temporal in ("date", "datetime") and not is_a(column.type, "moment")
    tied = column.unique or key in table.key_columns or is_a(column.type, "birth_date")
    if span is not None and planned and not tied and isinstance(value, str):
        return later(value, span, day=is_day(table, key))
    return None if column.unique and column.nullable else value


def duplicate(case: Case) -> Answer:
    """A copy with copies of its lines."""
    row = case.row()
    titles = {p.column: case[p.key] for p in case.tool.params if p.key == "title"}
    key = _copy(case, case.table, row, titles)
    child, link = lines_of(case)
    for line in case.desk.rows(child, {link.columns[0]: case["id"]}):
        given: Row = {c.key: None for c in child.columns if is_minted(child, c) and c.nullable}
        _copy(case, child, line, {**given, link.columns[0]: key[0]})
    return case.answer(case.table, key)


def lines_of(case: Case) -> tuple[Table, ForeignKey]:
    """The lines of which the tool speaks: what it writes beside its own table, or answers with."""
    told = {inner.keys[0][0] for _, inner in case.tool.reply.nested if inner.keys}
    return next((t, f) for t, f in case.facts.holders(case.table) if t.key in told and not f.nullable)


def repeat(case: Case) -> Answer:
    """A copy at another time."""
    row, param = case.row(), case.tool.param("start")
    span = span_of(row[param.column], case["start"])
    return case.answer(case.table, _copy(case, case.table, row, {}, span))


def split(case: Case) -> Answer:
    """Some lines go to a new row with the same details."""
    row, child = case.row(), case.schema[case.tail[0]]
    key = _copy(case, case.table, row, {})
    _, link = lines_of(case)
    for line in sorted(case["lines"]):
        case.desk.change(child, case.desk.row(child, line), {link.columns[0]: key[0]})
    return case.answer(case.table, key)


# --- two become one


def merge(case: Case) -> Answer:
    """All that refers to a duplicate refers to the other one, which has the first say; the duplicate is gone."""
    table, gone, kept = case.table, case["from_id"], case["to_id"]
    for child, link in case.schema.children[table.key]:
        if len(link.columns) == 1:
            _repoint(case, child, link, gone, kept)
    for child in case.schema.tables:
        pair = child.polymorphic
        if pair and table.key in pair.tables:
            kind = child[pair.type_column].values[pair.tables.index(table.key)]
            for row in case.desk.rows(child, {pair.type_column: kind, pair.id_column: str(gone)}):
                case.desk.change(child, row, {pair.id_column: str(kept)})
    case.desk.drop(table, case.desk.row(table, gone))
    return case.answer(table, kept)


def _repoint(case: Case, child: Table, link: ForeignKey, gone: object, kept: object) -> None:
    column = link.columns[0]
    if child.key == case.table.key:
        for row in case.desk.rows(child, {column: gone}):
            own = row[child.primary_key[0]]
            if own != gone:
                case.desk.change(child, row, {column: None if own == kept else kept})
        return
    for together, rule in _sets(child, column, case):
        theirs = [r for r in case.desk.rows(child, {column: kept}) if rule is None or meets(r, rule.where)]
        taken = {tuple(r[k] for k in together if k != column) for r in theirs}
        for row in case.desk.rows(child, {column: gone}):
            values = tuple(row[k] for k in together if k != column)
            if (rule is None or meets(row, rule.where)) and None not in values and values in taken:
                case.desk.drop(child, row)
    for row in case.desk.rows(child, {column: gone}):
        if column in child.primary_key:
            fresh = {
                c.key: case.desk.moment(c) if is_updated_at(c) else row[c.key] for c in child.columns if not c.formula
            }
            case.desk.insert(child, {**fresh, column: kept})
            case.desk.drop(child, row)
        else:
            case.desk.change(child, row, {column: kept})


def _sets(child: Table, column: str, case: Case) -> Iterator[tuple[tuple[str, ...], UniqueActive | None]]:
    """Columns that are unique together, of which one is the reference; with the rule where it speaks of some rows only."""
    every = [child.primary_key, *child.uniques, *((c.key,) for c in child.columns if c.unique)]
    every += [f.columns for f in child.foreign_keys if f.unique]
    yield from ((s, None) for s in dict.fromkeys(every) if column in s)
    for rule in case.schema.rules:
        if isinstance(rule, UniqueActive) and rule.table == child.key and not any("." in p for p in rule.per):
            found = tuple(child.parents[p].columns[0] if p in child.parents else p for p in rule.per)
            if column in found:
                yield found, rule


ACTIONS: dict[str, Callable[[Case], Answer]] = {
    "duplicate": duplicate, "repeat": repeat, "split": split, "merge": merge,
}  # fmt: skip
