"""Text as the grammar sees it: words and marks with their places, and literals that are read from a place on."""

from __future__ import annotations

import re
from functools import lru_cache

_TOKEN = re.compile(r"['\u2019]s\b|\w+|[^\w\s]")
_MARKS = {"?": ".", "!": ".", "\u2019s": "'s", "\u2019": "'"}
OPEN = {'"': '"', "“": "”", "«": "»"}
"""Quotation marks and what closes them."""
_PARTICLES = frozenset(
    [
        "de",
        "van",
        "von",
        "der",
        "den",
        "la",
        "le",
        "les",
        "di",
        "da",
        "del",
        "della",
        "dos",
        "das",
        "du",
        "af",
        "av",
        "bin",
        "al",
        "zu",
        "ter",
        "ten",
        "el",
        "y",
        "e",
        "of",
        "and",
        "the",
        "for",
        "in",
        "with",
        "to",
        "on",
    ]
)
_SMALL = frozenset(["of", "and", "the", "for", "in", "with", "to", "on"])


class Text:
    """A text cut into tokens: `low` in lower case, `start` and `end` their places, `at` the token that ends at a place."""

    __slots__ = ("at", "end", "low", "n", "raw", "start", "words")

    def __init__(self, raw: str) -> None:
        self.raw = raw
        found = list(_TOKEN.finditer(raw))
        self.words = [m.group() for m in found]
        self.low = [_MARKS.get(w, w) for w in map(str.lower, self.words)]
        self.start = [m.start() for m in found]
        self.end = [m.end() for m in found]
        self.at = {m.end(): i + 1 for i, m in enumerate(found)}
        self.n = len(found)

    def match(self, pattern: re.Pattern[str], i: int) -> tuple[int, re.Match[str]] | None:
        """What a pattern matches from token i on, where it ends with a token: (next token, match)."""
        if i >= self.n:
            return None
        m = pattern.match(self.raw, self.start[i])
        if m is None or m.end() not in self.at:
            return None
        return self.at[m.end()], m

    def quoted(self, i: int) -> tuple[int, str] | None:
        """A text in quotation marks from token i on."""
        if i >= self.n or self.words[i] not in OPEN:
            return None
        close = self.raw.find(OPEN[self.words[i]], self.end[i])
        if close < 0 or close + 1 not in self.at:
            return None
        return self.at[close + 1], self.raw[self.end[i] : close]

    def name(self, i: int) -> tuple[int, str] | None:
        """A name without quotation marks from token i on: capitalised words and numbers, as many as follow one another."""
        j = self._name_end(i)
        return (j, self.raw[self.start[i] : self.end[j - 1]]) if j > i else None

    def _name_end(self, i: int) -> int:
        words, n = self.words, self.n
        if i >= n or not _proper(words[i]):
            return i
        j = i + 1
        while j < n:
            near = self.start[j] == self.end[j - 1]
            if _proper(words[j]) and (near or self.raw[self.end[j - 1] : self.start[j]] == " "):
                j += 1
            elif (
                (
                    near
                    and words[j] in "-'\u2019/&."
                    and j + 1 < n
                    and self.start[j + 1] == self.end[j]
                    and words[j + 1][0].isalnum()
                )
                or (
                    words[j] == "."
                    and near
                    and j + 1 < n
                    and len(words[j - 1]) <= 2
                    and not words[j - 1].isdigit()
                    and _proper(words[j + 1])
                )
                or (words[j] == "&" and j + 1 < n and _proper(words[j + 1]))
            ):
                j += 2
            elif (
                words[j] in _PARTICLES
                and words[j] not in _SMALL
                and j + 1 < n
                and (_proper(words[j + 1]) or words[j + 1] in _PARTICLES)
            ):
                j += 1
            else:
                break
        while j > i + 1 and words[j - 1] in _PARTICLES:
            j -= 1
        return j


def _proper(word: str) -> bool:
    return word[0].isalnum() and not word[0].islower()


@lru_cache(65536)
def is_name(value: str) -> bool:
    """True for a value that is read whole as a name, without quotation marks."""
    text = Text(value)
    return text.n > 0 and text._name_end(0) == text.n and text.start[0] == 0 and text.end[-1] == len(value)


CODE = re.compile(r"(?![#(])[^\s\"“”«»]*[\w/]")


@lru_cache(65536)
def is_code(value: str) -> bool:
    """True for a value without spaces that nobody takes for a word: a number, an address, a code."""
    m = CODE.fullmatch(value)
    return m is not None and any(not c.isalpha() for c in value) and not value.endswith(("'s", "\u2019s"))
