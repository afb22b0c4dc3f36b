"""The naive way: SQLModel classes, one Faker call a cell, objects in a Session.

It is written with care (providers looked up once a column, one commit a world), and it heeds what its tables declare: keys,
uniqueness, NOT NULL, bounds.  What it does not do is obey the rules of the business, keep a row's values in agreement, or
give the same world twice; ours does, in the times that stand beside.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from faker import Faker
from faker.exceptions import UniquenessException
from msgspec.structs import replace
from sqlmodel import Session, SQLModel, create_engine

from worlddb.schema.ddl import bounds
from worlddb.schema.model import Column, ForeignKey, Schema, Table
from worlddb.schema.models import models
from worlddb.semantics.types import ancestors, is_a, semantic_type
from worlddb.world.formula import evaluate, operands
from worlddb.world.plan import order

Rows = dict[str, list[dict[str, Any]]]
"""Table key -> rows, by column key."""

PROVIDERS: dict[str, Callable[[Any], Any]] = {
    "any": lambda f: f.word(),
    "identifier": lambda f: f.bothify("????-######").upper(),
    "text": lambda f: f.sentence(),
    "title": lambda f: f.catch_phrase(),
    "description": lambda f: f.paragraph(nb_sentences=2),
    "message_body": lambda f: f.paragraph(nb_sentences=2),
    "document": lambda f: json.dumps({f.word(): f.random_int(), f.word(): f.word()}),
    "uuid": lambda f: f.uuid4(),
    "slug": lambda f: f.slug(),
    "barcode_ean13": lambda f: f.ean13(),
    "isbn13": lambda f: f.isbn13(separator=""),
    "iban": lambda f: f.iban(),
    "swift_bic": lambda f: f.swift(),
    "card_number": lambda f: f.credit_card_number(),
    "license_plate": lambda f: f.license_plate(),
    "hash": lambda f: f.sha256(),
    "api_token": lambda f: f.sha1(),
    "ipv4": lambda f: f.ipv4(),
    "ipv6": lambda f: f.ipv6(),
    "mac_address": lambda f: f.mac_address(),
    "hostname": lambda f: f.hostname(),
    "user_agent": lambda f: f.user_agent(),
    "person_name": lambda f: f.name(),
    "first_name": lambda f: f.first_name(),
    "middle_name": lambda f: f.first_name(),
    "last_name": lambda f: f.last_name(),
    "honorific": lambda f: f.prefix(),
    "username": lambda f: f.user_name(),
    "job_title": lambda f: f.job(),
    "spoken_language": lambda f: f.language_name(),
    "language_code": lambda f: f.language_code(),
    "locale_code": lambda f: f.locale(),
    "email": lambda f: f.email(),
    "company_email": lambda f: f.company_email(),
    "phone_number": lambda f: f.phone_number(),
    "url": lambda f: f.url(),
    "image_url": lambda f: f.image_url(),
    "domain_name": lambda f: f.domain_name(),
    "company_name": lambda f: f.company(),
    "street_address": lambda f: f.street_address(),
    "city": lambda f: f.city(),
    "state_region": lambda f: f.state(),
    "state_abbr": lambda f: f.state_abbr(),
    "postal_code": lambda f: f.postcode(),
    "country_name": lambda f: f.country(),
    "country_code": lambda f: f.country_code(),
    "full_address": lambda f: f.address(),
    "latitude": lambda f: float(f.latitude()),
    "longitude": lambda f: float(f.longitude()),
    "timezone": lambda f: f.timezone(),
    "currency_code": lambda f: f.currency_code(),
    "color": lambda f: f.color_name(),
    "file_name": lambda f: f.file_name(),
    "file_path": lambda f: f.file_path(),
    "mime_type": lambda f: f.mime_type(),
}
"""Semantic type -> the Faker call that a newcomer would choose; types without one take their nearest ancestor's."""


def faker(weighting: bool = True, seed: int = 0) -> Faker:
    """A seeded Faker of American English."""
    made = Faker("en_US", use_weighting=weighting)
    made.seed_instance(seed)
    return made


