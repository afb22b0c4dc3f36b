"""A small schema with every class of column and every kind of reference, changes of it; and random episodes of worlds."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from tests.calls import draw_call
from worlddb.schema.model import Column, ForeignKey, Polymorphic, Schema, Table
from worlddb.tasks.forms import window_of
from worlddb.tools.session import Session, Start
from worlddb.world.diff import Diff, Row

WINDOW = window_of(1_700_000_000, 1_700_000_600)  # 2023-11-14 22:13:20 to 22:23:20
INSIDE = "2023-11-14 22:20:00"


def columns(*pairs: tuple[str, str], nullable: bool = True) -> tuple[Column, ...]:
    return tuple(Column(key=k, name=k, type=t, nullable=nullable) for k, t in pairs)


SHOP = Schema(
    domain="shop",
    title="Shop",
    tables=(
        Table(
            key="order", name="orders", archetype="header", primary_key=("id",),
            columns=columns(
                ("id", "surrogate_id"), ("placed_at", "created_at"), ("closed_at", "stamp_at"), ("label", "title"),
                ("remark", "note"), ("weight", "measure"), ("total", "order_total"), ("tags", "tags_json"),
                ("more", "attributes_json"), ("synced", "synced_at"), ("due", "due_date"), ("day", "date"),
            ),
        ),
        Table(
            key="line", name="lines", archetype="line", primary_key=("id",),
            columns=columns(("id", "surrogate_id"), ("order", "reference"), ("next", "reference"), ("quantity", "line_quantity")),
            foreign_keys=(
                ForeignKey(key="order", columns=("order",), table="order", ref=("id",)),
                ForeignKey(key="next", columns=("next",), table="line", ref=("id",), nullable=True),
            ),
        ),
        Table(
            key="tag", name="tags", archetype="junction", primary_key=("id",),
            columns=columns(("id", "surrogate_id"), ("order", "reference"), ("word", "reference"), ("made", "created_at")),
            foreign_keys=(ForeignKey(key="order", columns=("order",), table="order", ref=("id",)),),
        ),
        Table(
            key="label", name="labels", archetype="junction", primary_key=("order", "line"), key_style="composite",
            columns=columns(("order", "reference"), ("line", "reference")),
            foreign_keys=(
                ForeignKey(key="order", columns=("order",), table="order", ref=("id",)),
                ForeignKey(key="line", columns=("line",), table="line", ref=("id",)),
            ),
        ),
        Table(
            key="comment", name="comments", archetype="message", primary_key=("id",),
            columns=(
                *columns(("id", "surrogate_id")),
                Column(key="on_type", name="on_type", type="polymorphic_key", values=("Order", "Line")),
                *columns(("on_id", "polymorphic_ref"), ("body", "comment_body")),
            ),
            polymorphic=Polymorphic(type_column="on_type", id_column="on_id", tables=("order", "line")),
        ),
    ),
)  # fmt: skip
"""Every class of column, every kind of reference."""

ORDER: Row = (1, "2023-01-01 10:00:00", None, "Blue", None, 2.5, 100, '["a","b"]', '{"x": 1}', None, "2024-01-01", None)


def order(**changes: Any) -> Row:
    keys = [c.key for c in SHOP["order"].columns]
    return tuple(changes.get(k, v) for k, v in zip(keys, ORDER, strict=True))


def changed(*rows: tuple[str, tuple[Any, ...], Row | None, Row | None]) -> Diff:
    diff = Diff()
    for row in rows:
        diff.add(*row)
    return diff


def structure(orders: Sequence[int], lines: Sequence[tuple[int, int, int | None, int]]) -> Diff:
    """New orders by key, and new lines: key, order, next, quantity."""
    rows: list[Any] = [
        ("order", (k,), None, order(id=k, label=f"label {i % 2}", placed_at=INSIDE)) for i, k in enumerate(orders)
    ]
    rows += [("line", (line[0],), None, line) for line in lines]
    return changed(*rows)


def random_episode(session: Session, dice: random.Random, calls: int = 6) -> None:
    writes = [t for t in session.toolset if not t.read_only]
    for _ in range(calls):
        tool = dice.choice(writes)
        session.call(tool.name, draw_call(session, tool, dice))


def same_calls(session: Session, start: Start) -> Session | None:
    """The same calls from another start; None where other keys made one of them fail or succeed."""
    twin = session.world.session(session.toolset, start=start)
    for entry in session.journal:
        twin.call(entry.name, entry.arguments)
    same = [e.result.ok for e in twin.journal] == [e.result.ok for e in session.journal]
    return twin if same else None
