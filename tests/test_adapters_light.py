"""What of the adapters needs no framework: addresses, splits, and the environments of TRL, verl and SkyRL by hand."""

from __future__ import annotations

import inspect
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import orjson
import pytest

import worlddb
from worlddb.adapters import skyrl, trl, verl
from worlddb.adapters.common import Address, find, forget, in_split, locate, tasks_in
from worlddb.attempts import Said, gold_attempt
from worlddb.episode.play import SUBMIT, Episode, submit_tool
from worlddb.errors import BadRequest, UnknownName
from worlddb.gate import tasks_of
from worlddb.shards import pack_task
from worlddb.suites import held_out
from worlddb.tools.names import LEGAL


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("light") / "store"
    worlddb.spawn(path, 6, seed=50, profile="tiny", tasks=5, workers=1)
    return path


@pytest.fixture(scope="module")
def addresses(store: Path) -> list[Address]:
    return [address for _, _, address in tasks_in(store)]


def gold(address: Address) -> list[tuple[str, Any]]:
    """The calls of an agent that knows the gold, `submit` included."""
    said = [m for m in gold_attempt(*find(address)).messages if m["role"] == "assistant"]
    return [(c["function"]["name"], c["function"]["arguments"]) for m in said for c in m["tool_calls"]]


# --- addresses


def test_an_address_finds_its_task_with_and_without_the_store(addresses: list[Address]) -> None:
    assert len(addresses) >= 25
    for address in addresses[::4]:
        world, task = find(address)
        assert (world.id, task.id) == (address.world, address.task)
        again, same = find(msgspec.structs.replace(address, store=""))
        assert again.digest == world.digest
        assert pack_task(same) == pack_task(task)
        assert locate(address.world, address.task, address.store) == (world, task)


def test_an_address_goes_through_rows_of_any_kind(addresses: list[Address]) -> None:
    for address in addresses:
        row = address.columns()
        assert Address.of(orjson.loads(orjson.dumps({**row, "index": 3, "prompt": []}))) == address
        assert Address.of({**row, "seed": np.int64(row["seed"]), "n": np.int32(row["n"])}) == address
        assert pickle.loads(pickle.dumps(address)) == address
    seedless = {k: v for k, v in addresses[0].columns().items() if k != "seed"} | {"profile": None}
    assert Address.of(seedless).seed == addresses[0].seed


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({}, "needs the columns world and task; this one has none"),
        ({"task": "hotel-1/2"}, "needs the columns world and task; this one has task"),
        ({"world": "hotel-1", "task": "hotel-1/2", "n": "many"}, "not sound"),
    ],
)
def test_a_row_without_an_address_is_refused(row: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadRequest, match=problem):
        Address.of(row)


def test_what_is_not_there_is_said(addresses: list[Address], store: Path) -> None:
    first = addresses[0]
    with pytest.raises(UnknownName):
        locate(first.world, f"{first.world}/99", first.store)
    with pytest.raises(UnknownName):
        locate("hotel-nine", "hotel-nine/1")
    with pytest.raises(UnknownName):
        locate(f"not_a_domain-{first.seed}", f"not_a_domain-{first.seed}/1", profile="tiny")
    with pytest.raises(BadRequest, match="domain file"):
        find(msgspec.structs.replace(first, store="", domain="mine@0123456789abcdef"))
    with pytest.raises(BadRequest, match="no split 'test'"):
        next(tasks_in(store, "test"))


def test_threads_share_one_world(addresses: list[Address]) -> None:
    forget()
    wanted = [a for a in addresses[:10] for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(find, wanted))
    assert len({id(world) for world, _ in found}) == len({a.world for a in wanted})
    assert [task.id for _, task in found] == [a.task for a in wanted]


def test_splits_are_apart_and_are_those_of_the_suites(store: Path, tmp_path: Path) -> None:
    sides = {split: {a.task for _, _, a in tasks_in(store, split)} for split in ("train", "eval", "all")}
    assert sides["train"]
    assert sides["train"].isdisjoint(sides["eval"])
    assert sides["train"] | sides["eval"] <= sides["all"]
    for world, task, address in tasks_in(store):
        assert (address.task in sides["train"]) == in_split(task, world.schema, "train")
        assert (address.task in sides["eval"]) == held_out().holds_out(task.card.structure)
    worlddb.spawn(tmp_path / "suite", 2, suite="train", tasks=3, workers=1)
    suite = list(tasks_in(tmp_path / "suite", "train"))
    assert suite
    assert len(suite) == len(list(tasks_in(tmp_path / "suite")))
    address = suite[-1][2]
    assert find(msgspec.structs.replace(address, store=""))[1] == suite[-1][1], "the scope travels with the address"


# --- TRL


def environments_of(store: Path) -> tuple[list[dict[str, Any]], dict[str, trl.Api], Any]:
    rows, environments, reward = trl.load(store, "all")
    return [dict(row) for row in rows], environments, reward


