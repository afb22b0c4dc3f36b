"""A plan carried out by real tool calls: the gold.

Reading nodes come first, then the changes in their order.  A question that an earlier call has answered is not asked again, and
what no later step needs is not asked at all.  Every call notes the calls that it depends on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson
from msgspec.structs import replace

from worlddb.tasks.forms import tells
from worlddb.tasks.ground import Ground, Reader
from worlddb.tasks.model import GoldCall
from worlddb.tasks.plan import Calc, Const, Do, Each, Expr, Find, Fold, Group, Item, Plan, Test, uses
from worlddb.tasks.reckon import COMPARE, Row, calculated, folded, grouped
from worlddb.tasks.routes import Route, Wanted, route_of, tally_of
from worlddb.tools.keys import call_of, rows_of
from worlddb.tools.model import Result, Tool
from worlddb.tools.session import Entry, Session, Start

Sources = frozenset[int]
"""Indexes of calls."""
NOTHING: Sources = frozenset()


POLICY = "POLICY"
"""`Do.refused` of what a policy forbids: the tools may well do it."""


class Stuck(Exception):
    """A plan that cannot be carried out; `reason` in a few words, for the gate's figures."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class Known(NamedTuple):
    """What is known of a node: its rows, or its value; and the calls that told it."""

    rows: tuple[Row, ...] = ()
    value: Any = None
    calls: Sources = NOTHING
    """Empty of a figure or row that the instruction states."""


class Gold(NamedTuple):
    """A plan carried out."""

    calls: tuple[GoldCall, ...]
    session: Session
    known: dict[str, Known]
    answer: Any
    """By the shape that is asked: a value, a list of values, a dict; None where nothing is asked."""
    answered_by: Sources
    """The calls that the answer depends on."""


def enact(
    ground: Ground,
    plan: Plan,
    *,
    start: Start | None = None,
    choice: dict[str, int] | None = None,
    follow: bool = False,
    refused: bool = False,
) -> Gold:
    """Carry out a plan in a session of its own.

    Args:
        ground: the world and its tools.
        plan: what to do.
        start: where the episode begins.
        choice: for Finds that leave a choice, which of the admissible rows to take (by primary key; the first).
        follow: go from row to row where a set could as well be listed as a whole.
        refused: make the calls that are meant to be refused, too; they must be.

    Raises:
        Stuck: the tools of this world cannot do it, or a call was refused.
    """
    return _Enactor(ground, plan, start, choice or {}, follow, refused).run()


def wished(ground: Ground, plan: Plan) -> tuple[GoldCall, ...]:
    """The calls that somebody wants made who asks for what cannot be done.

    Raises:
        Stuck: the tools of this world cannot come so far.
    """
    enactor = _Enactor(ground, plan, None, {}, False, True)
    enactor.run()
    return tuple(enactor.refusals)


