"""Underspecified tasks: what the instruction of a proved plan leaves out, so that the user must be asked.

The plan stays whole; only its wording is veiled.  That something is missing is proved by other plans that fit the veiled words as
well and come to another end (`Withheld.others`); that nothing else is missing, by reading the veiled words back, veils lifted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from worlddb.rng import Stream
from worlddb.tasks.draft import Draft
from worlddb.tasks.enact import enact, wished
from worlddb.tasks.ground import Ground
from worlddb.tasks.plan import Const, Do, Find, Plan, uses
from worlddb.tasks.say import Lexicon, Said, Unsaid
from worlddb.tasks.say.forms import phrases
from worlddb.tasks.say.speech import Speech
from worlddb.tasks.say.terms import Term, walk
from worlddb.tasks.topics import Place, Places, put, replaced, turned, value_said
from worlddb.tasks.user import Change, Event, Request, Script, Topic, Wish

ROWS = (2, 8)
"""Rows that a description of level L3 may fit."""
OTHERS = 6
"""Other values and rows that are offered as ways to understand the veiled words."""
MOST = 3
"""Topics that are withheld at level L2, at most."""


class Unheld(Exception):
    """Nothing can be withheld so; the reason in a few words, for the gate's figures."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Withheld(NamedTuple):
    """A plan with a user who knows more than the instruction says."""

    plan: Plan
    script: Script
    said: Said
    others: tuple[tuple[Plan, ...], ...] = ()
    """For each thing that is open, plans that fit the visible words, too."""
    first: Plan | None = None
    """What the instruction asks for, where the plan is what comes of it in the end; it cannot be done, or not any more."""


