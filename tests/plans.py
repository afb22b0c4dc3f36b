"""Random plans over a world: every kind of node, with values that are in its data.  They mean something, but nothing sensible."""

from __future__ import annotations

from typing import Any

from worlddb.rng import Stream
from worlddb.schema.model import Table
from worlddb.semantics.types import semantic_type
from worlddb.tasks.ground import Ground, flat
from worlddb.tasks.plan import Asked, Calc, Const, Do, Each, Find, Fold, Group, Item, Of, Plan, Test, Where
from worlddb.tasks.say import Lexicon
from worlddb.tools.model import Param, Tool

NUMBERS = ("number", "money", "real")


class Drawer:
    """Draws one plan."""

    def __init__(self, ground: Ground, stream: Stream) -> None:
        self.ground = ground
        self.schema = ground.schema
        self.s = stream
        self.lexicon = Lexicon(ground.schema, ground.words, ground.world.locale, ground.world.now)
        self.nodes: list[Any] = []
        self.count = 0

    # --- what there is

    def kind(self, table: Table, column: str) -> str:
        """What a column holds, as people speak of it; 'key' for any reference too, 'json' for what nobody would speak of."""
        pair = table.polymorphic
        if column in table.key_columns:
            return "key"
        if semantic_type(table[column].type).unit == "json" or (pair and column in (pair.id_column, pair.type_column)):
            return "json"
        return self.lexicon.kind((table.key, column))

    def columns(self, table: Table, *kinds: str) -> list[str]:
        return [c.key for c in table.columns if self.kind(table, c.key) in kinds]

    def value(self, table: Table, column: str) -> Any:
        found = [r[column] for r in self.ground.table(table.key) if r[column] is not None]
        return self.s.pick(found) if found else None

    def name(self) -> str:
        self.count += 1
        return f"x{self.count}"

    def add(self, node: Any) -> str:
        self.nodes.append(node)
        return str(node.name)

    def tables(self) -> list[Table]:
        return [t for t in self.schema.tables if len(t.primary_key) == 1 and self.ground.table(t.key)]

    # --- rows

    def conditions(self, table: Table, most: int, depth: int) -> tuple[Where, ...]:
        found: dict[str, Where] = {}
        for _ in range(self.s.between(1, most)):
            where = self.condition(table, depth)
            if where is not None:
                found.setdefault(where.column, where)
        return tuple(found.values())

    def condition(self, table: Table, depth: int) -> Where | None:
        kinds = [
            "state",
            "state",
            "enum",
            "number",
            "money",
            "real",
            "date",
            "datetime",
            "flag",
            "text",
            "null",
            "link",
            "link",
            "child",
        ]
        kind = self.s.pick(kinds)
        if kind == "child":
            return self.child(table, depth)
        if kind == "link":
            return self.link(table, depth)
        if kind == "null":
            open_ = [c.key for c in table.columns if c.nullable and self.kind(table, c.key) not in ("json",)]
            return Where(column=self.s.pick(open_), op=self.s.pick(["null", "set"])) if open_ else None
        columns = self.columns(table, kind)
        if not columns:
            return None
        column = self.s.pick(columns)
        value = self.value(table, column)
        if value is None:
            return None
        const = Const(value=value, table=table.key, column=column)
        if kind in ("state", "enum"):
            if self.s.chance(0.2):
                more = {value, self.value(table, column), self.value(table, column)}
                if len(more) > 1:
                    values = tuple(Const(value=v, table=table.key, column=column) for v in sorted(more))
                    return Where(column=column, op=self.s.pick(["in", "not_in"]), values=values)
            return Where(column=column, op=self.s.pick(["eq", "eq", "eq", "ne"]), value=const)
        if kind in ("flag", "text"):
            return Where(column=column, op="eq", value=const)
        ops = ["lt", "le", "gt", "ge", *(["eq"] if kind in ("number", "date") else [])]
        return Where(column=column, op=self.s.pick(ops), value=const)

    def link(self, table: Table, depth: int) -> Where | None:
        parents = self.ground.parents(table)
        if not parents or depth <= 0:
            return None
        link = self.s.pick(parents)
        key = self.schema[link.table].primary_key[0]
        if self.s.chance(0.75):
            return Where(
                column=link.columns[0], value=Of(node=self.row(self.schema[link.table], depth - 1), column=key)
            )
        op = self.s.pick(["in", "in", "not_in"])
        return Where(
            column=link.columns[0], op=op, value=Each(node=self.rows(self.schema[link.table], depth - 1), column=key)
        )

    def child(self, table: Table, depth: int) -> Where | None:
        children = self.ground.children(table.key)
        if not children or depth <= 0 or len(table.primary_key) != 1:
            return None
        child, link = self.s.pick(children)
        rows = self.rows(child, depth - 1, plain=True)
        return Where(
            column=table.primary_key[0],
            op=self.s.pick(["in", "in", "not_in"]),
            value=Each(node=rows, column=link.columns[0]),
        )

    def sort(self, table: Table) -> str:
        return self.s.pick(self.columns(table, "money", "number", "date", "datetime") or [""])

    def row(self, table: Table, depth: int) -> str:
        """A Find of one row."""
        key, draw = table.primary_key[0], self.s.unit()
        value: Any
        title = self.value(table, table.title) if table.title else None
        if title is not None and draw < 0.45:
            value = Const(value=title, table=table.key, column=table.title)
            return self.add(Find(name=self.name(), table=table.key, where=(Where(column=table.title, value=value),)))
        if depth > 0 and draw < 0.6:
            ways = [(c, f) for c, f in self.ground.children(table.key) if len(c.primary_key) == 1]
            if ways:
                child, link = self.s.pick(ways)
                value = Of(node=self.row(child, depth - 1), column=link.columns[0])
                return self.add(Find(name=self.name(), table=table.key, where=(Where(column=key, value=value),)))
        if depth > 0 and draw < 0.66:
            ways = self.ground.children(table.key)
            if ways:
                child, link = self.s.pick(ways)
                group = Group(
                    name=self.name(),
                    of=self.rows(child, depth - 1, plain=True),
                    column=link.columns[0],
                    desc=self.s.chance(0.8),
                )
                money = self.columns(child, "money", "number")
                if money and self.s.chance(0.4):
                    group = Group(
                        name=group.name,
                        of=group.of,
                        column=group.column,
                        desc=group.desc,
                        by="sum",
                        over=self.s.pick(money),
                    )
                value = Of(node=self.add(group))
                return self.add(Find(name=self.name(), table=table.key, where=(Where(column=key, value=value),)))
        if (draw < 0.72 or not depth) and (table.key_style != "integer" or not table.title):
            value = Const(value=self.value(table, key), table=table.key, column=key)
            return self.add(Find(name=self.name(), table=table.key, where=(Where(column=key, value=value),)))
        where = self.conditions(table, 2, depth)
        if (not where or self.s.chance(0.6)) and (sort := self.sort(table)):
            return self.add(
                Find(name=self.name(), table=table.key, where=where, sort=sort, desc=self.s.chance(0.6), take=1)
            )
        if not where:
            value = Const(value=self.value(table, key), table=table.key, column=key)
            where = (Where(column=key, value=value),)
        return self.add(
            Find(name=self.name(), table=table.key, where=where, free=self.s.chance(0.1) and not table.title)
        )

    def rows(self, table: Table, depth: int, plain: bool = False) -> str:
        """A Find of a set."""
        where = self.conditions(table, 2, depth)
        if not plain and self.s.chance(0.15) and (sort := self.sort(table)):
            return self.add(
                Find(
                    name=self.name(),
                    table=table.key,
                    where=where,
                    sort=sort,
                    desc=self.s.chance(0.7),
                    take=self.s.between(2, 6),
                    many=True,
                )
            )
        return self.add(Find(name=self.name(), table=table.key, where=where, many=True))

    # --- values

    def figure(self) -> Any:
        """An expression that is found."""
        table, draw = self.s.pick(self.tables()), self.s.unit()
        numbers = self.columns(table, "money", "number")
        if draw < 0.25:
            return Of(node=self.add(Fold(name=self.name(), of=self.rows(table, 1))))
        if draw < 0.45 and numbers:
            by = self.s.pick(["sum", "mean", "least", "greatest"])
            return Of(node=self.add(Fold(name=self.name(), of=self.rows(table, 1), by=by, column=self.s.pick(numbers))))
        if draw < 0.55 and (common := self.columns(table, "state", "enum")):
            return Of(node=self.add(Group(name=self.name(), of=self.rows(table, 1), column=self.s.pick(common))))
        if draw < 0.65 and numbers:
            column = self.s.pick(numbers)
            left, right = (Of(node=self.row(table, 1), column=column) for _ in range(2))
            if self.s.chance(0.3):
                right = Const(value=self.s.between(2, 90), table="", column="number")  # type: ignore[assignment]
                return Of(node=self.add(Calc(name=self.name(), op="percent", left=left, right=right)))
            return Of(node=self.add(Calc(name=self.name(), op=self.s.pick(["plus", "minus"]), left=left, right=right)))
        dates = self.columns(table, "date", "datetime")
        if draw < 0.75 and dates:
            column = self.s.pick(dates)
            left, right = (Of(node=self.row(table, 1), column=column) for _ in range(2))
            if self.s.chance(0.5):
                days = Const(value=self.s.between(-30, 30) or 1, table="", column="number")
                return Of(node=self.add(Calc(name=self.name(), op="days_after", left=left, right=days)))
            return Of(node=self.add(Calc(name=self.name(), op="days_between", left=left, right=right)))
        columns = self.columns(table, "state", "enum", "money", "number", "real", "date", "datetime", "time", "text")
        column = self.s.pick(columns) if columns else table.primary_key[0]
        return Of(node=self.row(table, 2), column=column)

    def asked(self) -> Asked:
        draw = self.s.unit()
        if draw < 0.6:
            return Asked(shape="value", what=(self.figure(),))
        table = self.s.pick(self.tables())
        columns = self.columns(table, "state", "enum", "money", "number", "date", "datetime", "text") or [
            table.primary_key[0]
        ]
        if draw < 0.8 or len(columns) < 2:
            shape = "set"
            rows = self.rows(table, 1, plain=True)
            if self.s.chance(0.4) and (sort := self.sort(table)):
                shape = "list"
                find = self.nodes.pop()
                take = self.s.pick([0, 3, 5])
                rows = self.add(
                    Find(
                        name=rows,
                        table=table.key,
                        where=find.where,
                        sort=sort,
                        desc=self.s.chance(0.5),
                        take=take,
                        many=True,
                    )
                )
            return Asked(shape=shape, what=(Each(node=rows, column=self.s.pick(columns)),))
        row = self.row(table, 1)
        picked = self.s.sample(columns, self.s.between(2, 3))
        return Asked(shape="record", what=tuple(Of(node=row, column=c) for c in picked))

    # --- changes

    def target(self, p: Param) -> Table | None:
        if not p.table or not p.column:
            return None
        table = self.schema[p.table]
        for f in self.ground.parents(table):
            if f.columns == (p.column,):
                return self.schema[f.table]
        return table if table.primary_key == (p.column,) else None

    def argument(self, tool: Tool, p: Param) -> Any:
        parent = self.target(p)
        if p.role == "items" and p.fields:
            lines = []
            for _ in range(self.s.between(1, 2)):
                line = {f.key: v for f in p.fields if f.required and (v := self.argument(tool, f)) is not None}
                lines.append(line)
            return tuple(lines) if all(lines) else None
        if p.role == "items" or p.convert == "keys":
            return Each(node=self.rows(parent, 1), column=parent.primary_key[0]) if parent else None
        if parent is not None:
            return Of(node=self.row(parent, 2), column=parent.primary_key[0]) if self.ground.table(parent.key) else None
        if not p.table or not p.column:
            return Const(value=self.s.between(1, 40), table="", column="number") if p.key in ("percent",) else None
        table = self.schema[p.table]
        if self.kind(table, p.column) == "json":
            return None
        value = self.value(table, p.column)
        return None if value is None else Const(value=value, table=p.table, column=p.column)

    def do(self, tool: Tool, when: str = "", unless: str = "") -> Do | None:
        params = [p for p in flat(tool.params) if not p.hidden]
        extra = [p for p in params if not p.required and p.convert != "json"]
        wanted = [p for p in params if p.required]
        if tool.kind in ("update", "create") or (tool.kind == "bulk" and tool.least):
            wanted += self.s.sample(extra, self.s.between(max(0, tool.least - len(wanted)), 2))
        given: dict[str, Any] = {}
        each = ""
        for p in wanted:
            parent = self.target(p)
            if (
                not each
                and parent is not None
                and p.key == "id"
                and self.s.chance(0.3)
                and tool.kind in ("transition", "update", "delete")
            ):
                each = self.rows(parent, 1)
                given[p.key] = Item(column=parent.primary_key[0])
                continue
            value = self.argument(tool, p)
            if value is None:
                return None
            given[p.key] = value
        if len(given) < max(tool.least, 1):
            return None
        return Do(name=self.name(), tool=tool.key, arguments=given, each=each, when=when, unless=unless)

    def some_do(self, when: str = "", unless: str = "") -> str:
        kinds = self.s.pick(["transition", "update", "create", "action", "bulk", "link", "delete", "archive"])
        tools = [t for t in self.ground.writers if t.kind == kinds] or list(self.ground.writers)
        for _ in range(4):
            before = list(self.nodes)
            if tools and (do := self.do(self.s.pick(tools), when, unless)) is not None:
                return self.add(do)
            self.nodes = before
        return ""

    def comparison(self) -> str:
        table = self.s.pick(self.tables())
        states, numbers = self.columns(table, "state"), self.columns(table, "money", "number", "date")
        if states and self.s.chance(0.5):
            left = Of(node=self.row(table, 1), column=states[0])
            right = Const(value=self.value(table, states[0]), table=table.key, column=states[0])
            return self.add(Test(name=self.name(), left=left, op=self.s.pick(["eq", "ne"]), right=right))
        if numbers and self.s.chance(0.6):
            column = self.s.pick(numbers)
            value = self.value(table, column)
            if value is not None:
                right = Const(value=value, table=table.key, column=column)
                left = Of(node=self.row(table, 1), column=column)
                return self.add(
                    Test(name=self.name(), left=left, op=self.s.pick(["gt", "ge", "lt", "le"]), right=right)
                )
        left = Of(node=self.add(Fold(name=self.name(), of=self.rows(table, 1, plain=True))))
        right = Const(value=self.s.between(1, 30), table="", column="number")
        return self.add(Test(name=self.name(), left=left, op=self.s.pick(["gt", "lt", "ge", "le"]), right=right))


