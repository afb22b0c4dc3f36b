"""Tools that stand for rows without showing them: counts, sums, groups, rankings, series over time, summaries.

Empty sets count 0 and add up to 0; their average, least and greatest value are null.  Averages have two digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.kinds.filters import Filter, choice_param, filtered, filters, key_rows, limit_param, named
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


def _tool(
    site: Site, table: Table, what: str, words: Words, text: str, *, sql: str, fields: tuple[Field, ...], found: list[Filter],
    own: tuple[Param, ...] = (), choices: dict[str, dict[str, str]] | None = None, shape: str = "rows", keys: Places = (),
    covers: tuple[str, Statement] | None = None,
) -> Tool:  # fmt: skip
    """An aggregate; it stands for the rows of its table that meet its filters, where `covers` does not say otherwise."""
    return Tool(
        key=f"{table.key}.{what}", kind="aggregate", table=table.key, words=words, description=text, params=named(own, found),
        reply=Reply(
            query=filtered(sql, found, choices), shape=shape, fields=fields, keys=keys,
            covers=covers or (table.key, key_rows(site, table, found)),
        ),
    )  # fmt: skip


# --- of a whole table


def count(site: Site, table: Table) -> Tool:
    """How many rows meet some filters."""
    labels = site.words.labels(table.key)
    return _tool(
        site, table, "count", Words(verb="count", many=True),
        f"Count {labels}, optionally only those that meet all filters given.", found=filters(site, table), shape="value",
        sql=f"SELECT count(*) FROM {site.sql(table)} AS t WHERE 1{{clauses}}",
        fields=(figure("count", f"How many {labels} there are."),),
    )  # fmt: skip


def measure(site: Site, table: Table) -> Iterator[Tool]:
    """Sum, average, least or greatest value of a column."""
    columns, labels = _measures(site, table), site.words.labels(table.key)
    if not columns:
        return
    yield _tool(
        site, table, "measure", Words(verb="summarize", many=True),
        f"Compute the sum, average, minimum or maximum of one figure over {labels}, optionally filtered. Money is in minor "
        "units; averages have two digits.",
        own=(_measure_param(columns), _operation_param()), found=filters(site, table, 6), shape="value",
        sql=f"SELECT {{operation}}, count(v) FROM (SELECT {{measure}} AS v FROM {site.sql(table)} AS t WHERE 1{{clauses}})",
        choices={"measure": columns, "operation": OPERATIONS},
        fields=(
            figure("value", "The result; null where there is nothing to take it of.", "number", null=True),
            figure("count", f"How many {labels} have a value."),
        ),
    )  # fmt: skip


def _measures(site: Site, table: Table) -> dict[str, str]:
    """Names of the figures of a table, with their SQL."""
    return {site.field_name(table, c.key): site.col(table, c.key) for c in measures(site, table)}


def _measure_param(columns: dict[str, str]) -> Param:
    return choice_param("measure", columns, "The figure.")


def _operation_param() -> Param:
    return choice_param("operation", OPERATIONS, "What to compute of it.")


def count_different(site: Site, table: Table) -> Iterator[Tool]:
    """How many different values a column has."""
    columns = {
        site.field_name(table, c.key): site.col(table, c.key)
        for c in table.columns if (c.key,) != table.primary_key and not secret(c) and not is_a(c.type, "document")
    }  # fmt: skip
    labels = site.words.labels(table.key)
    if columns:
        yield _tool(
            site, table, "count_different", Words(verb="count", template="count_distinct_{noun}_values"),
            f"Count how many different values one property of {labels} has, optionally only among those that meet all filters.",
            own=(choice_param("by", columns, "The property whose values are counted."),), found=filters(site, table, 5),
            sql=f"SELECT count(DISTINCT {{by}}), count(*) FROM {site.sql(table)} AS t WHERE 1{{clauses}}", shape="value",
            choices={"by": columns},
            fields=(
                figure("distinct", "How many different values there are; empty ones do not count."),
                figure("count", f"How many {labels} were looked at."),
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
    ways, labels = groups(site, table), site.words.labels(table.key)
    if not ways.options:
        return
    sql, keys = _grouped(site, table, ways, ["count(*)"])
    yield _tool(
        site, table, "count_groups", Words(verb="count", many=True, tail="by_group"),
        f"Group {labels} by one property and count each group, the largest first; optionally filtered.",
        own=(_group_param(ways), limit_param(50, 200)), found=filters(site, table, 5), sql=sql.replace("{measure}", ""),
        choices={"group_by": ways.options}, keys=keys,
        fields=(*_group_fields(ways), figure("count", f"How many {labels} are in the group.")),
    )  # fmt: skip


def measure_groups(site: Site, table: Table) -> Iterator[Tool]:
    """Sum, average, least or greatest value of a column in each group."""
    ways, columns, labels = groups(site, table), _measures(site, table), site.words.labels(table.key)
    if not ways.options or not columns:
        return
    sql, keys = _grouped(site, table, ways, ["{operation}", "count(*)"])
    yield _tool(
        site, table, "measure_groups", Words(verb="summarize", many=True, tail="by_group"),
        f"Group {labels} by one property and compute the sum, average, minimum or maximum of one figure in each group, the "
        "greatest first; optionally filtered. Money is in minor units.",
        own=(_group_param(ways), _measure_param(columns), _operation_param(), limit_param(50, 200)),
        found=filters(site, table, 4), sql=sql.replace("{measure}", "{measure} AS v, "), keys=keys,
        choices={"group_by": ways.options, "measure": columns, "operation": OPERATIONS},
        fields=(
            *_group_fields(ways),
            figure("value", "The result for the group; null where there is nothing to take it of.", "number", null=True),
            figure("count", f"How many {labels} are in the group."),
        ),
    )  # fmt: skip


def _group_param(ways: Groups) -> Param:
    return choice_param("group_by", ways.options, "The property that a group shares.")


def over_time(site: Site, table: Table) -> Iterator[Tool]:
    """A series: how many rows, or how much, in each day, month or year."""
    moment = main_moment(table)
    if not moment:
        return
    when, what = site.col(table, moment.key), site.words.column_label(table.key, moment.key)
    found, labels = filters(site, table, 6), site.words.labels(table.key)
    sums = [c for c in measures(site, table) if "sum" in semantic_type(c.type).ops]
    # the prefix keeps a figure that is called 'count' apart
    columns = {"count": "1"} | {f"total_{site.field_name(table, c.key)}": site.col(table, c.key) for c in sums}
    periods = {p: f"substr({when}, 1, {n})" for p, n in PERIODS.items()}
    text: JsonSchema = {"type": "string", "description": "The day, month or year, such as 2024-03."}
    yield _tool(
        site, table, "over_time", Words(verb="summarize", many=True, tail="over_time"),
        f"Count {labels}, or add up one of their figures, per day, month or year of the {what}: the latest periods, in order of "
        "time; periods without any are left out.",
        own=(
            choice_param("period", periods, "The length of a period.", "month"),
            choice_param("measure", columns, f"What is added up: the number of {labels}, or a figure.", "count"),
            limit_param(24, 400),
        ),
        sql=f"SELECT period, value, n FROM (SELECT period, {OPERATIONS['sum']} AS value, count(*) AS n "
            f"FROM (SELECT {{measure}} AS v, {{period}} AS period FROM {site.sql(table)} AS t "
            f"WHERE {when} IS NOT NULL{{clauses}}) GROUP BY period ORDER BY period DESC LIMIT :limit) ORDER BY period",
        found=found, choices={"measure": columns, "period": periods},
        fields=(
            Field(key="period", name="period", schema=text), figure("value", "The total of the period.", "number"),
            figure("count", f"How many {labels} fall into the period."),
        ),
        covers=(table.key, key_rows(site, table, found, f"{when} IS NOT NULL")),
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
    return _tool(
        site, table, f"rank_by_{child.key}", Words(verb="rank", many=True, tail=f"by_{site.words.nouns(child.key)}"),
        f"Rank {labels} by the number of their {of}{', or by the total of a figure of these' if sums else ''}, the greatest "
        f"first; filters choose which {of} count. Those without any are left out.",
        own=(choice_param("by", options, "What decides.", "count"), limit_param(10, 100)), found=found, sql=sql,
        choices={"by": options}, fields=fields, keys=((table.key, (0,)),),
        covers=(child.key, key_rows(site, child, found, f"{here} IS NOT NULL")),
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
            query=Statement(sql=sql), shape="value", fields=tuple(fields), missing=site.missing(table),
            keys=((table.key, (0,)),), covers=(first.key, key_rows(site, first, (), covered)),
        ),
    )  # fmt: skip


def _of_child(site: Site, child: Table, reference: ForeignKey, several: bool) -> Iterator[tuple[str, Field]]:
    """Count, total of the first figure and latest moment of the children of one reference."""
    here, of = reference.columns[0], site.words.labels(child.key)
    role = f"_as_{site.words.field(child.key, here)}" if several else ""
    own = site.col(site.schema[reference.table], reference.ref[0])
    rows = f"FROM {site.sql(child)} AS c WHERE {site.col(child, here, 'c')} = {own}"
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
