"""The mutation score: golds made wrong, which no verdict may pay.  What the oracle takes for the same end is no mutant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import pytest

from tests.mutations import OPERATORS, Case, bench, mutants
from tests.oracle import Undecided
from worlddb.tasks.goal import Alternative

SEEDS = (0, 1, 5, 13, 28)
LEAST = 0.99


class Score(NamedTuple):
    """What became of the mutants."""

    made: Counter[str]
    killed: Counter[str]
    same: Counter[str]
    """Mutants that come to the same as the gold, by operator: none."""
    survivors: list[str]
    rejected: list[str]
    """Those that come to the same, and are not paid."""
    undecided: int

    def __str__(self) -> str:
        lines = [
            f"{name:26} {self.killed[name]:6} of {self.made[name]:6} killed; {self.same[name]:5} were none"
            for name in OPERATORS
        ]
        total = f"{self.killed.total()} of {self.made.total()}, {self.undecided} undecided"
        return "\n".join([*lines, total, *self.survivors, *self.rejected])


def score(cases: Iterable[Case]) -> Score:
    """Make and judge the mutants of tasks."""
    found = Score(Counter(), Counter(), Counter(), [], [], 0)
    undecided = 0
    for case in cases:
        assert case.judge(case.played(), case.answer).success, case.task.id
        assert case.paid(case.played(), case.answer), case.task.id
        for mutant in mutants(case):
            verdict = case.judge(mutant.session, mutant.answer)
            line = f"{case.task.id}: {mutant.operator}: {mutant.what}: {verdict}"
            assert not verdict.invalid, line
            try:
                equal = case.paid(mutant.session, mutant.answer)
            except Undecided:
                undecided += 1
                continue
            if equal:
                found.same[mutant.operator] += 1
                found.rejected.extend([] if verdict.success else [line])
                continue
            found.made[mutant.operator] += 1
            found.killed[mutant.operator] += not verdict.success
            found.survivors.extend([line] if verdict.success else [])
    return found._replace(undecided=undecided)


def check(found: Score, least: int) -> None:
    print(f"\n{found}")
    assert all(found.made[name] >= least for name in OPERATORS), f"an operator has found too little to do\n{found}"
    assert found.killed.total() >= LEAST * found.made.total(), f"{found}"
    assert not found.rejected, f"{found}"
    assert found.undecided <= 0.01 * found.made.total()


def test_mutants_are_killed() -> None:
    check(score(c for seed in SEEDS for c in bench(seed).cases), 3)


def test_a_careless_verdict_would_be_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were goals to tolerate a column or to take any answer, mutants would survive."""
    cases = [c for c in bench(SEEDS[0]).cases if c.writes][:4]
    for case in cases:
        every = tuple((t.key, "") for t in case.schema.tables)
        lax = msgspec.structs.replace(case.task.goal, tolerated=every, alternatives=(Alternative(),))
        monkeypatch.setattr(case, "task", msgspec.structs.replace(case.task, goal=lax))
    assert score(cases).survivors


@pytest.mark.campaign
def test_campaign_of_mutants() -> None:
    cases = [c for seed in range(60) for c in bench(seed).cases]
    assert len(cases) >= 500
    check(score(cases), 50)
