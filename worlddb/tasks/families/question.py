"""A question that only reads: a value at the end of a chain, a figure over a set, the ends of a list, two branches compared."""

from __future__ import annotations

from collections.abc import Callable

from worlddb.tasks import columns
from worlddb.tasks.draft import Draft
from worlddb.tasks.plan import Asked, Calc, Each, Group, Of, Plan, Where

NAME = "question"


def propose(draft: Draft, depth: int, size: int) -> Plan | None:
    """A plan, or None where nothing came of it.  `depth`: rows named by way of others; `size`: of sets."""
    form = draft.stream.weighted(list(FORMS), list(FORMS.values()))
    asked = form(draft, depth, size)
    return draft.plan(NAME, asked) if asked else None


def _tables(draft: Draft) -> list[str]:
    return [t.key for t in draft.schema.tables if draft.ground.readers[t.key] and draft.ground.table(t.key)]


def value(draft: Draft, depth: int, size: int) -> Asked | None:
    """A value of a row, or two."""
    table = draft.schema[draft.stream.pick(_tables(draft))]
    row = draft.stream.pick(draft.ground.table(table.key))
    name = draft.refer(table.key, row, depth)
    if name is None:
        return None
    stated = {w.column for n in draft.nodes if n.name == name for w in n.where}  # type: ignore[union-attr]
    options = [c for c in columns.asks(table) if row[c.key] is not None and c.key not in stated]
    if not options:
        return None
    some = draft.stream.sample(options, min(len(options), 2 if draft.stream.chance(0.3) else 1))
    return Asked(shape="value" if len(some) == 1 else "record", what=tuple(Of(node=name, column=c.key) for c in some))


def figure(draft: Draft, depth: int, size: int) -> Asked | None:
    """A figure over a set."""
    table = draft.schema[draft.stream.pick(_tables(draft))]
    name = draft.gather(table.key, 2, max(3, size), depth)
    if name is None:
        return None
    sums = columns.sums(table)
    by = draft.stream.pick(("count", "sum", "sum", "mean") if sums else ("count",))
    return Asked(
        shape="value", what=(Of(node=draft.fold(name, by, "" if by == "count" else draft.stream.pick(sums).key)),)
    )


def those(draft: Draft, depth: int, size: int) -> Asked | None:
    """The names of a set, or of its first few in an order."""
    table = draft.schema[draft.stream.pick([t for t in _tables(draft) if columns.names(draft.schema[t])])]
    name = draft.gather(table.key, 2, max(3, size), depth)
    if name is None:
        return None
    shown = columns.names(table)[0]
    return Asked(shape="set", what=(Each(node=name, column=shown.key),))


def gap(draft: Draft, depth: int, size: int) -> Asked | None:
    """The difference between two figures or values of one kind."""
    table = draft.schema[draft.stream.pick(_tables(draft))]
    sums = columns.sums(table)
    if not sums:
        return None
    column = draft.stream.pick(sums)
    names = [draft.refer(table.key, draft.stream.pick(draft.ground.table(table.key)), depth) for _ in "ab"]
    if None in names or names[0] == names[1]:
        return None
    left, right = (Of(node=n or "", column=column.key) for n in names)
    a, b = draft.value(left), draft.value(right)
    if a is None or b is None or a == b:
        return None
    calc = draft.add(Calc(name="", op="minus", left=left if a > b else right, right=right if a > b else left))
    return Asked(shape="value", what=(Of(node=calc),))


def top(draft: Draft, depth: int, size: int) -> Asked | None:
    """What has the most of something, and a value of it."""
    options = [
        (draft.schema[c.key], f)
        for t in _tables(draft) for c, f in draft.ground.children(t) if draft.ground.readers[c.key]
    ]  # fmt: skip
    if not options:
        return None
    child, link = draft.stream.pick(options)
    name = draft.gather(child.key, 4, 100, 0)
    if name is None:
        return None
    counts: dict[object, int] = {}
    for row in draft.rows(name):
        counts[row[link.columns[0]]] = counts.get(row[link.columns[0]], 0) + 1
    counts.pop(None, None)
    ranked = sorted(counts.values(), reverse=True)
    if len(ranked) < 2 or ranked[0] == ranked[1]:
        return None
    group = draft.add(Group(name="", of=name, column=link.columns[0]))
    parent = draft.schema[link.table]
    found = draft.find(parent.key, Where(column=parent.primary_key[0], value=Of(node=group)))
    shown = [c for c in columns.asks(parent) if draft.row(found)[c.key] is not None]
    return Asked(shape="value", what=(Of(node=found, column=draft.stream.pick(shown).key),)) if shown else None


FORMS: dict[Callable[[Draft, int, int], Asked | None], int] = {value: 5, figure: 4, those: 2, gap: 2, top: 1}
