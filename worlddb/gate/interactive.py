"""Interactive tasks: an admitted task whose user holds something back, proved again with that user.

Hidden, at least two ends must fit what the agent is told; revealed, the goal's alone.  An agent that asks for exactly what is
needed must be paid; one that guesses must not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson
from msgspec.structs import replace

from worlddb.episode.diligent import Diligent, Silent
from worlddb.episode.play import Episode
from worlddb.episode.solve import submitted
from worlddb.episode.verdict import Verdict
from worlddb.episode.verify import verify
from worlddb.errors import BrokenPromise
from worlddb.gate.sides import with_thing
from worlddb.rng import Stream
from worlddb.tasks.enact import Gold, Stuck, enact
from worlddb.tasks.forms import forms_of
from worlddb.tasks.ground import Ground
from worlddb.tasks.model import GoldCall, Task
from worlddb.tasks.plan import Fold, Group, Plan
from worlddb.tasks.say import Lexicon
from worlddb.tasks.withhold import Unheld, Withheld, Withholder
from worlddb.users.phrases import users_file


class Unproved(Exception):
    """An interactive task that does not hold what it promises; the reason in a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


RARE = ("L5", "L3", "L2", "L4", "L0", "L1")
"""Levels in the order in which they are tried: those that few plans admit come first."""


PATIENCE = 30
"""Plans that do not have what is wanted, after which another level will do."""


