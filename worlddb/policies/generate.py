"""Draws the policies of a world: which rules its handbook has, over its real tables, tools, states, amounts and days.

A limit is a round number with rows on either side of it; a deadline has rows that are past it and rows that are not.  Each
policy is about something that only the tools of its own table do, so that nobody breaks one by what follows from another deed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from worlddb.policies.deeds import Deed, alone, deeds_of
from worlddb.policies.judging import in_range, moment_of
from worlddb.policies.model import Policy
from worlddb.policies.staff import roles_of
from worlddb.policies.words import Speaker, policy_words, span, this
from worlddb.rng import Stream
from worlddb.schema.model import Column
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tasks import columns
from worlddb.tasks.families.targets import taken
from worlddb.tasks.goal import Condition, Equal, OneOf, Range
from worlddb.tasks.ground import Ground, flat
from worlddb.tasks.reckon import Row
from worlddb.tasks.say import Lexicon
from worlddb.world.model import World

LEAST, MOST = 5, 9
"""Policies of a world, where its schema has so many."""
AGAIN = ("role", "limit", "deadline", "consent", "look_first", "order")
"""Kinds of which there may be several."""
_ENDS = ("end_at", "end_date", "check_out_date", "arrival_at")
"""Types of moments that nothing has to come before."""
SIDES = 2
"""Rows on either side of a limit or deadline, at least."""
MARGIN = 4 * 86_400
"""Seconds for which what is in time stays in time: an episode may begin so much later."""
TAKEN = 3
"""Policies of one kind at most."""


def policies_of(world: World) -> tuple[Policy, ...]:
    """The policies of a world: the same ones for the same world, made once."""
    made: tuple[Policy, ...] | None = world.__dict__.get("_policies")
    if made is None:
        made = world.__dict__["_policies"] = _Author(world).written()
    return made


class _Author:
    """Writes the handbook of one world."""

    def __init__(self, world: World) -> None:
        self.world, self.ground = world, Ground(world)
        self.stream = Stream(world.recipe.seed, "policies")
        self.lexicon = Lexicon(world.schema, self.ground.words, world.locale, world.now)
        self.speaker = Speaker(self.ground.words, self.lexicon)
        self.roles = roles_of(world)
        self.deeds = deeds_of(self.ground)
        self.wide = [d for d in self.deeds if not d.state]
        """Deeds that are told by table and op alone."""

    def written(self) -> tuple[Policy, ...]:
        """Policies of as many kinds as there can be, and more of some; half of them enforced."""
        wanted = self.stream.child("n").between(LEAST, MOST)
        open_ = {kind: self._drawn(kind) for kind in self.stream.child("kinds").shuffled(list(_KINDS))}
        found = list[Policy]()
        for turn in range(TAKEN):
            for kind, policies in open_.items():
                if len(found) < wanted and (turn == 0 or kind in AGAIN):
                    taken = next((p for p in policies if not any(_same(p, f) for f in found)), None)
                    found += [taken] if taken else []
        return self._enforced(found)

    def _drawn(self, kind: str) -> Iterator[Policy]:
        return _KINDS[kind](self, self.stream.child(kind))

    def _enforced(self, found: list[Policy]) -> tuple[Policy, ...]:
        stream = self.stream.child("enforced")
        order, most = stream.shuffled(range(len(found))), (len(found) + stream.below(2)) // 2
        enforced, names = set(order[:most]), set[str]()
        made = list[Policy]()
        for i, policy in enumerate(found):
            name = next(n for k in range(len(found) + 1) if (n := f"{policy.name}{f'-{k + 1}' * bool(k)}") not in names)
            names.add(name)
            made.append(replace(policy, name=name, enforced=i in enforced))
        return tuple(made)

    def _say(self, form: str, stream: Stream, deed: Deed, **signs: str) -> str:
        told = self.speaker.deed(deed) | signs
        return self.speaker.say(form, stream.child("say", deed.slug), **told)

    def _above(self, stream: Stream) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Some of the highest roles, and the others."""
        at = stream.between(1, len(self.roles) - 1)
        return self.roles[at:], self.roles[:at]

    def role(self, stream: Stream) -> Iterator[Policy]:
        """Who may do it."""
        for deed in stream.shuffled(self.deeds):
            roles, barred = self._above(stream)
            yield Policy(
                name=f"role-{deed.slug}", kind="role", table=deed.table, op=deed.op, tools=deed.tools, roles=roles,
                barred=barred, where=self._from(deed), after=self._into(deed),
                say=self._say("role", stream, deed, **self.speaker.roles(roles)),
            )  # fmt: skip

    def _from(self, deed: Deed) -> tuple[Condition, ...]:
        """Of a move: the row was not in the state yet."""
        machine = self.ground.schema[deed.table].lifecycle
        return (Condition(column=machine.column, matcher=OneOf(deed.origins)),) if deed.state and machine else ()

    def _into(self, deed: Deed) -> tuple[Condition, ...]:
        machine = self.ground.schema[deed.table].lifecycle
        return (Condition(column=machine.column, matcher=Equal(deed.state)),) if deed.state and machine else ()

    def limit(self, stream: Stream) -> Iterator[Policy]:
        """How much at most."""
        options = [(d, c) for d in self.deeds for c in self._amounts(d)]
        for deed, column in stream.shuffled(options):
            rows = self._rows(deed)
            limit = _round(stream, [r[column.key] for r in rows if r[column.key] is not None], self._unit(deed, column))
            if limit is None:
                continue
            roles, barred = self._above(stream) if stream.chance(0.8 if deed.op == "insert" else 0.4) else ((), ())
            above = Condition(column=column.key, matcher=Range(low=limit + (1 if isinstance(limit, int) else 1e-9)))
            below = Condition(column=column.key, matcher=Range(high=limit))
            where, after = (*self._from(deed), above), self._into(deed)
            if deed.op == "insert":
                where, after = (above,), ()
            elif deed.op == "update" and not deed.state:
                where, after = (below,), (above,)
            form = f"limit_{'state' if deed.state or deed.op == 'delete' else deed.op}{'_roles' if roles else ''}"
            yield Policy(
                name=f"limit-{deed.slug}-{column.key}".replace("_", "-"), kind="limit", table=deed.table, op=deed.op,
                tools=self._setting(deed, column), roles=roles, barred=barred, where=where, after=after, column=column.key,
                limit=limit, say=self._say(
                    form, stream, deed, field=self.speaker.field(deed.table, column.key),
                    limit=self.speaker.limit(deed.table, column.key, limit), **self.speaker.roles(roles),
                ),
            )  # fmt: skip

    def _unit(self, deed: Deed, column: Column) -> int:
        return 100 if self.lexicon.kind((deed.table, column.key)) == "money" else 1

    def _amounts(self, deed: Deed) -> list[Column]:
        """The amounts of a deed's rows by which it can be limited."""
        table = self.ground.schema[deed.table]
        found = [
            c for c in columns.sums(table)
            if not c.formula and semantic_type(c.type).sql == "INTEGER" and self.speaker.reads_well(table.key, c.key)
        ]  # fmt: skip
        if deed.state or deed.op == "delete":
            return found
        return [c for c in found if self._setting(deed, c) and alone(self.ground, deed.table, deed.op, c.key)]

    def _setting(self, deed: Deed, column: Column) -> tuple[str, ...]:
        """The tools of a deed; of changes and new rows those that set the column."""
        if deed.state or deed.op == "delete":
            return deed.tools
        return tuple(
            key for key in deed.tools
            if (tool := self.ground.toolset.by_key(key)) is not None and tool.kind in ("update", "create")
            and any(p.column == column.key and p.table == deed.table and p.role == "value" for p in flat(tool.params))
        )  # fmt: skip

    def _rows(self, deed: Deed) -> list[Row]:
        """The rows of which it may be asked."""
        tool = self.ground.toolset.by_key(deed.tools[0])
        some = taken(self.ground, tool) if tool is not None and (deed.state or deed.op == "delete") else None
        return list(self.ground.table(deed.table) if some is None else some)

    def deadline(self, stream: Stream) -> Iterator[Policy]:
        """Until when."""
        options = [
            (d, c) for d in self.deeds if d.op != "insert" for c in columns.moments(self.ground.schema[d.table])
            if not is_a(c.type, "birth_date") and self.speaker.reads_well(d.table, c.key)
        ]  # fmt: skip
        # changes of any sort last: little can be asked for where they have a deadline
        for deed, column in sorted(stream.shuffled(options), key=lambda o: o[0].op == "update" and not o[0].state):
            found = self._span(stream, deed, column)
            if found is None:
                continue
            form, hours, bounds = found
            yield Policy(
                name=f"deadline-{deed.slug}-{column.key}".replace("_", "-"), kind="deadline", table=deed.table, op=deed.op,
                tools=deed.tools, where=(*self._from(deed), Condition(column=column.key, matcher=bounds)),
                after=self._into(deed), column=column.key, limit=3600 * hours,
                say=self._say(form, stream, deed, field=self.speaker.field(deed.table, column.key), span=span(hours)),
            )  # fmt: skip

    def _span(self, stream: Stream, deed: Deed, column: Column) -> tuple[str, int, Range] | None:
        """A deadline that some rows are past and others are not: its form, hours, and the bounds of what is too late."""
        now, values = self.world.now, [r[column.key] for r in self._rows(deed)]
        moments = [m for v in values if (m := moment_of(v)) is not None]
        ahead = sum(m > now for m in moments) > len(moments) // 20
        machine = self.ground.schema[deed.table].lifecycle
        if ahead and (column.type in _ENDS or (machine and deed.state in machine.happy)):
            return None  # nobody has to end it, or to begin it, before it ends or begins
        form = "ahead" if ahead else "back"
        spans, whole = policy_words().spans, semantic_type(column.type).temporal == "date"
        for hours in stream.shuffled(spans.ahead if ahead else spans.back):
            bounds = Range(high=(3600 * hours if ahead else -3600 * hours) - 1, clock=True)
            late = sum(in_range(bounds, v, now) for v in values)
            in_time = sum(not in_range(bounds, v, now + MARGIN) for v in values if moment_of(v) is not None)
            if late >= SIDES and in_time >= SIDES and (hours > 24 or not whole):
                return form, hours, bounds
        return None

    def consent(self, stream: Stream) -> Iterator[Policy]:
        """With whose consent."""
        removals = [d for d in self.wide if d.op == "delete"]
        if removals and stream.chance(0.4):
            tools = tuple(k for d in removals for k in d.tools)
            say = self._say("consent_delete", stream, removals[0])
            yield Policy(name="consent-delete", kind="consent", op="delete", tools=tools, say=say)
        for deed in stream.shuffled(self.wide):
            yield self._plain("consent", stream, deed)

    def sign_in(self, stream: Stream) -> Iterator[Policy]:
        """Signed in."""
        if self.wide and stream.chance(0.5):
            tools = tuple(dict.fromkeys(k for d in self.wide for k in d.tools))
            yield Policy(
                name="sign-in", kind="sign_in", tools=tools, say=self._say("sign_in_all", stream, self.wide[0])
            )
        for deed in stream.shuffled(self.wide):
            yield self._plain("sign_in", stream, deed)

    def look_first(self, stream: Stream) -> Iterator[Policy]:
        """Not unseen."""
        for deed in stream.shuffled([d for d in self.wide if d.op != "insert"]):
            yield self._plain("look_first", stream, deed)

    def _plain(self, kind: str, stream: Stream, deed: Deed) -> Policy:
        return Policy(
            name=f"{kind}-{deed.slug}".replace("_", "-"), kind=kind, table=deed.table, op=deed.op, tools=deed.tools,
            say=self._say(kind, stream, deed),
        )  # fmt: skip

    def order(self, stream: Stream) -> Iterator[Policy]:
        """In which order: a new part of a whole, and a change of the whole."""
        wholes = {d.table: d for d in self.wide if d.op == "update"}
        parts = [d for d in self.wide if d.op == "insert"]
        pairs = [
            (p, wholes[f.table]) for p in parts for f in self.ground.parents(self.ground.schema[p.table])
            if f.table in wholes and f.table != p.table
        ]  # fmt: skip
        for part, whole in stream.shuffled(list(dict.fromkeys(pairs))):
            first, then = (part, whole) if stream.chance(0.6) else (whole, part)
            label = self.ground.words.label
            told = {"first": this(first.verb, label(first.table)), "then": this(then.verb, label(then.table))}
            yield Policy(
                name=f"order-{first.slug}-{then.slug}", kind="order", table=then.table, op=then.op,
                tools=(*first.tools, *then.tools), first=(first.table, first.op), second=(then.table, then.op),
                say=self._say("order", stream, part, **told),
            )  # fmt: skip

    def at_most(self, stream: Stream) -> Iterator[Policy]:
        """How often."""
        if not self.deeds:
            return
        count = stream.pick(policy_words().counts)
        single = tuple(dict.fromkeys(k for d in self.deeds if d.op != "insert" for k in d.tools))
        say = self._say("at_most", stream, self.deeds[0], count=str(count))
        yield Policy(name="at-most", kind="at_most", tools=single, count=count, say=say)


