"""The harness: the loop between a model and the tools of a task, in the host's process.

A harness that starts a program for each rollout spends seconds of processor time on it; a world answers within a millisecond.
All that verifiers asks is that the model's calls go through its interception endpoint, which they do.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import httpx
import orjson
import verifiers.v1 as vf

from worlddb.adapters.common import Address, find
from worlddb.attempts import Said, Talk
from worlddb.episode.play import Episode

_DONE = vf.ProgramResult(exit_code=0, stdout="", stderr="")


class WorldHarnessConfig(vf.HarnessConfig):
    """Nothing to set."""


class WorldHarness(vf.Harness[WorldHarnessConfig]):
    """Leads the conversation of a task of worlddb; no program, no container, no tool server."""

    APPENDS_SYSTEM_PROMPT: ClassVar[bool] = True
    SUPPORTS_MCP: ClassVar[bool] = True
    """Nothing comes through it: the tools are called here."""
    EXECUTES_CODE: ClassVar[bool] = False
    NEEDS_CONTAINER: ClassVar[bool] = False

    async def launch(
        self, ctx: Any, trace: vf.Trace, runtime: Any, endpoint: str, secret: str, mcp_urls: dict[str, str],
        data: vf.TaskData, **more: Any,
    ) -> vf.ProgramResult:  # fmt: skip
        """Run one rollout; what came of it goes to the trace's state, whatever ended it.

        Raises:
            BadRequest: the task has no address.
        """
        world, task = await asyncio.to_thread(find, Address.of(getattr(data, "address", {})))
        talk = Talk(Episode(world, task))
        system, user = self.resolve_prompt(data)
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": user if isinstance(user, str) else data.prompt_text})
        headers = {"Authorization": f"Bearer {secret}"}
        try:
            async with httpx.AsyncClient(headers=headers, timeout=None) as client:  # verifiers sets the limits
                return await _converse(client, _chat_url(endpoint), ctx.model, talk, messages, trace)
        finally:
            _record(talk, trace)


async def _converse(
    client: httpx.AsyncClient, url: str, model: str, talk: Talk, messages: list[dict[str, Any]], trace: vf.Trace
) -> vf.ProgramResult:
    while not talk.done:
        got = await client.post(url, json={"model": model, "messages": messages, "tools": talk.tools})
        if got.status_code != 200:  # a stop of verifiers, or an error
            return _DONE if trace.stop_condition else vf.ProgramResult(exit_code=1, stdout="", stderr=got.text)
        said = got.json()["choices"][0]["message"]
        content = said.get("content") or ""
        messages.append({k: v for k, v in said.items() if v is not None} | {"content": content})
        known = len(talk.messages) + 1
        talk.act(content, [_said(call) for call in said.get("tool_calls") or ()])
        messages.extend(talk.messages[known:])
    return _DONE


def _said(call: dict[str, Any]) -> Said:
    """A call as the model made it; arguments that are no JSON stay text."""
    text = call["function"].get("arguments") or "{}"
    try:
        arguments = orjson.loads(text)
    except orjson.JSONDecodeError:
        arguments = text
    return Said(call["function"]["name"], arguments, call["id"])


def _record(talk: Talk, trace: vf.Trace) -> None:
    """Judge it: the reward reads the state, and people the trace's info, which is kept."""
    attempt = talk.attempt("verifiers")
    verdict, state = attempt.verdict, trace.state
    state.reward, state.shaped, state.calls = verdict.reward, verdict.shaped, attempt.calls
    trace.info.update(verdict=str(verdict), ring=verdict.ring, invalid=verdict.invalid)


def _chat_url(endpoint: str) -> str:
    base = endpoint.rstrip("/")
    return f"{base}/chat/completions" if base.endswith("/v1") else f"{base}/v1/chat/completions"
