"""Rows as tools write them: what a new row gets from the agent, from its parents and from the system, and what a change sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from msgspec.structs import replace

from worlddb.schema.ddl import bounds, formula_tokens
from worlddb.schema.model import Column, ForeignKey, Lifecycle, Table
from worlddb.schema.rules import Excl, StateReq, literal, quote
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.model import Fault, Field, Find, Guard, Mint, Param, Reply, Statement, Step, Tool, Write
from worlddb.tools.site import Site
from worlddb.tools.words import article, listing, state_word, verb
from worlddb.world.mint import is_minted

Change: TypeAlias = tuple[str, str, tuple[str, ...]]
"""Table key, 'insert', 'update' or 'delete', and the keys of the columns that are set."""

LINKS = ("junction", "assignment", "membership", "stock")
"""Archetypes whose rows tie two parents together."""
LOGS = ("ledger", "event_log", "measurement", "movement")
"""Archetypes whose rows are written once: books and protocols."""
GONE = ("deleted_at", "archived_at", "is_deleted", "is_archived")
"""Columns that say that a row is no longer there for people, though it is for the database."""
_ZERO = (
    "like_count", "helpful_count", "attachment_count", "view_count", "play_count", "download_count", "reply_count", "use_count",
    "renewal_count", "retries", "loyalty_points", "reserved", "penalty_points",
)  # fmt: skip
"""Counters: nobody gives them for a new row."""
_NOW = ("recorded_at", "occurred_at", "happened_at", "measured_at", "sent_at", "logged_at", "performed_at", "paid_at")
_TODAY = ("posted_on", "joined_on", "opened_on", "issued_on", "ordered_on", "signed_on", "requested_on", "submitted_on", "paid_on")

_TELLING = frozenset(["at", "on", "by", "reason", "note", "notes", "comment", "remark", "cause", "message", "category", "outcome"])
"""Last words of columns that tell about an event."""
_MOMENTS = ("event_time", "stamp_at", "moment", "date", "datetime")
"""Types of moments that have happened, as against planned ones."""


# --- new rows


class Insertion(NamedTuple):
    """The making of one row: what is asked for, the guards and the INSERT, and what that changes."""

    params: tuple[Param, ...]
    steps: tuple[Find | Guard | Write, ...]
    change: Change


def own_bind(prefix: str = "") -> str:
    """The bind name of a new row's own key; `prefix` is 'item_' within an Each."""
    return f"{prefix}own_id" if prefix else "id"


def insertion(site: Site, table: Table, *, fixed: Mapping[str, str] | None = None, prefix: str = "", tail: str = "") -> Insertion:
    """A new row.  `fixed` has the SQL of columns that are not asked for, `tail` what follows VALUES (…), as ON CONFLICT."""
    values, asked, mint = dict(fixed or {}), list[Param](), list[Mint]()
    for column in table.columns:
        key, own = column.key, (column.key,) == table.primary_key
        bind = own_bind(prefix) if own else prefix + key
        if key in values or column.formula or (own and table.key_style == "integer" and key not in site.references(table)):
            continue
        if key not in site.references(table) and is_minted(table, column):
            mint.append(Mint(into=bind, table=table.key, column=key))
            values[key] = f":{bind}"
        elif (known := _system(site, table, column)) is not None:
            values[key] = known
        else:
            param, values[key] = _asked(site, table, column, bind, values, prefix)
            asked.append(replace(param, key="id") if own and not prefix else param)
    compute(table, values, fresh=True)
    sql = f"INSERT INTO {site.sql(table)} ({site.cols(table, values, '')}) VALUES ({', '.join(values.values())}){tail}"
    write = Write(
        statement=Statement(sql=sql), table=table.key, op="insert", columns=tuple(values), mint=tuple(mint),
        into=own_bind(prefix) if len(table.primary_key) == 1 and table.key_style == "integer" else "",
    )  # fmt: skip
    guards = [g for p in asked for g in reference_guards(site, table, p.column, prefix)]
    if table.polymorphic:
        guards.append(_target_guard(site, table, prefix))
    params = tuple(sorted(asked, key=lambda p: not p.required))
    return Insertion(params, (*guards, write), (table.key, "insert", tuple(values)))


