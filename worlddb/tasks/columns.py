"""What columns are good for when people speak of rows: to name one, to tell some from others, to rank, to ask about."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps

from worlddb.schema.model import Column, Table
from worlddb.semantics.types import ancestors, semantic_type

_HIDDEN = frozenset([
    "api_token", "hash", "commit_sha", "document", "uuid", "ipv4", "ipv6", "mac_address", "user_agent", "latitude", "longitude",
    "updated_at", "row_version", "deleted_at", "synced_at", "slug", "blood_pressure", "position_index", "url", "polymorphic_ref",
    "card_number", "semver",
])  # fmt: skip
"""Types that nobody speaks of."""
_LONG = frozenset([
    "description", "comment_body", "message_body", "note", "instructions", "biography", "question_text", "review_text",
    "error_message", "reason", "file_path", "full_address",
])  # fmt: skip
"""Types of text that is too long to name something by, or to ask for."""
_SUMS = frozenset(["quantity", "money"])
_NO_SUMS = frozenset([
    "floor_number", "month", "quarter", "year", "percent", "star_rating", "rank", "level", "ranking_position", "version_number",
    "revision", "skill_level", "credit_score", "position_index", "weight_factor", "account_balance", "age_years", "nps_score",
])  # fmt: skip
_BIRTH = "created_at"


def _once(find: Callable[[Table], list[Column]]) -> Callable[[Table], list[Column]]:
    """What a function finds in a table is worked out once and kept with the table."""
    place = f"_{find.__name__}"

    def found(table: Table) -> list[Column]:
        known: list[Column] | None = table.__dict__.get(place)
        if known is None:
            known = table.__dict__[place] = find(table)
        return known

    return wraps(find)(found)


@lru_cache(4096)
def _kinds(name: str) -> frozenset[str]:
    return frozenset(ancestors(name))


def is_any(column: Column, names: frozenset[str]) -> bool:
    """True where the column's type is one of these or descends from it."""
    return bool(_kinds(column.type) & names)


def spoken(table: Table, column: Column) -> bool:
    """True for what people may speak of: no keys, no secrets, no bookkeeping."""
    return column.key not in table.key_columns and not is_any(column, _HIDDEN) and column.key not in _poly(table)


def _poly(table: Table) -> tuple[str, ...]:
    return (table.polymorphic.type_column, table.polymorphic.id_column) if table.polymorphic else ()


@_once
def names(table: Table) -> list[Column]:
    """Columns by which people may name a row, the best first: its title, numbers and references, addresses."""
    found = [table[table.title]] if table.title and table.title in table else []
    if table.key_style == "code" and len(table.primary_key) == 1:
        found.append(table[table.primary_key[0]])
    for column in table.columns:
        if column in found or not spoken(table, column) or column.values:
            continue
        unique = column.unique or (column.key,) in table.uniques
        if unique and semantic_type(column.type).sql == "TEXT" and not is_any(column, _LONG):
            found.append(column)
    return [c for c in found if not is_any(c, _HIDDEN) and not is_any(c, _LONG) and c.key not in _refers(table)]


def _refers(table: Table) -> frozenset[str]:
    return frozenset(c for f in table.foreign_keys for c in f.columns)


@_once
def choices(table: Table) -> list[Column]:
    """States, enumerations, flags and categories: what some rows share."""
    category = frozenset(["category", "city", "country_name", "state_region", "job_title"])
    return [
        c for c in table.columns
        if spoken(table, c) and (c.values or is_any(c, frozenset(["flag"])) or is_any(c, category)) and not is_any(c, _LONG)
    ]  # fmt: skip


@_once
def numbers(table: Table) -> list[Column]:
    """Amounts, counts and measurements."""
    return [
        c for c in table.columns
        if spoken(table, c) and is_any(c, frozenset(["number"])) and semantic_type(c.type).sql != "TEXT" and not c.values
    ]  # fmt: skip


@_once
def sums(table: Table) -> list[Column]:
    """Numbers that make sense added up."""
    return [c for c in numbers(table) if is_any(c, _SUMS) and not is_any(c, _NO_SUMS)]


@_once
def moments(table: Table) -> list[Column]:
    """Dates and moments, those of the business before those of the clock."""
    found = [c for c in table.columns if spoken(table, c) and semantic_type(c.type).temporal in ("date", "datetime")]
    return sorted(found, key=lambda c: (is_any(c, frozenset(["moment"])), c.nullable))


@_once
def ranks(table: Table) -> list[Column]:
    """Columns by which one row is the first, the latest, the dearest."""
    return [*moments(table), *numbers(table)]


@_once
def asks(table: Table) -> list[Column]:
    """Columns worth asking for, whose value nobody guesses."""
    return [
        c for c in table.columns
        if spoken(table, c) and not c.values and not is_any(c, frozenset(["flag", "category"])) and not is_any(c, _LONG)
        and semantic_type(c.type).temporal != "time"
    ]  # fmt: skip


def archived(table: Table) -> str:
    """The column that says that a row has been put away, or ''."""
    return next((c.key for c in table.columns if is_any(c, frozenset(["deleted_at"]))), "")
