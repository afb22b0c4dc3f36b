"""Attempts: one agent's go at one task as a record, whoever made it: the conversation, the verdict, and where it came from.

All trainers, exports and reports speak of attempts.  `Talk` leads one: it has the prompt, carries out what the agent says, and
keeps the messages in the form of the Chat Completions API, with arguments as objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec
import orjson

from worlddb.episode.diligent import Diligent
from worlddb.episode.play import SUBMIT, Episode, Observation, submit_tool
from worlddb.episode.solve import submitted
from worlddb.episode.verdict import Verdict
from worlddb.episode.verify import UNANSWERED
from worlddb.tasks.model import Card, Task
from worlddb.tools.model import JsonSchema, Result
from worlddb.tools.toolset import Toolset
from worlddb.world.model import World

Message: TypeAlias = dict[str, Any]
"""{"role", "content"}, an assistant's with `tool_calls` [{"id", "type", "function": {"name", "arguments": object}}], a tool's
with `tool_call_id` and `name`."""


class Said(NamedTuple):
    """A call as an agent makes it."""

    name: str
    arguments: Any
    """An object; text where the agent wrote no JSON."""
    id: str = ""


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an attempt cost."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One agent's go at one task."""

    world: str
    task: str
    seed: int
    """The world's; with its profile it makes the world again."""
    profile: str
    messages: tuple[Message, ...]
    tools: tuple[JsonSchema, ...]
    """As the Chat Completions API takes them, `submit` included."""
    verdict: Verdict
    card: Card
    family: str
    scenario: str = ""
    agent: str = "gold"
    run: int = 0
    answer: Any = UNANSWERED
    calls: int = 0
    usage: Usage = Usage()

    @property
    def reward(self) -> float:
        """The verdict's."""
        return self.verdict.reward


SYSTEM = """\
You work for {title}. {summary}
You act by calling tools. The system's clock says {now} (UTC).
Amounts of money are whole numbers of the minor unit (1234 is 12.34). A call that is refused changes nothing and says why.
Do what is asked and nothing else. When you are finished, call submit{form}"""


def prompt(world: World, told: Observation) -> tuple[Message, ...]:
    """The first messages of an episode: what the agent is, the rules that no tool tells of, and what it is asked."""
    form = f": {told.form[:1].lower()}{told.form[1:]}" if told.form else "."
    system = SYSTEM.format(title=world.schema.title, summary=world.schema.summary, now=told.now, form=form)
    system = "\n".join(part for part in (system, told.briefing, told.rules) if part)
    return {"role": "system", "content": system}, {"role": "user", "content": told.instruction}


class Talk:
    """An attempt while it is made."""

    def __init__(self, episode: Episode) -> None:
        self.episode = episode
        told = episode.reset()
        self.messages: list[Message] = list(prompt(episode.world, told))
        self.tools: list[JsonSchema] = [*told.tools.openai(), submit_tool(told.form)]
        self.usage = Usage()
        self.answer: Any = UNANSWERED

    @property
    def done(self) -> bool:
        """True once it is over: an answer was submitted, or nothing was said that anybody could answer."""
        return self.episode.done

    def act(self, content: str = "", calls: Sequence[Said] = ()) -> list[Result]:
        """One message of the agent: its calls are carried out in order, and a message without any goes to the user.

        Where no user is there, such a message ends the episode without an answer.  What follows a call of `submit` is not made.
        """
        if self.done:
            return []
        said = [c if c.id else c._replace(id=f"call_{len(self.messages)}_{i}") for i, c in enumerate(calls)]
        message: Message = {"role": "assistant", "content": content}
        if said:
            message["tool_calls"] = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in said
            ]
        self.messages.append(message)
        if not said:
            self._talk(content)
        return self._carry_out(said)

    def _carry_out(self, said: Sequence[Said]) -> list[Result]:
        found: list[Result] = []
        for call in said:
            if call.name == SUBMIT:
                given = _object(call.arguments)
                self.submit(given.get("answer", UNANSWERED))
                break
            result = self.episode.call(call.name, call.arguments)
            found.append(result)
            self.messages.append({"role": "tool", "tool_call_id": call.id, "name": call.name, "content": result.text})
        return found

    def _talk(self, content: str) -> None:
        reply = self.episode.say(content) if content.strip() else ""
        if reply:
            self.messages.append({"role": "user", "content": reply})
        else:
            self.submit()

    def submit(self, answer: Any = UNANSWERED) -> Verdict:
        """End it."""
        self.answer = answer
        return self.episode.submit(answer)

    def attempt(self, agent: str = "gold", run: int = 0) -> Attempt:
        """The record; an attempt that is not over is ended without an answer."""
        verdict, world, task = self.episode.submit(self.answer), self.episode.world, self.episode.task
        assert isinstance(task, Task)
        return Attempt(
            world=world.id, task=task.id, seed=world.recipe.seed, profile=world.recipe.profile, messages=tuple(self.messages),
            tools=tuple(self.tools), verdict=verdict, card=task.card, family=task.family, scenario=task.scenario, agent=agent,
            run=run, answer=self.answer, calls=len(self.episode.session.journal), usage=self.usage,
        )  # fmt: skip


def gold_attempt(world: World, task: Task, toolset: Toolset | None = None) -> Attempt:
    """The attempt of an agent that knows the gold, one call a message.

    Raises:
        BadRequest: the API lacks one of the gold's tools.
    """
    talk = Talk(Episode(world, task, toolset))
    play_gold(talk)
    return talk.attempt()


def play_gold(talk: Talk) -> None:
    """Make the gold's calls, one a message, with what the book asks for beyond them, and submit its answer.

    Raises:
        Silent: the user did not answer.
    """
    agent = Diligent(talk.episode, lambda name, arguments: talk.act(calls=[Said(name, arguments)])[0])
    agent.run()
    answer = submitted(agent.task)
    talk.act(calls=[Said(SUBMIT, {} if answer is UNANSWERED else {"answer": answer})])


def _object(arguments: Any) -> dict[str, Any]:
    """Arguments as an object; an empty one where they are none."""
    try:
        found = orjson.loads(arguments) if isinstance(arguments, str | bytes) else arguments
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def write_attempts(attempts: Iterable[Attempt]) -> Iterable[bytes]:
    """Attempts as JSON lines."""
    return (msgspec.json.encode(attempt) + b"\n" for attempt in attempts)


def read_attempt(line: bytes | str) -> Attempt:
    """One attempt from a line of JSON.

    Raises:
        msgspec.ValidationError: it is none.
    """
    return msgspec.json.decode(line, type=Attempt)
