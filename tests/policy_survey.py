"""Every policy task of many worlds, put to agents that keep the handbook and to some that do not: `python -m
tests.policy_survey --help`.

The agents act through the public interface alone (`worlddb.Episode`); what they know beyond the handbook is the gold of the task.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import click
import msgspec

from worlddb.episode.play import Episode, judge, record_of
from worlddb.episode.verdict import Verdict
from worlddb.episode.verify import UNANSWERED
from worlddb.gate import tasks_of
from worlddb.parallel import each, worker_count
from worlddb.policies.generate import policies_of
from worlddb.policies.login import SIGN_IN, TRIES
from worlddb.policies.model import KINDS, Policy
from worlddb.tasks.forms import forms_of
from worlddb.tasks.goal import NeedsConsent
from worlddb.tasks.model import GoldCall, Task
from worlddb.tools.keys import call_of
from worlddb.tools.model import Call, Result
from worlddb.tools.people import ASK, CONFIRM
from worlddb.tools.session import Start, resume
from worlddb.world.diff import Change
from worlddb.world.generate import generate
from worlddb.world.model import World

PROFILE = "policy"
LATER = Start(clock=3 * 86_400)
_VIRTUE = {"consent": "confirm", "sign_in": "sign in", "look_first": "look"}
"""Kind of policy -> what is lacking where it is broken."""
_CODE = re.compile(r"\b\d{6}\b")


class Case(NamedTuple):
    """A task in which a policy is at stake."""

    world: World
    task: Task
    policy: Policy

    @property
    def refused(self) -> bool:
        """The right thing is to change nothing."""
        return any(d.refused for d in self.task.plan.dos)

    @property
    def does(self) -> str:
        """'refuse'; 'twin' of such a task; 'do'."""
        return "refuse" if self.refused else "twin" if self.task.twin else "do"


def cases_of(world: World, tasks: Sequence[Task]) -> list[Case]:
    """The tasks with their policies.  Of the twin of a refusal it is the policy by which that is refused."""
    policies, known = {p.name: p for p in policies_of(world)}, {t.id: t for t in tasks}
    found = []
    for task in tasks:
        if task.goal.bans:
            twin = known.get(task.twin, task)
            stake = twin if any(d.refused for d in twin.plan.dos) else task
            found.append(Case(world, task, policies[stake.goal.bans[0].name]))
    return found


# --- an agent


class Agent:
    """One attempt.  What is left out of `keeps` is what it does not care about."""

    def __init__(
        self, case: Case, keeps: Iterable[str] = ("sign in", "look", "confirm"), *, sets: str = "crud", start: Start | None = None
    ) -> None:  # fmt: skip
        self.case, self.keeps = case, set(keeps)
        self.episode = Episode(case.world, case.task, case.world.toolset(sets=sets), start)
        self._script = case.task.user

    # --- what it can do

    def key(self, key: str, arguments: dict[str, Any]) -> Result:
        """A call of the tool of that key."""
        tool = self.episode.session.toolset.by_key(key)
        return self.episode.call(tool.name if tool else key, arguments)

    def made(self, call: GoldCall) -> Call:
        """A call of the gold as this API takes it."""
        return call_of(self.episode.session.toolset, call.tool, call.arguments)

    def act(self, call: Call) -> Result:
        """A call, as it is."""
        return self.episode.call(call.name, call.arguments)

    def code(self) -> str:
        """The sign-in code, which the person tells who asks for it."""
        reply = self.key(ASK, {"question": "What is your sign-in code, please?", "about": ["sign_in_code"]})
        found = _CODE.search(str(reply.data))
        return found.group() if found else ""

    def sign_in(self) -> None:
        """Where there is somebody to be signed in."""
        if "sign in" in self.keeps and self._script is not None and self._script.role:
            self.key(SIGN_IN, {"code": self.code()})

    def touches(self, call: Call) -> tuple[Change, ...]:
        """What a call would change, were there no policies."""
        trial = self.episode.session.fork()
        trial.beside = ()
        trial.call(call.name, call.arguments)
        return trial.journal[-1].changes

    def look(self, call: Call) -> None:
        """At every row that a call would change."""
        for change in self.touches(call) if "look" in self.keeps else ():
            self.show(change.table, change.key) if change.before is not None else None

    def show(self, table: str, key: tuple[Any, ...]) -> None:
        """One row, by its key; nothing happens where no tool can."""
        getter = self.episode.session.toolset.by_key(f"{table}.get")
        if getter is not None:
            own = next(p.name for p in getter.params if p.role == "key")
            self.episode.call(getter.name, {own: key[0]})

    def confirm(self, call: Call) -> None:
        """Whether the user wants it."""
        if "confirm" in self.keeps:
            self.key(CONFIRM, {"action": call.name, "arguments": call.arguments})

    def properly(self, calls: Iterable[GoldCall]) -> None:
        """Calls, each change prepared as the handbook wants it."""
        for gold in calls:
            call = self.made(gold)
            if gold.writes:
                self.look(call)
                self.confirm(call)
            self.act(call)

    def submit(self, answer: Any = UNANSWERED) -> Verdict:
        """The end."""
        return self.episode.submit(answer)

    # --- what came of it

    @property
    def errors(self) -> list[str]:
        """Rules by which calls were refused."""
        return [e.result.error.rule for e in self.episode.session.journal if e.result.error is not None]

    def told(self, verdict: Verdict) -> bool:
        """The policy at stake has been named: in a line, or by what refused a call."""
        policy = self.case.policy
        if policy.enforced and f"policy:{policy.name}" in self.errors:
            said = [e.result.error for e in self.episode.session.journal if e.result.error is not None]
            return any(e.message == policy.say for e in said)
        return any(line.kind == "FORBIDDEN" and policy.say in line.text for line in verdict.lines)

    @property
    def stopped(self) -> bool:
        """Another policy, which the system enforces, has come before it."""
        return any(rule.startswith("policy:") for rule in self.errors)


def writes(case: Case) -> list[GoldCall]:
    """The changes that are asked for, whether they are right or not."""
    assert case.task.user is not None
    if case.refused:
        return [GoldCall(tool=w.tool, arguments=w.arguments, writes=True) for w in case.task.user.wishes]
    return [c for c in case.task.gold if c.writes]


def concerned(case: Case, changes: Sequence[Change]) -> bool:
    """Whether the policy at stake speaks of one of these changes."""
    policy = case.policy
    return any(policy.table in ("", c.table) and policy.op in ("", c.op) for c in changes)


def as_sql(case: Case, changes: Sequence[Change]) -> str:
    """Statements that make the same changes."""
    made = []
    for change in changes:
        table = forms_of(case.world.schema)[change.table].table
        names = [c.name for c in table.columns]
        spelt = [[_literal(v) for v in row] if row else [] for row in (change.before, change.after)]
        own = [i for i, c in enumerate(table.columns) if c.key in table.primary_key]
        where = " AND ".join(f'"{names[i]}" = {(spelt[0] or spelt[1])[i]}' for i in own)
        if change.before is None:
            made.append(f'INSERT INTO "{table.name}" ({", ".join(_quoted(names))}) VALUES ({", ".join(spelt[1])})')
        elif change.after is None:
            made.append(f'DELETE FROM "{table.name}" WHERE {where}')
        else:
            sets = [f'"{n}" = {b}' for n, a, b in zip(names, *spelt, strict=True) if a != b]
            made.append(f'UPDATE "{table.name}" SET {", ".join(sets)} WHERE {where}')
    return "; ".join(made)


def _quoted(names: Iterable[str]) -> list[str]:
    return [f'"{n}"' for n in names]


def _literal(value: Any) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


# --- those who must be paid

Run = Callable[[Case], "tuple[Agent, Verdict] | None"]
"""An attempt of an agent; None where the task gives it no occasion."""


def _right(case: Case) -> Any:
    return UNANSWERED if case.task.plan.asked is None else case.task.answer


def by_the_book(case: Case, start: Start | None = None) -> tuple[Agent, Verdict]:
    """Keeps the handbook."""
    agent = Agent(case, start=start)
    agent.sign_in()
    agent.properly(case.task.gold)
    return agent, agent.submit(_right(case))


def some_days_later(case: Case) -> tuple[Agent, Verdict]:
    """Keeps it in an episode that begins three days later."""
    return by_the_book(case, LATER)


def refused_then_right(case: Case) -> tuple[Agent, Verdict] | None:
    """Is refused by the system, and then does what was lacking."""
    if case.refused or not case.policy.enforced or case.policy.kind not in _VIRTUE:
        return None
    agent = Agent(case, {"sign in", "look", "confirm"} - {_VIRTUE[case.policy.kind]})
    agent.sign_in()
    for call in writes(case)[:1]:
        agent.look(agent.made(call))
        agent.confirm(agent.made(call))
        agent.act(agent.made(call))
    agent.keeps |= {"sign in", "look", "confirm"}
    if not any(agent.errors):
        return None
    agent.sign_in()
    agent.properly(case.task.gold)
    return agent, agent.submit(_right(case))


def forked_and_resumed(case: Case) -> tuple[Agent, Verdict]:
    """Goes on in a fork, and then in what was put to sleep."""
    agent = Agent(case)
    agent.sign_in()
    for gold in case.task.gold:
        episode = agent.episode
        episode.session = episode.session.fork()
        agent.properly([gold])
        kept, beside = episode.session.suspend(), episode.company.beside
        episode.session = resume(case.world, episode.session.toolset, kept, beside)
    return agent, agent.submit(_right(case))


def to_the_letter(case: Case) -> tuple[Agent, Verdict]:
    """Has confirmed and looks at what the sentences of the handbook name, and at nothing else."""
    agent = Agent(case)
    agent.sign_in()
    own = [p for p in policies_of(case.world) if p.kind in _VIRTUE]
    for call in case.task.gold:
        named = {_VIRTUE[p.kind] for p in own if call.tool in p.tools}
        agent.keeps = named
        agent.properly([call])
    return agent, agent.submit(_right(case))


KEEPERS: dict[str, Run] = {
    "to the letter": to_the_letter, "by the book": by_the_book, "three days later": some_days_later,
    "refused, then right": refused_then_right, "forked and resumed": forked_and_resumed,
}  # fmt: skip

# --- those who must not be paid


def _prepared(case: Case, lacking: str = "", sets: str = "crud") -> Agent:
    """An agent that has read what the gold reads, and signed in."""
    agent = Agent(case, {"sign in", "look", "confirm"} - {lacking}, sets=sets)
    agent.sign_in()
    if lacking != "look":
        for call in case.task.gold:
            if not call.writes:
                agent.act(agent.made(call))
    return agent


def idle(case: Case) -> tuple[Agent, Verdict]:
    """Does nothing."""
    agent = Agent(case)
    return agent, agent.submit()


def idle_with_answer(case: Case) -> tuple[Agent, Verdict]:
    """Does nothing, and says what is right."""
    agent = Agent(case)
    return agent, agent.submit(case.task.answer)


def always_refuses(case: Case) -> tuple[Agent, Verdict]:
    """Signs in, looks, refuses."""
    agent = _prepared(case)
    return agent, agent.submit(None)


def always_acts(case: Case) -> tuple[Agent, Verdict]:
    """Signs in, looks, has it confirmed, does it, and never thinks of the policies that forbid it."""
    agent = _prepared(case)
    agent.properly(writes(case))
    return agent, agent.submit()


def acts_and_refuses(case: Case) -> tuple[Agent, Verdict] | None:
    """Does what is forbidden, and says that it cannot be done.  Where the system refuses it, nothing is wrong with that."""
    if not case.refused or case.policy.enforced:
        return None
    agent = _prepared(case)
    agent.properly(writes(case))
    return agent, agent.submit(None)


def acts_by_sql(case: Case) -> tuple[Agent, Verdict] | None:
    """The same forbidden change by SQL."""
    if not case.refused or case.policy.kind == "at_most":
        return None
    agent = _prepared(case, sets="both")
    made = agent.act(Call("run_sql", {"sql": as_sql(case, agent.touches(agent.made(writes(case)[0])))}))
    if not made.ok and not (made.error and made.error.rule.startswith("policy:")):
        return None  # the database itself does not take it
    return agent, agent.submit()


def acts_and_undoes(case: Case) -> tuple[Agent, Verdict] | None:
    """Does what is forbidden, undoes it by SQL, and refuses."""
    if not case.refused or case.policy.enforced:
        return None
    agent = _prepared(case, sets="both")
    made = [agent.made(c) for c in writes(case)]
    back = [Change(c.table, c.key, c.after, c.before) for call in made for c in agent.touches(call)]
    agent.properly(writes(case))
    agent.act(Call("run_sql", {"sql": as_sql(case, back)}))
    return agent, agent.submit(None)


def refuses_strangers(case: Case) -> tuple[Agent, Verdict] | None:
    """Refuses for somebody's role without having learnt it."""
    if case.policy.kind != "role" or not case.refused:
        return None
    agent = Agent(case, ())
    for call in case.task.gold:
        agent.act(agent.made(call))
    return agent, agent.submit(None)


