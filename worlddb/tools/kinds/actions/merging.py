"""Two become one, one becomes two: merge duplicates, split a parent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from worlddb.schema.model import ForeignKey, Polymorphic, Table
from worlddb.schema.rules import (
    Acyclic,
    AnyRule,
    Excl,
    Immutable,
    NoOverlap,
    RoleReq,
    SameParent,
    Scope,
    UniqueActive,
    Window,
)
from worlddb.tools.kinds.actions import replies
from worlddb.tools.kinds.actions.assigning import differ
from worlddb.tools.kinds.actions.copying import carried, header_lines
from worlddb.tools.kinds.actions.draft import Draft
from worlddb.tools.kinds.actions.sights import is_counted_out, is_person, is_updated_at, links, open_states, single_key
from worlddb.tools.kinds.actions.texts import Unfit, moment, need
from worlddb.tools.model import Param, Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article, listing

_MERGED = ("party", "staff", "org", "catalog_item", "taxonomy", "place", "")
_DATED = frozenset(["calendar", "edition", "fiscal", "month", "period", "quarter", "season", "year"])
"""Words of spans of time: there is one of each."""
_SPLIT = ("header", "case", "document", "")
_TASKS = frozenset(["action", "activity", "item", "job", "step", "task"])
"""Words of lines that are work to be done."""
_MOST_CHILDREN = 10
_MOST_SPLIT = 50


def propose(site: Site) -> Iterator[Tool]:
    """Merging and splitting."""
    for table in site.schema.tables:
        if table.archetype in _MERGED and may_be_twins(site, table):
            with suppress(Unfit):
                yield merge(site, table)
        lines = header_lines(site, table)
        if lines is not None:
            with suppress(Unfit):
                yield split(site, table, *lines)


def may_be_twins(site: Site, table: Table) -> bool:
    """True where two records may describe the same thing: nobody's own offers, no spans of time."""
    owned = table.archetype == "catalog_item" and any(is_person(site.schema[f.table]) for f in links(table))
    dated = bool(set(table.key.split("_")) & _DATED) or (table.archetype == "taxonomy" and table.lifecycle is not None)
    return not owned and not dated


def merge(site: Site, table: Table) -> Tool:
    """All that refers to a duplicate refers to the other one from now on, and the duplicate is gone."""
    need(single_key(table) and not any(f.unique for f in links(table)))
    children = [(t, f) for t, f in site.schema.children[table.key] if len(f.columns) == 1]
    owned = [(t, t.polymorphic) for t in site.schema.tables if t.polymorphic and table.key in t.polymorphic.tables]
    need(0 < len(children) <= _MOST_CHILDREN and any(t.key != table.key for t, _ in children))
    need(all(t.archetype not in ("ledger",) for t, _ in children))
    need(not any(_bars(site, table, rule) for rule in site.schema.rules))
    draft = Draft(site, table, "merge")
    label = draft.label
    draft.row(
        table,
        prefix="from_",
        name=f"duplicate_{site.words.noun(table.key)}",
        what=f"ID of the duplicate {label}, which is removed",
    )
    draft.row(table, prefix="to_", name=f"into_{site.words.noun(table.key)}", what=f"ID of the {label} that remains")
    differ(draft, table)
    draft.usable(table, "to_", "take over another one's records")
    kept = [child.key for child, link in children if _repoint(draft, table, child, link)]
    for child, pair in owned:
        _readdress(draft, table, child, pair)
    draft.delete(table, f"{site.col(table, table.primary_key[0])} = :from_id")
    told = site.words.labels(next(t.key for t, _ in children if t.key != table.key))
    return draft.tool(
        Words(verb="merge", many=True),
        f"Merge two records of the same {label}: everything that belongs to the duplicate, such as its {told}, goes "
        f"to the other one, and the duplicate is removed for good.{_kept(site, kept)}",
        replies.of(site, table, "to_"), destructive=True,
    )  # fmt: skip


