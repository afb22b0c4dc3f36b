"""The nodes of a plan as SQL text: the compiler behind `sql`.

It speaks in two ways.  By name, every node becomes a common table expression, so that one statement holds all that a
question needs and reads in the order of the plan.  Step by step, what is known of earlier nodes stands as literals in the
queries of later ones: nothing is nested, and each node costs one short query.

Tables are named with their schema (`main."room"`), which keeps them apart from nodes that bear the same name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any, NamedTuple, TypeAlias

from worlddb.errors import BadRequest
from worlddb.schema.model import Schema, Table
from worlddb.schema.rules import quote
from worlddb.semantics.types import semantic_type
from worlddb.tasks.plan import (
    Calc,
    Const,
    Do,
    Each,
    Expr,
    Find,
    Fold,
    Group,
    Item,
    Node,
    Of,
    Plan,
    Test,
    Value,
    Where,
    uses,
)

Row: TypeAlias = dict[str, Any]
"""A row by column key, as stored."""
Choice: TypeAlias = dict[str, int]
"""For Finds that leave a choice: which of the admissible rows, by primary key; the first (0) where nothing is said."""

_SIGN = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_DIGITS = 6
"""Digits after the point to which a product of a stored decimal is exact: beyond them stands only the noise of binary."""


class Known(NamedTuple):
    """What a node stands for: its rows, or its value."""

    rows: tuple[Row, ...] = ()
    value: Any = None


def literal(value: Value) -> str:
    """A stored value as an SQL literal.

    Raises:
        BadRequest: no SQL literal spells it (an infinite number, text with a zero character).
    """
    if value is None:
        return "NULL"
    if isinstance(value, str):
        if "\0" in value:
            raise BadRequest("text with a zero character cannot stand in a query")
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, float) and not isfinite(value):
        raise BadRequest("an infinite number cannot stand in a query")
    return repr(value if isinstance(value, float) else int(value))


def listed(table: Table, keys: Iterable[str]) -> str:
    """Names of columns, as a comma list."""
    return ", ".join(quote(table[k].name) for k in keys)


def order(table: Table, find: Find) -> str:
    """In the order of its `sort`, then by primary key; `Find.take` admits no ties, so the key decides nothing there."""
    first = [f"{quote(table[find.sort].name)}{' DESC' if find.desc else ''}"] if find.sort else []
    return f" ORDER BY {', '.join([*first, *(quote(table[k].name) for k in table.primary_key)])}"


class Compiler:
    """The nodes of one plan as SQL; every text is made once.

    With `known` it speaks step by step: nodes that are known stand as literals, and need not be given.
    """

    def __init__(self, schema: Schema, plan: Plan, choice: Choice, known: Mapping[str, Known] | None = None) -> None:
        self.schema, self.plan, self.choice, self.known = schema, plan, choice, known
        self._texts: dict[str, str] = {}

    def node(self, name: str) -> Node:
        """The reading node of that name."""
        if name not in self.plan.by_name:
            raise BadRequest(f"the plan has no node '{name}'; it has {', '.join(self.plan.by_name)}")
        node = self.plan[name]
        if isinstance(node, Do):
            raise BadRequest(f"'{name}' changes something; a query only reads the world as it was at first")
        return node

    def find(self, name: str) -> Find:
        """The Find of that name."""
        node = self.node(name)
        if not isinstance(node, Find):
            raise BadRequest(f"'{name}' is no Find, and only rows of tables are meant here")
        return node

    def given(self, names: Iterable[str]) -> str:
        """WITH …: these nodes and all that they use, in the order of the plan; '' for none."""
        wanted, queue = set[str](), list(names)
        while queue:
            if (name := queue.pop()) not in wanted:
                wanted.add(name)
                queue += uses(self.node(name))
        parts = [f"{quote(n.name)} AS ({self.text(n)})" for n in self.plan.nodes if n.name in wanted]
        return f"WITH {', '.join(parts)} " if parts else ""

    def home(self, name: str) -> str:
        """What stands for the rows of a node after FROM."""
        return quote(name) if self.known is None else f"({self.text(self.find(name))})"

    def text(self, node: Node) -> str:
        """The query of a node: whole rows of a Find, else one row with its `value`."""
        if node.name not in self._texts:
            self._texts[node.name] = "".join(self._compile(node))
        return self._texts[node.name]

    def _compile(self, node: Node) -> Iterator[str]:
        if isinstance(node, Find):
            yield f"SELECT * {self.rows(node)}"
            if node.free:
                yield f"{order(self.schema[node.table], node)} LIMIT 1 OFFSET {self.choice.get(node.name, 0)}"
            elif node.take:
                yield f"{order(self.schema[node.table], node)} LIMIT {node.take}"
        elif isinstance(node, Fold):
            yield f"SELECT {self._figure(node.of, node.by, node.column)} AS value FROM {self.home(node.of)}"
        elif isinstance(node, Group):
            yield f"SELECT value FROM ({self.groups(node)}) ORDER BY figure{' DESC' if node.desc else ''}, value LIMIT 1"
        elif isinstance(node, Calc):
            yield f"SELECT {self._calculated(node)} AS value"
        elif isinstance(node, Test):
            yield f"SELECT {self.value(node.left)} {_SIGN[node.op]} {self.value(node.right)} AS value"

    # --- rows

    def rows(self, find: Find) -> str:
        """FROM and WHERE: the rows that meet all conditions of a Find, before `take`."""
        table = self.schema[find.table]
        conditions = [self._condition(table, w) for w in find.where]
        if find.sort:
            conditions.append(f"{quote(table[find.sort].name)} IS NOT NULL")
        return f"FROM main.{quote(table.name)}{' WHERE ' if conditions else ''}{' AND '.join(conditions)}"

    def _condition(self, table: Table, where: Where) -> str:
        if where.column not in table:
            raise BadRequest(f"'{table.key}' has no column '{where.column}'")
        column = quote(table[where.column].name)
        if where.op in ("null", "set"):
            return f"{column} IS {'NOT ' if where.op == 'set' else ''}NULL"
        if where.op == "in":
            return f"{column} IN ({self._several(where)})"
        if where.op == "not_in":  # NULL is not in an empty list, as SQL has it; here NULL meets nothing
            return f"{column} IS NOT NULL AND {column} NOT IN ({self._several(where)})"
        if where.op not in _SIGN or where.value is None:
            raise BadRequest(f"a condition on '{where.column}' cannot be '{where.op}' with nothing to compare")
        return f"{column} {_SIGN[where.op]} {self.value(where.value)}"

    def _several(self, where: Where) -> str:
        """The inside of an IN list; values that are NULL are none."""
        if isinstance(where.value, Each) and self.known is not None:
            held = dict.fromkeys(row[where.value.column] for row in self.known[where.value.node].rows)
            return ", ".join(literal(v) for v in held if v is not None)
        if isinstance(where.value, Each):
            column = self._column(where.value)
            return f"SELECT {column} FROM {quote(where.value.node)} WHERE {column} IS NOT NULL"
        stated = where.values if where.value is None else (where.value,)
        return ", ".join(self.value(v) for v in stated if not (isinstance(v, Const) and v.value is None))

    # --- values

    def value(self, expr: Expr) -> str:
        """One value as an SQL expression."""
        if isinstance(expr, Const):
            return literal(expr.value)
        if isinstance(expr, Item):
            raise BadRequest("a row at hand exists only within a Do")
        column = self._column(expr) if expr.column else "value"
        if self.known is not None:
            node = self.known[expr.node]
            return literal((node.rows[0][expr.column] if node.rows else None) if expr.column else node.value)
        return f"(SELECT {column} FROM {quote(expr.node)})"

    def _column(self, expr: Of | Each) -> str:
        table = self.schema[self.find(expr.node).table]
        if expr.column not in table:
            raise BadRequest(f"'{table.key}' has no column '{expr.column}'")
        return quote(table[expr.column].name)

    # --- figures

    def _figure(self, of: str, by: str, column: str) -> str:
        """An aggregate over the rows of a Find; with mean and sum, what is whole stays a whole number."""
        table = self.schema[self.find(of).table]
        name = quote(table[column].name) if column else ""
        if by == "count":
            return f"count({name or '*'})"
        if by == "sum":
            return f"coalesce(sum({name}), 0)"
        if by == "mean":
            if semantic_type(table[column].type).sql != "INTEGER":
                return f"avg({name})"
            return f"CASE WHEN sum({name}) % count({name}) THEN avg({name}) ELSE sum({name}) / count({name}) END"
        return f"{'min' if by == 'least' else 'max'}({name})"

    def groups(self, group: Group) -> str:
        """Every group with its figure; rows without a group, or with nothing to add up, are left out."""
        table = self.schema[self.find(group.of).table]
        column = quote(table[group.column].name)
        counted = f"{column} IS NOT NULL" + (f" AND {quote(table[group.over].name)} IS NOT NULL" if group.over else "")
        figure = self._figure(group.of, group.by, group.over)
        return (
            f"SELECT {column} AS value, {figure} AS figure FROM {self.home(group.of)} WHERE {counted} GROUP BY {column}"
        )

    def _calculated(self, calc: Calc) -> str:
        a, b = self.value(calc.left), self.value(calc.right)
        if calc.op == "days_between":
            return f"CAST(julianday(substr({b}, 1, 10)) - julianday(substr({a}, 1, 10)) AS INTEGER)"
        if calc.op == "days_after":
            return f"CASE length({a}) WHEN 10 THEN date({a}, {b} || ' days') ELSE datetime({a}, {b} || ' days') END"
        if calc.op == "percent":
            return f"CAST(floor(round({a} * {b} + 50, {_DIGITS}) / 100) AS INTEGER)"
        return f"{a} {({'plus': '+', 'minus': '-', 'times': '*'})[calc.op]} {b}"

    # --- proofs

    def proof(self, node: Node) -> tuple[str, str]:
        """(found, reached) of a node as SQL expressions; see `proof_of`."""
        own = quote(node.name)
        if isinstance(node, Group):
            best = f"SELECT {'max' if node.desc else 'min'}(figure) FROM ({self.groups(node)})"
            return (
                f"(SELECT count(*) FROM {own})",
                f"(SELECT count(*) FROM ({self.groups(node)}) WHERE figure = ({best}))",
            )
        if not isinstance(node, Find):
            return (f"(SELECT count(value) FROM {own})",) * 2
        found, rows = f"(SELECT count(*) FROM {own})", self.rows(node)
        if node.free or not node.take:
            return found, found if not node.free else f"(SELECT count(*) {rows})"
        sort = quote(self.schema[node.table][node.sort].name)
        border = f"(SELECT {'min' if node.desc else 'max'}({sort}) FROM {own})"
        joint = " AND " if " WHERE " in rows else " WHERE "
        return found, f"(SELECT count(*) {rows}{joint}{sort} {'>=' if node.desc else '<='} {border})"
