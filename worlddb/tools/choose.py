"""Which of the many tools that a schema could have one API offers.

Reading and writing tools share the size of the API, and the kinds share each half, by the weights of `MIX`.  Within a kind the
tools of important tables come first, not always the same table, and tools that change several tables or meet new rules
before others.  Whatever keys a chosen tool takes, a chosen reading tool gives: no tool needs what nobody can look up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from worlddb.rng import Stream
from worlddb.schema.model import Schema, Table
from worlddb.tools.model import KINDS, READ_KINDS, WRITE_KINDS, Each, Fault, Param, Reply, Step, Tool, Write

MIX = {
    "get": 17, "find": 4, "list": 17, "search": 7, "aggregate": 10, "predicate": 5,
    "create": 9, "update": 8, "delete": 3, "archive": 1, "restore": 1, "transition": 13, "action": 11,
    "bulk": 4, "link": 1, "unlink": 1,
}  # fmt: skip
"""Kind -> weight in its half, reading or writing."""
READING = 53
"""Percent of the tools that read."""
LEAST, MOST = 20, 60
"""Tools of an API, where the schema has as many."""
LEAST_WRITES = 9
LEAST_RULES = 11
"""Different business rules that calls can meet, at least; see `rules_of`."""
MOST_BATCHED = 4
STRENGTH = {
    "taxonomy": 20, "settings": 15, "rate": 30, "membership": 60, "measurement": 45, "result": 50, "movement": 50,
    "ledger": 45, "message": 50, "review": 50, "line": 60,
}  # fmt: skip
"""Importance of tables by archetype, at most: those that a business has beside what it is about."""
FADE = 45
"""Percent of its score that a tool keeps for every tool of its kind and table that is there already."""


def draw_size(stream: Stream, tables: int) -> int:
    """How many tools an API has: some 34 for 10 tables, more for larger schemas."""
    spread = 76 + stream.below(26) + stream.below(26)
    return max(LEAST, min(MOST, (15 + 2 * tables) * spread // 100))


def choose(schema: Schema, tools: Sequence[Tool], stream: Stream, *, batched: bool = False) -> tuple[Tool, ...]:
    """The tools of one API, ordered by table and kind.  `batched`: it also has some that get several rows at once."""
    pool = _Pool(schema, [t for t in tools if not is_batch(t)], stream)
    size = draw_size(stream.child("size"), len(schema.tables))
    writes = min(max(LEAST_WRITES, size - size * READING // 100), pool.count(WRITE_KINDS))
    pool.fill(WRITE_KINDS, writes)
    pool.fill(READ_KINDS, size - writes)
    pool.fill(WRITE_KINDS, size - pool.count(READ_KINDS, chosen=True))
    pool.meet_rules(LEAST_RULES)
    if batched:
        pool.batch([t for t in tools if is_batch(t)])
    return pool.ordered()


def is_batch(tool: Tool) -> bool:
    """True for a tool that gets several rows by their keys."""
    return tool.key.endswith(".get_many")


def _is_plain(tool: Tool) -> bool:
    """True for what everybody expects of a table: get, list, create; not for its variants."""
    return tool.key == f"{tool.table}.{tool.kind}"


class _Pool:
    """The proposals, and those chosen so far."""

    def __init__(self, schema: Schema, tools: list[Tool], stream: Stream) -> None:
        self.schema, self.keys = schema, Keys(schema)
        self._place = {t.key: i for i, t in enumerate(tools)}
        self._by_kind: dict[str, list[Tool]] = {k: [] for k in KINDS}
        for tool in tools:
            self._by_kind[tool.kind].append(tool)
        weight = {t.key: importance(schema, t) for t in schema.tables}
        self._mix = {k: w * (60 + stream.child("mix", k).below(80)) for k, w in MIX.items()}
        fine = stream.child("score")
        self._score = {t.key: weight[t.table] * (60 + fine.child(t.key).below(80)) * (1 + _is_plain(t)) for t in tools}
        self._met = {t.key: rules_of(t) for t in tools}
        self._chosen: dict[str, Tool] = {}
        self._given: set[str] = set()
        self._effects: set[object] = set()
        self._rules: set[str] = set()
        self._same: Counter[tuple[str, str]] = Counter()

    def count(self, kinds: Iterable[str], *, chosen: bool = False) -> int:
        """How many there are of some kinds."""
        if chosen:
            return sum(t.kind in kinds for t in self._chosen.values())
        return sum(len(self._by_kind[k]) for k in kinds)

    def ordered(self) -> tuple[Tool, ...]:
        """The chosen tools by table, kind and proposal."""
        tables = {t.key: i for i, t in enumerate(self.schema.tables)}
        return tuple(
            sorted(self._chosen.values(), key=lambda t: (tables[t.table], KINDS.index(t.kind), self._place[t.key]))
        )

    def fill(self, kinds: Sequence[str], number: int) -> None:
        """Choose until there are `number` tools of these kinds, or as many as there can be."""
        stuck: set[str] = set()
        while self.count(kinds, chosen=True) < number:
            have = {k: self.count((k,), chosen=True) for k in kinds}
            want = apportion(number, {k: self._mix[k] for k in kinds if k not in stuck})
            open_kinds = [k for k in want if want[k] > have[k]] or [k for k in kinds if k not in stuck]
            if not open_kinds:
                return
            kind = max(open_kinds, key=lambda k: (want.get(k, 0) - have[k], self._mix[k]))
            if not self._choose_best(kind):
                stuck.add(kind)

    def _choose_best(self, kind: str) -> bool:
        """Choose the best tool of a kind, with the reading tools that its keys come from."""
        ranked = sorted(self._free(kind), key=self._worth, reverse=True)
        return any(self._choose(tool) for tool in ranked)

    def _free(self, kind: str) -> list[Tool]:
        return [t for t in self._by_kind[kind] if t.key not in self._chosen]

    def _worth(self, tool: Tool) -> float:
        worth = self._score[tool.key] * (FADE / 100) ** self._same[tool.kind, tool.table]
        if tool.read_only:
            return worth if self.keys.needs(tool) <= self._given else worth / 3
        fresh = len(self._met[tool.key] - self._rules)
        return worth * (1 + min(fresh, 4) / 4) * (3 if touches_several(tool) else 1)

    def _choose(self, tool: Tool) -> bool:
        """Choose a tool, unless one of the same effect is there or its keys cannot be looked up."""
        effect = self._effect(tool)
        if effect in self._effects:
            return False
        before = dict(self._chosen), set(self._given), set(self._effects), set(self._rules), self._same.copy()
        self._add(tool, effect)
        for table in sorted(self.keys.needs(tool) - self._given):
            if table not in self._given and not self._provide(table):
                self._chosen, self._given, self._effects, self._rules, self._same = before
                return False
        return True

    def _provide(self, table: str) -> bool:
        """Choose a reading tool that gives the keys of a table."""
        return any(self._choose(tool) for tool in self._providers.get(table, ()) if tool.key not in self._chosen)

    @cached_property
    def _providers(self) -> dict[str, list[Tool]]:
        """Table -> the tools that give its keys, the plain list first."""
        found: dict[str, list[Tool]] = {}
        for kind in ("list", "search", "find", "get"):
            for tool in self._by_kind[kind]:
                for table in self.keys.gives(tool):
                    found.setdefault(table, []).append(tool)
        for table, some in found.items():
            some.sort(key=lambda t: (t.key != f"{table}.list", len(self.keys.needs(t))))
        return found

    def _add(self, tool: Tool, effect: object) -> None:
        self._chosen[tool.key] = tool
        self._given |= self.keys.gives(tool)
        self._effects.add(effect)
        self._rules |= self._met[tool.key]
        self._same[tool.kind, tool.table] += 1

    @staticmethod
    def _effect(tool: Tool) -> object:
        """What two tools would have to share to do the same."""
        params = tuple(sorted(p.key for p in tool.params if p.required))
        writes = tuple(w.statement.sql for w in _writes(tool.steps))
        return (params, writes) if writes else (params, *_queries(tool.reply))

    def batch(self, tools: list[Tool]) -> None:
        """Add tools that get several rows, of tables of which single rows can be got."""
        self._place |= {t.key: len(self._place) + i for i, t in enumerate(tools)}
        fit = [t for t in tools if f"{t.table}.get" in self._chosen]
        for tool in sorted(fit, key=lambda t: -self._score[f"{t.table}.get"])[:MOST_BATCHED]:
            self._chosen[tool.key] = tool

    def meet_rules(self, least: int) -> None:
        """Choose writing tools that meet further rules, while there are fewer than `least`."""
        while len(self._rules) < least:
            fresh = [t for k in WRITE_KINDS for t in self._free(k) if self._met[t.key] - self._rules]
            ranked = sorted(
                fresh, key=lambda t: (len(self._met[t.key] - self._rules), self._score[t.key]), reverse=True
            )
            if len(self._chosen) >= MOST or not any(self._choose(t) for t in ranked):
                return


# --- what a tool needs, gives and meets


class Keys:
    """Which tables' keys a tool takes, and which it gives."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._refers = {(t.key, c): key.table for t, key in schema.edges() for c in key.columns}
        self._needs: dict[str, frozenset[str]] = {}
        self._gives: dict[str, frozenset[str]] = {}

    def needs(self, tool: Tool) -> frozenset[str]:
        """The tables of which a call may need keys that other tools have to tell."""
        if tool.key not in self._needs:
            self._needs[tool.key] = frozenset(t for p in _flat(tool.params) for t in self._takes(tool, p))
        return self._needs[tool.key]

    def _takes(self, tool: Tool, param: Param) -> Iterator[str]:
        if param.hidden or not param.column or param.table not in self._schema:
            return
        if param.role == "filter" and not param.required and tool.read_only:
            return  # its own answer shows what it can be filtered by
        table = self._schema[param.table]
        pair = (table.key, param.column)
        if pair in self._refers and (param.role != "key" or (param.column,) != table.primary_key):
            yield self._refers[pair]
        elif param.role == "key" and param.column in table.primary_key:
            yield table.key
        elif table.polymorphic and param.column == table.polymorphic.id_column:
            yield from table.polymorphic.tables

    def gives(self, tool: Tool) -> frozenset[str]:
        """The tables whose keys its answer tells, of all rows or of those of a parent or a search."""
        if tool.key not in self._gives:
            own = tool.reply.shape in ("rows", "page") or tool.kind == "find"
            whole = tool.kind in ("list", "search", "find", "get") and not tool.key.partition(".")[2].startswith(
                "list_"
            )
            replies = [tool.reply] if own and whole and not is_batch(tool) else []
            replies += [inner for _, inner in tool.reply.nested] if whole else []
            self._gives[tool.key] = frozenset(t for r in replies for t in self._told(r))
        return self._gives[tool.key]

    def _told(self, reply: Reply) -> Iterator[str]:
        shown = {(f.table, f.column) for f in reply.fields}
        for table in dict.fromkeys(f.table for f in reply.fields if f.table in self._schema):
            if all((table, c) in shown for c in self._schema[table].primary_key):
                yield table

    def unobtainable(self, tools: Sequence[Tool]) -> dict[str, frozenset[str]]:
        """Tool -> the tables whose keys it takes and no tool of the API tells; empty where all is well."""
        given: set[str] = set()
        while True:
            more = {t for tool in tools if self.needs(tool) <= given for t in self.gives(tool)} - given
            if not more:
                break
            given |= more
        return {t.key: self.needs(t) - given for t in tools if not self.needs(t) <= given}


