"""Cures for rules about amounts: signs, caps, sums, counts, and series that rise."""

from __future__ import annotations

import numpy as np

from worlddb.rng import Stream
from worlddb.schema.rules import Cap, Monotone, NonNeg, QtyLe, SumLe, UniqueActive
from worlddb.world.cures.common import (
    DAY,
    FAR,
    changeable,
    demote,
    grain,
    groups,
    limit,
    none,
    running_total,
    set_moments,
)  # fmt: skip
from worlddb.world.cures.redraw import move_elsewhere
from worlddb.world.frame import Array, Frame, Frames, Mask, Rows
from worlddb.world.links import rank

# --- one row


def non_neg(frames: Frames, frame: Frame, rule: NonNeg, stream: Stream) -> Mask:
    """Turn the sign of negative amounts."""
    values, lost = frames.look(rule.table, rule.column)
    bad = ~lost & (values < 0) & frames.holds(rule.table, rule.where)
    if bad.any() and changeable(frame, rule.column):
        frame.cols[rule.column] = np.where(bad, -values, values)
        return none(frame)
    return bad


def cap(frames: Frames, frame: Frame, rule: Cap, stream: Stream) -> Mask:
    """Trim amounts to their bound; move rows from groups that are full."""
    bad = _fill_up(frames, frame, rule, stream) if rule.per else _trim(frames, frame, rule)
    return demote(frame, rule.where, bad)


def _trim(frames: Frames, frame: Frame, rule: Cap) -> Mask:
    """Trim each amount to its bound; the rows whose column admits no amount as small as that."""
    bound = limit(frames, rule)
    values, lost = frames.look(rule.table, rule.column)
    bad = frames.holds(rule.table, rule.where) & ~lost & (values > bound)
    if bad.any() and changeable(frame, rule.column):
        # a bound at or below zero fixes the sign of the amount; another one trims it
        frame.cols[rule.column] = np.where(bad, np.where(bound <= 0, np.minimum(bound, -values), bound), values)
        low = frame.table[rule.column].low
        bad &= (bound < low) if low is not None else False
    return bad


# --- groups


def _fill_up(frames: Frames, frame: Frame, rule: Cap, stream: Stream) -> Mask:
    """Move rows from full groups to others; the rows for which there is no room there either."""
    where = frames.holds(rule.table, rule.where)
    amount = np.ones(frame.n, np.int64)
    if rule.column:
        values, null = frames.look(rule.table, rule.column)
        amount = np.where(null, 0, values)
    bad = _excess(frames, rule, amount, where, rule.each_day)
    if bad.any():
        move_elsewhere(frames, frame, rule.per, bad, stream)
        bad = _excess(frames, rule, amount, where, rule.each_day)
    return bad


