"""Values that people would state: amounts near the usual ones but round, days to come, names that nobody has yet, sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from worlddb.schema.model import Column, Schema, Table
from worlddb.semantics.draw import draw
from worlddb.semantics.pools import load_pools
from worlddb.semantics.types import SemanticType, semantic_type
from worlddb.tasks import columns
from worlddb.tasks.draft import Draft
from worlddb.tasks.plan import Const
from worlddb.tasks.reckon import Row
from worlddb.tools.model import Param

TRIES = 5
UNASKED = frozenset([
    "position_index", "rank", "color", "weight_factor", "source_system", "tag", "locale_code", "timezone", "file_path", "hash",
    "username", "external_reference", "url", "domain_name", "social_handle", "version_number", "revision", "latitude",
    "longitude", "full_address", "deleted_at", "is_active",
])  # fmt: skip
"""Types of optional values that nobody sets by the way."""
_AHEAD = frozenset([
    "start_at", "end_at", "start_date", "end_date", "due_date", "deadline", "scheduled_at", "expiry_date", "renewal_date",
    "departure_at", "arrival_at", "check_in_date", "check_out_date", "effective_date", "delivery_date",
])  # fmt: skip
"""Types of days and moments that lie ahead when people speak of them."""
_STARTS = {
    "end_at": "start_at", "end_date": "start_date", "check_out_date": "check_in_date", "arrival_at": "departure_at",
    "due_date": "start_date", "expiry_date": "start_date",
}  # fmt: skip
"""Type of an end -> type of the start that comes before it."""
_SENTENCES: dict[str, tuple[str, ...]] = {
    "note": (
        "Please call before arrival.", "Asked for an invoice by e-mail.", "Prefers to be contacted in the afternoon.",
        "Checked on site, all in order.", "Waiting for a signature.", "Keys are at the front desk.", "Will confirm by phone.",
        "Paperwork is complete.", "Needs a receipt for the tax office.", "Handle with care.", "Double-checked with the manager.",
        "To be reviewed next week.",
    ),
    "comment_body": (
        "Spoke to them on the phone, all clear now.", "I will follow up tomorrow morning.", "The documents arrived today.",
        "We agreed on a new date.", "Nothing left to do here.", "Passed on to the team lead.", "They are happy with the outcome.",
        "Photos have been received.",
    ),
    "message_body": (
        "Thank you, we have received everything.", "Could you send us the missing page?", "Your request has been passed on.",
        "We will get back to you by Friday.", "The appointment is confirmed.", "Please bring a photo ID.",
    ),
    "reason": (
        "Requested by the customer", "Entered by mistake", "Duplicate entry", "No longer needed", "Change of plans",
        "Agreed with the manager", "Missing documents", "Scheduling conflict",
    ),
    "review_text": (
        "Friendly staff and quick service.", "Good value, I would come again.", "It took longer than promised.",
        "Clean, quiet and well organised.", "Not quite what I had expected.", "Everything went smoothly.",
    ),
    "description": (
        "Standard version, ready for use.", "Updated after the last review.", "For internal use only.",
        "Replaces the earlier version.", "Limited to the current season.", "As agreed with the supplier.",
    ),
    "instructions": (
        "Ring the bell at the side entrance.", "Leave it with the neighbour.", "Store in a cool and dry place.",
        "Use the service lift.", "Follow the usual checklist.", "Ask for the shift supervisor.",
    ),
    "question_text": (
        "Is there parking nearby?", "Are you open on public holidays?", "Do you accept card payments?",
        "Can I change the date later?",
    ),
    "error_message": ("Connection timed out", "Sensor did not answer", "Battery too low", "Wrong format of the file"),
    "biography": ("Joined after ten years in the trade.", "Speaks three languages and likes to cook."),
}  # fmt: skip


def is_end(schema: Schema, param: Param) -> bool:
    """True for the end of something, which is thought of after its start."""
    return bool(param.column) and columns.is_any(schema[param.table][param.column], frozenset(_STARTS))


def plausible(
    draft: Draft,
    table: Table,
    column: Column,
    param: Param,
    like: Row | None,
    stated: Mapping[str, Any],
    *,
    change: bool,
) -> Any:
    """A value as stored that somebody might give a parameter; None where none comes to mind.

    Args:
        draft: its stream, and the world.
        table: the table of the column.
        column: where the value goes.
        param: its schema bounds the value.
        like: a row to be like; with `change` the row itself, whose value must not come again.
        stated: the values of this call so far, by parameter key: an end comes after its start, an address fits a name.
    """
    kind = semantic_type(column.type)
    old = like[column.key] if like else None
    taken = old if change else None
    for _ in range(TRIES):
        value = _value(draft, table, column, kind, param, like, stated)
        if value is not None and value != taken and _fits(draft, table, column, param, value):
            return value
    return None


def _fits(draft: Draft, table: Table, column: Column, param: Param, value: Any) -> bool:
    schema = param.schema
    if not isinstance(value, str):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    unique = column.unique or (column.key,) in table.uniques or column.key == table.title
    if unique and value.casefold() in draft.ground.index(table.key, column.key):
        return False
    return len(value) <= schema.get("maxLength", len(value))


def _value(
    draft: Draft,
    table: Table,
    column: Column,
    kind: SemanticType,
    param: Param,
    like: Row | None,
    stated: Mapping[str, Any],
) -> Any:
    stream, old = draft.stream, like[column.key] if like else None
    options = [v for v in param.schema.get("enum") or column.values if v is not None and v != old]
    if options:
        return stream.pick(options)
    if column.values or columns.is_any(column, frozenset(["flag"])):
        return 1 - (old or 0) if not column.values else None
    if kind.temporal:
        return _moment(draft, table, column, kind, like, stated)
    if kind.sql != "TEXT":
        return _number(draft, table, column, kind, param, old)
    for name, sentences in _SENTENCES.items():
        if columns.is_any(column, frozenset([name])):
            return stream.pick(sentences)
    if columns.is_any(column, frozenset(["email"])):
        return _email(draft, table, column, stated)
    if columns.is_any(column, frozenset(["category", "location", "job_title"])):
        return _shared(draft, table, column) or _drawn(draft, column)
    return _drawn(draft, column)


def _shared(draft: Draft, table: Table, column: Column) -> Any:
    """A value that some row has."""
    rows = draft.ground.table(table.key)
    return draft.stream.pick(rows)[column.key] if rows else None


def _drawn(draft: Draft, column: Column) -> Any:
    """A value of the column's type, as the world itself was filled."""
    stream, world = draft.stream.child("value", column.key, str(draft.stream.below(1 << 30))), draft.ground.world
    return draw(column.type, stream, 1, load_pools(), world.locale, now=world.now)[0]


