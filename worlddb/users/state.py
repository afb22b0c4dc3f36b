"""What the user knows and has said after some entries of a journal, and which entries are events for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from worlddb.tasks.user import Event
from worlddb.tools.model import Tool
from worlddb.tools.session import Entry
from worlddb.users.consent import Binds, Row
from worlddb.users.model import Act


class Consented(msgspec.Struct, frozen=True):
    """A call that the user agreed to."""

    number: int
    tool: str
    """Key of the tool."""
    binds: Binds | None
    """Its arguments as the tool reads them."""


class State(msgspec.Struct, frozen=True):
    """What the user knows and has said after some entries of the journal."""

    happened: frozenset[tuple[str, int, int]] = frozenset()
    """('change' or 'request', its index, index of its event) that have happened."""
    told: frozenset[str] = frozenset()
    """Topics that they have told."""
    news: frozenset[str] = frozenset()
    """'change:<topic>' and 'request:<index>' that they have come up with."""
    things: tuple[tuple[str, str], ...] = ()
    """Their own things and the states of these."""
    deeds: frozenset[str] = frozenset()
    """What they have done."""
    created: frozenset[Row] = frozenset()
    """Rows made in this episode."""
    agreed: tuple[Consented, ...] = ()
    acts: tuple[Act, ...] = ()


class Link(NamedTuple):
    """An entry of a journal, and the state after it."""

    entry: Entry
    at: int
    state: State
    before: Link | None

    def follows(self, journal: Sequence[Entry]) -> bool:
        """True where a journal begins with the entries that led here."""
        link: Link | None = self
        while link is not None:
            if journal[link.at - 1] is not link.entry:
                return False
            link = link.before
        return True


def is_event(event: Event, entry: Entry, tool: Tool) -> bool:
    """True where an entry is the event."""
    key = tuple(event.key) if event.key is not None else None
    if event.kind == "read":  # a refusal that names the row tells of it, too
        return any(t == event.table and key in (None, k) for t, k in entry.reads) or _refused(event, entry, tool)
    if event.kind == "changed":
        return any(c.table == event.table and key in (None, c.key) and event.op in ("", c.op) for c in entry.changes)
    return event.kind == "refused" and _refused(event, entry, tool)


def _refused(event: Event, entry: Entry, tool: Tool) -> bool:
    """True for a call about the event's row that a rule refused."""
    error, given = entry.result.error, entry.arguments
    if error is None or not (error.rule or error.code == "RULE_VIOLATION") or event.table not in ("", tool.table):
        return False
    if event.key is None:
        return True
    return isinstance(given, dict) and set(event.key) <= {v for v in given.values() if _is_plain(v)}


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float)
