"""Suites: seeds that no other suite has, a mix of profiles, and what the suite's worlds and tasks keep away from."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from worlddb.errors import BrokenFile, UnknownName
from worlddb.heldout import Scope
from worlddb.library import folder

HELD_OUT = "held-out"
"""Name of the file beside the suites that says what is held out."""

Share = Annotated[int, msgspec.Meta(ge=1)]
Kind = TypeVar("Kind")


class Suite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of seeds/suites."""

    summary: str
    first: Annotated[int, msgspec.Meta(ge=0)]
    """The first seed."""
    seeds: Share
    """How many seeds there are."""
    n: Share
    """Worlds, unless the caller says how many."""
    mix: dict[str, Share]
    """Profile -> its share: so many of every sum(shares) worlds in a row."""
    side: Literal["train", "eval"]
    domains: tuple[Literal["held_out", "others"], ...]
    """Groups of domains, all equally likely; within a group all domains are."""

    @property
    def profiles(self) -> tuple[str, ...]:
        """One round of the mix."""
        return tuple(name for name, share in self.mix.items() for _ in range(share))

    @property
    def scope(self) -> Scope:
        """What its tasks may use."""
        return msgspec.structs.replace(held_out(), side=self.side)

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The groups of domains by name."""
        from worlddb.schema.domains import domain_names

        held = held_out().domains
        sides = {"held_out": held, "others": tuple(d for d in domain_names() if d not in held)}
        return tuple(sides[group] for group in self.domains)


@cache
def suites() -> dict[str, Suite]:
    """All suites by name.

    Raises:
        BrokenFile: a file of seeds/suites does not follow the format.
    """
    paths = sorted((folder("seeds") / "suites").glob("*.yaml"))
    return {p.stem: _read(p, Suite) for p in paths if p.stem != HELD_OUT}


@cache
def held_out() -> Scope:
    """What is held out, without a side.

    Raises:
        BrokenFile: seeds/suites/held-out.yaml does not follow the format, or names a domain that does not exist.
    """
    from worlddb.schema.domains import domain_names

    path = folder("seeds") / "suites" / f"{HELD_OUT}.yaml"
    found = _read(path, Scope)
    for name in found.domains:
        if name not in domain_names():
            raise BrokenFile(f"{path}: domains: {UnknownName('domain', name, domain_names())}")
    return found


def suite_named(name: str) -> Suite:
    """A suite.

    Raises:
        UnknownName: there is none of that name.
    """
    if name not in suites():
        raise UnknownName("suite", name, suites())
    return suites()[name]


def _read(path: Path, kind: type[Kind]) -> Kind:
    from worlddb.schema.domains import read_yaml

    data: Any = read_yaml(path)
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise BrokenFile(f"{path}: {error}; compare it with its neighbours") from None
