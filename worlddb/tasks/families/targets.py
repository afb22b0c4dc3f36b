"""Targets: calls of writing tools that somebody might ask for, and that work in the world as it was grown.

A family picks a tool of `actions`, has `target` think up a call of it that a trial proves to work, and `arguments` says the call
in the words of the draft: rows by reference, values as a person would state them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from worlddb.schema.model import ForeignKey, Table
from worlddb.tasks import columns
from worlddb.tasks.draft import Draft
from worlddb.tasks.effects import effect_of
from worlddb.tasks.families import values
from worlddb.tasks.families.trial import Outcome, doable, outcome, outcomes
from worlddb.tasks.ground import Ground, flat
from worlddb.tasks.plan import Const, Find, Of, Where
from worlddb.tasks.reckon import Row
from worlddb.tools.model import Param, Tool

TRIES = 6
"""Calls that are tried before a tool is given up for this task."""
FREE = 0.6
"""The share of references that are left to the agent to choose, where several rows would do."""
CHOICES = 12
"""Rows among which the choice is left at most."""
SOUNDED = 60
"""Rows that a tool is tried on to learn which it takes."""


class Target(NamedTuple):
    """A call that works, as values: what a person has in mind."""

    tool: Tool
    rows: dict[str, tuple[str, Row]]
    """Parameter key -> (table key, row) of the rows that it is about."""
    stated: dict[str, Any]
    """Parameter key -> value as stored."""
    outcome: Outcome

    def call(self, ground: Ground) -> tuple[Tool, dict[str, Any]]:
        """The tool and its arguments as stored."""
        return self.tool, _keys(ground, self.rows) | self.stated


class _Memo:
    """What has been learnt of one ground."""

    def __init__(self, ground: Ground) -> None:
        self.usable: dict[bool, tuple[Tool, ...]] = {}
        self.taken: dict[str, tuple[Row, ...] | None] = {}
        self.marks: dict[str, tuple[str, str]] = {}
        self.wanted: dict[tuple[str, str], str] = {}
        self.standing: dict[str, list[Row]] = {}


def _memo(ground: Ground) -> _Memo:
    memo: _Memo | None = ground.memo.get("targets")
    if memo is None:
        memo = ground.memo["targets"] = _Memo(ground)
    return memo


# --- tools


def known(tool: Tool) -> bool:
    """True where there is a second gold of what the tool does."""
    return effect_of(tool) is not None


def actions(ground: Ground, *kinds: str, lists: bool = False) -> tuple[Tool, ...]:
    """The tools of these kinds (all where none is named) whose rows can be looked up and whose values can be said.

    With `lists` also those that take an array: bulk tools, structures with their lines.
    """
    memo = _memo(ground)
    if lists not in memo.usable:
        memo.usable[lists] = tuple(t for t in ground.writers if _usable(ground, t, lists) and known(t))
    return tuple(t for t in memo.usable[lists] if not kinds or t.kind in kinds)


def _usable(ground: Ground, tool: Tool, lists: bool) -> bool:
    return all(_sayable(ground, p) or (lists and p.role == "items") for p in flat(tool.params) if p.required)


def _sayable(ground: Ground, param: Param) -> bool:
    table = wants(ground, param)
    if table:
        return bool(ground.readers[table])
    if param.role != "value" or not param.column or param.convert == "json" or param.fields:
        return False
    return columns.spoken(ground.schema[param.table], ground.schema[param.table][param.column])


def wants(ground: Ground, param: Param) -> str:
    """Key of the table whose row a parameter names; '' for a plain value."""
    if not param.column or param.role not in ("key", "value"):
        return ""
    memo, place = _memo(ground).wanted, (param.table, param.column)
    if place not in memo:
        memo[place] = _names(ground, *place)
    return memo[place]


def _names(ground: Ground, table: str, column: str) -> str:
    home = ground.schema[table]
    for link in ground.parents(home):
        if link.columns == (column,):
            return link.table
    return table if home.primary_key == (column,) else ""


def bulks(ground: Ground) -> tuple[tuple[Tool, Param], ...]:
    """Bulk tools that do the same to each of several rows: with the parameter that takes their keys."""
    found = []
    for tool in actions(ground, "bulk", lists=True):
        param = tool.params[0]
        if param.role == "items" and param.convert == "keys" and ground.readers[param.table]:
            found.append((tool, param))
    return tuple(found)


# --- calls that work


def target(
    draft: Draft,
    tool: Tool,
    *,
    given: Mapping[str, Row] | None = None,
    optional: int = 1,
    before: Sequence[tuple[Tool, Mapping[str, Any]]] = (),
) -> Target | None:
    """A call of a tool that works, none of whose rows has been put away.

    Args:
        draft: only its stream is used.
        tool: one of `actions`.
        given: parameter key -> the row that it must be about.
        optional: how many of the optional parameters are given at most (of an update: at least one, and at most these).
        before: calls that will have been made by then, which may have made rows of `given`.
    """
    settled = given and not any(p.required and p.key not in given for p in flat(tool.params)) and tool.kind != "update"
    for _ in range(1 if settled else 2 if given else TRIES):
        found = _tried(draft, tool, given or {}, optional, before)
        if found is not None:
            return found
    return None


def _tried(
    draft: Draft,
    tool: Tool,
    given: Mapping[str, Row],
    optional: int,
    before: Sequence[tuple[Tool, Mapping[str, Any]]],
) -> Target | None:
    ground, stream = draft.ground, draft.stream
    params = flat(tool.params)
    own = keyed(ground, tool)
    rows: dict[str, tuple[str, Row]] = {}
    if tool.kind == "unlink":
        home = ground.table(tool.table)
        like = stream.pick(home) if home else None
        rows = _parents(ground, tool, like) if like else {}
        if len(rows) < len(params):
            return None
    for param in own:
        table = wants(ground, param)
        options: Sequence[Row] | None = taken(ground, tool)
        if options is None:
            options = standing(ground, table)
        row = given.get(param.key) or (stream.pick(options) if options else None)
        if row is None:
            return None
        if tool.kind != "unlink":
            rows[param.key] = (table, row)
    chosen = [p for p in params if p not in own and (p.required or (p.role == "key" and wants(ground, p)))]
    chosen += _optional(draft, tool, [p for p in params if not p.required and p.role == "value"], optional)
    found = fill(draft, tool.table, chosen, rows, given)
    if found is None:
        return None
    more, stated = found
    rows |= more
    if len({id(r) for _, r in rows.values()}) < len(rows):
        return None  # the same row twice
    trial = outcomes(ground, [*before, (tool, _keys(ground, rows) | stated)])
    return Target(tool, rows, stated, trial[-1]) if trial[-1].works and len(trial) > len(before) else None


def keyed(ground: Ground, tool: Tool) -> list[Param]:
    """The required parameters that find rows."""
    return [p for p in flat(tool.params) if p.role == "key" and p.required and wants(ground, p)]


def _parents(ground: Ground, tool: Tool, link: Row) -> dict[str, tuple[str, Row]]:
    """The rows that a row of a many-to-many table joins, by parameter key."""
    found = {}
    for param in tool.params:
        table = wants(ground, param)
        row = ground.row(table, link[param.column]) if table else None
        if row is not None:
            found[param.key] = (table, row)
    return found


def _keys(ground: Ground, rows: Mapping[str, tuple[str, Row]]) -> dict[str, Any]:
    return {k: row[ground.schema[table].primary_key[0]] for k, (table, row) in rows.items()}


def _optional(draft: Draft, tool: Tool, params: list[Param], most: int) -> list[Param]:
    """Some of the optional parameters: those that can be said."""
    options = [p for p in params if _sayable(draft.ground, p) and _worth(draft.ground, p)]
    if tool.kind == "update":
        return draft.stream.sample(options, draft.stream.between(1, max(1, most)))
    return draft.stream.sample(options, draft.stream.below(most + 1)) if most else []


def _worth(ground: Ground, param: Param) -> bool:
    """True for what people would set of themselves: not a rank, a colour code, a source system."""
    return not param.hidden and not columns.is_any(ground.schema[param.table][param.column], values.UNASKED)


def present(ground: Ground, table: str, row: Row) -> bool:
    """True for a row that is neither archived nor switched off."""
    marks = _memo(ground).marks
    if table not in marks:
        home = ground.schema[table]
        active = next((c.key for c in home.columns if columns.is_any(c, frozenset(["is_active"]))), "")
        marks[table] = columns.archived(home), active
    gone, active = marks[table]
    return not (gone and row[gone] is not None) and not (active and row[active] == 0)


def standing(ground: Ground, table: str) -> list[Row]:
    """The rows of a table that are present."""
    memo = _memo(ground).standing
    if table not in memo:
        memo[table] = [r for r in ground.table(table) if present(ground, table, r)]
    return memo[table]


def fill(
    draft: Draft,
    home: str,
    params: Sequence[Param],
    rows: Mapping[str, tuple[str, Row]],
    given: Mapping[str, Row] | None = None,
) -> tuple[dict[str, tuple[str, Row]], dict[str, Any]] | None:
    """Plausible rows and values for parameters: by parameter key (table, row), and values; None where there are none.

    `rows` are those that the call is about already.  New rows are modelled on existing ones of their table, so that what belongs
    together (a room and its type, a start and its end) stays together.
    """
    ground = draft.ground
    likes: dict[str, Row | None] = {table: row for table, row in rows.values() if table == home}
    updating = home in likes
    more, stated = dict[str, tuple[str, Row]](), dict[str, Any]()
    for param in sorted(params, key=lambda p: values.is_end(ground.schema, p)):
        if param.table not in likes:
            known_rows = ground.table(param.table)
            likes[param.table] = _model(draft, param.table, rows) if known_rows else None
        like = likes[param.table]
        table = wants(ground, param)
        if table:
            row = (given or {}).get(param.key) or _parent(draft, param, table, like)
            if row is None:
                return None
            more[param.key] = (table, row)
            continue
        column = ground.schema[param.table][param.column]
        value = values.plausible(
            draft, ground.schema[param.table], column, param, like, stated, change=updating and param.table == home
        )
        if value is None:
            return None
        stated[param.key] = value
    return more, stated


def _model(draft: Draft, table: str, rows: Mapping[str, tuple[str, Row]]) -> Row:
    """An existing row to be like: one that belongs to the rows at hand, where there is one."""
    home = draft.schema[table]
    for other, row in rows.values():
        for link in draft.ground.parents(home):
            if link.table == other:
                same = draft.ground.of(table, link.columns[0], row[link.ref[0]])
                if same:
                    return draft.stream.pick(same)
    return draft.stream.pick(draft.ground.table(table))


def _parent(draft: Draft, param: Param, table: str, like: Row | None) -> Row | None:
    """The row that a reference names: the model's own as often as another that is present."""
    own = draft.ground.row(table, like[param.column]) if like and like.get(param.column) is not None else None
    if own is not None and present(draft.ground, table, own) and draft.stream.chance(0.5):
        return own
    for _ in range(TRIES):
        rows = draft.ground.table(table)
        row = draft.stream.pick(rows) if rows else None
        if row is not None and present(draft.ground, table, row):
            return row
    return None


