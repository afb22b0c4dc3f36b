"""Diagrams: complete, well-formed whatever the names, without overlaps, and the same each time."""

from __future__ import annotations

import random
import re
import sqlite3
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from worlddb.schema.diagram import WIDTH, mermaid, svg, tree
from worlddb.schema.diagram_layout import Box, Link, Plan, layout
from worlddb.schema.diagram_svg import MANY_TABLES, overlaps, text_width
from worlddb.schema.domains import domain_names, expand, load_domain
from worlddb.schema.model import Column, ForeignKey, Schema, Table
from worlddb.schema.reflect import reflect

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
HOTEL = expand(load_domain("hotel"))
ODD = [
    'a "b" %c\\',
    "<tag> & 'q'",
    "one",
    "1st",
    "tbl.x",
    "名前",
    "x\x07y",
    "title",
    "{",
    "}",
    "]]>",
    "--",
    "o{",
    "ünï",
]
ENTITY = re.compile(r'  [A-Za-z_][A-Za-z0-9_]*(\["[^"%\\\x00-\x1f]+"\])? \{$')
ATTRIBUTE = re.compile(
    r'    [A-Za-z_]\w* [A-Za-z_][A-Za-z0-9_]*( (PK|FK|UK)(, (PK|FK|UK))*)?( "[^"%\\\x00-\x1f]+")?$', re.ASCII
)
EDGE = re.compile(r'  [A-Za-z_]\w* (\|\||\|o)--(o\{|o\|) [A-Za-z_]\w* : "[^"%\\\x00-\x1f]+"$')


def odd_schema() -> Schema:
    def table(number: int, name: str) -> Table:
        columns = (
            Column(key="id", name=name, type="surrogate_id"),
            Column(key="up", name=name + "!", type="reference"),
        )
        keys = () if not number else (ForeignKey(key="up", columns=("up",), table=f"t{number - 1}", ref=("id",)),)
        return Table(key=f"t{number}", name=name, archetype="", columns=columns, primary_key=("id",), foreign_keys=keys)

    return Schema(domain="odd", title="Odd <&> \x00", tables=tuple(table(i, n) for i, n in enumerate(ODD)))


def many(count: int) -> Schema:
    """A schema of that many tables, put together from domains."""
    tables: list[Table] = []
    for name in domain_names():
        for t in expand(load_domain(name)).tables:
            keys = tuple(structs.replace(f, table=f"{name}.{f.table}") for f in t.foreign_keys)
            tables.append(structs.replace(t, key=f"{name}.{t.key}", name=f"{name}_{t.name}", foreign_keys=keys))
        if len(tables) >= count:
            break
    kept = {t.key for t in tables[:count]}
    tables = [
        structs.replace(t, foreign_keys=tuple(f for f in t.foreign_keys if f.table in kept)) for t in tables[:count]
    ]
    return Schema(domain="many", title="Many", tables=tuple(tables))


SCHEMAS = [*(expand(load_domain(n)) for n in domain_names()[::12]), odd_schema(), many(40)]


# --- tree


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda s: s.domain)
def test_tree_tells_everything_on_lines_that_fit(schema: Schema) -> None:
    lines = tree(schema).splitlines()
    assert all(len(line) <= WIDTH and line.isprintable() for line in lines)
    assert len(lines) >= 1 + len(schema.tables) + sum(len(t.columns) for t in schema.tables) + len(schema.rules)


def test_tree_of_the_hotel() -> None:
    text = tree(HOTEL, {"guest": [7]})
    assert "dirty > cleaning > inspected" in text
    assert re.search(r"status +state +tentative > confirmed > checked_in > checked_out\n", text)
    assert "other moves of status: confirmed > cancelled; confirmed > no_show; tentative > expired" in text
    assert re.search(r"property +reference +-> property\n", text)
    assert re.search(r"room +reference +-> room, may be empty\n", text)
    assert re.search(r"line_total .*= quantity \* unit_price", text)
    assert re.search(r"id +id +key, e\.g\. 7\n", text)
    assert text.rstrip().splitlines()[-len(HOTEL.rules) - 1] == "└─ rules"


# --- Mermaid


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda s: s.domain)
def test_mermaid_keeps_to_the_grammar(schema: Schema) -> None:
    lines = mermaid(schema).splitlines()
    assert lines[0] == "erDiagram"
    for line in lines[1:]:
        assert ENTITY.match(line) or ATTRIBUTE.match(line) or EDGE.match(line) or line == "  }", line
    assert sum(bool(EDGE.match(line)) for line in lines) == len(list(schema.edges()))
    assert lines.count("  }") == len(schema.tables)
    entities = [line.split()[0].split("[")[0] for line in lines if ENTITY.match(line)]
    assert len(set(entities)) == len(entities)
    assert not {"one", "title", "end"} & set(entities)


