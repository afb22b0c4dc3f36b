"""Tools that write rows of one table: create, update, delete."""

from __future__ import annotations

from collections.abc import Iterator

from worlddb.schema.ddl import formula_sql
from worlddb.schema.model import Column, Table
from worlddb.schema.rules import literal
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.model import Mint, Param, Statement, Tool, Words, Write
from worlddb.tools.site import Site
from worlddb.world.mint import is_minted


def propose(site: Site) -> Iterator[Tool]:
    """The writing tools of every table."""
    for table in site.schema.tables:
        yield create(site, table)


def create(site: Site, table: Table) -> Tool:
    """A new row: what people know is asked for, what the system knows is filled in."""
    params: list[Param] = []
    values: dict[str, str] = {}
    mint: list[Mint] = []
    for column in table.columns:
        if (column.key,) == table.primary_key or is_minted(table, column):
            bind = "id" if (column.key,) == table.primary_key else column.key
            if (column.key,) == table.primary_key and table.key_style == "integer":
                continue
            mint.append(Mint(into=bind, table=table.key, column=column.key))
            values[column.key] = f":{bind}"
        elif column.formula:
            values[column.key] = ""
        elif (fixed := system_value(site, table, column)) is not None:
            values[column.key] = fixed
        else:
            params.append(_param(site, table, column))
            values[column.key] = f":{column.key}"
    _compute(site, table, values)
    sql = f"INSERT INTO {site.sql(table)} ({site.cols(table, values, '')}) VALUES ({', '.join(values.values())})"
    write = Write(
        statement=Statement(sql=sql), table=table.key, op="insert", columns=tuple(values), mint=tuple(mint),
        into="id" if table.key_style == "integer" and len(table.primary_key) == 1 else "",
    )  # fmt: skip
    guards = [site.parent_guard(table, f) for c, f in site.references(table).items() if c in {p.key for p in params}]
    changes = [(table.key, "insert", tuple(values))]
    label = site.words.label(table.key)
    return Tool(
        key=f"{table.key}.create", kind="create", table=table.key, words=Words(verb="create"),
        description=f"Create a new {label}.", params=tuple(sorted(params, key=lambda p: not p.required)),
        steps=(*guards, write), reply=site.row_reply(table), read_only=False, idempotent=False,
        writes=site.touched(changes), rules=site.met(changes),
    )  # fmt: skip


def system_value(site: Site, table: Table, column: Column) -> str | None:
    """The SQL of what the system itself puts into a column of a new row; None for what is asked for."""
    if not site.system(table, column):
        return None
    lifecycle = table.lifecycle
    if lifecycle and column.key == lifecycle.column:
        return literal(lifecycle.initial)
    if column.key == "created_at" or is_a(column.type, "created_at") or is_a(column.type, "updated_at"):
        return ":today" if semantic_type(column.type).temporal == "date" else ":now"
    if column.nullable:
        return "NULL"
    return "0" if semantic_type(column.type).sql != "TEXT" else ":now"


def _param(site: Site, table: Table, column: Column) -> Param:
    """A column that is asked for; one that may be empty may be left out."""
    from msgspec.structs import replace

    param = site.value_param(table, column, required=not column.nullable)
    return param if param.required else replace(param, binds_null=True)


def _compute(site: Site, table: Table, values: dict[str, str]) -> None:
    """Put in the formulas, over the values that the other columns get."""
    for column in table.columns:
        if column.formula:
            text = formula_sql(table, column.formula)
            for other in table.columns:
                if other.key in values and other.key != column.key:
                    text = text.replace(f'"{other.name}"', values[other.key])
            values[column.key] = text
