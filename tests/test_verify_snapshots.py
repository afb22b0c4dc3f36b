"""Verdicts from two databases alone: equal to those from the journal in all that a database can tell."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest

import worlddb
from tests.shop import random_episode
from worlddb.episode.snapshots import Unfinished, diff_of, opened, verify_snapshots
from worlddb.episode.verify import verify
from worlddb.errors import BadRequest, StoreError
from worlddb.schema.rules import quote
from worlddb.tasks.compile import goal_of
from worlddb.tasks.forms import window_in
from worlddb.tasks.goal import Answer, Goal, Need, Never, Row
from worlddb.tools.session import Session, Start
from worlddb.world.diff import Diff
from worlddb.world.model import World


def image_of(session: Session) -> bytes:
    """The episode's database as somebody else would have it: the world, with the present rows of the episode."""
    connection = session.world.connect()
    connection.execute("PRAGMA foreign_keys = OFF")
    for table in session.world.schema.tables:
        names = ", ".join(quote(c.name) for c in table.columns)
        rows = session.rows(f"SELECT {names} FROM {quote(table.name)}")
        connection.execute(f"DELETE FROM {quote(table.name)}")
        marks = ", ".join("?" * len(table.columns))
        connection.executemany(f"INSERT INTO {quote(table.name)} ({names}) VALUES ({marks})", rows)
    return connection.serialize("main")


def goal_in(session: Session, **more: Any) -> Goal:
    return goal_of(session.world.schema, [session.diff()], windows=[window_in(session)], **more)


@pytest.mark.parametrize("seed", range(60))
def test_the_live_diff_is_the_diff_of_the_snapshots(seed):
    world, dice = worlddb.generate(seed, "small"), random.Random(seed)
    session = world.session(start=Start(clock=500 * (seed % 3), ids=seed % 5))
    for _ in range(3):
        random_episode(session, dice, 10)
        image = image_of(session)
        assert diff_of(world.schema, world.image, image) == session.diff()
        goal = goal_in(session)
        live = verify(goal, session)
        cold = verify_snapshots(world, goal, None, image, start=session.start, now=session.now)
        assert (live.success, cold.success, cold.not_judged) == (True, True, ())
    assert len(session.diff()) > 0
    back = diff_of(world.schema, image, world.image)
    assert {(c.table, c.key, c.after, c.before) for c in back} == set(map(tuple, session.diff().changes))


@pytest.mark.parametrize("seed", range(0, 30, 3))
def test_failures_are_told_alike(seed):
    world, dice = worlddb.generate(seed, "small"), random.Random(seed)
    gold, other = world.session(), world.session()
    random_episode(gold, dice, 8)
    random_episode(other, dice, 8)
    goal = goal_in(gold)
    live, cold = verify(goal, other), verify_snapshots(world, goal, world.image, image_of(other), now=other.now)
    assert live.success == cold.success == (goal_in(other).alternatives == goal.alternatives)
    assert [(x.kind, x.text) for x in live.lines] == [(x.kind, x.text) for x in cold.lines]
    assert live.shaped == cold.shaped


def acted() -> tuple[World, Session, Goal]:
    world = worlddb.generate(5, "small")
    session = world.session()
    random_episode(session, random.Random(5), 12)
    assert len(session.diff()) > 1
    return world, session, goal_in(session)


def test_what_only_a_journal_tells_is_said_to_be_unjudged():
    world, session, goal = acted()
    row = Row(world.schema.tables[0].key, (1,))
    goal = Goal(
        alternatives=goal.alternatives, answers=(Answer(kind="number", value=4),), needs=(Need(ways=((row,),)),),
        bans=(Never(table="x", say="Leave the x alone."),),
    )  # fmt: skip
    verdict = verify_snapshots(world, goal, None, image_of(session), 4)
    assert verdict.success
    assert verdict.not_judged == ("forbidden: Leave the x alone.", "evidence: which rows were read before the answer")
    assert verify_snapshots(world, goal, None, image_of(session), 5).ring == "answer"
    assert not verify_snapshots(world, goal, None, image_of(session)).success


