"""Trials: a task is carried out by its gold in several ways, which must be paid, and by agents that do it wrong, which must not.

Wrong are: who does nothing, who guesses the answer, who leaves a change out or makes it twice, who takes another row or value,
who changes something more, who does it to every row, who deletes all that can be deleted, who calls at random.  A wrong run that
comes to the very same rows as the gold is no mistake and does not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import apsw
import orjson

from worlddb.episode.verdict import Verdict
from worlddb.episode.verify import UNANSWERED, Trail, verdict_on, verify
from worlddb.rng import Stream
from worlddb.tasks.draft import Draft
from worlddb.tasks.effects.desk import Lost
from worlddb.tasks.effects.run import run_by_sql
from worlddb.tasks.enact import POLICY, Gold, enact
from worlddb.tasks.forms import forms_of, window_in
from worlddb.tasks.ground import Ground, flat
from worlddb.tasks.model import GoldCall, Task
from worlddb.tasks.plan import Calc, Const, Do, Find, Fold, Plan, Test, parts, uses
from worlddb.tasks.sql import query_of
from worlddb.tools.keys import call_of
from worlddb.tools.model import Tool
from worlddb.tools.session import Session, Start
from worlddb.world.host import Broken

ELSEWHERE = Start(clock=3 * 86_400 + 4_321, ids=1_000)
"""Another clock and other running numbers: a right verdict depends on neither."""
SPRAYED = 6
"""Rows to which a careless agent does the same thing."""
DELETED = 12
"""Rows that a destructive agent removes."""
LOOSE = 0.2
"""The most that such agents may get as a shaped reward."""

ALTERED = ("another row", "another value")
"""Mutants of one argument; what makes no difference should not be asked for."""

Step = tuple[str, dict[str, Any]]
"""A call: tool key, arguments by key."""


class Failed(Exception):
    """A trial went the wrong way; the text says which."""


class Trials:
    """The trials of one task."""

    def __init__(self, ground: Ground, task: Task, gold: Gold, stream: Stream) -> None:
        self.ground, self.task, self.gold, self.stream = ground, task, gold, stream
        self.steps: list[Step] = [(c.tool, c.arguments) for c in task.gold]
        self.writes = [i for i, c in enumerate(task.gold) if c.writes]
        self._right = self._rows(gold.session)
        self.statements: tuple[str, ...] = ()
        self.figures: Counter[str] = Counter()

    def run(self) -> tuple[str, Counter[str]]:
        """'' and what was measured; or what went wrong."""
        try:
            self.told()
            self.done_again()
            self.done_by_sql()
            self.steady()
            self.idle()
            self.reordered()
            self.mutated()
            self.careless()
        except Failed as failed:
            return str(failed), self.figures
        return "", self.figures

    # --- carrying out

    def play(self, steps: Sequence[Step]) -> Session:
        """A session in which these calls have been made, whether they were refused or not.

        What it has in common with the gold is not made again: it branches off before the first change that differs.
        """
        pairs = enumerate(zip(steps, self.steps, strict=False))
        common = next((i for i, (one, gold) in pairs if one != gold), min(len(steps), len(self.steps)))
        at = max(i for i in self._branches if i <= common)
        return self._played(self._branches[at].fork(), steps[at:])

    @cached_property
    def _branches(self) -> dict[int, Session]:
        """The gold's calls once more: the session after none of them, before each change, and after all."""
        session = self.ground.world.session(self.ground.toolset)
        found = {0: session.fork()}
        for i, step in enumerate(self.steps):
            if i in self.writes:
                found[i] = session.fork()
            self._played(session, [step])
        return found | {len(self.steps): session}

    def _played(self, session: Session, steps: Sequence[Step]) -> Session:
        for key, arguments in steps:
            call = call_of(self.ground.toolset, key, arguments)
            session.call(call.name, call.arguments)
        return session

    def judge(self, session: Session, answer: Any = UNANSWERED) -> Verdict:
        """The verdict on a session, were this the answer submitted."""
        self.figures["verdicts"] += 1
        return verify(self.task.goal, session, answer)

    def must_pass(self, name: str, session: Session, answer: Any) -> None:
        """Count a run that must be paid."""
        verdict = self.judge(session, answer)
        if verdict.reward != 1:
            raise Failed(f"{name} is not paid")
        self.figures["paid"] += 1

    def must_fail(self, name: str, session: Session, answer: Any, most: float = 1.0) -> None:
        """Count a run that must not be paid."""
        verdict = self.judge(session, answer)
        if verdict.reward != 0 or verdict.invalid:
            raise Failed(f"{name} is paid")
        if verdict.shaped > most:
            raise Failed(f"{name} gets {verdict.shaped:.2f} of the shaped reward")
        self.figures["refused"] += 1

    # --- the trials

    def told(self) -> None:
        """Every argument of the gold is stated, or shown by an earlier call, or worked out of such; no answer is."""
        stated = {e.value for e in self._consts()}
        worked = {k.value for k in self.gold.known.values() if isinstance(k.value, str | int | float)}
        shown, answers = set[Any](), list[Any]()
        for call, entry in zip(self.task.gold, self.gold.session.journal, strict=True):
            tool = self.ground.toolset.by_key(call.tool)
            assert tool is not None
            free = {
                p.key
                for p in flat(tool.params)
                if p.role in ("limit", "cursor", "choice", "sort") or p.convert == "flag"
            }
            for value in _scalars([v for k, v in call.arguments.items() if k not in free and k != "offset"]):
                if value in stated or value in worked or value in shown:
                    continue
                shown.update(*map(_scalars, answers))  # few calls need what others have shown
                answers.clear()
                if value not in shown:
                    raise Failed("an argument comes from nowhere")
            answers.append(entry.result.data)
        plan = self.task.plan
        needed = {i for c in self.task.gold for i in c.uses} | self.gold.answered_by
        needed = needed.union(*(k.calls for n, k in self.gold.known.items() if isinstance(plan[n], Test)))
        refused = any(d.refused for d in plan.dos)  # whose arguments are looked up, and not used
        if not refused and not all(c.writes or i in needed for i, c in enumerate(self.task.gold)):
            raise Failed("a dead call")
        counts = (n for n in plan.nodes if isinstance(n, Fold) and n.by == "count")
        if any(isinstance(of := plan[n.of], Find) and of.take for n in counts):
            raise Failed("the instruction says the answer")  # how many the three latest are
        for node in plan.nodes:
            if isinstance(node, Calc) and node.op == "days_between" and self._split_day(node):
                raise Failed("days by the calendar and by the clock differ")
        answer = self.task.answer
        if isinstance(answer, str) and answer.casefold() in self.task.instruction.casefold():
            raise Failed("the instruction says the answer")

    def _rows(self, session: Session) -> bytes:
        """The net changes of a session, what its clock wrote aside."""
        forms = forms_of(self.ground.schema)
        found = []
        for change in session.diff():
            kept = [i for i, kind in enumerate(forms[change.table].classes) if kind not in ("clock", "bookkeeping")]
            before, after = ([row[i] for i in kept] if row else None for row in (change.before, change.after))
            if before != after:
                found.append([change.table, list(change.key), before, after])
        return orjson.dumps(found, default=repr)

    def _split_day(self, calc: Calc) -> bool:
        """True where a day of 24 hours more or less lies between two moments than between their dates."""
        meant = Draft.again(self.ground, self.task.plan)
        left, right = (meant.value(side) for side in (calc.left, calc.right))
        return (
            len(left) > 10
            and len(right) > 10
            and (left[10:] > right[10:]) == (left < right)
            and left[10:] != right[10:]
        )

    def _consts(self) -> Iterator[Const]:
        for node in self.task.plan.nodes:
            yield from (e for e in parts(node) if isinstance(e, Const))

    def done_again(self) -> None:
        """The gold's calls once more, and the plan from another start."""
        self.must_pass("the gold", self.play(self.steps), self.task.answer)
        other = enact(self.ground, self.task.plan, start=ELSEWHERE)
        answer = self.task.answer
        if isinstance(answer, dict):
            answer = dict(zip(answer, other.answer, strict=True))
        elif answer is not None:
            answer = other.answer
        self.must_pass("the gold at another time", other.session, answer)
        if any(
            d.refused not in ("", POLICY) for d in self.task.plan.dos
        ):  # what a policy forbids, the tools may well do
            self.must_pass("a refused try", enact(self.ground, self.task.plan, refused=True).session, None)

    def done_by_sql(self) -> None:
        """The second gold: the same answer, and a change that the verifier takes for the same."""
        try:
            run = run_by_sql(self.ground.world, self.ground.toolset, self.task.plan)
        except (Lost, Broken, apsw.Error) as error:
            raise Failed("SQL cannot do it") from error
        if run.problem:
            raise Failed("a description does not hold")
        self.statements = run.statements
        answer = run.answer
        if isinstance(self.task.answer, dict):
            answer = dict(zip(self.task.answer, answer, strict=True))
        trail = Trail(self.ground.schema, run.diff, window_in(self.gold.session), answer)
        if verdict_on(self.task.goal, lambda: trail).reward != 1:
            raise Failed("SQL comes to something else")
        self.figures["paid"] += 1

    def steady(self) -> None:
        """What a later change is about means the same once the earlier ones have been made: "the oldest open order" may not
        have become another one by then, for who takes the request literally would be right."""
        plan, schema = self.task.plan, self.ground.schema
        made = [(do, [c for c in self.task.gold if c.writes and c.node == do.name]) for do in plan.dos]
        made = [(do, calls) for do, calls in made if calls]
        if len(made) < 2:
            return
        session = self.play([s for s, c in zip(self.steps, self.task.gold, strict=True) if not c.writes])
        for (_, calls), (do, _) in pairwise(made):
            self._played(session, [(c.tool, c.arguments) for c in calls])
            for name in _reads(plan, do):
                sql = query_of(schema, plan, name)
                if session.rows(sql) != self.ground.rows(sql):
                    raise Failed("a description means another row by then")

    def idle(self) -> None:
        """Nothing is done, with and without the right answer."""
        self.must_fail("doing nothing", self.play([]), UNANSWERED, 0.0)
        if self.task.plan.asked is not None:
            self.must_fail("a lucky guess", self.play([]), self.task.answer)
        if self.task.goal.answers and self.task.answer is not None:
            self.must_fail("no answer", self.play(self.steps), UNANSWERED)

    def reordered(self) -> None:
        """Changes that do not depend on one another may be made in any order."""
        calls = self.task.gold
        for a, b in zip(self.writes, self.writes[1:], strict=False):
            used = any(a in c.uses or b in c.uses for c in calls[b + 1 :])
            if a in calls[b].uses or used or _shares(calls[a], calls[b]):
                continue
            steps = list(self.steps)
            steps[a], steps[b] = steps[b], steps[a]
            session = self.play(steps)
            if all(e.result.ok for e in session.journal):
                self.must_pass("another order", session, self.task.answer)

    def mutated(self) -> None:
        """The gold with one thing wrong."""
        for name, steps in self._mutants():
            session = self.play(steps)
            if self._rows(session) == self._right:
                if name in ALTERED:
                    raise Failed("an argument makes no difference")
                continue  # the same end by another way
            self.figures["mutants"] += 1
            if self.judge(session, self.task.answer).reward == 0:
                self.figures["killed"] += 1
            else:
                raise Failed(f"the gold with {name} is paid")

    def _mutants(self) -> Iterator[tuple[str, list[Step]]]:
        for i in self.writes:
            yield "a change left out", [s for j, s in enumerate(self.steps) if j != i]
            yield "a change made twice", [*self.steps[: i + 1], self.steps[i], *self.steps[i + 1 :]]
            tool = self.ground.toolset.by_key(self.steps[i][0])
            assert tool is not None
            for name, arguments in self._altered(tool, self.steps[i][1]):
                yield name, [*self.steps[:i], (tool.key, arguments), *self.steps[i + 1 :]]
        extra = self._something_else()
        if extra is not None:
            yield "something more", [*self.steps, extra]

    def _altered(self, tool: Tool, arguments: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Calls of another row, or with another value."""
        for param in tool.params:
            if param.key not in arguments or param.table not in self.ground.schema or not param.column:
                continue
            if isinstance(arguments[param.key], list) or param.convert in ("flag", "json"):
                continue
            home = self.ground.schema[param.table]
            link = next((f for f in self.ground.parents(home) if f.columns == (param.column,)), None)
            table, column = (link.table, link.ref[0]) if link else (param.table, param.column)
            values = [r[column] for r in self.ground.table(table) if r[column] not in (None, arguments[param.key])]
            if values:
                other = self.stream.child("alter", tool.key, param.key).pick(values)
                name = ALTERED[0] if param.role == "key" or link else ALTERED[1]
                yield name, arguments | {param.key: other}

    def _something_else(self) -> Step | None:
        """A change that nobody asked for, of a row that the gold leaves alone."""
        touched = {(c.table, c.key) for c in self.gold.session.diff()}
        for tool in self.stream.child("else").shuffled(self.ground.writers):
            needed = [p for p in tool.params if p.required]
            if tool.kind not in ("transition", "archive", "restore", "delete") or len(needed) != 1:
                continue
            table = self.ground.schema[tool.table]
            for row in self.stream.child("else", tool.key).sample(
                self.ground.table(tool.table), min(4, len(self.ground.table(tool.table)))
            ):
                key = tuple(row[k] for k in table.primary_key)
                if (tool.table, key) not in touched and needed[0].column == table.primary_key[0]:
                    step = (tool.key, {needed[0].key: key[0]})
                    if self._works(step, key[0]):
                        return step
        return None

    def _works(self, step: Step, key: Any) -> bool:
        """True where a call by a key alone changes the world as it was grown; tried once in each world."""
        known: dict[tuple[str, Any], bool] = self.ground.memo.setdefault("works", {})
        if (step[0], key) not in known:
            known[step[0], key] = bool(self.play([step]).diff())
        return known[step[0], key]

    def careless(self) -> None:
        """At random, everywhere, and away with everything: with the right answer to boot."""
        for name, steps, most in (("random calls", self._random(), LOOSE), ("everywhere the same", self._spray(), 1.0)):
            if steps:
                self._wrong(name, self.play(steps), most)
        if "deleted" not in self.ground.memo:  # the same for every task of a world
            self.ground.memo["deleted"] = self.play(self._delete())
        if self.ground.memo["deleted"].journal:
            self._wrong("deleting", self.ground.memo["deleted"], LOOSE)

    def _wrong(self, name: str, session: Session, most: float) -> None:
        if self._rows(session) != self._right:
            self.must_fail(name, session, self.task.answer, most)

    def _random(self) -> list[Step]:
        found: list[Step] = []
        stream = self.stream.child("random")
        for tool in stream.sample(self.ground.writers, min(4, len(self.ground.writers))):
            needed = [p for p in tool.params if p.required and p.role == "key" and p.table in self.ground.schema]
            if needed and all(self.ground.table(p.table) for p in needed):
                found.append((tool.key, {p.key: stream.pick(self.ground.table(p.table))[p.column] for p in needed}))
        return found

    def _spray(self) -> list[Step]:
        """The first change of one row, done to others as well."""
        for i in self.writes:
            key, arguments = self.steps[i]
            tool = self.ground.toolset.by_key(key)
            assert tool is not None
            param = next(
                (p for p in tool.params if p.role == "key" and p.table == tool.table and p.key in arguments), None
            )
            if param is not None and not isinstance(arguments[param.key], list):
                rows = [r[param.column] for r in self.ground.table(tool.table)]
                some = self.stream.child("spray").sample(rows, min(SPRAYED, len(rows)))
                return [(key, arguments | {param.key: v}) for v in [arguments[param.key], *some]]
        return []

    def _delete(self) -> list[Step]:
        found: list[Step] = []
        for tool in self.ground.writers:
            if tool.kind == "delete" and len(tool.params) == 1:
                rows = self.ground.table(tool.table)[: DELETED - len(found)]
                found += [(tool.key, {tool.params[0].key: r[tool.params[0].column]}) for r in rows]
        return found


def _reads(plan: Plan, do: Do) -> list[str]:
    """The reading nodes that a change depends on, by whatever way; none that speaks of rows which changes have made."""
    found: dict[str, None] = {}
    left = list(uses(do))
    while left:
        name = left.pop()
        if not isinstance(plan[name], Do) and name not in found:
            found[name] = None
            left += uses(plan[name])
    return list(found)


def _shares(a: GoldCall, b: GoldCall) -> bool:
    """True where two changes may concern the same row."""
    return bool(set(_scalars(a.arguments)) & set(_scalars(b.arguments)))


def _scalars(value: Any) -> list[Any]:
    """What an answer or argument says, at whatever depth: all but null; a flag as 1 or 0, to which it is equal."""
    found, left = list[Any](), [value]
    for one in left:  # grows on the way
        if isinstance(one, dict):
            left.extend(one.values())
        elif isinstance(one, list | tuple):
            left.extend(one)
        elif one is not None:
            found.append(one)
    return found
