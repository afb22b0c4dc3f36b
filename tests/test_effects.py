"""The second gold's statements against the tools' programs: equal net changes for thousands of calls drawn over many worlds."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import apsw
import orjson
import pytest

from tests.calls import draw_call
from worlddb import generate
from worlddb.schema.model import Schema
from worlddb.schema.rules import quote
from worlddb.tasks.effects import effect_of
from worlddb.tasks.effects.desk import Lost
from worlddb.tasks.effects.run import Worker, covered, facts_of
from worlddb.tools.model import Param, Tool
from worlddb.tools.session import Session
from worlddb.world.diff import Change, Diff
from worlddb.world.host import Broken
from worlddb.world.mint import is_minted
from worlddb.world.model import World

TRIES, WANTED = 30, 4
"""Calls drawn for each tool of a world at most, and comparisons that are enough."""


# --- arguments as stored


def stored(tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
    """What a call gives, by parameter key and as stored."""
    names = {p.name: p for p in tool.params}
    found: dict[str, Any] = {}
    for name, value in arguments.items():
        param = names[name]
        if param.convert == "spread":
            found |= {f.key: one(f, value[f.name]) for f in param.fields if f.name in value}
        else:
            found[param.key] = one(param, value)
    return found


def one(param: Param, value: Any) -> Any:
    if value is None:
        return None
    if param.fields:
        fields = {f.name: f for f in param.fields}
        return [{fields[n].key: one(fields[n], v) for n, v in item.items()} for item in value]
    if param.values:
        value = [param.values.get(v, v) for v in value] if isinstance(value, list) else param.values.get(value, value)
    if param.convert == "flag":
        return int(value)
    if param.convert == "text":
        return value.strip()
    if param.convert == "json":
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    if param.convert in ("datetime", "datetime_end") and len(value) == 10:
        return f"{value} {'00:00:00' if param.convert == 'datetime' else '23:59:59'}"
    return value


# --- changes compared


def same_change(schema: Schema, one: Diff, other: Diff) -> bool:
    """Equal net changes, up to the keys and minted values of new rows."""
    return seen(schema, one) == seen(schema, other)


def seen(schema: Schema, diff: Diff) -> Counter[str]:
    """The changes as a bag, new rows by what they hold."""
    fresh = {(c.table, c.key): c for c in diff.changes if c.op == "insert"}
    return Counter(repr(_sight(schema, fresh, c)) for c in diff.changes)


def _sight(schema: Schema, fresh: dict[Any, Change], change: Change, depth: int = 0) -> Any:
    """A change with new keys replaced by the rows that bear them."""
    table = schema[change.table]
    if change.after is None:
        return (table.key, change.key, "deleted")
    refers = {f.columns[0]: f for f in table.foreign_keys if len(f.columns) == 1}
    values = []
    for column, value in zip(table.columns, change.after, strict=True):
        parent = fresh.get((refers[column.key].table, (value,))) if column.key in refers else None
        if parent is not None and depth < 3:
            values.append(_sight(schema, fresh, parent, depth + 1))
        elif change.before is None and is_minted(table, column) and column.key not in refers:
            values.append("minted" if value is not None else None)
        else:
            values.append(value)
    return (table.key, None if change.before is None else change.key, values)


# --- calls drawn


class Outcome(NamedTuple):
    """What a comparison came to: 'same', or what differs."""

    tool: Tool
    world: str
    arguments: dict[str, Any]
    verdict: str


def pattern(tool: Tool) -> str:
    tail = tool.key.rpartition(".")[2]
    if tool.kind == "action":
        return f"action {tail}"
    if tool.kind in ("create", "bulk", "link", "update"):
        for start in ("create_with", "reassign", "bulk_create", "bulk_update", "set_", "adjust", "delete", "bulk_"):
            if tail.startswith(start):
                return f"{tool.kind} {start}"
    return f"{tool.kind} {tail if tail in ('advance', 'get_or_create', 'put') else ''}".strip()


def aimed(session: Session, tool: Tool, arguments: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """The arguments with times that lie ahead, and lines that belong to the row: what is drawn blindly is mostly refused."""
    params = {p.key: p for p in tool.params}
    given = dict(arguments)
    begin = datetime.fromtimestamp(session.now, UTC) + timedelta(days=dice.randint(1, 700), hours=dice.randint(0, 9))
    for key, days in (("start", 0), ("end", dice.randint(1, 4)), ("until", dice.randint(0, 900)), ("before", -700)):
        param = params.get(key)
        if param is not None and param.name in given and given[param.name] is not None:
            text = (begin + timedelta(days=days)).strftime("%Y-%m-%d %H:%M:00")
            given[param.name] = text[:10] if param.schema.get("format") == "date" else text
    if tool.key.endswith(".split"):
        schema = session.world.schema
        child, home = schema[params["lines"].table], schema[tool.table]
        link = next(f for f in child.foreign_keys if f.table == home.key and not f.nullable)
        key, up = quote(child[child.primary_key[0]].name), quote(child[link.columns[0]].name)
        rows = session.rows(
            f"SELECT {up}, min({key}) FROM {quote(child.name)} GROUP BY 1 HAVING count(*) > 1 ORDER BY 1"
        )
        if rows:
            parent, line = dice.choice(rows)
            given |= {params["id"].name: parent, params["lines"].name: [line]}
    return given


def compare(world: World, session: Session, tool: Tool, dice: random.Random) -> Outcome | None:
    """One call by tool and by effect; None where the tool refuses it."""
    arguments = aimed(session, tool, draw_call(session, tool, dice), dice)
    worker = Worker(world, facts_of(session.toolset))
    worker.log = session._log.copy()
    if not session.call(tool.name, arguments).ok:
        session.undo()
        return None
    given = stored(tool, arguments)
    try:
        answered = worker.do(tool, given)
    except (Lost, Broken, apsw.Error) as error:
        return Outcome(tool, world.id, given, f"{type(error).__name__}: {error}")
    told = session.journal[-1].result.data
    wrong = _misanswered(tool, told, answered)
    if wrong:
        return Outcome(tool, world.id, given, wrong)
    if same_change(world.schema, session.diff(), worker.log.diff):
        return Outcome(tool, world.id, given, "same")
    a, b = seen(world.schema, session.diff()), seen(world.schema, worker.log.diff)
    return Outcome(tool, world.id, given, f"tool only {sorted(a - b)}\n      effect only {sorted(b - a)}")


def _misanswered(tool: Tool, told: Any, answered: dict[str, Any]) -> str:
    """Where the effect names another row as the answer than the tool shows, in what is no new key."""
    if tool.reply.shape != "row":
        return "an answer without a row" if answered else ""
    if not answered:
        return "no answer"
    shown = told[tool.reply.envelope] if tool.reply.envelope else told
    home = tool.reply.fields[0].table
    for field in tool.reply.fields:
        plain = field.table == home and field.column and field.key == field.column and field.convert == ""
        if plain and field.column in answered and shown[field.name] != answered[field.column]:
            return f"answers {field.column} {shown[field.name]!r}, not {answered[field.column]!r}"
    return ""


def drawn(seeds: Iterable[int], *, tries: int = TRIES, wanted: int = WANTED, keep: float = 0.15) -> Iterable[Outcome]:
    """Comparisons of every tool that has an effect: so many, as far as so many tries yield them."""
    for seed in seeds:
        world = generate(seed)
        toolset = world.toolset()
        dice = random.Random(seed)
        session = world.session(toolset)
        for tool in toolset:
            if effect_of(tool) is None:
                continue
            done = 0
            for _ in range(tries):
                outcome = compare(world, session, tool, dice)
                if outcome is None:
                    continue
                yield outcome
                done += 1
                if done == wanted:
                    break
                if dice.random() > keep or len(session._log.redo) > 60:  # now and then calls build on one another
                    session.reset()


@pytest.mark.parametrize("block", range(8))
def test_effects_change_what_tools_change(block: int) -> None:
    outcomes = list(drawn(range(3 * block, 3 * block + 3)))
    wrong = [o for o in outcomes if o.verdict != "same"]
    assert not wrong, "\n".join(f"{o.world} {o.tool.key} {o.arguments}: {o.verdict}" for o in wrong[:5])
    assert len(outcomes) > 150


def test_hardly_a_tool_is_without_an_effect() -> None:
    known, all_ = 0, 0
    for seed in range(0, 200, 8):
        world = generate(seed)
        found = covered(world.schema, world.toolset())
        known, all_ = known + sum(found.values()), all_ + len(found)
    assert known >= 0.95 * all_