def test_a_rollout_that_plays_the_gold_is_paid(store: Path) -> None:
    rows, environments, reward = environments_of(store)
    assert all(api._class is None for api in environments.values()), "classes are made when they are needed"
    assert set(environments) == {row["environment"] for row in rows}
    pool = {name: api() for name, api in environments.items()}
    for row in rows:
        env, calls = pool[row["environment"]], gold(Address.of(row))
        names = trl.python_names(gold_attempt(*find(Address.of(row))).tools)
        assert env.reset(**row) is None
        for name, arguments in calls:
            assert '"error"' not in getattr(env, names[name])(**arguments)
        assert reward([env, object()]) == [1.0, None]
        assert env._episode is None
        assert trl.verdict_of(env).success
        env.reset(**row)
        assert reward(environments=[env], prompts=[], completions=[]) == [0.0]


def test_calls_go_wrong_as_data(store: Path) -> None:
    rows, environments, _ = environments_of(store)
    env = environments[rows[0]["environment"]]()
    assert "episode is over" in env.submit(), "nothing has begun"
    with pytest.raises(BadRequest, match="reset"):
        trl.verdict_of(env)
    env.reset(**rows[0])
    tool = next(n for n, _ in tools_of(env) if n != SUBMIT)
    assert "INVALID_ARGUMENT" in getattr(env, tool)(bogus=1)
    assert orjson.loads(env.submit(answer=1)) == {"submitted": True}
    assert "episode is over" in env.submit(answer=2)
    assert "episode is over" in getattr(env, tool)()


def test_metrics_are_logged_where_somebody_listens(store: Path) -> None:
    rows, environments, reward = environments_of(store)
    env = environments[rows[0]["environment"]]()
    env.reset(**rows[0])
    heard: list[tuple[str, float]] = []
    reward([env], log_metric=lambda name, value: heard.append((name, value)))
    assert heard == [("worlddb/success", 0.0)]


def tools_of(env: trl.Environment) -> list[tuple[str, Any]]:
    """The methods that TRL takes for tools."""
    found = inspect.getmembers(type(env), predicate=inspect.isfunction)
    return [(n, f) for n, f in found if n not in ("reset", "get_reward") and not n.startswith("_")]


@pytest.mark.parametrize("profile", ["default", "interactive"])
def test_methods_say_what_the_declarations_say(profile: str) -> None:
    for seed in range(8):
        world = worlddb.generate(seed, "tiny")
        for task in tasks_of(world, 3, profile).tasks:
            told = Episode(world, task).reset()
            tools = [*told.tools.openai(), submit_tool(told.form)]
            shown = trl.declarations(tools)
            env = trl.environment_class(tools)()
            assert [n for n, _ in tools_of(env)] == [t["function"]["name"] for t in shown]
            for (name, method), one in zip(tools_of(env), shown, strict=True):
                properties = one["function"]["parameters"]["properties"]
                assert LEGAL.fullmatch(name)
                assert list(inspect.signature(method).parameters) == ["self", *properties]
                assert all(f"    {n}: {s['description']}" in (method.__doc__ or "") for n, s in properties.items())


def test_the_fields_of_objects_stand_in_the_description() -> None:
    inner = {
        "type": "object",
        "properties": {"room": {"type": "integer", "description": "Which room."}},
        "required": ["room"],
    }
    schema = {
        "type": "object",
        "properties": {"lines": {"type": "array", "items": inner, "description": "What is\nbooked."}},
    }
    tool = {
        "type": "function",
        "function": {"name": "book-it", "description": "Books. Returns: a row.", "parameters": schema},
    }
    assert trl.declarations([tool])[0]["function"] == {
        "name": "book_it",
        "description": "Books. Returns a row.",
        "parameters": {
            "type": "object",
            "properties": {
                "lines": {
                    "type": "array", "items": {"type": "object"},
                    "description": "What is booked. Fields: room (integer): Which room.",
                }
            },
        },
        "return": {"type": "string", "description": "The result as JSON text."},
    }  # fmt: skip


def test_null_is_given_on_where_it_has_a_meaning() -> None:
    properties = {
        "a": {"type": "integer"},
        "b": {"type": ["integer", "null"]},
        "c": {"type": "string", "enum": ["x", "y"]},
    }
    tool = {"name": "put", "description": "Puts.", "parameters": {"type": "object", "properties": properties}}
    seen: list[dict[str, Any]] = []

    class Told(trl.environment_class([{"type": "function", "function": tool}])):  # type: ignore[misc]
        def _call(self, tool: str, given: dict[str, Any]) -> str:
            seen.append(given)
            return ""

    Told().put(a=None, b=None, c=None)
    Told().put(b=3, c="x")
    assert seen == [{"b": None}, {"b": 3, "c": "x"}]


