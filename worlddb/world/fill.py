"""Fills a schema with rows: table after table, parents first, each drawn and then made to obey the rules."""

from __future__ import annotations

import numpy as np

from worlddb.rng import Stream
from worlddb.schema.model import Schema, Table
from worlddb.schema.rules import AnyRule, Balance, Cap, Excl, NonNeg, Requires, SumEq
from worlddb.semantics.pools import Pools
from worlddb.world import cures, links, moments, plan, values
from worlddb.world.cures.exclusions import reversed_exclusion
from worlddb.world.cures.needs import supply, unserved
from worlddb.world.cures.parents import broken
from worlddb.world.frame import Frame, Frames, Mask, Rows

PASSES = 4
"""How often the cures go over a table: one may undo another's work, and chance decides anew each time."""


def fill(schema: Schema, rows: int, when: moments.Era, stream: Stream, pools: Pools, locale: str) -> Frames:
    """All tables of a schema, about `rows` rows in all."""
    frames = Frames(schema)
    order, late = plan.order(schema, frames.touched)
    sizes = plan.counts(schema, rows)
    for table in order:
        draws = stream.child("rows", table.key)
        frame = Frame(table, sizes[table.key])
        _draw(frames, frame, late, when, draws, pools, locale)
        _obey(frames, table, draws.child("rules"))
        total(frames, table.key)
        _obey_totals(frames, table.key, draws.child("totals"))
    links.close(frames, late, stream.child("late"))
    settle(frames)
    return frames


def _draw(
    frames: Frames,
    frame: Frame,
    late: set[tuple[str, str]],
    when: moments.Era,
    stream: Stream,
    pools: Pools,
    locale: str,
) -> None:
    """Draw the rows of one table: references, births, intervals, states, values."""
    links.link(frames, frame, late, stream.child("links"), pools)
    moments.births(frames, frame, when, stream.child("births"), pools)
    frames.made[frame.table.key] = frame  # from here on, paths of this table can be looked at
    links.trees(frame, late, stream.child("trees"))
    moments.intervals(frames.schema, frame, when, stream.child("intervals"), pools)
    moments.live(frame, when, stream.child("states"))
    values.fill(frames, frame, when, stream.child("values"), pools, locale)
    frame.drop(_pointless(frames, frame, {}))


# --- rules


def _obey(frames: Frames, table: Table, stream: Stream) -> None:
    """Make the new rows obey the rules of their table, and what rules of earlier tables say of them."""
    frame = frames[table.key]
    for need in _serving(frames, table.key):
        supply(frames, need)
    ready = [(number, rule) for number, rule in _rules(frames, table.key) if not _awaits(frames, number)]
    mine = sorted(ready, key=lambda numbered: cures.place(numbered[1]))
    for attempt in range(PASSES):
        wrong, before = 0, list(frame.cols.values())
        if attempt:
            moments.after_parents(frames, frame)
        for number, rule in mine:
            bad = cures.cure(frames, rule, stream.child(str(attempt), str(number)))
            wrong += int(bad.sum())
            if attempt == PASSES - 1:
                frame.drop(bad)
        values.copy_again(frames, frame)
        for column in table.columns:
            if column.formula:
                values.compute(frame, column)
        if not wrong and (attempt or all(a is b for a, b in zip(before, frame.cols.values(), strict=True))):
            break
    for _, rule in mine:
        frame.drop(broken(frames, rule))
    dedupe(frame)
    for need in _serving(frames, table.key):
        unserved(frames, need)


def _awaits(frames: Frames, number: int) -> bool:
    """True where the rule of that number looks at a total that is still to be computed."""
    return any(
        isinstance(r, SumEq) and (r.table, r.column) in frames.touched[number] and r.of not in frames
        for r in frames.schema.rules
    )


