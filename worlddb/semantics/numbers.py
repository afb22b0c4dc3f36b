"""Numbers drawn from quantile tables: integer arithmetic from the first bit to the last division by a power of ten.

Every maker gives whole numbers of the column's smallest step: the unit itself in INTEGER columns, 10**-scale in REAL
ones.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worlddb.rng import Stream
from worlddb.semantics.ask import Ask
from worlddb.semantics.pools import Pools

Ints = NDArray[np.int64]

_POWERS = 10 ** np.arange(18, dtype=np.int64)
_TOP = (40, 190, 520, 740, 850, 890, 925, 950, 975)
"""The share, in thousandths, of a categorical column's most frequent value: quantiles 0, 1/8 … 1 over columns."""


@cache
def steps(number: str, scale: int) -> int:
    """A number as written in a source, in units of 10**-scale."""
    return int(Decimal(number).scaleb(scale).to_integral_value())


def quantile(stream: Stream, n: int, table: NDArray[np.int64]) -> Ints:
    """n values of a quantile table, interpolated between its entries."""
    place = (stream.bits(n) >> np.uint64(32)).astype(np.int64)
    index = np.minimum(place >> 20, len(table) - 2)
    floor = table[index]
    found: Ints = floor + ((table[index + 1] - floor) * (place & 0xFFFFF) >> 20)
    return found


def spread(ask: Ask) -> Ints:
    """spread:MEDIAN,SIGMA[,STEP] — lognormal."""
    median, sigma = steps(ask.args[0], ask.scale), ask.args[1]
    x = median * quantile(ask.stream, ask.n, ask.pools.quantiles(f"lognormal_{sigma}")) >> 16
    return _on_grid(x, ask, 2)


def bell(ask: Ask) -> Ints:
    """bell:MEAN,SD[,STEP] — normal."""
    mean, sd = steps(ask.args[0], ask.scale), steps(ask.args[1], ask.scale)
    x = mean + (sd * quantile(ask.stream, ask.n, ask.pools.quantiles("normal")) >> 16)
    return _on_grid(x, ask, 2)


