"""The taskset beside the real verifiers 0.4, through its own command, with a model that knows the gold."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest
from worlddb_verifiers import WorldHarness, WorldTaskset
from worlddb_verifiers.taskset import WorldConfig, WorldTask

from tests.adapters.documents import commands
from tests.adapters.fake_openai import fake_openai
from worlddb.errors import BadRequest
from worlddb.store import open_store

COMMAND = Path(sys.executable).with_name("vf-eval")


def evaluate(fake, out: Path, *options: str) -> list[dict]:
    """Run vf-eval against the fake model; the traces."""
    began = time.perf_counter()
    done = subprocess.run(
        [
            COMMAND, "worlddb_verifiers", *options, "-r", "1", "-c", "16", "-m", "fake", "--client.base-url", fake.url,
            "--client.api-key-var", "FAKE_KEY", "--no-push", "--env.agent.runtime.type", "subprocess", "--no-rich",
            "-o", str(out),
        ],
        env=os.environ | {"FAKE_KEY": "x"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    episodes = [json.loads(line) for path in out.rglob("traces.jsonl") for line in path.read_text().splitlines()]
    found = [trace | {"task": e["task"]} for e in episodes for trace in e["traces"]]
    took = time.perf_counter() - began
    print(f"{len(found)} rollouts in {took:.1f} s, start of the command included: {len(found) / took:.1f}/s")
    return found


def tasks_of(config: WorldConfig) -> WorldTaskset:
    return WorldTaskset(config)


def test_vf_eval_pays_gold_and_nothing_else(store, tmp_path):
    tasks = [t for w in open_store(store) for t in w.tasks]
    wrong = {t.id for t in tasks[::4]}
    with fake_openai(store, wrong) as fake:
        traces = evaluate(fake, tmp_path, "--env.taskset.store", store, "--select.limit", "40")
    paid = {t["task"]["key"]: t["rewards"]["state_diff"] for t in traces}
    assert len(paid) == 40
    assert {id for id, reward in paid.items() if not reward_of(reward)} == wrong
    assert set(fake.told) == {t.id for t in tasks}
    assert all(t["metrics"]["tool_calls"] >= 0 for t in traces)
    assert all(("failed" in t["info"]["verdict"]) == (t["task"]["key"] in wrong) for t in traces)


def reward_of(reward: dict) -> float:
    return float(reward["score"])


def test_the_command_of_the_page(store, place):
    _, command = commands("verifiers")
    with fake_openai(store) as fake:
        named = {"MODEL": "fake", "URL": fake.url, "KEY": "FAKE_KEY", "40": "4"}
        words = [named.get(w, w) for w in command]
        done = subprocess.run(
            [COMMAND, *words[1:], "--no-rich"], env=os.environ | {"FAKE_KEY": "x"}, capture_output=True, text=True,
            timeout=300,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert sum(len(p.read_text().splitlines()) for p in place.rglob("traces.jsonl")) == 4


def test_tasks_of_a_store_come_to_an_end(store):
    tasks = tasks_of(WorldConfig(store=store))
    assert tasks.bounded
    listed = list(tasks)
    assert [t.data.id for t in listed] == [t.id for w in open_store(store) for t in w.tasks]
    assert [t.data.idx for t in listed] == list(range(40))
    assert len({t.key for t in listed}) == 40
    assert all(t.data.prompt and t.data.system_prompt for t in listed)


def test_tasks_from_seeds_do_not():
    tasks = tasks_of(WorldConfig(profile="tiny", first_seed=3, tasks_per_world=4))
    assert not tasks.bounded
    first = list(islice(tasks, 9))
    assert [t.data.address["seed"] for t in first] == sorted(t.data.address["seed"] for t in first)
    assert first[0].data.address["seed"] == 3
    assert first[-1].data.address["seed"] > 3
    again = list(tasks.take(9))
    assert [t.hash for t in again] == [t.hash for t in first]


def test_the_ground_truth_is_validated(store):
    for task in islice(tasks_of(WorldConfig(store=store)), 6):
        assert isinstance(task, WorldTask)
        assert asyncio.run(task.validate(None)) is True


def test_the_harness_needs_an_address(store):
    from verifiers.v1 import TaskData
    from worlddb_verifiers.harness import WorldHarnessConfig

    harness = WorldHarness(WorldHarnessConfig())
    with pytest.raises(BadRequest, match="world and task"):
        asyncio.run(harness.launch(None, None, None, "http://127.0.0.1:9", "", {}, TaskData(prompt="x")))


def test_mistakes_are_told(store):
    with pytest.raises(BadRequest, match="split"):
        list(tasks_of(WorldConfig(store=store, split="nowhere")))


def test_a_rollout_ends_at_its_limit(store, tmp_path):
    with fake_openai(store) as fake:
        options = ("--env.taskset.store", store, "--select.limit", "6", "--env.taskset.task.max-turns", "1")
        traces = evaluate(fake, tmp_path, *options)
    assert len(traces) == 6
    assert set(fake.told.values()) == {1}


def test_worlds_from_seeds_through_the_command(tmp_path):
    import worlddb

    # the very tasks that the supply grows, in a store from which the fake model learns the gold
    worlddb.spawn(tmp_path / "same", 1, seed=11, profile="tiny", tasks=3, workers=1)
    with fake_openai(str(tmp_path / "same")) as fake:
        taskset = (
            "--env.taskset.profile",
            "tiny",
            "--env.taskset.first-seed",
            "11",
            "--env.taskset.tasks-per-world",
            "3",
        )
        traces = evaluate(fake, tmp_path / "out", *taskset, "--select.limit", "3")
    assert [reward_of(t["rewards"]["state_diff"]) for t in traces] == [1.0] * 3
