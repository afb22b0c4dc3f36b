"""The rows of one database in numbers: how uneven its fan-out is, how often values are missing, when things happen."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

import msgspec
import numpy as np

from worlddb.schema.domains import archetypes
from worlddb.schema.metrics_names import snake, traits, type_kind
from worlddb.schema.model import ForeignKey, Schema, Table
from worlddb.schema.reflect import Connection
from worlddb.schema.rules import quote
from worlddb.semantics.types import semantic_type

FEW = 20
"""Rows below which a table says nothing about shares of its values."""
REPEATS = 3
"""Times that a value occurs, on average, in a categorical column: 15 names in 20 rows are no categories."""
FEW_PARENTS = 5
"""Parents, or children, below which a fan-out has no shape."""
FEW_EVENTS = 30
"""Events below which their gaps say nothing."""
MOST = 100_000
"""Rows of a table that are read; of longer ones the first rows stand for all (counts and fan-out are always exact)."""


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one database's rows.  Shares are fractions of 1."""

    rows: int
    ginis: tuple[float, ...]
    """Gini coefficient of the children per parent, over the parents that have any, of each non-structural foreign key.

    Childless parents are a figure of their own.  Measured so, Chinook has .35 and Sakila .11, as realism.md says.
    """
    childless: tuple[float, ...]
    """Share of parents without a child, of each non-structural foreign key."""
    null_shares: tuple[float, ...]
    """Share of NULLs in each nullable column of a table with rows enough."""
    judged: int
    """Columns outside keys, of tables with rows enough."""
    top_shares: tuple[float, ...]
    """Share of the most frequent value in each categorical column: a judged one with 2 to 20 values that repeat."""
    gap_cvs: tuple[float, ...]
    """Standard deviation over mean of the times between events, of each table with events enough."""
    events: int
    weekend_events: int
    """Those of the events that fall on a Saturday or a Sunday."""


def data(schema: Schema, connection: Connection) -> Data:
    """Measure the rows of a database: a few milliseconds per thousand rows.

    Raises:
        the connection's own error, where a table of the schema is missing.
    """
    rows = {t.key: _one(connection, f"SELECT count(*) FROM {quote(t.name)}") for t in schema.tables}
    ginis: list[float] = []
    childless: list[float] = []
    for table, key in schema.edges():
        parents = rows[key.table]
        if parents >= FEW_PARENTS and rows[table.key] and not is_structural(table, key):
            counts = _fan_out(connection, table, key)
            if counts.sum() >= FEW_PARENTS and counts.max() > 1:
                ginis.append(gini(counts))
                childless.append(max(0.0, 1 - len(counts) / parents))
    nulls: list[float] = []
    tops: list[float] = []
    gaps: list[float] = []
    judged = events = weekends = 0
    for table in schema.tables:
        if rows[table.key] >= FEW:
            columns = _columns(connection, table)
            nulls += _null_shares(table, columns)
            kept, categories = _categories(table, columns)
            judged, tops = judged + kept, tops + categories
            gap, on_weekend, seen = _events(table, columns)
            gaps, events, weekends = gaps + gap, events + seen, weekends + on_weekend
    return Data(
        rows=sum(rows.values()), ginis=tuple(ginis), childless=tuple(childless), null_shares=tuple(nulls),
        judged=judged, top_shares=tuple(tops), gap_cvs=tuple(gaps), events=events, weekend_events=weekends,
    )  # fmt: skip


def is_structural(table: Table, key: ForeignKey) -> bool:
    """True where the fan-out is fixed by what the child is: a 1:1 relation, or the whole that a part is born with.

    (A foreign key that is 1:1 in the data alone is left out by `data` as well.)

    Parts are the tables of archetypes whose rows come with their parent (the lines of an order); the whole is their
    first required parent.  An imported table has no archetype, so there only 1:1 relations are structural.
    """
    if key.unique:
        return True
    kind = archetypes().get(table.archetype)
    if kind is None or kind.moment != "parent":
        return False
    return key == next((f for f in table.foreign_keys if not f.nullable), None)