_KINDS: dict[str, Callable[[_Author, Stream], Iterator[Policy]]] = {
    "role": _Author.role, "limit": _Author.limit, "deadline": _Author.deadline, "consent": _Author.consent,
    "order": _Author.order, "at_most": _Author.at_most, "sign_in": _Author.sign_in, "look_first": _Author.look_first,
}  # fmt: skip


def _same(a: Policy, b: Policy) -> bool:
    """True for policies of one kind about the same thing: they would repeat or contradict one another."""
    if a.kind != b.kind:
        return False
    if a.kind in ("at_most", "sign_in"):
        return True
    if a.kind == "order":
        return a.first == b.first or {a.first, a.second} == {b.first, b.second}
    if a.kind in ("consent", "look_first"):
        return (a.op == b.op and "" in (a.table, b.table)) or (a.table, a.op) == (b.table, b.op)
    return bool(set(a.tools) & set(b.tools))


def _round(stream: Stream, values: list[Any], unit: int) -> int | None:
    """A round number of `unit`s with values on either side; None where there is none."""
    ordered = sorted(values)
    if len(ordered) < 2 * SIDES:
        return None
    low, high = (ordered[len(ordered) * share // 100] for share in (40, 90))
    size, found = unit, list[int]()
    while size <= max(high, 1):
        found += [n for m in (10, 15, 20, 25, 30, 40, 50, 60, 80) if (n := m * size // 10) * 10 == m * size]
        size *= 10
    fit = [n for n in found if max(low, 2) <= n <= high and n % unit == 0 and _split(ordered, n)]
    return stream.pick(fit) if fit else None


def _split(ordered: list[Any], limit: int) -> bool:
    above = sum(v > limit for v in ordered)
    return above >= SIDES and len(ordered) - above >= SIDES