def _system(site: Site, table: Table, column: Column) -> str | None:
    """The SQL of what the system itself puts into a column of a new row; None for what is asked for."""
    machine, kind = table.lifecycle, semantic_type(column.type)
    if column.key in GONE and not (machine and column.key in machine.stamps.values()):
        return "0" if is_a(column.type, "flag") else "NULL" if column.nullable else ":now"
    if not site.system(table, column):
        return "NULL" if column.nullable and machine and _is_outcome(site, table, column, machine) else None
    if machine and column.key == machine.column:
        return literal(machine.initial)
    entered = machine is not None and machine.stamps.get(machine.initial) == column.key
    if entered or column.key == "created_at" or is_a(column.type, "created_at") or is_a(column.type, "updated_at"):
        return now_of(column)
    if column.nullable:
        return "NULL"
    return "0" if kind.sql != "TEXT" else ":now"


def _is_outcome(site: Site, table: Table, column: Column, machine: Lifecycle) -> bool:
    """True for a column that is known only once the row has come to some later state: a cancellation's reason."""
    wanted = {c for r in site.schema.rules if isinstance(r, Excl) and r.table == table.key for c in r.one_of}
    return column.key not in wanted and any(speaks_of(column, s) for s in machine.states[1:])


def speaks_of(column: Column, state: str) -> bool:
    """True for a column that records something of the move into a state: cancellation_reason, acknowledged_by, closed_at."""
    first, _, rest = column.key.partition("_")
    if len(first) < 4 or rest.rpartition("_")[2] not in _TELLING:
        return False
    if semantic_type(column.type).temporal and column.type not in _MOMENTS:
        return False
    return any(_stem(first, word) for word in (state_word(state), verb(state).imperative))


def _stem(one: str, other: str) -> bool:
    shared = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return shared >= max(4, min(len(one), len(other)) - 3)


def now_of(column: Column) -> str:
    """The bind that says when: the day where the column holds days."""
    return ":today" if semantic_type(column.type).temporal == "date" else ":now"


def _asked(site: Site, table: Table, column: Column, bind: str, values: dict[str, str], prefix: str) -> tuple[Param, str]:
    """A column that is asked for, and the SQL of its value: it may be left out where there is a default, or it may be empty."""
    if (constant := _constant(column)) is not None:
        shown = bool(constant) if is_a(column.type, "flag") else constant
        param = site.value_param(table, column, required=False, nullable=False, note=f"default: {_spelt(shown)}")
        return replace(param, default=constant, schema={**param.schema, "default": shown}), f":{bind}"
    if found := _lookup(site, table, column, values, prefix):
        sql, note = found
        param = site.value_param(table, column, required=False, nullable=False, note=f"default: {note}")
        return replace(param, binds_null=True), f"coalesce(:{bind}, {sql})"
    param = site.value_param(table, column, required=not column.nullable)
    return (param if param.required else replace(param, binds_null=True)), f":{bind}"


