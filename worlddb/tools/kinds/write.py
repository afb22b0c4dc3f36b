"""Tools that write rows of one table: create, alone or with its parts, update, delete, archive and restore."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from worlddb.schema.ddl import bounds, formula_tokens
from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.schema.rules import literal, quote
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.kinds.rows import (
    GONE,
    LINKS,
    LOGS,
    change_of,
    changing,
    compute,
    done_reply,
    final,
    finish,
    insertion,
    now_of,
    reference_guards,
    same_key,
    sides,
    several,
    touch,
)  # fmt: skip
from worlddb.tools.model import Each, Fault, Field, Find, Guard, Param, Reply, Statement, Tool, Words, Write
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
        gone = [c for c in table.columns if c.key in GONE]
        if sides(site, table) is None and not gone:
            yield delete(site, table)
        yield from switches(site, table)


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
    parents = dict.fromkeys(site.words.label(f.table) for f in table.foreign_keys if not f.nullable and f.table != table.key)
    return f" Needs an existing {listing(list(parents), 'and')}." if parents else ""


def create_with(site: Site, table: Table) -> Iterator[Tool]:
    """A header and its lines in one call."""
    if len(table.primary_key) != 1:
        return
    for child, reference in site.schema.children[table.key]:
        if _is_part(site, child, reference) and child.key != table.key:
            yield _create_with(site, table, child, reference)
            return


def _is_part(site: Site, child: Table, reference: ForeignKey) -> bool:
    """True where rows of a child make up the row that they refer to: an order's lines."""
    whole = next((f for f in child.foreign_keys if not f.nullable), None)
    part = child.archetype == "line" or (reference.on_delete == "CASCADE" and child.archetype not in (*LINKS, "settings"))
    return part and whole is reference and len(reference.columns) == 1 and len(child.primary_key) == 1 and not reference.unique