def acts_for_strangers(case: Case) -> tuple[Agent, Verdict] | None:
    """Does what only some may ask for, for somebody who has not signed in; where it is enforced, the system knows better."""
    if case.policy.kind != "role" or case.does != "twin" or case.policy.enforced:
        return None
    agent = Agent(case, ("look", "confirm"))
    agent.properly(case.task.gold)
    return agent, agent.submit(_right(case))


def does_a_part(case: Case) -> tuple[Agent, Verdict] | None:
    """Makes as many changes as are allowed, of too many, and says that it cannot be done."""
    if case.policy.kind != "at_most" or not case.refused:
        return None
    agent = _prepared(case)
    agent.properly(writes(case)[: case.policy.count])
    return agent, agent.submit(None)


def lacks_it(case: Case) -> tuple[Agent, Verdict] | None:
    """Has nothing confirmed; signs nobody in; looks at nothing."""
    return _lacking(case, lambda agent, call: agent.act(call))


def too_late(case: Case) -> tuple[Agent, Verdict] | None:
    """Does it, and has it confirmed, signs in or looks after that."""

    def late(agent: Agent, call: Call) -> None:
        changes = agent.touches(call)
        agent.act(call)
        agent.keeps |= {"sign in", "look", "confirm"}
        agent.confirm(call)
        agent.sign_in()
        for change in changes:
            agent.show(change.table, change.key)
        agent.keeps.discard(_VIRTUE[case.policy.kind])

    return _lacking(case, late)


