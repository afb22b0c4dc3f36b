"""A question that only reads: a value at the end of a chain, a figure over a set, the ends of a list, branches compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from worlddb.errors import BrokenPromise
from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.tasks import columns
from worlddb.tasks.draft import Draft
from worlddb.tasks.families.targets import repeats
from worlddb.tasks.plan import Asked, Calc, Const, Each, Find, Group, Of, Plan, Where
from worlddb.tasks.reckon import Row

NAME = "question"
TRIES = 5
FEW = 3
"""The least count that is worth asking for: smaller ones are guessed."""
WIDE = 12
"""Rows that are gone through one by one at most."""
SHARES = (5, 10, 15, 20, 25, 30, 40, 60, 75)
"""Percentages that people work with."""
DAYS = (-30, -14, -7, 7, 10, 14, 21, 30, 45, 60, 90)
"""Days by which people move a date."""
_ENTERED = frozenset(["created_at"])
_MONEY = frozenset(["money"])


def propose(draft: Draft, depth: int, size: int) -> Plan | None:
    """A plan, or None where nothing came of it.  `depth`: rows named by way of others; `size`: of sets."""
    for _ in range(TRIES):
        mark = draft.mark()
        form = draft.stream.weighted(list(FORMS), list(FORMS.values()))
        try:
            asked = form(draft, depth, size)
        except BrokenPromise:  # a tie
            asked = None
        if asked is not None and not repeats(draft):
            return draft.plan(NAME, asked)
        draft.back(mark)
    return None


# --- what there is to ask about


def _tables(draft: Draft, wanted: Callable[[Table], object] = lambda table: True) -> list[Table]:
    """Tables that can be looked at, with rows, that have what is wanted."""
    ground = draft.ground
    return [t for t in draft.schema.tables if ground.readers[t.key] and ground.table(t.key) and wanted(t)]


def _table(draft: Draft, wanted: Callable[[Table], object] = lambda table: True) -> Table | None:
    options = _tables(draft, wanted)
    return draft.stream.pick(options) if options else None


def _row(draft: Draft, table: Table) -> Row:
    return draft.stream.pick(draft.ground.table(table.key))


def _stated(draft: Draft, name: str) -> set[str]:
    """Columns by which a row is named: nobody asks for what they have just said."""
    nodes = [n for n in draft.nodes if isinstance(n, Find) and n.name == name]
    return {c for n in nodes for c in (n.sort, *(w.column for w in n.where))}


def _askable(draft: Draft, table: Table, name: str) -> list[Column]:
    row = draft.row(name)
    stated = _stated(draft, name)
    return _better([c for c in columns.asks(table) if row[c.key] is not None and c.key not in stated])


def _better(found: list[Column]) -> list[Column]:
    """Without the moment at which a row was entered, unless there is nothing else: few people ask for it."""
    return [c for c in found if not columns.is_any(c, _ENTERED)] or found


def _value_of(draft: Draft, table: Table, name: str) -> Asked | None:
    """A value of a row that has been named, sometimes two or three."""
    options = _askable(draft, table, name)
    if not options:
        return None
    several = draft.stream.pick((2, 2, 3)) if draft.stream.chance(0.3) else 1
    some = draft.stream.sample(options, min(len(options), several))
    return Asked(shape="value" if len(some) == 1 else "record", what=tuple(Of(node=name, column=c.key) for c in some))


def _links(draft: Draft, table: Table) -> list[tuple[Table, ForeignKey]]:
    """Tables whose rows belong to this one's, and can be looked at."""
    return [
        (c, f) for c, f in draft.ground.children(table.key) if draft.ground.readers[c.key] and draft.ground.table(c.key)
    ]


# --- rows


def value(draft: Draft, depth: int, size: int) -> Asked | None:
    """A value of a row, or several."""
    table = _table(draft)
    name = draft.refer(table.key, _row(draft, table), depth) if table else None
    return _value_of(draft, table, name) if table and name else None


def pair(draft: Draft, depth: int, size: int) -> Asked | None:
    """A value of the row that belongs to two others: the booking of that guest in that room."""
    table = _table(draft, lambda t: len(draft.ground.parents(t)) > 1)
    if table is None:
        return None
    row = _row(draft, table)
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
    many = draft.find(table.key, *where, many=True)
    if len(draft.rows(many)) == 1:
        draft.back(draft.mark() - 1)
        return _value_of(draft, table, draft.find(table.key, *where))
    return _figure(draft, table, many)


