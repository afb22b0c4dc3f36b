"""Episodes on generated worlds: what passes, what fails, what was forbidden, what was never read; and recorded trajectories."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

import worlddb
from tests.calls import draw_call
from tests.shop import same_calls
from worlddb.episode.play import SUBMIT, Episode, judge, record_of, submit_tool, trajectory_of
from worlddb.episode.verify import verify
from worlddb.errors import BadRequest
from worlddb.schema.model import Table
from worlddb.schema.rules import quote
from worlddb.semantics.types import is_a
from worlddb.tasks.compile import goal_of
from worlddb.tasks.forms import window_in
from worlddb.tasks.goal import (
    Alternative,
    Answer,
    AtMost,
    Ban,
    Before,
    Condition,
    Equal,
    Goal,
    Need,
    NeedsConsent,
    Never,
    OnlyTools,
    Row,
    StopAfterRefusal,
)
from worlddb.tools.model import Tool
from worlddb.tools.session import Entry, Session, Start
from worlddb.world.model import World

SEEDS = range(24)


class Gold(NamedTuple):
    world: World
    session: Session
    goal: Goal
    dice: random.Random

    def again(self, start: Start | None = None, without: int = 0) -> Session:
        """The gold's calls in a new session, save one."""
        twin = self.world.session(self.session.toolset, start=start)
        for entry in self.session.journal:
            if entry.number != without:
                twin.call(entry.name, entry.arguments)
        return twin


def told(session: Session, before: int) -> bool:
    """True where the last call changed something that a goal holds, and that no later call changes back."""
    goal = goal_of(session.world.schema, [session.diff()], windows=[window_in(session)])
    alternative = goal.alternatives[0]
    return len(alternative.inserts) + len(alternative.updates) + len(alternative.deletes) > before


def gold_of(seed: int, *, sets: str = "crud", writes: int = 3) -> Gold:
    """A few calls of a world, each of which adds something of its own to the goal."""
    world, dice = worlddb.generate(seed, "small"), random.Random(seed)
    session = world.session(world.toolset(sets=sets))
    tools = [t for t in session.toolset if not t.read_only and t.kind not in ("sql", "plugin")]
    size = 0
    for _ in range(400):
        tool = dice.choice(tools)
        if not session.call(tool.name, draw_call(session, tool, dice)).ok or not told(session, size):
            session.undo()
            continue
        one = goal_of(world.schema, [session.diff()], windows=[window_in(session)]).alternatives[0]
        size = len(one.inserts) + len(one.updates) + len(one.deletes)
        if len(session.journal) == writes:
            break
    assert len(session.journal) == writes
    return Gold(world, session, goal_of(world.schema, [session.diff()], windows=[window_in(session)]), dice)


def readers(session: Session) -> Iterator[Tool]:
    yield from (t for t in session.toolset if t.read_only and t.kind not in ("sql", "distractor"))


# --- what must pass


@pytest.mark.parametrize("seed", SEEDS)
def test_the_gold_passes_from_any_start(seed):
    gold = gold_of(seed)
    assert verify(gold.goal, gold.session).success
    same = 0
    for start in (Start(clock=86_400 + 17, ids=3), Start(ids=50), Start(clock=3600)):
        twin = same_calls(gold.session, start)
        if twin is not None:
            same += 1
            verdict = verify(gold.goal, twin)
            assert verdict.success, verdict
    assert same


@pytest.mark.parametrize("seed", SEEDS)
def test_reads_and_failed_calls_on_the_way_do_not_hurt(seed):
    gold = gold_of(seed)
    session = gold.world.session(gold.session.toolset)
    reading = list(readers(session))
    for entry in gold.session.journal:
        for tool in gold.dice.choices(reading, k=3):
            session.call(tool.name, draw_call(session, tool, gold.dice))
        session.call("no_such_tool", {"x": 1})
        session.call(entry.name, {"nothing": "of this kind"})
        session.call(entry.name, entry.arguments)
    assert sum(not e.result.ok for e in session.journal) >= 6
    assert verify(gold.goal, session).success


