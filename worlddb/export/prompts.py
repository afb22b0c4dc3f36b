"""Formats for reinforcement learning: a task as a prompt and an address, without a solution.

    verl    {data_source, agent_name, prompt, ability, reward_model, extra_info}
    skyrl   {data_source, prompt, env_class, reward_spec, extra_info}
    nemo    {responses_create_params: {input, tools}, verifier_metadata, agent_ref}

`extra_info` and `verifier_metadata` hold the `Address` by which the adapter finds the world and judges the rollout.
"""

from __future__ import annotations

from itertools import takewhile

import orjson

from worlddb.attempts import Message
from worlddb.export.dialects import declared
from worlddb.export.examples import ADDRESS, CARD, Example, Row, about, struct

SOURCE = "worlddb"
_MESSAGES = 'STRUCT("role" VARCHAR, "content" VARCHAR)[]'
_REWARD = struct({"ground_truth": "VARCHAR"})
_EXTRA = struct({"index": "BIGINT", "family": "VARCHAR", **ADDRESS, "card": struct(CARD)})
VERL = {
    "data_source": "VARCHAR", "agent_name": "VARCHAR", "prompt": _MESSAGES, "ability": "VARCHAR",
    "reward_model": struct({"style": "VARCHAR", "ground_truth": "VARCHAR"}), "extra_info": _EXTRA,
}  # fmt: skip
SKYRL = {
    "data_source": "VARCHAR", "prompt": _MESSAGES, "env_class": "VARCHAR",
    "reward_spec": struct({"method": "VARCHAR", "ground_truth": "VARCHAR"}), "extra_info": _EXTRA,
}  # fmt: skip
"""Columns of Parquet files, as DuckDB calls their types."""


def verl(example: Example) -> Row:
    """A row of the format verl."""
    return {
        "data_source": SOURCE, "agent_name": SOURCE, "prompt": opening(example), "ability": "tool_use",
        "reward_model": {"style": "rule", "ground_truth": _truth(example)}, "extra_info": extra(example),
    }  # fmt: skip


def skyrl(example: Example) -> Row:
    """A row of the format skyrl."""
    return {
        "data_source": SOURCE, "prompt": opening(example), "env_class": SOURCE,
        "reward_spec": {"method": "rule", "ground_truth": _truth(example)}, "extra_info": extra(example),
    }  # fmt: skip


def nemo(example: Example) -> Row:
    """A row of the format nemo."""
    return {
        "responses_create_params": {
            "input": opening(example), "tools": declared(example.attempt.tools, "responses"),
        },
        "verifier_metadata": extra(example),
        "agent_ref": {"type": "responses_api_agents", "name": SOURCE},
    }  # fmt: skip


def opening(example: Example) -> list[Message]:
    """The messages before the agent first speaks."""
    found = takewhile(lambda m: m["role"] in ("system", "user"), example.attempt.messages)
    return [{"role": m["role"], "content": m["content"]} for m in found]


def extra(example: Example) -> Row:
    """The address of the task, and what it is like."""
    told = about(example)
    number = example.attempt.task.rpartition("/")[2]
    index = int(number) if number.isdecimal() else 0
    return {"index": index, "family": told["family"], **example.address.columns(), "card": told["card"]}


def _truth(example: Example) -> str:
    """What a verifier that only gets a text needs: the address.  The goal itself stays with the world."""
    return orjson.dumps(example.address.columns()).decode()
