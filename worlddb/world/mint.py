"""Values that the server makes for new rows: keys, and the numbers that a business gives its papers.

The n-th value of a column is the same in every episode of a world, whatever other episodes do, and none of them stands in
the world as it was grown.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any
from uuid import UUID

from worlddb.errors import BadRequest
from worlddb.rng import Stream
from worlddb.schema.model import Column, Table
from worlddb.schema.rules import quote
from worlddb.semantics.draw import distinct
from worlddb.semantics.pools import load_pools
from worlddb.semantics.types import is_a, semantic_type
from worlddb.world.model import World

BLOCK = 64
"""Values that are drawn at once."""
_TAIL = re.compile(r"(.*?)(\d+)$")


def is_minted(table: Table, column: Column) -> bool:
    """True for columns whose value the server makes for a new row rather than ask for it."""
    if (column.key,) == table.primary_key:
        return True
    if not is_a(column.type, "identifier") or column.key in table.key_columns:
        return False
    return column.unique or (column.key in ("number", "reference") and not column.nullable)


class Mints:
    """The sources of such values in one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tails: dict[tuple[str, str], tuple[str, int, int]] = {}
        self._drawn: dict[tuple[str, str], list[str]] = {}
        self._taken: dict[tuple[str, str], set[Any]] = {}

    def make(self, table: str, column: str, number: int) -> Any:
        """The value of that number, from 1; None for an integer key, which SQLite numbers itself."""
        home = self._world.schema[table]
        if (column,) == home.primary_key and home.key_style == "integer":
            return None
        if (column,) == home.primary_key and home.key_style == "uuid":
            raw = sha256(f"{self._world.recipe}/{table}/{number}".encode()).digest()
            return str(UUID(bytes=raw[:16], version=4))
        kind = semantic_type(home[column].type)
        if (column,) == home.primary_key or kind.source.startswith("seq:"):
            stem, width, last = self._tail(table, column)
            return f"{stem}{last + number:0{width}d}"
        return self._draw(table, column, number)

    def _present(self, table: str, column: str) -> set[Any]:
        """What the column holds in the world as it was grown."""
        place = (table, column)
        if place not in self._taken:
            home = self._world.schema[table]
            connection = self._world.connect()
            sql = f"SELECT {quote(home[column].name)} FROM {quote(home.name)}"
            self._taken[place] = {row[0] for row in connection.execute(sql)}
            connection.close()
        return self._taken[place]

    def _tail(self, table: str, column: str) -> tuple[str, int, int]:
        """Stem, width and last number of a running code such as ORD-2026-00042."""
        place = (table, column)
        if place not in self._tails:
            home = self._world.schema[table]
            parts = [m for v in self._present(table, column) if isinstance(v, str) and (m := _TAIL.match(v))]
            best = max(parts, key=lambda m: (m[1], int(m[2])), default=None)
            prefix = f"{home.code_prefix or 'NO'}-"
            self._tails[place] = (best[1], len(best[2]), int(best[2])) if best else (prefix, 5, 0)
        return self._tails[place]

    def _draw(self, table: str, column: str, number: int) -> str:
        known = self._drawn.setdefault((table, column), [])
        while len(known) < number:
            block = str(len(known) // BLOCK)
            stream = Stream(self._world.recipe.seed, "mint").child(table, column, block)
            known += self._block(table, column, stream, set(known))
        return known[number - 1]

    def _block(self, table: str, column: str, stream: Stream, known: set[str]) -> list[str]:
        taken = self._present(table, column) | known
        kind = self._world.schema[table][column].type
        try:
            made = distinct(kind, stream, 4 * BLOCK, load_pools(), self._world.locale).tolist()
        except BadRequest:  # a closed set, or a short pattern
            made = []
        fresh = [str(v) for v in made if v not in taken][:BLOCK]
        while len(fresh) < BLOCK:
            fresh.append(f"{self._world.schema[table].code_prefix or 'NO'}{len(known) + len(fresh) + 1:07d}")
        return fresh
