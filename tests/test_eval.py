"""Evaluations: baselines and models over a store, kills and resumes, endpoints that fail, and the commands."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from msgspec.structs import replace

import worlddb
from tests.endpoint import Does
from tests.fake_model import FakeModel, calling, saying
from worlddb.agents.evaluate import evaluate
from worlddb.agents.make import Spec
from worlddb.agents.model import Function
from worlddb.attempts import Attempt, gold_attempt, play_gold, write_attempts
from worlddb.cli.eval import compare, curriculum
from worlddb.cli.eval import evaluate as command
from worlddb.errors import BadRequest, StoreError, UnknownName, WorlddbError
from worlddb.runs import open_run, summary
from worlddb.runs.folder import Run

ROOT = Path(worlddb.__file__).parent.parent
N, TASKS = 6, 4


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("eval") / "store"
    worlddb.spawn(path, N, profile="tiny", tasks=TASKS, workers=1)
    return path


@pytest.fixture(scope="module")
def tasks(store: Path) -> list[str]:
    return [task.id for _, task in worlddb.open_store(store).tasks()]


@pytest.fixture
def model(store: Path) -> Iterator[FakeModel]:
    fake = FakeModel()
    for world in worlddb.open_store(store):
        fake.learn(world, world.tasks)
    yield fake
    fake.close()


def chat(model: FakeModel, **options: Any) -> Spec:
    return Spec("chat", {"model": "gold", "base_url": model.url, "timeout": 60.0, **options})


def timeless(run: Run) -> list[Attempt]:
    found = [replace(a, usage=replace(a.usage, seconds=0.0)) for a in run.attempts()]
    assert all(a.tools[-1]["function"]["name"] == "submit" for a in found)
    return found


def in_order(run: Run) -> list[Attempt]:
    return sorted(timeless(run), key=lambda a: (a.task, a.run))


# --- baselines


@pytest.mark.parametrize(("agent", "most"), [("oracle", 1.0), ("null", 0.0), ("random", 0.05), ("first-row", 0.1)])
def test_baselines(store, tasks, tmp_path, agent, most):
    found = evaluate(store, tmp_path / "run", agent, k=2, workers=1)
    assert found.missed == ()
    assert {(a.task, a.run) for a in found.run.attempts()} == {(t, r) for t in tasks for r in range(2)}
    rate = summary(found.run).report.all.pass_all[2]
    assert rate == 1.0 if agent == "oracle" else rate <= most


@pytest.mark.campaign
def test_a_thousand_tasks(tmp_path):
    """Oracle 100 %, null 0 %, random and first-row near 0 %; printed with their times."""
    path = tmp_path / "store"
    worlddb.spawn(path, 110, seed=5000, tasks=10)
    rates = {}
    for agent in ("oracle", "null", "random", "first-row"):
        began = time.monotonic()
        run = evaluate(path, tmp_path / agent, agent, tasks=1000).run
        took = time.monotonic() - began
        found = summary(run)
        rates[agent] = found.report.all.pass_all[1]
        print(
            f"{agent}: {found.attempts} tasks, {rates[agent]:.4f}, {took:.1f} s",
            {f.ring: f.attempts for f in found.failures},
        )
        assert found.attempts == 1000
    assert (rates["oracle"], rates["null"]) == (1.0, 0.0)
    assert rates["random"] <= 0.005
    assert rates["first-row"] <= 0.03


@pytest.mark.parametrize("agent", ["oracle", "random", "first-row"])
def test_the_same_run_again_line_by_line(store, tmp_path, agent):
    one = evaluate(store, tmp_path / "one", agent, k=2, workers=1).run
    two = evaluate(store, tmp_path / "two", agent, k=2, workers=2).run
    assert timeless(one) == timeless(two)
    assert (one.path / "tools.jsonl").read_bytes() == (two.path / "tools.jsonl").read_bytes()
    assert (one.path / "run.json").read_bytes() == (two.path / "run.json").read_bytes()


def test_a_finished_run_is_left_as_it_is(store, tmp_path):
    first = evaluate(store, tmp_path / "run", "null", workers=1).run
    before = {p.name: p.read_bytes() for p in first.parts}
    evaluate(store, tmp_path / "run", "null", workers=1)
    assert {p.name: p.read_bytes() for p in first.parts} == before


def test_what_is_played(store, tasks, tmp_path):
    first = evaluate(store, tmp_path / "some", "null", tasks=6, workers=1).run
    assert [a.task for a in first.attempts()] == tasks[:6]
    assert first.manifest.tasks == 6
    other = evaluate(store, tmp_path / "easy", "oracle", tasks=5, task_profile="easy", workers=1).run
    found = list(other.attempts())
    assert len(found) == 5
    assert {a.card.calls for a in found} <= {1, 2, 3}
    assert all(a.verdict.success for a in found)
    assert other.manifest.task_profile == "easy"
    world = evaluate("12", tmp_path / "world", "oracle", profile="tiny", tasks=3, workers=1).run
    assert [a.verdict.success for a in world.attempts()] == [True] * 3


def test_what_cannot_be_played(store, tmp_path):
    for options in ({"k": 0}, {"tasks": 0}, {"concurrency": 0}, {"workers": 0}, {"address": "auto"}):
        with pytest.raises(BadRequest):
            evaluate(store, tmp_path / "run", "null", **options)
    with pytest.raises(BadRequest, match="a cluster is for the agents oracle"):
        evaluate(store, tmp_path / "run", Function(lambda talk: None), backend="ray")
    with pytest.raises(UnknownName):
        evaluate(store, tmp_path / "run", "nobody")
    with pytest.raises(UnknownName, match="task profile"):
        evaluate(store, tmp_path / "run", "null", task_profile="esay")
    with pytest.raises(UnknownName):
        evaluate("no-world-99999999", tmp_path / "run", "null")
    bare = tmp_path / "bare"
    worlddb.spawn(bare, 1, profile="tiny", tasks=0, workers=1)
    with pytest.raises(BadRequest, match="has no tasks"):
        evaluate(bare, tmp_path / "run2", "null")
    evaluate(store, tmp_path / "other", "null", workers=1)
    with pytest.raises(StoreError, match="agent is null there, oracle here"):
        evaluate(store, tmp_path / "other", "oracle", workers=1)


def test_an_agent_of_ones_own(store, tmp_path):
    run = evaluate(store, tmp_path / "run", Function(play_gold, "knows"), concurrency=3).run
    assert summary(run).report.all.pass_all[1] == 1.0
    assert run.manifest.agent == "knows"

    def breaks(talk):
        raise ZeroDivisionError("a bug of its own")

    with pytest.raises(ZeroDivisionError):
        evaluate(store, tmp_path / "bad", Function(breaks), concurrency=3)


def test_replay(store, tmp_path):
    first = evaluate(store, tmp_path / "one", "random", k=2, workers=1).run
    again = evaluate(store, tmp_path / "two", Spec("replay", {"attempts": str(first.path)}), k=2, workers=1).run
    assert [a.messages for a in again.attempts()] == [a.messages for a in first.attempts()]
    assert [a.verdict for a in again.attempts()] == [a.verdict for a in first.attempts()]
    world = worlddb.open_store(store)[0]
    file = tmp_path / "gold.jsonl"
    file.write_bytes(b"".join(write_attempts(gold_attempt(world, t) for t in world.tasks)))
    found = evaluate(store, tmp_path / "three", Spec("replay", {"attempts": str(file)}), workers=1)
    assert [a.verdict.success for a in found.run.attempts()] == [True] * TASKS
    assert len(found.missed) == (N - 1) * TASKS


# --- models


def test_a_model_that_knows_the_gold(store, tasks, model, tmp_path):
    run = evaluate(store, tmp_path / "run", chat(model), k=2, concurrency=8).run
    found = summary(run)
    assert (found.attempts, found.report.all.pass_all[2]) == (2 * len(tasks), 1.0)
    assert found.costs[""].prompt_tokens == 100 * len(model.asked)
    assert found.costs[""].completion_tokens == 10 * len(model.asked)
    assert run.manifest.label == "gold"
    assert "secret" not in (run.path / "run.json").read_text()
    assert in_order(run) == in_order(evaluate(store, tmp_path / "again", chat(model), k=2, concurrency=3).run)


def test_a_model_behind_an_endpoint_that_fails_now_and_then(store, model, tmp_path):
    ways = (
        Does(500), Does(429, headers=(("Retry-After", "0"),)), Does(200, b"{"), saying({"content": ""}, cut=9),
        Does(200, b'{"choices": []}'), saying({"content": ""}, wait=2.5),
    )  # fmt: skip
    model.errs = lambda number, body: ways[number // 7 % len(ways)] if number % 7 == 3 else None
    found = evaluate(store, tmp_path / "run", chat(model, timeout=2.0, tries=20), concurrency=8)
    assert found.missed == ()
    assert summary(found.run).report.all.pass_all[1] == 1.0


def test_a_model_that_errs(store, tasks, model, tmp_path):
    wrong = {worlddb.open_store(store)[t.rpartition("/")[0]].task(t).instruction for t in tasks[::2]}
    model.errs = lambda number, body: (
        saying(calling("submit", "{broken")) if body["messages"][1]["content"] in wrong else None
    )
    run = evaluate(store, tmp_path / "run", chat(model), concurrency=4).run
    assert {a.task for a in run.attempts() if a.verdict.success} == set(tasks[1::2])


def test_a_model_that_never_ends(store, model, tmp_path):
    model.errs = lambda number, body: saying(calling("no_such_tool", {}))
    run = evaluate(store, tmp_path / "run", chat(model, turns=3), tasks=4, concurrency=2).run
    assert {(b.stopped, b.used) for b in run.briefs()} == {("turns", 3)}
    assert summary(run).stopped == {"turns": 4}


def test_an_endpoint_that_is_down_is_given_up(store, tasks, model, tmp_path):
    down = Does(400, b'{"error": {"message": "no such model"}}')
    model.errs = lambda number, body: down
    with pytest.raises(WorlddbError, match=r"attempts in a row were not answered \(status 400: no such model\)"):
        evaluate(store, tmp_path / "run", chat(model), k=4, concurrency=4)
    assert len(model.asked) < 4 * len(tasks)
    assert open_run(tmp_path / "run").done().count == 0


def test_attempts_that_were_not_answered_are_made_the_next_time(store, tasks, model, tmp_path):
    model.errs = lambda number, body: Does(403) if number % 11 == 5 else None
    found = evaluate(store, tmp_path / "run", chat(model), k=2, concurrency=4)
    assert found.missed
    assert found.run.done().count == 2 * len(tasks) - len(found.missed)
    model.errs = lambda number, body: None
    again = evaluate(store, tmp_path / "run", chat(model), k=2, concurrency=4)
    assert again.missed == ()
    assert summary(again.run).report.all.pass_all[2] == 1.0


def test_concurrency_is_what_was_asked_for(store, model, tmp_path):
    at_once, most = 0, 0

    def slow(number: int, body: dict[str, Any]) -> Does:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.02)
        at_once -= 1
        return model.right(body)

    model.errs = slow
    evaluate(store, tmp_path / "run", chat(model), concurrency=6)
    assert 3 <= most <= 6


# --- kills

_SCRIPT = """
import sys
from worlddb.agents.evaluate import evaluate
from worlddb.agents.make import Spec
if __name__ == "__main__":
    store, out, agent, url = sys.argv[1:]
    spec = Spec("chat", {"model": "gold", "base_url": url}) if agent == "chat" else Spec(agent)
    evaluate(store, out, spec, k=4, concurrency=4, workers=1)