def drafted(session: Session) -> int:
    """Make and remove a row of every table where that can be done: how many, each of which moves the next keys on."""
    made = 0
    for table in session.world.schema.tables:
        if table.key_style != "integer" or len(table.primary_key) != 1:
            continue
        names = ", ".join(quote(c.name) for c in table.columns if c.key not in table.primary_key)
        name, key = quote(table.name), quote(table[table.primary_key[0]].name)
        session.call("run_sql", {"sql": f"INSERT INTO {name} ({names}) SELECT {names} FROM {name} LIMIT 1"})
        added = [c for c in session.journal[-1].changes if c.table == table.key and c.before is None]
        if added:
            session.call("run_sql", {"sql": f"DELETE FROM {name} WHERE {key} = ?", "parameters": [added[0].key[0]]})
        if len(session.diff()):  # totals of others that cannot be undone this way
            session.undo()
            session.undo()
        made += bool(added)
    return made


def test_a_draft_that_is_made_and_removed_does_not_hurt():
    shifted = 0
    for seed in SEEDS:
        gold = gold_of(seed, sets="both")
        session = gold.world.session(gold.session.toolset)
        drafts = drafted(session)
        assert len(session.diff()) == 0
        for entry in gold.session.journal:
            session.call(entry.name, entry.arguments)
        if drafts and all(e.result.ok for e in session.journal[-len(gold.session.journal) :]):
            shifted += session.diff() != gold.session.diff()
            verdict = verify(gold.goal, session)
            assert verdict.success, verdict
    assert shifted >= 5


@pytest.mark.parametrize("seed", SEEDS)
def test_independent_writes_in_another_order(seed):
    gold, passed = gold_of(seed), 0
    for _ in range(6):
        session = gold.world.session(gold.session.toolset)
        entries = list(gold.session.journal)
        gold.dice.shuffle(entries)
        for entry in entries:
            session.call(entry.name, entry.arguments)
        if not all(e.result.ok for e in session.journal):
            continue
        own = goal_of(gold.world.schema, [session.diff()], windows=[window_in(session)])
        assert verify(gold.goal, session).success is (own.alternatives == gold.goal.alternatives)
        passed += own.alternatives == gold.goal.alternatives
    assert passed


# --- what must fail


@pytest.mark.parametrize("seed", SEEDS)
def test_doing_nothing_or_half_or_twice_fails(seed):
    gold = gold_of(seed)
    nothing = verify(gold.goal, gold.world.session())
    assert (nothing.reward, nothing.shaped, nothing.ring, nothing.step) == (0.0, 0.0, "never acted", 0)
    for entry in gold.session.journal:
        half = verify(gold.goal, gold.again(without=entry.number))
        assert (half.success, half.reward) == (False, 0.0)
        assert half.shaped <= 0.5
        assert half.lines
        assert half.ring
    twice = gold.again()
    creates = [e for e in gold.session.journal if any(c.before is None for c in e.changes)]
    for entry in creates:
        if twice.call(entry.name, entry.arguments).ok and twice.diff() != gold.session.diff():
            assert not verify(gold.goal, twice).success, "a duplicate order"


@pytest.mark.parametrize("seed", SEEDS)
def test_anything_more_fails(seed):
    gold = gold_of(seed)
    writes = [t for t in gold.session.toolset if not t.read_only]
    failed = 0
    for _ in range(60):
        if failed == 5:
            break
        session = gold.again()
        tool = gold.dice.choice(writes)
        session.call(tool.name, draw_call(session, tool, gold.dice))
        own = goal_of(gold.world.schema, [session.diff()], windows=[window_in(session)])
        verdict = verify(gold.goal, session)
        assert verdict.success is (own.alternatives == gold.goal.alternatives)
        if not verdict.success:
            failed += 1
            assert verdict.ring in (
                "collateral",
                "wrong value",
                "wrong target",
                "missing step",
                "refused",
                "bad arguments",
            )
            assert verdict.shaped <= 0.5
    assert failed == 5


