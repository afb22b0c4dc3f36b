"""Faults: as often as asked, the same again for the same seed and journal, and never more than was said to happen."""

from __future__ import annotations

import random
import re
from collections import Counter
from functools import cache
from typing import Any

import pytest

import worlddb
from tests.calls import draw_call
from tests.test_session import act, outline
from worlddb.episode.solve import gold_calls, submitted
from worlddb.episode.verify import verify
from worlddb.errors import BadRequest
from worlddb.schema.rules import quote
from worlddb.tasks.model import Task
from worlddb.tools.engine import Outcome, reads_of
from worlddb.tools.faults import KINDS, Faults
from worlddb.tools.faulty import DOWN, LAG, LIMITED, FaultModel, faults_beside, handbook_lines
from worlddb.tools.model import Call, Error, Result, Tool
from worlddb.tools.session import KEPT, Session, Start, resume
from worlddb.world.model import World

SEEDS = range(16)
STORMY = {"transient": 0.15, "timeout": 0.3, "rate_limit": 0.1, "stale": 0.5, "partial": 0.8}
REFUSED = ("UNAVAILABLE", "RATE_LIMITED")


def stormy(world: World, seed: int, rates: dict[str, float] | None = None, start: Start | None = None) -> Session:
    return world.session(start=start, beside=faults_beside(Faults(seed=seed, **(STORMY if rates is None else rates))))


def codes(session: Session) -> list[str]:
    return [e.result.error.code if e.result.error else "" for e in session.journal]


def batches(session: Session, dice: random.Random, calls: int) -> None:
    """Calls that are about several records, such as are likely to be taken."""
    tools = [t for t in session.toolset if t.kind == "bulk" and any(p.convert == "keys" or p.fields for p in t.params)]
    for _ in range(calls if tools else 0):
        tool = dice.choice(tools)
        session.call(tool.name, draw_call(session, tool, dice))


def weather(world: World, seed: int, start: Start | None = None) -> Session:
    """A session in which much was tried and much went wrong."""
    session, dice = stormy(world, seed, start=start), random.Random(seed)
    act(session, dice, 60, junk=0.05)
    batches(session, dice, 30)
    act(session, dice, 20, junk=0.05)
    return session


def test_nobody_stands_beside_a_session_without_faults():
    assert faults_beside(None) == faults_beside(Faults(seed=5)) == ()
    assert handbook_lines(Faults(seed=5)) == ""
    for rate in (-0.1, 1.1, float("nan")):
        with pytest.raises(BadRequest, match="stale faults must be from 0 to 1"):
            faults_beside(Faults(stale=rate))


def test_the_handbook_names_the_codes_that_can_come():
    for kind, code in zip(KINDS, ("UNAVAILABLE", "TIMEOUT", "RATE_LIMITED", "", "TIMEOUT"), strict=True):
        told = handbook_lines(Faults(**{kind: 0.1}))
        assert [c for c in ("UNAVAILABLE", "TIMEOUT", "RATE_LIMITED") if c in told] == [code] * bool(code)
        assert told
        assert all(len(line) < 200 for line in told.splitlines())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_session_with_faults_is_the_same_again_forked_undone_and_resumed(seed):
    world = worlddb.generate(seed, "small")
    live = weather(world, seed)
    once = outline(live)
    assert outline(weather(world, seed)) == once
    assert outline(weather(world, seed + 1)) != once
    faults = faults_beside(Faults(seed=seed, **STORMY))
    again = resume(world, live.toolset, live.suspend(), beside=faults)
    assert outline(again) == once
    assert again.diff().changes == live.diff().changes
    dice = random.Random(seed)
    for _ in range(4):
        back = dice.randint(1, 40)
        twin = live.fork()
        taken = [twin.undo() for _ in range(back)][::-1]
        for entry in taken:
            assert entry is not None
            if not entry.raw.startswith(b"#"):
                twin.call(entry.name, entry.raw)
            else:
                break
        else:
            assert outline(twin) == once
            assert twin.diff().changes == live.diff().changes
    assert outline(live) == once


@pytest.mark.parametrize("seed", SEEDS)
def test_what_changed_is_what_the_calls_that_were_carried_out_change(seed):
    world = worlddb.generate(seed, "small")
    live, plain = weather(world, seed), world.session()
    for entry, code in zip(live.journal, codes(live), strict=True):
        assert code not in REFUSED or not entry.wrote
        if code == "TIMEOUT":
            assert entry.wrote
            assert entry.changes
            assert not entry.seen
            assert entry.result.data is None
        if entry.wrote:
            assert plain.call(entry.name, done_of(entry)).ok
            assert plain.journal[-1].changes == entry.changes
            assert plain.journal[-1].now == entry.now
    assert plain.diff().changes == live.diff().changes
    for rule in world.schema.rules:
        assert not live.rows(rule.violations(world.schema)), rule.say


