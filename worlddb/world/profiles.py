"""Profiles: the named sizes of worlds, read from schemas/profiles.yaml."""

from __future__ import annotations

from functools import cache

import msgspec

from worlddb.errors import BrokenFile, UnknownName
from worlddb.library import folder


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large a world is."""

    summary: str
    tables: tuple[int, ...]
    """Numbers of tables, one of which is drawn."""
    rows: tuple[int, ...]
    """Numbers of rows to aim at, one of which is drawn."""


@cache
def profiles() -> dict[str, Profile]:
    """All profiles by name."""
    from worlddb.schema.domains import read_yaml

    path = folder("schemas") / "profiles.yaml"
    try:
        return msgspec.convert(read_yaml(path), dict[str, Profile])
    except msgspec.ValidationError as error:
        raise BrokenFile(f"{path}: {error}") from None


def profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        UnknownName: there is none.
    """
    if name not in profiles():
        raise UnknownName("profile", name, profiles())
    return profiles()[name]
