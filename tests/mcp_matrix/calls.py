"""Calls that an agent might make in a world, good and bad ones, drawn without knowing any tool by name."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

from worlddb.describe import samples
from worlddb.schema.rules import quote
from worlddb.tools.model import Call, JsonSchema, Param, Tool
from worlddb.tools.toolset import Toolset
from worlddb.world.model import World

BAD = ({"no_such_argument": 1}, {}, {"id": None})
"""Arguments that most tools refuse."""
ROWS = 8
"""Rows of each table whose values are given as arguments."""


def draw(world: World, random: Random, tools: Iterable[Tool]) -> list[Call]:
    """A call of each of these tools, about every sixth with bad arguments, and one call of a tool that is not there."""
    rows = {
        table.key: [dict(zip((c.key for c in table.columns), row, strict=True)) for row in found]
        for table, (_, _, found) in zip(world.schema.tables, samples(world, ROWS), strict=True)
    }
    calls = [
        Call(t.name, random.choice(BAD) if random.random() < 1 / 6 else _arguments(world, rows, t, random))
        for t in tools
    ]
    calls.insert(random.randrange(len(calls) + 1), Call("no_such_tool", {}))
    return calls


def mixed(world: World, toolset: Toolset, random: Random, count: int) -> list[Call]:
    """Calls of `count` tools, about half of which write, and one of a tool that is not there."""
    reads, writes = [t for t in toolset if t.read_only], [t for t in toolset if not t.read_only]
    return draw(world, random, [random.choice(writes if random.random() < 0.5 else reads) for _ in range(count)])


def _arguments(world: World, rows: dict[str, list[dict[str, Any]]], tool: Tool, random: Random) -> dict[str, Any]:
    """Values of rows that are there, one row per table; the state of things may still forbid the call."""
    if tool.kind == "sql":
        return {"sql": f"SELECT * FROM {quote(random.choice(world.schema.tables).name)} LIMIT 3"}
    chosen = {table: random.choice(found) for table, found in rows.items() if found}

    def value(param: Param) -> Any:
        if param.fields:
            return [{f.name: value(f) for f in param.fields}]
        return _as(param.schema, chosen.get(param.table, {}).get(param.column))

    share = random.random()
    optional = {p.key for p in tool.params if p.role == "value" and random.random() < share}
    return {p.name: value(p) for p in tool.params if p.required or p.key in optional}


def _as(schema: JsonSchema, stored: Any) -> Any:
    """A stored value as an argument of that schema; something that may fit, where there is none."""
    types = schema.get("type", [])
    if "boolean" in types:
        return bool(stored)
    if "array" in types:
        return [] if stored is None else [stored]
    if stored is not None:
        return stored
    if "null" in types:
        return None
    if "enum" in schema:
        return schema["enum"][0]
    return schema.get("minimum", 1) if "integer" in types else "2026-01-01"
