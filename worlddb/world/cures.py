"""Makes freshly drawn rows obey the rules: one cure for each kind of rule.

A cure runs when its rule's table has just been filled and nothing refers to its rows yet.  It changes what it can (draws
another parent, moves a moment, trims an amount, sends a row back to an earlier state) and returns the rows that still
break the rule, which are then dropped.  What a rule says of tables that come later is cured when they are filled.  The proof
is not here: image.py asks SQL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from worlddb.rng import Stream
from worlddb.schema.rules import (
    Acyclic,
    AnyRule,
    Cap,
    DateOrder,
    Excl,
    Immutable,
    Monotone,
    NonNeg,
    NoOverlap,
    QtyLe,
    Requires,
    RoleReq,
    SameParent,
    StateReq,
    SumEq,
    SumLe,
    UniqueActive,
    Where,
    Window,
    seconds,
)  # fmt: skip
from worlddb.semantics.types import semantic_type
from worlddb.world.frame import Array, Frame, Frames, Mask, Rows, is_moment
from worlddb.world.links import rank
from worlddb.world.moments import BIRTH_COLUMNS, stamp_states

DAY = 86400
FAR = 1 << 60


def cure(frames: Frames, rule: AnyRule, stream: Stream) -> Mask:
    """Mend the rows of the rule's table; the rows that still break it."""
    frame = frames[rule.table]
    if frame.n == 0:
        return np.zeros(0, bool)
    return _CURES[type(rule)](frames, frame, rule, stream)


# --- helpers


def _none(frame: Frame) -> Mask:
    return np.zeros(frame.n, bool)


def _limit(frames: Frames, rule: Any) -> Array:
    """The bound of a rule for each row; far away where it is NULL."""
    if isinstance(rule.at_most, int):
        return np.full(frames[rule.table].n, rule.at_most, np.int64)
    values, lost = frames.look(rule.table, rule.at_most)
    return np.where(lost, FAR, values)


def _plain(frame: Frame, key: str) -> bool:
    """True where a column may be changed on its own: a number or moment of this table that no formula ties."""
    tied = any(key in c.formula.split() or (c.key == key and c.formula) for c in frame.table.columns)
    return key in frame.cols and key not in frame.table.key_columns and not tied and not frame.table[key].values


def _group(frames: Frames, table: str, paths: tuple[str, ...]) -> tuple[Rows, Mask]:
    """One number per combination of the values at `paths`, and the rows where one of them is NULL."""
    lost = np.zeros(frames[table].n, bool)
    codes = np.zeros(frames[table].n, np.int64)
    for path in paths:
        values, null = frames.look(table, path)
        lost |= null
        if values.dtype != np.int64:
            values = np.unique(values.astype(str), return_inverse=True)[1]
        codes = np.unique(codes * (1 << 40) + values, return_inverse=True)[1].astype(np.int64)
    return codes, lost


def _demote(frame: Frame, where: Where, bad: Mask, key: str = "status") -> Mask:
    """Send rows back to the state on their way that `where` does not speak of; what cannot go back stays bad."""
    machine, states = frame.table.lifecycle, where.get(key)
    if machine is None or machine.column != key or not isinstance(states, tuple) or not bad.any():
        return bad
    codes = frame.cols[key]
    left = bad.copy()
    for code, state in enumerate(machine.states):
        earlier = [s for s in machine.routes[state] if s not in states]
        here = bad & (codes == code)
        if earlier and here.any():
            codes[here] = machine.states.index(earlier[-1])
            kept = set(machine.routes[earlier[-1]])
            for passed, stamp in machine.stamps.items():
                if passed not in kept:
                    frame.nulls[stamp] = frame.nulls[stamp] | here
            left &= ~here
    return left


def _redraw(frames: Frames, frame: Frame, path: str, bad: Mask, good: Callable[[str], Mask], stream: Stream) -> None:
    """Give bad rows another parent at the first step of `path`, among the parents for which `good` holds.

    `good` gets the parent's table and says which of its rows will do.
    """
    role = path.split(".")[0]
    if role not in frame.table.parents or role not in frame.cols or frame.table.parents[role].unique:
        return
    key = frame.table.parents[role]
    if key.table not in frames or key.table == frame.table.key:
        return
    fit = good(key.table)
    fits = np.flatnonzero(fit)
    if not len(fits):
        return
    frame.cols[role] = np.where(bad, fits[stream.integers(frame.n, len(fits))], frame.cols[role])
    for rule in frames.schema.rules:  # of those that fit, take one that a same_parent rule admits as well
        if isinstance(rule, SameParent) and rule.table == frame.table.key:
            for moved, kept in (rule.paths, rule.paths[::-1]):
                first, _, rest = moved.partition(".")
                if first == role and rest and kept.partition(".")[0] != role and frames.ready(rule.table, kept):
                    target, lost = frames.look(rule.table, kept)
                    _match(frames, frame, role, rest, target, lost, bad, stream, fit)


