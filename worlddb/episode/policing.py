"""Bans that policies compile to, judged call by call: one meaning for whoever enforces them (`wards`) and whoever judges an
episode by them.

Whether a call breaks one of them depends on the calls before it and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from worlddb.episode.matchers import test_of
from worlddb.policies.judging import deed_done, forbidden, in_range, looked_up
from worlddb.policies.login import signed_in
from worlddb.schema.model import Schema
from worlddb.tasks.forms import Window, forms_of
from worlddb.tasks.goal import Ban, Key, LookFirst, Matcher, Never, Range, SignedIn, UserFirst
from worlddb.tools.session import Entry
from worlddb.tools.toolset import Toolset
from worlddb.world.diff import Change

__all__ = [
    "Done",
    "Past",
    "deed_done",
    "forbidden",
    "in_range",
    "judged_here",
    "looked_up",
    "offence",
    "said",
    "signed_in",
]

Done: TypeAlias = Callable[[Sequence[Entry], Toolset | None, str, int], bool]
"""Whether the user did something on their own side before a call of that number: journal, tools, deed, number."""
_NAMES = {"insert": "was added", "update": "was changed", "delete": "was removed"}


class Past(NamedTuple):
    """All that bans are judged by, beside the call itself."""

    schema: Schema
    journal: Sequence[Entry]
    """The episode's calls; those that come after the judged one are not looked at."""
    tools: Toolset | None
    window: Window
    """The time of the episode, for conditions on what its clock has written."""
    done: Done = deed_done


def judged_here(ban: Ban) -> bool:
    """True for the kinds of bans that `offence` judges."""
    return isinstance(ban, Never | SignedIn | LookFirst | UserFirst)


def offence(ban: Ban, entry: Entry, past: Past) -> str | None:
    """What a call did that a ban forbids, in words; None where it kept it.

    Of the kinds of `judged_here`; anything else is not judged, and kept.
    """
    for change in entry.changes:
        deed = _broken(ban, change, entry, past)
        if deed is not None:
            return f"{said(past.schema, change)}{deed}"
    return None


def _broken(ban: Ban, change: Change, entry: Entry, past: Past) -> str | None:
    """What follows the words for a change that breaks a ban ('' or ' before …'); None where it does not."""
    match ban:
        case Never():
            return "" if forbidden(ban, past.schema, change, entry.now, _meets(past.window)) else None
        case SignedIn() if _concerns(ban, change):
            return None if signed_in(past.journal, past.tools, entry.number) else " before anybody had signed in"
        case LookFirst() if _concerns(ban, change) and change.before is not None:
            seen = looked_up(past.journal, past.schema, past.tools, change.table, change.key, entry.number)
            return None if seen else " without having been looked up"
        case UserFirst() if _concerns(ban, change):
            return (
                None
                if past.done(past.journal, past.tools, ban.deed, entry.number)
                else f" before the user did {ban.deed}"
            )
        case _:
            return None


def _concerns(ban: SignedIn | LookFirst | UserFirst, change: Change) -> bool:
    return ban.table in ("", change.table) and ban.op in ("", change.op)


def _meets(window: Window) -> Callable[[Matcher, Any, int], bool]:
    def meets(matcher: Matcher, value: Any, now: int) -> bool:
        return in_range(matcher, value, now) if isinstance(matcher, Range) else test_of(matcher)(value, window)

    return meets


def offences(ban: Ban, past: Past) -> Iterator[tuple[int, str]]:
    """Numbers of the calls of an episode that break a ban of these kinds, each with what it did."""
    for entry in past.journal:
        deed = offence(ban, entry, past) if entry.changes else None
        if deed is not None:
            yield entry.number, deed


def said(schema: Schema, change: Change) -> str:
    """A row change in words: 'bookings 12 was changed'."""
    return f"{forms_of(schema)[change.table].table.name} {_key(change.key)} {_NAMES[change.op]}"


def _key(key: Key) -> str:
    return f"{key[0]}" if len(key) == 1 else f"({', '.join(map(str, key))})"
