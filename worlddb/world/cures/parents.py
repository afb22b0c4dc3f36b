"""Cures for rules about a row's own parents: which may stand there, and which go together."""

from __future__ import annotations

import numpy as np

from worlddb.rng import Stream
from worlddb.schema.rules import Acyclic, AnyRule, RoleReq, SameParent, StateReq
from worlddb.world.cures.common import changeable, demote, differing, none, unlink
from worlddb.world.cures.redraw import match, redraw
from worlddb.world.frame import Frame, Frames, Mask


def broken(frames: Frames, rule: AnyRule) -> Mask:
    """Rows that break a rule about their parents, which a later cure may have changed; nothing is mended."""
    frame = frames[rule.table]
    if isinstance(rule, SameParent):
        return differing(frames, frame, *rule.paths) & frames.holds(rule.table, rule.where)
    if isinstance(rule, StateReq | RoleReq) and rule.among:
        return _not_among(frames, rule)
    return none(frame)


# --- same_parent


def same_parent(frames: Frames, frame: Frame, rule: SameParent, stream: Stream) -> Mask:
    """Make the two paths lead to the same row."""
    where = frames.holds(rule.table, rule.where)
    bad = _make_equal(frames, frame, rule.paths[0], rule.paths[1], where, stream)
    for path in rule.paths:
        bad = unlink(frame, path.split(".")[0], bad)
    return demote(frame, rule.where, bad)


def _make_equal(frames: Frames, frame: Frame, ours: str, theirs: str, where: Mask, stream: Stream) -> Mask:
    """Make two paths of a row lead to the same value; the rows where they still differ."""
    pairs = ((ours, theirs), (theirs, ours))
    bad = differing(frames, frame, ours, theirs) & where
    # the longer way first: a parent chosen to fit leaves the plain reference, which other rules may speak of, alone
    for moved, kept in pairs:
        role, _, rest = moved.partition(".")
        if bad.any() and rest and role in frame.cols and kept.partition(".")[0] != role:
            wanted = frames.look(frame.table.key, kept)
            for fit in (_admitted(frames, frame, role), np.ones(frames[frame.table.parents[role].table].n, bool)):
                match(frames, frame, moved, wanted, bad, fit, stream)
                bad = differing(frames, frame, ours, theirs) & where
    for path in (ours, theirs):
        if "." in path:
            bad = unlink(frame, path.partition(".")[0], bad)
    for moved, kept in pairs:
        if bad.any() and _takes_any_value(frame, moved):
            values, null = frames.look(frame.table.key, kept)
            frame.cols[moved] = np.where(bad & ~null, values, frame.cols[moved])
            bad = differing(frames, frame, ours, theirs) & where
    return bad


def _admitted(frames: Frames, frame: Frame, role: str) -> Mask:
    """The parents `role` that the rules about states and roles admit."""
    table = frame.table.parents[role].table
    fit = np.ones(frames[table].n, bool)
    for rule in frames.schema.rules:
        if rule.table == frame.table.key and isinstance(rule, StateReq | RoleReq) and rule.among:
            first, _, path = _judged(rule).partition(".")
            if first == role and frames.ready(table, path):
                fit &= frames.holds(table, {path: rule.among})
    return fit


def _takes_any_value(frame: Frame, key: str) -> bool:
    """True for a reference or column of this table that may take any parent's value."""
    if key not in frame.cols:
        return False
    parent = frame.table.parents.get(key)
    if parent:
        return not parent.unique and parent.table != frame.table.key
    return changeable(frame, key) and not frame.table[key].unique


# --- state_req, role_req


def state_req(frames: Frames, frame: Frame, rule: StateReq, stream: Stream) -> Mask:
    """Choose a parent that is in one of the states."""
    return _choose_among(frames, frame, rule, stream)


def role_req(frames: Frames, frame: Frame, rule: RoleReq, stream: Stream) -> Mask:
    """Choose an actor who is entitled."""
    if rule.among:
        return _choose_among(frames, frame, rule, stream)
    where = frames.holds(rule.table, rule.where)
    if rule.equal:
        bad = _make_equal(frames, frame, _judged(rule), rule.equal, where, stream)
    else:
        bad = _raise_rank(frames, frame, rule, where, stream)
    return unlink(frame, rule.actor, demote(frame, rule.where, bad))


def _judged(rule: StateReq | RoleReq) -> str:
    """The path to the state or role that the rule looks at."""
    return f"{rule.of if isinstance(rule, StateReq) else rule.actor}.{rule.column}"


def _not_among(frames: Frames, rule: StateReq | RoleReq) -> Mask:
    """The rows whose state or role is none of those that the rule admits."""
    values, lost = frames.look(rule.table, _judged(rule))
    return ~lost & ~np.isin(values, list(rule.among)) & frames.holds(rule.table, rule.where)


def _choose_among(frames: Frames, frame: Frame, rule: StateReq | RoleReq, stream: Stream) -> Mask:
    """Draw another parent for the rows whose own is not admitted; else send them back, else leave the parent out."""
    bad = _not_among(frames, rule)
    if not bad.any():
        return bad
    role, _, rest = _judged(rule).partition(".")
    redraw(frames, frame, role, bad, stream, lambda table: frames.holds(table, {rest: rule.among}))
    bad = demote(frame, rule.where, _not_among(frames, rule))
    return unlink(frame, rule.of if isinstance(rule, StateReq) else rule.actor, bad)


def _raise_rank(frames: Frames, frame: Frame, rule: RoleReq, where: Mask, stream: Stream) -> Mask:
    """Draw actors of at least the rank that the rule wants; the rows whose actor is still below it."""
    bad = _below(frames, rule, where)
    if not bad.any():
        return bad
    least = rule.at_least
    if isinstance(least, int):
        role, _, rest = _judged(rule).partition(".")
        redraw(frames, frame, role, bad, stream, lambda table: frames.look(table, rest)[0] >= least)
        return _below(frames, rule, where)
    for attempt in range(3):
        redraw(frames, frame, rule.actor, bad, stream.child(str(attempt)))
        bad = _below(frames, rule, where)
    return bad


def _below(frames: Frames, rule: RoleReq, where: Mask) -> Mask:
    values, lost = frames.look(rule.table, _judged(rule))
    if isinstance(rule.at_least, int):
        return where & ~lost & (values < rule.at_least)
    least, null = frames.look(rule.table, rule.at_least)
    return where & ~lost & ~null & (values < least)


# --- acyclic


def acyclic(frames: Frames, frame: Frame, rule: Acyclic, stream: Stream) -> Mask:
    """Let every edge lead to a later row; a tree (`parent`) was drawn so by links.py."""
    if rule.parent:
        return none(frame)
    a, lost = frames.look(rule.table, rule.source)
    b, null = frames.look(rule.table, rule.target)
    if rule.source in frame.cols and rule.target in frame.cols:
        flip = ~lost & ~null & (a > b)
        frame.cols[rule.source], frame.cols[rule.target] = np.where(flip, b, a), np.where(flip, a, b)
        return ~lost & ~null & (a == b)
    return ~lost & ~null & (a >= b)
