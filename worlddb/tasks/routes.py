"""Routes: by which tool calls the rows of a Find can be seen, and by which aggregate a figure can be had.

The search goes backwards: what is known (stated, or found by an earlier call) must be what a tool asks for, and what it shows
must be what is still wanted.  Among several routes the one with the fewest calls is taken, so that no gold wanders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from worlddb.semantics.types import semantic_type
from worlddb.tasks.ground import PAGES, Ground, Reader, Tally, is_flag
from worlddb.tasks.plan import Do, Each, Find, Fold, Group, Item, Of, Plan, Where, parts, uses
from worlddb.tasks.reckon import Row, sifted
from worlddb.tools.model import Tool
from worlddb.tools.site import PAGE_LIMIT

MOST_ASKS = 12
"""Calls that are made for the values of a set, one each."""
Values = Sequence[tuple[Any, ...]]
"""For each condition of a Find the values that it compares with."""


class Wanted:
    """What a plan needs to know of its nodes."""

    def __init__(self, plan: Plan) -> None:
        self.columns: dict[str, set[str]] = {n.name: set() for n in plan.nodes}
        """Node -> columns of its rows that later nodes read."""
        self.users: dict[str, set[str]] = {n.name: set() for n in plan.nodes}
        """Node -> the nodes that use it; 'answer' is one."""
        for node in plan.nodes:
            for name in uses(node):
                self.users[name].add(node.name)
            for part in parts(node):
                if isinstance(part, Of | Each) and part.column:
                    self.columns[part.node].add(part.column)
                elif isinstance(part, Item) and isinstance(node, Do):
                    self.columns[node.each].add(part.column)
            if isinstance(node, Fold | Group):
                over = (node.column,) if isinstance(node, Fold) else (node.column, node.over)
                self.columns[node.of].update(c for c in over if c)
        for what in plan.asked.what if plan.asked else ():
            self.users[what.node].add("answer")
            if what.column:
                self.columns[what.node].add(what.column)


class Route(NamedTuple):
    """Calls of one tool."""

    reader: Reader
    asks: tuple[dict[str, Any], ...]
    """The arguments of each call, by parameter key; pages of one ask follow by themselves."""
    served: tuple[int, ...]
    """Indexes of the conditions that the tool itself sees to."""
    pages: int = 0
    """Rows of a page; 0 where there is but one."""
    may_miss: bool = False

    def sifted(self, find: Find, rows: Sequence[Row], values: Values) -> list[Row]:
        """The rows that meet all conditions, each once, in the order that the Find asks for."""
        key, left = self.reader.key, list(rows)
        for one, wanted in zip(find.where, values, strict=True):
            if left and one.column in left[0]:  # all rows are of one tool, and show the same columns
                left = sifted(left, one.column, one.op, wanted)
        seen: dict[tuple[Any, ...], Row] = {}
        for row in left:
            seen.setdefault(tuple([row[k] for k in key]), row)
        kept = [seen[k] for k in sorted(seen)]
        if find.sort:
            kept = [r for r in kept if r[find.sort] is not None]
            kept.sort(key=lambda r: r[find.sort], reverse=find.desc)
            if find.take and len(kept) > find.take and kept[find.take - 1][find.sort] == kept[find.take][find.sort]:
                return []  # a tie: nobody could say which
        return kept[: find.take] if find.take else kept

    def late(self, sources: Sequence[frozenset[int]]) -> frozenset[int]:
        """The calls behind the conditions that are seen to after the tool has answered."""
        return frozenset[int]().union(*(s for i, s in enumerate(sources) if i not in self.served))


def route_of(ground: Ground, find: Find, values: Values, wanted: set[str], *, follow: bool = False) -> Route | None:
    """The route of the fewest calls; with `follow`, one that goes value by value, where there is one."""
    columns = wanted | {w.column for w in find.where} | ({find.sort} if find.sort else set())
    best: tuple[int, Route] | None = None
    for reader in ground.readers[find.table]:
        for route in _routes(ground, reader, find, values, follow):
            known = set(reader.shows) | {find.where[i].column for i in route.served if find.where[i].op == "eq"}
            if columns <= known and columns - {find.where[i].column for i in route.served} <= set(reader.shows):
                cost = _cost(ground, find, route, values)
                if cost and (best is None or cost < best[0]):
                    best = cost, route
    return best[1] if best else None


def _cost(ground: Ground, find: Find, route: Route, values: Values) -> int:
    """Calls of a route; 0 where there would be too many."""
    if not route.pages:
        return len(route.asks) if len(route.asks) <= MOST_ASKS else 0
    rows = _count(ground, find, values, route.served)
    pages = max(1, -(-rows // route.pages))
    return pages if pages <= PAGES and len(route.asks) == 1 else 0


def _routes(ground: Ground, reader: Reader, find: Find, values: Values, follow: bool) -> Iterator[Route]:
    if reader.needs:
        yield from _by_need(reader, find, values)
        return
    arguments, served = _filtered(reader.takes, find.where, values, exact=False)
    each = [
        i for i, w in enumerate(find.where)
        if w.op == "in" and not w.values and (w.column, "eq") in reader.takes and len(values[i]) <= MOST_ASKS
    ]  # fmt: skip
    for i in each:
        param = reader.takes[find.where[i].column, "eq"]
        if param.convert != "keys" and len(values[i]) > 1:
            asks = _one_by_one(ground, reader, find, values, served, i, arguments)
            if asks is not None:
                yield Route(reader, asks, (*served, i))
                if follow:
                    return
    yield Route(reader, *_paged(ground, reader, find, arguments, values, served))


def _by_need(reader: Reader, find: Find, values: Values) -> Iterator[Route]:
    """Tools that ask for a key or a name first."""
    asked, served = dict[str, Any](), list[int]()
    spread: tuple[int, str] | None = None
    for column, param in reader.needs:
        ops = ("eq",) if param.role == "search" else ("eq", "in")
        at = next((i for i, w in enumerate(find.where) if w.column == column and w.op in ops), None)
        if at is None or not values[at]:
            return
        served.append(at)
        if param.convert == "keys":
            if len(values[at]) > reader.most:
                return
            asked[param.key] = list(values[at])
        elif len(values[at]) == 1:
            asked[param.key] = values[at][0]
        elif spread is None:
            spread = (at, param.key)
        else:
            return
    if spread is None:
        yield Route(reader, (asked,), tuple(served), may_miss=False)
    else:
        yield Route(reader, tuple(asked | {spread[1]: v} for v in values[spread[0]]), tuple(served))


def _filtered(
    takes: dict[tuple[str, str], Any], where: Sequence[Where], values: Values, *, exact: bool
) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Arguments for the conditions that filters see to, and which these are.  Not `exact`: what a filter can only do in part is
    done in part, and not counted."""
    found, served = dict[str, Any](), list[int]()
    for i, one in enumerate(where):
        place = _FILTER.get(one.op)
        param = takes.get((one.column, place)) if place else None
        if param is None or param.key in found or (not values[i] and one.op not in ("null", "set")):
            continue
        if one.op in ("null", "set"):
            found[param.key] = one.op == "set"
        elif param.convert == "keys":
            found[param.key] = list(values[i])
        elif len(values[i]) == 1:
            found[param.key] = bool(values[i][0]) if param.convert == "flag" else values[i][0]
        else:
            continue
        if one.op in ("gt", "lt"):
            if exact:
                found.pop(param.key)
            continue
        served.append(i)
    return found, tuple(served)


