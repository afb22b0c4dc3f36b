"""Whether a proposed call is one that the user wants: it equals one of the gold's changes, as the tool reads it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import orjson

from worlddb.errors import BadRequest
from worlddb.schema.model import Schema
from worlddb.tasks.ground import flat
from worlddb.tasks.model import GoldCall
from worlddb.tasks.say import Lexicon
from worlddb.tasks.say.constants import spellings
from worlddb.tasks.say.terms import own_key, target
from worlddb.tasks.user import Change, Topic
from worlddb.tools.arguments import Reader, Refused
from worlddb.tools.keys import call_of
from worlddb.tools.model import Param, Tool
from worlddb.tools.toolset import Toolset
from worlddb.world.model import World

Binds = dict[str, Any]
"""Arguments by parameter key, defaults included."""
Row = tuple[str, tuple[Any, ...]]
"""Table and primary key."""


class Consent:
    """Judges proposals."""

    def __init__(self, calls: Sequence[GoldCall], world: World, toolset: Toolset, lexicon: Lexicon) -> None:
        self.world, self.toolset, self.lexicon = world, toolset, lexicon
        self.schema: Schema = world.schema
        self._calls = tuple(calls)
        self._readers: dict[str, Reader] = {}
        self._params: dict[str, dict[str, Param]] = {}
        self._there: dict[Row, bool] = {}

    @cached_property
    def _names(self) -> dict[str, Tool]:
        """The tools by name, case and marks aside."""
        return {_folded(t.name): t for t in self.toolset}

    def tool(self, action: str) -> Tool | None:
        """The tool that is meant."""
        return self.toolset[action] if action in self.toolset else self._names.get(_folded(action))

    def binds(self, tool: Tool, arguments: Any) -> Binds | None:
        """What the tool would make of the arguments; None where it would refuse them."""
        if tool.key not in self._readers:
            self._readers[tool.key] = Reader(tool.params, tool.least)
            self._params[tool.key] = {p.key: p for p in flat(tool.params)}
        try:
            return self._readers[tool.key].read(arguments)
        except Refused:
            return None

    @cached_property
    def _wanted(self) -> dict[str, list[tuple[GoldCall, Binds]]]:
        """Tool key -> the gold's changes by it."""
        found: dict[str, list[tuple[GoldCall, Binds]]] = {}
        for call in self._calls:
            tool = self.toolset.by_key(call.tool)
            if tool is None:
                continue
            try:
                given = self.binds(tool, call_of(self.toolset, call.tool, call.arguments).arguments)
            except BadRequest:
                given = None
            if given is not None:
                found.setdefault(call.tool, []).append((call, given))
        return found

    def agrees(
        self, tool: Tool, arguments: Any, created: frozenset[Row], before: Sequence[tuple[Change, Topic]] = ()
    ) -> bool:
        """True for a call that they want.

        Args:
            tool: what would be called.
            arguments: with what.
            created: rows made in this episode; their keys differ from the gold's.
            before: changes of mind that have not happened yet: the old wish counts.
        """
        given = self.binds(tool, arguments)
        return given is not None and any(
            self._same(tool, given, call, wanted, created, before) for call, wanted in self._wanted.get(tool.key, ())
        )

    def _same(
        self, tool: Tool, given: Binds, call: GoldCall, wanted: Binds, created: frozenset[Row],
        before: Sequence[tuple[Change, Topic]],
    ) -> bool:  # fmt: skip
        if given.keys() != wanted.keys():
            return False
        old_wish = concerned = False
        for key, value in given.items():
            param = self._params[tool.key].get(key)
            old = [(c, t) for c, t in before if param is not None and self._concerns(t, param, call)]
            concerned = concerned or bool(old)
            if any(self._as_it_was(param, value, c) for c, _ in old):
                old_wish = True
            elif any(t.kind != "identity" for _, t in old) or not self._equal(param, value, wanted[key], created):
                return False  # of rows, a call may name another one of the same table, too
        return old_wish or not concerned

    def _concerns(self, topic: Topic, param: Param, call: GoldCall) -> bool:
        """True where a parameter of a gold call takes the value of a topic."""
        if topic.kind == "identity":
            return target(self.schema, param.table, param.column) == topic.table
        return topic.part == param.key and (not topic.node or topic.node == call.node)

    def _as_it_was(self, param: Param | None, value: Any, change: Change) -> bool:
        """True for a value that the old wish names."""
        if param is None or isinstance(value, list):
            return False
        place = (param.table, param.column)
        known = place[0] in self.schema and place[1] in self.schema[place[0]]
        said = [*(spellings(self.lexicon, place, value) if known else ()), str(value)]
        if known and (to := target(self.schema, *place)):
            said += self._titles(to, value)
        was = f" {_plain(change.was)} "
        return any(f" {_plain(s)} " in was for s in said if _plain(s))

    def _titles(self, table: str, key: Any) -> list[str]:
        """What a row is known by."""
        found = self.schema[table]
        names = [c.name for c in found.columns if c.key in (found.title, *found.primary_key)]
        shown = ", ".join(f'"{n}"' for n in names)
        return [str(v) for row in self._look(f"SELECT {shown}", table, key) for v in row if v is not None]

    def _equal(self, param: Param | None, value: Any, wanted: Any, created: frozenset[Row]) -> bool:
        if param is not None and param.convert == "keys" and _is_list(value) and _is_list(wanted):
            value, wanted = orjson.loads(value), orjson.loads(wanted)
        if isinstance(value, list) and isinstance(wanted, list):
            left = list(wanted)
            for one in value:
                match = next((w for w in left if self._equal(param, one, w, created)), None)
                if match is None:
                    return False
                left.remove(match)
            return not left
        if isinstance(value, dict) and isinstance(wanted, dict):
            fields = {f"item_{f.key}": f for f in param.fields} if param is not None else {}
            return value.keys() == wanted.keys() and all(
                self._equal(fields.get(k), v, wanted[k], created) for k, v in value.items()
            )
        if isinstance(value, str) and isinstance(wanted, str):
            if _plain(value) == _plain(wanted):
                return True
        elif value == wanted and isinstance(value, bool) == isinstance(wanted, bool):
            return True
        to = target(self.schema, param.table, param.column) if param is not None else ""
        return bool(to) and (to, (value,)) in created and not self._existed(to, wanted)

    def _existed(self, table: str, key: Any) -> bool:
        """True for a row that was there when the episode began."""
        row = (table, (key,))
        if row not in self._there:
            self._there[row] = bool(self._look("SELECT 1", table, key))
        return self._there[row]

    def _look(self, select: str, table: str, key: Any) -> list[tuple[Any, ...]]:
        """What the world as it was grown says of a row."""
        own = own_key(self.schema, table)
        if not own or isinstance(key, list | dict):
            return []
        name = self.schema[table][own].name
        return self.world.session(self.toolset).rows(
            f'{select} FROM "{self.schema[table].name}" WHERE "{name}" = ?', (key,)
        )


def _is_list(value: Any) -> bool:
    """True for JSON text of a list; the keys in it are texts, too."""
    return isinstance(value, str) and value.startswith("[")


def _folded(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _plain(text: Any) -> str:
    """A text without regard to case, width and white space."""
    return " ".join(unicodedata.normalize("NFKC", str(text)).casefold().split())
