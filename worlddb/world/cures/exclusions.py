"""Cures for excl, a rule of three forms: two paths that differ, one column of several, no row of that kind."""

from __future__ import annotations

import numpy as np

from worlddb.rng import Stream
from worlddb.schema.rules import Excl
from worlddb.world.cures.common import demote, groups, none, unlink
from worlddb.world.cures.needs import matches
from worlddb.world.cures.redraw import redraw
from worlddb.world.frame import Frame, Frames, Mask
from worlddb.world.links import rank


def excl(frames: Frames, frame: Frame, rule: Excl, stream: Stream) -> Mask:
    """Part what excludes each other."""
    if rule.one_of:
        return _one_of(frame, rule, frames.holds(rule.table, rule.where), stream)
    if rule.differ:
        return _differ(frames, frame, rule, stream)
    return _none_of(frames, frame, rule)


def reversed_exclusion(rule: Excl) -> Excl:
    """The same `none_of` exclusion seen from the other table."""
    match = {ours: theirs for theirs, ours in rule.match.items()}
    return Excl(say=rule.say, table=rule.none_of, where=rule.having, none_of=rule.table, match=match, having=rule.where)


def _none_of(frames: Frames, frame: Frame, rule: Excl) -> Mask:
    """Send rows back that meet one which they exclude."""
    if rule.none_of not in frames or not all(frames.ready(rule.none_of, p) for p in (*rule.match, *rule.having)):
        return none(frame)
    bad = frames.holds(rule.table, rule.where) & (matches(frames, rule, rule.none_of) > 0)
    if rule.none_of == rule.table and all(theirs == ours for theirs, ours in rule.match.items()):
        codes = groups(frames, rule.table, tuple(rule.match))[0]
        bad &= rank(np.where(bad, codes, -1)) > 0  # the first of a clash may stay
    return demote(frame, rule.where, bad)


def _differ(frames: Frames, frame: Frame, rule: Excl, stream: Stream) -> Mask:
    """Draw one of the two parents anew, a few times; else leave one out."""
    first, second = rule.differ

    def same() -> Mask:
        a, lost = frames.look(rule.table, first)
        b, null = frames.look(rule.table, second)
        return ~lost & ~null & (a == b) & frames.holds(rule.table, rule.where)

    moved = next((p for p in (second, first) if p.split(".")[0] in frame.table.parents), "")
    bad = same()
    for attempt in range(3):
        if not moved or not bad.any():
            break
        redraw(frames, frame, moved, bad, stream.child(str(attempt)))
        bad = same()
    for path in (second, first):
        bad = unlink(frame, path, bad)
    return bad


def _one_of(frame: Frame, rule: Excl, where: Mask, stream: Stream) -> Mask:
    """Set exactly one of some optional columns or references."""
    chosen = stream.integers(frame.n, len(rule.one_of))
    wrong = where & (sum(~frame.null(key) for key in rule.one_of) != 1)
    filled = np.zeros(frame.n, np.int64)
    for number, key in enumerate(rule.one_of):
        if key in frame.table.parents:
            have = frame.cols[key] >= 0
            usable = frame.cols[key][have]
            if len(usable):
                spare = usable[stream.integers(frame.n, len(usable))]
                kept = np.where(chosen == number, np.where(have, frame.cols[key], spare), -1)
                frame.cols[key] = np.where(wrong, kept, frame.cols[key])
        elif frame.table[key].nullable:
            frame.nulls[key] = np.where(wrong, chosen != number, frame.null(key))
        filled += ~frame.null(key)
    return wrong & (filled != 1)
