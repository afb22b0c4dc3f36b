"""The company of an episode: who stands beside its session, as its task has it.  The user, the sign-in, the wards, the faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from worlddb.episode.behaviour import Confirmed
from worlddb.episode.policing import Done, deed_done
from worlddb.episode.wards import Agreed, Wards
from worlddb.policies.login import Login, with_login
from worlddb.policies.staff import staff_of
from worlddb.policies.text import policies_text
from worlddb.tasks.goal import Goal
from worlddb.tasks.model import GoldCall, Task
from worlddb.tools.faults import Faults
from worlddb.tools.faulty import faults_beside, handbook_lines
from worlddb.tools.session import Beside, Entry, Session
from worlddb.tools.toolset import Toolset
from worlddb.users.simulate import User
from worlddb.world.model import World

_TALK = (
    "The person who asks is there to talk with. Ask them for what only they can know ({ask}), look up what can be looked up, and "
    "tell them when you are done ({tell}): they may have something to add. Then submit."
)
_RULES = "The policies of the house hold; the handbook has them. Some of them no system enforces."
_SIGN_IN = "Sign the person in ({sign_in}) by the code that they tell you, where a policy depends on who they are."


Voice: TypeAlias = Callable[[User], Beside]
"""Makes of a user who speaks by rules somebody who speaks for them (`worlddb.users.llm`)."""


class Company(NamedTuple):
    """Who stands beside a session."""

    world: World
    toolset: Toolset
    """The agent's tools, those of the user and of signing in included."""
    user: User | None
    beside: tuple[Beside, ...]
    policies: bool
    """Whether the policies of the world are in force."""
    signs_in: bool
    faults: Faults | None = None

    @classmethod
    def of(
        cls, world: World, task: Task | Goal, toolset: Toolset | None = None, faults: Faults | None = None,
        voice: Voice | None = None,
    ) -> Company:  # fmt: skip
        """The company that a task asks for; of a mere goal its bans alone.  `voice` stands in for the user, and may ask them."""
        goal, script = (task.goal, task.user) if isinstance(task, Task) else (task, None)
        tools = toolset if toolset is not None else world.toolset()
        beside: list[Beside] = []
        user = None
        if script is not None:
            tools = tools.with_people(tuple(d.name for d in script.deeds))
            person = next((p for p in staff_of(world) if p.role == script.role), None) if script.role else None
            if person is not None:
                tools = with_login(tools)
                beside.append(Login(person.code, person.name, person.role))
            assert isinstance(task, Task)
            wishes = tuple(GoldCall(tool=w.tool, arguments=w.arguments) for w in script.wishes)
            user = User(script, (*(c for c in task.gold if c.writes), *wishes), world, tools)
            beside.append(user if voice is None else voice(user))
        if any(ban.enforced for ban in goal.bans):
            beside.append(Wards(goal.bans, _agreed(user), _done(user)))
        model = faults or (task.faults if isinstance(task, Task) else None)
        beside += faults_beside(model)
        policies = any(ban.name for ban in goal.bans)
        return cls(world, tools, user, tuple(beside), policies, bool(script and script.role), model)

    @property
    def briefing(self) -> str:
        """What the agent must know of it, in a few sentences."""
        names = {t.key.partition(".")[2]: t.name for t in self.toolset if t.kind == "user"}
        told = [_TALK.format_map(names)] if self.user is not None else []
        told += [_RULES] if self.policies else []
        told += [_SIGN_IN.format_map(names)] if self.signs_in else []
        return " ".join(told)

    @property
    def rules(self) -> str:
        """What no tool tells of: the policies in force, and how the service fails; '' where there is nothing of the kind."""
        parts = [policies_text(self.world)] if self.policies else []
        if self.faults is not None and self.faults.kinds:
            parts.append(f"## When the service fails\n\n{handbook_lines(self.faults)}")
        return "\n".join(parts)

    def handbook(self, toolset: Toolset) -> str:
        """The handbook of the world, with its policies where they are in force."""
        return "\n".join(part for part in (toolset.handbook(), self.rules) if part)

    def confirmed(self, session: Session) -> Confirmed:
        """Whether the user had agreed to an entry of the session's journal."""
        agreed = _agreed(self.user)
        return lambda entry: agreed(session.journal[: entry.number - 1], entry)

    def did(self, session: Session) -> Done:
        """Whether the user had done something on their own side."""
        return _done(self.user)


def _agreed(user: User | None) -> Agreed:
    def agreed(journal: Sequence[Entry], entry: Entry) -> bool:
        return user is not None and user.agreed(journal, entry)

    return agreed


def _done(user: User | None) -> Done:
    if user is None:
        return deed_done
    return lambda journal, tools, deed, number: deed in user.state(journal[: number - 1]).deeds
