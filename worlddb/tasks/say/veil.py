"""Withheld: words that stand for something which the instruction does not say ('the day we agreed on').

A veil is worn by one term of a plan.  What is written with veils is read back with the same veils to the whole plan, so that it
says all but what they hide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from worlddb.rng import Stream
from worlddb.tasks.say.grammar import VERBATIM, Grammar, Reading, Unsayable, Writer, _Reader
from worlddb.tasks.say.lexer import Text
from worlddb.tasks.say.terms import Term, own_key
from worlddb.tasks.say.words import row_table

VALUES = frozenset(["const", "value", "day", "today", "figure", "rowstate"])
"""Symbols that a value is written by."""
PARTS = frozenset(["owner", "desc", "name", "title", "ident", "rows", "barerows", "ofrows"])
"""Symbols that would say part of a row."""
Worn = tuple[str, str, Any]
"""Symbol, phrase, meaning."""


class VeiledWriter(Writer):
    """A writer that says a phrase where a veiled term stands."""

    def __init__(
        self, grammar: Grammar, stream: Stream, registers: frozenset[str], whole: Any, veils: Mapping[Term, str]
    ) -> None:
        super().__init__(grammar, stream, registers, whole)
        self.veils = veils
        self.worn: dict[Worn, None] = {}

    def _names(self, value: Any) -> bool:
        """True for the key of a row, which names the row itself."""
        if not isinstance(value, tuple) or value[:1] != ("of",):
            return False
        return bool(value[2] == own_key(self.lexicon.schema, row_table(value[1])))

    def write(self, symbol: str, ctx: Any, value: Any) -> str:
        """As any writer, but for what is veiled."""
        term = value[1] if symbol == "key" and self._names(value) else value
        phrase = self.veils.get(term) if isinstance(term, tuple) else None
        if phrase is None:
            return super().write(symbol, ctx, value)
        if symbol in PARTS:
            raise Unsayable("it is veiled")
        if symbol not in VALUES and symbol not in ("row", "key"):
            return super().write(symbol, ctx, value)
        self.worn[symbol, phrase, value] = None
        self.said[term] = None
        return VERBATIM + phrase


def readings(grammar: Grammar, text: Text, symbol: str, worn: Iterable[Worn] = (), ctx: Any = None) -> list[Any]:
    """All meanings of the whole text, veils lifted."""
    reader = VeiledReader(grammar, text, worn) if worn else _Reader(grammar, text)
    return [value for end, value in reader.parse(symbol, ctx, 0) if end == text.n]


class VeiledReader(_Reader):
    """Reads a veil's phrase as what it hides."""

    def __init__(self, grammar: Grammar, text: Text, worn: Iterable[Worn]) -> None:
        super().__init__(grammar, text)
        self.veils: dict[str, list[tuple[tuple[str, ...], Any]]] = {}
        for symbol, phrase, value in worn:
            self.veils.setdefault(symbol, []).append((tuple(Text(phrase).low), value))

    def parse(self, symbol: str, ctx: Any, i: int) -> list[Reading]:
        """As any reader, and the veils that begin here."""
        known = self.memo.get((symbol, ctx, i))
        if known is not None:
            return known
        found = super().parse(symbol, ctx, i)
        for low, value in self.veils.get(symbol, ()):
            if tuple(self.low[i : i + len(low)]) == low:
                found = [*found, (i + len(low), value)]
        self.memo[symbol, ctx, i] = found
        return found
