"""What instructions withhold, over many worlds: nothing of it is said, all else is, and it can be told in words."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import NamedTuple

import pytest

import worlddb
from worlddb.rng import Stream
from worlddb.tasks.enact import Stuck, enact
from worlddb.tasks.ground import Ground
from worlddb.tasks.model import Task
from worlddb.tasks.plan import Const, Find, Plan, parts
from worlddb.tasks.say import Lexicon, Unread, read, same, terms
from worlddb.tasks.say.constants import spellings
from worlddb.tasks.say.lexer import Text
from worlddb.tasks.say.speech import Speech
from worlddb.tasks.say.veil import readings
from worlddb.tasks.shapes import task_profile
from worlddb.tasks.sql import query_of
from worlddb.tasks.topics import Places
from worlddb.tasks.user import KINDS, LEVELS, Event
from worlddb.tasks.withhold import MOST, ROWS, Unheld, Withheld, Withholder, split
from worlddb.tools.session import Session
from worlddb.users.state import is_event

FEW, MANY = range(700, 703), range(705, 745)
seeds = pytest.mark.parametrize("seeds", [FEW, pytest.param(MANY, marks=pytest.mark.campaign)], ids=["few", "many"])
VEILED = ("L1", "L2", "L4")
UNREADABLE = 0.04
"""Of the veiled texts with the user's words put in: 'since 1 May' in the place of 'since the day we agreed on' reads, 'created
since 1 May at noon' may not."""
WORDY = 4
"""Letters or digits of a value that is not in a text by chance."""


class Scene(NamedTuple):
    """A world, ready for withholding, and its usual tasks."""

    ground: Ground
    lexicon: Lexicon
    tasks: tuple[Task, ...]


@cache
def scene(seed: int) -> Scene:
    world = worlddb.generate(seed)
    ground = Ground(world)
    return Scene(ground, Lexicon(world.schema, ground.words, world.locale, world.now), world.tasks)


def infeasible(task: Task) -> bool:
    return any(d.refused for d in task.plan.dos)


def held(seed: int, task: Task, level: str, draw: int = 0) -> Withheld | None:
    """The task at a level; None where it has nothing of the kind."""
    ground, lexicon, tasks = scene(seed)
    twin = next((t.plan for t in tasks if t.id == task.twin), None)
    try:
        return Withholder(ground, lexicon).withhold(task.plan, level, "normal", Stream(draw, task.id, level), twin)
    except (Unheld, Stuck):
        return None


@cache
def cases(worlds: range, level: str) -> list[tuple[int, Task, Withheld]]:
    """Tasks of the worlds that can be had at a level."""
    every = [(s, t) for s in worlds for t in scene(s).tasks if infeasible(t) == (level == "L6")]
    return [(s, t, h) for s, t in every if (h := held(s, t, level)) is not None]


def meant(seed: int, text: str) -> Plan | None:
    """The plan that a text says; None where it says none, or several."""
    try:
        return read(scene(seed).lexicon, scene(seed).ground.toolset, text)
    except Unread:
        return None


def stands_in(part: str, text: str) -> bool:
    """True where a phrase stands in a text as words."""
    return re.search(rf"(?<![\w-]){re.escape(part)}(?![\w-])", text) is not None


# --- topics


@seeds
def test_topics_have_names_of_their_own_and_words_that_say_them(seeds: range) -> None:
    kinds = Counter[str]()
    for seed in seeds:
        ground, lexicon, tasks = scene(seed)
        speech, schema = Speech.of(lexicon, ground.toolset), ground.schema
        for task in tasks:
            places = Places(ground, lexicon, task.plan, Stream(0, task.id)).all()
            names = [p.topic.name for p in places]
            assert len(set(names)) == len(names)
            for topic, meaning, _ in places:
                kinds[topic.kind] += 1
                assert re.fullmatch(r"\w+", topic.name)
                assert topic.words
                assert topic.secrets
                assert all(s in topic.says for s in topic.secrets), topic
                symbol, ctx = ("row", None) if topic.kind == "identity" else ("const", (topic.table, topic.column))
                found = readings(speech.grammar, Text(topic.says), symbol, (), ctx)
                wanted = terms.canonical(schema, meaning)
                assert found, topic
                assert all(terms.canonical(schema, r) == wanted for r in found), topic
    assert set(kinds) <= set(KINDS) - {"constraint", "credential"}
    assert {"identity", "quantity", "date"} <= set(kinds)


