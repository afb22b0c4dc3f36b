"""What a user can be asked about a task: the values and rows that its plan states, each a topic."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec.structs import replace

from worlddb.rng import Stream
from worlddb.tasks.ground import Ground, flat
from worlddb.tasks.plan import Calc, Const, Do, Find, Node, Plan, Test, Where, parts
from worlddb.tasks.say import Lexicon, Unsaid
from worlddb.tasks.say.speech import Speech
from worlddb.tasks.say.terms import Term, nodes
from worlddb.tasks.user import Topic

KIND = {
    "money": "quantity", "number": "quantity", "real": "quantity", "date": "date", "datetime": "date", "time": "date",
    "state": "choice", "enum": "choice", "flag": "choice", "text": "value",
}  # fmt: skip
"""What a column holds -> the kind of a topic about its value; keys and links are none."""


WORDINGS = 12
"""Wordings of a date that are tried until one has its year."""


class Place(NamedTuple):
    """A topic, and where it stands in its plan."""

    topic: Topic
    term: Term
    """What is said of it: a constant, or a row."""
    direct: bool = True
    """Of a row: it is named by what is written on it, its name or number, and by no other row."""


class Places:
    """All topics of one plan."""

    def __init__(self, ground: Ground, lexicon: Lexicon, plan: Plan, stream: Stream) -> None:
        self.ground, self.lexicon, self.plan, self.stream = ground, lexicon, plan, stream
        self.schema = ground.schema
        self.speech = Speech.of(lexicon, ground.toolset)
        self.terms = nodes(self.schema, plan)
        self.often = Counter(e for n in plan.nodes for e in parts(n) if isinstance(e, Const))

    def all(self) -> list[Place]:
        """Every topic that can be put into words, in the order of the plan, each with a name of its own."""
        return list(_named([spoken for p in self.bare() if (spoken := self._spoken(p)) is not None]))

    def bare(self) -> list[Place]:
        """The topics, without words."""
        return [place for node in self.plan.nodes for place in self._of(node)]

    # --- places

    def _of(self, node: Node) -> Iterator[Place]:
        if isinstance(node, Find):
            own = not node.many and not node.free and bool(node.where or node.sort)
            if own:
                yield self._row(node)
            for where in node.where if node.many else ():
                if isinstance(where.value, Const):
                    yield from self._value(node.name, where.column, where.value, where.column)
        elif isinstance(node, Do):
            yield from self._arguments(node)
        elif isinstance(node, Test | Calc) and isinstance(node.right, Const):
            yield from self._value(node.name, "right", node.right, node.right.column)

    def _arguments(self, do: Do) -> Iterator[Place]:
        tool = self.ground.toolset.by_key(do.tool)
        if tool is None:
            return
        for param in flat(tool.params):
            given = do.arguments.get(param.key)
            if isinstance(given, Const):
                yield from self._value(do.name, param.key, given, param.name)

    def _value(self, node: str, part: str, const: Const, name: str) -> Iterator[Place]:
        place = (const.table, const.column)
        if const.value is None or not const.table or const.column not in self.schema[const.table]:
            return
        kind = KIND.get(self.lexicon.kind(place))
        term = ("const", const.value, const.table, const.column)
        if kind is None or self.often[const] > 1:
            return
        label = self.lexicon.labels[place]
        words = (label, name, self.lexicon.words.column_label(*place), const.column)
        yield Place(
            Topic(name=_slug(name), kind=kind, table=const.table, column=const.column, node=node, part=part, words=_once(words)),
            term,
        )  # fmt: skip

    def _row(self, find: Find) -> Place:
        noun = self.lexicon.words.label(find.table)
        direct = all(isinstance(w.value, Const) and w.op == "eq" for w in find.where) and not find.sort
        topic = Topic(
            name=_slug(noun), kind="identity", table=find.table, node=find.name,
            words=_once((noun, self.lexicon.words.labels(find.table), find.table)),
        )  # fmt: skip
        return Place(topic, self.terms[find.name], direct)

    # --- words

    def _spoken(self, place: Place) -> Place | None:
        """With what the user says of it."""
        topic, term = place.topic, place.term
        stream = self.stream.child(topic.node, topic.part)
        try:
            if topic.kind == "identity":
                says, literals = self.speech.phrase("row", None, term, stream)
            else:
                says, literals = value_said(self.speech, (topic.table, topic.column), term, stream)
        except Unsaid:
            return None
        return place._replace(
            topic=replace(topic, says=says, secrets=tuple(x.strip('"“”«»') for x in literals) or (says,))
        )


def value_said(speech: Speech, place: tuple[str, str], term: Term, stream: Stream) -> tuple[str, tuple[str, ...]]:
    """A value as somebody says it by itself, and the values that stand in the words.  Dates are said with their year: without
    one, '12 November, not 11 October 2023' would mean the same year.

    Raises:
        Unsaid: there are no such words.
    """
    year = re.match(r"\d{4}(?=-\d\d-\d\d)", str(term[1]))
    for attempt in range(WORDINGS):
        says, literals = speech.phrase("const", place, term, stream.child(str(attempt)) if attempt else stream)
        if year is None or year.group() in says:
            return says, literals
    raise Unsaid(f"no words with the year of {term[1]}")


def _once(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(w.replace("_", " ").lower() for w in words))


def _slug(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"\W+", "_", spaced).strip("_").lower()


def _named(places: list[Place]) -> Iterator[Place]:
    """With a number where names repeat."""
    seen = Counter[str]()
    for place in places:
        name = place.topic.name
        seen[name] += 1
        yield place if seen[name] == 1 else place._replace(topic=replace(place.topic, name=f"{name}_{seen[name]}"))


def put(plan: Plan, node: str, part: str, const: Const) -> Plan:
    """The plan with another constant at a place."""

    def changed(one: Node) -> Node:
        if one.name != node:
            return one
        if isinstance(one, Do):
            return replace(one, arguments=one.arguments | {part: const})
        if isinstance(one, Find):
            where = tuple(Where(column=w.column, op=w.op, value=const) if w.column == part else w for w in one.where)
            return replace(one, where=where)
        return replace(one, right=const)

    return replace(plan, nodes=tuple(changed(n) for n in plan.nodes))


def turned(plan: Plan, node: str, table: str, key: str, value: Any) -> Plan:
    """The plan with another row in the place of a Find's."""
    where = (Where(column=key, value=Const(value=value, table=table, column=key)),)
    return replaced(plan, Find(name=node, table=table, where=where))


def replaced(plan: Plan, node: Node) -> Plan:
    """The plan with another node in the place of the one of its name."""
    return replace(plan, nodes=tuple(node if n.name == node.name else n for n in plan.nodes))
