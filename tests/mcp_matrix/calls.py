"""Calls that an agent might make in a world, good and bad ones, drawn without knowing any tool by name."""

from __future__ import annotations

from random import Random
from typing import Any

from worlddb.schema.rules import quote
from worlddb.tools.model import Call, Param, Tool
from worlddb.tools.toolset import Toolset
from worlddb.world.model import World

BAD = ({"no_such_argument": 1}, {}, {"id": None})
"""Arguments that most tools refuse."""


def draw(world: World, toolset: Toolset, random: Random, tools: list[Tool]) -> list[Call]:
    """A call of each of these tools; every sixth has bad arguments, and one more calls a tool that is not there."""
    with world.connect() as db:
        calls = [
            Call(tool.name, random.choice(BAD) if random.random() < 1 / 6 else _arguments(world, db, tool, random))
            for tool in tools
        ]
    calls.insert(random.randrange(len(calls) + 1), Call("no_such_tool", {}))
    return calls


def mixed(world: World, toolset: Toolset, random: Random, count: int) -> list[Call]:
    """Some `count` calls, half of them of tools that write; keys repeat, so that later calls meet earlier ones."""
    reads, writes = [t for t in toolset if t.read_only], [t for t in toolset if not t.read_only]
    return draw(
        world, toolset, random, [random.choice(writes if random.random() < 0.5 else reads) for _ in range(count)]
    )


def _arguments(world: World, db: Any, tool: Tool, random: Random) -> dict[str, Any]:
    rows: dict[str, dict[str, Any] | None] = {}

    def value(param: Param) -> Any:
        if param.fields:
            return [{f.name: value(f) for f in param.fields}]
        found = stored(param) if param.table and param.column else None
        types = param.schema.get("type", [])
        if found is None and "null" in types and param.schema.get("minLength") is None:
            return None
        if "boolean" in types:
            return bool(found)
        if "array" in types:
            return [] if found is None else [found]
        if found is None:
            enum = param.schema.get("enum")
            return enum[0] if enum else param.schema.get("minimum", 1) if "integer" in types else "2026-01-01"
        return found

    def stored(param: Param) -> Any:
        """The value of one row per table, the same for all parameters of the call."""
        if param.table not in rows:
            names = [c.key for c in world.schema[param.table].columns]
            table = quote(world.schema[param.table].name)
            count = db.execute(f"SELECT count(*) FROM {table}").get
            row = (
                db.execute(f"SELECT * FROM {table} LIMIT 1 OFFSET ?", (random.randrange(min(count, 8)),)).fetchone()
                if count
                else None
            )
            rows[param.table] = row and dict(zip(names, row, strict=True))
        row = rows[param.table]
        return row and row.get(param.column)

    optional = random.random()
    return {p.name: value(p) for p in tool.params if p.required or random.random() < optional * (p.role == "value")}
