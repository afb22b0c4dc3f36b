"""SkyRL: a text environment in which tool calls are written as <tool_call>{"name": …, "arguments": …}</tool_call>.

    import skyrl_gym
    from worlddb.adapters.skyrl import register

    register()                # before the trainer starts, in every process: then rows with env_class "worlddb" find it

Rows come from `worlddb export data/out --format skyrl --out worlds.parquet`.  SkyRL hands the model's text to `step` and puts
the observations behind it; the tools stand in the system message, in the words of Qwen's chat template.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from worlddb.adapters.common import Address, find
from worlddb.attempts import Message, Said, Talk
from worlddb.episode.play import Episode
from worlddb.tools.model import JsonSchema

if TYPE_CHECKING:
    BaseTextEnv = object
else:
    try:
        from skyrl_gym.envs.base_text_env import BaseTextEnv
    except ImportError:  # the environment is of use without it: it takes and gives plain values
        BaseTextEnv = object

NAME = "worlddb"
"""The column env_class of rows."""
MAX_TURNS = 30
"""Messages of the agent, where SkyRL does not say how many it may have (generator.max_turns)."""
_CALL = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|\Z)", re.DOTALL)
_THOUGHT = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)", re.DOTALL)
_TOOLS = """\
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{tools}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""


def read_action(text: str) -> tuple[str, list[Said]]:
    """What an agent wrote, as its words and its calls.  What it thought is neither, even where it thought of a call.

    A call that is no JSON object with a name is kept as one of no tool, so that it is refused and not passed over.

    >>> read_action('<think>hm</think>One moment. <tool_call>{"name": "get_room", "arguments": {"id": 3}}</tool_call>')
    ('One moment.', [Said(name='get_room', arguments={'id': 3}, id='')])
    """
    text = _THOUGHT.sub("", text)
    calls = [_said(call) for call in _CALL.findall(text)]
    return _CALL.sub("", text).replace("<|im_end|>", "").strip(), calls


def _said(call: str) -> Said:
    try:
        found = orjson.loads(call)
        return Said(str(found["name"]), found.get("arguments", {}))
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        return Said("", call)


def with_tools(prompt: Sequence[Message], tools: Sequence[JsonSchema]) -> list[Message]:
    """A prompt with the tools in its system message."""
    lines = "\n".join(orjson.dumps(tool).decode() for tool in tools)
    told = _TOOLS.format(tools=lines)
    first, *rest = prompt if prompt and prompt[0]["role"] == "system" else [{"role": "system", "content": ""}, *prompt]
    return [{"role": "system", "content": f"{first['content']}\n\n{told}".strip()}, *map(dict, rest)]


class WorldEnv(BaseTextEnv):
    """One episode: `init` gives the prompt, `step` takes what the model wrote.  The reward comes with the last step."""

    def __init__(self, env_config: Any = None, extras: Mapping[str, Any] | None = None) -> None:
        """`extras` are the row's columns: `extra_info` has the `Address` of a task; `max_turns` bounds the agent's messages."""
        super().__init__()
        row = extras or {}
        self.turns = 0
        self.max_turns = int(row.get("max_turns") or MAX_TURNS)
        self._talk = Talk(Episode(*find(Address.of(row.get("extra_info", row)))))

    def init(self, prompt: Sequence[Message]) -> tuple[list[Message], dict[str, Any]]:
        """The row's prompt with the tools of its world."""
        return with_tools(prompt, self._talk.tools), {}

    def step(self, action: str) -> dict[str, Any]:
        """One message of the agent: {"observations", "reward", "done", "metadata"}.

        Its calls are carried out in order; a message without one goes to the user, or ends the episode where none is there.
        """
        self.turns += 1
        before = len(self._talk.messages) + 1
        words, calls = read_action(action)
        self._talk.act(words, calls)
        if self.turns >= self.max_turns and not self._talk.done:
            self._talk.submit()
        done = self._talk.done
        reward = self._talk.submit(self._talk.answer).reward if done else 0.0
        observations = [] if done else observed(self._talk.messages[before:])
        return {"observations": observations, "reward": reward, "done": done, "metadata": self.get_metrics()}

    def get_metrics(self) -> dict[str, Any]:
        """What a log wants to know of the episode."""
        journal, verdict = self._talk.episode.session.journal, self._talk.episode.verdict
        return {
            "calls": len(journal), "refused": sum(not e.result.ok for e in journal),
            "success": float(verdict is not None and verdict.success),
        }  # fmt: skip


def observed(messages: Sequence[Message]) -> list[Message]:
    """Results and replies as one message of the user's side, as Qwen's chat template groups them."""
    parts = [
        f"<tool_response>\n{m['content']}\n</tool_response>" if m["role"] == "tool" else str(m["content"])
        for m in messages
    ]
    return [{"role": "user", "content": "\n".join(parts)}] if parts else []


def register(name: str = NAME) -> None:
    """Make the environment known to skyrl-gym under that name; a second time changes nothing."""
    from skyrl_gym.envs.registration import register as make_known
    from skyrl_gym.envs.registration import registry

    if name not in registry:
        make_known(id=name, entry_point=f"{__name__}:WorldEnv")