def _on_grid(x: Ints, ask: Ask, position: int) -> Ints:
    if len(ask.args) <= position:
        return x
    step = steps(ask.args[position], ask.scale)
    return (x + step // 2) // step * step


def uniform(ask: Ask) -> Ints:
    """uniform:LOW,HIGH[,STEP] — all equally likely."""
    low, high = (steps(a, ask.scale) for a in ask.args[:2])
    step = steps(ask.args[2], ask.scale) if len(ask.args) > 2 else 1
    return low + step * ask.stream.integers(ask.n, (high - low) // step + 1)


def few(ask: Ask) -> Ints:
    """few:START,MEAN — START and a geometric tail."""
    start, mean = (steps(a, ask.scale) for a in ask.args)
    return start + (mean * quantile(ask.stream, ask.n, ask.pools.quantiles("exponential")) >> 16)


def signed(ask: Ask) -> Ints:
    """signed:MEDIAN,SIGMA,PERCENT — lognormal, that many percent of them below zero."""
    sign = 1 - 2 * ask.stream.chances(ask.n, int(ask.args[2]) / 100).astype(np.int64)
    found: Ints = sign * spread(ask.having(*ask.args[:2]))
    return found


def charm(ask: Ask) -> Ints:
    """charm:MEDIAN,SIGMA — money as on price tags.  The stream sets which endings its prices have."""
    x = spread(ask)
    endings = np.array(ask.stream.pick(((99,), (99, 95), (99, 50, 0), (0, 50), (95, 90))), dtype=np.int64)
    tagged = x // 100 * 100 + ask.stream.picks(ask.n, endings)
    dear = x // 1000 * 1000 + endings[0] * 10 + (endings[0] == 99) * 9
    found: Ints = np.where(x < 200, (x + 4) // 5 * 5, np.where(x < 50000, tagged, dear))
    return found


def rounded(ask: Ask) -> Ints:
    """round:MEDIAN,SIGMA — one or two leading digits, then zeros."""
    x = np.maximum(spread(ask), 1)
    step = np.maximum(_POWERS[np.searchsorted(_POWERS, x, side="right") - 1] // 2, 1)
    found: Ints = (x + step // 2) // step * step
    return found


def choice(ask: Ask) -> NDArray[Any]:
    """choice:A*WEIGHT,B*WEIGHT — numbers, or texts in TEXT columns."""
    options, weights = _choices(ask.args, ask.kind.sql, ask.scale)
    return options[np.searchsorted(weights, ask.stream.integers(ask.n, int(weights[-1])), side="right")]


@cache
def _choices(args: tuple[str, ...], sql: str, scale: int) -> tuple[NDArray[Any], Ints]:
    pairs = [a.rsplit("*", 1) for a in args]
    values = [p[0] if sql == "TEXT" else steps(p[0], scale) for p in pairs]
    options = np.empty(len(values), dtype=object if sql == "TEXT" else np.int64)
    options[:] = values
    return options, np.cumsum(np.array([int(p[1]) for p in pairs], dtype=np.int64))


def chance(ask: Ask) -> Ints:
    """chance:LOW,HIGH — 0 or 1; the stream sets the share of ones, in percent."""
    share = ask.stream.between(int(ask.args[0]), int(ask.args[1]))
    return (ask.stream.integers(ask.n, 100) < share).astype(np.int64)


def walk(ask: Ask) -> Ints:
    """walk:STEP — a series that only grows."""
    step = steps(ask.args[0], ask.scale)
    start = step * ask.stream.between(5, 400)
    return start + np.cumsum(1 + (step * quantile(ask.stream, ask.n, ask.pools.quantiles("exponential")) >> 16))


def index(ask: Ask) -> Ints:
    """index — 1, 2, 3 …"""
    first = 1 if ask.low is None else int(ask.low)
    return np.arange(first, first + ask.n, dtype=np.int64)


def row(ask: Ask) -> NDArray[Any]:
    """row:N — the number of one of N rows, unevenly; as text where keys are texts."""
    ranks = quantile(ask.stream, ask.n, ask.pools.quantiles("zipf"))
    found: Ints = 1 + np.minimum(ranks * int(ask.args[0]) >> 16, int(ask.args[0]) - 1)
    return found.astype("U").astype(object) if ask.kind.sql == "TEXT" else found


def within(ask: Ask, x: Ints, low: int | None, high: int | None) -> Ints:
    """x with everything outside [low, high] drawn again inside; reflected at the bound where there is but one."""
    if low is not None and high is not None:
        out = (x < low) | (x > high)
        return np.where(out, _inside(ask.stream, ask.n, low, high), x) if out.any() else x
    if low is not None and len(x) and int(x.min()) < low:
        return np.where(x < low, 2 * low - x, x)
    if high is not None and len(x) and int(x.max()) > high:
        return np.where(x > high, 2 * high - x, x)
    return x


def _inside(stream: Stream, n: int, low: int, high: int) -> Ints:
    """n numbers of [low, high], evenly or (two streams of three) with the small ones more frequent."""
    unit = stream.integers(n, 1 << 20)
    if stream.below(3):
        unit = unit * unit >> 20
    return low + (unit * (high - low + 1) >> 20)


def uneven(stream: Stream, k: int, pools: Pools) -> Ints:
    """k cumulative weights, as uneven as real categorical columns are: the first one's share differs by stream.

    Over streams, the median share of the most frequent value is .85; it is under .3 in a tenth and over .95 in a tenth,
    as far as k values allow (no share falls below that of an even split).
    """
    i, rest = divmod(stream.below(8000), 1000)
    share = max(_TOP[i] + (_TOP[i + 1] - _TOP[i]) * rest // 1000, -(-1050 // k))
    if k == 1:
        return np.ones(1, dtype=np.int64)
    first, left = share << 20, (1000 - share) << 20
    tail = (1 << 20) // np.arange(2, k + 1, dtype=np.int64)
    others = tail * left // int(tail.sum())
    if int(others[0]) > first:
        others = np.full(k - 1, left // (k - 1), dtype=np.int64)
    return np.cumsum(np.concatenate([np.array([first], dtype=np.int64), others]))


def by_shares(stream: Stream, n: int, cumulative: Ints) -> Ints:
    """n indices by cumulative weights (`uneven`)."""
    return np.searchsorted(cumulative, stream.integers(n, int(cumulative[-1])), side="right")
