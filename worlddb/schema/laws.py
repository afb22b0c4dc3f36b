"""Schema -> laws: its rules as small statements about one changed row, so that what holds at rest keeps holding.

Who changes a database records each row that was inserted, updated or deleted, and then, before the change becomes final:

1. runs the laws of kind "derive" that watch these rows: each an UPDATE of totals, whose own changes count like any other,
   until nothing changes any more;
2. runs the laws of kinds "check" and "move" that watch them: each a SELECT, and one that returns a row refuses it all.

If every rule held before, then every rule holds after it, at a cost that the size of the database does not decide.  Where
it matters, two things are expected: a row deleted and inserted again with the same key is one update, and a moment that
says when a row was changed (`Immutable.updated`) stays as it is in rows that are frozen, also when they go from one frozen
state to the next.

How a rule becomes local: a query of `rules` judges things one by one: rows, or groups of rows.  `Tie` says which kinds judge
by groups or by the rows of a second table, and through which paths.  A changed row concerns the things to which it leads
now, looked up by its key, and (where losing a row can break something) those to which its old version led, looked up by its
old values.  The query then gets that as its focus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import msgspec

from worlddb.schema import ddl
from worlddb.schema.law_words import column_of, cure, name_of, one_of, plain, table_of
from worlddb.schema.model import Lifecycle, Schema, Table
from worlddb.schema.rules import (
    AnyRule,
    Cap,
    Excl,
    Immutable,
    Monotone,
    NoOverlap,
    Place,
    QtyLe,
    Requires,
    Scope,
    SumEq,
    SumLe,
    UniqueActive,
    literal,
    quote,
)  # fmt: skip
from worlddb.semantics.types import semantic_type


class Law(msgspec.Struct, frozen=True, kw_only=True):
    """One statement that a change of one row calls for."""

    kind: str
    """"check" or "move": `sql` is a SELECT that returns a row where something is broken; "derive": an UPDATE that mends; "key":
    see `key_law`, which has no SQL."""
    rule: AnyRule | None
    """Where it comes from; None in a move, which comes from a lifecycle."""
    table: str
    """Key of the table whose changes it watches."""
    events: tuple[str, ...]
    """Some of "insert", "update" and "delete"."""
    columns: tuple[str, ...]
    """Of the updates it watches only those that change one of these columns (keys)."""
    sql: str
    binds: tuple[tuple[str, str], ...]
    """What the parameters ?1, ?2 … of `sql` are: ("old" or "new", column key) of the changed row."""
    writes: tuple[tuple[str, str], ...] = ()
    """The (table key, column key) that a derivation sets."""
    say: str
    """What it demands, in a sentence for people; `law_words.NAMED` finds the tables and columns that it names."""
    cure: str
    """What would satisfy it: a `str.format` template over the columns that the SELECT returns."""


Watch: TypeAlias = dict[str, dict[str, tuple[Law, ...]]]


def laws(schema: Schema) -> tuple[Law, ...]:
    """All laws of a schema: its lifecycles' in table order, then its rules' in their order."""
    found = [_move(t, t.lifecycle) for t in schema.tables if t.lifecycle]
    for rule in schema.rules:
        found += _of_rule(schema, rule)
        if isinstance(rule, Immutable):
            found += _frozen(schema, rule)
    return tuple(found)


def watch(schema: Schema) -> Watch:
    """Table key -> event -> the laws to run, derivations first; without those whose rules SQLite enforces by itself."""
    enforced = {id(rule) for rules in refusals(schema).values() for rule in rules}
    found: dict[str, dict[str, list[Law]]] = {
        t.key: {e: [] for e in ("insert", "update", "delete")} for t in schema.tables
    }
    for law in sorted(laws(schema), key=lambda law: law.kind != "derive"):
        if id(law.rule) not in enforced:
            for event in law.events:
                found[law.table][event].append(law)
    return {table: {e: tuple(some) for e, some in events.items()} for table, events in found.items()}


def refusals(schema: Schema) -> dict[str, tuple[AnyRule, ...]]:
    """What SQLite says when a CHECK or a partial unique index refuses a row -> the rules of which it says so.

    A CHECK says its name; an index says its columns, which several rules (or a plain UNIQUE) may have.
    """
    found: dict[str, tuple[AnyRule, ...]] = {}
    for number, rule in enumerate(schema.rules):
        table, message = schema[rule.table], ""
        if rule.check(table):
            message = f"CHECK constraint failed: rule_{number}"
        elif isinstance(rule, UniqueActive) and any(
            quote(f"uq_{table.name}_{number}") in s for s in ddl.indexes(schema, table)
        ):
            columns = (table[Scope(schema, table.key, "t", set()).resolve(p)[2]].name for p in rule.per)
            message = f"UNIQUE constraint failed: {', '.join(f'{table.name}.{c}' for c in columns)}"
        if message:
            found[message] = (*found.get(message, ()), rule)
    return found


# --- what a change of a row concerns


class Tie(NamedTuple):
    """How rows of a table decide about something: about their group, or about a row of the rule's table that they match."""

    table: str
    alias: str
    pairs: tuple[tuple[str, str], ...]
    """(path in the rule's table, path in this one) with equal values; the same path twice where the rule judges groups."""
    gains: bool
    """True where one more row can break the rule."""
    loses: bool
    """True where one less can."""