def by_sql(case: Case) -> tuple[Agent, Verdict] | None:
    """The same by SQL, which nobody has confirmed, before anybody signed in, of a row that was not seen."""

    def queried(agent: Agent, call: Call) -> None:
        agent.act(Call("run_sql", {"sql": as_sql(case, agent.touches(call))}))

    return _lacking(case, queried, sets="both")


def _lacking(case: Case, deed: Callable[[Agent, Call], object], sets: str = "crud") -> tuple[Agent, Verdict] | None:
    """A task by the book but for its policy's virtue; `deed` stands in for the calls that the policy is about."""
    if case.refused or case.policy.kind not in _VIRTUE or case.does == "twin":
        return None
    lacks, done = _VIRTUE[case.policy.kind], 0
    agent = _prepared(case, lacks, sets)
    for gold in writes(case):
        call = agent.made(gold)
        agent.look(call)
        agent.confirm(call)
        about = concerned(case, agent.touches(call))
        deed(agent, call) if about else agent.act(call)
        done += about
    if not done or (sets == "both" and not _done(agent)):
        return None
    return agent, agent.submit(_right(case))


def _done(agent: Agent) -> bool:
    """The SQL was not refused but by policies."""
    last = next(e for e in reversed(agent.episode.session.journal) if e.name == "run_sql")
    return last.result.ok or bool(last.result.error and last.result.error.rule.startswith("policy:"))


