"""Stock: transfer between places, receive, issue, count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from msgspec.structs import replace

from worlddb.schema.ddl import bounds
from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.schema.rules import SumEq
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.kinds.actions import replies
from worlddb.tools.kinds.actions.draft import Draft
from worlddb.tools.kinds.actions.sights import holders, links, single_key
from worlddb.tools.kinds.actions.texts import Unfit, need
from worlddb.tools.model import Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article

_WHAT = ("catalog_item", "plan", "document", "taxonomy")
_WHERE = ("place", "resource", "org", "account")


class Stock(NamedTuple):
    """A table of how much of what lies where."""

    table: Table
    quantity: str
    what: ForeignKey | None
    where: ForeignKey | None
    moves: tuple[Table, ForeignKey, str] | None
    """The table of signed movements from which the laws derive the quantity."""


def propose(site: Site) -> Iterator[Tool]:
    """Actions on stock."""
    for stock in stocks(site):
        with suppress(Unfit):
            yield transfer(site, stock)
        for gain in (True, False):
            with suppress(Unfit):
                yield change(site, stock, gain=gain)


def stocks(site: Site) -> Iterator[Stock]:
    """Every table that says how much of one thing lies at one place."""
    for table in site.schema.tables:
        quantity = next((c for c in table.columns if _is_quantity(c)), None)
        pair = [f for f in links(table) if single_key(site.schema[f.table]) and f.table != table.key]
        if quantity is None or (table.archetype != "stock" and (table.archetype or len(pair) < 2)):
            continue
        what = next((f for f in pair if site.schema[f.table].archetype in _WHAT), None)
        where = next((f for f in pair if f is not what and site.schema[f.table].archetype in _WHERE), None)
        if len(pair) > 1 and (what is None or where is None):
            what, where = pair[0], pair[1]
        moves = None
        if quantity.key in site.derived(table):
            moves = _movements(site, table, quantity)
            if moves is None:
                continue
        yield Stock(table, quantity.key, what, where, moves)


def _is_quantity(column: Column) -> bool:
    return column.key == "quantity" or is_a(column.type, "stock_level")


def _movements(site: Site, table: Table, quantity: Column) -> tuple[Table, ForeignKey, str] | None:
    for rule in site.schema.rules:
        if (
            isinstance(rule, SumEq)
            and rule.table == table.key
            and rule.column == quantity.key
            and not rule.plus + rule.minus
        ):
            entry = site.schema[rule.of]
            link = entry.parents.get(rule.via)
            low = bounds(entry[rule.sum], semantic_type(entry[rule.sum].type))[0] if rule.sum in entry else 0
            if link is not None and not rule.having and (low is None or low < 0):
                return entry, link, rule.sum
    return None


def _how_much(draft: Draft, stock: Stock) -> None:
    draft.value(stock.table, stock.quantity, "amount", "quantity", "How many; above 0.")
    schema = {k: v for k, v in draft.params[-1].schema.items() if k != "maximum"} | {"minimum": 1}
    draft.params[-1] = replace(draft.params[-1], schema=schema)


def _enough(draft: Draft, have: str, parameter: str = "amount") -> None:
    draft.refuse(
        f"SELECT 1 AS refused WHERE coalesce(:{have}, 0) < :amount", f"There are only {{{have}}}; {{amount}} are asked for.",
        f"Ask for {{{have}}} at most, or receive more first.", rule=f"stock:{draft.table.key}",
        told="there is less than that", parameter=parameter,
    )  # fmt: skip


def transfer(site: Site, stock: Stock) -> Tool:
    """Some of one thing goes from one place to another, where there may be none yet."""
    need(stock.what and stock.where)
    assert stock.what is not None
    assert stock.where is not None
    table, what, where = stock.table, site.schema[stock.what.table], site.schema[stock.where.table]
    item, spot = stock.what.columns[0], stock.where.columns[0]
    if stock.moves is not None or (single_key(table) and {item, spot} not in [set(u) for u in table.uniques]):
        return _transfer_rows(site, stock, stock.what)
    need(set(table.primary_key) == {item, spot} or {item, spot} in [set(u) for u in table.uniques])
    need(what.key != where.key)
    thing, place = site.words.label(what.key), site.words.label(where.key)
    draft = Draft(site, table, "transfer_stock")
    draft.row(what, prefix="item_", name=site.words.noun(what.key), what=f"ID of the {thing} that is moved")
    for end in ("from", "to"):
        draft.row(
            where, prefix=f"{end}_", name=f"{end}_{site.words.noun(where.key)}", what=f"ID of the {place} it goes {end}"
        )
    _how_much(draft, stock)
    draft.refuse(
        "SELECT 1 AS refused WHERE :from_id = :to_id", f"Both are the {place} {{to_id}}.", "Give two different ones.",
        code="INVALID_ARGUMENT", rule=f"same:{where.key}", told="both are the same", parameter="to_id",
    )  # fmt: skip
    own, quantity = f"{site.col(table, item)} = :item_id AND {site.col(table, spot)}", site.col(table, stock.quantity)
    draft.bind(f"SELECT coalesce((SELECT {quantity} FROM {site.sql(table)} AS t WHERE {own} = :from_id), 0)", "have")
    _enough(draft, "have")
    draft.usable(where, "to_", "take anything in")
    draft.update(table, {stock.quantity: f"coalesce({quantity}, 0) - :amount"}, f"{own} = :from_id")
    # a place that had none gets a row of its own first, so that one update serves both
    there = f"EXISTS (SELECT 1 FROM {site.sql(table)} AS t WHERE {own} = :to_id)"
    given = {item: ":item_id", spot: ":to_id", stock.quantity: "0"}
    draft.insert(table, given, ask=False, into="row_id", unless=there)
    draft.update(table, {stock.quantity: f"coalesce({quantity}, 0) + :amount"}, f"{own} = :to_id")
    return draft.tool(
        Words(verb="transfer", template=f"transfer_{site.words.noun(what.key)}_between_{site.words.nouns(where.key)}"),
        f"Move some of {article(thing)} from one {place} to another.",
        replies.rows(site, table, f"{own} IN (:from_id, :to_id)"),
    )  # fmt: skip


def _transfer_rows(site: Site, stock: Stock, what: ForeignKey) -> Tool:
    """From one stock record to another of the same thing."""
    table, item = stock.table, what.columns[0]
    need(single_key(table))
    draft = Draft(site, table, "transfer_stock")
    noun = site.words.noun(table.key)
    for end in ("from", "to"):
        draft.row(
            table,
            [item, stock.quantity],
            prefix=f"{end}_",
            name=f"{end}_{noun}",
            what=f"ID of the {draft.label} it goes {end}",
        )
    _how_much(draft, stock)
    draft.refuse(
        "SELECT 1 AS refused WHERE :from_id = :to_id", f"Both are the {draft.label} {{to_id}}.", "Give two different ones.",
        code="INVALID_ARGUMENT", rule=f"same:{table.key}", told="both are the same", parameter="to_id",
    )  # fmt: skip
    thing = site.words.label(what.table)
    draft.refuse(
        f"SELECT 1 AS refused WHERE :from_was_{item} IS NOT :to_was_{item}",
        f"{{from_id}} holds the {thing} {{from_was_{item}}}, {{to_id}} the {thing} {{to_was_{item}}}.",
        f"Choose two of the same {thing}.", rule=f"kind:{table.key}",
        told=f"they hold another {thing}", parameter="to_id",
    )  # fmt: skip
    _enough(draft, f"from_was_{stock.quantity}")
    _set(draft, stock, "from_", "-")
    _set(draft, stock, "to_", "+")
    key = site.col(table, table.primary_key[0])
    return draft.tool(
        Words(verb="transfer", many=True, template="transfer_quantity_between_{noun}"),
        f"Move a quantity from one {draft.label} to another of the same {thing}.",
        replies.rows(site, table, f"{key} IN (:from_id, :to_id)"),
    )  # fmt: skip


def _set(draft: Draft, stock: Stock, prefix: str, sign: str) -> None:
    """Change a quantity, by a movement where the laws derive it from those."""
    site, table = draft.site, stock.table
    if stock.moves is None:
        sets = {stock.quantity: f"coalesce({site.col(table, stock.quantity)}, 0) {sign} :amount"}
        draft.update(table, sets, site.at_key(table, prefix=prefix))
        return
    entry, link, amount = stock.moves
    given = {link.columns[0]: f":{prefix}id", amount: f"{sign} :amount"}
    draft.insert(entry, given, ask=False, into=f"{prefix}move", prefer=("transfer", "adjustment"))


def change(site: Site, stock: Stock, *, gain: bool) -> Tool:
    """More or less of one thing at one place."""
    table = stock.table
    verb = "receive" if gain else "issue"
    draft = Draft(site, table, verb)
    draft.row(table, [stock.quantity])
    _how_much(draft, stock)
    if not gain:
        _enough(draft, f"was_{stock.quantity}")
    prefix = ""
    if stock.moves is None:
        own = site.col(table, stock.quantity)
        draft.update(table, {stock.quantity: f"coalesce({own}, 0) {'+' if gain else '-'} :amount"}, site.at_key(table))
        _logged(draft, stock, gain=gain)
    else:
        _set(draft, stock, prefix, "+" if gain else "-")
    thing = site.words.label(stock.what.table) if stock.what else draft.label
    return draft.tool(
        Words(verb=verb), f"{'Book in' if gain else 'Take out'} a quantity of {article(thing)}.",
        site.row_reply(table),
    )  # fmt: skip


def _logged(draft: Draft, stock: Stock, *, gain: bool) -> None:
    """Write a movement beside the change, where there is a table of such."""
    site = draft.site
    if not single_key(stock.table):
        return
    for child, link in holders(site, stock.table):
        quantity = next((c for c in child.columns if _is_quantity(c)), None)
        if child.archetype == "movement" and quantity is not None:
            draft.insert(child, {link.columns[0]: ":id", quantity.key: ":amount"}, ask=False, into="move",
                         prefer=("inbound",) if gain else ("outbound",))  # fmt: skip
            return