def _tie(schema: Schema, rule: AnyRule) -> Tie | None:
    match rule:
        case SumEq():
            return Tie(rule.of, "n", (("self", rule.via),), gains=True, loses=True)
        case Requires():
            return Tie(rule.needs, "n", tuple((a, b) for b, a in rule.match.items()), gains=False, loses=True)
        case Excl(none_of=other) if other:
            return Tie(other, "n", tuple((a, b) for b, a in rule.match.items()), gains=True, loses=False)
        case NoOverlap() | UniqueActive() | Monotone():
            return Tie(rule.table, "t", tuple((p, p) for p in rule.per), gains=True, loses=False)
        case Cap() | SumLe() | QtyLe() if rule.per:
            loses = bool(rule.column) and _may_be_negative(schema, rule.table, rule.column)
            return Tie(rule.table, "t", tuple((p, p) for p in rule.per), gains=True, loses=loses)
    return None


def _may_be_negative(schema: Schema, table: str, path: str) -> bool:
    """False where a CHECK keeps the numbers at a path from going below zero: then a sum never grows by losing one."""
    end, _, key = Scope(schema, table, "t", set()).resolve(path)
    if any(isinstance(r, SumEq) and (r.table, r.column) == (end.key, key) for r in schema.rules):
        return True
    low = ddl.bounds(end[key], semantic_type(end[key].type))[0]
    return bool(end[key].formula) or key in end.key_columns or low is None or low < 0


class _Binds:
    """The parameters of a statement, numbered as they come."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def __call__(self, row: str, key: str) -> str:
        if (row, key) not in self.found:
            self.found.append((row, key))
        return f"?{self.found.index((row, key)) + 1}"

    def key(self, place: Place, row: str = "new") -> str:
        """That a row is the changed one."""
        return " AND ".join(
            f"{place.alias}.{quote(place.table[k].name)} = {self(row, k)}" for k in place.table.primary_key
        )

    def row(self, place: Place, row: str = "old") -> str:
        """A subselect of one row: the columns of the changed row that were named."""
        values = (f"{self(row, k)} AS {quote(place.table[k].name)}" for k in ordered(place.table, place.columns))
        return f"(SELECT {', '.join(values)})"


def ordered(table: Table, keys: set[str]) -> tuple[str, ...]:
    """Some column keys in the order of the table."""
    return tuple(c.key for c in table.columns if c.key in keys)


Focus: TypeAlias = Callable[[Scope, _Binds], str]


def _of_rule(schema: Schema, rule: AnyRule) -> Iterator[Law]:
    """The rule's own query, or derivation, focused on what a change of any table that it reads concerns."""
    probe = Scope(schema, rule.table, "t", set())
    rule.query(probe)
    tie = _tie(schema, rule)
    for scope in filter(None, (probe, probe.second)):
        for place in scope.places.values():
            through = tie if tie and tie.alias == scope.alias else None
            led = _paths_through(through, place) if through else []
            decisive = set(_former_scope(schema, place, led).places[place.alias].columns) if led else set()
            columns = set(place.columns) if place.steps else place.columns | set(place.table.primary_key)
            if through and not through.gains:
                columns -= {*decisive, *place.table.primary_key}  # where it goes it is one more, which breaks nothing
            born = not place.steps and (through is None or through.gains)  # a parent is there before its children
            if columns:
                events = ("insert", "update") if born else ("update",)
                yield _law(schema, rule, place, events, columns, _now(place, through))
            if through and through.loses and led:
                yield _law(schema, rule, place, ("update", "delete"), decisive, _before(place, led))


