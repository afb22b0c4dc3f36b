"""A session: one agent's episode in a world, call by call.

Sessions of one world share a live connection (`worlddb.world.host`) and never see one another.  The clock stands still
while an agent reads; every call that changes something moves it on by a minute.  A session can be reset, forked, undone
call by call, and suspended to bytes: its calls, which are carried out again when it resumes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

import msgspec
import orjson

from worlddb.errors import BadRequest
from worlddb.tools.arguments import LONGEST, own_words, shown
from worlddb.tools.engine import Covers, Outcome, Read, Seen, reads_of
from worlddb.tools.model import Call, Error, Result, Tool
from worlddb.tools.toolset import Runs, Toolset
from worlddb.world import clock
from worlddb.world.diff import Change, Diff
from worlddb.world.host import Log, host_of
from worlddb.world.model import World

TICK = 60
"""Seconds by which the world's clock moves on with every call that writes."""
NAME_SHOWN = 80
KEPT = 2000
"""Bytes of the arguments of a refused call that the journal keeps in full."""
START_MOST = 10**9
"""Of a start's clock (some 30 years) and ids."""


@lru_cache(4096)
def _text(now: int) -> str:
    """A moment as the world stores it."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S")


class Start(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an episode begins, beside the world as it was grown.  The same task must work from any start."""

    clock: int = 0
    """Seconds added to the world's clock, >= 0."""
    ids: int = 0
    """Added to the running numbers from which new rows get their keys, >= 0."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the journal."""

    number: int
    """From 1."""
    name: str
    raw: bytes
    """The arguments as JSON; of what JSON cannot hold, and of very long ones, a description that begins with '#'."""
    result: Result
    now: int
    """The world's clock at the call, Unix seconds."""
    wrote: bool = False
    """True for a call of a tool that writes and was carried out, even where it changed nothing or its answer was lost: the clock
    moved on."""
    changes: tuple[Change, ...] = ()
    """Net row changes of this call; none where it failed (but a call of which only the answer was lost has some)."""
    seen: Sequence[Seen] = ()
    covers: Covers | None = None
    """For an aggregate, or a page with a total: the rows that it stands for; see `Session.covered`."""

    @property
    def arguments(self) -> Any:
        """What the agent gave: an object, or text where it gave no JSON."""
        try:
            return orjson.loads(self.raw)
        except orjson.JSONDecodeError:
            return self.raw.decode(errors="replace")

    @property
    def reads(self) -> tuple[Read, ...]:
        """(table key, primary key) of every row that it showed."""
        return reads_of(self.seen)


class Altered(NamedTuple):
    """Other arguments for a call than those that were given."""

    arguments: Any


class Beside(Protocol):
    """Who stands beside a session: a user who answers, rules that are enforced beyond the world's own, faults.

    What they do depends on the session's start and journal alone, so that it is the same when an episode is forked, resumed or
    judged again.
    """

    def before(self, session: Session, tool: Tool, arguments: Any) -> Outcome | Altered | None:
        """The outcome of a call that is not to be made, or what it is made with; None: it goes on as it is."""
        ...

    def after(self, session: Session, tool: Tool, arguments: Any, outcome: Outcome) -> Outcome:
        """The outcome as the agent has it.  An error without changes in the place of a success takes back what was done."""
        ...


class Suspended(msgspec.Struct, frozen=True, array_like=True):
    """A session as data."""

    world: str
    """The first 16 hex digits of the world's digest."""
    toolset: str
    start: Start
    calls: tuple[tuple[str, bytes, Error | None], ...]
    """Name and arguments, and of a call that was refused and changed nothing the error: it is told again, not made again."""
    state: str
    """Of the net changes, to prove that resuming led to the same state."""


