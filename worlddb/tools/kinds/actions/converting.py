"""One thing leads to the next: what an accepted application becomes, another plan, another term."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from worlddb.schema.model import ForeignKey, Table
from worlddb.schema.rules import SameParent, StateReq
from worlddb.semantics.types import is_a
from worlddb.tools.kinds.actions import replies
from worlddb.tools.kinds.actions.draft import Draft
from worlddb.tools.kinds.actions.sights import (
    HAPPENINGS,
    is_money,
    is_person,
    links,
    open_states,
    origins,
    single_key,
    temporal,
    worded,
)
from worlddb.tools.kinds.actions.texts import Unfit, listed, need, settled
from worlddb.tools.kinds.actions.traces import note
from worlddb.tools.model import Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article, listing

_TERMS = ("subscription", "policy", "membership")
_PLANNED = (*_TERMS, "account", "resource", "party", "org", "booking", "place")
_RENEWED = frozenset(["active", "current", "renewed"])


def propose(site: Site) -> Iterator[Tool]:
    """Actions that carry something over into what comes next."""
    for rule in site.schema.rules:
        if isinstance(rule, StateReq) and "." not in rule.of:
            with suppress(Unfit):
                yield follow_up(site, rule)
    for table in site.schema.tables:
        if single_key(table):
            for link in list(_plans(site, table))[:1]:
                with suppress(Unfit):
                    yield change_plan(site, table, link)
            with suppress(Unfit):
                yield renew(site, table)


def follow_up(site: Site, rule: StateReq) -> Tool:
    """What a row in the right state leads to: a child that takes over what both refer to; the row moves on if it can."""
    child = site.schema[rule.table]
    link = child.parents.get(rule.of)
    need(link is not None and len(link.columns) == 1)
    assert link is not None
    table, machine = site.schema[link.table], site.schema[link.table].lifecycle
    need(machine is not None and machine.column == rule.column and single_key(table) and table.key != child.key)
    need(child.archetype not in HAPPENINGS or child.archetype == "movement")
    need(child.archetype not in ("message", "line", "junction"))
    assert machine is not None
    allowed = [s for s in rule.among if isinstance(s, str)]
    draft = Draft(site, table, f"{child.key}.{link.key}.follow_up")
    targets = {f.table: f.columns[0] for f in links(table)}
    roles = {f.key for f in links(table)}
    shared = {
        f.columns[0]: targets[f.table]
        for f in links(child)
        if f.table in targets and f.key != link.key and (f.key in roles or not is_person(site.schema[f.table]))
    }
    draft.row(table, [machine.column, *dict.fromkeys(shared.values())])
    label = site.words.label(child.key)
    draft.among(allowed, "followed by one")
    if link.unique:
        draft.refuse(
            f"SELECT {site.col(child, child.primary_key[0])} AS other FROM {site.sql(child)} AS t "
            f"WHERE {site.col(child, link.columns[0])} = :id",
            f"The {draft.label} {{id}} has {article(label)} already ({{other}}).", f"Use that {label}.", code="CONFLICT",
            rule=f"once:{child.key}.{link.key}", told="there is one already", parameter="id",
        )  # fmt: skip
    given = {link.columns[0]: ":id", **{c: f":was_{theirs}" for c, theirs in shared.items()}}
    draft.insert(child, given, into="child_id")
    onward = [b for b in machine.happy for a in allowed if (a, b) in machine.moves and b in allowed]
    state = onward[0] if onward and link.unique else ""
    told = ""
    if state:
        ready = f"{site.col(table, machine.column)} IN ({listed(origins(table, state))})"
        draft.enter(table, state, f"{site.at_key(table)} AND {ready}")
        told = f" The {draft.label} becomes {state} where that comes next."
    common = listing([site.words.column_label(child.key, c) for c in shared], "and")
    shares = f", with the same {common}" if common else ""
    reply = replies.beside(site.row_reply(table), site.words.noun(child.key),
                           replies.rows(site, child, site.at_key(child, prefix="child_")))  # fmt: skip
    need(single_key(child))
    return draft.tool(
        Words(verb="create", template=f"create_{site.words.noun(child.key)}_from_{{noun}}"),
        f"Make {article(label)} from {article(draft.label)}{shares}.{told}",
        reply,
    )  # fmt: skip


def _plans(site: Site, table: Table) -> Iterator[ForeignKey]:
    """References to a plan or rate that can be exchanged."""
    for link in links(table):
        plan = site.schema[link.table]
        if plan.archetype == "plan" and not link.unique and single_key(plan) and table.archetype in _PLANNED:
            yield link


def change_plan(site: Site, table: Table, link: ForeignKey) -> Tool:
    """Another plan, at its price."""
    plan, column, machine = site.schema[link.table], link.columns[0], table.lifecycle
    need(not any(isinstance(r, SameParent) and r.table == table.key and link.key in r.paths for r in site.schema.rules))
    label = site.words.label(plan.key)
    draft = Draft(site, table, f"{link.key}.change_plan")
    draft.row(table, [column, *([machine.column] if machine else [])])
    draft.row(plan, prefix="to_", name=f"to_{site.words.noun(plan.key)}", what=f"ID of the {label} to change to")
    if machine and open_states(table):
        draft.among(open_states(table), "changed")
    draft.refuse(
        f"SELECT 1 AS refused WHERE :was_{column} = :to_id", f"The {draft.label} {{id}} has this {label} already.",
        f"Choose another {label}.", code="CONFLICT", rule=f"there:{table.key}.{link.key}",
        told=f"it has this {label} already", parameter="to_id",
    )  # fmt: skip
    draft.usable(plan, "to_", "be chosen")
    sets = {column: ":to_id"}
    own = next((c for c in table.columns if c.key == "price" and is_money(c) and not c.formula), None)
    if own is not None and "price" in plan and own.key not in site.derived(table):
        price = (
            f"(SELECT {site.col(plan, 'price', 'p')} FROM {site.sql(plan)} AS p WHERE {site.at_key(plan, 'p', 'to_')})"
        )
        sets[own.key] = f"coalesce({price}, {site.col(table, own.key)})"
    shared = [c.key for c in table.columns if is_a(c.type, "billing_period") and c.key in plan]
    for key in shared:
        cycle = f"(SELECT {site.col(plan, key, 'p')} FROM {site.sql(plan)} AS p WHERE {site.at_key(plan, 'p', 'to_')})"
        if set(plan[key].values) <= set(table[key].values):
            sets[key] = f"coalesce({cycle}, {site.col(table, key)})"
    draft.update(table, sets, site.at_key(table))
    told = note(draft, ("plan_changed",))
    priced = " at its price" if own is not None and own.key in sets else ""
    return draft.tool(
        Words(verb="change", template=f"change_{site.words.noun(plan.key)}_of_{{noun}}"),
        f"Change {article(draft.label)} to another {label}{priced}.{told}",
        site.row_reply(table),
    )  # fmt: skip


def renew(site: Site, table: Table) -> Tool:
    """Another term: a later end, counted from the present one or from today."""
    need(table.archetype in _TERMS)
    ends = next(
        (
            c
            for c in table.columns
            if temporal(c) == "date" and c.key in ("ends_on", "expires_on", "renews_on", "valid_until")
        ),
        None,
    )
    need(ends is not None)
    assert ends is not None
    machine = table.lifecycle
    draft = Draft(site, table, "renew")
    draft.row(table, [ends.key, *([machine.column] if machine else [])])
    name = site.param_name(table, ends.key)
    draft.value(table, ends.key, "until", f"new_{name}", "The day on which it ends now ('YYYY-MM-DD').")
    again = next(iter(worded(table, _RENEWED)), "")
    before = [s for s in origins(table, again) if s not in open_states(table)] if again else []
    if machine and open_states(table):
        draft.among([s for s in machine.states if s in open_states(table) or s in before], "renewed")
    draft.refuse(
        f"SELECT 1 AS refused WHERE :until <= coalesce(:was_{ends.key}, :today) OR :until <= :today",
        f"It runs until {{was_{ends.key}}}; {{until}} is no later.", "Give a later day, after today.", rule=f"renew:{table.key}",
        told="the day is not later than the present one",
        parameter="until",
    )  # fmt: skip
    sets = {ends.key: ":until"}
    counter = next((c for c in table.columns if c.key == "renewal_count"), None)
    if counter is not None:
        sets[counter.key] = f"coalesce({site.col(table, counter.key)}, 0) + 1"
    if machine and before and again not in settled(site, table):
        status = site.col(table, machine.column)
        sets[machine.column] = f"CASE WHEN {status} IN ({listed(before)}) THEN {listed([again])} ELSE {status} END"
    draft.update(table, sets, site.at_key(table))
    told = note(draft, ("renewed",))
    return draft.tool(
        Words(verb="renew"),
        f"Renew {article(draft.label)} until a later day.{told}",
        site.row_reply(table),
    )  # fmt: skip
