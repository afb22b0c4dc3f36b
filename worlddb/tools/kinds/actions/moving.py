"""Where things belong: move one to another parent, under another row of its own tree, or all of one parent to another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from worlddb.schema.model import ForeignKey, Table
from worlddb.schema.rules import NoOverlap, SumEq
from worlddb.semantics.types import is_a
from worlddb.tools.kinds.actions import replies
from worlddb.tools.kinds.actions.assigning import differ, duties, none_left, still_open
from worlddb.tools.kinds.actions.draft import Draft
from worlddb.tools.kinds.actions.sights import HAPPENINGS, is_person, links, open_states, role_word, single_key
from worlddb.tools.kinds.actions.texts import Unfit, need
from worlddb.tools.kinds.actions.traces import note
from worlddb.tools.model import Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article

_HOLDERS = ("taxonomy", "place", "resource", "org", "account", "document", "header", "case")
_OWNED = ("account", "catalog_item", "document", "place", "policy", "resource", "subscription", "")
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
    for link in links(table):
        parent, own = site.schema[link.table], link.table == table.key
        if link.unique or link.key in booked or link.columns[0] in table.primary_key or not single_key(parent):
            continue
        if own and tree and link.nullable and (table.archetype in _HOLDERS or not table.archetype):
            found.append((0, link))
        elif not own and counted(site, table, link):
            found.append((1, link))
        elif not own and table.archetype not in HAPPENINGS and link.columns[0] not in charged:
            if parent.archetype in _HOLDERS:
                found.append((2 + _HOLDERS.index(parent.archetype), link))
            elif is_person(parent) and parent.archetype != "staff" and table.archetype in _OWNED:
                found.append((20, link))
            elif not parent.archetype and not is_person(parent):
                found.append((30, link))
    return [link for _, link in sorted(found, key=lambda pair: pair[0])]


def move(site: Site, table: Table, link: ForeignKey) -> Tool:
    """One row goes to another parent."""
    parent, column, machine = site.schema[link.table], link.columns[0], table.lifecycle
    own = parent.key == table.key
    role = role_word(site, table, link)
    label = site.words.label(parent.key)
    draft = Draft(site, table, f"{link.key}.move")
    draft.row(table, [column, *([machine.column] if machine else [])])
    draft.row(
        parent,
        prefix="to_",
        name=f"to_{role}",
        what=f"ID of the {label} it goes {'under' if own else 'to'}",
        required=not own,
    )
    if machine and open_states(table):
        draft.among(open_states(table), "moved")
    draft.refuse(
        f"SELECT 1 AS refused WHERE :was_{column} IS :to_id", f"The {draft.label} {{id}} is there already ({{to_id}}).",
        f"Nothing is left to do, or choose another {label}.", code="CONFLICT", rule=f"there:{table.key}.{link.key}",
        told="it is there already",
        parameter="to_id", when="" if own else "to_id",
    )  # fmt: skip
    draft.usable(parent, "to_", "take anything in")
    if own:
        _not_under_itself(draft, table, column)
    draft.update(table, {column: ":to_id", **_last_place(site, table, column)}, site.at_key(table))
    told = note(draft, ("moved",))
    which = f"under another {label} of the tree, or to the top where none is given." if own else f"to another {label}."
    return draft.tool(
        Words(verb="transfer" if is_person(parent) else "move", tail=f"to_{role}" if not own else f"under_{role}"),
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
    parent, column = site.schema[link.table], link.columns[0]
    role, label, labels = role_word(site, table, link), site.words.label(link.table), site.words.labels(table.key)
    draft = Draft(site, table, f"{link.key}.move_all")
    draft.row(parent, prefix="from_", name=f"from_{role}", what=f"ID of the {label} that is emptied")
    draft.row(parent, prefix="to_", name=f"to_{role}", what=f"ID of the {label} that they go to")
    differ(draft, parent)
    draft.usable(parent, "to_", "take anything in")
    still = still_open(site, table)
    theirs = f"{site.col(table, column)} = :from_id AND {still}"
    none_left(draft, table, theirs, "from_id", "move")
    draft.update(table, {column: ":to_id"}, theirs, into="moved")
    return draft.tool(
        Words(verb="move", many=True, template=f"move_{{noun}}_to_another_{role}"),
        f"Move all {'open ' if table.lifecycle else ''}{labels} of one {label} to another.",
        replies.moved(site, table, column, still),
    )  # fmt: skip
