"""Dates and moments in the forms in which people and models write them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from worlddb.tasks.goal import folded

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_DAYS = re.compile(r"^(mon|tue|tues|wed|wednes|thu|thur|thurs|fri|sat|satur|sun)(day)?,?\s+")
_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})")
_DOTTED = re.compile(r"(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})")
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_WORDED = re.compile(r"(\d{1,2})(?:st|nd|rd|th|\.)?(?: of)?[ -]([a-z]+)\.?,?[ -](\d{4})")
_MONTH_FIRST = re.compile(r"([a-z]+)\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})")
_TIME = re.compile(r"(\d{1,2})(?::(\d\d))?(?::(\d\d)(?:\.\d+)?)?\s?([ap])?\.?(?:m\.?)?")


def moment_of(text: str) -> tuple[str, str] | None:
    """Date 'YYYY-MM-DD' and time ('' where there is none, 'HH:MM' or 'HH:MM:SS') in UTC that a text is; None for any other."""
    plain = _DAYS.sub("", folded(text))
    for pattern, order in _DATES:
        match = pattern.match(plain)
        if match is None:
            continue
        parts = order(match)
        rest = plain[match.end() :]
        time = _time(rest)
        if parts is None or time is None:
            return None
        return _utc(parts, *time)
    return None


def _month(word: str) -> int:
    if word == "sept":
        return 9
    return next((i for i, name in enumerate(_MONTHS, 1) if len(word) >= 3 and name.startswith(word)), 0)


def _slashed(match: re.Match[str]) -> tuple[int, int, int] | None:
    """3/25/2026 and 25/3/2026 can only mean one day; 3/4/2026 could mean two, and is taken for none."""
    one, two, year = (int(match[i]) for i in (1, 2, 3))
    if one != two and one <= 12 and two <= 12:
        return None
    return (year, two, one) if one > 12 else (year, one, two)


_DATES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], tuple[int, int, int] | None]], ...] = (
    (_ISO, lambda m: (int(m[1]), int(m[2]), int(m[3]))),
    (_DOTTED, lambda m: (int(m[3]), int(m[2]), int(m[1]))),
    (_SLASHED, _slashed),
    (_WORDED, lambda m: (int(m[3]), _month(m[2]), int(m[1]))),
    (_MONTH_FIRST, lambda m: (int(m[3]), _month(m[1]), int(m[2]))),
)


def _time(rest: str) -> tuple[str, str] | None:
    """Time and zone of what follows a date; None where it is neither."""
    rest = re.sub(r"^(?:t|,|\s|at\b)+", "", rest)
    zone = re.search(r"\s?(z|utc|gmt|[+-]\d\d:?\d\d)$", rest)
    if zone:
        rest = rest[: zone.start()]
    if not rest:
        return ("", "") if not zone else None
    match = _TIME.fullmatch(rest.strip())
    if match is None or (match[2] is None and match[4] is None):
        return None
    hour = int(match[1])
    if match[4]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match[4] == "p" else 0)
    time = f"{hour:02d}:{match[2] or '00'}" + (f":{match[3]}" if match[3] else "")
    return time, zone[1] if zone else ""


def _utc(parts: tuple[int, int, int], time: str, zone: str) -> tuple[str, str] | None:
    date = "{:04d}-{:02d}-{:02d}".format(*parts)
    offset = "+00:00" if zone in ("", "z", "utc", "gmt") else zone
    try:
        found = datetime.fromisoformat(f"{date}T{time or '00:00'}{offset}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found.strftime("%Y-%m-%d"), found.strftime("%H:%M:%S")[: len(time)]
