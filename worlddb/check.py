"""Check: is every world of a store what it was when it was grown, does every rule hold in it, and every gold earn its reward?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from worlddb.check_tasks import Tally, TaskReport, check_tasks
from worlddb.codecs import read_codecs
from worlddb.errors import BadRequest, StoreError
from worlddb.parallel import crew, each
from worlddb.request import task_version
from worlddb.shards import Entry, read_shard, shard_path
from worlddb.spawner import Places, Progress
from worlddb.store import StoreRecipe, open_store
from worlddb.world.model import World


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong."""

    where: str
    """The id of a world or task, 'shard 00003', 'catalog' or 'store'."""
    what: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found."""

    path: str
    worlds: int
    """Worlds that the store is to hold."""
    sound: int
    """Worlds without a fault."""
    regrown: bool
    """True where each world was grown again from its recipe, with its tasks, and compared."""
    tasks: TaskReport
    faults: tuple[Fault, ...]

    @property
    def ok(self) -> bool:
        """True where nothing is wrong."""
        return not self.faults


def check_store(
    path: str | Path,
    *,
    regrow: bool = False,
    pools: Path | None = None,
    domain: str = "",
    workers: int | None = None,
    backend: str = "process",
    address: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check every world: digest, integrity, foreign keys, rules; every task: the gold's reward is 1 and that of doing nothing
    0, and in a store of a suite it uses nothing that the suite holds out; and that the catalogue agrees.

    With `regrow`, each world and its tasks are also made again from the recipe and compared byte by byte, with the `pools`
    and the `domain` file that the store was grown with, where they were not worlddb's own.  Damage is reported, not raised,
    and does not keep the other worlds from being checked.

    `workers`, `backend` and `address` say who does it, as for `spawn`.

    Raises:
        StoreError: `path` holds no store, or one of a newer format, or its store.json or dictionaries are damaged.
    """
    hands, store = crew(workers, backend, address), open_store(path)
    read_codecs(store.path, store.recipe)
    places = Places(store.path, pools, domain).for_crew(hands)
    jobs = (Job(store.recipe, number, regrow, places) for number in store.shards)
    faults, done, unsound, tally = list(_check_version(store.recipe) if regrow else ()), 0, 0, Tally.empty()
    all_found = each(check_shard, jobs, hands.for_jobs(len(store.shards)))
    for number, found in zip(store.shards, all_found, strict=True):
        faults += found.faults
        unsound += found.unsound
        tally.add(found.tally)
        done += len(store.recipe.positions(number))
        if progress:
            progress(done, len(store))
    if not store.finished:
        faults.append(Fault("store", f"unfinished, {len(store)} of {store.recipe.n} worlds; complete it with --resume"))
    if not any(
        f.where.startswith("shard") for f in faults
    ):  # what a damaged shard says is no measure for the catalogue
        faults += _check_catalog(store.path)
    faulty = len({f.where for f in faults if "/" in f.where})
    return Report(
        path=str(path), worlds=store.recipe.n, sound=len(store) - unsound, regrown=regrow,
        tasks=tally.report(store.recipe.tasks, faulty), faults=tuple(faults),
    )  # fmt: skip


class Job(NamedTuple):
    """One shard to check."""

    recipe: StoreRecipe
    number: int
    regrow: bool
    places: Places


class Found(NamedTuple):
    """What was found in one shard."""

    unsound: int
    faults: list[Fault]
    tally: Tally


def check_shard(job: Job) -> Found:
    """Check the worlds of one shard."""
    home, positions = job.places.home, job.recipe.positions(job.number)
    faults: list[Fault] = []
    seen: set[int] = set()
    bad, tally = 0, Tally.empty()
    try:
        for entry in read_shard(shard_path(home, job.number), read_codecs(home, job.recipe)):
            seen.add(entry.position)
            found = [Fault(entry.id, what) for what in _check_entry(entry, job)]
            bad += bool(found)
            faults += found or _check_tasks(entry, job, tally)
    except StoreError as error:
        faults.append(Fault(f"shard {job.number:05d}", str(error)))
    else:
        if seen != set(positions):
            faults.append(Fault(f"shard {job.number:05d}", f"{len(seen)} worlds instead of {len(positions)}"))
    return Found(bad + len(set(positions) - seen), faults, tally)


def _check_tasks(entry: Entry, job: Job, tally: Tally) -> list[Fault]:
    try:
        tally.note(entry, job.recipe.tasks)
        found = check_tasks(entry, entry.world(), job.recipe, regrow=job.regrow)
        return [Fault(where, what) for where, what in found]
    except StoreError as error:
        return [Fault(entry.id, str(error))]


def _check_entry(entry: Entry, job: Job) -> list[str]:
    from worlddb.world.generate import check

    try:
        world = entry.world()
    except StoreError as error:
        return [str(error)]
    faults = []
    if world.digest != entry.digest:
        faults.append(f"the image's digest is {world.digest[:16]}…, it was {entry.digest[:16]}…")
    if world.recipe != job.recipe.world(entry.position):
        faults.append(f"its recipe is {world.recipe}, the store's is {job.recipe.world(entry.position)}")
    if world.id != entry.id:
        faults.append(f"its schema makes it '{world.id}'")
    if job.recipe.scope and not job.recipe.scope.domain(world.schema.domain):
        faults.append(f"its domain '{world.schema.domain}' is held out from the suite '{job.recipe.suite}'")
    faults += check(world)
    if job.regrow:
        faults += _regrow(world, job.places)
    return faults


def _regrow(world: World, places: Places) -> list[str]:
    from worlddb.world.generate import generate

    recipe = world.recipe
    try:
        again = generate(recipe.seed, recipe.profile, domain=places.domain or recipe.domain, pools=places.pools)
    except BadRequest as error:
        return [str(error)]
    if again.recipe != recipe:
        return [f"this worlddb grows it by another recipe: {again.recipe}"]
    return [] if again.digest == world.digest else [f"grown again, its digest is {again.digest[:16]}…"]


def _check_version(recipe: StoreRecipe) -> Iterator[Fault]:
    if recipe.tasks and recipe.task_version != task_version():
        here = f"this worlddb makes tasks of version {task_version()}, not {recipe.task_version}"
        yield Fault("store", f"{here}; tasks were not made again, use the worlddb that made them")


def _check_catalog(home: Path) -> list[Fault]:
    from worlddb.catalog import differences

    try:
        found = differences(open_store(home))
    except StoreError as error:
        return [Fault("catalog", str(error))]
    cure = f"remove catalog.sqlite, and 'worlddb spawn --resume --out {home}' makes it again"
    return [Fault("catalog", f"it differs from the shards ({'; '.join(found)}); {cure}")] if found else []
