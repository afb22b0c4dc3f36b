"""The Act noun: what happened in one turn between an agent and the user."""

from __future__ import annotations

import msgspec


class Act(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of a user tool, as `User.acts` recomputes it from the journal.  Calls that were malformed, or that never reached
    the user, are none."""

    number: int
    """Of the journal's entry."""
    kind: str
    """ask, confirm, tell or do."""
    asked: tuple[str, ...] = ()
    """Names of the topics that were recognised, in the order in which they were named."""
    told: tuple[str, ...] = ()
    """Hidden topics that this reply answers for the first time."""
    repeated: tuple[str, ...] = ()
    """Topics asked for although the user had told them before."""
    visible: tuple[str, ...] = ()
    """Topics asked for although the instruction says them."""
    readable: tuple[str, ...] = ()
    """Fields of the world ('table.column', keys) that were asked for and can be looked up."""
    irrelevant: bool = False
    """A question of which nothing was recognised, unless it only asks whether there is more, or there was."""
    unknown: tuple[str, ...] = ()
    """Topics answered by a description, because the user does not know them either."""
    agreed: bool | None = None
    """Of confirm: whether it is what they want; None: they cannot judge it."""
    deed: str = ""
    """Of do: what was done; empty where it could not be done."""
    news: tuple[str, ...] = ()
    """What the user came up with: 'change:<topic>', 'request:<index from 0>'."""
