"""What must hold of every published task, shown on the finished task: the gate is not asked.

Agents are played through `Episode` as anyone would play them, and the SQL that a task stores is run anew, so that nothing
rests on the gate's own trials.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from tests.calls import draw_call
from worlddb.episode.play import Episode
from worlddb.episode.solve import gold_calls, solve, submitted
from worlddb.episode.verify import UNANSWERED, Trail, verdict_on
from worlddb.schema.model import Schema
from worlddb.tasks.answer import MINOR, column_of
from worlddb.tasks.enact import Gold, enact
from worlddb.tasks.forms import Form, forms_of, window_of
from worlddb.tasks.ground import Ground, flat
from worlddb.tasks.model import Task
from worlddb.tasks.plan import Const, Each, Of, parts, uses
from worlddb.tools.keys import call_of
from worlddb.tools.session import Session, Start
from worlddb.world.diff import Change, Diff, Key, Row

OTHERWISE = Start(clock=2 * 86_400 + 77, ids=4_000)
"""Another beginning: neither the clock (within the three days for which tasks are made) nor running numbers may matter."""
DAY = 86_400
RANDOM_CALLS, SPRAYED, REMOVED = 12, 25, 200
REMOVERS = ("delete", "archive")
MADE = ("key", "minted", "bookkeeping")
"""Classes of columns whose values the server makes, and nobody judges."""
WORDY = 3
"""Values of fewer letters or digits are in any text by chance."""


class Proofs:
    """The tasks of one world, put to the test one by one."""

    def __init__(self, ground: Ground) -> None:
        self.ground, self.world, self.toolset = ground, ground.world, ground.toolset
        self.judged: Counter[str] = Counter()
        """Name of an agent -> the runs in which it did not happen to do the task, and so must not be paid."""

    def faults(self, task: Task) -> Iterator[str]:
        """What does not hold, in a few words each."""
        gold = solve(self.world, task, self.toolset)
        yield from _unless(gold.verdict is not None and gold.verdict.reward == 1, "the gold is not paid")
        again = solve(self.world, task, self.toolset, start=OTHERWISE)
        if not _minted(task, gold.session):
            yield from _unless(
                again.verdict is not None and again.verdict.reward == 1, "the gold is not paid elsewhere"
            )
        yield from self._agents(task, gold.session)
        yield from self._sql(task)
        yield from self._calls(task)
        yield from leaks(self.ground.schema, task, self.enacted(task))

    # --- agents that must not be paid

    def _agents(self, task: Task, gold: Session) -> Iterator[str]:
        right = told(self.ground.schema, gold.diff())
        for name, steps, answer in self._attempts(task):
            episode = Episode(self.world, task, self.toolset)
            for step in steps:
                episode.call(*step)
            same = told(self.ground.schema, episode.session.diff()) == right
            if same and len(steps) > 0 and (task.plan.asked is None or answer is not UNANSWERED):
                continue  # it has done the task
            verdict = episode.submit(answer)
            self.judged[name] += 1
            yield from _unless(verdict.reward == 0 and not verdict.invalid, f"{name} is paid")

    def _attempts(self, task: Task) -> Iterator[tuple[str, Sequence[tuple[str, Any]], Any]]:
        """Name of an agent, its calls, its answer."""
        gold = [(c.name, c.arguments) for c in gold_calls(task, self.toolset)]
        yield "no-op", [], UNANSWERED
        yield "no-op with the answer", [], task.answer
        if task.plan.asked is not None and task.plan.asked.shape != "none":
            yield "no answer", gold, UNANSWERED
        dice = random.Random(task.id)
        yield "random", self._random(dice), UNANSWERED
        yield "random with the answer", self._random(dice), task.answer
        yield "spray", [*gold, *self._spray(task, dice)], task.answer
        yield "delete-all", [*gold, *self._delete()], task.answer
        for i, call in enumerate(task.gold):
            if call.writes:
                yield "a write left out", gold[:i] + gold[i + 1 :], task.answer

    def _random(self, dice: random.Random) -> list[tuple[str, Any]]:
        """Calls of any tools that look right."""
        session = self.world.session(self.toolset)
        tools = [dice.choice(self.toolset.tools) for _ in range(RANDOM_CALLS)]
        return [(t.name, draw_call(session, t, dice)) for t in tools]

    def _spray(self, task: Task, dice: random.Random) -> list[tuple[str, Any]]:
        """Each change of the gold, made to other rows as well; where it changes nothing, a change of any kind."""
        found: list[tuple[str, Any]] = []
        for call in task.gold:
            tool = self.toolset.by_key(call.tool)
            assert tool is not None
            keys = [p for p in tool.params if p.role == "key" and p.table in self.ground.schema]
            single = [p for p in keys if not isinstance(call.arguments.get(p.key), list)]
            for param in single[:1] if call.writes else ():
                rows = [r[param.column] for r in self.ground.table(param.table)]
                for value in dice.sample(rows, min(SPRAYED, len(rows))):
                    made = call_of(self.toolset, tool.key, call.arguments | {param.key: value})
                    found.append((made.name, made.arguments))
        if not found:
            session = self.world.session(self.toolset)
            tools = [dice.choice(self.ground.writers) for _ in range(SPRAYED)]
            found = [(t.name, draw_call(session, t, dice)) for t in tools]
        return found

    def _delete(self) -> list[tuple[str, Any]]:
        """Away with every row that can be removed by its key."""
        found: list[tuple[str, Any]] = []
        for tool in self.ground.writers:
            needed = [p for p in tool.params if p.required]
            if tool.kind in REMOVERS and len(needed) == 1 and needed[0].role == "key":
                rows = self.ground.table(tool.table)
                found += [(tool.name, {needed[0].name: r[needed[0].column]}) for r in rows]
        return found[:REMOVED]

    # --- the second gold

    def _sql(self, task: Task) -> Iterator[str]:
        """The stored statements, run as free SQL under the world's laws, come to what the goal wants; and every description of
        rows selects some."""
        session = self.world.session(self.world.toolset(sets="sql"))
        if task.sql:
            done = session.call("run_sql", {"sql": ";\n".join(task.sql)})
            yield from _unless(done.ok, f"SQL is refused: {done.error.message if done.error else ''}")
        window = window_of(self.world.now, self.world.now + DAY)
        trail = Trail(self.ground.schema, session.diff(), window, submitted(task))
        verdict = verdict_on(task.goal, lambda: trail)
        yield from _unless(verdict.reward == 1, "SQL comes to something else")
        for name, query in task.proofs.items():
            yield from _unless(len(self.ground.rows(query)) > 0, f"the proof of {name} selects nothing")

    # --- structure

    def enacted(self, task: Task) -> Gold:
        """The task's plan, carried out once more as its gold was."""
        found = enact(self.ground, task.plan)
        return found if found.calls == task.gold else enact(self.ground, task.plan, follow=True)

    def _calls(self, task: Task) -> Iterator[str]:
        """No call is made twice, none for nothing; the card says what the gold is."""
        gold = self.enacted(task)
        if gold.calls != task.gold:
            yield "the plan no longer gives the gold"
            return
        for at in dead(task, gold):
            yield f"a dead call: {task.gold[at].tool}"
        reads = [orjson.dumps([c.tool, c.arguments]) for c in task.gold if not c.writes]
        yield from _unless(len(reads) == len(set(reads)), "a repeated call")
        card = task.card
        yield from _unless(card.calls == len(task.gold), "the card's calls")
        yield from _unless(card.writes == sum(c.writes for c in task.gold), "the card's writes")
        yield from _unless(card.depth == longest(task), "the card's depth")


