"""Spawn: from a seed to a store of worlds and tasks."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from worlddb.codecs import DICTIONARIES, Codecs, read_codecs
from worlddb.errors import BrokenPromise, StoreError
from worlddb.files import short_digest, unwritable, write_whole
from worlddb.heldout import Scope
from worlddb.parallel import each, worker_count
from worlddb.request import Request, plan, shipped_dictionaries
from worlddb.shards import DomainNote, Grown, count_worlds, damaged, shard_path, task_number, write_shard
from worlddb.store import Store, StoreRecipe, open_store, read_recipe

if TYPE_CHECKING:
    from worlddb.gate import Batch
    from worlddb.world.model import World

Progress = Callable[[int, int], None]
"""Called with the worlds that are done and the worlds in all."""


def spawn(
    out: str | Path = "data/out",
    n: int | None = None,
    *,
    seed: int | None = None,
    profile: str | None = None,
    suite: str | None = None,
    domain: str | None = None,
    tasks: int | None = None,
    task_profile: str | None = None,
    pools: Path | None = None,
    workers: int | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Store:
    """Grow n worlds with their tasks into a new store in the folder `out`; world i has seed `seed + i`.

    The same arguments give the same worlds and tasks whatever `workers` is.  A run that was killed is completed by `resume=True`,
    which takes what is not given from the store itself; on a finished store it changes nothing.

    Args:
        out: a folder that is empty or does not exist yet.
        n: how many worlds; may be left out with `suite` (its own number) and with `resume`.
        seed: of the first world, 0 if not given; with `suite`, one of the suite's seeds, by default its first.
        profile: size of the worlds, 'default' if not given; not with `suite`.
        suite: 'train', 'eval' or 'smoke', which bring seeds and a mix of profiles.
        domain: grow this domain only: a name, or a domain file of your own (.yaml).
        tasks: how many for each world, 10 if not given; 0 for none.
        task_profile: how hard they are: 'easy', 'default' (if not given), 'hard', 'nestful' or 'randomworld'.
        pools: folder of value pools to use instead of the shipped ones.
        workers: processes, None for one per core; with more than one, a script needs `if __name__ == "__main__":`.
        resume: complete the store that `out` holds, if it holds one.
        progress: called after each shard.

    Raises:
        UnknownName: no such profile, task profile, suite or domain.
        BadRequest: n or workers below 1, tasks below 0, or arguments that do not go together.
        StoreError: `out` holds something else, cannot be written, or the disk is full; nothing finished is lost.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as out:
    ...     store = spawn(out, 2, seed=7, profile="tiny", tasks=0, workers=1)
    ...     [world.recipe.seed for world in store]
    [7, 8]
    """
    from worlddb.semantics.pools import load_pools

    home, processes = Path(out), worker_count(workers)
    asked = Request(n, seed, profile, suite, domain, tasks, task_profile)
    recipe = _settled(home, asked, load_pools(pools).digest[:16], resume)
    with _claimed(home):
        codecs = _begin(home, recipe)
        there = _sound_shards(home, recipe)
        jobs = [Job(home, recipe, k, pools, domain or "") for k in range(recipe.shards) if k not in there]
        grown = each(grow_shard, jobs, min(processes, max(1, len(jobs))))
        _gather(home, recipe, codecs, there, grown, progress or _silent)
    return open_store(home)


def _settled(home: Path, asked: Request, pools: str, resume: bool) -> StoreRecipe:
    """The recipe that a request comes to, beside the store that the folder may hold already; `pools` is their digest."""
    there = read_recipe(home) if (home / "store.json").exists() else None
    recipe = plan(asked.filled_from(there) if resume and there else asked, pools, there)
    if there:
        _admit(home, there, recipe, resume)
    return recipe


def _silent(done: int, total: int) -> None:
    """The progress of those who do not ask."""


def _gather(
    home: Path, recipe: StoreRecipe, codecs: Codecs, there: list[int], grown: Iterator[int], progress: Progress
) -> None:
    """Catalogue the shards that are there, then each one as it is grown."""
    from worlddb.catalog import Writer

    with closing(Writer(home, codecs)) as catalog:
        for number in sorted(catalog.shards - set(there)):
            catalog.forget(number, recipe.positions(number))
        done = 0
        for source in (iter(there), grown):
            for number in source:
                catalog.add(number)
                done += len(recipe.positions(number))
                progress(done, recipe.n)


# --- what a worker does


class Job(NamedTuple):
    """One shard to grow."""

    home: Path
    recipe: StoreRecipe
    number: int
    pools: Path | None
    domain: str
    """A name or a file; empty: as the recipe says."""


def grow_shard(job: Job) -> int:
    """Grow the worlds of one shard with their tasks and write it; returns its number."""
    from worlddb.world.generate import generate

    worlds, notes = [], {}
    for position in job.recipe.positions(job.number):
        wanted = job.recipe.world(position)
        world = generate(wanted.seed, wanted.profile, domain=job.domain or wanted.domain, pools=job.pools)
        if world.recipe != wanted:
            raise BrokenPromise(f"world {position} has the recipe {world.recipe}, not {wanted}")
        worlds.append(Grown(position, world, make_tasks(world, job.recipe)))
        schema = world.schema
        notes[schema.domain] = DomainNote(schema.domain, schema.group, schema.title, schema.summary)
    write_shard(
        shard_path(job.home, job.number), worlds, notes, _codecs(job.home, job.recipe), layout=job.recipe.format
    )
    return job.number


def make_tasks(world: World, recipe: StoreRecipe) -> Batch | None:
    """The tasks of a world, as the recipe of its store has them made; None where it asks for none."""
    if not recipe.tasks:
        return None
    from worlddb.gate import tasks_of

    batch = tasks_of(world, recipe.tasks, recipe.task_profile, scope=recipe.scope)
    numbers = sorted({task_number(task) for task in batch.tasks})
    if [task.id for task in batch.tasks] != [f"{world.id}/{number}" for number in numbers]:
        raise BrokenPromise(f"the tasks of {world.id} have the ids {', '.join(t.id for t in batch.tasks)}")
    return batch


@cache
def _codecs(home: Path, recipe: StoreRecipe) -> Codecs:
    return read_codecs(home, recipe)


# --- the folder


def _admit(home: Path, there: StoreRecipe, asked: StoreRecipe, resume: bool) -> None:
    """Refuse a folder whose store is not the one to complete."""
    fields = [f for f in StoreRecipe.__struct_fields__ if getattr(there, f) != getattr(asked, f)]
    if fields:
        parts = "; ".join(f"{f} is {_shown(getattr(there, f))} there, {_shown(getattr(asked, f))} here" for f in fields)
        cure = "choose another --out, or ask for the same"
        if set(fields) <= {"generator", "pools", "task_version", "scope", "domains"}:
            cure = "complete it with the worlddb and pools that began it, or choose another --out"
        raise StoreError(f"{home} holds a store of another recipe ({parts}); {cure}")
    if not resume:
        store = Store(home, there)
        if store.finished:
            raise StoreError(f"{home} holds this store already, all {there.n} worlds; use it, or choose another --out")
        raise StoreError(
            f"{home} holds {len(store)} of the {there.n} worlds of this store; add --resume to complete it"
        )


def _shown(value: object) -> str:
    if isinstance(value, Scope) or (isinstance(value, tuple) and value and isinstance(value[0], tuple)):
        return short_digest(msgspec.json.encode(value))
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value) or "none"


@contextmanager
def _claimed(home: Path) -> Iterator[None]:
    """Make the folder and keep other spawns out of it while this one writes."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        handle = os.open(home, os.O_RDONLY)
    except OSError as error:
        raise unwritable(home, error.strerror or str(error)) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise StoreError(f"another spawn is writing {home}; wait for it, or choose another --out") from None
    finally:
        os.close(handle)