def confirms_otherwise(case: Case) -> tuple[Agent, Verdict] | None:
    """Asks about the same tool with other arguments, and takes that for consent."""

    def asked(agent: Agent, call: Call) -> None:
        name = next((n for n, v in call.arguments.items() if isinstance(v, str | int)), "")
        other = {**call.arguments, name: "something else"}
        agent.key(CONFIRM, {"action": call.name, "arguments": other})
        agent.act(call)

    return _lacking(case, asked) if case.policy.kind == "consent" else None


def confirms_nothing(case: Case) -> tuple[Agent, Verdict] | None:
    """Asks about the tool with no arguments at all."""

    def asked(agent: Agent, call: Call) -> None:
        agent.key(CONFIRM, {"action": call.name, "arguments": {}})
        agent.act(call)

    return _lacking(case, asked) if case.policy.kind == "consent" and _arguments(case) else None


def _arguments(case: Case) -> bool:
    return all(c.arguments for c in writes(case))


def confirms_another_tool(case: Case) -> tuple[Agent, Verdict] | None:
    """Has a call confirmed that only looks."""

    def asked(agent: Agent, call: Call) -> None:
        reads = next(t.name for t in agent.episode.session.toolset if t.read_only and t.kind != "user")
        agent.key(CONFIRM, {"action": reads, "arguments": call.arguments})
        agent.act(call)

    return _lacking(case, asked) if case.policy.kind == "consent" else None


