"""The Schema noun: a frozen description of a relational database, rich enough that nothing later looks upstream.

Everything has two names.  A `key` is what the thing means ("reservation", "room", "start_at"); rules, paths and references
use keys, and the naming layer never touches them.  A `name` is what stands in the SQL ("tbl_Bookings", "RoomID").  In an
imported database both are equal.  Values of enumerations and states, by contrast, are always the stored ones.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

from worlddb.schema.rules import AnyRule


class Column(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One column.  `type` names a SemanticType, which tells storage, unit, operators and how the verifier compares."""

    key: str
    name: str
    type: str
    nullable: bool = False
    unique: bool = False
    values: tuple[str, ...] = ()
    """What an enumeration or state may hold, as stored; empty: anything of the type."""
    low: int | None = None
    """The least value allowed (same unit as the column), checked by SQL; None: the type's own bound."""
    high: int | None = None
    null_share: int = 0
    """Percent of rows that are NULL when the world is filled; 0 in columns that are not nullable."""
    like: str = ""
    """A path (`product.price`) whose value a new row copies; a hint for filling, not a rule."""
    formula: str = ""
    """An arithmetic expression over keys of this table (`price * quantity`); the column always equals it."""


class ForeignKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A reference to a parent table.  `key` is its role: the step that paths take (`origin` in `origin.city`)."""

    key: str
    columns: tuple[str, ...]
    """Keys of the referring columns, in the order of `ref`."""
    table: str
    """Key of the parent table."""
    ref: tuple[str, ...]
    """Keys of the referred columns in the parent: its primary key."""
    nullable: bool = False
    unique: bool = False
    """True for a 1:1 relation."""
    on_delete: str = ""
    """'CASCADE', 'SET NULL', or '' (refused)."""
    skew: str = "mild"
    """Shape of the fan-out when filled: even, mild, strong or heavy."""


class Lifecycle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """A state machine over one column.  The first state of `states` is the initial one."""

    column: str
    states: tuple[str, ...]
    moves: tuple[tuple[str, str], ...]
    happy: tuple[str, ...]
    """The usual way through, from the initial state to its end."""
    stamps: dict[str, str] = {}
    """State -> key of the column that records when a row last entered it."""

    @property
    def initial(self) -> str:
        """The state in which rows are born."""
        return self.states[0]

    def exits(self, state: str) -> tuple[str, ...]:
        """The states reachable from `state` in one move."""
        return tuple(b for a, b in self.moves if a == state)

    @cached_property
    def routes(self) -> dict[str, tuple[str, ...]]:
        """State -> the shortest way to it from the initial state, both included."""
        found: dict[str, tuple[str, ...]] = {self.initial: (self.initial,)}
        queue = [self.initial]
        for state in queue:
            for after in self.exits(state):
                if after not in found:
                    found[after] = (*found[state], after)
                    queue.append(after)
        return found


class Polymorphic(msgspec.Struct, frozen=True, kw_only=True):
    """A pair of columns that together refer to a row of any of several tables; no foreign key can declare it."""

    type_column: str
    id_column: str
    tables: tuple[str, ...]
    """Keys of the tables, aligned with the `values` of the type column."""


class Table(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """One table.  `archetype` is its structural kind (party, booking, line …); `entity` keys come from domain files."""

    key: str
    name: str
    archetype: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    key_style: str = "integer"
    """integer, uuid, code (CUS-00012) or composite."""
    code_prefix: str = ""
    foreign_keys: tuple[ForeignKey, ...] = ()
    uniques: tuple[tuple[str, ...], ...] = ()
    """Sets of column keys that are unique together, beside the primary key and `Column.unique`."""
    lifecycle: Lifecycle | None = None
    polymorphic: Polymorphic | None = None
    title: str = ""
    """Key of the column by which people name a row; empty where there is none."""
    size: str = "medium"
    """tiny, small, medium, large or huge: its share of the world's rows."""
    names: tuple[tuple[str, ...], ...] = ()
    """Word lists whose combinations fill the title column: heads alone, or modifiers and heads."""
    lasts: str = ""
    """How long its bookings or contracts usually last ('2 days'); a hint for filling."""
    origin: str = ""
    """The domain file the table comes from; empty for an imported one."""
    aka: tuple[str, ...] = ()
    """Other names that a company might give it; empty once it has been named."""

    def __getitem__(self, key: str) -> Column:
        return self._columns[key]

    def __contains__(self, key: object) -> bool:
        return key in self._columns

    @cached_property
    def _columns(self) -> dict[str, Column]:
        return {c.key: c for c in self.columns}

    @cached_property
    def parents(self) -> dict[str, ForeignKey]:
        """Foreign keys by role."""
        return {f.key: f for f in self.foreign_keys}

    @cached_property
    def key_columns(self) -> frozenset[str]:
        """Keys of all columns that take part in the primary key or in a foreign key."""
        return frozenset(self.primary_key) | {c for f in self.foreign_keys for c in f.columns}


class Schema(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """A whole database: tables in creation order (parents first where there is no cycle), and the rules of the business."""

    domain: str
    title: str
    group: str = ""
    """The branch of business that the domain belongs to."""
    summary: str = ""
    """One sentence on what the database is about."""
    tables: tuple[Table, ...]
    rules: tuple[AnyRule, ...] = ()
    style: str = ""
    """The naming style, in words, for people."""

    def __getitem__(self, key: str) -> Table:
        return self._tables[key]

    def __contains__(self, key: object) -> bool:
        return key in self._tables

    @cached_property
    def _tables(self) -> dict[str, Table]:
        return {t.key: t for t in self.tables}

    @cached_property
    def children(self) -> dict[str, tuple[tuple[Table, ForeignKey], ...]]:
        """Table key -> the tables that refer to it, each with the foreign key."""
        found: dict[str, list[tuple[Table, ForeignKey]]] = {t.key: [] for t in self.tables}
        for table, key in self.edges():
            found[key.table].append((table, key))
        return {k: tuple(v) for k, v in found.items()}

    def edges(self) -> Iterator[tuple[Table, ForeignKey]]:
        """Every foreign key with the table that holds it."""
        for table in self.tables:
            for key in table.foreign_keys:
                yield table, key
