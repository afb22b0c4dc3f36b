"""A plan carried out by queries: the reading half of the second gold, compiled apart from the tools and from `reckon`.

Every reading node becomes a common table expression of the node's name, so that one statement holds all that a question
needs and reads in the order of the plan.  Values stand in it as literals: a query can be stored, shown and run anywhere.
Tables are named with their schema (`main."room"`), which keeps them apart from nodes that bear the same name.

A `Look` runs SQL and gives rows: `connection.execute(sql).fetchall()` of any connection, or the `rows` of a live host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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

Look: TypeAlias = Callable[[str], Sequence[tuple[Any, ...]]]
"""Runs a query; all its rows."""
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


# --- the questions that a task asks


def query_of(
    schema: Schema, plan: Plan, name: str, columns: Sequence[str] | None = None, *, choice: Choice | None = None
) -> str:
    """The SQL of a reading node: of a Find the primary keys of its rows (or other columns, by key), in its order; of any
    other node one row with its value.

    Raises:
        BadRequest: the node does something, or depends on one that does, or names what the schema lacks.
    """
    compiler = _Compiler(schema, plan, choice or {})
    node = compiler.node(name)
    if not isinstance(node, Find):
        return f"{compiler.given([name])}SELECT value FROM {quote(name)}"
    table = schema[node.table]
    keys = table.primary_key if columns is None else columns
    return f"{compiler.given([name])}SELECT {_listed(table, keys)} FROM {quote(name)}{_order(table, node)}"


def admissible(schema: Schema, plan: Plan, name: str, *, choice: Choice | None = None) -> str:
    """The SQL of the primary keys of all rows that would do for a Find that leaves a choice, in the order of `Choice`."""
    compiler = _Compiler(schema, plan, choice or {})
    find = compiler.find(name)
    table = schema[find.table]
    return f"{compiler.given(uses(find))}SELECT {_listed(table, table.primary_key)} {compiler.rows(find)}{_order(table, find)}"


def answers_of(schema: Schema, plan: Plan, *, choice: Choice | None = None) -> str:
    """The SQL of what is asked: one row with the value (of a record: the values), or one row for each item of a set or list.

    '' where nothing is asked, the task cannot be done, or the answer comes from what a Do makes: no query knows that.

    Raises:
        BadRequest: it asks for several items in another shape than a set or list of one thing.
    """
    asked = plan.asked
    if asked is None or asked.shape == "none" or not asked.what or any(_done(plan, w.node) for w in asked.what):
        return ""
    compiler = _Compiler(schema, plan, choice or {})
    several = [w for w in asked.what if isinstance(w, Each)]
    if not several:
        given = compiler.given(w.node for w in asked.what)
        return f"{given}SELECT {', '.join(compiler.value(w) for w in asked.what)}"
    if len(asked.what) > 1:
        raise BadRequest(f"an answer of several columns of rows has no shape '{asked.shape}'; ask for one column")
    return query_of(schema, plan, several[0].node, [several[0].column], choice=choice)


def shaped(plan: Plan, rows: Sequence[tuple[Any, ...]]) -> Any:
    """The answer, from the rows of `answers_of`: a value, a list of values (of sets, lists, records); None where it is asked
    for none."""
    asked = plan.asked
    if asked is None or asked.shape == "none" or not rows:
        return [] if asked is not None and asked.shape in ("set", "list") else None
    if asked.shape == "record":
        return list(rows[0])
    return [row[0] for row in rows] if isinstance(asked.what[0], Each) else rows[0][0]


# --- proofs


def proof_of(schema: Schema, plan: Plan, name: str, *, choice: Choice | None = None) -> str:
    """The proof of a Find or Group: a query of one row with the columns `found` and `reached`; '' for any other node.

    found    rows that it selects (of a Group: 1 where there is any group)
    reached  rows that would have to count for it as well: equal to `found` where nothing else meets the description, and where
             no tie exists at the border of a `take` (of a Group: at the top)

    `prove` says what they must be.
    """
    compiler = _Compiler(schema, plan, choice or {})
    node = compiler.node(name)
    if not isinstance(node, Find | Group):
        return ""
    found, reached = compiler.proof(node)
    return f"{compiler.given([name])}SELECT {found} AS found, {reached} AS reached"


def prove(look: Look, schema: Schema, plan: Plan, *, choice: Choice | None = None) -> str | None:
    """The first problem of a plan on the world as it was grown, in words; None where every description hits its rows."""
    compiler = _Compiler(schema, plan, choice or {})
    nodes = [n for n in plan.nodes if not isinstance(n, Do)]
    if not nodes:
        return None
    figures = [f for n in nodes for f in compiler.proof(n)]
    row = look(f"{compiler.given(n.name for n in nodes)}SELECT {', '.join(figures)}")[0]
    problems = (_problem(n, row[2 * i], row[2 * i + 1]) for i, n in enumerate(nodes))
    return next((p for p in problems if p is not None), None)


def _problem(node: Node, found: int, reached: int) -> str | None:
    """What is wrong with a node of which so many rows were found."""
    if not isinstance(node, Find):
        if not found:
            return f"{node.name}: there is no value"
        return f"{node.name}: {reached} groups share the first place" if reached != found else None
    if node.free:
        return None if found else f"{node.name}: no row would do"
    if node.take and found < node.take:
        return f"{node.name}: there are only {found} rows of {node.take}"
    if node.take and reached != found:
        return f"{node.name}: {reached} rows tie for {found} places"
    if not node.many and found != 1:
        return f"{node.name}: {reached} rows meet the description, not one"
    return None


def evaluate(look: Look, schema: Schema, plan: Plan, *, choice: Choice | None = None) -> dict[str, Known]:
    """Every reading node of a plan on the world as it was grown: whole rows of Finds, in their order, else the value."""
    compiler = _Compiler(schema, plan, choice or {})
    found: dict[str, Known] = {}
    figures = [n for n in plan.nodes if not isinstance(n, Find | Do)]
    for node in plan.nodes:
        if isinstance(node, Find):
            table = schema[node.table]
            keys = [c.key for c in table.columns]
            sql = f"{compiler.given([node.name])}SELECT {_listed(table, keys)} FROM {quote(node.name)}{_order(table, node)}"
            found[node.name] = Known(rows=tuple(dict(zip(keys, row, strict=True)) for row in look(sql)))
    if figures:
        given = compiler.given(n.name for n in figures)
        values = look(f"{given}SELECT {', '.join(f'(SELECT value FROM {quote(n.name)})' for n in figures)}")[0]
        for node, value in zip(figures, values, strict=True):
            kept = bool(value) if isinstance(node, Test) and value is not None else value
            found[node.name] = Known(value=kept)
    return found


# --- compiling


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


def _listed(table: Table, keys: Iterable[str]) -> str:
    return ", ".join(quote(table[k].name) for k in keys)


def _order(table: Table, find: Find) -> str:
    """In the order of its `sort`, then by primary key; `Find.take` admits no ties, so the key decides nothing there."""
    first = [f"{quote(table[find.sort].name)}{' DESC' if find.desc else ''}"] if find.sort else []
    return f" ORDER BY {', '.join([*first, *(quote(table[k].name) for k in table.primary_key)])}"


def _done(plan: Plan, name: str) -> bool:
    return isinstance(plan[name], Do)


class _Compiler:
    """The nodes of one plan as SQL; every text is made once."""

    def __init__(self, schema: Schema, plan: Plan, choice: Choice) -> None:
        self.schema, self.plan, self.choice = schema, plan, choice
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
        parts = [f"{quote(n.name)} AS ({self._text(n)})" for n in self.plan.nodes if n.name in wanted]
        return f"WITH {', '.join(parts)} " if parts else ""

    def _text(self, node: Node) -> str:
        if node.name not in self._texts:
            self._texts[node.name] = "".join(self._compile(node))
        return self._texts[node.name]

    def _compile(self, node: Node) -> Iterator[str]:
        if isinstance(node, Find):
            yield f"SELECT * {self.rows(node)}"
            if node.free:
                yield f"{_order(self.schema[node.table], node)} LIMIT 1 OFFSET {self.choice.get(node.name, 0)}"
            elif node.take:
                yield f"{_order(self.schema[node.table], node)} LIMIT {node.take}"
        elif isinstance(node, Fold):
            yield f"SELECT {self._figure(node.of, node.by, node.column)} AS value FROM {quote(node.of)}"
        elif isinstance(node, Group):
            yield f"SELECT value FROM ({self._groups(node)}) ORDER BY figure{' DESC' if node.desc else ''}, value LIMIT 1"
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

    def _groups(self, group: Group) -> str:
        """Every group with its figure; rows without a group, or with nothing to add up, are left out."""
        table = self.schema[self.find(group.of).table]
        column = quote(table[group.column].name)
        counted = f"{column} IS NOT NULL" + (f" AND {quote(table[group.over].name)} IS NOT NULL" if group.over else "")
        figure = self._figure(group.of, group.by, group.over)
        return f"SELECT {column} AS value, {figure} AS figure FROM {quote(group.of)} WHERE {counted} GROUP BY {column}"

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
            best = f"SELECT {'max' if node.desc else 'min'}(figure) FROM ({self._groups(node)})"
            return (
                f"(SELECT count(*) FROM {own})",
                f"(SELECT count(*) FROM ({self._groups(node)}) WHERE figure = ({best}))",
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
