"""Fills the columns of a frame that are no keys: by coherence groups, by the names of the domain, by semantic type."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from worlddb.errors import BadRequest
from worlddb.rng import Stream
from worlddb.schema.model import Column, Table
from worlddb.schema.rules import SumEq
from worlddb.semantics.draw import distinct, draw
from worlddb.semantics.groups import companies, people, places, reviews
from worlddb.semantics.pools import Pools
from worlddb.semantics.texts import enumerated
from worlddb.semantics.types import is_a, semantic_type
from worlddb.world.formula import evaluate, operands
from worlddb.world.frame import Array, Frame, Frames, Mask, is_moment
from worlddb.world.links import rank
from worlddb.world.moments import BIRTH_COLUMNS, Era, draw_moments

PLACE = (
    "street_address", "city", "state_region", "state_abbr", "postal_code", "country_name", "country_code", "phone_number",
    "latitude", "longitude", "timezone", "full_address",
)  # fmt: skip


def _reviews(stream: Stream, n: int, pools: Pools, locale: str, keys: Collection[str]) -> dict[str, Array]:
    return reviews(stream, n, pools)


GROUPS: tuple[tuple[Callable[..., dict[str, Array]], tuple[str, ...], tuple[str, ...]], ...] = (
    (companies, ("company_name", "domain_name", "url", "company_email", "tax_id", *PLACE), ("org",)),
    (
        people,
        ("first_name", "last_name", "full_name", "gender", "username", "email", "company_email"),
        ("party", "staff"),
    ),
    (places, PLACE, ("party", "staff", "place")),
    (_reviews, ("star_rating", "review_text"), ("review",)),
)
"""Coherence groups: who draws them, the types they give, and the archetypes whose rows always are one such thing.

In other tables a group is drawn where two or more of its types stand."""


def fill(frames: Frames, frame: Frame, when: Era, stream: Stream, pools: Pools, locale: str) -> None:
    """Draw every column of the frame that nothing before has drawn."""
    table = frame.table
    grouped = _groups(frame, stream, pools, locale)
    totals = {r.column for r in frames.schema.rules if isinstance(r, SumEq) and r.table == table.key}
    for column in table.columns:
        if column.key in frame.cols or column.formula:
            continue
        draws = stream.child(column.key)
        if column.key in BIRTH_COLUMNS:
            frame.cols[column.key] = frame.born
            continue
        frame.cols[column.key] = _column(frames, frame, column, when, draws, pools, locale, grouped, totals)
        if column.nullable and column.key not in totals:
            frame.nulls[column.key] = draws.child("null").chances(frame.n, column.null_share / 100)
    for column in table.columns:
        if column.formula:
            compute(frame, column)


def _groups(frame: Frame, stream: Stream, pools: Pools, locale: str) -> dict[str, Array]:
    """Values by type of the coherence groups that this table takes part in."""
    found: dict[str, Array] = {}
    present = [c.type for c in frame.table.columns]
    for draw_group, types, archetypes in GROUPS:
        keys = [t for t in types if t in present and t not in found]
        several = len(keys) >= 2 and draw_group is not companies
        if keys and (frame.table.archetype in archetypes or several):
            found.update(draw_group(stream.child(draw_group.__name__), frame.n, pools, locale, keys))
    return found


def _column(
    frames: Frames, frame: Frame, column: Column, when: Era, stream: Stream, pools: Pools, locale: str,
    grouped: dict[str, Array], totals: set[str],
) -> Array:  # fmt: skip
    table, n = frame.table, frame.n
    if column.key in totals:
        return np.zeros(n, np.int64)
    if table.polymorphic and column.key == table.polymorphic.id_column:
        return _targets(frames, frame, stream)
    if column.like and frames.ready(table.key, column.like):
        return _like(frames, frame, column, stream, pools, locale)
    if column.type in grouped and not column.values:
        return grouped.pop(column.type)
    if column.key == "cost" and "price" in frame.cols:
        share = frame.cols["price"] * (35 + stream.integers(n, 50)) // 100
        return np.clip(share, column.low, column.high) if (column.low, column.high) != (None, None) else share
    if is_moment(column.type):
        moments = draw_moments(frame, column, when, stream)
        return moments // 86400 * 86400 if semantic_type(column.type).temporal == "date" else moments
    if is_a(column.type, "position_index") or any(u[1:] == (column.key,) for u in table.uniques):
        return position(frame)
    if column.type == "title" and table.names:
        return titles(table, n, column.unique, stream)
    return plain(column, n, stream, pools, locale)


def plain(column: Column, n: int, stream: Stream, pools: Pools, locale: str) -> Array:
    """n values of a column that depends on nothing else; codes where it is an enumeration."""
    if column.values:
        return enumerated(stream, n, np.arange(len(column.values)), pools)
    if column.unique:
        try:
            return distinct(column.type, stream, n, pools, locale)
        except BadRequest:  # there are not that many; `dedupe` drops the rows that repeat one
            pass
    counts = semantic_type(column.type).sql == "INTEGER" and not is_a(column.type, "money")
    if counts and column.low is not None and column.high is not None and column.high - column.low < 20:
        # of a few possible numbers one is usual: two guests, one piece
        return enumerated(stream, n, np.arange(column.low, column.high + 1), pools)
    if counts and column.low is not None and column.high is not None:
        # over a wide range: about its middle in some columns, rarer the larger in others
        room = column.high - column.low + 1
        a, b = stream.integers(n, room), stream.integers(n, room)
        return column.low + ((a + b) // 2 if stream.chance(0.5) else np.minimum(a, b))
    return draw(column.type, stream, n, pools, locale, low=column.low, high=column.high)


def _like(frames: Frames, frame: Frame, column: Column, stream: Stream, pools: Pools, locale: str) -> Array:
    """A copy of the parent's value; where there is none, a value of its own."""
    values, lost = _parents_value(frames, frame, column)
    if column.values:
        codes = {v: i for i, v in enumerate(column.values)}
        values = np.array([codes.get(v, 0) for v in values.tolist()], np.int64)
    return np.where(lost, plain(column, frame.n, stream, pools, locale), values) if lost.any() else values


