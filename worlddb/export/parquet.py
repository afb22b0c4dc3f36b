"""Export to Parquet: what the catalogue says, and every row of every world, so that SQL reaches inside the worlds.

    worlds/ tables/ columns/ keys/ rules/   one file per shard; the columns are the fields of worlddb/describe.py
    tasks/ gold/ rejections/                one file per shard; of worlddb/describe_tasks.py
    rows/shard=00000/                       one row per row: world, table, entity, primary key, and the data as JSON

Shards are read one at a time, so memory does not grow with the store.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

import msgspec

from worlddb.codecs import read_codecs
from worlddb.describe import KINDS, describe
from worlddb.describe_tasks import GoldRow, gold_rows
from worlddb.errors import StoreError
from worlddb.files import unwritable
from worlddb.parallel import each, worker_count
from worlddb.schema.rules import quote
from worlddb.shards import read_domains, read_shard, shard_path
from worlddb.spawner import Progress
from worlddb.store import Store, StoreRecipe, open_store
from worlddb.world.model import World

if TYPE_CHECKING:
    import polars

MANIFEST = "export.json"
CURE = "free space, or choose another --out, and export again"
TABLES = (*KINDS, "gold", "rows")
"""Names of the exported tables."""
OF_TASKS = ("tasks", "gold", "rejections")


class Manifest(msgspec.Struct, frozen=True):
    """export.json: what the folder is an export of."""

    recipe: StoreRecipe
    worlds: int


class Row(NamedTuple):
    """One row of one world."""

    world: str
    table_name: str
    entity: str
    key: str
    """The primary key as text; the parts of a composite key are separated by '/'."""
    data: str
    """The row as a JSON object by column name."""


def export_path(store: Path) -> Path:
    """Where a store's export lies unless the caller chooses."""
    return store / "export"


def export(
    path: str | Path = "data/out",
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the worlds of a store as Parquet files to the folder `out` (by default export/ inside the store).

    The folder appears whole or not at all.  An export of the same worlds that is there already is left as it is; one of
    the same store with fewer worlds is replaced.  Returns the folder.

    Raises:
        StoreError: there is no store, or it is damaged; `out` holds something else or cannot be written.
    """
    store = open_store(path)
    target = Path(out) if out is not None else export_path(store.path)
    manifest = Manifest(store.recipe, len(store))
    if _is_done(target, manifest):
        return target
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        for name in TABLES:
            (partial / name).mkdir(parents=True)
        _write_shards(store, partial, worker_count(workers), progress)
        (partial / MANIFEST).write_bytes(msgspec.json.encode(manifest))
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    except OSError as error:
        raise unwritable(target, error.strerror or str(error), CURE) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def read_manifest(folder: Path) -> Manifest:
    """What an export says that it is; raises OSError and msgspec.MsgspecError."""
    return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)


def _is_done(target: Path, manifest: Manifest) -> bool:
    """True where `target` has this export; False where there is none, or an older one of this store, to replace."""
    try:
        if not any(target.iterdir()):
            return False
        there = read_manifest(target)
    except FileNotFoundError:
        if not target.exists():
            return False
        raise StoreError(f"{target} holds something else; choose an empty or a new folder as --out") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise StoreError(f"{target} is not an export that can be read ({error}); choose another --out") from None
    if there.recipe != manifest.recipe:
        raise StoreError(f"{target} holds the export of another store; choose another --out, or remove it")
    if there.worlds > manifest.worlds:
        raise StoreError(
            f"{target} holds an export of {there.worlds} worlds, the store only {manifest.worlds}; complete the store "
            f"with 'worlddb spawn --resume', or choose another --out"
        )
    return there.worlds == manifest.worlds


def _write_shards(store: Store, partial: Path, workers: int, progress: Progress | None) -> None:
    jobs = [Job(store.path, store.recipe, number, partial) for number in store.shards]
    done = 0
    for worlds in each(export_shard, jobs, min(workers, max(1, len(jobs)))):
        done += worlds
        if progress:
            progress(done, len(store))


class Job(NamedTuple):
    """One shard to export."""

    home: Path
    recipe: StoreRecipe
    number: int
    out: Path


def export_shard(job: Job) -> int:
    """Write the files of one shard; returns how many worlds it has.

    Raises:
        StoreError: the shard is damaged, or the files cannot be written.
    """
    path = shard_path(job.home, job.number)
    entries = list(read_shard(path, read_codecs(job.home, job.recipe)))
    found = describe(entries, read_domains(path))
    for name, kind in KINDS.items():
        _write(job.out / name / f"{job.number:05d}.parquet", kind, getattr(found, name))
    _write(
        job.out / "gold" / f"{job.number:05d}.parquet", GoldRow, [row for entry in entries for row in gold_rows(entry)]
    )
    rows = [row for entry in entries for row in world_rows(entry.world())]
    folder = job.out / "rows" / f"shard={job.number:05d}"
    folder.mkdir()
    _write(folder / "rows.parquet", Row, rows)
    return len(entries)


def world_rows(world: World) -> Iterator[Row]:
    """Every row of a world, table by table, in the order of the primary keys."""
    with closing(world.connect()) as db:
        for table in world.schema.tables:
            names = [c.name for c in table.columns]
            places = [names.index(table[k].name) for k in table.primary_key]
            keys = ", ".join(quote(table[k].name) for k in table.primary_key)
            encode = msgspec.json.Encoder().encode
            for values in db.execute(f"SELECT {', '.join(map(quote, names))} FROM {quote(table.name)} ORDER BY {keys}"):
                key = "/".join(str(values[i]) for i in places)
                data = encode(dict(zip(names, values, strict=True))).decode()
                yield Row(world.id, table.name, table.key, key, data)


def _write(path: Path, kind: type, rows: list[Any]) -> None:
    import polars

    try:
        _frame(kind, rows).write_parquet(path, compression="zstd")
    except (OSError, polars.exceptions.PolarsError) as error:
        raise unwritable(path, str(error).partition("\n")[0], CURE) from None


def _frame(kind: type, rows: list[Any]) -> polars.DataFrame:
    import polars

    types = {str: polars.String, int: polars.Int64, bool: polars.Boolean}
    schema = {name: types[t] for name, t in get_type_hints(kind).items()}
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    return polars.DataFrame(
        [polars.Series(n, list(c), dtype=t) for (n, t), c in zip(schema.items(), columns, strict=True)]
    )
