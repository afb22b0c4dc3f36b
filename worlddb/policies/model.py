"""The Policy noun: one rule of a handbook, as a sentence and as the ban that it compiles to."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from worlddb.tasks.goal import AtMost, Ban, Before, Condition, LookFirst, NeedsConsent, Never, SignedIn

KINDS = ("role", "limit", "deadline", "consent", "order", "at_most", "sign_in", "look_first")
"""Who may do it; how much at most; until when; with whose consent; in which order; how often; signed in; not unseen."""
FORBIDS = ("role", "limit", "deadline", "at_most")
"""Kinds that can make a request impossible; the others say how it is done."""


class Policy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule of a world's handbook."""

    name: str
    """Unique in its world: 'limit-invoice-amount'."""
    kind: str
    say: str
    """The handbook's sentence."""
    table: str = ""
    """Key of the table that it is about; '' for any."""
    op: str = ""
    """insert, update, delete; '' for any."""
    tools: tuple[str, ...] = ()
    """Keys of the tools whose calls it is about: with them it can be kept and broken."""
    roles: tuple[str, ...] = ()
    """Those whom it does not bind; of kind 'role' those who alone may do it."""
    barred: tuple[str, ...] = ()
    """The other roles of the business, from those who may least; empty where it binds everybody."""
    where: tuple[Condition, ...] = ()
    after: tuple[Condition, ...] = ()
    """Of role, limit and deadline: what must not happen, as in `goal.Never`."""
    column: str = ""
    """Of limit and deadline: the column (key) that is limited, or from which time is reckoned."""
    limit: int | float = 0
    """Of limit: the most that is allowed, as stored.  Of deadline: seconds."""
    first: tuple[str, str] = ("", "")
    second: tuple[str, str] = ("", "")
    """Of order: table and op of what comes first, and of what comes after it."""
    count: int = 0
    """Of at_most."""
    enforced: bool = False
    """The system refuses what breaks it; otherwise it is only written down."""


def ban_of(policy: Policy, role: str = "") -> Ban | None:
    """The ban that a policy is for a requester of that role; None where it does not bind them."""
    if policy.roles and role in policy.roles:
        return None
    name, say, enforced, table, op = policy.name, policy.say, policy.enforced, policy.table, policy.op
    match policy.kind:
        case "consent":
            return NeedsConsent(table=table, op=op, say=say, name=name, enforced=enforced)
        case "sign_in":
            return SignedIn(table=table, op=op, say=say, name=name, enforced=enforced)
        case "look_first":
            return LookFirst(table=table, op=op, say=say, name=name, enforced=enforced)
        case "order":
            return Before(first=policy.first, second=policy.second, say=say, name=name, enforced=enforced)
        case "at_most":
            return AtMost(count=policy.count, say=say, name=name, enforced=enforced)
        case _:
            return Never(
                table=table, op=op, where=policy.where, after=policy.after, say=say, name=name, enforced=enforced
            )


def bans_of(policies: Iterable[Policy], role: str = "") -> tuple[Ban, ...]:
    """The bans that policies are for a requester of that role.

    A policy of kind 'order' speaks of requests that ask for both changes; its ban forbids the second without the first, so leave
    it out of goals that ask for the second alone.
    """
    return tuple(ban for p in policies if (ban := ban_of(p, role)) is not None)