_FILTER = {"eq": "eq", "in": "eq", "ge": "ge", "gt": "ge", "le": "le", "lt": "le", "null": "set", "set": "set"}


def _said(ground: Ground, table: str, column: str, value: Any) -> Any:
    return bool(value) if is_flag(ground.schema[table][column]) else value


def _paged(
    ground: Ground, reader: Reader, find: Find, arguments: dict[str, Any], values: Values, served: tuple[int, ...]
) -> tuple[tuple[dict[str, Any], ...], tuple[int, ...], int]:
    """The arguments with a limit where the usual page would not do, the conditions served, the size of a page."""
    rows = _count(ground, find, values, served)
    usual = min(PAGE_LIMIT, reader.most)
    if rows <= usual or reader.tool.reply.shape != "page":
        return (arguments,), served, usual if reader.tool.reply.shape == "page" else reader.most
    return (arguments | {"limit": reader.most},), served, reader.most


def _count(ground: Ground, find: Find, values: Values, served: Sequence[int]) -> int:
    """Rows that a tool would list which sees to these conditions."""
    return len(ground.meeting(find.table, [(find.where[i].column, find.where[i].op, values[i]) for i in served]))


def _one_by_one(
    ground: Ground,
    reader: Reader,
    find: Find,
    values: Values,
    served: tuple[int, ...],
    at: int,
    arguments: dict[str, Any],
) -> tuple[dict[str, Any], ...] | None:
    """One question for each value of a set; None where an answer would need a second page."""
    asks = []
    for value in values[at]:
        one = [*values[:at], (value,), *values[at + 1 :]]
        rows = _count(ground, find, one, (*served, at))
        if rows > reader.most:
            return None
        limit = {"limit": reader.most} if rows > PAGE_LIMIT and reader.tool.reply.shape == "page" else {}
        column = find.where[at].column
        asks.append(arguments | {reader.takes[column, "eq"].key: _said(ground, find.table, column, value)} | limit)
    return tuple(asks)


