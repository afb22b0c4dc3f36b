"""Schema -> the SQL text that creates it: STRICT tables with keys and CHECKs, then indexes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from worlddb.schema.model import Column, Schema, Table
from worlddb.schema.rules import SumEq, UniqueActive, literal, quote
from worlddb.semantics.types import SemanticType, is_a, semantic_type

_TOKEN = re.compile(r"\s*([a-z][a-z0-9_]*|\d+|[-+*/()])")


def ddl(schema: Schema) -> list[str]:
    """The CREATE statements of a schema, tables before indexes, in the schema's order."""
    return [create_table(schema, t) for t in schema.tables] + [s for t in schema.tables for s in indexes(schema, t)]


def create_table(schema: Schema, table: Table) -> str:
    """The CREATE TABLE statement of one table."""
    lines = [_column(table, c) for c in table.columns]
    if not _rowid_key(table):
        lines.append(f"PRIMARY KEY ({names(table, table.primary_key)})")
    lines += [f"UNIQUE ({names(table, keys)})" for keys in table.uniques]
    lines += [
        f"FOREIGN KEY ({names(table, f.columns)}) REFERENCES {quote(schema[f.table].name)} "
        f"({names(schema[f.table], f.ref)})" + (f" ON DELETE {f.on_delete}" if f.on_delete else "")
        for f in table.foreign_keys
    ]
    lines += [f"CONSTRAINT {name} CHECK ({body})" for name, body in named_checks(schema, table)]
    body = ",\n  ".join(lines)
    return f"CREATE TABLE {quote(table.name)} (\n  {body}\n) STRICT"


def _rowid_key(table: Table) -> bool:
    """True where the primary key is SQLite's own row number."""
    return table.key_style == "integer" and len(table.primary_key) == 1


def _column(table: Table, column: Column) -> str:
    parts = [quote(column.name), storage(column)]
    if _rowid_key(table) and column.key == table.primary_key[0]:
        # AUTOINCREMENT: without it SQLite gives the number of a deleted last row to the next one
        return f"{parts[0]} INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL"
    if not column.nullable:
        parts.append("NOT NULL")
    if column.unique:
        parts.append("UNIQUE")
    return " ".join(parts)


def storage(column: Column) -> str:
    """The column's SQL type."""
    return semantic_type(column.type).sql


def names(table: Table, keys: tuple[str, ...]) -> str:
    """SQL names of some columns, as a comma list."""
    return ", ".join(quote(table[k].name) for k in keys)


def checks(schema: Schema, table: Table) -> Iterator[str]:
    """The bodies of the table's CHECK constraints: of the schema's rules first, then of its columns."""
    return (body for _, body in named_checks(schema, table))


def named_checks(schema: Schema, table: Table) -> Iterator[tuple[str, str]]:
    """The table's CHECK constraints as (name, body), names quoted.

    The name is what SQLite says when a check refuses a row: `rule_3` for the rule of that number, else the column's own
    name.  Rules come first, since SQLite names the first check that fails.
    """
    for number, rule in enumerate(schema.rules):
        if rule.table == table.key and (body := rule.check(table)):
            yield f"rule_{number}", body
    totals = {r.column for r in schema.rules if isinstance(r, SumEq) and r.table == table.key}
    for column in table.columns:
        if column.key not in totals:  # a total is bounded by what it adds up
            yield from ((quote(column.name), body) for body in _column_checks(table, column))


def _column_checks(table: Table, column: Column) -> Iterator[str]:
    name, kind = quote(column.name), semantic_type(column.type)
    if column.values:
        yield f"{name} IN ({', '.join(literal(v) for v in column.values)})"
    elif is_a(column.type, "flag"):
        yield f"{name} IN (0, 1)"
    elif column.key not in table.key_columns and not column.formula and kind.sql != "TEXT":
        low, high = bounds(column, kind)
        if low is not None and high is not None:
            yield f"{name} BETWEEN {low} AND {high}"
        elif low is not None:
            yield f"{name} >= {low}"
    if column.formula:
        yield f"{name} = {formula_sql(table, column.formula)}"


def bounds(column: Column, kind: SemanticType) -> tuple[int | float | None, int | float | None]:
    """The least and the greatest value that a numeric column admits; None where there is no bound."""
    low = column.low if column.low is not None else kind.low
    high = column.high if column.high is not None else kind.high
    return low, high


def formula_tokens(formula: str) -> list[str]:
    """The tokens of a formula: keys, integers and operators."""
    tokens, at = [], 0
    while at < len(formula.rstrip()):
        match = _TOKEN.match(formula, at)
        if not match:
            raise ValueError(f"formula '{formula}': only keys, integers, + - * / and parentheses may stand in it")
        tokens.append(match[1])
        at = match.end()
    return tokens


def formula_sql(table: Table, formula: str) -> str:
    """A formula as an SQL expression over column names."""
    return " ".join(quote(table[t].name) if t[0].isalpha() else t for t in formula_tokens(formula))


def indexes(schema: Schema, table: Table) -> Iterator[str]:
    """CREATE INDEX statements: one for every foreign key that no other key begins with, and the partial unique ones."""
    leading = {table.primary_key[0], *(c.key for c in table.columns if c.unique), *(u[0] for u in table.uniques)}
    for key in table.foreign_keys:
        if key.columns[0] not in leading:
            label = quote(f"ix_{table.name}_{table[key.columns[0]].name}")
            yield f"CREATE INDEX {label} ON {quote(table.name)} ({names(table, key.columns)})"
    for number, rule in enumerate(schema.rules):
        if isinstance(rule, UniqueActive) and rule.table == table.key and (body := _partial(table, rule)):
            yield f"CREATE UNIQUE INDEX {quote(f'uq_{table.name}_{number}')} ON {quote(table.name)} {body}"


def _partial(table: Table, rule: UniqueActive) -> str:
    """What a unique_active rule says as a partial index, or '' where it reaches other tables."""
    if any("." in p or p == "self" for p in (*rule.per, *rule.where)):
        return ""
    columns = tuple(table.parents[p].columns[0] if p in table.parents else p for p in rule.per)
    if any(not isinstance(v, tuple) for v in rule.where.values()):
        return ""
    conditions = [
        f"{quote(table[p].name)} IN ({', '.join(literal(v) for v in values)})"
        for p, values in rule.where.items()
        if isinstance(values, tuple)
    ]
    return f"({names(table, columns)})" + (f" WHERE {' AND '.join(conditions)}" if conditions else "")