class Session:
    """An episode.  Make it with `world.session()`."""

    def __init__(
        self, world: World, toolset: Toolset, start: Start | None = None, beside: Sequence[Beside] = ()
    ) -> None:
        self.world = world
        self.toolset = toolset
        self.beside = tuple(beside)
        self.start = start or Start()
        for given in (self.start.clock, self.start.ids):
            if not isinstance(given, int) or not 0 <= given <= START_MOST:
                raise BadRequest(
                    f"a session starts at clock >= 0 and ids >= 0 (to {START_MOST}), relative to the world"
                )
        self.reset()

    def reset(self) -> Session:
        """Back to the world as it was grown, with an empty journal.  Costs nothing until the next call."""
        self._log = Log(self.start.ids)
        self._before = self.now
        self.journal: list[Entry] = []
        """Every call so far."""
        return self

    # --- acting

    def call(self, name: str, arguments: Any = None) -> Result:
        """Call a tool by its public name; `arguments` is an object, or JSON text of one.

        Never raises for what an agent can do wrong: such a call changes nothing, and its result has `ok` False.
        """
        writes = len(self._log.marks)
        raw = _raw(arguments)
        outcome = self._run(name, arguments) if len(raw) <= LONGEST else self._refuse_length(raw)
        wrote = len(self._log.marks) > writes
        if outcome.error is not None and not wrote and len(raw) > KEPT:  # it will not be made again
            raw = f"# {len(raw)} bytes: ".encode() + raw[:NAME_SHOWN]
        return self._note(_named(name), raw, outcome, wrote=wrote)

    def _note(self, name: str, raw: bytes, outcome: Outcome, *, wrote: bool = False) -> Result:
        """Put a call that has been carried out into the journal."""
        result = Result(ok=outcome.error is None, data=outcome.data, error=outcome.error)
        self.journal.append(
            Entry(
                number=len(self.journal) + 1, name=name, raw=raw, result=result, now=self._before, wrote=wrote,
                changes=outcome.changes, seen=outcome.seen, covers=outcome.covers,
            )
        )  # fmt: skip
        return result

    def _run(self, name: str, arguments: Any) -> Outcome:
        self._before = self.now
        runner = self.toolset.runner(name)
        if runner is None:
            return Outcome(None, self._unknown(name))
        if self.beside:
            return self._attended(runner, name, arguments)
        return self._carry_out(runner, arguments)

    def _carry_out(self, runner: Runs, arguments: Any) -> Outcome:
        host = host_of(self.world)
        with host.lock:
            clock.set_now(self._before)
            host.turn_to(self._log)
            host.busy = True
            try:
                return runner.run(host, arguments, _text(self._before))
            finally:
                host.busy = False

    def _attended(self, runner: Runs, name: str, arguments: Any) -> Outcome:
        """A call, with those who stand beside: each may answer for it, and see what came of it, in their order."""
        tool, writes = self.toolset[name], len(self._log.marks)
        for one in self.beside:
            known = one.before(self, tool, arguments)
            if isinstance(known, Outcome):
                return known
            arguments = arguments if known is None else known.arguments
        outcome = self._carry_out(runner, arguments)
        for one in self.beside:
            outcome = one.after(self, tool, arguments, outcome)
            if outcome.error is not None and not outcome.changes and len(self._log.marks) > writes:
                self._cut(writes)
        return outcome

    def _refuse_length(self, raw: bytes) -> Outcome:
        self._before = self.now
        message = f"the arguments have {len(raw)} bytes as JSON; at most {LONGEST} are taken"
        return Outcome(None, Error(code="INVALID_ARGUMENT", message=message, cure="Say it in fewer words."))

    def _unknown(self, name: Any) -> Error:
        import difflib

        shown = _named(name)
        near = difflib.get_close_matches(shown, self.toolset.names, n=3, cutoff=0.4)
        told = f"did you mean {' or '.join(near)}?" if near else f"there are {len(self.toolset.names)} tools"
        return Error(
            code="UNKNOWN_TOOL", message=f"there is no tool named {shown!r}; {told}",
            cure="Call one of the tools that you were given, by its exact name.",
        )  # fmt: skip

    @property
    def now(self) -> int:
        """The world's clock, Unix seconds."""
        return self.world.now + self.start.clock + TICK * len(self._log.marks)

    # --- looking

    def diff(self) -> Diff:
        """The net row changes since the start."""
        return self._log.diff.copy()

    def rows(self, sql: str, binds: Any = ()) -> list[tuple[Any, ...]]:
        """Rows of the episode's present state, for graders: not a tool, not in the journal.

        Raises:
            BadRequest: the SQL is no query.
            QueryError: SQLite refused it.
        """
        host = host_of(self.world)
        with host.lock:
            clock.set_now(self.now)
            host.turn_to(self._log)
            return host.looked(sql, binds)

    def covered(self, entry: Entry) -> tuple[Read, ...]:
        """The rows that an aggregate of the journal, or the total of a page, stood for, as they were then."""
        if entry.covers is None:
            return ()
        table, sql, binds, at = entry.covers
        writes = sum(e.wrote for e in self.journal[: entry.number])
        past = self if writes == len(self._log.marks) else self.fork()
        host = host_of(self.world)
        with host.lock:
            if past is not self:
                past._cut(writes)
            host.turn_to(past._log)
            rows = host.rows(sql, binds)
        return tuple((table, tuple([row[i] for i in at]) if at else tuple(row)) for row in rows)

    # --- branching

    def fork(self) -> Session:
        """An independent session in the same state, with a journal of the same entries."""
        twin = Session(self.world, self.toolset, self.start, self.beside)
        twin._log = self._log.copy()
        twin.journal = self.journal.copy()
        return twin

    def undo(self) -> Entry | None:
        """Take back the last call of the journal and what it changed; None where there is none."""
        if not self.journal:
            return None
        entry = self.journal.pop()
        if entry.wrote:
            self._cut(len(self._log.marks) - 1)
        return entry

    def _cut(self, calls: int) -> None:
        host = host_of(self.world)
        with host.lock:
            host.rewind(self._log, calls)

    # --- suspending

    def suspend(self) -> bytes:
        """The session as bytes: the world's name, and its calls."""
        calls = tuple((e.name, e.raw, None if e.wrote else e.result.error) for e in self.journal)
        kept = Suspended(self.world.digest[:16], self.toolset.digest[:16], self.start, calls, self._state())
        return msgspec.msgpack.encode(kept)

    def _state(self) -> str:
        return sha256(repr(self._log.diff.changes).encode()).hexdigest()[:16]


