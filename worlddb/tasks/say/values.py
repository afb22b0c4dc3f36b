"""Stored values in words, and the words as stored values.  What is said of a value reads as that value exactly.

A value is said by its kind (see `Lexicon.kind`): money 18880 as '188.80', 'EUR 188.80' or '€188.80', a moment as
'3 March 2026 at 14:05', a state 'checked_in' as 'checked in'.  Whatever has no words of its own stands in quotation marks.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from worlddb.tasks.say.lexer import CODE, OPEN, Text, is_code, is_name

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_MONTH = {m.lower(): i + 1 for i, m in enumerate(MONTHS)} | {m[:3].lower(): i + 1 for i, m in enumerate(MONTHS)}
SMALL = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NAMES = "|".join(sorted((m[:3] + rf"(?:{m[3:]})?" if len(m) > 3 else m for m in MONTHS), key=len, reverse=True))
_DAY = (
    rf"(?P<y>\d{{4}})-(?P<m>\d\d)-(?P<d>\d\d)"
    rf"|(?:the )?(?P<d1>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? (?P<m1>{_NAMES})\b(?:,? (?P<y1>\d{{4}}))?"
    rf"|(?P<m2>{_NAMES}) (?P<d2>\d{{1,2}})(?:st|nd|rd|th)?(?:,? (?P<y2>\d{{4}}))?"
)
_CLOCK = r"(?P<H>\d{1,2}):(?P<M>\d\d)(?::(?P<S>\d\d))?(?: ?(?P<half>am|pm))?"
DATE = re.compile(_DAY, re.I)
CLOCK = re.compile(_CLOCK, re.I)
DATETIME = re.compile(rf"(?:{_DAY})(?:,? at | |T|, ){_CLOCK}", re.I)
DATETIME2 = re.compile(rf"{_CLOCK},? on (?:{_DAY})", re.I)
_PLAIN = r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?|-?\d+(?:\.\d+)?"
NUMBER = re.compile(rf"(?P<n>{_PLAIN})(?![\d]|[.,:/-]\d)(?: ?(?P<u>%|percent\b|°C|[A-Za-z]+\d?\b))?")
MONEY = re.compile(
    rf"(?:(?P<c>[A-Z]{{3}}) ?|(?P<s>R\$|[€$£¥₹₩₺]|zł) ?)?(?P<n>{_PLAIN})(?![\d]|[.,:/-]\d)(?: (?P<c2>[A-Z]{{3}})\b)?"
)
_STORED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def _ordinal(n: int) -> str:
    return f"{n}{'th' if 10 < n % 100 < 14 else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"


STYLES = ("day", "month", "iso", "short", "formal", "ordinal", "near", "nearly")
"""Names of the ways in which `days` says a date, in its order; 'near' and 'nearly' leave out the year of now."""


@lru_cache(16384)
def days(value: str, year: int) -> tuple[str, ...]:
    """Ways to say a date, in the order of STYLES; the last two only for a date of `year`."""
    y, m, d = int(value[:4]), int(value[5:7]), int(value[8:10])
    name = MONTHS[m - 1]
    said = [
        f"{d} {name} {y}",
        f"{name} {d}, {y}",
        value,
        f"{d} {name[:3]} {y}",
        f"{_ordinal(d)} of {name} {y}",
        f"{name} {_ordinal(d)}, {y}",
    ]
    return tuple(said + ([f"{d} {name}", f"{name} {_ordinal(d)}"] if y == year else []))


def clocks(value: str) -> tuple[str, ...]:
    """Ways to say a time of day ('14:05:00')."""
    hour, minute, second = int(value[:2]), value[3:5], value[6:8]
    tail = f":{second}" if second and second != "00" else ""
    half = "am" if hour < 12 else "pm"
    return (f"{value[:5]}{tail}", f"{(hour - 1) % 12 + 1}:{minute}{tail} {half}")


def _the_day(m: re.Match[str], year: int) -> str:
    g = m.groupdict()
    if g["y"]:
        y, month, day = int(g["y"]), int(g["m"]), int(g["d"])
    elif g["d1"]:
        y, month, day = int(g["y1"] or year), _MONTH[g["m1"][:3].lower()], int(g["d1"])
    else:
        y, month, day = int(g["y2"] or year), _MONTH[g["m2"][:3].lower()], int(g["d2"])
    try:
        return date(y, month, day).isoformat()
    except ValueError:
        return ""


def _the_clock(m: re.Match[str]) -> str:
    hour = int(m["H"])
    if m["half"]:
        hour = hour % 12 + (12 if m["half"].lower() == "pm" else 0)
    return f"{hour:02d}:{m['M']}:{m['S'] or '00'}" if hour < 24 else ""


def read_date(text: Text, i: int, year: int) -> list[tuple[int, str]]:
    """A date from token i on."""
    found = text.match(DATE, i)
    return [(found[0], value)] if found and (value := _the_day(found[1], year)) else []


def read_clock(text: Text, i: int) -> list[tuple[int, str]]:
    """A time of day from token i on, with seconds."""
    found = text.match(CLOCK, i)
    return [(found[0], value)] if found and (value := _the_clock(found[1])) else []


def read_moment(text: Text, i: int, year: int) -> list[tuple[int, str]]:
    """A moment from token i on, as stored."""
    for pattern in (DATETIME, DATETIME2):
        found = text.match(pattern, i)
        if found and (day := _the_day(found[1], year)) and (clock := _the_clock(found[1])):
            return [(found[0], f"{day} {clock}")]
    return []


def moments(value: str, year: int) -> tuple[str, ...]:
    """Ways to say a moment; as stored where it is not stored as usual."""
    if not _STORED.fullmatch(value):
        return ()
    clock, half = clocks(value[11:])
    forms = ("{0} at {1}", "{0} at {2}", "{0} {1}", "{0}, {1}", "{1} on {0}", "{2} on {0}", "{0} at {2}", "{0} at {1}")
    return tuple([form.format(day, clock, half) for form, day in zip(forms, days(value[:10], year), strict=False)])


@lru_cache(16384)
def numbers(value: float, cents: bool) -> tuple[str, ...]:
    """Ways to write a number; of money, the stored minor units."""
    exact = Decimal(repr(value) if isinstance(value, float) else value)
    if cents:
        exact /= 100
        text = f"{exact:.2f}" if exact == exact.quantize(Decimal("0.01")) else format(exact.normalize(), "f")
    else:
        text = format(exact, "f")
        if isinstance(value, float) and "." in text:
            text = text.rstrip("0").rstrip(".")
    whole, _, rest = text.partition(".")
    grouped = f"{int(whole):,}" if whole not in ("-0",) else whole
    found = [text]
    if grouped != whole:
        found.append(f"{grouped}.{rest}" if rest else grouped)
    if cents and rest == "00":
        found += [whole, grouped]
    return tuple(dict.fromkeys(found))


def preferred(found: tuple[str, ...]) -> str:
    """Of the ways to write a number the one that people prefer: 950, 1,200, 40,000, but 1200.50 with its cents."""
    return max(found, key=lambda f: ("." not in f, "," in f))


def _number(written: str, cents: bool, real: bool) -> float | int | None:
    try:
        exact = Decimal(written.replace(",", ""))
    except InvalidOperation:
        return None
    if cents:
        exact *= 100
    if exact == exact.to_integral_value() and not real:
        return int(exact)
    return float(exact)


def read_number(text: Text, i: int, units: tuple[str, ...], real: bool) -> list[tuple[int, Any]]:
    """A number from token i on, with its unit where that is said."""
    if i < text.n and not units and text.low[i] in SMALL:
        return [(i + 1, SMALL.index(text.low[i]))]
    if i >= text.n:
        return []
    m = NUMBER.match(text.raw, text.start[i])
    if m is None:
        return []
    end = m.end() if m["u"] and (m["u"] in units or (m["u"] == "percent" and "%" in units)) else m.end("n")
    value = _number(m["n"], False, real)
    return [(text.at[end], value)] if end in text.at and value is not None else []


def read_money(text: Text, i: int, currency: str, symbol: str, names: tuple[str, ...]) -> list[tuple[int, Any]]:
    """An amount from token i on, in minor units; with no currency, or with this one, by its code, its sign or a name."""
    if i >= text.n:
        return []
    m = MONEY.match(text.raw, text.start[i])
    if m is None or (m["c"] and m["c"] != currency) or (m["s"] and m["s"] != symbol):
        return []
    end = m.end() if m["c2"] == currency and currency else m.end("n")
    value = _number(m["n"], True, False)
    if end not in text.at or value is None:
        return []
    after = text.at[end]
    return [(after + (after < text.n and text.low[after] in names), value)]


def texts(value: str) -> tuple[str, ...]:
    """Ways to write a text: bare where it is a name or a code, else in quotation marks that it does not hold."""
    if is_name(value) or is_code(value):
        return (value,)
    return tuple(f"{a}{value}{b}" for a, b in OPEN.items() if b not in value and a not in value)[:2]


def read_text(text: Text, i: int) -> list[tuple[int, str]]:
    """A text from token i on: in quotation marks, a name, or a code."""
    if found := text.quoted(i):
        return [found]
    out = []
    if found := text.name(i):
        out.append(found)
    if i < text.n and (m := CODE.match(text.raw, text.start[i])) is not None:
        value = re.sub(r"['\u2019]s$", "", m.group())
        end = text.start[i] + len(value)
        if end in text.at and is_code(value) and (text.at[end], value) not in out:
            out.append((text.at[end], value))
    return out
