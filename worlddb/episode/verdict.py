"""The Verdict noun: what an episode is worth, and why, line by line."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

KINDS = (
    "MISSING", "EXTRA", "WRONG", "FORBIDDEN", "UNREAD", "ANSWER", "SCHEMA", "INTEGRITY", "NOTE",
)  # fmt: skip
"""Kinds of lines.  All but NOTE say why an episode failed."""

RINGS = (
    "never acted", "bad arguments", "refused", "wrong target", "wrong value", "missing step", "collateral", "forbidden",
    "unread", "answer",
)  # fmt: skip
"""Where an episode failed, the earliest first."""


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One difference between what was done and what should have been."""

    kind: str
    text: str
    """In words, with the names that stand in the database."""
    table: str = ""
    """Keys of the table and column; the row's primary key, where it has one."""
    key: tuple[Any, ...] = ()
    column: str = ""
    step: int = 0
    """Number of the journal entry that brought it about; 0: none did."""

    def __str__(self) -> str:
        return f"{self.kind} {self.text}"


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The outcome of an episode.  `reward` is 1.0 exactly where `success` is true."""

    success: bool
    reward: float
    shaped: float
    """For training, where one wants it: 1 for success, 0 for what is forbidden, else part of the way, from 0 to 0.5."""
    lines: tuple[Line, ...] = ()
    ring: str = ""
    """The earliest ring in which it failed, one of RINGS; empty for a success, and where only the database itself is broken."""
    step: int = 0
    """Number of the journal entry that caused it; 0: none."""
    invalid: bool = False
    """The verifier itself failed: such an episode says nothing about the agent, and is never paid."""
    not_judged: tuple[str, ...] = ()
    """What could not be judged, as only a journal could tell it."""

    @property
    def json(self) -> bytes:
        """As JSON: success, reward, shaped, ring, step, invalid, not_judged, lines."""
        found = msgspec.to_builtins(self)
        names = ("success", "reward", "shaped", "ring", "step", "invalid", "not_judged", "lines")
        return orjson.dumps({n: found.get(n, getattr(self, n)) for n in names})

    def __str__(self) -> str:
        head = "invalid" if self.invalid else "success" if self.success else f"failed ({self.ring or 'database'})"
        return "\n".join([f"{head}: reward {self.reward:g}, shaped {self.shaped:.3f}", *map(str, self.lines)])


def broken(reason: str) -> Verdict:
    """The verdict of a verifier that failed itself."""
    line = Line(kind="NOTE", text=f"the verifier failed, so that nothing is paid: {reason}")
    return Verdict(success=False, reward=0.0, shaped=0.0, lines=(line,), invalid=True)
