"""The vocabulary of a world: what its tables and columns are called, in tokens.

It comes from labels of columns, nouns of tables, parameters of tools, and synonyms by semantic type (schemas/wording/users.yaml).
A text becomes tokens: folded, in the singular, synonyms exchanged; a misspelt word of the vocabulary is mended.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

from worlddb.schema.model import Column, Schema, Table
from worlddb.semantics.types import is_a
from worlddb.tasks.ground import flat
from worlddb.tasks.say import Lexicon
from worlddb.tasks.say.terms import target
from worlddb.tools.model import Param
from worlddb.tools.toolset import Toolset
from worlddb.tools.words import Vocabulary, singular
from worlddb.users.phrases import users_file
from worlddb.world.model import World

Tokens = tuple[str, ...]
Place = tuple[str, str]
"""Table and column (keys); column '' for the table itself."""
_WORD = re.compile(r"[a-z0-9]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
KEPT = 10_000
"""Mended words that are remembered at most."""
SHORTEST = 4
"""Letters that a word has at least for a misspelling of it to be recognised."""


# --- tokens


@lru_cache(16384)
def one(word: str) -> str:
    """A word in the singular, with synonyms exchanged."""
    same = users_file().same
    found = same.get(word) or singular(word)
    return same.get(found, found)


@lru_cache(4096)
def tokens(text: str) -> Tokens:
    """The words of a text, label or name: 'dueDates' -> ('due', 'date')."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    low = _CAMEL.sub(" ", text).lower().replace("'s", " ")
    low = low.replace("e-mail", "email").replace("e mail", "email")
    return tuple([one(w) for w in _WORD.findall(low)])


def phrase(text: str) -> Tokens:
    """The tokens of a label, without those that are passed over."""
    passed = users_file().passed
    every = tokens(text)
    return tuple(t for t in every if t not in passed) or every


@cache
def common() -> frozenset[str]:
    """Words that are never a misspelling of another."""
    file = users_file()
    return file.common | file.asks | file.passed | frozenset(one(w) for w in file.common)


def near_to(word: str) -> Iterator[str]:
    """The word, and the word without each of its letters: two words share one if they differ by one letter."""
    yield word
    for i in range(len(word)):
        yield word[:i] + word[i + 1 :]


# --- the words of a world


class Phrasebook:
    """Phrases and the places that each of them may mean."""

    def __init__(self) -> None:
        self.by_first: dict[str, dict[Tokens, list[Place]]] = {}

    def add(self, words: Tokens, place: Place) -> None:
        """Let the phrase mean the place as well."""
        if words:
            found = self.by_first.setdefault(words[0], {}).setdefault(words, [])
            if place not in found:
                found.append(place)

    @property
    def words(self) -> frozenset[str]:
        """All words of its phrases."""
        return frozenset(w for some in self.by_first.values() for known in some for w in known)

    def longest(self, words: Sequence[str], i: int) -> tuple[int, list[Place]]:
        """(length, places) of the longest phrase that begins at i; (0, []) where none does."""
        best, places = 0, list[Place]()
        for known, found in self.by_first.get(words[i], {}).items():
            n = len(known)
            if n > best and tuple(words[i : i + n]) == known:
                best, places = n, found
        return best, places


class Spelling:
    """Mends words that are nearly one of these: a letter too many, too few, another, or two exchanged, but the first is right."""

    def __init__(self, words: frozenset[str]) -> None:
        self._words = words
        self._by_part: dict[str, str] = {}
        pairs = [(w, w) for w in sorted(words)] + [(o, w) for o, w in users_file().same.items() if w in words]
        for written, word in pairs:
            if len(written) >= SHORTEST and written.isalpha():
                for near in near_to(written):
                    self._by_part.setdefault(near, word)
        self._known: dict[str, str] = {}

    def mend(self, word: str) -> str:
        """The word that is meant; '' where it is none of these, or nothing is wrong with it."""
        if len(word) < SHORTEST or word in self._words or word in common() or not word.isalpha():
            return ""
        found = self._known.get(word)
        if found is None:
            known = (self._by_part.get(near, "") for near in near_to(word) if near[:1] == word[0])
            found = next(filter(None, known), "")
            if len(self._known) < KEPT:
                self._known[word] = found
        return found


@lru_cache(2048)
def synonyms(type_: str) -> tuple[Tokens, ...]:
    """Other words for a column of a semantic type: those of the type and of its parents."""
    named = users_file().types
    return tuple(dict.fromkeys(phrase(w) for t, words in named.items() if is_a(type_, t) for w in words))


class Lexis:
    """All that can be asked for in one world."""

    def __init__(self, schema: Schema, toolset: Toolset, lexicon: Lexicon) -> None:
        self.schema = schema
        self.lexicon = lexicon
        self.book = Phrasebook()
        self.short = Phrasebook()
        """Labels of columns without the words that mean nothing alone."""
        self.params: dict[Place, set[str]] = {}
        """Column -> what tools call it."""
        self.keys: dict[Tokens, set[str]] = {}
        """A parameter that takes the key of a row -> the tables of such rows."""
        for table in schema.tables:
            self.book.add(phrase(lexicon.words.label(table.key)), (table.key, ""))
        for tool in toolset:
            for param in flat(tool.params):
                self._param(param)
        for table in schema.tables:
            for column in table.columns:
                for words in (*self.names(table, column), *synonyms(column.type)):
                    self.book.add(words, (table.key, column.key))
                short = tuple(
                    w for w in phrase(lexicon.label((table.key, column.key))) if w not in users_file().generic
                )
                self.short.add(short, (table.key, column.key))
        self.words = self.book.words | self.short.words
        self.spelling = Spelling(self.words)

    def _param(self, param: Param) -> None:
        place = (param.table, param.column)
        if param.hidden or not param.column or param.role not in ("key", "value"):
            return
        if to := target(self.schema, *place):
            self.keys.setdefault(phrase(param.name), set()).add(to)
        self.params.setdefault(place, set()).add(param.name)

    def names(self, table: Table, column: Column) -> tuple[Tokens, ...]:
        """What a column is called."""
        place = (table.key, column.key)
        said = [self.lexicon.label(place), self.lexicon.words.column_label(*place), *sorted(self.params.get(place, ()))]
        return tuple(dict.fromkeys(map(phrase, said)))


def lexis_of(world: World, toolset: Toolset) -> Lexis:
    """What can be asked for in a world; kept with its toolset."""
    made: dict[str, Lexis] = toolset.__dict__.setdefault("_lexis", {})
    if world.id not in made:
        lexicon = Lexicon(world.schema, Vocabulary(world.schema), world.locale, world.now)
        made[world.id] = Lexis(world.schema, toolset, lexicon)
    return made[world.id]