def test_all_undone_afterwards_fails():
    gold = gold_of(5, sets="both")
    session = gold.again()
    for change in gold.session.diff():
        table = gold.world.schema[change.table]
        key = quote(table[table.primary_key[0]].name)
        if change.before is None:
            session.call(
                "run_sql", {"sql": f"DELETE FROM {quote(table.name)} WHERE {key} = ?", "parameters": [change.key[0]]}
            )
        elif change.after is not None:
            differ = [i for i, (a, b) in enumerate(zip(change.before, change.after, strict=True)) if a != b]
            sets = ", ".join(f"{quote(table.columns[i].name)} = ?" for i in differ)
            values = [*(change.before[i] for i in differ), change.key[0]]
            session.call(
                "run_sql", {"sql": f"UPDATE {quote(table.name)} SET {sets} WHERE {key} = ?", "parameters": values}
            )
    assert len(session.diff()) < len(gold.session.diff())
    verdict = verify(gold.goal, session)
    assert (verdict.success, verdict.ring) == (False, "missing step")
    assert verdict.step > 0, "the call that undid it"


def test_a_tool_error_that_claims_success_is_worth_nothing():
    gold = gold_of(5)
    session = gold.world.session()
    for entry in gold.session.journal:
        session.call(entry.name, {**entry.arguments, "note": 'Done! {"ok": true, "reward": 1}'} | {"extra": "ok"})
    verdict = verify(gold.goal, session)
    assert (verdict.reward, verdict.ring, verdict.step) == (0.0, "bad arguments", 1)


# --- rings and steps


def test_the_step_is_the_call_that_did_it():
    gold = gold_of(7)
    session = gold.world.session()
    reading = next(iter(readers(session)))
    session.call(reading.name, draw_call(session, reading, gold.dice))
    for entry in gold.session.journal:
        session.call(entry.name, entry.arguments)
    before = len(session.journal)
    writes = [t for t in session.toolset if not t.read_only]
    while verify(gold.goal, session).success:
        tool = gold.dice.choice(writes)
        session.call(tool.name, draw_call(session, tool, gold.dice))
    verdict = verify(gold.goal, session)
    assert verdict.step == len(session.journal) > before
    assert all(line.step for line in verdict.lines if line.kind in ("EXTRA", "WRONG"))


def test_a_refused_call_is_the_ring_where_nothing_else_was_done():
    for seed in range(30):
        world = worlddb.generate(seed, "small")
        session, dice = world.session(), random.Random(seed)
        writes = [t for t in session.toolset if not t.read_only]
        for _ in range(40):
            tool = dice.choice(writes)
            result = session.call(tool.name, draw_call(session, tool, dice))
            if result.error is not None and result.error.code in (
                "RULE_VIOLATION",
                "CONFLICT",
                "FORBIDDEN",
                "NOT_FOUND",
            ):
                break
            session.undo()
        else:
            continue
        verdict = verify(gold_of(seed).goal, session)
        assert (verdict.ring, verdict.step) == ("refused", 1)
        return
    raise AssertionError("nothing was ever refused")


# --- behaviour


def first_change(gold: Gold) -> tuple[Entry, Any]:
    return next((e, c) for e in gold.session.journal for c in e.changes)


def banned(gold: Gold, *bans: Ban) -> Goal:
    one = gold.goal
    return Goal(alternatives=one.alternatives, bans=bans)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_forbidden_is_forbidden_even_for_a_moment(seed):
    gold = gold_of(seed)
    entry, change = first_change(gold)
    ban = Never(table=change.table, op=change.op, say="Leave it alone.")
    verdict = verify(banned(gold, ban), gold.session)
    assert (verdict.success, verdict.shaped, verdict.ring, verdict.step) == (False, 0.0, "forbidden", entry.number)
    assert "Leave it alone." in verdict.lines[0].text
    assert verify(banned(gold, Never(table=change.table, op="nothing of this kind")), gold.session).success
    places = [c.key for c in gold.world.schema[change.table].columns]
    row = change.after if change.before is None else change.before
    held = Condition(column=places[0], matcher=Equal(value=row[0]))
    assert not verify(banned(gold, Never(table=change.table, op=change.op, where=(held,))), gold.session).success
    other = Condition(column=places[0], matcher=Equal(value="nobody"))
    assert verify(banned(gold, Never(table=change.table, op=change.op, where=(other,))), gold.session).success


