"""What is played: the worlds of a store, or one world, and which attempts at their tasks are still wanted."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from worlddb.errors import BadRequest
from worlddb.runs.folder import Done
from worlddb.store import Store, find_world, open_store
from worlddb.tasks.model import Task
from worlddb.world.model import World

MADE = 10
"""Tasks that are made for a world, where none are stored and nothing else is said."""


class Field(NamedTuple):
    """Where tasks come from."""

    source: str
    """The folder of a store, or a world's id or seed."""
    stored: bool
    profile: str = "default"
    """Profile of the world, where it is grown by its name."""
    task_profile: str = ""
    """Tasks of this profile are made, in the place of those of the store; empty: those that there are."""
    a_world: int = MADE
    """Tasks that are made for each world, where they are made."""

    def world(self, position: int) -> World:
        """The world at a position of the store; the one world, where there is no store."""
        found = _store(self.source)[position] if self.stored else find_world(self.source, None, self.profile)
        return self.equipped(found)

    def equipped(self, world: World) -> World:
        """The world with the tasks that are played."""
        if self.task_profile:
            from worlddb.gate import tasks_of

            made = tasks_of(world, self.a_world, self.task_profile).tasks
            world.hold_tasks(lambda: made)
        return world


@lru_cache(1)
def _store(source: str) -> Store:
    """The store of a field, opened once in a process."""
    return open_store(source)


class Unit(NamedTuple):
    """One world of a run: what of it is still to be attempted."""

    field: Field
    position: int
    most: int
    """Its first so many tasks."""
    k: int
    done: dict[str, int]
    """Task -> bits of the runs that are there."""

    def wanted(self, world: World) -> Iterator[tuple[Task, int]]:
        """Tasks and runs that are not there yet."""
        for task in world.tasks[: self.most]:
            bits = self.done.get(task.id, 0)
            yield from ((task, run) for run in range(self.k) if not bits >> run & 1)


class Plan(NamedTuple):
    """A field as a run has it: the worlds with how many tasks of each."""

    field: Field
    digest: str
    task_profile: str
    """Of the tasks, as far as it is known."""
    worlds: tuple[tuple[int, str, int], ...]
    """Position, id, tasks."""

    @property
    def tasks(self) -> int:
        """Tasks in all."""
        return sum(n for _, _, n in self.worlds)

    def units(self, k: int, done: Done) -> Iterator[Unit]:
        """The worlds of which something is still wanted."""
        by_world = done.by_world()
        for position, name, most in self.worlds:
            there = by_world.get(name, {})
            if sum(bits.bit_count() for bits in there.values()) < most * k:
                yield Unit(self.field, position, most, k, there)


def plan(source: str, *, tasks: int | None = None, task_profile: str = "", profile: str = "default") -> Plan:
    """What a run over a store, or over one world, plays: all its tasks, or the first `tasks` of them.

    Raises:
        UnknownName: there is no such world or profile.
        BadRequest: there are no tasks.
        StoreError: the store is damaged.
    """
    if tasks is not None and tasks < 1:
        raise BadRequest(f"tasks is {tasks}; ask for 1 or more, or leave it out for all")
    if task_profile:
        from worlddb.tasks.shapes import task_profile as find_profile

        find_profile(task_profile)
    found = _of_store(source, task_profile, tasks) if (Path(source) / "store.json").exists() else None
    found = found or _of_world(source, task_profile, tasks, profile)
    if not found.tasks:
        raise BadRequest(f"{source} has no tasks; make some with --task-profile default, or spawn it with --tasks 10")
    return found


def _of_store(source: str, task_profile: str, tasks: int | None) -> Plan:
    store = open_store(source)
    field = Field(source, True, task_profile=task_profile, a_world=store.recipe.tasks or MADE)
    digest = sha256(msgspec.json.encode(store.recipe)).hexdigest()[:16]
    return Plan(field, digest, task_profile or store.recipe.task_profile, tuple(_worlds(store, field, tasks)))


def _worlds(store: Store, field: Field, tasks: int | None) -> Iterator[tuple[int, str, int]]:
    left = tasks
    for at, entry in enumerate(store.entries()):
        there = field.a_world if field.task_profile else len(entry.packed_tasks)
        most = there if left is None else min(there, left)
        if most:
            yield at, entry.id, most
        left = None if left is None else left - most
        if left == 0:
            return


def _of_world(source: str, task_profile: str, tasks: int | None, profile: str) -> Plan:
    field = Field(source, False, profile, task_profile, tasks or MADE)
    world = field.world(0)
    most = len(world.tasks) if tasks is None else min(tasks, len(world.tasks))
    return Plan(field, world.digest[:16], task_profile or "default", ((0, world.id, most),))