def _now(place: Place, tie: Tie | None) -> Focus:
    """Focus on what the changed row leads to now."""

    def focus(scope: Scope, binds: _Binds) -> str:
        if tie is None:
            scope.insist(place.steps)
            return binds.key(place)
        inner = Scope(scope.schema, tie.table, tie.alias, set())
        inner.insist(place.steps)
        pairs = [(scope.required(ours), inner.required(theirs)) for ours, theirs in tie.pairs]
        return _among(pairs, inner.source, binds.key(place)) if pairs else ""

    return focus


def _before(place: Place, led: list[tuple[str, str]]) -> Focus:
    """Focus on what the changed row led to before."""

    def focus(scope: Scope, binds: _Binds) -> str:
        inner = _former_scope(scope.schema, place, led)
        inner.base = binds.row(inner.places[place.alias])
        return _among([(scope.required(ours), inner.required(rest)) for ours, rest in led], inner.source, "")

    return focus


def _paths_through(tie: Tie, place: Place) -> list[tuple[str, str]]:
    """The pairs whose path in the tied table leads through a place, cut to begin there.

    What lies before it does not matter: whichever rows led to the changed one, they led on to what it said.
    """
    start = "".join(f"{step}." for step in place.steps)
    return [(ours, theirs.removeprefix(start)) for ours, theirs in tie.pairs if theirs.startswith(start)]


def _former_scope(schema: Schema, place: Place, led: list[tuple[str, str]]) -> Scope:
    scope = Scope(schema, place.table.key, place.alias, set())
    for _, rest in led:
        scope.resolve(rest)
    return scope


def _among(pairs: list[tuple[str, str]], source: str, condition: str) -> str:
    """Where each expression has a value that the rows of a source have in another one.

    One IN for each pair admits more than the rows' combinations of values, and never less than whole groups of them, so that
    nothing is found broken that is not; and SQLite picks the best index of several.
    """
    where = f" WHERE {condition}" if condition else ""
    return " AND ".join(f"{outer} IN (SELECT {inner} FROM {source}{where})" for outer, inner in pairs)


def _law(schema: Schema, rule: AnyRule, place: Place, events: tuple[str, ...], columns: set[str], focus: Focus) -> Law:
    scope, binds = Scope(schema, rule.table, "t", set()), _Binds()
    scope.telling = True
    wanted = cure(rule, scope)
    scope.focus = focus(scope, binds)
    sql, writes = _derivation(rule, scope) if isinstance(rule, SumEq) else (f"{rule.query(scope)} LIMIT 1", ())
    return Law(
        kind="derive" if isinstance(rule, SumEq) else "check", rule=rule, table=place.table.key, events=events,
        columns=ordered(place.table, columns), sql=sql, binds=tuple(binds.found), writes=writes, say=rule.say, cure=wanted,
    )  # fmt: skip


# --- totals


