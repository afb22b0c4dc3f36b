"""Rubrics: formulas by hand, properties over random agents, and lines that say what they saw.

Users are told here by acts made by hand, so that a rubric is tested apart from whoever plays the user.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from functools import cache, partial
from itertools import islice
from typing import Any, NamedTuple

import hypothesis
import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from msgspec.structs import replace

import worlddb
from tests.calls import draw_call
from worlddb.episode.matchers import shown
from worlddb.episode.solve import gold_calls, solve, submitted
from worlddb.episode.verdict import broken
from worlddb.episode.verify import UNANSWERED, verify
from worlddb.errors import BadRequest, UnknownName
from worlddb.policies.login import with_login
from worlddb.rubrics import ELEMENTS, PRESETS, Rubric, rubric, under_presets
from worlddb.rubrics.model import Preset, score_of
from worlddb.rubrics.presets import COUNTS, SHARES, preset_of
from worlddb.tasks.forms import forms_of
from worlddb.tasks.goal import Alternative, Equal, Need, NeedsConsent, Never, Row, Update
from worlddb.tasks.model import GoldCall, Task
from worlddb.tasks.plan import Const, Do, Find, Item, Of, Plan
from worlddb.tasks.user import Script, Topic
from worlddb.tools.engine import Outcome
from worlddb.tools.model import Param, Tool
from worlddb.tools.session import Session
from worlddb.users.simulate import User
from worlddb.world.model import World

SEEDS = range(300, 308)
GATED = [name for name in PRESETS if name != "tau"]


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in one call to the user."""

    number: int
    kind: str = "ask"
    told: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    visible: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    irrelevant: bool = False
    unknown: tuple[str, ...] = ()
    agreed: bool | None = None


class Player:
    """Answers every call to the user with the same words."""

    def __init__(self, reply: str) -> None:
        self.reply = reply

    def before(self, session: Session, tool: Any, arguments: Any) -> Outcome | None:
        return Outcome({"reply": self.reply}, None) if tool.kind == "user" else None

    def after(self, session: Session, tool: Any, arguments: Any, outcome: Outcome) -> Outcome:
        return outcome


@cache
def world_of(seed: int) -> World:
    return worlddb.generate(seed)


def cases() -> Iterator[tuple[World, Task]]:
    for seed in SEEDS:
        yield from ((world_of(seed), task) for task in world_of(seed).tasks)


def judged(task: Task, session: Session, answer: Any = UNANSWERED, acts: Sequence[Act] = (), **more: Any) -> Rubric:
    return rubric(task, session, verify(task.goal, session, answer), acts, **more)


def scores(task: Task, session: Session, answer: Any = UNANSWERED, acts: Sequence[Act] = ()) -> dict[str, float]:
    found = under_presets(task, session, verify(task.goal, session, answer), acts)
    return {name: one.score for name, one in found.items()}


def stray(session: Session, dice: random.Random, *, writes: bool) -> bool:
    """One more call, drawn at random, that changes something (or does not); False where none was found."""
    tools = [
        t for t in session.toolset if t.read_only != writes and t.kind not in ("sql", "plugin", "user", "distractor")
    ]
    for _ in range(200):
        tool = dice.choice(tools)
        session.call(tool.name, draw_call(session, tool, dice))
        if bool(session.journal[-1].changes) == writes:
            return True
        session.undo()
    return False


def wander(world: World, task: Task, seed: int) -> tuple[Session, Any]:
    """Some of the gold, and some calls that have nothing to do with it."""
    dice = random.Random(seed)
    session = world.session()
    for call in gold_calls(task, session.toolset):
        if dice.random() < 0.8:
            session.call(call.name, call.arguments)
        if dice.random() < 0.2:
            stray(session, dice, writes=dice.random() < 0.5)
    return session, dice.choice((submitted(task), UNANSWERED, None, "impossible"))


# --- formulas


PERFECT: dict[str, float | None] = {**dict.fromkeys(SHARES, 1.0), **dict.fromkeys(COUNTS, 0.0)}


@pytest.mark.parametrize(
    ("preset", "values", "score"),
    [
        *((name, {}, 1.0) for name in PRESETS),
        ("binary", {"success": 0.0}, 0.0),
        ("binary", {"subgoals": 0.5, "asked": 0.0, "collateral": 9.0}, 1.0),
        ("synthagent", {"subgoals": 0.5, "asked": 0.25}, 0.375),
        ("synthagent", {"subgoals": 0.5, "asked": None}, 0.5),
        ("synthagent", {"subgoals": 0.0, "asked": None}, 0.0),
        ("synthagent", {"subgoals": 0.9, "forbidden": 0.0}, 0.0),
        ("tau", {"state": 0.0}, 0.0),
        ("tau", {"answer": 0.0}, 0.0),
        ("tau", {"answer": None, "success": 0.0, "forbidden": 0.0}, 1.0),
        ("strict_interactive", {"asked": 0.5}, 0.0),
        ("strict_interactive", {"no_guess": 0.5}, 0.0),
        ("strict_interactive", {"success": 0.0}, 0.0),
        ("strict_interactive", {"asked": None, "no_guess": None}, 1.0),
        ({"subgoals": 3, "asked": 1}, {"subgoals": 0.5, "asked": 1.0}, 2.5 / 4),
        ({"subgoals": 3, "asked": 1}, {"subgoals": 0.5, "asked": None}, 0.5),
        ({"subgoals": 1, "over_asks": -0.1}, {"over_asks": 3.0}, 0.7),
        ({"subgoals": 1, "over_asks": -0.1}, {"over_asks": 30.0}, 0.0),
        ({"subgoals": 1, "efficiency": -0.5}, {"efficiency": 0.5}, 0.75),
        ({"subgoals": 1}, {"forbidden": 0.0}, 0.0),
        ({"asked": 1}, {"asked": None}, 0.0),
        ({"subgoals": 1, "confirmed": 1, "turns": 0}, {"confirmed": None, "subgoals": 0.25, "turns": 7.0}, 0.25),
    ],
)
def test_formulas_by_hand(preset, values, score):
    assert score_of(preset_of(preset), PERFECT | values) == pytest.approx(score)


