"""What came of a run, in figures: how much was solved and how reliably, what it cost, and where it failed first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from worlddb.episode.verdict import RINGS
from worlddb.errors import BadRequest
from worlddb.report import KS, Report, Runs
from worlddb.runs.folder import Run
from worlddb.runs.model import Brief, Manifest

BY = ("family", "level", "calls", "writes")
"""What attempts are grouped by, where any has it."""
EXAMPLES = 5
"""Tasks that are named for each way to fail."""
SURE = 1.96
"""Standard deviations of a 95 % interval."""


class Tallied(msgspec.Struct, kw_only=True):
    """The attempts at one task."""

    task: str
    family: str
    level: str | None
    calls: int
    writes: int
    n: int = 0
    passed: int = 0

    @property
    def rate(self) -> float:
        """The share that passed."""
        return self.passed / self.n

    @property
    def world(self) -> str:
        """The id of its world."""
        return self.task.rpartition("/")[0]


class Costs(msgspec.Struct, kw_only=True):
    """What attempts cost, in sum."""

    attempts: int = 0
    solved: int = 0
    calls: int = 0
    gold_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    def add(self, brief: Brief) -> None:
        """Count an attempt."""
        self.attempts += 1
        self.solved += brief.passed
        self.calls += brief.used
        self.gold_calls += brief.calls
        self.prompt_tokens += brief.prompt_tokens
        self.completion_tokens += brief.completion_tokens
        self.seconds += brief.seconds


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts that failed in one ring."""

    ring: str
    attempts: int
    tasks: int
    share: float
    """Of all attempts that failed."""
    families: dict[str, int]
    """Attempts by family, the most first."""
    examples: tuple[str, ...]
    """Ids of tasks, those that fail here most often first."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks of one family and one length."""

    family: str
    calls: int
    tasks: int
    rate: float


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of a run."""

    manifest: Manifest
    attempts: int
    """That there are; `manifest.k` times `manifest.tasks` once it is finished."""
    report: Report
    """n, pass@k and pass^k of all, by family, level and length."""
    intervals: dict[str, tuple[float, float]]
    """'' for all tasks, 'family=question' for a group -> 95 % interval of the pass rate (Wilson's, over tasks)."""
    costs: dict[str, Costs]
    """By the same names."""
    failures: tuple[Failure, ...]
    """In the order of the rings, the earliest first."""
    stopped: dict[str, int]
    """Why agents were stopped -> attempts."""
    cells: tuple[Cell, ...]


def summary(run: Run) -> Summary:
    """The figures of a run, finished or not; it is read twice, and never held in memory.

    Raises:
        BadRequest: nothing was attempted yet.
    """
    tallies: dict[str, Tallied] = {}
    costs: dict[str, Costs] = {}
    rings: dict[str, Counter[str]] = {}
    stopped: Counter[str] = Counter()
    fields = set[str]()
    for brief in run.briefs():
        tally(tallies, brief)
        for name in groups_of(brief):
            costs.setdefault(name, Costs()).add(brief)
        fields |= {f for f in BY if getattr(brief, f) is not None}
        if not brief.passed:
            rings.setdefault(brief.ring or "database", Counter())[brief.task] += 1
        if brief.stopped:
            stopped[brief.stopped] += 1
    if not tallies:
        raise BadRequest(f"{run.path} has no attempts yet; the command that began it goes on with it")
    lines = (msgspec.json.encode(brief) for brief in run.briefs())
    found = Runs([f for f in BY if f in fields]).read(lines, str(run.path))
    return Summary(
        manifest=run.manifest, attempts=costs[""].attempts, report=found.report(_ks(run.manifest.k, tallies.values())),
        intervals=_intervals(tallies.values()), costs=costs, failures=tuple(_failures(rings, tallies)),
        stopped=dict(stopped.most_common()), cells=tuple(_cells(tallies.values())),
    )  # fmt: skip


def tally(tallies: dict[str, Tallied], brief: Brief) -> None:
    """Count an attempt at its task."""
    one = tallies.get(brief.task)
    if one is None:
        one = tallies[brief.task] = Tallied(
            task=brief.task, family=brief.family, level=brief.level, calls=brief.calls, writes=brief.writes
        )
    one.n += 1
    one.passed += brief.passed


def tallied(run: Run) -> dict[str, Tallied]:
    """The attempts of a run, by task."""
    found: dict[str, Tallied] = {}
    for brief in run.briefs():
        tally(found, brief)
    return found


def groups_of(one: Brief | Tallied) -> Iterator[str]:
    """Names of the groups that it belongs to; '' is all."""
    yield ""
    for name in BY:
        if (value := getattr(one, name)) is not None:
            yield f"{name}={value}"


def _ks(k: int, tallies: Iterable[Tallied]) -> tuple[int, ...]:
    """The powers of two up to the attempts that were made, and k."""
    most = max(t.n for t in tallies)
    return tuple(sorted({x for x in (*KS, k) if x <= most}))


def wilson(rate: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate over n tasks.

    >>> low, high = wilson(0.0, 10)
    >>> round(low, 3), round(high, 3)
    (0.0, 0.278)
    """
    middle = (rate + SURE**2 / (2 * n)) / (1 + SURE**2 / n)
    half = SURE * math.sqrt(rate * (1 - rate) / n + SURE**2 / (4 * n * n)) / (1 + SURE**2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def _intervals(tallies: Iterable[Tallied]) -> dict[str, tuple[float, float]]:
    rates: dict[str, list[float]] = {}
    for one in tallies:
        for name in groups_of(one):
            rates.setdefault(name, []).append(one.rate)
    return {name: wilson(min(1.0, math.fsum(r) / len(r)), len(r)) for name, r in rates.items()}


def _failures(rings: dict[str, Counter[str]], tallies: dict[str, Tallied]) -> Iterator[Failure]:
    every = sum(map(Counter.total, rings.values()))
    order = [*RINGS, *sorted(set(rings) - set(RINGS))]
    for ring in (r for r in order if r in rings):
        tasks = rings[ring]
        families: Counter[str] = Counter()
        for task, count in tasks.items():
            families[tallies[task].family] += count
        named = sorted(tasks, key=lambda t: (-tasks[t], t))[:EXAMPLES]
        yield Failure(
            ring=ring, attempts=tasks.total(), tasks=len(tasks), share=tasks.total() / every,
            families=dict(sorted(families.items(), key=lambda f: (-f[1], f[0]))), examples=tuple(named),
        )  # fmt: skip


def _cells(tallies: Iterable[Tallied]) -> Iterator[Cell]:
    found: dict[tuple[str, int], list[float]] = {}
    for one in tallies:
        found.setdefault((one.family, one.calls), []).append(one.rate)
    for (family, calls), rates in sorted(found.items()):
        yield Cell(family=family, calls=calls, tasks=len(rates), rate=math.fsum(rates) / len(rates))
