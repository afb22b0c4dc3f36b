"""The adapter beside the real OpenEnv: its stock clients over the wire, its task API, its validator, and the checks it lacks."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from openenv.cli._validation import validate_running_environment
from openenv.core.env_server.mcp_types import RESERVED_TOOL_NAMES, CallToolAction, CallToolObservation
from openenv.core.generic_client import GenericEnvClient
from openenv.core.mcp_client import MCPToolClient
from openenv.validation.parsers.openenv_yaml import OpenEnvYamlParser

from tests.adapters.documents import code, commands
from tests.adapters.gold import gold_turns
from worlddb.adapters import openenv, openenv_check
from worlddb.adapters.openenv import WorldEnvironment, serving
from worlddb.adapters.openenv_check import Call, checks
from worlddb.adapters.openenv_package import package
from worlddb.errors import BadRequest
from worlddb.store import open_store


@pytest.fixture(scope="module")
def url(store):
    with serving(store) as url:
        yield url


@pytest.fixture(scope="module")
def gold(store):
    return [(t, gold_turns(w, t)) for w in open_store(store) for t in w.tasks]


def get(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


async def played(url, index, turns, **reset):
    async with MCPToolClient(base_url=url) as env:
        begun = await env.reset(split="all", index=index, **reset)
        tools = {t.name for t in await env.list_tools()}
        assert not tools & RESERVED_TOOL_NAMES
        for turn in turns:
            assert turn.name in tools
            last = await env.step(CallToolAction(tool_name=turn.name, arguments=turn.arguments))
        return begun, last, await env.state()


def test_gold_through_the_stock_client(url, gold):
    async def all_of_it():
        for index, (task, turns) in enumerate(gold):
            begun, last, state = await played(url, index, turns, episode_id=f"e{index}")
            assert begun.observation.prompt[1]["content"] == task.instruction
            assert (last.reward, last.done) == (1.0, True), last.observation.metadata
            assert (state.episode_id, state.step_count) == (f"e{index}", len(turns))

    asyncio.run(all_of_it())


def test_nothing_is_paid_nothing(url, gold):
    for index in range(len(gold)):
        _, last, _ = asyncio.run(played(url, index, [Call("submit", {})]))
        assert (last.reward, last.done) == (0.0, True)


def test_calls_by_name_and_typed_errors(url, gold):
    async def calls():
        async with MCPToolClient(base_url=url) as env:
            await env.reset(split="all", index=0)
            turn = gold[0][1][0]
            told = await env.call_tool(turn.name, **turn.arguments)
            assert told["result"]["ok"]
            json.loads(told["result"]["text"])
            found = await env.step(CallToolAction(tool_name="no_such_tool", arguments={}))
            assert isinstance(found.observation, CallToolObservation)
            assert found.observation.error.error_type.value == "tool_not_found"
            found = await env.step(CallToolAction(tool_name=turn.name, arguments={"no_such_argument": 1}))
            assert found.observation.error.error_type.value == "invalid_args"
            await env.step(CallToolAction(tool_name="submit", arguments={}))
            late = await env.step(CallToolAction(tool_name=turn.name, arguments=turn.arguments))
            assert (late.done, late.observation.error.error_type.value) == (True, "execution_error")

    asyncio.run(calls())


def test_the_synchronous_and_the_generic_client(url, gold):
    task, turns = gold[3]
    with GenericEnvClient(base_url=url).sync() as env:
        begun = env.reset(split="all", index=3)
        assert begun.observation["task"] == task.id
        for turn in turns:
            last = env.step({"type": "call_tool", "tool_name": turn.name, "arguments": turn.arguments})
        assert (last.reward, last.done) == (1.0, True)


def test_a_hundred_sessions_at_once(url, gold):
    async def all_at_once():
        wanted = [(i % len(gold), i % 2) for i in range(100)]
        runs = [played(url, i, gold[i][1] if right else [Call("submit", {})]) for i, right in wanted]
        return wanted, await asyncio.gather(*runs)

    began = time.perf_counter()
    wanted, found = asyncio.run(all_at_once())
    took, calls = time.perf_counter() - began, sum(state.step_count for _, _, state in found)
    assert [last.reward for _, last, _ in found] == [float(right) for _, right in wanted]
    print(f"100 sessions, {calls} calls in {took:.1f} s: {calls / took:.0f} calls/s, set-up included")


def test_speed_of_a_hundred_sessions(url, gold):
    async def one(index):
        turn = gold[index % len(gold)][1][0]
        async with GenericEnvClient(base_url=url) as env:
            await env.reset(split="all", index=index % len(gold))
            for _ in range(20):
                await env.step({"type": "call_tool", "tool_name": turn.name, "arguments": turn.arguments})

    async def all_at_once():
        await asyncio.gather(*(one(i) for i in range(100)))

    began = time.perf_counter()
    asyncio.run(all_at_once())
    took = time.perf_counter() - began
    print(f"100 sessions of 20 calls, tools not listed: {took:.1f} s, {2000 / took:.0f} calls/s")


def test_speed_of_one_session(url, gold):
    async def many():
        async with GenericEnvClient(base_url=url) as env:
            await env.reset(split="all", index=0)
            turn, began = gold[0][1][0], time.perf_counter()
            for _ in range(300):
                await env.step({"type": "call_tool", "tool_name": turn.name, "arguments": turn.arguments})
            return 300 / (time.perf_counter() - began)

    print(f"{asyncio.run(many()):.0f} calls/s in one session")


def test_the_task_api(url, gold, store):
    home = f"{url}/worlddb"
    splits = [s["name"] if isinstance(s, dict) else s for s in get(f"{home}/splits")]
    assert splits[-1] == "all"
    assert get(f"{home}/num_tasks", {"split": "all"}) == {"num_tasks": len(gold)}
    env = WorldEnvironment(store)
    assert sum(env.num_tasks(s) for s in ("train", "eval")) <= env.num_tasks("all") == len(gold)
    assert [t["id"] for t in env.get_task_range("all", -3)] == [t.id for t, _ in gold[-3:]]
    assert get(f"{home}/task", {"split": "all", "index": 2})["task"]["id"] == gold[2][0].id
    with pytest.raises(urllib.error.HTTPError, match="400"):
        get(f"{home}/task", {"split": "all", "index": len(gold)})
    with pytest.raises(IndexError, match="none of index -1"):
        env.reset(split="all", index=-1)
    with pytest.raises(BadRequest, match="split"):
        env.reset(split="nowhere")


def test_its_own_validator_passes(url):
    report = validate_running_environment(url)
    assert report["passed"], [c for c in report["criteria"] if not c["passed"]]
    assert len(report["criteria"]) >= 6


def test_the_checks_it_lacks(store):
    found = checks(store, tasks=12)
    assert len(found) == 8
    assert all(c.passed for c in found), found
    for c in found:
        print(f"{c.id:32} {c.seconds:5.1f} s  {c.evidence}")


def test_a_package_that_its_validator_reads(store, url, tmp_path):
    home = package(store, tmp_path / "package", tasks=10)
    manifest = OpenEnvYamlParser().parse(home)
    assert manifest.capabilities.oracle.form == "script"
    assert manifest.capabilities.declared_task_count["all"] == 40
    assert (home / manifest.capabilities.canaries).exists()
    script = [sys.executable, str(home / manifest.capabilities.oracle.location), url]
    assert subprocess.run(script, capture_output=True).returncode == 0
    oracle = home / "oracle.jsonl"
    first, *rest = oracle.read_bytes().splitlines(keepends=True)
    oracle.write_bytes(json.dumps(json.loads(first) | {"calls": []}).encode() + b"\n" + b"".join(rest))
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 1
    assert json.loads(first)["task"] in done.stderr
    canaries = [json.loads(line) for line in (home / "canaries.jsonl").read_text().splitlines()]
    assert {c["canary"] for c in canaries} == {"nothing", "looks only", "another answer"}


def test_the_checks_notice(store, monkeypatch):
    """An environment that pays everybody, forgets its seeds and shares its episodes fails where it should."""
    whole = openenv._observed
    paid = lambda talk, action: whole(talk, action).model_copy(update={"reward": 1.0})  # noqa: E731
    monkeypatch.setattr(openenv, "_observed", paid)
    failed = {c.id for c in checks(store, tasks=3) if not c.passed}
    assert failed == {"semantic.floor_gap", "semantic.canary_floor", "semantic.replayability"}

    counted = iter(range(10**6))
    noisy = lambda talk, action: whole(talk, action).model_copy(  # noqa: E731
        update={"metadata": {"n": next(counted)}, "reward": 0.5}
    )
    monkeypatch.setattr(openenv, "_observed", noisy)
    failed = {c.id for c in checks(store, tasks=3) if not c.passed}
    assert failed >= {
        "runtime.episode_determinism", "runtime.episode_isolation", "semantic.oracle_max", "semantic.verifier_determinism",
    }  # fmt: skip

    monkeypatch.setattr(openenv, "_observed", whole)
    drawn = openenv.Supply.drawn
    monkeypatch.setattr(openenv.Supply, "drawn", lambda self, number: drawn(self, next(counted)))
    assert "runtime.seed_control" in {c.id for c in checks(store, tasks=2) if not c.passed}
    assert openenv_check.MARGIN == 0.1


def test_the_page(place, capsys):
    exec(code("OpenEnv"), {})
    assert "0.0 True failed" in capsys.readouterr().out


def test_the_commands_of_the_page(place):
    serve, check, pack = ([sys.executable, *words[1:]] for words in commands("OpenEnv"))
    assert serve[1:4] == ["-m", "worlddb.adapters.openenv", "data/out"]
    with subprocess.Popen([*serve[:-1], "0"], stderr=subprocess.PIPE) as process:  # it serves until it is told to stop
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(10)
        process.send_signal(signal.SIGINT)
    done = subprocess.run([*check[:-1], "2"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.count("PASS  ")) == (0, 8), done.stdout + done.stderr
    assert subprocess.run(pack, capture_output=True, timeout=120).returncode == 0
    assert {p.name for p in (place / "openenv").iterdir()} == {
        "openenv.yaml", "oracle.py", "oracle.jsonl", "canaries.jsonl",
    }  # fmt: skip
