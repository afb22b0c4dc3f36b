"""Agents: the oracle solves all, the baselines next to nothing; rollouts take what models say, the client what endpoints do."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.endpoint import Does
from tests.fake_model import FakeModel, calling, saying
from worlddb.agents import Bounds, Function, Stopped, Unanswered, arollout, rollout
from worlddb.agents.baselines import FirstRow, Null, Random, rows_of, submit, values_of
from worlddb.agents.chat import Chat
from worlddb.agents.client import Client, Completions
from worlddb.agents.conversation import said_in, take, wire
from worlddb.agents.draw import draw_call
from worlddb.agents.make import LOCAL, NAMES, Spec, make_agent
from worlddb.agents.model import Agent
from worlddb.agents.oracle import Oracle
from worlddb.agents.replay import Replay
from worlddb.attempts import Attempt, Talk, gold_attempt, write_attempts
from worlddb.episode.play import Episode
from worlddb.errors import BadRequest, UnknownName
from worlddb.gate import tasks_of
from worlddb.rng import Stream
from worlddb.tasks.model import Task
from worlddb.world.generate import generate
from worlddb.world.model import World


def played(agent: Agent, world: World, task: Task, run: int = 0) -> Attempt:
    talk = Talk(Episode(world, task))
    agent.play(talk, run)
    return talk.attempt(agent.name, run)


@pytest.fixture(scope="module")
def world() -> World:
    return generate(12, "tiny")


@pytest.fixture(scope="module")
def task(world: World) -> Task:
    return next(t for t in world.tasks if t.card.writes and len(t.gold) > 1)


@pytest.fixture
def model(world: World) -> Iterator[FakeModel]:
    fake = FakeModel()
    fake.learn(world, world.tasks)
    yield fake
    fake.close()


# --- the oracle and the baselines


@pytest.mark.parametrize("profile", ["default", "hard", "interactive", "policy", "faulty"])
def test_the_oracle_solves_every_task(profile):
    for seed in range(2):
        one = generate(seed, "small")
        for task in tasks_of(one, 6, profile).tasks:
            attempt = played(Oracle(), one, task)
            assert attempt.verdict.success, f"{task.id}: {attempt.verdict}"
            assert attempt.messages[-1]["tool_calls"][0]["function"]["name"] == "submit"


@pytest.mark.campaign
@pytest.mark.parametrize("profile", ["interactive", "policy", "faulty"])
def test_the_oracle_solves_every_task_of_many_worlds(profile):
    for seed in range(100, 140):
        one = generate(seed, "small")
        for task in tasks_of(one, 10, profile).tasks:
            assert (attempt := played(Oracle(), one, task)).verdict.success, f"{task.id}: {attempt.verdict}"


def test_the_oracle_makes_calls_again_that_meet_a_fault():
    met = 0
    for seed in range(3):
        one = generate(seed, "small")
        for task in tasks_of(one, 10, "faulty").tasks:
            attempt = played(Oracle(), one, task)
            assert attempt.verdict.success
            met += attempt.calls > len(task.gold)
    assert met > 3, "no fault was met"


@pytest.mark.parametrize("agent", [Null(), Random(), FirstRow()], ids=lambda a: a.name)
def test_the_baselines_solve_next_to_nothing(agent):
    solved = every = 0
    for seed in range(12):
        one = generate(seed, "tiny")
        for task in one.tasks:
            solved += played(agent, one, task).verdict.success
            every += 1
    assert every > 90
    assert solved <= (0 if agent.name == "null" else every * 0.03)


@pytest.mark.parametrize("agent", [Oracle(), Null(), Random(3), FirstRow()], ids=lambda a: a.name)
def test_they_do_the_same_again(agent, world, task):
    assert played(agent, world, task, 1) == played(agent, world, task, 1)


def test_the_random_agent_draws_anew_for_each_run_and_seed(world, task):
    messages = [played(Random(seed), world, task, run).messages for seed, run in ((0, 0), (0, 1), (1, 0))]
    assert messages[0] != messages[1]
    assert messages[0] != messages[2]


def test_the_baselines_act(world):
    acted = [played(agent, world, task) for agent in (Random(), FirstRow()) for task in world.tasks]
    assert sum(a.calls > 0 for a in acted) >= len(acted) - 1
    first = [a for a in acted if a.agent == "first-row"]
    assert {a.calls for a in first} == {2}
    assert sum(a.verdict.ring != "bad arguments" for a in first) > len(first) / 2


def test_drawn_calls_keep_to_the_schemas():
    kinds = set()
    for seed in range(25):
        session = generate(seed, "tiny").session()
        for tool in session.toolset.with_people(("restart",)):
            kinds.add(tool.kind)
            validator = Draft202012Validator(tool.parameters)
            for n in range(3):
                given = draw_call(session, tool, Stream(seed, tool.key, str(n)), optional=n > 0)
                assert not (errors := [e.message for e in validator.iter_errors(given)]), (tool.key, given, errors)
                assert given == draw_call(session, tool, Stream(seed, tool.key, str(n)), optional=n > 0)
    assert {"get", "list", "create", "update", "transition", "bulk", "aggregate", "user"} <= kinds


def test_drawn_calls_are_seldom_refused_for_their_arguments():
    refused = every = 0
    for seed in range(6):
        session = generate(seed, "tiny").session()
        for tool in session.toolset:
            result = session.fork().call(tool.name, draw_call(session, tool, Stream(seed, tool.key)))
            every += 1
            refused += result.error is not None and result.error.code in ("INVALID_ARGUMENT", "NOT_FOUND")
    assert refused < every / 8


@pytest.mark.parametrize(
    "data",
    [
        {"items": [{"id": 1, "name": "x"}], "total": 1}, {"booking": {"id": 1, "name": "x"}}, {"id": 1, "name": "x"},
        {"columns": ["id", "name"], "rows": [[1, "x"]]}, [{"id": 1, "name": "x"}],
        {"data": {"items": [{"id": 1, "name": "x"}]}},
    ],
)  # fmt: skip
def test_rows_are_found_in_any_envelope(data):
    assert list(rows_of(data)) == [{"id": 1, "name": "x"}]
    assert 1 in values_of(data)


# --- agents by name


def test_agents_by_name(tmp_path, world, task, monkeypatch):
    file = tmp_path / "attempts.jsonl"
    file.write_bytes(b"".join(write_attempts([gold_attempt(world, task)])))
    options = {"replay": {"attempts": str(file)}, "chat": {"model": "m", "base_url": "http://localhost:1/v1"}}
    made = {name: make_agent(Spec(name, options.get(name, {}))) for name in NAMES}
    assert {name: a.name for name, a in made.items()} == {**{n: n for n in LOCAL}, "chat": "chat/m"}
    with pytest.raises(UnknownName, match="did you mean 'oracle'"):
        make_agent(Spec("oracel"))
    for bad in (Spec("chat"), Spec("replay"), Spec("replay", {"attempts": "nowhere.jsonl"})):
        with pytest.raises(BadRequest):
            make_agent(bad)
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(BadRequest, match="NO_SUCH_KEY is not set"):
        make_agent(Spec("chat", {**options["chat"], "key_env": "NO_SUCH_KEY"}))


def test_a_function_is_an_agent(world, task):
    attempt = played(Function(submit), world, task)
    assert attempt.agent == "submit"
    assert attempt.messages == played(Null(), world, task).messages


def test_replay_does_what_was_done(world):
    attempts = [played(Random(run), world, task, run) for task in world.tasks[:4] for run in range(2)]
    agent = Replay(attempts)
    for one in attempts:
        again = played(agent, world, world.task(one.task), one.run)
        assert (again.messages, again.verdict, again.answer) == (one.messages, one.verdict, one.answer)
    assert played(agent, world, world.tasks[0], 5).messages == attempts[1].messages  # the first ones again
    with pytest.raises(Unanswered, match="no attempt at"):
        played(agent, world, world.tasks[4])


# --- rollouts


class Dumps:
    """As client libraries have their objects."""

    def __init__(self, **data: Any) -> None:
        self.data = data

    def model_dump(self) -> dict[str, Any]:
        return self.data


def player(world: World, task: Task, form: str = "message"):
    said = [m for m in gold_attempt(world, task).messages if m["role"] == "assistant"]
    seen = []

    def complete(messages, tools):
        seen.append((json.loads(json.dumps(messages)), tools))
        message = wire([said[sum(m["role"] == "assistant" for m in messages)]])[0]
        if form == "message":
            return message
        answer = {"choices": [{"message": message}], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
        return Dumps(**answer) if form == "object" else answer

    return complete, seen


@pytest.mark.parametrize("form", ["message", "answer", "object"])
def test_a_rollout_takes_messages_answers_and_objects(world, task, form):
    complete, seen = player(world, task, form)
    attempt = rollout(complete, world, task, agent="me", run=3)
    gold = gold_attempt(world, task)
    assert attempt.verdict.success
    assert (attempt.messages, attempt.tools, attempt.answer) == (gold.messages, gold.tools, gold.answer)
    assert (attempt.agent, attempt.run) == ("me", 3)
    turns = len(seen)
    assert attempt.usage.prompt_tokens == (0 if form == "message" else 7 * turns)
    assert attempt.usage.completion_tokens == (0 if form == "message" else 3 * turns)


def test_what_a_model_is_sent(world, task):
    complete, seen = player(world, task)
    rollout(complete, world, task)
    for messages, tools in seen:
        assert [m["role"] for m in messages[:2]] == ["system", "user"]
        assert tools[-1]["function"]["name"] == "submit"
        calls = [c for m in messages for c in m.get("tool_calls", ())]
        assert all(isinstance(json.loads(c["function"]["arguments"]), dict) for c in calls)
        assert [c["id"] for c in calls] == [m["tool_call_id"] for m in messages if m["role"] == "tool"]


def test_an_awaited_rollout_is_the_same(world, task):
    complete, _ = player(world, task)

    async def later(messages, tools):
        await asyncio.sleep(0)
        return complete(messages, tools)

    async def many():
        return await asyncio.gather(*(arollout(later, world, task, run=n) for n in range(3)))

    found = asyncio.run(many())
    assert all(a.verdict.success for a in found)
    assert found[0].messages == rollout(complete, world, task).messages


def test_several_calls_in_one_message(world, task):
    gold = gold_attempt(world, task)
    calls = [c for m in gold.messages if m["role"] == "assistant" for c in m["tool_calls"]]
    message = {"role": "assistant", "content": "All at once.", "tool_calls": calls}
    attempt = rollout(lambda messages, tools: message, world, task)
    assert attempt.verdict.success
    assert [m["tool_call_id"] for m in attempt.messages if m["role"] == "tool"] == [c["id"] for c in calls[:-1]]


def test_bounds(world, task):
    asking = calling(next(t.name for t in world.toolset() if t.kind == "list"), {})

    def complete(messages, tools):
        return {"choices": [{"message": asking}], "usage": {"completion_tokens": 10}}

    assert rollout(complete, world, task, bounds=Bounds(turns=4)).calls == 4
    assert rollout(complete, world, task, bounds=Bounds(tokens=25)).calls == 3
    talk = Talk(Episode(world, task))
    with pytest.raises(Stopped, match="turns"):
        Chat("m", "http://localhost:1/v1", turns=0).play(talk)


@pytest.mark.parametrize(
    ("message", "codes"),
    [
        (calling("no_such_tool", {}), ["UNKNOWN_TOOL"]),
        (calling("submit", "{broken"), []),
        ({"content": "", "tool_calls": [{}]}, ["UNKNOWN_TOOL"]),
        ({"content": "", "tool_calls": ["x", None, 3]}, ["UNKNOWN_TOOL"] * 3),
        ({"content": "", "tool_calls": [{"function": {"name": 5, "arguments": 7}}]}, ["UNKNOWN_TOOL"]),
        ({"content": None, "tool_calls": "x"}, []),
        ({}, []),
        ({"content": [{"type": "text", "text": "I am done."}]}, []),
    ],
)
def test_garbled_messages(world, task, message, codes):
    talk = Talk(Episode(world, task))
    take(talk, message)
    assert [e.result.error.code for e in talk.episode.session.journal] == codes
    assert talk.done is (not codes)


@pytest.mark.parametrize("given", ["{", "[1]", "null", '"x"', "7", "", '{"nothing": 1}'])
def test_garbled_arguments_are_refused_by_the_api(world, task, given):
    tool = next(t for t in world.toolset() if t.kind == "get")
    talk = Talk(Episode(world, task))
    take(talk, calling(tool.name, given))
    error = talk.episode.session.journal[0].result.error
    assert error is not None
    assert error.code == "INVALID_ARGUMENT"
    assert not talk.done
    json.dumps(wire(talk.messages))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["content", "tool_calls", "function", "name", "arguments", "id", "choices", "message", "usage"]), inner
    ), max_leaves=12,
)  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=_JSON)
def test_nothing_that_a_model_says_is_raised(world, told):
    talk = Talk(Episode(world, world.tasks[0]))
    take(talk, told)
    talk.attempt()
    content, calls = said_in(told if isinstance(told, dict) else {})
    assert isinstance(content, str)
    assert all(isinstance(c.name, str) and isinstance(c.id, str) for c in calls)


def test_a_user_hears_plain_messages():
    one = generate(0, "small")
    task = next(t for t in tasks_of(one, 8, "interactive").tasks if t.user is not None and t.user.hidden)
    talk = Talk(Episode(one, task))
    take(talk, {"role": "assistant", "content": f"Which {task.user.hidden[0].name} do you mean?"})
    assert talk.messages[-1]["role"] == "user"
    assert not talk.done


# --- the client


def chat(model: FakeModel, **options: Any) -> Chat:
    return Chat("gold", model.url, "secret", **{"pause": 0.01, "timeout": 60.0, **options})


def test_a_chat_solves_tasks(model, world):
    for task in world.tasks:
        attempt = played(chat(model, options={"temperature": 0}), world, task)
        assert attempt.verdict.success
        turns = sum(m["role"] == "assistant" for m in attempt.messages)
        assert (attempt.usage.prompt_tokens, attempt.usage.completion_tokens) == (100 * turns, 10 * turns)
    assert {b["model"] for b in model.asked} == {"gold"}
    assert {b["temperature"] for b in model.asked} == {0}
    assert set(model.keys) == {"Bearer secret"}
    assert set(model.paths) == {"/v1/chat/completions"}


def test_connections_are_kept(model, world, task):
    agent = chat(model)
    for run in range(4):
        played(agent, world, task, run)
    assert len(model.asked) >= 8
    assert model.connections == 1


def test_a_connection_that_was_closed_is_opened_anew(model, world, task):
    agent = chat(model, tries=1)
    model.errs = lambda number, body: model.right(body)._replace(headers=(("Connection", "close"),))
    assert played(agent, world, task).verdict.success
    assert model.connections == len(model.asked)


@pytest.mark.parametrize(
    "does",
    [
        Does(500, b'{"error": {"message": "out of memory"}}'), Does(503), Does(429, headers=(("Retry-After", "0"),)),
        Does(429, headers=(("Retry-After", "soon"),)), Does(408), Does(200, b"{"), Does(200, b"[]"),
        Does(200, b'{"choices": []}'),
        Does(200, b'{"choices": [{"message": null}]}'), Does(200, b"\xff\xfe"), saying({"content": "x"}, cut=100),
        saying({"content": "x"}, wait=1.0), saying({"content": "x"}, drip=0.05),
        Does(200, b'{"error": {"message": "overloaded"}}'),
    ],
    ids=str,
)  # fmt: skip
def test_what_passes_is_tried_again(model, world, task, does):
    model.errs = lambda number, body: does if number == 1 else None
    slow = does.wait > 0 or does.drip > 0
    attempt = played(chat(model, **({"timeout": 0.5, "tries": 20} if slow else {"timeout": 60.0})), world, task)
    assert attempt.verdict.success
    turns = sum(m["role"] == "assistant" for m in gold_attempt(world, task).messages)
    assert len(model.asked) == turns + 1 or (slow and len(model.asked) > turns)


def test_retry_after_is_kept(model, world, task):
    model.errs = lambda number, body: Does(429, headers=(("Retry-After", "1"),)) if number == 0 else None
    began = time.monotonic()
    assert played(chat(model), world, task).verdict.success
    assert time.monotonic() - began >= 1.0


def test_an_endpoint_that_is_down_answers_nothing(model, world, task):
    model.errs = lambda number, body: Does(500, b'{"error": "boom"}')
    with pytest.raises(Unanswered, match="no answer in 3 tries; the last: status 500: boom"):
        played(chat(model, tries=3), world, task)
    assert len(model.asked) == 3
    with pytest.raises(Unanswered, match="ConnectionRefusedError"):
        played(Chat("m", "http://127.0.0.1:9/v1", pause=0.01, tries=2), world, task)


def test_a_request_that_is_refused_at_once_says_nothing_of_the_model(model, world, task):
    model.errs = lambda number, body: Does(400, b'{"error": {"message": "no such model"}}')
    with pytest.raises(Unanswered, match="status 400: no such model"):
        played(chat(model), world, task)
    assert len(model.asked) == 1
    model.errs = lambda number, body: Does(302, headers=(("Location", "http://127.0.0.1:9/"),))
    with pytest.raises(Unanswered, match="status 302"):
        played(chat(model), world, task)


def test_a_conversation_that_grew_too_long_is_stopped(model, world, task):
    long = Does(400, b'{"message": "maximum context length"}')
    model.errs = lambda number, body: long if len(body["messages"]) > 2 else None
    talk = Talk(Episode(world, task))
    with pytest.raises(Stopped, match="maximum context length"):
        chat(model).play(talk)
    attempt = talk.attempt()
    assert not attempt.verdict.success
    assert attempt.calls == 1
    assert not rollout(Completions(Client(model.url), "gold"), world, task).verdict.success


@pytest.mark.parametrize("url", ["", "localhost:8000/v1", "ftp://x/v1", "http://", "file:///etc/passwd"])
def test_addresses_that_are_none(url):
    with pytest.raises(BadRequest, match="no address of an endpoint"):
        Client(url)


def test_times_and_tries_are_above_zero():
    for options in ({"tries": 0}, {"timeout": 0}):
        with pytest.raises(BadRequest, match="above 0"):
            Client("http://localhost/v1", **options)
