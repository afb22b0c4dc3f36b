"""A world under construction: tables as numpy columns, and paths over them.

Raw values: moments (dates and datetimes) are int64 Unix seconds; foreign keys are int64 row numbers of the parent, -1 for
NULL; enumerations are int64 codes into `Column.values`; everything else is as it will be stored.  `nulls[key]` marks the
NULLs of columns that are not foreign keys.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from worlddb.schema.model import Schema, Table
from worlddb.schema.rules import COMPARISON, Where
from worlddb.semantics.types import semantic_type

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]

_COMPARE = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "=": np.equal}


class Frame:
    """One table: n rows, their columns, the moment at which each row was born."""

    def __init__(self, table: Table, n: int) -> None:
        self.table, self.n = table, n
        self.now = 1 << 62
        """The world clock: no row is born later."""
        self.cols: dict[str, Array] = {}
        self.nulls: dict[str, Mask] = {}
        self.born: Rows = np.zeros(n, np.int64)
        self.ends: Rows = np.zeros(n, np.int64)
        """The last moment at which a row is known to have changed."""

    def keep(self, rows: Rows) -> None:
        """Keep these rows, in this order.  References of the table to itself follow; those from elsewhere do not."""
        own = [f.key for f in self.table.foreign_keys if f.table == self.table.key and f.key in self.cols]
        if own:
            moved = np.full(self.n + 1, -1, np.int64)  # the last place serves -1: NULL stays NULL
            moved[rows] = np.arange(len(rows))
            for key in own:
                self.cols[key] = moved[self.cols[key]]
        for key, values in self.cols.items():
            self.cols[key] = values[rows]
        for key, mask in self.nulls.items():
            self.nulls[key] = mask[rows]
        self.born, self.ends = self.born[rows], self.ends[rows]
        self.n = len(rows)

    def drop(self, bad: Mask) -> None:
        """Drop the marked rows."""
        if bad.any():
            self.keep(np.flatnonzero(~bad))

    def null(self, key: str) -> Mask:
        """Which rows are NULL in a column or foreign key."""
        if key in self.table.parents:
            return np.asarray(self.cols[key] < 0)
        mask = self.nulls.get(key)
        return mask if mask is not None else np.zeros(self.n, bool)


class Frames:
    """All tables of a world under construction, by key."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.touched = [rule.touches(schema) for rule in schema.rules]
        """What each rule depends on: (table key, column key)."""
        self.made: dict[str, Frame] = {}

    def __getitem__(self, key: str) -> Frame:
        return self.made[key]

    def __contains__(self, key: object) -> bool:
        return key in self.made

    def walk(self, table: str, roles: list[str]) -> tuple[Frame, Rows, Mask]:
        """Follow foreign keys: the frame at the end, the row number there for each row here, and where the way breaks off."""
        frame = self.made[table]
        rows, lost = np.arange(frame.n), np.zeros(frame.n, bool)
        for role in roles:
            step = frame.cols[role][rows] if frame.n else np.full(len(rows), -1)
            lost = lost | (step < 0)
            rows = np.where(step < 0, 0, step)
            frame = self.made[frame.table.parents[role].table]
        return frame, rows, lost

    def look(self, table: str, path: str) -> tuple[Array, Mask]:
        """The values at the end of a path for each row of `table`, and where they are NULL.

        Enumerations come as text, foreign keys and `self` as row numbers, moments as seconds.
        """
        *roles, last = path.split(".")
        frame, rows, lost = self.walk(table, roles)
        if last == "self":
            return rows, lost
        if frame.n == 0:
            return np.zeros(len(rows), np.int64), np.ones(len(rows), bool)
        values = frame.cols[last][rows]
        lost = lost | frame.null(last)[rows]
        column = frame.table[last]
        if column.values:
            values = np.array(column.values, object)[values]
        return values, lost

    def ready(self, table: str, path: str) -> bool:
        """True where every table and column that the path names is made already."""
        *roles, last = path.split(".")
        current = table
        for role in roles:
            if current not in self.made or role not in self.made[current].cols:
                return False
            current = self.schema[current].parents[role].table
        return current in self.made and (last == "self" or last in self.made[current].cols)

    def holds(self, table: str, where: Where) -> Mask:
        """The rows of `table` that meet a condition; NULL meets none but `null`."""
        mask = np.ones(self.made[table].n, bool)
        for path, accepted in where.items():
            values, lost = self.look(table, path)
            if accepted in ("null", None):
                mask &= lost
            elif accepted == "set":
                mask &= ~lost
            elif isinstance(accepted, str):
                match = COMPARISON.match(accepted)
                assert match is not None  # the rule was compiled before
                mask &= ~lost & _COMPARE[match[1]](np.where(lost, 0, values), int(match[2]))
            else:
                mask &= ~lost & np.isin(values, list(accepted or ()))
        return mask


def is_moment(type_name: str) -> bool:
    """True for columns that a frame holds as seconds."""
    return semantic_type(type_name).temporal in ("date", "datetime")
