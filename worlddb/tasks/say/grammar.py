"""The engine: productions that are read and written alike.

A production says how one kind of meaning is put into words: a pattern of words and holes, `split`, which takes a meaning
apart into what stands in the holes, and `make`, which puts it together again.  Writing chooses among the productions that
can split a meaning; reading tries all of them, and gives every reading there is.  So nothing is said that is not read.

Patterns are plain English with three signs: `{hole}`, `[...]` for what may be left out, and `(a|b)` for a choice of words.
`a(n)` is the indefinite article, a full stop the end of a sentence, `¿` makes the sentence a question, `↵` and `¶` begin a new
line and a new paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from worlddb.errors import BrokenFile
from worlddb.rng import Stream
from worlddb.tasks.say.lexer import Text
from worlddb.tasks.say.lexicon import Lexicon

Holes: TypeAlias = dict[str, Any]
Reading: TypeAlias = tuple[int, Any]
MARK, VERBATIM, ARTICLE, ASK, BREAK = "\x1f", "\x1e", "\x1d", "\x1c", "\x0b"
"""Signs in what is written: the end of a sentence, a literal that keeps its case, an article, a question, a new line."""


NAMING = frozenset(["row", "owner", "rows", "barerows", "ofrows"])
"""Symbols whose meaning is a row or a set, which may be spoken of again."""


SORTED = frozenset(["post0", "post1", "act"])
"""Symbols with very many productions, most of which say meanings of one sort only: an operator, a tool."""


class Unsayable(Exception):
    """No production can say it."""


class Several(list[Any]):
    """What `make` gives where one wording has several readings."""


class Hole(NamedTuple):
    """A place for another meaning: its name, its symbol, and its context: '.' that of the whole, '' none, the name of the
    hole that gives it, or a tuple of one that is it."""

    name: str
    symbol: str
    source: str | tuple[Any]


class Production(NamedTuple):
    """One way to say one kind of meaning."""

    parts: tuple[str | Hole, ...]
    names: frozenset[str]
    split: Callable[[Writer, Any, Any, frozenset[str]], Holes | None]
    make: Callable[[Lexicon, Any, Holes], Any]
    weight: int
    registers: frozenset[str]
    sort: str
    """In symbols of SORTED: what stands second in the meanings that it says; '' for any."""


_SIGNS = {".": "mark", "?": "mark", "!": "mark", "¿": "ask", "¶": "break", "↵": "break"}
_PIECE = re.compile(r"\{(\w+)\}|(a\(n\))|['\u2019]s\b|\w+|[^\w\s]")


@lru_cache(8192)
def alternatives(pattern: str) -> tuple[str, ...]:
    """Every pattern without brackets that one with them stands for."""
    m = re.search(r"\[([^\[\]]*)\]|(?<!a)\(([^()]*\|[^()]*)\)", pattern)
    if m is None:
        return (re.sub(r"\s+", " ", pattern).replace(" ,", ",").strip(),)
    options = ["", m.group(1)] if m.group(1) is not None else m.group(2).split("|")
    return tuple(a for o in options for a in alternatives(pattern[: m.start()] + o + pattern[m.end() :]))


@lru_cache(16384)
def pieces(pattern: str) -> tuple[tuple[str, str, bool], ...]:
    """(kind, text, whether a space stands before it) of a pattern: kinds are hole, article, mark, ask and word."""
    found = []
    for m in _PIECE.finditer(pattern):
        space = m.start() > 0 and pattern[m.start() - 1] == " "
        if m.group(1):
            kind, text = "hole", m.group(1)
        elif m.group(2):
            kind, text = "article", ""
        else:
            kind, text = _SIGNS.get(m.group(), "word"), m.group()
        found.append((kind, text, space))
    return tuple(found)


class _Node:
    __slots__ = ("done", "holes", "words")

    def __init__(self) -> None:
        self.words: dict[str, _Node] = {}
        self.holes: dict[Hole, _Node] = {}
        self.done: list[Production] = []

    def word(self, text: str) -> _Node:
        return self.words.setdefault(text, _Node())


class Rules:
    """Productions by symbol, as lists for writing and as prefix trees for reading."""

    def __init__(self) -> None:
        self.lists: dict[str, list[Production]] = {}
        self.trees: dict[str, _Node] = {}

    def add(
        self,
        symbol: str,
        patterns: Iterable[str],
        holes: Mapping[str, tuple[str, str | tuple[Any]]],
        split: Callable[[Writer, Any, Any, frozenset[str]], Holes | None],
        make: Callable[[Lexicon, Any, Holes], Any],
        registers: frozenset[str] = frozenset(),
        weight: int = 1,
        sort: str = "",
    ) -> None:
        """Add the productions of some patterns; `holes` gives the symbol and context of each name."""
        for pattern in patterns:
            heavy = weight
            if m := re.match(r"(\d+)\*\s*", pattern):
                heavy, pattern = weight * int(m.group(1)), pattern[m.end() :]
            found = alternatives(pattern)
            for text in found:
                share = max(1, 12 * heavy // len(found))
                self._add(symbol, text, holes, Production((), frozenset(), split, make, share, registers, sort))

    def _add(
        self, symbol: str, text: str, holes: Mapping[str, tuple[str, str | tuple[Any]]], production: Production
    ) -> None:
        parts: list[str | Hole] = []
        nodes = [self.trees.setdefault(symbol, _Node())]
        names = set[str]()
        for kind, word, space in pieces(text):
            lead = " " if space else ""
            if kind == "hole":
                hole = Hole(word, *holes[word])
                if isinstance(hole.source, str) and hole.source not in ("", ".", *names):
                    raise BrokenFile(f"schemas/wording: '{text}': {{{word}}} needs {{{hole.source}}} before it")
                names.add(word)
                parts += [lead, hole] if lead else [hole]
                nodes = [n.holes.setdefault(hole, _Node()) for n in nodes]
            elif kind == "article":
                parts.append(lead + ARTICLE)
                nodes = [n.word(w) for n in nodes for w in ("a", "an")]
            elif kind == "mark":
                parts.append(MARK)
                nodes = [n.word(".") for n in nodes]
            elif kind in ("ask", "break"):
                parts.append(lead * (word == "¿") + {"¿": ASK, "¶": BREAK * 2, "↵": BREAK}[word])
            else:
                parts.append(lead + word)
                low = word.lower().replace("\u2019", "'")
                nodes = [n.word(low) for n in nodes]
        made = production._replace(parts=tuple(parts), names=frozenset(names))
        self.lists.setdefault(symbol, []).append(made)
        for node in nodes:
            node.done.append(made)


Write: TypeAlias = Callable[["Writer", Any, Any], str]
Read: TypeAlias = Callable[["Lexicon", Text, Any, int], list[Reading]]


class Grammar:
    """Rules that all worlds share, rules of one world, and its words (symbols that functions read and write)."""

    def __init__(
        self,
        lexicon: Lexicon,
        layers: tuple[Rules, ...],
        words: dict[str, tuple[Write, Read]],
        context: Callable[[Lexicon, Any], Any],
    ) -> None:
        self.lexicon = lexicon
        self.layers = layers
        self.words = words
        self.context = context
        self._trees = {s: [r.trees[s] for r in self.layers if s in r.trees] for r in self.layers for s in r.trees}
        self._sorted: dict[tuple[str, str], list[Production]] = {}
        self._lists = {s: [p for r in self.layers for p in r.lists.get(s, ())] for s in self._trees}

    def productions(self, symbol: str, value: Any) -> list[Production]:
        """The productions of a symbol, without those that are for meanings of another sort."""
        if symbol not in SORTED:
            return self._lists.get(symbol, [])
        key = (symbol, value[1])
        if key not in self._sorted:
            self._sorted[key] = [p for p in self._lists.get(symbol, ()) if p.sort in ("", value[1])]
        return self._sorted[key]

    def readings(self, text: Text, symbol: str) -> list[Any]:
        """All meanings of the whole text."""
        reader = _Reader(self, text)
        return [value for end, value in reader.parse(symbol, None, 0) if end == text.n]


STEPS = 20_000
"""Steps that are taken to read a text: thirty times as many as most take.  What needs more, people would not read either."""


class TooInvolved(Exception):
    """A text that can be taken apart in too many ways."""


class _Reader:
    def __init__(self, grammar: Grammar, text: Text) -> None:
        self.words = grammar.words
        self.trees = grammar._trees
        self.context = grammar.context
        self.lexicon = grammar.lexicon
        self.text = text
        self.low = text.low
        self.n = text.n
        self.memo: dict[tuple[str, Any, int], list[Reading]] = {}
        self.left = STEPS

    def parse(self, symbol: str, ctx: Any, i: int) -> list[Reading]:
        key = (symbol, ctx, i)
        found = self.memo.get(key)
        if found is not None:
            return found
        self.memo[key] = []
        word = self.words.get(symbol)
        found = [] if word is None else word[1](self.lexicon, self.text, ctx, i)
        if (trees := self.trees.get(symbol)) is not None:
            out: dict[Reading, None] = dict.fromkeys(found)
            for tree in trees:
                self.walk(tree, ctx, i, {}, out)
            found = list(out)
        self.memo[key] = found
        return found

    def walk(self, node: _Node, ctx: Any, i: int, holes: Holes, out: dict[Reading, None]) -> None:
        self.left -= 1
        if self.left < 0:
            raise TooInvolved(self.text)
        for production in node.done:
            value = production.make(self.lexicon, ctx, holes)
            if isinstance(value, Several):
                out.update(dict.fromkeys((i, v) for v in value))
            elif value is not None:
                out[i, value] = None
        if i < self.n and node.words and (after := node.words.get(self.low[i])) is not None:
            self.walk(after, ctx, i + 1, holes, out)
        for hole, after in node.holes.items():
            source = hole.source
            if source == ".":
                inner = ctx
            elif not source:
                inner = None
            else:
                inner = self.context(self.lexicon, holes[source]) if isinstance(source, str) else source[0]
            for end, value in self.parse(hole.symbol, inner, i):
                self.walk(after, ctx, end, {**holes, hole.name: value}, out)


class Writer:
    """Writes meanings: by chance, but the same for the same stream."""

    def __init__(self, grammar: Grammar, stream: Stream, registers: frozenset[str], whole: Any = None) -> None:
        self.grammar = grammar
        self.lexicon = grammar.lexicon
        self.stream = stream
        self.registers = registers
        self.whole = whole
        """What is known about the whole text: which rows stand alone in it."""
        self.said: dict[Any, None] = {}
        """Rows that have been named so far."""
        self.literals: dict[str, None] = {}
        """The values that were written, as they stand in the text."""
        self.careful = 0
        """Says what kind of thing a name is of: after wordings that had several readings; how many there have been."""
        self.wrapped = False
        """Inside a polite phrase, where 'for each of …' would not follow well."""
        self.topic: Any = None
        """The row that a sentence of its own has introduced, while nothing else can be meant by 'its'."""
        self.order: list[Any] = []
        """The changes, and `now`: which of them is being said."""
        self.now = 0
        self.deeds: Any = None
        self.steps = 0
        self._styles: dict[str, int] = {}

    def style(self, kind: str, n: int) -> int:
        """Which of n ways this text spells values of a kind: drawn once, since people do not mix them."""
        if kind not in self._styles:
            self._styles[kind] = self.stream.below(n)
        return self._styles[kind] % n

    def literal(self, text: str) -> str:
        """A value as it is written: it keeps its case, and is remembered."""
        self.literals[text] = None
        return VERBATIM + text

    def write(self, symbol: str, ctx: Any, value: Any) -> str:
        """The value in words.

        Raises:
            Unsayable: no production of the symbol says it.
        """
        self.steps += 1
        if self.steps > 800:
            raise Unsayable(f"{symbol}: too many attempts")
        word = self.grammar.words.get(symbol)
        if word is not None:
            return word[0](self, ctx, value)
        for production in self._order(symbol, value):
            holes = production.split(self, ctx, value, production.names)
            if holes is None or holes.keys() != production.names:
                continue
            before = dict(self.said)
            try:
                text = self._fill(production, ctx, holes)
            except Unsayable:
                self.said = before
                continue
            if symbol in NAMING:
                self.said[value] = None
            elif symbol == "key" and value[0] == "of":
                self.said[value[1]] = None
            return text
        raise Unsayable(f"no words for {symbol}: {str(value)[:160]}")

    def _inner(self, source: str | tuple[Any], holes: Holes) -> Any:
        return self.grammar.context(self.lexicon, holes[source]) if isinstance(source, str) else source[0]

    def _order(self, symbol: str, value: Any) -> list[Production]:
        """The productions that may say it, the likelier ones sooner; those of other registers not at all."""
        unit, mine = self.stream.unit, self.registers
        drawn = [
            (unit() ** (1.0 / (p.weight * (3 if p.registers else 1))), i, p)
            for i, p in enumerate(self.grammar.productions(symbol, value))
            if not p.registers or p.registers & mine
        ]
        drawn.sort(reverse=True)
        return [p for _, _, p in drawn]

    def _fill(self, production: Production, ctx: Any, holes: Holes) -> str:
        out = []
        for part in production.parts:
            if isinstance(part, str):
                out.append(part)
                continue
            source, inner = part.source, None
            if source:
                inner = ctx if source == "." else self._inner(source, holes)
            out.append(self.write(part.symbol, inner, holes[part.name]))
        return "".join(out)
