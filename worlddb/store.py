"""The store: a folder of worlds that can be read on its own, by any later version.

    store.json            what the store is to hold (StoreRecipe)
    images.zdict          zstd dictionary of the images
    schemas.zdict         zstd dictionary of the schemas
    shards/00000.sqlite   a few worlds each: recipe, digest, schema, image; whole or absent
    catalog.sqlite        what people ask about the worlds (worlddb/catalog.py), made from the shards
    export/               Parquet files, once exported (worlddb/export)

Shards are the truth.  One is written under a temporary name, synced and renamed, so a store that was killed at any
moment holds whole worlds only, and growing the missing shards completes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import msgspec
import zstandard

from worlddb.errors import StoreError, UnknownName
from worlddb.schema.model import Schema
from worlddb.world.model import Recipe, World

if TYPE_CHECKING:
    import apsw

FORMAT = 1
"""Version of this layout; raised when an older worlddb could not read it."""
LEVEL = 6
"""zstd's level: 7 % smaller images than at level 3, for 0.9 ms more a world."""
DICTIONARIES = ("images.zdict", "schemas.zdict")
_OPEN_SHARDS = 32
_SUGGESTED = 2000

_SHARD = """
CREATE TABLE worlds (
  position INTEGER PRIMARY KEY, id TEXT NOT NULL, recipe TEXT NOT NULL, digest TEXT NOT NULL, now INTEGER NOT NULL,
  locale TEXT NOT NULL, counts TEXT NOT NULL, size INTEGER NOT NULL, schema BLOB NOT NULL, image BLOB NOT NULL
) STRICT;
CREATE TABLE domains (id TEXT PRIMARY KEY, "group" TEXT NOT NULL, title TEXT NOT NULL, summary TEXT NOT NULL) STRICT;
"""


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
    generator: str
    pools: str
    """The first 16 hex digits of the value pools' digest."""
    shard: int
    """Worlds per shard."""
    dictionaries: tuple[str, ...]
    """The first 16 hex digits of the SHA-256 of each of DICTIONARIES."""

    def world(self, position: int) -> Recipe:
        """The recipe of the world at a position."""
        profile = self.profiles[position % len(self.profiles)]
        return Recipe(
            seed=self.seed + position, profile=profile, generator=self.generator, pools=self.pools, domain=self.domain
        )

    @property
    def shards(self) -> int:
        """Shards, once it is finished."""
        return -(-self.n // self.shard)

    def positions(self, shard: int) -> range:
        """The positions of a shard's worlds."""
        return range(shard * self.shard, min((shard + 1) * self.shard, self.n))


class DomainNote(NamedTuple):
    """What a store says of a domain, so that nobody needs the domain file to read it."""

    id: str
    group: str
    title: str
    summary: str


class Codec:
    """zstd with a dictionary."""

    def __init__(self, dictionary: bytes) -> None:
        """Use `dictionary`, as made by `zstd --train`; empty for none."""
        data = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
        if data:
            data.precompute_compress(level=LEVEL)
        # the checksum (4 bytes) finds a flipped bit at reading, which the format alone would not
        self._pack = zstandard.ZstdCompressor(level=LEVEL, dict_data=data, write_checksum=True)
        self._unpack = zstandard.ZstdDecompressor(dict_data=data)

    def pack(self, data: bytes) -> bytes:
        """Compress."""
        return self._pack.compress(data)

    def unpack(self, blob: bytes) -> bytes:
        """Decompress; raises zstandard.ZstdError where the blob is damaged."""
        return self._unpack.decompress(blob)


class Codecs(NamedTuple):
    """The codecs of a store."""

    images: Codec
    schemas: Codec


class Entry(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One world in a shard, still packed."""

    position: int
    id: str
    recipe: Recipe
    digest: str
    """SHA-256 of the image, in hex, as it was when the world was grown."""
    now: int
    locale: str
    counts: dict[str, int]
    size: int
    """Bytes of the image."""
    shard: Path
    codecs: Codecs
    packed_schema: bytes
    packed_image: bytes

    @property
    def stored(self) -> int:
        """Bytes of schema and image as stored."""
        return len(self.packed_schema) + len(self.packed_image)

    @cached_property
    def schema(self) -> Schema:
        """The world's schema."""
        with _reading(self.shard):
            return msgspec.msgpack.decode(self.codecs.schemas.unpack(self.packed_schema), type=Schema)

    def world(self) -> World:
        """The world, unpacked.

        Raises:
            StoreError: its bytes are damaged.
        """
        with _reading(self.shard):
            image = self.codecs.images.unpack(self.packed_image)
        return World(
            recipe=self.recipe, schema=self.schema, image=image, now=self.now, locale=self.locale, counts=self.counts
        )


class Store:
    """The worlds of a folder, in the order of their seeds; each is read and unpacked when asked for."""

    def __init__(self, path: Path, recipe: StoreRecipe) -> None:
        """Use `open_store`."""
        self.path = path
        self.recipe = recipe
        self.shards = tuple(n for n in range(recipe.shards) if shard_path(path, n).exists())
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
        with _reading(path):
            row = self._shard(number).execute("SELECT * FROM worlds WHERE position = ?", (position,)).fetchone()
        if row is None:
            raise damaged(path, f"world {position} is missing")
        return _entry(row, path, self.codecs)

    def _shard(self, number: int) -> apsw.Connection:
        if number not in self._connections:
            if len(self._connections) >= _OPEN_SHARDS:
                self._connections.pop(next(iter(self._connections))).close()
            self._connections[number] = _open_shard(shard_path(self.path, number))
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

    def ids(self) -> Iterator[str]:
        """The ids of all worlds, in order."""
        for number in self.shards:
            path = shard_path(self.path, number)
            with _reading(path), closing(_open_shard(path)) as db:
                found = [str(row[0]) for row in db.execute("SELECT id FROM worlds ORDER BY position")]
            yield from found


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


def shard_path(home: Path, number: int) -> Path:
    """Where a shard lies."""
    return home / "shards" / f"{number:05d}.sqlite"


def read_codecs(home: Path, recipe: StoreRecipe) -> Codecs:
    """The codecs of the dictionaries in a folder, which must be those of the recipe.

    Raises:
        StoreError: a dictionary is missing or damaged.
    """
    found = []
    for name, digest in zip(DICTIONARIES, recipe.dictionaries, strict=True):
        try:
            data = (home / name).read_bytes()
        except OSError as error:
            raise StoreError(f"{home / name} cannot be read: {error.strerror}; copy it from another store") from None
        if short_digest(data) != digest:
            raise StoreError(f"{home / name} is not the dictionary {digest} of this store; copy it from another store")
        found.append(Codec(data))
    return Codecs(*found)


def short_digest(data: bytes) -> str:
    """The first 16 hex digits of the SHA-256."""
    return sha256(data).hexdigest()[:16]


# --- shards


def damaged(path: Path, what: object) -> StoreError:
    """The error for a damaged shard."""
    home = path.parent.parent
    return StoreError(
        f"{path} is damaged ({what}); remove it, and 'worlddb spawn --resume --out {home}' grows its worlds again"
    )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    import apsw

    try:
        yield
    except (apsw.Error, zstandard.ZstdError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise damaged(path, str(error).partition("\n")[0]) from None


def _open_shard(path: Path) -> apsw.Connection:
    import apsw

    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    name = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    # immutable: a shard never changes, so readers need neither locks nor write permission
    db = apsw.Connection(f"file:{name}?immutable=1", flags=flags)
    version = db.pragma("user_version")
    if not isinstance(version, int) or version > FORMAT:
        raise StoreError(f"{path} has store format {version}, and this worlddb reads up to {FORMAT}; upgrade worlddb")
    return db


def _entry(row: tuple[Any, ...], path: Path, codecs: Codecs) -> Entry:
    position, name, recipe, digest, now, locale, counts, size, schema, image = row
    with _reading(path):
        return Entry(
            position=position, id=name, recipe=msgspec.json.decode(recipe, type=Recipe), digest=digest, now=now,
            locale=locale, counts=msgspec.json.decode(counts, type=dict[str, int]), size=size, shard=path,
            codecs=codecs, packed_schema=schema, packed_image=image,
        )  # fmt: skip


def read_shard(path: Path, codecs: Codecs) -> Iterator[Entry]:
    """The packed worlds of a shard, in order.

    Raises:
        StoreError: it is damaged.
    """
    with _reading(path), closing(_open_shard(path)) as db:
        for row in db.execute("SELECT * FROM worlds ORDER BY position"):
            yield _entry(row, path, codecs)


def read_domains(path: Path) -> list[DomainNote]:
    """The domains of a shard's worlds.

    Raises:
        StoreError: it is damaged.
    """
    with _reading(path), closing(_open_shard(path)) as db:
        return [DomainNote(*map(str, row)) for row in db.execute("SELECT * FROM domains ORDER BY id")]


def count_worlds(path: Path) -> int:
    """How many worlds a shard has.

    Raises:
        StoreError: it is damaged.
    """
    with _reading(path), closing(_open_shard(path)) as db:
        return int(db.execute("SELECT count(*) FROM worlds").get)


def write_shard(
    path: Path, worlds: Iterable[tuple[int, World]], domains: dict[str, DomainNote], codecs: Codecs
) -> None:
    """Write (position, world) pairs to a new shard, which appears whole or not at all.

    `domains` is read after the last world.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    import apsw

    partial = partial_path(path)
    try:
        with closing(apsw.Connection(str(partial))) as db:
            # no journal and no syncs of SQLite's own: until the rename below nobody reads this file
            for pragma in ("page_size = 4096", "journal_mode = OFF", "synchronous = OFF", f"user_version = {FORMAT}"):
                db.execute(f"PRAGMA {pragma}").fetchall()
            with db:
                db.execute(_SHARD)
                db.executemany(f"INSERT INTO worlds VALUES ({', '.join('?' * 10)})", (_row(*w, codecs) for w in worlds))
                db.executemany("INSERT INTO domains VALUES (?, ?, ?, ?)", [domains[k] for k in sorted(domains)])
        publish(partial, path)
    except (apsw.FullError, apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError) as error:
        raise unwritable(path, str(error)) from None
    except OSError as error:
        raise unwritable(path, error.strerror or str(error)) from None
    finally:
        partial.unlink(missing_ok=True)


def _row(position: int, world: World, codecs: Codecs) -> tuple[object, ...]:
    recipe, counts = msgspec.json.encode(world.recipe).decode(), msgspec.json.encode(world.counts).decode()
    schema = codecs.schemas.pack(msgspec.msgpack.encode(world.schema))
    image = codecs.images.pack(world.image)
    return (
        position, world.id, recipe, world.digest, world.now, world.locale, counts, len(world.image), schema, image
    )  # fmt: skip


# --- files that are whole or absent


def partial_path(path: Path) -> Path:
    """The temporary name of a file that is being written."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def publish(partial: Path, path: Path) -> None:
    """Sync a finished file to disk and give it its name; raises OSError."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    partial = partial_path(path)
    try:
        partial.write_bytes(data)
        publish(partial, path)
    except OSError as error:
        raise unwritable(path, error.strerror or str(error)) from None
    finally:
        partial.unlink(missing_ok=True)


def unwritable(path: Path, why: str, cure: str = "finished worlds are kept; mend that and add --resume") -> StoreError:
    """The error for a file that cannot be written."""
    return StoreError(f"{path} cannot be written ({why}); {cure}")
