"""The result as a table on the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.measure import Figure, Row, shown


def table(stages: dict[str, list[Row]], console: Console) -> None:
    """Print all rows: ours beside each naive way, their ratio, and the budget."""
    out = Table(title="median (least to greatest); ratio = naive / ours", title_justify="left")
    for name in ("stage", "measured", "unit", "clock"):
        out.add_column(name, overflow="fold")
    for name in ("ours", "naive", "ratio", "budget"):
        out.add_column(name, justify="right")
    out.add_column("naive way", overflow="fold")
    for stage, rows in stages.items():
        for row in rows:
            _add(out, stage, row)
        out.add_section()
    console.print(out)


def _add(out: Table, stage: str, row: Row) -> None:
    limit = _number(row.budget["limit"]) if row.budget else ""
    first = [stage, row.what, row.unit, "" if row.by == "value" else row.by, _figure(row.ours, row.by)]
    lines = [(_figure(f, row.by), f"{row.ratios.get(n, 0):g}x", n) for n, f in row.naive.items()] or [("", "", "")]
    for i, (naive, ratio, name) in enumerate(lines):
        out.add_row(*(first if i == 0 else [""] * 5), naive, ratio, limit if i == 0 else "", name)


def split(stages: dict[str, list[Row]], console: Console) -> None:
    """Print where generate() spends its time, one column a profile."""
    rows = [r for r in stages.get("generate", ()) if "split" in r.extra]
    if not rows:
        return
    out = Table(title="generate(), CPU ms per world (share, calls); _draw, _obey and settle are parts of fill",
                title_justify="left")  # fmt: skip
    out.add_column("function")
    for row in rows:
        out.add_column(row.extra["sizes"]["profile"], justify="right")
    for name in rows[0].extra["split"]:
        out.add_row(name, *(_part(row.extra["split"][name]) for row in rows))
    console.print(out)


def _part(found: dict[str, Any]) -> str:
    calls = f", {found['calls']:g}" if found.get("calls", 1) != 1 else ""
    return f"{_number(found['ms'])} ({found['share']:.0%}{calls})"


def _figure(figure: Figure, by: str) -> str:
    found = shown(figure, by)
    if found.min == found.max:
        return _number(found.median)
    return f"{_number(found.median)} ({_number(found.min)} to {_number(found.max)})"


def _number(x: float) -> str:
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.4g}" if abs(x) >= 100 else f"{x:.3g}"
