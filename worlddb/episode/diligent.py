"""An agent that knows the gold and does all by the book: asks for what is withheld, signs in, looks first, has things confirmed,
and makes a call again that met a fault.

It shows that a task can be done, and with one of its virtues missing, that this one is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeAlias

from worlddb.episode.play import Episode
from worlddb.policies.login import SIGN_IN
from worlddb.policies.staff import staff_of
from worlddb.tasks.goal import LookFirst, NeedsConsent, UserFirst
from worlddb.tasks.model import GoldCall, Task
from worlddb.tasks.user import Event
from worlddb.tools.faulty import LAG
from worlddb.tools.keys import call_of
from worlddb.tools.model import Result
from worlddb.tools.people import ASK, CONFIRM, DO, TELL

VIRTUES = ("ask", "sign in", "look", "confirm", "wait")
"""What it does beyond the gold; `wait` has the user do first what is theirs to do."""
TRIES = 8
"""Times that a call is made which meets one fault after the other."""
_DONE = re.compile(r"first (\d+) of \d+")
Act: TypeAlias = Callable[[str, dict[str, Any]], Result]
"""Makes a call, by its public name."""


class Silent(Exception):
    """The user did not say what they were asked."""


class Diligent:
    """One attempt at a task by the book, but for the virtues that it lacks."""

    def __init__(self, episode: Episode, act: Act | None = None, *, lacking: Collection[str] = ()) -> None:
        """`act` makes the calls in the place of `episode.call`."""
        assert isinstance(episode.task, Task)
        self.episode, self.task, self.lacking = episode, episode.task, lacking
        self.session, self.toolset = episode.session, episode.session.toolset
        self._act: Act = act or episode.call
        self._names = {t.key: t.name for t in self.toolset if t.kind == "user"}
        self._bans = self.task.goal.bans

    def run(self, calls: Sequence[GoldCall] | None = None) -> None:
        """Do it; `calls` in the place of the gold's.  What is to be answered is not submitted.

        Raises:
            Silent: the user did not answer.
        """
        calls = self.task.gold if calls is None else calls
        self._ask()
        self._sign_in()
        script = self.task.user
        if script is not None and (script.changes or script.requests):
            events = [*(e for c in script.changes for e in c.after), *(e for r in script.requests for e in r.after)]
            done = self._before_news(calls, events)
            self._do(calls[:done])
            self._come_upon(events)
            self._call(TELL, {"message": "That much is done. Is there anything else?"})
            calls = calls[done:]
        self._do(calls)

    # --- what is beyond the gold

    def _call(self, key: str, arguments: dict[str, Any]) -> str:
        """What the user says to one call; '' where it is refused."""
        result = self._act(self._names[key], arguments)
        return str(result.data.get("reply", "")) if result.ok else ""

    def _ask(self) -> None:
        for topic in self.task.user.hidden if self.task.user is not None and "ask" not in self.lacking else ():
            reply = self._call(
                ASK, {"question": f"Which {topic.name.replace('_', ' ')}, please?", "about": [topic.name]}
            )
            if any(secret not in reply for secret in topic.secrets):
                raise Silent(topic.name)

    def _sign_in(self) -> None:
        role = self.task.user.role if self.task.user is not None else ""
        if role and SIGN_IN in self._names and "sign in" not in self.lacking:
            code = next(p.code for p in staff_of(self.episode.world) if p.role == role)
            self._act(self._names[SIGN_IN], {"code": code})

    @staticmethod
    def _before_news(calls: Sequence[GoldCall], events: Sequence[Event]) -> int:
        """How many calls come before the user has something new to say."""
        writes = [i for i, c in enumerate(calls) if c.writes] or [len(calls)]
        return writes[-1] if any(event.kind == "changed" for event in events) else writes[0]

    def _come_upon(self, events: Sequence[Event]) -> None:
        """Look at the rows that the user's news are about."""
        for event in events:
            if event.kind == "read" and event.key is not None:
                self._get(event.table, event.key[0])

    def _prepare(self, name: str, arguments: dict[str, Any]) -> None:
        """What the bans ask for before a change."""
        for ban in self._bans if "wait" not in self.lacking else ():
            if isinstance(ban, UserFirst):
                self._call(DO, {"action": ban.deed})
        if any(isinstance(b, LookFirst) for b in self._bans) and "look" not in self.lacking:
            self._look(name, arguments)
        if any(isinstance(b, NeedsConsent) for b in self._bans) and "confirm" not in self.lacking:
            self._call(CONFIRM, {"action": name, "arguments": arguments})

    def _look(self, name: str, arguments: dict[str, Any]) -> None:
        """Look at every row that a change is going to touch, as a trial of it tells."""
        trial = self.session.fork()
        trial.beside = ()
        trial.call(name, arguments)
        tables = {b.table for b in self._bans if isinstance(b, LookFirst)}
        for change in trial.journal[-1].changes:
            if change.before is not None and change.table in tables:
                self._get(change.table, change.key[0])

    def _get(self, table: str, key: Any) -> None:
        getter = self.toolset.by_key(f"{table}.get")
        if getter is not None:
            made = call_of(self.toolset, getter.key, {next(p.key for p in getter.params if p.role == "key"): key})
            self._surely(made.name, made.arguments)

    # --- the gold

    def _do(self, calls: Sequence[GoldCall]) -> None:
        for call in calls:
            made = call_of(self.toolset, call.tool, call.arguments)
            if call.writes:
                self._prepare(made.name, made.arguments)
            self._surely(made.name, made.arguments)

    def _surely(self, name: str, arguments: dict[str, Any]) -> None:
        """Make a call until it is done, and its answer is of today."""
        left = dict(arguments)
        for _ in range(TRIES):
            result = self._act(name, left)
            if result.error is None:
                if not self._stale(name, left, result):
                    return
            elif result.error.code == "TIMEOUT":
                done = _DONE.search(result.error.message)
                if done is None:  # it was carried out, as the journal proves
                    return
                left[result.error.parameter] = left[result.error.parameter][int(done[1]) :]
            elif result.error.code not in ("UNAVAILABLE", "RATE_LIMITED"):
                return

    def _stale(self, name: str, arguments: dict[str, Any], result: Result) -> bool:
        """True where an answer lags behind the world."""
        faults = self.episode.company.faults
        if faults is None or not faults.stale or not self.toolset[name].read_only:
            return False
        if not any(e.changes for e in self.session.journal[-LAG - 1 :]):
            return False
        twin = self.session.fork()
        twin.beside = ()
        return bool(twin.call(name, arguments).data != result.data)
