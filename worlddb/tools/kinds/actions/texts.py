"""SQL that actions have in common: lists, moments, states, what is out of use, formulas."""

from __future__ import annotations

from collections.abc import Iterable

from worlddb.schema.ddl import formula_tokens
from worlddb.schema.model import Column, Table
from worlddb.schema.rules import Immutable, literal, quote
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.site import Site
from worlddb.tools.words import state_word


class Unfit(Exception):
    """A pattern that this schema cannot carry."""


def need(fits: object) -> None:
    """Raises Unfit where something that a pattern needs is not there."""
    if not fits:
        raise Unfit


def listed(values: Iterable[str | int]) -> str:
    """Values as the inside of an SQL list."""
    return ", ".join(literal(v) for v in values)


def braces(text: str) -> str:
    """Text for a str.format template."""
    return text.replace("{", "{{").replace("}", "}}")


def moment(column: Column) -> str:
    """The present, as a column stores it."""
    return ":today" if semantic_type(column.type).temporal == "date" else ":now"


def entering(table: Table, state: str) -> dict[str, str]:
    """What a row that enters a state gets: the state and its stamp."""
    machine = table.lifecycle
    need(machine is not None and state in machine.states)
    assert machine is not None
    stamp = machine.stamps.get(state, "")
    return {machine.column: literal(state), **({stamp: moment(table[stamp])} if stamp else {})}


def settled(site: Site, table: Table) -> frozenset[str]:
    """States in which a row is frozen: its time of change stays as it is when it enters one from another of them."""
    rules = [r for r in site.schema.rules if isinstance(r, Immutable) and r.table == table.key and not r.holder]
    return frozenset(str(s) for r in rules for s in r.states)


def unusable(site: Site, table: Table, alias: str = "t") -> str:
    """The condition of rows that nothing new may be done with; '' where the table has no such."""
    found = []
    for column in table.columns:
        sql = site.col(table, column.key, alias)
        if is_a(column.type, "is_active") or column.key == "is_active":
            found.append(f"{sql} = 0")
        elif is_a(column.type, "is_deleted") or column.key in ("is_deleted", "is_archived"):
            found.append(f"{sql} = 1")
        elif is_a(column.type, "deleted_at"):
            found.append(f"{sql} IS NOT NULL")
        elif column.key in ("left_on", "discontinued_at"):
            found.append(f"{sql} <= {moment(column)}")
    machine = table.lifecycle
    gone = [s for s in machine.states if state_word(s) in _GONE] if machine else []
    if machine and gone:
        found.append(f"{site.col(table, machine.column, alias)} IN ({listed(gone)})")
    return " OR ".join(found)


_GONE = frozenset([
    "archived", "banned", "blocked", "cancelled", "closed", "deceased", "deleted", "dissolved", "ended", "expired", "faulty",
    "frozen", "inactive", "left", "lost", "out_of_service", "rejected", "retired", "scrapped", "sold", "suspended",
    "terminated", "trashed", "void", "voided", "withdrawn", "written_off",
])  # fmt: skip


def with_formulas(table: Table, values: dict[str, str]) -> dict[str, str]:
    """The values and the formulas that read them; operands that are not among the values are the row's own."""
    found = dict(values)
    for column in table.columns:
        if column.formula and found.keys() & set(tokens := formula_tokens(column.formula)):
            terms = (f"({found[t]})" if t in found else quote(table[t].name) if t[0].isalpha() else t for t in tokens)
            found[column.key] = " ".join(terms)
    return found