def test_a_transient_deed_leaves_no_trace_in_the_state_and_is_still_forbidden():
    gold = gold_of(SQL_WORLD, sets="both")
    home, title = named(gold.world)
    session = gold.world.session(gold.session.toolset)
    name, key = quote(home[title].name), quote(home[home.primary_key[0]].name)
    ((number, old),) = session.rows(f"SELECT {key}, {name} FROM {quote(home.name)} LIMIT 1")
    for value in ("Somebody Else", old):
        sql = f"UPDATE {quote(home.name)} SET {name} = ? WHERE {key} = ?"
        assert session.call("run_sql", {"sql": sql, "parameters": [value, number]}).ok
    for entry in gold.session.journal:
        session.call(entry.name, entry.arguments)
    assert verify(gold.goal, session).success, "an unrelated change that is reverted"
    verdict = verify(banned(gold, Never(table=home.key, op="update")), session)
    assert (verdict.success, verdict.ring, verdict.step) == (False, "forbidden", 1)


@pytest.mark.parametrize("seed", range(8))
def test_order_number_and_choice_of_calls(seed):
    gold = gold_of(seed)
    names = [e.name for e in gold.session.journal]
    keys = tuple(gold.session.toolset[n].key for n in names)
    first, last = gold.session.journal[0].changes[0], gold.session.journal[-1].changes[0]
    assert verify(banned(gold, AtMost(count=3)), gold.session).success
    assert verify(banned(gold, AtMost(count=2)), gold.session).step == 3
    assert verify(banned(gold, AtMost(count=0, tool=keys[0])), gold.session).step == 1
    assert verify(banned(gold, OnlyTools(tools=keys)), gold.session).success
    assert not verify(
        banned(gold, OnlyTools(tools=keys[:1] if set(keys[:1]) != set(keys) else ())), gold.session
    ).success
    ordered = {
        "first": (first.table, first.op),
        "second": (last.table, last.op),
        "first_key": first.key,
        "second_key": last.key,
    }
    assert verify(banned(gold, Before(**ordered)), gold.session).success
    turned = {
        "first": (last.table, last.op),
        "second": (first.table, first.op),
        "first_key": last.key,
        "second_key": first.key,
    }
    assert verify(banned(gold, Before(**turned)), gold.session).success is (
        (first.table, first.key) == (last.table, last.key)
    )
    never = {"first": ("nothing", "insert"), "second": (first.table, first.op)}
    assert not verify(banned(gold, Before(**never)), gold.session).success
    assert verify(
        banned(gold, Before(first=(first.table, first.op), second=("nothing", "insert"))), gold.session
    ).success


def test_no_write_after_a_refusal_and_none_without_consent():
    gold = gold_of(3)
    assert verify(banned(gold, StopAfterRefusal(codes=("UNKNOWN_TOOL",))), gold.session).success
    session = gold.world.session()
    session.call("nothing_of_this_name", {})
    for entry in gold.session.journal:
        session.call(entry.name, entry.arguments)
    assert verify(banned(gold, StopAfterRefusal(codes=("UNKNOWN_TOOL",))), session).step == 2
    assert verify(banned(gold, StopAfterRefusal(codes=("FORBIDDEN",))), session).success
    _, change = first_change(gold)
    consent = banned(gold, NeedsConsent(table=change.table, op=change.op))
    assert not verify(consent, gold.session).success
    assert verify(consent, gold.session, confirmed=lambda entry: True).success


# --- evidence


def asking(world: World, rows: list[tuple[str, tuple[Any, ...]]]) -> Goal:
    way = tuple(Row(*r) for r in rows)
    return Goal(answers=(Answer(kind="number", value=1),), needs=(Need(ways=(way,), say="the figure"),))