def test_mermaid_shows_what_may_be_empty_and_what_is_single() -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        "CREATE TABLE a (id INTEGER PRIMARY KEY);"
        "CREATE TABLE b (id INTEGER PRIMARY KEY, a INT REFERENCES a, c INT NOT NULL UNIQUE REFERENCES a);"
    )
    text = mermaid(reflect(connection))
    assert 'a |o--o{ b : "a"' in text
    assert 'a ||--o| b : "c"' in text
    assert "reference c FK, UK" in text


# --- SVG


@pytest.mark.parametrize("schema", [*SCHEMAS, many(MANY_TABLES)], ids=lambda s: f"{s.domain}{len(s.tables)}")
def test_svg_is_self_contained_xml(schema: Schema) -> None:
    text = svg(schema)
    root = ET.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not re.search(r"<script|<image|<foreignObject|@import|url\(|\bon\w+=|href=", text)
    assert text.count("http") == 1  # the namespace
    assert text == svg(schema)
    shown = {e.text for e in root.iter("{http://www.w3.org/2000/svg}title")}
    assert {"".join(c if c >= " " else "\ufffd" for c in t.name) for t in schema.tables} <= shown
    width, height = (float(root.attrib[k]) for k in ("width", "height"))
    assert 0 < width < 12000
    assert 0 < height < 12000


def test_svg_of_nothing_and_of_one_table() -> None:
    empty = ET.fromstring(svg(Schema(domain="e", title="Empty", tables=())))
    assert "Empty" in words(empty)
    lone = structs.replace(HOTEL["guest"], foreign_keys=())
    one = ET.fromstring(svg(Schema(domain="e", title="One", tables=(lone,))))
    assert {"One", "guest", *(c.name for c in lone.columns)} <= words(one)


def words(root: ET.Element) -> set[str]:
    """All texts that a diagram shows."""
    return {(e.text or "").strip() for e in root.iter()}


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/real is not beside this checkout")
@pytest.mark.parametrize("name", ["chinook", "sakila"])
def test_svg_of_real_databases(name: str) -> None:
    schema = reflect(REAL / f"{name}.sqlite")
    assert {t.name for t in schema.tables} <= words(ET.fromstring(svg(schema)))


def test_text_width_errs_on_the_wide_side() -> None:
    """Widths measured in DejaVu Sans at 12 px, one of the widest of the usual faces."""
    assert text_width("reservation") > 65
    assert text_width("created_at") > 62
    assert text_width("") == 0


# --- layout


def segments(plan: Plan) -> list[tuple[float, float, float, float, set[str]]]:
    """The straight pieces of all nets, (x1, y1, x2, y2), with the boxes that they may touch."""
    found = []
    for net in plan.nets:
        box = plan.boxes[net.source.box]
        ends = {net.source.box, *(t.box for t in net.targets)}
        for layer, lane in net.lanes.items():
            first = layer == box.layer
            y = plan.height_of(net.source) if first else net.vias[layer].y + net.vias[layer].height / 2
            x = box.x + box.width if first else plan.lefts[layer]
            stops = [plan.height_of(t) for t in net.targets if plan.boxes[t.box].layer == layer + 1]
            if layer + 1 in net.vias:
                stops.append(net.vias[layer + 1].y + net.vias[layer + 1].height / 2)
            found.append((x, y, lane, y, ends))
            found += [(lane, min(y, s), lane, max(y, s), ends) for s in stops]
            found += [(lane, s, plan.lefts[layer + 1], s, ends) for s in stops]
    return found


def check(plan: Plan, links: list[Link]) -> None:
    assert overlaps(list(plan.boxes.values())) == []
    reached = [(e.link, t.box) for n in plan.nets for t in n.targets for e in (t, n.source) if e.link]
    assert len(reached) + len(plan.loops) == len(links)
    for net in plan.nets:
        left, rights = plan.boxes[net.source.box], [plan.boxes[t.box] for t in net.targets]
        assert all(r.layer > left.layer for r in rights)
        assert set(net.lanes) == set(range(left.layer, max(r.layer for r in rights)))
    for x1, y1, x2, y2, ends in segments(plan):
        for box in plan.boxes.values():
            if box.key not in ends:
                inside = x1 < box.x + box.width and box.x < x2 and y1 < box.y + box.height and box.y < y2
                level = y1 == y2 and box.y < y1 < box.y + box.height and x1 < box.x + box.width and box.x < x2
                assert not inside
                assert not level, (box, x1, y1, x2, y2)
    for layer in range(len(plan.layers)):
        lanes = [n.lanes[layer] for n in plan.nets if layer in n.lanes]
        assert len(set(lanes)) == len(lanes)


@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_no_box_overlaps_and_no_line_crosses_a_strange_box(seed: int, tables: int, references: int) -> None:
    chance = random.Random(seed)
    boxes = [Box(f"b{i}", chance.randint(150, 300), chance.randint(60, 400)) for i in range(tables)]
    links = []
    for _ in range(references):
        parent, child = chance.choice(boxes), chance.choice(boxes)
        links.append(Link(parent.key, 40.0, child.key, chance.uniform(30, child.height - 10)))
    links = list(dict.fromkeys(links))
    check(layout(boxes, links), links)
