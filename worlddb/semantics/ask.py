"""What a maker of values is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from worlddb.rng import Stream
from worlddb.semantics.pools import Pools
from worlddb.semantics.types import SemanticType

NOW = 1767225600
"""2026-01-01 00:00:00 UTC, in unix seconds: the moment that dates are relative to unless the caller names another."""


@dataclass(slots=True)
class Ask:
    """One request for `n` values of type `kind`; `args` are those of its source."""

    kind: SemanticType
    args: tuple[str, ...]
    stream: Stream
    n: int
    pools: Pools
    locale: str
    low: int | float | str | None = None
    high: int | float | str | None = None
    now: int = NOW

    @property
    def scale(self) -> int:
        """Digits after the point that the column keeps."""
        return self.kind.scale if self.kind.sql == "REAL" else 0

    def having(self, *args: str) -> Ask:
        """The same request with other arguments."""
        return replace(self, args=args)