def draw_plan(ground: Ground, stream: Stream) -> Plan:
    """A plan: a question, one to three changes, some of them conditional, or changes and a question."""
    d = Drawer(ground, stream)
    asked = None
    draw = stream.unit()
    if draw < 0.6 and ground.writers:
        if stream.chance(0.25):
            test = d.comparison()
            d.some_do(when=test)
            if stream.chance(0.4):
                d.some_do(unless=test)
        for _ in range(stream.pick([1, 1, 1, 2, 3])):
            d.some_do()
    if draw >= 0.6 or draw < 0.1 or not any(isinstance(n, Do) for n in d.nodes):
        asked = d.asked()
    return pruned(Plan(family="drawn", nodes=tuple(d.nodes), asked=asked))


def pruned(plan: Plan) -> Plan:
    """The plan without nodes that nothing uses."""
    from worlddb.tasks.plan import uses

    needed = [n for n in plan.nodes if isinstance(n, Do)]
    names = {x for n in needed for x in uses(n)} | {e.node for e in (plan.asked.what if plan.asked else ())}
    kept = []
    for node in reversed(plan.nodes):
        if isinstance(node, Do) or node.name in names:
            kept.append(node)
            names.update(uses(node))
    return Plan(family=plan.family, nodes=tuple(reversed(kept)), asked=plan.asked)
