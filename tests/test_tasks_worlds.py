"""The tasks of many worlds hold what they promise.  `make campaign` shows it on 200 worlds, and `make tasks-survey` tells
more of them: what they are like, how many candidates were rejected and why.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

import worlddb
from tests.task_proofs import Proofs, dead, leaks, told
from tests.task_survey import Found, Job, look, summary
from worlddb.episode.play import Episode
from worlddb.episode.solve import solve, submitted
from worlddb.gate import tasks_of
from worlddb.parallel import each, worker_count
from worlddb.tasks.ground import Ground
from worlddb.tasks.model import Task
from worlddb.tasks.shapes import task_profiles

TASKS = 10
FEW = {"default": range(400, 412)} | {p: range(400, 403) for p in ("easy", "hard", "nestful", "randomworld")}
MANY = {"default": range(200)} | {p: range(40) for p in ("easy", "hard", "nestful", "randomworld")}
AGENTS = ("no-op", "no-op with the answer", "random", "spray")
NEAR = 0.12
"""How far the share of a bucket of lengths may be from the one that was asked for, in a few hundred tasks."""


def test_every_profile_is_looked_at():
    elsewhere = {"interactive", "policy", "faulty"}  # test_interactive, test_policed, test_faults
    assert set(FEW) | elsewhere == set(MANY) | elsewhere == set(task_profiles())


# --- a few worlds of every profile


@pytest.fixture(scope="module", params=list(FEW))
def found(request: pytest.FixtureRequest) -> list[Found]:
    return [look(Job(seed, request.param, TASKS, True)) for seed in FEW[request.param]]


def test_every_world_gives_all_its_tasks(found: list[Found]):
    assert {f.world: len(f.tasks) for f in found} == {f.world: TASKS for f in found}


def test_golds_are_paid_and_nobody_else_is_and_no_call_is_dead_and_nothing_leaks(found: list[Found]):
    assert [text for f in found for text in f.faults] == []


def test_every_agent_was_judged(found: list[Found]):
    judged = sum((Counter(f.judged) for f in found), Counter())
    total = sum(len(f.tasks) for f in found)
    assert judged["no-op"] == judged["no-op with the answer"] == judged["random"] == total
    assert judged["spray"] > 0.8 * total
    assert judged["delete-all"] > 0
    asked = sum(t.answer not in ("", "null") for f in found for t in f.tasks)
    assert judged["no answer"] == asked


def test_no_task_stands_twice(found: list[Found]):
    for one in found:
        assert len({t.card.skeleton for t in one.tasks}) == len({t.id for t in one.tasks}) == len(one.tasks)
    texts = [t.instruction for f in found for t in f.tasks]
    assert len(set(texts)) == len(texts)
    assert all(text.strip() for text in texts)


def test_cards_are_of_the_profile(found: list[Found]):
    profile = task_profiles()[found[0].job.profile]
    for task in (t for f in found for t in f.tasks):
        assert task.family in profile.families
        assert profile.writes > 0 or task.card.writes == 0
        assert task.card.calls >= max(task.card.writes, task.card.depth, task.card.width, 1)
        assert task.card.operators


def test_every_mutant_of_a_gold_is_killed(found: list[Found]):
    figures = sum((Counter(f.batch.figures) for f in found), Counter())
    assert figures["killed"] == figures["mutants"] > 0
    assert figures["paid"] > 0
    assert figures["refused"] > 0


# --- the proofs themselves can fail


@pytest.fixture(scope="module")
def ground() -> Ground:
    world = worlddb.generate(400)
    return Ground(world, world.toolset())


def _writing(ground: Ground) -> Task:
    return next(t for t in ground.world.tasks if t.card.writes and t.sql and t.plan.asked is None)


def test_a_gold_that_lacks_a_write_is_a_fault(ground: Ground):
    task = _writing(ground)
    last = max(i for i, c in enumerate(task.gold) if c.writes)
    broken = msgspec.structs.replace(task, gold=task.gold[:last] + task.gold[last + 1 :])
    assert "the gold is not paid" in set(Proofs(ground).faults(broken))


def test_sql_that_does_less_is_a_fault(ground: Ground):
    broken = msgspec.structs.replace(_writing(ground), sql=())
    assert "SQL comes to something else" in set(Proofs(ground).faults(broken))


def test_a_goal_that_takes_anything_pays_the_idle(ground: Ground):
    task = _writing(ground)
    empty = msgspec.structs.replace(task, goal=worlddb.tasks.goal.Goal())
    assert "no-op is paid" in set(Proofs(ground).faults(empty))


def test_a_call_for_nothing_is_dead(ground: Ground):
    task = _writing(ground)
    idle = msgspec.structs.replace(task.gold[0], writes=False, node="nobody", uses=())
    gold = Proofs(ground).enacted(task)
    assert dead(task, gold) == []
    assert dead(msgspec.structs.replace(task, gold=(*task.gold, idle)), gold) == [len(task.gold)]


def test_an_answer_in_the_instruction_is_a_leak(ground: Ground):
    asked = tasks_of(ground.world, 12, "nestful").tasks
    task = next(t for t in asked if isinstance(t.answer, str | int) and len(str(t.answer)) > 2)
    gold = Proofs(ground).enacted(task)
    assert list(leaks(ground.schema, task, gold)) == []
    told_all = msgspec.structs.replace(task, instruction=f"{task.instruction} It is {task.answer}.")
    assert len(list(leaks(ground.schema, told_all, gold))) == 1


def test_what_the_server_writes_of_itself_is_no_change(ground: Ground):
    task = _writing(ground)
    first, second = (solve(ground.world, task, start=s).session.diff() for s in (None, worlddb.Start(clock=3600)))
    assert told(ground.schema, first) == told(ground.schema, second) != []


# --- determinism

SAME = ((401, "default"), (402, "hard"))
PRINT = """
from tests.test_tasks_worlds import SAME, digest
for seed, profile in SAME:
    print(digest(seed, profile))