def _match(
    frames: Frames, frame: Frame, role: str, rest: str, target: Array, lost: Mask, bad: Mask, stream: Stream, fit: Mask
) -> None:
    """Give bad rows a parent `role` that is `fit` and whose value at `rest` equals `target`, where there is one."""
    key = frame.table.parents[role]
    if key.unique or key.table == frame.table.key or key.table not in frames or frames[key.table].n == 0:
        return
    theirs, null = frames.look(key.table, rest)
    theirs, target = theirs.astype(str), np.where(lost, "", target).astype(str)
    order = np.argsort(theirs, kind="stable")
    order = order[~null[order] & fit[order]]
    low = np.searchsorted(theirs[order], target, side="left")
    high = np.searchsorted(theirs[order], target, side="right")
    found = bad & ~lost & (high > low)
    chosen = low + stream.integers(frame.n, np.maximum(high - low, 1))
    frame.cols[role] = np.where(
        found, order[np.minimum(chosen, max(len(order) - 1, 0))] if len(order) else -1, frame.cols[role]
    )


def _equal(frames: Frames, frame: Frame, ours: str, theirs: str, where: Mask, stream: Stream) -> Mask:
    """Make two paths of a row lead to the same value; the rows where they still differ."""
    pairs = ((ours, theirs), (theirs, ours))
    bad = _differ(frames, frame, ours, theirs) & where
    # the longer way first: a parent chosen to fit leaves the plain reference, which other rules may speak of, alone
    for moved, kept in pairs:
        role, _, rest = moved.partition(".")
        if bad.any() and rest and role in frame.cols and kept.partition(".")[0] != role:
            target, lost = frames.look(frame.table.key, kept)
            for fit in (_admitted(frames, frame, role), np.ones(frames[frame.table.parents[role].table].n, bool)):
                _match(frames, frame, role, rest, target, lost, bad, stream, fit)
                bad = _differ(frames, frame, ours, theirs) & where
    for moved, _ in pairs:
        if bad.any() and "." in moved:
            bad = _loosen(frame, moved.partition(".")[0], bad)
    for moved, kept in pairs:
        if bad.any() and _movable(frame, moved):
            values, null = frames.look(frame.table.key, kept)
            frame.cols[moved] = np.where(bad & ~null, values, frame.cols[moved])
            bad = _differ(frames, frame, ours, theirs) & where
    return bad


def _admitted(frames: Frames, frame: Frame, role: str) -> Mask:
    """The parents `role` that the rules about states and roles admit."""
    table = frame.table.parents[role].table
    fit = np.ones(frames[table].n, bool)
    for rule in frames.schema.rules:
        if rule.table == frame.table.key and isinstance(rule, StateReq | RoleReq) and rule.among:
            first, *rest = (rule.of if isinstance(rule, StateReq) else rule.actor).split(".")
            path = ".".join([*rest, rule.column])
            if first == role and frames.ready(table, path):
                fit &= frames.holds(table, {path: rule.among})
    return fit


def _movable(frame: Frame, key: str) -> bool:
    """True for a reference or column of this table that may take any parent's value."""
    if key not in frame.cols or "." in key:
        return False
    parent = frame.table.parents.get(key)
    return (
        not parent.unique and parent.table != frame.table.key
        if parent
        else _plain(frame, key) and not frame.table[key].unique
    )


def _differ(frames: Frames, frame: Frame, ours: str, theirs: str) -> Mask:
    a, lost = frames.look(frame.table.key, ours)
    b, null = frames.look(frame.table.key, theirs)
    return ~lost & ~null & (a != b)


def _move_elsewhere(frames: Frames, frame: Frame, per: tuple[str, ...], bad: Mask, stream: Stream) -> None:
    """Give bad rows another parent of those that the rule groups by: there may be room."""
    roles = [p for p in per if p in frame.table.parents and p not in frame.table.primary_key]
    if roles:
        _redraw(frames, frame, roles[-1], bad, lambda t: np.ones(frames[t].n, bool), stream.child("elsewhere"))


