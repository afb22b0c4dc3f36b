"""How rows are shown: their columns, the titles of their parents, and the figures and moments that say most about them.

A program binds by key.  Keys of columns come from domain files and imported databases, so that they may be no SQL word or
one that a tool binds itself; `bind` gives the one to use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.model import Fault, Field, JsonSchema, Reply, Statement
from worlddb.tools.site import Site, or_null

MOST_TITLES = 2
"""Parents whose title stands beside their ID."""
MOST_MEASURES = 8
"""Figures of one table that can be added up."""
_OWN_BINDS = frozenset([
    "by", "id", "ids", "item", "group_by", "limit", "measure", "now", "offset", "operation", "period", "query", "sort", "today",
    "amount_more", "begin", "finish", "day", "to_state", "cursor", "page",
])  # fmt: skip

Places: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
"""Table key -> where the columns of a SELECT hold a primary key: Reply.keys."""


def bind(key: str) -> str:
    """The name under which the value of a column is bound."""
    word = re.sub(r"\W", "_", key)
    return f"{word}_" if word in _OWN_BINDS else word


class View(NamedTuple):
    """Rows of a table as an answer shows them: the columns of the SELECT, its FROM, the fields, the keys for the read log."""

    select: str
    source: str
    fields: tuple[Field, ...]
    keys: Places

    def reply(self, rest: str, shape: str, missing: Fault | None = None) -> Reply:
        """The answer that shows the rows of a condition (and what follows it)."""
        sql = f"SELECT {self.select} FROM {self.source} WHERE {rest}"
        return Reply(query=Statement(sql=sql), shape=shape, fields=self.fields, keys=self.keys, missing=missing)


def view(site: Site, table: Table) -> View:
    """All columns; in a table whose rows have no title of their own also the titles of the parents that people know it by."""
    place = ("view", table.key)
    if place not in site.memo:
        site.memo[place] = _view(site, table)
    found: View = site.memo[place]
    return found


def _view(site: Site, table: Table) -> View:
    columns = [c.key for c in table.columns]
    select, source = [site.cols(table, columns)], f"{site.sql(table)} AS t"
    fields = list(site.fields(table))
    keys: list[tuple[str, tuple[int, ...]]] = [(table.key, site.places(table, columns))]
    for number, (reference, parent) in enumerate(titled_parents(site, table)):
        alias, here = f"p{number}", reference.columns[0]
        field = title_field(site, table, reference, parent, {f.name for f in fields})
        select.append(site.col(parent, parent.title, alias))
        same = f"{site.col(parent, reference.ref[0], alias)} = {site.col(table, here)}"
        source += f" LEFT JOIN {site.sql(parent)} AS {alias} ON {same}"
        fields.append(field)
        keys.append((parent.key, (columns.index(here),)))
    return View(", ".join(select), source, tuple(fields), tuple(keys))


def titled_parents(site: Site, table: Table) -> list[tuple[ForeignKey, Table]]:
    """The references whose parents' titles stand beside the IDs, most important first; none where rows have a title."""
    if table.title:
        return []
    found = [(f, site.schema[f.table]) for f in single_references(site, table)]
    titled = [(f, p) for f, p in found if p.title and p.key != table.key and not secret(p[p.title])]
    return sorted(titled, key=lambda one: one[0].nullable)[:MOST_TITLES]


def single_references(site: Site, table: Table) -> list[ForeignKey]:
    """References of one column to the one key column of a parent, at most one for each column."""
    found = site.references(table).values()
    return [f for f in found if f.ref == site.schema[f.table].primary_key]


def secret(column: Column) -> bool:
    """True for what would not stand in for a name."""
    return is_a(column.type, "api_token") or is_a(column.type, "hash")


def title_field(site: Site, table: Table, reference: ForeignKey, parent: Table, taken: Iterable[str]) -> Field:
    """The field of a parent's title: `guest_name`."""
    role, word = site.words.field(table.key, reference.columns[0]), site.words.field(parent.key, parent.title)
    role = role.removesuffix("_id")
    name = f"{role}_name" if word.endswith("name") else f"{role}_{word}"
    while name in taken:
        name = f"{name}_shown"
    column = parent[parent.title]
    schema = site.value_schema(parent, column, given=False)
    if reference.nullable or table[reference.columns[0]].nullable or column.nullable:
        schema = or_null(schema)
    text = f"{site.describe(parent, column)}."
    return Field(
        key=f"{reference.columns[0]}.{parent.title}", name=name, schema={**schema, "description": text},
        table=parent.key, column=parent.title, convert=site.convert_out(column),
    )  # fmt: skip


def is_number(table: Table, column: Column) -> bool:
    """True for amounts, counts and measurements: numbers that refer to nothing."""
    kind, refers = semantic_type(column.type), is_a(column.type, "reference")
    return kind.sql != "TEXT" and column.key not in table.key_columns and not is_a(column.type, "flag") and not refers


def is_category(table: Table, column: Column) -> bool:
    """True for words that many rows share."""
    kind = semantic_type(column.type)
    return "group" in kind.ops and kind.sql == "TEXT" and not column.values and column.key not in table.key_columns


def measures(site: Site, table: Table) -> list[Column]:
    """Numbers that people add up or average, money first, at most some."""
    found = [c for c in table.columns if is_number(table, c) and {"sum", "avg"} & set(semantic_type(c.type).ops)]
    return sorted(found, key=lambda c: (not is_a(c.type, "money"), c.nullable))[:MOST_MEASURES]


def main_moment(table: Table) -> Column | None:
    """The moment by which rows are put in time: one of the business, set in every row, where there is one."""
    other = ("birth_date", "updated_at", "deleted_at")
    temporal = [c for c in table.columns if semantic_type(c.type).temporal in ("date", "datetime")]
    some = [c for c in temporal if not any(is_a(c.type, k) for k in other)]
    return min(some, key=lambda c: (c.nullable, is_a(c.type, "moment")), default=None)


# --- fields that are computed


def flag(name: str, text: str) -> Field:
    """A field that answers yes or no."""
    return Field(key=name, name=name, schema={"type": "boolean", "description": text}, convert="flag")


def figure(name: str, text: str, kind: str = "integer", *, null: bool = False) -> Field:
    """A field that holds a number."""
    schema: JsonSchema = {"type": kind}
    return Field(key=name, name=name, schema={**(or_null(schema) if null else schema), "description": text})


def found_keys(site: Site, table: Table, text: str, prefix: str = "") -> tuple[Field, ...]:
    """The key of a row that may not be there."""
    found = []
    for key in table.primary_key:
        name = f"{prefix}{site.param_name(table, key)}"
        schema = {**or_null(site.value_schema(table, table[key], given=False)), "description": text}
        found.append(Field(key=name, name=name, schema=schema, table=table.key, column=key))
    return tuple(found)
