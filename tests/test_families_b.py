"""The families that create, lead on, repair, are denied and reckon: plans that can be carried out, on many worlds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

import pytest
from msgspec.structs import replace

import worlddb
from worlddb.rng import Stream
from worlddb.semantics.types import is_a
from worlddb.tasks.draft import Draft
from worlddb.tasks.enact import Gold, enact
from worlddb.tasks.families import create, denied, reckon_act, repair, workflow
from worlddb.tasks.families.acts import CODES, Act, rehearse, stated
from worlddb.tasks.ground import Ground
from worlddb.tasks.plan import Calc, Const, Do, Find, Fold, Group, Plan, uses
from worlddb.tools.keys import call_of
from worlddb.world.diff import Diff

WORLDS = 26
EACH = 6
"""Proposals for each world and family."""
ACTING = (create, workflow, repair, reckon_act)


@cache
def ground(seed: int) -> Ground:
    return Ground(worlddb.generate(seed))


@cache
def proposals(family: ModuleType, seed: int) -> tuple[Any, ...]:
    """What a family proposes for a world: plans, pairs of them, or None."""
    found = []
    for at in range(EACH):
        stream = Stream(seed, "test", family.NAME, str(at))
        found.append(family.propose(Draft(ground(seed), stream), stream.below(3), 10))
    return tuple(found)


def plans(family: ModuleType) -> Iterator[tuple[int, Plan]]:
    """All plans of a family that change something."""
    for seed in range(WORLDS):
        for made in proposals(family, seed):
            if made is not None:
                yield seed, made[1] if isinstance(made, tuple) else made


@cache
def gold(family: ModuleType, seed: int, at: int) -> Gold:
    return enact(ground(seed), proposals(family, seed)[at])


def golds(family: ModuleType) -> Iterator[tuple[int, Plan, Gold]]:
    """All plans of a family, carried out."""
    for seed in range(WORLDS):
        for at, plan in enumerate(proposals(family, seed)):
            if plan is not None:
                yield seed, plan, gold(family, seed, at)


def content(seed: int, diff: Diff) -> list[tuple[str, Any, Any]]:
    """A diff without what the clock says: every write moves it on by itself."""
    found = []
    for change in diff:
        columns = ground(seed).schema[change.table].columns
        sides = [
            None if row is None else tuple(v for c, v in zip(columns, row, strict=True) if not is_a(c.type, "moment"))
            for row in (change.before, change.after)
        ]
        if sides[0] != sides[1]:
            found.append((change.table, sides[0], sides[1]))
    return sorted(found, key=repr)


def replayed(seed: int, gold_: Gold, without: int) -> list[tuple[str, Any, Any]]:
    """The content of the diff when the writes of a gold are made again, save one.  Those that fail without it, fail."""
    ground_ = ground(seed)
    session = ground_.world.session(ground_.toolset)
    for at, made in enumerate(gold_.calls):
        if made.writes and at != without:
            call = call_of(ground_.toolset, made.tool, made.arguments)
            session.call(call.name, call.arguments)
    return content(seed, session.diff())


# --- all families


@pytest.mark.parametrize("family", [*ACTING, denied], ids=lambda f: f.NAME)
def test_most_worlds_have_plans(family: ModuleType) -> None:
    made = [[p for p in proposals(family, seed) if p is not None] for seed in range(WORLDS)]
    assert sum(map(bool, made)) >= 0.85 * WORLDS
    assert sum(map(len, made)) >= 0.7 * WORLDS * EACH


@pytest.mark.parametrize("family", [*ACTING, denied], ids=lambda f: f.NAME)
def test_the_same_stream_gives_the_same_plan(family: ModuleType) -> None:
    for seed in range(0, WORLDS, 5):
        fresh = Ground(worlddb.generate(seed))
        for at, before in list(enumerate(proposals(family, seed)))[::-1]:  # in another order, on nothing remembered
            stream = Stream(seed, "test", family.NAME, str(at))
            assert family.propose(Draft(fresh, stream), stream.below(3), 10) == before


@pytest.mark.parametrize("family", [*ACTING, denied], ids=lambda f: f.NAME)
def test_every_node_is_used(family: ModuleType) -> None:
    for seed, plan in plans(family):
        used = {name for node in plan.nodes for name in uses(node)}
        idle = [n for n in plan.nodes if not isinstance(n, Do) and n.name not in used]
        assert not idle, (seed, plan)
        assert plan.family == family.NAME


@pytest.mark.parametrize("family", ACTING, ids=lambda f: f.NAME)
def test_plans_can_be_carried_out_and_every_call_changes_something(family: ModuleType) -> None:
    for seed, plan, made in golds(family):  # `enact` raises where a call is refused or changes nothing
        assert content(seed, made.session.diff()), (seed, plan)
        assert {c.node for c in made.calls if c.writes} == {d.name for d in plan.dos}


@pytest.mark.parametrize("family", ACTING, ids=lambda f: f.NAME)
def test_no_write_can_be_left_out(family: ModuleType) -> None:
    for seed, plan, made in golds(family):
        whole = content(seed, made.session.diff())
        for at, call in enumerate(made.calls):
            if call.writes:
                assert replayed(seed, made, at) != whole, (seed, call.tool, plan)


@pytest.mark.parametrize("family", ACTING, ids=lambda f: f.NAME)
def test_a_family_can_join_a_draft_that_has_begun(family: ModuleType) -> None:
    joined = 0
    for seed in range(0, WORLDS, 3):
        draft = Draft(ground(seed), Stream(seed, "join"))
        first = family.propose(draft, 1, 6)
        before = tuple(draft.nodes)
        second = family.propose(draft, 1, 6)
        if first is not None and second is not None:
            joined += 1
            assert second.nodes[: len(before)] == before
            assert len(second.dos) > len(first.dos)
    assert joined > 3


# --- one by one


def test_structures_have_several_parts() -> None:
    several = 0
    for _, plan in plans(create):
        records = [v for d in plan.dos for v in d.arguments.values() if isinstance(v, tuple)]
        assert all(len(r) > 1 for r in records)
        assert plan.dos[0].tool.rpartition(".")[2].startswith("create")
        several += len(plan.dos) > 1 or bool(records)
    assert several > WORLDS


def test_workflows_take_several_steps() -> None:
    for seed, plan in plans(workflow):
        assert len(plan.dos) > 1
        kinds = {d.tool: tool.kind for d in plan.dos if (tool := ground(seed).toolset.by_key(d.tool)) is not None}
        assert kinds[plan.dos[-1].tool] == "transition"


def test_what_is_repaired_is_found_by_what_is_odd() -> None:
    forms = set()
    for _, plan in plans(repair):
        (do,) = plan.dos
        oddities = [w for n in plan.nodes if isinstance(n, Find) for w in n.where if w.op in ("ne", "null", "lt", "in")]
        assert oddities, plan
        forms.add((oddities[-1].op, do.tool.rpartition(".")[2] == "update"))
    assert {op for op, _ in forms} == {"ne", "null", "lt", "in"}


def test_what_is_done_depends_on_a_figure() -> None:
    kinds = set()
    for _, plan in plans(reckon_act):
        figures = {n.name: type(n).__name__ for n in plan.nodes if isinstance(n, Fold | Group | Calc)}
        said = {name for d in plan.dos for name in uses(d)}
        assert said & figures.keys(), plan
        kinds |= set(figures.values())
    assert kinds == {"Fold", "Group", "Calc"}


# --- what is denied


def twins() -> Iterator[tuple[int, Plan, Plan]]:
    for seed in range(WORLDS):
        for pair in proposals(denied, seed):
            if pair is not None:
                yield seed, *pair


def test_what_is_denied_is_refused_by_the_business_and_its_twin_is_not() -> None:
    codes = set()
    for seed, no, yes in twins():
        assert no.asked is not None
        assert no.asked.shape == "none"
        (refused,) = no.dos
        assert refused.refused in CODES
        codes.add(refused.refused)
        made = enact(ground(seed), no, refused=True)  # raises where the call is not refused with that code
        assert len(made.session.diff()) == 0
        assert not any(c.writes for c in made.calls)
        assert yes.asked is None
        assert content(seed, enact(ground(seed), yes).session.diff())
    assert {"RULE_VIOLATION", "CONFLICT"} <= codes


def test_twins_differ_in_values_alone() -> None:
    def bare(plan: Plan) -> str:
        """A plan without the values that it states."""
        nodes = []
        for node in plan.nodes:
            if isinstance(node, Find):
                where = tuple(replace(w, value=None) if isinstance(w.value, Const) else w for w in node.where)
                nodes.append(repr(replace(node, where=where)))
            else:
                assert isinstance(node, Do)
                told = {k: None if isinstance(v, Const) else v for k, v in node.arguments.items()}
                nodes.append(repr((node.name, node.tool, told)))
        return "\n".join(nodes)

    for seed, no, yes in twins():
        assert bare(no) == bare(yes), seed
        assert repr(replace(no.dos[0], refused="")) + repr(no.nodes[:-1]) != repr(yes.dos[0]) + repr(yes.nodes[:-1])


def test_no_move_is_denied_that_other_moves_could_bring_about() -> None:
    seen = 0
    for seed, no, _ in twins():
        tool = ground(seed).toolset.by_key(no.dos[0].tool)
        assert tool is not None
        table = ground(seed).schema[tool.table]
        if tool.kind != "transition":
            continue
        assert table.lifecycle is not None
        done = enact(ground(seed), no, refused=True)
        row = next(k.rows[0] for n, k in done.known.items() if n == no.nodes[-2].name)
        key = table.primary_key[0]
        state = ground(seed).row(table.key, row[key])
        assert state is not None
        reached, open_ = set(), [state[table.lifecycle.column]]
        while open_:
            ahead = [s for s in table.lifecycle.exits(open_.pop()) if s not in reached]
            reached |= set(ahead)
            open_ += ahead
        for after in reached:
            assert after not in _targets(seed, tool.key), (seed, tool.key, state)
        seen += 1
    assert seen > WORLDS


def _targets(seed: int, key: str) -> set[str]:
    """The states into which a tool moves rows."""
    from worlddb.tools.kinds.transition import ways

    ground_ = ground(seed)
    table = ground_.schema[key.partition(".")[0]]
    return {w.to for w in ways(ground_.site, table) if f"{table.key}.{w.stem}" == key}


# --- trying


def test_a_rehearsal_says_what_was_refused_and_leaves_nothing_behind() -> None:
    refused = done = 0
    for seed in range(6):
        ground_ = ground(seed)
        before = ground_.rows("SELECT total_changes()")
        for table in ground_.schema.tables:
            for step in workflow.steps_of(ground_, table):
                for row in ground_.table(table.key)[:10]:
                    key = stated(step.tool.params[0], row[table.primary_key[0]])
                    trial = rehearse(Draft(ground_, Stream(seed, "r")), [Act(step.tool, {"id": key})])
                    assert table.lifecycle is not None
                    if trial.done:
                        done += 1
                    else:
                        refused += 1
                        assert trial.code in CODES
                        assert trial.rule
        assert ground_.rows("SELECT total_changes()") == before
    assert done > 10
    assert refused > 10
