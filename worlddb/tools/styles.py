"""API styles: how one company names its tools, parameters and answers, and how it cuts lists into pages.

Kinds draft tools in keys and canonical snake_case names.  `dress` gives them the names of a style and makes the JSON Schemas
that agents are shown.  It never touches a program.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from worlddb.rng import Stream
from worlddb.tools.model import Field, JsonSchema, Param, Reply, Tool, Words
from worlddb.tools.words import Vocabulary


class Style(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The habits of one API."""

    name: str = "plain"
    case: str = "snake"
    """snake, camel or kebab."""
    order: str = "verb_noun"
    """verb_noun, noun_verb or rest."""
    verbs: dict[str, str] = {}
    """The company's word for a generic verb: {'get': 'fetch'}."""
    own_id: str = "long"
    """'long': booking_id; 'short': id, where a tool is about one row."""
    pages: str = "offset"
    """offset, page, cursor or '' (only a limit)."""
    total: bool = False
    """Whether lists tell how many rows there are in all."""
    items: str = "items"
    """What the array of a list is called; '{nouns}': the plural of what it holds."""


def draw_style(stream: Stream) -> Style:
    """The style of one world."""
    return Style()


def tool_name(words: Words, style: Style) -> str:
    """The name of a tool in a style."""
    if words.template:
        stem = words.template.format(noun=words.noun)
    else:
        stem = "_".join(p for p in (style.verbs.get(words.verb, words.verb), words.noun, words.tail) if p)
    return in_case(stem, style.case)


def in_case(word: str, case: str) -> str:
    """A snake_case word in another case."""
    if case == "camel":
        first, *rest = word.split("_")
        return first + "".join(p.capitalize() for p in rest)
    return word.replace("_", "-") if case == "kebab" else word


def dress(tool: Tool, style: Style, vocabulary: Vocabulary) -> Tool:
    """The tool in the names of a style, with its JSON Schemas."""
    words = replace(tool.words, noun=vocabulary.nouns(tool.table) if tool.words.many else vocabulary.noun(tool.table))
    params = tuple(_param(p, style) for p in tool.params)
    reply = _reply(tool.reply, style)
    name = tool_name(words, style)
    return replace(
        tool, name=name, title=tool.title or name.replace("_", " ").capitalize(), params=params, reply=reply,
        parameters=parameters_schema(params, tool.least), returns=returns_schema(reply),
    )  # fmt: skip


def _param(param: Param, style: Style) -> Param:
    fields = tuple(_param(f, style) for f in param.fields)
    schema = param.schema
    if fields:
        schema = {**schema, "items": parameters_schema(fields, 0)}
    return replace(param, name=in_case(param.name, style.case), fields=fields, schema=schema)


def _reply(reply: Reply, style: Style) -> Reply:
    fields = tuple(replace(f, name=in_case(f.name, style.case)) for f in reply.fields)
    nested = tuple((in_case(name, style.case), _reply(inner, style)) for name, inner in reply.nested)
    return replace(reply, fields=fields, nested=nested)


def parameters_schema(params: tuple[Param, ...], least: int) -> JsonSchema:
    """The JSON Schema of a tool's arguments."""
    schema: JsonSchema = {"type": "object", "properties": {p.name: p.schema for p in params}}
    if required := [p.name for p in params if p.required]:
        schema["required"] = required
    if least > len(required):
        schema["minProperties"] = least
    schema["additionalProperties"] = False
    return schema


def returns_schema(reply: Reply) -> JsonSchema:
    """The JSON Schema of a tool's answer."""
    row = _object({**{f.name: f.schema for f in reply.fields}, **{n: returns_schema(r)["properties"][r.items] for n, r in reply.nested}})
    if reply.shape in ("row", "value"):
        return row
    found: dict[str, Any] = {reply.items: {"type": "array", "items": row}}
    if reply.shape == "page":
        if reply.total:
            found["total"] = {"type": "integer", "description": "How many there are in all."}
        if reply.pages == "cursor":
            found["next_cursor"] = {"type": ["string", "null"], "description": "Give it as cursor to go on; null at the end."}
        elif reply.pages == "offset":
            found["next_offset"] = {"type": ["integer", "null"], "description": "Give it as offset to go on; null at the end."}
        elif reply.pages == "page":
            found["page"] = {"type": "integer"}
        found["has_more"] = {"type": "boolean"}
    return _object(found)


def _object(properties: dict[str, JsonSchema]) -> JsonSchema:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def shown_fields(reply: Reply) -> tuple[Field, ...]:
    """The fields of an answer."""
    return reply.fields