def _unless(holds: bool, fault: str) -> Iterator[str]:
    if not holds:
        yield fault


def _minted(task: Task, session: Session) -> bool:
    """True where the gold's own arguments name rows that it made: their keys are others at another beginning."""
    made = {v for c in session.diff() if c.before is None for v in c.key}
    return any(v in made for c in task.gold for v in scalars(c.arguments))


def told(schema: Schema, diff: Diff) -> list[Any]:
    """The net changes, without what the server writes of itself."""
    forms = forms_of(schema)
    found = []
    for change in diff:
        before, after = (_judged(forms[change.table], row) for row in (change.before, change.after))
        if before != after:
            found.append([change.table, key_of(change), before, after])
    return sorted(found, key=repr)


def _judged(form: Form, row: Row | None) -> list[Any] | None:
    """A row without numbers and moments that the server makes; of its moments, whether there is one."""
    if row is None:
        return None
    return [v is None if k == "clock" else v for k, v in zip(form.classes, row, strict=True) if k not in MADE]


def key_of(change: Change) -> Key:
    """The key of a row that was there; new rows are known by their values."""
    return change.key if change.before is not None else ()


def dead(task: Task, gold: Gold) -> list[int]:
    """Indexes of calls on which nothing depends: no change, no later call, no answer, no decision."""
    live = {i for i, c in enumerate(task.gold) if c.writes} | set(gold.answered_by)
    for do in task.plan.dos:
        if not any(c.node == do.name for c in task.gold):  # it was not made: what decided that counts
            names = uses(do) if do.refused else [n for n in (do.when, do.unless) if n]
            live |= {i for n in names if n in gold.known for i in gold.known[n].calls}
    for i in range(len(task.gold) - 1, -1, -1):
        if i in live:
            live |= set(task.gold[i].uses)
    return [i for i in range(len(task.gold)) if i not in live]


