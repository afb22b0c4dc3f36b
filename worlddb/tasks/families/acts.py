"""Acts: changes that are thought up with rows at hand, tried, and then said: the rows by how people name them.

A family thinks of what is to be done to which rows, `rehearse` tells whether the business lets it happen, and `say` puts it
into the draft, so that no row is named for a plan that could not be carried out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from worlddb.tasks.draft import Draft
from worlddb.tasks.families.targets import present, wants
from worlddb.tasks.ground import Ground, flat
from worlddb.tasks.plan import Const, Each, Find, Of, Where
from worlddb.tasks.reckon import Row
from worlddb.tasks.routes import route_of
from worlddb.tools.keys import call_of, rows_of
from worlddb.tools.model import Param, Tool

CODES = frozenset(["RULE_VIOLATION", "CONFLICT", "FORBIDDEN"])
"""With what the business refuses; anything else is a mistake of whoever calls."""


class The(NamedTuple):
    """A column of a row of the world, which is named when the act is said."""

    table: str
    row: Row
    column: str


class Made(NamedTuple):
    """A column of the row that an earlier act answers with."""

    act: int
    column: str


Given: TypeAlias = Const | Of | The | Made
"""A value of an act; an Of speaks of a node that the draft has."""


class Act(NamedTuple):
    """One call of a writing tool."""

    tool: Tool
    arguments: Mapping[str, Given | tuple[dict[str, Given], ...]]


class Trial(NamedTuple):
    """How acts went that were tried: all of them, or the first that did not succeed."""

    code: str = ""
    """Of its error; 'SAME' where it changed nothing."""
    rule: str = ""
    """Of its error: the name of the business rule behind it."""
    act: int = 0

    @property
    def done(self) -> bool:
        """True where every act changed something."""
        return not self.code


def the(ground: Ground, table: str, row: Row) -> The:
    """A row, as the argument that names it."""
    return The(table, row, ground.schema[table].primary_key[0])


def stated(param: Param, value: Any) -> Const:
    """A value that the instruction states for a parameter."""
    return Const(value=value, table=param.table, column=param.column)


def rehearse(draft: Draft, acts: Sequence[Act]) -> Trial:
    """Carry out acts, one after the other, in a session of their own that leaves nothing behind."""
    toolset = draft.ground.toolset
    session = draft.ground.world.session(toolset)
    made: list[Row] = []
    for at, act in enumerate(acts):
        arguments = {
            key: [{k: _amount(draft, v, made) for k, v in one.items()} for one in given]
            if isinstance(given, tuple) and not isinstance(given, The | Made)
            else _amount(draft, given, made)
            for key, given in act.arguments.items()
        }
        call = call_of(toolset, act.tool.key, public(act.tool, arguments))
        result = session.call(call.name, call.arguments)
        if result.error is not None:
            return Trial(result.error.code, result.error.rule, at)
        if not session.journal[-1].changes:
            return Trial("SAME", "", at)
        shown = rows_of(act.tool.reply, result.data)[0] if act.tool.reply.shape == "row" else {}
        made.append({f.column: shown[f.key] for f in act.tool.reply.fields if f.key == f.column} if shown else {})
    return Trial()


def _amount(draft: Draft, given: Any, made: Sequence[Row]) -> Any:
    """What a value amounts to."""
    if isinstance(given, The):
        return given.row[given.column]
    if isinstance(given, Made):
        return made[given.act][given.column]
    return draft.value(given)


def public(tool: Tool, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Stored values as an API takes them: flags are true and false."""
    params = {p.key: p for p in flat(tool.params)}
    found = dict[str, Any]()
    for key, given in arguments.items():
        fields = {f.key for f in params[key].fields if f.convert == "flag"}
        if params[key].fields:
            found[key] = [{k: bool(v) if k in fields and v is not None else v for k, v in one.items()} for one in given]
        else:
            found[key] = bool(given) if params[key].convert == "flag" and given is not None else given
    return found


# --- saying


def say(draft: Draft, acts: Sequence[Act], depth: int) -> bool:
    """Put acts into the draft; False where one of their rows cannot be named.  The first row is named by way of up to `depth`
    others, those after it more plainly."""
    names: dict[tuple[str, Any], str] = {}
    told: list[Mapping[str, Any]] = []
    for act in acts:
        arguments = dict[str, Any]()
        for key, value in act.arguments.items():
            if isinstance(value, tuple) and not isinstance(value, The | Made):
                records = [{k: _said(draft, v, names, depth) for k, v in one.items()} for one in value]
                if any(v is None for one in records for v in one.values()):
                    return False
                arguments[key] = tuple(records)
            else:
                arguments[key] = _said(draft, value, names, depth)
                if arguments[key] is None:
                    return False
        told.append(arguments)
    dos: list[str] = []
    for act, given in zip(acts, told, strict=True):
        dos.append(draft.do(act.tool, {k: _made(v, dos) for k, v in given.items()}))
    return True


def _said(draft: Draft, given: Given, names: dict[tuple[str, Any], str], depth: int) -> Given | None:
    if not isinstance(given, The):
        return given
    place = (given.table, given.row[draft.schema[given.table].primary_key[0]])
    if place not in names:
        name = draft.refer(given.table, given.row, depth if not names else min(depth, 1) * draft.stream.below(2))
        if name is None or name in names.values():
            return None
        names[place] = name
    return Of(node=names[place], column=given.column)


def _made(given: Any, dos: Sequence[str]) -> Any:
    if isinstance(given, Made):
        return Of(node=dos[given.act], column=given.column)
    if isinstance(given, tuple):
        return tuple({k: _made(v, dos) for k, v in one.items()} for one in given)
    return given


def shown(draft: Draft) -> bool:
    """True where tools of this world show the rows that a draft names."""
    return all(_seen(draft, n) for n in draft.nodes if isinstance(n, Find))


def _seen(draft: Draft, find: Find) -> bool:
    values = tuple(_wanted(draft, w) for w in find.where)
    return route_of(draft.ground, find, values, set(draft.schema[find.table].primary_key)) is not None


def _wanted(draft: Draft, where: Where) -> tuple[Any, ...]:
    if isinstance(where.value, Each):
        return tuple(dict.fromkeys(r[where.value.column] for r in draft.rows(where.value.node)))
    return tuple(v.value for v in where.values) if where.value is None else (draft.value(where.value),)


# --- rows


def standing(ground: Ground, table: str, rows: Iterable[Row] | None = None) -> list[Row]:
    """Rows of a table that nobody has put away."""
    return [r for r in (ground.table(table) if rows is None else rows) if present(ground, table, r)]


def key_param(ground: Ground, tool: Tool) -> str:
    """The parameter by which a tool finds the one row that it is about, where it needs nothing else; else ''."""
    needed = [p for p in flat(tool.params) if p.required]
    one = len(needed) == 1 and needed[0].role == "key" and wants(ground, needed[0]) == tool.table
    return needed[0].key if one else ""


def param_of(tool: Tool, key: str) -> Param:
    """A parameter of a tool, wherever the style of the API puts it."""
    return next(p for p in flat(tool.params) if p.key == key)
