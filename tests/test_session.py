"""Sessions: isolated, interleaved, branched, suspended; and what they record is what the database shows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

import worlddb
from tests.calls import draw_call, spoil
from worlddb.errors import BadRequest
from worlddb.schema.rules import quote
from worlddb.tools.model import CODES
from worlddb.tools.session import TICK, Session, Start, resume
from worlddb.world import host as hosts
from worlddb.world.diff import Change
from worlddb.world.model import World

SEEDS = range(24)


def act(session: Session, dice: random.Random, calls: int, junk: float = 0.15) -> None:
    """Random calls, a share of them malformed."""
    reads = [t for t in session.toolset if t.read_only]
    writes = [t for t in session.toolset if not t.read_only]
    for _ in range(calls):
        tool = dice.choice(writes if dice.random() < 0.7 else reads)
        arguments: Any = draw_call(session, tool, dice)
        if dice.random() < junk:
            arguments = spoil(arguments, tool, dice)
        session.call(tool.name, arguments)


def contents(world: World, rows: Any) -> dict[str, set[tuple[Any, ...]]]:
    """All rows of all tables, through a function that runs SQL."""
    return {
        t.key: set(map(tuple, rows(f"SELECT {', '.join(quote(c.name) for c in t.columns)} FROM {quote(t.name)}")))
        for t in world.schema.tables
    }


def outline(session: Session) -> list[Any]:
    """What happened in a session, comparable."""
    return [(e.name, repr(e.arguments), e.result.json, e.changes, e.reads, e.now) for e in session.journal]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_net_diff_is_what_a_comparison_of_all_rows_finds(seed):
    world = worlddb.generate(seed)
    before = contents(world, world.connect().execute)
    session, dice = world.session(), random.Random(seed)
    for _ in range(4):
        act(session, dice, 15)
        after = contents(world, session.rows)
        changes = session.diff().changes
        for table in world.schema.tables:
            own = [c for c in changes if c.table == table.key]
            assert {c.before for c in own if c.before is not None} == before[table.key] - after[table.key]
            assert {c.after for c in own if c.after is not None} == after[table.key] - before[table.key]
            assert all(c.key == hosts.key_of(world.schema, c.table, c.after or c.before) for c in own)
    assert any(e.changes for e in session.journal), "nothing was ever written"


@pytest.mark.parametrize("seed", SEEDS)
def test_every_rule_holds_after_any_calls(seed):
    world = worlddb.generate(seed)
    session = world.session()
    act(session, random.Random(seed), 60)
    for rule in world.schema.rules:
        assert not session.rows(rule.violations(world.schema)), rule.say
    assert not session.rows("PRAGMA foreign_key_check")


@pytest.mark.parametrize("seed", SEEDS)
def test_interleaved_sessions_equal_the_same_sessions_alone(seed):
    world = worlddb.generate(seed, "small")

    def episode(number: int) -> Iterator[Session]:
        session, dice = world.session(start=Start(ids=number % 2)), random.Random(f"{seed} {number}")
        for _ in range(20):
            act(session, dice, 1)
            yield session

    alone = [outline(list(episode(n))[-1]) for n in range(6)]
    dice, live = random.Random(seed), {n: episode(n) for n in range(6)}
    last: dict[int, Session] = {}
    while live:
        number = dice.choice(list(live))
        try:
            last[number] = next(live[number])
        except StopIteration:
            del live[number]
    assert [outline(last[n]) for n in range(6)] == alone


def test_a_failed_call_changes_nothing_and_says_why():
    world = worlddb.generate(3)
    session, dice = world.session(), random.Random(3)
    failed = 0
    for _ in range(300):
        tool = dice.choice(session.toolset.tools)
        before, state = session.diff(), session.now
        result = session.call(tool.name, spoil(draw_call(session, tool, dice), tool, dice))
        if not result.ok:
            failed += 1
            assert session.diff() == before
            assert session.now == state
            assert result.error is not None
            assert result.error.code in CODES
            assert result.error.message
            assert not session.journal[-1].changes
    assert failed > 50


def writing(world: World, session: Session) -> tuple[str, dict[str, Any]]:
    """A call that is sure to change something."""
    dice = random.Random(1)
    for _ in range(400):
        tool = dice.choice([t for t in session.toolset if not t.read_only])
        probe = session.fork()
        arguments = draw_call(probe, tool, dice)
        if probe.call(tool.name, arguments).ok and probe.journal[-1].changes:
            return tool.name, arguments
    raise AssertionError("no call of this world changes anything")


def test_reset_fork_and_undo():
    world = worlddb.generate(5)
    session = world.session()
    name, arguments = writing(world, session)
    session.call(name, arguments)
    assert len(session.diff()) >= 1
    twin = session.fork()
    undone = session.undo()
    assert undone is not None
    assert undone.name == name
    assert len(session.diff()) == 0
    assert session.now == world.now
    assert len(twin.diff()) >= 1, "a fork does not follow"
    first = twin.journal[0].result.json
    assert session.call(name, arguments).json == first
    assert session.diff() == twin.diff()
    session.reset()
    assert (len(session.diff()), session.journal) == (0, [])
    assert session.call(name, arguments).json == first
    assert session.reset().undo() is None


@pytest.mark.parametrize("seed", SEEDS)
def test_undo_goes_back_step_by_step(seed):
    world = worlddb.generate(seed, "small")
    session, dice = world.session(), random.Random(seed)
    states = [(session.diff(), session.now)]
    for _ in range(12):
        act(session, dice, 1)
        states.append((session.diff(), session.now))
    while session.journal:
        assert states.pop() == (session.diff(), session.now)
        session.undo()
    assert states == [(session.diff(), session.now)]
    assert contents(world, session.rows) == contents(world, world.connect().execute)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_suspended_session_resumes_as_it_was(seed):
    world = worlddb.generate(seed)
    session = world.session(start=Start(clock=3600, ids=1000))
    act(session, random.Random(seed), 25, junk=0.4)
    kept = session.suspend()
    assert isinstance(kept, bytes)
    again = resume(world, session.toolset, kept)
    assert outline(again)[-1][2:] == outline(session)[-1][2:]
    assert [e.result for e in again.journal] == [e.result for e in session.journal]
    assert (again.diff(), again.now) == (session.diff(), session.now)
    assert again.suspend() == kept


def test_what_cannot_resume_says_so():
    world, other = worlddb.generate(1, "tiny"), worlddb.generate(2, "tiny")
    session = world.session()
    with pytest.raises(BadRequest, match="no suspended session"):
        resume(world, session.toolset, b"nonsense")
    with pytest.raises(BadRequest, match="another world"):
        resume(other, other.toolset(), session.suspend())
    with pytest.raises(BadRequest, match="clock >= 0"):
        world.session(start=Start(clock=-1))


def test_new_keys_do_not_depend_on_other_sessions_and_shift_with_the_start():
    world = worlddb.generate(5)
    session = world.session()
    name, arguments = next((n, a) for n, a in (writing(world, session),))
    alone = world.session()
    alone.call(name, arguments)
    crowd = [world.session() for _ in range(5)]
    for one in crowd * 3:
        one.call(name, arguments)
    assert crowd[0].journal[0].changes == alone.journal[0].changes


def test_the_clock_moves_only_with_writes():
    world = worlddb.generate(5)
    session = world.session(start=Start(clock=60))
    name, arguments = writing(world, session)
    assert session.now == world.now + 60
    session.call(next(t.name for t in session.toolset if t.kind == "list"))
    session.call("no_such_tool")
    assert session.now == world.now + 60
    session.call(name, arguments)
    assert session.now == world.now + 60 + TICK
    assert [e.now for e in session.journal] == [world.now + 60] * 3


def test_hosts_give_way_and_nobody_notices(monkeypatch):
    monkeypatch.setattr(hosts, "HOSTS", 1)
    worlds = [worlddb.generate(s, "tiny") for s in (11, 12, 13)]
    sessions = [w.session() for w in worlds]
    calls = [writing(w, s) for w, s in zip(worlds, sessions, strict=True)]
    for _ in range(3):
        for session, (name, arguments) in zip(sessions, calls, strict=True):
            session.call(name, arguments)
    assert len(hosts._hosts) == 1
    for world, session, (name, arguments) in zip(worlds, sessions, calls, strict=True):
        alone = world.session()
        for _ in range(3):
            alone.call(name, arguments)
        assert outline(alone) == outline(session)


def test_the_journal_knows_what_was_read():
    world = worlddb.generate(5)
    session = world.session()
    tool = next(t for t in session.toolset if t.kind == "list" and world.counts[t.table] > 3)
    session.call(tool.name, {})
    reads = {key for table, key in session.journal[-1].reads if table == tool.table}
    home = world.schema[tool.table]
    every = session.rows(f"SELECT {', '.join(quote(home[k].name) for k in home.primary_key)} FROM {quote(home.name)}")
    assert reads
    assert reads <= set(map(tuple, every))


@pytest.mark.parametrize(
    "sql",
    ["UPDATE {t} SET {k} = 1", "DELETE FROM {t}", "DROP TABLE {t}", "COMMIT", "ROLLBACK", "PRAGMA foreign_keys = OFF", "BEGIN",
     "WITH x AS (SELECT 1) DELETE FROM {t}", "SELECT 1; DELETE FROM {t}", "ATTACH ':memory:' AS other", "CREATE TEMP TABLE y (a)",
     "SAVEPOINT s", "PRAGMA user_version = 3"],
)  # fmt: skip
def test_graders_only_look(sql):
    world = worlddb.generate(5)
    session, other = world.session(), world.session()
    before = contents(world, session.rows)
    table = world.schema.tables[0]
    with pytest.raises(BadRequest, match="only queries"):
        session.rows(sql.format(t=quote(table.name), k=quote(table.columns[0].name)))
    assert contents(world, session.rows) == contents(world, other.rows) == before
    name, arguments = writing(world, session)
    assert session.call(name, arguments).ok
    with pytest.raises(worlddb.WorlddbError, match="no such table"):
        session.rows("SELECT * FROM nothing_here")


def test_a_diff_is_a_sequence_of_changes():
    world = worlddb.generate(5)
    session = world.session()
    session.call(*writing(world, session))
    assert tuple(session.diff()) == session.diff().changes == session.journal[0].changes


def test_changes_know_their_kind():
    assert Change("t", (1,), None, (1,)).op == "insert"
    assert Change("t", (1,), (1, 2), (1, 3)).op == "update"
    assert Change("t", (1,), (1, 2), None).op == "delete"


def test_pickling_a_world_with_live_sessions():
    import pickle

    world = worlddb.generate(1, "tiny")
    world.session().call("nothing")
    assert pickle.loads(pickle.dumps(world)) == world
