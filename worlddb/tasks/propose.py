"""Candidates: plans of a world that its tools can carry out, of the shapes that a profile asks for.

What comes from here has been executed once.  Whether it may be published is decided by the gate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from worlddb.errors import BrokenPromise
from worlddb.rng import Stream
from worlddb.tasks.card import card_of
from worlddb.tasks.draft import Draft
from worlddb.tasks.enact import Gold, Stuck, enact
from worlddb.tasks.families import FAMILIES
from worlddb.tasks.families.several import join
from worlddb.tasks.ground import Ground
from worlddb.tasks.model import Card
from worlddb.tasks.plan import Do, Find, Plan
from worlddb.tasks.shapes import Shape, TaskProfile

Proposal: TypeAlias = Plan | tuple[Plan, Plan] | None
Propose: TypeAlias = Callable[[Draft, int, int], Proposal]
PARTS = 7
"""Requests that are tried for one message."""
LONG = 5
"""Golds of so many calls are made of several requests, or of large sets."""


class Candidate(NamedTuple):
    """A plan that has been carried out."""

    plan: Plan
    gold: Gold
    card: Card


class Proposer:
    """Proposes for one world."""

    def __init__(self, ground: Ground, profile: TaskProfile, stream: Stream) -> None:
        self.ground, self.profile, self.stream = ground, profile, stream
        self.due: Counter[str] = Counter()
        """Family -> tasks that are still wanted of it; a pair of twins is one."""
        self._fruitless: Counter[str] = Counter()
        self._turn = 0
        self._last: tuple[Plan, bool, Gold] | None = None

    def propose(self, shape: Shape) -> tuple[str, tuple[Candidate, ...] | str]:
        """A family, and its candidates (one, or a pair of twins) for a shape, or why there are none."""
        self._turn += 1
        stream = self.stream.child(str(self._turn))
        family = self._family(stream, shape)
        follow = shape.most >= LONG and stream.child("follow").chance(0.5)
        proposal = self._plans(family, shape, stream, follow)
        if proposal is None:
            self.missed(family)
            return family, "nothing proposed"
        plans = proposal if isinstance(proposal, tuple) else (proposal,)
        try:
            return family, tuple(self.carry_out(plan, follow=follow) for plan in plans)
        except (Stuck, BrokenPromise) as error:
            self.missed(family)
            return family, error.reason if isinstance(error, Stuck) else "a tie"

    def missed(self, family: str) -> None:
        """Note that a proposal of a family led to nothing: it comes less often."""
        self._fruitless[family] += 1

    def carry_out(self, plan: Plan, *, follow: bool = False) -> Candidate:
        """The candidate of a plan; `follow` as in `enact`.

        Raises:
            Stuck: the tools cannot do it.
        """
        gold = self._gold(plan, follow)
        return Candidate(plan, gold, card_of(self.ground, plan, gold))

    def _gold(self, plan: Plan, follow: bool) -> Gold:
        """A plan carried out: once, where it is the same one as the last."""
        if self._last is None or self._last[0] is not plan or self._last[1] is not follow:
            self._last = (plan, follow, enact(self.ground, plan, follow=follow))
        return self._last[2]

    def _family(self, stream: Stream, shape: Shape) -> str:
        """A family by its weight: more often where it is due and its golds usually are of that length, less often where it
        has come to nothing lately."""
        names = [f for f in self.profile.families if _may(f, shape) and (f != "denied" or self.due[f] > 0)]
        weights = [
            max(
                1,
                self.profile.families[f]
                * _usual(f, shape)
                * (12 if self.due[f] > 0 else 2)
                // (1 + self._fruitless[f]),
            )
            for f in names
        ]
        return stream.weighted(names, weights)

    def _plans(self, family: str, shape: Shape, stream: Stream, follow: bool) -> Proposal:
        least, _ = USUAL[family]
        depth = max(0, min(max(self.profile.depth), shape.least - least - stream.below(2)))
        draft = Draft(self.ground, stream.child("draft"))
        if family == "several":
            return self._several(draft, shape, depth, stream, follow)
        return FAMILIES[family](draft, depth, max(3, shape.most))

    def _several(self, draft: Draft, shape: Shape, depth: int, stream: Stream, follow: bool) -> Plan | None:
        """Requests, one after the other, until the gold of all of them is as long as asked for."""
        names = [f for f in self.profile.families if f not in ("several", "denied") and _may(f, shape)]
        parts: list[Plan] = []
        for _ in range(PARTS if names else 0):
            mark = draft.mark()
            plan = FAMILIES[stream.pick(names)](draft, min(depth, 1), 4)
            if not isinstance(plan, Plan) or _steps(draft) > shape.most + 1:
                draft.back(mark)
                continue
            whole = join(draft, [*parts, plan])
            calls = (
                self._length(whole, follow) if whole is not None and parts and _steps(draft) >= shape.least - 1 else 0
            )
            if shape.least <= calls <= shape.most:
                return whole
            if (whole is None and parts) or calls > shape.most:
                draft.back(mark)
                continue
            parts.append(plan)
        return None

    def _length(self, plan: Plan, follow: bool) -> int:
        """Calls of a plan's gold; more than anybody asks for, where the tools cannot do it."""
        try:
            return len(self._gold(plan, follow).calls)
        except (Stuck, BrokenPromise):
            return 1000


def _may(family: str, shape: Shape) -> bool:
    """True where a family can have that shape at all."""
    if family == "question":
        return not shape.writes
    if family == "denied":
        return True  # one twin writes, the other does not
    return shape.writes or family == "several"


USUAL = {
    "question": (1, 4), "single": (2, 3), "chain": (3, 7), "conditional": (2, 4), "for_all": (3, 7), "create": (2, 5),
    "workflow": (3, 5), "repair": (3, 6), "denied": (1, 3), "reckon_act": (2, 4), "several": (4, 20),
}  # fmt: skip
"""Family -> calls that most of its golds have; measured, and only a hint where to look first."""


def _usual(family: str, shape: Shape) -> int:
    low, high = USUAL[family]
    return 6 if shape.least <= high and low <= shape.most else 1


def _steps(draft: Draft) -> int:
    """About the calls that a gold will have."""
    return sum(isinstance(n, Find | Do) for n in draft.nodes)