def gini(counts: np.ndarray[Any, Any]) -> float:
    """Gini coefficient of positive counts: 0 where all are equal, near 1 where one has nearly everything.

    >>> gini(np.array([1, 1, 1, 1]))
    0.0
    """
    n = len(counts)
    return float(2 * (np.arange(1, n + 1) * np.sort(counts)).sum() / (n * counts.sum()) - (n + 1) / n)


def _one(connection: Connection, sql: str) -> int:
    return int(next(iter(connection.execute(sql)))[0])


def _fan_out(connection: Connection, table: Table, key: ForeignKey) -> np.ndarray[Any, Any]:
    names = [quote(table[c].name) for c in key.columns]
    there = " AND ".join(f"{n} IS NOT NULL" for n in names)
    sql = f"SELECT count(*) FROM {quote(table.name)} WHERE {there} GROUP BY {', '.join(names)}"
    return np.array([r[0] for r in connection.execute(sql)], dtype=np.int64)


def _columns(connection: Connection, table: Table) -> dict[str, Sequence[Any]]:
    """The values of the table's columns by key; BLOBs are left out."""
    keys = [c.key for c in table.columns if type_kind(c.type) != "other"]
    names = [quote(table[k].name) for k in keys]
    tail = f" FROM {quote(table.name)} LIMIT {MOST}"
    try:
        rows = list(connection.execute(f"SELECT {', '.join(names)}{tail}"))
    except (UnicodeDecodeError, sqlite3.OperationalError) as error:
        # text that is not UTF-8: apsw refuses it with the first, sqlite3 with the second
        if "decode" not in str(error):
            raise
        rows = list(connection.execute(f"SELECT {', '.join(f'CAST({n} AS BLOB)' for n in names)}{tail}"))
    return dict(zip(keys, zip(*rows, strict=True), strict=True))


def _null_shares(table: Table, columns: dict[str, Sequence[Any]]) -> list[float]:
    inside = [c.key for c in table.columns if c.nullable and c.key in columns and c.key not in table.primary_key]
    return [columns[k].count(None) / len(columns[k]) for k in inside]


def _categories(table: Table, columns: dict[str, Sequence[Any]]) -> tuple[int, list[float]]:
    """How many columns stand outside keys, and the top value's share in the categorical ones among them."""
    judged = [v for k, v in columns.items() if k not in table.key_columns]
    found = []
    for values in judged:
        counts = Counter(values)
        missing = counts.pop(None, 0)
        present = len(values) - missing
        if 2 <= len(counts) <= 20 and present >= REPEATS * len(counts):
            found.append(max(counts.values()) / present)
    return len(judged), found


def _event_column(table: Table) -> str:
    """Key of the column that tells when a row happened: its creation stamp, else its first required moment, or ''."""
    moments = [
        c for c in table.columns if semantic_type(c.type).temporal == "datetime" and c.key not in table.primary_key
    ]
    for column in moments:
        if traits(column).created:
            return column.key
    return next((c.key for c in moments if not c.nullable and not traits(c).audit and "end" not in snake(c.name)), "")


def _events(table: Table, columns: dict[str, Sequence[Any]]) -> tuple[list[float], int, int]:
    """The variation of the gaps between the table's events (at most one number), those on weekends, and all of them."""
    key = _event_column(table)
    texts = [t[:19] for t in columns[key] if isinstance(t, str)] if key else []
    if len(texts) < FEW_EVENTS:
        return [], 0, 0
    try:
        times = np.sort(np.array(texts, dtype="datetime64[s]").astype(np.int64))
    except ValueError:  # not ISO 8601
        return [], 0, 0
    gaps = np.diff(times)
    if times[0] == times[-1]:
        return [], 0, 0
    # 1970-01-01 was a Thursday, day 3 of a week that starts on Monday
    weekend = int(((times // 86400 + 3) % 7 >= 5).sum())
    return [float(gaps.std() / gaps.mean())], weekend, len(times)


def typical(values: Sequence[float]) -> float | None:
    """The median, None for no values."""
    return float(median(values)) if values else None