@pytest.mark.parametrize(
    ("preset", "kind", "says"),
    [
        ("sinary", UnknownName, "did you mean 'binary'"), ({"subgoal": 1}, UnknownName, "did you mean 'subgoals'"),
        ({"subgoals": float("nan")}, BadRequest, "give a number"), ({"subgoals": True}, BadRequest, "give a number"),
        ({"subgoals": "1"}, BadRequest, "give a number"), ({"subgoals": 1, "turns": 1}, BadRequest, "0 or less"),
        ({}, BadRequest, "positive weight"), ({"turns": -1}, BadRequest, "positive weight"),
    ],
)  # fmt: skip
def test_bad_weights_are_refused_in_a_line(preset, kind, says):
    with pytest.raises(kind, match=says) as caught:
        preset_of(preset)
    assert "\n" not in str(caught.value)


VALUES = st.fixed_dictionaries(
    {
        **{name: st.none() | st.floats(0, 1) for name in SHARES},
        **{name: st.integers(0, 50).map(float) for name in COUNTS},
    }
)
WEIGHTS = st.dictionaries(st.sampled_from(sorted(ELEMENTS)), st.floats(-1e6, 1e6), max_size=8).map(
    lambda some: {"subgoals": 1.0} | {k: -abs(w) if k in COUNTS else w for k, w in some.items()}
)


@hypothesis.given(VALUES, WEIGHTS)
@settings(max_examples=300, deadline=None)
def test_scores_lie_between_0_and_1_and_the_gate_is_a_factor(values, weights):
    weights["subgoals"] = abs(weights["subgoals"]) or 1.0
    for preset in (*PRESETS.values(), preset_of(weights)):
        assert 0 <= score_of(preset, values) <= 1
        if preset.name in ("synthagent", "custom"):
            assert score_of(preset, values | {"forbidden": 0.0}) == 0
    assert score_of(PRESETS["strict_interactive"], values) <= score_of(PRESETS["binary"], values)


@hypothesis.given(VALUES, WEIGHTS, st.sampled_from(sorted(SHARES)), st.floats(0, 1))
@settings(max_examples=300, deadline=None)
def test_more_of_what_is_good_never_costs(values, weights, element, more):
    """More of a share with a positive weight never lowers a score, and less of a penalty neither."""
    before = values[element]
    if before is None:
        return
    after = values | {element: max(before, more)}
    weights = {name: abs(w) if name in SHARES else w for name, w in weights.items()}
    for preset in (*PRESETS.values(), Preset(name="own", weights=weights)):
        assert score_of(preset, after) >= score_of(preset, values) - 1e-9


# --- golds, and agents that do nothing


def test_a_gold_gets_everything_under_every_preset():
    for world, task in cases():
        episode = solve(world, task)
        for name, found in under_presets(task, episode.session, episode.verdict).items():
            assert found.score == 1, (task.id, name, str(found))
        lines = {line.element: line for line in found.lines}
        assert list(lines) == list(ELEMENTS)
        for name in ("success", "state", "subgoals", "steps", "efficiency", "forbidden"):
            assert lines[name].value == 1, (task.id, name, lines[name])
        for name in COUNTS:
            assert lines[name].value == 0, (task.id, name, lines[name])
        assert lines["answer"].value == (1 if task.goal.answers else None)
        assert lines["refusal"].value == (1 if any(a.kind == "none" for a in task.goal.answers) else None)


def test_doing_nothing_gets_nothing():
    for world, task in cases():
        assert set(scores(task, world.session()).values()) == {0.0}, task.id


# --- properties over agents at random


@pytest.mark.parametrize("seed", SEEDS)
def test_properties_hold_for_random_agents(seed):
    world = world_of(seed)
    dice = random.Random(seed)
    seen = set()
    for n, task in enumerate(world.tasks):
        session, answer = wander(world, task, 100 * seed + n)
        verdict = verify(task.goal, session, answer)
        found = under_presets(task, session, verdict)
        own = {e: dice.uniform(-1, 0 if e in COUNTS else 1) for e in dice.sample(sorted(ELEMENTS), 6)} | {"state": 0.5}
        for one in (*found.values(), rubric(task, session, verdict, preset=own)):
            assert not one.invalid, str(one)
            assert 0 <= one.score <= 1
            for line in one.lines:
                assert line.says
                assert line.value is None or 0 <= line.value <= (1 if line.element in SHARES else 1e6)
                assert 0 <= line.step <= len(session.journal)
        assert found["binary"].score == verdict.reward
        assert found["strict_interactive"].score <= found["binary"].score <= found["tau"].score
        state, answered = found["tau"]["state"].value, found["tau"]["answer"].value
        assert found["tau"].score == (state == 1 and answered in (None, 1))
        if verdict.reward:
            assert found["synthagent"].score == 1
        seen.add(verdict.reward)
    assert 0.0 in seen