# --- rows that a tool takes


def taken(ground: Ground, tool: Tool) -> tuple[Row, ...] | None:
    """The rows of its table that a tool with one key and nothing else required works on, of those that were tried.

    Of big tables rows of each state are tried alike.  None for tools that ask for more.
    """
    memo = _memo(ground)
    if tool.key not in memo.taken:
        memo.taken[tool.key] = _sounded(ground, tool)
    return memo.taken[tool.key]


def _sounded(ground: Ground, tool: Tool) -> tuple[Row, ...] | None:
    needed = [p for p in flat(tool.params) if p.required]
    if len(needed) != 1 or needed[0].role != "key" or tool.kind == "update" or needed[0].table != tool.table:
        return None
    table = ground.schema[tool.table]
    if table.primary_key != (needed[0].column,):
        return None
    rows = spread(ground, tool.table, SOUNDED)
    gone = columns.archived(table)
    rows = [r for r in rows if not gone or (r[gone] is None) != (tool.kind == "restore")]
    return tuple(r for r in rows if doable(ground, tool, {needed[0].key: r[needed[0].column]}))


def spread(ground: Ground, table: str, most: int) -> list[Row]:
    """At most so many rows of a table, in their order: of each state alike, and of the whole range."""
    rows = ground.table(table)
    if len(rows) <= most:
        return list(rows)
    home = ground.schema[table]
    groups: dict[Any, list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(row[home.lifecycle.column] if home.lifecycle else None, []).append(i)
    share = max(1, most // len(groups))
    kept = [i for g in groups.values() for i in _even(g, share)]
    return [rows[i] for i in sorted(kept)]


def _even(items: list[int], most: int) -> Iterable[int]:
    return items if len(items) <= most else [items[i * len(items) // most] for i in range(most)]


# --- saying a call


def arguments(
    draft: Draft, found: Target, depth: int = 1, *, named: Mapping[str, Of] | None = None
) -> dict[str, Const | Of] | None:
    """The arguments of a call in the draft: its rows are named (`named` are already), its values stated; None where a row cannot
    be named."""
    said: dict[str, Const | Of] = {}
    used: set[str] = set()
    for key, (table, row) in found.rows.items():
        if named and key in named:
            said[key] = named[key]
            continue
        name = _whoever(draft, found, key) or draft.refer(table, row, depth)
        if name is None or name in used:
            return None
        used.add(name)
        said[key] = draft.key(name)
    for key, value in found.stated.items():
        param = next(p for p in flat(found.tool.params) if p.key == key)
        said[key] = Const(value=value, table=param.table, column=param.column)
    return said


def _whoever(draft: Draft, found: Target, key: str) -> str | None:
    """Now and then the choice of a row that a call only refers to is left open; all that would do must work."""
    ground, (table, row) = draft.ground, found.rows[key]
    first = next(iter(found.rows))
    if key == first or not draft.stream.chance(FREE):
        return None
    mark = draft.mark()
    name = draft.anyone(table, row, CHOICES)
    if name is None:
        return None
    call = _keys(ground, found.rows) | found.stated
    where = next(n for n in draft.nodes if n.name == name).where  # type: ignore[union-attr]
    rows = ground.meeting(table, [(w.column, w.op, draft.wanted(w)) for w in where])
    others = {v for k, v in call.items() if k != key}
    keys = [r[ground.schema[table].primary_key[0]] for r in rows]
    if others & set(keys) or not all(outcome(ground, found.tool, call | {key: k}).works for k in keys):
        draft.back(mark)
        return None
    return name


def within(draft: Draft, parent: str, table: Table, link: ForeignKey, row: Row) -> str | None:
    """Name a row among those that belong to a row that has a name already; the name of its Find, or None.

    A parent that the agent chooses names nothing: it may be another one.
    """
    if any(isinstance(n, Find) and n.name == parent and n.free for n in draft.nodes):
        return None
    own = Where(column=link.columns[0], value=draft.key(parent))
    same = draft.ground.of(table.key, link.columns[0], row[link.columns[0]])
    if len(same) == 1:
        return draft.find(table.key, own)
    if not all(present(draft.ground, table.key, r) for r in same):
        return None
    options: list[tuple[tuple[Where, ...], dict[str, Any]]] = []
    for column in columns.choices(table):
        if row[column.key] is not None and sum(r[column.key] == row[column.key] for r in same) == 1:
            options.append(((draft.equals(table, column, row),), {}))
    for column in columns.ranks(table):
        seen = [r[column.key] for r in same if r[column.key] is not None]
        if row[column.key] is not None and seen.count(row[column.key]) == 1:
            for desc, end in ((True, max(seen)), (False, min(seen))):
                if row[column.key] == end and len(seen) > 1:
                    options.append(((), {"sort": column.key, "desc": desc, "take": 1}))
    if not options:
        return None
    where, how = draft.stream.pick(options)
    return draft.find(table.key, own, *where, **how)


def repeats(draft: Draft) -> bool:
    """True where a row is found in two ways: named by way of itself, or spoken of as if it were another."""
    seen: set[tuple[str, int]] = set()
    for node in draft.nodes:
        if isinstance(node, Find) and not node.many and draft.rows(node.name):
            place = (node.table, id(draft.row(node.name)))
            if place in seen:
                return True
            seen.add(place)
    return False
