"""Debts: pay what is outstanding, refund a payment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.schema.rules import Cap, Scope, SumLe, Where
from worlddb.semantics.types import is_a
from worlddb.tools.kinds.actions import replies
from worlddb.tools.kinds.actions.draft import Draft
from worlddb.tools.kinds.actions.sights import is_money, links, origins, single_key, worded
from worlddb.tools.kinds.actions.texts import Unfit, entering, listed, need, settled
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


# --- debts


def debts(site: Site) -> Iterator[Debt]:
    """What is paid by what: as a rule says, else a payment of something that has a total."""
    seen: set[str] = set()
    for rule in site.schema.rules:
        if (
            isinstance(rule, SumLe | Cap)
            and isinstance(rule.at_most, str)
            and rule.at_most.count(".") == 1
            and len(rule.per) == 1
        ):
            table, (role, total) = site.schema[rule.table], rule.at_most.split(".")
            link = table.parents.get(role)
            money = rule.column in table and is_money(table[rule.column]) and not table[rule.column].formula
            if (
                money
                and link is not None
                and (role,) == rule.per
                and len(link.columns) == 1
                and table.archetype == "payment"
            ):
                parent = site.schema[link.table]
                if (
                    total in parent
                    and single_key(parent)
                    and single_key(table)
                    and not any("." in p for p in rule.where)
                ):
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
        payment, debt.amount, "amount", "amount",
        "How much is paid, in minor units (1234 is 12.34); left out: all that is outstanding.", required=False,
    )  # fmt: skip
    draft.refuse(
        "SELECT 1 AS refused WHERE :outstanding <= 0", f"Nothing is outstanding for the {draft.label} {{id}}.",
        "Choose one that is not paid yet.", rule=f"outstanding:{table.key}",
        told="nothing is outstanding", parameter="id",
    )  # fmt: skip
    draft.refuse(
        "SELECT 1 AS refused WHERE :amount > :outstanding", "{amount} is more than the {outstanding} that is outstanding.",
        "Pay {outstanding} at most.", rule=f"outstanding:{table.key}",
        told="the amount is more than that", parameter="amount", when="amount",
    )  # fmt: skip
    draft.bind("SELECT coalesce(:amount, :outstanding)", "paying")
    draft.params = [replies.optional(p) if p.key == "amount" else p for p in draft.params]
    route = _route(payment, debt.counts)
    given = {debt.link.columns[0]: ":id", debt.amount: ":paying"}
    kind = next((c.key for c in payment.columns if is_a(c.type, "payment_method")), "")
    draft.insert(payment, given, into="payment_id", offer=[kind] if kind and payment[kind].nullable else [])
    for state in route[1:]:
        draft.update(
            payment,
            entering(payment, state),
            site.at_key(payment, prefix="payment_"),
            quiet=state in settled(site, payment),
        )
    told = _settle(draft, table)
    reply = replies.beside(
        site.row_reply(table),
        label.replace(" ", "_"),
        replies.rows(site, payment, site.at_key(payment, prefix="payment_")),
    )
    return draft.tool(
        Words(verb="pay"),
        f"Pay {article(draft.label)}: records {article(label)} of what is outstanding, or of a part of it.{told}",
        reply,
    )  # fmt: skip


def _only_owed(draft: Draft, table: Table) -> None:
    """What was never issued, or is void, is not paid."""
    machine = table.lifecycle
    if machine:
        draft.among(
            [s for s in machine.states if state_word(s) not in (*_VOID, "draft")] or list(machine.states), "paid"
        )


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
            f"{key} = :was_{debt.link.columns[0]} AND {site.col(table, upper.column)} IN "
            f"({listed(origins(table, back))}) AND {nothing} = 0",
        )  # fmt: skip
        told = f" Where nothing else was paid, the {site.words.label(table.key)} becomes {back} too."
    elif upper and (unpaid := _unpaid(table)):
        key, paid = site.col(table, table.primary_key[0]), worded(table, _PAID)
        draft.enter(
            table,
            unpaid,
            f"{key} = :was_{debt.link.columns[0]} AND {site.col(table, upper.column)} IN ({listed(paid)})",
        )
        told = f" The {site.words.label(table.key)} is {unpaid} again."
    over = site.words.label(table.key)
    upward = replies.rows(site, table, f"{site.col(table, table.primary_key[0])} = :was_{debt.link.columns[0]}")
    return draft.tool(
        Words(verb="refund"),
        f"Refund {article(draft.label)}.{told} Answers with it and its {over}.",
        replies.beside(site.row_reply(payment), over.replace(" ", "_"), upward), destructive=True,
    )  # fmt: skip


def _unpaid(table: Table) -> str:
    """A state to which a paid row may go back."""
    machine = table.lifecycle
    paid = worded(table, _PAID)
    return next(
        (b for p in paid for a, b in (machine.moves if machine else ()) if a == p and state_word(b) not in _VOID), ""
    )
