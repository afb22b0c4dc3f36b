"""The report of a run as one HTML file: figures, plots, tables, and the failures with what was said of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from worlddb.runs import plots
from worlddb.runs.figures import Summary
from worlddb.runs.words import Sheet, about, headline, percent, sheets

_STYLE = """
:root{--ink:#1f2328;--soft:#656d76;--rule:#d0d7de;--ground:#fff;color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9198a1;--rule:#3d444d;--ground:#0d1117}}
body{font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;color:var(--ink);background:var(--ground);
max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin-top:2rem}p.soft,figcaption,td.soft{color:var(--soft)}
table{border-collapse:collapse;display:block;overflow-x:auto;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .7rem;border-bottom:1px solid var(--rule);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}td.wrap{white-space:normal;text-align:left}figure{margin:1rem 0;max-width:44rem}
details{margin:.4rem 0}code{font-size:.92em}
""".strip()
WRAPPED = ("families", "tasks such as")
"""Columns of prose."""


CAPTIONS = {
    "family": "Success by family", "level": "Success by what the user holds back", "calls": "Success by calls of the gold",
}  # fmt: skip


def page(found: Summary, told: Mapping[str, str] | None = None) -> str:
    """The report as one self-contained file, without scripts and without anything from elsewhere.

    `told`: task -> what the verdict said of it, shown under the failures.
    """
    run = found.manifest
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>',
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
        f"<title>{escape(run.label)}</title><style>{_STYLE}\n{plots.STYLE}</style></head><body>",
        f'<h1>{escape(run.label)}</h1><p>{escape(headline(found))}</p><p class="soft">{escape(about(run))}</p>',
        *(f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>" for caption, svg in _plots(found)),
        *map(_table, sheets(found)), *_examples(found, told or {}),
        "</body></html>\n",
    ]  # fmt: skip
    return "\n".join(parts)


def _plots(found: Summary) -> Iterator[tuple[str, str]]:
    for table in (t for t in found.report.tables if t.by in CAPTIONS):
        items = []
        for line in table.lines:
            name = f"{table.by}={line.group}"
            if name in found.intervals:
                rate = line.pass_all.get(1) or 0.0
                items.append(plots.Bar(str(line.group), rate, f"{line.tasks:,} tasks", *found.intervals[name]))
        yield f"{CAPTIONS[table.by]}, with 95 % intervals.", plots.bars(CAPTIONS[table.by], items)
    line = found.report.all
    ks = [k for k, tasks in line.counted.items() if tasks]
    if len(ks) > 1:
        any_of, all_of = ([(k, side[k] or 0.0) for k in ks] for side in (line.pass_any, line.pass_all))
        caption = "pass@k: one of k attempts solves a task; pass^k: all of them do."
        yield caption, plots.curves("pass@k and pass^k", {"pass@k": any_of, "pass^k": all_of}, "k")
    if found.cells:
        cells = {(c.family, c.calls): (c.rate, c.tasks) for c in found.cells}
        yield (
            "Success in percent, by family and calls of the gold.",
            plots.heat("Success by shape", cells, "calls of the gold"),
        )
    if found.failures:
        items = [plots.Bar(f.ring, f.share, f"{f.attempts:,} ({percent(f.share)})") for f in found.failures]
        yield "Where failed attempts failed first, the earliest above.", plots.bars("Failures by ring", items, 1)


def _table(sheet: Sheet) -> str:
    head = "".join(f"<th>{escape(c)}</th>" for c in sheet.columns)
    rows = "\n".join(f"<tr>{''.join(map(_cell, sheet.columns, row))}</tr>" for row in sheet.rows)
    note = f'<p class="soft">{escape(sheet.note)}</p>' if sheet.note else ""
    return f"<h2>{escape(sheet.title)}</h2><table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>{note}"


def _cell(column: str, text: str) -> str:
    return f"<td{' class=' + chr(34) + 'wrap' + chr(34) if column in WRAPPED else ''}>{escape(text)}</td>"


def _examples(found: Summary, told: Mapping[str, str]) -> Iterator[str]:
    for failure in found.failures:
        shown = [(task, told[task]) for task in failure.examples if task in told]
        if shown:
            items = "\n".join(f"<li><code>{escape(task)}</code> {escape(text)}</li>" for task, text in shown)
            yield f"<details><summary>{escape(failure.ring)}: what the verdicts say</summary><ul>{items}</ul></details>"
