"""What could come next at the prompt of `play`: tools, their parameters, choices, and keys that the world has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from worlddb.cli.line import is_json, parameters
from worlddb.schema.rules import quote
from worlddb.tools.model import JsonSchema, Param, Tool

if TYPE_CHECKING:
    from prompt_toolkit.completion import Completer

    from worlddb.tools.session import Session

KEYS = 30
"""Keys that are offered at once."""
TAKE_A_TOOL = ("call", "help")
"""Commands that a tool's name follows."""
_WORD = re.compile(r"""(?:[^\s'"]|'[^']*(?:'|$)|"[^"]*(?:"|$))+""")


class Choice(NamedTuple):
    """One way to go on."""

    text: str
    replaces: int
    """How many characters before the cursor it stands in the place of."""
    note: str = ""


class Completions:
    """The choices at the end of a line."""

    def __init__(self, session: Callable[[], Session], commands: Sequence[str]) -> None:
        """`session` gives the episode of the moment, whose rows have the keys."""
        self._session = session
        self._commands = commands

    def of(self, text: str) -> list[Choice]:
        """The choices for a line up to the cursor."""
        words = _WORD.findall(text)
        last = words.pop() if words and text.endswith(words[-1]) else ""
        if words and words[0] in TAKE_A_TOOL and len(words) == 1:
            return list(self._tools(last))
        if words and words[0] == "call":
            words = words[1:]
        if not words:
            named = [Choice(c, len(last)) for c in self._commands if c.startswith(last)]
            return [*named, *self._tools(last)]
        toolset = self._session().toolset
        if words[0] not in toolset or any(map(is_json, (*words[1:], last))):
            return []
        tool = toolset[words[0]]
        name, equals, value = last.partition("=")
        if equals:
            return list(self._values(tool, name, value))
        return list(self._names(tool, {w.partition("=")[0] for w in words[1:]}, last))

    def _tools(self, start: str) -> Iterator[Choice]:
        """Tools whose names begin so, then those with such a word later on."""
        tools = [(t.name.lower(), t) for t in self._session().toolset]
        start_ = start.lower()
        begun = [t for name, t in tools if name.startswith(start_)]
        within = [t for name, t in tools if start_ in name and t not in begun]
        for tool in (*begun, *within):
            yield Choice(tool.name, len(start), tool.kind)

    @staticmethod
    def _names(tool: Tool, given: set[str], start: str) -> Iterator[Choice]:
        required = tool.parameters.get("required", ())
        for name, schema in parameters(tool).items():
            if name.startswith(start) and name not in given and not schema.get("properties"):
                note = schema.get("description", "")
                yield Choice(f"{name}=", len(start), f"required: {note}" if name in required else note)

    def _values(self, tool: Tool, name: str, typed: str) -> Iterator[Choice]:
        schema = parameters(tool).get(name, {})
        if schema.get("type") == "array":
            typed = typed.rpartition(",")[2]
            schema = schema.get("items", {})
        start = typed.lstrip("'\"")
        if known := _choices(schema):
            yield from (Choice(v, len(typed)) for v in known if v.startswith(start))
        elif param := next((p for n, p in _params(tool.params) if n == name), None):
            yield from (Choice(shlex.quote(v), len(typed), note) for v, note in self._stored(param, start))

    def _stored(self, param: Param, start: str) -> Iterator[tuple[str, str]]:
        """Values that stand in the column which a parameter finds rows by or refers to, and the titles of their rows."""
        schema = self._session().world.schema
        if not param.table or param.table not in {t.key for t in schema.tables} or not param.column:
            return
        table, column = schema[param.table], param.column
        reference = next((f for f in table.foreign_keys if f.columns == (column,)), None)
        if reference:
            table, column = schema[reference.table], reference.ref[0]
        elif param.role == "value":  # something new is stored there
            return
        shown, title = quote(table[column].name), quote(table[table.title].name) if table.title else "''"
        sql = (
            f"SELECT {shown}, min({title}) FROM {quote(table.name)} "
            f"WHERE instr(lower({shown}), lower(?)) = 1 GROUP BY 1 ORDER BY 1 LIMIT {KEYS}"
        )
        for value, note in self._session().rows(sql, (start,)):
            yield str(value), "" if str(note) == str(value) else str(note or "")


def _choices(schema: JsonSchema) -> list[str]:
    """The values that a schema names."""
    if schema.get("type") == "boolean":
        return ["true", "false"]
    return [str(v) for v in schema.get("enum", ()) if v is not None]


def _params(params: Iterable[Param], outer: str = "") -> Iterator[tuple[str, Param]]:
    """Every parameter by the name that one types, the fields of object parameters too."""
    for param in params:
        yield f"{outer}{param.name}", param
        if param.fields and not outer:
            yield from _params(param.fields, f"{param.name}.")


def as_completer(completions: Completions) -> Completer:
    """The choices as prompt_toolkit asks for them."""
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document

    class _Completer(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
            for choice in completions.of(document.text_before_cursor):
                yield Completion(choice.text, start_position=-choice.replaces, display_meta=choice.note)

    return _Completer()