"""


def digest(seed: int, profile: str) -> str:
    """Of the bytes of a world's tasks, and of all that the gate says of them."""
    return sha256(msgspec.msgpack.encode(tasks_of(worlddb.generate(seed), TASKS, profile))).hexdigest()


def test_tasks_are_the_same_on_every_run_and_in_any_process():
    here = [digest(*one) for one in SAME]
    assert [digest(*one) for one in reversed(SAME)] == here[::-1]
    done = subprocess.run(
        [sys.executable, "-c", PRINT], env=os.environ | {"PYTHONHASHSEED": "77"}, cwd=Path(__file__).parents[1],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == here


def test_tasks_do_not_depend_on_what_was_done_in_the_world_before():
    world = worlddb.generate(403)
    first = tasks_of(world, 5)
    for task in first.tasks:
        episode = solve(world, task)
        assert episode.verdict is not None
    Episode(world, first.tasks[0]).submit(submitted(first.tasks[0]))
    assert tasks_of(world, 5) == first


# --- the campaign


@pytest.mark.campaign
@pytest.mark.parametrize("profile", list(MANY))
def test_many_worlds(profile: str):
    jobs = [Job(seed, profile, TASKS, True) for seed in MANY[profile]]
    found = list(each(look, jobs, worker_count(None)))
    one = summary(profile, found, 0.0)
    assert one["faults"] == {}, one["fault_examples"]
    assert one["short_worlds"] == {}
    assert one["duplicates"] == {"skeletons": 0, "instructions": 0}
    assert one["answers"]["modal_share"] < 0.05
    assert one["figures"]["killed"] == one["figures"]["mutants"]
    for bucket in one["structure"]["calls_by_bucket"].values():
        assert abs(bucket["measured"] - bucket["requested"]) < NEAR
    for name, share in one["structure"]["shares"].items():
        assert share["measured"] > share["requested"] - NEAR / 2, name
    profile_families = set(task_profiles()[profile].families)
    assert set(one["families"]) == profile_families
    assert all(f["admitted"] for f in one["families"].values()), one["families"]
