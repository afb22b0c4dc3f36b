"""The oracle: plays the gold, asks the user what is withheld, keeps to the handbook, and lives with an API that fails.

What it cannot solve, nobody can: it is the upper bound of every evaluation, and proves it anew.
"""

from __future__ import annotations

from worlddb.attempts import Talk, play_gold
from worlddb.episode.diligent import Silent


class Oracle:
    """Knows the task's gold."""

    name = "oracle"

    def play(self, talk: Talk, run: int = 0) -> None:
        """Do what the task asks for, by the book."""
        try:
            play_gold(talk)
        except Silent:  # a user who is played by a model may not answer
            talk.submit()
