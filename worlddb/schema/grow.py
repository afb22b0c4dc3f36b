"""Grows a random schema: pick a domain, drop leaves, graft entities of other domains, choose columns, decorate, name.

Every step takes a Schema and returns a Schema, with a random stream of its own.  Rules travel along: once the tables are
settled, those that no longer compile are gone, so that a schema never states a rule that cannot be executed.
"""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from worlddb.rng import Stream
from worlddb.schema import decorate, naming
from worlddb.schema.ddl import formula_tokens
from worlddb.schema.domains import archetypes, domain_names, domain_schema, expand, is_file, read_domain
from worlddb.schema.model import Column, Schema, Table
from worlddb.schema.rules import SumEq, sound
from worlddb.semantics.types import is_a

HABITS = ((4, 26), (9, 42), (15, 58), (24, 72))
"""Percent of an archetype's optional columns, and of an entity's own ones, that a company has: the thrifty to the lavish."""
CLOSED = (
    "type", "kind", "category", "role", "level", "priority", "mode", "tier", "currency", "language", "format",
    "reason", "class", "method",
)  # fmt: skip
"""Endings of the names of columns that usually hold one of a few values."""
LEAST_TABLES = 3
"""A world never has fewer tables."""
HOSTS = ("party", "staff", "org", "place", "catalog_item", "account", "taxonomy")
"""Archetypes whose tables can stand in for a grafted entity's parent of the same archetype."""


def grow(stream: Stream, tables: int, domain: str = "") -> Schema:
    """A random schema of about `tables` tables, of the given domain (a name or a .yaml file) or of one drawn."""
    domain = domain or stream.child("domain").pick(domain_names())
    schema = expand(read_domain(Path(domain))) if is_file(domain) else domain_schema(domain)
    schema = drop_leaves(schema, stream.child("drop"), tables)
    schema = graft(schema, stream.child("graft"), tables)
    schema = choose_columns(open_totals(schema), stream.child("columns"))
    schema = decorate.decorate(schema, stream.child("decorate"))
    return naming.rename(schema, stream.child("naming"))


def open_totals(schema: Schema) -> Schema:
    """The schema with no bounds of their own on columns that a rule makes sums or counts: what they add up bounds them."""
    totals = {(r.table, r.column) for r in schema.rules if isinstance(r, SumEq)}

    def opened(table: Table) -> Table:
        columns = (replace(c, low=None, high=None) if (table.key, c.key) in totals else c for c in table.columns)
        return replace(table, columns=tuple(columns))

    return replace(schema, tables=tuple(opened(t) for t in schema.tables))


# --- drop leaves


def drop_leaves(schema: Schema, stream: Stream, tables: int) -> Schema:
    """Remove random tables that nothing needs to refer to, until `tables` remain or only the core is left."""
    surplus = len(schema.tables) - tables
    surplus += stream.below(3)  # a little more, so that grafts find room even in small worlds
    for _ in range(max(0, surplus)):
        leaves = [
            t.key
            for t in schema.tables
            if all(child.key == t.key or key.nullable for child, key in schema.children[t.key])
        ]
        if not leaves or len(schema.tables) <= LEAST_TABLES:
            break
        smaller = without(schema, {stream.pick(leaves)})
        if len(smaller.tables) >= max(LEAST_TABLES, tables - 2):  # a leaf may take its whole neighbourhood along
            schema = smaller
    return schema


def without(schema: Schema, gone: set[str]) -> Schema:
    """The schema without some tables, the optional references to them, and those that this leaves alone in the world."""
    places = {t.key: t.key for t in schema.tables if t.key not in gone}
    kept = [_rehost(t, places) for t in schema.tables if t.key in places]
    tied = {t.key for t in kept if t.foreign_keys} | {f.table for t in kept for f in t.foreign_keys}
    return replace(schema, tables=tuple(t for t in kept if t.key in tied))


# --- graft


def graft(schema: Schema, stream: Stream, tables: int) -> Schema:
    """Bring in entities of other domains, on the parents that the schema has, until it has about `tables` tables."""
    wanted = max(tables - len(schema.tables), 0)
    if wanted == 0 and stream.chance(0.5):
        wanted = 1
    for attempt in range(8 * wanted):
        if wanted <= 0:
            break
        source = domain_schema(stream.pick(domain_names()))
        if source.domain != schema.domain:
            grown = _graft_one(schema, source, stream.child(str(attempt)), limit=wanted)
            wanted -= len(grown.tables) - len(schema.tables)
            schema = grown
    return sound(schema)


def _graft_one(schema: Schema, source: Schema, stream: Stream, limit: int) -> Schema:
    """Bring in a random entity of `source`, with the ancestors that it needs and the children that fit, if `limit` allows."""
    root = stream.pick(source.tables)
    brought, hosts = _with_ancestors(schema, source, root, stream, limit)
    if not hosts:
        return schema
    for child, key in source.children[root.key]:
        new = child.key not in schema and child.key not in brought
        fits = all(f.table in brought or f.table in hosts or f.nullable for f in child.foreign_keys)
        if new and fits and key.table == root.key and len(brought) < limit:
            brought[child.key] = child
    places = {t: t for t in brought} | hosts
    moved = [_rehost(t, places) for t in brought.values()]
    rules = tuple(r for r in source.rules if r.table in brought)
    return replace(schema, tables=(*schema.tables, *moved), rules=(*schema.rules, *rules))


