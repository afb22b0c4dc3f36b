"""Cures for rules about moments: windows, orders, stamps that freeze a row, intervals that may not overlap."""

from __future__ import annotations

import numpy as np

from worlddb.rng import Stream
from worlddb.schema.rules import DateOrder, Immutable, NoOverlap, Window, seconds
from worlddb.world.cures.common import DAY, FAR, blank, changeable, demote, grain, groups, none, set_moments, unlink
from worlddb.world.frame import Frame, Frames, Mask, Rows, is_moment
from worlddb.world.moments import BIRTH_COLUMNS, parents_births

USUAL_GAP = 20 * DAY
"""The longest time that a cure puts between two moments of which a rule only says the order."""


# --- window


def window(frames: Frames, frame: Frame, rule: Window, stream: Stream) -> Mask:
    """Move moments into their window; where that is not enough, send rows back or leave the moment out."""
    where = frames.holds(rule.table, rule.where)
    low, high = _bounds(frames, frame, rule)
    moments, null = frames.look(rule.table, rule.time)
    bad = where & ~null & ((moments < low) | (moments > high))
    if bad.any() and changeable(frame, rule.time) and is_moment(frame.table[rule.time].type):
        moved = _inside(low, high, grain(frames, rule.table, rule.time), stream)
        mended = bad & (moved >= low) & (moved <= high)
        set_moments(frame, rule.time, np.where(mended, moved, moments))
        bad &= ~mended
    bad = demote(frame, rule.where, bad)
    return blank(frame, rule.time, bad)


def _bounds(frames: Frames, frame: Frame, rule: Window) -> tuple[Rows, Rows]:
    """The first and the last moment of each row's window; far away where it is open."""
    low, high = np.full(frame.n, -FAR), np.full(frame.n, FAR)
    if rule.after:
        moments, lost = frames.look(rule.table, rule.after)
        low = np.where(lost, low, moments)
        if rule.within:
            high = np.where(lost, high, moments + seconds(rule.within))
    if rule.before:
        moments, lost = frames.look(rule.table, rule.before)
        last = moments - (seconds(rule.notice) if rule.notice else 0)
        high = np.where(lost, high, np.minimum(high, last))
    machine = frame.table.lifecycle
    if machine and rule.time in machine.stamps.values():
        low, high = np.maximum(low, frame.born), np.minimum(high, frame.now)
    if rule.time in BIRTH_COLUMNS:
        high = np.minimum(high, frame.now)
        there = np.maximum(low, parents_births(frames, frame))
        low = np.where(there <= high, there, low)  # where the window closed before a parent was there, the rule wins
    return low, high


def _inside(low: Rows, high: Rows, grain: int, stream: Stream) -> Rows:
    """A moment in each window, on the grain; near its one bound where it has no other."""
    room = np.maximum(np.where((high >= FAR) | (low <= -FAR), USUAL_GAP, high - low), 0)
    share = (room * stream.units(len(low)) * 0.9).astype(np.int64)
    moved = np.where(low > -FAR, low + share, high - share) // grain * grain
    return np.where(moved < low, moved + grain, moved) if grain > 1 else moved


# --- date_order


def date_order(frames: Frames, frame: Frame, rule: DateOrder, stream: Stream) -> Mask:
    """Move the later moment past the earlier one, or the earlier one before the later."""
    bad = _reversed(frames, rule)
    if not bad.any():
        return bad
    gap = (stream.units(frame.n) * USUAL_GAP).astype(np.int64) // DAY * DAY
    first, then = frames.look(rule.table, rule.first)[0], frames.look(rule.table, rule.then)[0]
    if changeable(frame, rule.then):
        step = grain(frames, rule.table, rule.then)
        set_moments(frame, rule.then, np.where(bad, (first + gap) // step * step, then))
    elif changeable(frame, rule.first):
        step = grain(frames, rule.table, rule.first)
        set_moments(frame, rule.first, np.where(bad, (then - gap) // step * step, first))
    return demote(frame, rule.where, _reversed(frames, rule))


def _reversed(frames: Frames, rule: DateOrder) -> Mask:
    """The rows whose moments stand in the wrong order; a date is compared with the day of the other."""
    first, lost = frames.look(rule.table, rule.first)
    then, null = frames.look(rule.table, rule.then)
    if DAY in (grain(frames, rule.table, rule.first), grain(frames, rule.table, rule.then)):
        first, then = first // DAY, then // DAY
    return ~lost & ~null & (first > then) & frames.holds(rule.table, rule.where)


# --- immutable


def immutable(frames: Frames, frame: Frame, rule: Immutable, stream: Stream) -> Mask:
    """Let the last change of a frozen row be the moment at which it froze."""
    prefix = f"{rule.holder}." if rule.holder else ""
    where = frames.holds(rule.table, {**rule.where, f"{prefix}{rule.column}": rule.states})
    frozen, lost = frames.look(rule.table, prefix + rule.stamp)
    updated = frame.cols[rule.updated]
    late = where & ~lost & (updated > frozen)
    if late.any():
        for key in BIRTH_COLUMNS:  # what froze was there before
            if key in frame.cols:
                set_moments(frame, key, np.where(late, np.minimum(frame.born, frozen), frame.born))
        frame.cols[rule.updated] = np.where(late, frozen, updated)
    return none(frame)


# --- no_overlap


def no_overlap(frames: Frames, frame: Frame, rule: NoOverlap, stream: Stream) -> Mask:
    """Send rows back that begin while another of their group lasts (moments.py drew them apart as far as it could)."""
    codes, lost = groups(frames, rule.table, rule.per)
    start, unset = frames.look(rule.table, rule.start)
    end, open_end = frames.look(rule.table, rule.end)
    if start.dtype == object:  # times of day
        end = np.where(open_end, "~", end)
        start, end = np.unique(np.concatenate([start, end]), return_inverse=True)[1].reshape(2, -1).astype(np.int64)
    end = np.where(open_end, FAR, end)
    counted = frames.holds(rule.table, rule.where) & ~lost & ~unset
    bad = demote(frame, rule.where, _overlapping(codes, start, end, counted))
    return unlink(frame, rule.per[0], bad)


def _overlapping(codes: Rows, start: Rows, end: Rows, counted: Mask) -> Mask:
    """The counted rows that begin before those of their group which stay, in order of their starts, have ended."""
    order = np.lexsort((start, codes))
    order = order[counted[order]]
    bad = np.zeros(len(codes), bool)
    busy, group = 0, -1
    for row, code, begun, ended in zip(
        order.tolist(), codes[order].tolist(), start[order].tolist(), end[order].tolist(), strict=True
    ):
        if code != group:
            group, busy = code, -FAR
        if busy > begun:
            bad[row] = True
        else:
            busy = max(busy, ended)
    return bad