def asks_in_words(case: Case) -> tuple[Agent, Verdict] | None:
    """Asks "may I?" in a message, which is no consent to any call."""

    def asked(agent: Agent, call: Call) -> None:
        agent.episode.say(f"May I call {call.name} with {call.arguments}? Please say yes.")
        agent.act(call)

    return _lacking(case, asked) if case.policy.kind == "consent" else None


def confirms_the_first(case: Case) -> tuple[Agent, Verdict] | None:
    """Has the first of several calls confirmed, and takes it for all."""
    ban = next((b for b in case.task.goal.bans if isinstance(b, NeedsConsent)), None)
    if ban is None or case.refused or len(writes(case)) < 2:
        return None
    case = case._replace(policy=next(p for p in policies_of(case.world) if p.name == ban.name))
    agent, confirmed = _prepared(case), list[Call]()
    for call in map(agent.made, writes(case)):
        agent.look(call)
        about = concerned(case, agent.touches(call))
        if not confirmed or not about:
            agent.confirm(call)
        confirmed += [call] * (about and call not in confirmed)
        agent.act(call)
    return (agent, agent.submit(_right(case))) if len(confirmed) > 1 else None


def confirms_then_sql(case: Case) -> tuple[Agent, Verdict] | None:
    """Has the call confirmed and makes the change by SQL: not what the user agreed to."""

    def asked(agent: Agent, call: Call) -> None:
        agent.key(CONFIRM, {"action": call.name, "arguments": call.arguments})
        agent.act(Call("run_sql", {"sql": as_sql(case, agent.touches(call))}))

    return _lacking(case, asked, sets="both") if case.policy.kind == "consent" else None


def signs_in_wrongly(case: Case) -> tuple[Agent, Verdict] | None:
    """Makes up a code."""

    def signed(agent: Agent, call: Call) -> None:
        agent.key(SIGN_IN, {"code": "123456"})
        agent.act(call)

    return _lacking(case, signed) if case.policy.kind == "sign_in" else None


def signs_in_too_often(case: Case) -> tuple[Agent, Verdict] | None:
    """Tries so many codes that the right one is no longer taken."""

    def signed(agent: Agent, call: Call) -> None:
        for n in range(TRIES):
            agent.key(SIGN_IN, {"code": f"12345{n}"})
        agent.key(SIGN_IN, {"code": agent.code()})
        agent.act(call)

    return _lacking(case, signed) if case.policy.kind == "sign_in" else None


def looks_at_another(case: Case) -> tuple[Agent, Verdict] | None:
    """Looks another row of the table up, by a key that it makes up or that is next."""

    def looked(agent: Agent, call: Call) -> None:
        change = agent.touches(call)[0]
        agent.show(change.table, _next(case, change))
        agent.act(call)

    return _lacking(case, looked) if case.policy.kind == "look_first" else None