"""


@pytest.mark.parametrize("agent", ["random", "chat"])
def test_a_run_that_was_killed_goes_on(store, tasks, model, tmp_path, agent):
    out = tmp_path / "run"
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    arguments = [sys.executable, str(script), str(store), str(out), agent, model.url]
    for least in (1, 20):
        process = subprocess.Popen(arguments, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        deadline = time.monotonic() + 60
        while _lines(out) < least and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    there = open_run(out).done().count
    assert 20 <= there < 4 * len(tasks), "killed in the midst of it"
    last = open_run(out).parts[-1]
    last.write_bytes(last.read_bytes()[:-30])  # as where the kill comes within a write
    spec = Spec("chat", {"model": "gold", "base_url": model.url}) if agent == "chat" else Spec(agent)
    whole = evaluate(store, out, spec, k=4, workers=1, concurrency=4).run
    once = evaluate(store, tmp_path / "once", spec, k=4, workers=1, concurrency=4).run
    assert in_order(whole) == in_order(once)
    assert len(in_order(whole)) == 4 * len(tasks)


def _lines(out: Path) -> int:
    return sum(p.read_bytes().count(b"\n") for p in (out / "attempts").glob("*.jsonl"))


# --- the commands


def ran(*arguments: object, of: Any = command) -> Result:
    return CliRunner().invoke(of, [str(a) for a in arguments])


def test_the_command_eval(store, tasks, tmp_path):
    result = ran(store, "--agent", "oracle", "--k", 2, "--out", tmp_path / "run", "--workers", 1)
    assert result.exit_code == 0, result.output
    assert f"oracle solves 100.0 % of {len(tasks)} tasks" in result.output
    for text in ("By family", "By calls of the gold", "pass^2", "Costs", "report.html shows them"):
        assert text in result.output
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert names == {
        "run.json", "attempts", "attempts.parquet", "tools.jsonl", "report.md", "report.html", "report.json"
    }  # fmt: skip
    again = ran(store, "--agent", "oracle", "--k", 2, "--out", tmp_path / "run", "--json")
    assert json.loads(again.stdout)["report"]["all"]["pass_all"] == {"1": 1.0, "2": 1.0}


def test_the_command_asks_models(store, model, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_KEY", "s3cret")
    result = ran(
        store, "--agent", "chat", "--model", "gold", "--base-url", model.url, "--key-env", "FAKE_KEY", "--temperature", 0,
        "--max-tokens", 77, "--request", '{"top_p": 0.5}', "--tasks", 3, "--concurrency", 2, "--out", tmp_path / "run",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "gold solves 100.0 % of 3 tasks" in result.output
    body = model.asked[0]
    assert (body["temperature"], body["max_tokens"], body["top_p"]) == (0, 77, 0.5)
    assert set(model.keys) == {"Bearer s3cret"}
    assert not any(b"s3cret" in p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file())


def test_the_command_tells_what_was_not_attempted(store, model, tmp_path):
    model.errs = lambda number, body: Does(403) if number == 2 else None
    arguments = (store, "--agent", "chat", "--model", "gold", "--base-url", model.url, "--out", tmp_path / "run")
    result = ran(*arguments, "--concurrency", 1)
    assert result.exit_code == 1
    assert "1 attempts could not be made; the same command tries them again" in result.stderr
    assert ran(*arguments).exit_code == 0


def test_options_of_another_agent_are_refused(store, tmp_path):
    for options in (("null", "--model", "m"), ("chat", "--seed", 1), ("oracle", "--attempts", "x")):
        result = ran(store, "--agent", *options, "--out", tmp_path / "run")
        assert result.exit_code == 2
        assert "is an option of the agent" in result.stderr
    for text in ("{", "[1]"):
        result = ran(store, "--agent", "chat", "--request", text, "--out", tmp_path / "run")
        assert result.exit_code == 2


def test_the_commands_compare_and_curriculum(store, tmp_path):
    for agent in ("null", "oracle"):
        assert ran(store, "--agent", agent, "--out", tmp_path / agent, "--workers", 1).exit_code == 0
    result = ran(tmp_path / "null", tmp_path / "oracle", of=compare)
    assert result.exit_code == 0
    assert f"Won by B: {N * TASKS} tasks" in result.output
    assert "+1.000 *" in result.output
    data = json.loads(ran(tmp_path / "null", tmp_path / "oracle", "--json", of=compare).stdout)
    assert (data["lines"][0]["won"], data["lines"][0]["lost"]) == (N * TASKS, 0)
    result = ran(tmp_path / "null", "--band", "0,0.5", of=curriculum)
    assert "harder" in yaml.safe_load(result.stdout)
    shares = json.loads(ran(tmp_path / "null", "--band", "0,0.5", "--json", of=curriculum).stdout)
    assert sum(s["weight"] for s in shares) == pytest.approx(1.0)
    assert isinstance(ran(tmp_path / "oracle", of=curriculum).exception, BadRequest)
    assert isinstance(ran(tmp_path / "null", "--band", "much", of=curriculum).exception, BadRequest)


# --- the page


PAGE = (ROOT / "docs" / "evaluation.md").read_text()


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_the_python_of_the_page_runs(code, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_commands_of_the_page_run_one_after_the_other(store, tmp_path, monkeypatch):
    known = {"eval": command, "compare": compare, "curriculum": curriculum}
    block = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    lines = [line.partition("#")[0].split() for line in block[1].splitlines()]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bench").symlink_to(store)
    for _, name, *arguments in lines[1:]:
        result = CliRunner().invoke(known[name], arguments)
        assert result.exit_code == 0, f"{name} {arguments}: {result.output}"
    assert {p.name for p in (tmp_path / "data" / "runs").iterdir()} == {"oracle-bench", "first-row-bench"}