def _excess(frames: Frames, rule: Cap | SumLe | QtyLe, amount: Array, where: Mask, each_day: str = "") -> Mask:
    """Rows at which the running total of their group passes the rule's bound; `each_day` splits groups by its day."""
    codes, lost = groups(frames, rule.table, rule.per)
    if each_day:
        moments, null = frames.look(rule.table, each_day)
        codes = np.unique(codes * (1 << 24) + moments // DAY, return_inverse=True)[1].astype(np.int64)
        lost = lost | null
    counted = where & ~lost
    return counted & (running_total(codes, np.where(counted, amount, 0)) > limit(frames, rule))


def sum_le(frames: Frames, frame: Frame, rule: SumLe | QtyLe, stream: Stream) -> Mask:
    """Trim every amount to its fair share of the bound; send back the rows at which the sum still passes it."""
    bound, where = limit(frames, rule), frames.holds(rule.table, rule.where)
    amount, null = frames.look(rule.table, rule.column)
    amount = np.where(null, 0, amount)
    if changeable(frame, rule.column):
        codes, lost = groups(frames, rule.table, rule.per)
        counted = where & ~lost
        members = np.bincount(codes, weights=counted, minlength=1).astype(np.int64)
        fair = np.maximum(bound // np.maximum(members[codes], 1), 1)
        least = np.maximum(fair, frame.table[rule.column].low or 1)
        amount = np.where(counted & (amount > fair) & (bound < FAR), least, amount)
        frame.cols[rule.column] = np.where(null, frame.cols[rule.column], amount)
        amount = np.where(null, 0, amount)
    return demote(frame, rule.where, _excess(frames, rule, amount, where))


def qty_le(frames: Frames, frame: Frame, rule: QtyLe, stream: Stream) -> Mask:
    """Trim the quantities of a row, one after the other, to what the bound leaves; or those of a group, as sum_le does."""
    if not rule.columns:
        return sum_le(frames, frame, rule, stream)
    left, where = limit(frames, rule), frames.holds(rule.table, rule.where)
    for key in rule.columns:
        if changeable(frame, key):
            frame.cols[key] = np.where(where, np.minimum(frame.cols[key], np.maximum(left, 0)), frame.cols[key])
        values, null = frames.look(rule.table, key)
        left = left - np.where(null, 0, values)
    return where & (left < 0)


def unique_active(frames: Frames, frame: Frame, rule: UniqueActive, stream: Stream) -> Mask:
    """Move rows to a parent that has no other of them; send back those that still are a second one."""
    bad = _second_ones(frames, rule)
    if bad.any():
        move_elsewhere(frames, frame, rule.per, bad, stream)
        bad = demote(frame, rule.where, _second_ones(frames, rule))
    return bad


def _second_ones(frames: Frames, rule: UniqueActive) -> Mask:
    codes, lost = groups(frames, rule.table, rule.per)
    counted = frames.holds(rule.table, rule.where) & ~lost
    return counted & (running_total(codes, counted.astype(np.int64)) > 1)


# --- series


def monotone(frames: Frames, frame: Frame, rule: Monotone, stream: Stream) -> Mask:
    """Hand the values of each group out again in order of time; where they must rise strictly, number them anew."""
    codes = groups(frames, rule.table, rule.per)[0] if rule.per else np.zeros(frame.n, np.int64)
    moments, _ = frames.look(rule.table, rule.by)
    if not changeable(frame, rule.column):
        return _not_rising(frames, frame, rule, codes)
    values, high = frame.cols[rule.column], frame.table[rule.column].high
    by_time, by_value = np.lexsort((moments, codes)), np.lexsort((values, codes))
    risen = values[by_value]
    if rule.strictly:
        risen = _numbered(risen, rank(codes[by_time]), frame.table[rule.column].low)
    out = np.empty_like(values)
    out[by_time] = risen
    frame.cols[rule.column] = out
    _spread_ties(frames, frame, rule, codes, by_time)
    beyond = out > high if rule.strictly and high is not None else False
    return _not_rising(frames, frame, rule, codes) | beyond


def _numbered(risen: Rows, place: Rows, low: int | None) -> Rows:
    """Consecutive numbers within each group, from `low` or else the least value of the group; `place` is 0 where one begins."""
    starts = np.flatnonzero(place == 0)
    start = np.repeat(risen[starts], np.diff(np.concatenate([starts, [len(place)]])))
    return (start if low is None else low) + place


def _spread_ties(frames: Frames, frame: Frame, rule: Monotone, codes: Rows, order: Rows) -> None:
    """Move equal moments of a group one step apart (a second, or a day for dates), so that the order by time is total."""
    if not changeable(frame, rule.by):
        return
    moments, step, place = frame.cols[rule.by], grain(frames, rule.table, rule.by), rank(codes[order])
    level = codes[order] * (1 << 44) + moments[order] - place * step
    out = moments.copy()
    out[order] = np.maximum.accumulate(level) - codes[order] * (1 << 44) + place * step
    set_moments(frame, rule.by, out)


def _not_rising(frames: Frames, frame: Frame, rule: Monotone, codes: Rows) -> Mask:
    """The rows whose value is below an earlier one of their group (or equals it, where it must rise strictly)."""
    values, lost = frames.look(rule.table, rule.column)
    moments, _ = frames.look(rule.table, rule.by)
    counted = frames.holds(rule.table, rule.where) & ~lost
    order = np.lexsort((np.arange(frame.n), moments, codes))
    order = order[counted[order]]
    bad = none(frame)
    best, group = 0, -1
    for row, code, value in zip(order.tolist(), codes[order].tolist(), values[order].tolist(), strict=True):
        if code != group:
            group, best = code, value
        elif value < best or (rule.strictly and value == best):
            bad[row] = True
        else:
            best = value
    return bad
