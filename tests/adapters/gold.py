"""What an agent that knows the gold says, in the form of the Chat Completions API; for fake servers and mock models."""

from __future__ import annotations

from typing import Any, NamedTuple

from worlddb.attempts import gold_attempt
from worlddb.tasks.model import Task
from worlddb.world.model import World


class Turn(NamedTuple):
    """One call of the gold."""

    name: str
    arguments: dict[str, Any]


def gold_turns(world: World, task: Task) -> list[Turn]:
    """The calls of the gold in order, the submission last."""
    calls = [c["function"] for m in gold_attempt(world, task).messages for c in m.get("tool_calls", ())]
    return [Turn(c["name"], c["arguments"]) for c in calls]