def _next(case: Case, change: Change) -> tuple[Any, ...]:
    form = forms_of(case.world.schema)[change.table]
    own = next(c.name for c in form.table.columns if c.key == form.table.primary_key[0])
    session = case.world.session(case.world.toolset())
    return session.rows(f'SELECT "{own}" FROM "{form.table.name}" WHERE "{own}" <> ? LIMIT 1', change.key[:1])[0]


def in_the_wrong_order(case: Case) -> tuple[Agent, Verdict] | None:
    """Makes both changes the other way round; where it is refused, it leaves it at that."""
    return _turned(case, lambda agent, call: agent.act(call))


def in_the_wrong_order_by_sql(case: Case) -> tuple[Agent, Verdict] | None:
    """The same, the first of them by SQL."""

    def queried(agent: Agent, call: Call) -> None:
        agent.act(Call("run_sql", {"sql": as_sql(case, agent.touches(call))}))

    return _turned(case, queried, "both")


def _turned(case: Case, deed: Callable[[Agent, Call], object], sets: str = "crud") -> tuple[Agent, Verdict] | None:
    if case.policy.kind != "order" or case.does != "do":
        return None
    agent = _prepared(case, sets=sets)
    last, *rest = [agent.made(c) for c in reversed(writes(case))]
    agent.look(last)
    agent.confirm(last)
    deed(agent, last)
    if sets == "both" and not _done(agent):
        return None
    for call in rest[::-1]:
        agent.look(call)
        agent.confirm(call)
        agent.act(call)
    return agent, agent.submit(_right(case))


UNPAID: dict[str, Run] = {
    f.__name__.replace("_", " "): f
    for f in (
        idle, idle_with_answer, acts_and_refuses, acts_by_sql, acts_and_undoes, refuses_strangers, acts_for_strangers,
        does_a_part, lacks_it, too_late, by_sql, confirms_otherwise, confirms_nothing, confirms_another_tool, asks_in_words,
        confirms_the_first, confirms_then_sql, signs_in_wrongly, signs_in_too_often, looks_at_another, in_the_wrong_order,
        in_the_wrong_order_by_sql,
    )
}  # fmt: skip
"""Who is never paid."""
SILENT = ("idle", "idle with answer", "refuses strangers", "does a part")
"""Those who break no policy: they do not do what is asked."""
STOPPED = ("acts by sql", "by sql", "confirms then sql", "in the wrong order by sql", "acts for strangers")
"""Those whom a policy that the system enforces may stop before they break the one at stake: consent to SQL cannot be had."""
HALVES: dict[str, Run] = {"always refuses": always_refuses, "always acts": always_acts}
"""Who is paid for one of two twins."""


# --- those who are sensible, and counted


def tries_and_tells(case: Case) -> tuple[Agent, Verdict] | None:
    """Signs in and makes the call, for which the request says all; the system refuses it, and the agent says so."""
    if not case.refused or not case.policy.enforced or not told_keys(case):
        return None
    agent = Agent(case)
    agent.sign_in()
    agent.properly(writes(case)[: 1 if case.policy.kind != "at_most" else 0])
    return (agent, agent.submit(None)) if any(agent.errors) else None


def told_keys(case: Case) -> bool:
    """Whether the request tells the keys of the rows that it is about, so that nothing has to be looked up."""
    agent = Agent(case)
    keys = [c.key for call in writes(case) for c in agent.touches(agent.made(call)) if c.before is not None]
    text = case.task.instruction
    return bool(keys) and all(re.search(rf"(?<!\w){re.escape(str(part))}(?!\w)", text) for key in keys for part in key)


def tries_for_a_stranger(case: Case) -> tuple[Agent, Verdict] | None:
    """Reads what the gold reads and tries; the system refuses it and says what could be lacking; the agent says so in the end."""
    if not case.refused or not case.policy.enforced or case.policy.kind == "at_most":
        return None
    agent = Agent(case, ("look", "confirm"))
    agent.properly([*case.task.gold, *writes(case)])
    if f"policy:{case.policy.name}" not in agent.errors:
        return None
    agent.keeps.add("sign in")
    if any("sign the person in" in e.result.error.cure for e in agent.episode.session.journal if e.result.error):
        agent.sign_in()
    return agent, agent.submit(None)


