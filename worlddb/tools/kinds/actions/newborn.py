"""What a new row gets: what the system knows, what is copied, what an action puts in unasked, what must be asked for."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from worlddb.schema.ddl import bounds, formula_tokens
from worlddb.schema.model import Column, Table
from worlddb.schema.rules import Excl, Requires, literal
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.kinds.actions.texts import moment, need
from worlddb.tools.model import Guard
from worlddb.tools.site import Site
from worlddb.tools.words import state_word


def known_value(site: Site, table: Table, column: Column, values: dict[str, str]) -> str | None:
    """The SQL of what the system itself puts into a column of a new row; None for what must be asked for."""
    machine = table.lifecycle
    if machine and column.key == machine.column:
        return literal(machine.initial)
    if any(is_a(column.type, t) for t in ("created_at", "updated_at")) or column.key == "created_at":
        return moment(column)
    if column.like and (copied := _copied(site, table, column.like, values)):
        return copied
    if table.polymorphic and column.key in (table.polymorphic.type_column, table.polymorphic.id_column):
        need(column.nullable)
    if column.nullable:
        return None if _computed_with(table, column) else "NULL"
    if is_a(column.type, "flag"):
        return "1" if is_a(column.type, "is_active") else "0"
    if site.system(table, column):
        return "0" if semantic_type(column.type).sql != "TEXT" else moment(column)
    if is_a(column.type, "position_index"):
        return f"(SELECT coalesce(max({site.col(table, column.key, 'm')}), 0) + 1 FROM {site.sql(table)} AS m)"
    return None


def _computed_with(table: Table, column: Column) -> bool:
    """True for an operand of a formula that may not be empty: then neither may the operand."""
    return any(c.formula and not c.nullable and column.key in formula_tokens(c.formula) for c in table.columns)


def may_lack(site: Site, table: Table, column: Column, known: str) -> bool:
    """True where a value that must be there is copied from a place where there may be none: it may be given then."""
    role, _, rest = column.like.partition(".")
    if not known.startswith("(SELECT") or not rest or role not in table.parents:
        return False
    source = site.schema[table.parents[role].table][rest]
    return source.nullable and (not column.nullable or _computed_with(table, column))


def _copied(site: Site, table: Table, path: str, values: dict[str, str]) -> str:
    """The value at a path such as product.price, from the references that the new row gets; '' where they are unknown."""
    role, _, rest = path.partition(".")
    if role not in table.parents or len(table.parents[role].columns) != 1 or "." in rest:
        return ""
    reference = table.parents[role]
    parent = site.schema[reference.table]
    start = values.get(reference.columns[0], "NULL")
    if start == "NULL" or rest not in parent:
        return ""
    key = site.col(parent, reference.ref[0], "p")
    return f"(SELECT {site.col(parent, rest, 'p')} FROM {site.sql(parent)} AS p WHERE {key} = {start})"


def sensible_value(site: Site, table: Table, column: Column, prefer: Sequence[str]) -> str | None:
    """A value for a column that nobody is asked about."""
    kind = semantic_type(column.type)
    if column.values:
        words = {state_word(v): v for v in column.values}
        return literal(next((words[p] for p in prefer if p in words), column.values[0]))
    if column.key in site.references(table):
        return None
    if kind.temporal in ("date", "datetime"):
        return moment(column)
    if kind.sql != "TEXT":
        low = bounds(column, kind)[0]
        return str(max(0, int(low or 0)))
    return None


def there(site: Site, table: Table, column: Column, bound: str, home: str) -> Guard:
    """Refuses a reference to a row that is not there."""
    guard = site.parent_guard(table, site.references(table)[home], bound)
    return Guard(query=guard.query, fault=replace(guard.fault, parameter=bound.removeprefix("item_")), when=bound)


def born_broken(site: Site, table: Table, given: dict[str, str]) -> bool:
    """True where a rule asks for more than a row can have at its birth: children, or one of several references."""
    for rule in site.schema.rules:
        if rule.table != table.key:
            continue
        machine = table.lifecycle
        states = rule.where.get(machine.column) if machine else None
        if isinstance(states, tuple) and machine and machine.initial not in states:
            continue
        if isinstance(rule, Requires) and "self" in rule.match.values():
            return True
        if isinstance(rule, Excl) and rule.one_of:
            columns = {table.parents[p].columns[0] if p in table.parents else p for p in rule.one_of}
            if len(columns & set(given)) != 1:
                return True
    return False
