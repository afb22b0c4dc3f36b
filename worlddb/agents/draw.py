"""Calls drawn from a stream: arguments that a tool's JSON Schema allows, with values that stand in the world, if it has any."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from worlddb.rng import Stream
from worlddb.schema.rules import quote
from worlddb.tools.model import JsonSchema, Param, Tool
from worlddb.tools.session import Session

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

MOST = 3
"""Items of an array at most, unless its schema wants more."""
SPREAD = 50
"""Numbers are drawn from so many, from the least on."""
_SPELT = {
    "date": "2025-0{a}-1{b}", "email": "person{n}@example.org", "uri": "https://example.org/{n}",
    "uuid": "123e4567-e89b-42d3-a456-4266141{n:05d}",
}  # fmt: skip
"""Format -> a value."""
_PATTERNS = (
    (r"^\d{4}", "2025-0{a}-1{b} 1{b}:00:00"), (r"^([01]", "1{b}:30"), ("^[A-Z]{3}$", "EUR"), ("^[A-Z]{2}$", "DE"),
    ("^[a-z]{2}$", "de"), ("^[a-z]{2}_[A-Z]{2}$", "de_DE"),
)  # fmt: skip
"""How a pattern begins -> a value."""


def draw_call(session: Session, tool: Tool, stream: Stream, *, optional: bool = True) -> dict[str, Any]:
    """Arguments for a tool; without `optional` the required ones only, as far as the tool can do with these."""
    offered = [p for p in tool.params if not p.hidden and (p.required or p.role != "cursor")]
    chosen = {p.name for p in offered if p.required or (optional and stream.chance(0.3))}
    others = stream.shuffled([p for p in offered if p.name not in chosen])
    chosen |= {p.name for p in others[: max(0, tool.least - len(chosen))]}
    return {p.name: draw_value(session, p, stream) for p in offered if p.name in chosen}


def draw_value(session: Session, param: Param, stream: Stream) -> Any:
    """A value of a parameter: of its column where it has one, else any that its schema allows."""
    schema = param.schema
    if param.convert == "spread":
        return {f.name: draw_value(session, f, stream) for f in param.fields if stream.chance(0.4)}
    if "array" in _types(schema):
        count = stream.between(max(1, schema.get("minItems", 1)), max(MOST, schema.get("minItems", 1)))
        if param.fields:
            return [_item(session, param, stream) for _ in range(count)]
        found = [_stored(session, param, stream) for _ in range(count)] if param.convert == "keys" else []
        kept = [v for v in found if v is not None and _allowed(v, schema.get("items", {}))]
        return list(dict.fromkeys(kept)) or _made(schema, stream)
    value = None if "enum" in schema else _stored(session, param, stream)
    return value if value is not None and _allowed(value, schema) else _made(schema, stream)


def _item(session: Session, param: Param, stream: Stream) -> dict[str, Any]:
    return {f.name: draw_value(session, f, stream) for f in param.fields if f.required or stream.chance(0.4)}


def _stored(session: Session, param: Param, stream: Stream) -> Any:
    """A value that the world has where the parameter's values come from; None where there is none."""
    if not param.table or not param.column or param.convert in ("flag", "json"):
        return None
    table = session.world.schema[param.table]
    refers = next((f for f in table.foreign_keys if f.columns == (param.column,)), None)
    home, key = (session.world.schema[refers.table], refers.ref[0]) if refers else (table, param.column)
    column, rows = quote(home[key].name), quote(home.name)
    count = f"(SELECT max(1, count(*)) FROM {rows} WHERE {column} IS NOT NULL)"
    found = session.rows(
        f"SELECT {column} FROM {rows} WHERE {column} IS NOT NULL ORDER BY 1 LIMIT 1 OFFSET ? % {count}",
        (stream.below(2**31),),
    )
    return found[0][0] if found else None


def _types(schema: JsonSchema) -> list[str]:
    types = schema.get("type", "string")
    return types if isinstance(types, list) else [types]


def _allowed(value: Any, schema: JsonSchema) -> bool:
    """True where a value keeps to a schema."""
    return _validator(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)).is_valid(value)


@lru_cache(1024)
def _validator(schema: bytes) -> Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(orjson.loads(schema))


def _made(schema: JsonSchema, stream: Stream) -> Any:
    """A value out of a schema alone."""
    if "enum" in schema:
        return stream.pick([v for v in schema["enum"] if v is not None])
    kind = next(t for t in _types(schema) if t != "null")
    if kind == "boolean":
        return stream.chance(0.5)
    if kind in ("integer", "number"):
        low = schema.get("minimum", 1)
        return low + stream.below(int(min(schema.get("maximum", low + SPREAD), low + SPREAD) - low) + 1)
    if kind == "array":
        items = [_made(schema.get("items", {}), stream) for _ in range(max(1, schema.get("minItems", 1)))]
        return list({orjson.dumps(v): v for v in items}.values())
    if kind == "object":
        return {}
    return _text(schema, stream)


def _text(schema: JsonSchema, stream: Stream) -> str:
    a, b, n = stream.between(1, 9), stream.below(10), stream.below(100_000)
    pattern = str(schema.get("pattern", ""))
    form = _SPELT.get(str(schema.get("format", "")), "words {n}")
    form = next((form for start, form in _PATTERNS if pattern.startswith(start)), form)
    if pattern.endswith("-[0-9]+$"):
        form = pattern.removeprefix("^").removesuffix("[0-9]+$") + "{n:05d}"
    return form.format(a=a, b=b, n=n)
