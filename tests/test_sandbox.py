"""The sandbox: an adversary's SQL fails within its budgets, leaves nothing behind, and honest SQL works."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import worlddb
from worlddb.world import clock
from worlddb.world.sandbox import Bound, Limits, Refused, Rows, Sandbox
from worlddb.world.sqltext import FUNCTIONS

NOW = 1_700_000_000
HANG = 5.0
"""Seconds that no call may take on any machine; the budgets themselves are in steps."""
IMAGE = """
CREATE TABLE party (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, name TEXT NOT NULL UNIQUE, city TEXT) STRICT;
CREATE TABLE booking (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  party_id INTEGER NOT NULL REFERENCES party(id) ON DELETE CASCADE,
  nights INTEGER NOT NULL CHECK (nights > 0), made_at TEXT NOT NULL, price REAL) STRICT;
CREATE INDEX booking_party ON booking(party_id);
CREATE TABLE tag (code TEXT PRIMARY KEY NOT NULL, label TEXT, picture BLOB) STRICT;
CREATE VIEW long_stay AS SELECT * FROM booking WHERE nights > 5;
"""


def image() -> bytes:
    connection = apsw.Connection(":memory:")
    connection.execute(IMAGE).fetchall()
    names = [(i, f"Party {i:03d}", ("Oslo", "Lima", "Kyoto")[i % 3]) for i in range(1, 301)]
    connection.executemany("INSERT INTO party VALUES (?, ?, ?)", names)
    stays = [(i, i % 300 + 1, i % 9 + 1, f"2023-{i % 12 + 1:02d}-11 10:00:00", i * 1.5) for i in range(1, 2001)]
    connection.executemany("INSERT INTO booking VALUES (?, ?, ?, ?, ?)", stays)
    connection.executemany("INSERT INTO tag VALUES (?, ?, ?)", [(f"T{i}", None, b"\x00\xff") for i in range(5)])
    return connection.serialize("main")


BYTES = image()


def host(limits: Limits | None = None) -> tuple[apsw.Connection, Sandbox]:
    clock.set_now(NOW)
    connection = clock.open_memory()
    connection.deserialize("main", BYTES)
    connection.execute("PRAGMA foreign_keys = ON")
    sandbox = Sandbox(connection, limits)
    connection.execute("BEGIN")
    return connection, sandbox


def call(
    connection: apsw.Connection, sandbox: Sandbox, sql: Any, parameters: Any = None, write: bool = False
) -> Rows | Refused:
    """A call as a host makes it: a savepoint around it, and on a refusal the state of before."""
    connection.execute("SAVEPOINT call")
    answer = sandbox.run(sql, parameters, write=write)
    if isinstance(answer, Rows):
        connection.execute("RELEASE call")
    elif connection.in_transaction:
        connection.execute("ROLLBACK TO call")
        connection.execute("RELEASE call")
    else:
        connection.execute("BEGIN")  # stopped for its steps while it wrote; no earlier call had written anything
    return answer


def state(connection: apsw.Connection) -> list[Any]:
    """All that an agent must not change: rows, schema, sequences, settings and limits."""
    names = [
        n for (n,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
    ]
    rows = [connection.execute(f'SELECT rowid, * FROM "{n}" ORDER BY rowid').fetchall() for n in names]
    schema = connection.execute("SELECT * FROM sqlite_schema").fetchall()
    temporary = connection.execute("SELECT * FROM sqlite_temp_schema").fetchall()
    files = connection.execute("SELECT * FROM pragma_database_list").fetchall()
    settings_ = [
        connection.pragma(p) for p in ("foreign_keys", "user_version", "cache_size", "recursive_triggers", "query_only")
    ]
    limits = [connection.limit(getattr(apsw, name)) for name in dir(apsw) if name.startswith("SQLITE_LIMIT_")]
    return [rows, schema, temporary, files, settings_, limits, connection.in_transaction]


G = "WITH RECURSIVE g(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM g) "
NO, BUDGET, LARGE, ERROR = "SQL_NOT_ALLOWED", "SQL_BUDGET_EXCEEDED", "SQL_TOO_LARGE", "SQL_ERROR"


def many(template: str, n: int, between: str = ", ") -> str:
    return between.join(template.replace("#", str(i)) for i in range(n))


ATTACKS: list[tuple[str, str, Any, bool]] = [
    # files, settings and structure
    (NO, "ATTACH '/tmp/x.db' AS x", None, True),
    (NO, "DETACH main", None, True),
    (NO, "PRAGMA foreign_keys = OFF", None, True),
    (NO, "/* SELECT */ PRAGMA writable_schema = 1", None, True),
    (NO, "SELECT 1; PRAGMA foreign_keys = OFF", None, True),
    (NO, "SELECT * FROM pragma_table_info('party')", None, False),
    (NO, "SELECT count(*) FROM pragma_database_list", None, False),
    (NO, 'SELECT count(*) FROM "PRAGMA_database_list"', None, False),
    (NO, "SELECT * FROM pragma_foreign_keys", None, True),
    (NO, "CREATE TABLE x (a)", None, True),
    (NO, "CREATE TEMP TABLE x AS SELECT 1", None, True),
    (NO, "CREATE VIRTUAL TABLE x USING fts5(a)", None, True),
    (NO, "CREATE TRIGGER x AFTER INSERT ON tag BEGIN DELETE FROM party; END", None, True),
    (NO, "DROP TABLE party", None, True),
    (NO, "ALTER TABLE party ADD COLUMN x", None, True),
    (NO, "REINDEX", None, True),
    (NO, "ANALYZE", None, True),
    (NO, "VACUUM INTO '/tmp/x.db'", None, True),
    (NO, "EXPLAIN SELECT 1", None, False),
    # transactions
    (NO, "COMMIT", None, True),
    (NO, "ROLLBACK", None, True),
    (NO, "SAVEPOINT x", None, True),
    (NO, "RELEASE call", None, True),
    (NO, "BEGIN", None, True),
    (NO, "INSERT OR ROLLBACK INTO tag VALUES ('T1', 'x', NULL)", None, True),
    (NO, "UPDATE /* x */ OR--\nROLLBACK tag SET code = 'T1'", None, True),
    # writing where one only reads, or where nobody writes
    (NO, "DELETE FROM party", None, False),
    (NO, "WITH x AS (SELECT 1) DELETE FROM tag", None, False),
    (NO, "INSERT INTO tag VALUES ('x', 'y', NULL)", None, False),
    (NO, "REPLACE INTO tag VALUES ('T1', 'y', NULL)", None, False),
    (NO, "UPDATE tag SET label = 'x' RETURNING code", None, False),
    (NO, "SELECT 1; DELETE FROM tag", None, False),
    (NO, "UPDATE sqlite_sequence SET seq = 0", None, True),
    (NO, "DELETE FROM sqlite_sequence", None, True),
    (NO, "INSERT INTO sqlite_schema VALUES ('table', 'x', 'x', 1, '')", None, True),
    (NO, "UPDATE tag SET rowid = 99", None, True),
    (NO, 'INSERT INTO tag ("rowid", code) VALUES (99, 1)', None, True),
    (NO, "UPDATE tag SET [_rowid_] = 99", None, True),
    # what is not of the world
    (NO, "SELECT * FROM sqlite_sequence", None, False),
    (NO, "SELECT * FROM sqlite_temp_schema", None, False),
    (NO, "SELECT * FROM dbstat", None, False),
    (NO, "SELECT count(*) FROM dbstat", None, False),
    (NO, "SELECT count(*) FROM (SELECT 1 FROM DBSTAT)", None, False),
    *((NO, f"SELECT {f}", None, False) for f in (
        "random()", "hex(randomblob(4))", "RANDOM()", '"random"()', "load_extension('x')", "fts3_tokenizer('simple')",
        "sqlite_version()", "sqlite_source_id()", "last_insert_rowid()", "changes()", "total_changes()",
        "sqlite_compileoption_get(0)", "sqlite_log(1, 'x')", "exp(1)", "sin(1)", "json_patch('{}', '{}')",
        "median(1)", "unhex('00', 'x')", "rtreecheck('party')",
    )),
    (NO, "SELECT 1 ORDER BY random()", None, False),
    (NO, "SELECT max(x) OVER (ORDER BY random()) FROM (SELECT 1 AS x)", None, False),
    (NO, "INSERT INTO tag SELECT 'x' || random(), NULL, NULL", None, True),
    # the machine's time zone
    *((NO, f"SELECT {d}", p, False) for d, p in (
        ("date('now', 'localtime')", None), ("date('now', \"LocalTime\")", None), ("time('now', 'utc')", None),
        ("datetime('now', 'local' || 'time')", None), ("datetime('now', char(108) || 'ocaltime')", None),
        ("date('now', (SELECT 'localtime'))", None), ("date('now', lower('LOCALTIME'))", None),
        ("strftime('%H', 'now', '+1 day', 'localtime')", None), ('"date"(\'now\', city) FROM party', None),
        ("date /* ( */ ('now', CASE WHEN 1 THEN 'localtime' ELSE '' || ' days' END)", None),
        ("date('now', '{\"a\":\"utc\"}' || '' ->> 'a')", None), ("date('now', '' || 'utc')", None),
        ("date('now', ?)", ["localtime"]), ("date('now', :z)", {"z": " UTC "}), ("date('now', ?)", [b"utc"]),
        ("date('now', :a('), 'localtime') --')", ["+1 day"]),
    )),
    # work without end
    (BUDGET, G + "SELECT count(*) FROM g", None, False),
    (BUDGET, "SELECT count(*) FROM booking a, booking b, booking c", None, False),
    (BUDGET, "SELECT a.id FROM booking a, booking b, booking c WHERE a.id + b.id + c.id < 0", None, False),
    (BUDGET, G + "SELECT x FROM g ORDER BY -x", None, False),
    (BUDGET, G + "SELECT DISTINCT x % 1 FROM g LIMIT 2", None, False),
    (BUDGET, G + "SELECT sum(x) OVER (ORDER BY x ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM g", None, False),
    (BUDGET, G + "SELECT count(*) FROM g a, json_each('[' || a.x || ',1,2]')", None, False),
    (BUDGET, G + "SELECT (SELECT count(*) FROM booking WHERE nights = x % 7) FROM g WHERE x < 0", None, False),
    (BUDGET, G + "DELETE FROM booking WHERE id IN (SELECT -x FROM g)", None, True),
    (BUDGET, G + "INSERT INTO tag SELECT 'X' || x, printf('%.3000c', 'x'), NULL FROM g", None, True),
    (BUDGET, G + "UPDATE party SET city = (SELECT count(*) FROM g)", None, True),
    (BUDGET, ";".join([G + "SELECT max(x) FROM g"] * 100), None, True),
    # much work in one step
    (BUDGET, G + f"SELECT {many('sum(instr(?1 || x, ?2))', 50)} FROM g", ["a" * 9900, "a" * 4900 + "b"], False),
    (BUDGET, G + f"SELECT {many('sum(length(replace(?1 || x, ?2, 1)))', 50)} FROM g", ["a" * 9900, "a" * 4900 + "b"], False),
    (BUDGET, G + f"SELECT {many('sum(?1 || x LIKE ?2)', 50)} FROM g", ["a" * 990, "%" + "a" * 48 + "b"], False),
    (BUDGET, G + f"SELECT {many('sum(?1 || x GLOB ?2)', 50)} FROM g", ["a" * 990, "*[b-y" + "ab" * 20 + "]b"], False),
    (BUDGET, G + f"SELECT {many('sum((?1 || x) + #)', 90)} FROM g", ["1" * 990], False),
    (BUDGET, G + f"SELECT {many('sum((?1 || x) + #)', 90)} FROM g", ["1" * 9900], False),
    (BUDGET, G + f"SELECT {many('sum(json_valid(?1 || x || ?2))', 50)} FROM g", ["[" + "1," * 4900, "]"], False),
    (BUDGET, G + f"SELECT {many('max(strftime(?1, x))', 50)} FROM g", ["%J" * 60], False),
    (BUDGET, G + f"SELECT {many('sum(length(hex(zeroblob(490 + x % 9))))', 50)} FROM g", None, False),
    (ERROR, "SELECT ?1 LIKE ?2", ["a" * 990, "%a" * 400], False),
    (NO, "SELECT trim(?1, ?2)", ["a" * 9000, "b" * 9000], False),
    (NO, "SELECT rtrim(name, city) FROM party", None, False),
    # memory
    (LARGE, "SELECT hex(zeroblob(200000000))", None, False),
    (LARGE, "SELECT length(zeroblob(1000000000))", None, False),
    (LARGE, "SELECT printf('%.*c', 100000000, 'x')", None, False),
    (LARGE, "SELECT printf('%1000000d', 1)", None, False),
    (LARGE, "SELECT replace(printf('%.5000c', 'x'), 'x', 'yyyyyyyy')", None, False),
    (BUDGET, "SELECT group_concat(a.name) FROM party a, party b", None, False),
    (BUDGET, "SELECT json_group_array(name) FROM (SELECT a.name FROM party a, party b)", None, False),
    (LARGE, "WITH RECURSIVE d(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM d) SELECT max(length(s)) FROM d", None, False),
    (LARGE, f"SELECT {many('?1', 190)}", ["x" * 9000], False),
    (LARGE, f"SELECT {many('#', 201)}", None, False),
    (LARGE, "SELECT " + "1" * 20_000, None, False),
    (LARGE, "SELECT ?", ["x" * 20_001], False),
    (LARGE, "SELECT ?", ["é" * 10_001], False),
    (LARGE, "INSERT INTO tag VALUES ('x', printf('%.5000c', 'x'), NULL)", None, True),
    (LARGE, "UPDATE booking SET nights = nights + 1", None, True),
    (LARGE, "DELETE FROM party", None, True),
    (LARGE, "DELETE FROM booking WHERE id <= 900; DELETE FROM booking WHERE id <= 1900", None, True),
    (BUDGET, G + "SELECT count(*) FROM (SELECT DISTINCT printf('%.900c', x) || x FROM g)", None, False),
    (BUDGET, G + "SELECT printf('%.900c', x) FROM g ORDER BY x * -1", None, False),
    (BUDGET, G + f"SELECT {many('count(DISTINCT printf(?1, x) || #)', 60)} FROM g", ["%.900c"], False),
    (BUDGET, "WITH m AS MATERIALIZED (SELECT id AS x FROM booking) SELECT count(*) FROM "
     + many("m AS m#", 40) + " WHERE " + many("m#.x = m0.x", 40, " AND "), None, False),
    # the parser
    (ERROR, "SELECT " + "(" * 5000 + "1" + ")" * 5000, None, False),
    (ERROR, "SELECT " + "1 + " * 4000 + "1", None, False),
    (ERROR, "SELECT " + "NOT " * 4000 + "1", None, False),
    (ERROR, "SELECT " + "(SELECT " * 900 + "1" + ")" * 900, None, False),
    (ERROR, many("SELECT #", 500, " UNION ALL "), None, False),
    (ERROR, "WITH c0 AS (SELECT 1 AS v)" + "".join(
        f", c{i} AS (SELECT a.v FROM c{i - 1} a, c{i - 1} b)" for i in range(1, 30)) + " SELECT count(*) FROM c29", None, False),
    (ERROR, "SELECT 'unterminated", None, False),
    (ERROR, "SELECT 1 /* \0 */", None, False),
    (ERROR, "SELECT '\ud800'", None, False),
    (ERROR, "SELECT CAST(x'ff' AS TEXT)", None, False),
    (ERROR, " ; -- nothing", None, False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "sql", "parameters", "write"), ATTACKS, ids=[a[1][:60].replace("\0", "0") for a in ATTACKS]
)
def test_an_attack_is_refused_the_same_everywhere_and_leaves_nothing(
    code: str, sql: str, parameters: Any, write: bool
) -> None:
    outcomes = []
    for _ in range(2):
        connection, sandbox = host()
        before = state(connection)
        began = time.perf_counter()
        refused = call(connection, sandbox, sql, parameters, write)
        assert time.perf_counter() - began < HANG
        assert isinstance(refused, Refused), refused
        assert refused.code == code, refused
        assert sandbox.steps <= 2_000_000 + 2_000
        assert state(connection) == before
        outcomes.append((refused, sandbox.steps))
        honest = sandbox.run(
            "SELECT p.name, count(*) FROM party p JOIN booking b ON b.party_id = p.id GROUP BY 1 LIMIT 1"
        )
        assert honest == Rows(("name", "count(*)"), [("Party 001", 6)], False, 0)
    assert outcomes[0] == outcomes[1]


HONEST: list[tuple[str, Any, Any]] = [
    ("SELECT count(*) FROM booking", None, 2000),
    ("select name from sqlite_schema where name like 'par%' -- tables", None, "party"),
    ("SELECT count(*) FROM sqlite_master WHERE type = 'table'", None, 4),
    ("WITH x AS (SELECT 1 UNION SELECT 2) SELECT count(*) FROM x;", None, 2),
    ("VALUES (7)", None, 7),
    ("SELECT count(*) FROM long_stay", None, 888),
    ("SELECT value FROM json_each('[5]')", None, 5),
    ("SELECT '{\"a\": 3}' ->> 'a'", None, 3),
    ("SELECT name FROM party WHERE id = ?", [3], "Party 003"),
    ("SELECT :a || @b", {"a": "x", "b": "y"}, "xy"),
    ("SELECT 'semi;colon' AS \"or;rollback\"", None, "semi;colon"),
    ("SELECT x'00ff'", None, "x'00ff'"),
    ("SELECT picture FROM tag LIMIT 1", None, "x'00ff'"),
    ("SELECT 1e999", None, None),
    ("SELECT 9007199254740993", None, 9007199254740993),
    ("SELECT length(group_concat(name)) FROM party", None, 2999),
    ("SELECT printf('%.9000c', 'x') = ?", ["x" * 9000], 1),
    ("SELECT trim('--a-', '-')", None, "a"),
    ("SELECT date('now')", None, "2023-11-14"),
    ("SELECT CURRENT_TIMESTAMP", None, "2023-11-14 22:13:20"),
    ("SELECT unixepoch()", None, NOW),
    ("SELECT date('now', '-7 days', 'start of month')", None, "2023-11-01"),
    ("SELECT date('now', '+' || nights || ' days') FROM booking LIMIT 1", None, "2023-11-16"),
    ("SELECT date('now', -nights || ' days') FROM booking LIMIT 1", None, "2023-11-12"),
    ("SELECT date('now', ?)", ["+1 day"], "2023-11-15"),
    ("SELECT strftime('%Y', made_at) FROM booking LIMIT 1", None, "2023"),
    ("SELECT CAST(julianday('2024-01-02') - julianday('2024-01-01') AS INTEGER)", None, 1),
    ("SELECT count(*) FROM booking b JOIN party p ON p.id = b.party_id WHERE p.city LIKE '%im%'", None, 666),
    ("SELECT count(*) FROM booking a JOIN booking b ON a.nights = b.nights + 8", None, 222 * 222),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "parameters", "value"), HONEST, ids=[h[0][:50] for h in HONEST])
def test_honest_queries_are_answered(sql: str, parameters: Any, value: Any) -> None:
    _, sandbox = host()
    answer = sandbox.run(sql, parameters)
    assert isinstance(answer, Rows), answer
    assert answer.rows[0][0] == value
    assert json.loads(json.dumps(answer.rows, allow_nan=False))[0][0] == value


MESSAGES: list[tuple[str, Any, str]] = [
    ("SELECT nmae FROM party", None, "did you mean name? (party has id, name, city)"),
    ("SELECT b.night FROM booking b", None, "did you mean nights?"),
    ("SELECT * FROM bookings", None, "did you mean booking? (there are party, booking, tag, long_stay)"),
    ("SELECT * FORM party", None, 'near "FORM": syntax error, at: FORM party'),
    ("SELECT lenght(name) FROM party", None, "did you mean length?"),
    ("SELECT random()", None, "function random() is not available"),
    ("UPDATE tag SET label = 1", None, "only reads"),
    ("DROP TABLE tag", None, "DROP is not allowed here; statements begin with SELECT, WITH and VALUES"),
    (G + "SELECT max(x) FROM g", None, "more than 2,000,000 steps; add a condition"),
    ("SELECT :a", {"b": 1}, "no parameter named 'a'"),
    ("SELECT ?", [1, 2], "uses 1 and there are 2 supplied."),
    ("SELECT ?", [[1]], "parameter 1 must be text, a number or null, and not a list"),
    ("SELECT ?", [2**63], "parameter 1 is an integer of more than 64 bits"),
    ("SELECT ?", "x", "parameters must be a list"),
    ("SELECT zeroblob(100000)", None, "more than 10,000 bytes"),
    ("SELECT 1; SELECT 2", None, "one statement at a time"),
    (
        "SELECT count(*) FROM (SELECT DISTINCT a.made_at || a.id || b.id FROM booking a, booking b LIMIT 90000)",
        None,
        "more than 2 MB",
    ),
    (f"SELECT {many('count(DISTINCT nights + #)', 40)} FROM booking", None, "keeps 40 intermediate results"),
]


@pytest.mark.parametrize(("sql", "parameters", "part"), MESSAGES, ids=[m[2][:40] for m in MESSAGES])
def test_messages_say_how_to_go_on(sql: str, parameters: Any, part: str) -> None:
    _, sandbox = host()
    refused = sandbox.run(sql, parameters)
    assert isinstance(refused, Refused)
    assert part in refused.message


def test_no_allowed_function_is_unknown_to_sqlite_and_none_of_chance_is_allowed() -> None:
    connection = apsw.Connection(":memory:")
    known = {n for (n,) in connection.execute("SELECT DISTINCT name FROM pragma_function_list").fetchall()}
    assert set(FUNCTIONS) <= known
    assert not {"random", "randomblob", "load_extension", "changes", "last_insert_rowid", "fts3_tokenizer"} & set(
        FUNCTIONS
    )


def test_results_are_cut_at_rows_and_at_size() -> None:
    _, sandbox = host(Limits(rows=10, size=500))
    assert sandbox.run("SELECT id FROM booking ORDER BY id LIMIT 10") == Rows(
        ("id",), [(i,) for i in range(1, 11)], False, 0
    )
    many_rows = sandbox.run("SELECT id FROM booking")
    assert isinstance(many_rows, Rows)
    assert (len(many_rows.rows), many_rows.truncated) == (10, True)
    wide = sandbox.run("SELECT printf('%.200c', id) FROM booking")
    assert isinstance(wide, Rows)
    assert (len(wide.rows), wide.truncated) == (2, True)
    nothing = sandbox.run("SELECT id, nights AS n FROM booking WHERE 0")
    assert nothing == Rows(("id", "n"), [], False, 0)


def test_writing_counts_changes_with_cascades_and_several_statements() -> None:
    connection, sandbox = host()
    answer = call(connection, sandbox, "DELETE FROM party WHERE id = 7", write=True)
    assert isinstance(answer, Rows)
    assert answer.changes == 1 + connection.execute("SELECT 2000 - count(*) FROM booking").get == 8
    sql = "INSERT INTO tag VALUES ('N', :l, NULL); UPDATE tag SET label = :l || '!' WHERE code = 'N' RETURNING label"
    assert call(connection, sandbox, sql, {"l": "hi"}, True) == Rows(("label",), [("hi!",)], False, 2)
    returned = call(connection, sandbox, "UPDATE booking SET price = 1 WHERE id < 900 RETURNING id", write=True)
    assert isinstance(returned, Rows)
    assert (len(returned.rows), returned.truncated, returned.changes) == (200, True, returned.changes)
    assert returned.changes == connection.execute("SELECT count(*) FROM booking WHERE id < 900").get


def test_constraints_are_the_agents_mistakes() -> None:
    connection, sandbox = host()
    before = state(connection)
    for sql in (
        "INSERT INTO party (name) VALUES ('Party 001')",
        "INSERT INTO booking (party_id, nights, made_at) VALUES (1, 0, 'x')",
        "INSERT INTO booking (party_id, nights, made_at) VALUES (99999, 1, 'x')",
        "UPDATE booking SET nights = 'many'",
        "UPDATE booking SET party_id = 99999 WHERE id < 900 RETURNING id",
        "DELETE FROM tag WHERE code = 'T1'; INSERT INTO tag VALUES (NULL, 'x', NULL)",
    ):
        refused = call(connection, sandbox, sql, write=True)
        assert isinstance(refused, Refused)
        assert refused.code == "SQL_ERROR"
        assert state(connection) == before


@pytest.mark.parametrize(
    "sql",
    [
        "REPLACE INTO tag VALUES ('T1', 'new', NULL)", "INSERT OR REPLACE INTO party VALUES (2, 'Party 001', NULL)",
        "UPDATE OR REPLACE tag SET code = 'T2'", "INSERT or\n/* x */ replace INTO party VALUES (2, 'Party 001', NULL)",
        "SELECT 1; REPLACE INTO tag VALUES ('T1', 'new', NULL)",
    ],
)  # fmt: skip
def test_replace_is_refused(sql: str) -> None:
    """SQLite lets it leave a reference to nothing where a row refers to its own table with ON DELETE SET NULL."""
    connection, sandbox = host()
    before = state(connection)
    refused = call(connection, sandbox, sql, write=True)
    assert isinstance(refused, Refused)
    assert refused.code == "SQL_NOT_ALLOWED"
    assert "ON CONFLICT" in refused.message
    assert state(connection) == before
    assert isinstance(call(connection, sandbox, "SELECT 1 WHERE 0 OR replace('a', 'a', '1')"), Rows)


def test_a_long_text_is_met_under_the_second_bound_once() -> None:
    _, sandbox = host(Limits(short=Bound(100_000, 1_000), long=Bound(10_000, 5_000)))
    slow = G + "SELECT count(*), max(length(printf('%.*c', {}, 'x'))) FROM (SELECT x FROM g LIMIT 2000)"
    assert isinstance(sandbox.run(slow.format(900)), Rows)
    refused = sandbox.run(slow.format(2000))
    assert isinstance(refused, Refused)
    assert "10,000 steps" in refused.message


def test_trusted_sql_is_unhindered_between_the_calls() -> None:
    connection, sandbox = host()
    connection.execute("COMMIT")
    sandbox.run("SELECT random()")
    assert connection.execute("SELECT length(hex(randomblob(100000)))").get == 200_000
    assert connection.execute("SELECT ? LIKE ?", ("a" * 500, "%" + "a" * 400)).get == 1
    spilling = G.replace("FROM g)", "FROM g LIMIT 9000)") + "SELECT x, printf('%.500c', 'x') FROM g ORDER BY -x"
    assert len(connection.execute(spilling).fetchall()) == 9000
    assert connection.pragma("foreign_keys") == 1
    connection.execute("CREATE TEMP TABLE t AS SELECT 1")


def test_a_trusted_statement_of_the_same_text_lends_no_rights() -> None:
    connection, sandbox = host()
    sql = "SELECT seq FROM sqlite_sequence"
    assert connection.execute(sql).fetchall() == [(300,), (2000,)]
    refused = sandbox.run(sql)
    assert isinstance(refused, Refused)
    assert refused.code == "SQL_NOT_ALLOWED"


def test_the_clock_is_the_worlds_and_each_threads_own() -> None:
    connection, sandbox = host()
    clock.set_now(0)
    assert sandbox.run("SELECT datetime('now'), CURRENT_DATE, unixepoch('now'), julianday('now')") == Rows(
        ("datetime('now')", "CURRENT_DATE", "unixepoch('now')", "julianday('now')"),
        [("1970-01-01 00:00:00", "1970-01-01", 0, 2440587.5)], False, 0,
    )  # fmt: skip
    thread = threading.Thread(target=clock.set_now, args=(86400,))
    thread.start()
    thread.join()
    assert connection.execute("SELECT CURRENT_TIME || unixepoch()").get == "00:00:000"
    clock.set_now(4_102_444_800)
    assert connection.execute("SELECT date('now')").get == "2100-01-01"


SOUP_OF = """SELECT FROM WHERE party booking tag id name city nights made_at ( ) , ; * = < || 'x' "x" [x] `x` 1 0 -1 x'ff' ? ?1
:a @b $c :a(') NULL AND OR NOT IN LIKE GROUP BY ORDER LIMIT UNION ALL WITH RECURSIVE AS JOIN ON USING INSERT INTO VALUES
UPDATE SET DELETE REPLACE RETURNING ROLLBACK PRAGMA date('now' localtime ' -- /* */ count(*) max( OVER PARTITION CASE WHEN THEN
END CAST -> ->> json_each( zeroblob( printf( trim( sqlite_schema sqlite_sequence rowid EXPLAIN \x00 é \u2028 ."""
VALID = [h[0] for h in HONEST] + [a[1] for a in ATTACKS if len(a[1]) < 200]
VALUES = st.one_of(
    st.none(),
    st.integers(),
    st.floats(),
    st.text(max_size=9),
    st.binary(max_size=4),
    st.booleans(),
    st.lists(st.none()),
)
WORDS = SOUP_OF.split()
SOUP = st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(0, 4))):
        at, upto = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        text = (
            text[:at]
            + draw(st.one_of(st.just(""), st.sampled_from(WORDS), st.text(max_size=3)))
            + text[min(upto, at + 6) :]
        )
    return text


FUZZED = host(Limits(short=Bound(50_000, 1_000), long=Bound(10_000, 10_000), write=Bound(20_000, 4_000)))


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    sql=st.one_of(SOUP, mutated(), st.text(max_size=30)),
    parameters=st.one_of(
        st.none(), st.lists(VALUES, max_size=3), st.dictionaries(st.text(max_size=2), VALUES, max_size=3), st.text()
    ),
    write=st.booleans(),
)
def test_whatever_comes_in_an_answer_goes_out(sql: str, parameters: Any, write: bool) -> None:
    connection, sandbox = FUZZED
    clock.set_now(NOW)
    connection.execute("ROLLBACK")
    connection.execute("BEGIN")
    answer = call(connection, sandbox, sql, parameters, write)
    assert isinstance(answer, Rows | Refused)
    if isinstance(answer, Rows):
        json.dumps(answer.rows, allow_nan=False)
        assert write or answer.changes == 0
    assert connection.execute("SELECT count(*) FROM pragma_database_list").get <= 2
    assert connection.pragma("foreign_keys") == 1
    assert connection.in_transaction


def test_real_worlds_are_read_within_the_budgets() -> None:
    for seed in range(3):
        world = worlddb.generate(seed)
        connection = clock.open_memory()
        connection.deserialize("main", world.image)
        sandbox = Sandbox(connection)
        for table in world.schema.tables:
            for sql in (f'SELECT * FROM "{table.name}"', f'SELECT count(*) FROM "{table.name}" a, "{table.name}" b'):
                assert isinstance(sandbox.run(sql), Rows)


def bombs() -> None:
    """Every attack on one connection, then the most that SQLite held; run in a process of its own."""
    connection, sandbox = host()
    call(connection, sandbox, "SELECT 1")
    apsw.memory_high_water(True)
    before = apsw.memory_used()
    for _, sql, parameters, write in ATTACKS:
        call(connection, sandbox, sql, parameters, write)
    # the widest use of stores that the limit lets through, and short texts that open as many as they can
    rest = many("(SELECT count(DISTINCT printf('%.900c', x) || x || #) FROM g)", 14, " + ")
    call(connection, sandbox, G.replace("FROM g)", "FROM g LIMIT 1900)") + "SELECT " + rest)
    call(connection, sandbox, G + f"SELECT {many('count(DISTINCT ?1||x)', 10)} FROM g", ["x" * 980])
    call(connection, sandbox, G + f"SELECT {many('count(DISTINCT ?1||x)', 10)} FROM g", ["x" * 9800])
    call(connection, sandbox, G + f"SELECT {many('count(DISTINCT ?1||x)', 29)} FROM g", ["x" * 980])
    call(connection, sandbox, G + f"SELECT {many('count(DISTINCT ?1||x)', 29)} FROM g", ["x" * 9800])
    print(apsw.memory_high_water() - before)


def test_the_bombs_stay_below_100_megabytes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from tests.test_sandbox import bombs; bombs()"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert 10e6 < int(done.stdout) < 100e6


def test_steps_and_refusals_do_not_depend_on_what_ran_before() -> None:
    chosen = random.Random(1).sample(ATTACKS, 30)
    fresh = []
    for _, sql, parameters, write in chosen:
        connection, sandbox = host()
        fresh.append((call(connection, sandbox, sql, parameters, write), sandbox.steps))
    connection, sandbox = host()
    worn = [(call(connection, sandbox, *attack[1:]), sandbox.steps) for attack in chosen]
    assert worn == fresh
