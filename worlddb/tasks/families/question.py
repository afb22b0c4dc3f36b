"""A question that only reads: a value at the end of a chain, a figure over a set, the ends of a list, branches compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from worlddb.errors import BrokenPromise
from worlddb.schema.model import ForeignKey, Table
from worlddb.tasks import columns
from worlddb.tasks.draft import Draft
from worlddb.tasks.families.asking import (
    FEW,
    MONEY,
    belonging,
    better,
    figure_of,
    keys_of,
    listed,
    named_by,
    put_away,
    reckoned,
    row_of,
    table_with,
    value_of,
)
from worlddb.tasks.families.targets import repeats
from worlddb.tasks.plan import Asked, Calc, Const, Each, Find, Group, Of, Plan, Where

NAME = "question"
TRIES = 5
WIDE = 12
"""Rows that are gone through one by one at most."""
SHARES = (5, 10, 15, 20, 25, 30, 40, 60, 75)
"""Percentages that people work with."""
DAYS = (-30, -14, -7, 7, 10, 14, 21, 30, 45, 60, 90)
"""Days by which people move a date."""


def propose(draft: Draft, depth: int, size: int) -> Plan | None:
    """A plan, or None where nothing came of it.  `depth`: rows named by way of others; `size`: of sets, and about the calls."""
    forms = {f: weight for f, (weight, least, most) in FORMS.items() if least <= size <= most}
    depth = min(depth, size - 2)
    for _ in range(TRIES):
        mark = draft.mark()
        form = draft.stream.weighted(list(forms), list(forms.values()))
        try:
            asked = form(draft, depth, size)
        except BrokenPromise:  # a tie
            asked = None
        if asked is not None and not repeats(draft):
            return draft.plan(NAME, asked)
        draft.back(mark)
    return None


# --- rows


def value(draft: Draft, depth: int, size: int) -> Asked | None:
    """A value of a row, or several."""
    table = table_with(draft)
    name = draft.refer(table.key, row_of(draft, table), depth) if table else None
    return value_of(draft, table, name) if table and name else None


def pair(draft: Draft, depth: int, size: int) -> Asked | None:
    """A value of the row that belongs to two others: the booking of that guest in that room."""
    table = table_with(draft, lambda t: len(draft.ground.parents(t)) > 1)
    if table is None:
        return None
    row = row_of(draft, table)
    links = [f for f in draft.ground.parents(table) if row[f.columns[0]] is not None]
    if len(links) < 2:
        return None
    where = list[Where]()
    for link in draft.stream.sample(links, 2):
        parent = draft.ground.row(link.table, row[link.columns[0]])
        name = draft.refer(link.table, parent, max(0, depth - 1)) if parent else None
        if name is None:
            return None
        where.append(Where(column=link.columns[0], value=draft.key(name)))
    mark = draft.mark()
    many = draft.find(table.key, *where, many=True)
    if len(draft.rows(many)) == 1:
        draft.back(mark)
        return value_of(draft, table, draft.find(table.key, *where))
    return figure_of(draft, table, many)


def gap(draft: Draft, depth: int, size: int) -> Asked | None:
    """The difference, or the sum, of one value of two rows."""
    table = table_with(draft, columns.sums)
    if table is None:
        return None
    column = draft.stream.pick(columns.sums(table))
    names = [draft.refer(table.key, row_of(draft, table), depth) for _ in "ab"]
    if names[0] is None or names[1] is None or names[0] == names[1]:
        return None
    return reckoned(draft, Of(node=names[0], column=column.key), Of(node=names[1], column=column.key))


def days(draft: Draft, depth: int, size: int) -> Asked | None:
    """The days between two dates: of one row, or of two."""
    table = table_with(draft, columns.moments)
    if table is None:
        return None
    moments = better(columns.moments(table))
    rows = [row_of(draft, table)]
    if len(moments) < 2 or draft.stream.chance(0.6):
        rows.append(row_of(draft, table))
    names = [draft.refer(table.key, r, depth) for r in rows]
    if None in names or len(set(names)) < len(rows):
        return None
    own = draft.stream.sample(moments, 2) if len(rows) == 1 else [draft.stream.pick(moments)] * 2
    ends = [Of(node=n or "", column=c.key) for n, c in zip((names * 2)[:2], own, strict=True)]
    moment = [draft.value(e) for e in ends]
    if None in moment or abs(len({m[:10] for m in moment})) < 2:
        return None
    if moment[0] > moment[1]:
        ends.reverse()
    calc = draft.add(Calc(name="", op="days_between", left=ends[0], right=ends[1]))
    return Asked(shape="value", what=(Of(node=calc),)) if draft.value(Of(node=calc)) >= FEW else None


def share(draft: Draft, depth: int, size: int) -> Asked | None:
    """A percentage of an amount, or a date moved on by some days."""
    table = table_with(draft, lambda t: columns.sums(t) or columns.moments(t))
    name = draft.refer(table.key, row_of(draft, table), depth) if table else None
    if table is None or name is None:
        return None
    row, stated = draft.row(name), named_by(draft, name)
    sums = [c for c in columns.sums(table) if columns.is_any(c, MONEY) and c.key not in stated]
    money = [c for c in sums if row[c.key] is not None and row[c.key] >= 100]
    dates = better([c for c in columns.moments(table) if row[c.key] is not None and c.key not in stated])
    if money and (not dates or draft.stream.chance(0.6)):
        op, column, other = "percent", draft.stream.pick(money), draft.stream.pick(SHARES)
    elif dates:
        op, column, other = (
            "days_after",
            draft.stream.pick(dates),
            draft.stream.pick(DAYS),
        )
    else:
        return None
    number = Const(value=other, table="", column="number")
    calc = draft.add(Calc(name="", op=op, left=Of(node=name, column=column.key), right=number))
    return Asked(shape="value", what=(Of(node=calc),))


# --- sets


def figure(draft: Draft, depth: int, size: int) -> Asked | None:
    """A figure over a set."""
    table = table_with(draft)
    name = draft.gather(table.key, 2, max(4, 3 * size), depth) if table else None
    return figure_of(draft, table, name) if table and name else None


def those(draft: Draft, depth: int, size: int) -> Asked | None:
    """The names of a set."""
    table = table_with(draft, columns.names)
    name = draft.gather(table.key, 2, max(3, size), depth) if table else None
    return listed(draft, table, name, "set") if table and name else None


def first(draft: Draft, depth: int, size: int) -> Asked | None:
    """The first few of a set in an order."""
    table = table_with(draft, columns.ranks)
    mark = draft.mark()
    name = draft.gather(table.key, 4, 60, depth) if table else None
    if table is None or name is None:
        return None
    rows, find = draft.rows(name), next(n for n in draft.nodes if n.name == name)
    assert isinstance(find, Find)
    take, desc = draft.stream.between(2, max(2, min(5, size, len(rows) - 2))), draft.stream.chance(0.6)
    options = []
    for column in columns.ranks(table):
        values = sorted((r[column.key] for r in rows if r[column.key] is not None), reverse=desc)
        if len(values) > take and values[take - 1] != values[take] and len(set(values[:take])) == take:
            options.append(column)
    if not options:
        return None
    if (
        draft.mark() > mark and draft.nodes[-1] is find
    ):  # the set alone is not meant, unless another request spoke of it
        draft.back(draft.mark() - 1)
    name = draft.find(table.key, *find.where, many=True, sort=draft.stream.pick(options).key, desc=desc, take=take)
    return listed(draft, table, name, "list") or figure_of(draft, table, name)


def top(draft: Draft, depth: int, size: int) -> Asked | None:
    """What has the most of something, and a value of it."""
    table = table_with(draft, lambda t: belonging(draft, t))
    if table is None:
        return None
    child, link = draft.stream.pick(belonging(draft, table))
    name = draft.gather(child.key, 4, 100, depth)
    if name is None or len(Counter(r[link.columns[0]] for r in draft.rows(name) if r[link.columns[0]] is not None)) < 2:
        return None
    sums = columns.sums(child)
    by = draft.stream.pick(("count", "sum", "sum", "mean")) if sums else "count"
    over = draft.stream.pick(sums).key if by != "count" else ""
    desc = by != "mean" or draft.stream.chance(0.7)
    group = draft.add(Group(name="", of=name, column=link.columns[0], by=by, over=over, desc=desc))
    return value_of(draft, table, draft.find(table.key, Where(column=table.primary_key[0], value=Of(node=group))))


# --- sets by way of sets


def through(draft: Draft, depth: int, size: int) -> Asked | None:
    """A figure over all that belongs to the rows of a set: as many looks as the set has rows."""
    found = _below(draft, depth, size)
    if found is None:
        return None
    table, name = found
    further = [f for f in draft.ground.parents(table) if draft.ground.readers[f.table]]
    if further and draft.stream.chance(0.35):
        return _above(draft, name, draft.stream.pick(further))
    lower = belonging(draft, table)
    if lower and len(draft.rows(name)) <= WIDE and draft.stream.chance(0.4):
        child, link = draft.stream.pick(lower)
        mark = draft.mark()
        below = draft.find(child.key, Where(column=link.columns[0], op="in", value=keys_of(draft, name)), many=True)
        if len(draft.rows(below)) > 1 and not put_away(draft, child, below):
            return figure_of(draft, child, below)
        draft.back(mark)
    return figure_of(draft, table, name)


def _below(draft: Draft, depth: int, size: int) -> tuple[Table, str] | None:
    """A set, and the rows that belong to any of its rows."""
    table = table_with(draft, lambda t: belonging(draft, t))
    name = draft.gather(table.key, 2, min(WIDE, max(3, size)), depth) if table else None
    if table is None or name is None:
        return None
    child, link = draft.stream.pick(belonging(draft, table))
    where = [Where(column=link.columns[0], op="in", value=keys_of(draft, name))]
    rows = [
        r for one in draft.rows(name) for r in draft.ground.of(child.key, link.columns[0], one[table.primary_key[0]])
    ]
    if not rows:
        return None
    if draft.stream.chance(0.4):
        traits = [w for w in draft.traits(child, draft.stream.pick(rows)) if w.column != link.columns[0]]
        where += [draft.stream.pick(traits)] if traits else []
    below = draft.find(child.key, *where, many=True)
    return None if len(draft.rows(below)) < 2 or put_away(draft, child, below) else (child, below)


def _above(draft: Draft, name: str, link: ForeignKey) -> Asked | None:
    """What the rows of a set belong to."""
    parent = draft.schema[link.table]
    each = Each(node=name, column=link.columns[0])
    found = draft.find(parent.key, Where(column=parent.primary_key[0], op="in", value=each), many=True)
    if not 2 <= len(draft.rows(found)) <= WIDE or put_away(draft, parent, found):
        return None
    return listed(draft, parent, found, "set") if draft.stream.chance(0.6) else figure_of(draft, parent, found)


def both(draft: Draft, depth: int, size: int) -> Asked | None:
    """What is among two sets: the guests who have stayed in this room and in that one."""
    table = table_with(draft, lambda t: len(draft.ground.parents(t)) > 1)
    if table is None:
        return None
    inner, outer = draft.stream.sample(draft.ground.parents(table), 2)
    parent = draft.schema[inner.table]
    if not draft.ground.readers[parent.key]:
        return None
    row = row_of(draft, table)
    mine = (
        draft.ground.of(table.key, inner.columns[0], row[inner.columns[0]]) if row[inner.columns[0]] is not None else []
    )
    ends = list(dict.fromkeys(r[outer.columns[0]] for r in mine if r[outer.columns[0]] is not None))
    if len(ends) < 2:
        return None
    where = list[Where]()
    for end in draft.stream.sample(ends, 2):
        other = draft.ground.row(outer.table, end)
        name = draft.refer(outer.table, other, max(0, depth - 1)) if other else None
        if name is None:
            return None
        many = draft.find(table.key, Where(column=outer.columns[0], value=draft.key(name)), many=True)
        if len(draft.rows(many)) < 2:
            return None
        where.append(Where(column=parent.primary_key[0], op="in", value=Each(node=many, column=inner.columns[0])))
    mark = draft.mark()
    found = draft.find(parent.key, *where, many=True)
    if put_away(draft, parent, found):
        return None
    if len(draft.rows(found)) == 1:
        draft.back(mark)
        return value_of(draft, parent, draft.find(parent.key, *where))
    return listed(draft, parent, found, "set")


def compared(draft: Draft, depth: int, size: int) -> Asked | None:
    """The difference between one figure of two sets."""
    table = table_with(draft, lambda t: columns.sums(t) and draft.ground.parents(t))
    if table is None:
        return None
    links = draft.ground.parents(table)
    link, column = draft.stream.pick(links), draft.stream.pick(columns.sums(table))
    folds = []
    for _ in "ab":
        row = row_of(draft, table)
        parent = draft.ground.row(link.table, row[link.columns[0]]) if row[link.columns[0]] is not None else None
        name = draft.refer(link.table, parent, max(0, depth - 1)) if parent else None
        if name is None:
            return None
        many = draft.find(table.key, Where(column=link.columns[0], value=draft.key(name)), many=True)
        if put_away(draft, table, many) or len(draft.rows(many)) > 5 * WIDE:
            return None
        folds.append(Of(node=draft.fold(many, "sum", column.key)))
    return None if folds[0] == folds[1] else reckoned(draft, folds[0], folds[1])


FORMS: dict[Callable[[Draft, int, int], Asked | None], tuple[int, int, int]] = {
    value: (5, 0, 6), pair: (4, 3, 99), gap: (9, 3, 99), days: (3, 3, 99), share: (2, 0, 4), figure: (3, 0, 5),
    those: (2, 0, 5), first: (2, 0, 5), top: (3, 0, 6), through: (8, 3, 99), both: (4, 4, 99), compared: (8, 4, 99),
}  # fmt: skip
"""What is asked -> how often, and for tasks of how many calls, from and to."""
