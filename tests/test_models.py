"""world.models(): `create_all` of the SQLModel classes yields the schema of our own DDL, and rows survive a Session."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import warnings
from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec import structs
from sqlmodel import Session, SQLModel, select

from worlddb.schema.ddl import ddl, storage
from worlddb.schema.domains import domain_names, expand, load_domain
from worlddb.schema.model import Column, ForeignKey, Schema, Table
from worlddb.schema.models import models
from worlddb.schema.reflect import check_bodies, tokens, unquote
from worlddb.schema.rules import NonNeg, UniqueActive, quote

try:
    from worlddb.world.generate import generate
except ImportError:  # the generator is built beside this
    generate = None  # type: ignore[assignment]

DOMAINS = domain_names()[::7]


def rows(connection: sqlite3.Connection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


def words(sql: str | list[str]) -> list[str]:
    return [unquote(t).lower() for t in (tokens(sql) if isinstance(sql, str) else sql)]


def indexes(connection: sqlite3.Connection, table: str) -> Counter[Any]:
    """The table's indexes: unique, origin, partial, columns, WHERE; by name where a statement named them."""
    found: Counter[Any] = Counter()
    for _, name, unique, origin, partial in rows(connection, f"PRAGMA index_list({quote(table)})"):
        columns = tuple(r[2:] for r in sorted(rows(connection, f"PRAGMA index_xinfo({quote(name)})")) if r[5])
        [(sql,)] = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", [name])
        found_words = words(sql or "")
        where = tuple(found_words[found_words.index("where") :]) if "where" in found_words else ()
        found[name if origin == "c" else "", unique, origin, partial, columns, where] += 1
    return found


def references(connection: sqlite3.Connection, table: str) -> Counter[Any]:
    """The table's foreign keys, whatever their numbers."""
    grouped: dict[int, list[Any]] = {}
    for number, *rest in rows(connection, f"PRAGMA foreign_key_list({quote(table)})"):
        grouped.setdefault(number, []).append(tuple(rest))
    return Counter(tuple(sorted(group)) for group in grouped.values())


