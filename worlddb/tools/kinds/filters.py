"""By what rows are filtered, sorted and cut into pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from worlddb.schema.model import Column, Table
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.kinds.views import bind, is_category, is_number, single_references
from worlddb.tools.model import JsonSchema, Param, Statement
from worlddb.tools.site import PAGE_LIMIT, PAGE_MOST, Site

MOST_FILTERS = 8
MOST_SORTS = 6
"""Columns by which one list can be sorted."""


class Filter(NamedTuple):
    """A filter parameter, and the condition that it adds: ` AND …`."""

    param: Param
    clause: str


def filters(site: Site, table: Table, most: int = MOST_FILTERS, skip: Iterable[str] = ()) -> list[Filter]:
    """The most useful filters of a table, at most `most`; those of the columns in `skip` are left out.

    They come in rounds: first a few of every sort, then what is left.
    """
    without = set(skip)
    sorts = [(first, [some for column, some in found if column not in without]) for first, found in _sorts(site, table)]
    chosen = [some for first, found in sorts for some in found[:first]]
    chosen += [some for first, found in sorts for some in found[first:]]
    found: list[Filter] = []
    for some in chosen:
        fresh = [f for f in some if f.param.name not in {g.param.name for g in found}]
        if len(fresh) == len(some) and len(found) + len(some) <= most:
            found += some
    return found


def _sorts(site: Site, table: Table) -> list[tuple[int, list[tuple[str, list[Filter]]]]]:
    """All filters of a table by sort: how many come in the first round, and each with the column of the table that it is on."""
    place = ("filters", table.key)
    if place not in site.memo:
        all_of_it = {c.key: c for c in table.columns}
        makers = (
            (3, _references), (1, _states), (2, _enums), (1, _deletions), (1, _moments), (1, _numbers), (1, _flags),
            (1, _hops), (1, _words), (1, _presences),
        )  # fmt: skip
        site.memo[place] = [
            (first, [(_own(some[0].param, table), some) for some in make(site, table, all_of_it)])
            for first, make in makers
        ]
    found: list[tuple[int, list[tuple[str, list[Filter]]]]] = site.memo[place]
    return found


def _own(param: Param, table: Table) -> str:
    return param.column if param.table == table.key and not param.key.startswith("via_") else ""


def filtered(sql: str, found: Iterable[Filter], choices: dict[str, dict[str, str]] | None = None) -> Statement:
    """A statement whose hole `{clauses}` takes the conditions of some filters."""
    added = {f.param.key: f.clause for f in found}
    return Statement(sql=sql if added else sql.replace("{clauses}", ""), clauses=added, choices=choices or {})


def named(own: Iterable[Param], found: Iterable[Filter]) -> tuple[Param, ...]:
    """A tool's own parameters and its filters; a filter of the same name as an own one gets another."""
    params = tuple(own)
    names = {p.name for p in params}
    renamed = [replace(p, name=f"{p.name}_filter") if p.name in names else p for p in (f.param for f in found)]
    return (*(p for p in params if p.required), *renamed, *(p for p in params if not p.required))


def _eq(site: Site, table: Table, column: Column) -> list[Filter]:
    key = bind(column.key)
    param = site.value_param(table, column, required=False, role="filter", nullable=False, key=key)
    return [Filter(param, f" AND {site.col(table, column.key)} = :{key}")]


def _references(site: Site, table: Table, left: dict[str, Column]) -> Iterator[list[Filter]]:
    keys = set(site.references(table)) | ({table.polymorphic.id_column} if table.polymorphic else set())
    return (_eq(site, table, c) for c in left.values() if c.key in keys)


def _states(site: Site, table: Table, left: dict[str, Column]) -> Iterator[list[Filter]]:
    """The state of a lifecycle: any of several."""
    if table.lifecycle and (column := left.get(table.lifecycle.column)) and column.values:
        key = bind(column.key)
        one = site.value_param(table, column, required=False, role="filter", nullable=False, key=key)
        text = f"{site.describe(table, column)}: any of these."
        schema = {
            "type": "array", "items": {"type": "string", "enum": list(column.values)}, "minItems": 1, "uniqueItems": True,
            "description": text,
        }  # fmt: skip
        clause = f" AND {site.col(table, column.key)} IN (SELECT value FROM json_each(:{key}))"
        yield [Filter(replace(one, schema=schema, convert="keys"), clause)]


