"""Every trajectory that a verdict must get right: agents of `tests.adversaries` on the tasks of worlds of different shape."""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import pytest

from tests.adversaries import RIGHT, WRONG, Agent, Attempt
from tests.mutations import Case, bench
from worlddb.episode.snapshots import verify_snapshots
from worlddb.schema.rules import quote
from worlddb.world.diff import Change

SEEDS = (0, 2, 3, 5, 8, 13, 15, 20, 21, 27, 28, 29)
MORE = range(40, 140)
"""Worlds that are looked at where these give too few occasions."""
LEAST = 5
QUICK = 40
"""Attempts of one agent, in the quick test."""


def cases(seeds: Iterable[int]) -> Iterator[Case]:
    """The tasks of some worlds, one of each world in turn."""
    for some in zip_longest(*(bench(s).cases for s in seeds)):
        yield from (c for c in some if c is not None)


def further() -> Iterator[Case]:
    for seed in MORE:
        yield from bench(seed).cases


def tried(agent: Agent, *, most: int, seeds: Iterable[int] = SEEDS) -> Iterator[tuple[Case, Attempt]]:
    """Attempts of an agent: some of every task, until there are enough; in further worlds until there are the least."""
    found = 0
    for case in cases(seeds):
        for attempt in islice(agent(case), most):
            yield case, attempt
            found += 1
        if found >= most:
            return
    for case in further():
        if found >= LEAST:
            return
        for attempt in agent(case):
            yield case, attempt
            found += 1


def told(case: Case, attempt: Attempt) -> str:
    calls = [f"{e.name} {e.raw[:300].decode(errors='replace')} {'ok' if e.result.ok else e.result.text[:200]}"
             for e in attempt.session.journal]  # fmt: skip
    gold = [f"{c.tool} {c.arguments}" for c in case.task.gold if c.writes]
    verdict = case.judge(attempt.session, attempt.answer, attempt.goal)
    return "\n".join([case.task.id, *calls[-12:], f"answer {attempt.answer!r}", "gold:", *gold, f"{verdict}"])


def check(agent: Agent, *, right: bool, most: int, seeds: Iterable[int] = SEEDS) -> Counter[str]:
    """Judge an agent's attempts: all of them are to be paid, or none."""
    worlds = Counter[str]()
    for case, attempt in tried(agent, most=most, seeds=seeds):
        verdict = case.judge(attempt.session, attempt.answer, attempt.goal)
        assert not verdict.invalid, told(case, attempt)
        assert (verdict.success, verdict.reward) == (right, float(right)), told(case, attempt)
        assert verdict.shaped == 1 if right else verdict.shaped <= 0.5, told(case, attempt)
        assert right or any(line.kind != "NOTE" for line in verdict.lines), "a failure is explained"
        worlds[case.task.world] += 1
    assert worlds.total() >= LEAST, f"only {worlds.total()} occasions"
    return worlds


def test_the_worlds_differ() -> None:
    assert len({bench(s).world.schema.domain for s in SEEDS}) >= 8
    assert len({len(bench(s).world.schema.tables) for s in SEEDS}) >= 5
    assert len({c.task.family for c in cases(SEEDS)}) >= 8


@pytest.mark.parametrize("name", RIGHT)
def test_right_is_paid(name: str) -> None:
    check(RIGHT[name], right=True, most=QUICK)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_is_not_paid(name: str) -> None:
    check(WRONG[name], right=False, most=QUICK)


@pytest.mark.campaign
@pytest.mark.parametrize("name", [*RIGHT, *WRONG])
def test_campaign_of_agents(name: str) -> None:
    right = name in RIGHT
    worlds = check(RIGHT[name] if right else WRONG[name], right=right, most=10**6, seeds=range(40))
    print(f"{'paid' if right else 'not paid'}  {name:46} {worlds.total():6} attempts in {len(worlds)} worlds")


# --- from snapshots alone


def write(connection: sqlite3.Connection, case: Case, change: Change) -> None:
    """One row change, carried out in a database elsewhere."""
    home = case.schema[change.table]
    where = " AND ".join(f"{quote(home[k].name)} = ?" for k in home.primary_key)
    connection.execute(f"DELETE FROM {quote(home.name)} WHERE {where}", change.key)
    if change.after is not None:
        names = [quote(c.name) for c in home.columns]
        text = f"INSERT INTO {quote(home.name)} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        connection.execute(text, change.after)