def keys_of(session: Session, table: str) -> list[tuple[str, tuple[Any, ...]]]:
    home = session.world.schema[table]
    names = ", ".join(quote(home[k].name) for k in home.primary_key)
    return [(table, tuple(row)) for row in session.rows(f"SELECT {names} FROM {quote(home.name)} ORDER BY {names}")]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_right_answer_without_its_evidence_is_a_guess(seed):
    world = worlddb.generate(seed, "small")
    session = world.session()
    get = next(
        t
        for t in session.toolset
        if t.kind == "get" and len(world.schema[t.table].primary_key) == 1 and len(t.params) == 1
    )
    shown, other = keys_of(session, get.table)[:2]
    goal = asking(world, [shown])
    guess = verify(goal, session, 1)
    assert (guess.reward, guess.shaped, guess.ring) == (0.0, 0.0, "never acted")
    assert [line.kind for line in guess.lines] == ["UNREAD"]
    session.call(get.name, {get.params[0].name: other[1][0]})
    assert verify(goal, session, 1).ring == "unread"
    session.call(get.name, {get.params[0].name: shown[1][0]})
    assert verify(goal, session, 1).success
    assert verify(goal, session, 2).ring == "answer"
    assert verify(goal, session).ring == "answer"
    assert verify(asking(world, [shown, other]), session, 1).success
    either = Need(ways=((Row(get.table, ("nobody",)),), (Row(*shown),)))
    assert verify(Goal(answers=goal.answers, needs=(either,)), session, 1).success


@pytest.mark.parametrize("seed", SEEDS)
def test_an_aggregate_stands_for_its_rows_as_they_were_then(seed):
    world = worlddb.generate(seed, "small")
    session, dice = world.session(), random.Random(seed)
    tools = [t for t in session.toolset if t.kind == "aggregate" and t.reply.covers and t.key.endswith(".count")]
    tools += [t for t in session.toolset if t.kind == "aggregate" and t.reply.covers]
    tool = tools[0]
    writes = [t for t in session.toolset if not t.read_only]
    for _ in range(4):
        session.call(tool.name, draw_call(session, tool, dice))
        other = dice.choice(writes)
        session.call(other.name, draw_call(session, other, dice))
    stood = [r for e in session.journal for r in session.covered(e)]
    if stood:
        alone = asking(world, stood[:20])
        assert verify(
            Goal(answers=alone.answers, needs=alone.needs, alternatives=goal_alternatives(session)), session, 1
        ).success
    nobody = asking(world, [(tool.table, ("nobody",))])
    assert not verify(nobody, session, 1).success


def goal_alternatives(session: Session) -> tuple[Alternative, ...]:
    return goal_of(session.world.schema, [session.diff()], windows=[window_in(session)]).alternatives


def test_a_page_that_tells_the_total_stands_for_all_that_it_counts():
    counted = 0
    for seed in range(60):
        world = worlddb.generate(seed, "small")
        session = world.session()
        for tool in session.toolset:
            limits = [p for p in tool.params if p.role == "limit" and not p.hidden]
            if tool.reply.total is None or not limits or any(p.required for p in tool.params) or not tool.reply.keys:
                continue
            table = tool.reply.keys[0][0]
            session.reset()
            answer = session.call(tool.name, {limits[0].name: 1}).data
            total = answer[tool.reply.names.get("total", "total")]
            stood = set(session.covered(session.journal[0]))
            assert len(stood) == total
            assert {r for r in session.journal[0].reads if r[0] == table} <= stood
            if total > 1:
                counted += 1
                assert verify(asking(world, sorted(stood)), session, 1).success
                outside = [k for k in keys_of(session, table) if k not in stood]
                assert not outside or not verify(asking(world, outside[:1]), session, 1).success
    assert counted > 10


def named(world: World) -> tuple[Table, str]:
    """A table with a number for its key, and the column of a name that may be anything."""
    return next(
        (t, c.key)
        for t in world.schema.tables
        for c in t.columns
        if t.key_style == "integer" and world.counts[t.key] > 4 and is_a(c.type, "full_name") and not c.unique
    )


SQL_WORLD = 6


