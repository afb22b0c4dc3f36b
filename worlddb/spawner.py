"""Spawn: from a seed to a store of worlds and tasks."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from worlddb.codecs import DICTIONARIES, Codecs, read_codecs
from worlddb.errors import BadRequest, BrokenPromise, StoreError
from worlddb.files import claimed, short_digest, unwritable, write_first, write_whole
from worlddb.heldout import Scope
from worlddb.library import generator
from worlddb.parallel import Crew, crew, each
from worlddb.request import Request, plan, shipped_dictionaries, task_version
from worlddb.shards import DomainNote, Grown, count_worlds, damaged, shard_numbers, shard_path, task_number, write_shard
from worlddb.store import Store, StoreRecipe, open_store, read_recipe

if TYPE_CHECKING:
    from worlddb.gate import Batch
    from worlddb.tasks.model import Task
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
    backend: str = "process",
    address: str | None = None,
    part: tuple[int, int] | None = None,
    recipe_only: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> Store:
    """Grow n worlds with their tasks into a new store in the folder `out`; world i has seed `seed + i`.

    The same arguments give the same worlds and tasks whoever grows them.  A run that was killed is completed by `resume=True`,
    which takes what is not given from the store itself; on a finished store it changes nothing.

    Several processes, on machines that share the folder, can grow a store together: each is given the same arguments and
    another `part`.  A part that was killed is completed by the same call.  Whoever finishes last makes the catalogue.

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
        backend: 'process', or 'ray' for a Ray cluster whose machines all see `out`.
        address: of a Ray cluster that is there; if not given, Ray starts one on this machine.
        part: (i, k) to grow only the i-th of k parts, counted from 0, and to leave the others to others.
        recipe_only: lay the store out and grow nothing; `world_at` grows single worlds of it, `resume` or parts all of them.
        resume: complete the store that `out` holds, if it holds one.
        progress: called after each shard.

    Raises:
        UnknownName: no such profile, task profile, suite or domain.
        BadRequest: n or workers below 1, tasks below 0, no such part, or arguments that do not go together.
        StoreError: `out` holds something else, cannot be written, or the disk is full; nothing finished is lost.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as out:
    ...     store = spawn(out, 2, seed=7, profile="tiny", tasks=0, workers=1)
    ...     [world.recipe.seed for world in store]
    [7, 8]
    """
    from worlddb.semantics.pools import load_pools

    home, hands = Path(out), crew(workers, backend, address)
    asked = Request(n, seed, profile, suite, domain, tasks, task_profile)
    recipe = _settled(home, asked, load_pools(pools).digest[:16], resume or part is not None)
    mine = _numbers(recipe, part)[: 0 if recipe_only else None]
    with _claimed(home, recipe, alone=part is None):
        codecs = _begin(home, recipe, alone=part is None)
        there = _sound_shards(home, recipe, mine)
        places = Places(home, pools, domain or "").for_crew(hands)
        jobs = (Job(recipe, number, places) for number in mine if number not in there)
        grown = each(grow_shard, jobs, hands.for_jobs(len(mine) - len(there)))
        if recipe_only:
            return open_store(home)
        if part is None:
            _gather(home, recipe, codecs, there, grown, progress or _silent)
        else:
            _count(recipe, mine, there, grown, progress or _silent)
    if part is not None:
        _join(home, recipe, codecs)
    return open_store(home)


def _numbers(recipe: StoreRecipe, part: tuple[int, int] | None) -> range:
    """The numbers of the shards to grow; those of a part are spread evenly, as neighbours may take alike long."""
    if part is None:
        return range(recipe.shards)
    i, k = part
    if not 0 <= i < k:
        raise BadRequest(f"there is no part {i}/{k}; parts are counted from 0, so of 3 parts they are 0/3, 1/3 and 2/3")
    return range(i, recipe.shards, k)


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
    home: Path, recipe: StoreRecipe, codecs: Codecs, there: set[int], grown: Iterable[int], progress: Progress
) -> None:
    """Catalogue the shards that are there, then each one as it is grown."""
    from worlddb.catalog import Writer

    with closing(Writer(home, codecs)) as catalog:
        for number in sorted(catalog.shards - there):
            catalog.forget(number, recipe.positions(number))
        done = 0
        for source in (sorted(there), grown):
            for number in source:
                _await(shard_path(home, number))
                catalog.add(number)
                done += len(recipe.positions(number))
                progress(done, recipe.n)


def _count(recipe: StoreRecipe, mine: range, there: set[int], grown: Iterable[int], progress: Progress) -> None:
    """Tell how far a part is."""
    done, total = (sum(len(recipe.positions(k)) for k in numbers) for numbers in (there, mine))
    progress(done, total)
    for number in grown:
        done += len(recipe.positions(number))
        progress(done, total)


def _join(home: Path, recipe: StoreRecipe, codecs: Codecs) -> None:
    """Make the catalogue of a store that was grown in parts, if this was the last one to finish."""
    if len(shard_numbers(home, recipe.shards)) < recipe.shards:
        return
    with claimed(home, alone=True) as here, claimed(home / "store.json", alone=True) as everywhere:
        if here and everywhere:  # or another part is about to do so
            _begin(home, recipe, alone=True)
            _gather(home, recipe, codecs, _sound_shards(home, recipe, range(recipe.shards)), (), _silent)


def _await(path: Path, patience: float = 60) -> None:
    """Wait for a file of another machine, which a network's file system shows with some delay."""
    deadline = time.monotonic() + patience
    while not path.exists():
        if time.monotonic() > deadline:
            raise StoreError(
                f"{path} was written by a worker and cannot be seen here; give a folder that all machines share"
            )
        time.sleep(0.2)


