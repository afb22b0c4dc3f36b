"""Something new is put into the books: a record with its lines, with what hangs on it, with what it is linked to.

The things that it refers to are named as people name them, and every value is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from worlddb.tasks import columns
from worlddb.tasks.draft import Draft
from worlddb.tasks.families.acts import Act, Given, Made, The, key_param, param_of, rehearse, say, shown, stated, the
from worlddb.tasks.families.targets import actions, fill, wants
from worlddb.tasks.families.values import UNASKED
from worlddb.tasks.ground import Ground, flat
from worlddb.tasks.plan import Plan
from worlddb.tools.model import Param, Tool

NAME = "create"
TRIES = 3
PARTS = (2, 2, 3)
"""How many lines, or how many records that hang on the new one."""
OPTIONAL = 2
"""Values that are given without being asked for, at most."""


def propose(draft: Draft, depth: int, size: int) -> Plan | None:
    """A plan, or None where nothing came of it.  `depth`: rows named by way of others; `size` is not looked at."""
    tools = [t for t in actions(draft.ground, "create", lists=True) if t.key.rpartition(".")[2] != "get_or_create"]
    if not tools:
        return None
    for form in [*draft.stream.sample(FORMS, 3), alone]:
        for _ in range(TRIES):
            mark = draft.mark()
            acts = form(draft, draft.stream.shuffled(tools))
            if acts and rehearse(draft, acts).done and say(draft, acts, depth) and shown(draft):
                return draft.plan(NAME)
            draft.back(mark)
    return None


# --- one new row


def new(
    draft: Draft, tool: Tool, given: dict[str, Given], params: Sequence[Param] | None = None
) -> dict[str, Given] | None:
    """The arguments of a new row: what must be said, and a little more.  `params` are the fields of a line, else the tool's."""
    ground, stream = draft.ground, draft.stream
    some = [p for p in (flat(tool.params) if params is None else params) if p.role == "value" and p.key not in given]
    optional = [p for p in some if not p.required and _said(ground, p)]
    links = [p for p in optional if wants(ground, p) and wants(ground, p) != p.table]
    chosen = [p for p in some if p.required] + [p for p in links if stream.chance(0.4)][:1]
    chosen += [p for p in stream.sample(optional, stream.below(OPTIONAL + 1)) if not wants(ground, p)]
    if not chosen:
        return None
    found = fill(draft, chosen[0].table, chosen, {})
    if found is None:
        return None
    rows, values = found
    own: dict[str, Given] = {k: the(ground, *pair) for k, pair in rows.items()}
    return own | {p.key: stated(p, values[p.key]) for p in chosen if p.key in values}


def _said(ground: Ground, param: Param) -> bool:
    """True for an optional value that somebody would give of themselves."""
    table = ground.schema[param.table] if param.table else None
    if table is None or param.hidden or param.fields or param.convert == "json" or param.column not in table:
        return False
    if wants(ground, param):
        return bool(ground.readers[wants(ground, param)])
    return columns.spoken(table, table[param.column]) and not columns.is_any(table[param.column], UNASKED)


# --- forms


def with_lines(draft: Draft, tools: Sequence[Tool]) -> list[Act] | None:
    """A record and its lines in one call."""
    for tool in tools:
        items = next((p for p in tool.params if p.role == "items" and p.fields), None)
        if items is None or tool.kind != "create":
            continue
        arguments = new(draft, tool, {})
        records = [new(draft, tool, {}, items.fields) for _ in range(draft.stream.pick(PARTS))]
        whole = [r for r in records if r]
        if arguments is None or len(whole) < len(records) or len({_plain(r) for r in whole}) < len(whole):
            return None
        return [Act(tool, arguments | {items.key: tuple(whole)})]
    return None


def _plain(record: dict[str, Given]) -> str:
    """A record as text, to tell records apart."""
    return repr(sorted((k, v.row[v.column] if isinstance(v, The) else v) for k, v in record.items()))


def with_children(draft: Draft, tools: Sequence[Tool]) -> list[Act] | None:
    """A record, and two or three that hang on it."""
    options = [
        (t, c, p) for t in tools if _single(t) for c in tools if _single(c) for p in _hangs(draft.ground, c, t.table)
    ]
    if not options:
        return None
    tool, inner, param = draft.stream.pick(options)
    whole = new(draft, tool, {})
    if whole is None:
        return None
    acts = [Act(tool, whole)]
    key = Made(0, draft.schema[tool.table].primary_key[0])
    for _ in range(draft.stream.pick(PARTS)):
        part = new(draft, inner, {param.key: key})
        if part is None:
            return None
        acts.append(Act(inner, {param.key: key, **part}))
    return acts if len({_plain(dict(a.arguments)) for a in acts[1:]}) == len(acts) - 1 else None  # type: ignore[arg-type]


def _single(tool: Tool) -> bool:
    return tool.key == f"{tool.table}.create"


def _hangs(ground: Ground, tool: Tool, parent: str) -> list[Param]:
    """The parameters by which a new row is put under one of a parent table."""
    if tool.table == parent or len(ground.schema[parent].primary_key) != 1:
        return []
    return [p for p in tool.params if p.role == "value" and p.required and wants(ground, p) == parent]


def linked(draft: Draft, tools: Sequence[Tool]) -> list[Act] | None:
    """A record, and what it is linked to."""
    links = actions(draft.ground, "link")
    options = [
        (t, link, p)
        for t in tools if _single(t)
        for link in links if len(link.params) >= 2
        for p in link.params if p.required and wants(draft.ground, p) == t.table
    ]  # fmt: skip
    if not options:
        return None
    tool, link, own = draft.stream.pick(options)
    whole = new(draft, tool, {})
    if whole is None:
        return None
    acts, key = [Act(tool, whole)], Made(0, draft.schema[tool.table].primary_key[0])
    for _ in range(draft.stream.pick((1, 2, 2))):
        found = fill(draft, link.table, [p for p in flat(link.params) if p.required and p is not own], {})
        if found is None:
            return None
        rows, values = found
        told: dict[str, Given] = {own.key: key}
        told |= {k: the(draft.ground, *pair) for k, pair in rows.items()}
        acts.append(Act(link, told | {k: stated(param_of(link, k), v) for k, v in values.items()}))
    return acts


def and_then(draft: Draft, tools: Sequence[Tool]) -> list[Act] | None:
    """A record that is led on at once: made and confirmed."""
    moves = [t for t in actions(draft.ground, "transition") if key_param(draft.ground, t) and not t.destructive]
    options = [(t, m) for t in tools if _single(t) for m in moves if m.table == t.table]
    if not options:
        return None
    tool, move = draft.stream.pick(options)
    whole = new(draft, tool, {})
    if whole is None:
        return None
    return [
        Act(tool, whole),
        Act(move, {key_param(draft.ground, move): Made(0, draft.schema[tool.table].primary_key[0])}),
    ]


def alone(draft: Draft, tools: Sequence[Tool]) -> list[Act] | None:
    """One record that refers to others."""
    for tool in tools:
        if _single(tool):
            whole = new(draft, tool, {})
            return [Act(tool, whole)] if whole and any(isinstance(v, The) for v in whole.values()) else None
    return None


FORMS: tuple[Callable[[Draft, Sequence[Tool]], list[Act] | None], ...] = (
    with_lines, with_lines, with_lines, with_children, with_children, with_children, linked, and_then,
)  # fmt: skip
"""What is made, the usual more often."""