@pytest.mark.parametrize("seed", SEEDS)
def test_a_forbidden_act_never_raises_a_score_and_is_never_paid(seed):
    world, tried = world_of(seed), 0
    for n, task in enumerate(world.tasks):
        dice = random.Random(n)
        session, answer = wander(world, task, 100 * seed + n)
        worse = session.fork()
        if not stray(worse, dice, writes=True):
            continue
        change = worse.journal[-1].changes[0]
        if any(c.table == change.table for e in session.journal for c in e.changes):
            continue  # the ban would hold for what was done before, too
        banned = replace(task, goal=replace(task.goal, bans=(Never(table=change.table, say="hands off", name="p1"),)))
        before, after = scores(banned, session, answer), scores(banned, worse, answer)
        assert all(after[name] <= before[name] for name in PRESETS), (task.id, before, after)
        assert all(after[name] == 0 for name in GATED)
        line = judged(banned, worse, answer)["forbidden"]
        assert (line.value, line.step) == (0, len(worse.journal))
        assert "hands off" in line.says
        assert judged(banned, worse, answer, preset={"steps": 1}).score == 0
        tried += 1
    assert tried >= 3


def test_tau_alone_looks_away_from_what_was_undone():
    """A forbidden act that leaves no trace: the presets with a gate pay nothing, tau says in its summary that it does."""
    world, task = next((w, t) for w, t in cases() if t.card.writes)
    episode = solve(world, task)
    change = next(c for e in episode.session.journal for c in e.changes)
    banned = replace(task, goal=replace(task.goal, bans=(Never(table=change.table),)))
    assert scores(banned, episode.session, submitted(task)) == dict.fromkeys(GATED, 0.0) | {"tau": 1.0}
    assert "gate do not count" in PRESETS["tau"].summary


def test_changing_something_where_nothing_should_be_closes_the_gate():
    tried = 0
    for world, task in cases():
        if not task.goal.changes_nothing:
            continue
        session = solve(world, task).session
        if not stray(session, random.Random(tried), writes=True):
            continue
        found = judged(task, session, submitted(task), preset="synthagent")
        if found["state"].value == 1:
            continue  # it changed what is not judged
        tried += 1
        assert found.score == 0
        assert "nothing should be changed" in found["forbidden"].says
        assert found["forbidden"].step == len(session.journal)
        assert found["collateral"].value > 0
        if found["refusal"].value is not None:
            assert found["refusal"].value == 0
    assert tried >= 10


# --- what the lines say


def test_half_done_is_told_with_what_is_missing():
    worlds = set()
    for world, task in cases():
        if task.card.writes < 2 or task.goal.changes_nothing:
            continue
        last = max(n for n, c in enumerate(task.gold, start=1) if c.writes)
        episode = solve(world, task, without=last)
        found = rubric(task, episode.session, episode.verdict, preset="synthagent")
        if found["state"].value == 1:
            continue
        assert found["success"].value == 0
        assert 0 < found["subgoals"].value < 1, (task.id, str(found))
        assert found.score == found["subgoals"].value  # nothing is hidden
        assert " subgoals: " in found["subgoals"].says
        assert any(kind in found["subgoals"].says for kind in ("MISSING", "WRONG")), found["subgoals"].says
        assert found["steps"].value < 1
        lacking = episode.session.toolset.by_key(task.gold[last - 1].tool).name
        assert lacking in found["steps"].says
        worlds.add(world.id)
    assert len(worlds) >= 4


def test_subgoals_by_hand():
    """A row and two columns are wanted; one column is as it should be."""
    world, task = next((w, t) for w, t in cases() if t.family == "single" and _updates(t))
    update = _updates(task)[0]
    columns = {c.key for c in world.schema[update.table].columns}
    missing = next(c for c in sorted(columns - set(update.values)) if c not in world.schema[update.table].key_columns)
    wanted = replace(update, values={**update.values, missing: Equal("nothing has this")})
    goal = replace(task.goal, alternatives=(Alternative(updates=(wanted,)),))
    more = replace(task, goal=goal)
    found = judged(more, solve(world, task).session, submitted(task))
    n = 1 + len(wanted.values) + len(goal.needs) + bool(goal.answers)
    assert found["subgoals"].value == pytest.approx((n - 1) / n)
    assert found["subgoals"].says.startswith(f"{n - 1} of {n} subgoals: MISSING ")


def _updates(task: Task) -> tuple[Update, ...]:
    one = task.goal.alternatives[0]
    return one.updates if len(task.goal.alternatives) == 1 and not (one.inserts or one.deletes or one.pools) else ()


def test_the_nearest_alternative_is_the_one_of_which_most_was_done():
    world, task = next((w, t) for w, t in cases() if t.family == "single" and _updates(t))
    right = task.goal.alternatives[0]
    far = Alternative(updates=tuple(replace(u, key=(10**9,)) for u in right.updates))
    session = solve(world, task).session
    stray(session, random.Random(2), writes=True)
    for ways in ((far, right), (right, far)):
        goal = replace(task.goal, alternatives=ways)
        found = judged(replace(task, goal=goal), session, submitted(task))
        assert found["state"].value == 0
        assert found["subgoals"].value == 1, str(found)


def test_what_was_reached_counts_before_what_is_near():
    """An alternative that fits is the nearest, though another one wants all of it and more."""
    world, task = next((w, t) for w, t in cases() if t.family == "single" and _updates(t))
    right = task.goal.alternatives[0]
    more = Alternative(updates=(*right.updates, replace(right.updates[0], key=(10**9,))))
    goal = replace(task.goal, alternatives=(more, right))
    found = judged(replace(task, goal=goal), solve(world, task).session, submitted(task))
    assert (found["state"].value, found["subgoals"].value, found["collateral"].value) == (1, 1, 0)


def test_refused_calls_are_no_steps():
    world, task = next((w, t) for w, t in cases() if len({c.node for c in t.gold}) == len(t.gold) == 3)
    session = world.session()
    for call in gold_calls(task, session.toolset):
        assert not session.call(call.name, {"no such parameter": 1}).ok
    line = judged(task, session)["steps"]
    assert (line.value, line.says[:27]) == (0, "0 of 3 steps of the gold: n")