def _kept(site: Site, tables: list[str]) -> str:
    """A sentence on what is dropped because the other one has it already."""
    labels = [site.words.labels(key) for key in dict.fromkeys(tables)]
    return f" Where both have the same {listing(labels)}, those of the one that remains are kept." if labels else ""


def _bars(site: Site, table: Table, rule: AnyRule) -> bool:
    """True for a rule that most merges would break: it freezes what belongs to a row, or compares it with the row."""
    roles = {f.key for f in links(site.schema[rule.table]) if f.table == table.key}
    if not roles:
        return False
    if isinstance(rule, Immutable):
        return True
    if isinstance(rule, Excl):
        return len(roles & set(rule.differ)) > 1
    if isinstance(rule, Acyclic):
        return True
    if isinstance(rule, NoOverlap):
        return bool(roles & set(rule.per))
    if isinstance(rule, UniqueActive):
        far = [p for p in (*rule.per, *rule.where) if "." in p]
        return any(p.partition(".")[0] in roles for p in far) or bool(far and roles & set(rule.per))
    if isinstance(rule, SameParent):
        return any(p.partition(".")[0] in roles and "." in p for p in rule.paths)
    if isinstance(rule, RoleReq):
        return rule.actor in roles and bool(rule.equal)
    if isinstance(rule, Window):
        paths = (rule.time, rule.after, rule.before)
        return "updated_at" in paths or any(p.partition(".")[0] in roles and "." in p for p in paths)
    return False


def _repoint(draft: Draft, table: Table, child: Table, link: ForeignKey) -> bool:
    """The children of :from_id become those of :to_id; one that the other has already is dropped.  True where that may be."""
    site, column = draft.site, link.columns[0]
    own = site.col(child, column)
    if child.key == table.key:  # neither may stand under itself
        key = site.col(table, table.primary_key[0])
        need(link.nullable)
        draft.update(child, {column: "NULL"}, f"{own} = :from_id AND {key} = :to_id")
        draft.update(child, {column: ":to_id"}, f"{own} = :from_id AND {key} <> :from_id")
        return False
    clashes = [*_sets(site, child, column)]
    need(not clashes or not site.schema.children[child.key])
    for together, mine, theirs in clashes:
        same = "".join(f" AND {site.col(child, c, 'o')} = {site.col(child, c)}" for c in together if c != column)
        other = f"{site.col(child, column, 'o')} = :to_id{same} AND {theirs}"
        twin = f"EXISTS (SELECT 1 FROM {site.sql(child)} AS o WHERE {other})"
        draft.delete(child, f"{own} = :from_id AND {mine} AND {twin}")
    if column in child.primary_key:
        _rewrite(draft, child, column)
    else:
        draft.update(child, {column: ":to_id"}, f"{own} = :from_id")
    return bool(clashes)


def _rewrite(draft: Draft, child: Table, column: str) -> None:
    """A row keeps its key: where that names the parent, the rows of :from_id give way to new ones of :to_id."""
    site = draft.site
    sets = [*child.uniques, *((c.key,) for c in child.columns if c.unique)]
    need(all(column in together for together in sets))
    values = {c.key: moment(c) if is_updated_at(c) else site.col(child, c.key) for c in child.columns}
    values[column] = ":to_id"
    own = f"{site.col(child, column)} = :from_id"
    draft.write(
        child, "insert",
        f"INSERT INTO {site.sql(child)} ({site.cols(child, values, '')}) SELECT {', '.join(values.values())} "
        f"FROM {site.sql(child)} AS t WHERE {own} ORDER BY {site.cols(child, child.primary_key)}",
        values,
    )  # fmt: skip
    draft.delete(child, own)


