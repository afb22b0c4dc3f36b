"""Exports: what DuckDB reads is what SQLite holds."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import polars
import pytest

import worlddb
from worlddb.describe import KINDS, describe
from worlddb.errors import QueryError, StoreError
from worlddb.export.parquet import TABLES, export, world_rows
from worlddb.export.query import find_export, one_line, query
from worlddb.shards import read_domains, shard_path
from worlddb.spawner import spawn
from worlddb.store import open_store

N = 36
ROOT = Path(worlddb.__file__).parent.parent


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An exported store of two shards, not to be changed."""
    path = tmp_path_factory.mktemp("export") / "out"
    spawn(path, N, seed=500, profile="tiny", tasks=0, workers=1)
    export(path, workers=1)
    return path


@pytest.fixture
def copy(home, tmp_path):
    """A copy of that store without its export."""
    return Path(shutil.copytree(home, tmp_path / "copy", ignore=shutil.ignore_patterns("export")))


def test_every_row_of_every_world_comes_through(home, tmp_path):
    for world in open_store(home)[::7]:
        file = world.save(tmp_path / f"{world.id}.sqlite")
        db = sqlite3.connect(file)
        db.row_factory = sqlite3.Row
        for table in world.schema.tables:
            stored = [dict(row) for row in db.execute(f'SELECT * FROM "{table.name}"')]
            sql = f"SELECT data, entity, key FROM rows WHERE world = '{world.id}' AND table_name = '{table.name}'"
            found = query(home, sql).rows
            exported = [json.loads(data) for data, _, _ in found]
            assert sorted(map(repr, exported)) == sorted(map(repr, stored))
            names = [table[k].name for k in table.primary_key]
            assert [key for _, _, key in found] == ["/".join(str(row[n]) for n in names) for row in exported]
            assert {entity for _, entity, _ in found} <= {table.key}
        db.close()


def test_what_is_said_of_the_worlds_comes_through(home):
    store = open_store(home)
    for name in KINDS:
        stated = []
        for number in store.shards:
            stated += getattr(describe(store.shard_entries(number), read_domains(shard_path(home, number))), name)
        answer = query(home, f"SELECT * FROM {name}")
        assert answer.columns == list(KINDS[name]._fields)
        assert sorted(answer.rows) == sorted(map(tuple, stated))


def test_sums_agree_across_tables(home):
    sql = "SELECT (SELECT sum(rows) FROM worlds), (SELECT sum(rows) FROM tables), (SELECT count(*) FROM rows)"
    (sums,) = query(home, sql).rows
    assert set(sums) == {sum(w.rows for w in open_store(home))}


def test_the_data_are_json_that_sql_reaches_into(home):
    world = open_store(home)[0]
    table = max(world.schema.tables, key=lambda t: world.counts[t.key])
    column = table[table.primary_key[0]].name
    sql = f"""SELECT key, data->>'{column}' FROM rows WHERE world = '{world.id}' AND table_name = '{table.name}'"""
    rows = query(home, sql).rows
    assert rows
    assert all(key.split("/")[0] == value for key, value in rows)


def test_the_files_are_partitioned_and_compressed(home):
    assert sorted(p.name for p in (home / "export" / "rows").iterdir()) == ["shard=00000", "shard=00001"]
    assert [p.name for p in sorted((home / "export" / "worlds").iterdir())] == ["00000.parquet", "00001.parquet"]
    assert polars.scan_parquet(home / "export" / "rows").select("shard").unique().collect().height == 2


def test_two_workers_write_the_same(home, tmp_path):
    export(home, tmp_path / "again", workers=2)
    for name in TABLES:
        for file in (home / "export" / name).rglob("*.parquet"):
            other = tmp_path / "again" / file.relative_to(home / "export")
            assert polars.read_parquet(file).equals(polars.read_parquet(other))


def test_exporting_again_changes_nothing(home):
    before = {p: p.stat().st_mtime_ns for p in (home / "export").rglob("*")}
    assert export(home) == home / "export"
    assert {p: p.stat().st_mtime_ns for p in (home / "export").rglob("*")} == before


def test_a_longer_store_replaces_its_export(copy):
    shard = shard_path(copy, 1)
    away = shard.rename(copy / "away.sqlite")
    export(copy, workers=1)
    assert query(copy, "SELECT count(*) FROM worlds").rows == [(32,)]
    away.rename(shard)
    export(copy, workers=1)
    assert query(copy, "SELECT count(*) FROM worlds").rows == [(N,)]


def test_progress(copy):
    seen = []
    export(copy, workers=1, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(32, N), (N, N)]


def test_world_rows_stream(home):
    rows = world_rows(open_store(home)[0])
    assert next(rows).world == open_store(home)[0].id


# --- what is refused


def test_a_folder_that_holds_something_else(home, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(StoreError, match="holds something else"):
        export(home, tmp_path)
    with pytest.raises(StoreError, match="not an export that can be read"):
        export(home, tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_the_export_of_another_store(home, tmp_path):
    spawn(tmp_path / "other", 1, profile="tiny", tasks=0, workers=1)
    with pytest.raises(StoreError, match="holds the export of another store"):
        export(tmp_path / "other", home / "export")


def test_a_damaged_shard_leaves_no_half_export(copy):
    shard_path(copy, 1).write_bytes(b"?" * 5000)
    with pytest.raises(StoreError, match="is damaged"):
        export(copy, workers=1)
    assert not list(copy.glob("*export*"))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_full_disk(copy, workers):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000));"
    code = f"{limit} from worlddb.cli import cli; cli(['export', {str(copy)!r}, '--workers', {workers!r}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "cannot be written" in done.stderr
    assert not list(copy.glob("*export*")) + list(copy.glob(".export*"))