def test_a_moment_after_the_episode_is_wrong():
    world, session, _ = acted()
    table, column = next(
        (t, c) for t in world.schema.tables for c in t.columns if c.type in ("created_at", "updated_at")
    )
    moved = apsw.Connection(":memory:")
    moved.deserialize("main", world.image)
    sql = f"UPDATE {quote(table.name)} SET {quote(column.name)} = ?"
    moved.execute(sql, (worlddb.tasks.forms.clock_text(world.now + 600),))
    assert verify_snapshots(world, Goal(), None, moved).success
    assert not verify_snapshots(world, Goal(), None, moved, now=world.now + 300).success
    moved.execute(sql, ("2199-01-01 00:00:00",))
    assert not verify_snapshots(world, Goal(), None, moved).success
    assert session.world is world


# --- what counts is what is committed


@pytest.fixture
def files(tmp_path: Path) -> tuple[World, Path]:
    world = worlddb.generate(5, "small")
    return world, world.save(tmp_path / "world.sqlite")


def first_text(world: World) -> tuple[str, str]:
    """A table and a column of text that may be changed freely."""
    return next(
        (quote(t.name), quote(c.name)) for t in world.schema.tables for c in t.columns
        if c.type in ("full_name", "note", "title", "description", "person_name") and not c.unique and c.key not in t.key_columns
    )  # fmt: skip


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_an_open_transaction_is_as_if_it_had_never_begun(files, mode):
    world, path = files
    table, column = first_text(world)
    open_one = sqlite3.connect(path, isolation_level=None)
    open_one.execute(f"PRAGMA journal_mode = {mode}")
    open_one.execute("PRAGMA cache_size = 1")
    open_one.execute(f"UPDATE {table} SET {column} = 'done'")
    assert len(diff_of(world.schema, world.image, path)) > 0, "committed content counts, from a WAL as well"
    committed = diff_of(world.schema, world.image, path)
    open_one.execute("BEGIN")
    open_one.execute(f"UPDATE {table} SET {column} = 'never committed'")
    for view in (path, str(path), open_one):
        assert diff_of(world.schema, world.image, view) == committed
    assert not verify_snapshots(world, goal_of(world.schema, [Diff()]), None, path).success
    open_one.execute("ROLLBACK")
    open_one.close()