def _flat(params: Iterable[Param]) -> Iterator[Param]:
    for param in params:
        yield param
        yield from _flat(param.fields)


def _writes(steps: Iterable[Step]) -> Iterator[Write]:
    for step in steps:
        if isinstance(step, Write):
            yield step
        elif isinstance(step, Each):
            yield from _writes(step.steps)


def _queries(reply: Reply) -> tuple[str, ...]:
    return (reply.query.sql, *(q for _, inner in reply.nested for q in _queries(inner)))


def rules_of(tool: Tool) -> frozenset[str]:
    """Names of the business rules that calls of a tool can meet: the schema's, and those of its own guards."""
    return frozenset(tool.rules) | {f.rule for f in faults(tool.steps) if f.rule}


def faults(steps: Iterable[Step]) -> Iterator[Fault]:
    """Every fault that a program can answer with."""
    for step in steps:
        if isinstance(step, Each):
            yield from faults(step.steps)
        elif not isinstance(step, Write):
            yield getattr(step, "fault", None) or getattr(step, "missing")  # noqa: B009


def touches_several(tool: Tool) -> bool:
    """True for a tool that may change several tables."""
    return len({table for table, _ in tool.writes}) > 1


def importance(schema: Schema, table: Table) -> int:
    """How much of an API is about a table: 15 (settings) to about 150 (what the business is about)."""
    score = 40 + 8 * min(len(schema.children[table.key]), 4) + 10 * min(len(table.foreign_keys), 3)
    score += 40 if table.lifecycle else 0
    score += sum(5 for r in schema.rules if r.table == table.key)
    return min(score, STRENGTH.get(table.archetype, score))


def apportion(number: int, weights: dict[str, int]) -> dict[str, int]:
    """`number` shared out by weights, whole and without rest (largest remainders)."""
    total = sum(weights.values())
    if not total:
        return {}
    shares = {k: divmod(number * w, total) for k, w in weights.items()}
    found = {k: whole for k, (whole, _) in shares.items()}
    for key in sorted(shares, key=lambda k: -shares[k][1])[: number - sum(found.values())]:
        found[key] += 1
    return found