def done_of(entry: Any) -> Any:
    """The arguments that a call was carried out with, by what its answer says of it."""
    error = entry.result.error
    stopped = re.search(r"the first (\d+) of (\d+) (\w+)", error.message) if error else None
    if stopped is None:
        return entry.raw
    done, name = int(stopped[1]), stopped[3]
    assert error is not None
    assert error.parameter == name
    assert 1 <= done < int(stopped[2]) == len(entry.arguments[name])
    return entry.arguments | {name: entry.arguments[name][:done]}


def test_every_kind_of_fault_has_come():
    met: Counter[str] = Counter()
    for seed in SEEDS:
        session = weather(worlddb.generate(seed, "small"), seed)
        met.update(codes(session))
        met.update("partial" for e in session.journal if e.result.error and "ran out of time" in e.result.error.message)
    assert min(met["UNAVAILABLE"], met["RATE_LIMITED"], met["TIMEOUT"]) > 50
    assert met["partial"] >= 10


def test_the_same_call_works_after_one_or_two_tries():
    world = worlddb.generate(2, "small")
    tool = next(t for t in world.toolset() if t.kind == "list")
    for seed in range(30):
        session = stormy(world, seed, {"transient": 1.0})
        runs = [session.call(tool.name).ok for _ in range(30)]
        told = "".join("x" if ok else "." for ok in runs)
        assert re.fullmatch(r"(\.{1,2}x)*\.{0,2}", told), told
        assert {e.result.error for e in session.journal} <= {DOWN, None}
    assert ".x" in told
    assert "..x" in told


def test_a_limit_refuses_as_many_calls_as_it_says():
    world = worlddb.generate(2, "small")
    names = [t.name for t in world.toolset() if t.kind == "list"]
    lengths = set()
    for seed in range(30):
        session, dice = stormy(world, seed, {"rate_limit": 1.0, "transient": 1.0}), random.Random(seed)
        while len(session.journal) < 30:
            error = session.call(dice.choice(names)).error
            if error not in LIMITED:
                continue
            left = LIMITED.index(error)
            lengths.add(left)
            for n in range(left - 1, -1, -1):
                assert session.call(dice.choice(names)).error == LIMITED[n]
            assert session.call(dice.choice(names)).ok
    assert lengths == {1, 2}


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.8])
def test_faults_come_as_often_as_asked(rate):
    """Within 4 standard deviations of the share of the calls that could meet each."""
    world = worlddb.generate(5, "small")
    tool = next(t for t in world.toolset() if t.kind == "list")
    for kind in ("transient", "rate_limit"):
        could = met = 0
        for seed in range(12):
            session = stormy(world, seed, {kind: rate})
            free = True
            for _ in range(100):
                error = session.call(tool.name).error
                if free:
                    could, met = could + 1, met + (error is not None)
                free = error is None and session.journal[-2:-1] != [] and session.journal[-2].result.ok
        assert abs(met - rate * could) < 4 * (could * rate * (1 - rate)) ** 0.5, (kind, met, could)
    could = met = 0
    for seed in range(12):
        session, dice = stormy(world, seed, {"timeout": rate}), random.Random(seed)
        act(session, dice, 60, junk=0)
        could += sum(bool(e.changes) for e in session.journal)
        met += codes(session).count("TIMEOUT")
    assert could > 100
    assert abs(met - rate * could) < 4 * (could * rate * (1 - rate)) ** 0.5, (met, could)


def changing(world: World, session: Session, dice: random.Random) -> bool:
    """Make a call that changes something; False where none was found."""
    writes = [t for t in session.toolset if not t.read_only]
    for _ in range(60):
        tool = dice.choice(writes)
        if session.call(tool.name, draw_call(session, tool, dice)).ok and session.journal[-1].changes:
            return True
        session.undo()
    return False


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stale_answer_is_that_of_before_the_last_change(seed):
    world = worlddb.generate(seed, "small")
    session, dice = stormy(world, seed, {"stale": 1.0}), random.Random(seed)
    reads = [t for t in session.toolset if t.read_only and t.kind != "user"]
    stale = 0
    for _ in range(12):
        asked = [(t.name, draw_call(session, t, dice)) for t in reads]
        before = world_before(session)
        if not changing(world, session, dice):
            continue
        state = session.diff().changes
        plain = session.fork()
        plain.beside = ()
        for name, arguments in asked:
            twin, old, new = session.fork(), before.fork(), plain.fork()
            shown, then, now = (s.call(name, arguments) for s in (twin, old, new))
            assert shown.json == (then.json if then.ok and now.ok else now.json)
            if shown.json != now.json:
                stale += 1
                assert reads_of(twin.journal[-1].seen) == reads_of(old.journal[-1].seen)
                assert set(twin.covered(twin.journal[-1])) == set(old.covered(old.journal[-1]))
            assert session.diff().changes == twin.diff().changes == state
        for _ in range(LAG):
            session.call(reads[0].name, draw_call(session, reads[0], dice))
        for name, arguments in asked[:5]:
            assert session.fork().call(name, arguments).json == plain.fork().call(name, arguments).json
    assert stale