class Withholder:
    """Withholds in one world."""

    def __init__(self, ground: Ground, lexicon: Lexicon) -> None:
        self.ground, self.lexicon, self.schema = ground, lexicon, ground.schema
        self.speech = Speech.of(lexicon, ground.toolset)

    def withhold(self, plan: Plan, level: str, persona: str, stream: Stream, twin: Plan | None = None) -> Withheld:
        """The plan at a level (L0 to L6); `twin` is what can be done, of a plan that cannot be done (L6).

        Raises:
            Unheld: this plan has nothing of the kind.
        """
        places = Places(self.ground, self.lexicon, plan, stream.child("topics")).all()
        ways: dict[str, Callable[..., Withheld]] = {
            "L0": self._turns, "L1": self._one, "L2": self._several, "L3": self._ambiguous, "L4": self._unknown,
            "L5": self._changed,
        }  # fmt: skip
        found = self._infeasible(plan, places, twin, stream) if level == "L6" else ways[level](plan, places, stream)
        script = replace(found.script, level=level, persona=persona, seed=stream.child("user").below(2**31))
        return found._replace(script=script)

    def fits(self, plan: Plan, level: str) -> bool:
        """Whether a plan has what a level withholds; words for it may be wanting still."""
        places = Places(self.ground, self.lexicon, plan, Stream(0)).bare()
        direct = sum(p.direct for p in places)
        if level == "L3":
            return bool(self._with_gap(plan, places))
        if level == "L5":
            return bool(self._wishes(plan, places))
        return {"L0": split(plan) is not None, "L1": direct > 0, "L2": direct > 1, "L4": direct < len(places)}[level]

    # --- levels

    def _one(self, plan: Plan, places: Sequence[Place], stream: Stream) -> Withheld:
        return self._veiled(plan, places, [_pick(stream, [p for p in places if p.direct])], stream)

    def _several(self, plan: Plan, places: Sequence[Place], stream: Stream) -> Withheld:
        open_ = [p for p in places if p.direct]
        if len(open_) < 2:
            raise Unheld("one topic alone")
        return self._veiled(plan, places, stream.sample(open_, min(len(open_), 2 + stream.below(MOST - 1))), stream)

    def _unknown(self, plan: Plan, places: Sequence[Place], stream: Stream) -> Withheld:
        """A row that the user cannot name, but describe."""
        chosen = _pick(stream, [p for p in places if not p.direct])
        table = self.schema[chosen.topic.table]
        label = self.lexicon.labels[table.key, table.title] if table.title else "number"
        topic = replace(chosen.topic, unknown=f"its {label}")
        places = [p._replace(topic=topic) if p is chosen else p for p in places]
        return self._veiled(plan, places, [chosen._replace(topic=topic)], stream)

    def _ambiguous(self, plan: Plan, places: Sequence[Place], stream: Stream) -> Withheld:
        """A description that lacks what tells the row from some others."""
        options = self._with_gap(plan, places)
        if not options:
            raise Unheld("no description with a gap")
        place, seen, cut = stream.pick(options)
        said = self._said(replaced(plan, seen), stream, {})
        draft = Draft.again(self.ground, plan)
        own = draft.row(cut.name)
        key = self.schema[cut.table].primary_key
        rest = [r for r in self._fitting(draft, cut) if any(r[k] != own[k] for k in key)]
        others = [turned(plan, cut.name, cut.table, key[0], r[key[0]]) for r in rest] if len(key) == 1 else []
        secrets = tuple(s for s in place.topic.secrets if s not in said.text) or (place.topic.says,)
        topic = replace(place.topic, kind="constraint", hidden=True, secrets=secrets)
        topics = tuple(topic if p.topic.name == topic.name else p.topic for p in places)
        return Withheld(plan, Script(topics=topics), said, (tuple(others),))

    def _with_gap(self, plan: Plan, places: Sequence[Place]) -> list[tuple[Place, Find, Find]]:
        """Rows, what the instruction says of them, and descriptions that they and some others fit.

        The instruction leaves something out, or contradicts itself: what it says of the row together fits none.
        """
        draft, found = Draft.again(self.ground, plan), list[tuple[Place, Find, Find]]()
        for place in places:
            node = plan[place.topic.node]
            if place.topic.kind == "identity" and isinstance(node, Find):
                for cut in _cuts(node):
                    if ROWS[0] <= len(self._fitting(draft, cut)) <= ROWS[1]:
                        found += [(place, cut, cut), *((place, wrong, cut) for wrong in self._wrong(draft, node, cut))]
        return found

    def _wrong(self, draft: Draft, find: Find, cut: Find) -> Iterator[Find]:
        """The description with one value mistaken, so that it fits no row."""
        at = [i for i, w in enumerate(find.where) if w not in cut.where]
        if (
            find.sort
            or len(at) != 1
            or not isinstance(const := find.where[at[0]].value, Const)
            or find.where[at[0]].op != "eq"
        ):
            return
        known = self.schema[const.table][const.column].values or [
            r[const.column] for r in self.ground.table(const.table)
        ]
        for value in list(dict.fromkeys(v for v in known if v not in (None, const.value)))[:OTHERS]:
            where = list(find.where)
            where[at[0]] = replace(where[at[0]], value=replace(const, value=value))
            wrong = replace(find, where=tuple(where))
            if not self._fitting(draft, wrong):
                yield wrong
                return

    def _changed(self, plan: Plan, places: Sequence[Place], stream: Stream) -> Withheld:
        """The instruction asks for another value, and the user thinks better of it once the row has been touched."""
        options = self._wishes(plan, places)
        if not options:
            raise Unheld("no wish that could change")
        place, event = stream.pick(options)
        topic = place.topic
        was = next(iter(self._other_values(place, stream)), None)
        if was is None:
            raise Unheld("no other value")
        old = put(plan, topic.node, topic.part, was)
        said = self._said(old, stream, {})
        if any(secret in said.text for secret in topic.secrets):
            raise Unheld("the instruction says it")
        term = ("const", was.value, was.table, was.column)
        try:
            phrase, _ = value_said(self.speech, (was.table, was.column), term, stream.child("was"))
        except Unsaid as unsaid:
            raise Unheld("no words for it") from unsaid
        changes = (Change(topic=topic.name, after=(event,), was=phrase),)
        return Withheld(plan, Script(topics=tuple(p.topic for p in places), changes=changes), said, ((old,),))

    def _wishes(self, plan: Plan, places: Sequence[Place]) -> list[tuple[Place, Event]]:
        """Values that something is set to, and when the user may think better of them."""
        found = list[tuple[Place, Event]]()
        for place in places:
            do = plan.by_name.get(place.topic.node)
            if (
                not isinstance(do, Do)
                or place.topic.kind == "identity"
                or do.each
                or do.when
                or do.unless
                or do.refused
            ):
                continue
            tool = self.ground.toolset.by_key(do.tool)
            if tool is not None and tool.kind == "update":
                events = (self._event(plan, do, p.key) for p in tool.params if p.role == "key")
                found += [(place, event) for event in events if event is not None][:1]
        return found

    def _event(self, plan: Plan, do: Do, param: str) -> Event | None:
        """That the row which a change is about has been touched."""
        given = do.arguments.get(param)
        if (
            isinstance(given, Const)
            and given.table in self.schema
            and (given.column,) == self.schema[given.table].primary_key
        ):
            return Event(kind="read", table=given.table, key=(given.value,))
        node = plan.by_name.get(getattr(given, "node", ""))
        if not isinstance(node, Find) or node.many or len(self.schema[node.table].primary_key) != 1:
            return None
        row = Draft.again(self.ground, plan).row(node.name)
        return Event(kind="read", table=node.table, key=tuple(row[k] for k in self.schema[node.table].primary_key))

    def _infeasible(self, plan: Plan, places: Sequence[Place], twin: Plan | None, stream: Stream) -> Withheld:
        """What cannot be done.  The user is told so, and leaves it, or asks for what can be done instead."""
        said = self._said(plan, stream, {})
        topics = tuple(p.topic for p in places)
        wishes = tuple(Wish(c.tool, c.arguments) for c in wished(self.ground, plan))
        if twin is None or stream.chance(0.5):
            return Withheld(plan, Script(topics=topics, wishes=wishes), said)
        instead = self._said(twin, stream.child("instead"), {})
        refused = next(d for d in plan.dos if d.refused)
        tool = self.ground.toolset.by_key(refused.tool)
        keys = [p.key for p in (tool.params if tool else ()) if p.role == "key"]
        events = [e for k in keys if (e := self._event(plan, refused, k)) is not None]
        if not events:
            raise Unheld("nothing to come upon")
        literals = tuple(x for x in instead.literals if x not in said.text)
        request = Request(text=instead.text, after=(events[0],), literals=literals or (instead.text,))
        return Withheld(twin, Script(topics=topics, requests=(request,), wishes=wishes), said, ((plan,),), first=plan)

    def _turns(self, plan: Plan, places: Sequence[Place], stream: Stream) -> Withheld:
        """Nothing is withheld; of several requests the last is made once the others are done."""
        topics = tuple(p.topic for p in places)
        both = split(plan)
        if both is None:
            return Withheld(plan, Script(topics=topics), self._said(plan, stream, {}))
        said, then = self._said(both[0], stream, {}), self._said(both[1], stream.child("then"), {})
        literals = tuple(x for x in then.literals if x not in said.text)
        topics = tuple(t for t in topics if t.node in both[0].by_name)
        events = tuple(self._done(both[0]))
        if not events:
            raise Unheld("nothing to be done first")
        request = Request(text=then.text, after=events, literals=literals or (then.text,))
        return Withheld(plan, Script(topics=topics, requests=(request,)), said, ((both[0],),))

    def _done(self, plan: Plan) -> Iterator[Event]:
        """That a plan has been carried out."""
        for change in enact(self.ground, plan).session.diff():
            key = None if change.before is None else change.key
            yield Event(kind="changed", table=change.table, key=key, op=change.op)

    # --- veils

    def _veiled(self, plan: Plan, places: Sequence[Place], chosen: Sequence[Place], stream: Stream) -> Withheld:
        veils: dict[Term, str] = {}
        topics: dict[str, Topic] = {p.topic.name: p.topic for p in places}
        for place in chosen:
            phrase = self._veil(place, stream.child("veil", place.topic.name))
            if phrase in veils.values() or place.term in veils:
                raise Unheld("two topics of one name")
            veils[place.term] = phrase
            topics[place.topic.name] = replace(place.topic, hidden=True, vague=phrase)
        said = self._said(plan, stream, veils)
        secrets = [s for p in chosen for s in p.topic.secrets]
        if not all(v in said.text for v in veils.values()) or any(s in said.text for s in secrets):
            raise Unheld("the instruction says it")
        revealed = said.text
        for place in chosen:
            vague = topics[place.topic.name].vague
            for veil in (vague, vague[:1].upper() + vague[1:]):
                revealed = revealed.replace(veil, place.topic.says)
        if self.speech.misread(revealed, plan):  # who puts the answers in their places must come to the same
            raise Unheld("no words for it")
        below = {t for p in chosen for t in walk(p.term) if t is not p.term} - set(veils)
        topics = {p.topic.name: topics[p.topic.name] for p in places if p.term not in below}
        others = tuple(tuple(self._others(plan, p, stream.child("others", p.topic.name))) for p in chosen)
        return Withheld(plan, Script(topics=tuple(topics.values())), said, others)

    def _veil(self, place: Place, stream: Stream) -> str:
        kind = "row" if place.topic.kind == "identity" else place.topic.kind
        pattern: str = stream.pick(phrases("veils")[kind])
        noun = self.lexicon.words.label(place.topic.table)
        label = self.lexicon.labels.get((place.topic.table, place.topic.column), "value")
        return pattern.format(noun=noun, label=label)

    def _said(self, plan: Plan, stream: Stream, veils: dict[Term, str]) -> Said:
        try:
            return self.speech.say(plan, stream.child("say"), veils)
        except Unsaid as unsaid:
            raise Unheld("no words for it") from unsaid

    # --- what the veiled words could mean as well

    def _others(self, plan: Plan, place: Place, stream: Stream) -> Iterator[Plan]:
        topic = place.topic
        if topic.kind != "identity":
            for const in self._other_values(place, stream):
                yield put(plan, topic.node, topic.part, const)
            return
        key = self.schema[topic.table].primary_key
        if len(key) != 1:
            return
        own = Draft.again(self.ground, plan).row(topic.node)
        rows = [r for r in self.ground.table(topic.table) if r[key[0]] != own[key[0]]]
        for row in stream.sample(rows, min(OTHERS, len(rows))):
            yield turned(plan, topic.node, topic.table, key[0], row[key[0]])

    def _other_values(self, place: Place, stream: Stream) -> Iterator[Const]:
        """Other values of the column, as other rows have them."""
        table, column, value = place.topic.table, place.topic.column, place.term[1]
        known = dict.fromkeys(r[column] for r in self.ground.table(table) if r[column] not in (None, value))
        allowed = [v for v in self.schema[table][column].values if v != value] or list(known)
        for other in stream.sample(allowed, min(OTHERS, len(allowed))):
            yield Const(value=other, table=table, column=column)

    def _fitting(self, draft: Draft, find: Find) -> list[dict[str, Any]]:
        """The rows that meet a Find's conditions."""
        return self.ground.meeting(find.table, [(w.column, w.op, draft.wanted(w)) for w in find.where])


