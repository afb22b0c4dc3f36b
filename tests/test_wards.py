"""Wards refuse exactly what the verifier would have judged an offence, and what they refuse leaves no trace."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from msgspec.structs import replace

import worlddb
from tests.calls import draw_call
from worlddb.episode.behaviour import Conduct
from worlddb.episode.wards import Wards, nobody, refusal
from worlddb.policies.generate import policies_of
from worlddb.policies.login import SIGN_IN, Login, with_login
from worlddb.policies.model import bans_of
from worlddb.policies.staff import roles_of
from worlddb.tasks.forms import window_in
from worlddb.tasks.goal import (
    AtMost,
    Ban,
    Before,
    Clock,
    Condition,
    LookFirst,
    NeedsConsent,
    Never,
    OnlyTools,
    SignedIn,
    StopAfterRefusal,
    UserFirst,
)
from worlddb.tools.engine import Outcome
from worlddb.tools.model import Error, Tool
from worlddb.tools.people import ASK, CONFIRM, DO, TELL
from worlddb.tools.session import Altered, Entry, Session, resume
from worlddb.tools.toolset import Toolset
from worlddb.world.model import World

SEEDS = range(800, 830)
STEPS = 40


@cache
def world_of(seed: int) -> World:
    return worlddb.generate(seed, "small")


class Yes:
    """A user who agrees to everything and does what they are asked to do."""

    def before(self, session: Session, tool: Tool, arguments: Any) -> Outcome | Altered | None:
        return Outcome({"reply": "Yes."}, None) if tool.key in (ASK, CONFIRM, TELL, DO) else None

    def after(self, session: Session, tool: Tool, arguments: Any, outcome: Outcome) -> Outcome:
        return outcome


def agreed(journal: Sequence[Entry], entry: Entry) -> bool:
    """An earlier confirmation named this tool and these arguments."""
    return any(
        e.name == "confirm" and e.number < entry.number and isinstance(e.arguments, dict)
        and e.arguments.get("action") == entry.name and e.arguments.get("arguments") == entry.arguments
        for e in journal
    )  # fmt: skip


def tools_of(world: World, sets: str = "crud") -> Toolset:
    return with_login(world.toolset(sets=sets)).with_people(("restart",))


def bans_for(world: World, dice: random.Random) -> tuple[Ban, ...]:
    """The world's own policies, and bans of every other kind about tables of it; all of them enforced."""
    tables = [t.key for t in world.schema.tables]
    one, other = dice.choice(tables), dice.choice(tables)
    clocked = [(t.key, c.key) for t in world.schema.tables for c in t.columns if c.type in ("updated_at", "created_at")]
    found: list[Ban] = [
        *bans_of(policies_of(world), roles_of(world)[0]),
        Never(table=one, op="delete", name="never"),
        Before(first=(one, "insert"), second=(other, "update"), name="before"),
        AtMost(count=dice.randint(2, 6), name="most"),
        OnlyTools(tools=tuple(t.key for t in tools_of(world) if t.kind == "user" or dice.random() < 0.9), name="only"),
        StopAfterRefusal(codes=("CONFLICT",), name="stop"),
        NeedsConsent(table=other, name="consent"),
        SignedIn(table=one, name="signed"),
        LookFirst(table=other, name="look"),
        UserFirst(table=one, deed="restart", op="update", name="deed"),
        *(Never(table=t, after=(Condition(column=c, matcher=Clock()),), name="clock") for t, c in clocked[:1]),
    ]  # fmt: skip
    return tuple(replace(b, enforced=True) for b in dice.sample(found, min(4, len(found))))


def offends(session: Session, ban: Ban, number: int) -> bool:
    """Whether the call of that number is an offence, judged at the end of the episode."""
    conduct = Conduct(
        session.world.schema, session.journal, session.toolset, window_in(session), lambda e: agreed(session.journal, e)
    )
    return number in {n for n, _ in conduct.offences(ban)}


def step(session: Session, tool: Tool, dice: random.Random) -> dict[str, Any]:
    """Arguments of a call, sometimes of what makes others allowed."""
    if tool.key == SIGN_IN:
        return {"code": dice.choice(("1234", "wrong"))}
    if tool.key == DO:
        return {"action": "restart"}
    return draw_call(session, tool, dice)


