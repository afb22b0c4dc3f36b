"""A summary and a comparison in tables of text, for a terminal, for Markdown and for the page alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from worlddb.report import Line
from worlddb.runs.compare import Comparison, Difference, is_clear
from worlddb.runs.figures import Costs, Failure, Summary
from worlddb.runs.model import Manifest

TITLES = {
    "family": "By family",
    "level": "By what the user holds back",
    "calls": "By calls of the gold",
    "writes": "By changes",
}
SHOWN = 20
"""Tasks that are named in a comparison."""


class Sheet(NamedTuple):
    """A table under its title."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def headline(found: Summary) -> str:
    """What came of a run, in a sentence."""
    run, line = found.manifest, found.report.all
    low, high = found.intervals[""]
    rate = line.pass_all.get(1) or 0.0
    whole = run.tasks * run.k
    part = "" if found.attempts >= whole else f" ({found.attempts:,} of {whole:,} attempts)"
    return (
        f"{run.label} solves {percent(rate)} of {count(line.tasks, 'task')} (95 % interval {percent(low)} to {percent(high)}), "
        f"{count(run.k, 'attempt')} each{part}."
    )


def about(run: Manifest) -> str:
    """Who played what, in a line."""
    options = "".join(f", {k} {v}" for k, v in run.options.items())
    return f"Agent {run.agent}{options}; tasks of {run.source} ({run.task_profile}); worlddb {run.version}."


def sheets(found: Summary) -> Iterator[Sheet]:
    """All tables of a summary."""
    tables = [("", "All", (found.report.all,)), *((t.by, TITLES[t.by], t.lines) for t in found.report.tables)]
    for by, title, lines in tables:
        named = [(f"{by}={line.group}" if by else "", line) for line in lines]
        yield _passes(found, title, [(name, line) for name, line in named if name in found.intervals])
    yield _costs(found)
    if found.failures:
        yield _failures(found)
    if found.stopped:
        yield Sheet(
            "Stopped before the end", ("why", "attempts"), tuple((w, f"{n:,}") for w, n in found.stopped.items())
        )


def _passes(found: Summary, title: str, lines: Sequence[tuple[str, Line]]) -> Sheet:
    ks = [k for k, tasks in found.report.all.counted.items() if tasks]
    more = [k for k in ks if k > 1]
    columns = (
        "", "tasks", "attempts", "success", "95 %", *(f"pass@{k}" for k in more), *(f"pass^{k}" for k in more),
        "calls", "gold calls", "tokens", "seconds",
    )  # fmt: skip
    rows = tuple(
        (
            _label(name), f"{line.tasks:,}", f"{line.runs:,}", rate(line.pass_all.get(1)), _interval(found, name),
            *(rate(line.pass_any[k]) for k in more), *(rate(line.pass_all[k]) for k in more), *_means(found.costs[name]),
        )
        for name, line in lines
    )  # fmt: skip
    return Sheet(title, columns, rows, "Calls, tokens and seconds are means of an attempt.")


def _means(costs: Costs) -> tuple[str, ...]:
    n, tokens = costs.attempts, costs.prompt_tokens + costs.completion_tokens
    return f"{costs.calls / n:.1f}", f"{costs.gold_calls / n:.1f}", f"{tokens / n:,.0f}", f"{costs.seconds / n:.2f}"


def _interval(found: Summary, name: str) -> str:
    low, high = found.intervals[name]
    return f"{rate(low)}-{rate(high)}"


def _costs(found: Summary) -> Sheet:
    costs = found.costs[""]
    solved = costs.solved or None
    figures = (
        ("calls", costs.calls), ("prompt tokens", costs.prompt_tokens), ("completion tokens", costs.completion_tokens),
        ("seconds", costs.seconds),
    )  # fmt: skip
    rows = tuple(
        (name, f"{n:,.0f}", f"{n / costs.attempts:,.2f}", f"{n / solved:,.2f}" if solved else "-")
        for name, n in figures
    )
    return Sheet("Costs", ("", "in sum", "an attempt", "a solved attempt"), rows)


def _failures(found: Summary) -> Sheet:
    rows = tuple(
        (f.ring, f"{f.attempts:,}", f"{f.tasks:,}", percent(f.share), _families(f), ", ".join(f.examples))
        for f in found.failures
    )
    note = "Each failed attempt counts where it failed first; the tasks named are those that fail there most often."
    return Sheet("Failures", ("ring", "attempts", "tasks", "share", "families", "tasks such as"), rows, note)


def _families(failure: Failure) -> str:
    return ", ".join(f"{family} {n:,}" for family, n in list(failure.families.items())[:4])


def compared(found: Comparison) -> Iterator[Sheet]:
    """All tables of a comparison."""
    columns = ("", "tasks", "A", "B", "B - A", "95 %", "won", "lost", "p")
    note = "The interval is a bootstrap over worlds where there are 20 or more, else over tasks; p is of the sign test."
    for by in dict.fromkeys(line.by for line in found.lines):
        rows = tuple(_compared(line) for line in found.lines if line.by == by)
        yield Sheet(TITLES.get(by, "All"), columns, rows, note if not by else "")
    for title, tasks in (("Won by B", found.won), ("Lost by B", found.lost)):
        if tasks:
            more = f"and {len(tasks) - SHOWN:,} more" if len(tasks) > SHOWN else ""
            yield Sheet(f"{title}: {count(len(tasks), 'task')}", ("task",), tuple((t,) for t in tasks[:SHOWN]), more)


def _compared(line: Difference) -> tuple[str, ...]:
    mark = " *" if is_clear(line) else ""
    return (
        line.group or "all", f"{line.tasks:,}", rate(line.a), rate(line.b), f"{line.delta:+.3f}{mark}",
        f"{line.low:+.3f} to {line.high:+.3f}", f"{line.won:,}", f"{line.lost:,}", f"{line.p:.3g}",
    )  # fmt: skip


# --- words


def _label(name: str) -> str:
    return name.partition("=")[2] or "all"


def rate(value: float | None) -> str:
    """A rate as a table has it."""
    return "-" if value is None else f"{value:.3f}"


def percent(value: float) -> str:
    """A rate as prose has it."""
    return f"{100 * value:.1f} %"


def count(n: int, noun: str) -> str:
    """So many things."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


# --- as text


def markdown(found: Summary) -> str:
    """A summary as Markdown."""
    return (
        "\n\n".join(
            [f"# {found.manifest.label}", headline(found), about(found.manifest), *map(_markdown, sheets(found))]
        )
        + "\n"
    )


def _markdown(sheet: Sheet) -> str:
    lines = [_row(sheet.columns), _row(["---"] + ["---:"] * (len(sheet.columns) - 1)), *map(_row, sheet.rows)]
    return "\n".join([f"## {sheet.title}", "", *lines, *(["", sheet.note] if sheet.note else [])])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(c.replace('|', chr(92) + '|') for c in cells)} |"
