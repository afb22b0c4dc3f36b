"""One change: a booking is cancelled, a price set, somebody is assigned; the row is named by way of others."""

from __future__ import annotations

from worlddb.semantics.types import semantic_type
from worlddb.tasks import columns
from worlddb.tasks.draft import Draft
from worlddb.tasks.families.targets import Target, actions, arguments, repeats, target
from worlddb.tasks.plan import Asked, Const, Do, Of, Plan
from worlddb.tools.model import Tool

NAME = "single"
WEIGHTS = {
    "transition": 6, "update": 6, "action": 6, "create": 3, "delete": 2, "archive": 2, "restore": 2, "link": 3, "unlink": 3,
    "bulk": 2,
}  # fmt: skip
"""Kind of tool -> how often."""
TRIES = 3
TOLD = 0.3
"""The share of changes after which something is to be told."""
_UNSURE = frozenset(["clock", "bookkeeping", "key", "text.free", "fk"])


def propose(draft: Draft, depth: int, size: int) -> Plan | None:
    """A plan, or None where nothing came of it."""
    depth = min(depth, size - 2)  # so that it stays about as short as it should be
    for _ in range(TRIES):
        mark = draft.mark()
        tool = choose(draft)
        found = target(draft, tool, optional=2) if tool else None
        said = arguments(draft, found, depth) if found else None
        if tool and found and said and not repeats(draft):
            do = draft.do(tool, dict(said))
            return draft.plan(NAME, told(draft, do, found) if draft.stream.chance(TOLD) else None)
        draft.back(mark)
    return None


def choose(draft: Draft, *kinds: str) -> Tool | None:
    """A tool, of a kind that is drawn first."""
    by_kind = {k: t for k in kinds or WEIGHTS if (t := actions(draft.ground, k))}
    if not by_kind:
        return None
    kind = draft.stream.weighted(list(by_kind), [WEIGHTS[k] for k in by_kind])
    return draft.stream.pick(by_kind[kind])


def told(draft: Draft, do: str, found: Target) -> Asked | None:
    """A question for a value of the row that a change answers with: what the change made of it, or what it says besides."""
    reply = found.tool.reply
    if reply.shape != "row" or found.tool.kind in ("create", "link"):
        return None
    table = draft.schema[found.tool.table]
    after = next((c.after for c in found.outcome.changes if c.table == table.key and c.after is not None), None)
    if after is None or sum(c.table == table.key for c in found.outcome.changes) > 1:
        return None
    row = dict(zip((c.key for c in table.columns), after, strict=True))
    shown = {f.column for f in reply.fields if f.key == f.column and f.table == table.key}
    stated = {p.column for p in found.tool.params if p.key in found.stated}
    options = [
        c for c in columns.asks(table)
        if c.key in shown and row[c.key] is not None and c.key not in stated
        and semantic_type(c.type).compare not in _UNSURE and c.key not in _named(draft)
    ]  # fmt: skip
    return Asked(shape="value", what=(Of(node=do, column=draft.stream.pick(options).key),)) if options else None


def _named(draft: Draft) -> set[str]:
    """Columns of which the task states values."""
    found = {w.column for n in draft.nodes for w in getattr(n, "where", ())}
    stated = [v for n in draft.nodes if isinstance(n, Do) for v in n.arguments.values()]
    return found | {v.column for v in stated if isinstance(v, Const)}
