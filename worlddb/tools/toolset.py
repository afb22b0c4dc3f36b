"""The Toolset noun: all tools of one world's API, and the forms in which frameworks want them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec.structs import replace

from worlddb.errors import BadRequest, UnknownName
from worlddb.schema.model import Schema
from worlddb.tools import forms
from worlddb.tools.engine import Outcome, Runner
from worlddb.tools.model import Error, JsonSchema, Tool
from worlddb.tools.people import ASK, CONFIRM, DO, TELL, people_tools
from worlddb.tools.refused import Terms
from worlddb.tools.styles import Style
from worlddb.tools.words import Vocabulary

if TYPE_CHECKING:
    from worlddb.tools.session import Session
    from worlddb.world.host import Host


class Runs(Protocol):
    """What carries out the calls of one tool."""

    def run(self, host: Host, arguments: Any, now: str) -> Outcome:
        """One call, on a host that stands at the episode."""
        ...


class Nobody:
    """Answers for the user where none is there."""

    def run(self, host: Host, arguments: Any, now: str) -> Outcome:
        """A refusal."""
        cure = "Do what you were asked to do without asking."
        return Outcome(None, Error(code="FORBIDDEN", message="No user is there to talk with.", cure=cure))


class Toolset:
    """The tools of a world, in a fixed order.  Make it with `world.toolset()`; treat it as frozen."""

    def __init__(
        self,
        schema: Schema,
        tools: tuple[Tool, ...],
        style: Style,
        special: dict[str, Callable[[Tool], Runs]] | None = None,
    ) -> None:
        """`special` makes the runners of tools that are no program: the free SQL tool and plug-ins, by tool key."""
        self.schema = schema
        self.tools = tools
        self.style = style
        self._special = special or {}
        self._by_name = {t.name: t for t in tools}
        self._runners: dict[str, Runs] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Public names of all tools."""
        return tuple(self._by_name)

    def __len__(self) -> int:
        return len(self.tools)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self.tools)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str | int) -> Tool:
        """The tool of that public name, or at that place.

        Raises:
            UnknownName: there is none.
        """
        if isinstance(name, int):
            return self.tools[name]
        if name not in self._by_name:
            raise UnknownName("tool", name, self._by_name)
        return self._by_name[name]

    def by_key(self, key: str) -> Tool | None:
        """The tool of that key, the same in every style; None where this world has none."""
        return self._by_key.get(key)

    @cached_property
    def _by_key(self) -> dict[str, Tool]:
        return {t.key: t for t in self.tools}

    def with_people(self, deeds: tuple[str, ...] = ()) -> Toolset:
        """The same tools and those by which an agent talks with the user; `deeds` are what the user can do on their own side."""
        made: dict[tuple[str, ...], Toolset] = self.__dict__.setdefault("_with_people", {})
        if deeds not in made:
            people = (
                replace(t, name=f"{t.name}_with_user" if t.name in self else t.name)
                for t in people_tools(self.tools[0].table, deeds)
            )
            special = self._special | dict.fromkeys((ASK, CONFIRM, TELL, DO), lambda tool: Nobody())
            made[deeds] = Toolset(self.schema, (*self.tools, *people), self.style, special)
        return made[deeds]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that the toolset is, in hex."""
        return sha256(self.json()).hexdigest()

    def json(self) -> bytes:
        """The tools as JSON, programs included."""
        return msgspec.json.encode(self.tools, order="deterministic")

    @cached_property
    def terms(self) -> Terms:
        """What the API calls the columns: as its answers do, else its parameters."""
        asked: dict[tuple[str, str], str] = {}
        shown: dict[tuple[str, str], str] = {}
        for tool in self.tools:
            for param in (*tool.params, *(f for p in tool.params for f in p.fields)):
                if param.column and param.role in ("value", "key"):
                    asked.setdefault((param.table, param.column), param.name)
            fields = (f for f in tool.reply.fields if f.column == f.key and f.table == tool.table)
            shown |= {(f.table, f.column): f.name for f in fields}
        words = Vocabulary(self.schema)
        return Terms(self.schema, asked | shown, {t.key: words.label(t.key) for t in self.schema.tables})

    def runner(self, name: Any) -> Runs | None:
        """What carries out calls of the tool of that public name; None where there is none."""
        runner = self._runners.get(name) if isinstance(name, str) else None
        if runner is None and isinstance(name, str) and name in self._by_name:
            tool = self._by_name[name]
            make = self._special.get(tool.key)
            runner = self._runners[name] = make(tool) if make else Runner(tool, self.terms)
        return runner

    def handbook(self) -> str:
        """What the staff of the business would be handed: its entities, rules, states and units, in the API's words."""
        from worlddb.tools.handbook import handbook

        return handbook(self.schema, self)

    # --- as frameworks want them

    def openai(self) -> list[JsonSchema]:
        """The tools as the Chat Completions API takes them."""
        return deepcopy(forms.openai(self.tools))  # whoever edits it must not change the tools

    def responses(self) -> list[JsonSchema]:
        """The tools as the Responses API takes them."""
        return deepcopy(forms.responses(self.tools))  # whoever edits it must not change the tools

    def mcp(self) -> list[JsonSchema]:
        """The tools as the result of MCP's tools/list (camelCase, ready for `mcp.types.Tool.model_validate`)."""
        return deepcopy(forms.mcp(self.tools))  # whoever edits it must not change the tools

    def callables(self, session: Session) -> dict[str, Callable[..., str]]:
        """The tools as typed Python functions that act in a session of this toolset, by name; see `forms.callables`."""
        if session.toolset is not self and session.toolset.digest != self.digest:
            raise BadRequest("the session has another toolset; make it with world.session(toolset)")
        return forms.callables(session)
