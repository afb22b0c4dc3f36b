"""How adapters find a task: addresses, which any process resolves, and worlds that are kept ready.

A trainer's rows hold an `Address` as plain columns.  Whoever gets a row finds the world in its store, or grows it again from its
seed where there is no store, and keeps the worlds that were used last.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import asdict, replace

from worlddb.errors import BadRequest, UnknownName
from worlddb.heldout import SIDES, Scope
from worlddb.schema.model import Schema
from worlddb.store import Store, StoreRecipe, open_store
from worlddb.suites import held_out
from worlddb.tasks.model import Task
from worlddb.tasks.plan import Find
from worlddb.world.model import World

WORLDS = 64
"""Worlds kept ready in a process; one is some megabytes with its tools and its connection."""
STORES = 8
"""Stores kept open in a process."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a task is found: in a store, or, where `store` is empty, by making its world and its tasks again.

    Plain values, so that it goes through Parquet, JSON and pickles.
    """

    world: str
    """'hotel-42'."""
    task: str
    """'hotel-42/3'."""
    seed: int
    profile: str = "default"
    store: str = ""
    """Folder of the store; a path that every process which resolves it can read."""
    domain: str = ""
    """The domain, where the caller or a suite chose it; empty: drawn from the seed."""
    n: int = 10
    """Tasks that the world was asked for: with `task_profile` and `scope` they make the same tasks again."""
    task_profile: str = "default"
    scope: str = ""
    """What the tasks might use, as JSON (`worlddb.heldout.Scope`); empty: everything."""

    def columns(self) -> dict[str, Any]:
        """The address as a row's columns."""
        return asdict(self)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Address:
        """The address in a row; other columns are passed over, and a column that is None counts as not given.

        Raises:
            BadRequest: the row lacks a world or a task, or what it has is none.
        """
        given = {k: _plain(row[k]) for k in cls.__struct_fields__ if row.get(k) is not None}
        if "world" not in given or "task" not in given:
            raise BadRequest(
                f"a row needs the columns world and task; this one has {', '.join(map(str, row)) or 'none'}"
            )
        given.setdefault("seed", seed_of(str(given["world"])))
        try:
            return msgspec.convert(given, cls, strict=False)
        except msgspec.ValidationError as error:
            raise BadRequest(f"a row's address is not sound: {error}") from None


def _plain(value: Any) -> Any:
    """A value of Python's for one of NumPy's, which some readers of tables make."""
    return value.item() if hasattr(value, "item") else value


def seed_of(world: str) -> int:
    """The seed in the id of a world.

    Raises:
        UnknownName: that is no such id.
    """
    seed = world.rpartition("-")[2]
    if not (seed.isascii() and seed.isdecimal()):
        raise UnknownName("world", world, ())
    return int(seed)


# --- from an address to a task


class _Kept:
    """The values of the last keys that were asked for.  Threads that want one key wait for one making of it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._made: OrderedDict[Any, Any] = OrderedDict()
        self._making: dict[Any, threading.Lock] = {}

    def get(self, key: Any, make: Callable[[], Any]) -> Any:
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
            turn = self._making.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                if key in self._made:
                    return self._made[key]
            try:
                value = make()
            finally:
                with self._lock:
                    self._making.pop(key, None)
            with self._lock:
                self._made[key] = value
                while len(self._made) > self.most:
                    self._made.popitem(last=False)
        return value

    def clear(self) -> None:
        with self._lock:
            self._made.clear()


_worlds, _stores = _Kept(WORLDS), _Kept(STORES)
_reading = threading.Lock()
"""Stores read through connections that are not to be used by two threads at once."""


def locate(
    world: str, task: str, store: str | None = None, profile: str = "default", **more: Any
) -> tuple[World, Task]:
    """A world and one of its tasks, by their ids; `more` are further fields of an `Address`.

    Thread-safe.  The worlds used last stay at hand, so the tasks of a world share it, and with it its connection.

    Raises:
        UnknownName: there is no such world or task.
        StoreError: there is no store in that folder, or it is damaged.
    """
    return find(Address.of({"world": world, "task": task, "store": store, "profile": profile, **more}))


def find(address: Address) -> tuple[World, Task]:
    """The world and the task of an address; see `locate`."""
    world: World = _worlds.get(replace(address, task=""), lambda: _world(address))
    return world, world.task(address.task)


def forget() -> None:
    """Let go of all worlds and stores that are kept ready."""
    _worlds.clear()
    _stores.clear()


def _world(address: Address) -> World:
    if address.store:
        store: Store = _stores.get(address.store, lambda: open_store(address.store))
        with _reading:
            world = store[address.world]
    else:
        world = _again(address)
    _ = world.tasks, world.toolset()  # made here, once, and not by every thread that wants them
    return world


def _again(address: Address) -> World:
    from worlddb.gate import tasks_of
    from worlddb.world.generate import generate

    if "@" in address.domain:
        raise BadRequest(f"{address.world} was grown from a domain file; keep its store, and name it in the row")
    world = generate(address.seed, address.profile, domain=address.domain)
    if world.id != address.world:
        raise UnknownName("world", address.world, [world.id])
    scope = msgspec.json.decode(address.scope, type=Scope) if address.scope else None
    tasks = tasks_of(world, address.n, address.task_profile, scope=scope).tasks
    world.hold_tasks(lambda: tasks)
    return world


# --- from a store to addresses


def address_of(recipe: StoreRecipe, world: World, task: Task, store: str = "") -> Address:
    """The address of a task of a store; without `store` it is made again wherever it is resolved."""
    scope = msgspec.json.encode(recipe.scope).decode() if recipe.scope is not None else ""
    return Address(
        world=task.world, task=task.id, seed=world.recipe.seed, profile=world.recipe.profile, store=store,
        domain=world.recipe.domain, n=recipe.tasks, task_profile=recipe.task_profile, scope=scope,
    )  # fmt: skip


def tasks_in(path: str | Path, split: str = "all") -> Iterator[tuple[World, Task, Address]]:
    """Every task of a store that belongs to a split ('train', 'eval', 'all'), with its world and its address, in order.

    A stream: one world is held at a time.

    Raises:
        BadRequest: there is no such split.
        StoreError: there is no store at `path`, or it is damaged.
    """
    check_split(split)
    store, home = open_store(path), str(Path(path).absolute())
    for entry in store.entries():
        chosen = [t for t in entry.tasks if in_split(t, entry.schema, split)]
        if not chosen:
            continue
        world = entry.world()
        for task in chosen:
            yield world, task, address_of(store.recipe, world, task, home)


def check_split(split: str) -> None:
    """Raise BadRequest for what is no split."""
    if split not in (*SIDES, "all"):
        raise BadRequest(f"there is no split '{split}'; choose {', '.join(SIDES)} or all")


def in_split(task: Task, schema: Schema, split: str) -> bool:
    """Does a task belong to a split?  'train' keeps away from all that is held out, 'eval' has held-out structures only.

    The same line that the suites draw (seeds/suites/held-out.yaml), so all tasks of the suite 'train' are in the split 'train'.
    """
    if split == "all":
        return True
    scope = replace(held_out(), side=split)
    tables = {n.table for n in task.plan.nodes if isinstance(n, Find)} | {
        d.tool.partition(".")[0] for d in task.plan.dos
    }
    keys = {c.tool for c in task.gold} | {d.tool for d in task.plan.dos}
    return (
        scope.structure(task.card.structure)
        and all(scope.table(schema[t]) for t in tables)
        and all(scope.tool_key(k) for k in keys)
    )