def _named(name: Any) -> str:
    """A tool's name as the journal keeps it."""
    text = name if isinstance(name, str) else own_words(name, repr)
    try:
        str.encode(text)
    except UnicodeEncodeError:  # half a character: JSON can hold it, the journal cannot
        text = f"a {type(name).__name__}"
    return text[:NAME_SHOWN]


def _raw(arguments: Any) -> bytes:
    """Arguments as the journal keeps them: a copy, which the caller's later changes do not reach."""
    try:
        if isinstance(arguments, str | bytes):
            return arguments if isinstance(arguments, bytes) else arguments.encode()
        return b"{}" if arguments is None else orjson.dumps(arguments)
    except (TypeError, ValueError, RecursionError):  # nothing that JSON knows
        return f"# {shown(arguments)}".encode(errors="replace")


def resume(world: World, toolset: Toolset, kept: bytes, beside: Sequence[Beside] = ()) -> Session:
    """The session that `suspend` wrote, in the same state and with the same journal; `beside` are those who stood beside it.

    Raises:
        BadRequest: these are no such bytes, or they belong to another world or toolset.
    """
    try:
        found = msgspec.msgpack.decode(kept, type=Suspended)
    except msgspec.DecodeError:
        raise BadRequest("these bytes are no suspended session; give what Session.suspend returned") from None
    if found.world != world.digest[:16]:
        raise BadRequest(f"the session was suspended in another world than {world.id}; resume it there")
    if found.toolset != toolset.digest[:16]:
        raise BadRequest("the session was suspended with another toolset; give the same style, sets and perturbations")
    session = Session(world, toolset, found.start, beside)
    for name, raw, error in found.calls:
        if error is None:
            session.call(name, raw)
        else:
            session._before = session.now
            session._note(name, raw, Outcome(None, error))
    if session._state() != found.state:
        raise BadRequest("the session's calls no longer lead to the state that it had; its tools have changed")
    return session


def replay(world: World, toolset: Toolset, calls: Iterable[Call], start: Start | None = None) -> Session:
    """A new session in which these calls have been made."""
    session = Session(world, toolset, start)
    for call in calls:
        session.call(call.name, call.arguments)
    return session
