"""Random streams by name.

`Stream(seed).child("rows", "order")` is the stream of that path and of nothing else: its numbers depend on the seed and the
path alone, so that adding a table, a column or a draw elsewhere never shifts them.  Inside a stream, draw i of a vector
depends only on the stream and i (a counter through SplitMix64's finaliser: Steele, Lea, Flood, "Fast splittable
pseudorandom number generators", 2014), in unsigned 64-bit integer arithmetic, which is the same on every machine.  Nothing
here reads the clock, the process's hash seed or a global generator, and nothing uses floating point beyond an exact
division by a power of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX1 = 0xBF58476D1CE4E5B9
_MIX2 = 0x94D049BB133111EB
_U30, _U27, _U31, _U32 = (np.uint64(s) for s in (30, 27, 31, 32))
_UGOLDEN, _UMIX1, _UMIX2 = (np.uint64(c) for c in (_GOLDEN, _MIX1, _MIX2))

_COUNTER = np.arange(4096, dtype=np.uint64) * _UGOLDEN


def _counter(n: int) -> NDArray[np.uint64]:
    global _COUNTER
    if n > len(_COUNTER):
        _COUNTER = np.arange(max(n, 2 * len(_COUNTER)), dtype=np.uint64) * _UGOLDEN
    return _COUNTER[:n]


class Stream:
    """A named, independent source of random numbers.

    Scalar draws (`below`, `chance`, `pick` …) advance the stream; vector draws (`bits`, `integers` …) take a fresh lane
    each, so that the length of one does not move the next.
    """

    __slots__ = ("_draws", "key")

    def __init__(self, seed: int | str, *path: str) -> None:
        """Open the stream of `path` under `seed` (any integer, or text)."""
        text = "\x1f".join((str(seed), *path)).encode()
        self.key = int.from_bytes(blake2b(text, digest_size=8).digest(), "little")
        self._draws = 0

    def child(self, *path: str) -> Stream:
        """The stream of a longer path.  Independent of every draw made so far from this one."""
        made = Stream.__new__(Stream)
        text = "\x1f".join((str(self.key), *path)).encode()
        made.key, made._draws = int.from_bytes(blake2b(text, digest_size=8).digest(), "little"), 0
        return made

    def _next(self) -> int:
        self._draws += 1
        z = (self.key + self._draws * _GOLDEN) & _MASK
        z = ((z ^ (z >> 30)) * _MIX1) & _MASK
        z = ((z ^ (z >> 27)) * _MIX2) & _MASK
        return z ^ (z >> 31)

    # --- scalars

    def below(self, n: int) -> int:
        """An integer in [0, n); n > 0."""
        return (self._next() >> 11) * n >> 53

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high], both included."""
        return low + self.below(high - low + 1)

    def unit(self) -> float:
        """A float in [0, 1), a multiple of 2**-53."""
        return (self._next() >> 11) / (1 << 53)

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return self.unit() < p

    def pick(self, options: Sequence[T]) -> T:
        """One of `options` (not empty), all equally likely."""
        return options[self.below(len(options))]

    def weighted(self, options: Sequence[T], weights: Sequence[int]) -> T:
        """One of `options`, with integer weights of the same length."""
        left = self.below(sum(weights))
        for option, weight in zip(options, weights, strict=True):
            left -= weight
            if left < 0:
                return option
        raise ValueError("weights must be positive")

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """A new list with the items in random order (Fisher and Yates)."""
        out = list(items)
        for i in range(len(out) - 1, 0, -1):
            j = self.below(i + 1)
            out[i], out[j] = out[j], out[i]
        return out

    def sample(self, items: Sequence[T], k: int) -> list[T]:
        """k different items, or all of them where there are fewer, in random order."""
        return self.shuffled(items)[:k]

    # --- vectors

    def bits(self, n: int) -> NDArray[np.uint64]:
        """n uniform 64-bit integers."""
        z = _counter(n) + np.uint64(self._next())
        z ^= z >> _U30
        z *= _UMIX1
        z ^= z >> _U27
        z *= _UMIX2
        z ^= z >> _U31
        return z

    def integers(self, n: int, bound: int | NDArray[Any]) -> NDArray[np.int64]:
        """n integers in [0, bound); `bound` may be an array of n bounds.  Bounds stay below 2**32."""
        z = self.bits(n)
        z >>= _U32
        z *= bound.astype(np.uint64) if isinstance(bound, np.ndarray) else np.uint64(bound)
        z >>= _U32
        return z.view(np.int64)

    def units(self, n: int) -> NDArray[np.float64]:
        """n floats in [0, 1), multiples of 2**-32."""
        return (self.bits(n) >> _U32).astype(np.float64) / 4294967296.0

    def chances(self, n: int, p: float) -> NDArray[np.bool_]:
        """n booleans, each True with probability p."""
        return (self.bits(n) >> _U32) < np.uint64(round(p * 4294967296))

    def picks(self, n: int, options: NDArray[Any]) -> NDArray[Any]:
        """n items of the array `options`, with replacement."""
        return options[self.integers(n, len(options))]

    def by_weight(self, n: int, weights: NDArray[np.int64]) -> NDArray[np.int64]:
        """n indices into `weights` (integers >= 0, their sum below 2**32), each as likely as its weight."""
        total = np.cumsum(weights)
        return np.searchsorted(total, self.integers(n, int(total[-1])), side="right")

    def order(self, n: int) -> NDArray[np.int64]:
        """A random permutation of range(n)."""
        return np.argsort(self.bits(n), kind="stable")
