"""Who works in a business: the roles, and the people for whom an agent may work."""

from __future__ import annotations

from collections.abc import Sequence

from worlddb.errors import UnknownName
from worlddb.policies.login import Person
from worlddb.policies.words import policy_words
from worlddb.rng import Stream
from worlddb.semantics.pools import load_pools
from worlddb.world.model import World


def staff_of(world: World) -> tuple[Person, ...]:
    """The people for whom an agent may work: one of each role, from those who may least, with their sign-in codes."""
    known: tuple[Person, ...] | None = world.__dict__.get("_staff")
    if known is None:
        known = world.__dict__["_staff"] = _hired(world)
    return known


def _hired(world: World) -> tuple[Person, ...]:
    stream = Stream(world.recipe.seed, "policies", "staff")
    firsts, lasts = (_pool(name, world.locale) for name in ("first_any", "last"))
    given, family = stream.child("first"), stream.child("last")
    roles = roles_of(world)
    names = zip(given.sample(firsts, len(roles)), family.sample(lasts, len(roles)), strict=True)
    drawn = [stream.child("code", role).below(90_000) for role in roles]
    codes = [10 * (10_000 + n) + i for i, n in enumerate(drawn)]  # no two are alike
    return tuple(
        Person(name=f"{first} {last}", role=role, code=str(code))
        for (first, last), role, code in zip(names, roles, codes, strict=True)
    )


def roles_of(world: World) -> tuple[str, ...]:
    """The roles of its staff, from those who may least to those who may most."""
    roles = policy_words().roles
    return roles.get(world.schema.group, roles["default"])


def _pool(name: str, locale: str) -> Sequence[str]:
    pools = load_pools()
    try:
        return list(pools.words(name, locale))
    except UnknownName:  # a world grown with pools of the caller's own
        return list(pools.words(name, pools.locales[0]))
