"""Words, templates and phrases drawn from pools."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worlddb.rng import Stream
from worlddb.semantics.ask import Ask
from worlddb.semantics.codes import joined
from worlddb.semantics.numbers import Ints, by_shares, uneven
from worlddb.semantics.pools import Pools, texts

STARS = (5, 4, 3, 2, 1)
_STAR_WEIGHTS = np.array([46, 25, 11, 6, 12], dtype=np.int64)


def pool(ask: Ask) -> NDArray[Any]:
    """pool:NAME — any word of it."""
    return ask.stream.picks(ask.n, ask.pools.words(ask.args[0], ask.locale))


def some(ask: Ask) -> NDArray[Any]:
    """some:NAME[,K] — a few words of the pool, unevenly used."""
    return _few(ask, ask.pools.words(ask.args[0], ask.locale), "")


def home(ask: Ask) -> NDArray[Any]:
    """home:NAME[,K] — the same with the locale's own word as the most frequent."""
    return _few(ask, ask.pools.words(ask.args[0], ask.locale), ask.pools.facts(ask.locale)[ask.args[0]])


def _few(ask: Ask, words: NDArray[Any], first: str) -> NDArray[Any]:
    most = min(int(ask.args[1]) if len(ask.args) > 1 else 8, len(words))
    k = ask.stream.between(min(3, most), most)
    options = words[ask.stream.order(len(words))[:k]]
    if first:
        options = texts([first, *(w for w in options.tolist() if w != first)])
    return options[by_shares(ask.stream, ask.n, uneven(ask.stream, len(options), ask.pools))]


def enum(ask: Ask) -> NDArray[Any]:
    """enum — one of the type's values, unevenly."""
    return enumerated(ask.stream, ask.n, texts(ask.kind.values), ask.pools)


def even(ask: Ask) -> NDArray[Any]:
    """even — one of the type's values, about as often as any other."""
    return ask.stream.picks(ask.n, texts(ask.kind.values))


def enumerated(stream: Stream, n: int, options: NDArray[Any], pools: Pools) -> NDArray[Any]:
    """n of these options; in half of the streams the first ones are the most frequent, in the others any may be."""
    shares = uneven(stream, len(options), pools)
    if stream.below(2):
        options = options[stream.order(len(options))]
    return options[by_shares(stream, n, shares)]


@cache
def template(text: str) -> tuple[str, ...]:
    """Literals and pool names of a template, in turn: '{a} with {b}' gives ('', 'a', ' with ', 'b', '')."""
    return tuple(re.split(r"\{([a-z0-9_]+)\}", text))


def mix(ask: Ask) -> NDArray[Any]:
    """mix:TEMPLATE — pools and literals, joined."""
    parts = template(",".join(ask.args))
    out: Any = parts[0]
    for name, literal in zip(parts[1::2], parts[2::2], strict=True):
        out = out + ask.stream.picks(ask.n, _ending(ask, name, literal))
    return out if isinstance(out, np.ndarray) else np.full(ask.n, out, dtype=object)


def _ending(ask: Ask, name: str, literal: str) -> NDArray[Any]:
    """The words of a pool with a literal after each: joined once for all draws."""
    if not literal:
        return ask.pools.words(name, ask.locale)
    key = ("mix", name, literal, ask.locale)
    if key not in ask.pools.memo:
        ask.pools.memo[key] = ask.pools.words(name, ask.locale) + literal
    found: NDArray[Any] = ask.pools.memo[key]
    return found


def phrase(ask: Ask) -> NDArray[Any]:
    """phrase:NAME — one sentence, a second one in 55 % of the texts, and a third in 20 %."""
    if ask.args[0] == "review":
        return review_texts(ask.stream, stars(ask.stream, ask.n), ask.pools)
    parts = [ask.pools.words(f"{ask.args[0]}_{i}") for i in (1, 2, 3)]
    return _sentences(ask.stream, ask.n, parts[0], _spaced(ask.pools, ask.args[0], parts))


def _spaced(pools: Pools, name: str, parts: list[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The second and the third sentences, each after a space, diluted with '' so that one draw decides if it stands."""
    key = ("phrase", name)
    if key not in pools.memo:
        second, third = (" " + p for p in parts[1:])
        pools.memo[key] = (_diluted(second, 55), _diluted(third, 20))
    found: tuple[NDArray[Any], NDArray[Any]] = pools.memo[key]
    return found


def _diluted(words: NDArray[Any], percent: int) -> NDArray[Any]:
    return texts([*words.tolist(), *[""] * (len(words) * (100 - percent) // percent)])


def _sentences(stream: Stream, n: int, first: NDArray[Any], more: tuple[NDArray[Any], NDArray[Any]]) -> NDArray[Any]:
    return joined(stream.picks(n, first), stream.picks(n, more[0]), stream.picks(n, more[1]))


def stars(stream: Stream, n: int) -> Ints:
    """n ratings of 1 to 5 stars, J-shaped as in real shops."""
    return np.array(STARS, dtype=np.int64)[stream.by_weight(n, _STAR_WEIGHTS)]


def review_texts(stream: Stream, ratings: Ints, pools: Pools) -> NDArray[Any]:
    """A review for each rating (1 to 5), in words that agree with it."""
    n = len(ratings)
    opening, first, size = _by_star(pools, 1)
    closing, first_closing, size_closing = _by_star(pools, 2)
    head = opening[first[ratings] + stream.integers(n, size[ratings])]
    return joined(head, closing[first_closing[ratings] + stream.integers(n, size_closing[ratings])])


def _by_star(pools: Pools, part: int) -> tuple[NDArray[Any], Ints, Ints]:
    key = ("review", part)
    if key not in pools.memo:
        lists = [pools.words(f"review{star}_{part}") for star in (1, 2, 3, 4, 5)]
        if part == 2:
            lists = [_diluted(" " + words, 60) for words in lists]
        size = np.array([0, *(len(words) for words in lists)], dtype=np.int64)
        pools.memo[key] = (np.concatenate(lists), np.cumsum(size) - size, size)
    found: tuple[NDArray[Any], Ints, Ints] = pools.memo[key]
    return found
