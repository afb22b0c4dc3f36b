"""From keys to names and back: one call, said in the words of any style.

Gold calls are kept by keys: tool key, parameter key, canonical value.  `arguments_of` says them as one API wants them, `rows_of`
reads an answer of any API by field key.
"""

from __future__ import annotations

from typing import Any

from worlddb.errors import BadRequest
from worlddb.tools.arguments import encode_cursor
from worlddb.tools.model import Call, Param, Reply, Tool
from worlddb.tools.toolset import Toolset


def call_of(toolset: Toolset, key: str, values: dict[str, Any]) -> Call:
    """The call of the tool of that key with these arguments by parameter key.

    Raises:
        BadRequest: the API has no such tool or parameter, or its pages cannot begin there.
    """
    tool = toolset.by_key(key)
    if tool is None:
        raise BadRequest(f"this API has no tool '{key}'; see its tools' keys")
    return Call(tool.name, arguments_of(tool, values))


def arguments_of(tool: Tool, values: dict[str, Any]) -> dict[str, Any]:
    """Arguments by parameter key, as this tool's API names and spells them.

    Raises:
        BadRequest: the tool has no such parameter, or its pages cannot begin at that offset.
    """
    left, found = dict(values), dict[str, Any]()
    for param in tool.params:
        if param.convert == "spread":
            inner = {f.name: _public(f, left.pop(f.key)) for f in param.fields if f.key in left}
            if inner:
                found[param.name] = inner
        elif param.convert in ("page", "cursor") and "offset" in left:
            found[param.name] = _place(param, left.pop("offset"), values, tool)
        elif param.hidden and param.key in left and left[param.key] == param.default:
            left.pop(param.key)
        elif not param.hidden and param.key in left:
            found[param.name] = _public(param, left.pop(param.key))
    if left:
        raise BadRequest(
            f"{tool.key} takes no {' or '.join(left)} here; it takes {', '.join(p.key for p in tool.params)}"
        )
    return found


def _public(param: Param, value: Any) -> Any:
    if param.fields:
        names = {f.key: f for f in param.fields}
        return [{names[k].name: _public(names[k], v) for k, v in one.items()} for one in value]
    spelt = {v: public for public, v in param.values.items()}
    if isinstance(value, list):
        return [spelt.get(v, v) for v in value] if spelt else value
    return spelt.get(value, value) if spelt else value


def _place(param: Param, offset: int, values: dict[str, Any], tool: Tool) -> Any:
    if param.convert == "cursor":
        return encode_cursor(offset)
    limit = values.get("limit") or tool.param("limit").default
    if offset % limit:
        raise BadRequest(f"{tool.key} has pages of {limit}, and {offset} is inside of one; give a multiple")
    return offset // limit + 1


def rows_of(reply: Reply, data: Any) -> list[dict[str, Any]]:
    """The rows of an answer by field key, whatever it looks like; nested rows stand under their position (0, 1 …)."""
    if reply.shape in ("row", "value"):
        rows = [data[reply.envelope] if reply.envelope else data]
    elif reply.compact:
        rows = [dict(zip(data["columns"], row, strict=True)) for row in data["rows"]]
    else:
        rows = data[reply.items]
    return [_by_key(reply, row) for row in rows]


def _by_key(reply: Reply, row: dict[str, Any]) -> dict[Any, Any]:
    found: dict[Any, Any] = {f.key: row[f.name] for f in reply.fields}
    for at, (name, inner) in enumerate(reply.nested):
        found[at] = [_by_key(inner, one) for one in row[name]]
    return found
