"""What an adversary tried, and what must not work: counters, keys, overflow, hostile values, plug-ins, shared objects."""

from __future__ import annotations

import random
from typing import Any

import pytest

import worlddb
from tests.calls import draw_call
from tests.test_session import contents, outline, writing
from worlddb.errors import BadRequest
from worlddb.schema.model import Table
from worlddb.schema.rules import quote
from worlddb.tools.plugin import Access
from worlddb.tools.session import Session, Start, resume
from worlddb.world.mint import Mints, is_minted
from worlddb.world.model import World


def run(session: Session, sql: str, parameters: Any = ()) -> Any:
    return session.call("run_sql", {"sql": sql, "parameters": list(parameters)})


def numbered(world: World) -> list[Table]:
    """Tables with rows whose keys SQLite numbers."""
    return [
        t for t in world.schema.tables if t.key_style == "integer" and len(t.primary_key) == 1 and world.counts[t.key]
    ]


def counters(session: Session) -> list[Any]:
    if not session.rows("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'"):
        return []
    return sorted(session.rows("SELECT name, seq FROM sqlite_sequence"))


@pytest.mark.parametrize("seed", range(8))
def test_an_insert_that_makes_no_row_moves_no_counter(seed):
    world = worlddb.generate(seed)
    toolset = world.toolset(sets="both")
    attacker, victim, alone = (world.session(toolset) for _ in range(3))
    before = counters(victim)
    for table in numbered(world):
        names = ", ".join(quote(c.name) for c in table.columns)
        other = ", ".join("NULL" if c.key in table.primary_key else quote(c.name) for c in table.columns)
        name = quote(table.name)
        run(attacker, f"INSERT OR IGNORE INTO {name} ({names}) SELECT {names} FROM {name} LIMIT 3")
        run(attacker, f"INSERT OR IGNORE INTO {name} ({names}) SELECT {other} FROM {name} LIMIT 3")
    for tool in toolset:
        if tool.kind == "create" and tool.idempotent:
            dice = random.Random(seed)
            for _ in range(10):
                attacker.call(tool.name, draw_call(attacker, tool, dice))
    inserted = any(c.op == "insert" for c in attacker.diff())
    assert counters(victim) == before
    warm = counters(attacker)
    assert inserted or warm == before
    assert counters(resume(world, toolset, attacker.suspend())) == warm
    assert counters(alone) == before


@pytest.mark.parametrize("seed", range(12))
def test_keys_stay_with_their_rows(seed):
    world = worlddb.generate(seed)
    session = world.session(world.toolset(sets="both"))
    for table in world.schema.tables:
        name, key = quote(table.name), quote(table[table.primary_key[0]].name)
        for sql in (
            f"UPDATE {name} SET {key} = {key} - 1"
            if table.key_style == "integer"
            else f"UPDATE {name} SET {key} = {key} || 'x'",
            f"UPDATE {name} SET {key} = (SELECT {key} FROM {name} ORDER BY 1 DESC LIMIT 1) "
            f"WHERE {key} = (SELECT {key} FROM {name} ORDER BY 1 LIMIT 1)",
        ):
            result = run(session, sql)
            assert not result.ok or not result.data["rows_changed"] or not session.journal[-1].changes, sql
    assert len(session.diff()) == 0
    for rule in world.schema.rules:
        assert not session.rows(rule.violations(world.schema))


def test_the_key_of_a_deleted_row_is_not_used_again():
    tried = 0
    for seed in range(40):
        world = worlddb.generate(seed)
        session = world.session(world.toolset(sets="both"))
        for table in world.schema.tables:
            if table.lifecycle is None or len(table.primary_key) != 1:
                continue
            name, key = quote(table.name), quote(table[table.primary_key[0]].name)
            names = [quote(c.name) for c in table.columns]
            for row in session.rows(f"SELECT {', '.join(names)} FROM {name} LIMIT 5"):
                own = row[[c.key for c in table.columns].index(table.primary_key[0])]
                if not run(session, f"DELETE FROM {name} WHERE {key} = ?", [own]).ok:
                    continue
                again = run(session, f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)
                assert not again.ok
                assert again.error.code in ("RULE_VIOLATION", "CONFLICT", "FORBIDDEN", "INVALID_ARGUMENT", "SQL_ERROR")
                tried += again.error.rule == f"key:{table.key}"
                session.undo()
                session.undo()
    assert tried > 20


def test_sums_beyond_64_bits_are_an_error_of_the_agents():
    met = set()
    for seed in range(30):
        world = worlddb.generate(seed, "small")
        session = world.session(world.toolset(sets="both"))
        dice = random.Random(seed)
        for table in world.schema.tables:
            for column in table.columns:
                run(session, f"UPDATE {quote(table.name)} SET {quote(column.name)} = 9223372036854775807")
        for tool in session.toolset:
            if tool.kind in ("aggregate", "create", "update"):
                for _ in range(4):
                    result = session.call(tool.name, draw_call(session, tool, dice))
                    met.add("too large" in (result.error.message if result.error else ""))
    assert met == {True, False}


