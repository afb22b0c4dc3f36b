"""The folder of a run.

    run.json               what is attempted, and by whom (Manifest)
    attempts/00000.jsonl   attempts, a Record a line; each writer begins a part of its own
    tools.jsonl            the toolsets of the attempts, each once
    attempts.parquet       all attempts in one table, once the run is finished
    report.md .html .json  what came of it

A line is whole or it is the last one of a part, torn by a kill.  Readers pass it over, the next writer cuts it off, and the
attempt is made again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from worlddb.attempts import Attempt
from worlddb.errors import StoreError
from worlddb.files import claimed, unwritable, write_whole
from worlddb.runs.model import FORMAT, Brief, Kept, Manifest, Record, Tools

PART = 64_000_000
"""Bytes after which a writer begins another part."""
CURE = "what was finished is kept; mend that and run the same command again"
RECENT = 256
"""Toolsets that are kept at hand."""
T = TypeVar("T")


class _Digest(msgspec.Struct, frozen=True):
    """A line of tools.jsonl without its tools."""

    digest: str


_DIGEST = msgspec.json.Decoder(_Digest)


class Done:
    """Which attempts at which tasks are there: a number of bits for each task."""

    def __init__(self) -> None:
        self._bits: dict[str, int] = {}
        self.count = 0

    def add(self, task: str, run: int) -> bool:
        """Note an attempt; False where it was noted before."""
        bits = self._bits.get(task, 0)
        if bits >> run & 1:
            return False
        self._bits[task] = bits | 1 << run
        self.count += 1
        return True

    def __contains__(self, pair: tuple[str, int]) -> bool:
        return bool(self._bits.get(pair[0], 0) >> pair[1] & 1)

    def by_world(self) -> dict[str, dict[str, int]]:
        """World -> task -> bits."""
        found: dict[str, dict[str, int]] = {}
        for task, bits in self._bits.items():
            found.setdefault(task.rpartition("/")[0], {})[task] = bits
        return found


class Run:
    """A run that can be read; any number of readers, while one process writes."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        """Use `open_run` or `begin_run`."""
        self.path, self.manifest = path, manifest

    def __repr__(self) -> str:
        return f"<Run {self.path}: {self.manifest.label}, {self.manifest.tasks} tasks, k = {self.manifest.k}>"

    @property
    def parts(self) -> list[Path]:
        """The parts, in the order in which they were begun."""
        return sorted((self.path / "attempts").glob("[0-9]*.jsonl"))

    @property
    def total(self) -> int:
        """Attempts, once it is finished."""
        return self.manifest.tasks * self.manifest.k

    def briefs(self) -> Iterator[Brief]:
        """The figures of all attempts, each once, in the order in which they were finished.

        Raises:
            StoreError: a part is damaged.
        """
        return self._read(Brief)

    def records(self) -> Iterator[Record]:
        """All attempts with their figures, without tools."""
        return self._read(Record)

    def attempts(self) -> Iterator[Attempt]:
        """All attempts, whole: each with its tools."""
        tools = Toolsets(self.path / "tools.jsonl")
        for record in self.records():
            yield msgspec.structs.replace(record.attempt, tools=tools.get(record.tools))

    def done(self) -> Done:
        """What is there."""
        found = Done()
        for brief in self._read(Brief):
            found.add(brief.task, brief.run)
        return found

    def _read(self, kind: type[T]) -> Iterator[T]:
        seen = Done()
        for part in self.parts:
            for one in _lines(part, kind):
                assert isinstance(one, Brief)
                if seen.add(one.task, one.run):
                    yield one

    def write(self, name: str, data: bytes) -> Path:
        """Write a file of the folder, in the place of an older one."""
        path = self.path / name
        with suppress(FileNotFoundError):
            path.unlink()
        write_whole(path, data)
        return path

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Append attempts; nobody else can meanwhile.

        Raises:
            StoreError: another process writes this run, or the disk is full.
        """
        with claimed(self.path, alone=True) as ours:
            if not ours:
                raise StoreError(f"another process is writing {self.path}; wait for it, or choose another --out")
            writer = Writer(self)
            try:
                yield writer
            finally:
                writer.close()


