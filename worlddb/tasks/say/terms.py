"""Plans as terms: what a plan says with its names taken away, in the form that wording works on.

A term is a nested tuple that holds what a node uses in its place, so that two nodes that say the same are equal, whatever
they are called.  Tags and fields:

    const  value, table, column                     of    row term, column          each  set term, column      item  column
    find   table, conditions, sort, desc, take, many, free (0, or a number of its own: two free picks are two things)
    fold   by, column, set                          group by, over, desc, column, set
    calc   op, left, right                          test  left, op, right           did   number of the change
    do     tool, arguments, set, when, unless       plan  changes, (shape, values) or None

A condition is (column, op, value term | tuple of consts | None).  Reading also makes `again` (table), `those` (table),
`new` (table) and `its` (candidates), which `resolve` replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from worlddb.schema.model import Schema
from worlddb.tasks.plan import Asked, Calc, Const, Do, Each, Find, Fold, Group, Item, Of, Plan, Test, Where

Term: TypeAlias = tuple[Any, ...]


def find(
    table: str,
    conditions: tuple[Term, ...] = (),
    sort: str = "",
    desc: bool = False,
    take: int = 0,
    many: bool = False,
    free: int = 0,
) -> Term:
    """A find with its conditions in an order of their own."""
    return ("find", table, tuple(sorted(set(conditions), key=repr)), sort, desc, take, many, free)


def own_key(schema: Schema, table: str) -> str:
    """The column that is the key of a table, or ''."""
    key = schema[table].primary_key
    return key[0] if len(key) == 1 else ""


def target(schema: Schema, table: str, column: str) -> str:
    """The table whose rows the values of a column are keys of, or ''."""
    if table not in schema or column not in schema[table]:
        return ""
    for key in schema[table].foreign_keys:
        if key.columns == (column,) and key.ref == schema[key.table].primary_key:
            return key.table
    return table if own_key(schema, table) == column else ""


def of(schema: Schema, row: Term, column: str) -> Term:
    """The value of a column of a row; the key of a row that is named by its key alone is that key itself."""
    if (
        row[0] == "find"
        and not row[6]
        and not row[7]
        and column == own_key(schema, row[1])
        and len(row[2]) == 1
        and not row[3]
    ):
        (named, op, value) = row[2][0]
        if named == column and op == "eq" and value is not None:
            return value
    return ("of", row, column)


def each(schema: Schema, rows: Term, column: str) -> Term:
    """The values of a column over a set."""
    if rows[0] == "find" and column == own_key(schema, rows[1]) and len(rows[2]) == 1 and not rows[3]:
        (named, op, value) = rows[2][0]
        if named == column and op == "in" and isinstance(value, tuple) and value and value[0] == "each":
            return value
    return ("each", rows, column)


# --- from a plan, and back


class _Terms:
    def __init__(self, schema: Schema, plan: Plan) -> None:
        self.schema = schema
        self.plan = plan
        self.done: dict[str, Term] = {}
        self.free = 0
        self.dids = 0

    def node(self, name: str) -> Term:
        return self.done[name]

    def expr(self, e: Any) -> Term:
        if isinstance(e, Const):
            return ("const", e.value, e.table, e.column)
        if isinstance(e, Of):
            return of(self.schema, self.node(e.node), e.column) if e.column else self.node(e.node)
        if isinstance(e, Each):
            return each(self.schema, self.node(e.node), e.column)
        return ("item", e.column)

    def where(self, w: Where) -> Term:
        if w.values:
            return (w.column, w.op, tuple(self.expr(v) for v in w.values))
        return (w.column, w.op, None if w.value is None else self.expr(w.value))

    def given(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(tuple(sorted((k, self.expr(v)) for k, v in record.items())) for record in value)
        return self.expr(value)

    def add(self, n: Any) -> Term | None:
        if isinstance(n, Find):
            self.free += n.free
            where = tuple(self.where(w) for w in n.where)
            self.done[n.name] = find(n.table, where, n.sort, n.desc, n.take, n.many, self.free if n.free else 0)
        elif isinstance(n, Fold):
            self.done[n.name] = ("fold", n.by, n.column, self.node(n.of))
        elif isinstance(n, Group):
            self.done[n.name] = ("group", n.by, n.over, n.desc, n.column, self.node(n.of))
        elif isinstance(n, Calc):
            self.done[n.name] = ("calc", n.op, self.expr(n.left), self.expr(n.right))
        elif isinstance(n, Test):
            self.done[n.name] = ("test", self.expr(n.left), n.op, self.expr(n.right))
        else:
            self.done[n.name] = ("did", self.dids)
            self.dids += 1
            given = tuple(sorted((k, self.given(v)) for k, v in n.arguments.items()))
            rows, when, unless = (self.node(x) if x else None for x in (n.each, n.when, n.unless))
            return ("do", n.tool, given, rows, when, unless)
        return None


def term(schema: Schema, plan: Plan) -> Term:
    """The plan as a term.  Finds that nothing uses, and the codes of refusals, are not part of it."""
    made = _Terms(schema, plan)
    changes = tuple(t for n in plan.nodes if (t := made.add(n)) is not None)
    asked = None
    if plan.asked is not None and plan.asked.shape != "none":
        asked = (plan.asked.shape, tuple(made.expr(e) for e in plan.asked.what))
    return ("plan", changes, asked)


def nodes(schema: Schema, plan: Plan) -> dict[str, Term]:
    """The nodes of a plan by name, each as a term; of a Do what it answers with."""
    made = _Terms(schema, plan)
    for n in plan.nodes:
        made.add(n)
    return made.done


class _Plan:
    def __init__(self) -> None:
        self.names: dict[Term, str] = {}
        self.nodes: list[Any] = []
        self.dids: list[str] = []

    def add(self, t: Term, make: Callable[[str], Any]) -> str:
        if t not in self.names:
            node = make(f"n{len(self.names) + 1}")
            self.names[t] = node.name
            self.nodes.append(node)
        return self.names[t]

    def where(self, w: Term) -> Where:
        column, op, value = w
        if isinstance(value, tuple) and (not value or isinstance(value[0], tuple)):
            return Where(column=column, op=op, values=tuple(self.expr(v) for v in value))
        return Where(column=column, op=op, value=None if value is None else self.expr(value))

    def node(self, t: Term) -> str:
        """The name of the node that a term is, made where it is new."""
        if t in self.names:
            return self.names[t]
        tag = t[0]
        if tag == "did":
            return self.dids[t[1]]
        if tag == "find":
            where = tuple(self.where(w) for w in t[2])
            made = {
                "table": t[1],
                "where": where,
                "sort": t[3],
                "desc": t[4],
                "take": t[5],
                "many": t[6],
                "free": bool(t[7]),
            }
            return self.add(t, lambda name: Find(name=name, **made))
        if tag == "fold":
            rows = self.node(t[3])
            return self.add(t, lambda name: Fold(name=name, by=t[1], column=t[2], of=rows))
        if tag == "group":
            rows = self.node(t[5])
            return self.add(t, lambda name: Group(name=name, by=t[1], over=t[2], desc=t[3], column=t[4], of=rows))
        if tag == "calc":
            left, right = self.expr(t[2]), self.expr(t[3])
            return self.add(t, lambda name: Calc(name=name, op=t[1], left=left, right=right))
        left, right = self.expr(t[1]), self.expr(t[3])
        return self.add(t, lambda name: Test(name=name, left=left, op=t[2], right=right))

    def expr(self, t: Term) -> Any:
        if t[0] == "const":
            return Const(value=t[1], table=t[2], column=t[3])
        if t[0] == "of":
            return Of(node=self.node(t[1]), column=t[2])
        if t[0] == "each":
            return Each(node=self.node(t[1]), column=t[2])
        return Item(column=t[1]) if t[0] == "item" else Of(node=self.node(t))

    def given(self, value: Any) -> Any:
        if value and isinstance(value[0], tuple):
            return tuple({k: self.expr(v) for k, v in record} for record in value)
        return self.expr(value)

    def do(self, t: Term) -> None:
        _, tool, arguments, rows, when, unless = t
        given = {k: self.given(v) for k, v in arguments}
        refs = {k: self.node(v) for k, v in (("each", rows), ("when", when), ("unless", unless)) if v is not None}
        name = f"do{len(self.dids) + 1}"
        self.nodes.append(Do(name=name, tool=tool, arguments=given, **refs))
        self.dids.append(name)


def plan(t: Term, family: str = "") -> Plan:
    """The plan that a term is, with names of its own."""
    made = _Plan()
    for change in t[1]:
        made.do(change)
    asked = None
    if t[2] is not None:
        asked = Asked(shape=t[2][0], what=tuple(made.expr(e) for e in t[2][1]))
    return Plan(family=family, nodes=tuple(made.nodes), asked=asked)


# --- comparing


def walk(t: Any) -> Iterator[Term]:
    """Every tuple in a term, itself included, from left to right."""
    left = [t] if isinstance(t, tuple) else []
    while left:
        t = left.pop()
        yield t
        left += [part for part in reversed(t) if isinstance(part, tuple)]


def mapped(t: Any, change: Callable[[Term], Any]) -> Any:
    """The term with `change` applied to every tuple in it, the innermost first."""
    if not isinstance(t, tuple):
        return t
    return change(tuple([mapped(part, change) if isinstance(part, tuple) else part for part in t]))


def canonical(schema: Schema, t: Term, tools: frozenset[str] | None = None) -> Term:
    """What two plans that mean the same have in common.

    Constants lose their types; free picks are numbered as they come; a bulk tool over a set is the single tool for each of
    its rows, where there is one.
    """
    order: dict[int, int] = {}

    def change(part: Term) -> Any:
        tag = part[0] if part else ""
        if tag == "const":
            return ("const", part[1])
        if tag == "find":
            free = order.setdefault(part[7], len(order) + 1) if part[7] else 0
            return find(part[1], part[2], part[3], part[4], part[5], part[6], free)
        if tag == "do":
            return _single(schema, part)
        return part

    return mapped(t, change)


def _single(schema: Schema, do: Term) -> Term:
    _, tool, arguments, rows, when, unless = do
    table, _, verb = tool.rpartition(".")
    if not verb.startswith("bulk_") or rows is not None or len(arguments) != 1 or arguments[0][0] != "ids":
        return do
    value = arguments[0][1]
    if value[0] != "each":
        return do
    key = own_key(schema, table)
    found = value[1] if value[2] == key else find(table, ((key, "in", value),), many=True)
    return ("do", f"{table}.{verb[5:]}", (("id", ("item", key)),), found, when, unless)


def same(schema: Schema, a: Plan, b: Plan) -> bool:
    """True where two plans mean the same: names, order of conditions, families and codes of refusals aside."""
    return canonical(schema, term(schema, a)) == canonical(schema, term(schema, b))
