"""The taskset: tasks of a store, or of worlds grown from seeds without end, and their reward."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import verifiers.v1 as vf

from worlddb.adapters.common import Address, find
from worlddb.adapters.supply import Supply
from worlddb.attempts import gold_attempt, prompt
from worlddb.episode.play import Episode
from worlddb.tasks.model import Task
from worlddb.world.model import World


class WorldData(vf.TaskData):
    """A task on the wire."""

    address: dict[str, Any]
    """Where it is found: the columns of `worlddb.adapters.common.Address`."""
    family: str = ""
    scenario: str = ""


class WorldState(vf.State):
    """What came of a rollout."""

    reward: float = 0.0
    """1.0 where the net change of the database and the answer are those of the gold, else 0.0."""
    shaped: float = 0.0
    calls: int = 0


class WorldTaskConfig(vf.TaskConfig):
    """How tasks are run and paid."""

    max_turns: int = 50
    """Messages of the model."""
    shaped: bool = False
    """Pay part of the way as well."""


class WorldTask(vf.Task[WorldData, WorldState, WorldTaskConfig]):
    """One task of one world."""

    @property
    def key(self) -> str:
        """'hotel-42/3'."""
        return str(self.data.address["task"])

    @vf.stop
    async def max_turns(self, trace: vf.Trace) -> bool:
        """True once the model has had its say."""
        return trace.num_turns >= self.config.max_turns

    @vf.reward(weight=1.0)
    async def state_diff(self, trace: vf.Trace) -> float:
        """The verdict on the database that the rollout left, and on its answer."""
        return trace.state.shaped if self.config.shaped else trace.state.reward

    @vf.metric
    async def tool_calls(self, trace: vf.Trace) -> float:
        """Calls of tools, the submission aside."""
        return float(trace.state.calls)

    @vf.metric
    async def shaped(self, trace: vf.Trace) -> float:
        """Part of the way."""
        return trace.state.shaped

    async def validate(self, runtime: vf.Runtime) -> bool:
        """Carry out the gold: is it paid?"""
        world, task = await asyncio.to_thread(find, Address.of(self.data.address))
        return gold_attempt(world, task).reward == 1.0


class WorldConfig(vf.TasksetConfig):
    """Where tasks come from."""

    store: str = ""
    """Folder of a store; empty: worlds are grown from seeds, which takes a second or more each."""
    split: str = "all"
    """'train', 'eval' or 'all'."""
    first_seed: int = 0
    profile: str = "default"
    tasks_per_world: int = 10
    task: WorldTaskConfig = WorldTaskConfig()


class WorldTaskset(vf.Taskset[WorldTask, WorldConfig]):
    """Tasks without end, unless they come from a store."""

    INFINITE = True

    def __init__(self, config: WorldConfig) -> None:
        super().__init__(config)
        self.INFINITE = not config.store

    def load(self) -> Iterator[WorldTask]:
        """Every task, in order.

        Raises:
            BadRequest: no such split, or the store has no task in it.
            StoreError: there is no such store, or it is damaged.
        """
        asked = self.config
        supply = Supply(
            store=asked.store, split=asked.split, first=asked.first_seed, profile=asked.profile,
            n=asked.tasks_per_world,
        )  # fmt: skip
        for world, task, address in supply.stream():
            yield WorldTask(data_of(world, task, address), asked.task)


def data_of(world: World, task: Task, address: Address) -> WorldData:
    """A task as verifiers carries it."""
    system, user = prompt(world, Episode(world, task).reset())
    return WorldData(
        id=task.id, name=task.id, prompt=user["content"], system_prompt=system["content"], address=address.columns(),
        family=task.family, scenario=task.scenario,
    )  # fmt: skip
