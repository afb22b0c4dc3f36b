"""The adapter beside the real inspect_ai, with its mock model in the parts of an agent that knows the gold and of others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from inspect_ai import eval as evaluate
from inspect_ai import task_with
from inspect_ai.log import read_eval_log
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.solver import generate

from tests.adapters.documents import ROOT, code, commands
from tests.adapters.fake_openai import fake_openai
from tests.adapters.gold import gold_turns
from worlddb.adapters import inspect as adapter
from worlddb.adapters.inspect import worlddb
from worlddb.errors import BadRequest
from worlddb.store import open_store

MODEL = "mockllm/model"
USAGE = ModelUsage(input_tokens=10, output_tokens=5, total_tokens=15)
"""Without it the mock model counts tokens, for which it wants to download a table."""


def scripted(store, wrong=()):
    """A model that makes the gold's calls; of the tasks in `wrong` it submits at once."""
    turns = {t.instruction: (t.id, gold_turns(w, t)) for w in open_store(store) for t in w.tasks}

    def answer(input, tools, tool_choice, config):
        id, gold = turns[input[1].text]
        said = sum(m.role == "assistant" for m in input)
        turn = gold[-1]._replace(arguments={}) if id in wrong else gold[said]
        assert turn.name in {t.name for t in tools}
        output = ModelOutput.for_tool_call(MODEL, turn.name, turn.arguments)
        output.usage = USAGE
        return output

    return get_model(MODEL, custom_outputs=answer)


def says(text):
    def answer(input, tools, tool_choice, config):
        output = ModelOutput.from_content(MODEL, text)
        output.usage = USAGE
        return output

    return get_model(MODEL, custom_outputs=answer)


def run(task, model, tmp_path, **options):
    log = evaluate(task, model=model, log_dir=str(tmp_path), display="none", log_format="json", **options)[0]
    assert log.status == "success", log.error
    assert not adapter._open, "episodes are left open"
    return log


def scores(log):
    return {s.id: s.scores["verdict"] for s in log.samples}


def test_gold_scores_one_in_every_family(store, tmp_path):
    began = time.perf_counter()
    log = run(worlddb(store), scripted(store), tmp_path)
    print(f"{len(log.samples)} samples in {time.perf_counter() - began:.1f} s")
    found = scores(log)
    assert len(found) == 40
    assert {s.value for s in found.values()} == {1.0}, [s.explanation for s in found.values() if s.value != 1.0]
    families = {t.family for w in open_store(store) for t in w.tasks}
    means = {m: v.value for s in log.results.scores for m, v in s.metrics.items() if m != "stderr"}
    assert means == dict.fromkeys(families | {"all"}, 1.0)


def test_the_reward_is_the_verdict(store, tmp_path):
    wrong = {t.id for w in open_store(store)[:2] for t in w.tasks[:2]}
    found = scores(run(worlddb(store, limit=10), scripted(store, wrong), tmp_path))
    assert {i for i, s in found.items() if s.value == 0.0} == wrong
    assert all(s.metadata["ring"] and "failed" in s.explanation for i, s in found.items() if i in wrong)


def test_a_message_ends_an_episode_without_a_user(store, tmp_path):
    log = run(worlddb(store, limit=10), says("I would rather not."), tmp_path)
    assert {s.value for s in scores(log).values()} == {0.0}
    assert all(len(s.messages) <= 3 + 60 for s in log.samples)
    assert any(len(s.messages) == 3 for s in log.samples)


def test_epochs_have_episodes_of_their_own(store, tmp_path):
    log = run(worlddb(store, limit=4), scripted(store), tmp_path, epochs=2)
    assert [s.scores["verdict"].value for s in log.samples] == [1.0] * 8


def test_any_solver_may_act(store, tmp_path):
    task = task_with(worlddb(store, limit=6), solver=generate(tool_calls="loop"), message_limit=40)
    turns = {t.instruction: gold_turns(w, t) for w in open_store(store) for t in w.tasks}

    def answer(input, tools, tool_choice, config):
        gold, said = turns[input[1].text], sum(m.role == "assistant" for m in input)
        output = (
            ModelOutput.for_tool_call(MODEL, gold[said].name, gold[said].arguments)
            if said < len(gold)
            else ModelOutput.from_content(MODEL, "done")
        )
        output.usage = USAGE
        return output

    log = run(task, get_model(MODEL, custom_outputs=answer), tmp_path)
    assert {s.value for s in scores(log).values()} == {1.0}


def test_results_arrive_whole(store, tmp_path):
    log = run(worlddb(store, limit=12), scripted(store), tmp_path, max_tool_output=64)
    told = [m.text for s in log.samples for m in s.messages if m.role == "tool" and m.function != "submit"]
    assert max(map(len, told)) > 64
    for text in told:
        json.loads(text)


def test_a_supply_from_seeds_and_mistakes(store):
    ids = [s.id for s in worlddb(profile="tiny", limit=3, first=5).dataset]
    assert all(i.rpartition("/")[0].endswith("-5") for i in ids)
    with pytest.raises(BadRequest):
        worlddb(store, split="nowhere")


def test_the_page(store, place, capsys, monkeypatch):
    monkeypatch.setenv("INSPECT_LOG_DIR", str(place / "logs"))
    gold = scripted(store)
    monkeypatch.setattr("inspect_ai.eval", lambda task, model: evaluate(task, model=gold, display="none"))
    exec(code("inspect_ai"), {})
    assert "value=1.0" in capsys.readouterr().out


def test_the_command_of_the_page(store, place):
    (command,) = commands("inspect_ai")
    named = {
        "worlddb/adapters": str(ROOT / "worlddb/adapters"),
        "$PWD": str(place),
        "split=eval": "split=all",
        "100": "4",
    }
    words = command
    for old, new in named.items():
        words = [w.replace(old, new) for w in words]
    with fake_openai(store) as fake:
        options = ["--model-base-url", fake.url, "-M", "responses_api=false", "--log-dir", "logs", "--display", "none"]
        done = subprocess.run(
            [Path(sys.executable).with_name(words[0]), *words[1:], *options], env=os.environ | {"OPENAI_API_KEY": "x"},
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    log = read_eval_log(str(next((place / "logs").iterdir())))
    assert log.status == "success", log.error
    assert [s.scores["verdict"].value for s in log.samples] == [1.0] * 4
