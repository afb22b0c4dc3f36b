"""The adapter beside the real Gymnasium: its own checker, vectors, gold and nothing."""

from __future__ import annotations

import doctest
import time
import warnings

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

from tests.adapters.documents import code
from tests.adapters.gold import gold_turns
from worlddb.adapters import gymnasium as adapter
from worlddb.adapters.gymnasium import MOST_READ, NAME, WorldEnv, call
from worlddb.errors import BadRequest, UnknownName
from worlddb.store import open_store

ID = f"worlddb.adapters.gymnasium:{NAME}"


def test_the_checker_passes(store):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(ID, store=store).unwrapped, skip_render_check=True)


def test_gold_is_paid_and_nothing_is_not(store):
    env = gymnasium.make(ID, store=store)
    began, episodes, steps = time.perf_counter(), 0, 0
    for world in open_store(store):
        for task in world.tasks:
            told, info = env.reset(options={"world": world.id, "task": task.id})
            assert task.instruction in told
            assert info["task"] == task.id
            assert {t["function"]["name"] for t in info["tools"]} >= {"submit"}
            turns = gold_turns(world, task)
            for turn in turns[:-1]:
                told, reward, over, cut, _ = env.step(call(turn.name, **turn.arguments))
                assert (reward, over, cut) == (0.0, False, False)
                assert told
            told, reward, over, cut, info = env.step(call(turns[-1].name, **turns[-1].arguments))
            assert (reward, over, cut, info["success"]) == (1.0, True, False, True), info["verdict"]
            env.reset(options={"task": task.id})
            assert env.step(call("submit"))[1:3] == (0.0, True)
            episodes, steps = episodes + 2, steps + len(turns) + 1
    took = time.perf_counter() - began
    assert episodes == 80
    print(f"{episodes / took:.0f} episodes/s, {steps / took:.0f} steps/s, gold made and checked on the way")


def test_a_seed_names_a_task(store):
    env = WorldEnv(store)
    first, other = env.reset(seed=5), env.reset(seed=6)
    assert env.reset(seed=5) == first
    assert len({env.reset()[1]["task"] for _ in range(30)}) > 10
    assert first != other
    assert env.reset(options={"number": 3})[1]["task"] == env.supply.addresses[3].task


def test_an_action_is_calls_or_a_message(store):
    env = WorldEnv(store)
    _, info = env.reset(options={"number": 0})
    told, reward, over, _, _ = env.step(f"[{call('no_such_tool')}, {call('another')}]")
    assert (told.count("UNKNOWN_TOOL"), reward, over) == (2, 0.0, False)
    for text in ("Good morning", '{"tool": 1}', "[]", "3"):
        env.reset(options={"number": 0})
        if not env.talk.episode.company.user:
            assert env.step(text)[1:4] == (0.0, True, False)
    assert env.attempt().agent == "gymnasium"
    assert info["world"] == env.attempt().world


def test_an_episode_is_cut(store):
    env = WorldEnv(store, steps=2, render_mode="ansi")
    env.reset(seed=1)
    assert env.step(call("nothing"))[2:4] == (False, False)
    assert env.step(call("nothing"))[1:4] == (0.0, False, True)
    assert "assistant: nothing {}" in env.render()


def test_shaped_reward(store):
    env = WorldEnv(store, reward="shaped")
    paid = []
    for world in open_store(store)[:4]:
        for task in world.tasks:
            env.reset(options={"task": task.id})
            turns = gold_turns(world, task)
            for turn in turns[: len(turns) // 2]:
                env.step(call(turn.name, **turn.arguments))
            paid.append(env.step(call("submit"))[1])
    assert any(0 < p < 1 for p in paid), paid
    assert all(0 <= p <= 1 for p in paid)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vectors(store, mode):
    kept_apart = {"shared_memory": False} if mode == "async" else {}  # text is not shared as an array
    many = gymnasium.make_vec(ID, num_envs=4, vectorization_mode=mode, vector_kwargs=kept_apart, store=store)
    told, info = many.reset(seed=3)
    assert len(told) == 4
    assert all(0 < len(t) < MOST_READ for t in told)
    assert len(set(info["task"])) > 1
    _, rewards, over, cut, info = many.step((call("submit", answer="nothing"),) * 4)
    assert rewards.tolist() == [0.0] * 4
    assert (over.all(), cut.any()) == (True, False)
    many.close()


def test_without_a_store_worlds_grow_from_seeds():
    env = WorldEnv(profile="tiny")
    told, info = env.reset(options={"number": 7})
    assert info["world"].endswith("-7")
    again = WorldEnv(profile="tiny").reset(options={"world": info["world"], "task": info["task"]})
    assert again[0] == told


def test_its_examples():
    assert doctest.testmod(adapter) == (0, 1)


def test_the_page(place, capsys):
    exec(code("Gymnasium"), {})
    assert capsys.readouterr().out.startswith("0.0 True failed")


def test_mistakes_are_told(store):
    with pytest.raises(BadRequest, match="split"):
        WorldEnv(store, split="test")
    with pytest.raises(BadRequest, match="reward"):
        WorldEnv(store, reward="dense")
    with pytest.raises(UnknownName):
        WorldEnv(store).reset(options={"task": "hotel-99/1"})
    with pytest.raises(gymnasium.error.ResetNeeded):
        WorldEnv(store).step("x")
