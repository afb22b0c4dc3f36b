"""Who is in charge: assign, unassign, hand over all that is open, take somebody out of service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from worlddb.schema.model import ForeignKey, Table
from worlddb.schema.rules import always_set
from worlddb.tools.kinds.actions import replies
from worlddb.tools.kinds.actions.draft import Draft
from worlddb.tools.kinds.actions.sights import (
    HAPPENINGS,
    LINKING,
    SUBJECTS,
    holders,
    is_person,
    links,
    open_states,
    origins,
    role_word,
    single_key,
    worded,
)
from worlddb.tools.kinds.actions.texts import Unfit, listed, moment, need, settled, unusable
from worlddb.tools.kinds.actions.traces import note
from worlddb.tools.model import Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article, listing

_ASSIGNED = frozenset(["allocated", "assigned", "dispatched", "scheduled", "triaged"])
_ROLES = frozenset([
    "agent", "assigned_to", "assignee", "carer", "coach", "courier", "doctor", "driver", "editor", "engineer", "guide", "handler",
    "inspector", "instructor", "interviewer", "lead", "manager", "mechanic", "mentor", "moderator", "operator", "organiser",
    "owner", "responsible", "reviewer", "teacher", "technician", "vet", "volunteer",
])  # fmt: skip
_MOST_PER_TABLE = 2


def propose(site: Site) -> Iterator[Tool]:
    """Actions about who is in charge of what."""
    for table in site.schema.tables:
        for link in list(duties(site, table))[:_MOST_PER_TABLE]:
            for make in (assign, unassign):
                with suppress(Unfit):
                    yield make(site, table, link)
        for link in list(duties(site, table, nullable=False))[:_MOST_PER_TABLE]:
            with suppress(Unfit):
                yield hand_over(site, table, link)
        with suppress(Unfit):
            yield retire(site, table)


def duties(site: Site, table: Table, *, nullable: bool = True) -> Iterator[ForeignKey]:
    """References by which people are put in charge of a row."""
    if table.archetype in (*HAPPENINGS, *LINKING) or is_person(table) or not single_key(table):
        return
    for link in links(table):
        parent = site.schema[link.table]
        staff = parent.archetype == "staff" and link.key not in SUBJECTS
        person = staff or (is_person(parent) and link.key in _ROLES)
        if person and (link.nullable or not nullable) and not link.unique and not link.key.endswith(("_by", "profile")):
            yield link


def assign(site: Site, table: Table, link: ForeignKey) -> Tool:
    """Put somebody in charge of a row."""
    parent, column = site.schema[link.table], link.columns[0]
    role = role_word(site, table, link)
    draft = Draft(site, table, f"{link.key}.assign")
    machine = table.lifecycle
    draft.row(table, [column, *([machine.column] if machine else [])])
    draft.row(parent, prefix="who_", name=role, what=f"ID of the {site.words.label(parent.key)} to put in charge")
    if machine:
        draft.among(open_states(table) or machine.states, "assigned")
    draft.refuse(
        f"SELECT 1 AS refused WHERE :was_{column} = :who_id",
        f"The {draft.label} {{id}} is assigned to {{who_id}} already.", "Nothing is left to do, or choose somebody else.",
        code="CONFLICT", rule=f"assigned:{table.key}.{link.key}",
        told="it is assigned to that one already", parameter="who_id",
    )  # fmt: skip
    draft.usable(parent, "who_", "take on anything")
    draft.update(table, {column: ":who_id", **_scheduling(site, table)}, site.at_key(table))
    told = note(draft, ("assigned", "reassigned"), person=(parent, "who_id"))
    moved = " Moves it on to the state that says so." if _scheduling(site, table) else ""
    return draft.tool(
        Words(verb="assign", template=f"assign_{role}_to_{{noun}}"),
        f"Assign {article(site.words.label(parent.key))} to {article(draft.label)}, in place of whoever had "
        f"it.{moved}{told}",
        site.row_reply(table), idempotent=False,
    )  # fmt: skip


def _scheduling(site: Site, table: Table) -> dict[str, str]:
    """Where being assigned is a state of its own: the columns that take a row there from the states before it."""
    machine = table.lifecycle
    state = next(iter(worded(table, _ASSIGNED)), "")
    before = [s for s in origins(table, state) if s in open_states(table)] if state else []
    if machine is None or not before or state in settled(site, table):
        return {}
    status = site.col(table, machine.column)
    found = {machine.column: f"CASE WHEN {status} IN ({listed(before)}) THEN {listed([state])} ELSE {status} END"}
    if stamp := machine.stamps.get(state):
        own = site.col(table, stamp)
        found[stamp] = f"CASE WHEN {status} IN ({listed(before)}) THEN {moment(table[stamp])} ELSE {own} END"
    return found


def unassign(site: Site, table: Table, link: ForeignKey) -> Tool:
    """Take a row away from whoever is in charge."""
    column, machine = link.columns[0], table.lifecycle
    need(not always_set(site.schema, table, link))
    role = role_word(site, table, link)
    draft = Draft(site, table, f"{link.key}.unassign")
    draft.row(table, [column, *([machine.column] if machine else [])])
    if machine:
        draft.among(open_states(table) or machine.states, "unassigned")
    draft.refuse(
        f"SELECT 1 AS refused WHERE :was_{column} IS NULL", f"The {draft.label} {{id}} is assigned to nobody.",
        "Nothing is left to do.", rule=f"unassigned:{table.key}.{link.key}",
        told="it is assigned to nobody", parameter="id",
    )  # fmt: skip
    draft.update(table, {column: "NULL"}, site.at_key(table))
    told = note(draft, ("unassigned",))
    return draft.tool(
        Words(verb="unassign", template=f"unassign_{role}_from_{{noun}}"),
        f"Take {article(draft.label)} away from the {site.words.label(link.table)} it is assigned to; nobody is in "
        f"charge of it then.{told}",
        site.row_reply(table),
    )  # fmt: skip


def hand_over(site: Site, table: Table, link: ForeignKey) -> Tool:
    """All open rows of one person go to another."""
    labels = site.words.labels(table.key)
    return all_to_another(
        site, table, link, f"{link.key}.hand_over", verb="hand_over", template="hand_over_{{noun}}_of_{role}",
        gives=f"who gives up the {labels}", takes="who takes them over", able=f"take over {labels}",
    )  # fmt: skip


def all_to_another(
    site: Site, table: Table, link: ForeignKey, key: str, *, verb: str, template: str, gives: str, takes: str, able: str
) -> Tool:
    """All open rows of one parent go to another.

    Args:
        site: what tools are built with.
        table: the table of the rows.
        link: the reference that is to name the other parent.
        key: last parts of the tool's key.
        verb: what is done, such as 'hand_over'.
        template: the tool's name, with `{role}` for what the parent is to the rows.
        gives: the first parent, as a clause: 'who gives up the orders'.
        takes: the second one.
        able: what the second one must be fit for: 'take over orders'.
    """
    parent, column = site.schema[link.table], link.columns[0]
    role, label = role_word(site, table, link), site.words.label(parent.key)
    draft = Draft(site, table, key)
    draft.row(parent, prefix="from_", name=f"from_{role}", what=f"ID of the {label} {gives}")
    draft.row(parent, prefix="to_", name=f"to_{role}", what=f"ID of the {label} {takes}")
    differ(draft, parent)
    draft.usable(parent, "to_", able)
    still, doing = still_open(site, table), verb.replace("_", " ")
    rows = f"{'open ' if open_states(table) else ''}{site.words.labels(table.key)}"
    theirs = f"{site.col(table, column)} = :from_id AND {still}"
    none_left(draft, table, theirs, "from_id", doing)
    draft.update(table, {column: ":to_id"}, theirs, into="moved")
    return draft.tool(
        Words(verb=verb, many=True, template=template.format(role=role)),
        f"{doing.capitalize()} all {rows} of one {label} to another.",
        replies.moved(site, table, column, still),
    )  # fmt: skip


def differ(draft: Draft, parent: Table) -> None:
    """Refuse where both keys name the same row."""
    draft.refuse(
        "SELECT 1 AS refused WHERE :from_id = :to_id", f"Both are the {draft.site.words.label(parent.key)} {{to_id}}.",
        "Give two different ones.", code="INVALID_ARGUMENT", rule=f"same:{parent.key}",
        told=f"both are the same {draft.site.words.label(parent.key)}", parameter="to_id",
    )  # fmt: skip


def still_open(site: Site, table: Table) -> str:
    """The condition of rows `t` that are neither finished nor frozen nor deleted."""
    machine, found = table.lifecycle, []
    workable = [s for s in open_states(table) if s not in settled(site, table)]
    if machine and workable and len(workable) < len(machine.states):
        found.append(f"{site.col(table, machine.column)} IN ({listed(workable)})")
    if machine is None and (gone := unusable(site, table)):
        found.append(f"NOT coalesce({gone}, 0)")
    return " AND ".join(found) or "1"


def none_left(draft: Draft, table: Table, condition: str, parameter: str, doing: str) -> None:
    """Refuse where no row meets a condition."""
    labels = f"{'open ' if open_states(table) else ''}{draft.site.words.labels(table.key)}"
    draft.refuse(
        f"SELECT 1 AS refused WHERE NOT EXISTS (SELECT 1 FROM {draft.site.sql(table)} AS t WHERE {condition})",
        f"{{{parameter}}} has no {labels} to {doing}.", "Choose one that has some.",
        rule=f"empty:{table.key}.{draft.key}", told=f"there are no {labels} to {doing}", parameter=parameter,
    )  # fmt: skip


def retire(site: Site, table: Table) -> Tool:
    """Somebody (or something) goes out of service, and all that is open is freed of it."""
    flag = next((c for c in table.columns if c.key == "is_active"), None)
    need(flag is not None and single_key(table))
    assert flag is not None
    freed = [
        (child, link)
        for child, link in holders(site, table)
        if link.nullable and single_key(child) and child.lifecycle and open_states(child)
        and not always_set(site.schema, child, link)
    ]  # fmt: skip
    need(freed)
    draft = Draft(site, table, "retire")
    draft.row(table, [flag.key])
    draft.refuse(
        f"SELECT 1 AS refused WHERE :was_{flag.key} = 0", f"The {draft.label} {{id}} is inactive already.",
        "Nothing is left to do.", rule=f"inactive:{table.key}", told="it is inactive already", parameter="id",
    )  # fmt: skip
    for number, (child, link) in enumerate(freed):
        condition = f"{site.col(child, link.columns[0])} = :id AND {still_open(site, child)}"
        draft.update(child, {link.columns[0]: "NULL"}, condition, into=f"freed_{number}")
    draft.update(table, {flag.key: "0"}, site.at_key(table))
    told = listing(list(dict.fromkeys(site.words.labels(c.key) for c, _ in freed)), "and")
    return draft.tool(
        Words(verb="release", template="deactivate_{noun}_and_release_work"),
        f"Take {article(draft.label)} out of service: it becomes inactive, and its open {told} are free for others.",
        site.row_reply(table), destructive=True,
    )  # fmt: skip