def longest(task: Task) -> int:
    """Calls on the longest chain of dependencies."""
    depths: list[int] = []
    for call in task.gold:
        depths.append(1 + max((depths[i] for i in call.uses), default=0))
    return max(depths, default=0)


def leaks(schema: Schema, task: Task, gold: Gold) -> Iterator[str]:
    """What the instruction says though it is to be found out: keys and names on the way, figures, the answer."""
    stated = {e.value for n in task.plan.nodes for e in parts(n) if isinstance(e, Const)}
    texts = " ".join(f"{v} {v / MINOR:g}" if isinstance(v, int) else str(v).casefold() for v in stated)
    words = task.instruction.casefold()
    for what, value in found_out(schema, task, gold):
        spelt = str(value).casefold()
        if value in stated or len(spelt) < WORDY or _within(spelt, texts):
            continue
        if _within(spelt, words):
            yield f"a leak: {what} {value!r}"


def _within(spelt: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(spelt)}(?!\w)", text) is not None


def found_out(schema: Schema, task: Task, gold: Gold) -> Iterator[tuple[str, Any]]:
    """Values that an agent must come by itself: what nodes take from one another, and the answer.  Words of a closed list and
    flags are left out: any text may have them."""
    asked = task.plan.asked
    for expr in [*(e for n in task.plan.nodes for e in parts(n)), *(asked.what if asked else ())]:
        if not isinstance(expr, Of | Each) or expr.node not in gold.known:
            continue
        place = column_of(schema, task.plan, expr)
        if place is not None and place[1].values:
            continue
        known = gold.known[expr.node]
        values = [r[expr.column] for r in known.rows if expr.column in r] if expr.column else [known.value]
        for value in values:
            if value is not None and not isinstance(value, bool):
                yield expr.column or "a figure", value


def scalars(value: Any) -> Iterator[Any]:
    """All plain values inside of JSON."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from scalars(inner)
    elif value is not None:
        yield value


def types_used(schema: Schema, ground: Ground, task: Task) -> set[str]:
    """Semantic types of the gold's arguments and of the answer."""
    found = set()
    for call in task.gold:
        tool = ground.toolset.by_key(call.tool)
        assert tool is not None
        for param in flat(tool.params):
            if param.key in call.arguments and param.table in schema and param.column in schema[param.table]:
                found.add(schema[param.table][param.column].type)
    for what in task.plan.asked.what if task.plan.asked else ():
        place = column_of(schema, task.plan, what)
        found.add(place[1].type if place else "count")
    return found