def _derivation(rule: SumEq, scope: Scope) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The UPDATE that computes a total anew, with the formulas that read it, and the columns that it sets."""
    table = scope.table
    via, amount, counted = rule.counted(scope)
    total = rule.total(scope, f"(SELECT sum({amount}) {counted} AND {via} = {scope.column('self')})")
    was, where = scope.number(rule.column), scope.condition(rule.where)
    names, named = scope.named_keys()
    same = " AND ".join(
        f"u.{quote(table[k].name)} = d.{n}" for k, n in zip(table.primary_key, names.split(", "), strict=True)
    )
    sets = {rule.column: "d.total"}
    for key in _followers(table, {rule.column}):
        tokens = ddl.formula_tokens(table[key].formula)
        sets[key] = " ".join(
            f"({sets[t]})" if t in sets else f"u.{quote(table[t].name)}" if t[0].isalpha() else t for t in tokens
        )
    assignments = ", ".join(f"{quote(table[k].name)} = {expression}" for k, expression in sets.items())
    sql = (
        f"UPDATE {quote(table.name)} AS u SET {assignments} FROM (SELECT {named}, {was} AS was, {total} AS total "
        f"{scope.rows(where)}) AS d WHERE {same} AND d.was IS NOT d.total"
    )
    return sql, tuple((table.key, key) for key in sets)


def _followers(table: Table, keys: set[str]) -> list[str]:
    """The formula columns that read some columns, or one that reads them, each after those that it reads."""
    found: list[str] = []
    while True:
        more = [
            c.key
            for c in table.columns
            if c.formula and c.key not in found and not (keys | set(found)).isdisjoint(ddl.formula_tokens(c.formula))
        ]
        if not more:
            return found
        # one that reads another of this round waits for it
        found += [k for k in more if set(more).isdisjoint(ddl.formula_tokens(table[k].formula))] or more


# --- lifecycles


def _move(table: Table, machine: Lifecycle) -> Law:
    """A row goes from state to state only by the moves of its lifecycle."""
    moves = ", ".join(f"({literal(a)}, {literal(b)})" for a, b in machine.moves) or "(NULL, NULL)"
    after = " ".join(
        f"WHEN {literal(state)} THEN {literal(one_of(machine.exits(state)) or 'nowhere')}" for state in machine.states
    )
    ways = ", ".join(f"from {a} to {one_of(machine.exits(a))}" for a in machine.states if machine.exits(a))
    return Law(
        kind="move", rule=None, table=table.key, events=("update",), columns=(machine.column,),
        sql=f"SELECT was, state, CASE was {after} ELSE 'nowhere' END AS ways FROM (SELECT ?1 AS was, ?2 AS state) "
            f"WHERE was IS NOT state AND ((was, state) IN (VALUES {moves})) IS NOT 1",
        binds=(("old", machine.column), ("new", machine.column)),
        say=f"{table_of(table)}: it goes {ways or 'nowhere'}.",
        cure=f"{column_of(table, machine.column)} of {table_of(table)} is {{was}}; "
             "from there it goes to {ways}, not to {state}",
    )  # fmt: skip


def key_law(table: Table) -> Law:
    """A row keeps its key, and no other row ever gets it; whoever records the changes sees to it."""
    return Law(
        kind="key", rule=None, table=table.key, events=("insert", "update"), columns=table.primary_key, sql="", binds=(),
        say=f"{table_of(table)}: the key of a row never changes, and that of a deleted row is not used again.",
        cure="{key} cannot be its key here; leave the key as it is, or let a new row get a key of its own.",
    )  # fmt: skip


# --- what is frozen


def _frozen(schema: Schema, rule: Immutable) -> Iterator[Law]:
    """Beyond the data at rest, where moments tell: while time stands still, a frozen row is not changed at all.

    Frozen rows may move on in their lifecycle.  A row is judged by the holder that it had, in the state in which that one is
    when all is done, so that rows are to be written before, and not together with, what freezes them.
    """
    steps = tuple(rule.holder.split(".")) if rule.holder else ()
    table = schema[rule.table]
    totals = {r.column for r in schema.rules if isinstance(r, SumEq) and r.table == rule.table} if steps else set()
    machine = None if steps or not table.lifecycle or table.lifecycle.column != rule.column else table.lifecycle
    moving = {rule.column, *machine.stamps.values()} if machine else set()
    content = {c.key for c in table.columns} - {rule.updated} - moving - totals - set(_followers(table, totals))
    yield _keep(schema, rule, (), ("update",), content)
    if stamps := moving - {rule.column}:
        yield _keep(schema, rule, (), ("update",), stamps, stay=True)
    for depth in range(len(steps) + 1):
        yield _keep(schema, rule, steps[:depth], ("delete",), set())
    if steps:
        entry = set(table.parents[steps[0]].columns)
        yield _keep(schema, rule, (), ("insert", "update"), entry, row="new")


def _keep(
    schema: Schema, rule: Immutable, steps: tuple[str, ...], events: tuple[str, ...], columns: set[str], *,
    row: str = "old", stay: bool = False,
) -> Law:  # fmt: skip
    """Refuses changes of a row that is frozen, or (with `steps`) of one on the way to the holder.

    With `stay`, only where the row remains in its state.
    """
    binds = _Binds()
    start = Scope(schema, rule.table, "t", set()).reach(steps)[0]
    scope = Scope(schema, start.key, "t", set())
    way = ".".join([*rule.holder.split("."), rule.column][len(steps) :] if rule.holder else [rule.column])
    conditions = [scope.condition({way: rule.states}), "1" if steps else scope.condition(rule.where)]
    if stay:
        conditions.append(f"{binds('old', rule.column)} IS {binds('new', rule.column)}")
    state = scope.column(way)
    scope.places["t"].columns.update(start.primary_key)
    scope.base = binds.row(scope.places["t"], row)
    return Law(
        kind="check", rule=rule, table=start.key, events=events, columns=ordered(start, columns),
        sql=f"SELECT {scope.named_keys()[1]}, {state} AS state FROM {scope.source} WHERE {' AND '.join(conditions)} LIMIT 1",
        binds=tuple(binds.found), say=rule.say,
        cure=f"{plain(table_of(start))} {{k0}}: {name_of(scope, way)} is {{state}}; such rows are not added, changed or deleted",
    )  # fmt: skip
