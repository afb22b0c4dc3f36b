"""reflect: what a SQLite file declares comes back as a Schema, and the file is never touched."""

from __future__ import annotations

import sqlite3
from hashlib import sha256
from pathlib import Path

import pytest

from worlddb.errors import WorlddbError
from worlddb.schema.ddl import ddl
from worlddb.schema.domains import domain_names, expand, load_domain
from worlddb.schema.metrics_structure import structure
from worlddb.schema.reflect import check_bodies, open_readonly, parents_first, reflect

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"

SHOP = """
CREATE TABLE "order line" (  -- a comment, with 'quotes' and (parentheses
  order_no INTEGER NOT NULL, line INTEGER NOT NULL, product TEXT REFERENCES product, amount DECIMAL(5,2),
  kind TEXT CHECK (kind IN ('new', 'it''s used')), state TEXT NOT NULL
  CHECK (state IS NULL OR state IN ('open','done')),
  gift INTEGER CHECK (gift IN (0, 1)), PRIMARY KEY (order_no, line), UNIQUE (product, order_no)
) WITHOUT ROWID;
CREATE TABLE product (sku TEXT PRIMARY KEY NOT NULL, name TEXT, added_on TEXT, seen_at TEXT, extra TEXT, picture BLOB,
  is_active INTEGER, closed_at TEXT, weight REAL);
CREATE TABLE shipment (id INTEGER PRIMARY KEY, order_no INT, line INT,
  boss INT REFERENCES SHIPMENT(ID) ON DELETE SET NULL, lost INT REFERENCES nowhere(id),
  FOREIGN KEY (ORDER_NO, line) REFERENCES "Order Line" (order_no, LINE) ON DELETE CASCADE);
CREATE TABLE keyless (a, b INT);
CREATE UNIQUE INDEX one_name ON product (name);
CREATE UNIQUE INDEX some_names ON product (weight) WHERE weight > 3;
CREATE VIEW v AS SELECT * FROM product;
CREATE VIRTUAL TABLE words USING fts5(body);
INSERT INTO product VALUES ('a', 'x', '2024-02-03', '2024-02-03 10:11:12', '{"a": 1}', x'00', 1, NULL, 1.5),
  ('b', 'y', '2024-02-04', '2024-02-03T10:11:12', '[]', NULL, 0, NULL, NULL);
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "a shop?.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(SHOP)
    connection.close()
    return path


def test_everything_declared_comes_back(shop: Path) -> None:
    schema = reflect(shop)
    assert {t.key for t in schema.tables} == {"order line", "product", "shipment", "keyless"}
    line, product, shipment = schema["order line"], schema["product"], schema["shipment"]
    assert line.primary_key == ("order_no", "line")
    assert line.key_style == "composite"
    assert line.uniques == (("product", "order_no"),)
    assert line["kind"].values == ("new", "it's used")
    assert (line["kind"].type, line["state"].type, line["gift"].type) == ("category", "state", "flag")
    assert line["state"].values == ("open", "done")
    assert not line["state"].nullable
    assert line["kind"].nullable
    assert (product.key_style, product["name"].unique, product["weight"].unique) == ("code", True, False)
    kinds = {c.key: c.type for c in product.columns}
    assert kinds == {
        "sku": "identifier", "name": "text", "added_on": "date", "seen_at": "datetime", "extra": "document",
        "picture": "any", "is_active": "flag", "closed_at": "datetime", "weight": "number",
    }  # fmt: skip
    boss, goods = shipment.foreign_keys
    assert (boss.columns, boss.table, boss.ref, boss.on_delete) == (("boss",), "shipment", ("id",), "SET NULL")
    assert (goods.columns, goods.table, goods.ref) == (("order_no", "line"), "order line", ("order_no", "line"))
    assert (goods.on_delete, goods.nullable, shipment["lost"].type) == ("CASCADE", True, "quantity")
    assert schema["keyless"].primary_key == ()


def test_an_open_connection_serves_as_well(shop: Path) -> None:
    by_path = reflect(shop)
    with sqlite3.connect(shop) as connection:
        assert reflect(connection).tables == by_path.tables
    connection.close()
    assert reflect(open_readonly(shop)).tables == by_path.tables


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_nothing_is_written(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)")
    connection.commit()
    connection.close()
    before = sha256(path.read_bytes()).hexdigest()
    assert reflect(path).tables[0].key == "t"
    assert sha256(path.read_bytes()).hexdigest() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.db"]
    with pytest.raises(Exception, match=r"readonly|query_only|read-only|attempt to write"):
        open_readonly(path).execute("CREATE TABLE u (a)")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file"),
        (b"hello, world" * 9, "no SQLite database"),
        (b"SQLite format 3\0" + b"\7" * 200, "cannot be read"),
    ],
)
def test_bad_files_give_one_clear_line(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "bad.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WorlddbError, match=says) as caught:
        reflect(path)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(WorlddbError, match="cannot be read"):
        reflect(tmp_path)


def test_an_empty_file_is_an_empty_database(tmp_path: Path) -> None:
    (tmp_path / "e.db").touch()
    assert reflect(tmp_path / "e.db").tables == ()


def test_text_that_is_not_utf8_does_no_harm(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "l.db")
    connection.executescript("CREATE TABLE t (a TEXT); INSERT INTO t VALUES (CAST(x'ff41' AS TEXT));")
    connection.close()
    assert reflect(tmp_path / "l.db")["t"]["a"].type == "text"


def test_checks_are_found_whatever_the_layout() -> None:
    sql = "CREATE TABLE t (a CHECK(a>0), b /* CHECK (x) */ check ( b in (')', \"c\") ), c DEFAULT 'CHECK (y)')"
    assert list(check_bodies(sql)) == [["a", ">", "0"], ["b", "in", "(", "')'", ",", '"c"', ")"]]


def test_a_cycle_keeps_every_table() -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        "CREATE TABLE c (id INTEGER PRIMARY KEY, a REFERENCES a);"
        "CREATE TABLE a (id INTEGER PRIMARY KEY, b REFERENCES b(id));"
        "CREATE TABLE b (id INTEGER PRIMARY KEY, a REFERENCES a(id), c REFERENCES c(id));"
    )
    assert sorted(t.key for t in reflect(connection).tables) == ["a", "b", "c"]


@pytest.mark.parametrize("name", domain_names()[::9])
def test_a_grown_schema_survives_the_way_through_sql(name: str) -> None:
    """What the DDL declares, reflect reads: tables, keys, nullability and everything that the graph metrics count."""
    schema = expand(load_domain(name))
    connection = sqlite3.connect(":memory:")
    for statement in ddl(schema):
        connection.execute(statement)
    back = reflect(connection)
    for table in schema.tables:
        other = back[table.name]
        assert other.primary_key == table.primary_key
        assert [(c.name, c.nullable) for c in other.columns] == [(c.name, c.nullable) for c in table.columns]
        assert {(f.columns, f.table, f.nullable) for f in other.foreign_keys} == {
            (f.columns, f.table, f.nullable) for f in table.foreign_keys
        }
        assert set(other.uniques) >= set(table.uniques)  # a unique_active rule may add one
    ours, theirs = structure(schema), structure(back)
    for figure in ("fks", "depth", "forest", "cycle", "nullable", "nullable_fks", "hub", "composite", "many_parents"):
        mine, yours = getattr(ours, figure), getattr(theirs, figure)
        assert (sorted(mine), figure) == (sorted(yours), figure) if figure == "fks" else mine == yours
    assert ours.unique == theirs.unique
    assert [t.key for t in parents_first(schema.tables)] == [t.key for t in parents_first(parents_first(schema.tables))]


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/real is not beside this checkout")
@pytest.mark.parametrize(("name", "tables", "references"), [("chinook", 11, 11), ("sakila", 16, 22)])
def test_real_databases(name: str, tables: int, references: int) -> None:
    schema = reflect(REAL / f"{name}.sqlite")
    assert len(schema.tables) == tables
    assert len(list(schema.edges())) == references
    assert schema.domain == name
