"""Arguments as people type them, for the command `call` and the prompt of `play`.

    {"floor": 2, "limit": 5}     JSON, as an agent would give it
    floor=2 limit=5              names and values, typed by the parameter's schema
    17                           a bare value goes to the next required parameter
    filters.city='New York'      a field of an object parameter
    ids=3,4                      items of a list parameter; also [3, 4], as a bare value too

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
_JSON_WORD = re.compile(r"(?:[^\W\d][\w.-]*=)?(?=[\[{])")
"""What stands before the JSON in a word that holds some: nothing, or a name."""
_SHELL_WORD = re.compile(r"""(?:\\.|[^\s'"\\]|'[^']*'|"(?:\\.|[^"\\])*")+""", re.DOTALL)
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
        BadRequest: quotes do not close, a bare value has no parameter to go to, or a name is given twice.
    """
    if text.lstrip().startswith("{"):
        return read_json(text)
    return read_words(tool, split(text))


def split(text: str) -> list[str]:
    """The words of a line as a shell splits it, but JSON in it stays one word: `[1, 2] names=["a b"]` is two.

    Raises:
        BadRequest: quotes do not close.
    """
    words, place = [], 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        end = _end_of_json(text, place)
        if end:
            words.append(text[place:end])
        elif match := _SHELL_WORD.match(text, place):
            end = match.end()
            words += shlex.split(match[0])
        if not end or not (end == len(text) or text[end].isspace()):
            raise BadRequest('the quotes do not close; write text with blanks or quotes as in name="O\'Brien & Co"')
        place = end
    return words


def _end_of_json(text: str, place: int) -> int:
    """Where the word that begins here ends, if it is JSON as a whole, with or without a name before it; else 0."""
    match = _JSON_WORD.match(text, place)
    if match is None:
        return 0
    try:
        _, end = json.JSONDecoder().raw_decode(text, match.end())
    except (ValueError, RecursionError):
        return 0
    return end if end == len(text) or text[end].isspace() else 0


def read_words(tool: Tool | None, words: Sequence[str]) -> Any:
    """The arguments of words that are split already, as a shell does it; one word may be JSON.

    Raises:
        BadRequest: a bare value has no parameter to go to, a field no object, or a name is given twice.
    """
    known = parameters(tool)
    found: dict[str, Any] = {}
    named = [(m[1], m[2]) if (m := _NAMED.fullmatch(word)) else ("", word) for word in words]
    open_ = [n for n in (tool.parameters.get("required", ()) if tool else ()) if n not in {name for name, _ in named}]
    if len(words) == 1 and is_json(words[0]) and not (open_ and words[0].lstrip().startswith("[")):
        return read_json(words[0])
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
    held = arguments.setdefault(outer, {}) if inner else arguments
    if not isinstance(held, dict):
        raise BadRequest(f"{outer} has a value already, and so no {inner}; give either {outer} or its fields")
    if (inner or outer) in held:
        raise BadRequest(f"{path} is given twice; give it once, several items of a list as {path}=1,2")
    held[inner or outer] = value


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
    except (ValueError, RecursionError):
        value = text
    if not types or _TYPES[type(value)] & types:
        return value
    if "string" in types:
        return text
    if "array" in types:
        return [typed(schema.get("items", {}), part.strip()) for part in text.split(",") if part.strip()]
    return value