def world_before(session: Session) -> Session:
    """The present state, for good, with nobody beside it."""
    twin = session.fork()
    twin.beside = ()
    return twin


@pytest.mark.parametrize("kind", ["rate_limit", "transient"])
def test_whoever_waited_is_served_without_a_fault(kind: str):
    """However much can go wrong: after an outage or a limit the next call works, and all of it."""
    world, tool, arguments = batch()
    for seed in range(12):
        session = stormy(world, seed, {kind: 1.0, "timeout": 1.0, "partial": 1.0})
        for _ in range(4):
            if session.call(tool.name, arguments).ok:
                break
        assert 2 <= len(session.journal) <= 4
        assert set(codes(session)[:-1]) <= set(REFUSED)
        plain = world.session()
        plain.call(tool.name, arguments)
        assert plain.journal[-1].changes == session.journal[-1].changes


def test_talk_takes_the_time_of_a_limit():
    world = worlddb.generate(2, "small")
    look = next(t.name for t in world.toolset() if t.kind == "list")
    lengths = set()
    for seed in range(20):
        session = world.session(world.toolset().with_people(), beside=faults_beside(Faults(seed=seed, rate_limit=1.0)))
        error = session.call(look).error
        assert error in LIMITED
        left = LIMITED.index(error)
        lengths.add(left)
        session.call("tell_user", {"message": "It takes a moment."})
        assert session.call(look).error == (None if left == 1 else LIMITED[0])
    assert lengths == {1, 2}


@cache
def batch() -> tuple[World, Tool, dict[str, Any]]:
    """A world, and a call for several records, given by their keys, that is taken there."""
    for seed in range(40):
        world, dice = worlddb.generate(seed, "small"), random.Random(seed)
        session = world.session()
        tools = [
            t for t in session.toolset if t.kind == "bulk" and len(t.params) == 1 and t.params[0].convert == "keys"
        ]
        for tool in tools * 100:
            arguments = draw_call(session, tool, dice)
            if len(arguments[tool.params[0].name]) > 1 and session.call(tool.name, arguments).ok:
                return world, tool, arguments
            session.undo()
    raise LookupError("no batch is ever taken")


def test_a_batch_stops_only_where_all_of_it_would_have_been_done():
    world, tool, arguments = batch()
    name = tool.params[0].name
    first, second = arguments[name][:2]
    rates = {"partial": 1.0}
    session = stormy(world, 1, rates)
    found = session.call(tool.name, arguments | {name: [first, second]})
    assert found.error is not None
    assert (found.error.code, found.error.parameter) == ("TIMEOUT", name)
    assert "the first 1 of 2" in found.error.message
    assert session.call(tool.name, arguments | {name: [second]}).ok
    whole = world.session()
    whole.call(tool.name, arguments | {name: [first, second]})
    assert {(c.table, c.key) for c in session.diff()} == {(c.table, c.key) for c in whole.diff()}
    for given in (
        [first],
        [first, first],
        [first, second, first],
        [first, -1],
        ["x", {}],
        [first, object()],
        "x",
        None,
    ):
        asked = arguments | {name: given}
        assert stormy(world, 1, rates).call(tool.name, asked) == world.session().call(tool.name, asked)


class Refuses:
    """Stands behind the faults, and lets nothing pass."""

    def before(self, session: Session, tool: Tool, arguments: Any) -> Outcome:
        return Outcome(None, Error(code="FORBIDDEN", message="No."))

    def after(self, session: Session, tool: Tool, arguments: Any, outcome: Outcome) -> Outcome:
        return outcome


def test_a_batch_that_somebody_else_refused_leaves_no_trace():
    world, tool, arguments = batch()
    model = FaultModel(Faults(seed=1, partial=1.0))
    session = world.session(beside=(model, Refuses()))
    assert session.call(tool.name, arguments).error.code == "FORBIDDEN"  # type: ignore[union-attr]
    session.beside = (model,)
    session.undo()
    one = {name: v[:1] if isinstance(v, list) else v for name, v in arguments.items()}
    assert session.call(tool.name, one).ok


