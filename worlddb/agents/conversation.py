"""A rollout: any model that answers messages and tools with a message leads an attempt at a task.

Five lines plug in whatever speaks Chat Completions:

    def complete(messages, tools):
        return client.chat.completions.create(model="qwen3", messages=messages, tools=tools)

    attempt = rollout(complete, world, task)
    attempt.reward, attempt.messages
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

import orjson

from worlddb.agents.model import Stopped
from worlddb.attempts import Attempt, Message, Said, Talk, Usage
from worlddb.episode.play import Episode
from worlddb.tasks.model import Task
from worlddb.tools.model import JsonSchema
from worlddb.tools.toolset import Toolset
from worlddb.world.model import World

TURNS = 50
"""Messages of the agent, at most."""
Complete: TypeAlias = Callable[[list[Message], list[JsonSchema]], Any]
"""Messages (arguments as JSON text) and tools, as the Chat Completions API takes them -> the assistant's message: a dictionary,
an object of a client library, or a whole answer with `choices` and `usage`."""
AsyncComplete: TypeAlias = Callable[[list[Message], list[JsonSchema]], Awaitable[Any]]


class Bounds(NamedTuple):
    """Where an attempt is ended."""

    turns: int = TURNS
    tokens: int = 0
    """Completion tokens of the whole attempt; 0: any number."""


USUAL = Bounds()


def rollout(
    complete: Complete, world: World, task: Task, toolset: Toolset | None = None, *, bounds: Bounds = USUAL,
    agent: str = "chat", run: int = 0,
) -> Attempt:  # fmt: skip
    """One attempt at a task, led by a model; whatever `complete` raises comes through."""
    talk = Talk(Episode(world, task, toolset))
    with suppress(Stopped):  # what there is of it is judged
        lead(complete, talk, bounds)
    return talk.attempt(agent, run)


async def arollout(
    complete: AsyncComplete, world: World, task: Task, toolset: Toolset | None = None, *, bounds: Bounds = USUAL,
    agent: str = "chat", run: int = 0,
) -> Attempt:  # fmt: skip
    """`rollout` with a model that is awaited."""
    talk = Talk(Episode(world, task, toolset))
    with suppress(Stopped):
        while not talk.done:
            check(talk, bounds)
            began = time.monotonic()
            told = await complete(wire(talk.messages), talk.tools)
            take(talk, told, time.monotonic() - began)
    return talk.attempt(agent, run)


def lead(complete: Complete, talk: Talk, bounds: Bounds = USUAL) -> None:
    """Lead a talk to its end.

    Raises:
        Stopped: it came to its bounds.
    """
    while not talk.done:
        check(talk, bounds)
        began = time.monotonic()
        told = complete(wire(talk.messages), talk.tools)
        take(talk, told, time.monotonic() - began)


def check(talk: Talk, bounds: Bounds) -> None:
    """See that there is room for another message; raises Stopped."""
    turns = sum(m["role"] == "assistant" for m in talk.messages)
    if turns >= bounds.turns:
        raise Stopped("turns")
    if 0 < bounds.tokens <= talk.usage.completion_tokens:
        raise Stopped("tokens")


def take(talk: Talk, told: Any, seconds: float = 0.0) -> None:
    """Carry out what a model said, and note what it cost (seconds: how long it took to answer)."""
    data = plain(told)
    used, choices = data.get("usage") or {}, data.get("choices")
    message = plain(choices[0]).get("message") if isinstance(choices, list) and choices else data
    talk.usage = Usage(
        prompt_tokens=talk.usage.prompt_tokens + _count(plain(used).get("prompt_tokens")),
        completion_tokens=talk.usage.completion_tokens + _count(plain(used).get("completion_tokens")),
        seconds=talk.usage.seconds + seconds,
    )
    content, calls = said_in(plain(message))
    talk.act(content, calls)


def said_in(message: Mapping[str, Any]) -> tuple[str, list[Said]]:
    """What an assistant's message says, and the calls that it makes.

    Models garble calls: what has no name is a call of the tool '' (which the API refuses with a hint), arguments that are no JSON
    stay text (and are refused likewise).
    """
    content, made = message.get("content"), message.get("tool_calls")
    if isinstance(content, list):  # parts, as some servers give them
        content = "".join(str(plain(p).get("text", "")) for p in content)
    calls = [_said(plain(one)) for one in made] if isinstance(made, list | tuple) else []
    return content if isinstance(content, str) else "", calls


def _said(call: Mapping[str, Any]) -> Said:
    function = plain(call.get("function"))
    name, given, id = function.get("name"), function.get("arguments"), call.get("id")
    if isinstance(given, str):
        with suppress(orjson.JSONDecodeError):  # what is none is refused by the API, which says why
            given = orjson.loads(given) if given.strip() else {}
    return Said(
        name if isinstance(name, str) else "", {} if given is None else given, id if isinstance(id, str) else ""
    )


def wire(messages: list[Message]) -> list[Message]:
    """Messages as the Chat Completions API takes them: arguments are JSON text."""
    return [{**m, "tool_calls": [_wired(c) for c in m["tool_calls"]]} if "tool_calls" in m else m for m in messages]


def _wired(call: Message) -> Message:
    function = call["function"]
    given = function["arguments"]
    text = given if isinstance(given, str) else orjson.dumps(given, default=str).decode()
    return {**call, "function": {**function, "arguments": text}}


def plain(value: Any) -> dict[str, Any]:
    """An object as a dictionary, whoever made it; an empty one where it is none."""
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "model_dump"):
        return dict(value.model_dump())
    return {}


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0
