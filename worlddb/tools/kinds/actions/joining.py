"""Who takes part: enrol into what has room, or on its waiting list; leave, and let the next one in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from worlddb.schema.model import ForeignKey, Table
from worlddb.schema.rules import Cap, Scope
from worlddb.tools.kinds.actions import replies
from worlddb.tools.kinds.actions.draft import Draft
from worlddb.tools.kinds.actions.sights import is_person, links, origins, role_word, single_key, worded
from worlddb.tools.kinds.actions.texts import Unfit, entering, listed, need, settled
from worlddb.tools.model import Reply, Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article

_WAITING = frozenset(["waitlisted", "waiting", "queued", "requested", "applied", "pending", "invited"])
_LEFT = frozenset(["cancelled", "dropped", "ended", "left", "released", "withdrawn"])


class Room(NamedTuple):
    """A table of people who take part in something of limited room."""

    table: Table
    person: ForeignKey
    group: ForeignKey
    cap: Cap | None


def propose(site: Site) -> Iterator[Tool]:
    """Joining and leaving."""
    for table in site.schema.tables:
        room = _room(site, table)
        if room is not None:
            for make in (join, leave):
                with suppress(Unfit):
                    yield make(site, room)


def _room(site: Site, table: Table) -> Room | None:
    """Somebody, something, and how many fit in."""
    if table.archetype not in ("membership", "assignment", "booking"):
        return None
    people = [f for f in links(table) if is_person(site.schema[f.table]) and single_key(site.schema[f.table])]
    groups = [f for f in links(table) if not is_person(site.schema[f.table]) and single_key(site.schema[f.table])]
    if not people or not groups or people[0].nullable:
        return None
    for rule in site.schema.rules:
        if (
            isinstance(rule, Cap)
            and rule.table == table.key
            and not rule.column
            and not rule.each_day
            and len(rule.per) == 1
        ):
            group = next((g for g in groups if g.key == rule.per[0]), None)
            if group is not None and not any("." in p for p in rule.where) and _own_bound(rule, group):
                return Room(table, people[0], group, rule)
    if table.archetype == "membership" and not groups[0].nullable:
        return Room(table, people[0], groups[0], None)
    return None


def _own_bound(rule: Cap, group: ForeignKey) -> bool:
    return isinstance(rule.at_most, int) or rule.at_most.startswith(f"{group.key}.")


def _bound(site: Site, room: Room) -> str:
    """SQL of how many fit into :group_id."""
    assert room.cap is not None
    if isinstance(room.cap.at_most, int):
        return str(room.cap.at_most)
    path = room.cap.at_most.split(".", 1)[1]
    scope = Scope(site.schema, room.group.table, "g", set())
    limit = scope.number(path)
    return f"(SELECT {limit} FROM {scope.source} WHERE {site.at_key(site.schema[room.group.table], 'g', 'group_')})"


def _taken(site: Site, room: Room) -> str:
    """SQL of how many places of :group_id are taken."""
    assert room.cap is not None
    table = room.table
    condition = Scope(site.schema, table.key, "t", set()).condition(room.cap.where)
    group = site.col(table, room.group.columns[0])
    return f"(SELECT count(*) FROM {site.sql(table)} AS t WHERE {group} = :group_id AND {condition})"


def join(site: Site, room: Room) -> Tool:
    """A new participant; on the waiting list where there is one and no room."""
    table, people, group = room.table, site.schema[room.person.table], site.schema[room.group.table]
    who, where = site.words.label(people.key), site.words.label(group.key)
    draft = Draft(site, table, "join")
    draft.row(people, prefix="who_", name=role_word(site, table, room.person), what=f"ID of the {who} who joins")
    draft.row(group, prefix="group_", name=role_word(site, table, room.group), what=f"ID of the {where} to join")
    draft.usable(people, "who_", "join anything")
    draft.usable(group, "group_", "be joined")
    own = (
        f"{site.col(table, room.person.columns[0])} = :who_id AND {site.col(table, room.group.columns[0])} = :group_id"
    )
    out = worded(table, _LEFT)
    machine = table.lifecycle
    if machine and out:
        own += f" AND {site.col(table, machine.column)} NOT IN ({listed(out)})"
    draft.refuse(
        f"SELECT 1 AS refused FROM {site.sql(table)} AS t WHERE {own}", f"The {who} {{who_id}} is in {{group_id}} already.",
        "Nothing is left to do.", code="CONFLICT", rule=f"joined:{table.key}",
        told=f"the {who} takes part already", parameter="who_id",
    )  # fmt: skip
    state = _first_state(room)
    told = ""
    if room.cap is not None:
        draft.bind(f"SELECT {_bound(site, room)}, {_taken(site, room)}", "most", "taken")
        counts = machine is None or _counts(room, machine.initial)
        if counts:
            draft.refuse(
                "SELECT 1 AS refused WHERE :taken >= :most", f"The {where} {{group_id}} is full: {{taken}} of {{most}}.",
                f"Choose another {where}, or let somebody leave first.", rule=f"full:{group.key}",
                told=f"the {where} is full", parameter="group_id",
            )  # fmt: skip
    draft.insert(table, {room.person.columns[0]: ":who_id", room.group.columns[0]: ":group_id"}, into="id")
    if state and machine:
        space = f"{_key_condition(site, room)} AND :taken < :most"
        draft.update(table, entering(table, state), space, quiet=state in settled(site, table))
        told = f" Where there is room, the place is {state} at once; else it waits ({machine.initial})."
    return draft.tool(
        Words(verb="enroll", template=f"enroll_{site.words.noun(people.key)}_in_{site.words.noun(group.key)}"),
        f"Let {article(who)} take part in {article(where)}: makes a new {draft.label}.{told}",
        _answer(site, room),
    )  # fmt: skip


def _key_condition(site: Site, room: Room) -> str:
    table = room.table
    if single_key(table):
        return site.at_key(table)
    return (
        f"{site.col(table, room.person.columns[0])} = :who_id AND {site.col(table, room.group.columns[0])} = :group_id"
    )


def _answer(site: Site, room: Room) -> Reply:
    table = room.table
    if single_key(table):
        return site.row_reply(table)
    found = replies.rows(site, table, _key_condition(site, room))
    return replies.one(found, site.missing(table))


def _counts(room: Room, state: str) -> bool:
    """True where a row in that state takes a place."""
    machine = room.table.lifecycle
    if room.cap is None or machine is None:
        return False
    states = room.cap.where.get(machine.column)
    return not isinstance(states, tuple) or state in states


def _first_state(room: Room) -> str:
    """The state with a place to which a new row moves at once; '' where it is born with one, or must be approved first."""
    machine = room.table.lifecycle
    if (
        machine is None
        or room.cap is None
        or _counts(room, machine.initial)
        or machine.initial not in worded(room.table, _WAITING)
    ):
        return ""
    return next((b for b in machine.exits(machine.initial) if _counts(room, b)), "")


def leave(site: Site, room: Room) -> Tool:
    """Somebody leaves; the place is free, and the first who waits gets it."""
    table, people, group = room.table, site.schema[room.person.table], site.schema[room.group.table]
    who, where, machine = site.words.label(people.key), site.words.label(group.key), table.lifecycle
    draft = Draft(site, table, "leave")
    draft.row(people, prefix="who_", name=role_word(site, table, room.person), what=f"ID of the {who} who leaves")
    draft.row(group, prefix="group_", name=role_word(site, table, room.group), what=f"ID of the {where} to leave")
    own = (
        f"{site.col(table, room.person.columns[0])} = :who_id AND {site.col(table, room.group.columns[0])} = :group_id"
    )
    state = next(iter(worded(table, _LEFT)), "")
    if machine and state:
        own += f" AND {site.col(table, machine.column)} IN ({listed(origins(table, state))})"
    else:
        need(machine is None and not site.schema.children[table.key])
    draft.refuse(
        f"SELECT 1 AS refused WHERE NOT EXISTS (SELECT 1 FROM {site.sql(table)} AS t WHERE {own})",
        f"The {who} {{who_id}} has no place in {{group_id}} that can be given up.", "Look up where they take part.",
        code="NOT_FOUND", rule=f"joined:{table.key}", told=f"the {who} takes no part", parameter="who_id",
    )  # fmt: skip
    if state:
        draft.enter(table, state, own)
    else:
        draft.delete(table, own)
    told = _promote(draft, room)
    return draft.tool(
        Words(verb="leave", template=f"withdraw_{site.words.noun(people.key)}_from_{site.words.noun(group.key)}"),
        f"Withdraw {article(who)} from {article(where)}: the place is given up.{told}",
        replies.of(site, group, "group_"), destructive=not state,
    )  # fmt: skip


def _promote(draft: Draft, room: Room) -> str:
    """The first who waits moves up into the free place."""
    table, site, machine = room.table, draft.site, room.table.lifecycle
    state = _first_state(room)
    if not state or machine is None or room.cap is None or not single_key(table):
        return ""
    key = site.col(table, table.primary_key[0], "w")
    first = (
        f"(SELECT {key} FROM {site.sql(table)} AS w WHERE {site.col(table, room.group.columns[0], 'w')} = "
        f":group_id AND {site.col(table, machine.column, 'w')} = {listed([machine.initial])} ORDER BY {key} LIMIT 1)"
    )
    draft.bind(f"SELECT {_bound(site, room)}, {_taken(site, room)}", "most", "taken")
    draft.update(
        table, entering(table, state), f"{site.col(table, table.primary_key[0])} = {first} AND :taken < :most",
        quiet=state in settled(site, table),
    )  # fmt: skip
    return f" The first who waits ({machine.initial}) gets the place."
