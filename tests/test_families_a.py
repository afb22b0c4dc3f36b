"""Families of tasks: questions, single changes, chains, conditions, changes to every row of a set."""

from __future__ import annotations

from collections import Counter
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import worlddb
from worlddb.rng import Stream
from worlddb.tasks import columns
from worlddb.tasks.draft import Draft
from worlddb.tasks.enact import Gold, Stuck, enact
from worlddb.tasks.families import chain, conditional, for_all, question, single, trial
from worlddb.tasks.families import targets as t
from worlddb.tasks.ground import Ground, flat
from worlddb.tasks.plan import Const, Do, Find, Fold, Item, Of, Plan, Test, parts, uses
from worlddb.tools.keys import call_of

WORLDS = range(400, 426)
EACH = 6
FAMILIES = (question, single, chain, conditional, for_all)
WRITERS = (single, chain, conditional, for_all)


class Made(NamedTuple):
    seed: int
    ground: Ground
    plan: Plan
    gold: Gold


@cache
def ground_of(seed: int) -> Ground:
    return Ground(worlddb.generate(seed))


def proposed(family: ModuleType, seed: int, i: int) -> Plan | None:
    draft = Draft(ground_of(seed), Stream(seed, "families", family.NAME, str(i)))
    plan = family.propose(draft, (0, 1, 1, 2, 3)[i % 5], (4, 6, 10)[i % 3])
    assert plan is None or isinstance(plan, Plan)
    return plan


@cache
def plans(family: ModuleType) -> tuple[tuple[int, Plan], ...]:
    found = ((seed, proposed(family, seed, i)) for seed in WORLDS for i in range(EACH))
    return tuple((seed, plan) for seed, plan in found if plan is not None)


@cache
def carried_out(family: ModuleType) -> tuple[tuple[Made, ...], Counter[str]]:
    found, stuck = list[Made](), Counter[str]()
    for seed, plan in plans(family):
        try:
            found.append(Made(seed, ground_of(seed), plan, enact(ground_of(seed), plan)))
        except Stuck as reason:
            stuck[reason.reason] += 1
    return tuple(found), stuck


def made(family: ModuleType) -> tuple[Made, ...]:
    return carried_out(family)[0]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.NAME)
def test_most_worlds_have_plans_and_nearly_all_can_be_carried_out(family: ModuleType) -> None:
    found, (done, stuck) = plans(family), carried_out(family)
    assert len(found) >= 0.7 * len(WORLDS) * EACH
    assert len({seed for seed, _ in found}) >= len(WORLDS) - 2
    assert len(done) >= 0.88 * len(found)
    assert set(stuck) <= {
        "no tool shows it"
    }  # the tools of this world list too little; never a description that is wrong
    assert {plan.family for _, plan in found} == {family.NAME}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.NAME)
def test_every_node_is_used_and_none_is_there_twice(family: ModuleType) -> None:
    for _, plan in plans(family):
        used = {name for node in plan.nodes for name in uses(node)} | {
            w.node for w in (plan.asked.what if plan.asked else ())
        }
        assert {n.name for n in plan.nodes if not isinstance(n, Do)} <= used
        shapes = [repr(n).replace(n.name, "", 1) for n in plan.nodes if not isinstance(n, Do)]
        assert len(set(shapes)) == len(shapes)
        known: set[str] = set()
        for node in plan.nodes:
            assert set(uses(node)) <= known
            known.add(node.name)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.NAME)
def test_no_row_is_named_by_way_of_itself(family: ModuleType) -> None:
    for seed, plan in plans(family):
        draft = Draft.again(ground_of(seed), plan)
        rows = [(n.table, id(draft.row(n.name))) for n in plan.nodes if isinstance(n, Find) and not n.many]
        assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.NAME)
def test_equal_streams_give_equal_plans(family: ModuleType) -> None:
    seed = WORLDS[3]
    again = Ground(worlddb.generate(seed))
    for i in reversed(range(EACH)):  # in another order, on a ground that has learnt nothing yet
        draft = Draft(again, Stream(seed, "families", family.NAME, str(i)))
        assert family.propose(draft, (0, 1, 1, 2, 3)[i % 5], (4, 6, 10)[i % 3]) == proposed(family, seed, i)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.NAME)
def test_values_that_are_stated_can_be_said_and_keys_are_found(family: ModuleType) -> None:
    for seed, plan in plans(family):
        schema = ground_of(seed).schema
        for node in plan.nodes:
            for part in parts(node):
                if isinstance(part, Const) and part.table:
                    table = schema[part.table]
                    code = table.key_style == "code" and part.column in table.primary_key
                    assert code or columns.spoken(table, table[part.column])


@pytest.mark.parametrize("family", WRITERS, ids=lambda f: f.NAME)
def test_every_change_that_is_made_changes_something_and_is_load_bearing(family: ModuleType) -> None:
    for one in made(family):
        writes = [c for c in one.gold.calls if c.writes]
        whole = _end(one.ground, one.gold, frozenset())
        for i, call in enumerate(one.gold.calls):
            if call.writes:
                without = _end(one.ground, one.gold, _needing(one.gold, i))
                assert without != whole, (one.seed, one.plan)
        if family is not conditional:
            assert len(writes) >= 1


def _needing(gold: Gold, i: int) -> frozenset[int]:
    """A change, and the changes that cannot be made without it: they use what it has made."""
    gone = {i}
    for j in range(i + 1, len(gold.calls)):
        if gold.calls[j].writes and set(gold.calls[j].uses) & gone:
            gone.add(j)
    return frozenset(gone)