def test_users_are_always_there():
    world = worlddb.generate(3, "small")
    model = FaultModel(Faults(transient=1.0, rate_limit=1.0, timeout=1.0, stale=1.0, partial=1.0))
    session = world.session(world.toolset().with_people(), beside=(model,))
    for _ in range(5):
        session.call(next(t.name for t in session.toolset if t.kind == "list"))
        assert session.call("ask_user", {"question": "Which one?"}).error.code == "FORBIDDEN"  # type: ignore[union-attr]


# --- agents on real tasks


class Client:
    """Makes the calls of a gold, and lives with what the API does: well (careful), or by calling again (not)."""

    def __init__(self, world: World, task: Task, faults: Faults, *, careful: bool) -> None:
        self.world, self.task, self.careful = world, task, careful
        self.session = world.session(beside=faults_beside(faults))
        self.calm = True
        """True while no call has timed out that does more when it is made twice."""

    def paid(self) -> bool:
        for call in gold_calls(self.task, self.session.toolset):
            self.make(call)
        return verify(self.task.goal, self.session, submitted(self.task)).success

    def make(self, call: Call) -> None:
        tool = self.session.toolset[call.name]
        if self.careful and tool.read_only and any(e.changes for e in self.session.journal[-LAG:]):
            for _ in range(LAG):
                self.session.call(call.name, call.arguments)
        for _ in range(12):
            before = self.looks(tool)
            found = self.session.call(call.name, call.arguments)
            if found.error is None or found.error.code not in (*REFUSED, "TIMEOUT"):
                return
            if found.error.code == "TIMEOUT":
                done = self.looks(tool) != before
                self.calm = self.calm and tool.idempotent
                if self.careful and "ran out of time" in found.error.message:
                    call = self.rest(call, found)
                elif self.careful and done:
                    return

    def looks(self, tool: Tool) -> Any:
        """What stands in the tables that a tool writes, as an agent finds by reading."""
        tables = sorted({self.world.schema[table].name for table, _ in tool.writes})
        return [self.session.rows(f"SELECT * FROM {quote(t)}") for t in tables]

    def rest(self, call: Call, found: Result) -> Call:
        assert found.error is not None
        stopped = re.search(r"the first (\d+) of", found.error.message)
        assert stopped
        name = found.error.parameter
        items = call.arguments[name]
        return Call(call.name, call.arguments | {name: items[int(stopped[1]) :]})


@pytest.mark.parametrize("seed", range(300, 308))
def test_who_looks_before_repeating_solves_every_task(seed):
    world = worlddb.generate(seed)
    met: Counter[str] = Counter()
    for number, task in enumerate(world.tasks):
        for rates in ({"transient": 0.4, "rate_limit": 0.3}, STORMY, {"timeout": 1.0, "stale": 1.0, "partial": 1.0}):
            client = Client(world, task, Faults(seed=seed + number, **rates), careful=True)
            assert client.paid(), (task.id, rates, codes(client.session))
            met.update(codes(client.session))
    assert min(met["UNAVAILABLE"], met["RATE_LIMITED"]) >= 5
    assert met["TIMEOUT"] >= sum(c.writes for t in world.tasks for c in t.gold)


def test_who_repeats_what_timed_out_is_not_paid_where_that_does_it_twice():
    twice = fine = 0
    for seed in range(300, 308):
        world = worlddb.generate(seed)
        for task in world.tasks:
            tools = [world.toolset().by_key(c.tool) for c in task.gold]
            for draw in range(1 if all(t is not None and t.idempotent for t in tools) else 8):
                client = Client(world, task, Faults(seed=draw, timeout=0.5), careful=False)
                paid = client.paid()
                again = len([e for e in client.session.journal if e.changes]) > sum(c.writes for c in task.gold)
                if not client.calm and again:
                    twice += 1
                    assert not paid, (task.id, codes(client.session))
                fine += client.calm and paid
    assert twice >= 20
    assert fine >= 50


def test_a_long_call_that_timed_out_is_resumed():
    """The journal must keep in full whatever has changed something, though it was answered with an error."""
    found = 0
    for seed in SEEDS:
        world = worlddb.generate(seed, "small")
        dice = random.Random(seed)
        for tool in world.toolset():
            texts = [p.name for p in tool.params if p.role == "value" and p.schema.get("maxLength", 0) >= KEPT]
            if tool.read_only or not texts:
                continue
            session = stormy(world, seed, {"timeout": 1.0})
            session.call(tool.name, draw_call(session, tool, dice) | {texts[0]: "word " * (KEPT // 5)})
            if session.journal[-1].wrote:
                found += 1
                again = resume(world, session.toolset, session.suspend(), beside=session.beside)
                assert outline(again) == outline(session)
    assert found
