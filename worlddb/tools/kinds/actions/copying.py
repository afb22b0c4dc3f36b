"""Once more: copy a row with its lines as a new draft, or to another time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.schema.rules import Excl, Monotone, NoOverlap, Requires, UniqueActive, literal
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.kinds.actions import replies
from worlddb.tools.kinds.actions.draft import Draft
from worlddb.tools.kinds.actions.sights import (
    HAPPENINGS,
    holders,
    is_person,
    is_updated_at,
    links,
    single_key,
    temporal,
)
from worlddb.tools.kinds.actions.texts import Unfit, moment, need, with_formulas
from worlddb.tools.model import Mint, Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article
from worlddb.world.mint import is_minted

_UUID_HEAD = 24
"""Characters of a uuid that are new in a copy; the last twelve are those of the row that is copied."""


def propose(site: Site) -> Iterator[Tool]:
    """Copies."""
    for table in site.schema.tables:
        lines = header_lines(site, table)
        if lines is not None:
            with suppress(Unfit):
                yield duplicate(site, table, *lines)
        if (start := begins(site, table)) and table.archetype in ("booking", "case", ""):
            with suppress(Unfit):
                yield repeat(site, table, start)


def header_lines(site: Site, table: Table) -> tuple[Table, ForeignKey] | None:
    """The table whose rows are parts of this one's rows: lines, or what lives and dies with it."""
    if not single_key(table) or is_person(table):
        return None
    found: list[tuple[int, int, Table, ForeignKey]] = []
    for number, (child, link) in enumerate(holders(site, table)):
        if link.nullable or link.unique or child.archetype in HAPPENINGS or site.schema.children[child.key]:
            continue
        if link.key != owner(child).key:
            continue
        if child.archetype == "line":
            found.append((0, number, child, link))
        elif link.on_delete == "CASCADE" and table.archetype in (
            "header",
            "document",
            "case",
            "plan",
            "taxonomy",
            "policy",
        ):
            found.append((1, number, child, link))
    return min(found, key=lambda f: f[:2])[2:] if found else None


def owner(child: Table) -> ForeignKey:
    """The reference to what a row is a part of: the one that takes it along when it goes, else the first."""
    every = [f for f in links(child) if not f.nullable] or list(links(child))
    return next((f for f in every if f.on_delete == "CASCADE"), every[0])


def begins(site: Site, table: Table) -> str:
    """The column that says when a planned row begins; '' where it is not planned by time."""
    for rule in site.schema.rules:
        if isinstance(rule, NoOverlap) and rule.table == table.key and rule.start in table:
            return rule.start
    found = [c.key for c in table.columns if any(is_a(c.type, t) for t in ("start_at", "start_date"))]
    return found[0] if found and table.archetype in ("booking", "policy", "case", "rate", "") else ""


def _moves_along(table: Table, column: Column) -> bool:
    """True for planned moments, which a copy to another time takes along."""
    planned = temporal(column) and not is_a(column.type, "moment")
    return (
        bool(planned)
        and not is_a(column.type, "birth_date")
        and not column.unique
        and column.key not in table.key_columns
    )


def _fresh(site: Site, table: Table, column: Column, shift: str) -> str | None:
    """What a column holds in a copy: SQL, or None where it is the same as in the original."""
    machine, nullable = table.lifecycle, column.nullable
    if machine and column.key == machine.column:
        return literal(machine.initial)
    if machine and column.key in machine.stamps.values():
        need(nullable)
        return "NULL"
    if is_a(column.type, "created_at") or column.key == "created_at" or is_updated_at(column):
        return moment(column)
    if column.key in site.derived(table):
        return "NULL" if nullable else "0"
    if is_a(column.type, "deleted_at") or (is_a(column.type, "event_time") and nullable):
        return "NULL"
    if is_a(column.type, "is_deleted"):
        return "0"
    if shift and _moves_along(table, column):
        own = site.col(table, column.key)
        whole = "datetime" if temporal(column) == "datetime" else "date"
        return f"{whole}({own}, {shift})"
    if column.unique and nullable and not is_minted(table, column):
        return "NULL"
    return None


