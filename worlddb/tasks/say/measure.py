"""How varied a list of instructions is: distinct n-grams, self-BLEU, and how many are equal once their values are masked."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import msgspec

from worlddb.rng import Stream

_WORD = re.compile(r"\w+|[^\w\s]")
_VALUE = re.compile(r"[\"“«][^\"”»]*[\"”»]|\S*[\d@]\S*|(?<=[\w,] )[A-Z]\w*(?:[ -][A-Z]\w*)*")
"""What is a value at a glance: in quotation marks, with digits, or capitalised inside a sentence."""


class Variety(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of a list of texts, all between 0 and 1."""

    texts: int
    distinct: tuple[float, float, float]
    """Different 1-, 2- and 3-grams by all of them."""
    self_bleu: float
    """Mean BLEU-4 of a sampled text against the sample's others; lower is more varied."""
    equal: float
    """Share of texts that equal another one."""
    equal_masked: float
    """The same after values are masked."""


def words(text: str) -> list[str]:
    """The words and marks of a text, in lower case."""
    return _WORD.findall(text.lower())


def masked(text: str) -> str:
    """The text with every value replaced by the same sign."""
    return _VALUE.sub("«»", text)


def distinct(texts: Sequence[str], n: int) -> float:
    """Different n-grams by all n-grams; 0 where there are none."""
    counted = Counter(gram for t in texts for gram in _grams(words(t), n))
    return len(counted) / counted.total() if counted else 0.0


def repeated(texts: Sequence[str]) -> float:
    """Share of the texts that equal another one."""
    counted = Counter(texts)
    return sum(n for n in counted.values() if n > 1) / len(texts) if texts else 0.0


def self_bleu(texts: Sequence[str], stream: Stream, sample: int = 200) -> float:
    """Mean BLEU-4 of each of at most `sample` texts against all the others of the sample, smoothed by one; 0 for fewer than 2."""
    picked = [words(t) for t in stream.sample(texts, sample)]
    if len(picked) < 2:
        return 0.0
    best: list[dict[tuple[str, ...], tuple[int, int, int]]] = []
    for n in range(1, 5):
        most: dict[tuple[str, ...], tuple[int, int, int]] = {}
        for i, text in enumerate(picked):
            for gram, count in Counter(_grams(text, n)).items():
                first, who, second = most.get(gram, (0, -1, 0))
                most[gram] = (count, i, first) if count > first else (first, who, max(second, count))
        best.append(most)
    lengths = [len(t) for t in picked]
    return sum(_bleu(i, picked[i], best, lengths) for i in range(len(picked))) / len(picked)


def _grams(text: list[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(text[i:] for i in range(n)), strict=False))


def _bleu(
    i: int, text: list[str], best: list[dict[tuple[str, ...], tuple[int, int, int]]], lengths: list[int]
) -> float:
    """BLEU-4 of text i against the others: `best` has of every n-gram the most in one text, whose, and the most elsewhere."""
    logs = 0.0
    for n in range(1, 5):
        counted = Counter(_grams(text, n))
        hit = 0
        for gram, count in counted.items():
            first, who, second = best[n - 1][gram]
            hit += min(count, second if who == i else first)
        logs += math.log((hit + (n > 1)) / (counted.total() + (n > 1))) / 4 if hit or n > 1 else -math.inf
    others = lengths[:i] + lengths[i + 1 :]
    near = min(others, key=lambda x: (abs(x - len(text)), x))
    short = 1.0 if len(text) >= near else math.exp(1 - near / max(1, len(text)))
    return short * math.exp(logs)


def variety(texts: Sequence[str], stream: Stream, sample: int = 200) -> Variety:
    """All figures of the texts."""
    return Variety(
        texts=len(texts),
        distinct=(distinct(texts, 1), distinct(texts, 2), distinct(texts, 3)),
        self_bleu=self_bleu(texts, stream, sample),
        equal=repeated(texts),
        equal_masked=repeated([masked(t) for t in texts]),
    )
