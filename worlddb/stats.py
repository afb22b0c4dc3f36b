"""Stats: the metrics of realism over a store, or over any SQLite files, beside their bars."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from worlddb.codecs import read_codecs
from worlddb.errors import StoreError
from worlddb.parallel import each, worker_count
from worlddb.schema.metrics import Measure, Report, measure, summarise
from worlddb.schema.reflect import open_readonly, reflect
from worlddb.shards import read_shard, shard_path
from worlddb.spawner import Progress
from worlddb.store import Store, StoreRecipe, open_store


def stats(path: str | Path, *, workers: int | None = None, progress: Progress | None = None) -> Report:
    """Measure the worlds of a store, or one SQLite file, or the SQLite files of a folder.

    Raises:
        WorlddbError: there is nothing to measure at `path`, or it is damaged.
    """
    place = Path(path)
    if (place / "store.json").exists():
        return summarise(_measure_store(open_store(place), worker_count(workers), progress))
    if not place.is_dir():
        return summarise([_measure_file(place)])
    files = sorted(f for f in place.iterdir() if f.suffix in (".sqlite", ".sqlite3", ".db"))
    if not files:
        raise StoreError(f"{place} holds no store and no SQLite files; give the folder of a store, or a SQLite file")
    return summarise(map(_measure_file, files))


class Job(NamedTuple):
    """One shard to measure."""

    home: Path
    recipe: StoreRecipe
    number: int


def _measure_store(store: Store, workers: int, progress: Progress | None) -> Iterator[Measure]:
    jobs = [Job(store.path, store.recipe, number) for number in store.shards]
    done = 0
    for found in each(measure_shard, jobs, min(workers, max(1, len(jobs)))):
        done += len(found)
        if progress:
            progress(done, len(store))
        yield from found


def measure_shard(job: Job) -> list[Measure]:
    """The figures of each world of a shard.

    Raises:
        StoreError: the shard is damaged.
    """
    found = []
    for entry in read_shard(shard_path(job.home, job.number), read_codecs(job.home, job.recipe)):
        with closing(entry.world().connect()) as db:
            found.append(measure(entry.schema, db))
    return found


def _measure_file(path: Path) -> Measure:
    with closing(open_readonly(path)) as db:
        return measure(reflect(db), db)
