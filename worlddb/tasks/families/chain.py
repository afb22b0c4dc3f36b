"""Several changes that hang together: what one makes is used by the next, or rows that belong together change in turn."""

from __future__ import annotations

from typing import Any, NamedTuple

from worlddb.schema.model import ForeignKey, Table
from worlddb.tasks.draft import Draft
from worlddb.tasks.families.single import WEIGHTS, choose, told
from worlddb.tasks.families.targets import (
    Target,
    actions,
    arguments,
    keyed,
    present,
    repeats,
    target,
    wants,
    within,
)
from worlddb.tasks.families.trial import bearing
from worlddb.tasks.plan import Of, Plan
from worlddb.tasks.reckon import Row
from worlddb.tools.model import Param, Tool

NAME = "chain"
TRIES = 4
LENGTHS = {2: 5, 3: 3, 4: 2}
"""Changes -> how often."""
NEXT = ("transition", "action", "create", "link")
"""Kinds of what is done to a row that was just made: nobody asks to make a row and then to change or to remove it."""
UNDOING = (".merge", ".retire", ".deactivate", ".leave", ".unassign")
"""Ends of the keys of actions that nobody asks for on a row that was just made."""


class Actor(NamedTuple):
    """A row that a chain speaks of."""

    table: str
    row: Row
    said: Of
    """Its key, as later changes name it."""
    find: str
    """Name of the Find that found it; '' of a row that the chain made."""
    step: int
    """Index of the change that made it or last touched it."""