def _loosen(frame: Frame, role: str, bad: Mask) -> Mask:
    """Empty an optional reference in bad rows; what could not be emptied stays bad."""
    key = frame.table.parents.get(role)
    if key is None or not key.nullable or role not in frame.cols:
        return bad
    frame.cols[role] = np.where(bad, -1, frame.cols[role])
    return np.zeros(frame.n, bool)


# --- row rules


def _non_neg(frames: Frames, frame: Frame, rule: NonNeg, stream: Stream) -> Mask:
    values, lost = frames.look(rule.table, rule.column)
    bad = ~lost & (values < 0) & frames.holds(rule.table, rule.where)
    if bad.any() and _plain(frame, rule.column):
        frame.cols[rule.column] = np.where(bad, -values, values)
        return _none(frame)
    return bad


def _cap(frames: Frames, frame: Frame, rule: Cap, stream: Stream) -> Mask:
    where = frames.holds(rule.table, rule.where)
    if rule.per:
        paths = (*rule.per, rule.each_day) if rule.each_day else rule.per
        amount = frames.look(rule.table, rule.column)[0] if rule.column else np.ones(frame.n, np.int64)
        bad = _excess(frames, frame, paths, amount, _limit(frames, rule), where, rule.each_day)
        if bad.any():
            _move_elsewhere(frames, frame, rule.per, bad, stream)
            bad = _excess(frames, frame, paths, amount, _limit(frames, rule), where, rule.each_day)
        return _demote(frame, rule.where, bad)
    bound = _limit(frames, rule)
    values, lost = frames.look(rule.table, rule.column)
    bad = where & ~lost & (values > bound)
    if bad.any() and _plain(frame, rule.column):
        # a bound at or below zero fixes the sign of the amount; another one trims it
        frame.cols[rule.column] = np.where(bad, np.where(bound <= 0, np.minimum(bound, -values), bound), values)
        low = frame.table[rule.column].low
        bad &= (bound < low) if low is not None else False
    return _demote(frame, rule.where, bad)


