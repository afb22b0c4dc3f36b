"""The gold of a task, played by an agent that knows it: what a solution looks like, and whether the task is as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from worlddb.episode.diligent import Diligent
from worlddb.episode.play import Episode
from worlddb.episode.verify import UNANSWERED
from worlddb.errors import BadRequest
from worlddb.tasks.model import Task
from worlddb.tools.keys import call_of
from worlddb.tools.model import Call
from worlddb.tools.session import Start
from worlddb.tools.toolset import Toolset
from worlddb.world.model import World


def gold_calls(task: Task, toolset: Toolset) -> Iterator[Call]:
    """The calls of a task's gold as an API names and spells them.

    Raises:
        BadRequest: the API lacks one of its tools.
    """
    return (call_of(toolset, gold.tool, gold.arguments) for gold in task.gold)


def submitted(task: Task) -> Any:
    """What the gold submits: the answer, None where it cannot be done, UNANSWERED where nothing is asked."""
    return UNANSWERED if task.plan.asked is None else task.answer


def solve(
    world: World, task: Task, toolset: Toolset | None = None, *, start: Start | None = None, without: int = 0
) -> Episode:
    """An episode in which the gold has been played and its answer submitted; its `verdict` is the outcome.

    What a user, policies or faults ask for beyond the gold is done as well.  `without` leaves a call out, by its number from 1:
    the verdict then says what is missing.

    Raises:
        BadRequest: the gold has no call of that number, or the API lacks a tool.
        Silent: the user did not say what they were asked.

    >>> import worlddb
    >>> world = worlddb.generate(12, "tiny")
    >>> solve(world, world.tasks[0]).verdict.success
    True
    """
    if not 0 <= without <= len(task.gold):
        raise BadRequest(f"the gold of {task.id} has no call {without}; it has the calls 1 to {len(task.gold)}")
    episode = Episode(world, task, toolset, start)
    Diligent(episode).run([call for number, call in enumerate(task.gold, start=1) if number != without])
    episode.submit(submitted(task))
    return episode
