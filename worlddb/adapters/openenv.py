"""OpenEnv 0.10: the tasks of a store behind an OpenEnv server, an episode for each of its sessions.

    python -m worlddb.adapters.openenv data/out --port 8000

    async with MCPToolClient(base_url="http://127.0.0.1:8000") as env:
        told = await env.reset(split="train", index=0)          # or seed=…, which draws a task
        tools = await env.list_tools()
        done = await env.step(CallToolAction(tool_name="submit", arguments={"answer": 3}))

A call is answered with `result` {"ok", "text"}, the very text that every other adapter shows, and with the reward that comes at
the end of the episode.  Users are talked with through tools, so all there is to do is a call.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from openenv.core.env_server.http_server import create_fastapi_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.mcp_types import (
    CallToolAction,
    CallToolObservation,
    ListToolsAction,
    ListToolsObservation,
    Tool,
    ToolError,
    ToolErrorType,
)
from openenv.core.env_server.types import Action, EnvironmentMetadata, Observation, State

from worlddb.adapters.common import Address
from worlddb.adapters.supply import Supply
from worlddb.attempts import Said, Talk
from worlddb.episode.play import SUBMIT, Episode
from worlddb.errors import BadRequest
from worlddb.heldout import SIDES
from worlddb.tools.model import Error
from worlddb.version import __version__

if TYPE_CHECKING:
    from fastapi import FastAPI

NAME = "worlddb"
SPLITS = (*SIDES, "all")
PREVIEW = 100
"""Tasks that `list_tasks` shows of a split."""
SESSIONS = 1024
_TYPED = {"UNKNOWN_TOOL": ToolErrorType.TOOL_NOT_FOUND, "INVALID_ARGUMENT": ToolErrorType.INVALID_ARGS}
"""Refusals that OpenEnv has a type for; all others are the tool's own business, and in the result's text."""


class Begun(Observation):
    """The observation of a reset."""

    prompt: list[dict[str, Any]]
    """The first messages, in the form of the Chat Completions API: what the agent is, and what it is asked."""
    task: str
    world: str
    family: str


class WorldEnvironment(Environment[Action, Observation, State]):
    """One session.  Making one costs nothing: the server makes them for every request for metadata, too."""

    SUPPORTS_CONCURRENT_SESSIONS: ClassVar[bool] = True

    def __init__(self, store: str, split: str = "all") -> None:
        """`split` is the one that a reset without one takes its task from."""
        super().__init__()
        self.store, self.split = store, split
        self.talk: Talk | None = None
        self._state = State(episode_id=None, step_count=0)

    # --- an episode

    def reset(
        self, seed: int | None = None, episode_id: str | None = None, split: str | None = None, index: int | None = None,
        **more: Any,
    ) -> Observation:  # fmt: skip
        """Begin the task of that index in the split, or the one that the seed draws.

        Raises:
            BadRequest: there is no such split.
            IndexError: the split has no task of that index.
        """
        supply = supply_of(self.store, split or self.split)
        number = _within(index, supply) if index is not None else seed or 0
        world, task, _ = supply.drawn(number)
        self.talk = Talk(Episode(world, task))
        self._state = State(episode_id=episode_id or task.id, step_count=0)
        return Begun(prompt=self.talk.messages, task=task.id, world=world.id, family=task.family, reward=0.0)

    async def reset_async(
        self, seed: int | None = None, episode_id: str | None = None, split: str | None = None, index: int | None = None,
        **more: Any,
    ) -> Observation:  # fmt: skip
        """As `reset`, in a thread: a world that is not at hand is unpacked first."""
        return await asyncio.to_thread(self.reset, seed, episode_id, split, index)

    def step(self, action: Action, timeout_s: float | None = None, **more: Any) -> Observation:
        """List the tools, or call one; `submit` ends the episode."""
        if isinstance(action, ListToolsAction):
            return ListToolsObservation(tools=self._tools())
        if not isinstance(action, CallToolAction):
            raise BadRequest(f"an action is a call of a tool or asks for the tools; this is a {type(action).__name__}")
        if self.talk is None:
            return _refused(action.tool_name, "reset the environment first: no episode has begun")
        if self.talk.done:
            return _refused(action.tool_name, "the episode is over; reset the environment to begin another", done=True)
        self._state.step_count += 1
        return _observed(self.talk, action)

    async def step_async(self, action: Action, timeout_s: float | None = None, **more: Any) -> Observation:
        """As `step`; a call is a matter of a millisecond."""
        return self.step(action)

    def _tools(self) -> list[Tool]:
        given = [t["function"] for t in self.talk.tools] if self.talk is not None else []
        return [Tool(name=f["name"], description=f["description"], input_schema=f["parameters"]) for f in given]

    @property
    def state(self) -> State:
        """Id of the episode, and the number of calls."""
        return self._state

    def get_metadata(self) -> EnvironmentMetadata:
        """What it is."""
        return EnvironmentMetadata(
            name=NAME, description="Database worlds in which agents work with tools.", version=__version__
        )

    def close(self) -> None:
        """Let go of the episode."""
        self.talk = None

    # --- tasks

    def list_splits(self) -> list[str]:
        """'train', 'eval' and 'all', as far as the store has tasks in them."""
        return [s for s in SPLITS if self.num_tasks(s)]

    def num_tasks(self, split: str) -> int:
        """How many tasks the split has."""
        try:
            return len(supply_of(self.store, split).addresses)
        except BadRequest:
            return 0

    def get_task(self, split: str, index: int) -> dict[str, Any]:
        """A task's address.

        Raises:
            IndexError: the split has no task of that index.
        """
        supply = supply_of(self.store, split)
        return _spec(split, index, supply.addresses[_within(index, supply)])

    def list_tasks(self, split: str) -> list[dict[str, Any]]:
        """The first tasks of a split."""
        return self.get_task_range(split, 0, PREVIEW)

    def get_task_range(self, split: str, start: int | None = None, stop: int | None = None) -> list[dict[str, Any]]:
        """The tasks of a range."""
        addresses = supply_of(self.store, split).addresses
        return [_spec(split, i, addresses[i]) for i in range(*slice(start, stop).indices(len(addresses)))]


@cache
def supply_of(store: str, split: str) -> Supply:
    """The tasks of a split; their addresses are read once.

    Raises:
        BadRequest: there is no such split, or no task in it.
    """
    supply = Supply(store=store, split=split)
    _ = supply.addresses
    return supply


def _within(index: int, supply: Supply) -> int:
    if not 0 <= index < len(supply.addresses):
        raise IndexError(
            f"the split '{supply.split}' has {len(supply.addresses)} tasks; there is none of index {index}"
        )
    return index


def _spec(split: str, index: int, address: Address) -> dict[str, Any]:
    return {"id": address.task, "split": split, "index": index, "world": address.world, "seed": address.seed}


def _observed(talk: Talk, action: CallToolAction) -> Observation:
    """Make a call, and say what came of it."""
    results = talk.act(calls=[Said(action.tool_name, action.arguments)])
    if talk.done:
        verdict = talk.episode.submit()
        told = {"ok": True, "text": '{"submitted":true}'}
        about = {"success": verdict.success, "shaped": verdict.shaped, "verdict": str(verdict)}
        return CallToolObservation(tool_name=SUBMIT, result=told, done=True, reward=verdict.reward, metadata=about)
    result = results[0]
    return CallToolObservation(
        tool_name=action.tool_name,
        result={"ok": result.ok, "text": result.text},
        reward=0.0,
        error=_typed(result.error),
    )


def _typed(error: Error | None) -> ToolError | None:
    if error is None or error.code not in _TYPED:
        return None
    return ToolError(error_type=_TYPED[error.code], message=error.message)


def _refused(name: str, why: str, done: bool = False) -> Observation:
    error = ToolError(error_type=ToolErrorType.EXECUTION_ERROR, message=why)
    return CallToolObservation(tool_name=name, error=error, done=done, reward=0.0)


# --- the server


def app_of(store: str, split: str = "all", sessions: int = SESSIONS) -> FastAPI:
    """The server's application, for any ASGI server.

    Raises:
        BadRequest: the store has no task in that split.
        StoreError: there is no store, or it is damaged.
    """
    supply_of(store, split)
    make: Callable[[], WorldEnvironment] = lambda: WorldEnvironment(store, split)  # noqa: E731
    return create_fastapi_app(
        make, CallToolAction, CallToolObservation, max_concurrent_envs=sessions, env_name=NAME,
        reset_observation_cls=Begun,
    )  # fmt: skip


@contextmanager
def serving(store: str, port: int = 0, split: str = "all", sessions: int = SESSIONS) -> Iterator[str]:
    """The URL of a server on this machine that runs meanwhile; port 0 takes a free one."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app_of(store, split, sessions), "127.0.0.1", port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise BadRequest(f"no server could be started at port {port}; is it taken?")
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def serve(store: str, port: int = 8000, split: str = "all", sessions: int = SESSIONS) -> None:
    """Serve a store on this machine until Ctrl-C."""
    import uvicorn

    uvicorn.run(app_of(store, split, sessions), host="127.0.0.1", port=port, log_level="warning")


def main() -> None:
    """The command line."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m worlddb.adapters.openenv", description=serve.__doc__)
    parser.add_argument("store")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--split", default="all", choices=SPLITS)
    asked = parser.parse_args()
    serve(asked.store, asked.port, asked.split)


if __name__ == "__main__":
    main()