@seeds
def test_a_date_by_itself_is_said_with_its_year(seeds: range) -> None:
    seen = 0
    for seed in seeds:
        ground, lexicon, tasks = scene(seed)
        for task in tasks:
            for topic, meaning, _ in Places(ground, lexicon, task.plan, Stream(1, task.id)).all():
                year = re.match(r"\d{4}(?=-\d\d-\d\d)", str(meaning[1]))
                if topic.kind == "date" and year is not None:
                    seen += 1
                    assert year.group() in topic.says, topic
    assert seen > len(seeds)


# --- veils


@seeds
@pytest.mark.parametrize("level", VEILED)
def test_the_instruction_has_a_veil_and_nothing_that_it_hides(seeds: range, level: str) -> None:
    found = cases(seeds, level)
    assert len(found) > len(seeds)
    for seed, task, (plan, script, said, others, first) in found:
        lexicon = scene(seed).lexicon
        assert (plan, first) == (task.plan, None)
        assert 1 <= len(script.hidden) <= (MOST if level == "L2" else 1)
        assert len(script.hidden) > (level == "L2")
        assert len(others) == len(script.hidden)
        assert len({t.vague for t in script.hidden}) == len(script.hidden)
        stated = Counter((e.table, e.column, e.value) for n in plan.nodes for e in parts(n) if isinstance(e, Const))
        for topic in script.hidden:
            assert topic.vague in said.text
            assert not any(s in said.text for s in topic.secrets)
            for table, column, value in stated:
                if (table, column) == (topic.table, topic.column) and stated[table, column, value] == 1:
                    spelt = [s for s in spellings(lexicon, (table, column), value) if len(s) >= WORDY]
                    own = [s for s in spelt if s in topic.says]
                    assert not any(stands_in(s, said.text) for s in own), (said.text, topic)
        assert all(t.says for t in script.topics)


@seeds
def test_revealed_it_reads_as_the_whole_plan(seeds: range) -> None:
    outcomes = Counter[str]()
    for level in VEILED:
        for seed, _, (plan, script, said, _, _) in cases(seeds, level):
            text = said.text
            for topic in script.hidden:
                text = re.sub(rf"(?<![\w-]){re.escape(topic.vague)}(?![\w-])", lambda _, t=topic: t.says, text)  # type: ignore[misc]
            whole = meant(seed, text)
            outcomes["unread" if whole is None else "read"] += 1
            assert whole is None or same(scene(seed).lexicon, whole, plan), (said.text, text)
    assert outcomes["read"] > 3 * len(seeds)
    assert outcomes["unread"] < UNREADABLE * outcomes.total()


@seeds
def test_an_unknown_row_is_described_by_others(seeds: range) -> None:
    for _, task, (_, script, _, _, _) in cases(seeds, "L4"):
        (topic,) = script.hidden
        node = task.plan[topic.node]
        assert topic.kind == "identity"
        assert topic.unknown.startswith("its ")
        assert isinstance(node, Find)
        assert node.sort or not all(isinstance(w.value, Const) and w.op == "eq" for w in node.where)


# --- descriptions with a gap


@seeds
def test_an_ambiguous_description_fits_some_rows_the_right_one_among_them(seeds: range) -> None:
    found, contradictions = cases(seeds, "L3"), 0
    assert len(found) > len(seeds) / 2
    for seed, task, (plan, script, said, _, _) in found:
        ground = scene(seed).ground
        (topic,) = script.hidden
        assert topic.kind == "constraint"
        assert not any(s in said.text for s in topic.secrets)
        right = {tuple(r) for r in ground.rows(query_of(ground.schema, plan, topic.node))}
        assert len(right) == 1
        visible = meant(seed, said.text)
        assert visible is not None, said.text
        assert not same(scene(seed).lexicon, visible, plan)
        finds = [n for n in visible.nodes if isinstance(n, Find) and not n.many and n.table == topic.table]
        fits = [{tuple(r) for r in ground.rows(query_of(ground.schema, visible, n.name))} for n in finds]
        if any(not f for f in fits):
            contradictions += 1
            continue
        assert any(right < f and ROWS[0] <= len(f) <= ROWS[1] for f in fits), (task.id, said.text)
    assert contradictions < len(found)


