"""The Agent noun: whoever leads a talk to its end, and the two ways in which that can be cut short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from worlddb.attempts import Talk


class Agent(Protocol):
    """Plays one task.  One agent plays many talks, several at the same time where it is asked to."""

    name: str

    def play(self, talk: Talk, run: int = 0) -> None:
        """Lead the talk until it is `done`; one that is left before is ended without an answer.

        `run` tells the attempts at one task apart: whoever draws, draws anew for each.

        Raises:
            Stopped: the agent came to its bounds; the attempt counts as it stands.
            Unanswered: nobody was there to act; the attempt says nothing of the agent, and does not count.
        """
        ...


Plays: TypeAlias = Callable[[Talk], None]
"""The simplest agent: a function that leads a talk."""


class Stopped(Exception):
    """The agent came to one of its bounds: turns, tokens, the length of its context."""


class Unanswered(Exception):
    """The model could not be had: its endpoint is down, or refuses.  Says nothing of what it would have done."""


class Function:
    """An agent out of a function."""

    def __init__(self, plays: Plays, name: str = "") -> None:
        self.plays = plays
        self.name = name or getattr(plays, "__name__", "function").strip("<>")

    def play(self, talk: Talk, run: int = 0) -> None:
        """Lead the talk."""
        self.plays(talk)
