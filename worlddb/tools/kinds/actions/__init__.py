"""Actions of the business that concern several entities: assign, transfer, reserve, settle, merge, copy.

They are derived from what a schema looks like: references to people, lifecycles, rules about time, room and money, and only
then from archetypes.  A module has `propose(site) -> Iterator[Tool]` and stands in `ROOMS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from worlddb.tools.kinds.actions import (
    accounts,
    assigning,
    booking,
    closing,
    converting,
    copying,
    goods,
    joining,
    merging,
    money,
    moving,
    placing,
    threads,
)
from worlddb.tools.model import Tool
from worlddb.tools.site import Site

ROOMS: tuple[Callable[[Site], Iterator[Tool]], ...] = (
    assigning.propose, moving.propose, booking.propose, money.propose, accounts.propose, goods.propose, placing.propose,
    closing.propose, threads.propose, joining.propose, converting.propose, copying.propose, merging.propose,
)  # fmt: skip


def propose(site: Site) -> Iterator[Tool]:
    """Every action that the schema could have, in a fixed order; keys and names are unique among them."""
    keys: set[str] = set()
    names: set[str] = set()
    for room in ROOMS:
        for tool in room(site):
            words = tool.words
            noun = site.words.nouns(tool.table) if words.many else site.words.noun(tool.table)
            name = (
                words.template.format(noun=noun)
                if words.template
                else "_".join(filter(None, (words.verb, noun, words.tail)))
            )
            if tool.key not in keys and name not in names:
                keys.add(tool.key)
                names.add(name)
                yield tool