def provider(column: Column) -> Callable[[Any], Any]:
    """The Faker call for the cells of a column."""
    kind = semantic_type(column.type)
    if column.values:
        return lambda f: f.random_element(column.values)
    if kind.temporal == "datetime":
        return lambda f: f.date_time_between("-3y").isoformat(" ", "seconds")
    if kind.temporal == "date":
        return lambda f: f.date_between("-3y").isoformat()
    if kind.temporal == "time":
        return lambda f: f.time()
    if kind.sql == "TEXT":
        if kind.values:
            return lambda f: f.random_element(kind.values)
        return next(PROVIDERS[t] for t in ancestors(column.type) if t in PROVIDERS)
    if column.type in PROVIDERS:
        return PROVIDERS[column.type]
    return _number(column, kind.sql == "REAL", kind.scale)


def _number(column: Column, real: bool, scale: int) -> Callable[[Any], Any]:
    kind = semantic_type(column.type)
    low, high = (0, 1) if is_a(column.type, "flag") else bounds(column, kind)
    least = 0 if low is None else low
    most = least + (100_000 if column.unique or is_a(column.type, "money") else 1000) if high is None else high
    if real:
        return lambda f: f.pyfloat(min_value=least, max_value=most, right_digits=scale or 2)
    return lambda f: f.random_int(int(least), int(most))


# --- rows


def fill(schema: Schema, counts: dict[str, int], fake: Faker) -> Rows:
    """Rows for every table, parents first, by one Faker call for each cell that is no copy of a key."""
    tables, _ = order(schema, [rule.touches(schema) for rule in schema.rules])
    rows: Rows = {}
    for table in tables:
        fake.unique.clear()
        rows[table.key] = []
        rows[table.key].extend(_table(table, counts[table.key], rows, fake))
    return rows


def _table(table: Table, n: int, rows: Rows, fake: Faker) -> Iterator[dict[str, Any]]:
    """Rows of one table; those that repeat what is unique are drawn again."""
    makers = [(c, provider(c), fake.unique if c.unique else fake) for c in table.columns if c.key not in _given(table)]
    singles = {f.key: fake.random_elements(rows[f.table], n, unique=True) for f in _one_to_one(table, rows, n)}
    sets = [s for s in (table.primary_key, *table.uniques) if len(s) > 1]
    seen: set[tuple[Any, ...]] = set()
    for i in range(n):
        for _ in range(30):
            row = _row(table, i, makers, singles, rows, fake)
            keys = [(s, *(row[k] for k in s)) for s in sets if all(row[k] is not None for k in s)]
            if row and seen.isdisjoint(keys):
                seen.update(keys)
                yield row
                break


def _given(table: Table) -> frozenset[str]:
    """Columns that no provider fills."""
    pair = {table.polymorphic.id_column} if table.polymorphic else set()
    own = set(table.primary_key) if table.key_style != "composite" else set()
    references = {c for f in table.foreign_keys for c in f.columns}
    return frozenset(references | pair | own | {c.key for c in table.columns if c.formula})


def _one_to_one(table: Table, rows: Rows, n: int) -> list[ForeignKey]:
    alone = {u[0] for u in table.uniques if len(u) == 1} | {c.key for c in table.columns if c.unique}
    alone |= set(table.primary_key) if len(table.primary_key) == 1 else set()
    return [
        f for f in table.foreign_keys if (f.unique or alone & set(f.columns)) and len(rows.get(f.table, ())) >= n > 0
    ]


