"""Spawn: from a seed to a store of worlds."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from worlddb.errors import BadRequest, BrokenFile, BrokenPromise, StoreError, UnknownName
from worlddb.library import folder, generator
from worlddb.parallel import each, worker_count
from worlddb.store import (
    DICTIONARIES,
    Codecs,
    DomainNote,
    Store,
    StoreRecipe,
    count_worlds,
    damaged,
    open_store,
    read_codecs,
    read_recipe,
    shard_path,
    short_digest,
    unwritable,
    write_shard,
    write_whole,
)

Progress = Callable[[int, int], None]
"""Called with the worlds that are done and the worlds in all."""

SHARD_WORLDS, SHARD_ROWS = 32, 32_000
"""A shard has at most so many worlds, and about so many rows: half a second of work, and little memory."""


def spawn(
    out: str | Path = "data/out",
    n: int | None = None,
    *,
    seed: int | None = None,
    profile: str | None = None,
    suite: str | None = None,
    domain: str | None = None,
    pools: Path | None = None,
    workers: int | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Store:
    """Grow n worlds into a new store in the folder `out`; world i has seed `seed + i`.

    The same arguments give the same images whatever `workers` is.  A run that was killed is completed by `resume=True`,
    which takes what is not given from the store itself; on a finished store it changes nothing.

    Args:
        out: a folder that is empty or does not exist yet.
        n: how many worlds; may be left out with `suite` (its own number) and with `resume`.
        seed: of the first world, 0 if not given; with `suite`, one of the suite's seeds, by default its first.
        profile: size of the worlds, 'default' if not given; not with `suite`.
        suite: 'train', 'eval' or 'smoke', which bring seeds and a mix of profiles.
        domain: grow this domain only: a name, or a domain file of your own (.yaml).
        pools: folder of value pools to use instead of the shipped ones.
        workers: processes, None for one per core; with more than one, a script needs `if __name__ == "__main__":`.
        resume: complete the store that `out` holds, if it holds one.
        progress: called after each shard.

    Raises:
        UnknownName: no such profile, suite or domain.
        BadRequest: n or workers below 1, or arguments that do not go together.
        StoreError: `out` holds something else, cannot be written, or the disk is full; nothing finished is lost.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as out:
    ...     store = spawn(out, 2, seed=7, profile="tiny", workers=1)
    ...     [world.recipe.seed for world in store]
    [7, 8]
    """
    from worlddb.semantics.pools import load_pools

    home, processes = Path(out), worker_count(workers)
    digest = load_pools(pools).digest[:16]
    there = read_recipe(home) if (home / "store.json").exists() else None
    asked = Request(n=n, seed=seed, profile=profile, suite=suite, domain=domain)
    recipe = plan(asked.filled_from(there) if resume and there else asked, digest, there)
    if there:
        _admit(home, there, recipe, resume)
    with _claimed(home):
        codecs = _begin(home, recipe)
        there_already = _sound_shards(home, recipe)
        jobs = [Job(home, recipe, k, pools, domain or "") for k in range(recipe.shards) if k not in there_already]
        grown = each(grow_shard, jobs, min(processes, max(1, len(jobs))))
        _gather(home, recipe, codecs, there_already, grown, progress or _silent)
    return open_store(home)


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
    """Grow the worlds of one shard and write it; returns its number."""
    from worlddb.world.generate import generate

    worlds, notes = [], {}
    for position in job.recipe.positions(job.number):
        wanted = job.recipe.world(position)
        world = generate(wanted.seed, wanted.profile, domain=job.domain or wanted.domain, pools=job.pools)
        if world.recipe != wanted:
            raise BrokenPromise(f"world {position} has the recipe {world.recipe}, not {wanted}")
        worlds.append((position, world))
        schema = world.schema
        notes[schema.domain] = DomainNote(schema.domain, schema.group, schema.title, schema.summary)
    write_shard(shard_path(job.home, job.number), worlds, notes, _codecs(job.home, job.recipe))
    return job.number


@cache
def _codecs(home: Path, recipe: StoreRecipe) -> Codecs:
    return read_codecs(home, recipe)


# --- what to grow


class Request(NamedTuple):
    """What the caller of `spawn` asked for; None where it did not say."""

    n: int | None = None
    seed: int | None = None
    profile: str | None = None
    suite: str | None = None
    domain: str | None = None

    def filled_from(self, there: StoreRecipe) -> Request:
        """The request with what was not said taken from a store."""
        same_kind = self.profile is None and self.suite is None
        return Request(
            n=there.n if self.n is None else self.n,
            seed=there.seed if self.seed is None else self.seed,
            profile=(there.profile or None) if same_kind else self.profile,
            suite=(there.suite or None) if same_kind else self.suite,
            domain=there.domain if self.domain is None else self.domain,
        )


class Suite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of seeds/suites: a range of seeds that no other suite has, and a mix of profiles."""

    summary: str
    first: Annotated[int, msgspec.Meta(ge=0)]
    """The first seed."""
    seeds: Annotated[int, msgspec.Meta(ge=1)]
    """How many seeds there are."""
    n: Annotated[int, msgspec.Meta(ge=1)]
    """Worlds, unless the caller says how many."""
    mix: dict[str, Annotated[int, msgspec.Meta(ge=1)]]
    """Profile -> its share: so many of every sum(shares) worlds in a row."""

    @property
    def profiles(self) -> tuple[str, ...]:
        """One round of the mix."""
        return tuple(name for name, share in self.mix.items() for _ in range(share))