def _create_with(site: Site, table: Table, child: Table, reference: ForeignKey) -> Tool:
    made = insertion(site, table)
    part = insertion(site, child, fixed={reference.columns[0]: ":id"}, prefix="item_")
    label, labels = site.words.label(child.key), site.words.labels(child.key)
    name = site.words.nouns(child.key)
    if name in {p.name for p in made.params}:
        name = f"new_{name}"
    schema = {
        "type": "array", "minItems": 1, "maxItems": ITEMS_MOST, "items": {"type": "object"},
        "description": f"The {labels} to create with it, 1 to {ITEMS_MOST}, each as for a new {label}.",
    }  # fmt: skip
    items = Param(key="items", name=name, schema=schema, required=True, role="items", fields=part.params, table=child.key)
    keys = [c.key for c in child.columns]
    inner = Reply(
        query=Statement(
            sql=f"SELECT {site.cols(child, keys)} FROM {site.sql(child)} AS t WHERE {site.col(child, reference.columns[0])} = :id "
            f"ORDER BY {site.cols(child, child.primary_key)}"
        ),
        shape="rows", fields=site.fields(child), keys=((child.key, site.places(child, keys)),),
    )  # fmt: skip
    required = [p for p in made.params if p.required]
    tool = Tool(
        key=f"{table.key}.create_with_{child.key}", kind="create", table=table.key,
        words=Words(verb="create", tail=f"with_{site.words.nouns(child.key)}"),
        description=f"Create a new {site.words.label(table.key)} together with its {labels}, all or nothing.{_needs(site, table)}",
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
    fresh = Field(key="made", name="created", schema={"type": "boolean", "description": "Whether it was created now."}, convert="flag")
    plain_reply = site.row_reply(table)
    keys = [c.key for c in table.columns]
    sql = f"SELECT {site.cols(table, keys)}, :made FROM {site.sql(table)} AS t WHERE {site.col(table, key)} = :{key}"
    word = site.words.field(table.key, key)
    label = site.words.label(table.key)
    tool = Tool(
        key=f"{table.key}.get_or_create", kind="create", table=table.key, words=Words(verb="get_or_create"),
        description=f"Get the {label} with this {plain(word)}, or create it where there is none. An existing {label} is not changed.",
        params=made.params, steps=(Find(query=Statement(sql=query), into=("made",), missing=gone), *made.steps),
        reply=replace(plain_reply, query=Statement(sql=sql), fields=(*plain_reply.fields, fresh)),
    )  # fmt: skip
    yield finish(site, tool, [made.change])


def _is_natural(site: Site, table: Table, column: Column) -> bool:
    """True for a column by which people know a row, and which they choose themselves."""
    return not site.system(table, column) and semantic_type(column.type).sql == "TEXT" and column.key not in table.key_columns


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


def updating(site: Site, table: Table, columns: tuple[Column, ...], *, key: str, words: Words, description: str, whole: bool = False) -> Tool:
    """A tool that sets these columns of one row: those that are given, or with `whole` all of them."""
    operands = {t for c in table.columns if c.formula for t in formula_tokens(c.formula)}
    params, clauses, fixed = list[Param](), dict[str, str](), dict[str, str]()
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
            clauses[bind] = f", {quote(column.name)} = :{bind}"
        params.append(param)
    fixed |= touch(table)
    compute(table, fixed)
    first = fixed or {columns[0].key: quote(columns[0].name)}
    sets = ", ".join(f"{quote(table[k].name)} = {sql}" for k, sql in first.items())
    sql = f"UPDATE {site.sql(table)} AS t SET {sets}{'' if whole else '{clauses}'} WHERE {site.at_key(table)}"
    changed = tuple(dict.fromkeys([*fixed, *(c.key for c in columns)]))
    write = Write(statement=Statement(sql=sql, clauses=clauses), table=table.key, op="update", columns=changed)
    guards = [g for p in params if p.column in site.references(table) for g in reference_guards(site, table, p.column, bind=p.key)]
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
        found.append(updating(site, table, (open_[table.title],), key="rename", words=words, description=told, whole=True))
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
        kept = column.type in _ADJUSTED or (table.archetype in ("stock", "resource", "catalog_item") and column.key in _ADJUSTED_KEYS)
        if kept and semantic_type(column.type).sql == "INTEGER":
            yield _adjust(site, table, column)
            return


def _adjust(site: Site, table: Table, column: Column) -> Tool:
    label, what = site.words.label(table.key), site.words.column_label(table.key, column.key)
    low, high = bounds(column, semantic_type(column.type))
    schema = {"type": "integer", "minimum": -1_000_000, "maximum": 1_000_000, "description": f"How much to add to the {what}; negative to take away."}
    delta = Param(key="delta", name="delta", schema=schema, required=True)
    guards = [_bound_guard(table, column, what, sign, limit) for sign, limit in (("<", low), (">", high)) if limit is not None]
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
    fault = Fault(
        code="RULE_VIOLATION", message=f"The {what} is {{was_{column.key}}}; a change by {{delta}} would make it {{after}}.",
        parameter="delta", rule=f"bounds:{table.key}.{column.key}",
        cure=f"It must stay at {'least' if sign == '<' else 'most'} {limit}: the delta can be {{edge}} at {'least' if sign == '<' else 'most'}.",
    )  # fmt: skip
    sql = f"SELECT {sum_} AS after, {limit} - coalesce(:was_{column.key}, 0) AS edge WHERE {sum_} {sign} {limit}"
    return Guard(query=Statement(sql=sql), fault=fault)


# --- delete


def delete(site: Site, table: Table) -> Tool:
    """Removes one row: refused while something else refers to it; its parts go along."""
    guards = [*_deletable_state(site, table), *in_use_guards(site, table)]
    parts = [child for child, reference in site.schema.children[table.key] if reference.on_delete == "CASCADE"]
    notes = [(t, _notes_of(site, t, table)) for t in site.schema.tables if t.polymorphic and table.key in t.polymorphic.tables]
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
        steps=(site.find(table, (machine.column,) if machine else ()), *guards, *writes), reply=done_reply(site, table), destructive=True,
    )  # fmt: skip
    return finish(site, tool, [change_of(w) for w in writes])


