"""An agent that knows the gold and does all by the book: asks for what is withheld, signs in, looks first, has things confirmed.

It proves that a task with a user and policies can be done, and with one of its virtues missing, that this one is needed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from worlddb.episode.play import Episode
from worlddb.episode.verdict import Verdict
from worlddb.episode.verify import UNANSWERED
from worlddb.policies.login import SIGN_IN
from worlddb.policies.staff import staff_of
from worlddb.tasks.enact import enact
from worlddb.tasks.goal import LookFirst, NeedsConsent, SignedIn, UserFirst
from worlddb.tasks.ground import Ground
from worlddb.tasks.model import GoldCall, Task
from worlddb.tasks.plan import Plan
from worlddb.tools.keys import call_of
from worlddb.tools.people import ASK, CONFIRM, DO, TELL

VIRTUES = ("ask", "sign in", "look", "confirm", "wait")
"""What it does beyond the gold; `wait` has the user do first what is theirs to do."""


class Silent(Exception):
    """The user did not say what they were asked."""


class Diligent:
    """One attempt at a task by the book, but for the virtues that it lacks."""

    def __init__(self, ground: Ground, task: Task, *, first: Plan | None = None, lacking: Collection[str] = ()) -> None:
        """`first`: what the task asked for at first, which is looked into before it proves impossible."""
        self.ground, self.task, self.first, self.lacking = ground, task, first, lacking
        self.episode = Episode(ground.world, task, ground.toolset)
        self.session = self.episode.session
        self._names = {t.key: t.name for t in self.session.toolset if t.kind == "user"}
        self._bans = task.goal.bans

    def run(self, calls: Sequence[GoldCall] | None = None) -> Verdict:
        """Do it, and be judged; `calls` in the place of the gold's.

        Raises:
            Silent: the user did not answer.
        """
        calls = self.task.gold if calls is None else calls
        self._ask()
        self._sign_in()
        if self.first is not None:
            self._do(enact(self.ground, self.first).calls)
        script = self.task.user
        if script is not None and (script.changes or script.requests):
            done = self._before_news(calls)
            self._do(calls[:done])
            self._call(TELL, {"message": "That much is done. Is there anything else?"})
            calls = calls[done:]
        self._do(calls)
        return self.episode.submit(UNANSWERED if self.task.plan.asked is None else self.task.answer)

    # --- the steps

    def _call(self, key: str, arguments: dict[str, Any]) -> str:
        """What the user says to one call; '' where it is refused."""
        result = self.episode.call(self._names[key], arguments)
        return str(result.data.get("reply", "")) if result.ok else ""

    def _ask(self) -> None:
        for topic in self.task.user.hidden if self.task.user is not None and "ask" not in self.lacking else ():
            reply = self._call(ASK, {"question": f"Which {topic.name}, please?", "about": [topic.name]})
            if any(secret not in reply for secret in topic.secrets):
                raise Silent(topic.name)

    def _sign_in(self) -> None:
        role = self.task.user.role if self.task.user is not None else ""
        if role and SIGN_IN in self._names and "sign in" not in self.lacking:
            code = next(p.code for p in staff_of(self.ground.world) if p.role == role)
            self.episode.call(self._names[SIGN_IN], {"code": code})

    def _before_news(self, calls: Sequence[GoldCall]) -> int:
        """How many calls come before the user has something new to say."""
        writes = [i for i, c in enumerate(calls) if c.writes]
        script = self.task.user
        if script is not None and script.requests and self.first is None:
            return writes[-1]
        return writes[0] if writes else len(calls)

    def _do(self, calls: Sequence[GoldCall]) -> None:
        for call in calls:
            made = call_of(self.ground.toolset, call.tool, call.arguments)
            if call.writes:
                self._prepare(call, made.name, made.arguments)
            self.episode.call(made.name, made.arguments)

    def _prepare(self, call: GoldCall, name: str, arguments: dict[str, Any]) -> None:
        """What the bans ask for before a change."""
        if any(isinstance(b, UserFirst) for b in self._bans) and "wait" not in self.lacking:
            for ban in self._bans:
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
            getter = self.ground.toolset.by_key(f"{change.table}.get")
            if change.before is not None and change.table in tables and getter is not None:
                key = next(p.key for p in getter.params if p.role == "key")
                made = call_of(self.ground.toolset, getter.key, {key: change.key[0]})
                self.episode.call(made.name, made.arguments)


def needed(task: Task) -> tuple[str, ...]:
    """The virtues that a task asks for."""
    kinds = {type(b) for b in task.goal.bans}
    found = {"sign in": SignedIn, "look": LookFirst, "confirm": NeedsConsent, "wait": UserFirst}
    return tuple(v for v, kind in found.items() if kind in kinds)
