"""Gymnasium: one task an episode, text in and text out.

    import gymnasium
    from worlddb.adapters.gymnasium import call

    env = gymnasium.make("worlddb.adapters.gymnasium:worlddb/World-v0", store="data/out")
    told, info = env.reset(seed=0)                             # or options={"world": "hotel-42", "task": "hotel-42/3"}
    told, reward, terminated, truncated, info = env.step(call("submit", answer=3))

An action is a call as JSON, {"name": …, "arguments": {…}}, or a list of calls.  Any other text is a message to the user, and ends
the episode where the task has none.  `info["tools"]` has the tools as the Chat Completions API takes them, `submit` included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium
import orjson
from gymnasium.spaces import Text

from worlddb.adapters.common import locate
from worlddb.adapters.supply import Supply
from worlddb.attempts import Attempt, Said, Talk
from worlddb.episode.play import Episode
from worlddb.errors import BadRequest
from worlddb.tools.arguments import LONGEST

NAME = "worlddb/World-v0"
MOST_READ = 1 << 20
"""Characters of an observation."""
MOST_SAID = LONGEST + 1024
"""Characters of an action: the longest arguments that a tool takes, and a name."""
REWARDS = ("success", "shaped")


class Words(Text):
    """Text of any characters, since worlds have names from everywhere; samples are of letters and digits."""

    def contains(self, x: Any) -> bool:
        """True for a text that is not too long."""
        return isinstance(x, str) and self.min_length <= len(x) <= self.max_length


class WorldEnv(gymnasium.Env[str, str]):
    """Tasks of a store or, without one, of worlds that are grown from seeds, which takes a second or more each."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"]}

    def __init__(
        self,
        store: str = "",
        split: str = "all",
        profile: str = "default",
        steps: int = 50,
        reward: str = "success",
        render_mode: str | None = None,
    ) -> None:
        """`steps` actions at most; `reward` 'success' pays 1.0 or 0.0 at the end, 'shaped' part of the way as well.

        Raises:
            BadRequest: no such split or reward.
        """
        if reward not in REWARDS:
            raise BadRequest(f"there is no reward '{reward}'; choose {' or '.join(REWARDS)}")
        self.supply = Supply(store=store, split=split, profile=profile)
        self.steps, self.pays, self.render_mode = steps, reward, render_mode
        self.observation_space = Words(MOST_READ, min_length=0)
        self.action_space = Words(MOST_SAID, min_length=0)
        self.talk: Talk | None = None
        """The conversation so far; None before the first reset."""
        self.taken = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin a task: that of `options` {"world": id, "task": id} or {"number": n}, else one drawn from the seed.

        Raises:
            UnknownName: there is no such world or task.
        """
        super().reset(seed=seed)
        asked = options or {}
        if "task" in asked:
            task_id = str(asked["task"])
            world_id = str(asked.get("world") or task_id.rpartition("/")[0])
            world, task = locate(world_id, task_id, self.supply.store, self.supply.profile)
        else:
            world, task, _ = self.supply.drawn(int(asked.get("number", self.np_random.integers(1 << 31))))
        self.talk, self.taken = Talk(Episode(world, task)), 0
        return "\n\n".join(m["content"] for m in self.talk.messages), {
            "world": world.id, "task": task.id, "family": task.family, "tools": self.talk.tools,
        }  # fmt: skip

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Act; the observation is what the tools or the user answer, the reward comes with the end."""
        if self.talk is None:
            raise gymnasium.error.ResetNeeded("reset the environment before its first step")
        before, calls = len(self.talk.messages), read(action)
        self.talk.act("" if calls else action, calls)
        self.taken += 1
        told = "\n".join(m["content"] for m in self.talk.messages[before + 1 :])
        terminated = self.talk.done
        truncated = not terminated and self.taken >= self.steps
        if not (terminated or truncated):
            return told, 0.0, False, False, {}
        verdict = self.attempt().verdict
        paid = verdict.reward if self.pays == "success" else verdict.shaped
        return told, paid, terminated, truncated, {"success": verdict.success, "verdict": str(verdict)}

    def attempt(self) -> Attempt:
        """The episode as a record, for exports; one that is not over ends without an answer."""
        if self.talk is None:
            raise gymnasium.error.ResetNeeded("reset the environment before its first step")
        return self.talk.attempt(agent="gymnasium")

    def render(self) -> str | None:
        """The conversation, with the render mode 'ansi'."""
        if self.render_mode != "ansi" or self.talk is None:
            return None
        return "\n".join(_line(m) for m in self.talk.messages)


def call(name: str, /, **arguments: Any) -> str:
    """An action: the call of a tool.

    >>> call("submit", answer=3)
    '{"name":"submit","arguments":{"answer":3}}'
    """
    return orjson.dumps({"name": name, "arguments": arguments}).decode()


def read(action: str) -> Sequence[Said]:
    """The calls of an action; none where it is a message."""
    try:
        found = orjson.loads(action)
    except ValueError:
        return ()
    many = found if isinstance(found, list) else [found]
    if not many or not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in many):
        return ()
    return [Said(one["name"], one.get("arguments", {})) for one in many]


def _line(message: dict[str, Any]) -> str:
    calls = [
        f"{c['function']['name']} {orjson.dumps(c['function']['arguments']).decode()}"
        for c in message.get("tool_calls", ())
    ]
    return f"{message['role']}: {' '.join(part for part in (message['content'], *calls) if part)}"


gymnasium.register(NAME, entry_point=WorldEnv)
