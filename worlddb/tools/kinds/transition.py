"""Tools that move a row to another state, in the domain's words: check in, cancel, reopen, advance.

The machine decides what is asked: a state that several moves enter has one tool, unless its verb depends on where a row comes
from (pause/resume).  Moves that end a whole concern its parts: a dead end takes the open ones along, a good end waits for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from worlddb.schema.model import Column, ForeignKey, Lifecycle, Table
from worlddb.schema.rules import Immutable, literal, quote
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.kinds.parents import dead_ends, final, reference_guards
from worlddb.tools.kinds.remove import open_children, open_guard, plainly, states_guard
from worlddb.tools.kinds.rows import change_of, changing, finish, now_of, speaks_of, touch
from worlddb.tools.model import Fault, Guard, Param, Statement, Tool, Words, Write
from worlddb.tools.site import Site
from worlddb.tools.words import Verb, article, listing, state_word

ADVANCED = 4
"""States that a usual way has at least for a tool that goes to the next of them."""
ONE = "= :id"
"""The rows of a call as a condition on their key: the one of the key parameter, or (bulk) those of a list."""
_TAKEN = ("get", "list", "find", "search", "count", "create", "update", "delete", "rename")
"""Verbs that have another meaning in keys of tools."""
_REASONS = ("reason", "note", "notes", "comment")


class Way(NamedTuple):
    """Moves of one verb: into one state, from some."""

    verb: Verb
    to: str
    origins: tuple[str, ...]

    @property
    def stem(self) -> str:
        """The verb as part of a tool's key."""
        stem = self.verb.imperative.replace("_{noun}", "").replace("{noun}_", "")
        return f"move_{stem}" if stem in _TAKEN else stem

    @property
    def words(self) -> Words:
        """What the tool is named by."""
        template = self.verb.imperative if "{noun}" in self.verb.imperative else ""
        return Words(verb=self.stem if template else self.verb.imperative, template=template)


def propose(site: Site) -> Iterator[Tool]:
    """The moves of every table that goes through states."""
    for table in site.schema.tables:
        if table.lifecycle and len(table.primary_key) == 1:
            for way in ways(site, table):
                yield transition(site, table, table.lifecycle, way)
            if len(table.lifecycle.happy) >= ADVANCED:
                yield advance(site, table, table.lifecycle)


def ways(site: Site, table: Table) -> list[Way]:
    """The moves of a lifecycle by verb, in the order of its moves; a move to the state where a row is already is none."""
    found: dict[tuple[str, str], tuple[Verb, list[str]]] = {}
    for (before, after), verb in site.words.moves(table.key).items():
        if before != after:
            found.setdefault((verb.imperative, after), (verb, []))[1].append(before)
    return [Way(verb, after, tuple(origins)) for (_, after), (verb, origins) in found.items()]


def transition(site: Site, table: Table, machine: Lifecycle, way: Way) -> Tool:
    """One row goes into a state, with what that brings about."""
    params, clauses, extra = _told(site, table, machine, way)
    write = moving(site, table, machine, way, site.at_key(table, ""), clauses)
    guards, others, says = consequences(site, table, machine, way, ONE)
    label = site.words.label(table.key)
    text = f"{_capital(way.verb.of(f' {article(label)} '))}: it becomes {way.to}.".replace(" :", ":")
    only = f" Only while it is {listing(way.origins)}." if set(way.origins) != set(machine.states) - {way.to} else ""
    tool = Tool(
        key=f"{table.key}.{way.stem}", kind="transition", table=table.key, words=way.words,
        description=" ".join(text.split()) + only + "".join(f" {s}" for s in says), params=(*site.key_params(table), *params),
        steps=(site.find(table, (machine.column,)), state_guard(site, table, machine, way), *extra, *guards, *others, write),
        reply=site.row_reply(table), destructive=way.to in dead_ends(machine),
    )  # fmt: skip
    changes = [*(change_of(w) for w in others), change_of(write)]
    return finish(site, tool, changes)


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def moving(
    site: Site, table: Table, machine: Lifecycle, way: Way, where: str, clauses: dict[str, tuple[str, str]] | None = None
) -> Write:  # fmt: skip
    """The UPDATE of rows that go into a state; for `clauses` see `rows.changing`."""
    return changing(site, table, entering(site, table, machine, way), where, clauses=clauses)


def entering(site: Site, table: Table, machine: Lifecycle, way: Way) -> dict[str, str]:
    """What rows get that go into a state: the state, the moments that record it, and when they were changed."""
    sets = {machine.column: literal(way.to)}
    for column in table.columns:
        if column.key == machine.stamps.get(way.to) or (_is_moment(site, table, column) and speaks_of(column, way.to)):
            sets[column.key] = now_of(column)
    return sets | _changed(site, table, machine, way.origins)


