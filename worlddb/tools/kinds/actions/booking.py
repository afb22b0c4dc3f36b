"""Things used by one at a time: reserve, reserve any free one, reschedule, extend, change or swap what is reserved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from worlddb.schema.model import ForeignKey, Table
from worlddb.schema.rules import SameParent
from worlddb.tools.kinds.actions import replies
from worlddb.tools.kinds.actions.copying import past
from worlddb.tools.kinds.actions.draft import Draft
from worlddb.tools.kinds.actions.sights import SUBJECTS, links, open_states, role_word, single_key, temporal
from worlddb.tools.kinds.actions.slots import Slot, ask_times, clear, in_order, in_the_way, slots
from worlddb.tools.kinds.actions.texts import Unfit, need, unusable
from worlddb.tools.kinds.actions.traces import note
from worlddb.tools.model import Fault, Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article

_TERMS = ("junction", "membership", "plan", "policy", "rate", "subscription")
"""Archetypes of what is valid for a time, but reserves nothing."""


def propose(site: Site) -> Iterator[Tool]:
    """Actions on reservations."""
    for slot in slots(site):
        if _is_bookable(site, slot):
            for make in (reserve, reserve_any, change_resource, swap):
                with suppress(Unfit):
                    yield make(site, slot)
    seen: set[str] = set()
    for slot in slots(site):
        if slot.table.key not in seen:
            seen.add(slot.table.key)
            for make in (reschedule, extend) if slot.table.archetype not in _TERMS else (extend,):
                with suppress(Unfit):
                    yield make(site, slot)


def _is_bookable(site: Site, slot: Slot) -> bool:
    """True for what people choose for a reservation; not for whom or what it is made, nor for prices and contracts."""
    if slot.table.archetype in _TERMS or slot.link.key in SUBJECTS or slot.parent.archetype == "party":
        return False
    several = sum(s.table.key == slot.table.key for s in slots(site)) > 1
    return not (several and any(site.schema[f.table].archetype == "party" for f in links(slot.parent)))


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
        draft.row(
            kind,
            prefix="kind_",
            name=role_word(site, parent, any_of),
            what=f"ID of the {site.words.label(kind.key)} wanted",
        )
    ask_times(draft, slot)
    in_order(draft)
    past(draft, "start", table[slot.start])
    if any_of is None:
        clear(draft, slot, ":what_id", ":start", ":end", parameter="what_id")
    else:
        _choose(draft, slot, any_of)
    given = {column: ":what_id", slot.start: ":start", slot.end: ":end"}
    if any_of is not None:
        given |= _same_kind(site, slot, any_of)
    offer = [f.columns[0] for f in links(table) if f.nullable and f.columns[0] not in given and f.table != table.key]
    draft.insert(table, given, into="id", offer=offer[:2])
    what = f"any free {thing} of {article(site.words.label(kind.key))}" if kind else article(thing)
    first = " Takes the first that is free, by ID." if any_of else ""
    return draft.tool(
        Words(verb="reserve", template=f"book_any_{role}_for_{{noun}}" if any_of else f"book_{role}_for_{{noun}}"),
        f"Reserve {what} for a time: makes a new {label}.{first}",
        site.row_reply(table),
    )  # fmt: skip


def reserve_any(site: Site, slot: Slot) -> Tool:
    """As `reserve`, of the first free thing of a kind."""
    kinds = [
        f
        for f in links(slot.parent)
        if not f.unique and f.table != slot.parent.key and single_key(site.schema[f.table])
    ]
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
        f"{in_the_way(site, slot, key, ':start', ':end')}) ORDER BY {key} LIMIT 1",
        "what_id",
        missing=Fault(
            code="CONFLICT", message=f"No {site.words.label(parent.key)} of {{kind_id}} is free from {{start}} to {{end}}.",
            cure=f"Choose another time, or another {site.words.label(kind.table)}.", parameter="kind_id",
            rule=f"taken:{parent.key}",
        ),
    )  # fmt: skip
    draft.rules.append(f"taken:{parent.key}")
    draft.told.append("none is free then")


def _same_kind(site: Site, slot: Slot, kind: ForeignKey) -> dict[str, str]:
    """Where the reservation names the kind too, and must name the same."""
    for rule in site.schema.rules:
        if (
            isinstance(rule, SameParent)
            and rule.table == slot.table.key
            and f"{slot.link.key}.{kind.key}" in rule.paths
        ):
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
    ask_times(draft, slot, required=False)
    past(draft, "start", table[slot.start])
    in_order(draft, when="end")
    whole = "datetime" if temporal(table[slot.start]) == "datetime" else "date"
    draft.params = [p if p.key != "end" else replies.optional(p) for p in draft.params]
    draft.bind(
        f"SELECT coalesce(:end, {whole}(:was_{slot.end}, (unixepoch(:start) - unixepoch(:was_{slot.start})) || ' "
        f"seconds'))",
        "until",
    )
    clear(
        draft, slot, f":was_{slot.link.columns[0]}", ":start", "coalesce(:until, '9999-12-31')", but=_but(site, table)
    )
    draft.update(table, {slot.start: ":start", slot.end: ":until"}, site.at_key(table))
    told = note(draft, ("rescheduled",))
    return draft.tool(
        Words(verb="reschedule"),
        f"Move {article(draft.label)} to another time. Give the start alone to keep its length.{told}",
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
        f"SELECT 1 AS refused WHERE :end <= :was_{slot.end} OR :was_{slot.end} IS NULL",
        f"It lasts until {{was_{slot.end}}} already; {{end}} is no extension.", "Give a later end.", rule=f"extend:{table.key}",
        told="the new end is not later",
        parameter="end",
    )  # fmt: skip
    clear(
        draft, slot, f":was_{slot.link.columns[0]}", f":was_{slot.start}", ":end", but=_but(site, table), parameter="end",
        cure="Choose an end not after {busy_from}.",
    )  # fmt: skip
    draft.update(table, {slot.end: ":end"}, site.at_key(table))
    return draft.tool(
        Words(verb="extend"),
        f"Extend {article(draft.label)} to a later end.",
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
        f"SELECT 1 AS refused WHERE :was_{column} = :to_id", f"The {draft.label} {{id}} has this {label} already.",
        f"Choose another {label}.", code="CONFLICT", rule=f"there:{table.key}.{slot.link.key}",
        told=f"it has this {label} already", parameter="to_id",
    )  # fmt: skip
    draft.usable(parent, "to_", "be reserved")
    end = f"coalesce(:was_{slot.end}, '9999-12-31')"
    clear(
        draft, slot, ":to_id", f":was_{slot.start}", end, but=_but(site, table), parameter="to_id",
        cure=f"Choose another {label}.",
    )  # fmt: skip
    draft.update(table, {column: ":to_id"}, site.at_key(table))
    told = note(draft, (f"{role}_changed",))
    return draft.tool(
        Words(verb="change", template=f"change_{role}_of_{{noun}}"),
        f"Give {article(draft.label)} another {label} for the same time.{told}",
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
        f"SELECT 1 AS refused WHERE :from_was_{column} IS :to_was_{column}",
        f"Both have the same {site.words.label(slot.parent.key)}, or none.", "Give two that differ.", code="CONFLICT",
        rule=f"swap:{table.key}.{slot.link.key}", told=f"both have the same {site.words.label(slot.parent.key)}",
        parameter="to_id",
    )  # fmt: skip
    key = site.col(table, table.primary_key[0])
    draft.update(
        table, {column: f"CASE WHEN {key} = :from_id THEN :to_was_{column} ELSE :from_was_{column} END"},
        f"{key} IN (:from_id, :to_id)",
    )  # fmt: skip
    return draft.tool(
        Words(verb="swap", many=True, template=f"swap_{role}s_of_{{noun}}"),
        f"Swap the {site.words.labels(slot.parent.key)} of two {site.words.labels(table.key)}.",
        replies.rows(site, table, f"{key} IN (:from_id, :to_id)"),
    )  # fmt: skip
