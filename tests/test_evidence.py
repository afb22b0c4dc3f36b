"""Evidence: who has looked is paid, however it was looked; who has merely counted rows knows nothing of their values."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import worlddb
from worlddb.episode.verify import verify
from worlddb.gate import tasks_of
from worlddb.schema.rules import quote
from worlddb.tasks.model import Task
from worlddb.tasks.plan import Find, Fold, Of
from worlddb.tasks.sql import answers_of
from worlddb.tools.session import Session
from worlddb.world.model import World

SEEDS = range(24)


@pytest.fixture(scope="module")
def questions() -> list[tuple[World, Task]]:
    """Questions that change nothing."""
    worlds = [worlddb.generate(seed) for seed in SEEDS]
    found = [(w, t) for w in worlds for t in tasks_of(w, 6, "nestful").tasks if t.goal.needs]
    assert len(found) > 100
    return found


def merely_counts(task: Task) -> bool:
    """True where all that is asked is how many there are."""
    asked = task.plan.asked
    nodes = [task.plan[w.node] for w in asked.what] if asked else []
    return any(isinstance(n, Fold) and n.by == "count" for n in nodes)


def count_by_sql(session: Session) -> None:
    for table in session.world.schema.tables:
        session.call("run_sql", {"sql": f"SELECT count(*) FROM {quote(table.name)}"})


def select_nothing(session: Session) -> None:
    for table in session.world.schema.tables:
        session.call("run_sql", {"sql": f"SELECT 1 FROM {quote(table.name)}"})


def count_by_tools(session: Session) -> None:
    for tool in session.toolset:
        if tool.key.endswith((".count", ".count_different")):
            needed = {p.name: p.schema["enum"][0] for p in tool.params if p.required}
            assert session.call(tool.name, needed).ok


def totals_of_pages(session: Session) -> None:
    for tool in session.toolset:
        limit = next((p for p in tool.params if p.role == "limit" and "minimum" in p.schema), None)
        if tool.kind == "list" and limit is not None and not any(p.required for p in tool.params):
            session.call(tool.name, {limit.name: 1})


@pytest.mark.parametrize("look", [count_by_sql, select_nothing, count_by_tools, totals_of_pages])
def test_counting_is_not_reading(questions: list[tuple[World, Task]], look: Callable[[Session], None]) -> None:
    tried = paid = 0
    for world, task in questions:
        if merely_counts(task):
            continue
        session = world.session(world.toolset(sets="both_read"))
        look(session)
        tried += 1
        paid += verify(task.goal, session, task.answer).success
    assert tried > 60
    if look is totals_of_pages:  # which shows the first row of each table, and now and then it is the one in question
        assert paid <= tried * 0.05
    else:
        assert paid == 0


def one_query(questions: list[tuple[World, Task]]) -> Iterator[tuple[Task, bool]]:
    for world, task in questions:
        sql = answers_of(world.schema, task.plan)
        if sql:
            session = world.session(world.toolset(sets="both_read"))
            assert session.call("run_sql", {"sql": sql}).ok
            yield task, verify(task.goal, session, task.answer).success


def test_one_query_that_answers_is_evidence(questions: list[tuple[World, Task]]) -> None:
    """Whoever asks the database for just the answer has read what it rests on, rows without a value aside."""
    judged = list(one_query(questions))
    assert len(judged) > 90
    assert sum(paid for _, paid in judged) >= 0.97 * len(judged)


def test_rows_without_a_value_need_not_be_read(questions: list[tuple[World, Task]]) -> None:
    seen = 0
    for world, task in questions:
        for node in task.plan.nodes:
            if (
                isinstance(node, Fold)
                and node.column
                and task.plan.asked
                and Of(node=node.name) in task.plan.asked.what
            ):
                of = task.plan[node.of]
                assert isinstance(of, Find)
                table = world.schema[of.table]
                with world.connect() as db:
                    own, value = (quote(table[c].name) for c in (table.primary_key[0], node.column))
                    sql = f"SELECT {own} FROM {quote(table.name)} WHERE {value} IS NULL"
                    empty = {key for (key,) in db.execute(sql)}
                rows = {r.key[0] for n in task.goal.needs for way in n.ways for r in way if r.table == of.table}
                if node.column in {n.column for n in task.goal.needs} and len(task.goal.needs) == 1:
                    assert not rows & empty
                    seen += 1
    assert seen > 10


def test_long_queries_do_not_hold_the_judge_up(questions: list[tuple[World, Task]]) -> None:
    world, task = max(questions, key=lambda one: sum(len(w) for n in one[1].goal.needs for w in n.ways))
    table = world.schema[next(iter(task.goal.needs)).ways[0][0].table]
    session = world.session(world.toolset(sets="both_read"))
    steps = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
    for _ in range(40):
        session.call("run_sql", {"sql": f"{steps} SELECT count(*), max(i) FROM n, {quote(table.name)} WHERE i < 3"})
    from worlddb.episode.evidence import BUDGET, LONG, SAMPLE, Evidence

    evidence = Evidence(session)
    wanted = {(r.table, r.key) for n in task.goal.needs for way in n.ways for r in way}
    for entry in session.journal:
        list(evidence(entry, wanted, "id"))
    assert -4 * LONG - SAMPLE < evidence.left < BUDGET  # what is begun is brought to its end