class Writer:
    """Appends attempts to a run; safe among threads.  What was `put` outlives the process."""

    def __init__(self, run: Run) -> None:
        self._home, self._lock = run.path, threading.Lock()
        self._number = int(_mended(run.parts[-1]).stem) + 1 if run.parts else 0
        self._part: IO[bytes] | None = None
        self._tools = _mended(run.path / "tools.jsonl")
        self._known = Toolsets(self._tools).digests

    def put(self, one: Kept) -> None:
        """Append an attempt.

        Raises:
            StoreError: it cannot be written.
        """
        with self._lock:
            try:
                if one.digest not in self._known:
                    with self._tools.open("ab") as file:
                        file.write(b'{"digest":"%s","tools":%s}\n' % (one.digest.encode(), one.tools))
                    self._known.add(one.digest)
                part = self._open()
                part.write(one.line)
                part.flush()
            except OSError as error:
                raise unwritable(self._home, error.strerror or str(error), CURE) from None

    def _open(self) -> IO[bytes]:
        if self._part is not None and self._part.tell() > PART:
            self.close()
        if self._part is None:
            self._part = (self._home / "attempts" / f"{self._number:05d}.jsonl").open("xb")
            self._number += 1
        return self._part

    def close(self) -> None:
        """End the part."""
        if self._part is not None:
            self._part.close()
            self._part = None


class Toolsets:
    """The tools of a run by digest; they are read when they are asked for, as all of them are more than memory may hold."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, int] = {}
        self.get = lru_cache(RECENT)(self._read)
        at = 0
        for line in _whole(path) if path.exists() else ():
            self._places[_DIGEST.decode(line).digest] = at
            at += len(line)

    @property
    def digests(self) -> set[str]:
        """Of all that are there."""
        return set(self._places)

    def _read(self, digest: str) -> tuple[dict[str, Any], ...]:
        """The tools of that digest; none where they are lost."""
        if digest not in self._places:
            return ()
        with self._path.open("rb") as file:
            file.seek(self._places[digest])
            return msgspec.json.decode(file.readline(), type=Tools).tools


def _mended(path: Path) -> Path:
    """The file without the torn line that a kill may have left at its end."""
    if path.exists():
        whole = sum(map(len, _whole(path)))
        if whole < path.stat().st_size:
            os.truncate(path, whole)
    return path


def _whole(path: Path) -> Iterator[bytes]:
    """The lines of a file, but for a torn one at its end."""
    with path.open("rb") as file:
        yield from (line for line in file if line.endswith(b"\n"))


def _lines(path: Path, kind: type[T]) -> Iterator[T]:
    """What the whole lines of a file say.

    Raises:
        StoreError: a line is none of ours.
    """
    decode = msgspec.json.Decoder(kind).decode
    for number, line in enumerate(_whole(path), start=1):
        try:
            yield decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            told = " ".join(str(error).split())
            raise StoreError(f"{path}, line {number} is damaged ({told}); remove the line, and run it again") from None


# --- from a path


def open_run(path: str | Path) -> Run:
    """The run in a folder.

    Raises:
        StoreError: there is none, or it is of a newer format, or damaged.
    """
    home = Path(path)
    file = home / "run.json"
    try:
        data = file.read_bytes()
        version = msgspec.json.decode(data, type=dict[str, object]).get("format")
        if isinstance(version, int) and version > FORMAT:
            raise StoreError(f"{home} is a run of format {version}, this worlddb reads up to {FORMAT}; upgrade worlddb")
        return Run(home, msgspec.json.decode(data, type=Manifest))
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(
            f"{home} holds no run; make one with 'worlddb eval STORE --agent oracle --out {home}'"
        ) from None
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreError(f"{file} is damaged ({error}); run it again in another folder") from None


def begin_run(path: str | Path, manifest: Manifest) -> Run:
    """The run of that manifest in a folder: a new one, or the one that is there, to go on with.

    Raises:
        StoreError: the folder holds something else, or another run, or cannot be written.
    """
    home = Path(path)
    if (home / "run.json").exists():
        there = open_run(home)
        if fields := there.manifest.same_as(manifest):
            told = "; ".join(f"{f} is {getattr(there.manifest, f)} there, {getattr(manifest, f)} here" for f in fields)
            raise StoreError(f"{home} holds another run ({told}); choose another --out, or ask for the same")
        return there
    try:
        home.mkdir(parents=True, exist_ok=True)
        others = _strangers(home.iterdir())
        if others:
            raise StoreError(f"{home} holds something else ('{others[0]}'); choose an empty or a new folder as --out")
        (home / "attempts").mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(home, error.strerror or str(error), "choose another --out") from None
    write_whole(home / "run.json", msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    return Run(home, manifest)


def _strangers(paths: Iterable[Path]) -> list[str]:
    return sorted(p.name for p in paths if not p.name.startswith(".") and p.name != "attempts")
