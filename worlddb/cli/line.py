"""Arguments as people type them, for the command `call` and the prompt of `play`.

    {"floor": 2, "limit": 5}     JSON, as an agent would give it
    floor=2 limit=5              names and values, typed by the parameter's schema
    17                           a bare value goes to the next required parameter
    filters.city='New York'      a field of an object parameter
    ids=3,4                      items of a list parameter

What does not fit a schema is handed on as it was typed, so that the tool itself says what it expected.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from worlddb.errors import BadRequest

if TYPE_CHECKING:
    from worlddb.tools.model import JsonSchema, Tool
    from worlddb.tools.toolset import Toolset

_NAMED = re.compile(r"([^\W\d][\w.-]*)=(.*)", re.DOTALL)
_TYPES = {
    bool: {"boolean"}, int: {"integer", "number"}, float: {"number"}, str: {"string"}, list: {"array"}, dict: {"object"},
    type(None): {"null"},
}  # fmt: skip


def tool_named(toolset: Toolset, name: str) -> Tool | None:
    """The tool of that name; None where the session itself will say that there is none."""
    return next((t for t in toolset if t.name == name), None)


def is_json(text: str) -> bool:
    """True for text that is meant as JSON."""
    return text.lstrip()[:1] in ("{", "[")


def read_json(text: str) -> Any:
    """JSON arguments; as the text that it is where that is none, so that the tool says what is wrong with it."""
    import orjson

    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def read_text(tool: Tool | None, text: str) -> Any:
    """The arguments of one line: JSON, or typed names and values.

    Raises:
        BadRequest: quotes do not close, or a bare value has no parameter to go to.
    """
    if is_json(text):
        return read_json(text)
    try:
        words = shlex.split(text)
    except ValueError:
        raise BadRequest(
            'the quotes do not close; write text with blanks or quotes as in name="O\'Brien & Co"'
        ) from None
    return read_words(tool, words)


def read_words(tool: Tool | None, words: Sequence[str]) -> Any:
    """The arguments of words that are split already, as a shell does it; one word may be JSON.

    Raises:
        BadRequest: a bare value has no parameter to go to, or a field no object.
    """
    if len(words) == 1 and is_json(words[0]):
        return read_json(words[0])
    known = parameters(tool)
    found: dict[str, Any] = {}
    named = [(m[1], m[2]) if (m := _NAMED.fullmatch(word)) else ("", word) for word in words]
    open_ = [n for n in (tool.parameters.get("required", ()) if tool else ()) if n not in {name for name, _ in named}]
    for name, text in named:
        if tool is None and not name:
            continue
        if not name and not open_:
            raise BadRequest(f"'{text}' belongs to no parameter; write name=value")
        path = name or open_.pop(0)
        _put(found, path, typed(known.get(path, {}), text))
    return found


def _put(arguments: dict[str, Any], path: str, value: Any) -> None:
    """Set an argument, or with 'filters.city' the field of one."""
    outer, _, inner = path.partition(".")
    if not inner:
        arguments[outer] = value
    elif isinstance(arguments.setdefault(outer, {}), dict):
        arguments[outer][inner] = value
    else:
        raise BadRequest(f"{outer} has a value already, and so no {inner}; give either {outer} or its fields")


def parameters(tool: Tool | None) -> dict[str, JsonSchema]:
    """Name -> schema of all that can be given, the fields of object parameters as 'filters.city'."""
    found: dict[str, JsonSchema] = {}
    for name, schema in tool.parameters.get("properties", {}).items() if tool else ():
        found[name] = schema
        found |= {f"{name}.{field}": inner for field, inner in schema.get("properties", {}).items()}
    return found


def typed(schema: JsonSchema, text: str) -> Any:
    """A value as the schema wants it: '5' is 5 for an integer, '5' for text, [5] for a list; as typed where none fits."""
    wanted = schema.get("type", [])
    types = {wanted} if isinstance(wanted, str) else set(wanted)
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if not types or _TYPES[type(value)] & types:
        return value
    if "string" in types:
        return text
    if "array" in types:
        return [typed(schema.get("items", {}), part.strip()) for part in text.split(",") if part.strip()]
    return value