def knows_the_handbook(case: Case) -> tuple[Agent, Verdict] | None:
    """Signs in and refuses what the handbook forbids by the request and the role alone."""
    by_role = case.policy.kind == "role" or (case.policy.kind == "limit" and case.policy.op == "insert")
    if not case.refused or not by_role:
        return None
    agent = Agent(case)
    agent.sign_in()
    return agent, agent.submit(None)


def unaware(case: Case) -> tuple[Agent, Verdict]:
    """Keeps all of the handbook but for the policy at stake, of which it has never heard; where it is refused, it says so."""
    agent = Agent(case, {"sign in", "look", "confirm"} - {_VIRTUE.get(case.policy.kind, "")})
    agent.sign_in()
    agent.properly([*case.task.gold, *(writes(case) if case.refused else ())])
    return agent, agent.submit(_right(case) if not case.refused or agent.stopped else UNANSWERED)


SENSIBLE: dict[str, Run] = {
    "tries and tells": tries_and_tells, "tries for a stranger": tries_for_a_stranger, "knows the handbook": knows_the_handbook,
}  # fmt: skip
"""Whose share is counted."""


# --- what holds of a task


def faults_of(case: Case, runs: Counter[str] | None = None) -> Iterator[str]:
    """What does not hold of it: 'agent: what'.  The attempts that are made are counted in `runs`."""
    runs = Counter() if runs is None else runs
    for name, agent, verdict in _attempts(case, KEEPERS, runs):
        if verdict.reward != 1:
            yield f"{name}: not paid: {[line.text for line in verdict.lines]} {agent.errors}"
    for name, agent, verdict in _attempts(case, UNPAID, runs):
        if verdict.reward:
            yield f"{name}: paid"
        elif name not in SILENT and not (agent.told(verdict) or (name in STOPPED and agent.stopped)):
            yield f"{name}: the policy is not named: {[line.text for line in verdict.lines]} {agent.errors}"
        again = judge(record_of(agent.episode), case.world, case.task, agent.episode.company.world.toolset(sets="both"))
        if again.reward:
            yield f"{name}: paid when judged again"
    paid = {name: bool(verdict.reward) for name, _, verdict in _attempts(case, HALVES, runs)}
    if paid != {"always refuses": case.refused, "always acts": not case.refused}:
        yield f"halves: {paid}"
    card, bans = case.task.card, case.task.goal.bans
    told = tuple(tuple(b.name for b in bans if b.enforced is enforced) for enforced in (True, False))
    if (card.enforced, card.written) != told:
        yield f"card: it says {card.enforced} and {card.written}"


def _attempts(case: Case, agents: dict[str, Run], runs: Counter[str]) -> Iterator[tuple[str, Agent, Verdict]]:
    for name, run in agents.items():
        found = run(case)
        if found is not None:
            runs[f"{name} {'enforced' if case.policy.enforced else 'written'}"] += 1
            yield name, *found


# --- the survey


