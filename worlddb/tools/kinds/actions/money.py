"""Money: pay what is outstanding, refund, transfer between accounts, put in and take out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from msgspec.structs import replace

from worlddb.schema.ddl import bounds
from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.schema.rules import Balance, Cap, Scope, SumEq, SumLe, Where
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.kinds.actions import replies
from worlddb.tools.kinds.actions.assigning import differ
from worlddb.tools.kinds.actions.draft import Draft, Unfit, entering, listed, need, settled
from worlddb.tools.kinds.actions.sights import is_money, links, origins, single_key, worded
from worlddb.tools.model import Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article, state_word

_VOID = frozenset([
    "bounced", "cancelled", "charged_back", "declined", "expired", "failed", "refunded", "rejected", "returned", "reversed",
    "void", "voided",
])  # fmt: skip
_REFUNDED = frozenset(["charged_back", "refunded", "returned", "reversed"])
_PAID = frozenset(["paid", "paid_off", "settled"])


class Debt(NamedTuple):
    """A table whose rows are paid by rows of another."""

    table: Table
    total: str
    """Column of the table: what is to be paid in all."""
    payment: Table
    link: ForeignKey
    amount: str
    counts: Where
    """The payments that count, by their state."""


def propose(site: Site) -> Iterator[Tool]:
    """Actions about money."""
    for debt in debts(site):
        for make in (pay, refund):
            with suppress(Unfit):
                yield make(site, debt)
    for book in books(site):
        for build in (transfer, put_in, take_out):
            with suppress(Unfit):
                yield build(site, book)


# --- debts


def debts(site: Site) -> Iterator[Debt]:
    """What is paid by what: as a rule says, else a payment of something that has a total."""
    seen: set[str] = set()
    for rule in site.schema.rules:
        if isinstance(rule, SumLe | Cap) and isinstance(rule.at_most, str) and rule.at_most.count(".") == 1 and len(rule.per) == 1:
            table, (role, total) = site.schema[rule.table], rule.at_most.split(".")
            link = table.parents.get(role)
            money = rule.column in table and is_money(table[rule.column]) and not table[rule.column].formula
            if money and link is not None and (role,) == rule.per and len(link.columns) == 1 and table.archetype == "payment":
                parent = site.schema[link.table]
                if total in parent and single_key(parent) and single_key(table) and not any("." in p for p in rule.where):
                    seen.add(table.key)
                    yield Debt(parent, total, table, link, rule.column, rule.where)
    for table in site.schema.tables:
        if table.archetype == "payment" and table.key not in seen and single_key(table):
            yield from list(_plain_debts(site, table))[:1]


def _plain_debts(site: Site, table: Table) -> Iterator[Debt]:
    amount = next((c for c in table.columns if is_money(c) and c.key == "amount" and not c.nullable), None)
    for link in links(table):
        parent = site.schema[link.table]
        total = _total(site, parent)
        if amount is not None and not link.nullable and not link.unique and total is not None and single_key(parent):
            yield Debt(parent, total.key, table, link, amount.key, _valid(table))


def _total(site: Site, table: Table) -> Column | None:
    """The column that says what a row costs in all."""
    money = [c for c in table.columns if is_money(c)]
    named = [c for c in money if c.key in ("total", "total_amount", "amount_due", "amount", "total_charges")]
    derived = [c for c in money if c.key in site.derived(table) and c.key not in ("balance",)]
    return next(iter([*(c for c in named if c.key == "total"), *derived, *named]), None)


def _valid(table: Table) -> Where:
    machine = table.lifecycle
    return {machine.column: tuple(s for s in machine.states if state_word(s) not in _VOID)} if machine else {}


def _paid_so_far(site: Site, debt: Debt) -> str:
    condition = Scope(site.schema, debt.payment.key, "t", set()).condition(debt.counts)
    own = site.col(debt.payment, debt.amount)
    return (
        f"(SELECT coalesce(sum({own}), 0) FROM {site.sql(debt.payment)} AS t "
        f"WHERE {site.col(debt.payment, debt.link.columns[0])} = :id AND {condition})"
    )


def _route(payment: Table, counts: Where) -> tuple[str, ...]:
    """The states through which a new payment goes until it counts as paid; its initial one first."""
    machine = payment.lifecycle
    if machine is None:
        return ()
    counting = counts.get(machine.column)
    usual = [s for s in machine.happy if not isinstance(counting, tuple) or s in counting]
    good = [s for s in usual if state_word(s) not in _VOID]
    need(good and good[-1] in machine.routes)
    return machine.routes[good[-1]]


def pay(site: Site, debt: Debt) -> Tool:
    """Pay what is outstanding, or a part of it; what is paid in full moves on to its paid state."""
    table, payment, machine = debt.table, debt.payment, debt.table.lifecycle
    label = site.words.label(payment.key)
    draft = Draft(site, table, f"{payment.key}.pay")
    draft.row(table, [debt.total, *([machine.column] if machine else [])])
    _only_owed(draft, table)
    draft.bind(f"SELECT coalesce(:was_{debt.total}, 0) - {_paid_so_far(site, debt)}", "outstanding")
    draft.value(
        payment, debt.amount, "amount", "amount", "How much is paid, in minor units (1234 is 12.34); left out: all that is outstanding.",
        required=False,
    )  # fmt: skip
    draft.refuse(
        "SELECT 1 AS nothing WHERE :outstanding <= 0", f"Nothing is outstanding for the {draft.label} {{id}}.",
        "Choose one that is not paid yet.", rule=f"outstanding:{table.key}", parameter="id",
    )  # fmt: skip
    draft.refuse(
        "SELECT 1 AS much WHERE :amount > :outstanding", "{amount} is more than the {outstanding} that is outstanding.",
        "Pay {outstanding} at most.", rule=f"outstanding:{table.key}", parameter="amount", when="amount",
    )  # fmt: skip
    draft.bind("SELECT coalesce(:amount, :outstanding)", "paying")
    draft.params = [replies.optional(p) if p.key == "amount" else p for p in draft.params]
    route = _route(payment, debt.counts)
    given = {debt.link.columns[0]: ":id", debt.amount: ":paying"}
    kind = next((c.key for c in payment.columns if is_a(c.type, "payment_method")), "")
    draft.insert(payment, given, into="payment_id", offer=[kind] if kind and payment[kind].nullable else [])
    for state in route[1:]:
        draft.update(
            payment, entering(payment, state), site.at_key(payment, prefix="payment_"), quiet=state in settled(site, payment)
        )
    told = _settle(draft, table)
    reply = replies.beside(site.row_reply(table), label.replace(" ", "_"), replies.rows(site, payment, site.at_key(payment, prefix="payment_")))
    return draft.tool(
        Words(verb="pay"),
        f"Pay {article(draft.label)}: records {article(label)} of what is outstanding, or of a part of it.{told} Refused when nothing "
        f"is outstanding or the amount is more than that.",
        reply,
    )  # fmt: skip


def _only_owed(draft: Draft, table: Table) -> None:
    """What was never issued, or is void, is not paid."""
    machine = table.lifecycle
    if machine:
        draft.among([s for s in machine.states if state_word(s) not in (*_VOID, "draft")] or list(machine.states), "paid")


def _settle(draft: Draft, table: Table) -> str:
    """What is paid in full moves to the state that says so, where a move leads there; how that is told."""
    site, machine = draft.site, table.lifecycle
    state = next(iter(worded(table, _PAID)), "")
    before = origins(table, state) if state else ()
    if machine is None or not before:
        return ""
    draft.update(
        table, entering(table, state),
        f"{site.at_key(table)} AND :paying >= :outstanding AND {site.col(table, machine.column)} IN ({listed(before)})",
        quiet=state in settled(site, table),
    )  # fmt: skip
    return f" Paid in full, it becomes {state}."


def refund(site: Site, debt: Debt) -> Tool:
    """A payment goes back, and what it paid is open again, or refunded too."""
    payment, table, machine = debt.payment, debt.table, debt.payment.lifecycle
    need(machine is not None)
    assert machine is not None
    state = next(iter(worded(payment, _REFUNDED)), "")
    before = origins(payment, state)
    need(state and before)
    draft = Draft(site, payment, "refund")
    draft.row(payment, [debt.link.columns[0], debt.amount, machine.column])
    draft.among(before, "refunded")
    draft.enter(payment, state, site.at_key(payment))
    told = ""
    upper, back = table.lifecycle, next(iter(worded(table, _REFUNDED)), "")
    if upper and back and origins(table, back):
        key = site.col(table, table.primary_key[0])
        nothing = _paid_so_far(site, debt).replace("= :id", f"= :was_{debt.link.columns[0]}")
        draft.enter(
            table, back,
            f"{key} = :was_{debt.link.columns[0]} AND {site.col(table, upper.column)} IN ({listed(origins(table, back))}) "
            f"AND {nothing} = 0",
        )  # fmt: skip
        told = f" Where nothing else was paid, the {site.words.label(table.key)} becomes {back} too."
    elif upper and (unpaid := _unpaid(table)):
        key, paid = site.col(table, table.primary_key[0]), worded(table, _PAID)
        draft.enter(
            table, unpaid, f"{key} = :was_{debt.link.columns[0]} AND {site.col(table, upper.column)} IN ({listed(paid)})"
        )
        told = f" The {site.words.label(table.key)} is {unpaid} again."
    over = site.words.label(table.key)
    upward = replies.rows(site, table, f"{site.col(table, table.primary_key[0])} = :was_{debt.link.columns[0]}")
    return draft.tool(
        Words(verb="refund"),
        f"Refund {article(draft.label)}.{told} Answers with it and its {over}. Refused unless it is {' or '.join(before)}.",
        replies.beside(site.row_reply(payment), over.replace(" ", "_"), upward), destructive=True,
    )  # fmt: skip


def _unpaid(table: Table) -> str:
    """A state to which a paid row may go back."""
    machine = table.lifecycle
    paid = worded(table, _PAID)
    return next((b for p in paid for a, b in (machine.moves if machine else ()) if a == p and state_word(b) not in _VOID), "")


# --- accounts


class Book(NamedTuple):
    """Accounts whose balance is the sum of signed entries."""

    account: Table
    balance: str
    entry: Table
    link: ForeignKey
    amount: str


def books(site: Site) -> Iterator[Book]:
    """Every table that keeps accounts."""
    for rule in site.schema.rules:
        if not isinstance(rule, SumEq) or rule.having or rule.plus or rule.minus or rule.where or not rule.sum:
            continue
        account, entry = site.schema[rule.table], site.schema[rule.of]
        link = entry.parents.get(rule.via)
        if link is None or len(link.columns) != 1 or "." in rule.sum or not single_key(account) or not single_key(entry):
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
        f"SELECT 1 AS short WHERE :{prefix}was_{book.balance} < :amount",
        f"The {label} {{{bound}}} has only {{{prefix}was_{book.balance}}}; {{amount}} is asked for.",
        f"Take {{{prefix}was_{book.balance}}} at most, or fill up the {label} first.", rule=f"overdraw:{account.key}",
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
    draft.insert(book.entry, {book.link.columns[0]: f":{prefix}id", book.amount: amount}, into=into, ask=False, prefer=words)


_OUT = ("transfer", "transfer_out", "withdrawal", "debit", "payout", "spent", "redeemed", "adjustment", "correction")
_IN = ("transfer", "transfer_in", "deposit", "credit", "top_up", "topup", "earned", "adjustment", "correction")


def transfer(site: Site, book: Book) -> Tool:
    """An amount goes from one account to another."""
    account = book.account
    draft = Draft(site, account, f"{book.balance}.transfer_funds")
    noun = site.words.noun(account.key)
    same = [c.key for c in account.columns if is_a(c.type, "currency_code")]
    for prefix, word in (("from_", "pays"), ("to_", "gets it")):
        draft.row(account, [book.balance, *same], prefix=prefix, name=f"{prefix}{noun}", what=f"ID of the {draft.label} that {word}")
    _amount(draft, book)
    differ(draft, account)
    for prefix in ("from_", "to_"):
        draft.usable(account, prefix, "take part in a transfer")
    for currency in same:
        draft.refuse(
            f"SELECT 1 AS other WHERE :from_was_{currency} <> :to_was_{currency}",
            f"{{from_id}} is in {{from_was_{currency}}}, {{to_id}} in {{to_was_{currency}}}.", "Choose two of the same currency.",
            rule=f"currency:{account.key}", parameter="to_id",
        )  # fmt: skip
    _overdrawn(draft, book, "from_")
    _line(draft, book, "from_", "- :amount", _OUT, "from_line")
    _line(draft, book, "to_", ":amount", _IN, "to_line")
    key = site.col(account, account.primary_key[0])
    return draft.tool(
        Words(verb="transfer", template=f"transfer_{_what(book)}_between_{{noun}}", many=True),
        f"Transfer an amount from one {draft.label} to another: writes {article(site.words.label(book.entry.key))} on either side. "
        f"Refused when the first has less than that, or when one of them is not active.",
        replies.rows(site, account, f"{key} IN (:from_id, :to_id)"),
    )  # fmt: skip


def _what(book: Book) -> str:
    return "funds" if is_money(book.entry[book.amount]) else "amount"


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
        f"Add an amount to {article(draft.label)}: writes {article(site.words.label(book.entry.key))}, and the balance follows. "
        f"Refused when the {draft.label} is not active.",
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
        f"Take an amount out of {article(draft.label)}: writes {article(site.words.label(book.entry.key))}, and the balance follows. "
        f"Refused when it has less than that, or is not active.",
        site.row_reply(account),
    )  # fmt: skip
