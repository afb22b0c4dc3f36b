"""Time in a world: when rows are born, which states they went through, when things start and end.

All moments are int64 Unix seconds, UTC.  Nothing reads the clock of the machine; `Era` frames the world's own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from worlddb.rng import Stream
from worlddb.schema.domains import archetypes
from worlddb.schema.model import Column, Lifecycle, Schema, Table
from worlddb.schema.rules import NoOverlap, seconds
from worlddb.semantics.pools import Pools
from worlddb.semantics.types import is_a, semantic_type
from worlddb.world.frame import Frame, Frames, Mask, Rows

DAY = 86400
BIRTH_COLUMNS = ("created_at", "recorded_at")
"""Keys of the columns that hold a row's birth."""
AHEAD = {
    "due_date": 45, "deadline": 45, "scheduled_at": 30, "delivery_date": 20, "effective_date": 40, "release_date": 200,
    "expiry_date": 540, "renewal_date": 540, "end_date": 540, "end_at": 540,
}  # fmt: skip
"""Types of moments that lie after a row's birth, with the days within which they do."""
PAIRS = {
    "start_at": "end_at",
    "start_date": "end_date",
    "check_in_date": "check_out_date",
    "opening_time": "closing_time",
}
"""Types that begin an interval -> the type that ends it."""


class Era(NamedTuple):
    """The stretch of time that a world remembers."""

    start: int
    now: int


def era(stream: Stream) -> Era:
    """A frozen clock in 2024 to 2026, on a working day between 8 and 18, with two to four years behind it."""
    day = stream.between(19723, 20818)
    day += {5: 2, 6: 1}.get((day + 3) % 7, 0)
    now = day * DAY + stream.between(8 * 60, 18 * 60) * 60
    return Era(now - stream.between(730, 1460) * DAY, now)


def births(frames: Frames, frame: Frame, when: Era, stream: Stream, pools: Pools) -> None:
    """Draw when each row was born, after its parents, and sort the rows by it."""
    table, n = frame.table, frame.n
    floor = np.maximum(parents_births(frames, frame), when.start)
    kind = archetypes().get(table.archetype)
    moment = kind.moment if kind else "own"
    if moment == "parent" and table.foreign_keys:
        born = floor + stream.integers(n, 900)
    else:
        settled = table.size in ("tiny", "small") and not table.lifecycle
        share = stream.units(n) * (0.5 if settled else 1.0)
        if moment == "after":
            share = share * share
        born = _business_time(floor + (share * (when.now - floor)).astype(np.int64), stream, pools)
        if not settled:
            born = _in_bursts(born, floor, when, stream.child("bursts"), pools)
    frame.now = when.now
    frame.born = np.clip(born, np.minimum(floor + 60, when.now), when.now)
    frame.ends = frame.born
    frame.keep(np.argsort(frame.born, kind="stable"))


def after_parents(frames: Frames, frame: Frame) -> None:
    """Move births behind those of the parents, some of which a rule's cure may have exchanged; what came after moves along."""
    floor = parents_births(frames, frame)
    if (floor > frame.born).any():
        set_births(frame, np.where(floor > frame.born, floor + 60, frame.born))


def parents_births(frames: Frames, frame: Frame) -> Rows:
    """When the last of each row's parents was born; 0 without any."""
    parents = [_parent_births(frames, frame, f.key) for f in frame.table.foreign_keys if f.table in frames]
    return np.maximum.reduce([np.zeros(frame.n, np.int64), *parents])


def set_births(frame: Frame, births: Rows) -> None:
    """Set when rows were born, not after now; changes and stamps keep their distance."""
    births = np.minimum(births, frame.now)
    later = np.maximum(births - frame.born, 0)
    machine = frame.table.lifecycle
    for follower in ("updated_at", *(machine.stamps.values() if machine else ())):
        if follower in frame.cols:
            frame.cols[follower] = np.minimum(frame.cols[follower] + later, frame.now)
    frame.born, frame.ends = births, np.minimum(frame.ends + later, frame.now)
    for key in BIRTH_COLUMNS:
        if key in frame.cols:
            frame.cols[key] = births


def _parent_births(frames: Frames, frame: Frame, role: str) -> Rows:
    rows, parent = frame.cols[role], frames[frame.table.parents[role].table]
    if parent.n == 0:
        return np.zeros(frame.n, np.int64)
    return np.where(rows < 0, 0, parent.born[np.maximum(rows, 0)])


