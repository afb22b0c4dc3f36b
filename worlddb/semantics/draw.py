"""Drawing: n values of a semantic type, from a stream and the pools, ready to be stored.

The source of a type (schemas/types.yaml) names one of MAKERS.  Draws use integer arithmetic, integer tables and exact
divisions by powers of ten only, so that they are the same on every machine; and never the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worlddb.errors import BadRequest, BrokenFile
from worlddb.rng import Stream
from worlddb.semantics import codes, groups, moments, numbers, texts
from worlddb.semantics.ask import NOW, Ask
from worlddb.semantics.distinct import distinct_from
from worlddb.semantics.pools import Pools
from worlddb.semantics.pools import texts as object_array
from worlddb.semantics.types import SemanticType, semantic_type

Maker = Callable[[Ask], NDArray[Any]]

MAKERS: dict[str, Maker] = {
    "pool": texts.pool,
    "some": texts.some,
    "home": texts.home,
    "enum": texts.enum,
    "even": texts.even,
    "mix": texts.mix,
    "phrase": texts.phrase,
    "pattern": codes.pattern,
    "fact": codes.fact,
    "seq": codes.seq,
    "code": codes.code,
    "person": groups.member("person"),
    "place": groups.member("place"),
    "company": groups.member("company"),
    "spread": numbers.spread,
    "bell": numbers.bell,
    "uniform": numbers.uniform,
    "few": numbers.few,
    "signed": numbers.signed,
    "charm": numbers.charm,
    "round": numbers.rounded,
    "choice": numbers.choice,
    "chance": numbers.chance,
    "walk": numbers.walk,
    "index": numbers.index,
    "row": numbers.row,
    "moment": moments.moment,
    "burst": moments.burst,
    "day": moments.day,
    "clock": moments.clock,
}


@cache
def plan(type: str) -> tuple[SemanticType, str, Maker, tuple[str, ...]]:
    """The type, the first word of its source, the maker of that name, and the arguments.

    Raises:
        BadRequest: the type only groups others.
        BrokenFile: the source has no maker.
    """
    kind = semantic_type(type)
    head, _, rest = kind.source.partition(":")
    if head == "abstract":
        raise BadRequest(f"the type '{type}' only groups others and has no values; choose one that descends from it")
    if head not in MAKERS:
        raise BrokenFile(f"types.yaml: types.{type}.source: no maker '{head}'; choose one of: {', '.join(MAKERS)}")
    return kind, head, MAKERS[head], tuple(rest.split(",")) if rest else ()


def draw(
    type: str,
    stream: Stream,
    n: int,
    pools: Pools,
    locale: str = "en_US",
    *,
    low: int | float | str | None = None,
    high: int | float | str | None = None,
    values: Sequence[str] = (),
    now: int = NOW,
) -> NDArray[Any]:
    """n values of a type, as its column stores them: an object array of str, int64 (INTEGER) or float64 (REAL).

    `low` and `high` bound numbers (in the column's unit) and moments (unix seconds, or ISO 8601 text); `values`
    replaces the type's own with an enumeration, used as unevenly as real ones are.  `now` is the moment, in unix
    seconds, that dates are relative to.  What comes depends on the arguments alone; it may hold repetitions (see
    `distinct`).

    Raises:
        UnknownName: no such type or locale.
        BadRequest: the type only groups others, or low > high.
    """
    kind, _, maker, args = plan(type)
    if values:
        return texts.enumerated(stream, n, _stored(kind, values), pools)
    ask = Ask(kind, args, stream, n, pools, locale, low, high, now)
    if kind.sql == "TEXT":
        return maker(ask)
    return _bounded(ask, maker)


def _stored(kind: SemanticType, values: Sequence[str]) -> NDArray[Any]:
    if kind.sql == "TEXT":
        return object_array(values)
    return (
        np.array([float(v) for v in values])
        if kind.sql == "REAL"
        else np.array([int(v) for v in values], dtype=np.int64)
    )


def _bounded(ask: Ask, maker: Maker) -> NDArray[Any]:
    """Numbers, within the bounds of the caller or else of the type."""
    low, high = limits(ask)
    made = maker(ask)
    if made.dtype == np.float64:
        return made
    whole = numbers.within(ask, made, low, high)
    return whole / float(10**ask.scale) if ask.kind.sql == "REAL" else whole


def limits(ask: Ask) -> tuple[int | None, int | None]:
    """Least and greatest value, in the column's smallest step."""
    low = ask.kind.low if ask.low is None else ask.low
    high = ask.kind.high if ask.high is None else ask.high
    found = tuple(None if b is None else numbers.steps(str(b), ask.scale) for b in (low, high))
    if found[0] is not None and found[1] is not None and found[0] > found[1]:
        raise BadRequest(f"{ask.kind.name}: low {low} is above high {high}; exchange them")
    return found[0], found[1]


def distinct(
    type: str,
    stream: Stream,
    n: int,
    pools: Pools,
    locale: str = "en_US",
    *,
    low: int | float | str | None = None,
    high: int | float | str | None = None,
    values: Sequence[str] = (),
    now: int = NOW,
) -> NDArray[Any]:
    """Like `draw`, with n values that all differ.  Clashes are drawn again; those that stay get a suffix or a number.

    Raises:
        BadRequest: there are not so many (a closed set, a short pattern, a narrow range).
    """
    kind, head, _, args = plan(type)
    ask = Ask(kind, args, stream, n, pools, locale, low, high, now)

    def more(lane: Stream, count: int) -> NDArray[Any]:
        return draw(type, lane, count, pools, locale, low=low, high=high, values=values, now=now)

    bounds = limits(ask) if kind.sql != "TEXT" else (None, None)
    return distinct_from(ask, head, more, bounds, _stored(kind, values) if values else None)
