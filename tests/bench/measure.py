"""Clocks, repeats and spreads."""

from __future__ import annotations

import gc
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec

PACKAGES = (
    "apsw", "click", "duckdb", "faker", "msgspec", "numpy", "polars", "pydantic", "rich", "sqlalchemy", "sqlmodel",
    "zstandard",
)  # fmt: skip


class Spread(msgspec.Struct, frozen=True):
    """Several measurements of one thing."""

    median: float
    min: float
    max: float


class Figure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One way's result: times, or a plain number such as bytes."""

    repeats: int
    cpu: Spread | None = None
    """User and system time, of this process and of the ones that it started and waited for."""
    wall: Spread | None = None
    value: Spread | None = None
    """What is no time."""


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing measured: ours, and the naive ways to the same."""

    key: str
    what: str
    unit: str
    ours: Figure
    by: str = "cpu"
    """The clock that `ratio` and the table go by; 'value' where the figures are no times."""
    naive: dict[str, Figure] = {}
    budget: dict[str, Any] | None = None
    extra: dict[str, Any] = {}

    @property
    def ratios(self) -> dict[str, float]:
        """Naive over ours, for each naive way."""
        mine = shown(self.ours, self.by)
        return {name: round(shown(f, self.by).median / mine.median, 2) for name, f in self.naive.items() if mine.median}


def shown(figure: Figure, by: str) -> Spread:
    """The spread of a figure that the table shows."""
    found: Spread | None = getattr(figure, by)
    assert found is not None
    return found


class Way(NamedTuple):
    """One way to do a thing.  `run` gets what `setup` gave; only `run` is timed."""

    run: Callable[[Any], Any]
    setup: Callable[[], Any] = lambda: None
    per: int = 1
    """Things done in one run; times are given for one."""
    repeats: int | None = None
    """Fewer than asked for, where the way is slow; then it has no warm-up either."""


def side_by_side(ways: Mapping[str, Way], repeats: int, warmups: int = 1) -> dict[str, Figure]:
    """Times in milliseconds.  The ways take turns, so that a busy spell of the machine hits all of them."""
    walls: dict[str, list[float]] = {name: [] for name in ways}
    cpus: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-warmups, repeats):
        for name, way in ways.items():
            if way.repeats is not None and not 0 <= turn < way.repeats:
                continue
            wall, cpu = once(way)
            if turn >= 0:
                walls[name].append(wall)
                cpus[name].append(cpu)
    return {n: Figure(repeats=len(walls[n]), cpu=spread(cpus[n]), wall=spread(walls[n])) for n in ways}


def once(way: Way) -> tuple[float, float]:
    """Milliseconds of wall and CPU time of one run, per thing."""
    given = way.setup()
    gc.collect()
    cpu, wall = cpu_seconds(), time.perf_counter()
    made = way.run(given)
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    del made  # after the clocks: throwing away is nobody's work
    return wall * 1e3 / way.per, cpu * 1e3 / way.per


def cpu_seconds() -> float:
    """CPU time used so far by this process and by those that it waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def spread(numbers: Iterable[float]) -> Spread:
    """Median, least and greatest."""
    found = list(numbers)
    return Spread(*(round(x, 4) for x in (median(found), min(found), max(found))))


def plain(numbers: Iterable[float]) -> Figure:
    """A figure of numbers that are no times."""
    found = list(numbers)
    return Figure(repeats=len(found), value=spread(found))


def machine() -> dict[str, Any]:
    """What a reader has to know of the machine and of what was installed."""
    import apsw

    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "sqlite": apsw.sqlite_lib_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), platform.processor())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def load_average() -> list[float]:
    """Of the last 1, 5 and 15 minutes: far above 0 before a run means that others were working too."""
    return [round(x, 2) for x in os.getloadavg()]
