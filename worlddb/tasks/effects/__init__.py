"""The second gold: what a call of a writing tool should change, told from the schema and from what the tool is for.

A tool's program (`Tool.steps`) is never read here.  The key of a tool says what it does ('reservation.room.swap' swaps), its
parameters say by table, column and role what they mean, and the schema says the rest.  An effect works row by row, in
Python, and writes INSERT, UPDATE and DELETE statements with plain values, where programs are SQL over sets of rows.
What it shares with the tools are words: which states count as open, which column records a move, what a server numbers.

What has no effect here has no second opinion, and is used in no task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from worlddb.tasks.effects import acts, deals, plain, states, times, twins
from worlddb.tasks.effects.case import Answer, Case
from worlddb.tasks.effects.desk import Desk, Facts
from worlddb.tools.model import Tool

Effect: TypeAlias = Callable[[Case], Answer]

_EXACT: dict[tuple[str, str], Effect] = {
    ("create", "create"): plain.create, ("create", "get_or_create"): plain.get_or_create, ("create", "put"): plain.put,
    ("update", "update"): plain.update, ("delete", "delete"): plain.delete, ("link", "link"): plain.link,
    ("unlink", "unlink"): plain.unlink, ("transition", "advance"): states.advance, ("bulk", "bulk_create"): plain.bulk_create,
    ("bulk", "bulk_update"): states.bulk_update, ("bulk", "deactivate_stale"): states.retire_stale,
    ("bulk", "delete_old"): states.purge, ("bulk", "delete_expired"): states.purge,
}  # fmt: skip
"""(kind, last part of the key) -> what it does."""
_STARTS: tuple[tuple[str, str, Effect], ...] = (
    ("create", "create_with_", plain.create_with), ("update", "adjust_", plain.adjust), ("link", "set_", plain.set_links),
    ("bulk", "reassign_", states.reassign), ("bulk", "adjust_", states.reprice),
)  # fmt: skip
"""(kind, how the last part of the key begins) -> what it does."""
_ACTIONS: dict[str, Effect] = {**acts.ACTIONS, **deals.ACTIONS, **times.ACTIONS, **twins.ACTIONS}
"""Last part of the key of an action -> what it does."""
_REST: dict[str, Effect] = {
    "update": plain.update, "archive": plain.switch, "restore": plain.switch, "transition": states.move,
}  # fmt: skip
"""Kind -> what all other tools of it do."""


def effect_of(tool: Tool) -> Effect | None:
    """What calls of a tool should change; None where nobody but the tool itself could say."""
    if tool.read_only:
        return None
    tail = tool.key.rpartition(".")[2]
    if tool.kind == "action":
        return _ACTIONS.get(tail)
    if (exact := _EXACT.get((tool.kind, tail))) is not None:
        return exact
    for kind, start, effect in _STARTS:
        if tool.kind == kind and tail.startswith(start):
            return effect
    if tool.kind == "bulk" and tail.startswith("bulk_"):
        return (
            states.move_due if tail.endswith("_due") and "before" in {p.key for p in tool.params} else states.bulk_move
        )
    return _REST.get(tool.kind)


def carry_out(desk: Desk, facts: Facts, tool: Tool, given: Mapping[str, Any]) -> Answer:
    """Make the changes of one call at a desk; the row with which it answers.

    Args:
        desk: where rows are read and written.
        facts: what the schema says.
        tool: a writing tool that `effect_of` knows.
        given: parameter key -> value, as stored; arrays as lists, their objects as dicts by field key.

    Raises:
        Lost: something that the call needs is not there.
    """
    effect = effect_of(tool)
    assert effect is not None, f"{tool.key} has no effect of its own"
    return effect(Case(desk, facts, tool, given))
