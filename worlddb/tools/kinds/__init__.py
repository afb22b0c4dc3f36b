"""The kinds of tools: each module derives tools of some kinds from the tables of a schema.

A module has `propose(site) -> Iterator[Tool]` and one line in `ROOMS`; tests pick it up from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from worlddb.tools.kinds import (
    actions,
    aggregate,
    bulk,
    link,
    permits,
    predicate,
    read,
    remove,
    transition,
    values,
    write,
)
from worlddb.tools.model import Tool
from worlddb.tools.site import Site

ROOMS: tuple[Callable[[Site], Iterator[Tool]], ...] = (
    read.propose, aggregate.propose, predicate.propose, permits.propose, write.propose, remove.propose, transition.propose,
    actions.propose, link.propose, bulk.propose, values.propose,
)  # fmt: skip


def propose(site: Site) -> list[Tool]:
    """Every tool that the schema could have, in a fixed order; keys are unique."""
    found: dict[str, Tool] = {}
    for room in ROOMS:
        for tool in room(site):
            found.setdefault(tool.key, tool)
    return list(found.values())
