"""What the gate does only once: calls that trials share, questions that several plans ask, and no search for cyclic garbage."""

from __future__ import annotations

import gc
from itertools import count

import pytest

from worlddb.errors import UnknownName
from worlddb.gate import tasks_of
from worlddb.gate.trials import Trials
from worlddb.rng import Stream
from worlddb.tasks.enact import enact
from worlddb.tasks.ground import Ground
from worlddb.tools.session import Session, Start
from worlddb.world.generate import generate

SEEDS = (3, 11)


def _told(session: Session) -> list[object]:
    """All that is known of an episode."""
    entries = [(e.number, e.name, e.raw, e.result, e.now, e.wrote, e.changes, list(e.seen)) for e in session.journal]
    return [session.now, session.diff(), entries]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_session_that_branches_off_the_gold_is_as_one_of_its_own(seed: int) -> None:
    world = generate(seed)
    ground = Ground(world)
    branched = 0
    for task in tasks_of(world, 6).tasks:
        trials = Trials(ground, task, enact(ground, task.plan), Stream(seed, task.id))
        for name, steps in [("the gold", trials.steps), ("nothing", []), *trials._mutants()]:
            plain = trials._played(world.session(ground.toolset), steps)
            assert _told(trials.play(steps)) == _told(plain), name
            branched += 1
    assert branched > 20


@pytest.mark.parametrize("seed", SEEDS)
def test_a_gold_is_the_same_whether_its_questions_were_asked_before(seed: int) -> None:
    world = generate(seed)
    ground, golds = Ground(world), count()
    for task in tasks_of(world, 6).tasks:
        for start in (Start(), Start(clock=86_400, ids=7)):
            fresh = enact(Ground(world), task.plan, start=start)
            for again in (enact(ground, task.plan, start=start), enact(ground, task.plan, start=start)):
                assert (again.calls, again.known, again.answer) == (fresh.calls, fresh.known, fresh.answer)
                assert _told(again.session) == _told(fresh.session)
                next(golds)
    assert next(golds) > 12


def test_the_collector_is_left_as_it_was() -> None:
    world = generate(3)
    assert gc.isenabled()
    tasks_of(world, 1)
    assert gc.isenabled()
    with pytest.raises(UnknownName):
        tasks_of(world, 1, "no such profile")
    assert gc.isenabled()
    gc.disable()
    try:
        tasks_of(world, 1)
        assert not gc.isenabled()
    finally:
        gc.enable()