def test_equal_tools_share_an_environment(store: Path) -> None:
    rows, environments, _ = environments_of(store)
    seen: dict[str, bytes] = {}
    for row in rows:
        tools = orjson.dumps(Episode(*find(Address.of(row))).reset().tools.openai())
        assert seen.setdefault(row["environment"], tools) == tools
    assert len(set(seen.values())) == len(environments)


def test_an_example_ends_as_a_rollout_does(addresses: list[Address]) -> None:
    made = trl.example(gold_attempt(*find(addresses[0])))
    assert [m["role"] for m in made["messages"][-3:]] == ["assistant", "tool", "assistant"]
    assert made["messages"][-2]["content"] == trl.SUBMITTED
    assert made["messages"][-2]["tool_call_id"] == made["messages"][-3]["tool_calls"][0]["id"]
    assert trl.closed(made["messages"]) == made["messages"]


def test_rows_are_chosen(store: Path) -> None:
    rows, environments, _ = trl.load(store, "all", where=lambda row: row["calls"] <= 3, limit=4)
    assert [row["calls"] <= 3 for row in rows] == [True] * 4
    assert set(environments) == {row["environment"] for row in rows}
    with pytest.raises(BadRequest, match="no tasks for the split 'train'"):
        trl.load(store, "train", where=lambda row: False)


# --- verl and SkyRL, without them


def test_a_trajectory_of_verl_by_hand(addresses: list[Address]) -> None:
    for address in addresses:
        trajectory = verl.Trajectory({"index": 1, **address.columns()})
        texts = [trajectory.call(name, orjson.dumps(arguments).decode()) for name, arguments in gold(address)]
        assert texts[-1] == verl.SUBMITTED
        assert trajectory.done
        assert trajectory.verdict().reward == 1.0
        assert trajectory.figures()["worlddb_calls"] == len(texts) - 1
    idle = verl.Trajectory(addresses[0].columns())
    assert "INVALID_ARGUMENT" in idle.call(idle.schemas[0]["function"]["name"], "{broken")
    assert idle.verdict().reward == 0.0


def test_verl_gets_a_type_for_every_parameter(addresses: list[Address]) -> None:
    for tool in verl.Trajectory(addresses[0].columns()).schemas:
        before = orjson.dumps(tool)
        properties = verl.parsed_schema(tool)["function"]["parameters"]["properties"]
        assert all("type" in schema for schema in properties.values())
        assert orjson.dumps(tool) == before


@pytest.mark.parametrize(
    ("text", "words", "calls"),
    [
        ("Hello.", "Hello.", []),
        ("", "", []),
        ('<tool_call>\n{"name": "a", "arguments": {"x": 1}}\n</tool_call>', "", [Said("a", {"x": 1})]),
        (
            '<tool_call>{"name": "a"}</tool_call>\n<tool_call>{"name": "b", "arguments": {}}</tool_call>',
            "",
            [Said("a", {}), Said("b", {})],
        ),
        (
            'Go. <tool_call>{"name": "a", "arguments": "<b>"}<|im_end|>',
            "Go.",
            [Said("", '{"name": "a", "arguments": "<b>"}<|im_end|>')],
        ),
        ('<think>a <tool_call>{"name": "a"}</tool_call></think>Done.', "Done.", []),
        ("<think>on and on", "", []),
        ("<tool_call>{'name': 'a'}</tool_call>", "", [Said("", "{'name': 'a'}")]),
        ("<tool_call>[]</tool_call>", "", [Said("", "[]")]),
        ('<tool_call>{"name": "a", "arguments": {"s": "}</x>"}}</tool_call>', "", [Said("a", {"s": "}</x>"})]),
    ],
)
def test_actions_are_read(text: str, words: str, calls: list[Said]) -> None:
    assert skyrl.read_action(text) == (words, calls)


def test_the_environment_of_skyrl_by_hand(addresses: list[Address]) -> None:
    for address in addresses:
        env = skyrl.WorldEnv(extras={"extra_info": address.columns()})
        opening, _ = env.init([{"role": "user", "content": "Do it."}])
        assert opening[0]["role"] == "system"
        assert "<tools>" in opening[0]["content"]
        for name, arguments in gold(address):
            out = env.step(f"<tool_call>{orjson.dumps({'name': name, 'arguments': arguments}).decode()}</tool_call>")
        assert (out["done"], out["reward"], out["observations"]) == (True, 1.0, [])


def test_a_user_answers_plain_words() -> None:
    world = worlddb.generate(3, "tiny")
    task = next(t for t in tasks_of(world, 5, "interactive").tasks if t.user is not None)
    row = {"world": world.id, "task": task.id, "profile": "tiny", "n": 5, "task_profile": "interactive"}
    env = skyrl.WorldEnv(extras={"extra_info": row})
    out = env.step("What else should I know?")
    assert not out["done"]
    assert out["observations"][0]["role"] == "user"
    assert out["observations"][0]["content"]
