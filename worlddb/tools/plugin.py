"""Plug-in tools: typed Python functions of the user's own, offered beside the generated tools.

The first parameter of such a function is the world, as the episode has it (`Access`); the others become the tool's parameters
by their type hints, and are described by the Google docstring.  What it writes meets the same laws as any tool's writes, and
a call that fails changes nothing.

>>> def rooms_above(db: Access, floor: int) -> list[int]:
...     '''Find the rooms above a floor.
...
...     Args:
...         floor: The floor, 0 is the ground.
...     '''
...     return [n for (n,) in db.rows("SELECT number FROM room WHERE floor > ?", (floor,))]
>>> plugin(rooms_above).name
'rooms_above'
"""

from __future__ import annotations

import inspect
import logging
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Union

import apsw
import msgspec
import orjson

from worlddb.errors import BadRequest
from worlddb.schema.model import Schema
from worlddb.tools.arguments import Reader, Refused
from worlddb.tools.engine import Outcome, Refusal, transact
from worlddb.tools.model import CODES, Error, JsonSchema, Param, Reply, Statement, Tool, Words
from worlddb.tools.names import LEGAL, NO_ARGUMENT, is_reserved
from worlddb.tools.refused import Terms
from worlddb.tools.styles import parameters_schema
from worlddb.tools.words import plain, sentence
from worlddb.world.host import Binds, Host

LOG = logging.getLogger("worlddb.plugin")
"""Has the traceback of every PLUGIN_ERROR, at level INFO."""


class ToolError(Exception):
    """Raise it in a plug-in to refuse a call: the agent gets this code and message, and nothing is changed."""

    def __init__(self, code: str, message: str, *, parameter: str = "", rule: str = "", cure: str = "") -> None:
        """`code` is one of `worlddb.tools.model.CODES`."""
        super().__init__(message)
        if code not in CODES:
            raise BadRequest(f"'{code}' is no error code; choose one of: {', '.join(CODES)}")
        self.error = Error(code=code, message=message, parameter=parameter, rule=rule, cure=cure)


class Access:
    """The world as one call of a plug-in has it, and for no longer than that."""

    def __init__(self, host: Host, now: str, writing: bool) -> None:
        self._host: Host | None = host
        self._writing = writing
        self.now = now
        """The clock of the episode, 'YYYY-MM-DD HH:MM:SS' UTC."""
        self.failure: Exception | None = None

    def rows(self, sql: str, binds: Binds = ()) -> list[tuple[Any, ...]]:
        """All rows of a SELECT.  Anything else fails the whole call."""
        try:
            return self._open().looked(sql, binds)
        except BadRequest as error:
            self.failure = error
            raise

    def write(self, sql: str, binds: Binds = ()) -> int:
        """Run an INSERT, UPDATE or DELETE; the number of rows that it changed.

        A failure of it fails the whole call, even where the plug-in catches the exception.
        """
        if not self._writing:
            raise BadRequest("this plug-in was registered to read only; register it with read_only=False")
        try:
            return self._open().written(sql, dict(binds) if isinstance(binds, dict) else tuple(binds))
        except Exception as error:  # whatever it is: the plug-in may catch it, and answer as if nothing had failed
            self.failure = error
            raise

    def _open(self) -> Host:
        if self._host is None:
            raise BadRequest("the call is over; a plug-in's access to the world ends with it")
        return self._host

    def close(self) -> None:
        """The call is over."""
        self._host = None


