"""Tools that write rows of one table: create, alone or with its parts, and update."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from worlddb.schema.ddl import bounds, formula_tokens
from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.schema.rules import quote
from worlddb.semantics.types import semantic_type
from worlddb.tools.kinds.fresh import Insertion, insertion
from worlddb.tools.kinds.parents import reference_guards
from worlddb.tools.kinds.remove import switch_column
from worlddb.tools.kinds.rows import GONE, LINKS, change_of, changing, finish, sides, touch
from worlddb.tools.model import Each, Fault, Field, Find, Guard, Param, Reply, Statement, Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article, listing, plain

ITEMS_MOST = 20
"""Parts that one call may create together with their whole."""
SETTERS_MOST = 3
"""Tools of one purpose (rename, set price …) that one table has at most."""


def propose(site: Site) -> Iterator[Tool]:
    """The writing tools of every table that has a key; tables that tie two others together have those of `link` instead."""
    for table in site.schema.tables:
        if not table.primary_key:
            continue
        if sides(site, table) is None:
            yield create(site, table)
            yield from create_with(site, table)
            yield from get_or_create(site, table)
        if table.archetype not in ("ledger", "event_log"):
            yield from update(site, table)
        yield from setters(site, table)
        yield from adjusters(site, table)


# --- create


def create(site: Site, table: Table) -> Tool:
    """A new row: what people know is asked for, what the system knows is filled in."""
    made = insertion(site, table)
    tool = Tool(
        key=f"{table.key}.create", kind="create", table=table.key, words=Words(verb="create"),
        description=f"Create a new {site.words.label(table.key)}.{_born(site, table)}{_needs(site, table)}", params=made.params,
        steps=made.steps, reply=site.row_reply(table), idempotent=False,
    )  # fmt: skip
    return finish(site, tool, [made.change])


def _born(site: Site, table: Table) -> str:
    machine = table.lifecycle
    return f" It starts as {machine.initial}." if machine else ""


def _needs(site: Site, table: Table) -> str:
    """A sentence on what must be there before a row can be created."""
    parents = dict.fromkeys(
        site.words.label(f.table) for f in table.foreign_keys if not f.nullable and f.table != table.key
    )
    return f" Needs an existing {listing(list(parents), 'and')}." if parents else ""


def create_with(site: Site, table: Table) -> Iterator[Tool]:
    """A header and its lines in one call."""
    if len(table.primary_key) != 1:
        return
    for child, reference in site.schema.children[table.key]:
        if _is_part(site, child, reference) and child.key != table.key:
            part = insertion(site, child, fixed={reference.columns[0]: ":id"}, prefix="item_")
            if part.params:  # else there is nothing to say of a child
                yield _create_with(site, table, child, reference, part)
                return


def _is_part(site: Site, child: Table, reference: ForeignKey) -> bool:
    """True where rows of a child make up the row that they refer to: an order's lines."""
    whole = next((f for f in child.foreign_keys if not f.nullable), None)
    part = child.archetype == "line" or (
        reference.on_delete == "CASCADE" and child.archetype not in (*LINKS, "settings")
    )
    return (
        part
        and whole is reference
        and len(reference.columns) == 1
        and len(child.primary_key) == 1
        and not reference.unique
    )


def _create_with(site: Site, table: Table, child: Table, reference: ForeignKey, part: Insertion) -> Tool:
    made = insertion(site, table)
    label, labels = site.words.label(child.key), site.words.labels(child.key)
    name = site.words.nouns(child.key)
    if name in {p.name for p in made.params}:
        name = f"new_{name}"
    schema = {
        "type": "array", "minItems": 1, "maxItems": ITEMS_MOST, "items": {"type": "object"},
        "description": f"The {labels} to create with it, 1 to {ITEMS_MOST}, each as for a new {label}.",
    }  # fmt: skip
    items = Param(
        key="items", name=name, schema=schema, required=True, role="items", fields=part.params, table=child.key
    )
    keys = [c.key for c in child.columns]
    inner = Reply(
        query=Statement(
            sql=f"SELECT {site.cols(child, keys)} FROM {site.sql(child)} AS t "
            f"WHERE {site.col(child, reference.columns[0])} = :id ORDER BY {site.cols(child, child.primary_key)}"
        ),
        shape="rows", fields=site.fields(child), keys=((child.key, site.places(child, keys)),),
    )  # fmt: skip
    required = [p for p in made.params if p.required]
    tool = Tool(
        key=f"{table.key}.create_with_{child.key}", kind="create", table=table.key,
        words=Words(verb="create", tail=f"with_{site.words.nouns(child.key)}"),
        description=f"Create a new {site.words.label(table.key)} with its {labels}, all or nothing.{_needs(site, table)}",
        params=(*required, items, *(p for p in made.params if not p.required)),
        steps=(*made.steps, Each(over="items", steps=part.steps)),
        reply=replace(site.row_reply(table), nested=((name, inner),)), idempotent=False,
    )  # fmt: skip
    return finish(site, tool, [made.change, part.change])