def test_evidence_without_any_row_is_no_subgoal():
    world, task = next((w, t) for w, t in cases() if t.goal.needs and t.goal.answers and t.goal.changes_nothing)
    need = next(n for n in task.goal.needs if all(n.ways))
    goal = replace(task.goal, needs=(need, Need(ways=((),)), Need(ways=((Row("x", (1,)),), ()))))
    assert judged(replace(task, goal=goal), world.session())["subgoals"].says.startswith("0 of 2 subgoals")


def test_collateral_is_counted_and_named():
    worlds = set()
    for world, task in cases():
        episode = solve(world, task)
        session = episode.session
        if task.goal.changes_nothing or not stray(session, random.Random(1), writes=True):
            continue
        verdict = verify(task.goal, session, submitted(task))
        found = rubric(task, session, verdict, preset={"subgoals": 1, "collateral": -0.01})
        extra = [line for line in verdict.lines if line.kind == "EXTRA"]
        if not extra or len(verdict.lines) >= 40:
            continue
        assert found["collateral"].value == len(extra)
        assert found["collateral"].says.startswith("EXTRA ")
        assert found["collateral"].step == extra[0].step
        if len(extra) == len(verdict.lines):
            assert found.score == pytest.approx(max(0, 1 - 0.01 * len(extra)))
            assert found["subgoals"].value == 1
        worlds.add(world.id)
    assert len(worlds) >= 5


def test_a_missing_answer_is_told():
    worlds = set()
    for world, task in cases():
        if not task.goal.answers:
            continue
        session = solve(world, task).session
        found = under_presets(task, session, verify(task.goal, session))
        assert [found[name].score for name in ("binary", "tau", "strict_interactive")] == [0, 0, 0]
        line = found["tau"]["answer"]
        assert line.value == 0
        assert "none was given" in line.says
        assert found["tau"]["state"].value == 1
        assert found["synthagent"].score == found["synthagent"]["subgoals"].value < 1
        if any(a.kind == "none" for a in task.goal.answers):
            assert found["tau"]["refusal"].says == "it cannot be done, and the answer does not say so"
        worlds.add(world.id)
    assert len(worlds) >= 5


def test_an_answer_without_evidence_is_half_of_it():
    tried = 0
    for world, task in cases():
        if task.goal.needs and task.goal.answers and task.goal.changes_nothing:
            found = judged(task, world.session(), task.answer, preset="synthagent")
            assert found["answer"].value == 1
            assert found["success"].value == 0
            assert 0 < found.score < 1
            assert "UNREAD" in found["subgoals"].says
            tried += 1
    assert tried >= 5


def test_writing_blindly_is_told():
    worlds = set()
    for world, task in cases():
        session = world.session()
        writes = [call for call, gold in zip(gold_calls(task, session.toolset), task.gold, strict=True) if gold.writes]
        for call in writes:
            session.call(call.name, call.arguments)
        old = any(c.before is not None for e in session.journal for c in e.changes)
        line = judged(task, session)["read_first"]
        if not old:
            assert line.value is None
            continue
        if line.value is None:
            continue  # only what follows from the change was there before
        if line.value < 1:
            assert "without having seen it" in line.says
            assert session.journal[line.step - 1].changes
            worlds.add(world.id)
    assert len(worlds) >= 5


def test_golds_look_before_they_change():
    """What follows from a change (totals, cascades) need not be looked at."""
    blind, followed, old = [], 0, 0
    for world, task in cases():
        session = solve(world, task).session
        line = judged(task, session)["read_first"]
        if line.value is None:
            continue
        old += 1
        blind += [task.id] * (line.value < 1)
        seen = {read for e in session.journal for read in e.reads}
        changes = [
            c for e in session.journal for c in e.changes if c.before is not None and (c.table, c.key) not in seen
        ]
        followed += line.value == 1 and bool(changes)
    assert old >= 20
    assert len(blind) <= old / 5, blind
    assert followed


def test_who_unlinks_rows_must_have_seen_these_rows():
    tried = 0
    for world, task in ((w, w.tasks[0]) for w in map(world_of, SEEDS)):
        session = world.session()
        for tool in session.toolset:
            if tool.kind != "unlink" or not all(p.table in world.schema for p in tool.params):
                continue
            given = next(
                (
                    g
                    for g in (draw_call(session, tool, random.Random(n)) for n in range(60))
                    if session.call(tool.name, g).ok
                ),
                None,
            )
            if given is None:
                continue
            change = next(c for c in session.journal[-1].changes if c.table == tool.table)
            reference = forms_of(world.schema)[tool.table].references
            session.reset()
            looks = [
                (t, r.target(change.before)) for r in reference for t in session.toolset if t.key == f"{r.parent}.get"
            ]
            if len(looks) < len(reference):
                continue
            for get, (_, key) in looks:
                assert session.call(get.name, {get.params[0].name: key[0]}).ok
            seen = session.fork()
            assert seen.call(tool.name, given).ok
            assert judged(task, seen)["read_first"].value == 1
            session.reset()
            assert session.call(tool.name, given).ok
            assert judged(task, session)["read_first"].value == 0
            tried += 1
            session.reset()
    assert tried


def test_that_its_parents_were_seen_is_not_enough_for_other_rows():
    tried = 0
    for world, task in cases():
        session = world.session()
        calls = zip(gold_calls(task, session.toolset), task.gold, strict=True)
        call = next((c for c, gold in calls if gold.writes and session.toolset[c.name].kind == "update"), None)
        if call is None or not session.call(call.name, call.arguments).ok:
            continue
        table = session.toolset[call.name].table
        change = next((c for c in session.journal[-1].changes if c.table == table and c.before is not None), None)
        ends = [] if change is None else [r.target(change.before) for r in forms_of(world.schema)[table].references]
        looks = [(session.toolset.by_key(f"{end[0]}.get"), end[1]) for end in ends if end is not None]
        session.reset()
        if not looks or not all(get and session.call(get.name, {get.params[0].name: key[0]}).ok for get, key in looks):
            continue
        if any((change.table, change.key) in e.reads for e in session.journal):
            continue
        assert session.call(call.name, call.arguments).ok
        assert judged(task, session)["read_first"].value < 1
        tried += 1
    assert tried


