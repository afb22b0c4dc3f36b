"""What conditions, folds and sums mean, in Python: how somebody works things out from the rows that tools have shown.

SQL says the same independently (`sql`), and the two must agree before a task leaves the house.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

from worlddb.errors import BrokenPromise
from worlddb.tasks.plan import Value

Row = dict[str, Any]
"""A row by column key, as stored."""

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip


def meets(value: Value, op: str, wanted: Sequence[Value]) -> bool:
    """True where a stored value meets a condition; NULL meets `null` alone."""
    if op == "null":
        return value is None
    if value is None:
        return False
    if op == "set":
        return True
    if op == "in":
        return value in wanted
    if op == "not_in":
        return value not in wanted
    return wanted[0] is not None and COMPARE[op](value, wanted[0])


def sifted(rows: list[Row], column: str, op: str, wanted: Sequence[Value]) -> list[Row]:
    """The rows whose value meets a condition; the same as `meets` for each, in one go."""
    if op == "eq":
        value = wanted[0]
        return [r for r in rows if r[column] == value] if value is not None else []
    if op in ("null", "set"):
        return [r for r in rows if (r[column] is None) == (op == "null")]
    if op in ("in", "not_in"):
        among = set(wanted)
        return [r for r in rows if r[column] is not None and (r[column] in among) == (op == "in")]
    value = wanted[0]
    if value is None:
        return []
    compare = COMPARE[op]
    return [r for r in rows if (own := r[column]) is not None and compare(own, value)]


def folded(by: str, values: Sequence[Any]) -> Any:
    """count, sum, mean, least or greatest of values that are not NULL; None for the last three of nothing."""
    if by == "count":
        return len(values)
    if by == "sum":
        return exact(sum(map(written, values), Fraction(0)))
    if not values:
        return None
    if by == "mean":
        return exact(sum(map(written, values), Fraction(0)) / len(values))
    return min(values) if by == "least" else max(values)


def written(figure: int | float) -> Fraction:
    """A number as people write it: 2.05 is just that, not the binary fraction next to it."""
    return Fraction(figure) if isinstance(figure, int) else Fraction(repr(figure))


def exact(figure: Fraction) -> int | float:
    """A whole number where it is one."""
    return int(figure) if figure.denominator == 1 else float(figure)


def grouped(rows: Sequence[Row], column: str, by: str, over: str, desc: bool) -> Any:
    """The value of `column` whose rows have the greatest (least) figure.

    Raises:
        BrokenPromise: there is none, or two have the same.
    """
    groups: dict[Any, list[Any]] = {}
    for row in rows:
        if row[column] is not None and (by == "count" or row[over] is not None):
            groups.setdefault(row[column], []).append(1 if by == "count" else row[over])
    ranked = sorted(((folded(by, v), k) for k, v in groups.items()), key=lambda one: one[0], reverse=desc)
    if not ranked or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
        raise BrokenPromise(f"no group of {column} is alone at the {'top' if desc else 'bottom'}")
    return ranked[0][1]


def calculated(op: str, left: Any, right: Any) -> Any:
    """What a Calc makes of two values."""
    if op in ("days_after", "days_between"):
        return _days(op, left, right)
    a, b = written(left), written(right)
    if op == "percent":
        return (2 * a * b + 100) // 200  # half up
    return exact(a + b if op == "plus" else a - b if op == "minus" else a * b)


def _days(op: str, left: str, right: Any) -> Any:
    if op == "days_between":
        return (date.fromisoformat(right[:10]) - date.fromisoformat(left[:10])).days
    if len(left) == 10:
        return (date.fromisoformat(left) + timedelta(days=right)).isoformat()
    return (datetime.fromisoformat(left) + timedelta(days=right)).strftime("%Y-%m-%d %H:%M:%S")
