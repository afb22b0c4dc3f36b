"""Faults of an API, drawn from a seed: what every client of a real service has to live with, to be trained for.

Whether a call meets a fault depends on the seed and on what was called before, and on nothing else.  Nobody is stuck: after an
outage or a limit the next call is served without a fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import orjson

from worlddb.errors import BadRequest
from worlddb.rng import Stream
from worlddb.tools.engine import Covers, Outcome
from worlddb.tools.faults import KINDS, Faults
from worlddb.tools.model import Error, Param, Tool
from worlddb.tools.session import Altered, Beside, Entry, Session

LAG = 3
"""A reading call can be stale only so many calls after a change, at most: a replica that lags catches up."""
NEAR = 6
"""Calls after which an outage that nobody tried again is forgotten."""
DOWN = Error(
    code="UNAVAILABLE", message="The service cannot be reached. Nothing was done.",
    cure="Make the same call again; it works after one or two tries.",
)  # fmt: skip
LOST = Error(
    code="TIMEOUT", message="No answer came in time. The call may have been carried out.",
    cure="Look whether it was done before you make it again.",
)  # fmt: skip
LIMITED = tuple(
    Error(
        code="RATE_LIMITED", message=f"Too many calls in a short time. Nothing was done{more}.",
        cure=f"Make the call again{when}.",
    )
    for more, when in (
        ("", ""),
        ("; the next call will be refused, too", " after the next one"),
        ("; the next 2 calls will be refused, too", " after the next 2"),
    )
)  # fmt: skip
"""By the number of the calls that will be refused, too."""

_TOLD = {
    "UNAVAILABLE": ("transient", "the service could not be reached, and nothing was done; make the call again."),
    "TIMEOUT": (
        "timeout", "the answer was lost, and the call may have been carried out; look before you repeat it, or it happens twice.",
    ),
    "RATE_LIMITED": (
        "rate_limit", "too many calls, and nothing was done; the next one or two are refused, too, as the cure says.",
    ),
}  # fmt: skip
_PARTIAL = "a call for many records may stop after some of them, even one for 'all or none'; its message tells how many are done."
_STALE = f"For up to {LAG} calls after a change, an answer may still be as it was before that change; look again."


def handbook_lines(faults: Faults) -> str:
    """What the handbook says of the faults that can come: lines for its list of codes, and what else to know; '' without any."""
    kinds = faults.kinds
    lines = [f"- {code}: {text}" for code, (kind, text) in _TOLD.items() if kind in kinds]
    if "partial" in kinds:
        lines.append(f"- TIMEOUT: {_PARTIAL}")
    return "\n".join(lines) + ("\n" * 2 * bool(lines) + _STALE if "stale" in kinds else "")


def faults_beside(faults: Faults | None) -> tuple[Beside, ...]:
    """Who stands beside a session of an API with these faults: nobody where none can come.

    Raises:
        BadRequest: a share is not from 0 to 1.
    """
    return () if faults is None or not faults.kinds else (FaultModel(faults),)


class FaultModel:
    """Makes calls of a session meet faults.  Let it stand last, so that it fails only what all others let pass."""

    def __init__(self, faults: Faults) -> None:
        for kind in KINDS:
            if not 0 <= getattr(faults, kind) <= 1:
                raise BadRequest(f"the share of {kind} faults must be from 0 to 1, not {getattr(faults, kind)}")
        self.faults = faults
        self._dice = {kind: Stream(faults.seed, "faults", kind) for kind in KINDS}
        self._cut: WeakKeyDictionary[Session, tuple[int, int, str]] = WeakKeyDictionary()
        """Of the batch that is under way: how many items are done of how many of which parameter."""

    def before(self, session: Session, tool: Tool, arguments: Any) -> Outcome | Altered | None:
        """The refusal of a call that meets an outage or a limit; of a batch that fails half way its first part."""
        self._cut.pop(session, None)
        if _spared(tool):
            return None
        error, served = self._standing(session.journal, tool.name)
        number = len(session.journal) + 1
        if error is None and not served:
            error = self._begun(number)
        if error is not None:
            return Outcome(None, error)
        if tool.kind == "bulk" and not served and self._hits("partial", number):
            return self._halved(session, tool, arguments)
        return None

    def after(self, session: Session, tool: Tool, arguments: Any, outcome: Outcome) -> Outcome:
        """The outcome as it was, or lost on its way, or that of a page which lags behind."""
        cut = self._cut.pop(session, None)
        if outcome.error is not None or _spared(tool):
            return outcome
        if cut is not None:
            return Outcome(None, _stopped(*cut), outcome.changes)
        number = len(session.journal) + 1
        if self._standing(session.journal, tool.name)[1]:
            return outcome
        if outcome.changes:
            return Outcome(None, LOST, outcome.changes) if self._hits("timeout", number) else outcome
        if tool.read_only and tool.kind != "plugin" and self._hits("stale", number):
            return _past(session, tool, arguments, outcome)
        return outcome

    def _hits(self, kind: str, number: int) -> bool:
        """Whether a call of that number, which could meet that fault, does."""
        rate: float = getattr(self.faults, kind)
        return rate > 0 and self._dice[kind].child(str(number)).chance(rate)

    def _begun(self, number: int) -> Error | None:
        """The error of a call with which a limit or an outage begins."""
        if self._hits("rate_limit", number):
            return LIMITED[self._dice["rate_limit"].child("more", str(number)).between(1, 2)]
        return DOWN if self._hits("transient", number) else None

    def _standing(self, journal: Sequence[Entry], name: str) -> tuple[Error | None, bool]:
        """The error of a call that falls into a limit or outage, and whether it is to be served because one has just ended."""
        for back in range(1, min(len(LIMITED), len(journal) + 1)):
            error = journal[-back].result.error
            if error is not None and error in LIMITED:
                left = LIMITED.index(error) - back
                return (LIMITED[left], False) if left >= 0 else (None, True)
        tries = [e for e in journal[-NEAR:] if e.name == name][-2:]
        if not tries or tries[-1].result.error != DOWN:
            return None, False
        once = len(tries) == 1 or tries[0].result.error != DOWN
        again = once and self._dice["transient"].child("again", str(tries[-1].number)).chance(0.5)
        return (DOWN, False) if again else (None, True)

    def _halved(self, session: Session, tool: Tool, arguments: Any) -> Altered | None:
        """The first part of a batch; None where the call is none, or where the whole or this part would be refused."""
        given = _spelt(arguments)
        param = _many(tool, given)
        if param is None:
            return None
        number, items = len(session.journal) + 1, given[param.name]
        done = self._dice["partial"].child("done", str(number)).between(1, len(items) - 1)
        part = given | {param.name: items[:done]}
        twin = session.fork()
        twin.beside = ()
        whole = twin.call(tool.name, given).ok
        twin.undo()
        if not whole or not twin.call(tool.name, part).ok or not twin.journal[-1].changes:
            return None
        self._cut[session] = (done, len(items), param.name)
        return Altered(part)


def _spared(tool: Tool) -> bool:
    """People do not fail, nor does signing in."""
    return tool.kind == "user"


def _spelt(arguments: Any) -> Any:
    """Arguments as an object, where they are text of one."""
    try:
        return orjson.loads(arguments) if isinstance(arguments, str | bytes) else arguments
    except orjson.JSONDecodeError:
        return None


def _many(tool: Tool, given: Any) -> Param | None:
    """The parameter of a batch that lists what it is about, if that is more than one thing."""
    if not isinstance(given, dict):
        return None
    listed = (p for p in tool.params if p.convert == "keys" or p.role == "items")
    return next((p for p in listed if isinstance(given.get(p.name), list) and len(given[p.name]) > 1), None)


def _stopped(done: int, every: int, name: str) -> Error:
    """The error of a batch that was done in part."""
    return Error(
        code="TIMEOUT", parameter=name,
        message=f"The call ran out of time. Done: the first {done} of {every} {name}. Not done: the other {every - done}.",
        cure=f"Make the call again with the other {every - done} only.",
    )  # fmt: skip


def _past(session: Session, tool: Tool, arguments: Any, fresh: Outcome) -> Outcome:
    """The answer as of before the last change, where that is recent and the answer is another; `fresh` where not."""
    if not any(e.changes for e in session.journal[-LAG:]):
        return fresh
    twin = session.fork()
    twin.beside = ()
    while (entry := twin.undo()) is not None and not entry.changes:
        pass
    found = twin.call(tool.name, arguments)
    if not found.ok or found.data == fresh.data:
        return fresh
    entry = twin.journal[-1]
    covers = None if entry.covers is None else _kept(entry.covers.table, [key for _, key in twin.covered(entry)])
    return Outcome(found.data, None, (), entry.seen, covers)


def _kept(table: str, keys: list[tuple[Any, ...]]) -> Covers:
    """Rows that an answer stood for, by their keys: a query of them would find those of today."""
    width = len(keys[0]) if keys else 1
    columns = ", ".join(f"value ->> {i}" for i in range(width))
    return Covers(table, f"SELECT {columns} FROM json_each(:keys)", {"keys": orjson.dumps(keys).decode()})