def get_or_create(site: Site, table: Table) -> Iterator[Tool]:
    """The row of a natural key, made where there is none."""
    column = next((c for c in table.columns if c.unique and _is_natural(site, table, c)), None)
    if column is None or table.lifecycle or len(table.primary_key) != 1:
        return
    name, key = quote(column.name), column.key
    made = insertion(site, table, tail=f" ON CONFLICT ({name}) DO NOTHING")
    if key not in {p.key for p in made.params if p.required}:
        return
    query = f"SELECT NOT EXISTS (SELECT 1 FROM {site.sql(table)} WHERE {name} = :{key})"
    gone = Fault(code="NOT_FOUND", message="There is none.")  # the query always has a row
    fresh = Field(
        key="made",
        name="created",
        schema={"type": "boolean", "description": "Whether it was created now."},
        convert="flag",
    )
    plain_reply = site.row_reply(table)
    keys = [c.key for c in table.columns]
    sql = f"SELECT {site.cols(table, keys)}, :made FROM {site.sql(table)} AS t WHERE {site.col(table, key)} = :{key}"
    word = site.words.field(table.key, key)
    label = site.words.label(table.key)
    tool = Tool(
        key=f"{table.key}.get_or_create", kind="create", table=table.key, words=Words(verb="get_or_create"),
        description=f"Get the {label} with this {plain(word)}, or create it where there is none. An existing one stays as it is.",
        params=made.params, steps=(Find(query=Statement(sql=query), into=("made",), missing=gone), *made.steps),
        reply=replace(plain_reply, query=Statement(sql=sql), fields=(*plain_reply.fields, fresh)),
    )  # fmt: skip
    yield finish(site, tool, [made.change])


def _is_natural(site: Site, table: Table, column: Column) -> bool:
    """True for a column by which people know a row, and which they choose themselves."""
    return (
        not site.system(table, column)
        and semantic_type(column.type).sql == "TEXT"
        and column.key not in table.key_columns
    )


# --- update


def open_columns(site: Site, table: Table) -> tuple[Column, ...]:
    """Columns that an agent may change in a row: what the system keeps stays, and references have tools of their own."""
    poly = table.polymorphic
    pair = (poly.type_column, poly.id_column) if poly else ()
    switch = switch_column(table)
    return tuple(
        c
        for c in table.columns
        if not site.system(table, c) and c.key not in table.primary_key and c.key not in pair and c.key not in GONE
        and c is not switch and (c.key not in table.key_columns or _is_loose(site, table, c))
    )  # fmt: skip


def _is_loose(site: Site, table: Table, column: Column) -> bool:
    """True for an optional reference that no other tool moves: to the own table, back from a parent, or of settings."""
    reference = site.references(table).get(column.key)
    if reference is None or not reference.nullable or any(column.key in u for u in table.uniques):
        return False
    back = any(f.table == table.key and not f.nullable for f in site.schema[reference.table].foreign_keys)
    return reference.table == table.key or back or table.archetype == "settings"


def update(site: Site, table: Table) -> Iterator[Tool]:
    """Any of the columns that agents may change."""
    if columns := open_columns(site, table):
        label = site.words.label(table.key)
        yield updating(
            site, table, columns, key="update", words=Words(verb="update"),
            description=f"Change details of {article(label)}. What is not given stays as it is.",
        )  # fmt: skip


def updating(
    site: Site,
    table: Table,
    columns: tuple[Column, ...],
    *,
    key: str,
    words: Words,
    description: str,
    whole: bool = False,
) -> Tool:
    """A tool that sets these columns of one row: those that are given, or with `whole` all of them."""
    operands = {t for c in table.columns if c.formula for t in formula_tokens(c.formula)}
    params, clauses, fixed = list[Param](), dict[str, tuple[str, str]](), dict[str, str]()
    for column in columns:
        read, bind = column.key in operands, f"new_{column.key}" if column.key in site.key_binds(table) else column.key
        param = site.value_param(table, column, required=whole, key=bind, nullable=False if read else None)
        if read:
            # a formula needs them all at once, so that what is not given is bound to NULL and stays
            param = param if whole else replace(param, binds_null=True)
            fixed[column.key] = f"coalesce(:{bind}, {quote(column.name)})"
        elif whole:
            fixed[column.key] = f":{bind}"
        else:
            clauses[bind] = (column.key, f":{bind}")
        params.append(param)
    fixed |= touch(table)
    first = fixed or {columns[0].key: quote(columns[0].name)}  # an UPDATE sets something, whatever is given
    write = changing(site, table, first, site.at_key(table, ""), clauses=clauses)
    guards = [
        g
        for p in params
        if p.column in site.references(table)
        for g in reference_guards(site, table, p.column, bind=p.key)
    ]
    own = site.key_params(table)
    tool = Tool(
        key=f"{table.key}.{key}", kind="update", table=table.key, words=words, description=description, params=(*own, *params),
        least=0 if whole else len(own) + 1, steps=(site.find(table), *guards, write), reply=site.row_reply(table),
    )  # fmt: skip
    return finish(site, tool, [change_of(write)])


