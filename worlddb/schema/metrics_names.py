"""What the realism metrics read from a column's name and type: status, enum-like, audit stamp, temporal and so on.

The tests are those of the measurements that gave the bars, so they go by the SQL name, as any other database shows it;
the semantic type and the key decide first where a generated world has them.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

import msgspec

from worlddb.schema.model import Column, Table
from worlddb.semantics.types import is_a, semantic_type

_STATUS = ("status", "state", "stage", "phase")
_NO_STATUS = ("estate", "interstate", "upstate")
_ENUM = (
    "type", "kind", "category", "role", "level", "priority", "mode", "tier", "currency", "language", "format", "reason",
    "class", "grade", "method", "channel", "gender", "frequency", "severity", "visibility", "source", "unit", "scope",
    *_STATUS,
)  # fmt: skip
_MOMENT = r"(_(at|on|by|date|time|datetime|ts|dt|utc|timestamp))?"
_CREATED = re.compile(
    rf"(^|_)(created|inserted|added|registered){_MOMENT}$|(^|_)(create|creation|insert)_(at|on|date|time|ts|dt|timestamp)$"
    r"|^(date|dt|ts|time)_(created|added|inserted)$|^(row_)?created"
)
_CHANGED = re.compile(
    rf"(^|_)(updated|modified|changed|edited){_MOMENT}$|(^|_)(update|upd|modify|modification|change)_(at|on|date|time|ts|dt|timestamp)$"
    r"|^(date|dt|ts|time)_(updated|modified|changed)$|(^|_)last_(update|change|modification|edit)$|^row_?(version|guid)$"
)
_GONE = re.compile(
    rf"(^|_)(deleted|archived|discarded|trashed|deactivated|disabled){_MOMENT}$|(^|_)(deletion|archival)_(date|time)$"
    r"|^(date|dt|ts)_(deleted|archived)$"
)
_ACTIVE = re.compile(r"^(is_|flag_|f_|b_)?(active|enabled|inactive)(_flag|_yn|_ind)?$")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SIGN = re.compile(r"[^a-z0-9]+")


class Traits(msgspec.Struct, frozen=True, gc=False):
    """What one column is, for the metrics."""

    kind: str
    """text, datetime, integer, boolean, real, json or other (BLOBs); keys are counted apart."""
    status: bool
    closed: bool
    """Enum-like: it has, or by its name should have, a closed set of values."""
    created: bool
    audit: bool
    """A stamp that says when a row was made, changed or deleted."""
    soft: bool
    """A soft-delete or active column."""
    pointer: bool
    """The untyped reference of a polymorphic pair."""


def snake(name: str) -> str:
    """The name in lower snake case, whatever its style.

    >>> snake("OrderLineID")
    'order_line_id'
    """
    return _SIGN.sub("_", _HUMP.sub("_", name).lower()).strip("_")


@cache
def type_kind(name: str) -> str:
    """The bin of a semantic type in the type mix: text, datetime, integer, boolean, real, json or other."""
    kind = semantic_type(name)
    if kind.temporal or is_a(name, "temporal"):
        return "datetime"
    if name == "any":
        return "other"
    for ancestor, found in (("flag", "boolean"), ("document", "json")):
        if is_a(name, ancestor):
            return found
    return {"INTEGER": "integer", "REAL": "real"}.get(kind.sql, "text")


def traits(column: Column) -> Traits:
    """What the column is.  A few microseconds for a name not seen before, a fraction of one after that."""
    return _traits(column.name, column.key, column.type, bool(column.values))


@lru_cache(65536)
def _traits(name: str, key: str, kind: str, closed: bool) -> Traits:
    words, low, bin_ = snake(name), name.lower(), type_kind(kind)
    plain = bin_ not in ("datetime", "boolean")
    both = (words, key)
    created = is_a(kind, "created_at") or key == "created_at" or bool(_CREATED.search(words))
    gone = is_a(kind, "deleted_at") or any(_GONE.search(w) for w in both)
    changed = is_a(kind, "updated_at") or any(_CHANGED.search(w) for w in both)
    return Traits(
        kind=bin_,
        status=plain and low.endswith(_STATUS) and not low.endswith(_NO_STATUS),
        closed=closed or (plain and low.endswith(_ENUM) and not low.endswith(_NO_STATUS)),
        created=created,
        audit=created or gone or changed,
        soft=gone or is_a(kind, "is_active") or any(_ACTIVE.match(w) for w in both),
        pointer=is_a(kind, "polymorphic_ref"),
    )


def is_junction(table: Table) -> bool:
    """True where the table only links: two foreign keys or more, and no column but keys and audit stamps."""
    keys = table.key_columns
    return len(table.foreign_keys) >= 2 and all(c.key in keys or traits(c).audit for c in table.columns)
