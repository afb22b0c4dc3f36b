"""Distinct values: clashes are drawn again, and those that stay get a suffix which keeps the value of its type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from itertools import chain, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worlddb.errors import BadRequest
from worlddb.rng import Stream
from worlddb.semantics import codes
from worlddb.semantics.ask import Ask
from worlddb.semantics.groups import before_at, before_dot, plain
from worlddb.semantics.pools import texts
from worlddb.semantics.recognise import recognises
from worlddb.semantics.types import ancestors

Values = NDArray[Any]
Redraw = Callable[[Stream, int], Values]
Bounds = tuple[int | None, int | None]

_ROUNDS = 40
_INITIALS = ("", *codes.LETTERS)


def distinct_from(ask: Ask, head: str, more: Redraw, bounds: Bounds, closed: Values | None) -> Values:
    """n different values; see `worlddb.semantics.draw.distinct`."""
    options = closed if closed is not None else _closed(ask, head)
    if options is not None:
        return _sample(ask, options)
    made = more(ask.stream, ask.n)
    rows = made.tolist()
    if len(set(rows)) == len(rows):
        return made
    if ask.kind.sql != "TEXT" and None not in bounds:
        return _from_range(ask, rows, bounds)
    if head in ("pattern", "fact") and ask.n * 8 > codes.patterns(spec := codes.spec_of(ask, head)).capacity[0]:
        return codes.every(ask.stream, ask.n, spec, ask.kind.name)
    _redraw(ask, rows, more)
    _finish(ask, rows)
    return texts(rows) if ask.kind.sql == "TEXT" else np.array(rows, dtype=made.dtype)


def _closed(ask: Ask, head: str) -> Values | None:
    """All values of a type that has no others, or has enough of them in its pool."""
    if ask.kind.values:
        return texts(ask.kind.values)
    if head in ("some", "home"):
        words = ask.pools.words(ask.args[0], ask.locale)
        if ask.n <= len(words) or not recognises(ask.kind.name, f"{words[0]} 2"):
            return words
    return None


def _sample(ask: Ask, options: Values) -> Values:
    if ask.n > len(options):
        raise BadRequest(
            f"{ask.kind.name}: there are but {len(options)} different values; ask for fewer rows, or drop UNIQUE"
        )
    return options[ask.stream.order(len(options))[: ask.n]]


def _from_range(ask: Ask, rows: list[Any], bounds: Bounds) -> Values:
    """The drawn numbers, each repetition replaced by one of the range that is still free."""
    low, high = int(bounds[0] or 0), int(bounds[1] or 0)
    if ask.n > high - low + 1:
        raise BadRequest(f"{ask.kind.name}: [{low}, {high}] holds fewer than {ask.n} numbers; widen it, or drop UNIQUE")
    whole = [round(x * 10**ask.scale) for x in rows]
    used = set(whole)
    free = (x for x in range(low, high + 1) if x not in used)
    seen: set[int] = set()
    for i, x in enumerate(whole):
        if x in seen:
            whole[i] = next(free)
        seen.add(whole[i])
    out = np.array(whole, dtype=np.int64)
    return out / float(10**ask.scale) if ask.kind.sql == "REAL" else out


def _clashes(rows: list[Any]) -> list[int]:
    """The places of all repetitions."""
    seen: set[Any] = set()
    again = []
    for i, value in enumerate(rows):
        if value in seen:
            again.append(i)
        seen.add(value)
    return again


def _redraw(ask: Ask, rows: list[Any], more: Redraw) -> None:
    """Draw the repetitions again, as long as that helps."""
    clashes = _clashes(rows)
    for turn in range(_ROUNDS):
        if not clashes:
            return
        for i, value in zip(clashes, more(ask.stream.child("again", str(turn)), len(clashes)).tolist(), strict=True):
            rows[i] = value
        left = _clashes(rows)
        if len(left) > 20 and len(left) * 10 > len(clashes) * 9:
            return
        clashes = left


def _finish(ask: Ask, rows: list[Any]) -> None:
    """Give each repetition that is left a value of its own."""
    if ask.kind.sql != "TEXT":
        _raise_numbers(rows, 1, lambda x: round(x * 10**ask.scale), lambda x: x / 10**ask.scale if ask.scale else x)
    elif ask.kind.temporal == "date":
        _raise_numbers(rows, 1, lambda x: date.fromisoformat(x).toordinal(), lambda x: date.fromordinal(x).isoformat())
    elif ask.kind.temporal == "datetime":
        _raise_numbers(rows, 60, _to_seconds, _from_seconds)
    else:
        _vary(ask, rows)


def _raise_numbers(rows: list[Any], step: int, number: Callable[[Any], int], value: Callable[[int], Any]) -> None:
    """Move each repetition to the next free place; `ahead` remembers where runs of used places end."""
    used = {number(row) for row in rows}
    ahead: dict[int, int] = {}
    for i in _clashes(rows):
        place, passed = number(rows[i]), []
        while place in used:
            passed.append(place)
            place = ahead.get(place, place + step)
        ahead.update(dict.fromkeys(passed, place))
        used.add(place)
        rows[i] = value(place)


_EPOCH = datetime(1970, 1, 1)


def _to_seconds(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(seconds=1)


def _from_seconds(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat(sep=" ")


def _vary(ask: Ask, rows: list[Any]) -> None:
    """Give repeated texts a suffix."""
    used = set(rows)
    ways: dict[str, Iterator[str]] = {}
    name, join = _join(ask)
    for i in _clashes(rows):
        key = name if name in _SERIES else rows[i]
        if key not in ways:
            ways[key] = _variants(ask, rows[i], name, join)
        rows[i] = next(v for v in ways[key] if v not in used)
        used.add(rows[i])


def _join(ask: Ask) -> tuple[str, Callable[[str, int], str]]:
    """The nearest ancestor that says how its values are numbered, and how."""
    for name in ancestors(ask.kind.name):
        if name in _JOINS:
            return name, _JOINS[name]
    return "", _spaced


def _variants(ask: Ask, value: str, name: str, join: Callable[[str, int], str]) -> Iterator[str]:
    """Endless values like this one."""
    if not recognises(ask.kind.name, join(value, 2)):
        raise BadRequest(f"{ask.kind.name}: there are not {ask.n} different values; ask for fewer rows, or drop UNIQUE")
    numbers = (join(value, k) for k in range(2, 1 << 40))
    return chain(_initials(value), numbers) if ask.kind.name in ("full_name", "person_name") else numbers


def _initials(name: str) -> Iterator[str]:
    """'Anna Berg' → 'Anna B. Berg', then with two initials."""
    first, _, last = name.partition(" ")
    for a, b in product(_INITIALS, _INITIALS[1:]):
        yield f"{first} {a + '. ' if a else ''}{b}. {last}"


def _spaced(text: str, number: int) -> str:
    return f"{text} {number}"


def _letters(text: str, number: int) -> str:
    """'BIO101', 2 → 'BIO101B'; after Z come two letters."""
    tail = ""
    while number:
        number, rest = divmod(number - 1, 26)
        tail = chr(65 + rest) + tail
    return text + tail


def _before_last_dot(text: str, number: int) -> str:
    stem, _, extension = text.rpartition(".")
    return f"{stem}_{number}.{extension}"


def _in_url(text: str, number: int) -> str:
    scheme, _, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}{slash or '/'}{path or 'p'}{number}"


def _in_image(text: str, number: int) -> str:
    return f"{text[:-4]}-{number}.jpg"


def _dashed(text: str, number: int) -> str:
    return f"{text}-{number}"


def _json(text: str, number: int) -> str:
    if text.startswith("["):
        return f'{text[:-1]}, "tag-{number}"]'
    return f'{text[:-1]}, "copy": {number}}}'


def _room(text: str, number: int) -> str:
    return str(998 + number)


def _seat(text: str, number: int) -> str:
    return f"{33 + number // 6}{'ABCDEF'[number % 6]}"


def _semver(text: str, number: int) -> str:
    return f"{100 + number // 10000}.{number // 100 % 100}.{number % 100}"


_SERIES = ("room_number", "seat_number", "semver")
"""Types whose further values follow each other, whichever value clashes."""

_JOINS: dict[str, Callable[[str, int], str]] = {
    "email": before_at,
    "username": plain,
    "social_handle": plain,
    "domain_name": before_dot,
    "image_url": _in_image,
    "url": _in_url,
    "slug": _dashed,
    "hostname": _dashed,
    "tag": _dashed,
    "keyword": _dashed,
    "file_name": _before_last_dot,
    "file_path": _before_last_dot,
    "course_code": _letters,
    "document": _json,
    "seat_number": _seat,
    "room_number": _room,
    "semver": _semver,
}
