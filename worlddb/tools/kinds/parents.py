"""Guards of references: that the row a parameter names is there, and takes new things."""

from __future__ import annotations

from worlddb.schema.model import ForeignKey, Lifecycle, Table
from worlddb.schema.rules import StateReq, literal
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.kinds.rows import LOGS, says_gone
from worlddb.tools.model import Fault, Guard, Statement
from worlddb.tools.site import Site


def reference_guards(site: Site, table: Table, column: str, prefix: str = "", bind: str = "") -> list[Guard]:
    """That the row to which a parameter refers is there, and takes new things."""
    reference = site.references(table).get(column)
    if reference is None:
        return []
    name = bind or prefix + column
    usable = usable_guard(site, table, reference, name)
    return [site.parent_guard(table, reference, name), *([usable] if usable else [])]


def usable_guard(site: Site, table: Table, reference: ForeignKey, bind: str) -> Guard | None:
    """That a parent is not switched off, deleted or at a dead end; None where that cannot be."""
    parent = site.schema[reference.table]
    reasons = unusable(site, table, reference)
    if not reasons:
        return None
    label = site.words.label(parent.key)
    why = " ".join(f"WHEN {condition} THEN {words}" for condition, words in reasons)
    sql = (
        f"SELECT CASE {why} END AS why FROM {site.sql(parent)} AS p WHERE {site.col(parent, reference.ref[0], 'p')} = :{bind} "
        f"AND ({' OR '.join(c for c, _ in reasons)})"
    )
    fault = Fault(
        code="RULE_VIOLATION", message=f"The {label} {{{bind}}} {{why}}: it takes no {site.words.labels(table.key)}.",
        parameter=bind,
        rule=f"usable:{parent.key}", cure=f"Choose another {label}, or bring this one back first.",
    )  # fmt: skip
    return Guard(query=Statement(sql=sql), fault=fault, when=bind)


def unusable(site: Site, table: Table, reference: ForeignKey) -> list[tuple[str, str]]:
    """Conditions on a parent p under which it takes no new rows of a table, each with the SQL of its words."""
    parent, found = site.schema[reference.table], list[tuple[str, str]]()
    for column in parent.columns:
        sql = site.col(parent, column.key, "p")
        if column.type == "is_active" or column.key == "is_active":
            found.append((f"{sql} = 0", "'is not active'"))
        elif column.key in ("is_deleted", "is_archived") and is_a(column.type, "flag"):
            found.append((f"{sql} = 1", f"'has been {column.key[3:]}'"))
        elif column.key == "deleted_at" and says_gone(parent, column):
            found.append((f"{sql} IS NOT NULL", "'has been deleted'"))
    machine = parent.lifecycle
    if machine and not reference.nullable and (dead := _closed_to(site, table, reference, machine)):
        sql = site.col(parent, machine.column, "p")
        found.append((f"{sql} IN ({', '.join(map(literal, dead))})", f"'is ' || {sql}"))
    return found


def dead_ends(machine: Lifecycle) -> tuple[str, ...]:
    """States from which nothing leads on, save the end of the usual way."""
    return tuple(s for s in machine.states if not machine.exits(s) and s != machine.happy[-1])


def final(machine: Lifecycle) -> tuple[str, ...]:
    """States from which nothing leads on."""
    return tuple(s for s in machine.states if not machine.exits(s))


def _closed_to(site: Site, table: Table, reference: ForeignKey, machine: Lifecycle) -> tuple[str, ...]:
    """States of a parent in which it takes no new children: dead ends, unless a rule of the schema speaks for them."""
    if table.archetype in LOGS or table.archetype in ("review", "message", "document", "payment", "result"):
        return ()
    for rule in site.schema.rules:
        if isinstance(rule, StateReq) and rule.table == table.key and rule.of.split(".")[0] == reference.key:
            return ()
    return dead_ends(machine)


def target_guard(site: Site, table: Table, prefix: str) -> Guard:
    """That the row of any table, to which a pair of parameters refers, is there."""
    poly = table.polymorphic
    assert poly is not None
    kind, bind = f"{prefix}{poly.type_column}", f"{prefix}{poly.id_column}"
    values = table[poly.type_column].values or poly.tables
    cases = " ".join(
        f"WHEN {literal(value)} THEN EXISTS (SELECT 1 FROM {site.sql(site.schema[target])} AS p "
        f"WHERE {same_key(site, table, site.schema[target], f':{bind}')})"
        for value, target in zip(values, poly.tables, strict=True)
    )
    fault = Fault(
        code="NOT_FOUND", message=f"There is no {{{kind}}} with ID {{{bind}}}.", parameter=bind,
        cure="Look the record up by listing or searching records of that type.",
    )  # fmt: skip
    return Guard(query=Statement(sql=f"SELECT 1 AS gone WHERE NOT CASE :{kind} {cases} ELSE 0 END"), fault=fault)


def same_key(site: Site, table: Table, target: Table, value: str) -> str:
    """That a row p of a target has the key that the id column of a polymorphic table holds, in whatever type it holds it."""
    assert table.polymorphic is not None
    key = site.col(target, target.primary_key[0], "p")
    held, wanted = (
        semantic_type(c.type).sql for c in (table[table.polymorphic.id_column], target[target.primary_key[0]])
    )
    if held == wanted:
        return f"{key} = {value}"
    return f"{key} = CAST({value} AS {wanted}) AND CAST({key} AS {held}) = {value}"
