"""What somebody asks for: free text, or names, as topics of a script over a closed vocabulary.

The vocabulary is the world's (`lexis`).  It is good enough to converse; nobody is judged by it.

1. A text becomes tokens: folded, in the singular, synonyms exchanged, a misspelt word of the vocabulary mended.
2. The longest known phrases are found.  Each means columns, tables or topics; a noun beside it says which.
3. What names nothing ('when?', 'which one?') means the topic of that kind, where one is held back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from worlddb.semantics.types import is_a, semantic_type
from worlddb.tasks.say.terms import own_key
from worlddb.tasks.user import Topic
from worlddb.users.lexis import Lexis, Phrasebook, Place, Spelling, Tokens, common, one, phrase, synonyms, tokens
from worlddb.users.phrases import users_file

_SENTENCE = re.compile(r"(?<=[.?!;\n])\s+|\n+")
_PART = re.compile(r",|\band\b|\bplus\b| - |/|:|\d\)|\bor\b|\balso\b", re.I)
IDENTIFIES = ("which", "who", "whom", "whose")
"""What asks for a row when its noun follows."""
OPENERS = frozenset(["is", "are", "do", "does", "may"])
"""What makes a question of a sentence that begins with it, and of no other: 'the day is now 12 May' asks nothing."""
RELATIVE = frozenset(["what", "which", "when", "who", "whom", "whose", "where"])
"""What asks near the beginning of a sentence or of a part of it; later on it says more: 'the order which you meant'."""
NEAR = 2
"""Words from the beginning that are near it."""
NUMBERING = ("number", "id", "name", "reference", "code", "record")


class Heard(NamedTuple):
    """What was recognised."""

    topics: tuple[str, ...] = ()
    """Names, in the order in which they were named."""
    fields: tuple[str, ...] = ()
    """'table.column' of what was asked for and is no topic."""
    asks: bool = False
    """True for a question or a request."""


@cache
def _asks() -> frozenset[str]:
    return frozenset(one(w) for w in users_file().asks)


@cache
def _cues() -> tuple[tuple[Tokens, str], ...]:
    """The cues, long ones first."""
    found = [(tuple(one(w) for w in cue.split()), kind) for cue, kind in users_file().cues.items()]
    return tuple(sorted(found, key=lambda c: -len(c[0])))


# --- the words of a script


class Mention(NamedTuple):
    """A phrase that was found."""

    at: int
    end: int
    topics: tuple[str, ...]
    places: tuple[Place, ...]

    @property
    def nouns(self) -> tuple[str, ...]:
        """The tables that it names."""
        return tuple(t for t, column in self.places if not column)

    @property
    def columns(self) -> tuple[Place, ...]:
        """The columns that it names."""
        return tuple(p for p in self.places if p[1])


class Ear:
    """Understands questions about the topics of one script."""

    def __init__(self, lexis: Lexis, topics: Sequence[Topic]) -> None:
        self.lexis = lexis
        self.topics = {t.name: t for t in topics}
        self.own = Phrasebook()
        """What topics are called: (name, '') in the places of places."""
        self.alike = Phrasebook()
        """What else may be said for them."""
        self.part = Phrasebook()
        """Parts of what they are called."""
        for topic in topics:
            place, nouns = (topic.name, ""), frozenset[str]()
            if topic.kind != "identity" and topic.table in lexis.schema:
                nouns = frozenset(phrase(lexis.lexicon.words.label(topic.table)))
            for words in self._names(topic):
                self.own.add(words, place)
                for some in self._parts(words, nouns):
                    self.part.add(some, place)
            for words in self._others(topic):
                self.alike.add(words, place)
        self.words = self.own.words | self.alike.words | self.part.words
        self._spelling = Spelling(self.words - lexis.words)

    def _names(self, topic: Topic) -> list[Tokens]:
        """What a topic is called."""
        found = [phrase(w) for w in (topic.name, re.sub(r"_\d+$", "", topic.name), *topic.words)]
        if topic.table not in self.lexis.schema:
            return found
        table = self.lexis.schema[topic.table]
        if topic.kind == "identity":
            return [*found, phrase(self.lexis.lexicon.words.label(table.key))]
        return [*found, *self.lexis.names(table, table[topic.column])] if topic.column in table else found

    def _others(self, topic: Topic) -> list[Tokens]:
        """Synonyms of a column, and the words of a closed set of values."""
        schema = self.lexis.schema
        if topic.kind == "identity" or topic.table not in schema or topic.column not in schema[topic.table]:
            return []
        column, found = schema[topic.table][topic.column], list[Tokens]()
        if topic.kind == "choice" and (column.values or semantic_type(column.type).values):
            found = [phrase(w) for w in self.lexis.lexicon.said((topic.table, topic.column)).values() if len(w) > 3]
        return [*found, *synonyms(column.type)]

    @staticmethod
    def _parts(words: Tokens, nouns: frozenset[str]) -> Iterator[Tokens]:
        """Shorter forms of a name: without what alone means nothing, such as the `nouns` of its table."""
        generic = users_file().generic | users_file().asks | nouns
        n = len(words)
        for i in range(n):
            for j in range(i + 1, n + 1):
                if j - i < n and not all(w in generic or len(w) < 3 for w in words[i:j]):
                    yield words[i:j]

    # --- names in `about`

    def named(self, names: Iterable[str]) -> Heard:
        """What a list of names means: topics, parameters of tools, columns, tables."""
        topics, fields = dict[str, None](), dict[str, None]()
        for name in names:
            found = self._named(name)
            topics |= dict.fromkeys(found.topics)
            fields |= dict.fromkeys(found.fields)
        return Heard(tuple(topics), tuple(fields), bool(topics or fields))

    def _named(self, name: str) -> Heard:
        words = phrase(name)
        exact = [t for t in self.topics if t == name] or [t for t in self.topics if phrase(t) == words and words]
        if (
            exact and not self.topics[exact[0]].hidden
        ):  # what is held back may bear the name with a number, which nobody knows
            exact = [t for t in self.topics if self.topics[t].hidden and re.sub(r"_\d+$", "", t) == exact[0]] or exact
        if exact:
            return Heard(topics=tuple(exact))
        for book in (self.own, self.alike) if words else ():
            if whole := book.by_first.get(words[0], {}).get(words):
                return Heard(topics=tuple(t for t, _ in whole))
        if rows := self._rows(self.lexis.keys.get(words, ())):
            return Heard(topics=rows)
        return self.heard(name.replace("_", " ").replace(".", " "), plain=True)

    # --- free text

    def heard(self, text: str, *, plain: bool = False) -> Heard:
        """What a text asks for.  `plain`: it is a name, and asks for what it names."""
        topics, fields = dict[str, None](), dict[str, None]()
        asks, context = plain, tuple[str, ...]()
        for sentence in _SENTENCE.split(text):
            whole = tokens(sentence)
            if not (plain or _is_question(sentence, whole)):
                context += self._nouns(whole)
                continue
            asks = True
            found = self._sentence(sentence, context)
            topics |= dict.fromkeys(found.topics)
            fields |= dict.fromkeys(found.fields)
            context += self._nouns(whole)
        if asks and not (topics or fields):
            topics |= dict.fromkeys(self._quoted(text))
        return Heard(tuple(topics), tuple(fields), asks)

    def _quoted(self, text: str) -> list[str]:
        """The topics whose words in the instruction are repeated: 'You wrote "the day we agreed on". What is that?'"""
        whole = " ".join(tokens(text))
        return [n for n, t in self.topics.items() if t.hidden and t.vague and " ".join(tokens(t.vague)) in whole]

    def _nouns(self, words: Sequence[str]) -> tuple[str, ...]:
        """The tables that a sentence names."""
        return tuple(n for m in self._mentions(words)[1] for n in m.nouns)

    def _sentence(self, sentence: str, context: tuple[str, ...]) -> Heard:
        topics, fields = list[str](), list[str]()
        parts = [found for part in _PART.split(sentence) if (found := self._mentions(tokens(part)))[0]]
        about = context + tuple(n for _, mentions in parts for m in mentions for n in m.nouns)
        for words, mentions in parts:
            near = tuple(n for m in mentions for n in m.nouns)
            named = any(self._names_slot(m) for m in mentions)
            for m in mentions:
                chosen = self._chosen(m, words, near, about, named)
                topics += chosen
                if not chosen and m.columns and not m.nouns:
                    fields += self._fields(m, near or about)
            if not named:
                topics += self._meant(words, about, bool(topics), mentions)
        return Heard(tuple(topics), tuple(fields))

    def _names_slot(self, m: Mention) -> bool:
        """True for what names a value, not a row."""
        return bool(m.columns and not m.nouns) or any(self.topics[t].kind != "identity" for t in m.topics)

    def _mentions(self, words: Sequence[str]) -> tuple[list[str], list[Mention]]:
        """The words without those that are passed over, mended, and what they mention."""
        passed = users_file().passed
        kept = [w if w in self.words else self._mend(w) for w in words if w not in passed]
        found, i = list[Mention](), 0
        while i < len(kept):
            if kept[i] not in self.words and kept[i] not in self.lexis.words:
                i += 1
                continue
            own, topics = self.own.longest(kept, i)
            alike, others = self.alike.longest(kept, i)
            if alike > own:
                own, topics = alike, others
            known, places = self.lexis.book.longest(kept, i)
            part, parts = self.part.longest(kept, i)
            n = max(own, known)
            if part > n or (part and not n):
                n, topics, places = part, parts, []
            elif n:
                topics, places = topics if own == n else [], places if known == n else []
            else:
                n, places = self.lexis.short.longest(kept, i)
                if not n:
                    i += 1
                    continue
            found.append(Mention(i, i + n, tuple(t for t, _ in topics), tuple(places)))
            i += n
        return kept, found

    def _mend(self, word: str) -> str:
        """A word of the topics or of the world, for what is nearly one."""
        return self._spelling.mend(word) or self.lexis.spelling.mend(word) or word

    def _chosen(
        self, m: Mention, words: list[str], near: tuple[str, ...], about: tuple[str, ...], named: bool
    ) -> list[str]:
        """The topics that a mention asks for."""
        rows = [t for t in m.topics if self.topics[t].kind == "identity"]
        slots = [t for t in m.topics if self.topics[t].kind != "identity"]
        if slots:
            tables = {self.topics[t].table for t in slots}
            if not tables & set(near) and any(t in near for t, _ in m.columns):
                return []  # the name of something else
            beside = [t for t in slots if self.topics[t].table in near]
            beside = beside or [t for t in slots if self.topics[t].table in about]
            return self._held(beside or slots)
        if rows and self._identified(m, words, named):
            return self._held(rows)
        if m.columns and near:  # the number of the order, which is what tells which order it is
            tables = {t for t, c in m.columns if t in near and self._tells(t, c)}
            return self._held(self._rows(tuple(tables)))
        return []

    def _identified(self, m: Mention, words: list[str], named: bool) -> bool:
        """True where a noun is what is asked for, not what something else is asked of."""
        for i in range(m.at - 1, max(-1, m.at - 4), -1):  # which, or which other hotel's: only small words between
            if words[i] in IDENTIFIES or (words[i] == "what" and i == m.at - 1):
                return True
            if words[i] not in common():
                break
        if words[m.end : m.end + 1] and words[m.end] in NUMBERING and not named:
            return True
        return not named and not _wh(words) and users_file().asides.isdisjoint(words)

    def _tells(self, table: str, column: str) -> bool:
        """True for a column that tells rows of the table apart."""
        found = self.lexis.schema[table]
        return column in (found.title, own_key(self.lexis.schema, table)) or is_a(found[column].type, "identifier")

    def _rows(self, tables: Iterable[str]) -> tuple[str, ...]:
        """The topics about which row of these tables it is."""
        return tuple(n for n, t in self.topics.items() if t.kind == "identity" and t.table in tables)

    def _held(self, names: Iterable[str]) -> list[str]:
        """Those of the topics that are held back; all where none is."""
        every = list(dict.fromkeys(names))
        return [n for n in every if self.topics[n].hidden] or every

    def _fields(self, m: Mention, near: tuple[str, ...]) -> list[str]:
        """The columns that a mention asks for: those of the tables beside it, else the first."""
        places = [p for p in m.columns if p[0] in near] or list(m.columns[:1])
        return [".".join(p) for p in places]

    def offered(self, options: Iterable[str]) -> tuple[str, ...]:
        """The topic of whose closed set of values these are some."""
        found = [t for o in options for t, _ in self.alike.by_first.get((phrase(o) or ("",))[0], {}).get(phrase(o), ())]
        return tuple(self._held(t for t in found if self.topics[t].kind == "choice"))

    # --- what names nothing

    def _meant(self, words: list[str], about: tuple[str, ...], already: bool, mentions: list[Mention]) -> list[str]:
        """The topics of the kind that the question is about, where it names none."""
        found, there = list[str](), set(words)
        for cue, kind in _cues():
            n = len(cue)
            if there.issuperset(cue) and any(tuple(words[i : i + n]) == cue for i in range(len(words) - n + 1)):
                found = self._of_kind(kind, cue, about)
                break
        if already and (mentions or len(found) != 1):
            return []
        return found

    def _of_kind(self, kind: str, cue: Tokens, about: tuple[str, ...]) -> list[str]:
        if kind == "place":
            return self._held(n for n, t in self.topics.items() if self._is(t, "location"))
        if kind == "identity":
            rows = [n for n, t in self.topics.items() if t.kind == "identity"]
            if cue[0] in ("who", "whom", "whose"):
                people = [n for n in rows if self.topics[n].table in self.lexis.lexicon.people]
                return self._alone(people) or ([] if about else self._alone(rows))
            return self._held(n for n in rows if self.topics[n].table in about) or self._alone(rows)
        if kind == "value":
            return self._alone(n for n, t in self.topics.items() if t.kind not in ("identity", "credential"))
        some = [n for n, t in self.topics.items() if t.kind == kind]
        if kind == "quantity" and len(some) > 1:  # how many are things, how much is money
            money = [n for n in some if self._is(self.topics[n], "money")]
            some = (money or some) if "much" in cue else [n for n in some if n not in money]
        return self._held(some) if kind == "date" else self._alone(some)

    def _alone(self, names: Iterable[str]) -> list[str]:
        """The one that is held back, where it is only one."""
        held = self._held(names)
        return held if len(held) == 1 else []

    def _is(self, topic: Topic, kind: str) -> bool:
        schema = self.lexis.schema
        known = topic.table in schema and topic.column in schema[topic.table]
        return known and is_a(schema[topic.table][topic.column].type, kind)


@cache
def _sorted_asks() -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """What asks at the very beginning of a sentence, near it, and anywhere."""
    first, near = (frozenset(one(w) for w in words) & _asks() for words in (OPENERS, RELATIVE))
    return first, near, _asks() - first - near


def _is_question(sentence: str, words: Sequence[str]) -> bool:
    first, near, anywhere = _sorted_asks()
    starts = (tokens(part)[:NEAR] for part in re.split(r"[,:;]| - ", sentence))
    asks = not first.isdisjoint(words[:1]) or any(not near.isdisjoint(start) for start in starts)
    return asks or "?" in sentence or not anywhere.isdisjoint(words)


def _wh(words: Sequence[str]) -> str:
    """The question word of a part of a sentence."""
    return next((w for w in words if w in ("which", "who", "whom", "whose", "what", "when", "how", "where", "why")), "")
