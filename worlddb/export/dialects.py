"""Dialects: how a framework spells the tools of an API, and what it calls them.

Examples for supervised training have to show the very schemas that a model meets later, when it acts: `declared` makes both from
the tools as the Chat Completions API takes them, which is what `Toolset.openai` gives and what an `Attempt` carries.

    openai      as they are                             responses   flat, as the Responses API takes them
    trl         what TRL derives from a signature       bfcl        types of Python: dict, float, any; never null
    plain       {name, description, parameters}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from worlddb.adapters.trl import declarations
from worlddb.errors import UnknownName
from worlddb.tools.forms import identifier
from worlddb.tools.model import JsonSchema


class Dialect(NamedTuple):
    """One way to spell tools."""

    spell: Callable[[Sequence[JsonSchema]], list[JsonSchema]]
    """From tools that have their final names."""
    rename: Callable[[str], str]
    """A name that the framework takes."""


def declared(tools: Sequence[JsonSchema], dialect: str = "openai") -> list[JsonSchema]:
    """Tools of the Chat Completions API as a dialect spells them.

    Raises:
        UnknownName: there is no such dialect.
    """
    names, known = names_in(tools, dialect), DIALECTS[dialect]
    return known.spell([t if names[_name(t)] == _name(t) else _called(t, names[_name(t)]) for t in tools])


def names_in(tools: Iterable[JsonSchema], dialect: str = "openai") -> dict[str, str]:
    """The name of each tool -> what a dialect calls it: the same, but where it has to be an identifier of Python.

    No tool has a name that a framework keeps for itself (`worlddb.tools.names.is_reserved`), so none is changed for that.

    Raises:
        UnknownName: there is no such dialect.
    """
    if dialect not in DIALECTS:
        raise UnknownName("dialect", dialect, DIALECTS)
    found: dict[str, str] = {}
    for name in map(_name, tools):
        shown = DIALECTS[dialect].rename(name)
        while shown in found.values():
            shown += "_"
        found[name] = shown
    return found


def _name(tool: JsonSchema) -> str:
    return str(tool["function"]["name"])


def _called(tool: JsonSchema, name: str) -> JsonSchema:
    return {**tool, "function": {**tool["function"], "name": name}}


# --- how tools are spelt


def _responses(tools: Sequence[JsonSchema]) -> list[JsonSchema]:
    return [{"type": "function", **t["function"], "strict": False} for t in tools]


def _plain(tools: Sequence[JsonSchema]) -> list[JsonSchema]:
    return [dict(t["function"]) for t in tools]


_BFCL = {"object": "dict", "number": "float"}


def _bfcl(tools: Sequence[JsonSchema]) -> list[JsonSchema]:
    return [_plain([t])[0] | {"parameters": {"required": [], **_typed(t["function"]["parameters"])}} for t in tools]


def _typed(schema: JsonSchema) -> JsonSchema:
    """A schema with one type of BFCL's; what may be null may be left out there as well."""
    names = schema.get("type", "any")
    kinds = [n for n in (names if isinstance(names, list) else [names]) if n != "null"]
    found: dict[str, Any] = {"type": _BFCL.get(kinds[0], kinds[0])}
    if "enum" in schema:
        found["enum"] = [v for v in schema["enum"] if v is not None]
    if kinds[0] == "array":
        found["items"] = _typed(schema.get("items", {}))
    if "properties" in schema:
        found["properties"] = {n: _typed(s) for n, s in schema["properties"].items()}
    return found | {k: v for k, v in schema.items() if k in _KEPT}


_KEPT = ("description", "default", "required", "minimum", "maximum", "format")


def _same(name: str) -> str:
    return name


DIALECTS: dict[str, Dialect] = {
    "openai": Dialect(list, _same),
    "responses": Dialect(_responses, _same),
    "trl": Dialect(declarations, identifier),
    "bfcl": Dialect(_bfcl, identifier),
    "plain": Dialect(_plain, _same),
}
