"""Draws calls of any tool from the rows of the world at hand: likely ones, and malformed ones."""

from __future__ import annotations

import random
from typing import Any

from worlddb.schema.rules import quote
from worlddb.semantics.types import semantic_type
from worlddb.tools.model import Param, Tool
from worlddb.tools.session import Session

JUNK: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, -(2**70), 1.5, float("inf"), float("nan"), "", " ", "x", "\0", "\ud800", "null", "id",
    "*", "%", "é" * 50, "'; DROP TABLE x; --", "9" * 5000, "2024-02-30", "2024-13-01 00:00:00", [], [None], [[]], {},
    {"a": 1}, {"": None},
)  # fmt: skip


def draw_value(session: Session, param: Param, random_: random.Random) -> Any:
    """A value of a parameter that fits its schema, taken from the world's rows where it speaks of a column."""
    schema = param.schema
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if "array" in types:
        count = random_.randint(
            schema.get("minItems", 1), max(schema.get("minItems", 1), min(3, schema.get("maxItems", 3)))
        )
        if param.fields:
            return [
                {f.name: draw_value(session, f, random_) for f in param.fields if f.required or random_.random() < 0.4}
                for _ in range(count)
            ]
        stored = [v for v in (_stored(session, param, random_) for _ in range(3 * count)) if v is not None]
        if stored and isinstance(stored[0], list):
            return stored[0]
        if stored:
            return list(dict.fromkeys(stored))[:count]
        items = schema["items"]
        return [random_.choice(items["enum"]) if "enum" in items else f"word {i}" for i in range(count)]
    if "enum" in schema:
        return random_.choice(schema["enum"])
    if "boolean" in types:
        return random_.random() < 0.5
    if param.role in ("limit", "cursor"):
        return random_.randint(1, 5) if "integer" in types else None
    value = _stored(session, param, random_)
    return value if value is not None else _made(schema, types, random_)


def _stored(session: Session, param: Param, random_: random.Random) -> Any:
    """A value of the parameter's column that stands in the world; for text that must be new, now and then a new one."""
    if not param.table or not param.column:
        return None
    table = session.world.schema[param.table]
    column = table[param.column]
    reference = next((f for f in table.foreign_keys if f.columns == (param.column,)), None)
    home, key = (session.world.schema[reference.table], reference.ref[0]) if reference else (table, param.column)
    if param.role == "value" and column.unique and not reference and semantic_type(column.type).sql == "TEXT":
        if column.type in ("email", "company_email"):
            return f"person{random_.randint(1, 10**9)}@example.org"
        return f"Newly made {random_.randint(1, 10**9)}"
    sql = f"SELECT {quote(home[key].name)} FROM {quote(home.name)} WHERE {quote(home[key].name)} IS NOT NULL"
    rows = session.rows(
        f"{sql} ORDER BY 1 LIMIT 1 OFFSET (SELECT abs(?) % max(1, count(*)) FROM {quote(home.name)})",
        (random_.getrandbits(30),),
    )
    if not rows:
        return None
    value = rows[0][0]
    if param.convert == "json":
        import orjson

        return orjson.loads(value)
    if param.convert == "like" and isinstance(value, str):
        return value[: random_.randint(1, len(value))].strip() or value
    return value


def _made(schema: dict[str, Any], types: list[str], random_: random.Random) -> Any:
    if "integer" in types:
        low = schema.get("minimum", 1)
        return random_.randint(low, min(schema.get("maximum", low + 50), low + 50))
    if "number" in types:
        low = schema.get("minimum", 0)
        return round(low + random_.random() * (min(schema.get("maximum", low + 10), low + 10) - low), 1)
    if "object" in types:
        return {"made": "up"}
    if schema.get("format") == "date":
        return f"2025-0{random_.randint(1, 9)}-1{random_.randint(0, 9)}"
    if schema.get("format") == "email":
        return f"person{random_.randint(1, 10**9)}@example.org"
    if schema.get("format") == "uuid":
        return "123e4567-e89b-42d3-a456-426614174000"
    if "pattern" in schema and r"\d{4}-" in schema["pattern"]:
        return f"2025-0{random_.randint(1, 9)}-1{random_.randint(0, 9)} 1{random_.randint(0, 9)}:00:00"
    if "pattern" in schema and "[01]" in schema["pattern"]:
        return "10:30"
    return f"words {random_.randint(1, 999)}"


def draw_call(session: Session, tool: Tool, random_: random.Random) -> dict[str, Any]:
    """Arguments for a tool that look right."""
    share = random_.choice((0.0, 0.3, 0.7))
    params = [p for p in tool.params if p.required]
    rest = [p for p in tool.params if not p.required]
    params += [p for p in rest if random_.random() < share]
    while len(params) < tool.least and (left := [p for p in rest if p not in params]):
        params.append(random_.choice(left))
    found = {p.name: draw_value(session, p, random_) for p in params}
    return {k: v for k, v in found.items() if v is not None or k in {p.name for p in tool.params if p.required}}


def spoil(arguments: dict[str, Any], tool: Tool, random_: random.Random) -> Any:
    """Arguments made malformed in one way or another (now and then they stay fine)."""
    way = random_.randrange(8)
    spoilt: dict[Any, Any] = dict(arguments)
    names = [p.name for p in tool.params] or ["x"]
    if way == 0:
        return random_.choice((*JUNK, "{", b"\xff", '{"a":', "[1]", b"{}"))
    if way == 1 and spoilt:
        spoilt.pop(random_.choice(list(spoilt)))
    elif way == 2:
        spoilt[random_.choice(("nothing", "ID", "id ", "__class__", "sql", "limit; DROP", names[0].upper()))] = (
            random_.choice(JUNK)
        )
    elif way in (3, 4):
        spoilt[random_.choice(names)] = random_.choice(JUNK)
    elif way == 5:
        for name in names:
            spoilt[name] = random_.choice(JUNK)
    elif way == 6 and spoilt:
        name = random_.choice(list(spoilt))
        spoilt[name] = random_.choice(
            ([spoilt[name]], {"value": spoilt[name]}, str(spoilt[name]), f"{spoilt[name]} OR 1=1")
        )
    elif way == 7:
        spoilt = {random_.choice((1, None, ("a",), "x")): 1}
    return spoilt
