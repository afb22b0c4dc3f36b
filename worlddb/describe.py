"""A world as flat rows: what the catalogue and the exports say of worlds, tables, columns, keys, rules and tasks.

Each kind of row is a NamedTuple whose fields are the columns of the Parquet files.  The catalogue leaves out the texts
that its joins find again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import NamedTuple, TypeAlias

from worlddb.describe_tasks import RejectionRow, TaskRow, rejection_rows, task_rows
from worlddb.schema.ddl import storage
from worlddb.schema.model import Schema, Table
from worlddb.schema.rules import quote
from worlddb.shards import DomainNote, Entry
from worlddb.world.model import World


class WorldRow(NamedTuple):
    """One world."""

    world: str
    """Its id, such as 'hotel-42'."""
    position: int
    """Its place in the store, from 0."""
    seed: int
    profile: str
    domain: str
    domain_group: str
    title: str
    naming: str
    locale: str
    now: int
    """The world clock, Unix seconds UTC."""
    tables: int
    columns: int
    foreign_keys: int
    rules: int
    rows: int
    bytes: int
    """Of the SQLite image."""
    stored_bytes: int
    """Of image and schema as stored."""
    tasks: int
    proposed: int
    """Tasks that were proposed to the gate, to have so many."""
    digest: str


class TableRow(NamedTuple):
    """One table of a world."""

    world: str
    position: int
    table_name: str
    table_ordinal: int
    entity: str
    """What the table means, whatever it is called."""
    archetype: str
    origin: str
    """The domain that the entity comes from."""
    key_style: str
    columns: int
    foreign_keys: int
    states: int
    """States of its state machine; 0 without one."""
    rows: int


class ColumnRow(NamedTuple):
    """One column."""

    world: str
    position: int
    table_name: str
    table_ordinal: int
    column_name: str
    ordinal: int
    attribute: str
    """What the column means, whatever it is called."""
    semantic_type: str
    storage: str
    nullable: bool
    is_unique: bool
    in_primary_key: bool
    in_foreign_key: bool
    choices: int
    """Values that an enumeration or state may hold; 0 where anything of the type may stand."""


class KeyRow(NamedTuple):
    """One primary, unique or foreign key."""

    world: str
    position: int
    table_name: str
    table_ordinal: int
    ordinal: int
    kind: str
    """'primary', 'unique' or 'foreign'."""
    columns: str
    """Column names, separated by ', '."""
    ref_table: str
    ref_columns: str
    role: str
    """What the parent is to this table."""
    nullable: bool
    on_delete: str


class RuleRow(NamedTuple):
    """One business rule."""

    world: str
    position: int
    ordinal: int
    kind: str
    table_name: str
    sentence: str


class Description(NamedTuple):
    """All rows of some worlds; the fields are the names of the tables."""

    worlds: list[WorldRow]
    tables: list[TableRow]
    columns: list[ColumnRow]
    keys: list[KeyRow]
    rules: list[RuleRow]
    tasks: list[TaskRow]
    rejections: list[RejectionRow]


Where: TypeAlias = tuple[str, int, str, int]
"""The first fields of a row about a part of a table: world, position, table_name, table_ordinal."""

Row: TypeAlias = WorldRow | TableRow | ColumnRow | KeyRow | RuleRow | TaskRow | RejectionRow

KINDS: dict[str, type[Row]] = {
    "worlds": WorldRow, "tables": TableRow, "columns": ColumnRow, "keys": KeyRow, "rules": RuleRow,
    "tasks": TaskRow, "rejections": RejectionRow,
}  # fmt: skip


def describe(entries: Iterable[Entry], domains: Iterable[DomainNote]) -> Description:
    """The rows of some worlds; `domains` has those of the worlds."""
    groups = {d.id: d.group for d in domains}
    found = Description([], [], [], [], [], [], [])
    for entry in entries:
        schema = entry.schema
        found.worlds.append(_world(entry, groups.get(schema.domain, "")))
        for ordinal, table in enumerate(schema.tables):
            found.tables.append(_table(entry, ordinal, table))
            where = (entry.id, entry.position, table.name, ordinal)
            found.columns.extend(_columns(where, table))
            found.keys.extend(_keys(where, schema, table))
        for ordinal, rule in enumerate(schema.rules):
            found.rules.append(RuleRow(entry.id, entry.position, ordinal, rule.kind, schema[rule.table].name, rule.say))
        found.tasks.extend(task_rows(entry))
        found.rejections.extend(rejection_rows(entry))
    return found


def _world(entry: Entry, group: str) -> WorldRow:
    schema, recipe = entry.schema, entry.recipe
    return WorldRow(
        world=entry.id, position=entry.position, seed=recipe.seed, profile=recipe.profile, domain=schema.domain,
        domain_group=group, title=schema.title, naming=schema.style, locale=entry.locale, now=entry.now,
        tables=len(schema.tables), columns=sum(len(t.columns) for t in schema.tables),
        foreign_keys=sum(len(t.foreign_keys) for t in schema.tables), rules=len(schema.rules),
        rows=sum(entry.counts.values()), bytes=entry.size, stored_bytes=entry.stored,
        tasks=len(entry.packed_tasks), proposed=entry.gated.proposed, digest=entry.digest,
    )  # fmt: skip


def _table(entry: Entry, ordinal: int, table: Table) -> TableRow:
    return TableRow(
        world=entry.id, position=entry.position, table_name=table.name, table_ordinal=ordinal, entity=table.key,
        archetype=table.archetype, origin=table.origin, key_style=table.key_style, columns=len(table.columns),
        foreign_keys=len(table.foreign_keys), states=len(table.lifecycle.states) if table.lifecycle else 0,
        rows=entry.counts.get(table.key, 0),
    )  # fmt: skip


def _columns(where: Where, table: Table) -> Iterator[ColumnRow]:
    foreign = {c for f in table.foreign_keys for c in f.columns}
    for ordinal, c in enumerate(table.columns):
        yield ColumnRow(
            *where, c.name, ordinal, c.key, c.type, storage(c), c.nullable, c.unique,
            c.key in table.primary_key, c.key in foreign, len(c.values),
        )  # fmt: skip


def _keys(where: Where, schema: Schema, table: Table) -> Iterator[KeyRow]:
    unique = [(c.key,) for c in table.columns if c.unique] + list(table.uniques)
    plain = [("primary", table.primary_key), *(("unique", keys) for keys in unique)]
    for ordinal, (kind, keys) in enumerate(plain):
        yield KeyRow(*where, ordinal, kind, _names(table, keys), "", "", "", False, "")
    for ordinal, key in enumerate(table.foreign_keys, start=len(plain)):
        parent = schema[key.table]
        yield KeyRow(
            *where, ordinal, "foreign", _names(table, key.columns), parent.name, _names(parent, key.ref),
            key.key, key.nullable, key.on_delete,
        )  # fmt: skip


def _names(table: Table, keys: Iterable[str]) -> str:
    return ", ".join(table[k].name for k in keys)


def samples(world: World, count: int) -> Iterator[tuple[str, list[str], list[tuple[object, ...]]]]:
    """(table name, column names, the first `count` rows) of every table; nothing where `count` is below 1."""
    with closing(world.connect()) as db:
        for table in world.schema.tables if count > 0 else ():
            names = [c.name for c in table.columns]
            columns = ", ".join(map(quote, names))
            yield (
                table.name,
                names,
                db.execute(f"SELECT {columns} FROM {quote(table.name)} LIMIT ?", (count,)).fetchall(),
            )


def first_rows(world: World) -> dict[str, tuple[object, ...]]:
    """Table key -> its first row; tables without rows are left out."""
    found = zip(world.schema.tables, samples(world, 1), strict=True)
    return {table.key: rows[0] for table, (_, _, rows) in found if rows}