_PURPOSES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("set_price", ("price", "unit_price"), "Set the price"),
    ("change_email", ("email",), "Change the e-mail address"),
    ("set_priority", ("priority",), "Set the priority"),
    ("change_address", ("street_address", "postal_code", "city"), "Change the address"),
    ("set_credit_limit", ("credit_limit",), "Set the credit limit"),
    ("change_phone", ("phone",), "Change the phone number"),
    ("set_capacity", ("capacity",), "Set the capacity"),
    ("set_due_date", ("due_on",), "Set the due date"),
    ("change_role", ("role",), "Change the role"),
    ("set_visibility", ("visibility",), "Set the visibility"),
    ("set_salary", ("salary",), "Set the salary"),
)
"""Tools of one purpose: what they are called, the columns that they set (all that are there), what they do."""


def setters(site: Site, table: Table) -> Iterator[Tool]:
    """Tools that change one thing: rename, set price, change address."""
    open_ = {c.key: c for c in open_columns(site, table)}
    label, found = site.words.label(table.key), list[Tool]()
    if table.title in open_ and table.title in ("title", "company_name", "name") and len(open_) > 1:
        words = Words(verb="rename")
        told = f"Give {article(label)} a new name."
        found.append(
            updating(site, table, (open_[table.title],), key="rename", words=words, description=told, whole=True)
        )
    for key, names, told in _PURPOSES:
        columns = tuple(open_[n] for n in names if n in open_)
        if columns and (len(columns) == len(names) or names[0] in ("price",)) and len(open_) > len(columns):
            verb, _, tail = key.partition("_")
            text = f"{told} of {article(label)}."
            found.append(
                updating(site, table, columns, key=key, words=Words(verb=verb, tail=tail), description=text, whole=True)
            )
    yield from found[:SETTERS_MOST]


_ADJUSTED = ("stock_level", "loyalty_points", "budget")
_ADJUSTED_KEYS = ("quantity", "stock", "on_hand", "in_stock", "available_units", "points", "seats")


def adjusters(site: Site, table: Table) -> Iterator[Tool]:
    """Amounts that go up and down by a difference: adjust stock."""
    for column in open_columns(site, table):
        kept = column.type in _ADJUSTED or (
            table.archetype in ("stock", "resource", "catalog_item") and column.key in _ADJUSTED_KEYS
        )
        if kept and semantic_type(column.type).sql == "INTEGER":
            yield _adjust(site, table, column)
            return


def _adjust(site: Site, table: Table, column: Column) -> Tool:
    label, what = site.words.label(table.key), site.words.column_label(table.key, column.key)
    low, high = bounds(column, semantic_type(column.type))
    schema = {
        "type": "integer",
        "minimum": -1_000_000,
        "maximum": 1_000_000,
        "description": f"How much to add to the {what}; negative to take away.",
    }
    delta = Param(key="delta", name="delta", schema=schema, required=True)
    guards = [
        _bound_guard(table, column, what, sign, limit) for sign, limit in (("<", low), (">", high)) if limit is not None
    ]
    sum_ = f"coalesce({quote(column.name)}, 0) + :delta"
    write = changing(site, table, {column.key: sum_} | touch(table), site.at_key(table, ""))
    tool = Tool(
        key=f"{table.key}.adjust_{column.key}", kind="update", table=table.key,
        words=Words(verb="adjust", tail=site.words.field(table.key, column.key)),
        description=f"Add to the {what} of {article(label)}, or take away from it. Refused where it would leave its bounds.",
        params=(*site.key_params(table), delta), steps=(site.find(table, (column.key,)), *guards, write),
        reply=site.row_reply(table), idempotent=False,
    )  # fmt: skip
    return finish(site, tool, [change_of(write)])


def _bound_guard(table: Table, column: Column, what: str, sign: str, limit: float) -> Guard:
    sum_ = f"coalesce(:was_{column.key}, 0) + :delta"
    edge = "least" if sign == "<" else "most"
    fault = Fault(
        code="RULE_VIOLATION", message=f"The {what} is {{was_{column.key}}}; a change by {{delta}} would make it {{after}}.",
        parameter="delta", rule=f"bounds:{table.key}.{column.key}",
        cure=f"It must stay at {edge} {limit}: the delta can be {{edge}} at {edge}.",
    )  # fmt: skip
    sql = f"SELECT {sum_} AS after, {limit} - coalesce(:was_{column.key}, 0) AS edge WHERE {sum_} {sign} {limit}"
    return Guard(query=Statement(sql=sql), fault=fault)