@dataclass(frozen=True)
class Plugin:
    """A function ready to be a tool of any world: give it to `world.toolset(plugins=[…])`."""

    function: Callable[..., Any]
    name: str
    description: str
    params: tuple[Param, ...]
    returns: JsonSchema
    result: Any
    """The type of the answer, as annotated; None where it is not."""
    wrapped: bool
    """True where the answer is no object, and stands under 'result'."""
    read_only: bool
    destructive: bool
    idempotent: bool

    @property
    def key(self) -> str:
        """The key of its tool."""
        return f"plugin.{self.name}"

    def tool(self, schema: Schema) -> Tool:
        """The tool of a world with this schema."""
        ops = ("insert", "update", "delete")
        title = plain(self.name)
        return Tool(
            key=self.key, name=self.name, kind="plugin", table=schema.tables[0].key, words=Words(verb=self.name),
            title=f"{title[:1].upper()}{title[1:]}", description=self.description, params=self.params,
            reply=Reply(query=Statement(sql=""), shape="value", fields=()), read_only=self.read_only,
            destructive=self.destructive, idempotent=self.idempotent, returns=self.returns,
            writes=() if self.read_only else tuple((t.key, op) for t in schema.tables for op in ops),
            parameters=parameters_schema(self.params, 0),
        )  # fmt: skip


def plugin(
    function: Callable[..., Any], *, read_only: bool = True, destructive: bool = False, idempotent: bool | None = None
) -> Plugin:
    """Make a tool of a typed function.

    Its parameters are int, str, bool, float, Literal, list of these, or Optional of these; those with a default may be left
    out.  It returns what JSON can hold.  `read_only=False` lets it write; `idempotent` is what it claims to be (by default
    only what reads is).

    Raises:
        BadRequest: its name or a parameter cannot be a tool's; the message has the cure.
    """
    name = function.__name__
    if not LEGAL.fullmatch(name) or is_reserved(name):
        raise BadRequest(f"'{name}' cannot be the name of a tool; give the function another name")
    hints = typing.get_type_hints(function)
    first, *others = inspect.signature(function).parameters.values() or (None,)
    if first is None:
        raise BadRequest(f"{name} takes no parameter; the first one is the world (worlddb.tools.plugin.Access)")
    description, told = read_docstring(inspect.getdoc(function) or "")
    params = tuple(_param(name, p, hints, told.get(p.name, "")) for p in others)
    result = hints.get("return")
    returns, wrapped = _returned(name, result)
    return Plugin(
        function=function, name=name, description=description or sentence(plain(name)), params=params, returns=returns,
        result=result, wrapped=wrapped, read_only=read_only, destructive=destructive and not read_only,
        idempotent=read_only if idempotent is None else idempotent,
    )  # fmt: skip


def _param(function: str, parameter: inspect.Parameter, hints: dict[str, Any], text: str) -> Param:
    where = f"parameter '{parameter.name}' of {function}"
    if parameter.kind not in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
        raise BadRequest(f"{where} takes any number of values; name each one")
    if parameter.name not in hints:
        raise BadRequest(f"{where} has no type hint; give it one, such as int")
    if parameter.name.startswith("_") or parameter.name in NO_ARGUMENT:
        raise BadRequest(f"{where} cannot be a tool's; give it another name")
    schema = schema_of(hints[parameter.name], where)
    schema["description"] = text or sentence(plain(parameter.name))
    required = parameter.default is inspect.Parameter.empty
    if not required and parameter.default is not None:
        schema["default"] = parameter.default
    return Param(key=parameter.name, name=parameter.name, schema=schema, required=required)


_NAMES = {int: "integer", float: "number", str: "string", bool: "boolean"}


