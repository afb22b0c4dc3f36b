"""What only the journal can tell: deeds that are forbidden even for a moment, and whether the evidence was read.

The journal has the net row changes of every call, so that "a moment" means between two calls: what one call does and undoes
itself, within its savepoint, was never there for anyone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from worlddb.episode.policing import Done, Past, deed_done, offences
from worlddb.schema.model import Schema
from worlddb.tasks.forms import Window, forms_of
from worlddb.tasks.goal import (
    AtMost,
    Ban,
    Before,
    Key,
    LookFirst,
    Need,
    NeedsConsent,
    Never,
    OnlyTools,
    Row,
    SignedIn,
    StopAfterRefusal,
    UserFirst,
)
from worlddb.tools.model import Tool
from worlddb.tools.session import Entry
from worlddb.tools.toolset import Toolset
from worlddb.world.diff import Change

REFUSALS = ("RULE_VIOLATION", "CONFLICT", "FORBIDDEN")
"""Codes of errors by which a call that was well made is refused."""
Read = tuple[str, Key]
Confirmed = Callable[[Entry], bool]
"""Whether the user had confirmed a call before it was made."""


def tool_of(tools: Toolset | None, entry: Entry) -> Tool | None:
    """The tool that an entry called; None where there is none of that name."""
    return tools[entry.name] if tools is not None and entry.name in tools else None


class Conduct:
    """An episode's calls, as bans are judged on them."""

    def __init__(
        self, schema: Schema, journal: Sequence[Entry], tools: Toolset | None, window: Window, confirmed: Confirmed,
        done: Done = deed_done,
    ) -> None:  # fmt: skip
        self._forms, self._journal, self._tools = forms_of(schema), journal, tools
        self._confirmed = confirmed
        self._past = Past(schema, journal, tools, window, done)

    def offences(self, ban: Ban) -> Iterator[tuple[int, str]]:
        """Numbers of the entries that break a ban, each with what it did, in words."""
        match ban:
            case Never() | SignedIn() | LookFirst() | UserFirst():
                yield from offences(ban, self._past)
            case Before():
                yield from self._before(ban)
            case AtMost():
                yield from self._at_most(ban)
            case OnlyTools(tools=tools):
                for entry in self._journal:
                    if (entry.result.ok or entry.changes) and self._key(entry) not in tools:
                        yield entry.number, f"{entry.name} was called"
            case StopAfterRefusal(codes=codes):
                yield from self._after_refusal(codes)
            case NeedsConsent(table=table, op=op):
                for entry, change in self._events(table, op):
                    if not self._confirmed(entry):
                        yield entry.number, f"{self._say(change)} without the user's consent"

    def _key(self, entry: Entry) -> str:
        tool = tool_of(self._tools, entry)
        return "" if tool is None else tool.key

    def _events(self, table: str, op: str, key: Key | None = None) -> Iterator[tuple[Entry, Change]]:
        for entry in self._journal:
            for change in entry.changes:
                if table in ("", change.table) and op in ("", change.op) and key in (None, change.key):
                    yield entry, change

    def _say(self, change: Change) -> str:
        names = {"insert": "was added", "update": "was changed", "delete": "was removed"}
        return f"{self._forms[change.table].table.name} {key_text(change.key)} {names[change.op]}"

    def _before(self, ban: Before) -> Iterator[tuple[int, str]]:
        """A call that does both is all right: its changes happen at once."""
        firsts = (entry.number for entry, _ in self._events(*ban.first, ban.first_key))
        first = next(firsts, None)
        for entry, change in self._events(*ban.second, ban.second_key):
            if first is None or entry.number < first:
                yield entry.number, f"{self._say(change)} too early"

    def _at_most(self, ban: AtMost) -> Iterator[tuple[int, str]]:
        counted = [e for e in self._journal if (self._key(e) == ban.tool if ban.tool else e.changes)]
        for entry in counted[ban.count :]:
            yield entry.number, f"{entry.name} was one call too many; at most {ban.count} are allowed"

    def _after_refusal(self, codes: Sequence[str]) -> Iterator[tuple[int, str]]:
        refused = 0
        for entry in self._journal:
            if refused and entry.changes:
                yield entry.number, f"{self._say(entry.changes[0])} after call {refused} had been refused"
            if not refused and entry.result.error is not None and entry.result.error.code in codes:
                refused = entry.number