def test_a_row_of_ones_own_need_not_be_looked_at():
    world, task = next((w, t) for w, t in cases() if t.card.writes)
    session = world.session()
    for tool in session.toolset:
        made = draw_call(session, tool, random.Random(4)) if tool.kind == "create" else {}
        if made and session.call(tool.name, made).ok:
            break
    change = next(c for c in session.journal[-1].changes if c.before is None and c.table == tool.table)
    key = world.schema[change.table].primary_key
    for other in session.toolset:
        keys = [p for p in other.params if p.role == "key" and p.column in key]
        if other.kind == "delete" and other.table == change.table and len(keys) == len(key) == 1:
            assert session.call(other.name, {keys[0].name: change.key[0]}).ok
            break
    assert session.journal[-1].changes
    assert judged(task, session)["read_first"].value is None


def test_what_the_business_refuses_is_no_wrong_form():
    world, task = next(cases())
    session = world.session()
    get = next(
        t
        for t in session.toolset
        if t.kind == "get" and [p.schema["type"] for p in t.params if p.required] == ["integer"]
    )
    known = world.session().rows(f'SELECT min(rowid) FROM "{world.schema[get.table].name}"')[0][0]
    key = next(p.name for p in get.params if p.required)
    assert session.call(get.name, {key: known}).ok
    assert session.call(get.name, {key: 10**9}).error.code == "NOT_FOUND"
    found = judged(task, session)
    assert (found["invalid_calls"].value, found["recovered"].value) == (0, 0)  # that it worked before repairs nothing
    assert session.call(get.name, {key: known}).ok
    assert judged(task, session)["recovered"].value == 1


def test_calls_in_the_wrong_form_and_their_repair():
    for world, task in list(cases())[::9]:
        session = world.session()
        name = next(gold_calls(task, session.toolset)).name
        session.call("no_such_tool", {})
        session.call(name, {"no such parameter": 1})
        found = judged(task, session)
        assert found["invalid_calls"].value == 2
        assert found["invalid_calls"].says.startswith("call 1: there is no tool named")
        assert found["recovered"].value == 0
        for call in gold_calls(task, session.toolset):
            session.call(call.name, call.arguments)
        found = judged(task, session, submitted(task), preset={"success": 1, "invalid_calls": -0.1})
        assert found.score == pytest.approx(0.8)
        assert found["recovered"].value == 0.5
        assert found["recovered"].says == (
            "1 of 2 refused calls were put right: call 1 of no_such_tool was left as it was"
        )
        assert found["efficiency"].value == pytest.approx(len(task.gold) / (len(task.gold) + 2))


# --- with a user


class Talk(NamedTuple):
    """A task of which one value is hidden, and where the gold passes it."""

    world: World
    task: Task
    topic: Topic
    at: int
    parameter: str


def talks() -> Iterator[Talk]:
    """Tasks in which a value that is written, and stands nowhere in what the gold reads, is hidden."""
    for world, task in cases():
        for do in task.plan.dos:
            for key, given in do.arguments.items():
                at = next((n for n, c in enumerate(task.gold) if c.node == do.name), None)
                if (
                    at is not None
                    and isinstance(given, Const)
                    and isinstance(given.value, str)
                    and len(given.value) > 6
                ):
                    yield _hidden(world, task, do, key, given, at)


def _hidden(world: World, task: Task, do: Do, key: str, given: Const, at: int) -> Talk:
    topic = Topic(
        name=f"the_{key}", kind="value", table=given.table, column=given.column, node=do.name, part=key, hidden=True,
        says=str(given.value), secrets=(str(given.value),),
    )  # fmt: skip
    user = Script(level="L1", topics=(topic, Topic(name="other", kind="value", table=given.table)))
    return Talk(world, replace(task, instruction="Do what we agreed on.", user=user), topic, at, key)


def play(talk: Talk, reply: str = "", ask_at: int = -1, changed: dict[str, Any] | None = None) -> Session:
    """The gold, with a question to the user before its call `ask_at`."""
    tools = talk.world.toolset().with_people()
    session = talk.world.session(tools, beside=(Player(reply),))
    for n, call in enumerate(gold_calls(talk.task, tools)):
        if n == ask_at:
            assert session.call("ask_user", {"question": "What is it to be?"}).ok
        given = call.arguments | (changed or {}) if n == talk.at else call.arguments
        session.call(call.name, given)
    return session


def unseen(talk: Talk) -> bool:
    """True where no result before the call holds the value."""
    session = play(talk)
    return not any(talk.topic.says.lower() in e.result.text.lower() for e in session.journal[: talk.at])


@cache
def hidden_talks() -> tuple[Talk, ...]:
    found = tuple(t for t in talks() if unseen(t))
    assert len({t.world.id for t in found}) >= 5
    return found


def test_who_asks_what_is_needed_gets_everything():
    for talk in hidden_talks():
        session = play(talk, "It is a secret between us.", ask_at=0)
        acts = (Act(number=1, told=(talk.topic.name,)),)
        verdict = verify(talk.task.goal, session, submitted(talk.task))
        assert verdict.success
        for name, found in under_presets(talk.task, session, verdict, acts).items():
            assert found.score == 1, (talk.task.id, name, str(found))
        assert found["asked"].says == "asked 1 of 1 needed"
        assert found["turns"].value == 1
        assert found["efficiency"].value == 1  # questions are no work


