"""Ends that take the dependants along: close a parent and what is open below it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from worlddb.schema.model import ForeignKey, Table
from worlddb.tools.kinds.actions import replies
from worlddb.tools.kinds.actions.draft import Draft
from worlddb.tools.kinds.actions.sights import admits, holders, open_states, origins, single_key
from worlddb.tools.kinds.actions.texts import Unfit, braces, listed, need
from worlddb.tools.model import Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article, listing, state_word, verb

_CALLED_OFF = frozenset([
    "abandoned", "cancelled", "declined", "denied", "dropped", "expired", "failed", "lost", "no_show", "rejected", "stopped",
    "void", "voided", "withdrawn",
])  # fmt: skip
_MOST_PER_TABLE = 3


def propose(site: Site) -> Iterator[Tool]:
    """Ends with dependants."""
    for table in site.schema.tables:
        if single_key(table):
            for child, link, end, theirs in list(_pairs(site, table))[:_MOST_PER_TABLE]:
                with suppress(Unfit):
                    yield finish(site, table, child, link, end, theirs)


def _pairs(site: Site, table: Table) -> Iterator[tuple[Table, ForeignKey, str, str]]:
    """An end of a row, and the end of the same kind (good or bad) that its children then come to."""
    machine = table.lifecycle
    if machine is None:
        return
    for child, link in holders(site, table):
        if (
            child.lifecycle is None
            or child.archetype in ("payment", "ledger", "event_log")
            or not single_key(child)
            or not open_states(child)
        ):
            continue
        for bad in (False, True):
            mine = [s for s in _ends(table, bad) if admits(site, child, link, s)]
            own = _ends(child, bad)
            if mine and own:
                best = max(own, key=lambda s: (len(set(origins(child, s)) & set(open_states(child))), -own.index(s)))
                yield child, link, mine[0], best


def _ends(table: Table, bad: bool) -> list[str]:
    """The ends of a lifecycle that are called off, or the usual one."""
    machine = table.lifecycle
    found = [s for s in machine.states if s not in open_states(table) and origins(table, s)] if machine else []
    last = machine.happy[-1] if machine else ""
    if bad:
        return [s for s in found if state_word(s) in _CALLED_OFF]
    return [s for s in found if s == last and state_word(s) not in _CALLED_OFF]


def finish(site: Site, table: Table, child: Table, link: ForeignKey, end: str, theirs: str) -> Tool:
    """A row comes to an end, and so does all that is open below it."""
    mine, machine = table.lifecycle, child.lifecycle
    assert mine is not None
    assert machine is not None
    ready = [s for s in origins(child, theirs) if s in open_states(child)]
    stuck = [s for s in open_states(child) if s not in ready and s != theirs]
    need(ready)
    labels, own = site.words.labels(child.key), f"{site.col(child, link.columns[0])} = :id"
    state = site.col(child, machine.column)
    draft = Draft(site, table, f"{state_word(end)}.{child.key}.{state_word(theirs)}.finish")
    draft.row(table, [mine.column])
    word, below = verb(end, entity=table.key), verb(theirs, entity=child.key)
    draft.among(origins(table, end), word.past)
    if stuck:
        draft.refuse(
            f"SELECT count(*) AS many, min({state}) AS state, min({site.col(child, child.primary_key[0])}) AS first "
            f"FROM {site.sql(child)} AS t WHERE {own} AND {state} IN ({listed(stuck)}) HAVING count(*) > 0",
            f"{{many}} of its {labels} cannot be {braces(below.past)} yet (for example {{first}}, which is {{state}}).",
            f"First bring them to {braces(' or '.join(ready))}, or finish them one by one.", rule=f"open:{table.key}.{child.key}",
            told=f"one of its {labels} is {listing(stuck)}",
            parameter="id",
        )  # fmt: skip
    draft.enter(child, theirs, f"{own} AND {state} IN ({listed(ready)})", into="closed")
    draft.enter(table, end, site.at_key(table))
    return draft.tool(
        Words(verb=word.imperative, template=f"{word.name('{noun}')}_with_{site.words.nouns(child.key)}"),
        f"{word.of(article(draft.label)).capitalize()}, and with it all its open {labels} become {theirs}.",
        replies.with_children(site, table, child, link), destructive=state_word(end) in _CALLED_OFF,
    )  # fmt: skip
