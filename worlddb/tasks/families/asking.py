"""What there is to ask about: tables worth asking of, values that nobody guesses, figures and lists of sets."""

from __future__ import annotations

from collections.abc import Callable

from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.tasks import columns
from worlddb.tasks.draft import Draft
from worlddb.tasks.plan import Asked, Calc, Each, Find, Of
from worlddb.tasks.reckon import Row

FEW = 3
"""The least count that is worth asking for: smaller ones are guessed."""
MONEY = frozenset(["money"])
_ENTERED = frozenset(["created_at"])


def tables_with(draft: Draft, wanted: Callable[[Table], object] = lambda table: True) -> list[Table]:
    """Tables that can be looked at, with rows, that have what is wanted."""
    ground = draft.ground
    return [t for t in draft.schema.tables if ground.readers[t.key] and ground.table(t.key) and wanted(t)]


def table_with(draft: Draft, wanted: Callable[[Table], object] = lambda table: True) -> Table | None:
    """One of these tables, or None."""
    options = tables_with(draft, wanted)
    return draft.stream.pick(options) if options else None


def row_of(draft: Draft, table: Table) -> Row:
    """Any row of a table."""
    return draft.stream.pick(draft.ground.table(table.key))


def named_by(draft: Draft, name: str) -> set[str]:
    """Columns by which a row is named: nobody asks for what they have just said."""
    nodes = [n for n in draft.nodes if isinstance(n, Find) and n.name == name]
    return {c for n in nodes for c in (n.sort, *(w.column for w in n.where))}


def askable(draft: Draft, table: Table, name: str) -> list[Column]:
    """Columns of a row that has been named whose value is worth asking for."""
    row = draft.row(name)
    stated = named_by(draft, name)
    return better([c for c in columns.asks(table) if row[c.key] is not None and c.key not in stated])


def better(found: list[Column]) -> list[Column]:
    """Without the moment at which a row was entered, unless there is nothing else: few people ask for it."""
    return [c for c in found if not columns.is_any(c, _ENTERED)] or found


def value_of(draft: Draft, table: Table, name: str) -> Asked | None:
    """A value of a row that has been named, sometimes two or three."""
    options = askable(draft, table, name)
    if not options:
        return None
    several = draft.stream.pick((2, 2, 3)) if draft.stream.chance(0.3) else 1
    some = draft.stream.sample(options, min(len(options), several))
    return Asked(shape="value" if len(some) == 1 else "record", what=tuple(Of(node=name, column=c.key) for c in some))


def belonging(draft: Draft, table: Table) -> list[tuple[Table, ForeignKey]]:
    """Tables whose rows belong to this one's, and can be looked at."""
    return [
        (c, f)
        for c, f in draft.ground.children(table.key)
        if c.key != table.key and draft.ground.readers[c.key] and draft.ground.table(c.key)
    ]


def reckoned(draft: Draft, left: Of, right: Of) -> Asked | None:
    """The difference of two values, the greater first, or their sum; None where they are equal."""
    a, b = draft.value(left), draft.value(right)
    if a is None or b is None or a == b:
        return None
    if draft.stream.chance(0.3):
        calc = Calc(name="", op="plus", left=left, right=right)
    else:
        calc = Calc(name="", op="minus", left=left if a > b else right, right=right if a > b else left)
    return Asked(shape="value", what=(Of(node=draft.add(calc)),))


def figure_of(draft: Draft, table: Table, name: str) -> Asked | None:
    """How many there are, what they come to, the mean, the least or the greatest."""
    fold = fold_of(draft, table, name)
    return Asked(shape="value", what=(fold,)) if fold else None


def fold_of(draft: Draft, table: Table, name: str) -> Of | None:
    """A figure over a set that is worth asking for, as an expression."""
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
    mark, fold = draft.mark(), Of(node=draft.fold(name, by, column.key))
    if by == "mean" and not plain(column, draft.value(fold)):
        draft.back(mark)
        by = draft.stream.pick(("greatest", "least"))
        fold = Of(node=draft.fold(name, by, column.key))
    return fold


def plain(column: Column, mean: float) -> bool:
    """True for a mean that people would write in full: no part of a cent, no third of anything."""
    return mean == round(mean, 0 if columns.is_any(column, MONEY) else 2)


def listed(draft: Draft, table: Table, name: str, shape: str) -> Asked | None:
    """Names of the rows of a set, or other values by which they differ."""
    rows, stated = draft.rows(name), named_by(draft, name)
    options = [c for c in (*columns.names(table)[:1], *columns.asks(table)) if c.key not in stated]
    options = [
        c for c in options if len({r[c.key] for r in rows}) == len(rows) and all(r[c.key] is not None for r in rows)
    ]
    if not options or len(rows) < 2:
        return None
    column = options[0] if draft.stream.chance(0.7) else draft.stream.pick(options)
    return Asked(shape=shape, what=(Each(node=name, column=column.key),))


def keys_of(draft: Draft, name: str) -> Each:
    """The keys of all rows of a set."""
    return Each(node=name, column=draft.table_of(name).primary_key[0])


def put_away(draft: Draft, table: Table, name: str) -> bool:
    """True where some rows of a set are archived: people would not say whether they mean these, too."""
    gone = columns.archived(table)
    return bool(gone) and any(r[gone] is not None for r in draft.rows(name))
