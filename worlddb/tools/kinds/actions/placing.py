"""Whole things at once: an order with its lines at the prices of the catalogue, a parent with its parts, one more line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.tools.kinds.actions import replies
from worlddb.tools.kinds.actions.copying import header_lines
from worlddb.tools.kinds.actions.draft import Draft
from worlddb.tools.kinds.actions.sights import admits, is_counted_out, is_person, links, open_states
from worlddb.tools.kinds.actions.texts import Unfit, need
from worlddb.tools.model import Param, Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article, state_word

_MOST_LINES = 30
_ORDERED = frozenset(["basket", "booking", "cart", "order", "purchase", "requisition", "reservation"])
"""Words of what people place."""
_DRAFTS = frozenset(["created", "draft", "new"])


def propose(site: Site) -> Iterator[Tool]:
    """Actions that make several rows at once."""
    for table in site.schema.tables:
        parts = header_lines(site, table)
        if parts is not None and is_counted_out(parts[0]):
            child, link = parts
            with suppress(Unfit):
                yield place(site, table, child, link)
            if (item := ordered(site, child, link)) is not None:
                with suppress(Unfit):
                    yield add_line(site, table, child, link, *item)


def ordered(site: Site, child: Table, link: ForeignKey) -> tuple[ForeignKey, Column] | None:
    """What a line orders, and the column of the line that copies its price."""
    for column in child.columns:
        role, _, rest = column.like.partition(".")
        other = child.parents.get(role) if rest and "." not in rest else None
        if other is not None and other.key != link.key and len(other.columns) == 1 and rest in site.schema[other.table]:
            return other, column
    return None


def place(site: Site, table: Table, child: Table, link: ForeignKey) -> Tool:
    """A new parent with its parts; prices come from the catalogue."""
    labels, item = site.words.labels(child.key), ordered(site, child, link)
    verb = _verb(site, table)
    need(verb and (table.lifecycle is None or admits(site, child, link, table.lifecycle.initial)))
    draft = Draft(site, table, f"{child.key}.place")
    given: dict[str, str] = {}
    offer = [
        f.columns[0] for f in links(table) if f.nullable and f.table != table.key and is_person(site.schema[f.table])
    ][:1]
    draft.insert(table, given, into="id", offer=offer)
    inner = draft.inside()
    fields = draft.insert(child, {link.columns[0]: ":id"}, into="item_line", key="", offer=_offered(child))
    draft.outside()
    need(fields)
    schema = {"type": "array", "minItems": 1, "maxItems": _MOST_LINES, "description": f"The {labels}, one object each."}
    draft.ask(
        Param(
            key="lines",
            name=site.words.nouns(child.key),
            schema=schema,
            required=True,
            role="items",
            fields=tuple(fields),
        )
    )
    draft.each("lines", inner)
    price = f" The price of each is taken from its {site.words.label(item[0].table)}." if item else ""
    return draft.tool(
        Words(verb=verb, template=f"{verb}_{{noun}}_with_{site.words.nouns(child.key)}"),
        f"Make a new {draft.label} together with its {labels}, all or nothing.{price}",
        replies.with_children(site, table, child, link),
    )  # fmt: skip


def _verb(site: Site, table: Table) -> str:
    """What people do who make a header with its lines; '' where that is also a move of its lifecycle."""
    machine = table.lifecycle
    if site.words.noun(table.key).split("_")[-1] in _ORDERED:
        verb = "place"
    else:
        verb = "draft" if machine and state_word(machine.initial) in _DRAFTS else "prepare"
    moves = {v.imperative for v in site.words.moves(table.key).values()}
    return verb if table.archetype in ("header", "") and verb not in moves else ""


def _offered(child: Table) -> list[str]:
    """Columns of a line that may be given though they may be empty: how many, and what of."""
    return [c.key for c in child.columns if c.nullable and (c.key == "quantity" or c.like)][:2]


def add_line(site: Site, table: Table, child: Table, link: ForeignKey, item: ForeignKey, price: Column) -> Tool:
    """One more line, at the price of the catalogue."""
    machine, thing = table.lifecycle, site.schema[item.table]
    draft = Draft(site, table, f"{child.key}.add")
    draft.row(table, [machine.column] if machine else [])
    draft.row(thing, prefix="what_", name=site.words.field(child.key, item.columns[0]).removesuffix("_id"),
              what=f"ID of the {site.words.label(thing.key)} to add")  # fmt: skip
    if machine and open_states(table):
        draft.among([s for s in open_states(table) if admits(site, child, link, s)], "added to")
    draft.usable(thing, "what_", "be added")
    draft.insert(child, {link.columns[0]: ":id", item.columns[0]: ":what_id"}, into="line_id", offer=["quantity"])
    label = site.words.label(thing.key)
    return draft.tool(
        Words(verb="add", template=f"add_{site.words.noun(thing.key)}_to_{{noun}}"),
        f"Add {article(label)} to {article(draft.label)} at its present price; totals follow. Answers with the "
        f"{draft.label} and its {site.words.labels(child.key)}.",
        replies.with_children(site, table, child, link),
    )  # fmt: skip