def _deletable_state(site: Site, table: Table) -> list[Guard]:
    machine = table.lifecycle
    if machine is None:
        return []
    was = f":was_{machine.column}"
    label = site.words.label(table.key)
    fault = Fault(
        code="RULE_VIOLATION", message=f"The {label} is {{state}}; only {article(label)} that is {plainly(machine.initial)} can be deleted.",
        rule=f"state:{table.key}.delete", cure="Leave it as it is, or move it to a final state instead.",
    )  # fmt: skip
    return [Guard(query=Statement(sql=f"SELECT {was} AS state WHERE {was} IS NOT {literal(machine.initial)}"), fault=fault)]


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
        elif not reference.on_delete and len(table.primary_key) == 1:
            found.append(_in_use(site, table, child, reference))
    return found


def _goes_along(site: Site, table: Table, child: Table) -> bool:
    return any(c.key == child.key and f.on_delete == "CASCADE" for c, f in site.schema.children[table.key])


def _in_use(site: Site, table: Table, child: Table, reference: ForeignKey, through: tuple[Table, ForeignKey] | None = None) -> Guard:
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
        code="CONFLICT", message=f"{{n}} {labels} still refer to this {label}{by}.", rule=f"in_use:{child.key}", cure=cure
    )
    sql = f"SELECT count(*) AS n FROM {site.sql(child)} AS c WHERE {where} HAVING count(*) > 0"
    return Guard(query=Statement(sql=sql), fault=fault)


# --- archive and restore


_SWITCHES = (("deactivate", "activate"), ("disable", "enable"), ("switch_off", "switch_on"))


def switch_column(table: Table) -> Column | None:
    """The flag that says whether a row is in use."""
    return next((c for c in table.columns if c.type == "is_active" or (c.key == "is_active" and is_a(c.type, "flag"))), None)


def switches(site: Site, table: Table) -> Iterator[Tool]:
    """Taking a row out of use and back: by its flags of activity and of deletion."""
    taken = {v.imperative for v in site.words.moves(table.key).values()}
    gone = [c for c in table.columns if c.key in GONE and not site_stamp(table, c)]
    if gone and not taken & {"archive", "restore"}:
        yield _switch(site, table, gone[0], "archive", "archive", "archived", off=True)
        yield _switch(site, table, gone[0], "restore", "restore", "archived", off=False)
    column = switch_column(table)
    pair = next((p for p in _SWITCHES if not taken & set(p)), None)
    if column is not None and pair is not None:
        yield _switch(site, table, column, pair[0], "archive", "active", off=True)
        yield _switch(site, table, column, pair[1], "restore", "active", off=False)


def site_stamp(table: Table, column: Column) -> bool:
    """True for a column that a lifecycle keeps."""
    return table.lifecycle is not None and column.key in table.lifecycle.stamps.values()


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
    guards = [Guard(query=Statement(sql=f"SELECT 1 AS so FROM {site.sql(table)} WHERE {where} AND {already}"), fault=fault)]
    blocks = open_children(site, table) if off else []
    guards += [open_guard(site, table, child, f, verb) for child, f in blocks]
    write = changing(site, table, {column.key: value_sql} | touch(table), where)
    text = f"{plain(verb).capitalize()} {article(label)}: {'it takes no new records, but is kept' if off else 'it can be used again'}."
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
    machine = child.lifecycle
    assert machine is not None
    state = site.col(child, machine.column, "c")
    ended = ", ".join(map(literal, final(machine)))
    labels, label = site.words.labels(child.key), site.words.label(table.key)
    sql = (
        f"SELECT count(*) AS n, min({state}) AS state FROM {site.sql(child)} AS c WHERE {site.col(child, reference.columns[0], 'c')} {pick} "
        f"AND {state} NOT IN ({ended}) HAVING count(*) > 0"
    )
    fault = Fault(
        code="CONFLICT", message=f"The {label} still has {{n}} open {labels}, such as one that is {{state}}.", rule=f"open:{child.key}",
        cure=f"Bring these {labels} to an end first: each must be {listing([plainly(s) for s in final(machine)])}.",
    )  # fmt: skip
    return Guard(query=Statement(sql=sql), fault=fault)
