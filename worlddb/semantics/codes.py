"""Codes: patterns of characters, and identifiers with check digits, all drawn as matrices of code points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worlddb.errors import BadRequest
from worlddb.rng import Stream
from worlddb.semantics.ask import Ask

Matrix = NDArray[np.uint32]

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
ALPHABETS = {
    "#": "0123456789",
    "%": "123456789",
    "?": LETTERS,
    "!": "abcdefghijklmnopqrstuvwxyz",
    "^": "0123456789abcdef",
}
_SIGNS = "".join(ALPHABETS)


def _points(text: str) -> Matrix:
    return np.array([ord(c) for c in text], dtype=np.uint32)


_ALL = _points("".join(ALPHABETS.values()))
_SIZE = np.array([0, *(len(a) for a in ALPHABETS.values())], dtype=np.int64)
_FIRST = np.cumsum(_SIZE) - _SIZE


def as_texts(matrix: Matrix) -> NDArray[Any]:
    """The rows of a matrix of code points as an object array of str; trailing zeros are cut."""
    rows = np.ascontiguousarray(matrix, dtype=np.uint32)
    if not rows.size:
        return np.full(len(rows), "", dtype=object)
    return rows.view(f"=U{rows.shape[1]}").ravel().astype(object)


class Patterns:
    """Some patterns, compiled for drawing: row i of `points` holds pattern i, padded with zeros."""

    def __init__(self, specs: Sequence[str]) -> None:
        """Compile the patterns (not empty)."""
        width = max(len(s) for s in specs)
        self.points = np.zeros((len(specs), width), dtype=np.uint32)
        self.sign = np.zeros((len(specs), width), dtype=np.int64)
        for i, spec in enumerate(specs):
            self.points[i, : len(spec)] = _points(spec)
            self.sign[i, : len(spec)] = [_SIGNS.find(c) + 1 for c in spec]
        self.capacity = [_capacity(s) for s in specs]
        self.free = np.flatnonzero(self.sign.any(axis=0))

    def matrix(self, stream: Stream, which: NDArray[np.int64]) -> Matrix:
        """One filled row for each index of `which`."""
        rows = self.points[which]
        sign = self.sign[:, self.free][which]
        lane = (stream.bits(sign.size) >> np.uint64(32)).astype(np.int64).reshape(sign.shape)
        drawn = _ALL[_FIRST[sign] + (lane * _SIZE[sign] >> 32)]
        rows[:, self.free] = np.where(sign > 0, drawn, rows[:, self.free])
        return rows

    def draw(self, stream: Stream, which: NDArray[np.int64]) -> NDArray[Any]:
        """One text for each index of `which`."""
        return as_texts(self.matrix(stream, which))


def _capacity(spec: str) -> int:
    total = 1
    for sign in spec:
        total *= len(ALPHABETS.get(sign, "x"))
    return total


@cache
def patterns(*specs: str) -> Patterns:
    """The compiled form of these patterns."""
    return Patterns(specs)


def same(stream: Stream, n: int, spec: str) -> Matrix:
    """n rows of code points of one pattern."""
    compiled = patterns(spec)
    rows = np.repeat(compiled.points, n, axis=0)
    if len(compiled.free):
        sign = compiled.sign[0, compiled.free]
        lane = (stream.bits(n * len(sign)) >> np.uint64(32)).astype(np.int64).reshape(n, len(sign))
        rows[:, compiled.free] = _ALL[_FIRST[sign] + (lane * _SIZE[sign] >> 32)]
    return rows


def pattern(ask: Ask) -> NDArray[Any]:
    """pattern:SPEC."""
    return as_texts(same(ask.stream, ask.n, ask.args[0]))


def fact(ask: Ask) -> NDArray[Any]:
    """fact:NAME — the locale's pattern of that name."""
    return as_texts(same(ask.stream, ask.n, ask.pools.facts(ask.locale)[ask.args[0]]))


def spec_of(ask: Ask, head: str) -> str:
    """The pattern behind a `pattern:` or `fact:` source."""
    return ask.args[0] if head == "pattern" else ask.pools.facts(ask.locale)[ask.args[0]]