def gap(draft: Draft, depth: int, size: int) -> Asked | None:
    """The difference, or the sum, of one value of two rows."""
    table = _table(draft, columns.sums)
    if table is None:
        return None
    column = draft.stream.pick(columns.sums(table))
    names = [draft.refer(table.key, _row(draft, table), depth) for _ in "ab"]
    if names[0] is None or names[1] is None or names[0] == names[1]:
        return None
    return _reckoned(draft, Of(node=names[0], column=column.key), Of(node=names[1], column=column.key))


def _reckoned(draft: Draft, left: Of, right: Of) -> Asked | None:
    a, b = draft.value(left), draft.value(right)
    if a is None or b is None or a == b:
        return None
    if draft.stream.chance(0.3):
        calc = Calc(name="", op="plus", left=left, right=right)
    else:
        calc = Calc(name="", op="minus", left=left if a > b else right, right=right if a > b else left)
    return Asked(shape="value", what=(Of(node=draft.add(calc)),))


def days(draft: Draft, depth: int, size: int) -> Asked | None:
    """The days between two dates: of one row, or of two."""
    table = _table(draft, columns.moments)
    if table is None:
        return None
    moments = _better(columns.moments(table))
    rows = [_row(draft, table)]
    if len(moments) < 2 or draft.stream.chance(0.6):
        rows.append(_row(draft, table))
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
    table = _table(draft, lambda t: columns.sums(t) or columns.moments(t))
    name = draft.refer(table.key, _row(draft, table), depth) if table else None
    if table is None or name is None:
        return None
    row, stated = draft.row(name), _stated(draft, name)
    sums = [c for c in columns.sums(table) if columns.is_any(c, _MONEY) and c.key not in stated]
    money = [c for c in sums if row[c.key] is not None and row[c.key] >= 100]
    dates = _better([c for c in columns.moments(table) if row[c.key] is not None and c.key not in stated])
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
    table = _table(draft)
    name = draft.gather(table.key, 2, max(4, 3 * size), depth) if table else None
    return _figure(draft, table, name) if table and name else None


def _figure(draft: Draft, table: Table, name: str) -> Asked | None:
    """How many there are, what they come to, the mean, the least or the greatest."""
    fold = _fold(draft, table, name)
    return Asked(shape="value", what=(fold,)) if fold else None


def _fold(draft: Draft, table: Table, name: str) -> Of | None:
    rows = draft.rows(name)
    options = [(by, c) for c in columns.sums(table) for by in ("sum", "sum", "mean", "greatest", "least")]
    options += [
        (by, c) for c in columns.numbers(table) if c not in columns.sums(table) for by in ("mean", "greatest", "least")
    ]
    options = [(by, c) for by, c in options if len({r[c.key] for r in rows} - {None}) > 1]
    if len(rows) >= FEW and (not options or draft.stream.chance(0.3)):
        return Of(node=draft.fold(name))
    if len(rows) < 2 or not options:
        return None
    by, column = draft.stream.pick(options)
    return Of(node=draft.fold(name, by, column.key))


def those(draft: Draft, depth: int, size: int) -> Asked | None:
    """The names of a set."""
    table = _table(draft, columns.names)
    name = draft.gather(table.key, 2, max(3, size), depth) if table else None
    return _listed(draft, table, name, "set") if table and name else None


def _listed(draft: Draft, table: Table, name: str, shape: str) -> Asked | None:
    """Names of the rows of a set, or other values by which they differ."""
    rows, stated = draft.rows(name), _stated(draft, name)
    options = [c for c in (*columns.names(table)[:1], *columns.asks(table)) if c.key not in stated]
    options = [
        c for c in options if len({r[c.key] for r in rows}) == len(rows) and all(r[c.key] is not None for r in rows)
    ]
    if not options or len(rows) < 2:
        return None
    column = options[0] if draft.stream.chance(0.7) else draft.stream.pick(options)
    return Asked(shape=shape, what=(Each(node=name, column=column.key),))


def first(draft: Draft, depth: int, size: int) -> Asked | None:
    """The first few of a set in an order."""
    table = _table(draft, columns.ranks)
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
    draft.back(draft.mark() - 1)
    name = draft.find(table.key, *find.where, many=True, sort=draft.stream.pick(options).key, desc=desc, take=take)
    return _listed(draft, table, name, "list") or _figure(draft, table, name)


