"""Two runs over the same tasks, compared task by task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from worlddb.errors import BadRequest
from worlddb.rng import Stream
from worlddb.runs.figures import BY, Tallied, groups_of, tallied
from worlddb.runs.folder import Run
from worlddb.runs.model import Manifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWS = 2000
"""Resamples of an interval."""
CLUSTERS = 20
"""Worlds from which on worlds are resampled instead of tasks: tasks of one world share its quirks."""
CLEAR = 0.05
EXACT = 2000
"""Tasks up to which the sign test is exact; beyond, it is the normal approximation."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One group of tasks, in both runs."""

    by: str
    """'' for all tasks."""
    group: str
    tasks: int
    a: float
    """Mean pass rate."""
    b: float
    delta: float
    """b - a."""
    low: float
    high: float
    """95 % bootstrap interval of delta."""
    unit: str
    """What was resampled: 'world' or 'task'."""
    won: int
    """Tasks that b passes more often."""
    lost: int
    p: float
    """Of the two-sided sign test on won and lost: how likely so uneven a split is if neither is better."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Run b beside run a."""

    a: Manifest
    b: Manifest
    only_a: int
    """Tasks that only one of them attempted; they do not count."""
    only_b: int
    lines: tuple[Difference, ...]
    won: tuple[str, ...]
    """Ids of tasks, those with the greatest difference first."""
    lost: tuple[str, ...]


def compare(a: Run, b: Run, *, draws: int = DRAWS) -> Comparison:
    """Compare two runs on the tasks that both attempted.

    Raises:
        BadRequest: there is no such task.
    """
    ours, theirs = tallied(a), tallied(b)
    common = [t for t in ours if t in theirs]
    if not common:
        raise BadRequest(f"{a.path} and {b.path} have no task in common; compare runs over the same store")
    groups: dict[str, list[str]] = {}
    for task in common:
        for name in groups_of(ours[task]):
            groups.setdefault(name, []).append(task)
    deltas = {t: theirs[t].rate - ours[t].rate for t in common}
    ordered = sorted(groups, key=_place)
    return Comparison(
        a=a.manifest, b=b.manifest, only_a=len(ours) - len(common), only_b=len(theirs) - len(common),
        lines=tuple(_difference(name, [(ours[t], theirs[t]) for t in groups[name]], draws) for name in ordered),
        won=tuple(sorted((t for t in common if deltas[t] > 0), key=lambda t: (-deltas[t], t))),
        lost=tuple(sorted((t for t in common if deltas[t] < 0), key=lambda t: (deltas[t], t))),
    )  # fmt: skip


def _place(name: str) -> tuple[int, int, str]:
    """All first, then field by field; numbers by size."""
    by, _, value = name.partition("=")
    return (BY.index(by) + 1 if by else 0), (int(value) if value.isdecimal() else 0), value


def _difference(name: str, pairs: Sequence[tuple[Tallied, Tallied]], draws: int) -> Difference:
    by, _, group = name.partition("=")
    deltas = [b.rate - a.rate for a, b in pairs]
    worlds = [a.world for a, _ in pairs]
    many = len(set(worlds)) >= CLUSTERS
    low, high = bootstrap(deltas, worlds if many else [a.task for a, _ in pairs], Stream(0, "compare", name), draws)
    won, lost = sum(d > 0 for d in deltas), sum(d < 0 for d in deltas)
    return Difference(
        by=by, group=group, tasks=len(pairs), a=_mean([a.rate for a, _ in pairs]), b=_mean([b.rate for _, b in pairs]),
        delta=_mean(deltas), low=low, high=high, unit="world" if many else "task", won=won, lost=lost, p=sign_test(won, lost),
    )  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def bootstrap(values: Sequence[float], clusters: Sequence[str], stream: Stream, draws: int) -> tuple[float, float]:
    """The 95 % percentile interval of a mean, from resamples of whole clusters; the same for the same stream."""
    import numpy as np

    places = {c: i for i, c in enumerate(dict.fromkeys(clusters))}
    at = np.array([places[c] for c in clusters])
    sums = np.bincount(at, weights=np.array(values), minlength=len(places))
    sizes = np.bincount(at, minlength=len(places))
    means = np.array([_resampled(sums, sizes, stream.integers(len(places), len(places))) for _ in range(draws)])
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _resampled(sums: NDArray[Any], sizes: NDArray[Any], drawn: NDArray[np.int64]) -> float:
    return float(sums[drawn].sum() / sizes[drawn].sum())


def sign_test(won: int, lost: int) -> float:
    """The two-sided p of a split, if either side were as likely.

    >>> sign_test(0, 0), sign_test(5, 0)
    (1.0, 0.0625)
    """
    n, few = won + lost, min(won, lost)
    if n == 0:
        return 1.0
    if n > EXACT:
        z = max(0.0, abs(won - lost) - 1) / math.sqrt(n)
        return math.erfc(z / math.sqrt(2))
    tail = sum(math.comb(n, i) for i in range(few + 1))
    return min(1.0, 2 * tail / 2**n)


def is_clear(line: Difference) -> bool:
    """True where the interval keeps to one side of zero, and the split is not one that chance makes often."""
    return (line.low > 0 or line.high < 0) and line.p < CLEAR