def test_a_hot_journal_is_rolled_back_in_a_copy(files):
    """A process that dies in the middle of a transaction leaves a journal, and pages that were never committed."""
    world, path = files
    table, column = first_text(world)
    script = f"""
import os, sqlite3
c = sqlite3.connect({str(path)!r}, isolation_level=None)
c.execute("PRAGMA cache_size = 1"); c.execute("PRAGMA journal_mode = DELETE")
c.execute("BEGIN")
for i in range(5):
    c.execute({f"UPDATE {table} SET {column} = printf('%2000s', "!r} + str(i) + ")")
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    journal = path.with_name(path.name + "-journal")
    assert journal.stat().st_size > 0
    before = path.read_bytes()
    assert before != world.image, "pages were spilled"
    assert diff_of(world.schema, world.image, path) == Diff()
    assert verify_snapshots(world, Goal(), None, path).success
    assert (path.read_bytes(), journal.exists()) == (before, True)


@pytest.mark.parametrize("library", [apsw, sqlite3])
def test_a_connection_in_memory_with_an_open_transaction_cannot_be_judged(library):
    world = worlddb.generate(5, "small")
    table, column = first_text(world)
    connection = (
        library.Connection(":memory:") if library is apsw else sqlite3.connect(":memory:", isolation_level=None)
    )
    connection.deserialize(*(("main", world.image) if library is apsw else (world.image,)))
    assert verify_snapshots(world, Goal(), None, connection).success
    connection.execute("BEGIN")
    connection.execute(f"UPDATE {table} SET {column} = 'x'")
    verdict = verify_snapshots(world, Goal(), None, connection)
    assert (verdict.success, verdict.invalid, verdict.lines[0].kind) == (False, False, "INTEGRITY")
    with pytest.raises(Unfinished), opened(connection):
        pass


def test_what_is_no_database_says_so(tmp_path):
    world = worlddb.generate(5, "small")
    junk = tmp_path / "junk.sqlite"
    junk.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="no file"):
        diff_of(world.schema, world.image, tmp_path / "nothing.sqlite")
    with pytest.raises(StoreError, match="no sound SQLite"):
        diff_of(world.schema, world.image, junk)
    with pytest.raises(BadRequest, match="not as in the schema"):
        diff_of(world.schema, world.image, worlddb.generate(6, "small").image)
    with pytest.raises(StoreError, match="no file"):
        verify_snapshots(world, Goal(), None, tmp_path / "nothing.sqlite")
    verdict = verify_snapshots(world, Goal(), None, junk)
    assert (verdict.invalid, verdict.success, verdict.lines[0].kind) == (False, False, "INTEGRITY")
    assert verify_snapshots(world, Goal(), junk, world.image).invalid


# --- the database itself


@pytest.mark.parametrize(
    ("sql", "kind", "text"),
    [
        ("CREATE TABLE more (x)", "SCHEMA", "table more is new"),
        ("CREATE INDEX extra ON {table} ({column})", "SCHEMA", "index extra is new"),
        ("CREATE TRIGGER t AFTER INSERT ON {table} BEGIN SELECT 1; END", "SCHEMA", "trigger t is new"),
        ("CREATE VIEW v AS SELECT 1", "SCHEMA", "view v is new"),
        ("ALTER TABLE {table} ADD COLUMN more TEXT", "SCHEMA", "differs"),
        ("ALTER TABLE {table} RENAME COLUMN {column} TO other", "SCHEMA", "differs"),
        ("DROP TABLE {table}", "SCHEMA", "is gone"),
    ],
)
def test_a_schema_that_was_touched_fails(sql, kind, text):
    world = worlddb.generate(5, "small")
    table, column = first_text(world)
    connection = world.connect()
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute(sql.format(table=table, column=column))
    verdict = verify_snapshots(world, Goal(), None, connection)
    assert (verdict.success, verdict.invalid, verdict.reward) == (False, False, 0.0)
    assert any(line.kind == kind and text in line.text for line in verdict.lines)


def test_broken_references_and_rules_fail_even_where_the_goal_is_met():
    found = set()
    for seed in range(12):
        world = worlddb.generate(seed, "small")
        connection = world.connect()
        connection.execute("PRAGMA foreign_keys = OFF")
        child, key = next((t, f) for t, f in world.schema.edges() if len(f.columns) == 1 and not f.nullable)
        for old in connection.execute(
            f"SELECT {quote(world.schema[key.table][key.ref[0]].name)} FROM {quote(world.schema[key.table].name)} LIMIT 1"
        ).fetchall():
            connection.execute(
                f"DELETE FROM {quote(world.schema[key.table].name)} WHERE {quote(world.schema[key.table][key.ref[0]].name)} = ?",
                old,
            )
        diff = diff_of(world.schema, world.image, connection)
        verdict = verify_snapshots(world, goal_of(world.schema, [diff]), None, connection)
        refers = any("refers to a row" in line.text for line in verdict.lines)
        assert verdict.success is not any(line.kind == "INTEGRITY" for line in verdict.lines)
        found.add((refers, verdict.success))
        assert child.key in world.schema
    assert (True, False) in found


def test_what_was_broken_before_is_not_held_against_the_agent():
    world = worlddb.generate(5, "small")
    connection = world.connect()
    connection.execute("PRAGMA foreign_keys = OFF")
    child, key = next((t, f) for t, f in world.schema.edges() if len(f.columns) == 1 and not f.unique)
    name, column = quote(child.name), quote(child[key.columns[0]].name)
    connection.execute(f"UPDATE {name} SET {column} = 987654 WHERE rowid = (SELECT min(rowid) FROM {name})")
    image = connection.serialize("main")
    assert verify_snapshots(world, Goal(), image, image).success
    assert not verify_snapshots(world, Goal(), None, image).success
