"""New rows: what is asked for, what has a default, what the system fills in."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

from msgspec.structs import replace

from worlddb.schema.ddl import bounds
from worlddb.schema.model import Column, Lifecycle, Table
from worlddb.schema.rules import Excl, literal, quote
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.kinds.parents import reference_guards, target_guard
from worlddb.tools.kinds.rows import compute, now_of, says_gone, speaks_of
from worlddb.tools.model import Find, Guard, Mint, Param, Statement, Write
from worlddb.tools.site import Made, Site
from worlddb.tools.words import state_word
from worlddb.world.mint import is_minted

_ZERO = (
    "like_count", "helpful_count", "attachment_count", "view_count", "play_count", "download_count", "reply_count", "use_count",
    "renewal_count", "retries", "loyalty_points", "reserved", "penalty_points",
)  # fmt: skip
"""Counters: nobody gives them for a new row."""
_NOW = ("recorded_at", "occurred_at", "happened_at", "measured_at", "sent_at", "logged_at", "performed_at", "paid_at")
_TODAY = (
    "posted_on",
    "joined_on",
    "opened_on",
    "issued_on",
    "ordered_on",
    "signed_on",
    "requested_on",
    "submitted_on",
    "paid_on",
)


class Insertion(NamedTuple):
    """The making of one row: what is asked for, the guards and the INSERT, and what that changes."""

    params: tuple[Param, ...]
    steps: tuple[Find | Guard | Write, ...]
    change: Made


def own_bind(prefix: str = "") -> str:
    """The bind name of a new row's own key; `prefix` is 'item_' within an Each."""
    return f"{prefix}own_id" if prefix else "id"


def insertion(
    site: Site, table: Table, *, fixed: Mapping[str, str] | None = None, prefix: str = "", tail: str = ""
) -> Insertion:
    """A new row.  `fixed` has the SQL of columns that are not asked for, `tail` what follows VALUES (…), as ON CONFLICT."""
    values, asked, mint = dict(fixed or {}), list[Param](), list[Mint]()
    for column in table.columns:
        key, own = column.key, (column.key,) == table.primary_key
        bind = own_bind(prefix) if own else prefix + key
        if (
            key in values
            or column.formula
            or (own and table.key_style == "integer" and key not in site.references(table))
        ):
            continue
        if key not in site.references(table) and is_minted(table, column):
            mint.append(Mint(into=bind, table=table.key, column=key))
            values[key] = f":{bind}"
        elif (known := _system(site, table, column)) is not None:
            values[key] = known
        else:
            param, values[key] = _asked(site, table, column, bind, values, prefix)
            asked.append(replace(param, key="id") if own and not prefix else param)
    compute(table, values, fresh=True)
    sql = f"INSERT INTO {site.sql(table)} ({site.cols(table, values, '')}) VALUES ({', '.join(values.values())}){tail}"
    write = Write(
        statement=Statement(sql=sql), table=table.key, op="insert", columns=tuple(values), mint=tuple(mint),
        into=own_bind(prefix) if len(table.primary_key) == 1 and table.key_style == "integer" else "",
    )  # fmt: skip
    guards = [g for p in asked for g in reference_guards(site, table, p.column, prefix)]
    if table.polymorphic:
        guards.append(target_guard(site, table, prefix))
    params = tuple(sorted(asked, key=lambda p: not p.required))
    return Insertion(params, (*guards, write), (table.key, "insert", tuple(values)))


def _system(site: Site, table: Table, column: Column) -> str | None:
    """The SQL of what the system itself puts into a column of a new row; None for what is asked for."""
    machine, kind = table.lifecycle, semantic_type(column.type)
    if says_gone(table, column):
        return "0" if is_a(column.type, "flag") else "NULL"
    if not site.system(table, column):
        return "NULL" if column.nullable and machine and _is_outcome(site, table, column, machine) else None
    if machine and column.key == machine.column:
        return literal(machine.initial)
    entered = machine is not None and machine.stamps.get(machine.initial) == column.key
    if entered or column.key == "created_at" or is_a(column.type, "created_at") or is_a(column.type, "updated_at"):
        return now_of(column)
    if column.nullable:
        return "NULL"
    return "0" if kind.sql != "TEXT" else ":now"


def _is_outcome(site: Site, table: Table, column: Column, machine: Lifecycle) -> bool:
    """True for a column that is known only once the row has come to some later state: a cancellation's reason."""
    wanted = {c for r in site.schema.rules if isinstance(r, Excl) and r.table == table.key for c in r.one_of}
    return column.key not in wanted and any(speaks_of(column, s) for s in machine.states[1:])