def test_who_guesses_is_told_and_fails_the_strict():
    for talk in hidden_talks():
        session = play(talk)
        found = under_presets(talk.task, session, verify(talk.task.goal, session, submitted(talk.task)))
        assert found["binary"].score == found["tau"].score == 1  # it guessed right
        assert found["strict_interactive"].score == 0
        assert found["synthagent"].score == 0.5
        lines = found["binary"]
        assert lines["asked"].value == lines["no_guess"].value == 0
        assert lines["asked"].says == f"asked 0 of 1 needed: {talk.topic.name} was never asked"
        assert lines["no_guess"].step == talk.at + 1
        assert lines["no_guess"].says.startswith(f"call {talk.at + 1} gave {talk.topic.name} as ")


def test_asking_afterwards_is_too_late():
    for talk in hidden_talks():
        session = play(talk, talk.topic.says)
        assert session.call("ask_user", {"question": "Was that right?"}).ok
        acts = (Act(number=len(session.journal), told=(talk.topic.name,)),)
        found = judged(talk.task, session, submitted(talk.task), acts, preset="strict_interactive")
        assert found["asked"].value == 1
        assert (found.score, found["no_guess"].value) == (0, 0)


def test_a_value_with_a_source_is_no_guess():
    """The instruction states it, or a reply did, whether or not anybody counted it as told."""
    for talk in hidden_talks():
        assert judged(talk.task, play(talk, f"Take {talk.topic.says}, please.", ask_at=0))["no_guess"].value == 1
        stated = replace(talk.task, instruction=f"Set it to {talk.topic.says}.")
        assert judged(stated, play(talk))["no_guess"].value == 1


def with_hidden(task: Task, **topic: Any) -> Task:
    """The task with an instruction that says nothing, and one topic that is hidden."""
    hidden = Topic(name="it", hidden=True, **topic)
    return replace(task, instruction="Do what we agreed on.", user=Script(level="L1", topics=(hidden,)))


def test_a_row_that_nobody_told_is_guessed():
    """Whoever changes the hidden row has guessed it, even where it had been shown among others."""
    worlds = set()
    for world, task in cases():
        for do in task.plan.dos:
            finds = [v.node for v in do.arguments.values() if isinstance(v, Of) and isinstance(task.plan[v.node], Find)]
            at = next((n for n, c in enumerate(task.gold) if c.node == do.name), None)
            if not finds or at is None:
                continue
            hidden = with_hidden(task, kind="identity", table=task.plan[finds[0]].table, node=finds[0])
            line = judged(hidden, solve(world, task).session)["no_guess"]
            assert line.value == 0
            assert task.gold[line.step - 1].writes
            told = Act(number=1, told=("it",))
            assert judged(hidden, solve(world, task).session, acts=(told,))["no_guess"].value == 1
            session = world.session()
            call = list(gold_calls(task, session.toolset))[at]
            if session.call(call.name, call.arguments).ok:
                line = judged(hidden, session)["no_guess"]
                assert (line.value, line.step) == (0, 1), (task.id, line)
                worlds.add(world.id)
    assert len(worlds) >= 4


def test_looking_for_a_hidden_value_is_guessing_it():
    """A condition of a search that nobody has told."""
    tried = 0
    for world, task in cases():
        for node in task.plan.nodes:
            for where in node.where if isinstance(node, Find) else ():
                if not isinstance(where.value, Const) or where.op != "eq" or not isinstance(where.value.value, str):
                    continue
                hidden = with_hidden(
                    task, kind="constraint", table=node.table, column=where.column, node=node.name, part=where.column
                )
                session = solve(world, task).session
                at = next((n for n, c in enumerate(task.gold, 1) if where.value.value in c.arguments.values()), None)
                if at is None or any(
                    where.value.value.lower() in e.result.text.lower() for e in session.journal[: at - 1]
                ):
                    continue
                line = judged(hidden, session)["no_guess"]
                assert (line.value, line.step) == (0, at), (task.id, line)
                told = Act(number=0, told=("it",))
                assert judged(hidden, session, acts=(told,))["no_guess"].value == 1
                topic = replace(hidden.user.topics[0], table="elsewhere")
                apart = replace(hidden, user=replace(hidden.user, topics=(topic,)))
                assert judged(apart, session)["no_guess"].value == 1  # the same words about another table are others
                tried += 1
    assert tried >= 10


def test_that_true_was_seen_somewhere_tells_no_flag():
    tried = 0
    for world, task in islice(flagged(), 3):
        session = solve(world, task).session
        assert judged(task, session)["no_guess"].value == 0
        assert judged(task, session, acts=(Act(number=0, told=("it",)),))["no_guess"].value == 1
        tried += 1
    assert tried


def flagged() -> Iterator[tuple[World, Task]]:
    """Tasks that set a hidden flag."""
    for world, task in many_cases():
        for call in task.gold:
            key = next((k for k, v in call.arguments.items() if isinstance(v, bool) and call.writes), None)
            do = task.plan.by_name.get(call.node)
            if key is not None and isinstance(do, Do) and isinstance(do.arguments.get(key), Const):
                yield world, with_hidden(task, kind="choice", table=do.arguments[key].table, node=do.name, part=key)


def many_cases() -> Iterator[tuple[World, Task]]:
    """More worlds, for what is rare."""
    yield from cases()
    for seed in range(308, 330):
        yield from ((world_of(seed), task) for task in world_of(seed).tasks)


def with_records(world: World, dice: random.Random) -> Iterator[tuple[Tool, Param, dict[str, Any]]]:
    """Tools that take a list of records, the parameter, and arguments that they take."""
    session = world.session()
    for tool in session.toolset:
        for param in tool.params:
            if not param.fields or param.convert == "spread" or tool.read_only:
                continue
            for _ in range(60):
                given = draw_call(session, tool, dice)
                done = session.call(tool.name, given).ok
                session.undo()
                if done and given.get(param.name):
                    yield tool, param, given
                    break


