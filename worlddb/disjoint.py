"""Proof that stores have nothing in common: no world, and no structure of a task."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import msgspec

from worlddb.heldout import Scope
from worlddb.store import open_store


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """How much a store has to share."""

    path: str
    suite: str
    worlds: int
    tasks: int
    structures: int
    """Different structures of tasks."""
    domains: int


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """What two stores share."""

    one: str
    other: str
    worlds: int
    """Equal images."""
    structures: int
    instructions: int
    """Tasks that are asked in the same words."""
    domains: int
    faults: tuple[str, ...]


class Disjoint(msgspec.Struct, frozen=True, kw_only=True):
    """Whether some stores have nothing in common that they may not have."""

    stores: tuple[Content, ...]
    pairs: tuple[Pair, ...]

    @property
    def ok(self) -> bool:
        """True where no pair has a fault."""
        return not any(pair.faults for pair in self.pairs)


class _Side(msgspec.Struct, frozen=True):
    """What of a store is compared."""

    path: str
    scope: Scope
    worlds: frozenset[str]
    structures: frozenset[str]
    instructions: frozenset[str]
    domains: frozenset[str]


def check_disjoint(paths: Sequence[str | Path]) -> Disjoint:
    """Compare stores with one another, each with each.

    Two stores share no world.  They share no structure either, unless both are of one side (`train` and `smoke` are), which
    use the same structures by design.  Shared domains and instructions are counted, and no fault.

    Raises:
        StoreError: a path holds no store, or it is damaged.
    """
    sides, contents = [], []
    for path in paths:
        store = open_store(path)
        worlds = {entry.digest: entry.schema.domain for entry in store.entries()}
        tasks = [task for _, task in store.tasks()]
        side = _Side(
            str(path), store.recipe.scope or Scope(), frozenset(worlds), frozenset(t.card.structure for t in tasks),
            frozenset(t.instruction for t in tasks), frozenset(worlds.values()),
        )  # fmt: skip
        sides.append(side)
        contents.append(
            Content(
                path=side.path, suite=store.recipe.suite, worlds=len(worlds), tasks=len(tasks),
                structures=len(side.structures), domains=len(side.domains),
            )
        )  # fmt: skip
    return Disjoint(stores=tuple(contents), pairs=tuple(_compare(a, b) for a, b in combinations(sides, 2)))


def _compare(one: _Side, other: _Side) -> Pair:
    worlds, structures = one.worlds & other.worlds, one.structures & other.structures
    faults = []
    if worlds:
        faults.append(f"{len(worlds)} worlds are the same; grow one of the stores from other seeds")
    if structures and not one.scope.side == other.scope.side != "":
        faults.append(
            f"{len(structures)} structures are the same; spawn the stores with --suite train and --suite eval"
        )
    if one.scope.side and other.scope.side and _held(one.scope) != _held(other.scope):
        faults.append("they were spawned with different lists of what is held out; spawn one of them again")
    return Pair(
        one=one.path, other=other.path, worlds=len(worlds), structures=len(structures),
        instructions=len(one.instructions & other.instructions), domains=len(one.domains & other.domains),
        faults=tuple(faults),
    )  # fmt: skip


def _held(scope: Scope) -> Scope:
    return msgspec.structs.replace(scope, side="")