def _email(draft: Draft, table: Table, column: Column, stated: Mapping[str, Any]) -> str:
    """An address that fits the name that was stated; at the host of some other row."""
    names = [str(v) for k, v in stated.items() if k in table and columns.is_any(table[k], frozenset(["person_name"]))]
    drawn = str(_drawn(draft, column))
    if not names:
        return drawn
    local = ".".join(re.findall(r"[a-z]+", " ".join(names).lower()))
    return f"{local}@{drawn.rpartition('@')[2]}" if local.isascii() and local else drawn


# --- numbers


def _number(draft: Draft, table: Table, column: Column, kind: SemanticType, param: Param, old: Any) -> Any:
    base = old if old else _shared(draft, table, column)
    if not base:
        base = _drawn(draft, column)
    if kind.sql == "REAL":
        return round(_near(draft, round(base * 10), 1) / 10, 1)
    if columns.is_any(column, frozenset(["money"])):
        return _near(draft, int(base), 50)
    return _near(draft, int(base), 1)


def _near(draft: Draft, base: int, least: int) -> int:
    """A round number of about the size of `base`, in steps of at least `least`."""
    if abs(base) < 20 * least:
        steps = [d for d in (-3, -2, -1, 1, 2, 3) if base // least + d > 0]
        return (base // least + draft.stream.pick(steps or [1])) * least
    step = least
    while step * 40 <= abs(base):
        step *= 2 if str(step)[0] == "5" else 5
    wanted = base * draft.stream.between(70, 140) // 100
    return wanted // step * step


def limit(draft: Draft, table: Table, column: Column, value: Any) -> Const:
    """A round limit a little above or below a value: of days and moments the first of its month or of the next."""
    up = draft.stream.below(2)
    if isinstance(value, str):
        month = int(value[:4]) * 12 + int(value[5:7]) - 1 + up
        day = f"{month // 12:04d}-{month % 12 + 1:02d}-01"
        bound: Any = f"{day} 00:00:00" if len(value) > 10 else day
    else:
        step: float = 1
        while step * 20 <= abs(value):
            step *= 10 if (step * 10) * 20 <= abs(value) else 5
        if abs(value) < 3 and isinstance(value, float):
            step = 0.5
        bound = (value // step + up) * step
        bound = int(bound) if isinstance(value, int) or bound == int(bound) else bound
    return Const(value=bound, table=table.key, column=column.key)


# --- days and moments


def _moment(
    draft: Draft, table: Table, column: Column, kind: SemanticType, like: Row | None, stated: Mapping[str, Any]
) -> str | None:
    if kind.temporal == "time":
        return _hour(draft, like[column.key] if like else None)
    now = datetime.fromtimestamp(draft.ground.world.now, UTC).replace(tzinfo=None)
    old = like[column.key] if like else None
    before = _start(table, column, like, stated)
    if before is not None:
        made = before[0] + (before[1] or timedelta(days=draft.stream.between(1, 14)))
    elif columns.is_any(column, _AHEAD):
        made = now + timedelta(days=draft.stream.between(2, 45))
    elif columns.is_any(column, frozenset(["birth_date", "release_date", "hire_date", "purchase_date"])):
        made = _parsed(old or "1990-01-01") + timedelta(days=draft.stream.between(-400, 400))
        made = min(made, now - timedelta(days=30))
    elif columns.is_any(column, frozenset(["moment"])):
        return None  # the clock's own
    else:
        made = now - timedelta(days=draft.stream.between(1, 40))
    if kind.temporal == "date":
        return made.date().isoformat()
    if before is None or before[1] is None:
        hour = (
            _parsed(old) if old else made.replace(hour=draft.stream.between(8, 17), minute=30 * draft.stream.below(2))
        )
        made = made.replace(hour=hour.hour, minute=hour.minute // 30 * 30)
    return made.replace(second=0).strftime("%Y-%m-%d %H:%M:%S")


def _start(
    table: Table, column: Column, like: Row | None, stated: Mapping[str, Any]
) -> tuple[datetime, timedelta | None] | None:
    """The start that belongs to an end, and how long it usually lasts."""
    type_ = next((t for t in _STARTS if columns.is_any(column, frozenset([t]))), "")
    start = next((c for c in table.columns if c.type == _STARTS.get(type_)), None)
    if start is None:
        return None
    given = stated.get(start.key) or stated.get("start")
    had = like[start.key] if like else None
    ended = like[column.key] if like else None
    if not (given or had):
        return None
    lasts = _parsed(ended) - _parsed(had) if had and ended else None
    if lasts is not None and given is None:
        lasts += timedelta(days=1) if lasts >= timedelta(days=1) else timedelta(hours=1)
    if lasts is not None and lasts <= timedelta(0):
        lasts = None
    return _parsed(given or had or ""), lasts


def _hour(draft: Draft, old: str | None) -> str:
    """A time of day within two hours of another, on the half hour."""
    at = int(old[:2]) * 2 if old else 20
    half = max(0, min(47, at + draft.stream.pick((-4, -3, -2, -1, 1, 2, 3, 4))))
    return f"{half // 2:02d}:{half % 2 * 30:02d}"


def _parsed(text: str) -> datetime:
    return datetime.fromisoformat(text)
