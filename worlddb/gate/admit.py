"""The admission gate: which candidates become tasks.

A task is published only if its gold, carried out twice by tools and once by SQL, is judged right by the verifier, and if
whatever an idle, lucky, careless or destructive agent would do is judged wrong.  What is rejected is counted by reason.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice, product
from typing import Any

import msgspec

from worlddb.errors import BrokenPromise
from worlddb.gate.interactive import Interviewer, Unproved
from worlddb.gate.policed import Police
from worlddb.gate.trials import Trials
from worlddb.heldout import Scope
from worlddb.policies.generate import policies_of
from worlddb.rng import Stream
from worlddb.tasks.answer import answer_of, in_words, needs_of
from worlddb.tasks.card import pair_structure
from worlddb.tasks.compile import goal_of
from worlddb.tasks.draft import Draft
from worlddb.tasks.enact import Gold, Stuck, enact
from worlddb.tasks.families.policy import Case
from worlddb.tasks.forms import window_in
from worlddb.tasks.goal import Goal
from worlddb.tasks.ground import Ground
from worlddb.tasks.model import Task
from worlddb.tasks.plan import Find, Plan
from worlddb.tasks.propose import Candidate, Proposer
from worlddb.tasks.say import Lexicon, Said, Unsaid, say
from worlddb.tasks.shapes import Shape, task_profile
from worlddb.tasks.sql import proof_of
from worlddb.tools.faults import Faults
from worlddb.world.model import World

TRIES = 40
"""Candidates that are looked at for each task that is wanted, at most."""
NEAR, ANY = 5, 25
"""After so many candidates in vain one that is a call too long or too short will do; after so many, any."""
ALTERNATIVES = 24
"""Ways in which a task that leaves a choice may be done; a task with more is rejected."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """The tasks of a world, and what the gate measured."""

    tasks: tuple[Task, ...]
    proposed: int
    """Candidates that were looked at."""
    rejected: dict[str, int]
    """'family: reason' -> how many."""
    figures: dict[str, float]
    """Sums over the admitted tasks: replays, mutants, killed …, and `unmet` shapes."""


class Rejected(Exception):
    """A candidate does not pass; `reason` in a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def tasks_of(world: World, n: int = 10, profile: str = "default", *, scope: Scope | None = None) -> Batch:
    """Tasks of a world that have passed the gate: the same ones for the same world, profile and scope, on every machine.

    There are fewer than `n` where the world does not give more in the tries that are made for it.

    Raises:
        UnknownName: there is no such profile of tasks.
    """
    with _uncollected():
        return _Gate(world, n, profile, scope or Scope()).run()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Hold Python's search for cyclic garbage: hardly any is made here, and it would look through all that lives again and again
    (a tenth of the time)."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Gate:
    def __init__(self, world: World, n: int, profile: str, scope: Scope) -> None:
        self.world, self.n, self.scope = world, n, scope
        self.ground = Ground(world)
        self.stream = Stream(world.recipe.seed, "tasks", str(world.recipe), profile)
        self.proposer = Proposer(self.ground, task_profile(profile), self.stream.child("plans"))
        self.shapes = [task_profile(profile).draw(self.stream.child("shape", str(i))) for i in range(n)]
        families = task_profile(profile).families
        names, weights = list(families), list(families.values())
        self.proposer.due.update(self.stream.child("family", str(i)).weighted(names, weights) for i in range(n))
        self.lexicon = Lexicon(world.schema, self.ground.words, world.locale, world.now)
        self.tasks: list[Task] = []
        self.seen: set[str] = set()
        self.rejected: Counter[str] = Counter()
        self.figures: Counter[str] = Counter()
        levels, share = task_profile(profile).levels, task_profile(profile).policies
        self.police = (
            Police(self.ground, self.lexicon, policies_of(world), self.stream.child("policies")) if share else None
        )
        self.policed = sum(self.stream.child("policed", str(i)).chance(share / 100) for i in range(n)) if share else 0
        """Tasks that are still wanted in which a policy is at stake."""
        things, users = task_profile(profile).things, self.stream.child("users")
        self.interviewer = Interviewer(self.ground, self.lexicon, levels, n, users, things) if levels else None
        self.faults = task_profile(profile).faults

    def run(self) -> Batch:
        """Fill the shapes, the most demanding first; what cannot be had in its shape is taken as it comes in the end."""
        open_ = sorted(self.shapes, key=lambda s: s.demand, reverse=True)
        proposed = vain = 0
        while open_ and proposed < TRIES * self.n:
            family, found, cases = self._proposed(open_[proposed % len(open_)])
            proposed, vain = proposed + 1, vain + 1
            try:
                if isinstance(found, str):
                    raise Stuck(found)
                places = self._places(found, open_, ANY + 1 if cases else vain)
                made = self._admitted(found, cases)
            except Rejected as rejected:
                self.proposer.missed(family)
                self.rejected[f"{family}: {rejected.reason}"] += 1
            except Stuck as stuck:
                self.rejected[f"{family}: {stuck.reason}"] += 1
            else:
                vain = 0
                self._take(made, family, bool(cases))
                for shape, task in zip(places, made, strict=True):
                    self.figures["unmet"] += not shape.met_by(task.card)
                    open_.remove(shape)
        return Batch(
            tasks=tuple(self.tasks), proposed=proposed, rejected=dict(sorted(self.rejected.items())),
            figures=dict(sorted(self.figures.items())),
        )  # fmt: skip

    def _proposed(self, wanted: Shape) -> tuple[str, tuple[Candidate, ...] | str, tuple[Case, ...]]:
        """A family, its candidates or why there are none, and the cases behind them where a policy is to be at stake."""
        if self.police is None or self.policed <= 0:
            return (*self.proposer.propose(wanted), ())
        family, cases = self.police.propose()
        return family, self._carried_out(cases), cases

    def _take(self, made: list[Task], family: str, policed: bool) -> None:
        """Publish tasks."""
        made = [self._failing(task) for task in made] if self.faults else made
        self.tasks += made
        for task in made:
            self.figures.update({k: int(v) for k, v in task.figures.items()})
        self.proposer.due[family] -= 1
        self.policed -= len(made) if policed else 0
        self.seen |= {t.card.skeleton for t in made}

    def _places(self, found: tuple[Candidate, ...], open_: list[Shape], vain: int) -> list[Shape]:
        """The open shapes that candidates fill; after `vain` others that filled none, one that is near will do.

        Raises:
            Rejected: there are none.
        """
        left, places = list(open_), list[Shape]()
        for one in found:
            fit = next((s for s in left if s.met_by(one.card)), None)
            if fit is None and (vain > NEAR or len(found) > 1):  # twins fit less often, as there are two
                near = min(left, key=lambda s: s.distance(one.card), default=None)
                fit = near if near is not None and (near.distance(one.card) <= 1 or vain > ANY) else None
            if fit is None:
                raise Rejected("another shape")
            left.remove(fit)
            places.append(fit)
        return places

    # --- one candidate, or two twins

    def _carried_out(self, cases: tuple[Case, ...]) -> tuple[Candidate, ...] | str:
        """The candidates of a policy's cases, or why there are none."""
        try:
            return tuple(self.proposer.carry_out(case.plan) for case in cases) or "nothing proposed"
        except (Stuck, BrokenPromise) as error:
            return error.reason if isinstance(error, Stuck) else "a tie"

    def _admitted(self, found: tuple[Candidate, ...], cases: tuple[Case, ...] = ()) -> list[Task]:
        if self.interviewer is not None and not cases and not all(self.interviewer.open_to(c.plan) for c in found):
            raise Rejected("nothing to withhold")
        ids = [f"{self.world.id}/{len(self.tasks) + 1 + i}" for i in range(len(found))]
        if len(found) == 2:  # twins are of one structure, so that no suite has the one without the other
            both = pair_structure(*(c.card.structure for c in found))
            found = tuple(c._replace(card=msgspec.structs.replace(c.card, structure=both)) for c in found)
        made = []
        for i, candidate in enumerate(found):
            twin = ids[1 - i] if len(found) == 2 else ""
            made.append(self._task(candidate, ids[i], twin))
        return made if self.interviewer is None else self._with_users(made, cases)

    def _failing(self, task: Task) -> Task:
        """The task, to be done with an API that fails now and then."""
        faults = Faults(seed=self.stream.child("faults", task.id).below(2**31), **self.faults)
        return msgspec.structs.replace(
            task, faults=faults, card=msgspec.structs.replace(task.card, faults=faults.kinds)
        )

    def _with_users(self, made: list[Task], cases: tuple[Case, ...]) -> list[Task]:
        """The tasks as their users ask for them, under the policies that bear on them."""
        assert self.interviewer is not None
        try:
            if self.police is not None and cases:
                alone = len(cases) > 1 or cases[0].policy.kind == "order"
                held = made if alone else self.interviewer.all(made)
                return [self.police.policed(t, c) for t, c in zip(held, cases, strict=True)]
            return self.interviewer.all(made)
        except Unproved as unproved:
            raise Rejected(unproved.reason) from unproved

    def _task(self, candidate: Candidate, id: str, twin: str) -> Task:
        plan, gold, card = candidate
        self._allowed(candidate)
        if len(gold.calls) == 0:
            raise Rejected("nothing to do")
        goal = self._goal(plan, gold)
        said = self._said(plan, id)
        proofs = {n.name: proof_of(self.ground.schema, plan, n.name) for n in plan.nodes if isinstance(n, Find)}
        task = Task(
            id=id, family=plan.family, instruction=said.text, persona=said.persona, register=said.register, plan=plan,
            gold=gold.calls, goal=goal, card=card, proofs=proofs, answer=self._submitted(plan, gold), twin=twin,
        )  # fmt: skip
        trials = Trials(self.ground, task, gold, self.stream.child("trials", id))
        problem, figures = trials.run()
        if problem:
            raise Rejected(problem)
        return msgspec.structs.replace(task, sql=trials.statements, figures={k: float(v) for k, v in figures.items()})

    def _allowed(self, candidate: Candidate) -> None:
        """A new skeleton, and nothing that is held out."""
        plan, _, card = candidate
        if card.skeleton in self.seen:
            raise Rejected("a duplicate")
        if not self.scope.structure(card.structure):
            raise Rejected("a structure of another suite")
        tables = {n.table for n in plan.nodes if isinstance(n, Find)} | {d.tool.partition(".")[0] for d in plan.dos}
        if not all(self.scope.table(self.ground.schema[t]) for t in tables):
            raise Rejected("a held-out domain")
        if not all(self.scope.tool_key(k) for k in {c.tool for c in candidate.gold.calls} | {d.tool for d in plan.dos}):
            raise Rejected("a held-out tool")

    def _goal(self, plan: Plan, gold: Gold) -> Goal:
        """The goal of a plan: every way in which its choices can be made is an alternative."""
        draft = Draft.again(self.ground, plan)
        golds = [gold, *(enact(self.ground, plan, choice=c) for c in self._choices(plan, draft))]
        answers = [answer_of(self.ground.schema, plan, g.answer) for g in golds] if plan.asked else []
        return goal_of(
            self.ground.schema, [g.session.diff() for g in golds], answers,
            needs=needs_of(self.ground.schema, plan, draft, gold), windows=[window_in(g.session) for g in golds],
        )  # fmt: skip

    def _choices(self, plan: Plan, draft: Draft) -> Iterator[dict[str, int]]:
        """All choices that a plan leaves, but for the first."""
        free = [n for n in plan.nodes if isinstance(n, Find) and n.free]
        if free and plan.asked is not None:
            raise Rejected("an answer beside a choice")  # the evidence for it would depend on what was chosen
        conditions = ([(w.column, w.op, draft.wanted(w)) for w in n.where] for n in free)
        counts = [len(self.ground.meeting(n.table, c)) for n, c in zip(free, conditions, strict=True)]
        found = list(islice(product(*(range(c) for c in counts)), ALTERNATIVES + 1))
        if len(found) > ALTERNATIVES:
            raise Rejected("too many ways to do it")
        yield from (dict(zip((n.name for n in free), way, strict=True)) for way in found[1:])

    def _said(self, plan: Plan, id: str) -> Said:
        """The instruction; it has been read back and means this plan."""
        try:
            return say(self.lexicon, self.ground.toolset, plan, self.stream.child("say", id))
        except Unsaid as unsaid:
            raise Rejected("no words for it") from unsaid

    def _submitted(self, plan: Plan, gold: Gold) -> Any:
        """The gold's answer as an agent might submit it."""
        if plan.asked is None or plan.asked.shape == "none":
            return None
        wanted = answer_of(self.ground.schema, plan, gold.answer)
        if plan.asked.shape == "record":
            return {name: in_words(wanted.value[name], v) for name, v in zip(wanted.value, gold.answer, strict=True)}
        return in_words(wanted, gold.answer)
