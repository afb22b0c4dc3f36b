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


CODED = {"^[A-Z]{3}$": "EUR", "^[A-Z]{2}$": "DE", "^[a-z]{2}$": "de", "^[a-z]{2}_[A-Z]{2}$": "de_DE"}
"""A value of each pattern that codes have."""


def draw_value(session: Session, param: Param, dice: random.Random) -> Any:
    """A value of a parameter that fits its schema, taken from the world's rows where it speaks of a column."""
    schema = param.schema
    if param.convert == "spread":
        found = {f.name: draw_value(session, f, dice) for f in param.fields if dice.random() < 0.4}
        return {name: value for name, value in found.items() if value is not None}
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if "array" in types:
        count = dice.randint(
            schema.get("minItems", 1), max(schema.get("minItems", 1), min(3, schema.get("maxItems", 3)))
        )
        if param.fields:
            return [
                {f.name: draw_value(session, f, dice) for f in param.fields if f.required or dice.random() < 0.4}
                for _ in range(count)
            ]
        stored = [v for v in (_stored(session, param, dice) for _ in range(3 * count)) if v is not None]
        if stored and isinstance(stored[0], list):
            return stored[0]
        if stored:
            return list(dict.fromkeys(stored))[:count]
        items = schema["items"]
        return [dice.choice(items["enum"]) if "enum" in items else f"word {i}" for i in range(count)]
    if "enum" in schema:
        return dice.choice(schema["enum"])
    if "boolean" in types:
        return dice.random() < 0.5
    if param.role in ("limit", "cursor"):
        return dice.randint(1, 5) if "integer" in types else None
    value = _stored(session, param, dice)
    return value if value is not None else _made(schema, types, dice)


def _stored(session: Session, param: Param, dice: random.Random) -> Any:
    """A value of the parameter's column that stands in the world; for text that must be new, now and then a new one."""
    if not param.table or not param.column:
        return None
    table = session.world.schema[param.table]
    column = table[param.column]
    reference = next((f for f in table.foreign_keys if f.columns == (param.column,)), None)
    home, key = (session.world.schema[reference.table], reference.ref[0]) if reference else (table, param.column)
    if param.role == "value" and column.unique and not reference and semantic_type(column.type).sql == "TEXT":
        if column.type in ("email", "company_email"):
            return f"person{dice.randint(1, 10**9)}@example.org"
        return f"Newly made {dice.randint(1, 10**9)}"
    sql = f"SELECT {quote(home[key].name)} FROM {quote(home.name)} WHERE {quote(home[key].name)} IS NOT NULL"
    rows = session.rows(
        f"{sql} ORDER BY 1 LIMIT 1 OFFSET (SELECT abs(?) % max(1, count(*)) FROM {quote(home.name)})",
        (dice.getrandbits(30),),
    )
    if not rows:
        return None
    value = rows[0][0]
    if param.convert == "json":
        import orjson

        return orjson.loads(value)
    if param.convert == "like" and isinstance(value, str):
        return value[: dice.randint(1, len(value))].strip() or value
    return value


def _made(schema: dict[str, Any], types: list[str], dice: random.Random) -> Any:
    if "integer" in types:
        low = schema.get("minimum", 1)
        return dice.randint(low, min(schema.get("maximum", low + 50), low + 50))
    if "number" in types:
        low = schema.get("minimum", 0)
        return round(low + dice.random() * (min(schema.get("maximum", low + 10), low + 10) - low), 1)
    if "object" in types:
        return {"made": "up"}
    if schema.get("format") == "date":
        return f"2025-0{dice.randint(1, 9)}-1{dice.randint(0, 9)}"
    if schema.get("format") == "email":
        return f"person{dice.randint(1, 10**9)}@example.org"
    if schema.get("format") == "uuid":
        return "123e4567-e89b-42d3-a456-426614174000"
    if schema.get("pattern", "").endswith("-[0-9]+$"):
        return f"{schema['pattern'].removeprefix('^').removesuffix('[0-9]+$')}00001"
    if schema.get("pattern") in CODED:
        return CODED[schema["pattern"]]
    if "pattern" in schema and r"\d{4}-" in schema["pattern"]:
        return f"2025-0{dice.randint(1, 9)}-1{dice.randint(0, 9)} 1{dice.randint(0, 9)}:00:00"
    if "pattern" in schema and "[01]" in schema["pattern"]:
        return "10:30"
    return f"words {dice.randint(1, 999)}"


def draw_call(session: Session, tool: Tool, dice: random.Random) -> dict[str, Any]:
    """Arguments for a tool that look right."""
    share = dice.choice((0.0, 0.3, 0.7))
    params = [p for p in tool.params if p.required]
    rest = [p for p in tool.params if not p.required and not p.hidden]
    params += [p for p in rest if dice.random() < share]
    found = {p.name: draw_value(session, p, dice) for p in params}
    needed = {p.name for p in tool.params if p.required}
    found = {k: v for k, v in found.items() if v is not None or k in needed}
    for param in dice.sample(rest, len(rest)):
        if len(found) >= tool.least:
            break
        if param.name not in found and (value := draw_value(session, param, dice)) is not None:
            found[param.name] = value
    return found


def spoil(arguments: dict[str, Any], tool: Tool, dice: random.Random) -> Any:
    """Arguments made malformed in one way or another (now and then they stay fine)."""
    way = dice.randrange(8)
    spoilt: dict[Any, Any] = dict(arguments)
    names = [p.name for p in tool.params if not p.hidden] or ["x"]
    if way == 0:
        return dice.choice((*JUNK, "{", b"\xff", '{"a":', "[1]", b"{}"))
    if way == 1 and spoilt:
        spoilt.pop(dice.choice(list(spoilt)))
    elif way == 2:
        spoilt[dice.choice(("nothing", "ID", "id ", "__class__", "sql", "limit; DROP", names[0].upper()))] = (
            dice.choice(JUNK)
        )
    elif way in (3, 4):
        spoilt[dice.choice(names)] = dice.choice(JUNK)
    elif way == 5:
        for name in names:
            spoilt[name] = dice.choice(JUNK)
    elif way == 6 and spoilt:
        name = dice.choice(list(spoilt))
        spoilt[name] = dice.choice(
            ([spoilt[name]], {"value": spoilt[name]}, str(spoilt[name]), f"{spoilt[name]} OR 1=1")
        )
    elif way == 7:
        spoilt = {dice.choice((1, None, ("a",), "x")): 1}
    return spoilt
