"""The Task noun: an instruction, the plan behind it, its executed gold, and the goal by which an agent is judged."""

from __future__ import annotations

from typing import Any

import msgspec

from worlddb.tasks.goal import Goal
from worlddb.tasks.plan import Plan
from worlddb.tasks.user import Script
from worlddb.tools.faults import Faults


class GoldCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of the gold: by keys, so that it can be made in any style of the world's API (`tools.keys.call_of`)."""

    tool: str
    """Key of the tool."""
    arguments: dict[str, Any]
    """By parameter key."""
    uses: tuple[int, ...] = ()
    """Indexes of the earlier calls whose results its arguments, or whether it is made at all, depend on."""
    node: str = ""
    """Name of the plan's node that it serves."""
    writes: bool = False


class Card(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The structure of a task, measured on its gold."""

    calls: int
    writes: int
    depth: int
    """Calls on the longest chain of dependencies."""
    width: int
    """The most calls at one depth."""
    fan_in: int
    """The most earlier calls that one call depends on."""
    fan_out: int
    """The most later calls that depend on one call."""
    operators: tuple[str, ...]
    """What it takes: look-up, filter, argmax, count, intersection …, sorted."""
    hidden: int = 0
    """Slots that the user must be asked for."""
    distractors: int = 0
    """Tools in the toolset that the gold does not need, per tool that it needs, rounded down."""
    traps: int = 0
    """Tools that would accept the gold's arguments and give a plausible wrong result."""
    level: str = ""
    """How much the user holds back, L0 to L6; empty: there is no user to ask."""
    enforced: tuple[str, ...] = ()
    """Names of the policies at stake that the system enforces."""
    written: tuple[str, ...] = ()
    """Names of those that are only written in the handbook."""
    faults: tuple[str, ...] = ()
    """Kinds of faults that are injected."""
    structure: str = ""
    """Hash of the skeleton: kinds of calls, dependencies, operators; equal for tasks of one structure in any world."""
    skeleton: str = ""
    """Hash of the skeleton with the tables and columns of this world: no two tasks of a world share it."""


class Task(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task of one world."""

    id: str
    """The world's id and a number: 'hotel-12/3'."""
    family: str
    instruction: str
    persona: str = ""
    register: str = ""
    plan: Plan
    gold: tuple[GoldCall, ...]
    goal: Goal
    card: Card
    proofs: dict[str, str] = {}
    """Node name -> the query that proves its description: it selects the intended rows and nothing else."""
    sql: tuple[str, ...] = ()
    """The gold as SQL, compiled apart from the tools: statements with their values in them."""
    answer: Any = None
    """The gold's answer as an agent might submit it; None where nothing is asked."""
    twin: str = ""
    """Of a task that cannot be done: the id of its twin, where acting is right; and the other way round."""
    figures: dict[str, float] = {}
    """What the admission gate measured."""
    user: Script | None = None
    """The user who can be asked; None: nobody is there."""
    faults: Faults | None = None
    """Faults of the API, for agents to learn to live with; None: it never fails."""
    scenario: str = ""
    """Of variants that have one plan (other levels, other words): the id of the task that they vary."""

    @property
    def world(self) -> str:
        """The id of its world."""
        return self.id.rpartition("/")[0]