def _in_bursts(born: Rows, floor: Rows, when: Era, stream: Stream, pools: Pools) -> Rows:
    """Most of the moments moved into a few busy hours, where the parents were there by then."""
    n = len(born)
    days = stream.integers(max(2, n // 14), when.now - when.start) + when.start
    spells = _business_time(days, stream, pools)
    lag = pools.quantiles("exponential")
    moved = stream.picks(n, spells) + (lag[stream.integers(n, len(lag))] * 2400 >> 16)
    fits = (moved > floor) & (moved <= when.now) & stream.chances(n, 0.88)
    return np.where(fits, moved, born)


def _business_time(moments: Rows, stream: Stream, pools: Pools) -> Rows:
    """Move most weekend moments to Friday, and every moment to a time of day that people keep."""
    day = moments // DAY
    weekday = (day + 3) % 7
    moved = (weekday >= 5) & stream.chances(len(moments), 0.4)
    day = day - np.where(moved, weekday - 4, 0)
    clock = pools.quantiles("clock_business")
    return day * DAY + clock[stream.integers(len(moments), len(clock))]


# --- states


def live(frame: Frame, when: Era, stream: Stream) -> None:
    """Walk every row through its state machine, and stamp the moments at which it entered each state."""
    machine = frame.table.lifecycle
    if machine is None:
        return
    start, end = _interval(frame)
    frame.cols[machine.column] = _final_states(machine, frame, when, start, end, stream)
    limit = frame.born + _ages(frame, when, stream)
    if end is not None and start is not None:
        limit = np.where(end <= when.now, np.maximum(end, frame.born + 60), np.minimum(limit, when.now))
    stamp_states(frame, machine, np.minimum(limit, when.now))


def _interval(frame: Frame) -> tuple[Rows | None, Rows | None]:
    for column in frame.table.columns:
        partner = interval_end(frame.table, column)
        if partner and column.key in frame.cols:
            return frame.cols[column.key], frame.cols[partner.key]
    return None, None


def _ages(frame: Frame, when: Era, stream: Stream) -> Rows:
    """How long each row took from birth to its last state so far: days, and never past now."""
    left = when.now - frame.born
    pace = stream.pick((2, 5, 9, 20)) * DAY
    return np.minimum(left, (pace * (0.2 + 2.5 * stream.units(frame.n) ** 2)).astype(np.int64))


def _final_states(
    machine: Lifecycle, frame: Frame, when: Era, start: Rows | None, end: Rows | None, stream: Stream
) -> Rows:
    """Codes of the states in which the rows are now: old rows have come to an end, young ones are on their way."""
    past, future = (frame.born < when.now - 60 * DAY), (frame.born > when.now - 10 * DAY)
    if start is not None and end is not None:
        past, future = end <= when.now, start > when.now
    weights = {
        "past": _weights(machine, done=70, side=14, under_way=6, initial=2),
        "future": _weights(machine, done=4, side=8, under_way=24, initial=44),
        "between": _weights(machine, done=30, side=10, under_way=36, initial=10),
    }
    draws = {name: stream.child(name).by_weight(frame.n, w) for name, w in weights.items()}
    return np.where(past, draws["past"], np.where(future, draws["future"], draws["between"]))


def _weights(machine: Lifecycle, done: int, side: int, under_way: int, initial: int) -> Rows:
    """A weight for each state by its place: the happy end, other ends, on the way, the beginning."""
    resting = machine.happy[-1]

    def weight(state: str) -> int:
        if state == resting:
            return done
        if state == machine.initial:
            return initial
        return under_way if machine.exits(state) else side

    return np.array([weight(s) for s in machine.states], np.int64)


def stamp_states(frame: Frame, machine: Lifecycle, limit: Rows) -> None:
    """Write the stamps of all states on the way to each row's present one, spread between its birth and `limit`."""
    states = frame.cols[machine.column]
    span = np.maximum(limit - frame.born, 0)
    for key in machine.stamps.values():
        frame.cols[key], frame.nulls[key] = np.zeros(frame.n, np.int64), np.ones(frame.n, bool)
    for code, state in enumerate(machine.states):
        here = states == code
        way = machine.routes[state]
        for step, passed in enumerate(way[1:], 1):
            if passed in machine.stamps:
                stamp = machine.stamps[passed]
                frame.cols[stamp] = np.where(here, frame.born + span * step // (len(way) - 1), frame.cols[stamp])
                frame.nulls[stamp] = frame.nulls[stamp] & ~here
    moved = states != machine.states.index(machine.initial)
    frame.ends = np.maximum(frame.ends, np.where(moved, frame.born + span, frame.born))


# --- intervals


def interval_end(table: Table, column: Column) -> Column | None:
    """The column that ends the interval which `column` begins, or None where it begins none."""
    if semantic_type(column.type).temporal not in ("date", "datetime"):
        return None
    for kind, partner in PAIRS.items():
        if is_a(column.type, kind):
            after = table.columns[table.columns.index(column) + 1 :]
            return next((c for c in after if is_a(c.type, partner)), None)
    return None


def intervals(schema: Schema, frame: Frame, when: Era, stream: Stream, pools: Pools) -> None:
    """Draw when things start and end; where a rule forbids overlaps, push them apart."""
    for column in frame.table.columns:
        partner = interval_end(frame.table, column)
        if partner is None:
            continue
        draws = stream.child(column.key)
        whole_days = semantic_type(column.type).temporal == "date"
        length = _lengths(frame.table, frame.n, whole_days, draws)
        start = frame.born + _leads(frame.n, whole_days, draws)
        if not whole_days:  # things are booked for hours that people keep
            clock = pools.quantiles(draws.pick(("clock_business", "clock_business", "clock_leisure")))
            start = start // DAY * DAY + clock[draws.integers(frame.n, len(clock))]
            start = np.where(start <= frame.born, start + DAY, start)
        grid = DAY if whole_days else 900
        start = -(-start // grid) * grid
        open_end = draws.chances(frame.n, partner.null_share / 100)
        start, lost, last = _apart(schema, frame, column, partner, start, length, when)
        frame.cols[column.key], frame.cols[partner.key] = start, start + length
        if partner.nullable:
            frame.nulls[partner.key] = open_end & last  # only the last of a series has no end yet
        frame.drop(lost)


def _lengths(table: Table, n: int, whole_days: bool, stream: Stream) -> Rows:
    """How long each lasts: around the table's own length, on a grid."""
    usual = (
        seconds(table.lasts)
        if table.lasts
        else stream.pick((30, 90, 180, 365)) * DAY
        if whole_days
        else stream.pick((1, 2, 3)) * 3600
    )
    grid = DAY if whole_days else 900 if usual < 6 * 3600 else 3600
    length = (usual * (0.5 + stream.units(n))).astype(np.int64)
    return np.maximum(grid, length // grid * grid)


def _leads(n: int, whole_days: bool, stream: Stream) -> Rows:
    """How far ahead each was arranged."""
    reach = (15 if whole_days else 30) * DAY
    return (reach * stream.units(n) * stream.units(n)).astype(np.int64) + 3600


def _apart(
    schema: Schema, frame: Frame, start: Column, end: Column, begun: Rows, length: Rows, when: Era
) -> tuple[Rows, Mask, Mask]:
    """Starts moved so that nothing overlaps which may not; the rows without room; the rows that are the last of theirs."""
    rules = [
        r for r in schema.rules
        if isinstance(r, NoOverlap) and r.table == frame.table.key and (r.start, r.end) == (start.key, end.key)
    ]  # fmt: skip
    groups = [[frame.cols.get(p) for p in r.per] for r in rules]
    usable = [[g for g in group if g is not None] for group in groups if all(g is not None for g in group)]
    lost = np.zeros(frame.n, bool)
    if not usable:
        return begun, lost, ~lost
    latest: dict[tuple[int, ...], int] = {}
    busy: dict[tuple[int, ...], int] = {}
    horizon = when.now + 120 * DAY
    moved, lengths = begun.tolist(), length.tolist()
    keys = [list(zip(*(g.tolist() for g in group), strict=True)) for group in usable]
    for row in np.argsort(begun, kind="stable").tolist():
        mine = [(i, *k[row]) for i, k in enumerate(keys) if -1 not in k[row]]
        free = max([moved[row], *(busy.get(k, 0) for k in mine)])
        if free > horizon:
            lost[row] = True
            continue
        moved[row] = free
        for k in mine:
            busy[k], latest[k] = free + lengths[row], row
    last = [all(latest.get((i, *k[row]), row) == row for i, k in enumerate(keys)) for row in range(frame.n)]
    return np.array(moved, np.int64), lost, np.array(last, bool)


# --- other moments


def draw_moments(frame: Frame, column: Column, when: Era, stream: Stream) -> Rows:
    """Moments for a temporal column that is no birth, state stamp or interval, by what its type means."""
    n, born = frame.n, frame.born
    units = stream.units(n)
    kind = column.type
    if is_a(kind, "updated_at"):
        last = np.maximum(frame.ends, born)
        later = last + ((when.now - last) * (units * units * units)).astype(np.int64)
        return np.where(stream.chances(n, 0.5), last, later)
    if is_a(kind, "birth_date"):
        return when.now - ((18 + 60 * units) * 365 * DAY).astype(np.int64)
    for ahead, days in AHEAD.items():
        if is_a(kind, ahead):
            return born + DAY + (days * DAY * units * units).astype(np.int64)
    if semantic_type(kind).temporal == "date" and not is_a(kind, "start_date"):
        return born - (400 * DAY * units).astype(np.int64)
    last = np.maximum(frame.ends, born)
    return born + ((np.maximum(last, born + (when.now - born) // 4) - born) * units).astype(np.int64)