def _spelt(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _constant(column: Column) -> str | int | None:
    """The usual first value of a column, the same for all rows."""
    if is_a(column.type, "flag"):
        return int(column.key in ("is_active", "active", "is_enabled", "enabled") or column.type == "is_active")
    if column.key in ("priority", "importance"):
        return next((v for v in column.values if state_word(v) in ("normal", "medium")), None)
    low, high = bounds(column, semantic_type(column.type))
    if column.key in _ZERO and semantic_type(column.type).sql == "INTEGER":
        return 0 if (low is None or low <= 0) and (high is None or high >= 0) else None
    return 1 if column.key in ("version", "attempt") and semantic_type(column.type).sql == "INTEGER" else None


def _lookup(site: Site, table: Table, column: Column, values: dict[str, str], prefix: str) -> tuple[str, str] | None:
    """SQL that finds the usual first value of a column, and what it is, in words."""
    if column.like and len(steps := column.like.split(".")) > 1 and steps[0] in table.parents:
        sql, home = _follow(site, table, steps, values, prefix)
        return sql, f"the {site.words.label(home.key)}'s current {site.words.column_label(home.key, steps[-1])}"
    if column.key == "position" and semantic_type(column.type).sql == "INTEGER":
        return _next_place(site, table, column, values, prefix), "the next one"
    if column.key == "currency":
        for role, reference in table.parents.items():
            parent = site.schema[reference.table]
            if not reference.nullable and "currency" in parent and not parent["currency"].nullable:
                sql, _ = _follow(site, table, [role, "currency"], values, prefix)
                return sql, f"that of the {site.words.label(parent.key)}"
    if not column.nullable and semantic_type(column.type).temporal in ("date", "datetime"):
        if column.key in _NOW or (column.type == "event_time" and "created_at" not in table):
            return now_of(column), "now"
        if column.key in _TODAY:
            return now_of(column), "today"
    return None


def _follow(site: Site, table: Table, steps: list[str], values: dict[str, str], prefix: str) -> tuple[str, Table]:
    """The SQL of the value at the end of a path from a new row, and the table where it ends."""
    key, home = steps[0], table
    sql = values.get(table.parents[key].columns[0], f":{prefix}{table.parents[key].columns[0]}")
    for role, then in zip(steps, steps[1:], strict=False):
        reference = home.parents[role]
        home = site.schema[reference.table]
        column = home.parents[then].columns[0] if then in home.parents else then
        sql = f"(SELECT p.{quote(home[column].name)} FROM {site.sql(home)} AS p WHERE {site.col(home, reference.ref[0], 'p')} = {sql})"
    return sql, home


def _next_place(site: Site, table: Table, column: Column, values: dict[str, str], prefix: str) -> str:
    group = next((u for u in table.uniques if column.key in u and len(u) == 2), ())
    parents = [k for k in group if k != column.key] or [f.columns[0] for f in table.foreign_keys if not f.nullable][:1]
    same = " AND ".join(f"s.{quote(table[k].name)} = {values.get(k, f':{prefix}{k}')}" for k in parents)
    high = bounds(column, semantic_type(column.type))[1]
    after = f"coalesce(max(s.{quote(column.name)}), 0) + 1"
    return f"(SELECT {f'min({after}, {high})' if high is not None else after} FROM {site.sql(table)} AS s WHERE {same or '1'})"


def compute(table: Table, values: dict[str, str], *, fresh: bool = False) -> None:
    """Add the formulas that read any of these columns, over the expressions that the columns get."""

    def expression(key: str) -> str:
        if key not in values and fresh and table[key].formula:
            return spelt(key)
        return f"({values[key]})" if key in values else "NULL" if fresh else quote(table[key].name)

    def spelt(key: str) -> str:
        return " ".join(expression(t) if t[0].isalpha() else t for t in formula_tokens(table[key].formula))

    waiting = [c.key for c in table.columns if c.formula and c.key not in values]
    while ready := [k for k in waiting if fresh or not values.keys().isdisjoint(formula_tokens(table[k].formula))]:
        first = ready[0]
        waiting.remove(first)
        values[first] = spelt(first)


# --- parents


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
        code="RULE_VIOLATION", message=f"The {label} {{{bind}}} {{why}}: it takes no {site.words.labels(table.key)}.", parameter=bind,
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
        elif column.key == "deleted_at":
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


def _target_guard(site: Site, table: Table, prefix: str) -> Guard:
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
    held, wanted = (semantic_type(c.type).sql for c in (table[table.polymorphic.id_column], target[target.primary_key[0]]))
    if held == wanted:
        return f"{key} = {value}"
    return f"{key} = CAST({value} AS {wanted}) AND CAST({key} AS {held}) = {value}"


# --- changes


def touch(table: Table) -> dict[str, str]:
    """What a change of any content sets beside it: the columns that say when a row was last changed."""
    return {c.key: now_of(c) for c in table.columns if is_a(c.type, "updated_at")}


def assignments(table: Table, values: Mapping[str, str]) -> str:
    """The SET list of an UPDATE."""
    return ", ".join(f"{quote(table[k].name)} = {sql}" for k, sql in values.items())


def changing(site: Site, table: Table, values: Mapping[str, str], where: str, *, into: str = "", when: str = "") -> Write:
    """An UPDATE of the rows of a condition, with the formulas that follow."""
    every = dict(values)
    compute(table, every)
    sql = f"UPDATE {site.sql(table)} SET {assignments(table, every)} WHERE {where}"
    return Write(statement=Statement(sql=sql), table=table.key, op="update", columns=tuple(every), into=into, when=when)


def change_of(write: Write) -> Change:
    """What a Write changes."""
    return (write.table, write.op, write.columns)


# --- tools


def finish(site: Site, tool: Tool, changes: Iterable[Change]) -> Tool:
    """A writing tool with what it may change and which rules may refuse it: the schema's, and those of its own guards."""
    every = tuple(changes)
    own = dict.fromkeys(f.rule for f in _faults(tool.steps) if f.rule)
    rules = tuple(dict.fromkeys((*own, *site.met(every))))
    return replace(tool, read_only=False, writes=site.touched(every), rules=rules)


def _faults(steps: Iterable[Step]) -> Iterable[Fault]:
    for step in steps:
        if isinstance(step, Guard):
            yield step.fault
        elif not isinstance(step, Find | Write):
            yield from _faults(step.steps)


def done_reply(site: Site, table: Table) -> Reply:
    """The answer to a deletion: {deleted: true, id}."""
    fields = [Field(key="deleted", name="deleted", schema={"type": "boolean", "description": "Always true."}, convert="flag")]
    for key, bind in zip(table.primary_key, site.key_binds(table), strict=True):
        schema = {**site.value_schema(table, table[key], given=False), "description": f"{site.describe(table, table[key])}."}
        fields.append(Field(key=bind, name=site.field_name(table, key), schema=schema, table=table.key, column=key))
    sql = f"SELECT 1, {', '.join(f':{b}' for b in site.key_binds(table))}"
    return Reply(query=Statement(sql=sql), shape="value", fields=tuple(fields))


def count_reply(site: Site, table: Table, what: str = "changed", ids: str = "ids") -> Reply:
    """The answer to a bulk change: how many rows, and their IDs (a hundred at most), in order; `ids` binds them as JSON."""
    item = site.value_schema(table, table[table.primary_key[0]], given=False)
    shown = {"type": "array", "items": item, "description": f"Their IDs, in order; 100 at most of all {site.words.labels(table.key)}."}
    number = {"type": "integer", "minimum": 0, "description": f"How many {site.words.labels(table.key)} were {what}."}
    sql = (
        f"SELECT json_array_length(:{ids}), (SELECT json_group_array(value) FROM "
        f"(SELECT value FROM json_each(:{ids}) ORDER BY value LIMIT 100))"
    )
    fields = (Field(key="count", name=what, schema=number), Field(key="ids", name="ids", schema=shown, convert="json"))
    return Reply(query=Statement(sql=sql), shape="value", fields=fields)


def sides(site: Site, table: Table) -> tuple[ForeignKey, ForeignKey] | None:
    """The two references of a table that ties their targets together, at most once each pair; None for other tables."""
    references = [f for f in table.foreign_keys if len(f.columns) == 1 and not f.nullable]
    if table.key_style == "composite":
        pair = tuple(f for f in references if f.columns[0] in table.primary_key)
        return (pair[0], pair[1]) if len(pair) == 2 == len(table.primary_key) else None
    if table.archetype in LINKS:
        for unique in table.uniques:
            pair = tuple(f for f in references if f.columns[0] in unique)
            if len(pair) == 2 == len(unique):
                return pair[0], pair[1]
    return None


def several(site: Site, labels: Iterable[str]) -> str:
    """A sentence's 'its lines and payments'."""
    return listing([f"its {label}" for label in labels], "and")


def told(label: str) -> str:
    """A noun with its article, inside a sentence."""
    return article(label)