def _enums(site: Site, table: Table, left: dict[str, Column]) -> Iterator[list[Filter]]:
    state = table.lifecycle.column if table.lifecycle else ""
    return (
        _eq(site, table, c)
        for c in left.values()
        if c.values and c.key != state and c.key not in site.references(table)
    )


def _flags(site: Site, table: Table, left: dict[str, Column]) -> Iterator[list[Filter]]:
    return (_eq(site, table, c) for c in left.values() if is_a(c.type, "flag") and not c.values)


def _words(site: Site, table: Table, left: dict[str, Column]) -> Iterator[list[Filter]]:
    """Categories in words: cities, colours; letter case aside."""
    for column in left.values():
        if is_category(table, column):
            (found,) = _eq(site, table, column)
            yield [found._replace(clause=f"{found.clause} COLLATE NOCASE")]


def _moments(site: Site, table: Table, left: dict[str, Column]) -> Iterator[list[Filter]]:
    """From and until, of dates and moments; those of the business before those of the clock."""
    some = [c for c in left.values() if semantic_type(c.type).temporal in ("date", "datetime")]
    return (_ends(site, table, c) for c in sorted(some, key=lambda c: (is_a(c.type, "moment"), c.nullable)))


def _numbers(site: Site, table: Table, left: dict[str, Column]) -> Iterator[list[Filter]]:
    some = [c for c in left.values() if is_number(table, c) and c.key not in site.references(table)]
    return (_ends(site, table, c) for c in sorted(some, key=lambda c: not is_a(c.type, "money")))


def _ends(site: Site, table: Table, column: Column) -> list[Filter]:
    """The least and the greatest value of a column."""
    word, sql = site.param_name(table, column.key), site.col(table, column.key)
    temporal = semantic_type(column.type).temporal
    ends = (("min", ">=", "after", "this or later"), ("max", "<=", "before", "this or earlier"))
    found = []
    for end, sign, tail, note in ends:
        key = f"{end}_{bind(column.key)}"
        param = site.value_param(
            table, column, required=False, role="filter", nullable=False, key=key,
            name=f"{word}_{tail}" if temporal else _bounded(end, word),
            note=note if temporal else f"at {'least' if end == 'min' else 'most'} this",
        )  # fmt: skip
        if end == "max" and param.convert == "datetime":
            param = replace(param, convert="datetime_end")
        found.append(Filter(param, f" AND {sql} {sign} :{key}"))
    return found


def _bounded(end: str, word: str) -> str:
    """The name of a bound: min_price, but max_weight_at_least."""
    limit = word.startswith(("min_", "max_", "minimum_", "maximum_"))
    return f"{word}_at_{'least' if end == 'min' else 'most'}" if limit else f"{end}_{word}"


def _presences(site: Site, table: Table, left: dict[str, Column]) -> Iterator[list[Filter]]:
    """Whether a reference or a moment is set at all."""
    for column in left.values():
        refers = column.key in site.references(table)
        if column.nullable and (refers or semantic_type(column.type).temporal) and not _is_deletion(column):
            yield [_presence(site, table, column)]


def _deletions(site: Site, table: Table, left: dict[str, Column]) -> Iterator[list[Filter]]:
    """Whether a row has been put away."""
    return ([_presence(site, table, c)] for c in left.values() if _is_deletion(c) and c.nullable)


def _is_deletion(column: Column) -> bool:
    return is_a(column.type, "deleted_at")


def _presence(site: Site, table: Table, column: Column) -> Filter:
    key, word = f"has_{bind(column.key)}", site.words.field(table.key, column.key)
    schema = {
        "type": "boolean",
        "description": f"True: only those with {site.words.column_label(table.key, column.key)} set; false: only those without.",
    }
    param = Param(
        key=key, name=f"has_{word}", schema=schema, role="filter", table=table.key, column=column.key, convert="flag"
    )
    return Filter(param, f" AND ({site.col(table, column.key)} IS NOT NULL) = :{key}")