def _sets(site: Site, table: Table, column: str) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Sets of columns that are unique together and hold a column, with the conditions of the rows `t` and `o` that count."""
    every = [table.primary_key, *table.uniques, *((c.key,) for c in table.columns if c.unique)]
    every += [f.columns for f in table.foreign_keys if f.unique]
    yield from ((s, "1", "1") for s in dict.fromkeys(every) if column in s)
    for rule in site.schema.rules:
        if isinstance(rule, UniqueActive) and rule.table == table.key:
            scopes = [Scope(site.schema, table.key, alias, set()) for alias in "to"]
            together = tuple(scopes[0].resolve(path)[2] for path in rule.per)
            if column in together and not any("." in path for path in rule.per):
                yield together, scopes[0].condition(rule.where), scopes[1].condition(rule.where)


def _readdress(draft: Draft, table: Table, child: Table, pair: Polymorphic) -> None:
    """Rows that point to :from_id by type and key point to :to_id."""
    site = draft.site
    need(not any({pair.type_column, pair.id_column} & set(s) for s in (child.primary_key, *child.uniques)))
    values = child[pair.type_column].values
    at = pair.tables.index(table.key)
    need(at < len(values))
    kind = values[at].replace("'", "''")
    where = (
        f"{site.col(child, pair.type_column)} = '{kind}' AND {site.col(child, pair.id_column)} = CAST(:from_id AS TEXT)"
    )
    draft.update(child, {pair.id_column: "CAST(:to_id AS TEXT)"}, where)


def split(site: Site, table: Table, child: Table, link: ForeignKey) -> Tool:
    """Some lines of a parent go to a new one."""
    need(single_key(child) and child.archetype in ("line", "") and table.archetype in _SPLIT)
    need(is_counted_out(child) or set(child.key.split("_")) & _TASKS)
    nouns, labels = site.words.nouns(child.key), site.words.labels(child.key)
    key, column = child.primary_key[0], link.columns[0]
    draft = Draft(site, table, f"{child.key}.split")
    machine = table.lifecycle
    draft.row(table, [machine.column] if machine else [])
    schema = {
        "type": "array", "minItems": 1, "maxItems": _MOST_SPLIT, "uniqueItems": True,
        "items": site.value_schema(child, child[key], given=True),
        "description": f"IDs of the {labels} that go to the new {draft.label}; some must stay.",
    }  # fmt: skip
    draft.ask(
        Param(key="lines", name=f"{site.words.noun(child.key)}_ids", schema=schema, required=True, role="items",
              table=child.key, column=key, convert="keys")
    )  # fmt: skip
    if machine:
        draft.among(open_states(table) or [machine.initial], "split")
    chosen = f"{site.col(child, key)} IN (SELECT value FROM json_each(:lines))"
    theirs = f"{site.col(child, column)} = :id"
    draft.refuse(
        f"SELECT j.value AS stranger FROM json_each(:lines) AS j WHERE NOT EXISTS (SELECT 1 FROM "
        f"{site.sql(child)} AS t WHERE {site.col(child, key)} = j.value AND {theirs}) ORDER BY j.key LIMIT 1",
        f"The {draft.label} {{id}} has no {site.words.label(child.key)} with ID {{stranger}}.",
        f"Give only {labels} of this {draft.label}.", code="NOT_FOUND", parameter="lines",
        told=f"one of the {labels} belongs elsewhere",
    )  # fmt: skip
    draft.refuse(
        f"SELECT 1 AS refused WHERE NOT EXISTS (SELECT 1 FROM {site.sql(child)} AS t WHERE {theirs} AND NOT {chosen})",
        f"These are all {labels} of the {draft.label} {{id}}; nothing would stay.", "Leave out one at least.",
        rule=f"split:{table.key}", told="nothing would stay", parameter="lines",
    )  # fmt: skip
    carried(draft, table, into="new_id")
    draft.update(child, {column: ":new_id"}, chosen)
    return draft.tool(
        Words(verb="split", tail=f"by_{nouns}"),
        f"Split {article(draft.label)}: the {labels} given go to a new one with the same details, the others stay. "
        f"Answers with the new {draft.label}.",
        replies.with_children(site, table, child, link, "new_"),
    )  # fmt: skip