def _row(
    table: Table, i: int, makers: list[Any], singles: dict[str, Any], rows: Rows, fake: Faker
) -> dict[str, Any]:  # fmt: skip
    row: dict[str, Any] = {}
    if table.key_style == "integer":
        row[table.primary_key[0]] = i + 1
    elif table.key_style == "uuid":
        row[table.primary_key[0]] = fake.uuid4()
    elif table.key_style == "code":
        row[table.primary_key[0]] = f"{table.code_prefix}-{i + 1:05d}"
    for column, make, source in makers:
        empty = column.nullable and fake.random_int(1, 100) <= column.null_share
        row[column.key] = None if empty else _made(make, source, fake)
    for key in table.foreign_keys:
        parents = rows.get(key.table)
        if key.key in singles:
            parent = singles[key.key][i]
        else:
            parent = fake.random_element(parents) if parents else row if key.table == table.key else None
        if parent is None or (key.nullable and fake.random_int(1, 100) <= table[key.columns[0]].null_share):
            row.update(dict.fromkeys(key.columns))
        else:
            row.update({mine: parent[theirs] for mine, theirs in zip(key.columns, key.ref, strict=True)})
    _point(table, row, rows, fake)
    _compute(table, row)
    return {c.key: row[c.key] for c in table.columns}


def _made(make: Callable[[Any], Any], source: Any, fake: Faker) -> Any:
    try:
        return make(source)
    except UniquenessException:  # so many different words there are not
        return f"{make(fake)} {fake.unique.random_int(0, 9_999_999)}"


def _point(table: Table, row: dict[str, Any], rows: Rows, fake: Faker) -> None:
    """A polymorphic reference: to any row of the table that the type column names."""
    pair = table.polymorphic
    if pair is None:
        return
    key = pair.tables[table[pair.type_column].values.index(row[pair.type_column])]
    parent = fake.random_element(rows[key]) if rows.get(key) else None
    value = next(iter(parent.values())) if parent else 1
    row[pair.id_column] = str(value) if semantic_type(table[pair.id_column].type).sql == "TEXT" else value


def _compute(table: Table, row: dict[str, Any]) -> None:
    for column in table.columns:
        if column.formula:
            needs = operands(column.formula)
            if any(row.get(k) is None for k in needs):
                for k in needs:
                    row[k] = row.get(k) or 0
            row[column.key] = int(evaluate(column.formula, row.__getitem__))


def cells(rows: Rows) -> int:
    """How many cells were filled."""
    return sum(len(row) for table in rows.values() for row in table)


# --- databases


def create(schema: Schema) -> tuple[dict[str, type[SQLModel]], sa.Engine]:
    """SQLModel classes and an empty database in memory that has their tables."""
    classes = models(schema)
    return classes, empty(classes)


def empty(classes: dict[str, type[SQLModel]], path: str = "") -> sa.Engine:
    """A database with the tables of the classes, in memory or at a path."""
    engine = create_engine(f"sqlite:///{path}")
    next(iter(classes.values())).metadata.create_all(engine)
    return engine


def attributes(classes: dict[str, type[SQLModel]]) -> dict[str, dict[str, str]]:
    """Table key -> the attribute of each column, by the column's name."""
    return {
        key: {p.columns[0].name: p.key for p in sa.inspect(model).column_attrs} for key, model in classes.items()
    }  # fmt: skip


def add(classes: dict[str, type[SQLModel]], engine: sa.Engine, rows: Rows) -> None:
    """Rows (by attribute) as objects, added to a Session and committed."""
    with Session(engine) as session:
        for key, found in rows.items():
            session.add_all([classes[key](**row) for row in found])
            session.flush()  # without relationships, only the caller knows that parents come first
        session.commit()


def insert(classes: dict[str, type[SQLModel]], engine: sa.Engine, rows: Rows) -> None:
    """Rows (by column) by SQLAlchemy's Core: what one changes to when objects are too slow."""
    with engine.begin() as db:
        for key, found in rows.items():
            if found:
                db.execute(sa.insert(sa.inspect(classes[key]).local_table), found)


def world(schema: Schema, counts: dict[str, int], seed: int, path: Path) -> int:
    """A whole world as a SQLite file, from a schema that is given; returns how many cells it has.

    Its tables declare no business rules: Faker's data would break them.
    """
    plain = replace(schema, rules=())
    classes = models(plain)
    engine = empty(classes, str(path))
    made = fill(plain, counts, faker(seed=seed))
    names = attributes(classes)
    named = {
        key: [{names[key][plain[key][k].name]: v for k, v in row.items()} for row in rows] for key, rows in made.items()
    }
    add(classes, engine, named)
    engine.dispose()
    return cells(made)
