"""Several right ways as few: rows of which any will do, values of which any will do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

import msgspec

from worlddb.tasks.goal import Alternative, Equal, Key, Matcher, OneOf, Pool

BLANK = Equal(value="\0")
"""Stands for a value while what is beside it is compared."""


def merged(alternatives: Sequence[Alternative]) -> tuple[Alternative, ...]:
    """The same choice in fewer words: of rows any of which will do it makes a pool, of such values a one-of."""
    if len(alternatives) < 2:
        return tuple(alternatives)
    pooled = _pooled(alternatives)
    return (pooled,) if pooled is not None else _one_ofs(alternatives)


def _pooled(alternatives: Sequence[Alternative]) -> Alternative | None:
    """One alternative with a pool, where all of them do the same to k rows, each to other k of the same rows."""
    first = alternatives[0]
    if any((a.inserts, a.pools, a.answer) != (first.inserts, first.pools, first.answer) for a in alternatives):
        return None
    updates = tuple(u for u in first.updates if all(u in a.updates for a in alternatives))
    deletes = tuple(d for d in first.deletes if all(d in a.deletes for a in alternatives))
    chosen: set[frozenset[Key]] = set()
    deeds: list[tuple[str, dict[str, Matcher] | None]] = []
    for one in alternatives:
        own = [(u.table, u.values, u.key) for u in one.updates if u not in updates]
        rows: list[tuple[str, dict[str, Matcher] | None, Key]] = [
            *own, *((d.table, None, d.key) for d in one.deletes if d not in deletes)
        ]  # fmt: skip
        deeds += [(table, values) for table, values, _ in rows]
        chosen.add(frozenset(key for _, _, key in rows))
    if not deeds or any(d != deeds[0] for d in deeds):
        return None
    keys, counts = sorted(frozenset().union(*chosen), key=repr), {len(c) for c in chosen}
    count = counts.pop()
    if (
        counts
        or len(chosen) != comb(len(keys), count)
        or any(frozenset(c) not in chosen for c in combinations(keys, count))
    ):
        return None
    pool = Pool(table=deeds[0][0], keys=tuple(keys), count=count, values=deeds[0][1])
    return msgspec.structs.replace(first, updates=updates, deletes=deletes, pools=(*first.pools, pool))


Slot = tuple[str, int, str]
"""'inserts' or 'updates', index, column."""


def _one_ofs(alternatives: Sequence[Alternative]) -> tuple[Alternative, ...]:
    found = list(alternatives)
    for slot in _slots(found):
        groups: dict[bytes, list[Alternative]] = {}
        for one in found:
            rest = one if _at(one, slot) is None else _with(one, slot, BLANK)
            groups.setdefault(msgspec.json.encode(rest), []).append(one)
        found = [_joined(group, slot) for group in groups.values()]
    return tuple(found)


def _slots(alternatives: Sequence[Alternative]) -> list[Slot]:
    """Where alternatives have values of their own."""
    seen: dict[Slot, list[Matcher]] = {}
    for one in alternatives:
        for part in ("inserts", "updates"):
            for i, row in enumerate(getattr(one, part)):
                for column, matcher in row.values.items():
                    if isinstance(matcher, Equal):
                        kept = seen.setdefault((part, i, column), [])
                        if matcher not in kept:
                            kept.append(matcher)
    return [slot for slot, matchers in seen.items() if len(matchers) > 1]


def _at(one: Alternative, slot: Slot) -> Equal | None:
    part, i, column = slot
    rows = getattr(one, part)
    matcher = rows[i].values.get(column) if i < len(rows) else None
    return matcher if isinstance(matcher, Equal) else None


def _with(one: Alternative, slot: Slot, matcher: Matcher) -> Alternative:
    part, i, column = slot
    rows = list(getattr(one, part))
    rows[i] = msgspec.structs.replace(rows[i], values={**rows[i].values, column: matcher})
    return msgspec.structs.replace(one, **{part: tuple(rows)})


def _joined(group: Sequence[Alternative], slot: Slot) -> Alternative:
    if len(group) == 1:
        return group[0]
    values = [m.value for one in group if (m := _at(one, slot)) is not None]
    return _with(group[0], slot, OneOf(values=tuple(dict.fromkeys(values))))
