"""What an action leaves behind beside its effect: a line in a history, a comment."""

from __future__ import annotations

from worlddb.schema.model import ForeignKey, Table
from worlddb.schema.rules import Acyclic, DateOrder
from worlddb.tools.kinds.actions.draft import Draft, Unfit
from worlddb.tools.kinds.actions.sights import holders, is_person, text_column
from worlddb.tools.site import Site

_MILD = (Acyclic, DateOrder)


def history(site: Site, table: Table) -> tuple[Table, ForeignKey] | None:
    """The log of what happened to the rows of a table, if an action can write a line there unasked."""
    for child, link in holders(site, table):
        if child.archetype == "event_log" and not any(r.table == child.key and not isinstance(r, _MILD) for r in site.schema.rules):
            return child, link
    return None


def note(draft: Draft, happened: tuple[str, ...], *, person: tuple[Table, str] | None = None, table: Table | None = None,
         prefix: str = "") -> str:  # fmt: skip
    """Write a line into the history of the row at `:<prefix>id`; what it says, or '' where there is none.

    `happened` are words for it, the best first; `person` the table and bind of somebody concerned.
    """
    site, table = draft.site, table or draft.table
    log = history(site, table)
    if log is None:
        return ""
    child, link = log
    given = {link.columns[0]: f":{prefix}id"}
    for column, reference in site.references(child).items():
        if person and column not in given and reference.table == person[0].key:
            given[column] = f":{person[1]}"
    kept = len(draft.steps), len(draft.changes)
    try:
        draft.insert(child, given, into=f"{prefix}line", ask=False, prefer=(*happened, "updated", "changed", "modified"))
    except Unfit:
        del draft.steps[kept[0] :], draft.changes[kept[1] :]
        return ""
    return f" A line is written to its {site.words.labels(child.key)}."


def talk(site: Site, table: Table) -> tuple[Table, ForeignKey] | None:
    """The messages that people write to the rows of a table."""
    for child, link in holders(site, table):
        if child.archetype == "message" and text_column(child) is not None and not is_person(table):
            return child, link
    return None
