"""The queries of a plan: equal to a naive reading of the plan over all rows, on plans drawn from many worlds."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any

import pytest

from worlddb import generate
from worlddb.errors import BadRequest
from worlddb.schema.model import Column, Table
from worlddb.schema.rules import quote
from worlddb.semantics.types import semantic_type
from worlddb.tasks.plan import Asked, Calc, Const, Do, Each, Find, Fold, Group, Of, Plan, Test, Where
from worlddb.tasks.sql import Known, admissible, answers_of, evaluate, literal, proof_of, prove, query_of, shaped
from worlddb.world.model import World

Row = dict[str, Any]


# --- plans read naively: Python over all rows, nothing shared with the compiler


class Naive:
    """Reads the nodes of a plan over whole tables, one by one, as their docstrings say."""

    def __init__(self, tables: dict[str, list[Row]], keys: dict[str, tuple[str, ...]], choice: dict[str, int]) -> None:
        self.tables, self.keys, self.choice = tables, keys, choice
        self.rows: dict[str, list[Row]] = {}
        self.values: dict[str, Any] = {}
        self.problem: str | None = None

    def read(self, plan: Plan) -> None:
        for node in plan.nodes:
            if isinstance(node, Find):
                self.rows[node.name] = self.find(node)
            elif isinstance(node, Fold):
                self.values[node.name] = self.fold(node)
            elif isinstance(node, Group):
                self.values[node.name] = self.group(node)
            elif isinstance(node, Calc):
                self.values[node.name] = self.calc(node)
            elif isinstance(node, Test):
                self.values[node.name] = self.comparison(node)
            if self.values.get(node.name, 0) is None and not isinstance(node, Find):
                self.blame(node.name)

    def blame(self, name: str) -> None:
        self.problem = self.problem or name

    def value(self, expr: Const | Of) -> Any:
        if isinstance(expr, Const):
            return expr.value
        if not expr.column:
            return self.values[expr.node]
        return self.rows[expr.node][0][expr.column] if self.rows[expr.node] else None

    def meets(self, row: Row, where: Where) -> bool:
        held = row[where.column]
        if held is None or where.op in ("null", "set"):
            return (held is None) == (where.op == "null") and where.op in ("null", "set")
        if where.op in ("in", "not_in"):
            if isinstance(where.value, Each):
                some = [r[where.value.column] for r in self.rows[where.value.node]]
            else:
                some = [v.value for v in where.values]
            return (held in [s for s in some if s is not None]) == (where.op == "in")
        assert isinstance(where.value, Const | Of)
        wanted = self.value(where.value)
        return wanted is not None and self.compare(held, where.op, wanted)

    @staticmethod
    def compare(a: Any, op: str, b: Any) -> bool:
        return {"eq": a == b, "ne": a != b}[op] if op in ("eq", "ne") else (
            {"lt": a < b, "le": a <= b, "gt": a > b, "ge": a >= b}[op]
        )  # fmt: skip

    def find(self, find: Find) -> list[Row]:
        rows = [r for r in self.tables[find.table] if all(self.meets(r, w) for w in find.where)]
        rows.sort(key=lambda r: [r[k] for k in self.keys[find.table]])
        if find.sort:
            rows = [r for r in rows if r[find.sort] is not None]
            rows.sort(key=lambda r: r[find.sort], reverse=find.desc)
        if find.free:
            at = self.choice.get(find.name, 0)
            if at >= len(rows):
                self.blame(find.name)
            return rows[at : at + 1]
        if find.take:
            border = rows[find.take - 1 : find.take + 1]
            if (
                not border
                or len(rows) < find.take
                or (len(border) > 1 and border[0][find.sort] == border[1][find.sort])
            ):
                self.blame(find.name)
            rows = rows[: find.take]
        elif not find.many and len(rows) != 1:
            self.blame(find.name)
        return rows

    def fold(self, fold: Fold) -> Any:
        rows = self.rows[fold.of]
        return self.figure(
            fold.by, [r[fold.column] for r in rows if r[fold.column] is not None] if fold.column else rows
        )

    @staticmethod
    def figure(by: str, some: list[Any]) -> Any:
        if by == "count":
            return len(some)
        if by == "sum":
            return sum(some)
        if not some:
            return None
        return sum(some) / len(some) if by == "mean" else min(some) if by == "least" else max(some)

    def group(self, group: Group) -> Any:
        figures: dict[Any, list[Any]] = {}
        for row in self.rows[group.of]:
            if row[group.column] is not None and (not group.over or row[group.over] is not None):
                figures.setdefault(row[group.column], []).append(row[group.over] if group.over else 1)
        ranked = sorted(((self.figure(group.by, v), k) for k, v in figures.items()), key=lambda p: p[0])
        if not ranked:
            return None
        best = ranked[-1 if group.desc else 0][0]
        top = [k for figure, k in ranked if figure == best]
        if len(top) > 1:
            self.blame(group.name)
        return min(top)

    def calc(self, calc: Calc) -> Any:
        a, b = self.value(calc.left), self.value(calc.right)
        if a is None or b is None:
            return None
        if calc.op == "days_between":
            return (date.fromisoformat(b[:10]) - date.fromisoformat(a[:10])).days
        if calc.op == "days_after":
            if len(a) == 10:
                return str(date.fromisoformat(a) + timedelta(days=b))
            return str(datetime.fromisoformat(a) + timedelta(days=b))
        if calc.op == "percent":
            exact = Decimal(repr(a)) * Decimal(repr(b)) / 100
            whole = exact.to_integral_value(rounding="ROUND_FLOOR")
            return int(whole) + (exact - whole >= Decimal("0.5"))
        return {"plus": a + b, "minus": a - b, "times": a * b}[calc.op]

    def comparison(self, test: Test) -> Any:
        a, b = self.value(test.left), self.value(test.right)
        return None if a is None or b is None else self.compare(a, test.op, b)


# --- plans drawn at random


@cache
def grown(seed: int) -> tuple[World, dict[str, list[Row]], Any]:
    world = generate(seed)
    connection = world.connect()
    tables = {}
    for table in world.schema.tables:
        names = ", ".join(quote(c.name) for c in table.columns)
        rows = connection.execute(f"SELECT {names} FROM {quote(table.name)}").fetchall()
        tables[table.key] = [dict(zip([c.key for c in table.columns], r, strict=True)) for r in rows]
    return world, tables, connection


def is_number(column: Column) -> bool:
    return semantic_type(column.type).sql != "TEXT"


class Drawer:
    """Draws plans of up to eight reading nodes that use one another."""

    def __init__(self, seed: int) -> None:
        self.world, self.tables, self.connection = grown(seed % 40)
        self.dice = random.Random(seed)
        self.nodes: list[Any] = []
        self.schema = self.world.schema

    def draw(self) -> Plan:
        for number in range(self.dice.randint(1, 8)):
            makers = [self.find, self.find, self.fold, self.group, self.calc, self.comparison]
            while True:
                node = self.dice.choice(makers)(f"n{number}" if self.dice.random() < 0.9 else self.odd(number))
                if node is not None:
                    break
            self.nodes.append(node)
        return Plan(family="drawn", nodes=tuple(self.nodes), asked=self.asked())

    def odd(self, number: int) -> str:
        """A name that a table has as well, or one with quotes."""
        taken = {n.name for n in self.nodes}
        name = self.dice.choice(self.schema.tables).name
        return name if name not in taken else f'odd "{number}'

    def of_kind(self, *kinds: type) -> list[Any]:
        return [n for n in self.nodes if isinstance(n, kinds)]

    def const(self, table: Table, column: Column, *, near: bool = True) -> Const:
        rows = self.tables[table.key]
        value = self.dice.choice(rows)[column.key] if rows and near else None
        if value is None:
            value = 3 if is_number(column) else "O'Brien -- \";\n"
        return Const(value=value, table=table.key, column=column.key)

    def expression(self, table: Table, column: Column) -> Const | Of:
        """A value to compare with: stated, or of a node of the same sort."""
        number = is_number(column)
        found: list[Const | Of] = [self.const(table, column)] * 2
        for node in self.of_kind(Find):
            columns = [c for c in self.schema[node.table].columns if is_number(c) == number]
            found += [Of(node=node.name, column=self.dice.choice(columns).key)] if columns and not node.many else []
        if number:
            found += [Of(node=n.name) for n in self.of_kind(Fold, Calc) if self.numeric(n)]
        return self.dice.choice(found)

    def numeric(self, node: Any) -> bool:
        if isinstance(node, Calc):
            return node.op != "days_after"
        if isinstance(node, Fold) and node.by in ("least", "greatest"):
            of = next(n for n in self.nodes if n.name == node.of)
            return is_number(self.schema[of.table][node.column])
        return isinstance(node, Fold)

    def where(self, table: Table) -> Where:
        column = self.dice.choice(table.columns)
        op = self.dice.choice(("eq", "eq", "ne", "lt", "le", "gt", "ge", "in", "not_in", "null", "set"))
        if op in ("null", "set"):
            return Where(column=column.key, op=op)
        if op in ("in", "not_in"):
            sets = []
            for node in self.of_kind(Find):
                columns = [c for c in self.schema[node.table].columns if is_number(c) == is_number(column)]
                sets += [Each(node=node.name, column=self.dice.choice(columns).key)] if columns else []
            if sets and self.dice.random() < 0.6:
                return Where(column=column.key, op=op, value=self.dice.choice(sets))
            values = tuple(self.const(table, column) for _ in range(self.dice.randint(1, 3)))
            return Where(column=column.key, op=op, values=values)
        return Where(column=column.key, op=op, value=self.expression(table, column))

    def find(self, name: str) -> Find:
        table = self.dice.choice(self.schema.tables)
        where = tuple(self.where(table) for _ in range(self.dice.choice((0, 1, 1, 2))))
        many = self.dice.random() < 0.6
        take = self.dice.choice((0, 0, 1, 3)) if many else self.dice.choice((0, 1))
        sort = self.dice.choice(table.columns).key if take or self.dice.random() < 0.3 else ""
        if not many and self.dice.random() < 0.3:
            return Find(name=name, table=table.key, where=where, free=True)
        return Find(
            name=name, table=table.key, where=where, sort=sort, desc=self.dice.random() < 0.5, take=take, many=many
        )  # fmt: skip

    def fold(self, name: str) -> Fold | None:
        sets = self.of_kind(Find)
        if not sets:
            return None
        of = self.dice.choice(sets)
        by = self.dice.choice(("count", "sum", "mean", "least", "greatest"))
        columns = [c.key for c in self.schema[of.table].columns if is_number(c) or by in ("count", "least", "greatest")]
        column = "" if by == "count" and self.dice.random() < 0.5 else self.dice.choice(columns) if columns else None
        return None if column is None else Fold(name=name, of=of.name, by=by, column=column)

    def group(self, name: str) -> Group | None:
        sets = self.of_kind(Find)
        if not sets:
            return None
        of = self.dice.choice(sets)
        by = self.dice.choice(("count", "sum", "mean"))
        table = self.schema[of.table]
        numbers = [c.key for c in table.columns if is_number(c)]
        if by != "count" and not numbers:
            return None
        over = "" if by == "count" else self.dice.choice(numbers)
        column = self.dice.choice(table.columns).key
        return Group(name=name, of=of.name, column=column, by=by, over=over, desc=self.dice.random() < 0.6)

    def calc(self, name: str) -> Calc:
        table = self.dice.choice(self.schema.tables)
        op = self.dice.choice(("plus", "minus", "times", "percent", "days_after", "days_between"))
        dated = [c for c in table.columns if semantic_type(c.type).temporal in ("date", "datetime")]
        whole = [c for c in table.columns if semantic_type(c.type).sql == "INTEGER"]
        if op.startswith("days"):
            if not dated:
                return self.calc(name)
            days = Const(value=self.dice.randint(-400, 400), table=table.key, column=table.columns[0].key)
            ends = [self.moment(table, dated), self.moment(table, dated)]
            return Calc(name=name, op=op, left=ends[0], right=days if op == "days_after" else ends[1])
        if not whole:
            return self.calc(name)
        left = self.expression(table, self.dice.choice(whole))
        rate = self.dice.choice((7, 12.5, 8.1, 33, -15, 0))
        right = Const(value=rate, table=table.key, column=table.columns[0].key)
        return Calc(name=name, op=op, left=left, right=right)

    def moment(self, table: Table, dated: list[Column]) -> Const | Of:
        column = self.dice.choice(dated)
        found = self.const(table, column)
        if not isinstance(found.value, str) or found.value[:1] == "O":
            return Const(value="2025-02-28", table=table.key, column=column.key)
        return found

    def comparison(self, name: str) -> Test:
        table = self.dice.choice(self.schema.tables)
        column = self.dice.choice(table.columns)
        op = self.dice.choice(("eq", "ne", "lt", "le", "gt", "ge"))
        return Test(name=name, left=self.expression(table, column), op=op, right=self.expression(table, column))

    def asked(self) -> Asked | None:
        node = self.dice.choice(self.nodes)
        if not isinstance(node, Find):
            return Asked(shape="value", what=(Of(node=node.name),))
        columns = self.dice.sample([c.key for c in self.schema[node.table].columns], 2)
        if node.many:
            return Asked(shape=self.dice.choice(("set", "list")), what=(Each(node=node.name, column=columns[0]),))
        what = tuple(Of(node=node.name, column=c) for c in columns)
        return Asked(shape="record", what=what) if self.dice.random() < 0.5 else Asked(shape="value", what=what[:1])


def close(a: Any, b: Any) -> bool:
    """Equal, floats but for their last digits."""
    if isinstance(a, float) or isinstance(b, float):
        return a is not None and b is not None and abs(a - b) <= 1e-9 * max(1, abs(a), abs(b))
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(close(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def proves(node: Find | Group, found: int, reached: int) -> bool:
    """Whether the figures of a proof are as they must be."""
    if isinstance(node, Group):
        return found == reached == 1
    if node.free:
        return found == 1 <= reached
    if node.take:
        return found == reached == node.take
    return node.many or found == reached == 1


SEEDS = range(3000)


@pytest.mark.parametrize("block", range(10))
def test_queries_say_what_a_naive_reading_says(block: int) -> None:
    hits = dict.fromkeys(("plans", "proved", "unproved", "answers"), 0)
    for seed in SEEDS[block::10]:
        drawer = Drawer(seed)
        plan, schema = drawer.draw(), drawer.schema
        choice = {n.name: drawer.dice.randint(0, 2) for n in plan.nodes if isinstance(n, Find) and n.free}
        naive = Naive(drawer.tables, {t.key: t.primary_key for t in schema.tables}, choice)
        naive.read(plan)

        def look(sql: str, drawer: Drawer = drawer) -> list[tuple[Any, ...]]:
            return drawer.connection.execute(sql).fetchall()

        try:
            problem = prove(look, schema, plan, choice=choice)
            known = evaluate(look, schema, plan, choice=choice)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {plan}") from error
        assert (problem is None) == (naive.problem is None), (seed, problem, naive.problem, plan)
        for node in plan.nodes:  # up to the first that is wrong, each proof by itself says what the naive reading says
            if isinstance(node, Find | Group):
                found, reached = look(proof_of(schema, plan, node.name, choice=choice))[0]
                assert proves(node, found, reached) == (node.name != naive.problem), (seed, node, found, reached)
            if node.name == naive.problem:
                break
        if naive.problem is not None:  # the first that is wrong is named; what follows from it is anybody's guess
            hits["unproved"] += 1
            continue
        hits["proved"] += 1
        for node in plan.nodes:
            if isinstance(node, Find):
                assert list(known[node.name].rows) == naive.rows[node.name], (seed, node)
                keys = [tuple(r[k] for k in schema[node.table].primary_key) for r in naive.rows[node.name]]
                assert look(query_of(schema, plan, node.name, choice=choice)) == keys, (seed, node)
            else:
                assert close(known[node.name].value, naive.values[node.name]), (seed, node, known[node.name])
                assert close(look(query_of(schema, plan, node.name, choice=choice))[0][0], naive.values[node.name])
        answer = shaped(plan, look(answers_of(schema, plan, choice=choice)))
        assert plan.asked is not None
        what = plan.asked.what[0]
        if isinstance(what, Each):
            wanted: Any = [r[what.column] for r in naive.rows[what.node]]
        else:
            wanted = [naive.value(w) for w in plan.asked.what if isinstance(w, Of)]
            wanted = wanted if plan.asked.shape == "record" else wanted[0]
        assert close(answer, wanted), (seed, answer, wanted)
        hits["answers"] += 1
    assert hits["proved"] > 60, hits
    assert hits["unproved"] > 60, hits


# --- single cases


def test_a_percentage_rounds_half_up_towards_the_greater() -> None:
    world, _, connection = grown(0)
    table = world.schema.tables[0]

    def percent(a: float, b: float) -> Any:
        left, right = (Const(value=v, table=table.key, column=table.columns[0].key) for v in (a, b))
        plan = Plan(family="t", nodes=(Calc(name="p", op="percent", left=left, right=right),))
        return connection.execute(query_of(world.schema, plan, "p")).fetchall()[0][0]

    for a in [*range(-310, 310, 7), 12345, 99999, 10**9 + 1]:
        for b in (1, 5, 10, 50, 33, 12.5, 8.1, -15, 0.5):
            exact = Decimal(a) * Decimal(repr(b)) / 100
            up = (exact + Decimal("0.5")).to_integral_value(rounding="ROUND_FLOOR")
            assert percent(a, b) == up, (a, b)
    assert percent(5, 50) == int(Decimal("2.5").to_integral_value(rounding=ROUND_HALF_UP)) == 3
    assert percent(-5, 50) == -2


@pytest.mark.parametrize(
    "value",
    [
        "O'Brien",
        "a''b",
        '"',
        "'; DROP TABLE x; --",
        "%_\\",
        "ü\n😀",
        "",
        0,
        -1,
        2**63 - 1,
        -(2**63),
        0.1,
        1e300,
        -2.5,
        None,
    ],
)
def test_literals_come_back_as_they_were(value: Any) -> None:
    _, _, connection = grown(0)
    assert connection.execute(f"SELECT {literal(value)}").fetchall() == [(value,)]


def test_any_number_comes_back_as_it_was() -> None:
    _, _, connection = grown(0)
    dice = random.Random(7)
    for _ in range(3000):
        value = dice.choice(
            (dice.random(), dice.uniform(-1e9, 1e9), round(dice.uniform(-1e6, 1e6), 2), dice.gauss(0, 1e-8))
        )
        assert connection.execute(f"SELECT {literal(value)}").fetchall() == [(value,)]


@pytest.mark.parametrize("value", ["a\0b", float("inf"), float("nan")])
def test_what_no_literal_spells_is_refused(value: Any) -> None:
    with pytest.raises(BadRequest):
        literal(value)


def test_a_tie_at_the_border_and_a_second_match_are_named() -> None:
    world, tables, connection = grown(0)
    look = lambda sql: connection.execute(sql).fetchall()  # noqa: E731
    table = next(t for t in world.schema.tables if t.lifecycle and len(tables[t.key]) > 5)
    assert table.lifecycle is not None
    state = table.lifecycle.column
    tied = Plan(family="t", nodes=(Find(name="x", table=table.key, sort=state, take=1),))
    assert "tie" in str(prove(look, world.schema, tied))
    found, reached = look(proof_of(world.schema, tied, "x"))[0]
    assert found == 1 < reached
    several = Plan(family="t", nodes=(Find(name="x", table=table.key),))
    assert "not one" in str(prove(look, world.schema, several))
    none = Plan(family="t", nodes=(Find(name="x", table=table.key, where=(Where(column=state, op="null"),)),))
    assert "0 rows" in str(prove(look, world.schema, none))
    free = Plan(family="t", nodes=(Find(name="x", table=table.key, free=True),))
    assert prove(look, world.schema, free) is None
    keys = look(admissible(world.schema, free, "x"))
    assert len(keys) == len(tables[table.key])
    assert keys == sorted(keys)
    for at in (0, 2):
        assert look(query_of(world.schema, free, "x", choice={"x": at})) == [keys[at]]


def test_what_only_a_change_makes_is_no_query() -> None:
    world, _, _ = grown(0)
    table = world.schema.tables[0]
    plan = Plan(
        family="t",
        nodes=(Do(name="d", tool=f"{table.key}.create", arguments={}),),
        asked=Asked(shape="value", what=(Of(node="d", column=table.columns[0].key),)),
    )
    assert answers_of(world.schema, plan) == ""
    with pytest.raises(BadRequest, match="changes something"):
        query_of(world.schema, plan, "d")
    with pytest.raises(BadRequest, match="no node"):
        query_of(world.schema, plan, "e")
    assert evaluate(lambda _: [], world.schema, plan) == {}
    assert Known() == ((), None)
