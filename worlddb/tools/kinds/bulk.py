"""Tools that change many rows in one call, all or nothing: by a list of IDs, or by what the rows have in common."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from worlddb.schema.model import Column, Lifecycle, Table
from worlddb.schema.rules import SumEq, literal
from worlddb.semantics.types import semantic_type
from worlddb.tools.kinds.fresh import insertion
from worlddb.tools.kinds.link import listed_guard
from worlddb.tools.kinds.parents import dead_ends
from worlddb.tools.kinds.remove import in_use_guards, switch_column
from worlddb.tools.kinds.rows import LOGS, change_of, changing, count_reply, finish, now_of, says_gone, sides, touch
from worlddb.tools.kinds.transition import Way, consequences, ids_guards, moving, ways
from worlddb.tools.model import Each, Fault, Find, Param, Statement, Step, Tool, Words, Write
from worlddb.tools.site import Site
from worlddb.tools.words import article, listing, state_word

IDS_MOST = 50
ROWS_MOST = 20
MANY = "IN (SELECT value FROM json_each(:ids))"
"""The rows of a call as a condition on their key."""
_NONE = Fault(code="NOT_FOUND", message="There are none.")
"""Of queries that always have a row."""
_DATED = ("expired", "overdue", "lapsed", "past_due", "no_show", "overstayed", "late")
"""States that rows come into by the calendar."""
_DUE = (
    "due_on",
    "due_at",
    "expires_on",
    "expires_at",
    "valid_to",
    "ends_on",
    "end_at",
    "ends_at",
    "valid_until",
    "deadline",
)
_STALE = ("last_seen_at", "last_activity_at", "last_login_at", "updated_at")


def propose(site: Site) -> Iterator[Tool]:
    """The bulk tools of every table with a key of one column."""
    for table in site.schema.tables:
        if len(table.primary_key) != 1 or sides(site, table) is not None:
            continue
        if table.lifecycle:
            yield from transitions(site, table, table.lifecycle)
            yield from by_date(site, table, table.lifecycle)
        yield from retire(site, table)
        if not table.lifecycle and not any(f.unique for f in table.foreign_keys):
            yield create_listed(site, table)
        yield from purge(site, table)


def ids_param(site: Site, table: Table, done: str) -> Param:
    """The rows that a call is about."""
    item = site.value_schema(table, table[table.primary_key[0]], given=True)
    text = f"IDs of the {site.words.labels(table.key)} to {done}, 1 to {IDS_MOST}."
    return site.keys_param(table, f"{site.words.noun(table.key)}_ids", item, text, most=IDS_MOST)


def _before(site: Site, table: Table, column: Column, *, required: bool = True, default: str = "") -> Param:
    """The moment or day before which the rows of a call lie."""
    note = f"only those before this{default}"
    return site.value_param(
        table, column, required=required, nullable=False, key="before", name="before", role="filter", note=note
    )


def keyed(site: Site, table: Table) -> str:
    """The condition that picks the rows of the call."""
    return f"{site.col(table, table.primary_key[0], '')} {MANY}"


def chosen(site: Site, table: Table, condition: str) -> Find:
    """Notes the keys of the rows that meet a condition, before they change."""
    key = site.col(table, table.primary_key[0])
    sql = (
        f"SELECT json_group_array(k) FROM (SELECT {key} AS k FROM {site.sql(table)} AS t WHERE {condition} ORDER BY k)"
    )
    return Find(query=Statement(sql=sql), into=("ids",), missing=_NONE)


def bulk_tool(
    site: Site, table: Table, key: str, words: Words, description: str, params: tuple[Param, ...], steps: tuple[Step, ...],
    *, done: str = "changed", least: int = 0, destructive: bool = False, idempotent: bool = True,
) -> Tool:  # fmt: skip
    """A bulk tool that answers how many rows it changed, and which: `ids` is bound by its steps or given."""
    writes = [s for s in steps if isinstance(s, Write)]
    tool = Tool(
        key=f"{table.key}.{key}", kind="bulk", table=table.key, words=words, description=description, params=params, steps=steps,
        reply=count_reply(site, table, done), least=least, destructive=destructive, idempotent=idempotent,
    )  # fmt: skip
    return finish(site, tool, [change_of(w) for w in writes])


# --- states


def transitions(site: Site, table: Table, machine: Lifecycle) -> Iterator[Tool]:
    """The first step of the usual way, its end, and the first dead end: for a list of rows."""
    every = ways(site, table)
    wanted = [*machine.happy[1:2], *machine.happy[-1:], *dead_ends(machine)[:1]]
    for state in dict.fromkeys(wanted):
        if way := next((w for w in every if w.to == state), None):
            yield _transition(site, table, machine, way)


def _transition(site: Site, table: Table, machine: Lifecycle, way: Way) -> Tool:
    labels = site.words.labels(table.key)
    guards, others, says = consequences(site, table, machine, way, MANY)
    text = f"{' '.join(way.verb.of(f' several {labels} ').split())}, all or none: they become {way.to}."
    return bulk_tool(
        site, table, f"bulk_{way.stem}", replace(way.words, template=way.verb.name("{noun}"), many=True),
        f"{text[:1].upper()}{text[1:]} Each must be {listing(way.origins)}.{''.join(f' {s}' for s in says)}",
        (ids_param(site, table, way.verb.phrase),),
        (listed_guard(site, table, "ids"), *ids_guards(site, table, machine, way), *guards, *others,
         moving(site, table, machine, way, keyed(site, table))),
        destructive=way.to in dead_ends(machine),
    )  # fmt: skip


def by_date(site: Site, table: Table, machine: Lifecycle) -> Iterator[Tool]:
    """Moves everything whose day has come: expire offers, mark invoices as overdue."""
    due = next(
        (table[k] for k in _DUE if k in table and semantic_type(table[k].type).temporal in ("date", "datetime")), None
    )
    way = next((w for w in ways(site, table) if state_word(w.to) in _DATED), None)
    if due is None or way is None:
        return
    day = _before(site, table, due, required=False, default="; default: now")
    now = ":today" if semantic_type(due.type).temporal == "date" else ":now"
    state = site.col(table, machine.column)
    origins = ", ".join(map(literal, way.origins))
    found = chosen(
        site, table, f"{state} IN ({origins}) AND {site.col(table, due.key)} < min(coalesce(:before, {now}), {now})"
    )
    guards, others, says = consequences(site, table, machine, way, MANY)
    label, labels = site.words.column_label(table.key, due.key), site.words.labels(table.key)
    yield bulk_tool(
        site, table, f"bulk_{way.stem}_due", replace(way.words, template=way.verb.name("{noun}"), many=True, tail="by_date"),
        f"Every one of the {labels} that is {listing(way.origins)} and whose {label} has passed becomes {way.to}."
        f"{''.join(f' {s}' for s in says)}",
        (replace(day, binds_null=True),),
        (found, *guards, *others, moving(site, table, machine, way, keyed(site, table))),
    )  # fmt: skip


# --- out of use, gone


def retire(site: Site, table: Table) -> Iterator[Tool]:
    """Switches off what nobody has touched for long."""
    switch = switch_column(table)
    seen = next((table[k] for k in _STALE if k in table and semantic_type(table[k].type).temporal == "datetime"), None)
    if switch is None or seen is None:
        return
    before = _before(site, table, seen)
    found = chosen(
        site, table, f"coalesce({site.col(table, switch.key)}, 1) = 1 AND {site.col(table, seen.key)} < :before"
    )
    label = site.words.column_label(table.key, seen.key)
    yield bulk_tool(
        site, table, "deactivate_stale", Words(verb="deactivate", many=True, template="deactivate_stale_{noun}"),
        f"Deactivate all active {site.words.labels(table.key)} whose {label} lies before a moment.", (before,),
        (found, changing(site, table, {switch.key: "0"} | touch(table), keyed(site, table))), destructive=True,
    )  # fmt: skip


def purge(site: Site, table: Table) -> Iterator[Tool]:
    """Deletes old rows of a protocol, or what has expired, as far as nothing refers to it."""
    if any(says_gone(table, c) for c in table.columns) or _is_summed(site, table):
        return
    expiry = next((k for k in ("expires_on", "expires_at", "valid_to") if k in table), "")
    born = (
        next((k for k in ("recorded_at", "created_at") if k in table), "")
        if table.archetype in (*LOGS, "message")
        else ""
    )
    column = table[expiry or born] if expiry or born else None
    if column is None or table.lifecycle or not semantic_type(column.type).temporal:
        return
    before = _before(site, table, column)
    where = f"{site.col(table, column.key)} < min(:before, {now_of(column)})"
    write = Write(
        statement=Statement(sql=f"DELETE FROM {site.sql(table)} WHERE {keyed(site, table)}"),
        table=table.key,
        op="delete",
    )
    free = _unused(site, table)
    labels = site.words.labels(table.key)
    word = "expired" if expiry else "old"
    kept = " Those to which other records refer are kept." if free else ""
    yield bulk_tool(
        site, table, f"delete_{word}", Words(verb="bulk_delete", many=True, template=f"delete_{word}_{{noun}}"),
        f"Delete all {labels} whose {site.words.column_label(table.key, column.key)} lies before a day that has passed.{kept}",
        (before,), (chosen(site, table, where + free), write), done="deleted", destructive=True,
    )  # fmt: skip


def _is_summed(site: Site, table: Table) -> bool:
    return any(isinstance(r, SumEq) and r.of == table.key for r in site.schema.rules)


def _unused(site: Site, table: Table) -> str:
    """That no row refers to one: what people mean by cleaning up."""
    if not in_use_guards(site, table):
        return ""
    return "".join(
        f" AND NOT EXISTS (SELECT 1 FROM {site.sql(child)} AS c "
        f"WHERE {site.col(child, f.columns[0], 'c')} = {site.col(table, f.ref[0])})"
        for child, f in site.schema.children[table.key]
        if len(f.columns) == 1
    )


# --- new rows


def create_listed(site: Site, table: Table) -> Tool:
    """Several new rows at once."""
    made = insertion(site, table, prefix="item_")
    label, labels = site.words.label(table.key), site.words.labels(table.key)
    schema = {
        "type": "array", "minItems": 1, "maxItems": ROWS_MOST, "items": {"type": "object"},
        "description": f"The {labels} to create, 1 to {ROWS_MOST}, each as for a new {label}.",
    }  # fmt: skip
    items = Param(
        key="items",
        name=site.words.nouns(table.key),
        schema=schema,
        required=True,
        role="items",
        fields=made.params,
        table=table.key,
    )
    last = Find(
        query=Statement(sql=f"SELECT coalesce(max(rowid), 0) FROM {site.sql(table)}"), into=("last",), missing=_NONE
    )
    key = site.col(table, table.primary_key[0])
    since = f"SELECT {key} AS k FROM {site.sql(table)} AS t WHERE t.rowid > :last ORDER BY t.rowid"
    fresh = f"SELECT json_group_array(k) FROM ({since})"
    tool = bulk_tool(
        site, table, "bulk_create", Words(verb="bulk_create", many=True),
        f"Create several {labels} in one call, all or none; {article(label)} that is refused is named by its place.",
        (items,), (last, Each(over="items", steps=made.steps), Find(query=Statement(sql=fresh), into=("ids",), missing=_NONE)),
        done="created", idempotent=False,
    )  # fmt: skip
    return finish(site, tool, [made.change])