def test_what_stands_within_lists_of_records_is_found():
    tried = 0
    for seed in SEEDS:
        world = world_of(seed)
        for tool, param, given in with_records(world, random.Random(seed)):
            field = next(
                (f for f in reversed(param.fields) if isinstance(given[param.name][0].get(f.name), int | str)), None
            )
            if field is None:
                continue
            records = [{f.key: r[f.name] for f in param.fields if f.name in r} for r in given[param.name]]
            value = given[param.name][0][field.name]
            const = Const(value=value, table=field.table, column=field.column)
            do = Do(name="d1", tool=tool.key, arguments={param.key: ({field.key: const},)})
            gold = GoldCall(tool=tool.key, arguments={param.key: records}, node="d1", writes=True)
            task = replace(world.tasks[0], plan=Plan(family="create", nodes=(do,)), gold=(gold,))
            session = world.session()
            assert session.call(tool.name, given).ok
            for part, share in ((field.key, 0), ("another field", 1)):
                hidden = with_hidden(task, kind="value", table="elsewhere", node="d1", part=part)
                line = judged(hidden, session)["no_guess"]
                assert line.value == share, (tool.key, part, line)
                assert share or f"gave it as {shown(value)}, which" in line.says, line
            tried += 1
    assert tried >= 3


def test_what_the_gold_passes_there_for_another_part_is_no_guess():
    """Two changes by one tool, and only what the second one takes is hidden."""
    for talk in hidden_talks():
        gold = talk.task.gold[talk.at]
        do = next(d for d in talk.task.plan.dos if d.name == gold.node)
        told = replace(talk.task, gold=(*talk.task.gold, msgspec.structs.replace(gold, node="another")))
        assert judged(told, play(talk))["no_guess"].value == 1, do


def test_rows_of_a_hidden_set_are_guessed():
    tried = 0
    for world, task in cases():
        for do in task.plan.dos:
            if (
                do.each
                and do.name in {c.node for c in task.gold}
                and any(isinstance(v, Item) for v in do.arguments.values())
            ):
                hidden = with_hidden(task, kind="identity", table=task.plan[do.each].table, node=do.each)
                line = judged(hidden, solve(world, task).session)["no_guess"]
                assert line.value == 0
                assert task.gold[line.step - 1].writes
                tried += 1
    assert tried >= 2


def test_a_code_that_nobody_gave_is_guessed():
    world, task = next(cases())
    hidden = with_hidden(
        task, kind="credential", table=task.plan.nodes[0].table, says="my code is 4711-x", secrets=("4711-x",)
    )
    session = world.session(with_login(world.toolset().with_people()), beside=(Player("Here you are."),))
    assert session.call("sign_in", {"code": "4711-X"}).ok
    line = judged(hidden, session)["no_guess"]
    assert (line.value, line.step) == (0, 1)
    assert judged(hidden, session)["turns"].value == 0
    session.reset()
    assert session.call("ask_user", {"question": "Your code?"}).ok
    assert session.call("sign_in", {"code": "4711-X"}).ok
    assert judged(hidden, session, acts=(Act(number=1, told=("it",)),))["no_guess"].value == 1
    assert judged(hidden, session)["turns"].value == 1


def test_a_part_of_a_word_is_no_source():
    for talk in hidden_talks()[:5]:
        stated = replace(talk.task, instruction=f"Not x{talk.topic.says}x.")
        assert judged(stated, play(talk))["no_guess"].value == 0


def test_a_wrong_guess_is_a_guess():
    tried = 0
    for talk in hidden_talks():
        tool = talk.world.toolset().by_key(talk.task.gold[talk.at].tool)
        name = next(p.name for p in tool.params if p.key == talk.parameter)
        session = play(talk, changed={name: "Quite another thing"})
        if session.journal[talk.at].result.ok:
            line = judged(talk.task, session)["no_guess"]
            assert (line.value, line.step) == (0, talk.at + 1)
            assert "Quite another thing" in line.says
            tried += 1
    assert tried


def test_refused_calls_are_no_guesses():
    talk = hidden_talks()[0]
    session = talk.world.session(talk.world.toolset().with_people())
    call = list(gold_calls(talk.task, session.toolset))[talk.at]
    assert not session.call(call.name, call.arguments | {"no such parameter": 1}).ok
    assert judged(talk.task, session)["no_guess"].value == 1


def test_a_user_who_does_not_know_has_been_asked_and_has_told_nothing():
    talk = hidden_talks()[0]
    session = play(talk, "I do not know.", ask_at=0)
    found = judged(talk.task, session, submitted(talk.task), (Act(number=1, unknown=(talk.topic.name,)),))
    assert (found["asked"].value, found["no_guess"].value) == (1, 0)


def test_asking_more_is_counted_and_never_paid():
    for talk in hidden_talks():
        session = play(talk, "Yes.", ask_at=0)
        needed = Act(number=1, told=(talk.topic.name,))
        silly = Act(
            number=1, told=(talk.topic.name, "other"), visible=("other",), readable=("a.b", "c.d"), repeated=("other",)
        )
        lost = Act(number=1, irrelevant=True)
        answer = submitted(talk.task)
        best = judged(talk.task, session, answer, (needed,), preset="synthagent")
        more = judged(talk.task, session, answer, (needed, silly, lost), preset="synthagent")
        assert more.score == best.score <= (best["subgoals"].value + 1) / 2
        assert (more["over_asks"].value, more["repeats"].value) == (4, 1)
        assert "call 1 asked for other, which the instruction says" in more["over_asks"].says
        assert more["repeats"].says == "call 1 asked again for other"
        weights = {"asked": 1, "over_asks": -0.05, "repeats": -0.1}
        assert judged(talk.task, session, answer, (needed, silly, lost), preset=weights).score == pytest.approx(0.7)
        none = judged(talk.task, session, answer, (lost,), preset="synthagent")
        assert none.score < best.score