def _is_moment(site: Site, table: Table, column: Column) -> bool:
    return (
        column.nullable
        and semantic_type(column.type).temporal in ("date", "datetime")
        and not site.system(table, column)
    )


def _changed(site: Site, table: Table, machine: Lifecycle, origins: tuple[str, ...]) -> dict[str, str]:
    """When rows were last changed: not said of rows that come from a state in which they are frozen."""
    own = [r for r in site.schema.rules if isinstance(r, Immutable) and (r.table, r.holder) == (table.key, "")]
    frozen = {s for r in own if r.column == machine.column for s in r.states}
    still = [s for s in origins if s in frozen]
    if not still:
        return touch(table)
    if len(still) == len(origins):
        return {}
    state, names = quote(table[machine.column].name), ", ".join(map(literal, still))
    return {
        k: f"CASE WHEN {state} IN ({names}) THEN {quote(table[k].name)} ELSE {sql} END"
        for k, sql in touch(table).items()
    }


def _told(
    site: Site, table: Table, machine: Lifecycle, way: Way
) -> tuple[list[Param], dict[str, tuple[str, str]], list[Guard]]:
    """What may be said about a move: optional parameters, the columns that they set, and guards of references among them."""
    params, clauses, guards = list[Param](), dict[str, tuple[str, str]](), list[Guard]()
    ending = way.to in dead_ends(machine)
    columns = [c for c in table.columns if _is_remark(site, table, c) and speaks_of(c, way.to)]
    columns += [
        c for c in table.columns if ending and not columns and c.key in _REASONS and _is_remark(site, table, c)
    ][:1]
    for column in columns:
        params.append(site.value_param(table, column, required=False, nullable=False))
        clauses[column.key] = (column.key, f":{column.key}")
        guards += reference_guards(site, table, column.key)
    return params, clauses, guards


def _is_remark(site: Site, table: Table, column: Column) -> bool:
    """True for a column in which people may say something about a move."""
    kind = semantic_type(column.type)
    fits = column.nullable and not site.system(table, column) and not kind.temporal and not column.formula
    return fits and not is_a(column.type, "flag") and column.key not in table.primary_key


# --- the state that a move needs


def state_guard(site: Site, table: Table, machine: Lifecycle, way: Way) -> Guard:
    """That the row stands where the move begins; else: where it stands, and what can be done from there."""
    label, was = site.words.label(table.key), f":was_{machine.column}"
    sql = f"SELECT {was} AS state, {_ways_on(site, table, machine, was)} AS ways WHERE {was} NOT IN ({_literals(way.origins)})"
    return Guard(query=Statement(sql=sql), fault=state_fault(table, way, f"The {label}"))


def state_fault(table: Table, way: Way, who: str) -> Fault:
    """The fault of a row that does not stand where the move begins; its guard tells `state` and `ways`."""
    wanted = plainly(listing(way.origins))
    return Fault(
        code="RULE_VIOLATION", message=f"{who} is {{state}}; it can be {plainly(way.verb.past)} only while it is {wanted}.",
        rule=f"state:{table.key}.{way.stem}", cure="{ways}",
    )  # fmt: skip


def _literals(states: tuple[str, ...]) -> str:
    return ", ".join(map(literal, states))


def _ways_on(site: Site, table: Table, machine: Lifecycle, state: str) -> str:
    """The SQL of a sentence on what can be done from a state."""
    verbs = site.words.moves(table.key)
    cases = []
    for before in machine.states:
        done = list(dict.fromkeys(verbs[before, after].past for after in machine.exits(before) if after != before))
        told = (
            f"From {before} it can be {listing(done)}."
            if done
            else f"Nothing leads on from {before}; choose another one."
        )
        cases.append(f"WHEN {literal(before)} THEN {literal(told)}")
    return f"CASE {state} {' '.join(cases)} END"


def ids_guards(site: Site, table: Table, machine: Lifecycle, way: Way) -> list[Guard]:
    """That every row of a list stands where the move begins; the first that does not is named."""
    state, key = site.col(table, machine.column), site.col(table, table.primary_key[0])
    sql = (
        f"SELECT {key} AS at, {state} AS state, {_ways_on(site, table, machine, state)} AS ways FROM {site.sql(table)} AS t "
        f"WHERE {key} IN (SELECT value FROM json_each(:ids)) AND {state} NOT IN ({_literals(way.origins)}) ORDER BY {key} LIMIT 1"
    )
    fault = state_fault(table, way, f"The {site.words.label(table.key)} {{at}}")
    return [Guard(query=Statement(sql=sql), fault=replace(fault, parameter="ids"))]


# --- what a move brings about in the parts of a whole


