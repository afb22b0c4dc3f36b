"""Makes freshly drawn rows obey the rules: one cure for each kind of rule.

A cure runs when its rule's table has just been filled and nothing refers to its rows yet.  It changes what it can (draws
another parent, moves a moment, trims an amount, sends a row back to an earlier state) and returns the rows that still
break the rule, which are then dropped.  What a rule says of tables that come later is cured when they are filled.  The proof
is not here: image.py asks SQL.

The cures live in modules by what they change: parents, needs (of other rows), exclusions, times, amounts.  Imports run one
way: common, then redraw, then those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from worlddb.rng import Stream
from worlddb.schema import rules
from worlddb.schema.rules import AnyRule
from worlddb.world.cures import amounts, exclusions, needs, parents, times
from worlddb.world.frame import Frame, Frames, Mask

CURES: dict[type, Callable[[Frames, Frame, Any, Stream], Mask]] = {
    rules.SameParent: parents.same_parent,
    rules.StateReq: parents.state_req,
    rules.RoleReq: parents.role_req,
    rules.Excl: exclusions.excl,
    rules.Requires: needs.requires,
    rules.Acyclic: parents.acyclic,
    rules.DateOrder: times.date_order,
    rules.Window: times.window,
    rules.NonNeg: amounts.non_neg,
    rules.Monotone: amounts.monotone,
    rules.Immutable: times.immutable,
    rules.NoOverlap: times.no_overlap,
    rules.UniqueActive: amounts.unique_active,
    rules.Cap: amounts.cap,
    rules.QtyLe: amounts.qty_le,
    rules.SumLe: amounts.sum_le,
}
"""The cure of each kind of rule, in the order in which they run: those that choose parents come first, then those that move
moments and values, last those that only drop rows.  Sums (sum_eq, balance) have none: fill.py computes them."""
PLACES = {kind: place for place, kind in enumerate(CURES)}


def place(rule: AnyRule) -> int:
    """When the cure of a rule has its turn among those of its table."""
    return PLACES[type(rule)]


def cure(frames: Frames, rule: AnyRule, stream: Stream) -> Mask:
    """Mend the rows of the rule's table; the rows that still break it."""
    frame = frames[rule.table]
    if frame.n == 0:
        return np.zeros(0, bool)
    return CURES[type(rule)](frames, frame, rule, stream)