def _excess(
    frames: Frames, frame: Frame, paths: tuple[str, ...], amount: Array, bound: Array, where: Mask, day: str
) -> Mask:
    """Rows at which the running total of their group passes the bound.  `day` is the path that counts by the day."""
    codes, lost = _group(frames, frame.table.key, tuple(p for p in paths if p != day))
    if day:
        moments, null = frames.look(frame.table.key, day)
        codes, lost = (
            np.unique(codes * (1 << 24) + moments // DAY, return_inverse=True)[1].astype(np.int64),
            lost | null,
        )
    counted = where & ~lost
    running = _running(codes, np.where(counted, amount, 0))
    return counted & (running > bound)


def _running(codes: Rows, amount: Array) -> Array:
    """The running total of `amount` within each group, in row order."""
    order = np.argsort(codes, kind="stable")
    total = np.cumsum(amount[order])
    ordered = codes[order]
    starts = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    before = np.where(starts, total - amount[order], 0)
    base = before[np.flatnonzero(starts)][np.cumsum(starts) - 1]
    out = np.empty_like(total)
    out[order] = total - base
    return out


def _sum_le(frames: Frames, frame: Frame, rule: SumLe | QtyLe, stream: Stream) -> Mask:
    bound, where = _limit(frames, rule), frames.holds(rule.table, rule.where)
    amount, null = frames.look(rule.table, rule.column)
    amount = np.where(null, 0, amount)
    if _plain(frame, rule.column):
        codes, lost = _group(frames, rule.table, rule.per)
        members = np.bincount(codes, weights=where & ~lost, minlength=1).astype(np.int64)
        fair = np.maximum(bound // np.maximum(members[codes], 1), 1)
        trimmed = np.where(
            where & ~lost & (amount > fair) & (bound < FAR), np.maximum(fair, frame.table[rule.column].low or 1), amount
        )
        frame.cols[rule.column] = np.where(null, frame.cols[rule.column], trimmed)
        amount = np.where(null, 0, trimmed)
    return _demote(frame, rule.where, _excess(frames, frame, rule.per, amount, bound, where, ""))


def _qty_le(frames: Frames, frame: Frame, rule: QtyLe, stream: Stream) -> Mask:
    if not rule.columns:
        return _sum_le(frames, frame, rule, stream)
    bound, where = _limit(frames, rule), frames.holds(rule.table, rule.where)
    left = bound
    for key in rule.columns:
        if _plain(frame, key):
            frame.cols[key] = np.where(where, np.minimum(frame.cols[key], np.maximum(left, 0)), frame.cols[key])
        values, null = frames.look(rule.table, key)
        left = left - np.where(null, 0, values)
    return where & (left < 0)


def _no_overlap(frames: Frames, frame: Frame, rule: NoOverlap, stream: Stream) -> Mask:
    codes, lost = _group(frames, rule.table, rule.per)
    start, unset = frames.look(rule.table, rule.start)
    end, open_end = frames.look(rule.table, rule.end)
    if start.dtype == object:  # times of day
        start, end = np.unique(np.concatenate([start, end]), return_inverse=True)[1].reshape(2, -1).astype(np.int64)
    end = np.where(open_end, FAR, end)
    counted = frames.holds(rule.table, rule.where) & ~lost & ~unset
    order = np.lexsort((start, codes))
    order = order[counted[order]]
    bad = _none(frame)
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
    bad = _demote(frame, rule.where, bad)
    return _loosen(frame, rule.per[0], bad) if bad.any() else bad


def _requires(frames: Frames, frame: Frame, rule: Requires, stream: Stream) -> Mask:
    where = frames.holds(rule.table, rule.where)
    if rule.needs not in frames or not all(frames.ready(rule.needs, p) for p in (*rule.match, *rule.having)):
        return _none(frame)
    bad = where & (_matches(frames, rule, rule.needs) < rule.at_least)
    ours = list(rule.match.values())
    if (
        bad.any()
        and rule.at_least == 1
        and all(p in frame.table.parents and not frame.table.parents[p].unique for p in ours)
    ):
        fit = np.flatnonzero(frames.holds(rule.needs, rule.having))
        if len(fit):
            chosen = fit[stream.integers(frame.n, len(fit))]
            for theirs, own in rule.match.items():
                values, lost = frames.look(rule.needs, theirs)
                frame.cols[own] = np.where(bad & ~lost[chosen], values[chosen], frame.cols[own])
            bad = where & (_matches(frames, rule, rule.needs) < rule.at_least)
    return _demote(frame, rule.where, bad)


def _matches(frames: Frames, rule: Requires | Excl, other: str) -> Rows:
    """For each row of the rule's table, how many rows of `other` match it and meet `having`."""
    n, m = frames[rule.table].n, frames[other].n
    mine, theirs = np.zeros(n, np.int64), np.zeros(m, np.int64)
    dead, gone = np.zeros(n, bool), ~frames.holds(other, rule.having)
    for path, own in rule.match.items():
        a, lost = frames.look(rule.table, own)
        b, null = frames.look(other, path)
        both = np.concatenate([np.where(lost, "", a).astype(str), np.where(null, "", b).astype(str)])
        codes = np.unique(both, return_inverse=True)[1].astype(np.int64)
        joined = np.unique(np.concatenate([mine, theirs]) * (1 << 32) + codes, return_inverse=True)[1].astype(np.int64)
        mine, theirs, dead, gone = joined[:n], joined[n:], dead | lost, gone | null
    found = np.bincount(theirs[~gone], minlength=int(max(mine.max(initial=0), theirs.max(initial=0))) + 1)
    counts = np.where(dead, 0, found[mine])
    if other == rule.table:
        counts = counts - np.where(dead | gone | (mine != theirs), 0, 1)
    return counts.astype(np.int64)


def _excl(frames: Frames, frame: Frame, rule: Excl, stream: Stream) -> Mask:
    if rule.one_of:
        return _one_of(frame, rule, frames.holds(rule.table, rule.where), stream)
    if rule.differ:
        return _all_differ(frames, frame, rule, stream)
    if rule.none_of not in frames or not all(frames.ready(rule.none_of, p) for p in (*rule.match, *rule.having)):
        return _none(frame)
    bad = frames.holds(rule.table, rule.where) & (_matches(frames, rule, rule.none_of) > 0)
    if rule.none_of == rule.table and all(theirs == ours for theirs, ours in rule.match.items()):
        groups = _group(frames, rule.table, tuple(rule.match))[0]
        bad &= rank(np.where(bad, groups, -1)) > 0  # the first of a clash may stay
    return _demote(frame, rule.where, bad)


def _all_differ(frames: Frames, frame: Frame, rule: Excl, stream: Stream) -> Mask:
    first, second = rule.differ

    def same() -> Mask:
        a, lost = frames.look(rule.table, first)
        b, null = frames.look(rule.table, second)
        return ~lost & ~null & (a == b) & frames.holds(rule.table, rule.where)

    for attempt in range(3):
        bad = same()
        if not bad.any():
            return bad
        own = next((p for p in (second, first) if p.split(".")[0] in frame.table.parents), None)
        if own is None:
            break
        _redraw(frames, frame, own, bad, lambda t: np.ones(frames[t].n, bool), stream.child(str(attempt)))
    bad = same()
    for path in (second, first):
        if bad.any() and "." not in path:
            bad = _loosen(frame, path, bad)
    return bad


def _one_of(frame: Frame, rule: Excl, where: Mask, stream: Stream) -> Mask:
    """Exactly one of some optional columns or references is set."""
    chosen = stream.integers(frame.n, len(rule.one_of))
    where = where & (sum(~frame.null(key) for key in rule.one_of) != 1)
    filled = np.zeros(frame.n, np.int64)
    for number, key in enumerate(rule.one_of):
        if key in frame.table.parents:
            have = frame.cols[key] >= 0
            usable = frame.cols[key][have]
            if len(usable):
                spare = usable[stream.integers(frame.n, len(usable))]
                frame.cols[key] = np.where(
                    where, np.where(chosen == number, np.where(have, frame.cols[key], spare), -1), frame.cols[key]
                )
            filled += frame.cols[key] >= 0
        else:
            if frame.table[key].nullable:
                frame.nulls[key] = np.where(where, chosen != number, frame.null(key))
            filled += ~frame.null(key)
    return where & (filled != 1)


def _window(frames: Frames, frame: Frame, rule: Window, stream: Stream) -> Mask:
    where = frames.holds(rule.table, rule.where)
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
    if rule.time in BIRTH_COLUMNS:
        high = np.minimum(high, frame.now)
    moments, null = frames.look(rule.table, rule.time)
    bad = where & ~null & ((moments < low) | (moments > high))
    if bad.any() and _plain(frame, rule.time) and is_moment(frame.table[rule.time].type):
        coarse = DAY if semantic_type(frame.table[rule.time].type).temporal == "date" else 1
        room = np.maximum(np.where((high >= FAR) | (low <= -FAR), 20 * DAY, high - low), 0)
        share = (room * stream.units(frame.n) * 0.9).astype(np.int64)
        moved = np.where(low > -FAR, low + share, high - share) // coarse * coarse
        moved = np.where(moved < low, moved + (coarse if coarse > 1 else 0), moved)
        mend = bad & (moved >= low) & (moved <= high)
        _set_moment(frame, rule.time, np.where(mend, moved, moments))
        bad &= ~mend
    bad = _demote(frame, rule.where, bad)
    return _blank(frame, rule.time, bad)


def _blank(frame: Frame, key: str, bad: Mask) -> Mask:
    """Empty an optional column in bad rows; what could not be emptied stays bad."""
    if bad.any() and key in frame.cols and frame.table[key].nullable and key in frame.nulls:
        frame.nulls[key] = frame.nulls[key] | bad
        return np.zeros(frame.n, bool)
    return bad


def _set_moment(frame: Frame, key: str, moments: Rows) -> None:
    """Write a temporal column; a birth column moves the births with it."""
    if key in BIRTH_COLUMNS:
        moments = np.minimum(moments, frame.now)
        frame.born = moments
    frame.cols[key] = moments


def _date_order(frames: Frames, frame: Frame, rule: DateOrder, stream: Stream) -> Mask:
    def broken() -> Mask:
        a, lost = frames.look(rule.table, rule.first)
        b, null = frames.look(rule.table, rule.then)
        if "date" in (_temporal(frames, rule.table, rule.first), _temporal(frames, rule.table, rule.then)):
            a, b = a // DAY, b // DAY
        return ~lost & ~null & (a > b) & frames.holds(rule.table, rule.where)

    bad = broken()
    if not bad.any():
        return bad
    gap = (stream.units(frame.n) * 20 * DAY).astype(np.int64) // DAY * DAY
    a, b = frames.look(rule.table, rule.first)[0], frames.look(rule.table, rule.then)[0]
    if _plain(frame, rule.then):
        coarse = DAY if _temporal(frames, rule.table, rule.then) == "date" else 1
        _set_moment(frame, rule.then, np.where(bad, (a + gap) // coarse * coarse, b))
    elif _plain(frame, rule.first):
        coarse = DAY if _temporal(frames, rule.table, rule.first) == "date" else 1
        _set_moment(frame, rule.first, np.where(bad, (b - gap) // coarse * coarse, a))
    return _demote(frame, rule.where, broken())


def _temporal(frames: Frames, table: str, path: str) -> str:
    *roles, last = path.split(".")
    for role in roles:
        table = frames.schema[table].parents[role].table
    return semantic_type(frames.schema[table][last].type).temporal


def _unique_active(frames: Frames, frame: Frame, rule: UniqueActive, stream: Stream) -> Mask:
    def broken() -> Mask:
        codes, lost = _group(frames, rule.table, rule.per)
        counted = frames.holds(rule.table, rule.where) & ~lost
        return counted & (_running(codes, counted.astype(np.int64)) > 1)

    bad = broken()
    if bad.any():
        _move_elsewhere(frames, frame, rule.per, bad, stream)
        bad = _demote(frame, rule.where, broken())
    return bad


def _state_req(frames: Frames, frame: Frame, rule: StateReq, stream: Stream) -> Mask:
    return _entitled(frames, frame, rule.of, rule.column, rule.among, rule.where, stream)


def _entitled(
    frames: Frames, frame: Frame, of: str, column: str, among: tuple[Any, ...], where: Where, stream: Stream
) -> Mask:
    """Make the row that `of` leads to have one of the values `among` in `column`."""

    def broken() -> Mask:
        values, lost = frames.look(frame.table.key, f"{of}.{column}")
        return ~lost & ~np.isin(values, list(among)) & frames.holds(frame.table.key, where)

    bad = broken()
    if bad.any():
        rest = ".".join([*of.split(".")[1:], column])
        _redraw(frames, frame, of, bad, lambda t: frames.holds(t, {rest: among}), stream)
        bad = _demote(frame, where, broken())
    return _loosen(frame, of, bad) if bad.any() and "." not in of else bad


def _role_req(frames: Frames, frame: Frame, rule: RoleReq, stream: Stream) -> Mask:
    if rule.among:
        return _entitled(frames, frame, rule.actor, rule.column, rule.among, rule.where, stream)
    where = frames.holds(rule.table, rule.where)
    path = f"{rule.actor}.{rule.column}"
    if rule.equal:
        bad = _equal(frames, frame, path, rule.equal, where, stream)
    else:
        bad = _below(frames, frame, rule, where)
        if bad.any() and isinstance(rule.at_least, int):
            rest = ".".join([*rule.actor.split(".")[1:], rule.column])
            _redraw(frames, frame, rule.actor, bad, lambda t: frames.look(t, rest)[0] >= rule.at_least, stream)
        elif bad.any():
            for attempt in range(3):
                _redraw(
                    frames, frame, rule.actor, bad, lambda t: np.ones(frames[t].n, bool), stream.child(str(attempt))
                )
                bad = _below(frames, frame, rule, where)
        bad = _below(frames, frame, rule, where)
    bad = _demote(frame, rule.where, bad)
    return _loosen(frame, rule.actor, bad) if bad.any() and "." not in rule.actor else bad


def _below(frames: Frames, frame: Frame, rule: RoleReq, where: Mask) -> Mask:
    values, lost = frames.look(rule.table, f"{rule.actor}.{rule.column}")
    if isinstance(rule.at_least, int):
        return where & ~lost & (values < rule.at_least)
    least, null = frames.look(rule.table, rule.at_least)
    return where & ~lost & ~null & (values < least)


def _immutable(frames: Frames, frame: Frame, rule: Immutable, stream: Stream) -> Mask:
    prefix = f"{rule.holder}." if rule.holder else ""
    where = frames.holds(rule.table, {**rule.where, f"{prefix}{rule.column}": rule.states})
    frozen, lost = frames.look(rule.table, prefix + rule.stamp)
    updated = frame.cols[rule.updated]
    bad = where & ~lost & (updated > frozen)
    if bad.any():
        frame.cols[rule.updated] = np.where(bad, np.maximum(np.minimum(frame.born, frozen), frozen), updated)
    return _none(frame)


def _monotone(frames: Frames, frame: Frame, rule: Monotone, stream: Stream) -> Mask:
    codes, _ = _group(frames, rule.table, rule.per) if rule.per else (np.zeros(frame.n, np.int64), None)
    moments, _ = frames.look(rule.table, rule.by)
    if not _plain(frame, rule.column):
        return _not_rising(frames, frame, rule, codes)
    values = frame.cols[rule.column]
    by_time, by_value = np.lexsort((moments, codes)), np.lexsort((values, codes))
    risen = values[by_value]
    if rule.strictly:
        place = rank(codes[by_time])
        low, high = frame.table[rule.column].low, frame.table[rule.column].high
        start = np.repeat(risen[place == 0], np.diff(np.concatenate([np.flatnonzero(place == 0), [frame.n]])))
        risen = (start if low is None else low) + place
    out = np.empty_like(values)
    out[by_time] = risen
    frame.cols[rule.column] = out
    _spread_ties(frame, rule, codes, moments, by_time)
    beyond = out > high if rule.strictly and high is not None else False
    return _not_rising(frames, frame, rule, codes) | beyond


def _spread_ties(frame: Frame, rule: Monotone, codes: Rows, moments: Rows, order: Rows) -> None:
    """Move equal moments of a group a second apart, so that the order by time is total."""
    if not _plain(frame, rule.by):
        return
    step = DAY if semantic_type(frame.table[rule.by].type).temporal == "date" else 1
    place = rank(codes[order])
    level = codes[order] * (1 << 44) + moments[order] - place * step
    out = moments.copy()
    out[order] = np.maximum.accumulate(level) - codes[order] * (1 << 44) + place * step
    _set_moment(frame, rule.by, out)


def _not_rising(frames: Frames, frame: Frame, rule: Monotone, codes: Rows) -> Mask:
    values, lost = frames.look(rule.table, rule.column)
    moments, _ = frames.look(rule.table, rule.by)
    counted = frames.holds(rule.table, rule.where) & ~lost
    order = np.lexsort((np.arange(frame.n), moments, codes))
    order = order[counted[order]]
    bad = _none(frame)
    best, group = 0, -1
    for row, code, value in zip(order.tolist(), codes[order].tolist(), values[order].tolist(), strict=True):
        if code != group:
            group, best = code, value
        elif value < best or (rule.strictly and value == best):
            bad[row] = True
        else:
            best = value
    return bad


def _acyclic(frames: Frames, frame: Frame, rule: Acyclic, stream: Stream) -> Mask:
    if rule.parent:
        return _none(frame)
    a, lost = frames.look(rule.table, rule.source)
    b, null = frames.look(rule.table, rule.target)
    if rule.source in frame.cols and rule.target in frame.cols:
        flip = ~lost & ~null & (a > b)
        frame.cols[rule.source], frame.cols[rule.target] = np.where(flip, b, a), np.where(flip, a, b)
        return ~lost & ~null & (a == b)
    return ~lost & ~null & (a >= b)


def _same_parent(frames: Frames, frame: Frame, rule: SameParent, stream: Stream) -> Mask:
    where = frames.holds(rule.table, rule.where)
    bad = _equal(frames, frame, rule.paths[0], rule.paths[1], where, stream)
    for path in rule.paths:
        if bad.any():
            bad = _loosen(frame, path.split(".")[0], bad)
    return _demote(frame, rule.where, bad)


def _later(frames: Frames, frame: Frame, rule: SumEq, stream: Stream) -> Mask:
    """Sums are computed when the rows that they add up are there: see fill.py."""
    return _none(frame)


_CURES: dict[type, Callable[[Frames, Frame, Any, Stream], Mask]] = {
    NonNeg: _non_neg, Cap: _cap, NoOverlap: _no_overlap, Requires: _requires, Excl: _excl, Window: _window,
    UniqueActive: _unique_active, SumLe: _sum_le, QtyLe: _qty_le, DateOrder: _date_order, StateReq: _state_req,
    Immutable: _immutable, RoleReq: _role_req, Monotone: _monotone, Acyclic: _acyclic, SameParent: _same_parent,
}  # fmt: skip
_CURES.update(dict.fromkeys(SumEq.__subclasses__(), _later) | {SumEq: _later})


def broken(frames: Frames, rule: AnyRule) -> Mask:
    """Rows that break a rule about their parents, which a later cure may have changed; nothing is mended."""
    frame = frames[rule.table]
    if isinstance(rule, SameParent):
        return _differ(frames, frame, *rule.paths) & frames.holds(rule.table, rule.where)
    if isinstance(rule, StateReq | RoleReq) and rule.among:
        path = f"{rule.of if isinstance(rule, StateReq) else rule.actor}.{rule.column}"
        values, lost = frames.look(rule.table, path)
        return ~lost & ~np.isin(values, list(rule.among)) & frames.holds(rule.table, rule.where)
    return _none(frame)


# --- rules of other tables that the rows just drawn can serve


def supply(frames: Frames, rule: Requires, stream: Stream) -> None:
    """Make rows of `rule.needs`, just filled, meet what earlier rows require of them; send those back that stay without."""
    frame, other = frames[rule.table], frames[rule.needs]
    roles = [theirs for theirs, ours in rule.match.items() if ours == "self" and theirs in other.table.parents]
    bad = frames.holds(rule.table, rule.where) & (_matches(frames, rule, rule.needs) < rule.at_least)
    if bad.any() and len(roles) == 1 and len(rule.match) == 1 and other.n:
        for _ in range(rule.at_least):
            _supply_one(frames, rule, roles[0], np.flatnonzero(bad))
            bad = frames.holds(rule.table, rule.where) & (_matches(frames, rule, rule.needs) < rule.at_least)
            if not bad.any():
                return
    _demote(frame, rule.where, bad)


def _supply_one(frames: Frames, rule: Requires, role: str, wanting: Rows) -> None:
    """Give each wanting row one more row that meets `having`: one of its own that does not yet, or a spare one."""
    other = frames[rule.needs]
    fit = frames.holds(rule.needs, rule.having)
    mine = other.cols[role]
    spare = (mine < 0) | ~np.isin(mine, np.flatnonzero(frames.holds(rule.table, rule.where)))
    spare |= fit & (rank(np.where(fit, mine, -1)) >= rule.at_least)
    if other.table.parents[role].unique:
        spare &= mine >= 0
    own = {int(mine[row]): row for row in np.flatnonzero(~fit).tolist()}
    free = np.flatnonzero(spare).tolist()
    chosen, parents = [], []
    for row in wanting.tolist():
        taken = own.pop(row, None)
        if taken is None and free and not other.table.parents[role].unique:
            taken = free.pop()
        if taken is not None:
            chosen.append(taken)
            parents.append(row)
    picked = np.array(chosen, np.int64)
    mine[picked] = np.array(parents, np.int64)
    _grant(other, rule.having, picked)


def _grant(frame: Frame, having: Where, rows: Rows) -> None:
    """Make rows meet a condition, as far as it speaks of enumerations, states and numbers of their own."""
    for key, accepted in having.items():
        if key not in frame.cols or not isinstance(accepted, tuple) or not len(rows):
            continue
        column, here = frame.table[key], np.zeros(frame.n, bool)
        here[rows] = True
        wrong = here & ~np.isin(
            frame.cols[key], [column.values.index(str(v)) for v in accepted] if column.values else accepted
        )
        value = column.values.index(str(accepted[0])) if column.values else accepted[0]
        frame.cols[key] = np.where(wrong, value, frame.cols[key])
        if key in frame.nulls:
            frame.nulls[key] = frame.nulls[key] & ~here
        if frame.table.lifecycle and key == frame.table.lifecycle.column and wrong.any():
            limit = np.maximum(frame.ends, frame.born + 3600)
            stamp_states(frame, frame.table.lifecycle, np.minimum(limit, frame.now))


def unserved(frames: Frames, rule: Requires) -> None:
    """Send rows back that lost what they require when rules of `rule.needs` dropped it."""
    bad = frames.holds(rule.table, rule.where) & (_matches(frames, rule, rule.needs) < rule.at_least)
    _demote(frames[rule.table], rule.where, bad)


def reversed_exclusion(rule: Excl) -> Excl:
    """The same exclusion seen from the other table."""
    match = {ours: theirs for theirs, ours in rule.match.items()}
    return Excl(say=rule.say, table=rule.none_of, where=rule.having, none_of=rule.table, match=match, having=rule.where)


ORDER: tuple[type, ...] = (
    SameParent, StateReq, RoleReq, Excl, Requires, Acyclic, DateOrder, Window, NonNeg, Monotone, Immutable, NoOverlap,
    UniqueActive, Cap, QtyLe, SumLe,
)  # fmt: skip
"""Cures that choose parents come first, then those that move moments and values, last those that only drop rows."""