@pytest.mark.parametrize("seed", SEEDS)
def test_they_refuse_exactly_what_would_be_judged_an_offence(seed: int) -> None:
    """The same calls in a session without wards, and each also in a fork of it that has them."""
    dice, world = random.Random(seed), world_of(seed)
    tools, bans = tools_of(world), bans_for(world, dice)
    wards = Wards(bans, agreed)
    free = world.session(tools, beside=[Login("1234", "Ann", "clerk"), Yes()])
    writers = [t for t in tools if not t.read_only]
    special = [t for t in tools if t.kind == "user" and t.key != CONFIRM]
    decided: list[tuple[int, bool]] = []
    for _ in range(STEPS):
        tool = dice.choice(writers if dice.random() < 0.6 else special if dice.random() < 0.2 else list(tools))
        if tool.key == CONFIRM:
            continue
        arguments = step(free, tool, dice)
        if dice.random() < 0.3:
            free.call("confirm", {"action": tool.name, "arguments": arguments})
        guarded = free.fork()
        guarded.beside = (*free.beside, wards)
        before = guarded.diff()
        result = guarded.call(tool.name, arguments)
        plain = free.call(tool.name, arguments)
        refused = result.error is not None and result.error.rule.startswith("policy:")
        assert refused or result == plain
        if refused:
            assert plain.ok
            assert guarded.diff() == before
            assert guarded.journal[-1].changes == ()
            assert not guarded.journal[-1].wrote
            assert guarded.now == guarded._before
        decided.append((free.journal[-1].number, refused))
    for number, refused in decided:
        assert refused == any(offends(free, b, number) for b in bans), (number, bans)


def test_enough_of_every_kind_was_refused_and_let_pass() -> None:
    """What the property above saw, counted by kind over its worlds: a test that refuses nothing would pass as well."""
    seen: dict[str, Counter[bool]] = {}
    for seed in SEEDS:
        dice, world = random.Random(seed), world_of(seed)
        tools = tools_of(world)
        session = world.session(tools, beside=[Login("1234", "Ann", "clerk"), Yes()])
        for _ in range(STEPS):
            tool = dice.choice([t for t in tools if not t.read_only] if dice.random() < 0.7 else list(tools))
            session.call(tool.name, step(session, tool, dice))
        for i in range(6):
            for ban in bans_for(world, random.Random(100 * seed + i)):
                for entry in session.journal:
                    if entry.changes:
                        seen.setdefault(type(ban).__name__, Counter())[offends(session, ban, entry.number)] += 1
    kinds = {
        b.__name__
        for b in (AtMost, Before, LookFirst, NeedsConsent, Never, OnlyTools, SignedIn, StopAfterRefusal, UserFirst)
    }
    assert set(seen) == kinds
    assert all(min(counts[True], counts[False]) >= 5 for counts in seen.values()), seen


def first_write(session: Session) -> tuple[str, dict[str, Any], Entry]:
    """A call that works and changes something, in a fork of the session."""
    dice = random.Random(5)
    for _ in range(500):
        tool = dice.choice([t for t in session.toolset if not t.read_only and t.kind != "sql"])
        twin, arguments = session.fork(), draw_call(session, tool, dice)
        twin.beside = ()
        if twin.call(tool.name, arguments).ok and twin.journal[-1].changes:
            return tool.name, arguments, twin.journal[-1]
    raise AssertionError("nothing works in this world")


def forbidding(entry: Entry, *, enforced: bool = True) -> Never:
    change = entry.changes[0]
    return Never(table=change.table, op=change.op, name="x", say="Never do it.", enforced=enforced)


def test_a_refusal_says_the_policy_and_what_to_do_instead() -> None:
    world = world_of(800)
    name, arguments, entry = first_write(world.session(tools_of(world)))
    session = world.session(tools_of(world), beside=[Wards([forbidding(entry)])])
    error = session.call(name, arguments).error
    assert error is not None
    assert (error.code, error.rule, error.message) == ("RULE_VIOLATION", "policy:x", "Never do it.")
    assert error.cure
    every: tuple[Ban, ...] = (
        NeedsConsent(table=""), SignedIn(), LookFirst(table=""), AtMost(count=1), UserFirst(table="", deed="d"),
        Before(first=("a", ""), second=("b", "")), OnlyTools(tools=()), StopAfterRefusal(codes=()),
    )  # fmt: skip
    for kind in every:
        assert refusal(kind).cure
        assert refusal(kind).message


