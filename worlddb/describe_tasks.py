"""The tasks of a world as flat rows, for the catalogue and the exports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from worlddb.shards import Entry, family_and_reason, task_number
from worlddb.tasks.model import Task

if TYPE_CHECKING:
    from worlddb.tools.toolset import Toolset


class TaskRow(NamedTuple):
    """One task of a world."""

    world: str
    position: int
    number: int
    """The number in its id."""
    task: str
    """Its id, such as 'hotel-42/3'."""
    family: str
    persona: str
    register: str
    instruction: str
    calls: int
    """Of the gold; what the figures mean stands in worlddb/tasks/model.py (Card)."""
    writes: int
    depth: int
    width: int
    fan_in: int
    fan_out: int
    operators: str
    """Separated by ', '."""
    hidden: int
    distractors: int
    traps: int
    structure: str
    """Hash of its structure, equal in any world."""
    skeleton: str
    answer_kind: str
    """Empty where no answer is asked for."""
    answer: str
    """The gold's answer as JSON; empty where no answer is asked for."""
    twin: str
    """Id of its twin, where of two tasks one cannot be done."""


class GoldRow(NamedTuple):
    """One call of a task's gold."""

    world: str
    position: int
    number: int
    task: str
    step: int
    """From 0."""
    tool: str
    """Key of the tool."""
    name: str
    """What the world's API calls it."""
    arguments: str
    """JSON by parameter key."""
    call: str
    """The same arguments as the world's API names and spells them, JSON."""
    uses: str
    """Steps whose results it depends on, separated by ', '."""
    node: str
    """The part of the plan that it serves."""
    writes: bool


class RejectionRow(NamedTuple):
    """Why tasks of a world were rejected by the gate."""

    world: str
    position: int
    family: str
    reason: str
    rejected: int
    """How many."""


def task_rows(entry: Entry) -> Iterator[TaskRow]:
    """One row for each task of a world."""
    for task in entry.tasks:
        card = task.card
        kind = task.goal.answers[0].kind if task.goal.answers else ""
        yield TaskRow(
            world=entry.id, position=entry.position, number=task_number(task), task=task.id, family=task.family,
            persona=task.persona, register=task.register, instruction=task.instruction, calls=card.calls,
            writes=card.writes, depth=card.depth, width=card.width, fan_in=card.fan_in, fan_out=card.fan_out,
            operators=", ".join(card.operators), hidden=card.hidden, distractors=card.distractors, traps=card.traps,
            structure=card.structure, skeleton=card.skeleton, answer_kind=kind,
            answer=_json(task.answer) if kind else "", twin=task.twin,
        )  # fmt: skip


def rejection_rows(entry: Entry) -> Iterator[RejectionRow]:
    """One row for each reason why tasks of a world were rejected."""
    for rejected, count in entry.gated.rejected.items():
        if count:
            yield RejectionRow(entry.id, entry.position, *family_and_reason(rejected), count)


def gold_rows(entry: Entry) -> Iterator[GoldRow]:
    """One row for each call of each task's gold; makes the world's toolset, for the names."""
    if not entry.packed_tasks:
        return
    toolset = entry.world().toolset()
    for task in entry.tasks:
        yield from _gold(entry, task, toolset)


def _gold(entry: Entry, task: Task, toolset: Toolset) -> Iterator[GoldRow]:
    from worlddb.tools.keys import call_of

    for step, gold in enumerate(task.gold):
        call = call_of(toolset, gold.tool, gold.arguments)
        yield GoldRow(
            world=entry.id, position=entry.position, number=task_number(task), task=task.id, step=step, tool=gold.tool,
            name=call.name, arguments=_json(gold.arguments), call=_json(call.arguments),
            uses=", ".join(map(str, gold.uses)), node=gold.node, writes=gold.writes,
        )  # fmt: skip


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
