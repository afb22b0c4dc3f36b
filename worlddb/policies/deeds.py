"""What the staff of a business does to its rows, as policies speak of it: moves, removals, changes and new rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from worlddb.schema.model import Table
from worlddb.tasks.families.targets import actions, taken
from worlddb.tasks.ground import Ground
from worlddb.tools.kinds.transition import ways
from worlddb.tools.model import Each, Step, Write
from worlddb.tools.words import Verb

ADD, CHANGE, DELETE = Verb("add", "added"), Verb("change", "changed"), Verb("delete", "deleted")


class Deed(NamedTuple):
    """Something that the staff does to rows of a table: by these tools it happens, and by no other as a mere consequence."""

    table: str
    op: str
    verb: Verb
    tools: tuple[str, ...]
    """Keys."""
    state: str = ""
    """Of a move: the state that is entered."""
    origins: tuple[str, ...] = ()
    """Of a move: all other states."""

    @property
    def slug(self) -> str:
        """It in a name: 'cancel-reservation'."""
        verb = self.verb.imperative.replace("_{noun}", "").replace("{noun}_", "")
        return f"{verb}-{self.table}".replace("_", "-")


def deeds_of(ground: Ground) -> list[Deed]:
    """What the staff does: moves, removals, changes and new rows, each of one table's own tools alone."""
    found = list[Deed]()
    able = [t for t in actions(ground) if taken(ground, t) != ()]
    for table in ground.schema.tables:
        own = [t for t in able if t.table == table.key]
        found += _moves(ground, table, {t.key for t in own})
        for op, verb, kinds in (
            ("delete", DELETE, ("delete",)),
            ("insert", ADD, ("create",)),
            ("update", CHANGE, ("update", "transition")),
        ):
            tools = tuple(t.key for t in own if t.kind in kinds and (table.key, op) in t.writes)
            if tools and alone(ground, table.key, op):
                found.append(Deed(table.key, op, verb, tools))
    return found


def _moves(ground: Ground, table: Table, own: set[str]) -> Iterator[Deed]:
    machine = table.lifecycle
    if machine is None or len(table.primary_key) != 1 or not alone(ground, table.key, "update", machine.column):
        return
    for way in ways(ground.site, table):
        key = f"{table.key}.{way.stem}"
        if key in own:
            others = tuple(s for s in machine.states if s != way.to)
            yield Deed(table.key, "update", way.verb, (key,), way.to, others)


def alone(ground: Ground, table: str, op: str, column: str = "") -> bool:
    """True where only tools of the table itself do this to its rows (and set that column)."""
    return not any(
        t.table != table and (table, op) in t.writes
        and (not column or any(w.table == table and column in w.columns for w in _writes(t.steps)))
        for t in ground.writers
    )  # fmt: skip


def _writes(steps: Sequence[Step]) -> Iterator[Write]:
    for step in steps:
        if isinstance(step, Each):
            yield from _writes(step.steps)
        elif isinstance(step, Write):
            yield step
