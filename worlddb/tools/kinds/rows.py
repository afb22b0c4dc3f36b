"""Rows as tools write them: what their columns mean to a writer, what a change sets, and what is told afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from worlddb.schema.ddl import formula_tokens
from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.schema.rules import quote
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.model import Fault, Field, Find, Guard, Reply, Statement, Step, Tool, Write
from worlddb.tools.site import Made, Site
from worlddb.tools.words import listing, state_word, verb

LINKS = ("junction", "assignment", "membership", "stock")
"""Archetypes whose rows tie two parents together."""
LOGS = ("ledger", "event_log", "measurement", "movement")
"""Archetypes whose rows are written once: books and protocols."""
GONE = ("deleted_at", "archived_at", "is_deleted", "is_archived")
"""Columns that say that a row is no longer there for people, though it is for the database."""
_TELLING = frozenset(
    ["at", "on", "by", "reason", "note", "notes", "comment", "remark", "cause", "message", "category", "outcome"]
)
"""Last words of columns that tell about an event."""
_MOMENTS = ("event_time", "stamp_at", "moment", "date", "datetime")
"""Types of moments that have happened, as against planned ones."""


# --- columns


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


def says_gone(table: Table, column: Column) -> bool:
    """True for a column that says whether a row is deleted or archived, save one that a lifecycle keeps."""
    kept = table.lifecycle is not None and column.key in table.lifecycle.stamps.values()
    return column.key in GONE and not kept and (column.nullable or is_a(column.type, "flag"))


def now_of(column: Column) -> str:
    """The bind that says when: the day where the column holds days."""
    return ":today" if semantic_type(column.type).temporal == "date" else ":now"


# --- changes


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


def touch(table: Table) -> dict[str, str]:
    """What a change of any content sets beside it: the columns that say when a row was last changed."""
    return {c.key: now_of(c) for c in table.columns if is_a(c.type, "updated_at")}


def assignments(table: Table, values: Mapping[str, str]) -> str:
    """The SET list of an UPDATE."""
    return ", ".join(f"{quote(table[k].name)} = {sql}" for k, sql in values.items())


def changing(
    site: Site, table: Table, values: Mapping[str, str], where: str, *, clauses: Mapping[str, tuple[str, str]] | None = None
) -> Write:  # fmt: skip
    """An UPDATE of the rows of a condition, with the formulas that follow.

    `clauses` has further columns, which are set where the call gives a parameter: its bind -> column and SQL.
    """
    every, further = dict(values), clauses or {}
    compute(table, every)
    sql = f"UPDATE {site.sql(table)} SET {assignments(table, every)}{'{clauses}' if further else ''} WHERE {where}"
    texts = {bind: f", {quote(table[key].name)} = {text}" for bind, (key, text) in further.items()}
    columns = tuple(dict.fromkeys([*every, *(key for key, _ in further.values())]))
    return Write(statement=Statement(sql=sql, clauses=texts), table=table.key, op="update", columns=columns)


def change_of(write: Write) -> Made:
    """What a Write changes."""
    return (write.table, write.op, write.columns)


# --- tools


def _needed(tool: Tool) -> tuple[Step, ...]:
    """The steps without a first look at whether the row is there, where the answer tells that as well."""
    match tool.steps:
        case (Find(into=("there",), when="", missing=missing), Write(op="update") as write) if (
            missing == tool.reply.missing
        ):
            return (write,)
    return tool.steps


def finish(site: Site, tool: Tool, changes: Iterable[Made]) -> Tool:
    """A writing tool with what it may change and which rules may refuse it: the schema's, and those of its own guards."""
    every = tuple(changes)
    own = dict.fromkeys(f.rule for f in _faults(tool.steps) if f.rule)
    rules = tuple(dict.fromkeys((*own, *site.met(every))))
    return replace(tool, read_only=False, steps=_needed(tool), writes=site.touched(every), rules=rules)


def _faults(steps: Iterable[Step]) -> Iterable[Fault]:
    for step in steps:
        if isinstance(step, Guard):
            yield step.fault
        elif not isinstance(step, Find | Write):
            yield from _faults(step.steps)


def done_reply(site: Site, table: Table) -> Reply:
    """The answer to a deletion: {deleted: true, id}."""
    fields = [
        Field(key="deleted", name="deleted", schema={"type": "boolean", "description": "Always true."}, convert="flag")
    ]
    for key, bind in zip(table.primary_key, site.key_binds(table), strict=True):
        schema = {
            **site.value_schema(table, table[key], given=False),
            "description": f"{site.describe(table, table[key])}.",
        }
        fields.append(Field(key=bind, name=site.field_name(table, key), schema=schema, table=table.key, column=key))
    sql = f"SELECT 1, {', '.join(f':{b}' for b in site.key_binds(table))}"
    return Reply(query=Statement(sql=sql), shape="value", fields=tuple(fields))


def count_reply(site: Site, table: Table, what: str = "changed", ids: str = "ids") -> Reply:
    """The answer to a bulk change: how many rows, and their IDs (a hundred at most), in order; `ids` binds them as JSON."""
    item = site.value_schema(table, table[table.primary_key[0]], given=False)
    shown = {
        "type": "array",
        "items": item,
        "description": f"Their IDs, in order; 100 at most of all {site.words.labels(table.key)}.",
    }
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
