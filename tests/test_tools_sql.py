"""Free SQL as a tool: beside the others, under the same laws, and without a way to break the episode."""

from __future__ import annotations

import random
from typing import Any

import pytest

import worlddb
from tests.calls import draw_call
from tests.test_session import contents
from worlddb.schema.rules import SumEq, quote
from worlddb.tools.session import Session, resume
from worlddb.tools.sql import SqlRunner, sql_tool
from worlddb.tools.toolset import Toolset
from worlddb.world.model import World


def with_sql(world: World, *, write: bool = True) -> Session:
    """A session with the world's tools and run_sql."""
    usual = world.toolset()
    tool = sql_tool(world.schema, write=write)
    special = {tool.key: lambda t: SqlRunner(t, world.schema)}
    return world.session(Toolset(world.schema, (*usual.tools, tool), usual.style, special))  # type: ignore[arg-type]


def run(session: Session, sql: str, parameters: Any = None) -> Any:
    return session.call("run_sql", {"sql": sql} if parameters is None else {"sql": sql, "parameters": parameters})


@pytest.fixture
def world() -> World:
    return worlddb.generate(7)


def biggest(world: World) -> Any:
    """The table with most rows among those with an integer key and a nullable column that no rule reads."""
    ruled = {pair for rule in world.schema.rules for pair in rule.touches(world.schema)}
    for table in sorted(world.schema.tables, key=lambda t: -world.counts[t.key]):
        free = [
            c
            for c in table.columns
            if c.nullable and c.key not in table.key_columns and (table.key, c.key) not in ruled
        ]
        free = [c for c in free if not (table.lifecycle and c.key in table.lifecycle.stamps.values())]
        if table.key_style == "integer" and free:
            return table, free[0]
    raise AssertionError("no such table")


def test_a_query_answers_in_columns_and_rows(world):
    session = with_sql(world, write=False)
    table = world.schema.tables[0]
    found = run(session, f"SELECT count(*) AS n FROM {quote(table.name)}")
    assert found.data == {"columns": ["n"], "rows": [[world.counts[table.key]]], "truncated": False, "rows_changed": 0}
    one = run(session, f"SELECT * FROM {quote(table.name)} LIMIT ?", [1])
    assert one.data["columns"] == [c.name for c in table.columns]
    named = run(session, "SELECT :a + 1", {"a": 2})
    assert named.data["rows"] == [[3]]
    assert session.now == world.now


@pytest.mark.parametrize(
    "sql", ["DELETE FROM x", "UPDATE x SET a = 1", "DROP TABLE x", "PRAGMA user_version", "ATTACH 'f' AS g", ""]
)
def test_a_read_only_tool_changes_nothing(world, sql):
    session = with_sql(world, write=False)
    name = quote(world.schema.tables[0].name)
    result = run(session, sql.replace("x", name, 1))
    assert not result.ok
    assert result.error.code in ("SQL_NOT_ALLOWED", "SQL_ERROR", "INVALID_ARGUMENT")
    assert len(session.diff()) == 0


def test_writes_are_seen_by_the_other_tools_and_moved_back(world):
    session = with_sql(world)
    table, column = biggest(world)
    name, key = quote(table.name), quote(table[table.primary_key[0]].name)
    done = run(
        session, f"UPDATE {name} SET {quote(column.name)} = NULL WHERE {key} IN (SELECT {key} FROM {name} LIMIT 20)"
    )
    assert done.ok, done.error
    assert done.data["rows_changed"] == 20
    assert 0 < len(session.diff()) <= 20
    assert session.now > world.now
    session.undo()
    assert contents(world, session.rows) == contents(world, world.connect().execute)
    assert run(session, "SELECT 1").ok
    assert len(session.diff()) == 0


def test_several_statements_are_one_unit(world):
    session = with_sql(world)
    table, column = biggest(world)
    change = f"UPDATE {quote(table.name)} SET {quote(column.name)} = NULL"
    refused = run(session, f"{change} WHERE rowid < 0; {change} LIMIT 5; SELECT * FROM nothing_here")
    assert not refused.ok
    assert len(session.diff()) == 0
    assert contents(world, session.rows) == contents(world, world.connect().execute)