def elsewhere(case: Case, path: Path) -> sqlite3.Connection:
    """The world as a file of its own, in which nothing guards anything."""
    case.world.save(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = OFF")
    return connection


def changing(least: int) -> list[Case]:
    return list(islice((c for c in cases(SEEDS) if c.writes and not c.task.goal.answers), least))


def test_an_open_transaction_is_as_if_it_had_never_been(tmp_path: Path) -> None:
    for at, case in enumerate(changing(8)):
        path = tmp_path / f"{at}.sqlite"
        connection = elsewhere(case, path)
        connection.execute("BEGIN")
        for change in case.golds[0].session.diff():
            write(connection, case, change)
        for source in (path, connection):
            open_ = verify_snapshots(case.world, case.task.goal, None, source)
            assert not open_.success, open_
            assert not open_.invalid, open_
        connection.execute("COMMIT")
        done = verify_snapshots(case.world, case.task.goal, None, path)
        assert done.success, f"{case.task.id}\n{done}"
        connection.close()


def test_a_hundred_thousand_writes(tmp_path: Path) -> None:
    """Among so many the right change is not enough; and so many that come to nothing are no harm."""
    found = 0
    for at, case in enumerate(changing(60)):
        home = next((t for t in case.schema.tables if case.new_key(t.key) and t.key_style == "integer"), None)
        if home is None or not case.ground.table(home.key):
            continue
        path = tmp_path / f"{at}.sqlite"
        connection = elsewhere(case, path)
        for change in case.golds[0].session.diff():
            write(connection, case, change)
        row = case.ground.table(home.key)[0]
        unique = {c.key for c in home.columns if c.unique} | {k for u in home.uniques for k in u}
        names, values = [], list[Any]()
        for column in home.columns:
            if not column.formula:
                names.append(quote(column.name))
                values.append("n" if column.key in home.primary_key else "n || ''" if column.key in unique else "?")
        given = [
            row[c.key] for c, v in zip([c for c in home.columns if not c.formula], values, strict=True) if v == "?"
        ]
        first = case.new_key(home.key)
        numbers = f"WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {first} + 99999)"
        connection.execute("PRAGMA ignore_check_constraints = ON")
        try:
            connection.execute(
                f"{numbers} INSERT INTO {quote(home.name)} ({', '.join(names)}) SELECT {', '.join(values)} FROM s",
                given,
            )
        except sqlite3.Error:  # a unique index or a strict type is in the way
            connection.close()
            continue
        connection.execute(f"UPDATE {quote(home.name)} SET {names[0]} = {names[0]}")
        start = time.perf_counter()
        flooded = verify_snapshots(case.world, case.task.goal, None, path)
        assert not flooded.success
        assert not flooded.invalid
        assert flooded.shaped <= 0.5
        assert time.perf_counter() - start < 30
        connection.execute(
            f"DELETE FROM {quote(home.name)} WHERE {quote(home[home.primary_key[0]].name)} >= ?", [first]
        )
        connection.close()
        back = verify_snapshots(case.world, case.task.goal, None, path)
        assert back.success, f"{case.task.id}\n{back}"
        found += 1
        if found == 2:
            return
    assert found >= 1


def test_a_session_of_many_writes_that_come_to_nothing() -> None:
    """Thousands of calls that write and take back, then the gold: the verdict costs what is left, and pays."""
    case = next(c for c in changing(30) if any(t.key not in {k for k, _ in c.touched} for t in c.schema.tables))
    dice = random.Random(1)
    for table in case.schema.tables:
        column = next((c for c in table.columns if c.type in ("note", "title", "description")), None)
        if column is None or table.key in {k for k, _ in case.touched} or not case.ground.table(table.key):
            continue
        row = dice.choice(case.ground.table(table.key))
        key = tuple(row[k] for k in table.primary_key)
        session = case.begin()
        for n in range(1_000):
            case.put(session, table.key, key, **{column.key: f"draft {n}"})
        if not session.diff():
            continue
        before = case.judge(case.played(), case.answer)
        assert not case.judge(session, case.answer).success
        case.put(session, table.key, key, **{column.key: row[column.key]})
        case.run(session, case.steps)
        assert before.success
        assert case.judge(session, case.answer).success
        return
    pytest.fail("no occasion")
