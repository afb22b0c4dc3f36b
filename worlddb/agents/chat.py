"""The agent behind an OpenAI-compatible endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worlddb.agents.client import PAUSE, Client, Completions
from worlddb.agents.conversation import TURNS, Bounds, lead
from worlddb.attempts import Talk


class Chat:
    """A language model that is asked for every message."""

    def __init__(
        self, model: str, base_url: str, key: str = "", *, options: Mapping[str, Any] | None = None, turns: int = TURNS,
        tokens: int = 0, timeout: float = 120.0, tries: int = 6, pause: float = PAUSE,
    ) -> None:  # fmt: skip
        """`options` are further fields of each request (temperature, max_tokens, seed …), `turns` and `tokens` the bounds of an
        attempt, `timeout` and `tries` those of one request.

        Raises:
            BadRequest: the address is none.
        """
        self.name = f"chat/{model}"
        self.bounds = Bounds(turns, tokens)
        self.client = Client(base_url, key, timeout=timeout, tries=tries, pause=pause)
        self.complete = Completions(self.client, model, options)

    def play(self, talk: Talk, run: int = 0) -> None:
        """Lead the talk."""
        lead(self.complete, talk, self.bounds)