def copy_again(frames: Frames, frame: Frame) -> None:
    """Copy what is like the parent's anew, after cures chose other parents; columns that rules speak of are left alone."""
    named = {k for touched in frames.touched for t, k in touched if t == frame.table.key}
    for column in frame.table.columns:
        if column.like and column.key not in named and not column.values and frames.ready(frame.table.key, column.like):
            values, lost = _parents_value(frames, frame, column)
            frame.cols[column.key] = np.where(lost, frame.cols[column.key], values)


def _parents_value(frames: Frames, frame: Frame, column: Column) -> tuple[Array, Mask]:
    """What a column that is like its parent's copies, and the rows where there is nothing that it may hold."""
    values, lost = frames.look(frame.table.key, column.like)
    if column.low is not None:
        lost = lost | (values < column.low)
    if column.high is not None:
        lost = lost | (values > column.high)
    return values, lost


def _targets(frames: Frames, frame: Frame, stream: Stream) -> Array:
    """Row numbers in the tables that the type column names."""
    assert frame.table.polymorphic is not None
    codes = frame.cols[frame.table.polymorphic.type_column]
    sizes = np.array([frames[t].n if t in frames else 0 for t in frame.table.polymorphic.tables], np.int64)
    usable = np.flatnonzero(sizes)
    codes[:] = np.where(sizes[codes] == 0, usable[0] if len(usable) else 0, codes)
    return stream.integers(frame.n, np.maximum(sizes[codes], 1))


def position(frame: Frame) -> Array:
    """1, 2, 3 … within the first parent, in order of birth."""
    parents = [f.key for f in frame.table.foreign_keys if not f.nullable and f.table != frame.table.key]
    return rank(frame.cols[parents[0]]) + 1 if parents else np.arange(1, frame.n + 1)


def titles(table: Table, n: int, unique: bool, stream: Stream) -> Array:
    """Titles from the domain's words: heads, then modifiers before heads, then both with a number."""
    heads, modifiers = table.names[0], table.names[1] if len(table.names) > 1 else ()
    words = [*heads, *(f"{m} {h}" for m in modifiers for h in heads)] if modifiers else list(heads)
    if not unique:
        return stream.picks(n, np.array(words, object))
    pool = stream.shuffled(words)
    while len(pool) < n:
        pool += [f"{w} {len(pool) // len(words) + 1}" for w in words]
    out = np.empty(n, object)
    out[:] = pool[:n]
    return out


def compute(frame: Frame, column: Column) -> None:
    """Compute a formula column; NULL where an operand is, or no NULL operands where the column admits none."""
    needs = operands(column.formula)
    if not column.nullable:
        for key in needs:
            frame.nulls.pop(key, None)
    frame.cols[column.key] = evaluate(column.formula, lambda key: frame.cols[key])
    masks = [frame.nulls[k] for k in needs if k in frame.nulls]
    if masks:
        frame.nulls[column.key] = np.logical_or.reduce(masks)