def _end(ground: Ground, gold: Gold, gone: frozenset[int]) -> Any:
    """The state after all changes but some, apart from keys of new rows and what the clock puts in."""
    session = ground.world.session(ground.toolset)
    for i, call in enumerate(gold.calls):
        if call.writes and i not in gone:
            session.call(*_public(ground, call.tool, call.arguments))
    found = []
    for change in session.diff():
        table = ground.schema[change.table]
        kept = [i for i, c in enumerate(table.columns) if not trial.incidental(c.type)]
        found.append((change.table, change.before and change.key, *([s and [s[i] for i in kept] for s in change[2:]])))
    return sorted(map(repr, found))


def _public(ground: Ground, key: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    call = call_of(ground.toolset, key, arguments)
    return call.name, call.arguments


def test_golds_leave_the_world_in_the_state_of_the_replay() -> None:
    for one in made(chain):
        assert len([c for c in one.gold.calls if c.writes]) >= 2
        assert len(one.plan.dos) >= 2


def test_conditions_hold_about_as_often_as_not_and_both_branches_could_be_taken() -> None:
    held = Counter[tuple[bool, bool]]()
    for one in made(conditional):
        (test,) = [n for n in one.plan.nodes if isinstance(n, Test)]
        taken = one.gold.known[test.name].value
        both = any(d.when for d in one.plan.dos) and any(d.unless for d in one.plan.dos)
        held[both, taken] += 1
        assert any(c.writes for c in one.gold.calls) or one.plan.asked is not None
        meant = Draft.again(one.ground, one.plan)  # the gold does not look up what only the other branch needs
        for do in one.plan.dos:
            given = {key: meant.value(value) for key, value in do.arguments.items() if isinstance(value, Of | Const)}
            assert len(given) == len(do.arguments)
            tool = one.ground.toolset.by_key(do.tool)
            assert tool is not None
            assert trial.doable(one.ground, tool, given), do
    for both in (True, False):
        share = held[both, True] / (held[both, True] + held[both, False])
        assert 0.35 <= share <= 0.65, held
    assert sum(held.values()) > 100


def test_what_a_condition_compares_is_read_and_not_stated() -> None:
    for _, plan in plans(conditional):
        (test,) = [n for n in plan.nodes if isinstance(n, Test)]
        assert isinstance(test.left, Of)
        node = plan[test.left.node]
        assert not isinstance(node, Do)
        if isinstance(node, Find):
            assert test.left.column not in {w.column for w in node.where if isinstance(w.value, Const)}


def test_every_row_of_a_set_gets_its_change() -> None:
    bulk = 0
    for one in made(for_all):
        (do,) = one.plan.dos
        writes = [c for c in one.gold.calls if c.writes]
        (name,) = [n.name for n in one.plan.nodes if isinstance(n, Find) and n.many]
        rows = one.gold.known[name].rows
        assert 2 <= len(rows) <= 10
        if do.each:
            assert len(writes) == len(rows)
            assert any(isinstance(v, Item) for v in do.arguments.values())
        else:
            bulk += 1
            assert len(writes) == 1
        assert len({repr(c.arguments) for c in writes}) == len(writes)
    assert bulk > 0


def test_answers_are_neither_told_nor_easily_guessed() -> None:
    for one in made(question):
        asked = one.plan.asked
        assert asked is not None
        told = {v.value for n in one.plan.nodes for v in parts(n) if isinstance(v, Const)}
        for what in asked.what:
            node = one.plan[what.node]
            if isinstance(node, Fold) and node.by == "count":
                assert one.gold.answer >= 3
            if isinstance(node, Find):
                column = one.ground.schema[node.table][what.column]
                assert not column.values
                assert not (asked.shape == "value" and isinstance(one.gold.answer, str) and one.gold.answer in told)
        assert one.gold.answer not in (None, [], {})


def test_questions_have_many_forms_and_join_what_they_found() -> None:
    shapes = Counter(one.plan.asked.shape for one in made(question) if one.plan.asked)
    kinds = Counter(type(n).__name__ for one in made(question) for n in one.plan.nodes)
    joined = [one for one in made(question) if any(len(uses(n)) > 1 for n in one.plan.nodes)]
    long = [one for one in made(question) if len(one.gold.calls) >= 4]
    assert set(shapes) == {"value", "record", "set", "list"}
    assert set(kinds) == {"Find", "Fold", "Group", "Calc"}
    assert len(joined) >= 0.2 * len(made(question))
    assert len(long) >= 0.15 * len(made(question))


def test_trials_leave_no_trace() -> None:
    ground = ground_of(WORLDS[0])
    before = [ground.table(table.key) for table in ground.schema.tables]
    tools = t.actions(ground)
    assert len(tools) > 5
    assert all(t.wants(ground, p) or p.column for tool in tools for p in flat(tool.params) if p.required)
    for tool in tools:
        found = t.target(Draft(ground, Stream(1, tool.key)), tool)
        if found is not None:
            assert trial.doable(ground, *found.call(ground))
    fresh = Ground(worlddb.generate(WORLDS[0]))
    assert before == [fresh.table(table.key) for table in fresh.schema.tables]
    assert ground.rows("SELECT count(*) FROM sqlite_schema") == fresh.rows("SELECT count(*) FROM sqlite_schema")
