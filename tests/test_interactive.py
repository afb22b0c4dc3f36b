"""Interactive tasks, proved from the outside (tests/interactive_survey.py): whoever asks is paid, whoever guesses is not."""

from __future__ import annotations

from functools import cache
from itertools import count
from typing import Any

import pytest

import worlddb
from tests.interactive_survey import Agent, Proofs, holds, leaks, survey, told
from worlddb.episode.verdict import Verdict
from worlddb.gate import tasks_of
from worlddb.rng import Stream
from worlddb.tasks.model import Task
from worlddb.tasks.shapes import task_profile
from worlddb.tasks.user import LEVELS
from worlddb.users.simulate import User

ALWAYS = (
    "a guess goes unpaid", "an answer to about", "every visible topic that is asked for costs a line", "gap L1", "gap L2",
    "gap L3", "gap L4", "gap L5", "no secret stands there", "no-op goes unpaid", "no-op with the answer goes unpaid",
    "the oracle is paid", "the oracle is paid by strict_interactive", "the oracle is paid by tau",
    "the oracle asks nothing in vain", "the change of mind is told", "acts, talks and mends", "who never talks goes unpaid",
    "who is understood is paid", "strict_interactive does not pay the gold without asking", "the veil stands in the instruction",
)  # fmt: skip
"""What must hold of every task, and be seen in some."""
HEARD = 0.97
"""Share of the questions in plain words that are understood, at the second attempt at the latest."""


def check(found: dict[str, Any]) -> None:
    """All proofs hold."""
    counts = found["counts"]
    assert not found["faults"], found["fault_examples"]
    assert {name for name in ALWAYS if not counts.get(f"{name}: yes")} == set()
    assert not [name for name in counts if name.endswith(": no")]
    for way in ("by what it is called", "by quoting"):
        heard, lost = counts[f"free text {way}: understood"], counts.get(f"free text {way}: not", 0)
        assert heard >= HEARD * (heard + lost), (way, heard, lost)
    assert counts["gold without asking, binary: 1.0"] == counts["gold without asking, strict_interactive: 0.0"]
    assert counts["over-asks: counted"] >= 0.9 * (counts["over-asks: visible topics"] + counts["over-asks: fields"]) / 2
    assert told(found)


def test_some_interactive_tasks() -> None:
    found = survey(20, 1, seed=4_000, prompts=10)
    assert found["tasks"] == 20
    check(found)


@pytest.mark.campaign
def test_interactive_tasks_of_many_worlds() -> None:
    found = survey(200, 2, seed=4_100, prompts=20)
    check(found)
    assert {level for level, share in found["levels"].items() if share["measured"] > 0} == set(LEVELS)
    assert set(found["families"]) == set(task_profile("interactive").families)
    for level, share in found["levels"].items():
        assert abs(share["measured"] - share["requested"]) < 0.12, (level, share)
    assert found["counts"]["the request is made: yes"] > 3
    assert found["counts"]["who ends before the request goes unpaid: yes"] > 6


# --- the proofs can fail


@cache
def one(level: str) -> tuple[worlddb.World, Task]:
    """A task of a level, and its world."""
    for seed in count(4_000):
        world = worlddb.generate(seed)
        for task in tasks_of(world, 5, "interactive").tasks:
            if task.card.level == level:
                return world, task
    raise AssertionError


def test_a_user_who_leaks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    world, task = one("L1")
    before = User._line

    def slips(self: User, act: str, stream: Stream, **holes: str) -> str:
        text = before(self, act, stream, **holes)
        return f"{text} {self.script.hidden[0].says}" if act in ("unclear", "bye", "visible") else text

    assert not list(leaks(world, task, 40))
    monkeypatch.setattr(User, "_line", slips)
    assert list(leaks(world, task, 40))


def test_a_user_who_is_silent_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    world, task = one("L1")
    monkeypatch.setattr(User, "_answer", lambda *_: "I would rather not say.")
    faults = list(Proofs(world).faults(task, 0))
    assert "an answer to about: no" in faults


def test_a_verdict_that_pays_everybody_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    world, task = one("L1")

    def generous(self: Agent, answer: Any = None) -> Verdict:
        return Verdict(success=True, reward=1.0, shaped=1.0)

    monkeypatch.setattr(Agent, "submit", generous)
    proofs = Proofs(world)
    assert "no-op goes unpaid: no" in list(proofs._idle(task))


def test_a_secret_is_looked_for_as_words() -> None:
    assert holds("It's 17 May.", "17 may")
    assert not holds("It's 117 May.", "17 May")
