"""Answers of actions: the row with what hangs on it, how many rows moved, two rows side by side."""

from __future__ import annotations

from msgspec.structs import replace

from worlddb.schema.model import ForeignKey, Table
from worlddb.tools.model import Fault, Field, Param, Reply, Statement
from worlddb.tools.site import Site


def count_field(key: str, text: str, name: str = "") -> Field:
    """A computed whole number."""
    return Field(key=key, name=name or key, schema={"type": "integer", "description": text})


def moved(site: Site, table: Table, column: str, condition: str) -> Reply:
    """How many rows went from :from_id to :to_id, and how many of that kind each has now."""
    labels = site.words.labels(table.key)

    def count(bind: str) -> str:
        return (
            f"(SELECT count(*) FROM {site.sql(table)} AS t WHERE {site.col(table, column)} = :{bind} AND {condition})"
        )

    return Reply(
        query=Statement(sql=f"SELECT :moved, {count('from_id')}, {count('to_id')}"), shape="value",
        fields=(
            count_field("moved", f"How many {labels} changed hands."),
            count_field("left", f"How many {labels} the first one still has."),
            count_field("now", f"How many {labels} the second one has now."),
        ),
    )  # fmt: skip


def rows(site: Site, table: Table, condition: str) -> Reply:
    """The rows `t` that meet a condition, by key."""
    keys = [c.key for c in table.columns]
    sql = (
        f"SELECT {site.cols(table, keys)} FROM {site.sql(table)} AS t WHERE {condition} "
        f"ORDER BY {site.cols(table, table.primary_key)}"
    )
    return Reply(
        query=Statement(sql=sql), shape="rows", fields=site.fields(table), keys=((table.key, site.places(table, keys)),)
    )


def with_children(site: Site, table: Table, child: Table, link: ForeignKey, prefix: str = "") -> Reply:
    """The row whose key binds under a prefix, and its children."""
    found = rows(site, child, f"{site.col(child, link.columns[0])} = :{prefix}id")
    return beside(of(site, table, prefix), site.words.nouns(child.key), found)


def beside(reply: Reply, name: str, inner: Reply) -> Reply:
    """A row with further rows under a name of their own, which no field of it has."""
    while name in {f.name for f in reply.fields} | {n for n, _ in reply.nested}:
        name = f"all_{name}"
    return replace(reply, nested=(*reply.nested, (name, inner)))


def of(site: Site, table: Table, prefix: str) -> Reply:
    """The row whose key binds under a prefix: a new one, or one of two."""
    reply = site.row_reply(table)
    sql = reply.query.sql.replace(site.at_key(table), site.at_key(table, prefix=prefix))
    return replace(reply, query=Statement(sql=sql))


def optional(param: Param) -> Param:
    """The parameter, bound to NULL where it is not given."""
    return replace(param, required=False, binds_null=True)


def one(found: Reply, missing: Fault) -> Reply:
    """The first of some rows, as a row."""
    return replace(found, shape="row", missing=missing)
