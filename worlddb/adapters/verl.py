"""verl: an agent loop whose trajectories act in worlds, each with the tools of its own.

    worlddb export data/out --format verl --split train --out worlds.parquet
    echo '- {name: worlddb, _target_: worlddb.adapters.verl.WorldAgentLoop}' > agent_loop.yaml
    python -m verl.trainer.main_ppo data.train_files=worlds.parquet data.return_raw_chat=True \
        actor_rollout_ref.rollout.agent.agent_loop_config_path=agent_loop.yaml \
        actor_rollout_ref.rollout.multi_turn.format=hermes actor_rollout_ref.rollout.multi_turn.max_parallel_calls=8 …

verl makes one loop object for each trajectory and hands it the row, so the loop takes its tools from the row's world, and sets
the reward itself.  This module imports verl; `Trajectory` does not need it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from worlddb.adapters.common import Address, find
from worlddb.attempts import Said, Talk
from worlddb.episode.play import Episode
from worlddb.episode.verdict import Verdict
from worlddb.tools.model import JsonSchema

if TYPE_CHECKING:
    WorldAgentLoop: type[Any]

NAME = "worlddb"
"""The column agent_name of rows, and the loop's name in agent_loop.yaml."""
SUBMITTED = '{"submitted":true}'
_ANYTHING = ["string", "number", "boolean", "array", "object", "null"]


class Trajectory:
    """What a loop does in one world, without verl: calls go in, texts come out, and a verdict in the end."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        """`row` is the column extra_info: the `Address` of a task, beside whatever else."""
        self._talk = Talk(Episode(*find(Address.of(row))))
        self.schemas: list[JsonSchema] = self._talk.tools
        """The tools, `submit` included, as the Chat Completions API takes them: what `export --format openai` shows."""

    @property
    def done(self) -> bool:
        """True once an answer was submitted."""
        return self._talk.done

    def call(self, name: str, arguments: Any) -> str:
        """The result of one call; `arguments` is JSON text as the model wrote it, sound or not."""
        results = self._talk.act(calls=[Said(name, arguments)])
        return results[0].text if results else SUBMITTED

    def verdict(self) -> Verdict:
        """The verdict; a trajectory that did not submit ends here without an answer."""
        return self._talk.submit(self._talk.answer)

    def figures(self) -> dict[str, float]:
        """What a log wants to know beside the reward."""
        verdict, calls = self.verdict(), self._talk.episode.session.journal
        return {
            "worlddb_success": float(verdict.success), "worlddb_shaped": verdict.shaped, "worlddb_calls": float(len(calls)),
            "worlddb_refused": float(sum(not c.result.ok for c in calls)),
        }  # fmt: skip


def parsed_schema(tool: JsonSchema) -> JsonSchema:
    """A tool as verl's own model of schemas takes it: that one wants a type of every parameter."""
    function = tool["function"]
    properties = {n: {"type": _ANYTHING, **s} for n, s in function["parameters"]["properties"].items()}
    return {**tool, "function": {**function, "parameters": {**function["parameters"], "properties": properties}}}


def _loop() -> type[Any]:
    """The class, made when it is first asked for: it inherits from verl's."""
    from verl.experimental.agent_loop.agent_loop import register
    from verl.experimental.agent_loop.tool_agent_loop import AgentState, ToolAgentLoop
    from verl.tools.schemas import OpenAIFunctionToolSchema, ToolResponse

    class WorldAgentLoop(ToolAgentLoop):  # type: ignore[misc]
        """One trajectory in one world.

        Results are not cut (verl cuts them to 256 characters unless told otherwise): lists come in pages anyway.
        """

        async def run(self, sampling_params: dict[str, Any], **row: Any) -> Any:
            """verl's own loop with the tools of the row's world."""
            self._in_world = await asyncio.to_thread(Trajectory, row["extra_info"])
            self.tool_schemas = self._in_world.schemas
            models = (OpenAIFunctionToolSchema.model_validate(parsed_schema(t)) for t in self.tool_schemas)
            self.tools = {m.function.name: SimpleNamespace(name=m.function.name, tool_schema=m) for m in models}
            output = await super().run(sampling_params, **row)
            output.reward_score = self._in_world.verdict().reward
            output.extra_fields["reward_extra_info"] = self._in_world.figures()
            return output

        async def _call_tool(
            self, tool_call: Any, tools_kwargs: Any, agent_data: Any
        ) -> tuple[Any, float, dict[str, Any]]:
            return ToolResponse(text=self._in_world.call(tool_call.name, tool_call.arguments)), 0.0, {}

        async def _handle_processing_tools_state(self, agent_data: Any) -> Any:
            state = await super()._handle_processing_tools_state(agent_data)
            return AgentState.TERMINATED if self._in_world.done else state

    WorldAgentLoop.__module__, WorldAgentLoop.__qualname__ = __name__, "WorldAgentLoop"
    return register(NAME)(WorldAgentLoop)


def __getattr__(name: str) -> Any:
    if name != "WorldAgentLoop":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    found = globals()[name] = _loop()
    return found