# --- aggregates


class TallyRoute(NamedTuple):
    """One call of an aggregate."""

    tool: Tool
    arguments: Callable[[Values], dict[str, Any]]
    read: Callable[[list[dict[Any, Any]]], Any]
    """Rows of its answer, by field key -> the figure; None where there is none."""


_OPERATION = {"sum": "sum", "least": "min", "greatest": "max"}


def tally_of(ground: Ground, find: Find, node: Fold | Group) -> TallyRoute | None:
    """The aggregate that says all of a Fold or Group in one call, if there is one."""
    if find.sort or find.take or not find.many:
        return None
    for tally in ground.tallies[find.table]:
        own = _own(ground, tally, find, node)
        if own is None or any(_unserved(tally, w) for w in find.where):
            continue
        takes, where = tally.takes, find.where

        def arguments(
            values: Values,
            own: dict[str, Any] = own,
            takes: dict[tuple[str, str], Any] = takes,
            where: tuple[Where, ...] = where,
        ) -> dict[str, Any]:
            return _filtered(takes, where, values, exact=True)[0] | own

        return TallyRoute(tally.tool, arguments, _reader(ground, find, node))
    return None


def _unserved(tally: Tally, where: Where) -> bool:
    param = tally.takes.get((where.column, _FILTER.get(where.op, "")))
    if param is None or where.op in ("gt", "lt") or isinstance(where.value, Each):
        return True
    return bool(where.values) and param.convert != "keys"


def _own(ground: Ground, tally: Tally, find: Find, node: Fold | Group) -> dict[str, Any] | None:
    """The arguments by which the aggregate is told what to reckon."""
    what = tally.tool.key.rpartition(".")[2]
    if isinstance(node, Fold):
        if what == "count" and node.by == "count":
            return {}
        if what == "measure" and node.by in _OPERATION and node.column in tally.measures:
            return {"measure": tally.measures[node.column], "operation": _OPERATION[node.by]}
        return None
    if node.column not in tally.groups or not node.desc:
        return None
    if any(r[node.column] is None for r in ground.table(find.table)):
        return None  # the rows without one make a group there
    if what == "count_groups" and node.by == "count":
        return {"group_by": tally.groups[node.column]}
    if what == "measure_groups" and node.by == "sum" and node.over in tally.measures:
        return {"group_by": tally.groups[node.column], "measure": tally.measures[node.over], "operation": "sum"}
    return None


def _reader(ground: Ground, find: Find, node: Fold | Group) -> Callable[[list[dict[Any, Any]]], Any]:
    if isinstance(node, Fold):
        field = "count" if node.by == "count" else "value"
        return lambda rows: rows[0][field]
    figure = "count" if node.by == "count" else "value"
    column = ground.schema[find.table][node.column]
    number = semantic_type(column.type).sql != "TEXT"
    flag = is_flag(column)

    def read(rows: list[dict[Any, Any]]) -> Any:
        if not rows or (len(rows) > 1 and rows[0][figure] == rows[1][figure]):
            return None
        group = rows[0]["group"]
        return (group == "true") if flag else int(group) if number else group

    return read