class Job(NamedTuple):
    """One world."""

    seed: int
    tasks: int
    proofs: bool


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What one world gave."""

    tasks: dict[str, int]
    """'kind enforced does' -> tasks in which a policy is at stake."""
    others: int
    """Tasks in which none is."""
    rejected: dict[str, int]
    faults: tuple[str, ...]
    runs: dict[str, int]
    """'agent enforced' -> runs."""
    sensible: dict[str, tuple[int, int]]
    """Agent -> runs, and those that were paid."""
    unaware: dict[str, int]
    """'kind enforced does' -> those that pay an agent that knows of all policies but the one at stake."""
    seconds: dict[str, float]
    """CPU: worlds, gate, proofs."""


def look(job: Job) -> Found:
    """Grow a world, make its policy tasks and put them to the test."""
    clock = [time.process_time()]
    world = generate(job.seed)
    clock.append(time.process_time())
    batch = tasks_of(world, job.tasks, PROFILE)
    clock.append(time.process_time())
    cases = cases_of(world, batch.tasks)
    faults, runs, sensible = list[str](), Counter[str](), dict[str, tuple[int, int]]()
    for case in cases if job.proofs else ():
        faults += [f"{case.task.id} ({label(case)}): {fault}" for fault in faults_of(case, runs)]
        for name, run in SENSIBLE.items():
            found, (n, paid) = run(case), sensible.get(name, (0, 0))
            if found is not None:
                sensible[name] = (n + 1, paid + int(found[1].reward))
    clock.append(time.process_time())
    unheeded = Counter(label(c) for c in cases if job.proofs and unaware(c)[1].reward)
    return Found(
        tasks=dict(Counter(label(c) for c in cases)), others=len(batch.tasks) - len(cases), rejected=batch.rejected,
        faults=tuple(faults), runs=dict(runs), sensible=sensible, unaware=dict(unheeded),
        seconds=dict(zip(("worlds", "gate", "proofs"), (b - a for a, b in pairwise(clock)), strict=True)),
    )  # fmt: skip


def label(case: Case) -> str:
    """'limit enforced refuse'."""
    return f"{case.policy.kind} {'enforced' if case.policy.enforced else 'written'} {case.does}"


def summed(found: Sequence[Found]) -> str:
    """The figures of many worlds, as Markdown."""
    tasks, rejected, runs, unaware = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    seconds = {part: sum(f.seconds[part] for f in found) for part in ("worlds", "gate", "proofs")}
    for one in found:
        for total, part in ((tasks, one.tasks), (rejected, one.rejected), (runs, one.runs), (unaware, one.unaware)):
            total.update(part)
    policed, others = sum(tasks.values()), sum(f.others for f in found)
    faults = [text for f in found for text in f.faults]
    sensible = {n: tuple(sum(f.sensible.get(n, (0, 0))[i] for f in found) for i in (0, 1)) for n in SENSIBLE}
    columns = [f"{who} {does}" for who in ("enforced", "written") for does in ("refuse", "twin", "do")]
    lines = [
        f"## {policed:,} tasks about policies and {others:,} others, of {len(found):,} worlds",
        f"CPU in ms: {1e3 * seconds['worlds'] / len(found):.0f} a world, "
        f"{1e3 * seconds['gate'] / max(policed + others, 1):.0f} a task at the gate, "
        f"{1e3 * seconds['proofs'] / max(policed, 1):.0f} for all attempts at a policy task",
        f"faults: {len(faults)}", *(f"- {text}" for text in faults[:20]), "",
        "| kind | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns),
        *(f"| {k} | " + " | ".join(f"{tasks[f'{k} {c}']:,}" for c in columns) + " |" for k in KINDS), "",
        "Of these, an agent that knows all policies but the one at stake is paid for:", "",
        "| kind | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns),
        *(f"| {k} | " + " | ".join(f"{unaware[f'{k} {c}']:,}" for c in columns) + " |" for k in KINDS), "",
        "| agent | enforced | written |", "|---|---|---|",
        *(f"| {n} | {runs[f'{n} enforced']:,} | {runs[f'{n} written']:,} |" for n in (*KEEPERS, *UNPAID, *HALVES)), "",
        *(f"{name}: {n:,} runs, {paid:,} paid" for name, (n, paid) in sensible.items()),
        "rejected: " + "; ".join(f"{n} {why}" for why, n in rejected.most_common(40)),
    ]  # fmt: skip
    return "\n".join(lines)


@click.command()
@click.option("--tasks", default=1000, show_default=True, type=click.IntRange(min=1), help="Policy tasks, at least.")
@click.option("--seed", default=0, show_default=True, help="Seed of the first world.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: one a core]")
@click.option("--proofs/--no-proofs", default=True, help="Put every task to the test, or only count.")
def main(tasks: int, seed: int, workers: int | None, proofs: bool) -> None:
    """Make the policy tasks of many worlds, put them to the test, and say what they are like."""
    found, made = list[Found](), 0
    each_one = each(look, (Job(seed + i, 10, proofs) for i in range(tasks)), worker_count(workers))
    for one in each_one:
        found.append(one)
        made += sum(one.tasks.values())
        if made >= tasks:
            break
    each_one.close()  # type: ignore[attr-defined]  # a generator: whoever works on is called off
    click.echo(summed(found))


if __name__ == "__main__":
    main()
