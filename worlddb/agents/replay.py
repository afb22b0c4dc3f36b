"""An agent that does again what was recorded: attempts of any agent, on the worlds of today."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from worlddb.agents.model import Unanswered
from worlddb.attempts import Attempt, Message, Said, Talk


class Replay:
    """Plays the attempts that it was given; of a task with fewer attempts than runs, the first ones again."""

    name = "replay"

    def __init__(self, attempts: Iterable[Attempt]) -> None:
        self._said: dict[str, dict[int, tuple[Message, ...]]] = {}
        for one in attempts:
            said = tuple(m for m in one.messages if m["role"] == "assistant")
            self._said.setdefault(one.task, {})[one.run] = said

    def play(self, talk: Talk, run: int = 0) -> None:
        """Say what was said.

        Raises:
            Unanswered: nothing is recorded of that task.
        """
        task = str(getattr(talk.episode.task, "id", ""))
        runs = self._said.get(task)
        if not runs:
            raise Unanswered(f"no attempt at {task} is recorded")
        said = runs.get(run) or runs[sorted(runs)[run % len(runs)]]
        for message in said:
            talk.act(str(message.get("content") or ""), _calls(message))
            if talk.done:
                return


def _calls(message: Message) -> list[Said]:
    made: list[dict[str, Any]] = message.get("tool_calls") or []
    return [Said(c["function"]["name"], c["function"]["arguments"], c.get("id", "")) for c in made]