def test_queries_that_fail(home, copy, tmp_path):
    with pytest.raises(QueryError, match=r"^Parser Error: syntax error at or near .SELEC.$"):
        query(home, "SELEC")
    with pytest.raises(QueryError, match="colour"):
        query(home, "SELECT colour FROM worlds")
    with pytest.raises(StoreError, match=r"is not exported yet; run 'worlddb export"):
        query(copy, "SELECT 1")
    with pytest.raises(StoreError, match="holds no export and no store"):
        query(tmp_path / "nothing", "SELECT 1")


def test_a_statement_without_a_result(home):
    assert query(home, "CREATE TABLE t (a INTEGER)").rows == []
    assert find_export(home) == find_export(home / "export") == home / "export"


def test_error_messages_fit_a_line():
    assert one_line("Parser Error: bad\n\nLINE 1: SELEC\n        ^") == "Parser Error: bad"


@pytest.mark.parametrize("name", ["x[1]", "st*r", "q?q", "h#ash?x=1", "per%cent", "a b'c\"d", "wör"])
def test_odd_folder_names(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spawn(Path(name), 2, profile="tiny", tasks=0, workers=1)
    assert [p.name for p in tmp_path.iterdir()] == [name], "everything lies inside the store"
    export(Path(name))
    assert query(Path(name), "SELECT count(*) FROM worlds").rows == [(2,)]


def test_moments_with_a_time_zone_and_empty_sql(home):
    [(moment,)] = query(home, "SELECT to_timestamp(now) FROM worlds LIMIT 1").rows
    assert moment.tzinfo is not None
    for nothing in ("", " ; "):
        with pytest.raises(QueryError, match="no SQL to run"):
            query(home, nothing)


def test_a_smaller_store_does_not_replace_its_export(copy):
    export(copy)
    shard_path(copy, 1).unlink()
    with pytest.raises(StoreError, match="complete the store"):
        export(copy)


def test_an_export_that_lost_its_files(copy):
    for file in (export(copy) / "rules").rglob("*.parquet"):
        file.write_bytes(b"no parquet")
    with pytest.raises(QueryError):
        query(copy, "SELECT 1")
    shutil.rmtree(find_export(copy) / "rules")
    with pytest.raises(QueryError, match="run 'worlddb export' again"):
        query(copy, "SELECT 1")


# --- tasks


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """An exported store with tasks."""
    path = tmp_path_factory.mktemp("busy") / "out"
    spawn(path, 5, seed=900, profile="small", tasks=4, workers=1)
    export(path, workers=1)
    return path


def test_tasks_come_through(busy):
    stated = [t for _, t in open_store(busy).tasks()]
    sql = "SELECT task, family, instruction, calls, structure, operators, answer, answer_kind FROM tasks"
    rows = {row[0]: row[1:] for row in query(busy, sql).rows}
    assert set(rows) == {t.id for t in stated} != set()
    for task in stated:
        family, instruction, calls, structure, operators, answer, kind = rows[task.id]
        assert (family, instruction, calls, structure) == (
            task.family, task.instruction, task.card.calls, task.card.structure
        )  # fmt: skip
        assert operators.split(", ") == list(task.card.operators)
        assert kind == (task.goal.answers[0].kind if task.goal.answers else "")
        if task.goal.answers:
            assert json.loads(answer) == json.loads(msgspec.json.encode(task.answer))
        else:
            assert answer == ""


def test_gold_calls_can_be_made_as_exported(busy):
    for world in open_store(busy)[:3]:
        for task in world.tasks:
            session = world.session()
            sql = f"SELECT name, call, tool, arguments, uses FROM gold WHERE task = '{task.id}' ORDER BY step"
            rows = query(busy, sql).rows
            assert [(key, json.loads(given)) for _, _, key, given, _ in rows] == [
                (g.tool, json.loads(msgspec.json.encode(g.arguments))) for g in task.gold
            ]
            assert [tuple(map(int, uses.split(", "))) if uses else () for *_, uses in rows] == [
                g.uses for g in task.gold
            ]
            for name, call, *_ in rows:
                assert session.call(name, json.loads(call)).ok


def test_rejections_come_through(busy):
    rejected = sum(sum(e.gated.rejected.values()) for e in open_store(busy).entries())
    assert query(busy, "SELECT coalesce(sum(rejected), 0) FROM rejections").rows == [(rejected,)]
    sql = "SELECT (SELECT sum(tasks) FROM worlds), (SELECT count(*) FROM tasks), (SELECT sum(proposed) FROM worlds)"
    entries = list(open_store(busy).entries())
    tasks = sum(len(e.tasks) for e in entries)
    assert query(busy, sql).rows == [(tasks, tasks, sum(e.gated.proposed for e in entries))]


def test_a_store_without_tasks_exports_empty_tables(home):
    sql = "SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM gold), (SELECT count(*) FROM rejections)"
    assert query(home, sql).rows == [(0, 0, 0)]


def test_an_export_from_before_there_were_tasks(copy):
    manifest = export(copy, workers=1) / "export.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(content | {"recipe": content["recipe"] | {"format": 1}}))
    for name in ("tasks", "gold", "rejections"):
        shutil.rmtree(copy / "export" / name)
    assert query(copy, "SELECT count(*) FROM worlds").rows == [(N,)]
    with pytest.raises(QueryError, match="tasks"):
        query(copy, "SELECT count(*) FROM tasks")
