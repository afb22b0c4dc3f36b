"""A supply of tasks for trainers that ask for one by number: the tasks of a store, or an endless supply from seeds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from itertools import count
from pathlib import Path

import msgspec
from msgspec.structs import replace

from worlddb.adapters.common import Address, check_split, find, in_split
from worlddb.errors import BadRequest
from worlddb.heldout import Scope
from worlddb.store import open_store
from worlddb.suites import held_out
from worlddb.tasks.model import Task
from worlddb.world.model import World

GROWN = 16
"""Worlds kept that were grown from a seed to learn which tasks they have."""
TRIED = 1000
"""Seeds in a row without a task, after which a supply gives up: its profile has none for that split."""


class Supply(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Where tasks come from.  With a `store`: its tasks in order.  Without: those of the worlds first, first + 1, and so on."""

    store: str = ""
    """Folder of a store; empty: worlds are grown from seeds."""
    split: str = "all"
    """'train', 'eval' or 'all'; see `worlddb.adapters.common.in_split`."""
    first: int = 0
    """The first seed.  This and what follows hold without a store only."""
    profile: str = "default"
    n: int = 10
    """Tasks that a world is asked for."""
    task_profile: str = "default"

    def __post_init__(self) -> None:
        check_split(self.split)
        if self.n < 1 or self.first < 0:
            raise BadRequest(f"a supply from seeds begins at 0 or above and takes 1 task of a world or more: {self}")

    @cached_property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses of a store's tasks, in order: some hundred bytes each.

        Raises:
            BadRequest: there is no store, or it has no task in that split.
            StoreError: the store is damaged.
        """
        if not self.store:
            raise BadRequest("a supply from seeds has no end, so it cannot be counted; name a store")
        store, home = open_store(self.store), str(Path(self.store).absolute())
        scope = msgspec.json.encode(store.recipe.scope).decode() if store.recipe.scope is not None else ""
        found = tuple(
            Address(
                world=entry.id, task=task.id, seed=entry.recipe.seed, profile=entry.recipe.profile, store=home,
                domain=entry.recipe.domain, n=store.recipe.tasks, task_profile=store.recipe.task_profile, scope=scope,
            )
            for entry in store.entries()
            for task in entry.tasks
            if in_split(task, entry.schema, self.split)
        )  # fmt: skip
        if not found:
            raise BadRequest(f"the store {self.store} has no task in the split '{self.split}'")
        return found

    def stream(self) -> Iterator[tuple[World, Task, Address]]:
        """Every task with its world and its address, in order; without a store this never ends."""
        if self.store:
            yield from ((*find(address), address) for address in self.addresses)
            return
        for seed in count(self.first):
            world, addresses = self._grown(seed)
            yield from ((world, world.task(a.task), a) for a in addresses)

    def drawn(self, number: int) -> tuple[World, Task, Address]:
        """The task of any number >= 0, the same each time: of a store number modulo its tasks, else of that seed's world."""
        if self.store:
            address = self.addresses[number % len(self.addresses)]
            return (*find(address), address)
        for seed in range(self.first + number, self.first + number + TRIED):
            world, addresses = self._grown(seed)
            if addresses:
                address = addresses[number % len(addresses)]
                return world, world.task(address.task), address
        raise BadRequest(f"no world of the seeds from {self.first + number} on has a task for {self}")

    def _grown(self, seed: int) -> tuple[World, tuple[Address, ...]]:
        return _grown(replace(self, first=0), seed)


@lru_cache(GROWN)
def _grown(supply: Supply, seed: int) -> tuple[World, tuple[Address, ...]]:
    """The world of a seed with its tasks, and their addresses."""
    from worlddb.gate import tasks_of
    from worlddb.world.generate import generate

    world = generate(seed, supply.profile)
    scope = replace(held_out(), side=supply.split) if supply.split != "all" else None
    tasks = tasks_of(world, supply.n, supply.task_profile, scope=scope).tasks
    if supply.split != "all":
        tasks = tuple(t for t in tasks if in_split(t, world.schema, supply.split))
    world.hold_tasks(lambda: tasks)
    spelt = msgspec.json.encode(scope).decode() if isinstance(scope, Scope) else ""
    addresses = tuple(
        Address(
            world=world.id, task=task.id, seed=seed, profile=supply.profile, n=supply.n,
            task_profile=supply.task_profile, scope=spelt,
        )
        for task in tasks
    )  # fmt: skip
    return world, addresses