def _obey_totals(frames: Frames, table: str, stream: Stream) -> None:
    """Cure the rules that waited for totals which rows of `table` decide; what is left is taken out in the end."""
    decided = {(r.table, r.column) for r in frames.schema.rules if isinstance(r, SumEq) and r.of == table}
    for number, rule in enumerate(frames.schema.rules):
        waited = decided & frames.touched[number] and rule.table != table and not isinstance(rule, SumEq)
        if waited and _made(frames, number) and not _awaits(frames, number):
            cures.cure(frames, rule, stream.child(str(number)))


def _rules(frames: Frames, table: str) -> list[tuple[int, AnyRule]]:
    """The table's rules that speak only of what is made, sums aside; exclusions seen from here are among them."""
    found: list[tuple[int, AnyRule]] = []
    for number, rule in enumerate(frames.schema.rules):
        if isinstance(rule, Excl) and rule.none_of == table and rule.table != table:
            rule = reversed_exclusion(rule)
        if rule.table == table and not isinstance(rule, SumEq) and _made(frames, number):
            found.append((number, rule))
    return found


def _made(frames: Frames, number: int) -> bool:
    """True where every table and column that a rule depends on is there."""
    return all(
        t in frames and (c in frames[t].cols or (c,) == frames[t].table.primary_key) for t, c in frames.touched[number]
    )


def _serving(frames: Frames, table: str) -> list[Requires]:
    """Rules of earlier tables that require rows of this one."""
    return [
        rule
        for number, rule in enumerate(frames.schema.rules)
        if isinstance(rule, Requires) and rule.needs == table and rule.table != table and _made(frames, number)
    ]


def dedupe(frame: Frame) -> None:
    """Drop rows that repeat a key or a unique combination; a NULL never repeats."""
    table = frame.table
    keys = [table.primary_key] if table.key_style == "composite" else []
    keys += [*table.uniques, *((c.key,) for c in table.columns if c.unique and c.key in frame.cols)]
    for key in keys:
        codes, lost = np.zeros(frame.n, np.int64), np.zeros(frame.n, bool)
        for column in key:
            lost |= frame.null(column)
            part = np.unique(
                frame.cols[column].astype(str) if frame.cols[column].dtype == object else frame.cols[column],
                return_inverse=True,
            )[1]
            codes = codes * (1 << 31) + part
        frame.drop(~lost & (links.rank(np.unique(codes, return_inverse=True)[1]) > 0))


# --- totals


def total(frames: Frames, table: str) -> None:
    """Compute the sums and balances that rows of `table` decide."""
    for rule in frames.schema.rules:
        if isinstance(rule, SumEq) and table in (rule.of, rule.table) and rule.of in frames and rule.table in frames:
            if isinstance(rule, Balance):
                _keep_solvent(frames, rule)
            add_up(frames, rule)


def add_up(frames: Frames, rule: SumEq) -> None:
    """Set the column of a sum_eq or balance rule to what the rule says."""
    frame = frames[rule.table]
    parents, lost = frames.look(rule.of, rule.via)
    counted = frames.holds(rule.of, rule.having) & ~lost
    amounts = np.ones(len(parents), np.int64)
    if rule.sum:
        amounts, null = frames.look(rule.of, rule.sum)
        counted &= ~null
    sums = np.zeros(frame.n, np.int64)
    np.add.at(sums, parents[counted], amounts[counted].astype(np.int64))
    for sign, keys in ((1, rule.plus), (-1, rule.minus)):
        for key in keys:
            extra, null = frames.look(rule.table, key)
            sums = sums + sign * np.where(null, 0, extra)
    frame.cols[rule.column] = sums
    frame.nulls.pop(rule.column, None)


