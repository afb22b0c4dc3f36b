"""Submitted answers, by their kind.  An answer is one value, in any usual form; a text that lists several is none of them."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import orjson

from worlddb.episode.matchers import shown, within
from worlddb.episode.moments import moment_of
from worlddb.episode.rows import perfect
from worlddb.tasks.goal import Answer, folded

LONGEST = 100_000
"""Characters of an answer that is looked at."""
LARGEST = 10**300
"""Of a number that is looked at."""
ITEMS = 5_000
"""Items of a set or list that are looked at."""

NOTHING = frozenset(("", "none", "null", "nil", "n/a", "na", "nothing", "empty", "not set", "unknown"))
"""Words for a value that is not there."""
IMPOSSIBLE = frozenset(
    (
        "", "none", "null", "nil", "n/a", "na", "no", "nothing", "impossible", "infeasible", "refused", "denied", "forbidden",
        "cannot", "unable", "not possible", "not feasible", "not allowed", "not permitted", "cannot be done",
        "can't be done", "can not be done", "cannot do", "it is impossible", "it's impossible", "it is not possible",
        "it's not possible", "this is impossible", "this is not possible", "it cannot be done", "it can't be done",
        "this cannot be done", "this can't be done", "the task is impossible", "nothing can be done",
    )
)  # fmt: skip
"""Words for: it cannot be done."""
_REFUSAL = re.compile(
    r"\b(impossible|infeasible|can(not|'t|\u2019t| not)|could(n't|n\u2019t| not)|unable|refused|refuses|rejected|denied|forbidden"
    r"|not (be )?(possible|feasible|allowed|permitted|done))\b",
    re.IGNORECASE,
)
"""A sentence that says so, with the reason perhaps.  That nothing was changed is judged apart."""


def accepts(wanted: Answer, given: Any) -> bool:
    """True where a submitted answer, any JSON value, is the wanted one."""
    if isinstance(given, str):
        if len(given) > LONGEST:
            return False
        given = given.strip()
    if wanted.kind == "none":
        return given is None or (isinstance(given, str) and (_words(given) in IMPOSSIBLE or _refuses(given)))
    if wanted.kind in ("set", "list"):
        return _several(wanted, given)
    if wanted.kind == "record":
        return _record(wanted, given)
    if isinstance(given, list | tuple) and len(given) == 1:
        given = given[0]
    if wanted.value is None:
        return given is None or (isinstance(given, str) and _words(given) in NOTHING)
    return _SCALARS[wanted.kind](wanted, given)


def _refuses(text: str) -> bool:
    """True for a sentence that says that it cannot be done, and does not leave it open."""
    return bool(_REFUSAL.search(text)) and " or " not in text.lower()


def _words(text: str) -> str:
    return folded(text).rstrip(".!")


# --- numbers

_CODES = (
    "usd eur gbp jpy chf cad aud nzd sek nok dkk pln czk huf ron bgn try brl mxn ars clp cop pen inr cny krw sgd hkd twd thb "
    "idr myr php vnd zar ils aed sar egp uah rub isk kwd bhd tnd jod omr"
)
_SIGN = re.compile(
    rf"\b(?:{_CODES.replace(' ', '|')})\b|(?:[A-Z]{{1,3}})?\$|kr\.?|zł|Kč|Ft|R\$|[€£¥₹₩₺₽₴₪฿₫₱₦₡₲¢]", re.IGNORECASE
)
_PLAIN = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,3})?")
_GROUPED = (
    re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?"),
    re.compile(r"[+-]?\d{1,3}([ '_]\d{3})+([.,]\d+)?"),
    re.compile(r"[+-]?\d{1,3}(\.\d{3}){2,}(,\d+)?|[+-]?\d{1,3}(\.\d{3})+,\d+"),
)
_COMMA = re.compile(r"[+-]?\d+,\d+")
"""A decimal comma: not with three digits after it, which are read as thousands."""


def number_of(text: str) -> tuple[float, bool, bool] | None:
    """The number that a text is, whether it has decimals, and whether it has a currency; None where it is no one number."""
    plain = unicodedata.normalize("NFKC", text).replace("\u2212", "-").replace("\u2019", "'")
    bare, signs = _SIGN.subn(" ", plain)
    bare = bare.strip().removesuffix("%").strip()
    bare = re.sub(r"^([+-])\s+", r"\1", bare)
    if signs > 2:
        return None
    if _PLAIN.fullmatch(bare):
        clean = bare
    elif _GROUPED[0].fullmatch(bare):
        clean = bare.replace(",", "")
    elif _GROUPED[1].fullmatch(bare):
        clean = re.sub(r"[ '_]", "", bare).replace(",", ".")
    elif _GROUPED[2].fullmatch(bare):
        clean = bare.replace(".", "").replace(",", ".")
    elif _COMMA.fullmatch(bare):
        clean = bare.replace(",", ".")
    else:
        return None
    value = float(clean)
    if not math.isfinite(value):
        return None
    return value if not clean.lstrip("+-").isdecimal() else int(clean), "." in clean, signs > 0


def _number(wanted: Answer, given: Any) -> bool:
    if isinstance(given, bool):
        return False
    if isinstance(given, int | float):
        if not -LARGEST < given < LARGEST:  # false for what is no number as well
            return False
        whole = float(given).is_integer()
        # 188 may be 188 dollars, as people speak, or 188 cents, as the tools do: JSON keeps nothing that could tell
        readings = {False, True} if whole else {True}
        return any(_near(wanted, given, major) for major in readings)
    if not isinstance(given, str):
        return False
    found = number_of(given)
    if found is None:
        return False
    value, decimals, currency = found
    return any(_near(wanted, value, major) for major in ({True} if decimals or currency else {False, True}))


def _near(wanted: Answer, value: float, major: bool) -> bool:
    """Whether a number is the wanted one; `major`: of money it counts the major units."""
    stored = value * wanted.minor if wanted.minor and major else value
    return within(stored, wanted.value, wanted.tolerance)


# --- words


def _text(wanted: Answer, given: Any) -> bool:
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    if not isinstance(given, str):
        return False
    text = folded(given)
    return any(text == folded(str(v)) for v in (wanted.value, *wanted.aliases))


def _code(wanted: Answer, given: Any) -> bool:
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    if not isinstance(given, str):
        return False
    return any(given.strip().casefold() == str(v).strip().casefold() for v in (wanted.value, *wanted.aliases))


_YES = frozenset(("true", "yes", "y", "1", "on"))
_NO = frozenset(("false", "no", "n", "0", "off"))


def _flag(wanted: Answer, given: Any) -> bool:
    if isinstance(given, str):
        word = _words(given)
        found = True if word in _YES else False if word in _NO else None
    else:
        found = bool(given) if given in (0, 1) and not isinstance(given, float) else None
    return found is not None and found == bool(wanted.value)


# --- moments


def _date(wanted: Answer, given: Any) -> bool:
    found = moment_of(given) if isinstance(given, str) else None
    target = moment_of(str(wanted.value))
    if found is None or target is None:
        return False
    return found[0] == target[0] and found[1] in ("", "00:00", "00:00:00", target[1])


def _datetime(wanted: Answer, given: Any) -> bool:
    """To the precision of what is given: minutes do, a mere day only for midnight."""
    found = moment_of(given) if isinstance(given, str) else None
    target = moment_of(str(wanted.value))
    if found is None or target is None or found[0] != target[0]:
        return False
    time = target[1] or "00:00:00"
    return time.startswith(found[1]) if found[1] else time == "00:00:00"


_SCALARS: dict[str, Callable[[Answer, Any], bool]] = {
    "number": _number, "text": _text, "code": _code, "flag": _flag, "date": _date, "datetime": _datetime,
}  # fmt: skip


# --- several values


def _several(wanted: Answer, given: Any) -> bool:
    readings: Sequence[Sequence[Any]]
    if isinstance(given, str):
        readings = _listed(given)
    elif isinstance(given, list | tuple | set | frozenset):
        readings = [list(given)]
    elif given is None:
        readings = [[]]
    else:
        readings = [[given]]
    return any(len(r) == len(wanted.value) <= ITEMS and _items(wanted, r) for r in readings)


def _listed(text: str) -> list[list[str]]:
    """The lists that a text may be: JSON, lines, or items between semicolons or commas."""
    if text[:1] == "[":
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError:
            return []
        return [found] if isinstance(found, list) else []
    if _words(text) in NOTHING:
        return [[]]
    lines = [
        line for line in (re.sub(r"^\s*(?:[-*•]|\d{1,4}[.)])\s+", "", t) for t in text.splitlines()) if line.strip()
    ]
    readings = [[text], lines, text.split(";"), text.split(",")]
    commas = re.sub(r",? (?:and|und|et|&) ", ",", " ".join(text.split()))
    readings.append(commas.split(","))
    return [[item.strip() for item in reading] for reading in readings]


def _items(wanted: Answer, given: Sequence[Any]) -> bool:
    each = [
        Answer(
            kind=wanted.item or "text", value=v, tolerance=wanted.tolerance, minor=wanted.minor, aliases=_own(wanted, v)
        )
        for v in wanted.value
    ]
    if wanted.kind == "list":
        return all(accepts(one, g) for one, g in zip(each, given, strict=True))
    if all(accepts(one, g) for one, g in zip(each, given, strict=True)):
        return True
    options: dict[str, list[int]] = {}
    known: dict[str, list[int]] = {}
    for n, one in enumerate(each):
        text = repr(one.value)
        if text not in known:
            known[text] = [i for i, g in enumerate(given) if accepts(one, g)]
        options[str(n)] = known[text]
    return perfect(options) is not None


def _own(wanted: Answer, value: Any) -> tuple[str, ...]:
    """Other words for one item: those aliases of the whole that say it with other marks between the words."""
    if not wanted.aliases:
        return ()
    plain = str(value).replace("_", " ").casefold()
    return tuple(a for a in wanted.aliases if a.replace("_", " ").casefold() == plain)


def _record(wanted: Answer, given: Any) -> bool:
    if isinstance(given, str):
        try:
            given = orjson.loads(given)
        except orjson.JSONDecodeError:
            return False
    parts = {_name(k): msgspec.convert(v, Answer) for k, v in wanted.value.items()}
    if isinstance(given, dict):
        named = {_name(k): v for k, v in given.items()}
        if len(named) == len(given) and named.keys() == parts.keys():
            return all(accepts(p, named[k]) for k, p in parts.items())
        given = list(given.values())  # by names of the agent's own: then their order tells what is what
    if not isinstance(given, list | tuple) or len(given) != len(parts):
        return False
    return all(accepts(p, v) for p, v in zip(parts.values(), given, strict=True))


def _name(key: Any) -> str:
    return re.sub(r"[\s_-]+", "_", folded(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(key))))


# --- in words


def said(wanted: Answer) -> str:
    """What is wanted, in words."""
    value = wanted.value
    if wanted.kind == "none":
        return "that it cannot be done"
    if wanted.kind == "record":
        parts = {k: msgspec.convert(v, Answer) for k, v in value.items()}
        return ", ".join(f"{k}: {said(v)}" for k, v in parts.items())
    if wanted.kind in ("set", "list"):
        return f"{', '.join(shown(v) for v in value[:10])}{' …' if len(value) > 10 else ''}" or "nothing"
    if wanted.kind == "number" and wanted.tolerance and value is not None:
        return f"{value} ± {wanted.tolerance:g}"
    return shown(bool(value)) if wanted.kind == "flag" and value is not None else shown(value)
