"""Fixed phrases, and the meanings that each of them has."""

from __future__ import annotations

from typing import Any

from worlddb.tasks.say.lexer import Text


class Phrases:
    """Fixed phrases and what each means: several meanings where they share a phrase."""

    def __init__(self) -> None:
        self.first: dict[str, list[tuple[tuple[str, ...], Any]]] = {}

    def add(self, phrase: str, value: Any) -> None:
        """Let the phrase mean the value as well."""
        low = tuple(Text(phrase).low)
        self.first.setdefault(low[0], []).append((low, value))

    def read(self, text: Text, i: int) -> list[tuple[int, Any]]:
        """(next token, meaning) of every phrase that begins at token i."""
        if i >= text.n:
            return []
        low = text.low
        return [(i + len(p), v) for p, v in self.first.get(low[i], ()) if tuple(low[i : i + len(p)]) == p]
