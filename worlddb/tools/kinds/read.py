"""Tools that show rows: get one by its key, find it by what people know, list with filters, search in text."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.schema.rules import literal
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.kinds.filters import Filter, filtered, filters, named, page_params, sort_param
from worlddb.tools.kinds.views import bind, is_category, main_moment, secret, single_references, view
from worlddb.tools.model import Fault, Param, Reply, Step, Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article

MOST_NESTED = 50
"""Children that stand in the answer with their parent."""
MOST_MANY = 50
"""Rows that are got in one call, or that share a name."""
NESTING = 2
"""Kinds of children with which a row can be got."""
MOST_COLUMNS = 4
"""Columns that one search looks into."""


def propose(site: Site) -> Iterator[Tool]:
    """The reading tools of every table."""
    for table in site.schema.tables:
        yield get_one(site, table)
        yield from get_with_children(site, table)
        yield from get_many(site, table)
        yield from get_by_reference(site, table)
        yield from find_unique(site, table)
        yield from find_named(site, table)
        yield list_rows(site, table)
        yield from list_of_parent(site, table)
        yield from list_scopes(site, table)
        yield from search(site, table)


# --- get


def get_one(site: Site, table: Table) -> Tool:
    """One row by its key."""
    label, shown = site.words.label(table.key), view(site, table)
    return Tool(
        key=f"{table.key}.get", kind="get", table=table.key, words=Words(verb="get"),
        description=f"Get one {label} by its ID, with all its details.", params=site.key_params(table),
        reply=shown.reply(site.at_key(table), "row", site.missing(table)),
    )  # fmt: skip


def get_with_children(site: Site, table: Table) -> Iterator[Tool]:
    """One row with those that belong to it: an order with its lines."""
    if len(table.primary_key) > 1:
        return
    found = [(c, f) for c, f in site.schema.children[table.key] if _nests(site, c, f)]
    ranked = sorted(found, key=lambda one: (one[1].on_delete != "CASCADE", one[0].archetype != "line", one[1].nullable))
    seen: set[str] = set()
    for child, reference in ranked:
        if child.key not in seen and len(seen) < NESTING:
            seen.add(child.key)
            yield _with_children(site, table, child, reference)


def _nests(site: Site, child: Table, reference: ForeignKey) -> bool:
    single = reference in single_references(site, child) and not reference.unique
    return single and child.key != reference.table


def _with_children(site: Site, table: Table, child: Table, reference: ForeignKey) -> Tool:
    one, nouns, labels = get_one(site, table), site.words.nouns(child.key), site.words.labels(child.key)
    shown, here = view(site, child), reference.columns[0]
    latest = main_moment(child)
    order = f"{site.col(child, latest.key)} DESC, " if latest else ""
    keys = site.cols(child, child.primary_key)
    own = table.primary_key[0] if "id" in table else "id"  # the row's own columns are bound there too
    mine = f"{site.col(child, here)} = :{own}"
    inner = shown.reply(f"{mine} ORDER BY {order}{keys} LIMIT {MOST_NESTED}", "rows")
    taken = {f.name for f in one.reply.fields}
    name = nouns if nouns not in taken else f"{nouns}_list"
    which = f"the latest {MOST_NESTED} of them" if latest else f"the first {MOST_NESTED} of them"
    return replace(
        one, key=f"{table.key}.get_with_{child.key}", words=Words(verb="get", tail=f"with_{nouns}"),
        description=f"Get one {site.words.label(table.key)} by its ID together with its {labels} ({which} where there are more).",
        reply=replace(one.reply, nested=((name, inner),)),
    )  # fmt: skip


def get_many(site: Site, table: Table) -> Iterator[Tool]:
    """Several rows by their keys, in one call."""
    if len(table.primary_key) > 1:
        return
    (one,) = site.key_params(table)
    labels, shown, key = site.words.labels(table.key), view(site, table), site.col(table, table.primary_key[0])
    text = f"IDs of the {labels}, at most {MOST_MANY}."
    name = f"{site.words.noun(table.key)}_ids"
    ids = site.keys_param(table, name, one.schema, text, most=MOST_MANY, unique=False, role="key")
    yield Tool(
        key=f"{table.key}.get_many", kind="get", table=table.key, words=Words(verb="get", many=True, tail="by_ids"),
        description=f"Get several {labels} by their IDs in one call, ordered by ID. IDs that do not exist are left out.",
        params=(ids,), reply=shown.reply(f"{key} IN (SELECT value FROM json_each(:ids)) ORDER BY {key}", "rows"),
    )  # fmt: skip


def get_by_reference(site: Site, table: Table) -> Iterator[Tool]:
    """The one row that belongs to a parent: the profile of a user."""
    for reference in single_references(site, table):
        here = reference.columns[0]
        if not (reference.unique or table[here].unique) or (here,) == table.primary_key:
            continue
        parent, label, shown = site.schema[reference.table], site.words.label(table.key), view(site, table)
        param = asked(site, table, table[here])
        role = site.words.column_label(table.key, here)
        missing = Fault(
            code="NOT_FOUND", message=f"There is no {label} whose {role} has ID {{{param.key}}}.", parameter=param.key,
            cure=f"Check the ID by listing or searching {site.words.labels(parent.key)}; not every one has {article(label)}.",
        )  # fmt: skip
        yield Tool(
            key=f"{table.key}.get_by_{here}", kind="get", table=table.key,
            words=Words(verb="get", tail=f"of_{site.words.field(table.key, here)}"),
            description=f"Get the {label} of {article(role)}, by the ID of the {role}.", params=(param,),
            reply=shown.reply(f"{site.col(table, here)} = :{param.key}", "row", missing),
        )  # fmt: skip


def asked(site: Site, table: Table, column: Column) -> Param:
    """The parameter that a column must equal."""
    return site.value_param(table, column, required=True, role="key", nullable=False, key=bind(column.key))


# --- find


def find_unique(site: Site, table: Table) -> Iterator[Tool]:
    """The row with a value, or values, that no other row has."""
    sets = [(c.key,) for c in table.columns if c.unique] + list(table.uniques)
    refers = site.references(table)
    for keys in sets:
        if keys == table.primary_key or (len(keys) == 1 and (keys[0] in refers or secret(table[keys[0]]))):
            continue
        params = tuple(asked(site, table, table[k]) for k in keys)
        label, shown = site.words.label(table.key), view(site, table)
        what = " and ".join(site.words.column_label(table.key, k) for k in keys)
        said = " / ".join(f"{{{p.key}}}" for p in params)
        missing = Fault(
            code="NOT_FOUND", message=f"There is no {label} with {what} {said}.", parameter=params[0].key,
            cure=f"Check the spelling, or look the {label} up by listing or searching {site.words.labels(table.key)}.",
        )  # fmt: skip
        words = [site.words.field(table.key, k) for k in keys]
        loose = len(keys) == 1 and len(table.primary_key) == 1 and semantic_type(table[keys[0]].type).sql == "TEXT"
        condition = _forgiving(site, table, keys[0]) if loose else " AND ".join(
            f"{site.col(table, k)} = :{bind(k)}" for k in keys
        )  # fmt: skip
        yield Tool(
            key=f"{table.key}.find_by_{'_'.join(keys)}", kind="find", table=table.key,
            words=Words(verb="find", tail=f"by_{'_and_'.join(words)}"),
            description=f"Find the one {label} with this {what}{'; letter case does not matter' if loose else ''}.",
            params=params, reply=shown.reply(condition, "row", missing),
        )  # fmt: skip


def _forgiving(site: Site, table: Table, key: str) -> str:
    """The row with exactly this text, else one with the same letters: the slow look happens only where the index has none."""
    own, column = site.col(table, table.primary_key[0], "u"), site.col(table, key, "u")
    found = f"SELECT {own} FROM {site.sql(table)} AS u WHERE {column} = :{bind(key)}"
    loose = f"{found} COLLATE NOCASE ORDER BY {own} LIMIT 1"
    return f"{site.col(table, table.primary_key[0])} = coalesce(({found}), ({loose}))"


def find_named(site: Site, table: Table) -> Iterator[Tool]:
    """The rows of a name, an e-mail address or a number that others may share."""
    known = [c for c in table.columns if _is_known_by(table, c)]
    for column in sorted(known, key=lambda c: c.key != table.title)[:3]:
        param = asked(site, table, column)
        labels, shown = site.words.labels(table.key), view(site, table)
        what = site.words.column_label(table.key, column.key)
        same = f"{site.col(table, column.key)} = :{param.key} COLLATE NOCASE"
        yield Tool(
            key=f"{table.key}.find_by_{column.key}", kind="find", table=table.key,
            words=Words(verb="find", many=True, tail=f"by_{site.words.field(table.key, column.key)}"),
            description=f"Find the {labels} with exactly this {what} (letter case does not matter), at most {MOST_MANY}. "
                        f"The list is empty where none has it.",
            params=(param,),
            reply=shown.reply(f"{same} ORDER BY {site.cols(table, table.primary_key)} LIMIT {MOST_MANY}", "rows"),
        )  # fmt: skip


def _is_known_by(table: Table, column: Column) -> bool:
    """True for text by which people look something up although several rows may have it."""
    kind = semantic_type(column.type)
    if kind.sql != "TEXT" or column.unique or column.key in table.key_columns or column.values or secret(column):
        return False
    # e-mail addresses, phone numbers and all that is called a number or code of the business
    kinds = ("email", "phone_number", "identifier", "person_name", "company_name")
    return column.key == table.title or any(is_a(column.type, k) for k in kinds)


# --- list


def list_rows(site: Site, table: Table) -> Tool:
    """Rows by filters, sorted, in pages."""
    labels = site.words.labels(table.key)
    return listing(
        site, table, key=f"{table.key}.list", words=Words(verb="list", many=True),
        text=f"List {labels}, optionally filtered; all filters given must hold.", found=filters(site, table),
    )  # fmt: skip


def listing(
    site: Site, table: Table, *, key: str, words: Words, text: str, found: list[Filter], own: tuple[Param, ...] = (),
    steps: tuple[Step, ...] = (), condition: str = "1", order: str = "", kind: str = "list",
) -> Tool:  # fmt: skip
    """A list of rows that meet a condition and some filters; `order` is a fixed one, instead of the parameter."""
    shown = view(site, table)
    sort, orders = sort_param(site, table)
    sorting = (sort,) if not order else ()
    rows = f"FROM {shown.source} WHERE {condition}{{clauses}}"
    sql = f"SELECT {shown.select} {rows} ORDER BY {order or '{sort}'} LIMIT :limit + 1 OFFSET :offset"
    return Tool(
        key=key, kind=kind, table=table.key, words=words, description=text, steps=steps,
        params=named((*own, *sorting, *page_params()), found),
        reply=Reply(
            query=filtered(sql, found, {"sort": orders} if sorting else None), shape="page",
            fields=shown.fields, keys=shown.keys, pages="offset",
            total=filtered(f"SELECT count(*) FROM {site.sql(table)} AS t WHERE {condition}{{clauses}}", found),
        ),
    )  # fmt: skip


def list_of_parent(site: Site, table: Table) -> Iterator[Tool]:
    """The rows of one parent: the lines of an order."""
    for reference in single_references(site, table):
        here = reference.columns[0]
        if reference.unique or table[here].unique or (here,) == table.primary_key:
            continue
        param = asked(site, table, table[here])
        word, role = site.words.field(table.key, here), site.words.column_label(table.key, here)
        yield listing(
            site, table, key=f"{table.key}.of_{here}", words=Words(verb="list", many=True, tail=f"of_{word}"),
            text=f"List the {site.words.labels(table.key)} of one {role}, optionally filtered.",
            found=filters(site, table, 4, (here,)), own=(param,), steps=(site.parent_guard(table, reference, param.key),),
            condition=f"{site.col(table, here)} = :{param.key}",
        )  # fmt: skip


def list_scopes(site: Site, table: Table) -> Iterator[Tool]:
    """Lists that people ask for by a word: open, overdue, upcoming, without somebody."""
    labels, tie = site.words.labels(table.key), site.cols(table, table.primary_key)
    open_states = open_condition(site, table)
    if open_states:
        assert table.lifecycle
        states = ", ".join(s for s in table.lifecycle.states if table.lifecycle.exits(s))
        yield listing(
            site, table, key=f"{table.key}.list_open", words=Words(verb="list", many=True, template="list_open_{noun}"),
            text=f"List the {labels} that are still open, that is in one of these states: {states}.",
            found=filters(site, table, 4, (table.lifecycle.column,)), condition=open_states,
        )  # fmt: skip
    if due := due_column(table):
        yield listing(
            site, table, key=f"{table.key}.list_overdue", words=Words(verb="list", many=True, template="list_overdue_{noun}"),
            text=f"List the {labels} whose {site.words.column_label(table.key, due.key)} has passed"
                 f"{' and that are still open' if open_states else ''}, the longest overdue first.",
            found=filters(site, table, 4, (due.key,)), condition=overdue_condition(site, table, due),
            order=f"{site.col(table, due.key)}, {tie}",
        )  # fmt: skip
    start = next((c for c in table.columns if _starts(c)), None)
    if start:
        yield listing(
            site, table, key=f"{table.key}.list_upcoming",
            words=Words(verb="list", many=True, template="list_upcoming_{noun}"),
            text=f"List the {labels} whose {site.words.column_label(table.key, start.key)} is still to come, the next one first.",
            found=filters(site, table, 4, (start.key,)), condition=f"{site.col(table, start.key)} >= {now_for(start)}",
            order=f"{site.col(table, start.key)}, {tie}",
        )  # fmt: skip
    loose = next((c.key for c in table.columns if c.nullable and c.key in site.references(table)), "")
    if loose:
        yield listing(
            site, table, key=f"{table.key}.list_without_{loose}",
            words=Words(verb="list", many=True, tail=f"without_{site.words.field(table.key, loose)}"),
            text=f"List the {labels} that have no {site.words.column_label(table.key, loose)}.",
            found=filters(site, table, 4, (loose,)), condition=f"{site.col(table, loose)} IS NULL",
        )  # fmt: skip


def open_condition(site: Site, table: Table) -> str:
    """That a row is in a state that leads on; '' where all states or none do."""
    machine = table.lifecycle
    leading = [s for s in machine.states if machine.exits(s)] if machine else []
    if not machine or len(leading) in (0, len(machine.states)):
        return ""
    return f"{site.col(table, machine.column)} IN ({', '.join(literal(s) for s in leading)})"


def due_column(table: Table) -> Column | None:
    """The moment after which a row is overdue."""
    return next((c for c in table.columns if "overdue" in semantic_type(c.type).ops), None)


def overdue_condition(site: Site, table: Table, due: Column) -> str:
    """That a row is overdue: its moment has passed and, where it has a lifecycle with an end, that one is not reached."""
    still = open_condition(site, table)
    return f"{site.col(table, due.key)} < {now_for(due)}{f' AND {still}' if still else ''}"


def now_for(column: Column) -> str:
    """The present in the format of a column."""
    return ":today" if semantic_type(column.type).temporal == "date" else ":now"


def _starts(column: Column) -> bool:
    kinds = ("start_date", "start_at", "scheduled_at", "departure_at", "check_in_date")
    return any(is_a(column.type, k) for k in kinds)


# --- search


def search(site: Site, table: Table) -> Iterator[Tool]:
    """Rows in whose text something stands."""
    columns = [c for c in table.columns if _is_text(table, c)]
    ranked = sorted(columns, key=lambda c: (c.key != table.title, not is_a(c.type, "text")))[:MOST_COLUMNS]
    if ranked:
        yield _search(site, table, ranked, f"{table.key}.search", Words(verb="search", many=True))
    if len(ranked) > 1:
        last = ranked[-1]
        words = Words(verb="search", many=True, tail=f"by_{site.words.field(table.key, last.key)}")
        yield _search(site, table, [last], f"{table.key}.search_{last.key}", words)


def _search(site: Site, table: Table, columns: list[Column], key: str, words: Words) -> Tool:
    labels = site.words.labels(table.key)
    where = " or ".join(site.words.column_label(table.key, c.key) for c in columns)
    schema = {
        "type": "string", "minLength": 1, "maxLength": 200,
        "description": "What to look for: any part of the text, letter case does not matter.",
    }  # fmt: skip
    query = Param(key="query", name="query", schema=schema, required=True, role="search", convert="like")
    texts = [site.col(table, c.key) for c in columns]
    condition = " OR ".join(f"{t} LIKE :query ESCAPE '\\'" for t in texts)
    starts = " OR ".join(f"{t} LIKE substr(:query, 2) ESCAPE '\\'" for t in texts)
    return listing(
        site, table, key=key, words=words, kind="search",
        text=f"Search {labels} by {where}. Those whose text begins with the query come first.",
        found=filters(site, table, 3, tuple(c.key for c in columns)), own=(query,), condition=f"({condition})",
        order=f"({starts}) IS NOT 1, {site.cols(table, table.primary_key)}",
    )  # fmt: skip


def _is_text(table: Table, column: Column) -> bool:
    """True for text that is read: names, notes, descriptions; and addresses of people."""
    kind = semantic_type(column.type)
    if kind.sql != "TEXT" or kind.temporal or column.key in table.key_columns or column.values or secret(column):
        return False
    kinds = ("text", "email", "location", "brand")
    return column.key == table.title or (any(is_a(column.type, k) for k in kinds) and not is_category(table, column))
