"""What the conditions of bans mean, and what a journal tells of looking and asking: plain functions, shared by whoever judges
bans and whoever enforces them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from worlddb.schema.model import Schema
from worlddb.tasks.forms import forms_of
from worlddb.tasks.goal import Anything, Condition, Equal, Key, Matcher, Never, OneOf, Range
from worlddb.tools.people import DO
from worlddb.tools.session import Entry
from worlddb.tools.toolset import Toolset
from worlddb.world.diff import Change, Row

Meets: TypeAlias = Callable[[Matcher, Any, int], bool]
"""Whether a stored value is what a condition wants, at that clock (Unix seconds)."""
_WORD = re.compile(r"[\w.:@-]+")


# --- conditions


def in_range(bounds: Range, value: Any, now: int) -> bool:
    """True for a stored number, date or moment within the bounds; never for NULL or for a value of another kind.

    A moment meets an upper bound that is shorter (a day, a month) by its first characters: the whole day belongs to it.  With
    `clock` it must be a date or moment, and its seconds from `now` (Unix seconds; a date counts from its midnight, UTC) are
    compared.

    >>> in_range(Range(low=0, high=86_400, clock=True), "1970-01-01 12:00:00", 3_600)
    True
    """
    if bounds.clock:
        moment = moment_of(value)
        value = None if moment is None else moment - now
    if value is None:
        return False
    low, high = bounds.low, bounds.high
    cut = value[: len(high)] if isinstance(value, str) and isinstance(high, str) else value
    return (low is None or _no_greater(low, value)) and (high is None or _no_greater(cut, high))


def _no_greater(one: Any, other: Any) -> bool:
    """True where two texts, or two numbers, stand in this order."""
    alike = isinstance(one, str) is isinstance(other, str) and isinstance(one, str | int | float)
    return bool(alike and isinstance(other, str | int | float) and one <= other)


def moment_of(value: Any) -> int | None:
    """Unix seconds of a stored date or moment; None for anything else."""
    if not isinstance(value, str) or len(value) < 10:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def meets(matcher: Matcher, value: Any, now: int) -> bool:
    """The conditions that policies are made of; of other matchers nothing is known here, and nothing is met."""
    match matcher:
        case Equal(value=wanted):
            return bool(value == wanted)
        case OneOf(values=values):
            return value in values
        case Range():
            return in_range(matcher, value, now)
        case _:
            return isinstance(matcher, Anything)


def forbidden(ban: Never, schema: Schema, change: Change, now: int, meets: Meets = meets) -> bool:
    """True where a row change is what a ban forbids.

    `where` speaks of the row before the change (of a new row: the row itself), `after` of the row after it.
    """
    if ban.table not in ("", change.table) or ban.op not in ("", change.op):
        return False
    places = forms_of(schema)[change.table].places
    before = change.after if change.before is None else change.before
    return _all(ban.where, places, before, now, meets) and _all(ban.after, places, change.after, now, meets)


def _all(conditions: Sequence[Condition], places: dict[str, int], row: Row | None, now: int, meets: Meets) -> bool:
    if not conditions:
        return True
    return row is not None and all(
        c.column in places and meets(c.matcher, row[places[c.column]], now) for c in conditions
    )


# --- what a journal tells


def looked_up(
    journal: Sequence[Entry], schema: Schema, toolset: Toolset | None, table: str, key: Key, number: int
) -> bool:
    """True where a call before that number has shown a row, or made it.

    A query in free SQL has shown it where it names the table, found something, and tells or was told the row's key.
    """
    for entry in journal:
        if entry.number >= number:
            break
        if entry.result.ok and (
            any(t == table and key in {tuple(row[i] for i in at) for row in rows} for t, at, rows in entry.seen)
            or any(c.table == table and c.key == key and c.before is None for c in entry.changes)
            or _queried(entry, schema, toolset, table, key)
        ):
            return True
    return False


def _queried(entry: Entry, schema: Schema, toolset: Toolset | None, table: str, key: Key) -> bool:
    if toolset is None or entry.name not in toolset or toolset[entry.name].kind != "sql":
        return False
    arguments = entry.arguments
    if not isinstance(arguments, dict) or not isinstance(entry.result.data, dict) or not entry.result.data.get("rows"):
        return False
    sql = str(arguments.get("sql", ""))
    if schema[table].name.lower() not in sql.lower():
        return False
    told = {str(v) for row in entry.result.data["rows"] for v in row}
    given = {word.strip(".:-") for word in _WORD.findall(f"{sql} {arguments.get('parameters', '')}")}
    return all(str(part) in told or str(part) in given for part in key)


def deed_done(journal: Sequence[Entry], toolset: Toolset | None, deed: str, number: int) -> bool:
    """True where the user did something on their own side before that number: a call that asked for it was answered."""
    return any(
        e.number < number and e.result.ok and toolset is not None and e.name in toolset and toolset[e.name].key == DO
        and isinstance(e.arguments, dict) and deed in e.arguments.values()
        for e in journal
    )  # fmt: skip
