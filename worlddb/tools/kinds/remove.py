"""Tools that take rows away: delete for good, archive and restore; and the guards that keep what others need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.schema.rules import Excl, literal, quote
from worlddb.semantics.types import is_a
from worlddb.tools.kinds.parents import final, same_key
from worlddb.tools.kinds.rows import (
    LOGS,
    change_of,
    changing,
    done_reply,
    finish,
    now_of,
    says_gone,
    several,
    sides,
    touch,
)
from worlddb.tools.model import Fault, Guard, Statement, Tool, Words, Write
from worlddb.tools.site import Site
from worlddb.tools.words import article, listing, plain


def propose(site: Site) -> Iterator[Tool]:
    """What takes the rows of every table away: where a company marks them as gone, nothing is deleted for good."""
    for table in site.schema.tables:
        if table.primary_key:
            if sides(site, table) is None and not any(says_gone(table, c) for c in table.columns):
                yield delete(site, table)
            yield from switches(site, table)


# --- delete


def delete(site: Site, table: Table) -> Tool:
    """Removes one row: refused while something else refers to it; its parts go along."""
    guards = [*_deletable_state(site, table), *in_use_guards(site, table)]
    parts = [child for child, reference in site.schema.children[table.key] if reference.on_delete == "CASCADE"]
    notes = [
        (t, _notes_of(site, t, table))
        for t in site.schema.tables
        if t.polymorphic and table.key in t.polymorphic.tables
    ]
    along = list(dict.fromkeys(site.words.labels(t.key) for t in (*parts, *(t for t, _ in notes))))
    wipes = [Write(statement=Statement(sql=sql), table=t.key, op="delete") for t, sql in notes]
    sql = f"DELETE FROM {site.sql(table)} WHERE {site.at_key(table, '')}"
    writes = [*wipes, Write(statement=Statement(sql=sql), table=table.key, op="delete")]
    label = site.words.label(table.key)
    text = f"Delete {article(label)} for good."
    if along:
        text += f" Also deletes {several(site, along)}."
    if guards:
        text += " Refused while other records need it." if in_use_guards(site, table) else ""
    machine = table.lifecycle
    tool = Tool(
        key=f"{table.key}.delete", kind="delete", table=table.key, words=Words(verb="delete"),
        description=text + (f" Only while it is {machine.initial}." if machine else ""), params=site.key_params(table),
        steps=(site.find(table, (machine.column,) if machine else ()), *guards, *writes),
        reply=done_reply(site, table), destructive=True,
    )  # fmt: skip
    return finish(site, tool, [change_of(w) for w in writes])


def _deletable_state(site: Site, table: Table) -> list[Guard]:
    machine = table.lifecycle
    if machine is None:
        return []
    was = f":was_{machine.column}"
    label = site.words.label(table.key)
    fault = Fault(
        code="RULE_VIOLATION",
        message=f"The {label} is {{state}}; only {article(label)} that is {plainly(machine.initial)} can be deleted.",
        rule=f"state:{table.key}.delete", cure="Leave it as it is, or move it to a final state instead.",
    )  # fmt: skip
    return [
        Guard(query=Statement(sql=f"SELECT {was} AS state WHERE {was} IS NOT {literal(machine.initial)}"), fault=fault)
    ]


def plainly(text: str) -> str:
    """Text for a str.format template."""
    return text.replace("{", "{{").replace("}", "}}")


def _notes_of(site: Site, notes: Table, table: Table) -> str:
    """Deletes the rows of a polymorphic table that belong to the row of the key."""
    poly = notes.polymorphic
    assert poly is not None
    values = notes[poly.type_column].values or poly.tables
    value = values[poly.tables.index(table.key)]
    held = f"{site.sql(notes)}.{site.col(notes, poly.id_column, '')}"
    return (
        f"DELETE FROM {site.sql(notes)} WHERE {site.col(notes, poly.type_column, '')} = {literal(value)} AND "
        f"EXISTS (SELECT 1 FROM {site.sql(table)} AS p WHERE {site.at_key(table, 'p')} "
        f"AND {same_key(site, notes, table, held)})"
    )


def in_use_guards(site: Site, table: Table) -> list[Guard]:
    """That nothing refers to a row, or to a part of it that would go along, which has no wish to go along."""
    found = list[Guard]()
    for child, reference in site.schema.children[table.key]:
        if reference.on_delete == "CASCADE":
            for grandchild, further in site.schema.children[child.key]:
                if not further.on_delete and len(child.primary_key) == 1 and not _goes_along(site, table, grandchild):
                    found.append(_in_use(site, table, grandchild, further, (child, reference)))
        elif len(table.primary_key) == 1 and (not reference.on_delete or _is_needed(site, child, reference)):
            found.append(_in_use(site, table, child, reference))
    return found


def _goes_along(site: Site, table: Table, child: Table) -> bool:
    return any(c.key == child.key and f.on_delete == "CASCADE" for c, f in site.schema.children[table.key])


def _is_needed(site: Site, child: Table, reference: ForeignKey) -> bool:
    """True for an optional reference that a rule does not let be emptied: exactly one of several is set."""
    rules = (r for r in site.schema.rules if isinstance(r, Excl) and r.table == child.key)
    return any({reference.key, *reference.columns} & set(r.one_of) for r in rules)


def _in_use(
    site: Site, table: Table, child: Table, reference: ForeignKey, through: tuple[Table, ForeignKey] | None = None
) -> Guard:
    refers = site.col(child, reference.columns[0], "c")
    if through is None:
        where = f"{refers} = :id"
    else:
        part, further = through
        where = (
            f"{refers} IN (SELECT {site.col(part, reference.ref[0], 'x')} FROM {site.sql(part)} AS x "
            f"WHERE {site.col(part, further.columns[0], 'x')} = :id)"
        )
    labels, label = site.words.labels(child.key), site.words.label(table.key)
    role = site.words.field(child.key, reference.columns[0])
    by = f" (as {plain(role)})" if role != site.words.noun(table.key) else ""
    cure = f"Give these {labels} another {label}, or delete them first."
    if reference.nullable:
        cure = f"Give these {labels} another {label} or none, or delete them first."
    fault = Fault(
        code="CONFLICT",
        message=f"{{n}} {labels} still refer to this {label}{by}.",
        rule=f"in_use:{child.key}",
        cure=cure,
    )
    sql = f"SELECT count(*) AS n FROM {site.sql(child)} AS c WHERE {where} HAVING count(*) > 0"
    return Guard(query=Statement(sql=sql), fault=fault)


# --- archive and restore


_SWITCHES = (("deactivate", "activate"), ("disable", "enable"), ("switch_off", "switch_on"))


def switch_column(table: Table) -> Column | None:
    """The flag that says whether a row is in use."""
    return next(
        (c for c in table.columns if c.type == "is_active" or (c.key == "is_active" and is_a(c.type, "flag"))), None
    )


def switches(site: Site, table: Table) -> Iterator[Tool]:
    """Taking a row out of use and back: by its flags of activity and of deletion."""
    taken = {v.imperative for v in site.words.moves(table.key).values()}
    gone = [c for c in table.columns if says_gone(table, c)]
    if gone and not taken & {"archive", "restore"}:
        yield _switch(site, table, gone[0], "archive", "archive", "archived", off=True)
        yield _switch(site, table, gone[0], "restore", "restore", "archived", off=False)
    column = switch_column(table)
    pair = next((p for p in _SWITCHES if not taken & set(p)), None)
    if column is not None and pair is not None:
        yield _switch(site, table, column, pair[0], "archive", "active", off=True)
        yield _switch(site, table, column, pair[1], "restore", "active", off=False)


def _switch(site: Site, table: Table, column: Column, verb: str, kind: str, word: str, *, off: bool) -> Tool:
    """One of a pair of tools; `off` takes the row out of use."""
    name, label = quote(column.name), site.words.label(table.key)
    if is_a(column.type, "flag"):
        active = column is switch_column(table)
        value, other = (0, 1) if active == off else (1, 0)
        value_sql, already = str(value), f"coalesce({name}, {other if off else value}) = {value}"
    else:
        value_sql, already = (now_of(column), f"{name} IS NOT NULL") if off else ("NULL", f"{name} IS NULL")
    state = word if (word == "active") != off else f"not {word}"
    fault = Fault(
        code="RULE_VIOLATION", message=f"The {label} is {'no longer active' if state == 'not active' else state} already.",
        rule=f"state:{table.key}.{verb}", cure="Nothing needs to be done.",
    )  # fmt: skip
    where = site.at_key(table, "")
    guards = [
        Guard(query=Statement(sql=f"SELECT 1 AS so FROM {site.sql(table)} WHERE {where} AND {already}"), fault=fault)
    ]
    blocks = open_children(site, table) if off else []
    guards += [open_guard(site, table, child, f, verb) for child, f in blocks]
    write = changing(site, table, {column.key: value_sql} | touch(table), where)
    effect = "it takes no new records, but is kept" if off else "it can be used again"
    text = f"{plain(verb).capitalize()} {article(label)}: {effect}."
    if blocks:
        text += f" Refused while it has open {listing([site.words.labels(c.key) for c, _ in blocks])}."
    tool = Tool(
        key=f"{table.key}.{verb}", kind=kind, table=table.key, words=Words(verb=verb), description=text,
        params=site.key_params(table), steps=(site.find(table), *guards, write), reply=site.row_reply(table), destructive=off,
    )  # fmt: skip
    return finish(site, tool, [change_of(write)])


def open_children(site: Site, table: Table) -> list[tuple[Table, ForeignKey]]:
    """Children that cannot be without their parent and go through states that have an end."""
    return [
        (child, f)
        for child, f in site.schema.children[table.key]
        if child.lifecycle and final(child.lifecycle) and not f.nullable and len(f.columns) == 1 and child.key != table.key
        and child.archetype not in LOGS
    ][:3]  # fmt: skip


def open_guard(site: Site, table: Table, child: Table, reference: ForeignKey, verb: str, pick: str = "= :id") -> Guard:
    """That no child of a row (or of several: `pick`) is on its way still."""
    assert child.lifecycle is not None
    ends, labels = final(child.lifecycle), site.words.labels(child.key)
    message = f"The {site.words.label(table.key)} still has {{n}} open {labels}, such as one that is {{state}}."
    cure = f"Bring these {labels} to an end first: each must be {listing([plainly(s) for s in ends])}."
    return states_guard(site, child, reference, "NOT IN", ends, pick, message, cure)


def states_guard(
    site: Site,
    child: Table,
    reference: ForeignKey,
    operator: str,
    states: Iterable[str],
    pick: str,
    message: str,
    cure: str,
) -> Guard:
    """That no child of the picked rows is in one of the states (or out of them: `operator` is IN or NOT IN).

    The message may speak of `{n}`, how many there are, and of `{state}`, the state of one.
    """
    assert child.lifecycle is not None
    state = site.col(child, child.lifecycle.column, "c")
    sql = (
        f"SELECT count(*) AS n, min({state}) AS state FROM {site.sql(child)} AS c "
        f"WHERE {site.col(child, reference.columns[0], 'c')} {pick} AND {state} {operator} ({', '.join(map(literal, states))}) "
        "HAVING count(*) > 0"
    )
    return Guard(
        query=Statement(sql=sql), fault=Fault(code="CONFLICT", message=message, rule=f"open:{child.key}", cure=cure)
    )
