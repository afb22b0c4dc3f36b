"""Check of tasks: does the gold earn the reward, does doing nothing earn none, is the task where it may be?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from worlddb.errors import BadRequest, WorlddbError
from worlddb.heldout import Scope
from worlddb.request import task_version
from worlddb.shards import Entry, Gated, family_and_reason, pack_task
from worlddb.spawner import make_tasks
from worlddb.store import StoreRecipe
from worlddb.tasks.model import Task
from worlddb.tasks.plan import Find
from worlddb.tools.keys import call_of
from worlddb.tools.toolset import Toolset
from worlddb.world.model import World

REASONS = {
    "nothing proposed": "the family found nothing in this world to ask for",
    "a tie": "several groups share the place that it asks about, so that it has no one answer",
    "another shape": "its gold has another length, depth or width than the tasks that were still wanted",
    # why a plan cannot be carried out by the tools
    "no tool shows it": "no tool, nor a chain of them, leads to the rows that it speaks of",
    "no such tool": "the world's API lacks the tool that would make its change",
    "nobody is there": "no row answers its description",
    "not the only one": "more than one row answers a description that is to name a single one",
    "too few": "fewer rows answer its description than it speaks of",
    "nothing to reckon with": "a value that it calculates or compares with is empty",
    "nothing to add up": "a figure over no rows has no value",
    "a call is refused": "a tool refused a call of its gold",
    "it is not refused": "what was to be impossible can be done, or is refused for another cause",
    "a call changes nothing": "a change of its gold leaves the world as it was",
    "the answer is empty": "what it asks for has no value",
    # what the gate does not take
    "nothing to do": "its gold makes no call",
    "a duplicate": "the world has a task of the same structure over the same tables and columns",
    "a structure of another suite": "tasks of this structure are kept for suites of the other side",
    "a held-out domain": "it touches a table of a domain that the suite holds out",
    "a held-out tool": "it needs a tool that the suite holds out",
    "an answer beside a choice": "what must have been read for its answer would depend on the row that was chosen",
    "too many ways to do it": "it leaves a choice of more ways than a goal lists",
    "no words for it": "no instruction was found that reads back to the same meaning",
    # what an interactive task cannot withhold, or does not prove
    "nothing to withhold": "it has none of what the levels withhold that are still wanted",
    "one topic alone": "two things were to be withheld, and it has one",
    "no description with a gap": "no description of a row, with a part left out, fits a few others as well",
    "no wish that could change": "it sets nothing that the user could think better of",
    "no other value": "the column has no other value that the user could have asked for first",
    "nothing to be done first": "its first request changes nothing after which the second could be made",
    "nothing to come upon": "nothing that the agent must look at shows that it cannot be done",
    "two topics of one name": "two things that it withholds would be called the same",
    "the instruction says it": "what is to be withheld stands in the instruction all the same",
    "idling is paid": "an agent that does nothing would be paid",
    "no gap": "what the agent is told leaves only one end possible",
    "a guess is paid": "an agent that takes something else for what is withheld would be paid",
    "asking does not help": "an agent that asks for what is needed would not be paid",
    "not waiting for the user is paid": "an agent that does not let the user do their part first would be paid",
    "the user does not say it": "the user did not answer a question with all that is withheld",
    "the user has not said all": "a change of mind or a request of the user was never due",
    # what a task under policies does not prove
    "keeping to the handbook is not paid": "an agent that keeps every policy would not be paid",
    "breaking the policy is paid": "an agent that breaks the policy would be paid, or not be told which",
    "nobody could break the policy": "no call of the world's tools breaks the policy in this task",
    # how a trial went the wrong way
    "an argument comes from nowhere": "its gold uses a value that is neither stated nor shown by an earlier call",
    "a dead call": "nothing depends on one of the calls of its gold",
    "the instruction says the answer": "who reads the instruction need not look anything up",
    "days by the calendar and by the clock differ": "two right ways to count its days come to different numbers",
    "a description does not hold": "by SQL, a description selects other rows than those that are meant",
    "a description means another row by then": "once its first changes are made, a description fits another row",
    "an argument makes no difference": "with another row or value, the same comes of it",
    "SQL cannot do it": "what the tools did cannot be done by statements of SQL",
    "SQL comes to something else": "tools and SQL do not come to the same end",
    "the gold with … is paid": "the verifier would pay for a run with this one fault",
    "… is not paid": "the verifier would not pay for a run that does what is asked",
    "… is paid": "the verifier would pay an agent that did not do what is asked",
    "… gets … of the shaped reward": "an agent that did not do what is asked would get much of the shaped reward",
}
"""Why the gate rejects a proposal -> what that means; … stands for any words, and the first that fits holds."""

_FITS = [(re.compile(re.escape(reason).replace("…", ".+")), words) for reason, words in REASONS.items()]


def meaning(reason: str) -> str:
    """What a reason of the gate means, as a clause; '' for one of another version that is not known here."""
    return next((words for pattern, words in _FITS if pattern.fullmatch(reason)), "")


class FamilyFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the proposals of one family."""

    family: str
    tasks: int
    admitted: int
    """Proposals that became tasks; twins are one."""
    proposed: int
    rate: float
    """admitted / proposed."""


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """Proposals that the gate rejected for one reason."""

    family: str
    reason: str
    proposals: int
    means: str = ""
    """The reason, as a clause that says more."""


class TaskReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate noted, and what a check found, of all tasks of a store."""

    asked: int
    """Tasks that the worlds were asked for."""
    admitted: int
    """Tasks that they have."""
    sound: int
    """Tasks without a fault."""
    proposed: int
    short: int
    """Worlds that have fewer than they were asked for."""
    structures: int
    """Different structures."""
    families: tuple[FamilyFigures, ...]
    rejected: tuple[Rejection, ...]
    """The most frequent first."""
    figures: dict[str, float]
    """What else the gate measured, summed over the worlds."""


class Tally(NamedTuple):
    """The figures of some worlds, to be added up."""

    counts: Counter[str]
    """worlds, short worlds, proposed."""
    tasks: Counter[str]
    """By family; twins (in `twins`) are two."""
    twins: Counter[str]
    rejected: Counter[str]
    """By 'family: reason'."""
    figures: dict[str, float]
    structures: set[str]

    @classmethod
    def empty(cls) -> Tally:
        """Of no world."""
        return cls(Counter(), Counter(), Counter(), Counter(), {}, set())

    def note(self, entry: Entry, asked: int) -> None:
        """Add a world that was asked for so many tasks."""
        self.counts.update(worlds=1, short=len(entry.tasks) < asked, proposed=entry.gated.proposed)
        self.tasks.update(task.family for task in entry.tasks)
        self.twins.update(task.family for task in entry.tasks if task.twin)
        self.rejected.update(entry.gated.rejected)
        self._sum(entry.gated.figures)
        self.structures.update(task.card.structure for task in entry.tasks)

    def add(self, other: Tally) -> None:
        """Add the figures of other worlds."""
        for mine, its in zip(self[:4], other[:4], strict=True):
            mine.update(its)
        self._sum(other.figures)
        self.structures.update(other.structures)

    def _sum(self, figures: dict[str, float]) -> None:
        for name, figure in figures.items():
            self.figures[name] = self.figures.get(name, 0) + figure

    def report(self, asked: int, faulty: int) -> TaskReport:
        """The report, of worlds that were asked for so many tasks each, so many of which have a fault."""
        rejected = [
            Rejection(family=family, reason=reason, proposals=n, means=meaning(reason))
            for (family, reason), n in sorted((family_and_reason(k), n) for k, n in self.rejected.items() if n)
        ]
        return TaskReport(
            asked=asked * self.counts["worlds"], admitted=self.tasks.total(), sound=self.tasks.total() - faulty,
            proposed=self.counts["proposed"], short=self.counts["short"], structures=len(self.structures),
            families=tuple(self._family(f, rejected) for f in sorted({*self.tasks, *(r.family for r in rejected)} - {""})),
            rejected=tuple(sorted(rejected, key=lambda r: -r.proposals)), figures=dict(sorted(self.figures.items())),
        )  # fmt: skip

    def _family(self, name: str, rejected: list[Rejection]) -> FamilyFigures:
        admitted = self.tasks[name] - self.twins[name] // 2
        proposed = admitted + sum(r.proposals for r in rejected if r.family == name)
        rate = admitted / proposed if proposed else 0.0
        return FamilyFigures(family=name, tasks=self.tasks[name], admitted=admitted, proposed=proposed, rate=rate)


def check_tasks(entry: Entry, world: World, recipe: StoreRecipe, *, regrow: bool) -> Iterator[tuple[str, str]]:
    """(id of the task or world, fault) for all that is wrong with the tasks of one world.

    Raises:
        StoreError: the bytes of a task are damaged.
    """
    tasks = world.tasks
    if len(tasks) > recipe.tasks:
        yield world.id, f"it has {len(tasks)} tasks, the store is to have {recipe.tasks} a world"
    for what, found in (("id", [t.id for t in tasks]), ("skeleton", [t.card.skeleton for t in tasks])):
        for value, times in Counter(found).items():
            if times > 1 and value:
                yield world.id, f"{times} tasks have the {what} '{value}'"
    twins = {task.id: task.twin for task in tasks}
    for task in tasks:
        yield from ((task.id, fault) for fault in _faults(task, world, twins, recipe.scope))
    if regrow and recipe.tasks and recipe.task_version == task_version():
        yield from ((world.id, fault) for fault in _made_again(entry, world, recipe))


def _faults(task: Task, world: World, twins: dict[str, str], scope: Scope | None) -> Iterator[str]:
    if task.world != world.id:
        yield f"it is stored with {world.id}"
        return
    if task.twin and twins.get(task.twin) != task.id:
        yield f"its twin '{task.twin}' is not its twin"
    try:
        yield from out_of_scope(task, world.toolset(), scope) if scope else ()
        yield from replayed(world, task)
    except WorlddbError as error:
        yield str(error)


def replayed(world: World, task: Task) -> Iterator[str]:
    """What is wrong with the rewards: the gold must earn 1 and doing nothing 0.

    Raises:
        BadRequest: the world's API lacks a tool of the gold, or a parameter.
    """
    from worlddb.episode.play import Episode

    episode, toolset = Episode(world, task), world.toolset()
    for step, gold in enumerate(task.gold):
        call = call_of(toolset, gold.tool, gold.arguments)
        result = episode.call(call.name, call.arguments)
        if result.error:
            yield f"call {step} of its gold, {call.name}, is refused: {result.error.message}"
    verdict = episode.submit(task.answer)
    if verdict.reward != 1:
        yield f"its gold earns {verdict.reward:g}: {'; '.join(map(str, verdict.lines))}"
    idle = Episode(world, task).submit()
    if idle.reward != 0 or idle.invalid:
        yield f"doing nothing earns {idle.reward:g}: {'; '.join(map(str, idle.lines))}"


def out_of_scope(task: Task, toolset: Toolset, scope: Scope) -> Iterator[str]:
    """What a task uses that its suite holds out."""
    if not scope.structure(task.card.structure):
        share = "no held-out one" if scope.side == "eval" else "held out"
        yield f"its structure {task.card.structure} is {share}, in a store of the side '{scope.side}'"
    tools = {gold.tool for gold in task.gold}
    yield from (f"its gold calls {key}, which is held out" for key in sorted(tools) if not scope.tool_key(key))
    called = {tool.table for key in tools if (tool := toolset.by_key(key))}
    tables = called | {node.table for node in task.plan.nodes if isinstance(node, Find)}
    for table in toolset.schema.tables:
        if table.key in tables and not scope.table(table):
            yield f"it touches {table.key}, which comes from the held-out domain '{table.origin}'"


def _made_again(entry: Entry, world: World, recipe: StoreRecipe) -> Iterator[str]:
    try:
        again = make_tasks(world, recipe)
    except BadRequest as error:
        yield str(error)
        return
    if again is None:
        return
    unpack = entry.codecs.tasks.unpack
    stored = {task.id: unpack(packed) for task, packed in zip(entry.tasks, entry.packed_tasks, strict=True)}
    made = {task.id: pack_task(task) for task in again.tasks}
    differ = [name for name in {**stored, **made} if stored.get(name) != made.get(name)]
    if differ:
        yield f"made again, its tasks differ: {', '.join(differ[:3])}{' …' if len(differ) > 3 else ''}"
    if entry.gated != Gated(again.proposed, dict(again.rejected), dict(again.figures)):
        yield "made again, the gate notes other figures"
