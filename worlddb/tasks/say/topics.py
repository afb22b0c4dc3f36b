"""How much a term says: what takes long to describe is introduced in a sentence of its own."""

from __future__ import annotations

from worlddb.tasks.say.terms import Term, walk


def weight(t: Term) -> int:
    """How many rows and sets a term mentions that are not named by their title."""
    return sum((is_row(part) and (len(part[2]) != 1 or is_long(part))) or is_group(part) for part in walk(t))


def is_long(t: Term) -> bool:
    """True for a row that is described by way of others, or by several things."""
    if t[6] or t[7] or any(part and part[0] in ("did", "item") for part in walk(t)):
        return False
    return len(t[2]) + bool(t[3]) > 1 or any(is_row(part) or is_group(part) for part in walk(t[2:]))


def is_row(t: Term) -> bool:
    """True for a term that is a Find."""
    return len(t) == 8 and t[0] == "find"


def is_doubled(t: Term) -> bool:
    """True for a row or set of which something is said twice over: nobody means 'the room of Anna … of the same guest'."""
    return is_row(t) and len(set(t[2])) < len(t[2])


def is_group(t: Term) -> bool:
    """True for a term that is a Group."""
    return len(t) == 6 and t[0] == "group"