def _keep_solvent(frames: Frames, rule: Balance) -> None:
    """Turn entries around that would take a balance below zero where a rule forbids that."""
    signed = [  # rules that fix the sign of some entries: those are shrunk, not turned around
        r
        for r in frames.schema.rules
        if r.table == rule.of and isinstance(r, NonNeg | Cap) and r.column == rule.sum and r.where
    ]
    limits = any(
        isinstance(r, NonNeg) and (r.table, r.column) == (rule.table, rule.column) for r in frames.schema.rules
    )
    entries = frames[rule.of]
    if not limits or rule.sum not in entries.cols:
        return
    parents, lost = frames.look(rule.of, rule.via)
    amounts = entries.cols[rule.sum].tolist()
    fixed = np.logical_or.reduce(
        [np.zeros(entries.n, bool), *(frames.holds(rule.of, r.where) for r in signed)]
    ).tolist()
    held: dict[int, int] = {}
    for row in np.flatnonzero(frames.holds(rule.of, rule.having) & ~lost).tolist():
        parent = int(parents[row])
        if held.get(parent, 0) + amounts[row] < 0:
            amounts[row] = -held.get(parent, 0) if fixed[row] else -amounts[row]
        held[parent] = held.get(parent, 0) + amounts[row]
    entries.cols[rule.sum] = np.array(amounts, np.int64)


# --- removal


def remove(frames: Frames, marks: dict[str, Mask]) -> None:
    """Take marked rows out of a finished world: their parts go along, optional references to them are emptied."""
    marks = {t: m.copy() for t, m in marks.items()} | {
        t: np.zeros(f.n, bool) for t, f in frames.made.items() if t not in marks
    }
    changed = True
    while changed:
        changed = False
        for table, key in frames.schema.edges():
            rows = frames[table.key].cols[key.key]
            if key.nullable or not len(rows) or not marks[key.table].any():
                continue
            orphan = (rows >= 0) & marks[key.table][np.maximum(rows, 0)] & ~marks[table.key]
            if orphan.any():
                marks[table.key] |= orphan
                changed = True
    for frame in frames.made.values():
        marks[frame.table.key] |= _pointless(frames, frame, marks)
    moved = {t: np.where(m, -1, np.cumsum(~m) - 1) for t, m in marks.items()}
    for table, key in frames.schema.edges():
        if table.key != key.table:
            rows = frames[table.key].cols[key.key]
            frames[table.key].cols[key.key] = (
                np.where(rows < 0, -1, moved[key.table][np.maximum(rows, 0)])
                if len(moved[key.table])
                else np.full(len(rows), -1)
            )
    for frame in frames.made.values():
        _move_targets(frame, moved)
        frame.drop(marks[frame.table.key])
    settle(frames)


def settle(frames: Frames) -> None:
    """Compute all totals and formulas anew, until those that rest on others have come to rest too."""
    for _ in range(4):
        before = [frames[r.table].cols[r.column] for r in frames.schema.rules if isinstance(r, SumEq)]
        for rule in frames.schema.rules:
            if isinstance(rule, SumEq):
                add_up(frames, rule)
        for frame in frames.made.values():
            for column in frame.table.columns:
                if column.formula:
                    values.compute(frame, column)
        after = [frames[r.table].cols[r.column] for r in frames.schema.rules if isinstance(r, SumEq)]
        if all(np.array_equal(a, b) for a, b in zip(before, after, strict=True)):
            break


def _move_targets(frame: Frame, moved: dict[str, Rows]) -> None:
    """Polymorphic references follow the rows that they point to; those to removed rows go to the first row left."""
    pair = frame.table.polymorphic
    if pair is None:
        return
    codes, rows = frame.cols[pair.type_column], frame.cols[pair.id_column]
    for code, table in enumerate(pair.tables):
        if len(moved[table]):
            rows = np.where(codes == code, np.maximum(moved[table][np.minimum(rows, len(moved[table]) - 1)], 0), rows)
    frame.cols[pair.id_column] = rows


def _pointless(frames: Frames, frame: Frame, marks: dict[str, Mask]) -> Mask:
    """Rows whose polymorphic reference names a table that has no rows, or none but marked ones."""
    pair = frame.table.polymorphic
    if pair is None:
        return np.zeros(frame.n, bool)
    left = [
        0 if t not in frames else frames[t].n - int(marks[t].sum()) if t in marks else frames[t].n for t in pair.tables
    ]
    return np.asarray(np.array(left)[frame.cols[pair.type_column]] == 0)
