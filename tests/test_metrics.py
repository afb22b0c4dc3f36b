"""The realism metrics: hand-counted figures, invariances, bars, and speed."""

from __future__ import annotations

import pickle
import random
import sqlite3
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from worlddb.errors import BrokenFile
from worlddb.schema import metrics
from worlddb.schema.domains import domain_names, expand, load_domain
from worlddb.schema.metrics import Measure, bars, columns, jaccard, measure, summarise
from worlddb.schema.metrics_data import gini, is_structural
from worlddb.schema.metrics_names import snake, traits
from worlddb.schema.metrics_structure import structure, structure_hash
from worlddb.schema.model import Column, ForeignKey, Schema, Table
from worlddb.schema.reflect import open_readonly, reflect

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
HOTEL = expand(load_domain("hotel"))


def database(sql: str) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(sql)
    return connection


def measured(sql: str) -> Measure:
    connection = database(sql)
    return measure(reflect(connection), connection)


SHOP = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE,
  referrer_id INT REFERENCES customer, created_at DATETIME);
CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT NOT NULL, is_active BOOLEAN NOT NULL, price REAL);
CREATE TABLE purchase (id INTEGER PRIMARY KEY, customer_id INT NOT NULL REFERENCES customer, status TEXT NOT NULL,
  paid_on DATE, subject_type TEXT, subject_id INT);
CREATE TABLE purchase_product (purchase_id INT REFERENCES purchase, product_id INT NOT NULL REFERENCES product,
  created_at DATETIME, PRIMARY KEY (purchase_id, product_id));
CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT, extra JSON, kind TEXT CHECK (kind IN ('a', 'b')));
"""


def test_structure_counted_by_hand() -> None:
    found = measured(SHOP).structure
    assert sorted(found.widths) == [3, 4, 4, 4, 6]
    assert sorted(found.fks) == [0, 0, 1, 1, 2]
    assert (found.many_parents, found.depth, found.forest, found.cycle) == (0.2, 3, True, False)
    assert (found.self_reference, found.junctions, found.composite) == (True, 0.2, 0.2)
    assert found.nullable == pytest.approx(10 / 15)  # outside primary keys
    assert found.nullable_fks == 0.25
    assert (found.status, found.closed, found.temporal, found.unique) == (0.2, 0.4, 0.6, 0.2)
    assert (found.hub, found.created, found.soft, found.polymorphic) == (0.5, 0.4, 0.2, 1)
    assert found.kinds == {"keys": 8, "text": 6, "datetime": 3, "boolean": 1, "real": 1, "integer": 1, "json": 1}


def test_depth_condenses_cycles_and_forests_ignore_self_references() -> None:
    ring = """CREATE TABLE a (id INTEGER PRIMARY KEY, b INT REFERENCES b);
      CREATE TABLE b (id INTEGER PRIMARY KEY, a INT REFERENCES a, top INT REFERENCES top);
      CREATE TABLE top (id INTEGER PRIMARY KEY);
      CREATE TABLE leaf (id INTEGER PRIMARY KEY, a INT REFERENCES a, b INT REFERENCES b);"""
    found = measured(ring).structure
    assert (found.depth, found.cycle, found.forest) == (3, True, False)
    twice = """CREATE TABLE port (id INTEGER PRIMARY KEY, near INT REFERENCES port);
      CREATE TABLE trip (id INTEGER PRIMARY KEY, origin INT REFERENCES port, goal INT REFERENCES port);"""
    found = measured(twice).structure
    assert (found.depth, found.forest, found.many_parents, found.cycle) == (2, True, 0.0, False)


def test_an_empty_database_has_no_figures_but_no_errors() -> None:
    found = measured("")
    assert (found.structure.depth, found.structure.hub, found.structure.nullable) == (0, None, None)
    report = summarise([found])
    assert report["tables"].ours == {"p10": 0.0, "p50": 0.0, "p90": 0.0}
    assert report["gini"].ours == {}
    assert report["gini"].inside is None


def events(times: list[str]) -> Measure:
    connection = database("CREATE TABLE e (id INTEGER PRIMARY KEY, created_at TEXT NOT NULL, tag TEXT)")
    connection.executemany(
        "INSERT INTO e (created_at, tag) VALUES (?, ?)", [(t, "xyz"[i % 3]) for i, t in enumerate(times)]
    )
    return measure(reflect(connection), connection)


def test_events_in_time() -> None:
    steady = [
        str(np.datetime64("2024-01-01T00:00:00") + np.timedelta64(6 * i, "h")).replace("T", " ") for i in range(28)
    ]
    found = events(steady + steady).data  # each twice, so that gaps are 0 and 6 hours
    assert found is not None
    gaps = np.array([0, 6] * 27 + [0])
    assert found.gap_cvs == (pytest.approx(gaps.std() / gaps.mean()),)
    assert (found.events, found.weekend_events) == (56, 16)  # 6 and 7 January 2024, four a day, twice
    assert found.top_shares == (pytest.approx(19 / 56),)  # the tag; the 28 times are no categories
    assert events(["not a time"] * 40).data.gap_cvs == ()  # type: ignore[union-attr]


def test_fan_out_nulls_and_categories() -> None:
    connection = database(
        "CREATE TABLE p (id INTEGER PRIMARY KEY);"
        "CREATE TABLE c (id INTEGER PRIMARY KEY, p INT REFERENCES p, colour TEXT, x TEXT);"
        "CREATE TABLE one (id INTEGER PRIMARY KEY, p INT UNIQUE REFERENCES p);"
    )
    connection.executemany("INSERT INTO p VALUES (?)", [(i,) for i in range(10)])
    owners = [0] * 12 + [1] * 4 + [2, 3] * 2  # 12, 4, 2, 2 and six without
    rows = [(p, "red" if i < 15 else "blue", None if i % 2 else str(i)) for i, p in enumerate(owners)]
    connection.executemany("INSERT INTO c (p, colour, x) VALUES (?, ?, ?)", rows)
    connection.executemany("INSERT INTO one (p) VALUES (?)", [(i,) for i in range(9)])
    found = measure(reflect(connection), connection).data
    assert found is not None
    assert found.rows == 39
    assert found.ginis == (pytest.approx(gini(np.array([2, 2, 4, 12]))),)  # the 1:1 relation is structural
    assert found.childless == (0.6,)
    assert sorted(found.null_shares) == [0.0, 0.0, 0.5]
    assert found.judged == 2
    assert found.top_shares == (0.75,)  # the values of x do not repeat


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=40))
def test_gini_is_the_mean_difference(counts: list[int]) -> None:
    x = np.array(counts)
    wanted = np.abs(x[:, None] - x[None, :]).mean() / (2 * x.mean())
    assert gini(x) == pytest.approx(wanted, abs=1e-9)


@given(st.lists(st.lists(st.sampled_from("abcdef"), unique=True), min_size=2, max_size=8))
def test_jaccard_agrees_with_the_definition(sets: list[list[str]]) -> None:
    pairs = [(set(a), set(b)) for i, a in enumerate(sets) for b in sets[:i]]
    wanted = sum(len(a & b) / len(a | b) if a | b else 0.0 for a, b in pairs) / len(pairs)
    assert jaccard(sets) == pytest.approx(wanted, abs=1e-6)


def test_jaccard_of_many_takes_a_fixed_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(1)
    sets = [chance.sample("abcdefghijklmnop", 5) for _ in range(300)]
    whole = jaccard(sets)
    monkeypatch.setattr(metrics, "MOST_PAIRED", 150)
    assert jaccard(sets) == jaccard(sets) == pytest.approx(whole, abs=0.02)
    assert jaccard(sets[:1]) is None


# --- the structure hash


def renamed_and_shuffled(schema: Schema, seed: int) -> Schema:
    """The same structure under other names and keys, everything in another order."""
    chance = random.Random(seed)
    number = iter(range(10**6))
    tables = {t.key: f"t{next(number)}" for t in schema.tables}
    names = {(t.key, c.key): f"c{next(number)}" for t in schema.tables for c in t.columns}

    def foreign(table: Table, key: ForeignKey) -> ForeignKey:
        pairs = [(names[table.key, a], names[key.table, b]) for a, b in zip(key.columns, key.ref, strict=True)]
        mine, theirs = zip(*pairs, strict=True)
        return structs.replace(key, key=f"r{next(number)}", columns=mine, table=tables[key.table], ref=theirs)

    def column(table: Table, c: Column) -> Column:
        return structs.replace(c, key=names[table.key, c.key], name=f"n{next(number)}", formula="", like="")

    fresh = [
        structs.replace(
            t, key=tables[t.key], name=f"n{next(number)}", title="", lifecycle=None,
            columns=tuple(chance.sample([column(t, c) for c in t.columns], len(t.columns))),
            primary_key=tuple(names[t.key, k] for k in t.primary_key),
            foreign_keys=tuple(chance.sample([foreign(t, f) for f in t.foreign_keys], len(t.foreign_keys))),
            uniques=tuple(tuple(names[t.key, k] for k in u) for u in t.uniques),
        )
        for t in schema.tables
    ]  # fmt: skip
    return Schema(domain="x", title="x", tables=tuple(chance.sample(fresh, len(fresh))))


@given(st.sampled_from(domain_names()), st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_structure_hash_ignores_names_and_order(name: str, seed: int) -> None:
    schema = expand(load_domain(name))
    assert structure_hash(renamed_and_shuffled(schema, seed)) == structure_hash(schema)


def swap(schema: Schema, old: Table, new: Table) -> Schema:
    return structs.replace(schema, tables=tuple(new if t.key == old.key else t for t in schema.tables))


def free_columns(table: Table) -> list[Column]:
    return [c for c in table.columns if c.key not in table.key_columns]


@given(st.sampled_from(domain_names()), st.data())
@settings(max_examples=15, deadline=None)
def test_structure_hash_sees_every_change(name: str, draw: st.DataObject) -> None:
    schema = expand(load_domain(name))
    before = structure_hash(schema)
    table = draw.draw(st.sampled_from([t for t in schema.tables if free_columns(t)]))
    victim = draw.draw(st.sampled_from(free_columns(table)))
    rest = tuple(c for c in table.columns if c is not victim)
    assert structure_hash(swap(schema, table, structs.replace(table, columns=rest))) != before
    loose = structs.replace(victim, nullable=not victim.nullable)
    changed = tuple(loose if c is victim else c for c in table.columns)
    assert structure_hash(swap(schema, table, structs.replace(table, columns=changed))) != before
    child = next(t for t in schema.tables if t.foreign_keys)
    assert structure_hash(swap(schema, child, structs.replace(child, foreign_keys=child.foreign_keys[1:]))) != before


def test_structure_hash_sees_where_an_edge_goes() -> None:
    """Chains of 1 + 3 tables and of 2 + 2 tables have the same tables and differ in the graph alone."""

    def chains(*parents: int | None) -> Schema:
        columns = (Column(key="id", name="id", type="surrogate_id"), Column(key="up", name="up", type="reference"))
        tables = tuple(
            Table(
                key=f"t{i}", name=f"t{i}", archetype="", columns=columns, primary_key=("id",),
                foreign_keys=() if p is None else (ForeignKey(key="up", columns=("up",), table=f"t{p}", ref=("id",)),),
            )
            for i, p in enumerate(parents)
        )  # fmt: skip
        return Schema(domain="x", title="x", tables=tables)

    straight, split = chains(None, 0, 1, None, 3), chains(None, 0, None, 2, 3)
    assert structure_hash(straight) == structure_hash(split)  # 3 + 2 in another order
    assert structure_hash(chains(None, 0, 1, 2, None)) != structure_hash(straight)  # 4 + 1
    assert structure_hash(chains(None, 0, 0, None, 3)) != structure_hash(straight)


def test_all_domains_differ() -> None:
    found = [structure_hash(expand(load_domain(n))) for n in domain_names()]
    assert len(set(found)) == len(found)


# --- names


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("OrderLineID", "order_line_id"), ("tbl_Orders", "tbl_orders"), ("HTTPCode", "http_code"), ("a  b-c", "a_b_c")],
)
def test_snake(name: str, wanted: str) -> None:
    assert snake(name) == wanted


@pytest.mark.parametrize(
    ("name", "kind", "facts"),
    [
        ("OrderStatus", "text", {"status", "closed"}), ("status_on", "date", set()), ("state", "date", set()),
        ("ticketphase", "text", {"status", "closed"}), ("is_stage", "flag", set()), ("real_estate", "text", set()),
        ("ContactType", "text", {"closed"}), ("payment_method", "quantity", {"closed"}),
        ("CreatedOn", "datetime", {"created", "audit"}),
        ("dt_created", "datetime", {"created", "audit"}), ("creation_date", "date", {"created", "audit"}),
        ("last_update", "datetime", {"audit"}), ("updatedAt", "datetime", {"audit"}),
        ("ArchivedAt", "datetime", {"audit", "soft"}),
        ("IsActive", "flag", {"soft"}), ("active", "quantity", {"soft"}), ("enabled_features", "text", set()),
        ("recreated_scene", "text", set()), ("price", "money", set()),
    ],
)  # fmt: skip
def test_traits(name: str, kind: str, facts: set[str]) -> None:
    what = traits(Column(key=name, name=name, type=kind))
    assert {f for f in ("status", "closed", "created", "audit", "soft") if getattr(what, f)} == facts


def test_parts_are_structural_and_their_other_parents_are_not() -> None:
    schema = expand(load_domain("online_retail")) if "online_retail" in domain_names() else HOTEL
    parts = [t for t in schema.tables if t.archetype == "line"]
    assert parts
    for table in parts:
        marks = [is_structural(table, f) for f in table.foreign_keys if not f.unique]
        assert marks.count(True) == 1


# --- the report


def test_every_metric_has_a_bar_entry_with_its_source() -> None:
    judge, found = bars()
    assert judge.few > 1
    for name, bar in found.items():
        assert set(bar.bar) in (set(), {"p10", "p50", "p90"}, {"about"}, {"min"}, {"max"}, {"min", "max"}), name
        assert bool(bar.bar) == bool(bar.source), name
        assert bar.means, name


def test_a_bar_that_no_metric_has_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bars.yaml").write_text(
        (metrics.folder("schemas") / "bars.yaml").read_text().replace("  gini:", "  ginny:")
    )
    monkeypatch.setattr(metrics, "folder", lambda _: tmp_path)
    bars.cache_clear()
    with pytest.raises(BrokenFile, match=r"bars\.gin"):
        bars()
    monkeypatch.undo()
    bars.cache_clear()


@pytest.mark.parametrize(
    ("ours", "inside"),
    [
        ((6, 10, 16), True),
        ((4.5, 8.5, 20), True),
        ((6, 8.4, 16), False),
        ((4.4, 10, 16), False),
        ((6, 10, 20.1), False),
    ],
)
def test_judging_a_spread(ours: tuple[float, float, float], inside: bool) -> None:
    judge, found = bars()
    figures = dict(zip(("p10", "p50", "p90"), ours, strict=True))
    assert judge.inside(figures, found["tables"], 1000) is inside


def test_judging_shares_ranges_and_few() -> None:
    judge, found = bars()
    assert judge.inside({"p10": 0.13, "p50": 0.30, "p90": 0.60}, found["many_parents"], 1000)
    assert not judge.inside({"p10": 0.2, "p50": 0.29, "p90": 0.5}, found["many_parents"], 1000)
    assert judge.inside({"value": 0.08}, found["jaccard_columns"], 1000)
    assert not judge.inside({"value": 0.0801}, found["jaccard_columns"], 1000)
    assert judge.inside({"value": 0.5}, found["jaccard_columns"], 1) is None
    assert judge.inside({"p10": 7, "p50": 7, "p90": 7}, found["tables"], 1)
    assert not judge.inside({"p10": 5, "p50": 5, "p90": 5}, found["tables"], 1)


def test_the_report_does_not_depend_on_order_and_travels() -> None:
    measures = [measure(expand(load_domain(n))) for n in domain_names()[:25]]
    report = summarise(measures)
    assert summarise(measures[::-1]) == report
    assert summarise(pickle.loads(pickle.dumps(measures))) == report
    encoded = msgspec.msgpack.encode(measures)
    assert summarise(msgspec.msgpack.decode(encoded, type=list[Measure])) == report
    again = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(report)), type=metrics.Report)
    assert again == report
    assert report["distinct_structures"].ours == {"value": 1.0}
    assert list(report.outside) == [r for r in report.rows if r.inside is False]
    shown = columns(report)
    assert len(shown) == len(metrics.METRICS)
    assert {"metric": "tables", "ours": report["tables"].ours_text, "bar": "6 / 10 / 16"}.items() <= shown[2].items()


def test_structures_are_measured_quickly() -> None:
    """The budget is 1 ms for a schema of ten tables; the test allows five times that on a busy machine."""
    structure(HOTEL)
    best = min(_timed(lambda: structure(HOTEL)) for _ in range(20))
    assert best < 0.005


def _timed(work: object) -> float:
    start = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - start


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/real is not beside this checkout")
@pytest.mark.parametrize(("name", "fan_out"), [("chinook", 0.35), ("sakila", 0.11)])
def test_real_databases_have_the_published_figures(name: str, fan_out: float) -> None:
    """The realism study says that the samples' fan-out is close to uniform, Gini 0.11 to 0.35."""
    path = REAL / f"{name}.sqlite"
    found = measure(reflect(path), open_readonly(path))
    report = summarise([found])
    assert round(report["gini"].ours["p50"], 2) == fan_out
    assert report["databases"].ours == {"value": 1.0}
    assert found.structure.depth == {"chinook": 4, "sakila": 7}[name]
    assert (found.structure.forest, found.structure.cycle) == {"chinook": (True, False), "sakila": (False, True)}[name]