def carried(draft: Draft, table: Table, *, into: str, shift: str = "", given: dict[str, str] | None = None) -> None:
    """Insert a copy of the row at :id, new and in the initial state; its key binds as `into`."""
    site = draft.site
    need(not any(isinstance(r, Requires) and r.table == table.key and _at_birth(table, r) for r in site.schema.rules))
    mint: list[Mint] = []
    values: dict[str, str] = {}
    for column in table.columns:
        own = (column.key,) == table.primary_key
        if own and table.key_style == "integer":
            continue
        if given and column.key in given:
            values[column.key] = given[column.key]
        elif is_minted(table, column) and (own or not column.nullable):
            bound = into if own else f"{into}_{column.key}"
            mint.append(Mint(into=bound, table=table.key, column=column.key))
            values[column.key] = f":{bound}"
        else:
            fresh = _fresh(site, table, column, shift)
            need(fresh is not None or not column.unique)
            values[column.key] = site.col(table, column.key) if fresh is None else fresh
    need(not any(set(u) <= set(values) and not _differs(table, u, values, site) for u in table.uniques))
    _formulas_hold(site, table, values)
    sql = (
        f"INSERT INTO {site.sql(table)} ({site.cols(table, values, '')}) SELECT {', '.join(values.values())} "
        f"FROM {site.sql(table)} AS t WHERE {site.at_key(table)}"
    )
    integer = table.key_style == "integer" and single_key(table)
    draft.write(table, "insert", sql, values, mint=mint, into=into if integer else "")


def _differs(table: Table, together: tuple[str, ...], values: dict[str, str], site: Site) -> bool:
    return any(values[k] != site.col(table, k) for k in together if k in values)


def _at_birth(table: Table, rule: Requires) -> bool:
    """True where a rule asks for children of a row in its initial state."""
    machine = table.lifecycle
    states = rule.where.get(machine.column) if machine else None
    return "self" in rule.match.values() and not (
        machine and isinstance(states, tuple) and machine.initial not in states
    )


def _formulas_hold(site: Site, table: Table, values: dict[str, str]) -> None:
    """A copied formula holds as long as none of its operands is another one's."""
    for column in table.columns:
        if column.formula:
            tokens = [t for t in column.formula.replace("(", " ").replace(")", " ").split() if t in table]
            if any(values.get(t) != site.col(table, t) for t in tokens):
                need(all(t in values for t in tokens))
                values[column.key] = with_formulas(table, {t: values[t] for t in tokens})[column.key]


def lines(draft: Draft, child: Table, link: ForeignKey, *, shift: str = "") -> None:
    """Insert copies of the rows of :id, as those of :new_id."""
    site, column = draft.site, link.columns[0]
    mint: list[Mint] = []
    values: dict[str, str] = {}
    order = site.cols(child, child.primary_key)
    for own in child.columns:
        key = (own.key,) == child.primary_key
        if key and child.key_style == "integer":
            continue
        if own.key == column:
            values[own.key] = ":new_id"
        elif is_minted(child, own):
            need(key or own.nullable)
            values[own.key] = _line_key(site, child, own, order) if key else "NULL"
            if key:
                mint.append(Mint(into="line_id", table=child.key, column=own.key))
        else:
            fresh = _fresh(site, child, own, shift)
            need(fresh is not None or not own.unique)
            values[own.key] = site.col(child, own.key) if fresh is None else fresh
    _formulas_hold(site, child, values)
    sql = (
        f"INSERT INTO {site.sql(child)} ({site.cols(child, values, '')}) SELECT {', '.join(values.values())} "
        f"FROM {site.sql(child)} AS t WHERE {site.col(child, column)} = :id ORDER BY {order}"
    )
    draft.write(child, "insert", sql, values, mint=mint)


