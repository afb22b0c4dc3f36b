"""Tools that give many rows of one table new values at once: the same value, another owner, a price so much higher."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from worlddb.schema.ddl import bounds
from worlddb.schema.model import Column, ForeignKey, Lifecycle, Table
from worlddb.schema.rules import literal, quote
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.kinds.bulk import bulk_tool, chosen, ids_param, keyed
from worlddb.tools.kinds.link import listed_guard
from worlddb.tools.kinds.parents import final, reference_guards
from worlddb.tools.kinds.rows import LOGS, changing, sides, touch
from worlddb.tools.kinds.write import open_columns
from worlddb.tools.model import Fault, Guard, Param, Statement, Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import listing, plain

_PRICES = ("price", "unit_price", "list_price", "daily_rate")


def propose(site: Site) -> Iterator[Tool]:
    """The shared changes of every table with a key of one column."""
    for table in site.schema.tables:
        if len(table.primary_key) == 1 and sides(site, table) is None:
            yield from update_listed(site, table)
            yield from reassign(site, table)
            yield from reprice(site, table)


def update_listed(site: Site, table: Table) -> Iterator[Tool]:
    """Gives several rows the same value: of a closed list, a flag, a date by which something is due."""
    columns = [c for c in open_columns(site, table) if _is_shared(table, c)][:4]
    if not columns or table.archetype in LOGS:
        return
    params = tuple(site.value_param(table, c, required=False) for c in columns)
    clauses = {c.key: (c.key, f":{c.key}") for c in columns}
    sets = touch(table) or {columns[0].key: quote(columns[0].name)}
    write = changing(site, table, sets, keyed(site, table), clauses=clauses)
    words = listing([site.words.column_label(table.key, c.key) for c in columns], "and")
    yield bulk_tool(
        site, table, "bulk_update", Words(verb="bulk_update", many=True),
        f"Give several {site.words.labels(table.key)} the same {words}, all or none. What is not given stays as it is.",
        (ids_param(site, table, "change"), *params), (listed_guard(site, table, "ids"), write), least=2,
    )  # fmt: skip


def _is_shared(table: Table, column: Column) -> bool:
    """True for a column that many rows have the same value of, and that no formula reads."""
    tied = column.key in table.key_columns or column.unique or any(column.key in u for u in table.uniques)
    read = any(column.key in c.formula for c in table.columns if c.formula)
    return (
        not tied
        and not read
        and bool(column.values or is_a(column.type, "flag") or column.key in ("due_on", "expires_on"))
    )


def reassign(site: Site, table: Table) -> Iterator[Tool]:
    """Everything open that somebody has goes to somebody else."""
    machine = table.lifecycle
    for reference in table.foreign_keys:
        people = len(reference.columns) == 1 and site.schema[reference.table].archetype in ("staff", "party")
        tied = reference.unique or any(reference.columns[0] in u for u in table.uniques) or reference.table == table.key
        if people and not tied and machine and final(machine) and table.archetype not in LOGS:
            yield _reassign(site, table, reference, machine)
            return


def _reassign(site: Site, table: Table, reference: ForeignKey, machine: Lifecycle) -> Tool:
    column = table[reference.columns[0]]
    role, labels = site.words.field(table.key, column.key), site.words.labels(table.key)
    params = tuple(
        site.value_param(
            table, column, required=True, nullable=False, key=f"{end}_{column.key}", name=f"{end}_{role}_id",
            note="who has them now" if end == "from" else "who gets them",
        )
        for end in ("from", "to")
    )  # fmt: skip
    ended = ", ".join(map(literal, final(machine)))
    found = chosen(
        site,
        table,
        f"{site.col(table, column.key)} = :from_{column.key} AND {site.col(table, machine.column)} NOT IN ({ended})",
    )
    same = Fault(
        code="INVALID_ARGUMENT",
        message=f"Both are the {plain(role)} {{to_{column.key}}}.",
        parameter=f"to_{column.key}",
        cure="Name two different ones.",
    )
    differ = Guard(query=Statement(sql=f"SELECT 1 AS same WHERE :from_{column.key} = :to_{column.key}"), fault=same)
    guards = [
        site.parent_guard(table, reference, f"from_{column.key}"),
        *reference_guards(site, table, column.key, bind=f"to_{column.key}"),
    ]
    write = changing(site, table, {column.key: f":to_{column.key}"} | touch(table), keyed(site, table))
    return bulk_tool(
        site, table, f"reassign_{reference.key}", Words(verb="reassign", many=True, tail=f"from_{role}"),
        f"Give all open {labels} of one {plain(role)} to another. Those that are {listing(final(machine))} stay.",
        params, (*guards, differ, found, write),
    )  # fmt: skip


def reprice(site: Site, table: Table) -> Iterator[Tool]:
    """Prices go up or down by a percentage, of all rows or of those of one group."""
    open_ = {c.key: c for c in open_columns(site, table)}
    column = next((open_[k] for k in _PRICES if k in open_ and semantic_type(open_[k].type).sql == "INTEGER"), None)
    if column is None or table.archetype in (*LOGS, "line", "booking", "header", "payment"):
        return
    schema = {
        "type": "integer",
        "minimum": -50,
        "maximum": 100,
        "description": "By how many percent prices rise, or fall where negative; -50 to 100.",
    }
    percent = Param(key="percent", name="percent", schema=schema, required=True)
    group = _group(site, table)
    params, where = [percent], f"{site.col(table, column.key)} IS NOT NULL"
    if group is not None:
        params.append(
            replace(site.value_param(table, group, required=True, nullable=False, role="filter", note="only these"))
        )
        where += f" AND {site.col(table, group.key)} = :{group.key}"
    name, label = site.col(table, column.key), site.words.column_label(table.key, column.key)
    fresh = "CAST(round({0} * (100 + :percent) / 100.0) AS INTEGER)"
    low, high = bounds(column, semantic_type(column.type))
    outside = [f"{fresh.format(name)} {sign} {limit}" for sign, limit in (("<", low), (">", high)) if limit is not None]
    found = chosen(site, table, where)
    guards = [_price_guard(site, table, name, fresh.format(name), where, outside, label, low, high)] if outside else []
    parents = reference_guards(site, table, group.key) if group is not None else []
    sets = {column.key: fresh.format(quote(column.name))} | touch(table)
    tail = f"of_{site.words.field(table.key, group.key)}" if group is not None else ""
    scope = f"all {site.words.labels(table.key)}" + (
        f" of one {site.words.column_label(table.key, group.key)}" if group is not None else ""
    )
    yield bulk_tool(
        site, table, f"adjust_{column.key}s", Words(verb="reprice", many=True, tail=tail),
        f"Raise or lower the {label} of {scope} by a percentage, rounded. Refused where one would leave its bounds.",
        tuple(params), (*parents[:1], found, *guards, changing(site, table, sets, keyed(site, table))), idempotent=False,
    )  # fmt: skip


def _price_guard(
    site: Site,
    table: Table,
    name: str,
    fresh: str,
    where: str,
    outside: list[str],
    label: str,
    low: float | None,
    high: float | None,
) -> Guard:
    key, noun = site.col(table, table.primary_key[0]), site.words.label(table.key)
    limits = listing(
        [f"{word} {limit}" for word, limit in (("at least", low), ("at most", high)) if limit is not None], "and"
    )
    fault = Fault(
        code="RULE_VIOLATION", message=f"The {label} of the {noun} {{at}} is {{was}} and would become {{after}}.",
        parameter="percent",
        rule=f"bounds:{table.key}.price", cure=f"It must stay {limits}: take a smaller percentage.",
    )  # fmt: skip
    sql = (
        f"SELECT {key} AS at, {name} AS was, {fresh} AS after FROM {site.sql(table)} AS t "
        f"WHERE {where} AND ({' OR '.join(outside)}) "
        f"ORDER BY {key} LIMIT 1"
    )
    return Guard(query=Statement(sql=sql), fault=fault)


def _group(site: Site, table: Table) -> Column | None:
    """The column by which rows of a table are told apart in groups: a reference to a parent, or a closed list."""
    references = [table[f.columns[0]] for f in table.foreign_keys if len(f.columns) == 1 and f.table != table.key]
    return next(iter(references), next((c for c in table.columns if c.values and not site.system(table, c)), None))