def schema_of(hint: Any, where: str) -> JsonSchema:
    """The JSON Schema of a type hint.

    Raises:
        BadRequest: a type that tools do not take.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in _NAMES:
        return {"type": _NAMES[hint]}
    if origin is list and len(inner) == 1:
        return {"type": "array", "items": schema_of(inner[0], where)}
    if origin is Literal and len({type(v) for v in inner}) == 1 and type(inner[0]) in _NAMES:
        return {"type": _NAMES[type(inner[0])], "enum": list(inner)}
    if origin in (Union, types.UnionType) and len(inner) == 2 and type(None) in inner:
        schema = schema_of(next(t for t in inner if t is not type(None)), where)
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"].append(None)
        return schema
    raise BadRequest(
        f"{where} has a type that no tool takes; use int, str, bool, float, Literal, list or Optional of them"
    )


def _returned(function: str, result: Any) -> tuple[JsonSchema, bool]:
    """The JSON Schema of the answer, and whether it is to be wrapped into an object."""
    if result is None or result is Any:
        schema: JsonSchema = {}
    else:
        try:
            schema = msgspec.json.schema(result)
        except TypeError:
            raise BadRequest(
                f"{function} returns {result}, which JSON cannot hold; return dicts, lists, text and numbers"
            ) from None
    if schema.get("type") == "object":
        return schema, False
    definitions = {"$defs": schema.pop("$defs")} if "$defs" in schema else {}
    shown = {"type": "object", "properties": {"result": schema}, "required": ["result"], "additionalProperties": False}
    return shown | definitions, True


# --- docstrings


_SECTION = re.compile(r"(Args|Arguments|Parameters|Returns|Raises|Yields|Examples?|Notes?):\s*$")
_ENTRY = re.compile(r"(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")


def read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """What a Google docstring says of the function, and of each parameter."""
    about, told = list[str](), dict[str, str]()
    section, depth, name = "", 0, ""
    for line in text.splitlines():
        words = line.strip()
        if (match := _SECTION.match(words)) and not line.startswith(" "):
            section, depth, name = match[1], 0, ""
        elif not section:
            about.append(words)
        elif section in ("Args", "Arguments", "Parameters") and words:
            indent = len(line) - len(line.lstrip())
            depth = depth or indent
            if indent <= depth and (entry := _ENTRY.match(words)):
                name = entry[1]
                told[name] = entry[2]
            elif name:
                told[name] = f"{told[name]} {words}".strip()
    return " ".join(w for w in about if w), told


# --- calls

_TRANSLATED = (apsw.ConstraintError, apsw.FullError, apsw.TooBigError)
"""What `transact` tells the agent in words of its own."""


class PluginRunner:
    """Carries out the calls of a plug-in."""

    def __init__(self, made: Plugin, schema: Schema) -> None:
        self._plugin, self._terms = made, Terms(schema)
        self._reader = Reader(made.params)
        self._floats = {p.key for p in made.params if "number" in p.schema["type"]}

    def run(self, host: Host, arguments: Any, now: str) -> Outcome:
        """One call; see `worlddb.tools.engine.Runner.run`."""
        try:
            given = self._reader.read(arguments)
        except Refused as refused:
            return Outcome(None, refused.error)
        for key in self._floats & given.keys():
            given[key] = None if given[key] is None else float(given[key])

        def body() -> Outcome:
            db = Access(host, now, not self._plugin.read_only)
            try:
                data = self._answer(db, given)
            finally:
                db.close()
            host.settle()
            return Outcome(data, None)

        return transact(host, body, self._terms, quiet=True)

    def _answer(self, db: Access, given: dict[str, Any]) -> Any:
        """What the function answers, as JSON can hold it.

        Raises:
            Refusal, apsw.ConstraintError: the call is refused.
        """
        try:
            value = self._plugin.function(db, **given)
            if db.failure:
                raise db.failure
            data = msgspec.to_builtins(value)
            if self._plugin.result is not None:
                msgspec.convert(data, self._plugin.result)
            data = {"result": data} if self._plugin.wrapped else data
            orjson.dumps(data)
        except ToolError as refused:
            raise Refusal(refused.error) from None
        except _TRANSLATED:
            raise
        except Exception as error:  # the function is the caller's code: whatever it raises
            LOG.info("plug-in %s failed", self._plugin.name, exc_info=True)
            if isinstance(db.failure, _TRANSLATED):
                raise db.failure from None
            message = f"{self._plugin.name} failed with {type(error).__name__}."
            raise Refusal(
                Error(code="PLUGIN_ERROR", message=message, cure="Try other arguments or another tool.")
            ) from None
        return data