class Interviewer:
    """Makes tasks of one world interactive, in the shares of a profile."""

    def __init__(
        self, ground: Ground, lexicon: Lexicon, levels: dict[str, int], n: int, stream: Stream, things: int = 0
    ) -> None:
        """`things`: percent of the tasks that change something, in which the user must do something on their own side first."""
        self.ground, self.stream, self.things = ground, stream, things
        self.withholder = Withholder(ground, lexicon)
        self.figures: Counter[str] = Counter()
        self.due: Counter[str] = Counter()
        """Level -> tasks that are still wanted of it."""
        drawn = (stream.child("level", str(i)) for i in range(n if levels else 0))
        self.due.update(one.weighted(list(levels), list(levels.values())) for one in drawn)
        self._vain = 0

    def all(self, made: Sequence[Task]) -> list[Task]:
        """One task, or two twins, each with a user.

        Raises:
            Unproved: one of them cannot be had in any way.
        """
        self._vain += 1
        found = [self._due(task, made[1 - i] if len(made) == 2 else None) for i, task in enumerate(made)]
        for task in found:
            self._count(task.card.level)
        self._vain = 0
        return found

    def _count(self, level: str) -> None:
        """One of a level less is wanted; where none was, one of the level that is hardest to have."""
        if self.due[level] <= 0:
            level = next((r for r in RARE if self.due[r] > 0), level)
        self.due[level] -= 1

    def open_to(self, plan: Plan) -> bool:
        """Whether a plan has what one of the levels that are wanted withholds, as far as can be told without words."""
        if any(d.refused for d in plan.dos):
            return True
        self._vain += 1
        at_once = self._vain > PATIENCE // 3
        return any((level == "L0" and at_once) or self.withholder.fits(plan, level) for level in self._wanted())

    def _wanted(self) -> list[str]:
        """The levels that are wanted, the hardest first; after many plans in vain, all."""
        return [r for r in RARE if self.due[r] > 0 or self._vain > PATIENCE]

    def _due(self, task: Task, twin: Task | None) -> Task:
        if any(d.refused for d in task.plan.dos):
            return self.interactive(task, "L6", self.stream.child(task.id, "L6"), twin)
        why = Unproved("nothing to withhold")
        turns = self.withholder.fits(task.plan, "L0")
        for level in sorted(self._wanted(), key=lambda x: not (x == "L0" and turns)):
            try:
                return self.interactive(task, level, self.stream.child(task.id, level))
            except Unproved as error:
                why = error
        raise why

    def interactive(self, task: Task, level: str, stream: Stream, twin: Task | None = None) -> Task:
        """The task at a level, with a user to ask; `twin` is its feasible twin, where it cannot be done.

        Raises:
            Unproved: it cannot be withheld so, or a proof fails.
        """
        persona = stream.child("persona").pick(sorted(users_file().personas))
        try:
            held = self.withholder.withhold(task.plan, level, persona, stream, twin.plan if twin else None)
        except (Unheld, Stuck, BrokenPromise) as error:
            raise Unproved(getattr(error, "reason", "a tie")) from error
        base = twin if twin is not None and held.plan is twin.plan else task
        made = replace(
            base, id=task.id, instruction=held.said.text, persona=held.said.persona, register=held.said.register,
            user=held.script, twin=task.twin, family=task.family,
            card=replace(base.card, level=level, hidden=len(held.script.hidden)),
        )  # fmt: skip
        if any(c.writes for c in made.gold) and stream.child("thing").chance(self.things / 100):
            made = with_thing(made, stream.child("which"))
        self.figures.clear()
        guesses = self._gap(made, held)
        self._guessed(made, guesses)
        self._asked(made)
        return replace(made, figures={**made.figures, **{k: float(v) for k, v in self.figures.items()}})

    # --- proofs

    def _gap(self, task: Task, held: Withheld) -> list[Gold]:
        """Of each thing that is open, what an agent would do that took another for it; there must be one that ends elsewhere."""
        gold = self._end(enact(self.ground, task.plan))
        guesses = []
        for others in held.others:
            ends = {gold}
            for plan in others:
                guess = self._enacted(plan)
                if guess is not None and self._end(guess) not in ends:
                    ends.add(self._end(guess))
                    guesses.append(guess)
            if len(ends) < 2:
                raise Unproved("no gap")
            self.figures["ends"] += len(ends)
        if not held.others and task.card.level not in ("L0", "L6"):
            raise Unproved("no gap")
        return guesses

    def _enacted(self, plan: Plan) -> Gold | None:
        try:
            gold = enact(self.ground, plan)
        except (Stuck, BrokenPromise):
            return None
        figures = (gold.known[n.name].value for n in plan.nodes if isinstance(n, Fold | Group) and n.name in gold.known)
        return None if None in figures else gold  # nobody takes a value for meant that leaves nothing to reckon with

    def _end(self, gold: Gold) -> bytes:
        """The net changes, what clocks wrote aside, and the answer."""
        forms = forms_of(self.ground.schema)
        found: list[Any] = [gold.answer]
        for change in gold.session.diff():
            kept = [i for i, kind in enumerate(forms[change.table].classes) if kind not in ("clock", "bookkeeping")]
            before, after = ([row[i] for i in kept] if row else None for row in (change.before, change.after))
            if before != after:
                found.append([change.table, list(change.key), before, after])
        return orjson.dumps(found, default=repr)

    def _guessed(self, task: Task, guesses: list[Gold]) -> None:
        """Who takes another for what is hidden is not paid."""
        for guess in guesses:
            answer = guess.answer
            if isinstance(task.answer, dict) and isinstance(answer, list):
                answer = dict(zip(task.answer, answer, strict=False))
            self.figures["guesses"] += 1
            if verify(task.goal, guess.session, answer).reward:
                raise Unproved("a guess is paid")

    def _asked(self, task: Task) -> None:
        """Who asks for exactly what is needed, and waits for what comes up, is paid."""
        agent = Diligent(Episode(self.ground.world, task, self.ground.toolset))
        verdict = attempted(agent)
        user = agent.episode.company.user
        if user is not None and user.waiting(agent.session):
            raise Unproved("the user has not said all")
        if verdict.reward != 1:
            raise Unproved("asking does not help")
        if task.user is not None and task.user.deeds:
            hasty = Diligent(Episode(self.ground.world, task, self.ground.toolset), lacking=("wait",))
            if attempted(hasty).reward:
                raise Unproved("not waiting for the user is paid")
        self.figures["asked"] += len(task.user.hidden) if task.user else 0


def attempted(agent: Diligent, calls: Sequence[GoldCall] | None = None) -> Verdict:
    """The verdict on an agent's attempt.

    Raises:
        Unproved: the user did not say what they were asked.
    """
    try:
        agent.run(calls)
    except Silent as silent:
        raise Unproved("the user does not say it") from silent
    return agent.episode.submit(submitted(agent.task))
