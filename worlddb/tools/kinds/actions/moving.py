"""Where things belong: move one to another parent, under another row of its own tree, or all of one parent to another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from worlddb.schema.model import ForeignKey, Table
from worlddb.schema.rules import Immutable, NoOverlap, RoleReq, SameParent, SumEq
from worlddb.semantics.types import is_a
from worlddb.tools.kinds.actions.assigning import all_to_another, duties
from worlddb.tools.kinds.actions.copying import owner
from worlddb.tools.kinds.actions.draft import Draft
from worlddb.tools.kinds.actions.sights import is_person, links, names_parent, open_states, role_word, single_key
from worlddb.tools.kinds.actions.texts import Unfit, need, settled
from worlddb.tools.kinds.actions.traces import note
from worlddb.tools.model import Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article, singular

_HOMES = {
    "line": ("header", "document", "case", "plan", "taxonomy", "subscription", "booking", "org", "party"),
    "document": ("taxonomy", "document", "case", "org", "place"),
    "case": ("taxonomy", "case"),
    "resource": ("taxonomy", "place", "resource"),
    "booking": ("taxonomy", "place", "resource"),
    "catalog_item": ("taxonomy", "place"),
    "taxonomy": ("taxonomy", "place", "org"),
    "staff": ("taxonomy", "place", "org"),
    "party": ("taxonomy", "place", "org"),
    "place": ("taxonomy", "place", "org"),
    "account": ("place", "taxonomy"),
    "plan": ("taxonomy",),
    "": ("",),
}  # fmt: skip
"""What people put elsewhere -> where that may be, the most telling first.  Rows that record what somebody did stay where they
are, and so does what is given its place by a contract."""
_BRANCHES = ("taxonomy", "place", "org")
_KINDS = frozenset(["condition", "file", "kind", "make", "model", "species", "type"])
"""Words of references that say what a row is, or of what, not where."""
_OWNED = ("account", "catalog_item", "document", "place", "policy", "resource", "subscription")
_HELD = ("account", "resource", "subscription")
_OWNERS = frozenset(["custodian", "holder", "host", "keeper", "landlord", "maintainer", "owner"])
_TREES = ("taxonomy", "document", "case", "place", "org", "resource", "account", "plan", "")
_ABOVE = frozenset(["above", "belongs_to", "folder", "group", "part_of", "section", "under", "within"])
_DEEDS = frozenset([
    "activity", "audit", "comment", "event", "events", "follow", "history", "like", "log", "logs", "measurement", "member",
    "membership", "message", "payment", "rating", "reading", "review", "session", "transaction", "view", "visit", "vote",
])  # fmt: skip
"""Words of tables that record what somebody did, for databases that do not say so otherwise."""
_MOST_PER_TABLE = 2


def propose(site: Site) -> Iterator[Tool]:
    """Actions that move rows between parents."""
    for table in site.schema.tables:
        if single_key(table):
            for link in _ways(site, table)[:_MOST_PER_TABLE]:
                with suppress(Unfit):
                    yield move(site, table, link)
            for link in _ways(site, table, tree=False)[:1]:
                with suppress(Unfit):
                    need(not any(link.columns[0] in together for together in table.uniques))
                    yield move_all(site, table, link)


def counted(site: Site, table: Table, link: ForeignKey) -> bool:
    """True where a total of the parent depends on the children that a reference gives it."""
    return any(isinstance(r, SumEq) and r.of == table.key and r.via == link.key for r in site.schema.rules)


def _ways(site: Site, table: Table, *, tree: bool = True) -> list[ForeignKey]:
    """References along which rows may be moved, the most telling first: trees, totals, places."""
    booked = {r.per[0] for r in site.schema.rules if isinstance(r, NoOverlap) and r.table == table.key}
    charged = {f.columns[0] for f in duties(site, table, nullable=False)}
    found: list[tuple[int, ForeignKey]] = []
    homes = _HOMES.get(table.archetype, ())
    if not table.archetype and (_is_deed(table) or is_person(table)):
        return []
    for link in links(table):
        parent, own = site.schema[link.table], link.table == table.key
        if link.unique or link.key in booked or link.columns[0] in table.primary_key or not single_key(parent):
            continue
        if _tied(site, table, link):
            continue
        if own:
            if tree and link.nullable and table.archetype in _TREES and _leads_up(link):
                found.append((0, link))
        elif link.columns[0] in charged:
            continue
        elif is_person(parent):
            owned = table.archetype in _OWNED and parent.archetype != "staff"
            if owned and (link.key in _OWNERS or (names_parent(site, table, link) and table.archetype in _HELD)):
                found.append((20, link))
        elif parent.archetype in homes and _is_home(site, table, link):
            found.append((1 if counted(site, table, link) else 2 + homes.index(parent.archetype), link))
    return [link for _, link in sorted(found, key=lambda pair: pair[0])]


def _tied(site: Site, table: Table, link: ForeignKey) -> bool:
    """True where others must have the same parent, or the parent freezes what it has: then hardly a row could be moved."""
    for rule in site.schema.rules:
        if isinstance(rule, Immutable) and rule.table == table.key and rule.holder == link.key:
            return True
        alike = isinstance(rule, SameParent) or (isinstance(rule, RoleReq) and rule.equal)
        if alike and (table.key, link.columns[0]) in rule.touches(site.schema):
            return True
    return False


def _is_home(site: Site, table: Table, link: ForeignKey) -> bool:
    """True where a reference says where a row belongs: to the place or branch so called, or to the whole it is a part of."""
    if not table.archetype:
        return True
    named = names_parent(site, table, link) and not set(link.key.split("_")) & _KINDS
    return named and (site.schema[link.table].archetype in _BRANCHES or link.key == owner(table).key)


def _leads_up(link: ForeignKey) -> bool:
    """True for a self reference that makes a tree of places: 'parent', 'parent_group'; not 'mother' or 'reply_to'."""
    return link.key in _ABOVE or "parent" in link.key.split("_")


def _is_deed(table: Table) -> bool:
    """True for a table that by its name records what somebody did, or that does nothing but link others."""
    return bool(set(singular(table.key).split("_")) & _DEEDS) or len(table.foreign_keys) >= len(table.columns) - 2


def move(site: Site, table: Table, link: ForeignKey) -> Tool:
    """One row goes to another parent."""
    parent, column, machine = site.schema[link.table], link.columns[0], table.lifecycle
    own = parent.key == table.key
    role = role_word(site, table, link)
    label = site.words.label(parent.key)
    draft = Draft(site, table, f"{link.key}.move")
    draft.row(table, [column, *([machine.column] if machine else [])])
    below = f"ID of the {label} that it goes under; left out: it goes to the top" if own else ""
    draft.row(
        parent, prefix="to_", name=f"{'new' if own else 'to'}_{role}", what=below or f"ID of the {label} that it goes to",
        required=not own,
    )  # fmt: skip
    if machine and open_states(table):
        draft.among([s for s in open_states(table) if s not in settled(site, table)], "moved")
    draft.refuse(
        f"SELECT 1 AS refused WHERE :was_{column} = :to_id",
        f"The {draft.label} {{id}} is {'under' if own else 'in'} the {label} {{to_id}} already.",
        f"Nothing is left to do, or choose another {label}.", code="CONFLICT", rule=f"there:{table.key}.{link.key}",
        told="it is there already", parameter="to_id", when="to_id",
    )  # fmt: skip
    if own:
        draft.refuse(
            f"SELECT 1 AS refused WHERE :was_{column} IS NULL AND :to_id IS NULL",
            f"The {draft.label} {{id}} is at the top already.", f"Give the {label} under which it shall go.", code="CONFLICT",
            rule=f"there:{table.key}.{link.key}", parameter="id",
        )  # fmt: skip
    draft.usable(parent, "to_", "take anything in")
    if own:
        _not_under_itself(draft, table, column)
    draft.update(table, {column: ":to_id", **_last_place(site, table, column)}, site.at_key(table))
    told = note(draft, ("moved",))
    which = f"under another {label}, or to the top where no other is given." if own else f"to another {label}."
    return draft.tool(
        Words(verb="transfer" if is_person(parent) else "move", tail="" if own else f"to_{role}"),
        f"{'Transfer' if is_person(parent) else 'Move'} {article(draft.label)} "
        f"{which}{' Totals of both follow.' if counted(site, table, link) else ''}{told}",
        site.row_reply(table),
    )  # fmt: skip


def _last_place(site: Site, table: Table, column: str) -> dict[str, str]:
    """Where rows are numbered within their parent: the next number in the new one."""
    for together in table.uniques:
        if column in together and len(together) == 2:
            other = next(k for k in together if k != column)
            if is_a(table[other].type, "position_index"):
                most = f"SELECT coalesce(max({site.col(table, other, 'm')}), 0) + 1 FROM {site.sql(table)} AS m"
                return {other: f"({most} WHERE {site.col(table, column, 'm')} IS :to_id)"}
    return {}


def _not_under_itself(draft: Draft, table: Table, column: str) -> None:
    """Refuse a new place that lies below the row (or is the row)."""
    # an absent parent means the top; the engine binds what is asked for only where it is given
    site, key = draft.site, table.primary_key[0]
    own, up = site.col(table, key, "t"), site.col(table, column, "t")
    draft.refuse(
        f"WITH RECURSIVE above(k) AS (SELECT :to_id UNION SELECT {up} FROM {site.sql(table)} AS t JOIN above ON "
        f"{own} = k) "
        f"SELECT 1 AS refused FROM above WHERE k = :id",
        f"The {draft.label} {{to_id}} lies under {{id}} or is the same.", f"Choose {article(draft.label)} that is not below it.",
        rule=f"circle:{table.key}.{column}", told="it would lie under itself", parameter="to_id", when="to_id",
    )  # fmt: skip


def move_all(site: Site, table: Table, link: ForeignKey) -> Tool:
    """All rows of one parent go to another."""
    return all_to_another(
        site, table, link, f"{link.key}.move_all", verb="move", template="move_{{noun}}_to_another_{role}",
        gives="that is emptied", takes="that they go to", able="take anything in",
    )  # fmt: skip
