"""Reports over many runs: how often tasks are solved, how reliably, and whether all variants of a scenario are.

Runs are lines of JSON, one for each attempt at a task; they are read one by one, and only a tally of each task is kept.

    task      its id                      scenario   the id of the task that it is a variant of; if empty, the task itself
    reward    what the attempt was worth  run        anything that tells the attempts at a task apart
    family, level, profile, or any other field: what attempts can be grouped by

Estimators, for a task with n attempts of which c passed:

    pass@k = 1 - C(n-c, k) / C(n, k)    the chance that at least one of k attempts passes (Chen et al., 2021)
    pass^k = C(c, k) / C(n, k)          the chance that all of k attempts pass (Yao et al., 2024)

Both are unbiased, and averaged over the tasks with at least k attempts.  all^k of a scenario is the product of its variants'
pass^k: the chance that k attempts at each variant all pass.  With one attempt each, all^1 is the share of scenarios all of
whose variants were solved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import msgspec

from worlddb.errors import BadRequest

FIELDS = ("family", "level", "profile")
"""By what runs are grouped where they have it, if nothing else is asked for."""
KS = (1, 2, 4, 8)
NEARLY = 1e-9
"""By how much a reward may miss the bar and pass."""
Value: TypeAlias = str | int | float | bool | None


@lru_cache(4096)
def pass_all(n: int, c: int, k: int) -> float:
    """pass^k: the chance that k of n attempts, drawn without putting back, are all among the c that passed.

    >>> pass_all(4, 2, 2)
    0.16666666666666666
    """
    return math.comb(c, k) / math.comb(n, k)


@lru_cache(4096)
def pass_any(n: int, c: int, k: int) -> float:
    """pass@k: the chance that at least one of k of n attempts is among the c that passed.

    >>> pass_any(4, 2, 2)
    0.8333333333333334
    """
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


class Tally:
    """The attempts at one task."""

    __slots__ = ("n", "passed", "reward")

    def __init__(self, n: int = 0, passed: int = 0, reward: float = 0.0) -> None:
        self.n, self.passed, self.reward = n, passed, reward

    def add(self, other: Tally) -> None:
        """Count the attempts of another."""
        self.n += other.n
        self.passed += other.passed
        self.reward += other.reward


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one group of tasks.  Of the dictionaries the keys are k; None: no task (no scenario) has k attempts."""

    group: Value
    """What its runs have in common; None in the line of all runs, and for runs that lack the field."""
    tasks: int
    runs: int
    reward: float
    """Mean of the tasks' mean rewards, so that a task counts the same however often it was attempted."""
    pass_any: dict[int, float | None]
    """pass@k."""
    pass_all: dict[int, float | None]
    """pass^k."""
    counted: dict[int, int]
    """Tasks with at least k attempts, over which both are averaged."""
    scenarios: int
    variants: int
    """Of these, the scenarios with more than one variant."""
    all_variants: dict[int, float | None]
    """all^k, averaged over the scenarios whose variants all have at least k attempts."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Runs grouped by a field."""

    by: str
    lines: tuple[Line, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All runs, and their groups."""

    bar: float
    """The reward from which on an attempt passes."""
    all: Line
    tables: tuple[Table, ...]


class _Group(NamedTuple):
    """What runs of one tally share: task, scenario, and the values of the fields."""

    task: str
    scenario: str
    values: tuple[Value, ...]


class Runs:
    """Runs, counted."""

    def __init__(self, by: Sequence[str] | None = None, bar: float = 1.0) -> None:
        """`by`: the fields by which runs can be grouped ('task' and 'scenario' among them), None for FIELDS where runs have
        them; `bar`: the reward from which on an attempt passes.

        Raises:
            BadRequest: the bar is no number above 0, or a field cannot be grouped by.
        """
        if not 0 < bar < math.inf:
            raise BadRequest(f"an attempt passes from a reward above 0 on, not from {bar:g}; give such a bar")
        for name in by or ():
            if name in ("", "reward", "run"):
                raise BadRequest(f"runs cannot be grouped by '{name}'; give task, scenario or a field such as family")
        self._asked, self.bar = by is not None, bar
        self.by = tuple(dict.fromkeys(FIELDS if by is None else by))
        self._extra = tuple(name for name in self.by if name not in ("task", "scenario"))
        self._tallies: dict[_Group, Tally] = {}
        self._lines = set[int]()
        self._decoder = _decoder(self._extra)
        self._values = _reader(len(self._extra))

    def read(self, lines: Iterable[bytes], name: str = "runs") -> Runs:
        """Count the runs of a file, a line each; empty lines are passed over.

        Raises:
            BadRequest: a line is no run, or the same as another one that says its `run`.
        """
        decode = self._decoder.decode
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                self._count(decode(line), line)
            except (msgspec.DecodeError, UnicodeDecodeError, BadRequest) as error:
                text = " ".join(str(error).split())
                raise BadRequest(
                    f"{name}, line {number}: {text}; a run is a JSON object such as "
                    '{"task": "hotel-12/3", "run": 0, "reward": 1.0}'
                ) from None
        return self

    def _count(self, run: Any, line: bytes) -> None:
        if not run.task:
            raise BadRequest("the run does not say its task")
        if not -math.inf < run.reward < math.inf:
            raise BadRequest(f"the reward is {run.reward}")
        if run.run is not None:
            mark = hash(line.strip())
            if mark in self._lines:
                raise BadRequest(f"the same line stood before: run {run.run} of {run.task} would count twice")
            self._lines.add(mark)
        group = _Group(run.task, run.scenario or run.task, self._values(run))
        tally = self._tallies.get(group)
        if tally is None:
            tally = self._tallies[group] = Tally()
        tally.n += 1
        tally.passed += run.reward >= self.bar - NEARLY
        tally.reward += run.reward

    def report(self, ks: Sequence[int] | None = None) -> Report:
        """All figures.  `ks` None: those of 1, 2, 4 and 8 that some task has attempts for.

        Raises:
            BadRequest: there are no runs, a k is below 1, or no run has a field that was asked for.
        """
        if not self._tallies:
            raise BadRequest("there are no runs; give JSON lines, one for each attempt")
        if ks is not None and (not ks or min(ks) < 1):
            raise BadRequest("k counts attempts; give numbers from 1 on")
        whole = self._merged(lambda group: None)[None]
        most = max(tally.n for tally in whole.values())
        chosen = tuple(dict.fromkeys(ks)) if ks is not None else tuple(k for k in KS if k <= most)
        tables = (self._table(name, chosen) for name in self.by)
        return Report(bar=self.bar, all=_line(None, whole, chosen), tables=tuple(t for t in tables if t is not None))

    def _table(self, name: str, ks: Sequence[int]) -> Table | None:
        if name in self._extra:
            at = self._extra.index(name)
            groups = self._merged(lambda group: group.values[at])
        else:
            groups = self._merged(lambda group: getattr(group, name))
        if set(groups) == {None}:
            if self._asked:
                raise BadRequest(f"no run has a '{name}'; group by a field that runs have")
            return None
        ordered = sorted(groups, key=_place)
        return Table(by=name, lines=tuple(_line(value, groups[value], ks) for value in ordered))

    def _merged(self, value_of: Callable[[_Group], Value]) -> dict[Value, dict[tuple[str, str], Tally]]:
        """Group -> (scenario, task) -> attempts."""
        found: dict[Value, dict[tuple[str, str], Tally]] = {}
        for group, tally in self._tallies.items():
            tasks = found.setdefault(value_of(group), {})
            tasks.setdefault((group.scenario, group.task), Tally()).add(tally)
        return found


def _decoder(names: Sequence[str]) -> msgspec.json.Decoder[Any]:
    """Of runs with these fields beside their own, as by_0, by_1 …; whatever else a line holds is passed over."""
    own: list[Any] = [("task", str), ("reward", float), ("run", Value, None), ("scenario", str, "")]
    by = {f"by_{at}": name for at, name in enumerate(names)}
    return msgspec.json.Decoder(msgspec.defstruct("Run", [*own, *((key, Value, None) for key in by)], rename=by))


def _reader(count: int) -> Callable[[Any], tuple[Value, ...]]:
    keys = [f"by_{at}" for at in range(count)]
    return lambda run: tuple([getattr(run, key) for key in keys])


def _place(value: Value) -> tuple[int, float, str]:
    """Numbers by size, then texts, then what is not there."""
    if value is None:
        return 2, 0, ""
    return (1, 0, value) if isinstance(value, str) else (0, value, "")


def _line(group: Value, tasks: dict[tuple[str, str], Tally], ks: Sequence[int]) -> Line:
    scenarios: dict[str, list[Tally]] = {}
    for (scenario, _), tally in tasks.items():
        scenarios.setdefault(scenario, []).append(tally)
    tallies, variants = list(tasks.values()), list(scenarios.values())
    enough = {k: [t for t in tallies if t.n >= k] for k in ks}
    whole = {k: [some for some in variants if all(t.n >= k for t in some)] for k in ks}
    return Line(
        group=group, tasks=len(tallies), runs=sum(t.n for t in tallies), reward=_mean(t.reward / t.n for t in tallies) or 0.0,
        pass_any={k: _mean(pass_any(t.n, t.passed, k) for t in enough[k]) for k in ks},
        pass_all={k: _mean(pass_all(t.n, t.passed, k) for t in enough[k]) for k in ks},
        counted={k: len(enough[k]) for k in ks}, scenarios=len(variants), variants=sum(len(v) > 1 for v in variants),
        all_variants={k: _mean(math.prod(pass_all(t.n, t.passed, k) for t in some) for some in whole[k]) for k in ks},
    )  # fmt: skip


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return math.fsum(found) / len(found) if found else None


# --- as a table


def columns_of(report: Report) -> tuple[str, ...]:
    """Names of the columns of `row_of`, apart from the first."""
    ks = list(report.all.counted)
    varied = report.all.variants > 0
    return (
        "tasks", "runs", "reward", *(f"pass@{k}" for k in ks if k > 1), *(f"pass^{k}" for k in ks),
        *(["scenarios", *(f"all^{k}" for k in ks)] if varied else []),
    )  # fmt: skip


def row_of(report: Report, line: Line) -> tuple[str, ...]:
    """The figures of a line as text.  pass@1 is pass^1, and stands once; scenarios only where some have several variants."""
    ks = list(report.all.counted)
    varied = report.all.variants > 0
    return (
        f"{line.tasks:,}", f"{line.runs:,}", _text(line.reward), *(_text(line.pass_any[k]) for k in ks if k > 1),
        *(_text(line.pass_all[k]) for k in ks),
        *([f"{line.scenarios:,}", *(_text(line.all_variants[k]) for k in ks)] if varied else []),
    )  # fmt: skip


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
