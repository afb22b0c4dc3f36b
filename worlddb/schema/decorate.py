"""What makes a clean design look like a database that people have worked on: stamps, soft deletes, trees, odd keys, NULLs.

Each decorator takes a Schema and a stream and returns a Schema; `STEPS` is the order in which they are applied.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from worlddb.rng import Stream
from worlddb.schema.domains import archetypes, junction, parse_states, reference
from worlddb.schema.model import Column, ForeignKey, Polymorphic, Schema, Table
from worlddb.schema.rules import Acyclic, AnyRule, UniqueActive, sound

Needed = set[tuple[str, str]]
"""(table key, column key) of everything that a rule depends on: no decorator takes it away or makes it optional."""
_TREES = ("taxonomy", "message", "case", "staff", "place", "document", "resource", "org")
_LINKED = ("catalog_item", "document", "case", "party", "org", "header", "booking")
_LINKS = ("taxonomy", "plan", "staff", "resource", "place")
"""Archetypes on the two sides of a plain many-to-many link."""
_STATES = {
    "header": ("draft > confirmed > completed", "confirmed > cancelled"),
    "booking": ("requested > confirmed > completed", "confirmed > cancelled", "confirmed > no_show"),
    "case": ("open > in_progress > resolved > closed", "resolved > open"),
    "payment": ("pending > settled", "pending > failed"),
    "document": ("draft > in_review > published > archived", "in_review > draft"),
    "subscription": ("trial > active", "active > paused", "paused > active", "active > ended"),
    "policy": ("draft > active > ended", "active > terminated"),
    "offer": ("open > accepted", "open > declined", "open > expired"),
    "account": ("opened > active", "active > frozen", "frozen > active", "active > closed"),
    "resource": ("ordered > available", "available > in_use", "in_use > available", "available > retired"),
    "catalog_item": ("draft > listed", "listed > withdrawn", "withdrawn > listed"),
    "message": ("posted > visible", "visible > hidden", "hidden > visible"),
    "party": ("invited > active", "active > inactive", "inactive > active"),
}
"""A usual state machine for tables of some archetypes, in worlds whose domain brings too few."""
_NOTES = {
    "attachment": ("document", ("file_name", "file_size")),
    "comment_entry": ("message", ("comment_body",)),
    "activity_entry": ("event_log", ("tag",)),
    "bookmark": ("assignment", ("note",)),
}
"""Tables that refer to rows of any other: key -> archetype and the types of its own columns."""


def decorate(schema: Schema, stream: Stream) -> Schema:
    """Apply every decorator, each with its own stream."""
    needed = {touched for rule in schema.rules for touched in rule.touches(schema)}
    for step in STEPS:
        schema = step(schema, stream.child(step.__name__), needed)
        if step in (trees, composite_keys):  # the only ones that take something away which a rule may speak of
            schema = sound(schema)
    return schema


def _map(schema: Schema, change: Callable[[Table], Table]) -> Schema:
    return replace(schema, tables=tuple(change(t) for t in schema.tables))


def _add(table: Table, *columns: Column) -> Table:
    new = tuple(c for c in columns if c.key not in table)
    return replace(table, columns=(*table.columns, *new))


def stamps(schema: Schema, stream: Stream, needed: Needed) -> Schema:
    """When a row was made and last changed; most companies stamp nearly every table."""
    made, changed = stream.weighted((96, 84, 60), (5, 4, 2)), stream.weighted((80, 30, 5), (4, 4, 2))

    def stamp(table: Table) -> Table:
        draws = stream.child(table.key)
        pure = table.archetype == "junction"
        wanted = [("created_at", made // 4 if pure else made), ("updated_at", 0 if pure else changed)]
        if "recorded_at" in table or (table.columns and any(c.type == "event_time" for c in table.columns)):
            wanted = [(k, share // 4) for k, share in wanted]
        if draws.chance(0.07) and (table.key, "created_at") not in needed:
            wanted = wanted[1:]
            table = replace(table, columns=tuple(c for c in table.columns if c.key != "created_at"))
        return _add(table, *(Column(key=k, name=k, type=k) for k, share in wanted if draws.chance(share / 100)))

    return _map(schema, stamp)


def soft_delete(schema: Schema, stream: Stream, needed: Needed) -> Schema:
    """Some companies never delete; a column says that the row is gone."""
    if not stream.chance(0.45):
        return schema
    style = stream.weighted(("deleted_at", "is_deleted", "is_archived"), (5, 3, 2))
    column = (
        Column(key=style, name=style, type="deleted_at", nullable=True, null_share=93)
        if style == "deleted_at"
        else Column(key=style, name=style, type="is_deleted")
    )

    def mark(table: Table) -> Table:
        fits = table.archetype not in ("junction", "ledger", "measurement", "event_log")
        return _add(table, column) if fits and stream.chance(0.3) else table

    return _map(schema, mark)


def states(schema: Schema, stream: Stream, needed: Needed) -> Schema:
    """At least one table in six goes through states; worlds that have fewer get usual ones."""
    have = sum(t.lifecycle is not None for t in schema.tables)
    missing = -(-len(schema.tables) // 6) - have
    fit = [t.key for t in schema.tables if t.lifecycle is None and t.archetype in _STATES and "status" not in t]
    chosen = set(stream.sample(fit, max(0, missing)))

    def add(table: Table) -> Table:
        if table.key not in chosen:
            return table
        machine = replace(parse_states(_STATES[table.archetype], "states"), stamps={})
        return replace(
            _add(table, Column(key="status", name="status", type="state", values=machine.states)), lifecycle=machine
        )

    return _map(schema, add)


def trees(schema: Schema, stream: Stream, needed: Needed) -> Schema:
    """Trees of categories, threads of messages: about half of all companies have some, the others none."""
    some = stream.chance(0.45)
    if any(key.table == table.key for table, key in schema.edges()):
        return schema if some else _map(schema, _without_trees)
    if not some:
        return schema
    fit = [t.key for t in schema.tables if t.archetype in _TREES and "parent" not in t]
    if not fit:
        return schema
    chosen = stream.pick(fit)
    key = ForeignKey(key="parent", columns=("parent",), table=chosen, ref=("id",), nullable=True, skew="mild")
    return _map(schema, lambda t: _refer(t, key) if t.key == chosen else t)


def _without_trees(table: Table) -> Table:
    gone = {c for f in table.foreign_keys if f.table == table.key for c in f.columns}
    keys = tuple(f for f in table.foreign_keys if f.table != table.key)
    return replace(table, foreign_keys=keys, columns=tuple(c for c in table.columns if c.key not in gone))


def _refer(table: Table, key: ForeignKey) -> Table:
    return replace(_add(table, reference(key)), foreign_keys=(*table.foreign_keys, key))


def cycles(schema: Schema, stream: Stream, needed: Needed) -> Schema:
    """A parent that points back to one of its children (a team's current lead): rare, and real."""
    if not stream.chance(0.11):
        return schema
    edges = [
        (t, f)
        for t, f in schema.edges()
        if f.table != t.key and not f.nullable and t.archetype not in ("junction", "line") and schema[f.table].size != "huge"
        and len(schema[f.table].primary_key) == 1 and f"primary_{t.key}" not in schema[f.table]
    ]  # fmt: skip
    if not edges:
        return schema
    child, key = stream.pick(edges)
    role = stream.pick(("primary", "latest", "current", "main"))
    back = ForeignKey(
        key=f"{role}_{child.key}", columns=(f"{role}_{child.key}",), table=child.key, ref=("id",), nullable=True
    )
    return _map(schema, lambda t: _refer(t, back) if t.key == key.table else t)


def polymorphic(schema: Schema, stream: Stream, needed: Needed) -> Schema:
    """A table whose rows belong to a row of any of several tables."""
    if not stream.chance(0.34):
        return schema
    label = stream.pick(sorted(_NOTES))
    targets = [t.key for t in schema.tables if t.archetype not in ("junction", "assignment", "membership", "stock")]
    chosen = tuple(sorted(stream.sample(targets, stream.between(2, 4))))
    if label in schema or len(chosen) < 2:
        return schema
    archetype, types = _NOTES[label]
    staff = [t for t in schema.tables if t.archetype in ("staff", "party")]
    keys = (
        [ForeignKey(key="author", columns=("author",), table=staff[0].key, ref=("id",), nullable=True)] if staff else []
    )
    columns = (
        Column(key="id", name="id", type="surrogate_id"),
        *(reference(k) for k in keys),
        Column(key="target_type", name="target_type", type="category", values=chosen),
        Column(key="target_id", name="target_id", type="polymorphic_ref"),
        *(Column(key=t, name=t, type=t) for t in types),
        Column(key="created_at", name="created_at", type="created_at"),
    )
    table = Table(
        key=label, name=label, archetype=archetype, columns=columns, primary_key=("id",), foreign_keys=tuple(keys), size="medium",
        polymorphic=Polymorphic(type_column="target_type", id_column="target_id", tables=chosen),
    )  # fmt: skip
    return replace(schema, tables=(*schema.tables, table))


def junctions(schema: Schema, stream: Stream, needed: Needed) -> Schema:
    """Plain many-to-many links: tags of products, interests of members, sites of a manager."""
    wanted = stream.weighted((0, 1, 2, 3), (2, 4, 3, 1)) * len(schema.tables) // 10
    for number in range(wanted):
        draws = stream.child(str(number))
        left = [t.key for t in schema.tables if t.archetype in _LINKED and len(t.primary_key) == 1]
        right = [t.key for t in schema.tables if t.archetype in _LINKS and len(t.primary_key) == 1]
        if not left or not right:
            break
        pair = (draws.pick(left), draws.pick(right))
        tied = any({f.table for f in t.foreign_keys} >= set(pair) and t.archetype == "junction" for t in schema.tables)
        if pair[0] != pair[1] and not tied and "_".join(pair) not in schema:
            schema = replace(schema, tables=(*schema.tables, junction(*pair, origin="")))
    return schema


def composite_keys(schema: Schema, stream: Stream, needed: Needed) -> Schema:
    """Links between two parents whose key is the pair, unless something refers to the link itself."""
    for table in schema.tables:
        kind = archetypes().get(table.archetype)
        parents = [f for f in table.foreign_keys if not f.nullable and not f.unique and f.table != table.key]
        distinct = {f.table for f in parents[:2]}
        if not kind or kind.key != "composite" or len(parents) < 2 or len(distinct) < 2 or schema.children[table.key]:
            continue
        if stream.chance(0.5) and not _named(schema.rules, table.key):
            pair = tuple(f.key for f in parents[:2])
            keyed = replace(
                table, primary_key=pair, key_style="composite", columns=tuple(c for c in table.columns if c.key != "id")
            )
            schema = _map(schema, lambda t, keyed=keyed: keyed if t.key == keyed.key else t)  # type: ignore[misc]
    return schema


def _named(rules: tuple[AnyRule, ...], table: str) -> bool:
    """True where a rule speaks of the rows of `table` as wholes, which needs a key of one column."""
    return any(
        table in (getattr(r, "needs", ""), getattr(r, "none_of", ""), getattr(r, "of", "")) or r.table == table
        for r in rules
    )


def unique_pairs(schema: Schema, stream: Stream, needed: Needed) -> Schema:
    """A title or a position that is unique within its parent, and links that exist once."""

    def pair(table: Table) -> Table:
        draws = stream.child(table.key)
        parents = [f.key for f in table.foreign_keys if not f.nullable and not f.unique]
        if (
            table.archetype in ("assignment", "membership", "stock")
            and table.key_style != "composite"
            and len(parents) >= 2
        ):
            return replace(table, uniques=(tuple(parents[:2]),)) if draws.chance(0.3) else table
        if "position" in table and "position" not in table.parents and parents and draws.chance(0.5):
            # places are counted within the parent: no bound of the archetype holds for them
            counted = replace(
                table["position"], type="position_index", low=None, high=None, nullable=False, null_share=0
            )
            columns = tuple(counted if c.key == "position" else c for c in table.columns)
            return replace(table, uniques=((parents[0], "position"),), columns=columns)
        return table

    return _map(schema, pair)


def nullable_keys(schema: Schema, stream: Stream, needed: Needed) -> Schema:
    """Optional references, up to the share that this company tolerates."""
    aim = stream.weighted((30, 48, 60, 74), (2, 3, 3, 2)) / 100
    keys = [(t, f) for t, f in schema.edges() if t.archetype != "junction"]
    if not keys:
        return schema
    protected = needed | {
        (t.key, k) for t in schema.tables for k in (*t.primary_key, *(k for u in t.uniques for k in u))
    }
    missing = round(aim * len(keys)) - sum(f.nullable for _, f in keys)
    parts = ("line", "settings", "payment")
    first = {
        t.key: next((f.key for f in t.foreign_keys if not f.nullable), "") if t.archetype in parts else ""
        for t in schema.tables
    }
    free = [
        (t.key, f.key) for t, f in keys if not f.nullable and (t.key, f.key) not in protected and first[t.key] != f.key
    ]
    loose = set(stream.sample(free, max(0, missing)))

    def loosen(table: Table) -> Table:
        keys = tuple(replace(f, nullable=True) if (table.key, f.key) in loose else f for f in table.foreign_keys)
        columns = tuple(
            replace(c, nullable=True, null_share=stream.pick((10, 25, 40))) if (table.key, c.key) in loose else c
            for c in table.columns
        )
        return replace(table, foreign_keys=keys, columns=columns)

    return _map(schema, loosen)


def nullable_columns(schema: Schema, stream: Stream, needed: Needed) -> Schema:
    """Columns that a form leaves empty: this company's share of the ones that could be."""
    aim = stream.weighted((38, 62, 80, 92, 98), (1, 3, 4, 3, 1)) / 100
    fixed = ("created_at", "status", "target_type", "target_id", "updated_at")

    def loosen(table: Table) -> Table:
        draws = stream.child(table.key)
        formulas = " ".join(c.formula for c in table.columns)
        unique = {k for u in table.uniques for k in u}

        def free(c: Column) -> bool:
            tied = c.key in table.key_columns or c.key == table.title or (table.key, c.key) in needed or c.key in unique
            return not (tied or c.unique or c.formula or c.key in fixed or c.key in formulas or c.key.endswith("_at"))

        def change(c: Column) -> Column:
            if not free(c):
                return c
            if c.nullable:
                return c if draws.chance(min(1.0, aim * 1.6)) else replace(c, nullable=False, null_share=0)
            return (
                replace(c, nullable=True, null_share=draws.pick((1, 2, 5, 10, 20, 35, 50))) if draws.chance(aim) else c
            )

        return replace(table, columns=tuple(change(c) for c in table.columns))

    return _map(schema, loosen)


def on_delete(schema: Schema, stream: Stream, needed: Needed) -> Schema:
    """What becomes of children when a parent goes: parts go along, optional references are emptied, the rest forbids it."""

    def settle(table: Table) -> Table:
        whole = next((f.key for f in table.foreign_keys if not f.nullable), "")
        parts = table.archetype in ("line", "junction", "settings") or (
            table.archetype in ("assignment", "membership") and stream.chance(0.5)
        )

        def action(key: ForeignKey) -> str:
            if parts and (key.key == whole or table.archetype == "junction"):
                return "CASCADE"
            return "SET NULL" if key.nullable and stream.chance(0.5) else ""

        return replace(table, foreign_keys=tuple(replace(f, on_delete=action(f)) for f in table.foreign_keys))

    return _map(schema, settle)


def tree_rules(schema: Schema, stream: Stream, needed: Needed) -> Schema:
    """Every tree is free of circles, whether its domain says so or not."""
    stated = {(r.table, r.parent) for r in schema.rules if isinstance(r, Acyclic)}
    extra = tuple(
        Acyclic(say=f"No {t.key.replace('_', ' ')} is its own ancestor.", table=t.key, parent=f.key)
        for t, f in schema.edges()
        if f.table == t.key and (t.key, f.key) not in stated
    )
    return replace(schema, rules=(*schema.rules, *extra))


def key_styles(schema: Schema, stream: Stream, needed: Needed) -> Schema:
    """Integers, uuids or codes such as CUS-00012: one style for the company, with exceptions for small tables."""
    house = stream.weighted(("integer", "uuid", "code"), (66, 12, 22))
    styles = {}
    for table in schema.tables:
        other = stream.weighted(("integer", "uuid", "code"), (3, 1, 3)) if stream.chance(0.07) else house
        styles[table.key] = "composite" if len(table.primary_key) > 1 else other

    def type_of(table: Table, column: Column) -> Column:
        if (column.key,) == table.primary_key and table.key_style != "composite":
            kinds = {"integer": "surrogate_id", "uuid": "uuid", "code": "key_code"}
            return replace(column, type=kinds[styles[table.key]])
        if column.key in table.parents:
            target = styles[table.parents[column.key].table]
            return replace(column, type="reference" if target == "integer" else "text_reference")
        if table.polymorphic and column.key == table.polymorphic.id_column:
            whole = all(styles[t] == "integer" for t in table.polymorphic.tables)
            return replace(column, type="polymorphic_ref" if whole else "polymorphic_key")
        return column

    return _map(
        schema,
        lambda t: replace(t, key_style=styles[t.key], columns=tuple(type_of(t, c) for c in t.columns)),
    )


def unique_titles(schema: Schema, stream: Stream, needed: Needed) -> Schema:
    """Uniqueness is a habit: some companies declare it wherever it is true, others hardly ever."""
    habit = stream.weighted((6, 22, 60), (4, 4, 2)) / 100
    kept = {(r.table, p) for r in schema.rules if isinstance(r, UniqueActive) for p in r.per}
    loose_in = [t.key for t in schema.tables if any(c.unique and c.key not in t.key_columns for c in t.columns)]
    strict = set(stream.sample(loose_in, -(-len(schema.tables) // 6)))
    """Nobody gets by without any: these tables keep what they declare."""

    def loosen(table: Table) -> Table:
        def change(c: Column) -> Column:
            loose = (
                c.unique
                and c.key not in table.key_columns
                and (table.key, c.key) not in kept
                and table.key not in strict
            )
            return replace(c, unique=False) if loose and not stream.chance(habit) else c

        return replace(table, columns=tuple(change(c) for c in table.columns))

    return _map(schema, loosen)


STEPS: tuple[Callable[[Schema, Stream, Needed], Schema], ...] = (
    states, stamps, soft_delete, trees, cycles, junctions, polymorphic, composite_keys, unique_pairs, unique_titles,
    nullable_keys, nullable_columns, on_delete, tree_rules, key_styles,
)  # fmt: skip