def split(plan: Plan) -> tuple[Plan, Plan] | None:
    """A plan's changes but the last one, and the last with what is asked; None where they depend on one another."""
    if len(plan.dos) < 2 or any(d.when or d.unless or d.refused for d in plan.dos):
        return None
    last = plan.dos[-1]
    after = _closure(plan, {last.name, *(w.node for w in (plan.asked.what if plan.asked else ()))})
    before = _closure(plan, {d.name for d in plan.dos[:-1]})
    if last.name in before or any(d.name in after for d in plan.dos[:-1]):
        return None
    first = replace(plan, nodes=tuple(n for n in plan.nodes if n.name in before), asked=None)
    return first, replace(plan, nodes=tuple(n for n in plan.nodes if n.name in after))


def _closure(plan: Plan, names: set[str]) -> set[str]:
    """The nodes of these names, and all that they use."""
    found = set(names)
    for node in reversed(plan.nodes):
        if node.name in found:
            found.update(uses(node))
    return found


def _pick(stream: Stream, places: Sequence[Place]) -> Place:
    if not places:
        raise Unheld("nothing to withhold")
    return stream.pick(places)


def _cuts(find: Find) -> Iterator[Find]:
    """The description with one thing left out."""
    if find.sort and find.where:
        yield Find(name=find.name, table=find.table, where=find.where)
    for i in range(len(find.where) if len(find.where) > 1 else 0):
        if not find.sort:
            yield replace(find, where=(*find.where[:i], *find.where[i + 1 :]))