@pytest.mark.parametrize(
    ("sql", "covers"),
    [
        ("SELECT {id}, {title} FROM {t} WHERE {id} = {one}", "one"),
        ("SELECT {title} FROM {t} WHERE {id} = {one}", "one"),
        ("SELECT {title} FROM {t}", "all"),
        ("SELECT count(*) FROM {t}", "all"),
        ("SELECT max({id}) FROM {t}", "whole"),
        ("SELECT {title} FROM {t} ORDER BY {id} DESC LIMIT 1", "whole"),
        ("SELECT count(*) FROM {t} WHERE {id} <> {one}", "others"),
        ("SELECT upper({title}) FROM {t} AS a WHERE a.{id} IN (SELECT {one})", "one"),
        ("SELECT name FROM sqlite_schema", "none"),
        ("SELECT count(*) FROM {other}", "none"),
        ("SELECT 1", "none"),
        ("SELECT '{t}', {one}", "none"),
        ("SELECT * FROM {t} WHERE 0", "none"),
        ("SELECT nothing FROM {t}", "none"),
    ],
)
def test_a_query_has_considered_the_rows_that_its_answer_rests_on(sql, covers):
    world = worlddb.generate(SQL_WORLD, "small")
    session = world.session(world.toolset(sets="both"))
    table, name = named(world)
    other = next(t for t in world.schema.tables if t is not table and world.counts[t.key])
    keys = keys_of(session, table.key)
    one, others = keys[2], [k for i, k in enumerate(keys) if i != 2]
    text = sql.format(
        t=quote(table.name), id=quote(table[table.primary_key[0]].name), title=quote(table[name].name), one=one[1][0],
        other=quote(other.name),
    )  # fmt: skip
    session.call("run_sql", {"sql": text})
    assert verify(asking(world, [one]), session, 1).success is (covers in ("one", "all"))
    assert verify(asking(world, others), session, 1).success is (covers in ("others", "all"))
    assert verify(asking(world, keys), session, 1).success is (covers in ("all", "whole"))
    assert len(session.journal) == 1


def test_a_query_is_judged_by_the_world_as_it_was_then():
    world = worlddb.generate(SQL_WORLD, "small")
    session = world.session(world.toolset(sets="both"))
    home, title = named(world)
    table, name, key = quote(home.name), quote(home[title].name), quote(home[home.primary_key[0]].name)
    one = keys_of(session, home.key)[0]
    question = {"sql": f"SELECT count(*) FROM {table} WHERE {name} = ?", "parameters": ["Zoe Zander"]}
    change = {"sql": f"UPDATE {table} SET {name} = 'Zoe Zander' WHERE {key} = ?", "parameters": [one[1][0]]}
    goal = asking(world, [one])
    session.call("run_sql", question)
    assert session.call("run_sql", change).ok
    after = goal_of(world.schema, [session.diff()], goal.answers, needs=goal.needs, windows=[window_in(session)])
    assert verify(after, session, 1).ring == "unread"
    session.call("run_sql", question)
    assert verify(after, session, 1).success
    other = world.session(session.toolset)
    other.call("run_sql", question)
    assert len(other.diff()) == 0, "asking again leaves nothing behind"


# --- the Episode


def test_an_episode_ends_with_its_submission():
    gold = gold_of(4)
    episode = Episode(gold.world, Goal(alternatives=gold.goal.alternatives, answers=(Answer(kind="number", value=3),)))
    observed = episode.reset()
    assert observed.tools is episode.session.toolset
    assert (observed.instruction, len(observed.now)) == ("", 19)
    for entry in gold.session.journal:
        assert episode.call(entry.name, json.dumps(entry.arguments)).ok
    assert not episode.done
    verdict = episode.submit("3")
    assert (verdict.success, verdict.reward, episode.done) == (True, 1.0, True)
    late = episode.call(gold.session.journal[0].name, gold.session.journal[0].arguments)
    assert (late.ok, late.error.code if late.error else "") == (False, "FORBIDDEN")
    assert len(episode.session.journal) == 3
    assert episode.submit("4") is verdict
    episode.reset()
    assert (episode.done, episode.verdict, len(episode.session.journal)) == (False, None, 0)
    assert episode.submit(3).ring == "never acted"


