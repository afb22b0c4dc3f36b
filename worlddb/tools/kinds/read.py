"""Tools that read rows: get one, list with filters, sort and pages."""

from __future__ import annotations

from collections.abc import Iterator

from worlddb.schema.model import Column, Table
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.model import Param, Reply, Statement, Tool, Words
from worlddb.tools.site import PAGE_LIMIT, PAGE_MOST, Site

MOST_FILTERS = 8


def propose(site: Site) -> Iterator[Tool]:
    """The reading tools of every table."""
    for table in site.schema.tables:
        yield get_one(site, table)
        yield list_rows(site, table)


def get_one(site: Site, table: Table) -> Tool:
    """One row by its key."""
    label = site.words.label(table.key)
    return Tool(
        key=f"{table.key}.get", kind="get", table=table.key, words=Words(verb="get"),
        description=f"Get one {label} by its ID, with all its details.", params=site.key_params(table), reply=site.row_reply(table),
    )  # fmt: skip


def list_rows(site: Site, table: Table) -> Tool:
    """Rows by filters, sorted, in pages."""
    label = site.words.labels(table.key)
    filters = list(_filters(site, table))
    sort, order = sort_param(site, table)
    keys = [c.key for c in table.columns]
    sql = (
        f"SELECT {site.cols(table, keys)} FROM {site.sql(table)} AS t WHERE 1{{clauses}} "
        f"ORDER BY {{sort}} LIMIT :limit + 1 OFFSET :offset"
    )
    clauses = {p.key: clause for p, clause in filters}
    return Tool(
        key=f"{table.key}.list", kind="list", table=table.key, words=Words(verb="list", many=True),
        description=f"List {label}, optionally filtered. All filters given must hold.",
        params=(*(p for p, _ in filters), sort, *page_params()),
        reply=Reply(
            query=Statement(sql=sql, clauses=clauses, choices={"sort": order}), shape="page", fields=site.fields(table),
            keys=((table.key, site.places(table, keys)),), pages="offset",
        ),
    )  # fmt: skip


def page_params() -> tuple[Param, Param]:
    """Limit and offset; a style may turn the offset into a page number or a cursor."""
    limit = {
        "type": "integer", "minimum": 1, "maximum": PAGE_MOST, "default": PAGE_LIMIT,
        "description": f"How many to return at most (1 to {PAGE_MOST}, default {PAGE_LIMIT}).",
    }  # fmt: skip
    offset = {"type": "integer", "minimum": 0, "default": 0, "description": "How many to skip (default 0)."}
    return (
        Param(key="limit", name="limit", schema=limit, role="limit", default=PAGE_LIMIT),
        Param(key="offset", name="offset", schema=offset, role="cursor", default=0),
    )


def sort_param(site: Site, table: Table) -> tuple[Param, dict[str, str]]:
    """The parameter by which a list is sorted, and the ORDER BY of each of its values; the key breaks ties."""
    tie = site.cols(table, table.primary_key)
    options = {"id": tie}
    for column in table.columns:
        if is_sortable(table, column):
            name, sql = site.field_name(table, column.key), site.col(table, column.key)
            options |= {name: f"{sql}, {tie}", f"-{name}": f"{sql} DESC, {tie}"}
    schema = {
        "type": "string", "enum": list(options), "default": "id",
        "description": "Order of the results; a leading minus sorts descending (default: id).",
    }  # fmt: skip
    return Param(key="sort", name="sort", schema=schema, role="sort", default="id"), options


def is_sortable(table: Table, column: Column) -> bool:
    """True for columns by whose order people ask for things: moments, amounts, the title."""
    kind = semantic_type(column.type)
    if column.key in table.key_columns or column.values or is_a(column.type, "flag"):
        return False
    return bool(kind.temporal in ("date", "datetime") or kind.sql != "TEXT" or column.key == table.title)


def _filters(site: Site, table: Table) -> Iterator[tuple[Param, str]]:
    """Filter parameters, each with the clause that it adds."""
    for column in table.columns:
        sql, name = site.col(table, column.key), site.param_name(table, column.key)
        kind = semantic_type(column.type)
        if column.key in site.references(table) or column.values or is_a(column.type, "flag"):
            yield (
                site.value_param(table, column, required=False, role="filter", nullable=False),
                f" AND {sql} = :{column.key}",
            )
        elif kind.temporal in ("date", "datetime") or (kind.sql != "TEXT" and column.key not in table.primary_key):
            for end, sign in (("min", ">="), ("max", "<=")):
                word = {"min": "after", "max": "before"}[end] if kind.temporal else end
                label = f"{name}_{word}" if kind.temporal else f"{word}_{name}"
                param = site.value_param(
                    table, column, required=False, role="filter", nullable=False, key=f"{end}_{column.key}", name=label,
                    note="this or later" if word == "after" else "this or earlier" if word == "before" else f"the {'least' if end == 'min' else 'most'}",
                )  # fmt: skip
                yield param, f" AND {sql} {sign} :{end}_{column.key}"