def _line_key(site: Site, child: Table, column: Column, order: str) -> str:
    """The key of each copied line, made from the one minted value :line_id."""
    own = site.col(child, column.key)
    if child.key_style == "uuid":
        return f"substr(:line_id, 1, {_UUID_HEAD}) || substr({own}, {_UUID_HEAD + 1})"
    need(child.key_style == "code")
    stem = len(child.code_prefix) + 1
    number = f"CAST(substr(:line_id, {stem + 1}) AS INTEGER) + row_number() OVER (ORDER BY {order}) - 1"
    return f"substr(:line_id, 1, {stem}) || printf('%0*d', length(:line_id) - {stem}, {number})"


def duplicate(site: Site, table: Table, child: Table, link: ForeignKey) -> Tool:
    """A copy of a row and its lines, in the initial state."""
    need(not any(isinstance(r, UniqueActive) and r.table == table.key and not r.where for r in site.schema.rules))
    need(not any(link_.unique for link_ in (*table.foreign_keys, *child.foreign_keys)))
    need(not any(isinstance(r, Excl) and r.none_of and r.table in (table.key, child.key) for r in site.schema.rules))
    need(not any(isinstance(r, Monotone) and r.table in (table.key, child.key) for r in site.schema.rules))
    labels = site.words.labels(child.key)
    draft = Draft(site, table, "duplicate")
    draft.row(table)
    title = table[table.title] if table.title else None
    given: dict[str, str] = {}
    if title is not None and title.unique and not is_minted(table, title) and semantic_type(title.type).sql == "TEXT":
        param = site.value_param(
            table, title, required=True, key="title", name=f"new_{site.param_name(table, title.key)}"
        )
        draft.ask(param)
        given[title.key] = ":title"
    carried(draft, table, into="new_id", given=given)
    lines(draft, child, link)
    born = f", which begins as {table.lifecycle.initial}" if table.lifecycle else ""
    return draft.tool(
        Words(verb="duplicate"),
        f"Copy {article(draft.label)} with all its {labels} as a new one{born}. The original stays as it is. Answers "
        f"with the copy.",
        replies.with_children(site, table, child, link, "new_"),
    )  # fmt: skip


def repeat(site: Site, table: Table, start: str) -> Tool:
    """A copy of a planned row at another time; what else is planned in it moves along."""
    need(single_key(table) and not any(f.unique for f in table.foreign_keys))
    draft = Draft(site, table, "repeat")
    draft.row(table, [start])
    need(temporal(table[start]))
    name = site.param_name(table, start)
    draft.value(table, start, "start", f"new_{name}", f"When the copy begins{_shape(table[start])}.")
    past(draft, "start", table[start])
    draft.refuse(
        f"SELECT 1 AS refused WHERE :was_{start} IS NULL", f"The {draft.label} {{id}} has no {name} from which to count.",
        f"Choose one that has a {name}.", rule=f"planned:{table.key}",
        told="it has no time to count from", parameter="id",
    )  # fmt: skip
    span = f"(unixepoch(:start) - unixepoch(:was_{start})) || ' seconds'"
    carried(draft, table, into="new_id", shift=span)
    return draft.tool(
        Words(verb="repeat"),
        f"Plan {article(draft.label)} once more at another time, with the same details; all its planned moments move "
        f"along.",
        replies.of(site, table, "new_"),
    )  # fmt: skip


def past(draft: Draft, bind: str, column: Column) -> None:
    """Refuse a moment before the present."""
    draft.refuse(
        f"SELECT 1 AS refused WHERE :{bind} < {moment(column)}", f"{{{bind}}} is past; it is {{{moment(column)[1:]}}} now.",
        "Give a later time.", rule=f"past:{draft.table.key}.{draft.key}",
        told="the time is past", parameter=bind, when=bind,
    )  # fmt: skip


def _shape(column: Column) -> str:
    return " ('YYYY-MM-DD')" if temporal(column) == "date" else " ('YYYY-MM-DD HH:MM:SS', UTC)"