def consequences(
    site: Site, table: Table, machine: Lifecycle, way: Way, pick: str
) -> tuple[list[Guard], list[Write], list[str]]:
    """What the end of a whole means for its parts: guards, writes that come before its own, and sentences."""
    guards, writes, says = list[Guard](), list[Write](), list[str]()
    has, its = ("it has", "Its") if pick == ONE else ("one of them has", "Their")
    if way.to not in final(machine):
        return guards, writes, says
    for child, reference in open_children(site, table):
        labels = site.words.labels(child.key)
        if way.to == machine.happy[-1]:
            guards.append(open_guard(site, table, child, reference, way.stem, pick))
            says.append(f"Refused while {has} open {labels}.")
            continue
        mate = _mate(child.lifecycle, way.to)
        if mate is None or child.lifecycle is None:
            continue
        along = Way(way.verb, mate, tuple(a for a, b in child.lifecycle.moves if b == mate and a != mate))
        stuck = tuple(s for s in child.lifecycle.states if s not in (*along.origins, *final(child.lifecycle)))
        if _freezes(site, child, reference, way.to) or not along.origins:
            guards.append(open_guard(site, table, child, reference, way.stem, pick))
            says.append(f"Refused while {has} open {labels}.")
            continue
        if stuck:
            guards.append(_stuck_guard(site, table, child, reference, stuck, pick))
        state = site.col(child, child.lifecycle.column, "")
        where = f"{site.col(child, reference.columns[0], '')} {pick} AND {state} IN ({_literals(along.origins)})"
        writes.append(changing(site, child, entering(site, child, child.lifecycle, along), where))
        says.append(f"{its} open {labels} become {mate} as well.")
    return guards, writes, says


def _mate(machine: Lifecycle | None, state: str) -> str | None:
    """The state of a part that means the same as that of the whole."""
    if machine is None:
        return None
    words = {state_word(s): s for s in final(machine) if s != machine.happy[-1]}
    return words.get(state_word(state)) or next(
        (words[w] for w in ("cancelled", "canceled", "voided", "withdrawn") if w in words), None
    )


def _freezes(site: Site, child: Table, reference: ForeignKey, state: str) -> bool:
    """True where a whole that is in a state freezes its parts, so that they cannot move together with it."""
    return any(
        isinstance(r, Immutable)
        and r.table == child.key
        and r.holder.split(".")[0] == reference.key
        and state in r.states
        for r in site.schema.rules
    )


def _stuck_guard(
    site: Site, table: Table, child: Table, reference: ForeignKey, stuck: tuple[str, ...], pick: str
) -> Guard:
    """That no part is under way in a state from which it cannot go along."""
    labels, label = site.words.labels(child.key), site.words.label(table.key)
    message = f"{{n}} {labels} of this {label} are {{state}} and cannot be stopped any more."
    return states_guard(site, child, reference, "IN", stuck, pick, message, f"Bring these {labels} to an end first.")


# --- the next step


def advance(site: Site, table: Table, machine: Lifecycle) -> Tool:
    """One row goes a step further on the usual way; its last step has consequences and a tool of its own."""
    steps = tuple(zip(machine.happy[:-1], machine.happy[1:-1], strict=False))
    origins = tuple(a for a, _ in steps)
    state, label = quote(table[machine.column].name), site.words.label(table.key)
    sets = {machine.column: f"CASE {state} {' '.join(f'WHEN {literal(a)} THEN {literal(b)}' for a, b in steps)} END"}
    for before, after in steps:
        way = Way(site.words.moves(table.key)[before, after], after, (before,))
        for key, sql in entering(site, table, machine, way).items():
            if key != machine.column and key not in touch(table):
                kept = sets.get(key, quote(table[key].name))
                sets[key] = f"CASE {state} WHEN {literal(before)} THEN {sql} ELSE {kept} END"
    sets |= _changed(site, table, machine, origins)
    write = changing(site, table, sets, site.at_key(table, ""))
    was = f":was_{machine.column}"
    sql = f"SELECT {was} AS state, {_ways_on(site, table, machine, was)} AS ways WHERE {was} NOT IN ({_literals(origins)})"
    fault = Fault(
        code="RULE_VIOLATION", message=f"The {label} is {{state}}; a next step follows only on {plainly(listing(origins))}.",
        rule=f"state:{table.key}.advance", cure="{ways}",
    )  # fmt: skip
    tool = Tool(
        key=f"{table.key}.advance", kind="transition", table=table.key, words=Words(verb="advance"),
        description=f"Move {article(label)} to the next step of {' > '.join(machine.happy[:-1])}.", params=site.key_params(table),
        steps=(site.find(table, (machine.column,)), Guard(query=Statement(sql=sql), fault=fault), write),
        reply=site.row_reply(table),
        idempotent=False,
    )  # fmt: skip
    return finish(site, tool, [change_of(write)])
