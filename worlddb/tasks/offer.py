"""What an agent is offered for one task: all tools of the world, or those that the gold needs among so many distractors."""

from __future__ import annotations

from collections.abc import Iterable

from worlddb.errors import BadRequest
from worlddb.rng import Stream
from worlddb.tasks.model import Task
from worlddb.tools.model import Tool
from worlddb.tools.toolset import Toolset

MOST = 20


def traps(toolset: Toolset, keys: Iterable[str]) -> list[Tool]:
    """The tools that would take the arguments of one of these and do something else: a plausible wrong choice."""
    own = set(keys)
    alike = {_signature(tool) for k in own if (tool := toolset.by_key(k)) is not None}
    return [t for t in toolset if t.key not in own and _signature(t) in alike]


def _signature(tool: Tool) -> tuple[object, ...]:
    """What a tool asks for, and whether it changes anything."""
    return tool.read_only, tool.table, tuple(sorted((p.table, p.column) for p in tool.params if p.required))


def offered(toolset: Toolset, task: Task, distractors: int) -> Toolset:
    """The tools of a task's gold and `distractors` others for each of them, traps first, in the order of the API.

    Raises:
        BadRequest: fewer than 0 or more than 20 distractors.
    """
    if not 0 <= distractors <= MOST:
        raise BadRequest(f"{distractors} distractors per tool cannot be had; ask for 0 to {MOST}")
    own = dict.fromkeys(call.tool for call in task.gold)
    own |= dict.fromkeys(do.tool for do in task.plan.dos)  # what cannot be done must be there to be tried
    stream = Stream(0, "offer", task.id)
    near = stream.child("traps").shuffled(traps(toolset, own))
    rest = stream.child("rest").shuffled([t for t in toolset if t.key not in own and t not in near])
    kept = set(own) | {t.key for t in [*near, *rest][: distractors * len(own)]}
    return Toolset(toolset.schema, tuple(t for t in toolset if t.key in kept), toolset.style)
