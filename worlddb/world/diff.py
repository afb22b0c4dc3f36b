"""The Diff noun: the net change of rows between two states of one world.  Gold and verdict share this one definition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

Key: TypeAlias = tuple[Any, ...]
Row: TypeAlias = tuple[Any, ...]


class Change(NamedTuple):
    """One row that differs: `before` is None for an inserted row, `after` for a deleted one.  Values in the table's order."""

    table: str
    """Key of the table."""
    key: Key
    before: Row | None
    after: Row | None

    @property
    def op(self) -> str:
        """'insert', 'update' or 'delete'."""
        return "insert" if self.before is None else "delete" if self.after is None else "update"


class Diff:
    """Net row changes by table and primary key.

    Work that undoes itself leaves nothing: a row inserted and deleted again, a value set and set back.  An update of a
    primary key counts as the deletion of the old row and the insertion of the new one.
    """

    __slots__ = ("_rows",)

    def __init__(self, rows: dict[tuple[str, Key], tuple[Row | None, Row | None]] | None = None) -> None:
        self._rows = rows if rows is not None else {}

    def add(self, table: str, key: Key, before: Row | None, after: Row | None) -> None:
        """Follow one change: the row at `key` was `before` and is now `after`; None where there is no row."""
        place = (table, key)
        known = self._rows.get(place)
        first = before if known is None else known[0]
        if first == after:
            self._rows.pop(place, None)
        else:
            self._rows[place] = (first, after)

    def is_gone(self, table: str, key: Key) -> bool:
        """True for a row that was there at first and is not any more."""
        known = self._rows.get((table, key))
        return known is not None and known[1] is None

    def copy(self) -> Diff:
        """An independent copy."""
        return Diff(dict(self._rows))

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes, by table key and primary key."""
        rows = sorted(self._rows.items(), key=lambda item: (item[0][0], *(_order(v) for v in item[0][1])))
        return tuple(Change(table, key, before, after) for (table, key), (before, after) in rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Diff) and self._rows == other._rows

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Diff({len(self)} rows: {', '.join(f'{c.op} {c.table} {c.key}' for c in self.changes[:5])})"


def _order(value: Any) -> tuple[int, Any]:
    """A key that sorts any stored values: NULL, numbers, text, blobs."""
    rank = 0 if value is None else 1 if isinstance(value, int | float) else 2 if isinstance(value, str) else 3
    return rank, "" if value is None else value
