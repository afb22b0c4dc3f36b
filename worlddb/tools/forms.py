"""The forms in which frameworks want tools: OpenAI's two, MCP's, and Python functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, Literal, Optional

from worlddb.tools.model import JsonSchema, Tool

if TYPE_CHECKING:
    from worlddb.tools.session import Session


def openai(tools: Iterable[Tool]) -> list[JsonSchema]:
    """The tools as the Chat Completions API takes them."""
    return [
        {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.parameters}}
        for t in tools
    ]


def responses(tools: Iterable[Tool]) -> list[JsonSchema]:
    """The tools as the Responses API takes them: flat; `strict` is off, since optional parameters may be left out."""
    return [
        {"type": "function", "name": t.name, "description": t.description, "parameters": t.parameters, "strict": False}
        for t in tools
    ]


def mcp(tools: Iterable[Tool]) -> list[JsonSchema]:
    """The tools as the result of MCP's tools/list (camelCase, ready for `mcp.types.Tool.model_validate`)."""
    return [
        {
            "name": t.name,
            "title": t.title,
            "description": t.description,
            "inputSchema": t.parameters,
            "outputSchema": t.returns,
            "annotations": {
                "title": t.title,
                "readOnlyHint": t.read_only,
                "destructiveHint": t.destructive,
                "idempotentHint": t.idempotent,
                "openWorldHint": False,
            },
        }
        for t in tools
    ]


# --- Python functions


def callables(session: Session) -> dict[str, Callable[..., str]]:
    """The tools of a session as typed functions by name; a name that Python could not take is made one (get-room: get_room).

    A function takes the tool's parameters by keyword, calls the tool in this session, and returns the result's JSON as text,
    for a refused call that of {"error": {...}}: missing, unknown and mistyped arguments are refused so too, and raise nothing.
    An optional parameter that is None counts as not given, unless the tool takes null for it.
    """
    found: dict[str, Callable[..., str]] = {}
    for tool in session.toolset:
        name = identifier(tool.name)
        while name in found:
            name += "_"
        found[name] = _function(tool, name, session)
    return found


def identifier(name: str) -> str:
    """A tool's name as a Python identifier."""
    word = "".join(c if c.isalnum() else "_" for c in name)
    return f"{word}_" if iskeyword(word) else word


def _function(tool: Tool, name: str, session: Session) -> Callable[..., str]:
    properties: JsonSchema = tool.parameters["properties"]
    required = set(tool.parameters.get("required", ()))
    signature = inspect.Signature(
        [_parameter(n, s, n in required) for n, s in properties.items()], return_annotation=str
    )
    empty = {n for n, s in properties.items() if n not in required and not takes_null(s)}

    def call(*values: Any, **arguments: Any) -> str:
        given = {n: v for n, v in arguments.items() if v is not None or n not in empty}
        if values:  # parameters have names only: a list of values is refused as any other wrong call is
            return session.call(tool.name, [*values, given] if given else [*values]).text
        return session.call(tool.name, given).text

    call.__name__ = call.__qualname__ = name
    call.__doc__ = docstring(tool)
    call.__signature__ = signature  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()} | {"return": str}
    return call


def _parameter(name: str, schema: JsonSchema, required: bool) -> inspect.Parameter:
    hint = type_of(schema)
    default: Any = inspect.Parameter.empty
    if not required:
        default = schema.get("default")
        if default is None and not takes_null(schema):
            hint = Optional[hint]  # noqa: UP045 - `hint | None` is another type object, which readers of hints treat apart
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


_PYTHON = {"integer": int, "number": float, "string": str, "boolean": bool, "object": dict}


def takes_null(schema: JsonSchema) -> bool:
    """True for a schema that null meets."""
    return "null" in schema.get("type", ())


def type_of(schema: JsonSchema) -> Any:
    """The Python type of a JSON Schema: int, list[str], Literal['a', 'b'], Optional[float] …"""
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    kinds = [n for n in names if n != "null"]
    hint: Any
    if "enum" in schema:
        hint = Literal[tuple(v for v in schema["enum"] if v is not None)]
    elif kinds[0] == "array":
        hint = list[type_of(schema["items"])] if "type" in schema.get("items", {}) else list  # type: ignore[misc]
    else:
        hint = _PYTHON[kinds[0]]
    return Optional[hint] if "null" in names else hint  # noqa: UP045 - as above


def docstring(tool: Tool) -> str:
    """What a tool does and takes, as a Google docstring."""
    lines = [" ".join(tool.description.split()) or tool.title, ""]
    if tool.parameters["properties"]:
        lines.append("Args:")
        lines += [
            f"    {n}: {' '.join(s.get('description', n).split())}" for n, s in tool.parameters["properties"].items()
        ]
        lines.append("")
    return "\n".join([*lines, "Returns:", "    The result as JSON text."])
