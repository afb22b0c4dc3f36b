"""Exports of attempts: a store's gold, or what agents did, as rows of a format, streamed into files.

A shard (or a file of recorded attempts) is a job: its rows go into files of their own, one world's at a time, and are then
appended to the whole.  Files appear finished or not at all.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec
import orjson

from worlddb.adapters.common import Address, address_of, find, in_split
from worlddb.attempts import Attempt, read_attempt
from worlddb.errors import BadRequest, StoreError
from worlddb.export.examples import Example
from worlddb.export.formats import FORMATS, Format, format_named
from worlddb.export.golds import Manner, acted
from worlddb.export.splits import Splits, place_of
from worlddb.export.tables import write_parquet
from worlddb.files import partial_path, publish, unwritable
from worlddb.parallel import Crew, each, worker_count
from worlddb.spawner import Progress
from worlddb.store import Store, open_store

ENDINGS = (".jsonl", ".json", ".parquet")
PLAIN = Manner()
CURE = "choose another --out"


class Order(NamedTuple):
    """What is to be written."""

    format: str
    splits: Splits = Splits()
    manner: Manner = PLAIN
    """Of gold."""
    min_reward: float = 1.0
    """Attempts that are worth less are left out."""


class Written(NamedTuple):
    """What an export wrote."""

    rows: dict[Path, int]
    """File -> how many rows it has."""
    left_out: dict[str, int]
    """Why attempts were left out -> how many."""


def export_rows(
    path: str | Path,
    order: Order,
    out: str | Path | None = None,
    *,
    runs: str | Path | None = None,
    workers: int | Crew | None = 1,
    progress: Progress | None = None,
) -> Written:
    """Write the gold of a store's tasks, or the attempts recorded in `runs`, as rows of a format.

    `out` names the file, and by its ending the kind: .jsonl (an object a line), .json (an array), .parquet; without it the
    file is called after the format and lies in the store, or beside the runs.  The names of parts, and of splits where there
    are several, are put in before the ending.  `runs` is a file of JSON lines of `Attempt`, or a folder of such files; the
    store is then asked for nothing but the side of a task, where one is wanted.  Memory does not grow with the number of rows.

    Raises:
        UnknownName: there is no such format.
        BadRequest: the options do not go together.
        StoreError: there is no store or no run, or one is damaged; a file is there already or cannot be written.
    """
    form = format_named(order.format)
    store = open_store(path) if runs is None else None
    home = Path(path) if store is not None or runs is None else Path(runs).parent
    base = Path(out) if out is not None else home / f"{order.format}{form.ending}"
    targets = _targets(base, form, order.splits, given=out is not None)
    if store is not None and not store.count_tasks():
        raise StoreError(f"{store.path} has no tasks; grow a store that has some: worlddb spawn --n 100 --tasks 10")
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{base.name}.", suffix=".partial", dir=base.parent))
    except OSError as error:
        raise unwritable(base, error.strerror or str(error), CURE) from None
    try:
        jobs = _jobs(order, scratch, store, Path(path), runs)
        total = len(store) if store is not None else len(jobs)
        hands = workers if isinstance(workers, Crew) else Crew(worker_count(workers))
        return _gather(each(write_shard, jobs, hands.for_jobs(len(jobs))), order, targets, scratch, total, progress)
    except OSError as error:
        raise unwritable(base, error.strerror or str(error), CURE) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _targets(base: Path, form: Format, splits: Splits, *, given: bool) -> dict[str, Path]:
    """Key of a file ('split.part') -> its path; none of them may exist.  `given`: by the caller, whose name is kept."""
    if base.suffix not in ENDINGS:
        raise BadRequest(f"{base} ends with '{base.suffix}'; give a file that ends with {', '.join(ENDINGS)}")
    if base.suffix == ".parquet" and not form.parts[0].columns:
        raise BadRequest(f"this format has no Parquet files; let --out end with {form.ending}")
    found = {}
    for split in splits.names:
        for part in form.parts:
            names = f"{base.stem}-{split}" if split and (splits.shares or not given) else base.stem
            found[f"{split}.{part.name}"] = base.with_name(f"{names}{'.' * bool(part.name)}{part.name}{base.suffix}")
    beside = [_beside(form, target) for target in found.values() if form.beside]
    for target in (*found.values(), *beside):
        if target.exists():
            raise StoreError(f"{target} exists already; choose another --out, or remove it first")
    return found


def _beside(form: Format, target: Path) -> Path:
    assert form.beside is not None
    return target.with_name(f"{target.stem}.{form.beside[0]}.json")


# --- a shard's rows


class Job(NamedTuple):
    """A shard of a store, or a file of recorded attempts."""

    order: Order
    scratch: Path
    number: int
    home: Path
    """The store."""
    runs: Path | None = None
    shard: int = 0


class Chunk(NamedTuple):
    """What a job wrote."""

    number: int
    rows: dict[str, int]
    """Key of a file -> rows for it."""
    left_out: dict[str, int]
    done: int
    """Worlds, or files of recorded attempts."""


def _jobs(order: Order, scratch: Path, store: Store | None, home: Path, runs: str | Path | None) -> Sequence[Job]:
    if store is not None:
        return [Job(order, scratch, at, home, shard=number) for at, number in enumerate(store.shards)]
    files = run_files(Path(runs or ""))
    return [Job(order, scratch, at, home, runs=file) for at, file in enumerate(files)]


def run_files(path: Path) -> list[Path]:
    """The files of recorded attempts that a path names: itself, or all *.jsonl in the folder.

    Raises:
        StoreError: there are none.
    """
    found = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path] if path.is_file() else []
    if not found:
        raise StoreError(f"{path} holds no recorded attempts; give a file of JSON lines, or a folder of *.jsonl")
    return found


def write_shard(job: Job) -> Chunk:
    """Write the rows of one job, each file's into a file of its own in the scratch folder.

    Raises:
        StoreError: the shard, or the file of attempts, is damaged.
    """
    form = FORMATS[job.order.format]
    left, counts, worlds = Counter[str](), Counter[str](), set[str]()
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}
        for example, split in _examples(job, left, worlds):
            written = 0
            for part in form.parts:
                row = part.row(example)
                if row is not None:
                    key = f"{split}.{part.name}"
                    if key not in files:
                        files[key] = stack.enter_context(chunk_path(job.scratch, key, job.number).open("wb"))
                    files[key].write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
                    counts[key] += 1
                    written += 1
            left["it has no such form"] += not written
    return Chunk(job.number, dict(counts), dict(+left), len(worlds) if job.runs is None else 1)


def chunk_path(scratch: Path, key: str, number: int) -> Path:
    """Where a job puts its rows for a file."""
    return scratch / f"{key}.{number:06d}"


def _examples(job: Job, left: Counter[str], worlds: set[str]) -> Iterator[tuple[Example, str]]:
    """The examples that are wanted, with their splits; those that are not are counted."""
    found = _golds(job, left, worlds) if job.runs is None else _recorded(job, job.runs, left)
    for example, split in found:
        if example.attempt.verdict.invalid or example.attempt.reward < job.order.min_reward:
            left[f"its reward is below {job.order.min_reward:g}"] += 1
        else:
            yield example, split


_NO_SPLIT = "it is in no split"


def _golds(job: Job, left: Counter[str], worlds: set[str]) -> Iterator[tuple[Example, str]]:
    store = open_store(job.home)
    splits, home = job.order.splits, str(job.home.absolute())
    for entry in store.shard_entries(job.shard):
        worlds.add(entry.id)
        places = [(task, place_of(splits, task, entry.schema)) for task in entry.tasks]
        left[_NO_SPLIT] += sum(split is None for _, split in places)
        if all(split is None for _, split in places):
            continue
        world = entry.world()
        for task, split in places:
            if split is not None:
                address = address_of(store.recipe, world, task, home)
                yield Example(acted(world, task, job.order.manner), address), split


def _recorded(job: Job, path: Path, left: Counter[str]) -> Iterator[tuple[Example, str]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                attempt = read_attempt(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise StoreError(f"{path}, line {number}, is no recorded attempt ({error}); leave it out") from None
            address = _address(attempt, job.home)
            split = _place(job.order.splits, attempt, address)
            if split is None:
                left[_NO_SPLIT] += 1
            else:
                yield Example(attempt, address), split


def _address(attempt: Attempt, home: Path) -> Address:
    store = str(home.absolute()) if (home / "store.json").exists() else ""
    return Address(world=attempt.world, task=attempt.task, seed=attempt.seed, profile=attempt.profile, store=store)


def _place(splits: Splits, attempt: Attempt, address: Address) -> str | None:
    """Which side a recorded attempt is on, only its task can tell: which tools its gold has, and which tables."""

    def inside(side: str) -> bool:
        if not address.store:
            raise BadRequest(
                f"split '{side}' needs the store of these runs; give its PATH, or shares: train=0.9,eval=0.1"
            )
        world, task = find(address)
        return in_split(task, world.schema, side)

    return splits.place(attempt.card.structure, inside)


# --- the whole


def _gather(
    chunks: Iterable[Chunk],
    order: Order,
    targets: dict[str, Path],
    scratch: Path,
    total: int,
    progress: Progress | None,
) -> Written:
    """Append the jobs' rows to the files, in their order, and publish these."""
    form, left, counts, done = FORMATS[order.format], Counter[str](), Counter[str](dict.fromkeys(targets, 0)), 0
    with ExitStack() as stack:
        wholes = {key: stack.enter_context((scratch / f"whole.{key}").open("wb")) for key in targets}
        for chunk in chunks:
            for key in chunk.rows:
                _append(chunk_path(scratch, key, chunk.number), wholes[key], targets[key].suffix, empty=not counts[key])
                counts[key] += chunk.rows[key]
            left.update(chunk.left_out)
            done += chunk.done
            if progress:
                progress(done, total)
        for key, whole in wholes.items():
            if targets[key].suffix == ".json":
                whole.write(b"\n]\n" if counts[key] else b"[]\n")
    columns = {part.name: part.columns for part in form.parts}
    for key, target in targets.items():
        partial, whole_path = partial_path(target), scratch / f"whole.{key}"
        if target.suffix == ".parquet":
            write_parquet(whole_path, partial, columns[key.partition(".")[2]], scratch)
        else:
            whole_path.replace(partial)
        publish(partial, target)
        if form.beside:
            _beside(form, target).write_bytes(orjson.dumps(form.beside[1](target.name), option=orjson.OPT_INDENT_2))
    return Written({targets[key]: n for key, n in counts.items()}, dict(left))


def _append(chunk: Path, whole: BinaryIO, ending: str, *, empty: bool) -> None:
    with chunk.open("rb") as rows:
        if ending != ".json":
            shutil.copyfileobj(rows, whole, 1 << 20)
        else:
            for row in rows:
                whole.write((b"[\n" if empty else b",\n") + row[:-1])
                empty = False
    chunk.unlink()