def key_text(key: Key) -> str:
    """A primary key in words: 12, or (3, 'EUR')."""
    return f"{key[0]}" if len(key) == 1 else f"({', '.join(map(str, key))})"


# --- evidence


Covered: TypeAlias = Callable[[Entry, frozenset[Read], str], Iterable[Read]]
"""The rows, of those wanted, that an entry stood for without showing them, and (where a column is named) told its values of."""


def unread(
    needs: Iterable[Need], journal: Sequence[Entry], covered: Covered, tools: Toolset | None = None
) -> list[tuple[Need, tuple[Row, ...]]]:
    """The needs of which no way has been read in full, each with the rows that the nearest way lacks.

    `covered` is asked only where the rows that were shown are not enough.
    """
    open_needs = [n for n in needs if not (n.tried and _tried(n, journal, tools))]
    known = _shown(journal, _wanted(open_needs)) if open_needs else set()
    return [
        lack
        for column in dict.fromkeys(n.column for n in open_needs)
        for lack in _unread([n for n in open_needs if n.column == column], column, journal, known, covered)
    ]


def uncalled(needs: Iterable[Need], journal: Sequence[Entry], tools: Toolset | None) -> list[Need]:
    """The needs of a tool's call that has not been made with success."""
    called = {t.key for e in journal if e.result.ok and (t := tool_of(tools, e)) is not None}
    return [n for n in needs if n.tool and n.tool not in called]


def _tried(need: Need, journal: Sequence[Entry], tools: Toolset | None) -> bool:
    """True where a call of a tool was refused by a rule that named all rows of one of a need's ways."""
    for entry in journal:
        error, tool = entry.result.error, tool_of(tools, entry)
        if error is None or error.code not in REFUSALS or tool is None or tool.key != need.tried:
            continue
        given = _texts(entry.arguments)
        if any(all(str(k) in given for r in way for k in r.key) for way in need.ways):
            return True
    return False


def _texts(value: Any) -> set[str]:
    """The scalars of arguments, as text."""
    if isinstance(value, dict | list):
        return {t for v in (value.values() if isinstance(value, dict) else value) for t in _texts(v)}
    return {str(value)}


def _wanted(needs: Iterable[Need]) -> set[Read]:
    return {(r.table, r.key) for n in needs for way in n.ways for r in way}


def _unread(
    needs: Sequence[Need], column: str, journal: Sequence[Entry], shown: set[Read], covered: Covered
) -> list[tuple[Need, tuple[Row, ...]]]:
    """As `unread`, of needs that are about one column."""
    wanted, known = _wanted(needs), set(shown)
    missing = _lacking(needs, known)
    for entry in journal:
        if not missing:
            break
        left = frozenset(wanted - known)
        if entry.result.ok and (found := left.intersection(covered(entry, left, column))):
            known |= found
            missing = _lacking(needs, known)
    return missing


def _shown(journal: Sequence[Entry], wanted: set[Read]) -> set[Read]:
    """The wanted rows that calls have shown."""
    tables: dict[str, set[Key]] = {}
    for table, key in wanted:
        tables.setdefault(table, set()).add(key)
    known: set[Read] = set()
    for entry in journal:
        for table, at, rows in entry.seen:
            keys = tables.get(table)
            if keys is None:
                continue
            for row in rows:
                key = tuple([row[i] for i in at])
                if key in keys:
                    known.add((table, key))
    return known


def _lacking(needs: Sequence[Need], known: set[Read]) -> list[tuple[Need, tuple[Row, ...]]]:
    found = []
    for need in needs:
        lacks = [tuple(r for r in way if (r.table, r.key) not in known) for way in need.ways]
        if lacks and all(lacks):
            found.append((need, min(lacks, key=len)))
    return found
