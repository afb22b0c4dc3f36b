"""Draws foreign keys: which parent each row has, unevenly, as in real data."""

from __future__ import annotations

import numpy as np

from worlddb.rng import Stream
from worlddb.schema.model import ForeignKey
from worlddb.schema.rules import StateReq
from worlddb.semantics.pools import Pools
from worlddb.world.frame import Frame, Frames, Mask, Rows

SPREAD = {"even": "lognormal_0.3", "mild": "lognormal_1.6", "strong": "lognormal_1.3", "heavy": "lognormal_1.3"}
"""Skew of a foreign key -> the quantile table of its parents' weights."""
CHILDLESS = {"even": (0, 0, 5), "mild": (0, 0, 5), "strong": (0, 0, 5, 15), "heavy": (0, 5, 15, 30)}
"""Percent of parents that get no children at all, one of which is drawn."""


def link(frames: Frames, frame: Frame, late: set[tuple[str, str]], stream: Stream, pools: Pools) -> None:
    """Draw every foreign key of a frame but the late ones and those to itself."""
    for key in frame.table.foreign_keys:
        if key.table == frame.table.key or (frame.table.key, key.key) in late:
            frame.cols[key.key] = np.full(frame.n, -1, np.int64)
        else:
            eligible = _eligible(frames, frame, key)
            frame.cols[key.key] = draw_parents(frame, key, frames[key.table].n, stream.child(key.key), pools, eligible)
    lost = np.zeros(frame.n, bool)
    for key in frame.table.foreign_keys:
        if not key.nullable and key.table != frame.table.key and (frame.table.key, key.key) not in late:
            lost |= frame.cols[key.key] < 0
    frame.drop(lost)
    _part(frames, frame, stream.child("pairs"))


def _eligible(frames: Frames, frame: Frame, key: ForeignKey) -> Mask:
    """The parents that the rules about their state admit: they go first."""
    fit = np.ones(frames[key.table].n, bool)
    for rule in frames.schema.rules:
        concerned = isinstance(rule, StateReq) and rule.table == frame.table.key and rule.of == key.key
        if isinstance(rule, StateReq) and concerned and (key.unique or not rule.where):
            fit &= frames.holds(key.table, {rule.column: rule.among})
    return fit


def _part(frames: Frames, frame: Frame, stream: Stream) -> None:
    """Draw the first parent of repeated combinations anew, where a combination may stand but once."""
    table = frame.table
    for key in ((table.primary_key,) if len(table.primary_key) > 1 else ()) + table.uniques:
        if not all(k in table.parents for k in key) or table.parents[key[0]].table not in frames:
            continue
        for attempt in range(4):
            codes = np.zeros(frame.n, np.int64)
            for role in key:
                codes = codes * (1 << 24) + frame.cols[role]
            again = rank(codes) > 0
            if not again.any():
                break
            others = stream.child(*key, str(attempt)).integers(frame.n, frames[table.parents[key[0]].table].n)
            frame.cols[key[0]] = np.where(again, others, frame.cols[key[0]])


def rank(groups: Rows) -> Rows:
    """0, 1, 2 … within each group of equal numbers, in row order."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(groups) else order
    counts = np.diff(np.concatenate([starts, [len(groups)]]))
    out = np.empty(len(groups), np.int64)
    out[order] = np.arange(len(groups)) - np.repeat(starts, counts)
    return out


def draw_parents(frame: Frame, key: ForeignKey, parents: int, stream: Stream, pools: Pools, eligible: Mask) -> Rows:
    """One parent row per row; -1 where NULL, or where a 1:1 relation has used up its parents (`eligible` ones go first)."""
    if parents == 0:
        return np.full(frame.n, -1, np.int64)
    if key.unique:
        shuffled = stream.order(parents)
        chosen = shuffled[np.argsort(~eligible[shuffled], kind="stable")]
        chosen = chosen[: frame.n]
        rows = np.concatenate([chosen, np.full(max(0, frame.n - len(chosen)), -1)])
    else:
        weight = weights(parents, key.skew, stream, pools)
        rows = uneven(frame.n, weight * eligible if (weight * eligible).any() else weight, stream)
    if key.nullable:
        share = frame.table[key.columns[0]].null_share
        rows = np.where(stream.chances(frame.n, share / 100), -1, rows)
    return rows.astype(np.int64)


def uneven(n: int, weight: Rows, stream: Stream) -> Rows:
    """n parents by weight; where there are rows enough, every parent of any weight gets one before the rest is shared."""
    covered = np.flatnonzero(weight)
    if n * 4 < len(covered) * 5:
        return stream.by_weight(n, weight)
    rows = np.concatenate([covered, stream.by_weight(n - len(covered), weight)])
    return rows[stream.order(n)]


def weights(parents: int, skew: str, stream: Stream, pools: Pools) -> Rows:
    """Integer weights of the parents: lognormal, with some of them childless."""
    table = pools.quantiles(SPREAD[skew])
    drawn = table[stream.integers(parents, len(table))]
    if skew in ("strong", "heavy"):  # the square of a lognormal weight is lognormal too, with twice the sigma
        drawn = drawn * drawn >> 20
    drawn = drawn // (1 + parents // 16) + 1
    childless = stream.pick(CHILDLESS[skew])
    drawn = np.where(stream.chances(parents, childless / 100), 0, drawn)
    return drawn if drawn.any() else np.ones(parents, np.int64)


def trees(frame: Frame, late: set[tuple[str, str]], stream: Stream) -> None:
    """References of a table to itself: always to an earlier row, so that there is never a circle."""
    for key in frame.table.foreign_keys:
        if key.table != frame.table.key or (frame.table.key, key.key) in late:
            continue
        draws = stream.child(key.key)
        numbers = np.arange(frame.n)
        rows = draws.integers(frame.n, np.maximum(numbers, 1))
        roots = draws.chances(frame.n, 0.35) | (numbers == 0)
        frame.cols[key.key] = np.where(roots, -1, rows)


def close(frames: Frames, late: set[tuple[str, str]], stream: Stream) -> None:
    """Fill the references that waited: a parent points to one of its own children, where it has any."""
    for table, role in sorted(late):
        frame, key = frames[table], frames[table].table.parents[role]
        other = frames[key.table]
        back = [f.key for f in other.table.foreign_keys if f.table == table and (key.table, f.key) not in late]
        rows = np.full(frame.n, -1, np.int64)
        if back and other.n:
            mine = other.cols[back[0]]
            rows[mine[mine >= 0]] = np.flatnonzero(mine >= 0)
        elif other.n:
            rows = stream.child(table, role).integers(frame.n, other.n)
        if key.nullable:
            rows = np.where(stream.child(table, role, "null").chances(frame.n, 0.3), -1, rows)
        frame.cols[role] = rows