def test_what_is_only_written_is_not_enforced() -> None:
    world = world_of(801)
    name, arguments, entry = first_write(world.session(tools_of(world)))
    session = world.session(tools_of(world), beside=[Wards([forbidding(entry, enforced=False)])])
    assert session.call(name, arguments).ok
    assert session.diff()


def test_free_sql_meets_the_same_wards() -> None:
    tried = 0
    for seed in SEEDS:
        world = world_of(seed)
        tools = tools_of(world, "both")
        sql = next(t.name for t in tools if t.kind == "sql")
        table = next((t for t in world.schema.tables if t.title and world.counts[t.key]), None)
        if table is None:
            continue
        key, title = table[table.primary_key[0]].name, table[table.title].name
        statement = {"sql": f'UPDATE "{table.name}" SET "{title}" = "{title}" || \'x\' WHERE "{key}" = '
                     f'(SELECT min("{key}") FROM "{table.name}")'}  # fmt: skip
        free = world.session(tools)
        if not free.call(sql, statement).ok or not free.diff():
            continue
        bans: list[Ban] = [
            Never(table=table.key, op="update", name="n", enforced=True),
            LookFirst(table=table.key, name="l", enforced=True),
        ]
        for ban in bans:
            session = world.session(tools, beside=[Wards([ban])])
            result = session.call(sql, statement)
            assert result.error is not None
            assert result.error.rule == f"policy:{ban.name}"
            assert not session.diff()
        session = world.session(tools, beside=[Wards(bans[1:])])
        session.call(sql, {"sql": f'SELECT * FROM "{table.name}" ORDER BY "{key}" LIMIT 1'})
        assert session.call(sql, statement).ok
        tried += 1
    assert tried >= 10


def test_they_depend_on_start_and_journal_alone() -> None:
    """A fork, an undone call and a session that was put to sleep are refused the same."""
    for seed in list(SEEDS)[:8]:
        world = world_of(seed)
        tools, wards = tools_of(world), Wards([AtMost(count=1, name="once", enforced=True)])
        name, arguments, _ = first_write(world.session(tools))
        session = world.session(tools, beside=[wards])
        assert session.call(name, arguments).ok
        again, more, _ = first_write(session)
        for twin in (session.fork(), resume(world, tools, session.suspend(), [wards])):
            result = twin.call(again, more)
            assert result.error is not None
            assert result.error.rule == "policy:once"
        session.undo()
        assert session.call(name, arguments).ok


def test_nobody_has_agreed_by_default() -> None:
    world = world_of(803)
    name, arguments, entry = first_write(world.session(tools_of(world)))
    assert not nobody([], entry)
    ban = NeedsConsent(table=entry.changes[0].table, name="c", enforced=True)
    session = world.session(tools_of(world), beside=[Yes(), Wards([ban], agreed)])
    assert session.call(name, arguments).error is not None
    session.call("confirm", {"action": name, "arguments": arguments})
    assert session.call(name, arguments).ok


class Late:
    """Loses the answer of every call that changed something."""

    def before(self, session: Session, tool: Tool, arguments: Any) -> Outcome | Altered | None:
        return None

    def after(self, session: Session, tool: Tool, arguments: Any, outcome: Outcome) -> Outcome:
        lost = Error(code="TIMEOUT", message="no answer in time")
        return outcome._replace(data=None, error=lost) if outcome.changes else outcome


@pytest.mark.parametrize("late_first", [True, False])
def test_what_was_done_without_an_answer_is_refused_all_the_same(late_first: bool) -> None:
    world = world_of(804)
    name, arguments, entry = first_write(world.session(tools_of(world)))
    wards = Wards([forbidding(entry)])
    session = world.session(tools_of(world), beside=[Late(), wards] if late_first else [wards, Late()])
    error = session.call(name, arguments).error
    assert error is not None
    assert error.rule == "policy:x"
    assert not session.diff()
