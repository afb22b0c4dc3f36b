"""Schema -> real SQLModel table classes, for people who want an ORM over a world.

Importing this module imports SQLModel and SQLAlchemy (half a second), so nothing imports it before it is asked for.
The classes declare columns, keys, CHECKs and indexes, but no relationships; `create_all` on their metadata makes the
schema that worlddb's own DDL makes.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from types import new_class
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import registry
from sqlalchemy.schema import SchemaItem
from sqlmodel import Field, SQLModel

from worlddb.schema.ddl import checks, indexes, storage
from worlddb.schema.model import Column, Schema, Table
from worlddb.schema.reflect import tokens, unquote

_SQL_TYPES: dict[str, tuple[type[sa.types.TypeEngine[Any]], Any]] = {
    "INTEGER": (sa.INTEGER, int),
    "REAL": (sa.REAL, float),
    "TEXT": (sa.TEXT, str),
}
"""Storage class -> the SQLAlchemy type and the Python type of its values."""


def models(schema: Schema) -> dict[str, type[SQLModel]]:
    """SQLModel classes by table key, on a registry and MetaData of their own, so that many worlds coexist.

    Moments are ISO 8601 text, money counts minor units, flags are 0 and 1, as in the database.  Class and attribute
    names are the SQL names, altered only where Python or SQLModel would not take them (`class` becomes `class_`).
    Some milliseconds per table.

    >>> from worlddb.schema.domains import expand, load_domain
    >>> classes = models(expand(load_domain("hotel")))
    >>> classes["guest"].__tablename__
    'guest'
    """
    base = _base()
    class_names = _legal((t.name for t in schema.tables), capital=True, taken=())
    found = {
        table.key: _model(schema, table, name, base) for table, name in zip(schema.tables, class_names, strict=True)
    }
    for table in schema.tables:
        _refer(schema, table, found)
    return found


def _base() -> type[SQLModel]:
    """An abstract SQLModel with a fresh registry."""
    own = registry()
    namespace = {"model_config": {"protected_namespaces": ()}, "__module__": __name__}
    return new_class("WorldModel", (SQLModel,), {"registry": own}, lambda ns: ns.update(namespace))


def _model(schema: Schema, table: Table, name: str, base: type[SQLModel]) -> type[SQLModel]:
    attributes = dict(
        zip(
            (c.key for c in table.columns),
            _legal((c.name for c in table.columns), taken=(*dir(base), "registry")),
            strict=True,
        )
    )
    rowid = table.key_style == "integer" and len(table.primary_key) == 1
    namespace: dict[str, Any] = {
        "__module__": __name__,
        "__doc__": f"A row of the table {table.name}.",
        "__tablename__": table.name,
        "__annotations__": {},
        "__table_args__": (
            *_constraints(schema, table),
            {"sqlite_strict": True, "sqlite_autoincrement": rowid},
        ),
    }
    for column in table.columns:
        attribute = attributes[column.key]
        _, python = _SQL_TYPES[storage(column)]
        optional = column.nullable or (rowid and column.key in table.primary_key)
        namespace["__annotations__"][attribute] = python | None if optional else python
        declared = _column(table, column)
        namespace[attribute] = Field(default=None, sa_column=declared) if optional else Field(sa_column=declared)
    return new_class(name, (base,), {"table": True}, lambda ns: ns.update(namespace))


def _column(table: Table, column: Column) -> sa.Column[Any]:
    kind, _ = _SQL_TYPES[storage(column)]
    return sa.Column(
        column.name, kind(), primary_key=column.key in table.primary_key, nullable=column.nullable,
        unique=column.unique or None, autoincrement="auto" if table.key_style == "integer" else False,
    )  # fmt: skip


def _constraints(schema: Schema, table: Table) -> Iterator[SchemaItem]:
    for keys in table.uniques:
        yield sa.UniqueConstraint(*(table[k].name for k in keys))
    for body in checks(schema, table):
        yield sa.CheckConstraint(_text(body))
    for statement in indexes(schema, table):
        yield _index(statement)


def _refer(schema: Schema, table: Table, found: dict[str, type[SQLModel]]) -> None:
    """Add the table's foreign keys, once every class is there: names with dots and cycles need no special care then."""
    own = sa.inspect(found[table.key]).local_table
    for key in table.foreign_keys:
        parent = schema[key.table]
        columns = sa.inspect(found[key.table]).local_table.c
        # use_alter: SQLite declares the key inside CREATE TABLE all the same, but SQLAlchemy stops minding cycles
        own.append_constraint(
            sa.ForeignKeyConstraint(
                [own.c[table[c].name] for c in key.columns], [columns[parent[r].name] for r in key.ref],
                ondelete=key.on_delete or None, use_alter=True, name=f"fk_{table.key}_{key.key}",
            )
        )  # fmt: skip


def _text(sql: str) -> sa.TextClause:
    """SQL as it stands: a colon in a literal is no parameter."""
    return sa.text(sql.replace(":", r"\:"))


def _index(statement: str) -> sa.Index:
    """The index that a CREATE INDEX statement of our DDL makes.  Read from the SQL, so that both cannot differ."""
    found = tokens(statement)
    start, end = found.index("("), found.index(")")
    columns = [unquote(t) for t in found[start + 1 : end] if t != ","]
    condition = " ".join(found[end + 2 :])  # after ') WHERE'
    where: dict[str, Any] = {"sqlite_where": _text(condition)} if condition else {}
    return sa.Index(unquote(found[start - 3]), *columns, unique=found[1].upper() == "UNIQUE", **where)


def _legal(names: Iterable[str], *, capital: bool = False, taken: Iterable[str]) -> list[str]:
    """The names as Python identifiers, all different, none of them a keyword or one of `taken`."""
    used, found = set(taken), []
    change: Callable[[str], str] = _pascal if capital else lambda n: n
    for name in names:
        legal = re.sub(r"\W", "_", unicodedata.normalize("NFKC", change(name))).lstrip("_")
        if not legal.isidentifier():
            legal = ("T" if capital else "c_") + legal
        number = 1
        free = legal
        while free in used or keyword.iskeyword(free) or keyword.issoftkeyword(free):
            free = f"{legal}_" if number == 1 else f"{legal}_{number}"
            number += 1
        used.add(free)
        found.append(free)
    return found


def _pascal(name: str) -> str:
    """'order_line' -> 'OrderLine'."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[\W_]+", name))