# --- what a worker does


class Places(NamedTuple):
    """Where a worker finds a store and what it was grown with."""

    home: Path
    pools: Path | None
    domain: str
    """A name or a file; empty: as the recipe says."""

    def for_crew(self, hands: Crew) -> Places:
        """The same for workers that may have working directories of their own."""
        from worlddb.schema.domains import is_file

        if not hands.elsewhere:
            return self
        domain = str(Path(self.domain).absolute()) if is_file(self.domain) else self.domain
        return Places(self.home.absolute(), self.pools and self.pools.absolute(), domain)


class Job(NamedTuple):
    """One shard to grow."""

    recipe: StoreRecipe
    number: int
    places: Places


def grow_shard(job: Job) -> int:
    """Grow the worlds of one shard with their tasks and write it; returns its number."""
    _require_same_worlddb(job.recipe)
    home, pools, domain = job.places
    worlds, notes = [], {}
    for position in job.recipe.positions(job.number):
        world = _grown(job.recipe, position, pools, domain)
        worlds.append(Grown(position, world, make_tasks(world, job.recipe)))
        schema = world.schema
        notes[schema.domain] = DomainNote(schema.domain, schema.group, schema.title, schema.summary)
    write_shard(shard_path(home, job.number), worlds, notes, _codecs(home, job.recipe), layout=job.recipe.format)
    return job.number


def world_at(recipe: StoreRecipe, position: int, *, pools: Path | None = None, domain: str = "") -> World:
    """The world at a position with its tasks, grown from a store's recipe alone: what the finished store has there.

    Its tasks are made when they are first asked for.  `pools` and `domain` are those of the store, where they are files.

    Raises:
        IndexError: the store is to have no world at that position.
        StoreError: this is not the worlddb that the recipe was made by.
    """
    if not 0 <= position < recipe.n:
        raise IndexError(f"position {position} is not in 0 to {recipe.n - 1}")
    _require_same_worlddb(recipe)
    world = _grown(recipe, position, pools, domain)

    def tasks() -> tuple[Task, ...]:
        batch = make_tasks(world, recipe)
        return tuple(batch.tasks) if batch else ()

    world.hold_tasks(tasks)
    return world


def _grown(recipe: StoreRecipe, position: int, pools: Path | None, domain: str) -> World:
    from worlddb.world.generate import generate

    wanted = recipe.world(position)
    world = generate(wanted.seed, wanted.profile, domain=domain or wanted.domain, pools=pools)
    if world.recipe != wanted:
        raise BrokenPromise(f"world {position} has the recipe {world.recipe}, not {wanted}")
    return world


@cache
def _require_same_worlddb(recipe: StoreRecipe) -> None:
    """Refuse to work on a machine that has another worlddb than the one that planned the store."""
    wanted, here = (recipe.generator, recipe.task_version), (generator(), task_version() if recipe.tasks else "")
    if wanted != here:
        versions = " and ".join(f"{a} instead of {b}" for a, b in zip(here, wanted, strict=True) if a != b)
        raise StoreError(
            f"the worlddb of {platform.node()} has version {versions}; install the same one on all machines"
        )


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
def _claimed(home: Path, recipe: StoreRecipe, *, alone: bool) -> Iterator[None]:
    """Make the folder with its store.json, and keep other spawns out of it while this one writes, but for other parts of it."""
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(home, error.strerror or str(error)) from None
    with ExitStack() as claims:

        def claim(place: Path) -> None:
            if not claims.enter_context(claimed(place, alone=alone)):
                raise StoreError(f"another spawn is writing {home}; wait for it, or choose another --out")

        claim(home)
        _found(home, recipe)
        claim(home / "store.json")  # other machines may see this claim alone
        yield


def _found(home: Path, recipe: StoreRecipe) -> None:
    """Write store.json, if the folder is empty; several parts may do so at once."""
    file = home / "store.json"
    others = [] if file.exists() else sorted(p.name for p in home.iterdir() if not p.name.startswith("."))
    if others and not file.exists():
        raise StoreError(f"{home} holds something else ('{others[0]}'); choose an empty or a new folder as --out")
    if not file.exists():
        write_first(file, msgspec.json.format(msgspec.json.encode(recipe), indent=2) + b"\n")
    _admit(home, read_recipe(home), recipe, resume=True)


def _begin(home: Path, recipe: StoreRecipe, *, alone: bool) -> Codecs:
    """Lay out a new store; alone, clear what a kill left of an old one."""
    shards = home / "shards"
    for name, data, _ in zip(DICTIONARIES, shipped_dictionaries(), recipe.dictionaries, strict=False):
        if not (home / name).exists():
            write_whole(home / name, data)
    try:
        shards.mkdir(exist_ok=True)
        for leftover in (p for place in (home, shards) for p in place.glob(".*.partial") if alone):
            leftover.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(shards, error.strerror or str(error)) from None
    return read_codecs(home, recipe)


def _sound_shards(home: Path, recipe: StoreRecipe, numbers: range) -> set[int]:
    """Which shards of these numbers are there; each must be whole."""
    found = {number for number in shard_numbers(home, recipe.shards) if number in numbers}
    for number in sorted(found):
        path = shard_path(home, number)
        wanted, there = len(recipe.positions(number)), count_worlds(path)
        if there != wanted:
            raise damaged(path, f"{there} worlds instead of {wanted}")
    return found
