"""A whole plan carried out by SQL: queries on the world as it was, then the statements of every change in turn."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from worlddb.tasks.effects import carry_out, effect_of
from worlddb.tasks.effects.desk import Desk, Facts, Lost, Statement
from worlddb.tasks.plan import Const, Do, Each, Item, Of, Plan
from worlddb.tasks.sql import Choice, Known, Row, literal, look_at, survey
from worlddb.tools.model import Tool
from worlddb.tools.session import TICK, Start
from worlddb.tools.toolset import Toolset
from worlddb.world import clock
from worlddb.world.diff import Diff
from worlddb.world.host import Host, Log, host_of
from worlddb.world.model import World

_PLACE = re.compile(r'"[^"]*"|\?')
"""A quoted name, or the place of a value."""


class SqlRun(NamedTuple):
    """What a plan led to."""

    diff: Diff
    answer: Any
    """By the shape that is asked: a value, a list of values; None where nothing is asked, or nothing can be done."""
    statements: tuple[str, ...]
    """Every INSERT, UPDATE and DELETE, with its values in it."""
    problem: str | None
    """What is wrong with a description of the plan (`sql.prove`); None where all hit their rows."""
    known: dict[str, Known]
    """What every node stands for; of a Do the row that it answered with, as it was then."""


class Worker:
    """An episode of the second gold: a log of its own on the live host of a world."""

    def __init__(self, world: World, facts: Facts, start: Start | None = None) -> None:
        self.start = start or Start()
        self.world, self.facts, self.log = world, facts, Log(self.start.ids)
        self.host: Host = host_of(world)
        self.statements: list[Statement] = []

    @property
    def now(self) -> int:
        """The world's clock, Unix seconds."""
        return self.world.now + self.start.clock + TICK * len(self.log.marks)

    def look(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the episode's present state."""
        with self.host.lock:
            self.host.turn_to(self.log)
            return self.host.rows(sql)

    def do(self, tool: Tool, given: Mapping[str, Any]) -> Row:
        """Make the changes of one call: all of them, or none.  The row with which it answers; empty where it has none.

        Raises:
            Lost, Broken, apsw.Error: it cannot be done.
        """
        host = self.host
        with host.lock:
            clock.set_now(self.now)
            host.turn_to(self.log)
            desk = Desk(host, datetime.fromtimestamp(self.now, UTC).strftime("%Y-%m-%d %H:%M:%S"))
            host.begin()
            try:
                answer = carry_out(desk, self.facts, tool, given)
                host.settle()
                found = desk.row(self.facts.schema[answer[0]], answer[1]) if answer else {}
            except BaseException:
                host.abort()
                raise
            host.commit()
            self.statements += desk.statements
            return found


_facts: WeakKeyDictionary[Toolset, Facts] = WeakKeyDictionary()


def facts_of(toolset: Toolset) -> Facts:
    """What the schema of a toolset says, worked out once."""
    if toolset not in _facts:
        _facts[toolset] = Facts(toolset.schema)
    return _facts[toolset]


def run_by_sql(
    world: World, toolset: Toolset, plan: Plan, *, choice: Choice | None = None, start: Start | None = None
) -> SqlRun:
    """Carry out a plan: its reading nodes as queries on the world as it was grown, its changes as statements one by one.

    Args:
        world: where.
        toolset: says what the keys of tools and parameters mean.
        plan: what to do.  Changes that are meant to be refused are not made.
        choice: for Finds that leave a choice, which of the admissible rows to take.
        start: where the episode begins.

    Raises:
        Lost: a tool has no effect of its own here, or something that a change needs is not there.
        worlddb.world.host.Broken, apsw.Error: a change breaks a rule of the world.
    """
    schema = world.schema
    worker = Worker(world, facts_of(toolset), start)
    known, problem = survey(look_at(world), schema, plan, choice=choice)
    for do in plan.dos:
        if do.refused or any(
            name and known[name].value is not want for name, want in ((do.when, True), (do.unless, False))
        ):
            continue
        tool = toolset.by_key(do.tool)
        if tool is None or effect_of(tool) is None:
            raise Lost(f"nothing is known of what {do.tool} does")
        for item in known[do.each].rows if do.each else ({},):
            row = worker.do(tool, arguments_of(do, known, item))
            known[do.name] = Known(rows=(row,) if row else ())
    statements = tuple(told(s) for s in worker.statements)
    return SqlRun(worker.log.diff, answer_of(plan, known), statements, problem, known)


def arguments_of(do: Do, known: Mapping[str, Known], item: Row) -> dict[str, Any]:
    """The arguments of one call, as stored."""
    found: dict[str, Any] = {}
    for key, given in do.arguments.items():
        if isinstance(given, tuple):
            found[key] = [{k: _value(v, known, item) for k, v in record.items()} for record in given]
        else:
            found[key] = _value(given, known, item)
    return found


def answer_of(plan: Plan, known: Mapping[str, Known]) -> Any:
    """What is to be submitted, by the shape that is asked."""
    asked = plan.asked
    if asked is None or asked.shape == "none":
        return None
    values = [_value(what, known, {}) for what in asked.what]
    return values if asked.shape == "record" else values[0]


def _value(expr: Const | Of | Each | Item, known: Mapping[str, Known], item: Row) -> Any:
    if isinstance(expr, Const):
        return expr.value
    if isinstance(expr, Item):
        return item[expr.column]
    node = known.get(expr.node)
    if node is None:
        raise Lost(f"nothing is known of '{expr.node}': its condition did not hold")
    if isinstance(expr, Each):
        return [row[expr.column] for row in node.rows]
    if not expr.column:
        return node.value
    if not node.rows:
        raise Lost(f"'{expr.node}' has no row")
    return node.rows[0][expr.column]


def told(statement: Statement) -> str:
    """A statement with its values in it."""
    sql, binds = statement
    values = iter(binds)
    return _PLACE.sub(lambda found: literal(next(values)) if found[0] == "?" else found[0], sql)


def covered(toolset: Toolset) -> dict[str, bool]:
    """Every writing tool of the business, by key: whether the second gold knows what it does."""
    writers = (t for t in toolset if not t.read_only and t.kind not in ("sql", "plugin", "distractor"))
    return {t.key: effect_of(t) is not None for t in writers}
