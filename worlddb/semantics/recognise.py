"""Recognisers: does a value look like one of a type?"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, datetime
from functools import cache
from typing import Any

from worlddb.semantics.codes import vin_check
from worlddb.semantics.types import SemanticType, semantic_type


def recognises(type: str, value: Any) -> bool:
    """True where `value`, as stored, may be one of `type`: its storage, pattern, bounds, closed set and inner rule fit.

    NULL (None) is of no type.  Free text accepts any text; codes, moments, enumerations and bounded numbers are strict.

    Raises:
        UnknownName: no such type.
    """
    kind = semantic_type(type)
    if kind.sql != "TEXT":
        return _number(kind, value)
    if not isinstance(value, str) or not value:
        return False
    if kind.values and value not in kind.values and "state" not in kind.parent:
        return False
    if kind.pattern and not _compiled(kind.pattern).fullmatch(value):
        return False
    if kind.temporal and kind.temporal != "time" and not _moment(kind.temporal, value):
        return False
    return not kind.check or CHECKS[kind.check](kind, value)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _number(kind: SemanticType, value: Any) -> bool:
    wanted = (int,) if kind.sql == "INTEGER" else (int, float)
    if not isinstance(value, wanted) or isinstance(value, bool):
        return False
    return (kind.low is None or value >= kind.low) and (kind.high is None or value <= kind.high)


def _moment(kind: str, value: str) -> bool:
    form = r"\d{4}-\d\d-\d\d" if kind == "date" else r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    if not _compiled(form).fullmatch(value):
        return False
    try:
        (date if kind == "date" else datetime).fromisoformat(value)
    except ValueError:
        return False
    return True


@cache
def _pool(name: str) -> frozenset[str]:
    """All words of a pool, with what the shipped locales call their own."""
    from worlddb.semantics.pools import load_pools

    pools = load_pools()
    return frozenset(pools.words(name).tolist()) | {pools.facts(locale).get(name, "") for locale in pools.locales}


def _in_pool(kind: SemanticType, value: str) -> bool:
    return value in _pool(kind.source.partition(":")[2].split(",")[0])


def _figures(value: str) -> list[int]:
    return [int(c) for c in value if c.isdigit()]


def _ean(kind: SemanticType, value: str) -> bool:
    return sum(d * (3 if i % 2 else 1) for i, d in enumerate(reversed(_figures(value)))) % 10 == 0


def _luhn(kind: SemanticType, value: str) -> bool:
    """Letters count as the two digits of 10 … 35, as in an ISIN."""
    figures = [int(d) for c in value for d in str(int(c, 36))]
    return sum(sum(divmod(d * (2 if i % 2 else 1), 10)) for i, d in enumerate(reversed(figures))) % 10 == 0


def _issn(kind: SemanticType, value: str) -> bool:
    figures = [10 if c == "X" else int(c) for c in value.replace("-", "")]
    return sum(d * w for d, w in zip(figures, range(8, 0, -1), strict=True)) % 11 == 0


def _iban(kind: SemanticType, value: str) -> bool:
    return int("".join(str(int(c, 36)) for c in value[4:] + value[:4])) % 97 == 1


def _routing(kind: SemanticType, value: str) -> bool:
    return sum(d * w for d, w in zip(_figures(value), (3, 7, 1) * 3, strict=True)) % 10 == 0


def _vin(kind: SemanticType, value: str) -> bool:
    import numpy as np

    return chr(int(vin_check(np.array([[ord(c) for c in value]], dtype=np.uint32))[0])) == value[8]


def _ipv4(kind: SemanticType, value: str) -> bool:
    return all(int(part) < 256 for part in value.split("."))


def _letters(kind: SemanticType, value: str) -> bool:
    return any(c.isalpha() for c in value)


def _postal(kind: SemanticType, value: str) -> bool:
    return any(c.isdigit() for c in value)


def _json(kind: SemanticType, value: str, wanted: type | tuple[type, ...] = (dict, list)) -> bool:
    try:
        return isinstance(json.loads(value), wanted)
    except ValueError:
        return False


CHECKS: dict[str, Callable[[SemanticType, str], bool]] = {
    "pool": _in_pool,
    "ean": _ean,
    "luhn": _luhn,
    "isin": _luhn,
    "issn": _issn,
    "iban": _iban,
    "routing": _routing,
    "vin": _vin,
    "ipv4": _ipv4,
    "letters": _letters,
    "postal": _postal,
    "json": _json,
    "json_list": lambda kind, value: _json(kind, value, list),
}
