"""Plots as SVG, drawn here: bars, curves, a heat map.  No scripts, no fonts from elsewhere, readable on light and dark ground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

WIDTH, BAR, GAP, LABEL = 640.0, 18.0, 8.0, 150.0
_HUES = ("#2f81f7", "#d9822b", "#2da44e", "#c2438f")
STYLE = """
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--ink)}
svg .m{fill:var(--soft);font-size:11px}svg .e{text-anchor:end}svg .c{text-anchor:middle}
svg .axis{stroke:var(--rule);fill:none}svg .whisker{stroke:var(--ink);stroke-width:1.4;fill:none}
svg .back{fill:var(--rule);fill-opacity:.35}
""".strip()
"""What the page must have in its style, beside the variables --ink, --soft and --rule."""


SHARES = (0, 25, 50, 75, 100)
BACK = 'class="back"'
LONGEST = 22
"""Characters of a label."""


class Bar(NamedTuple):
    """One bar: from 0 to 1."""

    label: str
    value: float
    note: str = ""
    """What stands behind it."""
    low: float | None = None
    high: float | None = None
    """An interval, drawn as a whisker."""


def bars(title: str, items: Sequence[Bar], hue: int = 0) -> str:
    """Horizontal bars with their labels, intervals and notes."""
    right = WIDTH - 110
    scale, height = right - LABEL, len(items) * (BAR + GAP) + 26
    parts = []
    for share in SHARES:
        x = LABEL + scale * share / 100
        parts += [f'<path class="axis" d="M{_n(x)} 0V{_n(height - 20)}"/>', _text(f"{share} %", x, height - 6, "m c")]
    for number, one in enumerate(items):
        y = number * (BAR + GAP) + 2
        middle = y + BAR / 2
        parts += [
            _text(one.label, LABEL - 8, middle + 4, "e"),
            _rect(LABEL, y, scale * one.value, BAR, f'fill="{_HUES[hue % len(_HUES)]}"'),
            _text(one.note, right + 8, middle + 4, "m"),
        ]
        if one.low is not None and one.high is not None:
            low, high = _n(LABEL + scale * one.low), _n(LABEL + scale * one.high)
            ends = f"M{low} {middle - 4:g}v8M{high} {middle - 4:g}v8"
            parts.append(f'<path class="whisker" d="M{low} {middle:g}H{high}{ends}"/>')
    return _svg(title, height, parts)


def curves(title: str, lines: Mapping[str, Sequence[tuple[int, float]]], below: str) -> str:
    """Curves of rates over numbers, which are spaced evenly."""
    left, right, top, bottom = 46.0, WIDTH - 90, 10.0, 190.0
    ticks = sorted({k for points in lines.values() for k, _ in points})
    step = (right - left) / max(1, len(ticks) - 1)
    parts = [_text(str(k), left + step * number, bottom + 16, "m c") for number, k in enumerate(ticks)]
    parts.append(_text(below, (left + right) / 2, bottom + 32, "m c"))
    for share in SHARES:
        y = bottom - (bottom - top) * share / 100
        parts += [f'<path class="axis" d="M{left:g} {_n(y)}H{right:g}"/>', _text(f"{share} %", left - 6, y + 4, "m e")]
    for number, (label, points) in enumerate(lines.items()):
        hue = _HUES[number % len(_HUES)]
        places = [(left + step * ticks.index(k), bottom - (bottom - top) * v) for k, v in points]
        path = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in places)
        parts.append(f'<path fill="none" stroke="{hue}" stroke-width="2" d="{path}"/>')
        parts += [f'<circle fill="{hue}" cx="{_n(x)}" cy="{_n(y)}" r="3"/>' for x, y in places]
        x, y = places[-1]
        parts.append(_text(label, x + 8, y + (16 if number else -4), ""))
    return _svg(title, bottom + 40, parts)


def heat(title: str, cells: Mapping[tuple[str, int], tuple[float, int]], below: str) -> str:
    """A heat map of rates, (row, column) -> rate and how many it is of; the percentages stand in it."""
    rows, columns = sorted({row for row, _ in cells}), sorted({column for _, column in cells})
    side, tall, end = min(46.0, (WIDTH - LABEL) / max(1, len(columns))), 24.0, 24.0 * len(rows)
    parts = [_text(row, LABEL - 8, tall * i + 15, "e") for i, row in enumerate(rows)]
    parts += [_text(str(c), LABEL + side * (i + 0.5), end + 14, "m c") for i, c in enumerate(columns)]
    parts.append(_text(below, LABEL, end + 30, "m"))
    for (row, column), (value, n) in sorted(cells.items()):
        x, y = LABEL + side * columns.index(column), tall * rows.index(row)
        told = escape(f"{row}, {column}: {100 * value:.0f} % of {n}")
        shade = f'fill="{_HUES[0]}" fill-opacity="{value:.2f}"'
        parts.append(
            f"<g><title>{told}</title>{_rect(x, y, side - 2, tall - 2, BACK)}{_rect(x, y, side - 2, tall - 2, shade)}"
            f"{_text(f'{100 * value:.0f}', x + side / 2 - 1, y + 15, 'c')}</g>"
        )
    return _svg(title, end + 38, parts)


def _text(text: str, x: float, y: float, kind: str) -> str:
    short = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return f'<text class="{kind}" x="{_n(x)}" y="{_n(y)}">{escape(short)}</text>'


def _rect(x: float, y: float, width: float, height: float, look: str) -> str:
    return f'<rect {look} x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="2"/>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {_n(height)}" role="img">'
    return "\n".join([f"{head}<title>{escape(title)}</title>", *parts, "</svg>"])


def _n(number: float) -> str:
    return f"{number:.1f}"
