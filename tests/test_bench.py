"""The benchmark runs and writes what it says.  Nothing here depends on how fast anything is."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from tests.bench import naive
from tests.bench.__main__ import STAGES, main
from tests.bench.budgets import BUDGETS
from tests.bench.measure import Way, side_by_side
from tests.bench.stages import INSIDE, SPLIT
from tests.bench.subject import Subject


@pytest.fixture(scope="module")
def subject():
    return Subject(3, "tiny")


def test_the_json_has_machine_stages_and_budgets(tmp_path):
    target = tmp_path / "deep" / "bench.json"
    done = CliRunner().invoke(main, ["--quick", "--only", "schema", "--json", str(target)], catch_exceptions=False)
    assert done.exit_code == 0
    found = json.loads(target.read_text())
    assert {"cpu", "cores", "python", "sqlite", "packages"} <= set(found["machine"])
    assert len(found["load_before"]) == 3
    assert list(found["stages"]) == ["schema"]
    rows = {row["key"]: row for row in found["stages"]["schema"]}
    ours = rows["schema.ddl"]
    assert ours["budget"]["limit"] == BUDGETS["schema.ddl"]["limit"]
    assert set(ours["ratios"]) == set(ours["naive"]) != set()
    for clock in ("cpu", "wall"):
        spread = ours["ours"][clock]
        assert spread["min"] <= spread["median"] <= spread["max"]
    assert "schema -> DDL" in done.output


def test_json_alone_goes_to_stdout():
    done = CliRunner().invoke(main, ["--quick", "--only", "schema", "--repeats", "1", "--json", "-"])
    assert json.loads(done.stdout)["effort"]["repeats"] == 1


def test_an_unknown_stage_is_refused():
    done = CliRunner().invoke(main, ["--only", "nothing"])
    assert done.exit_code == 2
    assert all(name in done.output for name in STAGES)


def test_every_budget_belongs_to_a_stage():
    assert {key.partition(".")[0] for key in BUDGETS} <= set(STAGES)


@pytest.mark.parametrize(("module", "name"), [*SPLIT, *INSIDE])
def test_what_the_split_watches_is_there(module, name):
    assert callable(getattr(module, name))


def test_ways_take_turns_and_a_slow_one_runs_less_often():
    runs: list[str] = []
    ways = {"a": Way(lambda _: runs.append("a")), "b": Way(lambda _: runs.append("b"), repeats=1)}
    found = side_by_side(ways, repeats=3, warmups=1)
    assert runs == ["a", "a", "b", "a", "a"]
    assert (found["a"].repeats, found["b"].repeats) == (3, 1)


@pytest.mark.parametrize("seed", range(3))
def test_the_naive_way_makes_as_many_cells_and_a_database_that_takes_them(seed, tmp_path):
    whole = Subject(seed, "small")
    made = naive.world(whole.schema, whole.world.counts, seed, tmp_path / "naive.sqlite")
    assert 0.9 * whole.cells <= made <= whole.cells  # a row that finds no unique key is left out


def test_both_naive_ways_store_our_rows(subject):
    import sqlalchemy as sa

    classes = subject.world.models()
    names = naive.attributes(classes)
    objects = {k: [{names[k][c]: v for c, v in r.items()} for r in rows] for k, rows in subject.stored.items()}
    for store, rows in ((naive.add, objects), (naive.insert, subject.stored)):
        engine = naive.empty(classes)
        store(classes, engine, rows)
        with engine.connect() as db:
            counts = {k: db.scalar(sa.select(sa.func.count()).select_from(c.__table__)) for k, c in classes.items()}
        assert counts == subject.world.counts


def test_the_wide_image_holds_the_same(subject):
    import apsw

    db = apsw.Connection(":memory:")
    db.deserialize("main", subject.wide_image)
    assert db.pragma("page_size") == 4096
    for table in subject.schema.tables:
        sql = f'SELECT count(*) FROM "{table.name}"'
        assert db.execute(sql).get == subject.world.connect().execute(sql).get
