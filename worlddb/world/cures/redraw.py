"""Gives rows other parents: any that will do, or one from which a path leads to a given value."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from worlddb.rng import Stream
from worlddb.schema.rules import SameParent
from worlddb.world.frame import Array, Frame, Frames, Mask


def redraw(
    frames: Frames, frame: Frame, path: str, bad: Mask, stream: Stream, good: Callable[[str], Mask] | None = None
) -> None:
    """Give bad rows another parent at the first step of `path`, among the parents for which `good` holds.

    `good` gets the parent's table and says which of its rows will do; without it, all will.
    """
    role = path.split(".")[0]
    if role not in frame.cols or not _replaceable(frames, frame, role):
        return
    table = frame.table.parents[role].table
    fit = good(table) if good else np.ones(frames[table].n, bool)
    fits = np.flatnonzero(fit)
    if not len(fits):
        return
    frame.cols[role] = np.where(bad, fits[stream.integers(frame.n, len(fits))], frame.cols[role])
    for moved, kept in _ways_to_the_same(
        frames, frame, role
    ):  # of those that fit, rather one that goes with the others
        match(frames, frame, moved, frames.look(frame.table.key, kept), bad, fit, stream)


def _replaceable(frames: Frames, frame: Frame, role: str) -> bool:
    """True for a reference to rows of another table, already filled, of which each may have several children."""
    key = frame.table.parents.get(role)
    return key is not None and not key.unique and key.table != frame.table.key and key.table in frames


def _ways_to_the_same(frames: Frames, frame: Frame, role: str) -> Iterator[tuple[str, str]]:
    """Pairs of paths that a same_parent rule wants to lead to one thing, the first through `role`, the second not."""
    for rule in frames.schema.rules:
        if isinstance(rule, SameParent) and rule.table == frame.table.key:
            for moved, kept in (rule.paths, rule.paths[::-1]):
                first, _, rest = moved.partition(".")
                if first == role and rest and kept.partition(".")[0] != role and frames.ready(rule.table, kept):
                    yield moved, kept


def match(
    frames: Frames, frame: Frame, path: str, wanted: tuple[Array, Mask], bad: Mask, fit: Mask, stream: Stream
) -> None:
    """Give bad rows another parent at the first step of `path`, where there is one that is `fit` and leads to the value wanted.

    `wanted` has a value for each row, and the rows that want none.
    """
    role, _, rest = path.partition(".")
    table = frame.table.parents[role].table
    if not _replaceable(frames, frame, role) or frames[table].n == 0:
        return
    theirs, null = frames.look(table, rest)
    target, lost = wanted
    theirs, target = theirs.astype(str), np.where(lost, "", target).astype(str)
    order = np.argsort(theirs, kind="stable")
    order = order[~null[order] & fit[order]]
    low = np.searchsorted(theirs[order], target, side="left")
    high = np.searchsorted(theirs[order], target, side="right")
    found = bad & ~lost & (high > low)
    chosen = low + stream.integers(frame.n, np.maximum(high - low, 1))
    parents = order if len(order) else np.array([-1])
    frame.cols[role] = np.where(found, parents[np.minimum(chosen, len(parents) - 1)], frame.cols[role])


def move_elsewhere(frames: Frames, frame: Frame, per: tuple[str, ...], bad: Mask, stream: Stream) -> None:
    """Give bad rows another parent of those that the rule groups by: there may be room."""
    roles = [p for p in per if p in frame.table.parents and p not in frame.table.primary_key]
    if roles:
        redraw(frames, frame, roles[-1], bad, stream.child("elsewhere"))
