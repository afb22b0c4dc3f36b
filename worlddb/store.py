"""The store: a folder of worlds that can be read on its own, by any later version.

    store.json            what the store is to hold (StoreRecipe)
    images.zdict          zstd dictionary of the images
    schemas.zdict         zstd dictionary of the schemas
    tasks.zdict           zstd dictionary of the tasks
    shards/00000.sqlite   a few worlds each: recipe, digest, schema, image, tasks; whole or absent
    catalog.sqlite        what people ask about the worlds (worlddb/catalog.py), made from the shards
    export/               Parquet files, once exported (worlddb/export)

Shards are the truth.  One is written under a temporary name, synced and renamed, so a store that was killed at any
moment holds whole worlds only, and growing the missing shards completes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, overload

import msgspec

from worlddb.codecs import Codecs, read_codecs
from worlddb.errors import StoreError, UnknownName
from worlddb.heldout import Scope
from worlddb.shards import (
    FORMAT,
    Entry,
    count_tasks,
    open_shard,
    read_entry,
    read_ids,
    read_shard,
    read_tasks,
    reading,
    shard_numbers,
    shard_path,
)
from worlddb.tasks.model import Task
from worlddb.world.model import Recipe, World

if TYPE_CHECKING:
    import apsw

_OPEN_SHARDS = 32
_SUGGESTED = 2000


class StoreRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides the content of a store: the world at position i has seed `seed + i`."""

    format: int = FORMAT
    seed: int
    n: int
    """Worlds, once it is finished."""
    profile: str = ""
    """The profile of all worlds; empty in a store of a suite."""
    suite: str = ""
    profiles: tuple[str, ...]
    """Position i has the profile `profiles[i % len(profiles)]`."""
    domain: str = ""
    """The domain of all worlds, where one was asked for."""
    domains: tuple[tuple[str, ...], ...] = ()
    """Groups of domains: the seed of a world draws a group, and its domain from it.  Empty: from all domains."""
    tasks: int = 0
    """Tasks that each world was asked for; it has fewer where no more passed the gate."""
    task_profile: str = ""
    task_version: str = ""
    """Version of what makes tasks; empty without tasks."""
    scope: Scope | None = None
    """What the tasks may use; None: everything."""
    generator: str
    pools: str
    """The first 16 hex digits of the value pools' digest."""
    shard: int
    """Worlds per shard."""
    dictionaries: tuple[str, ...]
    """The first 16 hex digits of the SHA-256 of each of DICTIONARIES; format 1 lacks the last one."""

    def world(self, position: int) -> Recipe:
        """The recipe of the world at a position."""
        seed, profile = self.seed + position, self.profiles[position % len(self.profiles)]
        domain = self.domain or (draw_domain(seed, self.domains) if self.domains else "")
        return Recipe(seed=seed, profile=profile, generator=self.generator, pools=self.pools, domain=domain)

    @property
    def shards(self) -> int:
        """Shards, once it is finished."""
        return -(-self.n // self.shard)

    def positions(self, shard: int) -> range:
        """The positions of a shard's worlds."""
        return range(shard * self.shard, min((shard + 1) * self.shard, self.n))


def draw_domain(seed: int, groups: tuple[tuple[str, ...], ...]) -> str:
    """The domain of the world of that seed: from one of the groups, each as likely as any other."""
    from worlddb.rng import Stream  # NumPy, which reading a store can do without

    stream = Stream(seed, "suite", "domain")
    return stream.pick(stream.pick(groups))


class Store:
    """The worlds of a folder, in the order of their seeds; each is read and unpacked when asked for."""

    def __init__(self, path: Path, recipe: StoreRecipe) -> None:
        """Use `open_store`."""
        self.path = path
        self.recipe = recipe
        self.shards = tuple(shard_numbers(path, recipe.shards))
        """Numbers of the shards that are there."""
        self._connections: dict[int, apsw.Connection] = {}

    def __repr__(self) -> str:
        state = "" if self.finished else f" of {self.recipe.n}, unfinished"
        return f"<Store {self.path}: {len(self)}{state} worlds>"

    def __reduce__(self) -> tuple[object, ...]:
        return open_store, (self.path,)

    @property
    def finished(self) -> bool:
        """True when every world of the recipe is there; otherwise `spawn(path, resume=True)` completes it."""
        return len(self.shards) == self.recipe.shards

    @property
    def bytes(self) -> int:
        """Bytes on disk, exports aside."""
        files = [*self.path.glob("*"), *(self.path / "shards").glob("*.sqlite")]
        return sum(f.stat().st_size for f in files if f.is_file())

    @cached_property
    def codecs(self) -> Codecs:
        """The codecs, from the store's own dictionaries."""
        return read_codecs(self.path, self.recipe)

    @cached_property
    def _positions(self) -> tuple[int, ...] | range:
        if self.finished:
            return range(self.recipe.n)
        return tuple(p for n in self.shards for p in self.recipe.positions(n))

    def __len__(self) -> int:
        return len(self._positions)

    def __iter__(self) -> Iterator[World]:
        for entry in self.entries():
            yield entry.world()

    def __contains__(self, name: object) -> bool:
        return any(name == known for known in self.ids())

    @overload
    def __getitem__(self, key: int | str) -> World: ...
    @overload
    def __getitem__(self, key: slice) -> list[World]: ...
    def __getitem__(self, key: int | str | slice) -> World | list[World]:
        """A world by index, by id ('hotel-42'), by seed ('42') or by index as text ('#12'); or several, by slice.

        Raises:
            UnknownName: no world has that id or seed.
            IndexError: the index is out of range.
            StoreError: its shard is damaged.
        """
        if isinstance(key, slice):
            return [self._at(p).world() for p in self._positions[key]]
        if isinstance(key, int):
            return self._at(self._positions[key]).world()
        return self._named(key).world()

    def _named(self, name: str) -> Entry:
        if name.startswith("#") and name[1:].isdecimal() and len(name) < 12 and int(name[1:]) < len(self):
            return self._at(self._positions[int(name[1:])])
        seed = name.rpartition("-")[2][:20]  # a seed has at most 19 digits
        position = int(seed) - self.recipe.seed if seed.isdecimal() and seed.isascii() else -1
        if position in self._positions:
            entry = self._at(position)
            if name in (entry.id, seed):
                return entry
            raise UnknownName("world", name, [entry.id])
        if 0 <= position < self.recipe.n:
            raise StoreError(f"world '{name}' is not grown yet; run 'worlddb spawn --resume --out {self.path}'")
        raise UnknownName("world", name, islice(self.ids(), _SUGGESTED))

    def _at(self, position: int) -> Entry:
        number = position // self.recipe.shard
        path = shard_path(self.path, number)
        with reading(path):
            db = self._shard(number)
        return read_entry(db, path, position, self.codecs)

    def _shard(self, number: int) -> apsw.Connection:
        if number not in self._connections:
            if len(self._connections) >= _OPEN_SHARDS:
                self._connections.pop(next(iter(self._connections))).close()
            self._connections[number] = open_shard(shard_path(self.path, number))
        return self._connections[number]

    def entries(self) -> Iterator[Entry]:
        """All worlds, packed, in order; cheap where only their schemas or digests are wanted.

        Raises:
            StoreError: a shard is damaged.
        """
        for number in self.shards:
            yield from self.shard_entries(number)

    def shard_entries(self, number: int) -> Iterator[Entry]:
        """The packed worlds of one shard."""
        yield from read_shard(shard_path(self.path, number), self.codecs)

    def tasks(self) -> Iterator[tuple[str, Task]]:
        """(id of the world, task) of all tasks, in order, without unpacking any world.

        Raises:
            StoreError: a shard is damaged.
        """
        for number in self.shards:
            for task in read_tasks(shard_path(self.path, number), self.codecs):
                yield task.world, task

    def count_tasks(self) -> int:
        """How many tasks its worlds have."""
        return sum(count_tasks(shard_path(self.path, number)) for number in self.shards)

    def ids(self) -> Iterator[str]:
        """The ids of all worlds, in order."""
        for number in self.shards:
            yield from read_ids(shard_path(self.path, number))


def open_store(path: str | Path = "data/out") -> Store:
    """Open the store in a folder, to read.

    An unfinished store opens too, with the worlds that it has; its `finished` is False and its repr says so.

    Raises:
        StoreError: there is no store, or it is of a newer format, or it is damaged.

    >>> import tempfile
    >>> import worlddb
    >>> with tempfile.TemporaryDirectory() as out:
    ...     _ = worlddb.spawn(out, 3, profile="tiny", domain="hotel", workers=1)
    ...     store = worlddb.open_store(out)
    ...     len(store), store[0].id, store["hotel-2"].recipe.seed, [world.id for world in store[1:]]
    (3, 'hotel-0', 2, ['hotel-1', 'hotel-2'])
    """
    home = Path(path)
    return Store(home, read_recipe(home))


def find_world(name: str, path: str | Path | None = None, profile: str = "default") -> World:
    """A world by id, seed or '#index': of the store at `path`; without a path, of data/out, or else grown by its name.

    Raises:
        UnknownName: the store has no such world, or its seed grows another one.
        StoreError: there is no store at `path`, or it is damaged.
    """
    from worlddb.world.generate import generate

    if path is not None:
        return open_store(path)[name]
    try:
        return open_store()[name]
    except (StoreError, UnknownName):
        seed = name.rpartition("-")[2][:20]  # a seed has at most 19 digits
        if not (seed.isdecimal() and seed.isascii()):
            raise
    world = generate(int(seed), profile)
    if name not in (world.id, seed):
        raise UnknownName("world", name, [world.id])
    return world


def read_recipe(home: Path) -> StoreRecipe:
    """What the store in a folder is to hold.

    Raises:
        StoreError: there is no store, or it is of a newer format, or its store.json is damaged.
    """
    file = home / "store.json"
    try:
        data = file.read_bytes()
        version = msgspec.json.decode(data, type=dict[str, object]).get("format")
        if isinstance(version, int) and version > FORMAT:
            raise StoreError(
                f"{home} has store format {version}, and this worlddb reads up to {FORMAT}; upgrade worlddb"
            )
        return msgspec.json.decode(data, type=StoreRecipe)
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"{home} holds no store; make one with 'worlddb spawn --n 1000 --out {home}'") from None
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreError(f"{file} is damaged ({error}); spawn the store again in another folder") from None