def top(draft: Draft, depth: int, size: int) -> Asked | None:
    """What has the most of something, and a value of it."""
    table = _table(draft, lambda t: _links(draft, t))
    if table is None:
        return None
    child, link = draft.stream.pick(_links(draft, table))
    name = draft.gather(child.key, 4, 100, depth)
    if name is None or len(Counter(r[link.columns[0]] for r in draft.rows(name) if r[link.columns[0]] is not None)) < 2:
        return None
    sums = columns.sums(child)
    by = draft.stream.pick(("count", "sum", "sum", "mean")) if sums else "count"
    over = draft.stream.pick(sums).key if by != "count" else ""
    desc = by == "count" or draft.stream.chance(0.7)
    group = draft.add(Group(name="", of=name, column=link.columns[0], by=by, over=over, desc=desc))
    return _value_of(draft, table, draft.find(table.key, Where(column=table.primary_key[0], value=Of(node=group))))


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
    lower = _links(draft, table)
    if lower and len(draft.rows(name)) <= WIDE and draft.stream.chance(0.4):
        child, link = draft.stream.pick(lower)
        below = draft.find(child.key, Where(column=link.columns[0], op="in", value=_keys(draft, name)), many=True)
        if len(draft.rows(below)) > 1 and not _put_away(draft, child, below):
            return _figure(draft, child, below)
        draft.back(draft.mark() - 1)
    return _figure(draft, table, name)


def _below(draft: Draft, depth: int, size: int) -> tuple[Table, str] | None:
    """A set, and the rows that belong to any of its rows."""
    table = _table(draft, lambda t: _links(draft, t))
    name = draft.gather(table.key, 2, min(WIDE, max(3, size)), depth) if table else None
    if table is None or name is None:
        return None
    child, link = draft.stream.pick(_links(draft, table))
    where = [Where(column=link.columns[0], op="in", value=_keys(draft, name))]
    rows = [
        r for one in draft.rows(name) for r in draft.ground.of(child.key, link.columns[0], one[table.primary_key[0]])
    ]
    if not rows:
        return None
    if draft.stream.chance(0.4):
        traits = [w for w in draft.traits(child, draft.stream.pick(rows)) if w.column != link.columns[0]]
        where += [draft.stream.pick(traits)] if traits else []
    below = draft.find(child.key, *where, many=True)
    return None if len(draft.rows(below)) < 2 or _put_away(draft, child, below) else (child, below)


def _above(draft: Draft, name: str, link: ForeignKey) -> Asked | None:
    """What the rows of a set belong to."""
    parent = draft.schema[link.table]
    each = Each(node=name, column=link.columns[0])
    found = draft.find(parent.key, Where(column=parent.primary_key[0], op="in", value=each), many=True)
    if not 2 <= len(draft.rows(found)) <= WIDE or _put_away(draft, parent, found):
        return None
    return _listed(draft, parent, found, "set") if draft.stream.chance(0.6) else _figure(draft, parent, found)


def both(draft: Draft, depth: int, size: int) -> Asked | None:
    """What is among two sets: the guests who have stayed in this room and in that one."""
    table = _table(draft, lambda t: len(draft.ground.parents(t)) > 1)
    if table is None:
        return None
    inner, outer = draft.stream.sample(draft.ground.parents(table), 2)
    parent = draft.schema[inner.table]
    if not draft.ground.readers[parent.key]:
        return None
    row = _row(draft, table)
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
    found = draft.find(parent.key, *where, many=True)
    if _put_away(draft, parent, found):
        return None
    if len(draft.rows(found)) == 1:
        draft.back(draft.mark() - 1)
        return _value_of(draft, parent, draft.find(parent.key, *where))
    return _listed(draft, parent, found, "set")


def compared(draft: Draft, depth: int, size: int) -> Asked | None:
    """The difference between one figure of two sets."""
    table = _table(draft, lambda t: columns.sums(t) and draft.ground.parents(t))
    if table is None:
        return None
    links = draft.ground.parents(table)
    link, column = draft.stream.pick(links), draft.stream.pick(columns.sums(table))
    folds = []
    for _ in "ab":
        row = _row(draft, table)
        parent = draft.ground.row(link.table, row[link.columns[0]]) if row[link.columns[0]] is not None else None
        name = draft.refer(link.table, parent, max(0, depth - 1)) if parent else None
        if name is None:
            return None
        many = draft.find(table.key, Where(column=link.columns[0], value=draft.key(name)), many=True)
        if _put_away(draft, table, many) or len(draft.rows(many)) > 5 * WIDE:
            return None
        folds.append(Of(node=draft.fold(many, "sum", column.key)))
    return None if folds[0] == folds[1] else _reckoned(draft, folds[0], folds[1])


def _keys(draft: Draft, name: str) -> Each:
    return Each(node=name, column=draft.table_of(name).primary_key[0])


def _put_away(draft: Draft, table: Table, name: str) -> bool:
    gone = columns.archived(table)
    return bool(gone) and any(r[gone] is not None for r in draft.rows(name))


FORMS: dict[Callable[[Draft, int, int], Asked | None], int] = {
    value: 5, pair: 4, gap: 5, days: 2, share: 2, figure: 3, those: 2, first: 2, top: 3, through: 8, both: 3, compared: 5,
}  # fmt: skip
"""What is asked -> how often."""