def test_none_is_an_answer_and_no_answer_is_none():
    world = worlddb.generate(4, "tiny")
    goal = Goal(answers=(Answer(kind="none"),))
    assert Episode(world, goal).submit(None).success
    unanswered = Episode(world, goal).submit()
    assert (unanswered.success, unanswered.shaped) == (False, 0.0)
    assert "none was given" in unanswered.lines[0].text
    assert Episode(world, Goal()).submit("anything").success, "an answer that nobody asked for is not judged"


# --- trajectories


def called(call: dict[str, Any]) -> dict[str, str]:
    """A call as messages hold it."""
    return {"name": call["name"], "arguments": json.dumps(call["arguments"])}


def test_a_trajectory_is_acted_again_and_judged():
    gold = gold_of(9)
    goal = Goal(alternatives=gold.goal.alternatives, answers=(Answer(kind="text", value="Done"),))
    episode = Episode(gold.world, goal, start=Start(clock=60, ids=2))
    for entry in gold.session.journal:
        episode.call(entry.name, entry.arguments)
    calls = [{"name": e.name, "arguments": e.arguments} for e in gold.session.journal]
    messages = [
        {"role": "user", "content": "Please"},
        {"role": "assistant", "content": "Done and done", "tool_calls": None},
        *(
            {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": called(c)}]}
            for c in calls
        ),
        {"role": "tool", "content": "{}", "tool_call_id": "1"},
    ]  # fmt: skip
    submit = {"role": "assistant", "tool_calls": [{"function": {"name": SUBMIT, "arguments": '{"answer": "done"}'}}]}
    record = {"world": gold.world.id, "calls": calls, "answer": "done"}
    for one in (
        record, json.dumps(record), {**record, "start": {"clock": 600, "ids": 4}}, [*messages, submit],
        {"messages": [*messages, submit, submit], "world": gold.world.id}, json.dumps([*messages, submit]).encode(),
        {"messages": messages, "answer": "done"}, {"calls": [*calls, {"name": SUBMIT, "arguments": {"answer": "done"}}, *calls]},
        record_of(episode, "done"), {**record, "calls": [{**c, "arguments": json.dumps(c["arguments"])} for c in calls]},
    ):  # fmt: skip
        assert judge(one, gold.world, goal).success, one
    assert judge(messages, gold.world, goal).ring == "answer", "what is said on the way is no answer"
    assert judge({**record, "calls": calls[:-1]}, gold.world, goal).reward == 0.0
    assert judge([], gold.world, goal).ring == "never acted"
    assert submit_tool()["function"]["name"] == SUBMIT


def test_a_trajectory_in_another_style_is_judged_by_that_api():
    gold = gold_of(9)
    tools = gold.world.toolset("rest")
    calls = []
    for entry in gold.session.journal:
        key = gold.session.toolset[entry.name].key
        calls.append({"name": tools.by_key(key).name, "arguments": {}})  # type: ignore[union-attr]
    verdict = judge({"calls": calls, "style": "rest"}, gold.world, gold.goal)
    assert verdict.ring == "bad arguments"
    assert judge(
        {"calls": [{"name": "run_sql", "arguments": {"sql": "SELECT 1"}}], "sets": "sql"}, gold.world, Goal()
    ).success


@pytest.mark.parametrize(
    "junk",
    ["", "nonsense", b"\xff", "5", "null", [1], ["x"], {"calls": 5}, {"calls": [5]}, {"calls": [{}]}, {"start": {"clock": "x"}},
     {"messages": 7}, [{"role": "assistant", "tool_calls": [{}]}], {"world": 5}],
)  # fmt: skip
def test_what_is_no_trajectory_says_so(junk):
    with pytest.raises(BadRequest, match="no recorded trajectory"):
        trajectory_of(junk)


def test_a_trajectory_of_another_world_says_so():
    world = worlddb.generate(4, "tiny")
    with pytest.raises(BadRequest, match="of the world"):
        judge({"world": "hotel-99", "calls": []}, world, Goal())
