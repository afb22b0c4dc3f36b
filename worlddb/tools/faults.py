"""The Faults noun: how often an API fails, and how; what every client of a real service has to live with, to be trained for.

`worlddb.tools.faulty` makes calls meet them.
"""

from __future__ import annotations

import msgspec

KINDS = ("transient", "timeout", "rate_limit", "stale", "partial")


class Faults(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How often which fault comes, as the share of the calls that could meet it (0 to 1)."""

    seed: int = 0
    transient: float = 0.0
    """Nothing is done; the same call works a little later: UNAVAILABLE."""
    timeout: float = 0.0
    """It is done, and the answer is lost: TIMEOUT.  Who repeats a call that is not idempotent does it twice."""
    rate_limit: float = 0.0
    """Nothing is done, and the calls that follow are refused, too, until so many have been made: RATE_LIMITED."""
    stale: float = 0.0
    """A reading call answers as it would have before the last change."""
    partial: float = 0.0
    """Of a batch only the first part is done, and the answer says so."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that can come."""
        return tuple(k for k in KINDS if getattr(self, k))