def _asked(
    site: Site, table: Table, column: Column, bind: str, values: dict[str, str], prefix: str
) -> tuple[Param, str]:
    """A column that is asked for, and the SQL of its value: it may be left out where there is a default, or it may be empty."""
    if (constant := _constant(column)) is not None:
        shown = bool(constant) if is_a(column.type, "flag") else constant
        param = site.value_param(table, column, required=False, nullable=False, note=f"default: {_spelt(shown)}")
        return replace(param, default=constant, schema={**param.schema, "default": shown}), f":{bind}"
    if found := _lookup(site, table, column, values, prefix):
        sql, note = found
        param = site.value_param(table, column, required=False, nullable=False, note=f"default: {note}")
        return replace(param, binds_null=True), f"coalesce(:{bind}, {sql})"
    param = site.value_param(table, column, required=not column.nullable)
    return (param if param.required else replace(param, binds_null=True)), f":{bind}"


def _spelt(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _constant(column: Column) -> str | int | None:
    """The usual first value of a column, the same for all rows."""
    if is_a(column.type, "flag"):
        return int(column.key in ("is_active", "active", "is_enabled", "enabled") or column.type == "is_active")
    if column.key in ("priority", "importance"):
        return next((v for v in column.values if state_word(v) in ("normal", "medium")), None)
    low, high = bounds(column, semantic_type(column.type))
    if column.key in _ZERO and semantic_type(column.type).sql == "INTEGER":
        return 0 if (low is None or low <= 0) and (high is None or high >= 0) else None
    return 1 if column.key in ("version", "attempt") and semantic_type(column.type).sql == "INTEGER" else None


def _lookup(site: Site, table: Table, column: Column, values: dict[str, str], prefix: str) -> tuple[str, str] | None:
    """SQL that finds the usual first value of a column, and what it is, in words."""
    if column.like and (found := _follow(site, table, steps := column.like.split("."), values, prefix)):
        sql, home = found
        return sql, f"the {site.words.label(home.key)}'s current {site.words.column_label(home.key, steps[-1])}"
    if column.key == "position" and semantic_type(column.type).sql == "INTEGER":
        return _next_place(site, table, column, values, prefix), "the next one"
    if column.key == "currency":
        for role, reference in table.parents.items():
            parent = site.schema[reference.table]
            path = [role, "currency"]
            if not reference.nullable and (found := _follow(site, table, path, values, prefix)):
                return found[0], f"that of the {site.words.label(parent.key)}"
    if not column.nullable and semantic_type(column.type).temporal in ("date", "datetime"):
        if column.key in _NOW or (column.type == "event_time" and "created_at" not in table):
            return now_of(column), "now"
        if column.key in _TODAY:
            return now_of(column), "today"
    return None


def _follow(
    site: Site, table: Table, steps: list[str], values: dict[str, str], prefix: str
) -> tuple[str, Table] | None:
    """The SQL of the value at the end of a path from a new row, and the table where it ends; None where it leads nowhere."""
    home, sql = table, ""
    for role, then in pairwise(steps):
        if role not in home.parents or len(home.parents[role].columns) != 1:
            return None
        reference = home.parents[role]
        sql = sql or values.get(reference.columns[0], f":{prefix}{reference.columns[0]}")
        home = site.schema[reference.table]
        column = home.parents[then].columns[0] if then in home.parents else then
        if column not in home:
            return None
        parent, key = site.sql(home), site.col(home, reference.ref[0], "p")
        sql = f"(SELECT {site.col(home, column, 'p')} FROM {parent} AS p WHERE {key} = {sql})"
    return (sql, home) if sql else None


def _next_place(site: Site, table: Table, column: Column, values: dict[str, str], prefix: str) -> str:
    group = next((u for u in table.uniques if column.key in u and len(u) == 2), ())
    parents = [k for k in group if k != column.key] or [f.columns[0] for f in table.foreign_keys if not f.nullable][:1]
    same = " AND ".join(f"s.{quote(table[k].name)} = {values.get(k, f':{prefix}{k}')}" for k in parents)
    high = bounds(column, semantic_type(column.type))[1]
    after = f"coalesce(max(s.{quote(column.name)}), 0) + 1"
    return f"(SELECT {f'min({after}, {high})' if high is not None else after} FROM {site.sql(table)} AS s WHERE {same or '1'})"