def _hops(site: Site, table: Table, left: dict[str, Column]) -> Iterator[list[Filter]]:
    """By a parent's parent: the payments of a guest, through the reservation."""
    direct = {f.table for f in table.foreign_keys} | {table.key}
    for first in single_references(site, table):
        parent = site.schema[first.table]
        for second in single_references(site, parent):
            if second.table in direct:
                continue
            column, here = parent[second.columns[0]], first.columns[0]
            key = f"via_{bind(here)}_{bind(column.key)}"
            label, role = site.words.labels(table.key), site.words.column_label(table.key, here)
            param = site.value_param(
                parent, column, required=False, role="filter", nullable=False, key=key,
                note=f"finds the {label} whose {role} has it",
            )  # fmt: skip
            clause = (
                f" AND {site.col(table, here)} IN (SELECT p.{_bare(site, parent, first.ref[0])} FROM {site.sql(parent)} AS p "
                f"WHERE {site.col(parent, column.key, 'p')} = :{key})"
            )
            yield [Filter(param, clause)]


def _bare(site: Site, table: Table, key: str) -> str:
    return site.col(table, key, "")


# --- sorting and pages


def sort_param(site: Site, table: Table) -> tuple[Param, dict[str, str]]:
    """The parameter by which a list is sorted, and the ORDER BY of each of its values; the key breaks ties."""
    tie = site.cols(table, table.primary_key)
    options = {"id": tie}
    sortable = [c for c in table.columns if is_sortable(table, c)]
    for column in sorted(sortable, key=lambda c: (c.key != table.title, c.nullable))[:MOST_SORTS]:
        name, sql = site.field_name(table, column.key), site.col(table, column.key)
        options |= {name: f"{sql}, {tie}", f"-{name}": f"{sql} DESC, {tie}"}
    schema = {
        "type": "string", "enum": list(options), "default": "id",
        "description": "Order of the results; a leading minus sorts descending, ties are broken by ID (default: id).",
    }  # fmt: skip
    return Param(key="sort", name="sort", schema=schema, role="sort", default="id"), options


def is_sortable(table: Table, column: Column) -> bool:
    """True for columns by whose order people ask for things: moments, amounts, the title."""
    kind = semantic_type(column.type)
    if column.key in table.key_columns or column.values or is_a(column.type, "flag"):
        return False
    return bool(kind.temporal in ("date", "datetime") or is_number(table, column) or column.key == table.title)


def page_params() -> tuple[Param, Param]:
    """Limit and offset; a style may turn the offset into a page number or a cursor."""
    offset = {"type": "integer", "minimum": 0, "default": 0, "description": "How many to skip (default 0)."}
    return limit_param(), Param(key="offset", name="offset", schema=offset, role="cursor", default=0)


def limit_param(usual: int = PAGE_LIMIT, most: int = PAGE_MOST) -> Param:
    """How many there are at most in an answer."""
    schema = {
        "type": "integer", "minimum": 1, "maximum": most, "default": usual,
        "description": f"How many to return at most (1 to {most}, default {usual}).",
    }  # fmt: skip
    return Param(key="limit", name="limit", schema=schema, role="limit", default=usual)


def key_rows(site: Site, table: Table, found: Iterable[Filter], condition: str = "1", source: str = "") -> Statement:
    """The primary keys of the rows that meet a condition and some filters, in their order."""
    keys = site.cols(table, table.primary_key)
    start = source or f"{site.sql(table)} AS t"
    return filtered(f"SELECT {keys} FROM {start} WHERE {condition}{{clauses}} ORDER BY {keys}", found)


def choice_param(key: str, options: Iterable[str], text: str, default: str = "") -> Param:
    """One of some words, each of which stands for a text of the program."""
    schema: JsonSchema = {"type": "string", "enum": list(options), "description": text}
    if default:
        schema |= {"default": default, "description": f"{text[:-1]} (default: {default})."}
    return Param(key=key, name=key, schema=schema, required=not default, role="choice", default=default or None)
