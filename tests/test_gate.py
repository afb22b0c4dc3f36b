"""The admission gate: what it lets through is proved, and what is wrong it rejects by name."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

import worlddb
from worlddb.errors import UnknownName
from worlddb.gate import Batch, tasks_of
from worlddb.gate.trials import Failed, Trials
from worlddb.heldout import Scope
from worlddb.rng import Stream
from worlddb.tasks.enact import enact
from worlddb.tasks.goal import Alternative, Equal, Goal
from worlddb.tasks.ground import Ground
from worlddb.tasks.model import Task
from worlddb.tasks.plan import Find
from worlddb.tasks.shapes import task_profile

SEEDS = (3, 7, 12, 18, 31)


@pytest.fixture(scope="module")
def batches() -> dict[int, Batch]:
    return {seed: tasks_of(worlddb.generate(seed)) for seed in SEEDS}


def trials(task: Task, seed: int) -> Trials:
    ground = Ground(worlddb.generate(seed))
    return Trials(ground, task, enact(ground, task.plan), Stream(seed, "trials"))


def one(batches: dict[int, Batch], **having: bool) -> tuple[int, Task]:
    """A task that writes (or not) and asks (or not)."""
    for seed, batch in batches.items():
        for task in batch.tasks:
            own = [(c.tool, c.arguments) for c in enact(Ground(worlddb.generate(seed)), task.plan).calls]
            if (
                bool(task.card.writes) is having["writes"]
                and bool(task.goal.answers) is having["asks"]
                and not task.twin
                and own == [(c.tool, c.arguments) for c in task.gold]
            ):
                return seed, task
    raise LookupError(having)


def test_every_world_gets_its_tasks(batches: dict[int, Batch]) -> None:
    assert all(len(batch.tasks) == 10 for batch in batches.values())
    for batch in batches.values():
        assert batch.proposed >= 9
        assert sum(batch.rejected.values()) + len(batch.tasks) >= batch.proposed
        assert batch.figures["killed"] == batch.figures["mutants"] > 0
        assert len({t.card.skeleton for t in batch.tasks}) == 10
        assert len({t.instruction for t in batch.tasks}) == 10


def test_tasks_are_the_same_again(batches: dict[int, Batch]) -> None:
    again = tasks_of(worlddb.generate(SEEDS[0]))
    assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(batches[SEEDS[0]])


def test_tasks_travel_as_bytes(batches: dict[int, Batch]) -> None:
    for batch in batches.values():
        for task in batch.tasks:
            assert msgspec.msgpack.decode(msgspec.msgpack.encode(task), type=Task) == task


def test_proofs_are_queries_that_select_what_is_meant(batches: dict[int, Batch]) -> None:
    seen = 0
    for seed, batch in batches.items():
        with worlddb.generate(seed).connect() as db:
            for task in batch.tasks:
                for node in task.plan.nodes:
                    if isinstance(node, Find):
                        found, reached = db.execute(task.proofs[node.name]).fetchall()[0]
                        assert found >= 1
                        if not node.many and not node.free:
                            assert found == 1
                        if node.take or (not node.many and not node.free):
                            assert reached == found
                        seen += 1
    assert seen > 60


def test_twins_know_one_another_and_share_a_structure(batches: dict[int, Batch]) -> None:
    tasks = {t.id: t for batch in batches.values() for t in batch.tasks}
    pairs = [(t, tasks[t.twin]) for t in tasks.values() if t.twin]
    assert pairs
    for task, twin in pairs:
        assert twin.twin == task.id
        assert task.card.structure == twin.card.structure
        assert task.goal.changes_nothing is not twin.goal.changes_nothing


def test_the_scope_of_a_suite_is_kept() -> None:
    world = worlddb.generate(7)
    for side in ("train", "eval"):
        scope = Scope(side=side, structures=3, tools=("update",))
        batch = tasks_of(world, 5, scope=scope)
        assert len(batch.tasks) >= 3
        assert all(scope.structure(t.card.structure) for t in batch.tasks)
        if side == "train":
            assert not any(c.tool.endswith(".update") for t in batch.tasks for c in t.gold)


@pytest.mark.parametrize("profile", ["easy", "hard", "nestful", "randomworld"])
def test_profiles_shape_the_tasks(profile: str) -> None:
    batches = [tasks_of(worlddb.generate(seed), 8, profile) for seed in (5, 9, 14)]
    tasks = [t for b in batches for t in b.tasks]
    unmet = sum(b.figures.get("unmet", 0) for b in batches)
    wanted = task_profile(profile)
    assert len(tasks) >= 22
    assert unmet <= len(tasks) / 3
    families = Counter(t.family for t in tasks)
    assert set(families) <= set(wanted.families)
    lengths = [int(k.partition("-")[0]) for k in wanted.calls]
    assert sum(t.card.calls >= min(lengths) - 1 for t in tasks) == len(tasks)
    if wanted.writes == 0:
        assert all(t.card.writes == 0 for t in tasks)


def test_unknown_profiles_are_refused() -> None:
    with pytest.raises(UnknownName, match="nestful"):
        tasks_of(worlddb.generate(3, "tiny"), 1, "nestfull")


# --- trials notice what is wrong with a task


def test_sound_tasks_pass(batches: dict[int, Batch]) -> None:
    for writes, asks in ((True, False), (False, True)):
        seed, task = one(batches, writes=writes, asks=asks)
        problem, figures = trials(task, seed).run()
        assert problem == ""
        assert figures["paid"] >= 3


def test_a_goal_that_pays_idleness_is_noticed(batches: dict[int, Batch]) -> None:
    seed, task = one(batches, writes=True, asks=False)
    lax = msgspec.structs.replace(task, goal=Goal(alternatives=(*task.goal.alternatives, Alternative())))
    with pytest.raises(Failed, match="doing nothing is paid"):
        trials(lax, seed).idle()


def test_an_answer_without_evidence_is_noticed(batches: dict[int, Batch]) -> None:
    seed, task = one(batches, writes=False, asks=True)
    lax = msgspec.structs.replace(task, goal=msgspec.structs.replace(task.goal, needs=()))
    with pytest.raises(Failed, match="a lucky guess is paid"):
        trials(lax, seed).idle()


def test_a_goal_that_the_gold_misses_is_noticed(batches: dict[int, Batch]) -> None:
    seed, task = one(batches, writes=True, asks=False)
    with pytest.raises(Failed, match="the gold is not paid"):
        trials(msgspec.structs.replace(task, goal=Goal()), seed).done_again()
    with pytest.raises(Failed, match="SQL comes to something else"):
        trials(msgspec.structs.replace(task, goal=Goal()), seed).done_by_sql()


def test_a_goal_that_takes_any_value_is_noticed(batches: dict[int, Batch]) -> None:
    """Who may leave out a change, is paid for the gold with that change left out."""
    for seed, batch in batches.items():
        for task in batch.tasks:
            whole = task.goal.alternatives[0]
            each_its_own = task.card.writes == len(whole.updates) > 1 and not whole.inserts and not whole.deletes
            if task.family == "for_all" and each_its_own and not task.goal.answers:
                less = msgspec.structs.replace(whole, updates=whole.updates[1:])
                lax = msgspec.structs.replace(task, goal=Goal(alternatives=(whole, less)))
                with pytest.raises(Failed, match=r"the gold with .* is paid"):
                    trials(lax, seed).mutated()
                return
    raise LookupError("no task with two updates of their own")


def test_an_argument_from_nowhere_is_noticed(batches: dict[int, Batch]) -> None:
    for seed, batch in batches.items():
        for task in batch.tasks:
            at = next(
                (
                    i
                    for i, c in enumerate(task.gold)
                    if c.writes and any(isinstance(v, int) for v in c.arguments.values())
                ),
                None,
            )
            if at is None:
                continue
            call = task.gold[at]
            key = next(k for k, v in call.arguments.items() if isinstance(v, int))
            spoilt = msgspec.structs.replace(call, arguments=call.arguments | {key: 987_654_321})
            broken = msgspec.structs.replace(task, gold=(*task.gold[:at], spoilt, *task.gold[at + 1 :]))
            tool = worlddb.generate(seed).toolset().by_key(call.tool)
            assert tool is not None
            if next(p for p in tool.params if p.key == key).convert == "flag":
                continue
            with pytest.raises(Failed, match="comes from nowhere"):
                trials(broken, seed).told()
            return
    raise LookupError("no gold with a number")


def test_an_instruction_that_says_the_answer_is_noticed(batches: dict[int, Batch]) -> None:
    for seed, batch in batches.items():
        for task in batch.tasks:
            if isinstance(task.answer, str):
                leaky = msgspec.structs.replace(task, instruction=f"{task.instruction} It is {task.answer}.")
                with pytest.raises(Failed, match="says the answer"):
                    trials(leaky, seed).told()
                return
    raise LookupError("no answer in words")


def test_an_alternative_is_a_net_change(batches: dict[int, Batch]) -> None:
    for batch in batches.values():
        for task in batch.tasks:
            for alternative in task.goal.alternatives:
                touched = [(u.table, u.key) for u in alternative.updates] + [
                    (d.table, d.key) for d in alternative.deletes
                ]
                assert len(set(touched)) == len(touched)
                assert all(m != Equal(value="") for u in alternative.updates for m in u.values.values())
