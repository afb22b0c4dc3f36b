"""The SkyRL environment through skyrl-gym's own registry, from the rows that the export writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import skyrl_gym
from skyrl_gym.envs.base_text_env import BaseTextEnv

import worlddb
from worlddb.adapters import skyrl
from worlddb.adapters.common import Address, find
from worlddb.attempts import gold_attempt
from worlddb.export.rows import Order, export_rows


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    home = tmp_path_factory.mktemp("skyrl")
    worlddb.spawn(home / "store", 4, seed=20, profile="tiny", tasks=5, workers=1)
    export_rows(home / "store", Order("skyrl"), home / "train.jsonl")
    skyrl.register()
    skyrl.register()  # a second time, as by a second import, is no error
    return [orjson.loads(line) for line in (home / "train.jsonl").open("rb")]


def turns(row: dict[str, Any]) -> list[str]:
    """What a model that knows the gold writes."""
    said = [m for m in gold_attempt(*find(Address.of(row["extra_info"]))).messages if m["role"] == "assistant"]
    calls = [c["function"] for m in said for c in m["tool_calls"]]
    shown = ({"name": c["name"], "arguments": c["arguments"]} for c in calls)
    return [f"<think>\n\n</think>\n\n<tool_call>\n{orjson.dumps(c).decode()}\n</tool_call>" for c in shown]


def played(row: dict[str, Any], texts: list[str], **more: Any) -> tuple[list[dict[str, Any]], Any]:
    env = skyrl_gym.make(row["env_class"], env_config={}, extras={**row, **more})
    assert isinstance(env, BaseTextEnv)
    opening, _ = env.init(row["prompt"])
    assert [m["role"] for m in opening] == ["system", "user"]
    return [env.step(text) for text in texts], env


def test_gold_is_paid_at_its_last_step_and_not_before(rows: list[dict[str, Any]]) -> None:
    assert len(rows) >= 15
    for row in rows:
        steps, env = played(row, turns(row))
        assert [s["done"] for s in steps] == [False] * (len(steps) - 1) + [True]
        assert [s["reward"] for s in steps] == [0.0] * (len(steps) - 1) + [1.0]
        assert all("<tool_response>" in s["observations"][0]["content"] for s in steps[:-1])
        assert env.get_metrics() == {"calls": len(steps) - 1, "refused": 0, "success": 1.0}
    assert BaseTextEnv.aggregate_metrics([env.get_metrics()])["success"] == 1.0


def test_an_agent_that_gives_up_or_runs_out_of_turns_is_not_paid(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        steps, _ = played(row, ["I cannot do that."])
        assert (steps[0]["done"], steps[0]["reward"]) == (True, 0.0)
        first = turns(row)[0]
        steps, _ = played(row, [first] * 3, max_turns=3)
        assert [s["done"] for s in steps] == [False, False, True]
        assert steps[-1]["observations"] == []


def test_calls_that_are_no_json_are_answered_with_an_error(rows: list[dict[str, Any]]) -> None:
    steps, env = played(
        rows[0], ["<tool_call>{'name': get}</tool_call>", '<tool_call>[1]</tool_call> <tool_call>{"name": "x"']
    )
    assert [s["done"] for s in steps] == [False, False]
    assert [s["observations"][0]["content"].count('"error"') for s in steps] == [1, 2]
    assert env.get_metrics()["refused"] == 3


def test_the_lines_of_the_documentation_make_an_environment(rows: list[dict[str, Any]]) -> None:
    text = (Path(__file__).parents[3] / "docs" / "training.md").read_text().partition("\n## SkyRL\n")[2]
    names: dict[str, Any] = {"row": rows[0]}
    exec(re.search(r"```python\n(.*?)```", text, flags=re.S)[1], names)
    assert names["env"].step("No.")["done"]
