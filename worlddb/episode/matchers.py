"""Matchers made ready: a test of a stored value for each, and what they expect in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import orjson

from worlddb.tasks.forms import Window
from worlddb.tasks.goal import Anything, Bag, Clock, Equal, Facts, Json, Matcher, Near, New, OneOf, Text, folded

Test: TypeAlias = Callable[[Any, Window], bool]
"""Whether a stored value is right; the window is the time of the episode."""


def within(value: float, wanted: float, tolerance: float) -> bool:
    """True for numbers that differ by the tolerance or less; floating-point error, which no tolerance is about, is let pass."""
    if isinstance(value, int) and isinstance(wanted, int):
        return abs(value - wanted) <= tolerance
    return abs(value - wanted) <= tolerance + 1e-9 + 4e-16 * abs(wanted)


def test_of(matcher: Matcher) -> Test:
    """The test of a matcher.  That of New passes everything but NULL: whom it means is decided among the new rows."""
    return _TESTS[type(matcher)](matcher)


def _equal(matcher: Equal) -> Test:
    wanted = matcher.value
    return lambda value, _: value == wanted


def _one_of(matcher: OneOf) -> Test:
    wanted = frozenset(matcher.values)
    return lambda value, _: value in wanted


def _near(matcher: Near) -> Test:
    wanted, tolerance = matcher.value, matcher.tolerance

    def test(value: Any, _: Window) -> bool:
        return isinstance(value, int | float) and within(value, wanted, tolerance)

    return test


def _text(matcher: Text) -> Test:
    exact, wanted = matcher.value, folded(matcher.value)

    def test(value: Any, _: Window) -> bool:
        return value == exact or (isinstance(value, str) and folded(value) == wanted)

    return test


def _facts(matcher: Facts) -> Test:
    has, lacks = [folded(t) for t in matcher.has], [folded(t) for t in matcher.lacks]

    def test(value: Any, _: Window) -> bool:
        if not isinstance(value, str):
            return False
        text = folded(value)
        return all(t in text for t in has) and not any(t in text for t in lacks)

    return test


def _spelt(value: Any) -> Any:
    """The value that JSON text spells; text that is none stands for itself as a text that nothing else equals."""
    try:
        return orjson.loads(value)
    except (orjson.JSONDecodeError, TypeError):
        return _NO_JSON


_NO_JSON = object()


def canonical(value: Any) -> bytes:
    """JSON values that are the same, as the same bytes: 1 and 1.0, but not 1 and true."""
    return orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _json(matcher: Json) -> Test:
    wanted = canonical(matcher.value)

    def test(value: Any, _: Window) -> bool:
        found = _spelt(value)
        return found is not _NO_JSON and canonical(found) == wanted

    return test


def _bag(matcher: Bag) -> Test:
    wanted = sorted(canonical(v) for v in matcher.values)

    def test(value: Any, _: Window) -> bool:
        found = _spelt(value)
        return isinstance(found, list) and sorted(canonical(v) for v in found) == wanted

    return test


_TESTS: dict[type[Any], Callable[[Any], Test]] = {
    Equal: _equal,
    OneOf: _one_of,
    Near: _near,
    Text: _text,
    Facts: _facts,
    Json: _json,
    Bag: _bag,
    Clock: lambda _: lambda value, window: window.holds(value),
    Anything: lambda _: lambda value, window: True,
    New: lambda _: lambda value, window: value is not None,
}


def shown(value: Any) -> str:
    """A stored value as lines show it: text in quotes, NULL by its name."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        plain = value[:LONGEST].encode(errors="replace").decode()  # half a surrogate pair is no text
        return f"'{plain}'" if len(value) <= LONGEST else f"'{plain}…'"
    try:
        return f"{value}"
    except (RecursionError, ValueError):  # nested too deeply, or a number of too many digits
        return f"a {type(value).__name__} that is too large to show"


LONGEST = 80
"""Characters of a text that a line shows."""


def expected(matcher: Matcher) -> str:
    """What a matcher expects, in words that follow 'should be'."""
    match matcher:
        case Equal(value=value) | Text(value=value):
            return shown(value)
        case OneOf(values=values):
            return f"one of {', '.join(shown(v) for v in values[:10])}{' …' if len(values) > 10 else ''}"
        case Near(value=value, tolerance=tolerance):
            return f"{value} ± {tolerance:g}"
        case Facts(has=has, lacks=lacks):
            without = f", and not say {', '.join(shown(t) for t in lacks)}" if lacks else ""
            return f"a text that says {', '.join(shown(t) for t in has) or 'anything'}{without}"
        case Bag(values=values):
            return f"{orjson.dumps(values).decode()} in any order"
        case Json(value=value):
            return orjson.dumps(value).decode()
        case Clock():
            return "a moment of the episode"
        case New(var=var):
            return f"the key of the new row '{var}'"
        case _:
            return "anything"
