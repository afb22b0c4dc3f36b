"""Random schemas: sound, varied, and nameable, over many seeds."""

from __future__ import annotations

from collections import Counter

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worlddb.rng import Stream
from worlddb.schema import naming
from worlddb.schema.ddl import ddl, formula_tokens
from worlddb.schema.domains import domain_names, domain_schema
from worlddb.schema.grow import drop_leaves, graft, grow
from worlddb.schema.metrics_structure import structure_hash
from worlddb.schema.model import Schema

SEEDS = st.integers(0, 2**63 - 1)


def database(schema: Schema) -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    for statement in ddl(schema):
        connection.execute(statement)
    return connection


@settings(max_examples=150, deadline=None)
@given(SEEDS, st.integers(3, 50))
def test_a_schema_is_sound(seed: int, size: int) -> None:
    schema = grow(Stream(seed), size)
    keys = [t.key for t in schema.tables]
    assert len(set(keys)) == len(keys)
    for table in schema.tables:
        columns = [c.key for c in table.columns]
        assert len(set(columns)) == len(columns)
        assert len({c.name.lower() for c in table.columns}) == len(columns)
        assert set(table.key_columns) <= set(columns)
        assert not table.title or table.title in table
        for key in table.foreign_keys:
            parent = schema[key.table]
            assert key.ref == parent.primary_key
            assert all(table[c].nullable == key.nullable for c in key.columns)
        for column in table.columns:
            assert not column.formula or {t for t in formula_tokens(column.formula) if t[0].isalpha()} <= set(columns)
        if table.lifecycle:
            assert table[table.lifecycle.column].values == table.lifecycle.states
            assert set(table.lifecycle.stamps.values()) <= set(columns)
        if table.polymorphic:
            assert set(table.polymorphic.tables) <= set(keys)
    assert len({t.name.lower() for t in schema.tables}) == len(keys)


@settings(max_examples=80, deadline=None)
@given(SEEDS)
def test_sqlite_accepts_it_and_every_rule_runs(seed: int) -> None:
    schema = grow(Stream(seed), 10)
    connection = database(schema)
    for rule in schema.rules:
        assert connection.execute(rule.violations(schema)).fetchall() == []


def test_structures_are_distinct_and_sizes_come_near() -> None:
    schemas = [grow(Stream(seed, "schema"), 10) for seed in range(400)]
    assert len({structure_hash(s) for s in schemas}) >= 396
    sizes = sorted(len(s.tables) for s in schemas)
    assert 8 <= sizes[200] <= 12
    assert Counter(s.domain for s in schemas).most_common(1)[0][1] < 20


def test_one_domain_looks_like_many_companies() -> None:
    schemas = [grow(Stream(seed), 10, "hotel") for seed in range(60)]
    assert {s.domain for s in schemas} == {"hotel"}
    names = [frozenset(t.name for t in s.tables) for s in schemas]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[:i]]
    jaccard = sum(len(a & b) / len(a | b) for a, b in pairs) / len(pairs)
    assert jaccard < 0.15
    assert len({s.style for s in schemas}) > 30


@pytest.mark.parametrize("name", domain_names())
def test_every_domain_grows(name: str) -> None:
    schema = grow(Stream(1), 10, name)
    assert schema.domain == name
    assert any(t.origin == name for t in schema.tables)
    database(schema)


def test_grafts_stand_on_tables_of_the_host() -> None:
    base = domain_schema("hotel")
    grown = graft(base, Stream(5), 20)
    added = {t.key for t in grown.tables} - {t.key for t in base.tables}
    assert len(added) >= 5
    assert all(f.table in grown for _, f in grown.edges())
    assert any(f.table not in added for t, f in grown.edges() if t.key in added)


def test_dropping_leaves_keeps_references_whole() -> None:
    for seed in range(40):
        small = drop_leaves(domain_schema("university"), Stream(seed), 4)
        assert 3 <= len(small.tables) <= 6
        assert all(f.table in small for _, f in small.edges())


@given(SEEDS, st.sampled_from(["rows", "columns", "decorate"]))
@settings(max_examples=20, deadline=None)
def test_growing_is_deterministic(seed: int, path: str) -> None:
    assert grow(Stream(seed, path), 9) == grow(Stream(seed, path), 9)


@pytest.mark.parametrize(
    ("word", "many"),
    [("order", "orders"), ("category", "categories"), ("box", "boxes"), ("day", "days"), ("line_child", "line_children"),
     ("branch", "branches"), ("staff", "staff"), ("order_analysis", "order_analyses")],
)  # fmt: skip
def test_plurals(word: str, many: str) -> None:
    assert naming.plural(word) == many


def test_cases_and_abbreviations() -> None:
    assert naming.camel("order_line") == "orderLine"
    assert naming.pascal("customer_id") == "CustomerID"
    assert naming.abbreviation("reservation", 4) == "rsrv"
    assert naming.abbreviation("order_line", 4) == "orli"


def test_names_need_no_quotes() -> None:
    for seed in range(100):
        schema = grow(Stream(seed), 8)
        for table in schema.tables:
            for name in (table.name, *(c.name for c in table.columns)):
                assert name.isidentifier(), name
                assert name.lower() not in naming.KEYWORDS, name


def test_stored_values_are_respelt_everywhere() -> None:
    for seed in range(200):
        schema = grow(Stream(seed), 10)
        for rule in schema.rules:
            rule.touches(schema)  # a condition on a value that the column never holds raises BadRule
        for table in schema.tables:
            if table.lifecycle:
                assert {s for move in table.lifecycle.moves for s in move} <= set(table.lifecycle.states)
                assert set(table.lifecycle.stamps) <= set(table.lifecycle.states)


def test_no_schema_is_too_small() -> None:
    """Seeds whose leaves once took their whole neighbourhood along, and some thousand others."""
    from worlddb.world.profiles import profile

    for name, seeds in (("default", (4512, 7564, 102845, *range(700))), ("tiny", (4818, *range(300)))):
        for seed in seeds:
            stream = Stream(seed, name)
            schema = grow(stream.child("schema"), stream.child("tables").pick(profile(name).tables))
            assert len(schema.tables) >= 3, (name, seed)
            assert any(t.foreign_keys for t in schema.tables), (name, seed)