# --- what comes up later


def happens(event: Event, session: Session) -> int:
    """Number of the first entry that is the event; 0: none."""
    return next((e.number for e in session.journal if is_event(event, e, session.toolset[e.name])), 0)


@seeds
def test_changes_of_mind_come_when_the_row_is_read(seeds: range) -> None:
    found = cases(seeds, "L5")
    assert len(found) > len(seeds) / 2
    for seed, task, (plan, script, said, others, _) in found:
        ground, lexicon = scene(seed).ground, scene(seed).lexicon
        (change,) = script.changes
        topic = next(t for t in script.topics if t.name == change.topic)
        assert not script.hidden
        assert topic.says not in said.text
        assert change.was != topic.says
        (old,) = others[0]
        visible = meant(seed, said.text)
        assert visible is not None
        assert same(lexicon, visible, old)
        assert not same(lexicon, visible, plan)
        gold = enact(ground, task.plan)
        first = next(e.number for e in gold.session.journal if e.changes)
        for event in change.after:
            assert 0 < happens(event, gold.session) <= first, (task.id, event)


@seeds
def test_a_second_request_comes_when_the_first_is_done_and_not_before(seeds: range) -> None:
    asked = 0
    for seed, _, (plan, script, said, _, _) in cases(seeds, "L0"):
        lexicon = scene(seed).lexicon
        assert not script.hidden
        both = split(plan)
        assert bool(script.requests) == (both is not None)
        if both is None:
            whole = meant(seed, said.text)
            assert whole is not None
            assert same(lexicon, whole, plan)
            continue
        asked += 1
        (request,) = script.requests
        for text, half in zip((said.text, request.text), both, strict=True):
            visible = meant(seed, text)
            assert visible is not None, text
            assert same(lexicon, visible, half), text
        assert not any(s in said.text for s in request.literals)
        done = enact(scene(seed).ground, both[0]).session
        last = max(e.number for e in done.journal if e.changes)
        numbers = [happens(event, done) for event in request.after]
        assert all(numbers)
        assert max(numbers) <= last
        untouched = Session(done.world, done.toolset)
        assert not any(happens(e, untouched) for e in request.after)
    assert asked


@seeds
def test_what_cannot_be_done_is_left_or_replaced_by_what_can(seeds: range) -> None:
    ways = Counter[bool]()
    for seed, task, (plan, script, said, _, first) in cases(seeds, "L6"):
        ways[bool(script.requests)] += 1
        visible = meant(seed, said.text)
        assert visible is not None
        assert script.wishes
        refused = [d for d in task.plan.dos if d.refused]
        assert {w.tool for w in script.wishes} == {d.tool for d in refused}
        assert [d.tool for d in visible.dos] == [d.tool for d in task.plan.dos]
        if script.requests:
            assert first is task.plan
            assert not any(d.refused for d in plan.dos)
            assert not any(s in said.text for s in script.requests[0].literals)
        else:
            assert (plan, first) == (task.plan, None)
    if seeds is MANY:
        assert ways[True] > 3
        assert ways[False] > 3


# --- all of it


def test_the_same_is_withheld_every_time() -> None:
    for seed in FEW[:2]:
        for task in scene(seed).tasks:
            for level in LEVELS[:6] if not infeasible(task) else ("L6",):
                once, again = held(seed, task, level), held(seed, task, level)
                assert (once is None) == (again is None)
                if once is not None and again is not None:
                    assert (once.script, once.said, once.others) == (again.script, again.said, again.others)


@pytest.mark.campaign
def test_every_family_can_be_withheld() -> None:
    found = Counter((t.family, level) for level in LEVELS for _, t, _ in cases(MANY, level))
    families = {f for f, level in found if level != "L0"}
    usual = {t.family for s in MANY for t in scene(s).tasks}
    assert usual == families
    assert set(task_profile("interactive").families) <= families | {"denied"}
    assert {level for _, level in found} == set(LEVELS)
