"""Cures for rules that require other rows, from both sides: rows that want some, and rows that can serve.

Where the rows required are made first, `requires` chooses among them; where they are made later, `supply` lets them serve.
"""

from __future__ import annotations

import numpy as np

from worlddb.rng import Stream
from worlddb.schema.rules import Excl, Requires, Where
from worlddb.world.cures.common import demote, none
from worlddb.world.frame import Frame, Frames, Mask, Rows
from worlddb.world.links import rank
from worlddb.world.moments import stamp_states


def matches(frames: Frames, rule: Requires | Excl, other: str) -> Rows:
    """For each row of the rule's table, how many rows of `other` match it and meet `having`; none matches itself."""
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


def _wanting(frames: Frames, rule: Requires) -> Mask:
    """The rows that have too few of what they require."""
    return frames.holds(rule.table, rule.where) & (matches(frames, rule, rule.needs) < rule.at_least)


def requires(frames: Frames, frame: Frame, rule: Requires, stream: Stream) -> Mask:
    """Move rows to where what they require is: they take over the references of a row that will do."""
    if rule.needs not in frames or not all(frames.ready(rule.needs, p) for p in (*rule.match, *rule.having)):
        return none(frame)
    where = frames.holds(rule.table, rule.where)
    bad = where & (matches(frames, rule, rule.needs) < rule.at_least)
    free = all(p in frame.table.parents and not frame.table.parents[p].unique for p in rule.match.values())
    if bad.any() and rule.at_least == 1 and free:
        fit = np.flatnonzero(frames.holds(rule.needs, rule.having))
        if len(fit):
            chosen = fit[stream.integers(frame.n, len(fit))]
            for theirs, own in rule.match.items():
                values, lost = frames.look(rule.needs, theirs)
                frame.cols[own] = np.where(bad & ~lost[chosen], values[chosen], frame.cols[own])
            bad = where & (matches(frames, rule, rule.needs) < rule.at_least)
    return demote(frame, rule.where, bad)


# --- the other side: rows just drawn serve those of earlier tables


def supply(frames: Frames, rule: Requires) -> None:
    """Make rows of `rule.needs`, just filled, meet what earlier rows require of them; send those back that stay without."""
    other = frames[rule.needs]
    roles = [theirs for theirs, ours in rule.match.items() if ours == "self" and theirs in other.table.parents]
    bad = _wanting(frames, rule)
    if bad.any() and len(roles) == 1 and len(rule.match) == 1 and other.n:
        for _ in range(rule.at_least):
            _supply_one(frames, rule, roles[0], np.flatnonzero(bad))
            bad = _wanting(frames, rule)
            if not bad.any():
                return
    demote(frames[rule.table], rule.where, bad)


def unserved(frames: Frames, rule: Requires) -> None:
    """Send rows back that lost what they require when rules of `rule.needs` dropped it."""
    demote(frames[rule.table], rule.where, _wanting(frames, rule))


def _supply_one(frames: Frames, rule: Requires, role: str, wanting: Rows) -> None:
    """Give each wanting row one more row that meets `having`: one of its own that does not yet, or a spare one."""
    other = frames[rule.needs]
    fit = frames.holds(rule.needs, rule.having)
    mine, unique = other.cols[role], other.table.parents[role].unique
    own = {int(mine[row]): row for row in np.flatnonzero(~fit).tolist()}
    free = [] if unique else np.flatnonzero(_spare(frames, rule, mine, fit)).tolist()
    chosen, parents = [], []
    for row in wanting.tolist():
        taken = own.pop(row, None)
        if taken is None and free:
            taken = free.pop()
        if taken is not None:
            chosen.append(taken)
            parents.append(row)
    picked = np.array(chosen, np.int64)
    mine[picked] = np.array(parents, np.int64)
    _grant(other, rule.having, picked)


def _spare(frames: Frames, rule: Requires, parents: Rows, fit: Mask) -> Mask:
    """The rows that nobody requires: without a parent, of one that requires nothing, or more than theirs requires."""
    spare = (parents < 0) | ~np.isin(parents, np.flatnonzero(frames.holds(rule.table, rule.where)))
    return spare | (fit & (rank(np.where(fit, parents, -1)) >= rule.at_least))


def _grant(frame: Frame, having: Where, rows: Rows) -> None:
    """Make rows meet a condition, as far as it speaks of enumerations, states and numbers of their own."""
    for key, accepted in having.items():
        if key not in frame.cols or not isinstance(accepted, tuple) or not len(rows):
            continue
        column, here = frame.table[key], none(frame)
        here[rows] = True
        codes = [column.values.index(str(v)) for v in accepted] if column.values else accepted
        wrong = here & ~np.isin(frame.cols[key], codes)
        frame.cols[key] = np.where(wrong, codes[0], frame.cols[key])
        if key in frame.nulls:
            frame.nulls[key] = frame.nulls[key] & ~here
        if frame.table.lifecycle and key == frame.table.lifecycle.column and wrong.any():
            limit = np.maximum(frame.ends, frame.born + 3600)
            stamp_states(frame, frame.table.lifecycle, np.minimum(limit, frame.now))
