"""An ER diagram as one self-contained SVG: no scripts, no fonts from elsewhere, readable on light and dark ground."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from worlddb.schema.diagram_layout import Box, End, Link, Net, Plan, layout
from worlddb.schema.model import Column, Schema, Table
from worlddb.semantics.types import semantic_type

ROW, HEAD, PAD = 19.0, 30.0, 12.0
MANY_TABLES, MOST_ROWS = 24, 9
"""Beyond so many tables, a box shows its keys and first columns only, at most so many rows."""
_BORDER, _FOOT, _CORNER = 28.0, 46.0, 6.0
_HUES = ("#2f81f7", "#d9822b", "#2da44e", "#c2438f", "#8a63d2", "#0f9aa8", "#cf4a3c", "#9a8400", "#5b6ee1", "#5f8f2f")
_NEUTRAL = "#7d8590"
_STYLE = """
.bg{fill:#fff}.box{fill:#fff;stroke:#d0d7de}.head{fill-opacity:.13}.rule{stroke:#d0d7de;stroke-opacity:.55}
text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","DejaVu Sans",Arial,sans-serif;fill:#1f2328}
.t{font-weight:600;font-size:13px}.k{font-weight:600}.m{fill:#656d76;font-size:11px}.big{font-weight:600;font-size:17px}
.e{text-anchor:end}.line{fill:none;stroke-width:1.6}.opt{stroke-dasharray:4 3}.dot{stroke:none}
.halo{stroke:#fff;stroke-width:4.6}
@media (prefers-color-scheme:dark){.bg{fill:#0d1117}.box{fill:#161b22;stroke:#3d444d}.head{fill-opacity:.28}
.rule{stroke:#3d444d}text{fill:#e6edf3}.m{fill:#9198a1}.halo{stroke:#0d1117}}
""".strip()


def svg(schema: Schema) -> str:
    """The schema's ER diagram as SVG text.

    Parents stand left of their children; a line has the colour of the table it leads to, ends in a crow's foot where
    many rows may refer to one, and is dashed where the reference may be empty.
    """
    rows = {t.key: _rows(schema, t) for t in schema.tables}
    boxes = [_box(t, rows[t.key]) for t in schema.tables]
    plan = layout(boxes, list(_links(schema, rows)))
    colours = _colours(schema)
    width, height = max(plan.width + 2 * _BORDER, 480), plan.height + 2 * _BORDER + _FOOT + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img"><title>{_text(schema.title)}</title>',
        f"<desc>{_text(_description(schema))}</desc><style>{_STYLE}</style>",
        f'<rect class="bg" width="{width:.0f}" height="{height:.0f}"/>',
        f'<text class="big" x="{_BORDER}" y="{_BORDER + 8}">{_text(schema.title)}</text>',
        f'<g transform="translate({_BORDER} {_BORDER + 32})">',
        *(line for net in plan.nets for line in _net(plan, net, colours)),
        *(line for link in plan.loops for line in _loop(plan, link, colours)),
        *(line for t in schema.tables for line in _table(plan.boxes[t.key], t, rows[t.key], colours)),
        f"</g>{_legend(height)}</svg>",
    ]
    return "\n".join(parts) + "\n"


def _description(schema: Schema) -> str:
    references = sum(1 for _ in schema.edges())
    return f"Entity-relationship diagram of {len(schema.tables)} tables and {references} references."


def _text(text: str) -> str:
    """Escaped, and without the control characters that XML forbids."""
    return escape("".join(c if c >= " " and c not in "\x7f\ufffe\uffff" else "\ufffd" for c in text))


def text_width(text: str, size: float = 12.0) -> float:
    """About how wide a text is in a usual sans-serif face, in pixels; rather too wide than too narrow."""
    ems = 0.0
    for c in text:
        if c > "\u2e80":
            ems += 1.02
        else:
            ems += 0.34 if c in "iljtfrI.,:;'|!()[] " else 0.92 if c in "mwMW@%" else 0.7 if c.isupper() else 0.6
    return ems * size


def _short(text: str, width: float, size: float = 12.0) -> str:
    """The text, cut with an ellipsis where it is wider than `width` pixels."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text + "…"


# --- boxes

Row = tuple[Column | None, str]
"""A column, or None for the line that counts what is left out; and the key of the table that it refers to, or ''."""


def _rows(schema: Schema, table: Table) -> list[Row]:
    refers = {c: f.table for f in table.foreign_keys for c in f.columns}
    every: list[Row] = [(c, refers.get(c.key, "")) for c in table.columns]
    if len(schema.tables) <= MANY_TABLES or len(every) <= MOST_ROWS:
        return every
    keys = [r for r in every if r[0] and r[0].key in table.key_columns]
    state = table.lifecycle.column if table.lifecycle else ""
    rest = sorted(
        (r for r in every if r not in keys), key=lambda r: r[0] is None or r[0].key not in (table.title, state)
    )
    shown = keys + rest[: max(MOST_ROWS - 1 - len(keys), 0)]
    return [*sorted(shown, key=every.index), (None, str(len(every) - len(shown)))]


def _words(column: Column) -> str:
    return semantic_type(column.type).wording + ("?" if column.nullable else "")


def _box(table: Table, rows: list[Row]) -> Box:
    widest = max((text_width(c.name) + text_width(_words(c), 11) for c, _ in rows if c), default=0) + 60
    head = text_width(table.name, 13.5) + 2 * PAD
    return Box(table.key, round(min(max(widest, head, 150), 310)), HEAD + ROW * len(rows) + 7)


def _row_y(number: int) -> float:
    return HEAD + 4 + ROW * number + ROW / 2


def _links(schema: Schema, rows: dict[str, list[Row]]) -> Iterator[Link]:
    at = {key: {c.key: _row_y(i) for i, (c, _) in enumerate(listed) if c} for key, listed in rows.items()}
    for table, key in schema.edges():
        target = at[key.table].get(key.ref[0], HEAD / 2) if len(key.ref) == 1 else HEAD / 2
        yield Link(key.table, target, table.key, at[table.key][key.columns[0]], key.nullable, key.unique)


def _colours(schema: Schema) -> dict[str, str]:
    """A colour for each table that others refer to."""
    hubs = [t.key for t in schema.tables if schema.children[t.key]]
    return {key: _HUES[i % len(_HUES)] for i, key in enumerate(hubs)}


def _table(box: Box, table: Table, rows: list[Row], colours: dict[str, str]) -> Iterator[str]:
    x, y, w, h = box.x, box.y, box.width, box.height
    hue = colours.get(table.key, _NEUTRAL)
    yield f'<g><title>{_text(table.name)}</title><rect class="box" x="{x}" y="{y}" width="{w}" height="{h}" rx="7"/>'
    low = y + HEAD
    yield (
        f'<path class="head" fill="{hue}" d="M{x} {low}V{y + 7}a7 7 0 0 1 7 -7H{x + w - 7}a7 7 0 0 1 7 7V{low}Z"/>'
        f'<rect fill="{hue}" x="{x}" y="{low - 1.5}" width="{w}" height="1.5"/>'
        f'<text class="t" x="{x + PAD}" y="{y + 20}">{_text(_short(table.name, w - 2 * PAD, 13.5))}</text>'
    )
    for number, (column, parent) in enumerate(rows):
        middle = y + _row_y(number)
        if column is None:
            yield f'<text class="m" x="{x + 26}" y="{middle + 4}">and {parent} more</text>'
            continue
        yield from _column(box, column, middle, column.key in table.primary_key, colours.get(parent, ""))
    yield "</g>"


def _column(box: Box, column: Column, middle: float, key: bool, hue: str) -> Iterator[str]:
    x, right = box.x, box.x + box.width
    if key:
        yield f'<path class="dot" fill="#d4a017" d="M{x + 8} {middle}l4.5 -4.5 4.5 4.5 -4.5 4.5Z"/>'
    if hue:
        at = x + (21 if key else 12.5)
        yield f'<circle class="dot" fill="{hue}" cx="{at}" cy="{middle}" r="3.2"/>'
    start = x + (28 if key and hue else 22)
    words = _short(_words(column), max(box.width - 50 - text_width(column.name), 40), 11)
    name = _short(column.name, right - 18 - text_width(words, 11) - start)
    about = column.name + (": " + ", ".join(column.values) if column.values else "")
    yield (
        f'<text{" class=" + chr(34) + "k" + chr(34) if key else ""} x="{start}" y="{middle + 4}">'
        f"{_text(name)}<title>{_text(about)}</title></text>"
        f'<text class="m e" x="{right - 10}" y="{middle + 4}">{_text(words)}</text>'
    )


# --- lines


def _net(plan: Plan, net: Net, colours: dict[str, str]) -> Iterator[str]:
    """The lines of a net: through each gap from the left end to every right end."""
    hue = colours[net.targets[0].box if net.flipped else net.source.box]
    first = plan.boxes[net.source.box].layer
    solid: list[str] = []
    dashed: list[str] = []
    marks: list[str] = []
    optional = net.flipped and bool(net.source.link and net.source.link.optional)
    for layer in sorted(net.lanes):
        box = plan.boxes[net.source.box]
        start = (box.x + box.width, plan.height_of(net.source)) if layer == first else _via_end(plan, net, layer)
        lane, ends = net.lanes[layer], [t for t in net.targets if plan.boxes[t.box].layer == layer + 1]
        for end in ends:
            y, right = plan.height_of(end), plan.lefts[layer + 1]
            tail = min(lane + _CORNER, right)
            (dashed if optional else solid).append(_bend(start, lane, (tail, y)))
            may_miss = optional or bool(end.link and end.link.optional)
            (dashed if may_miss else solid).append(f"M{tail:.1f} {y:.1f}H{right:.1f}")
            marks.append(_foot(right, y, -1, end) if end.link else _bar(right, y, -1))
        if layer + 1 in net.vias:
            y = net.vias[layer + 1].y + net.vias[layer + 1].height / 2
            (dashed if optional else solid).append(_bend(start, lane, (plan.rights[layer + 1], y)))
        marks += _branches(start[1], lane, [plan.height_of(e) for e in ends], net, layer)
    box = plan.boxes[net.source.box]
    x, y = box.x + box.width, plan.height_of(net.source)
    marks.append(_foot(x, y, 1, net.source) if net.flipped else _bar(x, y, 1))
    label = _text(plan.boxes[net.source.box].key)
    yield f'<g stroke="{hue}" fill="{hue}"><title>{label}</title>'
    yield f'<path class="line halo" d="{"".join(solid + dashed)}"/>'
    yield f'<path class="line" d="{"".join(solid)}"/>'
    if dashed:
        yield f'<path class="line opt" d="{"".join(dashed)}"/>'
    yield "".join(marks) + "</g>"


def _via_end(plan: Plan, net: Net, layer: int) -> tuple[float, float]:
    return plan.rights[layer], net.vias[layer].y + net.vias[layer].height / 2


def _bend(start: tuple[float, float], lane: float, end: tuple[float, float]) -> str:
    """Across to the lane, along it, and across again, with round corners."""
    (x1, y1), (x2, y2) = start, end
    if abs(y1 - y2) < 0.5:
        return f"M{x1:.1f} {y1:.1f}H{x2:.1f}"
    r = min(_CORNER, abs(y2 - y1) / 2)
    down = 1 if y2 > y1 else -1
    return (
        f"M{x1:.1f} {y1:.1f}H{lane - r:.1f}Q{lane:.1f} {y1:.1f} {lane:.1f} {y1 + down * r:.1f}"
        f"V{y2 - down * r:.1f}Q{lane:.1f} {y2:.1f} {lane + r:.1f} {y2:.1f}H{max(x2, lane + r):.1f}"
    )


def _branches(start: float, lane: float, ends: list[float], net: Net, layer: int) -> list[str]:
    """Dots where a branch leaves the trunk before its end."""
    if layer + 1 in net.vias:
        ends = [*ends, net.vias[layer + 1].y + net.vias[layer + 1].height / 2]
    low, high = min([start, *ends]), max([start, *ends])
    inner = sorted({y for y in [start, *ends] if low + 1 < y < high - 1})
    return [f'<circle class="dot" cx="{lane:.1f}" cy="{y:.1f}" r="2.4"/>' for y in inner]


def _foot(x: float, y: float, side: int, end: End) -> str:
    """The sign at a child: a crow's foot for many rows, a bar for at most one.  `side` is the way out of the box."""
    if end.link and end.link.single:
        return _bar(x, y, side)
    tip = x + side * 10
    return f'<path class="line" d="M{x:.1f} {y - 5:.1f}L{tip:.1f} {y:.1f}L{x:.1f} {y + 5:.1f}"/>'


def _bar(x: float, y: float, side: int) -> str:
    at = x + side * 6
    return f'<path class="line" d="M{at:.1f} {y - 4.5:.1f}V{y + 4.5:.1f}"/>'


def _loop(plan: Plan, link: Link, colours: dict[str, str]) -> Iterator[str]:
    """A table's reference to itself, on its right side."""
    box = plan.boxes[link.child]
    x, hue = box.x + box.width, colours[link.parent]
    top, bottom = box.y + link.parent_row, box.y + link.child_row
    style = "line opt" if link.optional else "line"
    r = _CORNER if abs(bottom - top) > 2 * _CORNER else abs(bottom - top) / 2
    down = 1 if bottom > top else -1
    yield f'<g stroke="{hue}" fill="{hue}"><path class="{style}" d="M{x} {top}h{14 - r}q{r} 0 {r} {r * down}'
    yield f'V{bottom - r * down}q0 {r * down} -{r} {r * down}H{x}"/>'
    yield _foot(x, bottom, 1, End(link.child, link.child_row, link)) + _bar(x, top, 1) + "</g>"


def _legend(height: float) -> str:
    y = height - 20
    items = (
        ('<path class="dot" fill="#d4a017" d="M0 -4l4.5 -4.5 4.5 4.5 -4.5 4.5Z"/>', "key", 14),
        (f'<circle class="dot" fill="{_HUES[0]}" cx="4" cy="-4" r="3.2"/>', "reference", 14),
        (f'<path class="line" stroke="{_NEUTRAL}" d="M0 -4H24M24 -9L14 -4L24 1"/>', "many", 30),
        (f'<path class="line" stroke="{_NEUTRAL}" d="M0 -4H24M18 -8.5V.5"/>', "one", 30),
        (f'<path class="line opt" stroke="{_NEUTRAL}" d="M0 -4H24"/>', "may be empty (type?)", 30),
    )
    x, parts = _BORDER, []
    for sign, words, indent in items:
        parts.append(
            f'<g transform="translate({x:.0f} {y:.0f})">{sign}<text class="m" x="{indent}" y="0">{words}</text></g>'
        )
        x += indent + text_width(words, 11) + 22
    return "".join(parts)


def overlaps(boxes: list[Box]) -> list[tuple[str, str]]:
    """Pairs of boxes that touch; a sound layout has none."""
    found = []
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            if a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height:
                found.append((a.key, b.key))
    return found