@pytest.mark.parametrize(
    "start",
    [Start(clock=10**12), Start(ids=2**64), Start(ids=-1), Start(clock=0.5), Start(ids="7")],  # type: ignore[arg-type]
    ids=str,
)
def test_starts_that_cannot_be(start):
    with pytest.raises(BadRequest):
        worlddb.generate(1, "tiny").session(start=start)


def test_a_far_start_costs_nothing():
    world = worlddb.generate(5)
    session = world.session(start=Start(ids=10**9, clock=10**9))
    name, arguments = writing(world, world.session())
    session.call(name, arguments)
    assert session.now == world.now + 10**9 + 60


class Evil:
    def __repr__(self) -> str:
        raise ValueError("no")


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


HOSTILE: tuple[Any, ...] = (
    Evil(), {"limit": Evil()}, {"limit": nested(5000)}, nested(5000), "[" * 1010 + "]" * 1010, "[" * 100_000, 10**5000,
    {"limit": 10**5000}, {"x\ud800": 1}, {"filters": {"\ud800": 1}}, {"a": {1, 2}}, {b"x": 1}, {"limit": b"5"}, b"\xff\xfe",
    {"limit": "9" * 400_000}, {"a": "x" * 400_000}, iter([1]), float("nan"),
)  # fmt: skip


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_arguments_are_data(number):
    world = worlddb.generate(3)
    session = world.session(world.toolset(sets="both"))
    for tool in session.toolset.tools[:12]:
        result = session.call(tool.name, HOSTILE[number])
        assert not result.ok
        assert result.error is not None
        assert result.error.code == "INVALID_ARGUMENT"
        assert len(result.json) < 20_000
    kept = session.suspend()
    assert len(kept) < 40_000, "the journal keeps no more of it than is needed to tell what it was"
    assert [e.result for e in resume(world, session.toolset, kept).journal] == [e.result for e in session.journal]


@pytest.mark.parametrize(
    "name", [None, 7, Evil(), "x\ud800", "n" * 10**6, ("a",), b"get", float("nan")], ids=lambda n: type(n).__name__
)
def test_hostile_names_are_data(name):
    session = worlddb.generate(3, "tiny").session()
    result = session.call(name, {})
    assert result.error is not None
    assert result.error.code == "UNKNOWN_TOOL"
    assert len(result.json) < 2_000
    assert len(session.journal[0].name) <= 80


def test_what_the_caller_does_with_its_objects_changes_no_history():
    world = worlddb.generate(5)
    session = world.session()
    name, arguments = writing(world, session)
    given = dict(arguments)
    session.call(name, given)
    given.clear()
    assert session.journal[0].arguments == arguments
    assert resume(world, session.toolset, session.suspend()).diff() == session.diff()
    digest = session.toolset.digest
    for form in (session.toolset.openai(), session.toolset.mcp(), session.toolset.responses()):
        for tool in form:
            tool.get("function", tool).clear()
    assert world.toolset().digest == digest
    assert worlddb.resume(world, world.toolset(), session.suspend()).diff() == session.diff()


def test_minted_values_that_somebody_wrote_before_are_passed_over():
    tried = 0
    for seed in range(40):
        world = worlddb.generate(seed)
        session, dice = world.session(world.toolset(sets="both")), random.Random(seed)
        for tool in session.toolset:
            table = world.schema[tool.table]
            column = next(
                (c for c in table.columns if is_minted(table, c) and c.unique and c.key not in table.key_columns), None
            )
            if tool.key != f"{table.key}.create" or column is None or not world.counts[table.key]:
                continue
            value = Mints(world).make(table.key, column.key, 1)
            key = quote(table[table.primary_key[0]].name)
            name = quote(table.name)
            first = f"(SELECT min({key}) FROM {name})"
            planted = run(session, f"UPDATE {name} SET {quote(column.name)} = ? WHERE {key} = {first}", [value])
            if planted.ok:
                results = [session.call(tool.name, draw_call(session, tool, dice)) for _ in range(20)]
                told = [r.error.parameter for r in results if r.error and r.error.code == "CONFLICT"]
                assert column.name not in told
                tried += any(r.ok for r in results)
            session.reset()
    assert tried >= 5


# --- plug-ins of a careless author


def clumsy(world: World, body: Any) -> tuple[Session, Session]:
    """A session with a plug-in of that body, which also has another session of the same world at hand."""
    other = world.session()

    def misuse(db: Access) -> int:
        """Do what one should not."""
        body(db, other)
        return 1

    plug = worlddb.plugin(misuse, read_only=False)
    return world.session(world.toolset(plugins=[plug])), other


