"""What the cures share: bounds, groups and running totals, and the ways to mend a row that is no longer free to move."""

from __future__ import annotations

from typing import Any

import numpy as np

from worlddb.schema.ddl import formula_tokens
from worlddb.schema.rules import Where
from worlddb.semantics.types import semantic_type
from worlddb.world.frame import Array, Frame, Frames, Mask, Rows
from worlddb.world.moments import BIRTH_COLUMNS, set_births

DAY = 86400
FAR = 1 << 60
"""Later than every moment and larger than every amount: the bound where a rule has none."""


# --- looking


def none(frame: Frame) -> Mask:
    """No row."""
    return np.zeros(frame.n, bool)


def limit(frames: Frames, rule: Any) -> Array:
    """The bound `at_most` of a rule for each row; far away where it is NULL."""
    if isinstance(rule.at_most, int):
        return np.full(frames[rule.table].n, rule.at_most, np.int64)
    values, lost = frames.look(rule.table, rule.at_most)
    return np.where(lost, FAR, values)


def changeable(frame: Frame, key: str) -> bool:
    """True where a column may be changed on its own: a number or moment of this table that no formula ties."""
    tied = any(key in formula_tokens(c.formula) or c.key == key for c in frame.table.columns if c.formula)
    return key in frame.cols and key not in frame.table.key_columns and not tied and not frame.table[key].values


def differing(frames: Frames, frame: Frame, ours: str, theirs: str) -> Mask:
    """The rows in which two paths lead to different values, neither of them NULL."""
    a, lost = frames.look(frame.table.key, ours)
    b, null = frames.look(frame.table.key, theirs)
    return ~lost & ~null & (a != b)


def grain(frames: Frames, table: str, path: str) -> int:
    """Seconds to which the moments at the end of a path are exact: a day for dates, else one."""
    *roles, last = path.split(".")
    for role in roles:
        table = frames.schema[table].parents[role].table
    return DAY if semantic_type(frames.schema[table][last].type).temporal == "date" else 1


def groups(frames: Frames, table: str, paths: tuple[str, ...]) -> tuple[Rows, Mask]:
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


def running_total(codes: Rows, amount: Array) -> Array:
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


# --- mending


def demote(frame: Frame, where: Where, bad: Mask) -> Mask:
    """Send rows back to the last state on their way that `where` does not speak of; what cannot go back stays bad."""
    machine, states = frame.table.lifecycle, where.get("status")
    if machine is None or machine.column != "status" or not isinstance(states, tuple) or not bad.any():
        return bad
    codes = frame.cols["status"].copy()  # a new array: fill.py tells by it that something was mended
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
    frame.cols["status"] = codes
    return left


def unlink(frame: Frame, role: str, bad: Mask) -> Mask:
    """Empty an optional reference of the table itself in bad rows; what could not be emptied stays bad."""
    key = frame.table.parents.get(role)
    if not bad.any() or key is None or not key.nullable or role not in frame.cols:
        return bad
    frame.cols[role] = np.where(bad, -1, frame.cols[role])
    return none(frame)


def blank(frame: Frame, key: str, bad: Mask) -> Mask:
    """Empty an optional column in bad rows; what could not be emptied stays bad."""
    if bad.any() and key in frame.cols and frame.table[key].nullable and key in frame.nulls:
        frame.nulls[key] = frame.nulls[key] | bad
        return none(frame)
    return bad


def set_moments(frame: Frame, key: str, moments: Rows) -> None:
    """Write a temporal column; a birth column moves all that came after the birth."""
    if key in BIRTH_COLUMNS:
        set_births(frame, moments)
    else:
        frame.cols[key] = moments
