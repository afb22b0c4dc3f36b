"""Tools that stand for rows without showing them: counts, sums, groups, rankings, series over time, summaries.

Empty sets count 0 and add up to 0; their average, least and greatest value are null.  Averages have two digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.kinds.filters import choice_param, clauses, filters, key_rows, limit_param, named
from worlddb.tools.kinds.views import Places, figure, is_category, main_moment, measures, secret, single_references
from worlddb.tools.model import Field, JsonSchema, Param, Reply, Statement, Tool, Words
from worlddb.tools.site import Site, or_null

OPERATIONS = {
    "sum": "coalesce(CASE typeof(sum(v)) WHEN 'real' THEN round(sum(v), 4) ELSE sum(v) END, 0)",
    "avg": "round(avg(v), 2)",
    "min": "min(v)",
    "max": "max(v)",
}
"""What can be made of a column `v`."""
PERIODS = {"day": 10, "month": 7, "year": 4}
"""Characters of a moment that name its period."""
MOST_GROUPS = 10
"""Ways of grouping one table."""
MOST_CHILDREN = 6
"""Kinds of children in one summary."""
MOST_RANKINGS = 3
"""Rankings of the rows of one table."""


def propose(site: Site) -> Iterator[Tool]:
    """The aggregates of every table."""
    for table in site.schema.tables:
        yield count(site, table)
        yield from measure(site, table)
        yield from count_groups(site, table)
        yield from measure_groups(site, table)
        yield from over_time(site, table)
        yield from count_different(site, table)
        yield from rankings(site, table)
        yield from summary(site, table)


# --- of a whole table


def count(site: Site, table: Table) -> Tool:
    """How many rows meet some filters."""
    found, labels = filters(site, table), site.words.labels(table.key)
    return Tool(
        key=f"{table.key}.count", kind="aggregate", table=table.key, words=Words(verb="count", many=True),
        description=f"Count {labels}, optionally only those that meet all filters given.", params=named((), found),
        reply=Reply(
            query=Statement(sql=f"SELECT count(*) FROM {site.sql(table)} AS t WHERE 1{{clauses}}", clauses=clauses(found)),
            shape="value", fields=(figure("count", f"How many {labels} there are."),),
            covers=(table.key, key_rows(site, table, found)),
        ),
    )  # fmt: skip


def measure(site: Site, table: Table) -> Iterator[Tool]:
    """Sum, average, least or greatest value of a column."""
    columns = _measures(site, table)
    if not columns:
        return
    found, labels = filters(site, table, 6), site.words.labels(table.key)
    fields = (
        figure("value", "The result; null where there is nothing to take it of.", "number", null=True),
        figure("count", f"How many {labels} have a value."),
    )
    yield Tool(
        key=f"{table.key}.measure", kind="aggregate", table=table.key, words=Words(verb="summarize", many=True),
        description=f"Compute the sum, average, minimum or maximum of one figure over {labels}, optionally filtered. "
                    "Money is in minor units; averages have two digits.",
        params=named((_measure_param(columns), _operation_param()), found),
        reply=Reply(
            query=Statement(
                sql="SELECT {operation}, count(v) FROM "
                    f"(SELECT {{measure}} AS v FROM {site.sql(table)} AS t WHERE 1{{clauses}})",
                clauses=clauses(found), choices={"measure": columns, "operation": OPERATIONS},
            ),
            shape="value", fields=fields, covers=(table.key, key_rows(site, table, found)),
        ),
    )  # fmt: skip


def _measures(site: Site, table: Table) -> dict[str, str]:
    """Names of the figures of a table, with their SQL."""
    return {site.field_name(table, c.key): site.col(table, c.key) for c in measures(site, table)}


def _measure_param(columns: dict[str, str], extra: tuple[str, ...] = ()) -> Param:
    return choice_param("measure", [*extra, *columns], "The figure.")


def _operation_param() -> Param:
    return choice_param("operation", OPERATIONS, "What to compute of it.")


def count_different(site: Site, table: Table) -> Iterator[Tool]:
    """How many different values a column has."""
    columns = {
        site.field_name(table, c.key): site.col(table, c.key)
        for c in table.columns if c.key not in table.primary_key or len(table.primary_key) > 1
        if not secret(c) and not is_a(c.type, "document")
    }  # fmt: skip
    if not columns:
        return
    found, labels = filters(site, table, 5), site.words.labels(table.key)
    by = choice_param("by", columns, "The property whose values are counted.")
    fields = (
        figure("distinct", "How many different values there are; empty ones do not count."), figure("count", f"How many {labels}."),
    )  # fmt: skip
    yield Tool(
        key=f"{table.key}.count_different", kind="aggregate", table=table.key,
        words=Words(verb="count", template="count_distinct_{noun}_values"),
        description=f"Count how many different values one property of {labels} has, optionally only among those that meet all "
                    "filters given.",
        params=named((by,), found),
        reply=Reply(
            query=Statement(
                sql=f"SELECT count(DISTINCT {{by}}), count(*) FROM {site.sql(table)} AS t WHERE 1{{clauses}}",
                clauses=clauses(found), choices={"by": columns},
            ),
            shape="value", fields=fields, covers=(table.key, key_rows(site, table, found)),
        ),
    )  # fmt: skip


# --- in groups


class Groups(NamedTuple):
    """The ways of grouping a table."""

    options: dict[str, str]
    """Name -> the columns g (the group, as text) and k0, k1 … (the key of the parent whose title labels it)."""
    label: str
    """The SQL of the label of a group, over k0, k1 …"""
    parents: tuple[str, ...]
    """Keys of the tables of k0, k1 …"""


def groups(site: Site, table: Table) -> Groups:
    """States, enumerations, flags, parents, categories, and the months and days of its moment."""
    named_by = [(f, site.schema[f.table]) for f in single_references(site, table)]
    titled = [(f, p) for f, p in named_by if p.title and not secret(p[p.title])][:MOST_GROUPS]
    nothing = [f"NULL AS k{i}" for i in range(len(titled))]
    plain: list[tuple[str, str]] = []
    for column in table.columns:
        sql, name = site.col(table, column.key), site.field_name(table, column.key)
        if column.values or is_category(table, column):
            plain.append((name, sql))
        elif is_a(column.type, "flag"):
            plain.append((name, f"CASE {sql} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"))
    if moment := main_moment(table):
        name, sql = site.field_name(table, moment.key), site.col(table, moment.key)
        plain += [(f"{name}_{p}", f"substr({sql}, 1, {PERIODS[p]})") for p in ("month", "day")]
    found = {}
    for reference in (f for f, _ in named_by):
        here = reference.columns[0]
        keys = [f"{site.col(table, here)} AS k{i}" if f is reference else nothing[i] for i, (f, _) in enumerate(titled)]
        found[site.param_name(table, here)] = ", ".join([f"CAST({site.col(table, here)} AS TEXT) AS g", *keys])
    state = table.lifecycle and site.field_name(table, table.lifecycle.column)
    for name, sql in sorted(plain, key=lambda one: one[0] != state):
        found.setdefault(name, ", ".join([f"{sql} AS g", *nothing]))
    labels = [
        f"(SELECT CAST({site.col(p, p.title, 'p')} AS TEXT) FROM {site.sql(p)} AS p WHERE {site.col(p, f.ref[0], 'p')} = k{i})"
        for i, (f, p) in enumerate(titled)
    ]
    label = f"coalesce({', '.join(labels)})" if len(labels) > 1 else "".join(labels)
    return Groups(dict(list(found.items())[:MOST_GROUPS]), label, tuple(p.key for _, p in titled))


def _grouped(site: Site, table: Table, ways: Groups, figures: list[str]) -> tuple[str, Places]:
    """The query of groups (by the first figure, the greatest first) and what it reads."""
    shown = ["g", *([ways.label] if ways.label else []), *(f"n{i}" for i in range(len(figures)))]
    keys = [f"k{i}" for i in range(len(ways.parents))]
    inner = ", ".join(["g", *keys, *(f"{f} AS n{i}" for i, f in enumerate(figures))])
    sql = (
        f"SELECT {', '.join([*shown, *keys])} FROM (SELECT {inner} FROM (SELECT {{measure}}{{group_by}} "
        f"FROM {site.sql(table)} AS t WHERE 1{{clauses}}) GROUP BY g ORDER BY n0 DESC, g LIMIT :limit)"
    )
    return sql, tuple((p, (len(shown) + i,)) for i, p in enumerate(ways.parents))


def _group_fields(ways: Groups) -> tuple[Field, ...]:
    text: JsonSchema = {"type": ["string", "null"]}
    group = Field(
        key="group", name="group", schema={**text, "description": "The value that the group shares; null: none."}
    )
    told = "The name of what the ID of the group refers to, if any."
    label = Field(key="label", name="label", schema={**text, "description": told})
    return (group, label) if ways.label else (group,)


def count_groups(site: Site, table: Table) -> Iterator[Tool]:
    """How many rows there are of each group."""
    ways = groups(site, table)
    if not ways.options:
        return
    found, labels = filters(site, table, 5), site.words.labels(table.key)
    sql, keys = _grouped(site, table, ways, ["count(*)"])
    yield Tool(
        key=f"{table.key}.count_groups", kind="aggregate", table=table.key,
        words=Words(verb="count", many=True, tail="by_group"),
        description=f"Group {labels} by one property and count each group, the largest first; optionally filtered.",
        params=named((choice_param("group_by", ways.options, "The property that a group shares."), limit_param(50, 200)), found),
        reply=Reply(
            query=Statement(sql=sql.replace("{measure}", ""), clauses=clauses(found), choices={"group_by": ways.options}),
            shape="rows", fields=(*_group_fields(ways), figure("count", f"How many {labels} are in the group.")), keys=keys,
            covers=(table.key, key_rows(site, table, found)),
        ),
    )  # fmt: skip


def measure_groups(site: Site, table: Table) -> Iterator[Tool]:
    """Sum, average, least or greatest value of a column in each group."""
    ways, columns = groups(site, table), _measures(site, table)
    if not ways.options or not columns:
        return
    found, labels = filters(site, table, 4), site.words.labels(table.key)
    sql, keys = _grouped(site, table, ways, ["{operation}", "count(*)"])
    fields = (
        *_group_fields(ways),
        figure("value", "The result for the group; null where there is nothing to take it of.", "number", null=True),
        figure("count", f"How many {labels} are in the group."),
    )  # fmt: skip
    own = (
        choice_param("group_by", ways.options, "The property that a group shares."), _measure_param(columns), _operation_param(),
        limit_param(50, 200),
    )  # fmt: skip
    yield Tool(
        key=f"{table.key}.measure_groups", kind="aggregate", table=table.key,
        words=Words(verb="summarize", many=True, tail="by_group"),
        description=f"Group {labels} by one property and compute the sum, average, minimum or maximum of one figure in each "
                    "group, the greatest first; optionally filtered. Money is in minor units.",
        params=named(own, found),
        reply=Reply(
            query=Statement(
                sql=sql.replace("{measure}", "{measure} AS v, "), clauses=clauses(found),
                choices={"group_by": ways.options, "measure": columns, "operation": OPERATIONS},
            ),
            shape="rows", fields=fields, keys=keys, covers=(table.key, key_rows(site, table, found)),
        ),
    )  # fmt: skip


def over_time(site: Site, table: Table) -> Iterator[Tool]:
    """A series: how many rows, or how much, in each day, month or year."""
    moment = main_moment(table)
    if not moment:
        return
    when, what = site.col(table, moment.key), site.words.column_label(table.key, moment.key)
    found, labels = filters(site, table, 6), site.words.labels(table.key)
    sums = [c for c in measures(site, table) if "sum" in semantic_type(c.type).ops]
    columns = {"count": "1"} | {site.field_name(table, c.key): site.col(table, c.key) for c in sums}
    periods = {p: f"substr({when}, 1, {n})" for p, n in PERIODS.items()}
    total = choice_param(
        "measure", columns, f"What is added up: count for the number of {labels}, or a figure.", "count"
    )
    sql = (
        f"SELECT period, value, n FROM (SELECT period, {OPERATIONS['sum']} AS value, count(*) AS n "
        f"FROM (SELECT {{measure}} AS v, {{period}} AS period FROM {site.sql(table)} AS t WHERE {when} IS NOT NULL{{clauses}}) GROUP BY period "
        "ORDER BY period DESC LIMIT :limit) ORDER BY period"
    )
    text: JsonSchema = {"type": "string", "description": "The day, month or year, such as 2024-03."}
    fields = (
        Field(key="period", name="period", schema=text), figure("value", "The total of the period.", "number"),
        figure("count", f"How many {labels} fall into the period."),
    )  # fmt: skip
    yield Tool(
        key=f"{table.key}.over_time", kind="aggregate", table=table.key,
        words=Words(verb="summarize", many=True, tail="over_time"),
        description=f"Count {labels}, or add up one of their figures, per day, month or year of the {what}: the latest periods, "
                    "in order of time; periods without any are left out.",
        params=named((choice_param("period", periods, "The length of a period.", "month"), total, limit_param(24, 400)), found),
        reply=Reply(
            query=Statement(sql=sql, clauses=clauses(found), choices={"measure": columns, "period": periods}),
            shape="rows", fields=fields, covers=(table.key, key_rows(site, table, found, f"{when} IS NOT NULL")),
        ),
    )  # fmt: skip


# --- over relations


def rankings(site: Site, table: Table) -> Iterator[Tool]:
    """The rows with the most children, or the most of what these add up to: the best customers."""
    children = [(c, f) for c, f in site.schema.children[table.key] if _counts(site, table, c, f)]
    ranked = sorted(children, key=lambda one: (not measures(site, one[0]), one[1].nullable))
    seen: set[str] = set()
    for child, reference in ranked:
        if child.key not in seen and len(seen) < MOST_RANKINGS:
            seen.add(child.key)
            yield _ranking(site, table, child, reference)


def _counts(site: Site, table: Table, child: Table, reference: ForeignKey) -> bool:
    return child.key != table.key and reference in single_references(site, child) and not reference.unique


def _ranking(site: Site, table: Table, child: Table, reference: ForeignKey) -> Tool:
    labels, of = site.words.labels(table.key), site.words.labels(child.key)
    here, key = site.col(child, reference.columns[0]), table.primary_key[0]
    found = filters(site, child, 5, (reference.columns[0],))
    sums = [c for c in measures(site, child) if "sum" in semantic_type(c.type).ops]
    options = {"count": "count(*)"} | {
        f"total_{site.field_name(child, c.key)}": OPERATIONS["sum"].replace("(v)", f"({site.col(child, c.key)})")
        for c in sums
    }
    shown = [key, *([table.title] if table.title and table.title != key else [])]
    sql = (
        f"SELECT {site.cols(table, shown, 'p')}, a.value, a.n FROM (SELECT {here} AS k, {{by}} AS value, count(*) AS n "
        f"FROM {site.sql(child)} AS t WHERE {here} IS NOT NULL{{clauses}} GROUP BY {here}) AS a "
        f"JOIN {site.sql(table)} AS p ON {site.col(table, key, 'p')} = a.k ORDER BY a.value DESC, a.k LIMIT :limit"
    )
    fields = (
        *site.fields(table, shown), figure("value", f"The total by which the {labels} are ranked.", "number"),
        figure("count", f"How many {of} were counted."),
    )  # fmt: skip
    return Tool(
        key=f"{table.key}.rank_by_{child.key}", kind="aggregate", table=table.key,
        words=Words(verb="rank", many=True, tail=f"by_{site.words.nouns(child.key)}"),
        description=f"Rank {labels} by the number of their {of}{', or by the total of a figure of these' if sums else ''}, "
                    f"the greatest first; filters choose which {of} count. Those without any are left out.",
        params=named((choice_param("by", options, "What decides.", "count"), limit_param(10, 100)), found),
        reply=Reply(
            query=Statement(sql=sql, clauses=clauses(found), choices={"by": options}), shape="rows", fields=fields,
            keys=((table.key, (0,)),), covers=(child.key, key_rows(site, child, found, f"{here} IS NOT NULL")),
        ),
    )  # fmt: skip


def summary(site: Site, table: Table) -> Iterator[Tool]:
    """What hangs on one row: how many children of each kind, their totals, the latest moment."""
    children = [(c, f) for c, f in site.schema.children[table.key] if f in single_references(site, c)][:MOST_CHILDREN]
    if not children or len(table.primary_key) > 1:
        return
    columns, fields = [site.col(table, table.primary_key[0])], list(site.fields(table, table.primary_key))
    for child, reference in children:
        for sql, field in _of_child(site, child, reference, sum(c.key == child.key for c, _ in children) > 1):
            columns.append(sql)
            fields.append(field)
    label, (first, reference) = site.words.label(table.key), children[0]
    kinds = ", ".join(dict.fromkeys(site.words.labels(c.key) for c, _ in children))
    sql = f"SELECT {', '.join(columns)} FROM {site.sql(table)} AS t WHERE {site.at_key(table)}"
    covered = f"{site.col(first, reference.columns[0])} = :id"
    yield Tool(
        key=f"{table.key}.summary", kind="aggregate", table=table.key, words=Words(verb="summarize", tail="activity"),
        description=f"Summarize what belongs to one {label}: how many there are, their totals and the latest one, for {kinds}.",
        params=site.key_params(table),
        reply=Reply(
            query=Statement(sql=sql), shape="value", fields=tuple(fields), missing=site.missing(table), keys=((table.key, (0,)),),
            covers=(first.key, key_rows(site, first, (), covered)),
        ),
    )  # fmt: skip


def _of_child(site: Site, child: Table, reference: ForeignKey, several: bool) -> Iterator[tuple[str, Field]]:
    """Count, total of the first figure and latest moment of the children of one reference."""
    here, of = reference.columns[0], site.words.labels(child.key)
    role = f"_as_{site.words.field(child.key, here)}" if several else ""
    rows = f"FROM {site.sql(child)} AS c WHERE {site.col(child, here, 'c')} = {{own}}"
    parent = site.schema[reference.table]
    rows = rows.format(own=site.col(parent, parent.primary_key[0]))
    yield f"(SELECT count(*) {rows})", figure(f"{site.words.nouns(child.key)}_count{role}", f"How many {of} there are.")
    total = next((c for c in measures(site, child) if "sum" in semantic_type(c.type).ops), None)
    if total:
        amount = OPERATIONS["sum"].replace("(v)", f"({site.col(child, total.key, 'c')})")
        name = f"{site.words.nouns(child.key)}_total_{site.words.field(child.key, total.key)}{role}"
        label = site.words.column_label(child.key, total.key)
        whole = "integer" if semantic_type(total.type).sql == "INTEGER" else "number"
        yield f"(SELECT {amount} {rows})", figure(name, f"The total {label} of the {of}.", whole)
    if latest := main_moment(child):
        yield _latest(site, child, latest, rows, role)


def _latest(site: Site, child: Table, latest: Column, rows: str, role: str) -> tuple[str, Field]:
    name = f"latest_{site.words.noun(child.key)}_{site.words.field(child.key, latest.key)}{role}"
    schema = or_null(site.value_schema(child, latest, given=False))
    what, of = site.words.column_label(child.key, latest.key), site.words.labels(child.key)
    text = f"The latest {what} of the {of}; null: there is none."
    field = Field(key=name, name=name, schema={**schema, "description": text})
    return f"(SELECT max({site.col(child, latest.key, 'c')}) {rows})", field