def test_consent_is_counted_call_by_call():
    tried = 0
    for world, task in cases():
        if task.card.writes != 2:
            continue
        tools = world.toolset().with_people()
        writes = [c for c, gold in zip(gold_calls(task, tools), task.gold, strict=True) if gold.writes]
        tables = {c.table for c in solve(world, task).session.diff()}
        bans = tuple(NeedsConsent(table=t) for t in sorted(tables))
        asked = replace(task, goal=replace(task.goal, bans=bans))

        session = world.session(tools, beside=(Player("Yes, please."),))
        assert judged(asked, session)["confirmed"].value is None
        session.call("confirm", {"action": writes[0].name, "arguments": dict(reversed(writes[0].arguments.items()))})
        for call in writes:
            session.call(call.name, call.arguments)
        if not all(e.changes for e in session.journal[1:]):
            continue
        for agreed, share, says in (
            (True, 0.5, "which was not what the user confirmed"), (False, 0, "before anything was confirmed"),
            (None, 0, "before anything was confirmed"),
        ):  # fmt: skip
            line = judged(asked, session, acts=(Act(number=1, kind="confirm", agreed=agreed),))["confirmed"]
            assert line.value == share
            assert says in line.says
            assert line.says.startswith(f"call {3 if agreed else 2} ")
        twice = session.fork()
        twice.call("confirm", {"action": writes[1].name, "arguments": writes[1].arguments})
        acts = (Act(number=1, kind="confirm", agreed=True), Act(number=len(twice.journal), kind="confirm", agreed=True))
        assert judged(asked, twice, acts=acts)["confirmed"].value == 0.5  # the second came after the call
        assert judged(asked, session, confirmed=lambda entry: True)["confirmed"].value == 1
        other = next(
            t.key for t in world.schema.tables if t.key not in {c.table for e in session.journal for c in e.changes}
        )
        op = {"insert": "delete"}.get(session.journal[1].changes[0].op, "insert")
        for ban in (NeedsConsent(table=other), NeedsConsent(table=bans[0].table, op=op)):
            apart = replace(task, goal=replace(task.goal, bans=(ban,)))
            touched = [c for e in session.journal for c in e.changes if (c.table, c.op) == (ban.table, ban.op)]
            assert (judged(apart, session)["confirmed"].value is None) == (not touched)
        assert judged(task, session)["confirmed"].value is None
        tried += 1
    assert tried >= 3


def test_the_acts_of_the_user_by_rules_are_what_rubrics_read():
    for talk in hidden_talks():
        tools = talk.world.toolset().with_people()
        assert talk.task.user is not None
        user = User(talk.task.user, tuple(c for c in talk.task.gold if c.writes), talk.world, tools)
        session = talk.world.session(tools, beside=(user,))
        assert session.call("ask_user", {"question": "Please tell me.", "about": [talk.topic.name]}).ok
        assert session.call("ask_user", {"question": "Sorry, once more?", "about": [talk.topic.name]}).ok
        assert session.call("ask_user", {"question": "Do you like jazz?"}).ok
        for call in gold_calls(talk.task, tools):
            assert session.call(call.name, call.arguments).ok
        verdict = verify(talk.task.goal, session, submitted(talk.task))
        found = under_presets(
            talk.task, session, verdict, user.acts(session), confirmed=partial(user.confirmed, session)
        )
        assert [one.score for one in found.values()] == [1, 1, 1, 1], str(found["strict_interactive"])
        counts = [found["binary"][name].value for name in ("over_asks", "repeats", "turns")]
        assert counts == [1, 1, 3]


# --- as data and as text


def test_a_rubric_is_json_and_a_table():
    world, task = next(cases())
    found = rubric(task, solve(world, task).session, solve(world, task).verdict, preset={"subgoals": 1, "turns": -0.1})
    plain = json.loads(found.json)
    assert (plain["preset"], plain["score"], plain["invalid"]) == ("custom", 1.0, False)
    assert [line["element"] for line in plain["lines"]] == list(ELEMENTS)
    assert {tuple(line) for line in plain["lines"]} == {("element", "value", "weight", "whole", "says", "step")}
    head, columns, *rows = str(found).splitlines()
    assert head == "custom: 1.000"
    assert columns.split() == ["element", "value", "counts", "seen"]
    assert [row.split()[0] for row in rows] == list(ELEMENTS)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Rubric) == found
    with pytest.raises(KeyError):
        found["colour"]


def test_whoever_cannot_be_judged_is_not_paid():
    world, task = next(cases())
    episode = solve(world, task)
    for found in under_presets(task, episode.session, broken("RuntimeError: no")).values():
        assert (found.score, found.invalid) == (0, True)
        assert "no" in found.lines[0].says
    odd = replace(
        task, goal=replace(task.goal, alternatives=(Alternative(updates=(Update(table="?", key=(1,), values={}),)),))
    )
    failed = rubric(odd, episode.session, episode.verdict)
    assert (failed.score, failed.invalid) == (0, True)
    assert "KeyError" in str(failed)


def test_a_rubric_looks_and_leaves_no_trace():
    for world, task in list(cases())[::7]:
        session = solve(world, task).session
        before = session.suspend()
        verdict = verify(task.goal, session, submitted(task))
        first = under_presets(task, session, verdict)
        assert session.suspend() == before
        assert under_presets(task, session, verdict) == first
        assert first["binary"] == rubric(task, session, verdict)


def test_every_element_says_how_it_is_reckoned():
    assert set(SHARES).isdisjoint(COUNTS)
    for preset in PRESETS.values():
        assert preset.summary
        assert {*preset.whole, *preset.weights} <= set(ELEMENTS)
