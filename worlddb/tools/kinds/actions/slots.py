"""Time: what reserves what from when to when, what stands in the way, and when it would be free."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from worlddb.schema.model import ForeignKey, Table
from worlddb.schema.rules import NoOverlap, Scope
from worlddb.tools.kinds.actions.draft import Draft
from worlddb.tools.kinds.actions.sights import single_key, temporal
from worlddb.tools.site import Site

_MOST_HOPS = 20
"""Bookings in a row that the search for the next free time steps over."""


_NEVER = "9999-12-31"


class Slot(NamedTuple):
    """A table whose rows reserve something for a time."""

    table: Table
    link: ForeignKey
    """What is reserved."""
    parent: Table
    start: str
    end: str
    rule: NoOverlap

    def taken(self, site: Site) -> str:
        """The condition of rows `t` that count."""
        scope = Scope(site.schema, self.table.key, "t", set())
        return scope.condition(self.rule.where)


def slots(site: Site) -> Iterator[Slot]:
    """Every table with a rule that one thing is used by one row at a time."""
    for rule in site.schema.rules:
        if not isinstance(rule, NoOverlap) or len(rule.per) != 1 or "." in rule.start + rule.end:
            continue
        table = site.schema[rule.table]
        link = table.parents.get(rule.per[0])
        if link is None or len(link.columns) != 1 or not single_key(table) or any("." in path for path in rule.where):
            continue
        parent = site.schema[link.table]
        if (
            single_key(parent)
            and temporal(table[rule.start])
            and temporal(table[rule.start]) == temporal(table[rule.end])
        ):
            yield Slot(table, link, parent, rule.start, rule.end, rule)


# --- what stands in the way


def in_the_way(site: Site, slot: Slot, resource: str, start: str, end: str, but: str = "") -> str:
    """FROM and WHERE: the rows `t` that count and overlap [start, end) of a resource; `but` excludes one."""
    table = slot.table
    own_start, own_end = site.col(table, slot.start), site.col(table, slot.end)
    return (
        f"FROM {site.sql(table)} AS t WHERE {site.col(table, slot.link.columns[0])} = {resource} AND "
        f"{slot.taken(site)} "
        f"AND {own_start} < {end} AND coalesce({own_end}, '{_NEVER}') > {start}{but}"
    )


def clear(
    draft: Draft, slot: Slot, resource: str, start: str, end: str, *, but: str = "", parameter: str = "start", cure: str = ""
) -> None:  # fmt: skip
    """Refuse a time at which something else is reserved; tell which, and (unless a cure does) from when on it would be free."""
    site, table = draft.site, slot.table
    key, begun, done = (site.col(table, k) for k in (table.primary_key[0], slot.start, slot.end))
    whole = "datetime" if temporal(table[slot.start]) == "datetime" else "date"
    length = f"unixepoch({end}) - unixepoch({start})"
    # from the end of what stands in the way, on to the end of what stands in the way then
    last, until = f"max(coalesce({done}, '{_NEVER}'))", f"{whole}(at, ({length}) || ' seconds')"
    free = (
        f"(WITH RECURSIVE hop(at, n) AS (SELECT {last}, 1 {in_the_way(site, slot, resource, start, end, but)} "
        f"UNION ALL SELECT (SELECT {last} {in_the_way(site, slot, resource, 'at', until, but)}), n + 1 FROM hop "
        f"WHERE at IS NOT NULL AND n < {_MOST_HOPS}) SELECT CASE WHEN max(at) < '{_NEVER}' THEN max(at) END FROM hop)"
    )
    found = "" if cure else f", coalesce({free}, 'another day') AS free"
    label = site.words.label(slot.parent.key)
    draft.refuse(
        f"SELECT {key} AS other, {begun} AS busy_from, {done} AS busy_to{found} "
        f"{in_the_way(site, slot, resource, start, end, but)} ORDER BY {begun}, {key} LIMIT 1",
        f"The {label} is taken by {site.words.label(table.key)} {{other}} from {{busy_from}} to {{busy_to}}.",
        cure or f"The next free start for this length is {{free}}; or choose another {label}.", code="CONFLICT",
        rule=f"taken:{slot.parent.key}", told=f"the {label} is taken then", parameter=parameter,
    )  # fmt: skip


def ask_times(draft: Draft, slot: Slot, *, required: bool = True, end: bool = True) -> None:
    """Ask for start and end."""
    table, site = slot.table, draft.site
    shape = "'YYYY-MM-DD'" if temporal(table[slot.start]) == "date" else "'YYYY-MM-DD HH:MM:SS', UTC"
    names = [site.param_name(table, slot.start), site.param_name(table, slot.end)]
    draft.value(table, slot.start, "start", names[0], f"When it begins ({shape}).")
    if end:
        text = (
            f"When it ends ({shape})." if required else f"When it ends ({shape}); left out, it stays as long as it was."
        )
        draft.value(table, slot.end, "end", names[1], text, required=required)


def in_order(draft: Draft, when: str = "") -> None:
    """Refuse an end that is not after the start."""
    draft.refuse(
        "SELECT 1 AS refused WHERE :end <= :start", "The end {end} is not after the start {start}.",
        "Give an end after the start.",
        rule=f"span:{draft.table.key}", told="the end is not after the start", parameter="end", when=when,
    )  # fmt: skip