def _begin(home: Path, recipe: StoreRecipe) -> Codecs:
    """Lay out a new store, or clear what a kill left of an old one."""
    shards = home / "shards"
    if not (home / "store.json").exists():
        others = sorted(p.name for p in home.iterdir() if not p.name.startswith("."))
        if others:
            raise StoreError(f"{home} holds something else ('{others[0]}'); choose an empty or a new folder as --out")
        write_whole(home / "store.json", msgspec.json.format(msgspec.json.encode(recipe), indent=2) + b"\n")
    for name, data, _ in zip(DICTIONARIES, shipped_dictionaries(), recipe.dictionaries, strict=False):
        if not (home / name).exists():
            write_whole(home / name, data)
    try:
        shards.mkdir(exist_ok=True)
        for place in (home, shards):
            for leftover in place.glob(".*.partial"):
                leftover.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(shards, error.strerror or str(error)) from None
    return read_codecs(home, recipe)


def _sound_shards(home: Path, recipe: StoreRecipe) -> list[int]:
    """Numbers of the shards that are there; each must be whole."""
    found = []
    for number in range(recipe.shards):
        path = shard_path(home, number)
        if path.exists():
            wanted, there = len(recipe.positions(number)), count_worlds(path)
            if there != wanted:
                raise damaged(path, f"{there} worlds instead of {wanted}")
            found.append(number)
    return found
