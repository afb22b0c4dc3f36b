"""What actions look for in a schema: who works there, what holds what, what is finished, where money and stock are."""

from __future__ import annotations

from collections.abc import Iterator

from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.schema.rules import AnyRule, Immutable, StateReq
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.site import Site
from worlddb.tools.words import state_word

PEOPLE = ("party", "staff")
HAPPENINGS = ("event_log", "measurement", "ledger", "movement", "review", "result", "payment", "settings")
"""Archetypes of what happened: nobody works on it, and it stays where it is."""

SUBJECTS = frozenset([
    "applicant", "author", "creator", "employee", "holder", "member", "prescriber", "requester", "signer", "staff_member", "user",
])  # fmt: skip
"""Roles of people whom a row is about, or who wrote it: nobody takes that over."""
LINKING = ("assignment", "junction", "membership")

_DONE = frozenset([
    "answered", "archived", "cancelled", "checked_out", "closed", "completed", "declined", "delivered", "denied", "done",
    "ended", "expired", "failed", "finished", "lost", "merged", "no_show", "paid", "refunded", "rejected", "released", "resolved",
    "returned", "settled", "void", "withdrawn",
])  # fmt: skip


def single_key(table: Table) -> bool:
    """True where one column is the key."""
    return len(table.primary_key) == 1


def is_updated_at(column: Column) -> bool:
    """True for the time of a row's last change."""
    return is_a(column.type, "updated_at") or column.key == "updated_at"


def is_person(table: Table) -> bool:
    """True for people: by archetype, or by a name of a person and an address to reach them."""
    if table.archetype in PEOPLE:
        return True
    types = [c.type for c in table.columns]
    return not table.archetype and any(is_a(t, "person_name") for t in types) and any(is_a(t, "contact") for t in types)


def open_states(table: Table) -> tuple[str, ...]:
    """States in which there is still something to do; empty without a lifecycle."""
    machine = table.lifecycle
    if machine is None:
        return ()
    return tuple(s for s in machine.states if machine.exits(s) and state_word(s) not in _DONE)


def done_states(table: Table) -> tuple[str, ...]:
    """States of what is over."""
    machine = table.lifecycle
    return tuple(s for s in machine.states if s not in open_states(table)) if machine else ()


def origins(table: Table, state: str) -> tuple[str, ...]:
    """The states from which one move leads into a state."""
    machine = table.lifecycle
    return tuple(a for a, b in machine.moves if b == state) if machine else ()


def worded(table: Table, words: frozenset[str] | set[str]) -> tuple[str, ...]:
    """The states that are called one of these words."""
    machine = table.lifecycle
    return tuple(s for s in machine.states if state_word(s) in words) if machine else ()


def links(table: Table) -> Iterator[ForeignKey]:
    """References by one column."""
    return (f for f in table.foreign_keys if len(f.columns) == 1)


def holders(site: Site, table: Table) -> Iterator[tuple[Table, ForeignKey]]:
    """The tables that refer to a table by one column, itself aside."""
    return ((t, f) for t, f in site.schema.children[table.key] if len(f.columns) == 1 and t.key != table.key)


def admits(site: Site, child: Table, link: ForeignKey, state: str) -> bool:
    """True where rows may be written below a parent in that state: it neither freezes them nor forbids them."""
    for rule in site.schema.rules:
        if rule.table == child.key and not _spares_new_rows(rule, child):
            if isinstance(rule, Immutable) and rule.holder == link.key and state in rule.states:
                return False
            if isinstance(rule, StateReq) and rule.of == link.key and state not in rule.among:
                return False
    return True


def _spares_new_rows(rule: AnyRule, table: Table) -> bool:
    """True where a rule speaks of rows in later states only."""
    machine = table.lifecycle
    states = rule.where.get(machine.column) if machine else None
    return bool(machine and isinstance(states, tuple) and machine.initial not in states and isinstance(rule, StateReq))


def role_word(site: Site, table: Table, link: ForeignKey) -> str:
    """What a reference is called in names: its role, or the parent's noun where the role is no noun ('approved_by')."""
    word = site.words.field(table.key, link.columns[0]).removesuffix("_id")
    return site.words.noun(link.table) if word.endswith(("_by", "_to", "_for", "_with", "_of", "_from")) else word


def names_parent(site: Site, table: Table, link: ForeignKey) -> bool:
    """True where a reference is called as what it refers to: it says where a row belongs, not what part that plays in it."""
    word = site.words.field(table.key, link.columns[0]).removesuffix("_id")
    return link.key == link.table or word == site.words.noun(link.table)


def is_counted_out(table: Table) -> bool:
    """True for lines of so many, so much or at such a price."""
    return any(
        c.key in ("quantity", "amount", "units")
        or is_money(c)
        or any(is_a(c.type, t) for t in ("quantity", "stock_level"))
        for c in table.columns
    )


def is_money(column: Column) -> bool:
    """True for amounts of money."""
    return is_a(column.type, "money")


def temporal(column: Column) -> str:
    """'date', 'datetime' or ''."""
    kind = semantic_type(column.type).temporal
    return kind if kind in ("date", "datetime") else ""


def text_column(table: Table) -> Column | None:
    """The column of a message or log line that holds what people write."""
    for wanted in ("comment_body", "note", "review_text", "description"):
        for column in table.columns:
            if is_a(column.type, wanted) and not column.values:
                return column
    return None
