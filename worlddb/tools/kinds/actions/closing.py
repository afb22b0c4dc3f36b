"""Ends that take the dependants along: close a parent and what is open below it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from worlddb.schema.model import ForeignKey, Table
from worlddb.tools.kinds.actions import replies
from worlddb.tools.kinds.actions.copying import owner
from worlddb.tools.kinds.actions.draft import Draft
from worlddb.tools.kinds.actions.sights import HAPPENINGS, admits, holders, open_states, origins, single_key
from worlddb.tools.kinds.actions.texts import Unfit, braces, listed, need
from worlddb.tools.model import Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article, listing, sentence, state_word, verb

_CALLED_OFF = ("cancelled", "canceled", "voided", "void", "withdrawn")
_PUT_AWAY = ("closed", "ended", "archived", "retired")
_OVER = ("finished", "completed", "done", "ended", "closed")
_SAME = {
    **dict.fromkeys((*_CALLED_OFF, "expired"), _CALLED_OFF),
    **dict.fromkeys(_OVER, _OVER), **dict.fromkeys(_PUT_AWAY, _PUT_AWAY),
}  # fmt: skip
"""A state of a whole -> the states of its parts that mean no more than it does, the nearest first.  What somebody has to earn
(paid, won, approved, delivered) is not among them: nothing gets there because something else came to its end."""
_ONE_BY_ONE = frozenset([
    "alert", "badge", "bill", "claim", "complaint", "defect", "dispute", "enquiry", "feedback", "flag", "incident", "invoice",
    "payment", "payout", "penalty", "report", "review", "ticket", "violation",
])  # fmt: skip
"""Words of what has to be dealt with even where that which gave rise to it is over."""
_MOST_PER_TABLE = 3


def propose(site: Site) -> Iterator[Tool]:
    """Ends with dependants."""
    for table in site.schema.tables:
        if single_key(table):
            for child, link, end, theirs in list(_pairs(site, table))[:_MOST_PER_TABLE]:
                with suppress(Unfit):
                    yield finish(site, table, child, link, end, theirs)


def _pairs(site: Site, table: Table) -> Iterator[tuple[Table, ForeignKey, str, str]]:
    """An end of a row, and the end of the same meaning to which it takes its parts along."""
    machine = table.lifecycle
    if machine is None:
        return
    for child, link in holders(site, table):
        if link.nullable or child.archetype in HAPPENINGS or not single_key(child) or not open_states(child):
            continue
        for end in _ends(table):
            off = state_word(end) in _CALLED_OFF
            lasting = set(child.key.split("_")) & _ONE_BY_ONE or link.key != owner(child).key
            theirs = _mate(child, end)
            if theirs and admits(site, child, link, end) and (off or not lasting):
                yield child, link, end, theirs


def _ends(table: Table) -> list[str]:
    """The states in which a row is over."""
    machine = table.lifecycle
    return [s for s in machine.states if s not in open_states(table) and origins(table, s)] if machine else []


def _mate(child: Table, end: str) -> str:
    """The end of a child that means the same as an end of its parent; '' where it has none that open ones can reach."""
    ready = {state_word(s): s for s in _ends(child) if set(origins(child, s)) & set(open_states(child))}
    alike = _SAME.get(state_word(end), ())
    return next((ready[w] for w in (state_word(end), *alike) if w in ready and alike), "")


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
            told=f"one of its {labels} is still {listing(stuck)}",
            parameter="id",
        )  # fmt: skip
    draft.enter(child, theirs, f"{own} AND {state} IN ({listed(ready)})", into="closed")
    draft.enter(table, end, site.at_key(table))
    return draft.tool(
        Words(verb=word.imperative, template=f"{word.name('{noun}')}_with_{site.words.nouns(child.key)}"),
        sentence(f"{word.of(article(draft.label))}; its open {labels} become {theirs} with it"),
        replies.with_children(site, table, child, link), destructive=state_word(end) in (*_CALLED_OFF, "expired"),
    )  # fmt: skip
