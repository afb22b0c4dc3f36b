"""inspect_ai: a store as an evaluation, with the log viewer, the models and the limits of Inspect.

    inspect eval worlddb/adapters/inspect.py@worlddb -T store=$PWD/data/out -T split=eval --model openai/gpt-5 --limit 100

    from inspect_ai import eval
    from worlddb.adapters.inspect import worlddb
    eval(worlddb("data/out", split="eval"), model="openai/gpt-5")

A sample is a task, with its id.  `open_episode` gives the model the tools of the task, `act` leads the conversation, `verdict`
scores it; any other solver that calls `state.tools` may stand in for `act`, and calls `submit` when it is done.
Inspect refuses arguments that break a tool's schema on its own account: such calls do not reach the world.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessage, ChatMessageSystem, ChatMessageUser, execute_tools, get_model
from inspect_ai.scorer import Score, Scorer, Target, grouped, mean, scorer, stderr
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.tool import Tool, ToolDef, ToolParams

from worlddb.adapters.common import Address, find
from worlddb.adapters.supply import Supply
from worlddb.attempts import prompt
from worlddb.episode.play import SUBMIT, Episode, submit_tool
from worlddb.episode.verify import UNANSWERED
from worlddb.errors import BadRequest
from worlddb.tasks.model import Task as WorldTask
from worlddb.tools.model import JsonSchema
from worlddb.world.model import World

SUBMITTED = "Submitted."
"""What a call of `submit` answers."""
_open: dict[str, Episode] = {}
"""The episodes of the samples that are being run, by the sample's uuid: what Inspect keeps of a sample must be JSON."""


@task
def worlddb(
    store: str = "", split: str = "all", limit: int = 100, first: int = 0, profile: str = "default", messages: int = 60
) -> Task:
    """The first `limit` tasks of a store's split, or without a store those of worlds grown from the seed `first` on.

    `messages`: how many of the model's messages an episode may have.

    Raises:
        BadRequest: no such store or split, or no task in it.
    """
    supply = Supply(store=store, split=split, first=first, profile=profile)
    samples = [sample(world, one, at) for world, one, at in islice(supply.stream(), limit)]
    return Task(
        dataset=MemoryDataset(samples, name="worlddb"), setup=open_episode(), solver=act(messages), scorer=verdict(),
        cleanup=close_episode,
    )  # fmt: skip


def sample(world: World, one: WorldTask, address: Address) -> Sample:
    """A task as a sample; its metadata holds the address and the family."""
    system, user = prompt(world, Episode(world, one).reset())
    said: list[ChatMessage] = [ChatMessageSystem(content=system["content"]), ChatMessageUser(content=user["content"])]
    kept = address.columns() | {"family": one.family, "scenario": one.scenario}
    return Sample(id=one.id, input=said, target="", metadata=kept)


# --- solvers


@solver
def open_episode() -> Solver:
    """Open the task's episode and hand out its tools; the setup of every solver."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        episode = Episode(*find(Address.of(state.metadata)))
        told = episode.reset()
        _open[state.uuid] = episode
        state.tools = [_tool(episode, t) for t in [*told.tools.openai(), submit_tool(told.form)]]
        return state

    return solve


@solver
def act(messages: int = 60) -> Solver:
    """Let the model call tools until it submits.  A message without a call goes to the user, and ends it where there is none."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        episode = episode_of(state)
        tools = [
            ToolDef(tool) for tool in state.tools
        ]  # Inspect copies what it is given as tools anew with every message
        for _ in range(messages):
            if episode.done or state.completed:
                break
            state.output = await get_model().generate(state.messages, tools=tools)
            state.messages.append(state.output.message)
            if state.output.message.tool_calls:
                state.messages.extend((await execute_tools(state.messages, tools)).messages)
                continue
            text = state.output.message.text
            reply = episode.say(text) if text.strip() else ""
            if not reply:
                break
            state.messages.append(ChatMessageUser(content=reply))
        return state

    return solve


def episode_of(state: TaskState) -> Episode:
    """The episode of a sample that is being run.

    Raises:
        BadRequest: `open_episode` has not been run before.
    """
    if state.uuid not in _open:
        raise BadRequest("the sample has no episode; make open_episode() the setup of the task")
    return _open[state.uuid]


async def close_episode(state: TaskState) -> None:
    """Let go of the episode; the cleanup of the task."""
    _open.pop(state.uuid, None)


def _tool(episode: Episode, schema: JsonSchema) -> Tool:
    function = schema["function"]
    name: str = function["name"]

    async def call(**kwargs: Any) -> str:
        if name == SUBMIT:
            episode.submit(kwargs.get("answer", UNANSWERED))
            return SUBMITTED
        return episode.call(name, kwargs).text

    parameters = ToolParams.model_validate(function["parameters"])
    # results are pages already; cut in the middle they would be no JSON.  Calls are made in the order in which they were said
    made = ToolDef(call, name, function["description"], parameters, parallel=False, max_output=0)
    return made.as_tool()


# --- scorer


@scorer(metrics=[grouped(mean(), "family"), stderr()])
def verdict() -> Scorer:
    """1.0 where the episode succeeded, else 0.0, with the verdict's lines; an episode without a submission ends here."""

    async def score(state: TaskState, target: Target) -> Score:
        episode = episode_of(state)
        found = episode.submit()
        about: Mapping[str, Any] = {
            "ring": found.ring, "shaped": found.shaped, "invalid": found.invalid, "calls": len(episode.session.journal),
        }  # fmt: skip
        return Score(value=found.reward, explanation=str(found), metadata=dict(about))

    return score
