"""Something is reckoned first, and then acted upon: the value that is written, the row that is changed, or an amount or a day
comes from a figure over other rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from worlddb.errors import BrokenPromise
from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.semantics.types import semantic_type
from worlddb.tasks import columns
from worlddb.tasks.draft import Draft
from worlddb.tasks.families.acts import Act, param_of, rehearse, shown, standing, stated
from worlddb.tasks.families.targets import actions, target
from worlddb.tasks.ground import flat
from worlddb.tasks.plan import Calc, Const, Group, Of, Plan, Where
from worlddb.tasks.reckon import Row, calculated, folded, grouped
from worlddb.tools.model import Param, Tool

NAME = "reckon_act"
TRIES = 4
PERCENT = (80, 90, 95, 105, 110, 120, 125, 150)
"""Of a figure: what somebody would set as a limit, a price, a deposit."""
DAYS = (1, 2, 3, 5, 7, 10, 14, 21, 28, 30)
_MONEY = frozenset(["money"])
_COUNTS = ("quantity", "capacity", "headcount")
"""Types of columns that may hold a number of records."""
_TECHNICAL = ("file_size", "byte_count")
"""Types of numbers that nobody decides on."""


def propose(draft: Draft, depth: int, size: int) -> Plan | None:
    """A plan, or None where nothing came of it.  `depth`: rows named by way of others; `size`: most rows of a set."""
    for form in draft.stream.sample(FORMS, len(FORMS)):
        for _ in range(TRIES):
            mark = draft.mark()
            if form(draft, depth, max(3, size)) and shown(draft):
                return draft.plan(NAME)
            draft.back(mark)
    return None


# --- what can be written where


def _settable(draft: Draft, fits: Callable[[Table, Column], bool]) -> list[tuple[Tool, Param]]:
    """Updates of one row, and the column of them that is to be written."""
    found = []
    for tool in actions(draft.ground, "update"):
        table = draft.schema[tool.table]
        needed = [p.key for p in flat(tool.params) if p.required and p.role == "key"]
        for param in flat(tool.params):
            lone = all(not p.required or p is param or p.key == "id" for p in flat(tool.params))
            usable = param.role == "value" and param.column in table and not param.hidden
            if usable and lone and needed == ["id"] and fits(table, table[param.column]):
                found.append((tool, param))
    return found


def _is_sum(table: Table, column: Column) -> bool:
    return (
        column in columns.sums(table) and semantic_type(column.type).sql == "INTEGER" and column.type not in _TECHNICAL
    )


def _is_day(table: Table, column: Column) -> bool:
    return column in columns.moments(table) and not columns.is_any(column, frozenset(["moment", "birth_date"]))


def _alike(one: Column, other: Column | None) -> bool:
    """True for two amounts of one kind: both money, or of one type; without a second one, for a number of records."""
    if other is None:
        return one.type in _COUNTS
    return one.type == other.type or (columns.is_any(one, _MONEY) and columns.is_any(other, _MONEY))


# --- forms


def total(draft: Draft, depth: int, size: int) -> bool:
    """A row gets a figure over what belongs to it: its budget the total of its lines, or so many percent of it."""
    options = [
        (tool, param, child, link, column)
        for tool, param in _settable(draft, _is_sum)
        for child, link in draft.ground.children(tool.table)
        if child.key != tool.table and draft.ground.readers[child.key]
        for column in columns.sums(child)
        if _alike(draft.schema[tool.table][param.column], column)
    ]
    if not options:
        return False
    tool, param, child, link, column = draft.stream.pick(options)
    by = draft.stream.pick(("sum", "sum", "greatest"))
    table = draft.schema[tool.table]
    for row in draft.stream.sample(standing(draft.ground, table.key), 2 * TRIES):
        parts = draft.ground.of(child.key, link.columns[0], row[table.primary_key[0]])
        values = [p[column.key] for p in parts if p[column.key] is not None]
        if not 2 <= len(values) <= size:
            continue
        figure = folded(by, values)
        percent = draft.stream.pick(PERCENT) if columns.is_any(column, _MONEY) and draft.stream.chance(0.4) else 0
        wanted = calculated("percent", figure, percent) if percent else figure
        if wanted == row[param.column] or not _works(draft, tool, param, row, wanted):
            continue
        name = draft.refer(table.key, row, depth)
        if name is None:
            return False
        parts_of = draft.find(child.key, Where(column=link.columns[0], value=draft.key(name)), many=True)
        of = Of(node=draft.fold(parts_of, by, column.key if column else ""))
        if percent:
            of = Of(node=draft.add(Calc(name="", op="percent", left=of, right=_number(percent))))
        draft.do(tool, {"id": draft.key(name), param.key: of})
        return True
    return False


def _works(draft: Draft, tool: Tool, param: Param, row: Row, value: Any) -> bool:
    key = Const(value=row[draft.schema[tool.table].primary_key[0]], table=tool.table, column="id")
    return rehearse(draft, [Act(tool, {"id": key, param.key: stated(param, value)})]).done


def _number(value: int) -> Const:
    """A bare number: so many percent, so many days."""
    return Const(value=value, table="", column="")


def _target(
    draft: Draft, depth: int, fits: Callable[[Table, Column], bool], usable: Callable[[Any], bool]
) -> tuple[Tool, Param, Row, str] | None:
    """An update, the column of it that is written, a row whose value there is usable, and the node that names the row."""
    options = _settable(draft, fits)
    if not options:
        return None
    tool, param = draft.stream.pick(options)
    rows = [r for r in standing(draft.ground, tool.table) if usable(r[param.column])]
    if not rows:
        return None
    row = draft.stream.pick(rows)
    name = draft.refer(tool.table, row, depth)
    return None if name is None else (tool, param, row, name)


def level(draft: Draft, depth: int, size: int) -> bool:
    """A row gets the least or greatest value among others of its kind, or so many percent of its own."""
    found = _target(draft, depth, _is_sum, bool)
    if found is None:
        return False
    tool, param, row, name = found
    table = draft.schema[tool.table]
    if columns.is_any(table[param.column], _MONEY) and draft.stream.chance(0.4):
        right = _number(draft.stream.pick(PERCENT))
        value = Of(node=draft.add(Calc(name="", op="percent", left=Of(node=name, column=param.column), right=right)))
    else:
        others = draft.gather(table.key, 2, size)
        if others is None or any(r is row for r in draft.rows(others)):
            return False
        value = Of(node=draft.fold(others, draft.stream.pick(("least", "greatest")), param.column))
    wanted = draft.value(value)
    if wanted is None or wanted == row[param.column] or not _works(draft, tool, param, row, wanted):
        return False
    draft.do(tool, {"id": draft.key(name), param.key: value})
    return True


def later(draft: Draft, depth: int, size: int) -> bool:
    """A day is moved on by so many days, or put so long after the last of others."""
    found = _target(draft, depth, _is_day, lambda value: value is not None)
    if found is None:
        return False
    tool, param, row, name = found
    table, column = draft.schema[tool.table], draft.schema[tool.table][param.column]
    temporal = semantic_type(column.type).temporal
    left = _day_near(draft, table, row, name, temporal) if draft.stream.chance(0.5) else None
    left = left or Of(node=name, column=column.key)
    calc = draft.add(Calc(name="", op="days_after", left=left, right=_number(draft.stream.pick(DAYS))))
    wanted = draft.value(Of(node=calc))
    if wanted == row[column.key] or not _works(draft, tool, param, row, wanted):
        return False
    draft.do(tool, {"id": draft.key(name), param.key: Of(node=calc)})
    return True


def _day_near(draft: Draft, table: Table, row: Row, name: str, temporal: str) -> Of | None:
    """A day of a parent of a row that is stored like its own."""
    options = []
    for link in draft.ground.parents(table):
        home = draft.schema[link.table]
        parent = draft.ground.row(home.key, row[link.columns[0]]) if row[link.columns[0]] is not None else None
        if parent is not None and draft.ground.readers[home.key]:
            days = [c for c in home.columns if _is_day(home, c) and semantic_type(c.type).temporal == temporal]
            options += [(link, c) for c in days if parent[c.key]]
    if not options:
        return None
    link, day = draft.stream.pick(options)
    home = draft.schema[link.table]
    at = draft.find(home.key, Where(column=home.primary_key[0], value=Of(node=name, column=link.columns[0])))
    return Of(node=at, column=day.key)


def foremost(draft: Draft, depth: int, size: int) -> bool:
    """What has the most of something is acted upon: the guest with the most stays, the supplier with the highest total."""
    options = [
        (tool, child, link)
        for tool in actions(draft.ground, "update", "transition", "archive", "action")
        if _about_one(draft, tool)
        for child, link in draft.ground.children(tool.table)
        if child.key != tool.table and draft.ground.readers[child.key]
    ]
    if not options:
        return False
    tool, child, link = draft.stream.pick(options)
    found = draft.gather(child.key, 4, max(60, size), 0) if draft.stream.chance(0.7) else _all(draft, child)
    if found is None:
        return False
    sums = columns.sums(child)
    by = draft.stream.pick(("count", "sum")) if sums else "count"
    over = draft.stream.pick(sums).key if by == "sum" else ""
    key = _first(draft, found, link, by, over)
    row = draft.ground.row(tool.table, key) if key is not None else None
    if row is None or not standing(draft.ground, tool.table, [row]):
        return False
    change = target(draft, tool, given={"id": row}, optional=1)
    if change is None or len(change.rows) > 1:
        return False
    group = draft.add(Group(name="", of=found, column=link.columns[0], by=by, over=over))
    told: dict[str, Any] = {"id": Of(node=group)}
    told |= {k: stated(param_of(tool, k), v) for k, v in change.stated.items()}
    draft.do(tool, told)
    return True


def _all(draft: Draft, table: Table) -> str | None:
    rows = draft.ground.table(table.key)
    if not 4 <= len(rows) <= 150 or len(standing(draft.ground, table.key)) < len(rows):
        return None
    return draft.find(table.key, many=True)


def _about_one(draft: Draft, tool: Tool) -> bool:
    """True for a tool that is about one row and beyond it only takes values."""
    keys = [p.key for p in flat(tool.params) if p.required and p.role == "key"]
    return keys == ["id"] and bool(draft.ground.readers[tool.table])


def _first(draft: Draft, found: str, link: ForeignKey, by: str, over: str) -> Any:
    """The key of the parent with the greatest figure; None where two have it."""
    try:
        return grouped(draft.rows(found), link.columns[0], by, over, True)
    except BrokenPromise:
        return None


FORMS: tuple[Callable[[Draft, int, int], bool], ...] = (total, level, later, foremost)
"""What is reckoned."""