class _Enactor:
    def __init__(
        self, ground: Ground, plan: Plan, start: Start | None, choice: dict[str, int], follow: bool, refused: bool
    ) -> None:
        self.ground, self.plan, self.choice, self.follow, self.refused = ground, plan, choice, follow, refused
        self.session = ground.world.session(ground.toolset, start=start)
        self.calls: list[GoldCall] = []
        self.refusals: list[GoldCall] = []
        self.known: dict[str, Known] = {}
        self.wanted = Wanted(plan)
        self._made: dict[bytes, int] = {}
        self._writes: list[tuple[int, frozenset[tuple[str, Any]]]] = []

    def run(self) -> Gold:
        """All nodes, then the answer."""
        tallied, depending = self._tallied(), self._depending()
        reading = [n for n in self.plan.nodes if not isinstance(n, Do) and n.name not in tallied]
        for node in reading:
            if node.name not in depending:
                self.known[node.name] = self._learn(node)
        for node in reading:
            if any(self._holds(do) for do in depending.get(node.name, ())):
                self.known[node.name] = self._learn(node)
        for do in self.plan.dos:
            self._do(do)
        answer, sources = self._answer()
        return Gold(tuple(self.calls), self.session, self.known, answer, sources)

    def _depending(self) -> dict[str, list[Do]]:
        """Node -> the changes that alone need it, where all of them depend on a comparison: it is looked up once that holds."""
        needed_by: dict[str, list[Do | None]] = {}
        for what in self.plan.asked.what if self.plan.asked else ():
            needed_by.setdefault(what.node, []).append(None)
        for node in reversed(self.plan.nodes):
            if isinstance(node, Do):
                for name in uses(node):
                    sure = name in (node.when, node.unless) or not (node.when or node.unless)
                    needed_by.setdefault(name, []).append(None if sure else node)
            else:
                for name in uses(node):
                    needed_by.setdefault(name, []).extend(needed_by.get(node.name, ()))
        return {name: [d for d in dos if d] for name, dos in needed_by.items() if dos and None not in dos}

    def _holds(self, do: Do) -> bool:
        """True for a change that is made."""
        return all(self.known[n].value is wanted for n, wanted in ((do.when, True), (do.unless, False)) if n)

    def _tallied(self) -> set[str]:
        """Sets that nobody needs to see, because an aggregate says all that is asked of them."""
        found = set[str]()
        for node in self.plan.nodes:
            if isinstance(node, Fold | Group) and self.wanted.users[node.of] == {node.name}:
                of = self.plan[node.of]
                assert isinstance(of, Find)
                if tally_of(self.ground, of, node) is not None:
                    found.add(of.name)
        return found

    # --- reading

    def _learn(self, node: Any) -> Known:
        if isinstance(node, Find):
            return self._find(node)
        if isinstance(node, Fold | Group):
            return self._fold(node)
        (left, a), (right, b) = self._value(node.left), self._value(node.right)
        if left is None or right is None:
            raise Stuck("nothing to reckon with", node.name)
        if isinstance(node, Calc):
            return Known(value=calculated(node.op, left, right), calls=a | b)
        assert isinstance(node, Test)
        return Known(value=COMPARE[node.op](left, right), calls=a | b)

    def _find(self, find: Find) -> Known:
        conditions = [self._several(w.value, w.values) for w in find.where]
        values, sources = tuple(v for v, _ in conditions), tuple(s for _, s in conditions)
        route = route_of(self.ground, find, values, self.wanted.columns[find.name], follow=self.follow)
        if route is None:
            raise Stuck("no tool shows it", find.table)
        rows, calls = self._travel(find, route, sources)
        kept = route.sifted(find, rows, values)
        if len(kept) < find.take:
            raise Stuck("too few", find.table)
        if not find.many:
            at = self.choice.get(find.name, 0) if find.free else 0
            if len(kept) <= at:
                raise Stuck("nobody is there", find.table)
            kept = kept[at : at + 1] if find.free or find.take else kept
            if len(kept) != 1:
                raise Stuck("not the only one", find.table)
        told = frozenset[int]().union(*(s for s, w in zip(sources, find.where, strict=True) if w.value is not None))
        return Known(rows=tuple(kept), calls=calls | (told if not calls else NOTHING) | route.late(sources))

    def _travel(self, find: Find, route: Route, sources: Sequence[Sources]) -> tuple[list[Row], Sources]:
        """Make the calls of a route: one, one a page, or one for each value of a set."""
        rows, calls = list[Row](), set[int]()
        uses = frozenset[int]().union(*(sources[i] for i in route.served))
        for arguments in route.asks:
            offset, before = 0, uses
            while True:
                given = arguments | ({"offset": offset} if offset else {})
                at, result = self._call(route.reader.tool, given, before, find.name, missing=route.may_miss)
                calls.add(at)
                before = frozenset([at])  # that there is another page is known from the one before
                if result is None:
                    break
                some = self._shown(route.reader, result)
                rows += some
                if not route.pages or len(some) < route.pages or not self._more(route.reader.tool, result):
                    break
                offset += route.pages
        return rows, frozenset(calls)

    @staticmethod
    def _more(tool: Tool, result: Result) -> bool:
        return bool(result.data.get(tool.reply.names.get("has_more", "has_more")))

    def _shown(self, reader: Reader, result: Result) -> list[Row]:
        """The rows that a result shows; read once, however many plans come upon it."""
        memo: dict[int, tuple[Result, list[Row]]] = self.ground.memo.setdefault("shown", {})
        known = memo.get(id(result))
        if known is None:  # the memo keeps the result, so that no other one ever has its id
            rows = [self._row(r, reader.shows) for r in rows_of(reader.tool.reply, result.data)]
            known = memo[id(result)] = (result, rows)
        return known[1]

    @staticmethod
    def _row(shown: dict[str, Any], shows: dict[str, str]) -> Row:
        return {c: v if (v := shown[field]).__class__ is not bool else int(v) for c, field in shows.items()}

    def _fold(self, node: Fold | Group) -> Known:
        if node.of in self.known:
            rows, _, calls = self.known[node.of]
            if isinstance(node, Group):
                return Known(value=grouped(rows, node.column, node.by, node.over, node.desc), calls=calls)
            column = [r[node.column] for r in rows if r[node.column] is not None] if node.column else rows
            return Known(value=folded(node.by, column), calls=calls)
        of = self.plan[node.of]
        assert isinstance(of, Find)
        tally = tally_of(self.ground, of, node)
        assert tally is not None
        found = [self._several(w.value, w.values) for w in of.where]
        sources = frozenset[int]().union(*(s for _, s in found))
        arguments = tally.arguments([v for v, _ in found])
        at, result = self._call(tally.tool, arguments, sources, node.name)
        assert result is not None
        value = tally.read(rows_of(tally.tool.reply, result.data))
        if value is None:
            raise Stuck("nothing to add up", of.table)
        return Known(value=value, calls=frozenset([at]))

    # --- values

    def _value(self, expr: Expr, item: Row | None = None) -> tuple[Any, Sources]:
        if isinstance(expr, Const):
            return expr.value, NOTHING
        if isinstance(expr, Item):
            assert item is not None
            return item[expr.column], NOTHING
        known = self.known[expr.node]
        if isinstance(expr, Each):
            return [r[expr.column] for r in known.rows], known.calls
        if not expr.column:
            return known.value, known.calls
        return known.rows[0][expr.column], known.calls

    def _several(self, value: Expr | None, values: Iterable[Const]) -> tuple[tuple[Any, ...], Sources]:
        """The values that a condition compares with."""
        if value is None:
            return tuple(v.value for v in values), NOTHING
        found, sources = self._value(value)
        return (
            tuple(dict.fromkeys(v for v in found if v is not None)) if isinstance(value, Each) else (found,)
        ), sources

    # --- changing

    def _do(self, do: Do) -> None:
        if not self._holds(do):
            return
        told = frozenset[int]().union(*(self.known[n].calls for n in (do.when, do.unless, do.each) if n))
        tool = self.ground.toolset.by_key(do.tool)
        if tool is None:
            raise Stuck("no such tool", do.tool)
        for item in self.known[do.each].rows if do.each else (None,):
            self._change(do, tool, item, told)

    def _change(self, do: Do, tool: Tool, item: Row | None, told: Sources) -> None:
        arguments, sources = dict[str, Any](), told
        for key, given in do.arguments.items():
            if isinstance(given, tuple):
                records = [{k: self._value(v, item) for k, v in record.items()} for record in given]
                arguments[key] = [{k: v for k, (v, _) in r.items()} for r in records]
                sources = sources.union(*(s for r in records for _, s in r.values()))
            else:
                arguments[key], own = self._value(given, item)
                sources |= own
        arguments = {k: self._public(tool, k, v) for k, v in arguments.items()}
        if do.refused:
            if self.refused:
                self._refusal(do, tool, arguments)
            return
        at, result = self._call(tool, arguments, sources, do.name, write=True)
        assert result is not None
        reply = tool.reply
        shown = rows_of(reply, result.data)[0] if reply.shape == "row" else {}
        fields = {f.column: f.key for f in reply.fields if f.key == f.column}
        self.known[do.name] = Known(rows=(self._row(shown, fields),) if shown else (), calls=frozenset([at]))

    def _refusal(self, do: Do, tool: Tool, arguments: dict[str, Any]) -> None:
        self.refusals.append(GoldCall(tool=tool.key, arguments=arguments, node=do.name, writes=True))
        if do.refused == POLICY:
            return
        call = call_of(self.ground.toolset, tool.key, arguments)
        result = self.session.call(call.name, call.arguments)
        code = "ok" if result.error is None else result.error.code
        if code != do.refused:
            raise Stuck("it is not refused", f"{do.tool}: {code}")

    @staticmethod
    def _public(tool: Tool, key: str, value: Any) -> Any:
        """A stored value as APIs take it: flags as true and false."""
        param = next((p for p in tool.params if p.key == key), None)
        if param is None or value is None:
            return value
        if isinstance(value, list) and param.fields:
            flags = {f.key for f in param.fields if f.convert == "flag"}
            return [{k: bool(v) if k in flags else v for k, v in one.items()} for one in value]
        return bool(value) if param.convert == "flag" else value

    def _call(
        self,
        tool: Tool,
        arguments: dict[str, Any],
        sources: Sources,
        node: str,
        *,
        write: bool = False,
        missing: bool = False,
    ) -> tuple[int, Result | None]:
        """Make a call, or find it made.  A result of None: there is no such row, where that may be."""
        name = orjson.dumps([tool.key, arguments], option=orjson.OPT_SORT_KEYS)
        if not write and name in self._made:
            at = self._made[name]
            return at, self.session.journal[at].result
        result = self._made_call(tool, arguments) if write else self._asked(tool, arguments, name)
        at = len(self.calls)
        if not result.ok:
            code = result.error.code if result.error else ""
            if not (missing and code == "NOT_FOUND"):
                raise Stuck("a call is refused", f"{tool.key}: {result.error.message if result.error else ''}")
        entry = self.session.journal[-1]
        if write:
            sources |= self._after(entry, at)
            if not any(tells(self.ground.schema, change) for change in entry.changes):
                raise Stuck("a call changes nothing", tool.key)
        else:
            self._made[name] = at
        self.calls.append(
            GoldCall(tool=tool.key, arguments=arguments, uses=tuple(sorted(sources)), node=node, writes=write)
        )
        return at, result if result.ok else None

    def _made_call(self, tool: Tool, arguments: dict[str, Any]) -> Result:
        call = call_of(self.ground.toolset, tool.key, arguments)
        return self.session.call(call.name, call.arguments)

    def _asked(self, tool: Tool, arguments: dict[str, Any], name: bytes) -> Result:
        """The answer to a question, all of which come before the first change: one that was asked of this world before, for
        another plan, is answered as it was then."""
        memo: dict[tuple[Start, bytes], Entry] = self.ground.memo.setdefault("asked", {})
        journal, place = self.session.journal, (self.session.start, name)
        known = memo.get(place)
        if known is None:
            self._made_call(tool, arguments)
            known = memo[place] = journal[-1]
        else:
            journal.append(replace(known, number=len(journal) + 1))
        return known.result

    def _after(self, entry: Entry, at: int) -> Sources:
        """The earlier changes of rows that this call changes, too."""
        rows = frozenset((c.table, c.key) for c in entry.changes)
        before = dict(self._writes)
        self._writes.append((at, rows))
        same = [call for call, touched in before.items() if touched & rows]
        return frozenset(same[-1:])

    # --- the answer

    def _answer(self) -> tuple[Any, Sources]:
        asked = self.plan.asked
        if asked is None or asked.shape == "none":
            return None, NOTHING
        found = [self._value(what) for what in asked.what]
        sources = frozenset[int]().union(*(s for _, s in found))
        values = [v for v, _ in found]
        if any(v is None for v in values):
            raise Stuck("the answer is empty", self.plan.family)
        if asked.shape == "record":
            return values, sources
        return values[0], sources