def seq(ask: Ask) -> NDArray[Any]:
    """seq:TEMPLATE — a running number, from somewhere, with small gaps now and then."""
    before, number, after = _template(ask.args[0])
    width = int(number) if number else 1
    first = ask.stream.between(1, 10**width // 8 if number else 400)
    n = first + np.cumsum(ask.stream.integers(ask.n, 12) // 11 + 1)
    year = 1970 + ask.now // 31556952
    project = "".join(ask.stream.sample(LETTERS, ask.stream.between(2, 4)))
    before = before.replace("{year}", str(year)).replace("{project}", project)
    return joined(before, digits(n, width), after)


@cache
def _template(text: str) -> tuple[str, str, str]:
    before, rest = text.split("{n", 1)
    number, after = rest.split("}", 1)
    return before, number.lstrip(":"), after


def joined(*parts: str | NDArray[Any]) -> NDArray[Any]:
    """Texts and object arrays of texts, one after the other, row by row; one part at least is an array."""
    out: Any = ""
    for part in parts:
        if not isinstance(part, str) and isinstance(out, str) and not out:
            out = part
        elif not isinstance(part, str) or part:
            out = out + part
    found: NDArray[Any] = out
    return found


def digits(numbers: NDArray[np.int64], width: int = 1) -> NDArray[Any]:
    """Whole numbers >= 0 as texts, with leading zeros up to `width`."""
    most = int(numbers.max(initial=0))
    if width == 1 and most < _SMALL:
        return _small()[numbers]
    if width == 1 or most >= 10**width:
        return np.array([f"{x:0{width}d}" for x in numbers.tolist()], dtype=object)
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    return as_texts((numbers[:, None] // powers % 10 + 48).astype(np.uint32))


_SMALL = 10000


@cache
def _small() -> NDArray[Any]:
    """The texts of 0 … 9999, which most numbers inside codes are."""
    return np.array([str(x) for x in range(_SMALL)], dtype=object)


# --- identifiers with an inner rule


def _sum_of(rows: Matrix, weights: NDArray[np.int64]) -> NDArray[np.int64]:
    total: NDArray[np.int64] = (rows[:, : len(weights)].astype(np.int64) - 48) @ weights
    return total


def _ean(stream: Stream, n: int, spec: str) -> NDArray[Any]:
    """A GS1 number: weights 3, 1, 3 … from the right."""
    rows = same(stream, n, spec + "0")
    weights = np.array([1, 3] * 7, dtype=np.int64)[-len(spec) :]
    rows[:, -1] = 48 + (-_sum_of(rows, weights)) % 10
    return as_texts(rows)


def _uuid(ask: Ask) -> NDArray[Any]:
    rows = same(ask.stream, ask.n, "^^^^^^^^-^^^^-4^^^-^^^^-^^^^^^^^^^^^")
    rows[:, 19] = _points("89ab")[ask.stream.integers(ask.n, 4)]
    return as_texts(rows)


def _issn(ask: Ask) -> NDArray[Any]:
    rows = same(ask.stream, ask.n, "####-###0")
    check = -_sum_of(rows, np.array([8, 7, 6, 5, 0, 4, 3, 2], dtype=np.int64)) % 11
    rows[:, 8] = np.where(check == 10, ord("X"), 48 + check)
    return as_texts(rows)


_VIN_VALUE = np.zeros(128, dtype=np.int64)
for _characters, _values in (
    ("0123456789", "0123456789"),
    ("ABCDEFGHJKLMNPR", "123456781234579"),
    ("STUVWXYZ", "23456789"),
):
    _VIN_VALUE[[ord(c) for c in _characters]] = [int(v) for v in _values]
VIN_WEIGHTS = np.array([8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2], dtype=np.int64)


def vin_check(rows: Matrix) -> Matrix:
    """The ninth character that each vehicle identification number ought to have."""
    check = (_VIN_VALUE[rows] @ VIN_WEIGHTS) % 11
    return np.where(check == 10, ord("X"), 48 + check).astype(np.uint32)


def _vin(ask: Ask) -> NDArray[Any]:
    rows = same(ask.stream, ask.n, "???????#0??######")
    for letter, instead in ("QW", "OA", "IB"):
        rows[:, :8][rows[:, :8] == ord(letter)] = ord(instead)
        rows[:, 9:][rows[:, 9:] == ord(letter)] = ord(instead)
    rows[:, 8] = vin_check(rows)
    return as_texts(rows)


def _routing(ask: Ask) -> NDArray[Any]:
    rows = same(ask.stream, ask.n, "0########")
    rows[:, 1] = 49 + (rows[:, 1] - 48) % 9
    rows[:, 8] = 48 + (-_sum_of(rows, np.array([3, 7, 1, 3, 7, 1, 3, 7], dtype=np.int64))) % 10
    return as_texts(rows)


def _card(ask: Ask) -> NDArray[Any]:
    """Sixteen digits that pass the Luhn test, in ranges that card networks use."""
    which = ask.stream.integers(ask.n, 4)
    rows = patterns("4##############0", "51#############0", "54#############0", "6011###########0").matrix(
        ask.stream, which
    )
    figures = rows[:, :15].astype(np.int64) - 48
    twice = figures[:, ::2] * 2
    total = (twice - 9 * (twice > 9)).sum(axis=1) + figures[:, 1::2].sum(axis=1)
    rows[:, 15] = 48 + -total % 10
    return as_texts(rows)


def _isin(ask: Ask) -> NDArray[Any]:
    """US, nine digits and the Luhn digit of the text with letters written as 10 … 35 (U = 30, S = 28)."""
    rows = same(ask.stream, ask.n, "US#########0")
    figures = np.concatenate([np.tile([3, 0, 2, 8], (ask.n, 1)), rows[:, 2:11].astype(np.int64) - 48], axis=1)
    twice = figures[:, ::-2] * 2
    total = (twice - 9 * (twice > 9)).sum(axis=1) + figures[:, -2::-2].sum(axis=1)
    rows[:, 11] = 48 + -total % 10
    return as_texts(rows)


def _remainders(spec: str) -> NDArray[np.int64]:
    """What each position of BBAN + country + 00 counts modulo 97, letters being two digits wide."""
    width = [2 if c.isalpha() or c == "?" else 1 for c in spec]
    after = [sum(width[i + 1 :]) for i in range(len(spec))]
    return np.array([pow(10, a, 97) for a in after], dtype=np.int64)


def _iban(ask: Ask) -> NDArray[Any]:
    """The locale's country and BBAN pattern (`DE||####`: country, fixed letters, digits) with ISO 7064 check digits."""
    country, letters, rest = ask.pools.facts(ask.locale)["iban"].split("|")
    spec = letters + rest + country + "00"
    rows = same(ask.stream, ask.n, spec)
    values = np.where(rows > 57, rows.astype(np.int64) - 55, rows.astype(np.int64) - 48)
    check = 98 - (values @ _remainders(spec)) % 97
    head = np.repeat(_points(country)[None], ask.n, axis=0)
    figures = np.stack([48 + check // 10, 48 + check % 10], axis=1).astype(np.uint32)
    return as_texts(np.concatenate([head, figures, rows[:, : len(letters + rest)]], axis=1))


def _bic(ask: Ask) -> NDArray[Any]:
    return as_texts(same(ask.stream, ask.n, f"????{ask.pools.facts(ask.locale)['country_code']}?%"))


def _ipv4(ask: Ask) -> NDArray[Any]:
    """Addresses of private networks, which no world can own by accident."""
    a, b, c = (digits(ask.stream.integers(ask.n, bound)) for bound in (256, 256, 254))
    return joined("10.", a, ".", b, ".", c)


def _semver(ask: Ask) -> NDArray[Any]:
    a, b, c = (ask.stream.integers(ask.n, bound) for bound in (60, 400, 360))
    major, minor, patch = (digits(x * x // scale) for x, scale in ((a, 400), (b, 4000), (c, 4000)))
    return joined(major, ".", minor, ".", patch)


def _room(ask: Ask) -> NDArray[Any]:
    floor = 1 + ask.stream.integers(ask.n, 6)
    return digits(floor * 100 + 1 + ask.stream.integers(ask.n, 24))


def _seat(ask: Ask) -> NDArray[Any]:
    letter = as_texts(_points("ABCDEF")[ask.stream.integers(ask.n, 6)][:, None])
    return joined(digits(1 + ask.stream.integers(ask.n, 32)), letter)


def _blood_pressure(ask: Ask) -> NDArray[Any]:
    upper = 104 + ask.stream.integers(ask.n, 24) + ask.stream.integers(ask.n, 24)
    lower = upper * (58 + ask.stream.integers(ask.n, 12)) // 100
    return joined(digits(upper), "/", digits(lower))


MAKERS: dict[str, Callable[[Ask], NDArray[Any]]] = {
    "uuid": _uuid,
    "ean13": lambda ask: _ean(ask.stream, ask.n, "4###########"),
    "ean8": lambda ask: _ean(ask.stream, ask.n, "4######"),
    "upc": lambda ask: _ean(ask.stream, ask.n, "0##########"),
    "isbn13": lambda ask: _ean(ask.stream, ask.n, "978#########"),
    "issn": _issn,
    "vin": _vin,
    "iban": _iban,
    "bic": _bic,
    "routing": _routing,
    "card": _card,
    "isin": _isin,
    "ipv4": _ipv4,
    "semver": _semver,
    "room": _room,
    "seat": _seat,
    "blood_pressure": _blood_pressure,
}


def code(ask: Ask) -> NDArray[Any]:
    """code:NAME — one of MAKERS."""
    return MAKERS[ask.args[0]](ask)


def every(stream: Stream, n: int, spec: str, name: str) -> NDArray[Any]:
    """n different texts of one pattern.

    Raises:
        BadRequest: the pattern has fewer.
    """
    capacity = patterns(spec).capacity[0]
    if n > capacity:
        raise BadRequest(f"{name}: there are but {capacity:,} different values; ask for fewer rows, or drop UNIQUE")
    index = stream.order(capacity)[:n]
    compiled = patterns(spec)
    rows = np.repeat(compiled.points, n, axis=0)
    for column in compiled.free[::-1]:
        sign = compiled.sign[0, column]
        index, rest = np.divmod(index, _SIZE[sign])
        rows[:, column] = _ALL[_FIRST[sign] + rest]
    return as_texts(rows)
