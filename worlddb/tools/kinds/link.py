"""Tools over tables that tie two others together: add, remove, replace the whole set, put."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from worlddb.schema.model import ForeignKey, Table
from worlddb.schema.rules import quote
from worlddb.tools.kinds.fresh import insertion
from worlddb.tools.kinds.parents import reference_guards
from worlddb.tools.kinds.remove import in_use_guards
from worlddb.tools.kinds.rows import change_of, done_reply, finish, sides, touch
from worlddb.tools.model import Fault, Field, Find, Guard, Param, Reply, Statement, Tool, Words, Write
from worlddb.tools.site import Site
from worlddb.tools.words import article, plural

SET_MOST = 50
"""Rows that one call may tie to another."""


def propose(site: Site) -> Iterator[Tool]:
    """The links of every table that has two sides."""
    for table in site.schema.tables:
        pair = sides(site, table)
        if pair is None:
            continue
        yield link(site, table, pair)
        yield unlink(site, table, pair)
        yield from replace_all(site, table, pair)
        yield from put(site, table, pair)


def _nouns(site: Site, table: Table, pair: tuple[ForeignKey, ForeignKey]) -> tuple[str, str]:
    """What the two sides are called: by their tables, or by their roles where both lead to one."""
    left, right = pair
    if left.table == right.table:
        return site.words.field(table.key, left.columns[0]), site.words.field(table.key, right.columns[0])
    return site.words.noun(left.table), site.words.noun(right.table)


def _tied(site: Site, table: Table, pair: tuple[ForeignKey, ForeignKey]) -> str:
    """The condition that picks the row of both parameters."""
    return " AND ".join(f"{site.col(table, f.columns[0], '')} = :{f.columns[0]}" for f in pair)


def link(site: Site, table: Table, pair: tuple[ForeignKey, ForeignKey]) -> Tool:
    """Ties two rows together; refused where they are already."""
    made = insertion(site, table)
    left, right = _nouns(site, table, pair)
    one, other = (f"{{{f.columns[0]}}}" for f in pair)
    fault = Fault(
        code="CONFLICT", message=f"The {_label(right)} {other} and the {_label(left)} {one} are linked already.",
        rule=f"linked:{table.key}",
        parameter=pair[1].columns[0], cure=f"Nothing needs to be done, or choose another {_label(right)}.",
    )  # fmt: skip
    there = Guard(
        query=Statement(sql=f"SELECT 1 AS so FROM {site.sql(table)} WHERE {_tied(site, table, pair)}"), fault=fault
    )
    tool = Tool(
        key=f"{table.key}.link", kind="link", table=table.key, words=Words(verb="link", noun=right, tail=f"to_{left}"),
        description=f"Link {article(_label(right))} to {article(_label(left))}. Refused where they are linked already.",
        params=made.params, steps=(*made.steps[:-1], there, made.steps[-1]), reply=site.row_reply(table),
    )  # fmt: skip
    return finish(site, tool, [made.change])


def _label(noun: str) -> str:
    return noun.replace("_", " ")


def _sides_params(site: Site, table: Table, pair: tuple[ForeignKey, ForeignKey]) -> tuple[Param, ...]:
    return tuple(site.value_param(table, table[f.columns[0]], required=True, role="key") for f in pair)


def unlink(site: Site, table: Table, pair: tuple[ForeignKey, ForeignKey]) -> Tool:
    """Unties two rows."""
    left, right = _nouns(site, table, pair)
    one, other = (f"{{{f.columns[0]}}}" for f in pair)
    missing = Fault(
        code="NOT_FOUND", message=f"The {_label(right)} {other} is not linked to the {_label(left)} {one}.",
        parameter=pair[1].columns[0],
        cure=f"Look up which {_label(plural(right))} are linked to it.",
    )  # fmt: skip
    where, keyed = _tied(site, table, pair), table.key_style != "composite"
    found = Find(
        query=Statement(sql=f"SELECT {site.cols(table, table.primary_key, '')} FROM {site.sql(table)} WHERE {where}"),
        into=site.key_binds(table) if keyed else tuple(f"was_{k}" for k in table.primary_key), missing=missing,
    )  # fmt: skip
    write = Write(statement=Statement(sql=f"DELETE FROM {site.sql(table)} WHERE {where}"), table=table.key, op="delete")
    tool = Tool(
        key=f"{table.key}.unlink", kind="unlink", table=table.key, words=Words(verb="unlink", noun=right, tail=f"from_{left}"),
        description=f"Remove the link between {article(_label(right))} and {article(_label(left))}; both stay.",
        params=_sides_params(site, table, pair), steps=(found, *in_use_guards(site, table), write), reply=done_reply(site, table),
        destructive=True,
    )  # fmt: skip
    return finish(site, tool, [change_of(write)])


def replace_all(site: Site, table: Table, pair: tuple[ForeignKey, ForeignKey]) -> Iterator[Tool]:
    """Gives one side exactly these others: the whole set at once, where a link has nothing to say beside its two sides."""
    if table.key_style != "composite" or site.schema.children[table.key]:
        return
    for left, right in (pair, pair[::-1]):
        fixed = {left.columns[0]: f":{left.columns[0]}", right.columns[0]: "j.value"}
        made = insertion(site, table, fixed=fixed)
        if not any(p.required for p in made.params):
            yield _replace_all(site, table, left, right, fixed)


def _replace_all(site: Site, table: Table, left: ForeignKey, right: ForeignKey, fixed: dict[str, str]) -> Tool:
    home, others = site.schema[left.table], site.schema[right.table]
    noun, other = _nouns(site, table, (left, right))
    key = left.columns[0]
    made = insertion(site, table, fixed=fixed)
    # what a link may say beside its sides gets its defaults: those are bound, and nobody is asked
    insert = made.steps[-1]
    assert isinstance(insert, Write)
    head, _, values = insert.statement.sql.partition(" VALUES (")
    same = f"{site.col(table, key, 'x')} = :{key} AND {site.col(table, right.columns[0], 'x')} = j.value"
    new = f"NOT EXISTS (SELECT 1 FROM {site.sql(table)} AS x WHERE {same})"
    add = replace(
        insert,
        statement=Statement(sql=f"{head} SELECT {values[:-1]} FROM json_each(:ids) AS j WHERE {new} ORDER BY j.value"),
        into="added",
    )
    drop = Write(
        statement=Statement(
            sql=f"DELETE FROM {site.sql(table)} WHERE {site.col(table, key, '')} = :{key} "
            f"AND {site.col(table, right.columns[0], '')} NOT IN (SELECT value FROM json_each(:ids))"
        ),
        table=table.key, op="delete",
    )  # fmt: skip
    item = site.value_schema(table, table[right.columns[0]], given=True)
    labels = _label(plural(other))
    text = f"IDs of all {labels} that it should have, 0 to {SET_MOST}; those that are not named are removed."
    ids = site.keys_param(others, f"{other}_ids", item, text, least=0, most=SET_MOST)
    owner = site.value_param(table, table[key], required=True, role="key")
    hidden = tuple(replace(p, hidden=True) for p in made.params)
    tool = Tool(
        key=f"{table.key}.set_{right.key}_of_{left.key}", kind="link", table=table.key,
        words=Words(verb="set", noun=other, many=True, tail=f"of_{noun}"),
        description=f"Give {article(_label(noun))} exactly these {labels}: missing ones are linked, others are unlinked.",
        params=(owner, ids, *hidden),
        steps=(*reference_guards(site, table, key), listed_guard(site, others, "ids"), drop, add),
        reply=_set_reply(site, table, home, left, right), destructive=True,
    )  # fmt: skip
    return finish(site, tool, [change_of(drop), made.change])


def listed_guard(site: Site, table: Table, bind: str) -> Guard:
    """That every row of a list of keys is there; the first that is not is named."""
    label = site.words.label(table.key)
    sql = (
        f"SELECT j.value AS lost FROM json_each(:{bind}) AS j WHERE NOT EXISTS (SELECT 1 FROM {site.sql(table)} AS p "
        f"WHERE {site.col(table, table.primary_key[0], 'p')} = j.value) LIMIT 1"
    )
    fault = Fault(
        code="NOT_FOUND", message=f"There is no {label} with ID {{lost}}.", parameter=bind,
        cure=f"Look the {label} up by listing or searching {site.words.labels(table.key)}; nothing has been changed.",
    )  # fmt: skip
    return Guard(query=Statement(sql=sql), fault=fault)


def _set_reply(site: Site, table: Table, home: Table, left: ForeignKey, right: ForeignKey) -> Reply:
    """The set afterwards."""
    owner, other = left.columns[0], right.columns[0]
    item = site.value_schema(table, table[other], given=False)
    labels = _label(plural(_nouns(site, table, (left, right))[1]))
    fields = (
        replace(site.fields(table, (owner,))[0], key="owner"),
        Field(
            key="ids", name="ids",
            schema={"type": "array", "items": item, "description": f"IDs of all {labels} that it has now."},
            convert="json",
        ),
    )  # fmt: skip
    sql = (
        f"SELECT :{owner}, (SELECT json_group_array(v) FROM "
        f"(SELECT {site.col(table, other, 'x')} AS v FROM {site.sql(table)} AS x "
        f"WHERE {site.col(table, owner, 'x')} = :{owner} ORDER BY v))"
    )
    return Reply(query=Statement(sql=sql), shape="value", fields=fields)


def put(site: Site, table: Table, pair: tuple[ForeignKey, ForeignKey]) -> Iterator[Tool]:
    """What a link says beside its two sides, whether it is there already or not."""
    keys = {f.columns[0] for f in pair}
    made = insertion(site, table)
    said = [p for p in made.params if p.column not in keys]
    if table.key_style != "composite" or not any(p.required for p in said) or any(c.formula for c in table.columns):
        return
    sets = {p.column: f"excluded.{quote(table[p.column].name)}" for p in said if p.required} | touch(table)
    changed = ", ".join(f"{quote(table[k].name)} = {sql}" for k, sql in sets.items())
    tail = f" ON CONFLICT ({site.cols(table, table.primary_key, '')}) DO UPDATE SET {changed}"
    asked = insertion(site, table, tail=tail)
    label = site.words.label(table.key)
    tool = Tool(
        key=f"{table.key}.put", kind="create", table=table.key, words=Words(verb="put"),
        description=f"Set the {label} of this pair: it is created, or its required values are replaced where it exists.",
        params=tuple(replace(p, hidden=not p.required) for p in asked.params), steps=asked.steps, reply=site.row_reply(table),
    )  # fmt: skip
    yield finish(site, tool, [asked.change, (table.key, "update", tuple(sets))])
