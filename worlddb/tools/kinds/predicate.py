"""Tools that answer yes or no about rows that are there: taken, linked, overdue, may move on."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from worlddb.schema.model import Table
from worlddb.schema.rules import literal
from worlddb.tools.kinds.read import asked, due_column, overdue_condition
from worlddb.tools.kinds.views import bind, flag, found_keys, secret
from worlddb.tools.model import Field, JsonSchema, Param, Reply, Statement, Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article


def propose(site: Site) -> Iterator[Tool]:
    """The predicates of every table."""
    for table in site.schema.tables:
        yield from taken(site, table)
        yield from exists(site, table)
        yield from overdue(site, table)
        yield from may_move(site, table)


def taken(site: Site, table: Table) -> Iterator[Tool]:
    """Whether a value, or a set of values, that must be unique is in use."""
    refers = site.references(table)
    sets = [(c.key,) for c in table.columns if c.unique] + list(table.uniques)
    for keys in sets[:3]:
        if keys == table.primary_key or secret(table[keys[0]]):
            continue
        label = site.words.label(table.key)
        what = " and ".join(site.words.column_label(table.key, k) for k in keys)
        verb = "has" if all(k in refers for k in keys) else "uses"
        words = "_and_".join(site.words.field(table.key, k) for k in keys)
        yield _holder(
            site, table, keys, key=f"{table.key}.taken_{'_'.join(keys)}", words=Words(verb="check", tail=f"{words}_taken"),
            answer="taken", text=f"Check whether {article(label)} {verb} this {what} already, and which one.",
        )  # fmt: skip


def exists(site: Site, table: Table) -> Iterator[Tool]:
    """Whether two things are linked."""
    refers = site.references(table)
    if len(table.primary_key) == 2 and all(k in refers for k in table.primary_key):
        words = [site.words.column_label(table.key, k) for k in table.primary_key]
        yield _holder(
            site, table, table.primary_key, key=f"{table.key}.exists", words=Words(verb="check", tail="exists"), answer="exists",
            text=f"Check whether there is {article(site.words.label(table.key))} of this {' and this '.join(words)}.",
        )  # fmt: skip


def _holder(
    site: Site, table: Table, columns: tuple[str, ...], *, key: str, words: Words, answer: str, text: str
) -> Tool:
    """Whether a row has these values, and its key."""
    keys = table.primary_key
    same = " AND ".join(f"{site.col(table, k)} = :{bind(k)}" for k in columns)
    shown = site.cols(table, keys)
    sql = f"SELECT {site.col(table, keys[0])} IS NOT NULL, {shown} FROM (SELECT 1) LEFT JOIN {site.sql(table)} AS t ON {same}"
    label = site.words.label(table.key)
    return Tool(
        key=key, kind="predicate", table=table.key, words=words, description=text,
        params=tuple(asked(site, table, table[k]) for k in columns),
        reply=Reply(
            query=Statement(sql=f"{sql} ORDER BY {shown} LIMIT 1"), shape="value",
            fields=(flag(answer, "The answer."), *found_keys(site, table, f"ID of the {label} that has it; null: none has.")),
            keys=((table.key, tuple(range(1, len(keys) + 1))),),
        ),
    )  # fmt: skip


def overdue(site: Site, table: Table) -> Iterator[Tool]:
    """Whether one row is overdue."""
    due = due_column(table)
    if not due:
        return
    shown = [*table.primary_key, due.key, *([table.lifecycle.column] if table.lifecycle else [])]
    sql = (
        f"SELECT coalesce({overdue_condition(site, table, due)}, 0), {site.cols(table, shown)} FROM {site.sql(table)} AS t "
        f"WHERE {site.at_key(table)}"
    )
    label, what = site.words.label(table.key), site.words.column_label(table.key, due.key)
    ended = " and it is still open" if table.lifecycle else ""
    yield Tool(
        key=f"{table.key}.overdue", kind="predicate", table=table.key, words=Words(verb="check", tail="overdue"),
        description=f"Check whether one {label} is overdue: its {what} has passed{ended}.", params=site.key_params(table),
        reply=Reply(
            query=Statement(sql=sql), shape="value", missing=site.missing(table), fields=(flag("overdue", "The answer."),
            *site.fields(table, shown)), keys=((table.key, tuple(range(1, len(table.primary_key) + 1))),),
        ),
    )  # fmt: skip


def may_move(site: Site, table: Table) -> Iterator[Tool]:
    """Whether one row may go to a state, and where it may go."""
    machine = table.lifecycle
    if not machine or not machine.moves:
        return
    state, label = site.col(table, machine.column), site.words.label(table.key)
    moves = ", ".join(f"({literal(a)}, {literal(b)})" for a, b in machine.moves)
    ways = " ".join(
        f"WHEN {literal(s)} THEN {literal(orjson.dumps(machine.exits(s)).decode())}" for s in machine.states
    )
    keys = site.cols(table, table.primary_key)
    sql = (
        f"SELECT ({state}, :to_state) IN (VALUES {moves}), {keys}, {state}, CASE {state} {ways} ELSE '[]' END "
        f"FROM {site.sql(table)} AS t WHERE {site.at_key(table)}"
    )
    word = site.words.field(table.key, machine.column)
    to: JsonSchema = {"type": "string", "enum": list(machine.states), "description": f"The {word} that it should get."}
    names: JsonSchema = {"type": "array", "items": {"type": "string"}, "description": "Where it may go from there."}
    yield Tool(
        key=f"{table.key}.may_move", kind="predicate", table=table.key, words=Words(verb="check", tail=f"{word}_change"),
        description=f"Check whether one {label} may go from its present {word} to another, and to which ones it may go.",
        params=(
            *site.key_params(table),
            Param(
                key="to_state", name=f"to_{word}", schema=to, required=True, role="choice", table=table.key, column=machine.column
            ),
        ),
        reply=Reply(
            query=Statement(sql=sql), shape="value", missing=site.missing(table),
            fields=(
                flag("allowed", "The answer."), *site.fields(table, [*table.primary_key, machine.column]),
                Field(key="next_states", name="next_states", schema=names, convert="json"),
            ),
            keys=((table.key, tuple(range(1, len(table.primary_key) + 1))),),
        ),
    )  # fmt: skip
