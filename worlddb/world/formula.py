"""Evaluates a column's formula over numpy columns, with SQLite's integer arithmetic (division cuts towards zero)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from worlddb.schema.ddl import formula_tokens
from worlddb.world.frame import Array

_RANK = {"+": 1, "-": 1, "*": 2, "/": 2}


def _cut(a: Any, b: Any) -> Any:
    safe = np.where(b == 0, 1, b)
    whole = np.abs(a) // np.abs(safe)
    return np.where((a < 0) == (safe < 0), whole, -whole)


_DO: dict[str, Callable[[Any, Any], Any]] = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": _cut}


def operands(formula: str) -> list[str]:
    """The keys that a formula names, each once."""
    return list(dict.fromkeys(t for t in formula_tokens(formula) if t[0].isalpha()))


def evaluate(formula: str, column: Callable[[str], Array]) -> Array:
    """The value of the formula for every row; `column` gives the operands by key."""
    tokens = formula_tokens(formula)
    value, rest = _climb(tokens, 1, column)
    if rest:
        raise ValueError(f"formula '{formula}': nothing is expected after '{rest[0]}'")
    return np.asarray(value)


def _climb(tokens: list[str], rank: int, column: Callable[[str], Array]) -> tuple[Any, list[str]]:
    """Precedence climbing: an expression of operators of at least `rank`, and the tokens after it."""
    value, rest = _atom(tokens, column)
    while rest and _RANK.get(rest[0], 0) >= rank:
        operator = rest[0]
        right, rest = _climb(rest[1:], _RANK[operator] + 1, column)
        value = _DO[operator](value, right)
    return value, rest


def _atom(tokens: list[str], column: Callable[[str], Array]) -> tuple[Any, list[str]]:
    first, *rest = tokens
    if first == "(":
        value, rest = _climb(rest, 1, column)
        if not rest or rest[0] != ")":
            raise ValueError("a parenthesis is not closed")
        return value, rest[1:]
    return (np.int64(first) if first.isdigit() else column(first)), rest
