"""Dates, times and moments, relative to a given now, as ISO 8601 text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worlddb.errors import BadRequest
from worlddb.rng import Stream
from worlddb.semantics.ask import Ask
from worlddb.semantics.numbers import Ints, quantile

DAY = 86400
_SPACE = ord(" ")


def iso_moments(seconds: Ints) -> NDArray[Any]:
    """Unix seconds as 'YYYY-MM-DD HH:MM:SS'."""
    if not len(seconds):
        return np.empty(0, dtype=object)
    text = np.datetime_as_string(seconds.astype("datetime64[s]"))
    text.view(np.uint32).reshape(len(text), -1)[:, 10] = _SPACE
    return text.astype(object)


def iso_dates(days: Ints) -> NDArray[Any]:
    """Days since 1970 as 'YYYY-MM-DD'."""
    return (
        np.datetime_as_string(days.astype("datetime64[D]")).astype(object) if len(days) else np.empty(0, dtype=object)
    )


def iso_times(seconds: Ints) -> NDArray[Any]:
    """Seconds of the day as 'HH:MM'."""
    minutes = seconds // 60
    rows = np.stack(
        [minutes // 600, minutes // 60 % 10, np.full_like(minutes, 10), minutes % 60 // 10, minutes % 10], axis=1
    )
    return (rows + 48).astype(np.uint32).view("=U5").ravel().astype(object)


def seconds_of(bound: int | float | str, kind: str) -> int:
    """A bound of a temporal column in seconds: a number as it is, or ISO 8601 text ('HH:MM' for times of day)."""
    if not isinstance(bound, str):
        return int(bound)
    try:
        if kind == "time":
            return int(bound[:2]) * 3600 + int(bound[3:5]) * 60
        return int(datetime.fromisoformat(bound).replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise BadRequest(f"'{bound}' is no {kind}; write it as in ISO 8601") from None


def _bounds(ask: Ask) -> tuple[int | None, int | None]:
    kind = ask.kind.temporal
    low = None if ask.low is None else seconds_of(ask.low, kind)
    return low, None if ask.high is None else seconds_of(ask.high, kind)


def _range(ask: Ask) -> tuple[int, int]:
    """The first and the last second: the source's, or the caller's, or of the source's length beside one bound."""
    first, last = (ask.now + int(a) * DAY for a in ask.args[:2])
    low, high = _bounds(ask)
    if low is not None and high is not None:
        return low, max(low, high)
    if low is not None:
        return max(first, low), max(last, low + last - first if first < low else last)
    if high is not None:
        return min(first, high - (last - first) if last > high else first), min(last, high)
    return first, last


def _clip(ask: Ask, seconds: Ints) -> Ints:
    low, high = _bounds(ask)
    if low is None and high is None:
        return seconds
    out = np.zeros(len(seconds), dtype=np.bool_)
    if low is not None:
        out |= seconds < low
    if high is not None:
        out |= seconds > high
    if not out.any():
        return seconds
    first, last = _range(ask)
    return np.where(out, first + (ask.stream.integers(len(seconds), 1 << 30) * (last - first + 1) >> 30), seconds)


def _days(stream: Stream, n: int, first: int, last: int, recent: bool) -> Ints:
    """Day numbers of [first, last]: two weekend days in five move to the two days before, so that 17 % stay."""
    span = last - first + 1
    place = stream.integers(n, span)
    if recent:
        place = np.maximum(place, stream.integers(n, span))
    day = first + place
    weekend = (day + 3) % 7 > 4
    return np.maximum(day - 2 * (weekend & stream.chances(n, 0.4)), first)


def day(ask: Ask) -> NDArray[Any]:
    """day:FROM,TO — a date."""
    first, last = _range(ask)
    return iso_dates(
        _days(ask.stream, ask.n, -(-first // DAY), last // DAY, False)
        if last // DAY >= -(-first // DAY)
        else np.full(ask.n, first // DAY)
    )


def moment(ask: Ask) -> NDArray[Any]:
    """moment:FROM,TO,PROFILE[,GRID] — a day, and a time of the day by the profile."""
    first, last = _range(ask)
    profile = ask.args[2]
    recent = profile == "grow"
    start = _days(ask.stream, ask.n, first // DAY, max(first, last - 1) // DAY, recent) * DAY
    grid = int(ask.args[3]) if len(ask.args) > 3 else 1
    seconds = start + quantile(
        ask.stream, ask.n, ask.pools.quantiles("clock_business" if recent else f"clock_{profile}")
    )
    seconds = seconds // grid * grid
    out = (seconds < first) | (seconds > last)
    if out.any():
        inner = first + (ask.stream.integers(ask.n, 1 << 30) * (last - first + 1) >> 30)
        seconds = np.where(out, np.maximum(inner // grid * grid, first), seconds)
    return iso_moments(_clip(ask, seconds))


def burst(ask: Ask) -> NDArray[Any]:
    """burst:FROM,TO — moments around a few centres, as events come."""
    first, last = _range(ask)
    centres = _days(ask.stream, max(1, ask.n // 6), first // DAY, max(first, last - 1) // DAY, False) * DAY
    centres += quantile(ask.stream, len(centres), ask.pools.quantiles("clock_business"))
    after = quantile(ask.stream, ask.n, ask.pools.quantiles("lognormal_2.0"))
    seconds = ask.stream.picks(ask.n, centres) + (after * 900 >> 16)
    inner = first + (ask.stream.integers(ask.n, 1 << 30) * (last - first + 1) >> 30)
    return iso_moments(np.where((seconds < first) | (seconds > last), inner, seconds))


def clock(ask: Ask) -> NDArray[Any]:
    """clock:PROFILE,GRID — a time of the day."""
    grid = int(ask.args[1])
    seconds = quantile(ask.stream, ask.n, ask.pools.quantiles(f"clock_{ask.args[0]}")) // grid * grid
    low, high = _bounds(ask)
    if low is None and high is None:
        return iso_times(seconds)
    low, high = low or 0, DAY - 60 if high is None else high
    inner = low + (ask.stream.integers(ask.n, 1 << 20) * ((high - low) // 60 + 1) >> 20) * 60
    return iso_times(np.where((seconds < low) | (seconds > high), inner, seconds))
