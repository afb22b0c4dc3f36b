"""Accounts: transfer between two, put in, take out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from msgspec.structs import replace

from worlddb.schema.ddl import bounds
from worlddb.schema.model import ForeignKey, Table
from worlddb.schema.rules import Balance, SumEq
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.kinds.actions import replies
from worlddb.tools.kinds.actions.assigning import differ
from worlddb.tools.kinds.actions.draft import Draft
from worlddb.tools.kinds.actions.sights import is_money, links, single_key
from worlddb.tools.kinds.actions.texts import Unfit, need
from worlddb.tools.model import Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article

_UNITS = ("catalog_item", "plan", "taxonomy")
"""What an account may be kept in: a coin, a scheme."""


def propose(site: Site) -> Iterator[Tool]:
    """Actions on accounts."""
    for table in site.schema.tables:
        with suppress(Unfit):
            yield transfer_plain(site, table)
    for book in books(site):
        for make in (transfer, put_in, take_out):
            with suppress(Unfit):
                yield make(site, book)


class Book(NamedTuple):
    """Accounts whose balance is the sum of signed entries."""

    account: Table
    balance: str
    entry: Table
    link: ForeignKey | None
    amount: str


def books(site: Site) -> Iterator[Book]:
    """Every table that keeps accounts."""
    for rule in site.schema.rules:
        if not isinstance(rule, SumEq) or rule.having or rule.plus or rule.minus or rule.where or not rule.sum:
            continue
        account, entry = site.schema[rule.table], site.schema[rule.of]
        link = entry.parents.get(rule.via)
        if (
            link is None
            or len(link.columns) != 1
            or "." in rule.sum
            or not single_key(account)
            or not single_key(entry)
        ):
            continue
        low = bounds(entry[rule.sum], semantic_type(entry[rule.sum].type))[0]
        signed = (low is None or low < 0) and not entry[rule.sum].formula
        if signed and (isinstance(rule, Balance) or entry.archetype == "ledger") and entry.archetype != "assignment":
            yield Book(account, rule.column, entry, link, rule.sum)


def _overdrawn(draft: Draft, book: Book, prefix: str) -> None:
    """Refuse to take more than there is."""
    site, account = draft.site, book.account
    bound = site.key_binds(account, prefix)[0]
    label = site.words.label(account.key)
    draft.refuse(
        f"SELECT 1 AS refused WHERE coalesce(:{prefix}was_{book.balance}, 0) < :amount",
        f"The {label} {{{bound}}} has only {{{prefix}was_{book.balance}}}; {{amount}} is asked for.",
        f"Take {{{prefix}was_{book.balance}}} at most, or fill up the {label} first.", rule=f"overdraw:{account.key}",
        told=f"the {label} has less than that",
        parameter="amount",
    )  # fmt: skip


def _amount(draft: Draft, book: Book) -> None:
    """Ask for an amount above zero."""
    unit = "in minor units (1234 is 12.34)" if is_money(book.entry[book.amount]) else "a whole number"
    kind = semantic_type(book.entry[book.amount].type)
    high = bounds(book.entry[book.amount], kind)[1]
    draft.value(book.entry, book.amount, "amount", "amount", f"How much, {unit}; above 0.")
    schema = {**draft.params[-1].schema, "minimum": 1, **({"maximum": high} if high is not None else {})}
    draft.params[-1] = replace(draft.params[-1], schema=schema)


def _line(draft: Draft, book: Book, prefix: str, amount: str, words: tuple[str, ...], into: str) -> None:
    assert book.link is not None
    draft.insert(
        book.entry, {book.link.columns[0]: f":{prefix}id", book.amount: amount}, into=into, ask=False, prefer=words
    )


_OUT = ("transfer", "transfer_out", "withdrawal", "debit", "payout", "spent", "redeemed", "adjustment", "correction")
_IN = ("transfer", "transfer_in", "deposit", "credit", "top_up", "topup", "earned", "adjustment", "correction")


def transfer(site: Site, book: Book) -> Tool:
    """An amount goes from one account to another."""
    account = book.account
    draft = Draft(site, account, f"{book.balance}.transfer_funds")
    _ends(draft, book, [c.key for c in account.columns if is_a(c.type, "currency_code")])
    _line(draft, book, "from_", "- :amount", _OUT, "from_line")
    _line(draft, book, "to_", ":amount", _IN, "to_line")
    key = site.col(account, account.primary_key[0])
    return draft.tool(
        Words(verb="transfer", template=f"transfer_{_what(book)}_between_{{noun}}", many=True),
        f"Transfer an amount from one {draft.label} to another: writes {article(site.words.label(book.entry.key))} on "
        f"either side.",
        replies.rows(site, account, f"{key} IN (:from_id, :to_id)"),
    )  # fmt: skip


def _ends(draft: Draft, book: Book, same: list[str]) -> None:
    """Ask for two accounts that agree in some columns, and for an amount that the first has."""
    site, account = draft.site, book.account
    noun = site.words.noun(account.key)
    for prefix, word in (("from_", "pays"), ("to_", "gets it")):
        draft.row(
            account,
            [book.balance, *same],
            prefix=prefix,
            name=f"{prefix}{noun}",
            what=f"ID of the {draft.label} that {word}",
        )
    _amount(draft, book)
    differ(draft, account)
    for prefix in ("from_", "to_"):
        draft.usable(account, prefix, "take part in a transfer")
    for column in same:
        word = site.words.column_label(account.key, column)
        draft.refuse(
            f"SELECT 1 AS refused WHERE :from_was_{column} IS NOT :to_was_{column}",
            f"The {word} of {{from_id}} is {{from_was_{column}}}, that of {{to_id}} {{to_was_{column}}}.",
            f"Choose two of the same {word}.", rule=f"{column}:{account.key}",
            told=f"they differ in their {word}", parameter="to_id",
        )  # fmt: skip
    _overdrawn(draft, book, "from_")


def _what(book: Book) -> str:
    return "funds" if is_money(book.entry[book.amount]) else "amount"


def transfer_plain(site: Site, account: Table) -> Tool:
    """As `transfer`, between accounts that nothing is entered for."""
    need(account.archetype in ("account", "") and single_key(account))
    found = [c for c in account.columns if is_a(c.type, "account_balance") and c.key not in site.derived(account)]
    need(found and not any(b.account.key == account.key for b in books(site)))
    balance = found[0].key
    draft, book = Draft(site, account, f"{balance}.transfer_funds"), Book(account, balance, account, None, balance)
    same = [f.columns[0] for f in links(account) if site.schema[f.table].archetype in _UNITS and not f.unique][:1]
    same += [c.key for c in account.columns if is_a(c.type, "currency_code")]
    _ends(draft, book, same)
    key, own = site.col(account, account.primary_key[0]), site.col(account, balance)
    draft.update(account, {balance: f"coalesce({own}, 0) - :amount"}, f"{key} = :from_id")
    draft.update(account, {balance: f"coalesce({own}, 0) + :amount"}, f"{key} = :to_id")
    return draft.tool(
        Words(verb="transfer", template="transfer_funds_between_{noun}", many=True),
        f"Transfer an amount from one {draft.label} to another of the same kind.",
        replies.rows(site, account, f"{key} IN (:from_id, :to_id)"),
    )  # fmt: skip


def put_in(site: Site, book: Book) -> Tool:
    """An amount is added to an account."""
    account = book.account
    draft = Draft(site, account, f"{book.balance}.top_up")
    draft.row(account, [book.balance])
    _amount(draft, book)
    draft.usable(account, "", "be filled up")
    _line(draft, book, "", ":amount", ("deposit", "top_up", "topup", "credit", "earned", *_IN), "line")
    return draft.tool(
        Words(verb="top_up"),
        f"Add an amount to {article(draft.label)}: writes {article(site.words.label(book.entry.key))}, and the "
        f"balance follows.",
        site.row_reply(account),
    )  # fmt: skip


def take_out(site: Site, book: Book) -> Tool:
    """An amount is taken from an account."""
    account = book.account
    draft = Draft(site, account, f"{book.balance}.withdraw")
    draft.row(account, [book.balance])
    _amount(draft, book)
    draft.usable(account, "", "be drawn on")
    _overdrawn(draft, book, "")
    _line(draft, book, "", "- :amount", ("withdrawal", "debit", "payout", "spent", "redeemed", *_OUT), "line")
    return draft.tool(
        Words(verb="withdraw", template="withdraw_from_{noun}"),
        f"Take an amount out of {article(draft.label)}: writes {article(site.words.label(book.entry.key))}, and the "
        f"balance follows.",
        site.row_reply(account),
    )  # fmt: skip