@cache
def suites() -> dict[str, Suite]:
    """All suites by name.

    Raises:
        BrokenFile: a file of seeds/suites does not follow the format.
    """
    from worlddb.schema.domains import read_yaml

    found = {}
    for path in sorted((folder("seeds") / "suites").glob("*.yaml")):
        try:
            found[path.stem] = msgspec.convert(read_yaml(path), Suite)
        except msgspec.ValidationError as error:
            raise BrokenFile(f"{path}: {error}; compare it with its neighbours") from None
    return found


def plan(asked: Request, pools: str, there: StoreRecipe | None = None) -> StoreRecipe:
    """The recipe of the store that a request asks for; layout and dictionaries are those of a store that is there.

    Raises:
        UnknownName: no such profile, suite or domain.
        BadRequest: n below 1, or arguments that do not go together.
    """
    from worlddb.schema.domains import label
    from worlddb.world.profiles import profile as find_profile

    first, n, profiles = _suite_plan(asked) if asked.suite else _plain_plan(asked)
    if n < 1:
        raise BadRequest(f"n is {n}; ask for 1 world or more")
    if first < 0 or first + n > 2**63:
        raise BadRequest(f"seeds {first} to {first + n - 1} do not all lie in 0 to 2**63 - 1; choose another seed")
    rows = [sum(p.rows) // len(p.rows) for p in map(find_profile, profiles)]
    mean = max(1, sum(rows) // len(rows))
    return StoreRecipe(
        seed=first, n=n, profile="" if asked.suite else profiles[0], suite=asked.suite or "", profiles=profiles,
        domain=label(asked.domain or ""), generator=generator(), pools=pools,
        shard=there.shard if there else max(1, min(SHARD_WORLDS, SHARD_ROWS // mean)),
        dictionaries=there.dictionaries if there else tuple(map(short_digest, shipped_dictionaries())),
    )  # fmt: skip


def _plain_plan(asked: Request) -> tuple[int, int, tuple[str, ...]]:
    if asked.n is None:
        raise BadRequest("say how many worlds to grow, for example --n 1000")
    return asked.seed or 0, asked.n, (asked.profile or "default",)


def _suite_plan(asked: Request) -> tuple[int, int, tuple[str, ...]]:
    name = asked.suite or ""
    if name not in suites():
        raise UnknownName("suite", name, suites())
    suite = suites()[name]
    if asked.profile is not None:
        raise BadRequest(f"suite '{name}' brings its own profiles; leave out --profile, or leave out --suite")
    first = suite.first if asked.seed is None else asked.seed
    n = suite.n if asked.n is None else asked.n
    last = suite.first + suite.seeds - 1
    if not suite.first <= first <= first + max(n, 1) - 1 <= last:
        raise BadRequest(f"suite '{name}' has the seeds {suite.first} to {last}; choose --seed and --n within them")
    turn = (first - suite.first) % len(suite.profiles)
    return first, n, suite.profiles[turn:] + suite.profiles[:turn]


def shipped_dictionaries() -> list[bytes]:
    """The zstd dictionaries of seeds/, in the order of DICTIONARIES."""
    return [(folder("seeds") / "dictionaries" / name).read_bytes() for name in DICTIONARIES]


# --- the folder


def _admit(home: Path, there: StoreRecipe, asked: StoreRecipe, resume: bool) -> None:
    """Refuse a folder whose store is not the one to complete."""
    fields = [f for f in StoreRecipe.__struct_fields__ if getattr(there, f) != getattr(asked, f)]
    if fields:
        parts = "; ".join(f"{f} is {_shown(getattr(there, f))} there, {_shown(getattr(asked, f))} here" for f in fields)
        cure = "choose another --out, or ask for the same"
        if set(fields) <= {"generator", "pools"}:
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
    for name, data in zip(DICTIONARIES, shipped_dictionaries(), strict=True):
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