def _with_ancestors(
    schema: Schema, source: Schema, root: Table, stream: Stream, limit: int
) -> tuple[dict[str, Table], dict[str, str]]:
    """`root` and the ancestors to bring along, and for the others (key) the table here that stands in for them.

    Nothing at all where that would be more than `limit` tables, or one whose key the schema has already.
    """
    brought: dict[str, Table] = {}
    hosts: dict[str, str] = {}
    queue = [root]
    while queue:
        table = queue.pop(0)
        if table.key in schema or len(brought) >= limit:
            return {}, {}
        brought[table.key] = table
        for key in table.foreign_keys:
            if key.table in brought or key.table in hosts:
                continue
            host = _host(schema, source[key.table], stream)
            if host:
                hosts[key.table] = host
            elif not key.nullable:
                queue.append(source[key.table])
    return brought, hosts


def _host(schema: Schema, parent: Table, stream: Stream) -> str:
    """Key of a table of the schema that can stand in for `parent`, or ''."""
    if parent.key in schema:
        return parent.key if schema[parent.key].archetype == parent.archetype else ""
    same = [t.key for t in schema.tables if t.archetype == parent.archetype and t.archetype in HOSTS]
    return stream.pick(same) if same else ""


def _rehost(table: Table, places: dict[str, str]) -> Table:
    """The table with its foreign keys on the tables that `places` gives for its parents; keys without a place are dropped."""
    keys = tuple(replace(f, table=places[f.table]) for f in table.foreign_keys if f.table in places)
    gone = {f.key for f in table.foreign_keys if f.table not in places}
    return replace(table, foreign_keys=keys, columns=tuple(c for c in table.columns if c.key not in gone))


# --- columns


def choose_columns(schema: Schema, stream: Stream) -> Schema:
    """Take some of each table's optional columns; what rules, keys and titles need always stays."""
    needed = needed_columns(schema)
    habits = stream.weighted(HABITS, (2, 3, 3, 2))
    tables = tuple(_choose(t, needed, stream.child(t.key), habits) for t in schema.tables)
    return replace(schema, tables=tables)


def needed_columns(schema: Schema) -> set[tuple[str, str]]:
    """(table key, column key) of everything that a rule depends on."""
    return {touched for rule in schema.rules for touched in rule.touches(schema)}


def _choose(table: Table, needed: set[tuple[str, str]], stream: Stream, habits: tuple[int, int]) -> Table:
    table = _fewer_parents(table, needed, stream)
    kind = archetypes().get(table.archetype)
    brought, optional = (set(kind.columns), set(kind.optional)) if kind else (set(), set())
    stamps = set(table.lifecycle.stamps.values()) if table.lifecycle else set()
    happy = {f"{s}_at" for s in table.lifecycle.happy} if table.lifecycle and stream.chance(0.12) else set()
    generous, listing = stream.chance(0.1), stream.chance(0.24)
    bare = table.archetype in ("assignment", "membership") and stream.chance(0.6)
    always = table.key_columns | {table.title, "status"} | {k for t, k in needed if t == table.key}
    always |= {f for c in table.columns if c.formula for f in formula_tokens(c.formula)}
    extra, own = (90, 95) if generous else (0, 0) if bare else habits

    def wanted(column: Column) -> bool:
        if column.key in always or column.key in happy:
            return True
        if column.key in stamps or (is_closed(column) and not listing and not generous):
            return False
        share = extra if column.key in optional else 92 if column.key in brought and not bare else own
        if column.null_share > 50 or is_a(column.type, "flag"):
            share //= 2  # columns that are hardly ever set, and flags, are rarer in use than in a designer's mind
        return stream.chance(share / 100)

    kept = [c for c in table.columns if wanted(c)]
    there = {c.key for c in kept}
    lifecycle = table.lifecycle
    if lifecycle:
        lifecycle = replace(lifecycle, stamps={s: k for s, k in lifecycle.stamps.items() if k in there})
    return replace(table, columns=_tidy(tuple(kept), there), lifecycle=lifecycle)


def is_closed(column: Column) -> bool:
    """True for columns that hold one of a few values: most tables of real databases have none but their state."""
    return bool(column.values) or column.key.rsplit("_")[-1] in CLOSED


def _fewer_parents(table: Table, needed: set[tuple[str, str]], stream: Stream) -> Table:
    """Leave out some references that no rule needs: never the first one, optional ones more often."""
    gone = set()
    for key in table.foreign_keys[1:]:
        if (
            (table.key, key.key) not in needed
            and key.key not in table.primary_key
            and stream.chance(0.5 if key.nullable else 0.24)
        ):
            gone.add(key.key)
    keys = tuple(f for f in table.foreign_keys if f.key not in gone)
    return replace(table, foreign_keys=keys, columns=tuple(c for c in table.columns if c.key not in gone))


def _tidy(columns: tuple[Column, ...], there: set[str]) -> tuple[Column, ...]:
    """Columns whose formula lost an operand become plain ones."""

    def plain(column: Column) -> Column:
        lost = column.formula and any(t[0].isalpha() and t not in there for t in formula_tokens(column.formula))
        return replace(column, formula="") if lost else column

    return tuple(plain(c) for c in columns)