def described(connection: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """Everything that a schema means, table by table, free of layout, order and constraint names."""
    found = {}
    for name, sql in rows(
        connection, "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ):
        listed = rows(connection, f"PRAGMA table_list({quote(name)})")
        found[name] = {
            "columns": rows(connection, f"PRAGMA table_xinfo({quote(name)})"),
            "references": references(connection, name),
            "indexes": indexes(connection, name),
            "checks": Counter(tuple(words(body)) for body in check_bodies(sql)),
            "without rowid, strict": [r[4:] for r in listed],
            "autoincrement": "autoincrement" in words(sql),
        }
    return found


def by_ddl(schema: Schema) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    for statement in ddl(schema):
        connection.execute(statement)
    return connection


def engine_of(classes: dict[str, type[SQLModel]]) -> sa.Engine:
    engine = sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        next(iter(classes.values())).metadata.create_all(engine)
    return engine


def assert_same(schema: Schema) -> None:
    engine = engine_of(models(schema))
    raw = engine.raw_connection()
    wanted, found = described(by_ddl(schema)), described(raw.driver_connection)  # type: ignore[arg-type]
    assert found.keys() == wanted.keys()
    for table in wanted:
        assert found[table] == wanted[table]


@pytest.mark.parametrize("name", DOMAINS)
def test_create_all_yields_the_schema_of_our_ddl(name: str) -> None:
    assert_same(expand(load_domain(name)))


def odd_schema() -> Schema:
    """Names that Python, SQLAlchemy or SQLModel would trip over; a cycle; composite, TEXT and uuid keys."""

    def column(key: str, name: str, kind: str = "text", **more: Any) -> Column:
        return Column(key=key, name=name, type=kind, **more)

    first = Table(
        key="a", name="2 class.es", archetype="", primary_key=("id",),
        columns=(
            column("id", "id", "surrogate_id"), column("c", "class", nullable=True, unique=True),
            column("d", "1st-name"), column("e", "metadata"), column("g", "__secret"), column("h", "json"),
            column("f", "model_dump", values=("it's :x", "50% \\:y", 'a"b')), column("k", "état"),
            column("i", "1st name", "measure", low=0, high=5), column("b", "b", "reference", nullable=True),
            column("m", 'quo"te', "quantity"), column("n", "registry", "flag"), column("o", "match"),
        ),
        foreign_keys=(
            ForeignKey(key="b", columns=("b",), table="b", ref=("id",), nullable=True, on_delete="SET NULL"),
        ),
        uniques=(("d", "e"),),
    )  # fmt: skip
    second = Table(
        key="b", name="2_class_es", archetype="", primary_key=("id",), key_style="uuid",
        columns=(column("id", "ID", "uuid"), column("a", "a", "reference", unique=True)),
        foreign_keys=(ForeignKey(key="a", columns=("a",), table="a", ref=("id",), unique=True, on_delete="CASCADE"),),
    )  # fmt: skip
    third = Table(
        key="c", name="select", archetype="", primary_key=("x", "y"), key_style="composite",
        columns=(
            column("x", "from", "reference"), column("y", "y", "quantity"),
            column("z", "to", "reference", nullable=True),
        ),
        foreign_keys=(
            ForeignKey(key="x", columns=("x",), table="a", ref=("id",)),
            ForeignKey(key="up", columns=("z", "y"), table="c", ref=("x", "y"), nullable=True),
        ),
    )  # fmt: skip
    rules = (
        UniqueActive(say="one", table="a", per=("b",), where={"f": ("it's :x",)}),
        UniqueActive(say="two", table="c", per=("z",)),
        NonNeg(say="three", table="a", column="m"),
    )
    return Schema(domain="odd", title="Odd", tables=(first, second, third), rules=rules)


def test_odd_names_and_cycles() -> None:
    schema = odd_schema()
    schema = structs.replace(schema, tables=tuple(_text_reference(t) for t in schema.tables))
    assert_same(schema)
    classes = models(schema)
    names = [c.__name__ for c in classes.values()]
    assert len(set(names)) == 3
    assert all(n.isidentifier() for n in names)
    fields = classes["a"].model_fields
    assert all(n.isidentifier() for n in fields)
    assert {"id", "class_", "c_1st_name", "c_1st_name_", "metadata_", "secret", "état"} <= set(fields)
    engine = engine_of(classes)
    made = classes["a"](
        class_="x", c_1st_name="y", metadata_="z", model_dump_="50% \\:y", secret="s", json_="j", c_1st_name_=1.5,
        état="e", quo_te=3, registry_=1, match_="m",
    )  # fmt: skip
    with Session(engine) as session:
        session.add(made)
        session.commit()
    raw = engine.raw_connection()
    assert raw.driver_connection.execute(
        'SELECT id, "class", "model_dump", "1st name" FROM "2 class.es"'
    ).fetchall() == [(1, "x", "50% \\:y", 1.5)]


def _text_reference(table: Table) -> Table:
    """References to a table with a TEXT key are TEXT themselves."""
    to_text = {c for f in table.foreign_keys if f.table == "b" for c in f.columns}
    columns = tuple(structs.replace(c, type="uuid") if c.key in to_text else c for c in table.columns)
    return structs.replace(table, columns=columns)


def row_of(table: Table, number: int) -> dict[str, Any]:
    """A row of the right storage classes; CHECKs and foreign keys aside."""
    values: dict[str, Any] = {}
    for i, column in enumerate(table.columns):
        kind = storage(column)
        value = {"INTEGER": number, "REAL": number + i / 8, "TEXT": f"{column.key} {number} ü'\""}[kind]
        values[column.key] = None if column.nullable and (number + i) % 2 else value
    return values


@pytest.mark.parametrize("name", DOMAINS[:3])
def test_rows_survive_a_session(name: str) -> None:
    schema = expand(load_domain(name))
    classes = models(schema)
    engine = engine_of(classes)
    with Session(engine) as session:
        session.exec(sa.text("PRAGMA ignore_check_constraints = ON"))  # type: ignore[call-overload]
        for table in schema.tables:
            session.add_all([classes[table.key](**row_of(table, n)) for n in (1, 2, 3)])
            session.flush()
        session.commit()
    with Session(engine) as session:
        for table in schema.tables:
            found = session.exec(select(classes[table.key])).all()
            got = sorted(([getattr(row, c.key) for c in table.columns] for row in found), key=repr)
            assert got == sorted((list(row_of(table, n).values()) for n in (1, 2, 3)), key=repr)


def test_keys_are_given_by_the_database() -> None:
    schema = expand(load_domain("hotel"))
    classes = models(schema)
    with Session(engine_of(classes)) as session:
        session.exec(sa.text("PRAGMA ignore_check_constraints = ON"))  # type: ignore[call-overload]
        guest = classes["guest"](**{k: v for k, v in row_of(schema["guest"], 1).items() if k != "id"})
        session.add(guest)
        session.commit()
        assert guest.id == 1  # type: ignore[attr-defined]


def test_worlds_coexist() -> None:
    schema = expand(load_domain("hotel"))
    one, two = models(schema), models(schema)
    assert one["guest"] is not two["guest"]
    assert one["guest"].metadata is not two["guest"].metadata
    assert one["guest"].metadata is one["room"].metadata
    assert not set(SQLModel.metadata.tables) & {t.name for t in schema.tables}
    assert list(one) == [t.key for t in schema.tables]


def test_an_orm_is_imported_on_demand_only() -> None:
    code = (
        "import sys, worlddb.schema.ddl, worlddb.schema.metrics, worlddb.schema.diagram, worlddb.world.model;"
        "sys.exit(any(m in sys.modules for m in ('sqlmodel', 'sqlalchemy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(generate is None, reason="worlddb.world.generate is not there yet")
@pytest.mark.parametrize("seed", range(4))
def test_generated_worlds(seed: int) -> None:
    """The schema is the same, and every row of a world goes through a Session into a database that create_all made."""
    world = generate(seed)
    assert_same(world.schema)
    classes = world.models()
    engine = engine_of(classes)
    source = world.connect()
    with Session(engine) as session:
        for table in world.schema.tables:
            kind = classes[table.key]
            attributes = [sa.inspect(kind).get_property_by_column(c).key for c in sa.inspect(kind).local_table.c]
            named = ", ".join(quote(c.name) for c in table.columns)
            wanted = list(source.execute(f"SELECT {named} FROM {quote(table.name)}"))
            session.add_all([kind(**dict(zip(attributes, row, strict=True))) for row in wanted])
            session.flush()
            session.expire_all()
            found = session.exec(select(kind)).all()
            assert sorted((tuple(getattr(r, a) for a in attributes) for r in found), key=repr) == sorted(
                wanted, key=repr
            )
        assert session.exec(sa.text("PRAGMA foreign_key_check")).all() == []  # type: ignore[call-overload]