BODIES: dict[str, Any] = {
    "another session": lambda db, other: other.call(other.toolset.names[0], {}),
    "rows of another session": lambda db, other: other.rows("SELECT 1"),
    "a pragma": lambda db, other: db.rows("SELECT 1; PRAGMA ignore_check_constraints = ON"),
    "a temporary table": lambda db, other: db.rows("SELECT 1; CREATE TEMP TABLE t (a)"),
    "a rollback": lambda db, other: db.rows("SELECT 1; ROLLBACK"),
    "a commit": lambda db, other: db.write("COMMIT"),
    "a release": lambda db, other: db.write("RELEASE call"),
    "a file": lambda db, other: db.write("ATTACH 'there.sqlite' AS there"),
}


@pytest.mark.parametrize("what", BODIES)
def test_careless_plug_ins_fail_and_leave_nothing(what):
    world = worlddb.generate(7)
    session, other = clumsy(world, BODIES[what])
    before = contents(world, session.rows)
    for _ in range(2):
        result = session.call("misuse", {})
        assert result.error is not None
        assert result.error.code == "PLUGIN_ERROR"
    assert len(session.diff()) == len(other.diff()) == 0
    assert contents(world, session.rows) == contents(world, other.rows) == before
    name, arguments = writing(world, other)
    assert session.call(name, arguments).ok == other.call(name, arguments).ok


def test_access_ends_with_the_call():
    kept: list[Access] = []
    world = worlddb.generate(7)
    session, _ = clumsy(world, lambda db, other: kept.append(db))
    assert session.call("misuse", {}).ok
    with pytest.raises(BadRequest, match="the call is over"):
        kept[0].rows("SELECT 1")


# --- long episodes with everything in them


def long_episode(seed: int, calls: int) -> int:
    """Three sessions by turns, tools and SQL of every kind, forks, undone calls: always the same as replayed cold.

    Gives how many rows had changed at the comparisons.
    """
    world = worlddb.generate(seed, "small")
    toolset, dice = world.toolset(sets="both"), random.Random(seed)
    start = contents(world, world.connect().execute)
    live, compared = [world.session(toolset, start=Start(ids=n * 7)) for n in range(3)], 0
    for step in range(calls):
        session = dice.choice(live)
        if dice.random() < 0.3:
            run(session, any_sql(world, dice))
        else:
            tool = dice.choice(toolset.tools)
            session.call(tool.name, draw_call(session, tool, dice))
        if dice.random() < 0.05:
            session.undo()
        if dice.random() < 0.03:
            live[dice.randrange(3)] = session.fork()
        if step % 40 == 39:
            session = dice.choice(live)
            again = resume(world, toolset, session.suspend())
            assert again.diff() == session.diff()
            assert outline(again) == outline(session)
            assert counters(again) == counters(session)
            after, changes = contents(world, session.rows), session.diff().changes
            for table in world.schema.tables:
                own = [c for c in changes if c.table == table.key]
                assert {c.before for c in own if c.before is not None} == start[table.key] - after[table.key]
                assert {c.after for c in own if c.after is not None} == after[table.key] - start[table.key]
            assert not session.rows("PRAGMA foreign_key_check")
            for rule in world.schema.rules:
                assert not session.rows(rule.violations(world.schema)), rule.say
            compared += len(changes)
    return compared


def any_sql(world: World, dice: random.Random) -> str:
    """A statement that writes, of any kind."""
    table = dice.choice(world.schema.tables)
    name, columns = quote(table.name), [quote(c.name) for c in table.columns]
    one, key = dice.choice(columns), quote(table[table.primary_key[0]].name)
    some = f"{key} IN (SELECT {key} FROM {name} ORDER BY {dice.choice(columns)} LIMIT {dice.randint(1, 4)})"
    value = dice.choice(
        ("NULL", "1", "'x'", f"(SELECT {one} FROM {name} ORDER BY {key} DESC LIMIT 1)", f"{one} || 'x'", f"{one} + 1")
    )
    fresh = ", ".join("NULL" if c == key else c for c in columns)
    return dice.choice(
        (
            f"UPDATE {name} SET {one} = {value} WHERE {some}",
            f"UPDATE OR IGNORE {name} SET {one} = {value}",
            f"DELETE FROM {name} WHERE {some}",
            f"INSERT INTO {name} SELECT {fresh} FROM {name} WHERE {some}",
            f"INSERT OR IGNORE INTO {name} SELECT * FROM {name} WHERE {some}",
            f"INSERT INTO {name} SELECT * FROM {name} WHERE {some} ON CONFLICT DO UPDATE SET {one} = {value}",
            f"DELETE FROM {name} WHERE {some}; UPDATE {name} SET {one} = {value} WHERE {some}",
        )
    )


@pytest.mark.parametrize("seed", range(700, 708))
def test_long_episodes_hold_together(seed):
    assert long_episode(seed, 120) > 0, "nothing had changed, so nothing was compared"


@pytest.mark.campaign
@pytest.mark.parametrize("block", range(8))
def test_many_long_episodes_hold_together(block):
    for seed in range(800 + block * 12, 812 + block * 12):
        assert long_episode(seed, 240) > 0, "nothing had changed, so nothing was compared"
