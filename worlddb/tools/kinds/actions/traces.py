"""What an action leaves behind beside its effect: a line in a history, a message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from worlddb.schema.model import ForeignKey, Table
from worlddb.schema.rules import Acyclic, DateOrder, literal
from worlddb.semantics.types import is_a
from worlddb.tools.kinds.actions.draft import Draft
from worlddb.tools.kinds.actions.sights import holders, is_person, single_key, text_column
from worlddb.tools.kinds.actions.texts import Unfit
from worlddb.tools.site import Site
from worlddb.tools.words import state_word

_LOGS = frozenset(["activity", "audit", "event", "events", "history", "journal", "log", "timeline"])
_GENERIC = frozenset(["changed", "modified", "updated"])


class Below(NamedTuple):
    """A table whose rows hang on the rows of another, by a reference or by type and key."""

    table: Table
    link: ForeignKey | None
    """None where it is by type and key."""
    given: dict[str, str]
    """What ties a new row to the row at `:id`: column -> SQL."""


def _hanging(site: Site, table: Table, archetype: str, bind: str) -> Iterator[Below]:
    for child, link in holders(site, table):
        if child.archetype == archetype:
            yield Below(child, link, {link.columns[0]: f":{bind}"})
    for child in site.schema.tables:
        pair = child.polymorphic
        if pair and child.archetype == archetype and table.key in pair.tables and single_key(table):
            kind = child[pair.type_column].values[pair.tables.index(table.key)]
            key = f":{bind}" if is_a(child[pair.id_column].type, "polymorphic_ref") else f"CAST(:{bind} AS TEXT)"
            yield Below(child, None, {pair.type_column: literal(kind), pair.id_column: key})


def history(site: Site, table: Table, bind: str = "id") -> Below | None:
    """The log of what happened to the rows of a table, if an action can write a line there unasked."""
    for found in _hanging(site, table, "event_log", bind):
        ruled = any(r.table == found.table.key and not isinstance(r, Acyclic | DateOrder) for r in site.schema.rules)
        values = {state_word(v) for c in found.table.columns for v in c.values}
        general = found.link is None or values & _GENERIC or set(found.table.key.split("_")) & _LOGS
        if general and not ruled:
            return found
    return None


def talk(site: Site, table: Table) -> Below | None:
    """The messages that people write to the rows of a table."""
    if is_person(table) or table.archetype == "message":
        return None
    return next((b for b in _hanging(site, table, "message", "id") if text_column(b.table) is not None), None)


def note(draft: Draft, happened: tuple[str, ...], *, person: tuple[Table, str] | None = None) -> str:
    """Write a line into the history of the row at `:id`; what the description says of it, '' where there is none.

    `happened` are words for it, the best first; `person` the table and bind of somebody concerned.
    """
    site = draft.site
    log = history(site, draft.table)
    if log is None:
        return ""
    given = dict(log.given)
    for column, reference in site.references(log.table).items():
        if person and column not in given and reference.table == person[0].key:
            given[column] = f":{person[1]}"
    given |= {c.key: literal(happened[0]) for c in log.table.columns if is_a(c.type, "tag") and not c.unique}
    kept = len(draft.steps), len(draft.changes)
    try:
        draft.insert(log.table, given, into="line_id", ask=False, prefer=(*happened, *sorted(_GENERIC, reverse=True)))
    except Unfit:
        del draft.steps[kept[0] :], draft.changes[kept[1] :]
        return ""
    return f" A line is written to its {site.words.labels(log.table.key)}."