def test_laws_hold_for_free_sql_too():
    met = set()
    for seed in range(40):
        world = worlddb.generate(seed)
        session, dice = with_sql(world), random.Random(seed)
        for table in world.schema.tables:
            if table.lifecycle is not None and world.counts[table.key]:
                column = quote(table[table.lifecycle.column].name)
                before, after = dice.choice(table.lifecycle.states), dice.choice(table.lifecycle.states)
                if before == after or (before, after) in table.lifecycle.moves:
                    continue
                done = run(session, f"UPDATE {quote(table.name)} SET {column} = ? WHERE {column} = ?", [after, before])
                if not done.ok:
                    met.add(done.error.rule.partition(":")[0])
                    assert not any(c.table == table.key for c in session.diff().changes)
                else:
                    assert done.data["rows_changed"] == 0, "an illegal move went through"
        for rule in world.schema.rules:
            if isinstance(rule, SumEq):
                lines = world.schema[rule.of]
                run(session, f"DELETE FROM {quote(lines.name)}")
                met.add("derived" if not session.rows(rule.violations(world.schema)) else "broken")
        for rule in world.schema.rules:
            assert not session.rows(rule.violations(world.schema)), rule.say
    assert met >= {"move", "derived"}
    assert "broken" not in met


def test_a_write_that_is_stopped_leaves_the_episode_as_it_was(world):
    session, other = with_sql(world), with_sql(world)
    table, column = biggest(world)
    name, key = quote(table.name), quote(table[table.primary_key[0]].name)
    assert run(
        session, f"UPDATE {name} SET {quote(column.name)} = NULL WHERE {key} IN (SELECT {key} FROM {name} LIMIT 9)"
    ).ok
    before, rows = session.diff(), contents(world, session.rows)
    bomb = (
        f"UPDATE {name} SET {quote(column.name)} = NULL WHERE {key} > (WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
        f"FROM c) SELECT count(*) FROM c)"
    )
    for _ in range(3):
        stopped = run(session, bomb)
        assert stopped.error.code == "SQL_BUDGET_EXCEEDED"
        assert session.diff() == before
        assert contents(world, session.rows) == rows
        assert run(other, "SELECT 1").ok
        assert len(other.diff()) == 0


def test_replay_keeps_what_the_clock_said(world):
    session, other = with_sql(world), with_sql(world)
    table, column = biggest(world)
    text = next((c for c in table.columns if c.nullable and c.type in ("note", "description", "title")), None)
    target = quote((text or column).name)
    name, key = quote(table.name), quote(table[table.primary_key[0]].name)
    for _ in range(3):
        run(
            session,
            f"UPDATE {name} SET {target} = datetime('now') WHERE {key} = (SELECT min({key}) FROM {name}) RETURNING 1",
        )
        run(session, f"UPDATE {name} SET {target} = datetime('now') WHERE {key} = (SELECT max({key}) FROM {name})")
        run(other, "SELECT 1")
    rows = contents(world, session.rows)
    run(other, "SELECT 1")
    assert contents(world, session.rows) == rows
    again = resume(world, session.toolset, session.suspend())
    assert contents(world, again.rows) == rows
    assert again.diff() == session.diff()


def test_used_up_numbers_are_an_error_and_no_crash():
    for seed in range(30):
        world = worlddb.generate(seed)
        session, dice = with_sql(world), random.Random(seed)
        for tool in session.toolset:
            table = world.schema[tool.table]
            if tool.kind != "create" or table.key_style != "integer" or len(table.primary_key) > 1:
                continue
            names = [quote(c.name) for c in table.columns]
            values = [str(2**63 - 1) if c.key in table.primary_key else quote(c.name) for c in table.columns]
            unique = [c for c in table.columns if c.unique] or table.uniques
            if unique:
                continue
            name = quote(table.name)
            sql = f"INSERT INTO {name} ({', '.join(names)}) SELECT {', '.join(values)} FROM {name} LIMIT 1"
            if not run(session, sql).ok:
                continue
            before = session.diff()
            for _ in range(5):
                result = session.call(tool.name, draw_call(session, tool, dice))
                assert not result.ok
                assert session.diff() == before
            assert run(session, "SELECT 1").ok
            return
    raise AssertionError("nothing was tried")
