"""Things used by one at a time: reserve, reserve any free one, reschedule, extend, change or swap what is reserved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from worlddb.schema.model import ForeignKey, Table
from worlddb.schema.rules import NoOverlap, SameParent, Scope
from worlddb.tools.kinds.actions import replies
from worlddb.tools.kinds.actions.copying import past
from worlddb.tools.kinds.actions.draft import Draft, Unfit, need, unusable
from worlddb.tools.kinds.actions.sights import links, open_states, role_word, single_key, temporal
from worlddb.tools.model import Fault, Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article

_MOST_HOPS = 20
"""Bookings in a row that the search for the next free time steps over."""


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


def propose(site: Site) -> Iterator[Tool]:
    """Actions on reservations."""
    for slot in slots(site):
        for make in (reserve, reserve_any, change_resource, swap):
            with suppress(Unfit):
                yield make(site, slot)
    seen: set[str] = set()
    for slot in slots(site):
        if slot.table.key not in seen:
            seen.add(slot.table.key)
            for make in (reschedule, extend):
                with suppress(Unfit):
                    yield make(site, slot)


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
        if single_key(parent) and temporal(table[rule.start]) and temporal(table[rule.start]) == temporal(table[rule.end]):
            yield Slot(table, link, parent, rule.start, rule.end, rule)


# --- what stands in the way


def _in_the_way(site: Site, slot: Slot, resource: str, start: str, end: str, but: str = "") -> str:
    """FROM and WHERE: the rows `t` that count and overlap [start, end) of a resource; `but` excludes one."""
    table = slot.table
    own_start, own_end = site.col(table, slot.start), site.col(table, slot.end)
    return (
        f"FROM {site.sql(table)} AS t WHERE {site.col(table, slot.link.columns[0])} = {resource} AND {slot.taken(site)} "
        f"AND {own_start} < {end} AND coalesce({own_end}, '9999-12-31') > {start}{but}"
    )


def clear(draft: Draft, slot: Slot, resource: str, start: str, end: str, *, but: str = "", parameter: str = "start") -> None:
    """Refuse a time at which something else is reserved; tell which, and from when on it would be free."""
    site, table = draft.site, slot.table
    key, begun, done = (site.col(table, k) for k in (table.primary_key[0], slot.start, slot.end))
    link = site.col(table, slot.link.columns[0])
    whole = "datetime" if temporal(table[slot.start]) == "datetime" else "date"
    length = f"unixepoch({end}) - unixepoch({start})"
    # from the end of what stands in the way, on to the end of what stands in the way then
    free = (
        f"(WITH RECURSIVE hop(at, n) AS (SELECT max({done}), 1 {_in_the_way(site, slot, resource, start, end, but)} UNION ALL "
        f"SELECT (SELECT max({done}) FROM {site.sql(table)} AS t WHERE {link} = {resource} AND {slot.taken(site)}{but} AND {begun} < "
        f"{whole}(at, ({length}) || ' seconds') AND {done} > at), n + 1 FROM hop WHERE at IS NOT NULL AND n < {_MOST_HOPS}) "
        f"SELECT max(at) FROM hop)"
    )
    label = site.words.label(slot.parent.key)
    draft.refuse(
        f"SELECT {key} AS other, {begun} AS busy_from, {done} AS busy_to, coalesce({free}, 'another day') AS free "
        f"{_in_the_way(site, slot, resource, start, end, but)} ORDER BY {begun}, {key} LIMIT 1",
        f"The {label} is taken by {site.words.label(table.key)} {{other}} from {{busy_from}} to {{busy_to}}.",
        f"The next free start for this length is {{free}}; or choose another {label}.", code="CONFLICT",
        rule=f"taken:{slot.parent.key}", parameter=parameter,
    )  # fmt: skip


def _times(draft: Draft, slot: Slot, *, required: bool = True, end: bool = True) -> None:
    """Ask for start and end."""
    table, site = slot.table, draft.site
    shape = "'YYYY-MM-DD'" if temporal(table[slot.start]) == "date" else "'YYYY-MM-DD HH:MM:SS', UTC"
    names = [site.param_name(table, slot.start), site.param_name(table, slot.end)]
    draft.value(table, slot.start, "start", names[0], f"When it begins ({shape}).")
    if end:
        text = f"When it ends ({shape})." if required else f"When it ends ({shape}); left out, it stays as long as it was."
        draft.value(table, slot.end, "end", names[1], text, required=required)


def _in_order(draft: Draft, when: str = "") -> None:
    draft.refuse(
        "SELECT 1 AS backwards WHERE :end <= :start", "The end {end} is not after the start {start}.", "Give an end after the start.",
        rule=f"span:{draft.table.key}", parameter="end", when=when,
    )  # fmt: skip


# --- the actions


def reserve(site: Site, slot: Slot, *, any_of: ForeignKey | None = None) -> Tool:
    """A new reservation, of one thing or of any free one of a kind."""
    table, parent, column = slot.table, slot.parent, slot.link.columns[0]
    label, thing = site.words.label(table.key), site.words.label(parent.key)
    role = role_word(site, table, slot.link)
    kind = site.schema[any_of.table] if any_of else None
    draft = Draft(site, table, f"{slot.link.key}.reserve{'_any' if any_of else ''}")
    if any_of is None:
        draft.row(parent, prefix="what_", name=role, what=f"ID of the {thing} to reserve")
        draft.usable(parent, "what_", "be reserved")
    elif kind is not None:
        draft.row(kind, prefix="kind_", name=role_word(site, parent, any_of), what=f"ID of the {site.words.label(kind.key)} wanted")
    _times(draft, slot)
    _in_order(draft)
    past(draft, "start", table[slot.start])
    if any_of is None:
        clear(draft, slot, ":what_id", ":start", ":end", parameter="what_id")
    else:
        _choose(draft, slot, any_of)
    given = {column: ":what_id", slot.start: ":start", slot.end: ":end"}
    if any_of is not None:
        given |= _same_kind(site, slot, any_of)
    offer = [f.columns[0] for f in links(table) if f.nullable and f.columns[0] not in given and f.table != table.key][:2]
    draft.insert(table, given, into="id", offer=offer)
    what = f"any free {thing} of a {site.words.label(kind.key)}" if kind else article(thing)
    tail = "free one" if any_of else "it"
    return draft.tool(
        Words(verb="reserve", template=f"book_any_{role}_for_{{noun}}" if any_of else f"book_{role}_for_{{noun}}"),
        f"Reserve {what} for a time: makes a new {label}. "
        + ("Takes the first that is free by ID. Refused when none is free then." if any_of else
           f"Refused when something else is reserved then, when {tail} is not active, or when the start is past."),
        site.row_reply(table),
    )  # fmt: skip


def reserve_any(site: Site, slot: Slot) -> Tool:
    """As `reserve`, of the first free thing of a kind."""
    kinds = [f for f in links(slot.parent) if not f.unique and f.table != slot.parent.key and single_key(site.schema[f.table])]
    kinds = [f for f in kinds if site.schema[f.table].archetype not in ("party", "staff", "account")]
    need(kinds)
    same = {p for r in site.schema.rules if isinstance(r, SameParent) and r.table == slot.table.key for p in r.paths}
    kinds.sort(key=lambda f: f"{slot.link.key}.{f.key}" not in same)
    return reserve(site, slot, any_of=kinds[0])


def _choose(draft: Draft, slot: Slot, kind: ForeignKey) -> None:
    """Bind :what_id, the first free thing of :kind_id."""
    site, parent = draft.site, slot.parent
    key = site.col(parent, parent.primary_key[0], "r")
    idle = unusable(site, parent, "r")
    draft.bind(
        f"SELECT {key} FROM {site.sql(parent)} AS r WHERE {site.col(parent, kind.columns[0], 'r')} = :kind_id "
        f"{f'AND NOT coalesce({idle}, 0) ' if idle else ''}AND NOT EXISTS (SELECT 1 "
        f"{_in_the_way(site, slot, key, ':start', ':end')}) ORDER BY {key} LIMIT 1",
        "what_id",
        missing=Fault(
            code="CONFLICT", message=f"No {site.words.label(parent.key)} of {{kind_id}} is free from {{start}} to {{end}}.",
            cure=f"Choose another time, or another {site.words.label(kind.table)}.", parameter="kind_id", rule=f"taken:{parent.key}",
        ),
    )  # fmt: skip
    draft.rules.append(f"taken:{parent.key}")


def _same_kind(site: Site, slot: Slot, kind: ForeignKey) -> dict[str, str]:
    """Where the reservation names the kind too, and must name the same."""
    for rule in site.schema.rules:
        if isinstance(rule, SameParent) and rule.table == slot.table.key and f"{slot.link.key}.{kind.key}" in rule.paths:
            other = next(p for p in rule.paths if p != f"{slot.link.key}.{kind.key}")
            if other in slot.table.parents:
                return {slot.table.parents[other].columns[0]: ":kind_id"}
    return {}


def _standing(draft: Draft, slot: Slot, *, prefix: str = "", name: str = "", what: str = "", done: str) -> None:
    """Ask for a reservation that is not over."""
    table, machine = slot.table, slot.table.lifecycle
    columns = [slot.link.columns[0], slot.start, slot.end, *([machine.column] if machine else [])]
    draft.row(table, columns, prefix=prefix, name=name, what=what)
    if machine and open_states(table):
        draft.among(open_states(table), done, prefix=prefix)


def _but(site: Site, table: Table, prefix: str = "") -> str:
    return f" AND NOT ({site.at_key(table, prefix=prefix)})"


def reschedule(site: Site, slot: Slot) -> Tool:
    """Another time; as long as before where only the start is given."""
    table = slot.table
    draft = Draft(site, table, "reschedule")
    _standing(draft, slot, done="rescheduled")
    _times(draft, slot, required=False)
    past(draft, "start", table[slot.start])
    _in_order(draft, when="end")
    whole = "datetime" if temporal(table[slot.start]) == "datetime" else "date"
    draft.params = [p if p.key != "end" else replies.optional(p) for p in draft.params]
    draft.bind(
        f"SELECT coalesce(:end, {whole}(:was_{slot.end}, (unixepoch(:start) - unixepoch(:was_{slot.start})) || ' seconds'))", "until"
    )
    clear(draft, slot, f":was_{slot.link.columns[0]}", ":start", "coalesce(:until, '9999-12-31')", but=_but(site, table))
    draft.update(table, {slot.start: ":start", slot.end: ":until"}, site.at_key(table))
    return draft.tool(
        Words(verb="reschedule"),
        f"Move {article(draft.label)} to another time. Give the start alone to keep its length. Refused when it is over, when the new "
        f"start is past, or when the {site.words.label(slot.parent.key)} is taken then.",
        site.row_reply(table), idempotent=True,
    )  # fmt: skip


def extend(site: Site, slot: Slot) -> Tool:
    """A later end."""
    table = slot.table
    draft = Draft(site, table, "extend")
    _standing(draft, slot, done="extended")
    name = site.param_name(table, slot.end)
    draft.value(table, slot.end, "end", f"new_{name}", "When it ends now; later than before.")
    draft.refuse(
        f"SELECT 1 AS shorter WHERE :end <= :was_{slot.end} OR :was_{slot.end} IS NULL",
        f"It lasts until {{was_{slot.end}}} already; {{end}} is no extension.", "Give a later end.", rule=f"extend:{table.key}",
        parameter="end",
    )  # fmt: skip
    clear(draft, slot, f":was_{slot.link.columns[0]}", f":was_{slot.start}", ":end", but=_but(site, table), parameter="end")
    draft.update(table, {slot.end: ":end"}, site.at_key(table))
    return draft.tool(
        Words(verb="extend"),
        f"Let {article(draft.label)} last longer. Refused when it is over, when the new end is not later, or when the "
        f"{site.words.label(slot.parent.key)} is taken by then.",
        site.row_reply(table), idempotent=False,
    )  # fmt: skip


def change_resource(site: Site, slot: Slot) -> Tool:
    """Another thing for the same time."""
    table, parent, column = slot.table, slot.parent, slot.link.columns[0]
    role, label = role_word(site, table, slot.link), site.words.label(parent.key)
    draft = Draft(site, table, f"{slot.link.key}.change_resource")
    _standing(draft, slot, done="changed")
    draft.row(parent, prefix="to_", name=f"to_{role}", what=f"ID of the {label} to use instead")
    draft.refuse(
        f"SELECT 1 AS same WHERE :was_{column} = :to_id", f"The {draft.label} {{id}} has this {label} already.",
        f"Choose another {label}.", code="CONFLICT", rule=f"there:{table.key}.{slot.link.key}", parameter="to_id",
    )  # fmt: skip
    draft.usable(parent, "to_", "be reserved")
    end = f"coalesce(:was_{slot.end}, '9999-12-31')"
    clear(draft, slot, ":to_id", f":was_{slot.start}", end, but=_but(site, table), parameter="to_id")
    draft.update(table, {column: ":to_id"}, site.at_key(table))
    return draft.tool(
        Words(verb="change", template=f"change_{role}_of_{{noun}}"),
        f"Give {article(draft.label)} another {label} for the same time. Refused when that one is taken or not active, or when the "
        f"{draft.label} is over.",
        site.row_reply(table),
    )  # fmt: skip


def swap(site: Site, slot: Slot) -> Tool:
    """Two reservations exchange what they have."""
    table, column = slot.table, slot.link.columns[0]
    role, noun = role_word(site, table, slot.link), site.words.noun(table.key)
    draft = Draft(site, table, f"{slot.link.key}.swap")
    for prefix, name, what in (("from_", f"first_{noun}", "first"), ("to_", f"second_{noun}", "second")):
        _standing(draft, slot, prefix=prefix, name=name, what=f"ID of the {what} {draft.label}", done="swapped")
    draft.refuse(
        f"SELECT 1 AS same WHERE :from_was_{column} IS :to_was_{column}",
        f"Both have the same {site.words.label(slot.parent.key)}, or none.", "Give two that differ.", code="CONFLICT",
        rule=f"swap:{table.key}.{slot.link.key}", parameter="to_id",
    )  # fmt: skip
    key = site.col(table, table.primary_key[0])
    draft.update(
        table, {column: f"CASE WHEN {key} = :from_id THEN :to_was_{column} ELSE :from_was_{column} END"},
        f"{key} IN (:from_id, :to_id)",
    )  # fmt: skip
    return draft.tool(
        Words(verb="swap", many=True, template=f"swap_{role}s_of_{{noun}}"),
        f"Let two {site.words.labels(table.key)} exchange their {site.words.labels(slot.parent.key)}. Refused when one of them is over, "
        f"or when one does not fit into the other's time.",
        replies.rows(site, table, f"{key} IN (:from_id, :to_id)"),
    )  # fmt: skip
