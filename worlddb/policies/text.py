"""Policies as a handbook tells them."""

from __future__ import annotations

from collections.abc import Sequence

from worlddb.policies.generate import policies_of
from worlddb.policies.model import Policy
from worlddb.policies.staff import roles_of
from worlddb.tools.words import listing, plain
from worlddb.world.model import World

_ENFORCED = "The system refuses what breaks one of these, and says which:"
_WRITTEN = (
    "The system does not know the following policies and will not stop whoever breaks one. Keep them all the same; where a "
    "request cannot be fulfilled without breaking one, do not fulfil it, change nothing, and say that it cannot be done:"
)
_CHANGE = (
    "To change something is to alter anything about it, its state included. What the system itself adjusts in consequence does "
    "not count."
)
_SIGN_IN = (
    "Some policies depend on who makes a request. Each person of the staff has a role and a sign-in code. Give the code to the "
    "tool that signs people in: it tells their name and their role. What nobody has proved about themselves does not count."
)


def policies_text(source: World | Sequence[Policy], roles: Sequence[str] = ()) -> str:
    """The policies of a world, or these, as a section of a handbook in Markdown; '' where there are none.

    `roles`: of the staff, from those who may least, where only policies are given.
    """
    policies = policies_of(source) if isinstance(source, World) else source
    roles = roles_of(source) if isinstance(source, World) else roles
    if not policies:
        return ""
    parts = ["## Policies"]
    parts += [_CHANGE] if any(p.op == "update" or p.kind == "at_most" for p in policies) else []
    for told, enforced in ((_ENFORCED, True), (_WRITTEN, False)):
        some = "\n".join(f"- {p.say}" for p in policies if p.enforced is enforced)
        parts += [told, some] if some else []
    if any(p.roles or p.kind == "sign_in" for p in policies):
        names = listing([plain(r) for r in roles], "and")
        parts += [
            "### Roles and signing in",
            *([f"The roles, from those who may least: {names}."] if roles else []),
            _SIGN_IN,
        ]
    return "\n\n".join(parts) + "\n"