class Chain:
    """A chain in the making."""

    def __init__(self, draft: Draft) -> None:
        self.draft, self.ground = draft, draft.ground
        self.calls: list[tuple[Tool, dict[str, Any]]] = []
        self.uses: list[frozenset[int]] = []
        self.dos: list[str] = []
        self.last: Target | None = None
        self.actors: list[Actor] = []
        self.done: set[tuple[str, int]] = set()
        """(tool, row) of every change: nothing is asked twice."""

    def start(self, depth: int) -> bool:
        """The first change: more often than not a new row."""
        makers = [t for t in actions(self.ground, "create") if self._followers(t)]
        tool = (
            self.draft.stream.pick(makers)
            if makers and self.draft.stream.chance(0.5)
            else choose(self.draft, *NEXT, "update")
        )
        return tool is not None and self.add(target(self.draft, tool), depth, {})

    def _followers(self, maker: Tool) -> list[tuple[Tool, Param]]:
        """What can be done with a row that a tool makes."""
        return [(t, p) for t in actions(self.ground, *NEXT) for p in t.params if wants(self.ground, p) == maker.table]

    def follow(self, depth: int) -> bool:
        """One more change: with a row of the chain, or with a row that belongs to one."""
        actor = self.draft.stream.pick(self.actors)
        if not actor.find:
            return self._use(actor, depth)
        return self._kin(actor, depth) if self.draft.stream.chance(0.8) else self._use(actor, depth)

    def _use(self, actor: Actor, depth: int) -> bool:
        """Do something with a row of the chain."""
        kinds = NEXT if not actor.find else (*NEXT, "update")
        options = [
            (t, p) for t in actions(self.ground, *kinds) for p in t.params
            if wants(self.ground, p) == actor.table and (p.role == "key") == (t.kind not in ("create", "link"))
            and not (t.key.endswith(UNDOING) and not actor.find)
        ]  # fmt: skip
        if not options:
            return False
        tool, param = self.draft.stream.pick(options)
        return self._given(tool, param, actor, depth)

    def _given(self, tool: Tool, param: Param, actor: Actor, depth: int) -> bool:
        if (tool.key, id(actor.row)) in self.done:
            return False
        optional = 1 if param.required else 2
        found = target(self.draft, tool, given={param.key: actor.row}, before=self.calls, optional=optional)
        if found is None or found.rows.get(param.key, ("", {}))[1] is not actor.row:
            return False
        return self.add(found, depth, {param.key: actor})

    def _kin(self, actor: Actor, depth: int) -> bool:
        """Do something to a parent or a child of a row of the chain."""
        kin = self._related(actor)
        if not kin:
            return False
        table, link, rows, up = self.draft.stream.pick(kin)
        tools = [(t, p) for t in actions(self.ground, "transition", "action", "update", "archive") for p in keyed(self.ground, t)
                 if wants(self.ground, p) == table.key]  # fmt: skip
        row = self.draft.stream.pick(rows)
        if not tools or any(a.row is row for a in self.actors) or not present(self.ground, table.key, row):
            return False
        kinds = {t.kind for t, _ in tools}
        kind = self.draft.stream.weighted(sorted(kinds), [WEIGHTS[k] for k in sorted(kinds)])
        tool, param = self.draft.stream.pick([(t, p) for t, p in tools if t.kind == kind])
        name = self._name(actor, table, link, row, up)
        if name is None:
            return False
        return self._given(tool, param, Actor(table.key, row, self.draft.key(name), name, len(self.dos)), depth)

    def _related(self, actor: Actor) -> list[tuple[Table, ForeignKey, list[Row], bool]]:
        found: list[tuple[Table, ForeignKey, list[Row], bool]] = []
        home, ground = self.ground.schema[actor.table], self.ground
        for link in ground.parents(home):
            row = ground.row(link.table, actor.row[link.columns[0]])
            if row is not None and ground.readers[link.table]:
                found.append((ground.schema[link.table], link, [row], True))
        for child, link in ground.children(actor.table):
            rows = ground.of(child.key, link.columns[0], actor.row[home.primary_key[0]])
            if rows and ground.readers[child.key] and len(child.primary_key) == 1:
                found.append((child, link, rows, False))
        return found

    def _name(self, actor: Actor, table: Table, link: ForeignKey, row: Row, up: bool) -> str | None:
        if not up:
            return within(self.draft, actor.find, table, link, row)
        own = self.draft.equals(table, table[table.primary_key[0]], row)
        of = Of(node=actor.find, column=link.columns[0])
        return self.draft.find(table.key, type(own)(column=own.column, value=of))

    def add(self, found: Target | None, depth: int, named: dict[str, Actor]) -> bool:
        """Add a change to the chain and to the draft."""
        if found is None:
            return False
        said = arguments(self.draft, found, depth, named={k: a.said for k, a in named.items()})
        if said is None:
            return False
        do = self.draft.do(found.tool, dict(said))
        at = len(self.dos)
        self.dos.append(do)
        self.calls.append(found.call(self.ground))
        self.uses.append(frozenset(a.step for a in named.values() if not a.find))
        self.done |= {(found.tool.key, id(row)) for _, row in found.rows.values()}
        self.last = found
        for key, (table, row) in found.rows.items():
            of = said[key]
            if isinstance(of, Of) and not any(a.row is row for a in self.actors):
                self.actors.append(Actor(table, row, of, of.node, at))
        self._born(found, do, at)
        return True

    def _born(self, found: Target, do: str, at: int) -> None:
        """The row that a change has made, if it answers with it."""
        table = self.ground.schema[found.tool.table]
        if found.tool.kind != "create" or found.tool.reply.shape != "row" or len(table.primary_key) != 1:
            return
        made = [
            c.after for c in found.outcome.changes if c.table == table.key and c.before is None and c.after is not None
        ]
        if len(made) == 1:
            row = dict(zip((c.key for c in table.columns), made[0], strict=True))
            self.actors = [Actor(table.key, row, Of(node=do, column=table.primary_key[0]), "", at)]


def propose(draft: Draft, depth: int, size: int) -> Plan | None:
    """A plan, or None where nothing came of it."""
    lengths = {n: weight for n, weight in LENGTHS.items() if n <= max(2, size - 1)}
    length = draft.stream.weighted(list(lengths), list(lengths.values()))
    depth = min(depth, size - length)
    for _ in range(TRIES):
        mark = draft.mark()
        chain = grown(draft, depth, length)
        if len(chain.dos) > 1 and not repeats(draft) and bearing(draft.ground, chain.calls, chain.uses):
            asked = told(draft, chain.dos[-1], chain.last) if chain.last and draft.stream.chance(0.25) else None
            return draft.plan(NAME, asked)
        draft.back(mark)
    return None


def grown(draft: Draft, depth: int, length: int) -> Chain:
    """A chain of up to so many changes."""
    chain = Chain(draft)
    if chain.start(depth):
        for _ in range(2 * length):
            if len(chain.dos) == length:
                break
            mark = draft.mark()
            if not chain.follow(0):
                draft.back(mark)
    return chain
