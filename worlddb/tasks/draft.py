"""The Draft: a plan while it is thought up, with what its nodes amount to in the world as it was grown.

Families write plans through it: they name rows as people name them (`refer`), gather sets (`gather`), and add figures and
changes.  Equal nodes are one node, so that branches that speak of the same thing share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from worlddb.rng import Stream
from worlddb.schema.model import Column, ForeignKey, Table
from worlddb.semantics.types import semantic_type
from worlddb.tasks import columns
from worlddb.tasks.ground import Ground
from worlddb.tasks.plan import Asked, Calc, Const, Do, Each, Find, Fold, Group, Node, Of, Plan, Test, Where
from worlddb.tasks.reckon import Row, calculated, folded, grouped, sifted
from worlddb.tools.model import Tool

TRIES = 8


class Draft:
    """A plan in the making."""

    def __init__(self, ground: Ground, stream: Stream) -> None:
        self.ground = ground
        self.schema = ground.schema
        self.stream = stream
        self.nodes: list[Node] = []
        self._rows: dict[str, tuple[Row, ...]] = {}
        self._values: dict[str, Any] = {}
        self._path: list[tuple[Any, ...]] = []
        """The rows that are being named."""

    # --- nodes

    def add(self, node: Node) -> str:
        """Add a node under a name of the draft's; an equal one is used again.  Its name."""
        if not isinstance(node, Do):
            for known in self.nodes:
                if type(known) is type(node) and replace(node, name=known.name) == known:
                    return known.name
        name = f"{_LETTER[type(node)]}{len(self.nodes) + 1}"
        node = replace(node, name=name)
        self._amount(node)
        self.nodes.append(node)
        return name

    def _amount(self, node: Node) -> None:
        """Work out what a node amounts to."""
        name = node.name
        if isinstance(node, Find):
            self._rows[name] = self._select(node)
        elif isinstance(node, Fold):
            self._values[name] = self._folded(node)
        elif isinstance(node, Group):
            rows = self._rows[node.of]
            self._values[name] = grouped(rows, node.column, node.by, node.over, node.desc)
        elif isinstance(node, Calc):
            self._values[name] = calculated(node.op, self.value(node.left), self.value(node.right))

    def find(self, table: str, *where: Where, **how: Any) -> str:
        """Add a Find: `sort`, `desc`, `take`, `many`, `free` as in plan.Find."""
        return self.add(Find(name="", table=table, where=where, **how))

    def fold(self, of: str, by: str = "count", column: str = "") -> str:
        """Add a figure over a set."""
        return self.add(Fold(name="", of=of, by=by, column=column))

    def do(self, tool: Tool | str, arguments: dict[str, Any], **how: Any) -> str:
        """Add a change: `each`, `when`, `unless`, `refused` as in plan.Do."""
        key = tool if isinstance(tool, str) else tool.key
        return self.add(Do(name="", tool=key, arguments=arguments, **how))

    def test(self, left: Const | Of, op: str, right: Const | Of) -> str:
        """Add a comparison."""
        return self.add(Test(name="", left=left, op=op, right=right))

    def plan(self, family: str, asked: Asked | None = None) -> Plan:
        """The finished plan."""
        return Plan(family=family, nodes=tuple(self.nodes), asked=asked)

    @classmethod
    def again(cls, ground: Ground, plan: Plan) -> Draft:
        """A draft of the nodes of a finished plan, which tells what they amount to."""
        draft = cls(ground, Stream(0, "again"))
        for node in plan.nodes:
            draft._amount(node)
            draft.nodes.append(node)
        return draft

    def mark(self) -> int:
        """A point to go back to."""
        return len(self.nodes)

    def back(self, mark: int) -> None:
        """Forget the nodes since a mark."""
        del self.nodes[mark:]

    # --- what they amount to

    def rows(self, name: str) -> tuple[Row, ...]:
        """The rows of a Find."""
        return self._rows[name]

    def row(self, name: str) -> Row:
        """The row of a Find of one."""
        return self._rows[name][0]

    def value(self, what: Const | Of) -> Any:
        """What an expression amounts to."""
        if isinstance(what, Const):
            return what.value
        return self._rows[what.node][0][what.column] if what.column else self._values[what.node]

    def table_of(self, name: str) -> Table:
        """The table of a Find."""
        node = next(n for n in self.nodes if n.name == name)
        assert isinstance(node, Find)
        return self.schema[node.table]

    def key(self, name: str) -> Of:
        """The key of the row of a Find, as an argument."""
        return Of(node=name, column=self.table_of(name).primary_key[0])

    def wanted(self, where: Where) -> tuple[Any, ...]:
        """The values that a condition compares with."""
        if isinstance(where.value, Each):
            return tuple(r[where.value.column] for r in self._rows[where.value.node])
        if where.value is not None:
            return (self.value(where.value),)
        return tuple(v.value for v in where.values)

    def _select(self, find: Find) -> tuple[Row, ...]:
        found = self.ground.meeting(find.table, [(w.column, w.op, self.wanted(w)) for w in find.where])
        if find.sort:
            found = [r for r in found if r[find.sort] is not None]
            found.sort(key=lambda r: r[find.sort], reverse=find.desc)
        return tuple(found[: find.take] if find.take else found[:1] if find.free else found)

    def _folded(self, node: Fold) -> Any:
        rows = self._rows[node.of]
        return folded(node.by, [r[node.column] for r in rows if r[node.column] is not None] if node.column else rows)

    # --- rows as people name them

    def refer(self, table: str, row: Row, depth: int = 1) -> str | None:
        """Name a row, so that nothing else can be meant; with `depth` > 0 by way of up to so many others.  The Find's name."""
        home = self.schema[table]
        place = (table, *(row[k] for k in home.primary_key))
        if not self.ground.readers[table] or place in self._path:  # nothing is named by way of itself
            return None
        ways = [self._by_link, self._by_child, self._by_rank] if depth > 0 else []
        self._path.append(place)
        try:
            for way in [*self.stream.shuffled(ways), self._by_name, *([] if depth else [self._by_rank])]:
                mark = self.mark()
                found = way(home, row, depth)
                if found is not None:
                    return found
                self.back(mark)
            return None
        finally:
            self._path.pop()

    def _by_name(self, table: Table, row: Row, depth: int) -> str | None:
        if not self.ground.readers[table.key] or len(table.primary_key) != 1:
            return None
        options = [c for c in columns.names(table) if row[c.key] is not None and self._alone(table, c.key, row)]
        if not options:
            return None
        column = options[0] if self.stream.chance(0.7) else self.stream.pick(options)
        return self.find(table.key, self.equals(table, column, row))

    def _alone(self, table: Table, column: str, row: Row) -> bool:
        """True where no other row has this value, letter case aside."""
        value = row[column]
        folded = value.casefold() if isinstance(value, str) else value
        return self.ground.index(table.key, column).get(folded) == 1

    def equals(self, table: Table, column: Column, row: Row) -> Where:
        """The condition that a row's own value gives."""
        return Where(column=column.key, value=Const(value=row[column.key], table=table.key, column=column.key))

    def _by_link(self, table: Table, row: Row, depth: int) -> str | None:
        """By a parent, and what tells it from its siblings: the latest, the one in that state, the one of that other parent."""
        links = [f for f in self.ground.parents(table) if row[f.columns[0]] is not None and f.table != table.key]
        if not links or len(table.primary_key) != 1 or not self.ground.readers[table.key]:
            return None
        link = self.stream.pick(links)
        siblings = self.ground.of(table.key, link.columns[0], row[link.columns[0]])
        if len(siblings) > 60 or self._put_away(table, siblings):
            return None
        more = self._apart(table, row, siblings, [f for f in links if f is not link], depth)
        if more is None:
            return None
        parent = self.refer(link.table, self._parent(link, row), depth - 1)
        if parent is None:
            return None
        own = Where(column=link.columns[0], value=self.key(parent))
        where, how, second = more
        if second is not None:
            other = self.refer(second.table, self._parent(second, row), max(0, depth - 2))
            if other is None or other == parent:
                return None
            where = (Where(column=second.columns[0], value=self.key(other)),)
        return self.find(table.key, own, *where, **how)

    def _parent(self, link: ForeignKey, row: Row) -> Row:
        found = self.ground.row(link.table, row[link.columns[0]])
        assert found is not None
        return found

    def _apart(
        self, table: Table, row: Row, siblings: Sequence[Row], others: Sequence[ForeignKey], depth: int
    ) -> tuple[tuple[Where, ...], dict[str, Any], ForeignKey | None] | None:
        """What tells a row from its siblings: conditions, a rank, or a second parent."""
        if len(siblings) == 1:
            return (), {}, None
        options: list[tuple[tuple[Where, ...], dict[str, Any], ForeignKey | None]] = []
        options += [((), how, None) for how in self._ranked(table, row, siblings)]
        for column in columns.choices(table):
            if row[column.key] is not None:
                same = [r for r in siblings if r[column.key] == row[column.key]]
                where = (self.equals(table, column, row),)
                if len(same) == 1:
                    options.append((where, {}, None))
                elif len(same) < len(siblings):
                    options += [(where, how, None) for how in self._ranked(table, row, same)[:1]]
        for link in others if depth > 0 else ():
            if sum(r[link.columns[0]] == row[link.columns[0]] for r in siblings) == 1:
                options += [((), {}, link)] * 2
        return self.stream.pick(options) if options else None

    def _ranked(self, table: Table, row: Row, among: Sequence[Row]) -> list[dict[str, Any]]:
        """The ranks by which a row is alone at one end."""
        found = []
        for column in columns.ranks(table):
            own = row[column.key]
            if own is None:
                continue
            values = [v for r in among if (v := r[column.key]) is not None]
            if len(values) < 2:
                continue
            for desc, end in ((True, max(values)), (False, min(values))):
                if own == end and values.count(own) == 1:
                    found.append({"sort": column.key, "desc": desc, "take": 1})
        return found

    def _by_child(self, table: Table, row: Row, depth: int) -> str | None:
        """By a row that belongs to it: the guest of that booking."""
        if len(table.primary_key) != 1:
            return None
        options = [
            (c, f)
            for c, f in self.ground.children(table.key)
            if c.key != table.key and len(c.primary_key) == 1 and columns.names(c)
        ]
        if not options:
            return None
        child, link = self.stream.pick(options)
        rows = self.ground.of(child.key, link.columns[0], row[table.primary_key[0]])
        if not rows:
            return None
        found = self.refer(child.key, self.stream.pick(rows), 0 if depth < 2 else depth - 1)
        if found is None or self.table_of(found).key != child.key:
            return None
        return self.find(table.key, Where(column=table.primary_key[0], value=Of(node=found, column=link.columns[0])))

    def _by_rank(self, table: Table, row: Row, depth: int) -> str | None:
        """By its rank in the whole table, or among those that share something."""
        rows = self.ground.table(table.key)
        if len(table.primary_key) != 1 or self._put_away(table, rows) or len(rows) > 300:
            return None
        options: list[tuple[tuple[Where, ...], dict[str, Any]]] = [((), h) for h in self._ranked(table, row, rows)]
        for column in columns.choices(table):
            if row[column.key] is not None:
                same = self.ground.of(table.key, column.key, row[column.key])
                if 1 < len(same) < len(rows):
                    options += [((self.equals(table, column, row),), h) for h in self._ranked(table, row, same)]
        if not options:
            return None
        where, how = self.stream.pick(options)
        return self.find(table.key, *where, **how)

    def _put_away(self, table: Table, rows: Iterable[Row]) -> bool:
        """True where some of the rows are archived: people would not say whether they mean these, too."""
        column = columns.archived(table)
        return bool(column) and any(r[column] is not None for r in rows)

    def anyone(self, table: str, row: Row, most: int) -> str | None:
        """Leave the choice among 2 to `most` rows that share what `row` is: 'any free driver'.  None is archived."""
        home = self.schema[table]
        if not self.ground.readers[table]:
            return None
        shared = [c.key for c in columns.choices(home)] + [f.columns[0] for f in self.ground.parents(home)]
        fit = []
        for column in shared:
            same = self.ground.of(table, column, row[column]) if row[column] is not None else []
            if 2 <= len(same) <= most and not self._put_away(home, same):
                fit.append(column)
        if not fit:
            return None
        column = self.stream.pick(fit)
        link = next((f for f in self.ground.parents(home) if f.columns == (column,)), None)
        if link is None:
            return self.find(table, self.equals(home, home[column], row), free=True)
        parent = self.refer(link.table, self._parent(link, row), 0)
        return self.find(table, Where(column=column, value=self.key(parent)), free=True) if parent else None

    # --- sets

    def gather(self, table: str, least: int, most: int, depth: int = 0, *, seed: Row | None = None) -> str | None:
        """Describe a set of `least` to `most` rows of a table by conditions that one of its rows (`seed`) meets."""
        home = self.schema[table]
        rows = self.ground.table(table)
        if not rows or not self.ground.readers[table]:
            return None
        for _ in range(TRIES):
            mark = self.mark()
            row = seed or self.stream.pick(rows)
            where = self._conditions(home, row, least, most, depth)
            if where is not None:
                name = self.find(table, *where, many=True)
                if least <= len(self.rows(name)) <= most and not self._put_away(home, self.rows(name)):
                    return name
            self.back(mark)
        return None

    def _conditions(self, table: Table, row: Row, least: int, most: int, depth: int) -> tuple[Where, ...] | None:
        """Conditions, one after the other, until few enough rows are left."""
        left: list[Row] = list(self.ground.table(table.key))  # never changed, only taken anew
        found: list[Where] = []
        used: set[str] = set()
        links = [f for f in self.ground.parents(table) if row[f.columns[0]] is not None and f.table != table.key]
        if links and self.stream.chance(0.75 if depth else 0.5):
            link = self.stream.pick(links)
            parent = self.refer(link.table, self._parent(link, row), depth)
            if parent is None:
                return None
            found.append(Where(column=link.columns[0], value=self.key(parent)))
            left = self.ground.of(table.key, link.columns[0], row[link.columns[0]])
            used.add(link.columns[0])
        for _ in range(3):
            if len(left) <= most and (found or len(left) == len(self.ground.table(table.key))):
                break
            options = self.stream.shuffled([o for o in self.traits(table, row) if o.column not in used])
            fit = ((o, kept) for o in options if least <= len(kept := self._kept(left, o)) < len(left))
            one, left = next(fit, (None, left))
            if one is None:
                return None
            found.append(one)
            used.add(one.column)
        return tuple(found) if least <= len(left) <= most else None

    def _kept(self, rows: list[Row], where: Where) -> list[Row]:
        return sifted(rows, where.column, where.op, self.wanted(where))

    def traits(self, table: Table, row: Row) -> list[Where]:
        """Conditions that a row meets by itself: what it is, what it is above or below, from when it is, what it lacks."""
        found = [self.equals(table, c, row) for c in columns.choices(table) if row[c.key] is not None]
        for column in columns.numbers(table):
            if row[column.key] is not None:
                found += self._bounds(table, column, row)
        for column in columns.moments(table)[:3]:
            if row[column.key] is not None:
                found += self._since(table, column, row)
        for link in self.ground.parents(table):
            if link.nullable:
                found.append(Where(column=link.columns[0], op="null" if row[link.columns[0]] is None else "set"))
        return found

    def _bounds(self, table: Table, column: Column, row: Row) -> list[Where]:
        """Round limits on either side of a number."""
        value, scale = row[column.key], semantic_type(column.type).scale
        step = _step(value) if not scale else 10.0 ** -min(scale, 1)
        low = value // step * step
        low, high = (round(low, 6), round(low + step, 6)) if scale else (int(low), int(low + step))
        const = {end: Const(value=v, table=table.key, column=column.key) for end, v in (("low", low), ("high", high))}
        return [
            Where(column=column.key, op="ge", value=const["low"]),
            Where(column=column.key, op="lt", value=const["high"]),
        ]

    def _since(self, table: Table, column: Column, row: Row) -> list[Where]:
        """From its own day or month on, or before the next."""
        day = row[column.key][:10]
        month = f"{day[:7]}-01"
        tail = " 00:00:00" if semantic_type(column.type).temporal == "datetime" else ""
        later = f"{int(day[:4]) + int(day[5:7]) // 12:04d}-{int(day[5:7]) % 12 + 1:02d}-01"
        const = {d: Const(value=f"{d}{tail}", table=table.key, column=column.key) for d in (month, later)}
        return [
            Where(column=column.key, op="ge", value=const[month]),
            Where(column=column.key, op="lt", value=const[later]),
        ]


_LETTER: dict[type, str] = {Find: "f", Fold: "n", Group: "g", Calc: "c", Test: "t", Do: "d"}


def _step(value: float) -> int:
    """A step that makes round numbers of about this size."""
    step = 1
    while step * 20 <= abs(value):
        step *= 10
    return step
