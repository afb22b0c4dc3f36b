"""worlddb as an environment of verifiers 0.3: `vf-eval worlddb_verifiers_v0`.

Every task has tools of its own, so the environment is a MultiTurnEnv that sets `state["tool_defs"]` row by row.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Any

import orjson
import verifiers as vf
from datasets import Dataset
from verifiers.types import Tool

from worlddb.adapters.common import Address, find
from worlddb.adapters.supply import Supply
from worlddb.attempts import Said, Talk, prompt
from worlddb.episode.play import Episode


def load_environment(
    store: str = "", split: str = "all", num_tasks: int = 100, first_seed: int = 0, profile: str = "default",
    max_turns: int = 50, shaped: bool = False, **more: Any,
) -> vf.Environment:  # fmt: skip
    """The first `num_tasks` tasks of a store's split, or without a store those of worlds grown from seeds.

    Raises:
        BadRequest: no such split, or the store has no task in it.
        StoreError: there is no such store, or it is damaged.
    """
    supply = Supply(store=store, split=split, first=first_seed, profile=profile)
    rows = [
        {
            "prompt": list(prompt(world, Episode(world, task).reset())),
            "answer": "",
            "info": orjson.dumps({"address": address.columns()}).decode(),  # verifiers wants the key "task" itself
        }
        for world, task, address in islice(supply.stream(), num_tasks)
    ]

    async def state_diff(state: vf.State, **_: Any) -> float:
        return float(state["shaped" if shaped else "success"])

    async def tool_calls(state: vf.State, **_: Any) -> float:
        return float(state["calls"])

    rubric = vf.Rubric(funcs=[state_diff, tool_calls], weights=[1.0, 0.0])
    return WorldEnv(dataset=Dataset.from_list(rows), rubric=rubric, max_turns=max_turns, **more)


class WorldEnv(vf.MultiTurnEnv):
    """Leads the conversation of each row's task."""

    async def setup_state(self, state: vf.State, **more: Any) -> vf.State:
        """Open the row's episode."""
        info = orjson.loads(state["info"]) if isinstance(state["info"], str) else state["info"]
        world, task = await asyncio.to_thread(find, Address.of(info["address"]))
        talk = Talk(Episode(world, task))
        state["talk"] = talk
        state["tool_defs"] = [Tool(**t["function"], strict=False) for t in talk.tools]
        return state

    async def env_response(self, messages: vf.Messages, state: vf.State, **more: Any) -> vf.Messages:
        """What tools and user answer to the model's last message; the final answers end the rollout."""
        talk: Talk = state["talk"]
        last = messages[-1]
        known = len(talk.messages) + 1
        talk.act(_text(_field(last, "content")), [_said(c) for c in _field(last, "tool_calls") or ()])
        found = talk.messages[known:]
        if talk.done:
            state["final_env_response"] = found
        return found

    @vf.cleanup
    async def judge(self, state: vf.State) -> None:
        """Keep the verdict, and let go of the world, which no record could hold."""
        if "talk" in state and state.get("stop_condition") == "max_turns_reached":  # its last calls were not made yet
            await self.env_response(state["trajectory"][-1]["completion"], state)
        talk: Talk | None = state.pop("talk", None)
        attempt = talk.attempt("verifiers") if talk is not None else None
        state["success"] = attempt.verdict.reward if attempt else 0.0
        state["shaped"] = attempt.verdict.shaped if attempt else 0.0
        state["calls"] = attempt.calls if attempt else 0
        state["verdict"] = str(attempt.verdict) if attempt else "the episode was not opened"


def _field(thing: Any, name: str) -> Any:
    return thing.get(name) if isinstance(thing, dict) else getattr(thing, name, None)


def _text(content: Any) -> str:
    """A message's content as text; parts of other kinds are left out."""
    if isinstance(content, str) or content is None:
        return content or ""
    return "".join(str(_field(part, "text") or "") for part in content)


def _said(call: Any) -> Said:
    """A call as the model made it; arguments that are no JSON stay text."""
    called = _field(call, "function") or call
    text = _field(called, "arguments") or "{}"
    try:
        arguments = orjson.loads(text)
    except orjson.JSONDecodeError:
        arguments = text
    return Said(_field(called, "name"), arguments, _field(call, "id") or "")
