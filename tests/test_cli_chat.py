"""The commands of conversations: chat, handbook, report.  No test names a task: they are taken by what they are."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.endpoint import Does, FakeEndpoint, fake_endpoint, says
from worlddb.cli import cli
from worlddb.cli.chat import CHAT, KEY
from worlddb.episode.solve import gold_calls
from worlddb.gate import tasks_of
from worlddb.policies.generate import policies_of
from worlddb.policies.staff import staff_of
from worlddb.tasks.goal import NeedsConsent
from worlddb.tasks.model import Task
from worlddb.world.generate import generate
from worlddb.world.model import World

SEEDS = range(12, 24)
ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fake() -> Iterator[FakeEndpoint]:
    with fake_endpoint() as made:
        yield made


def run(*arguments: object, given: str = "", code: int = 0) -> str:
    """The output of a command that ends with the given status."""
    result = CliRunner().invoke(cli, [str(a) for a in arguments], input=given)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def refused(*arguments: object) -> str:
    """The one line that a mistake gives."""
    said = run(*arguments, code=1)
    assert said.count("\n") == 1, said
    assert said.startswith("Error: ")
    return said


@cache
def some(profile: str, which: Callable[[Task], bool]) -> tuple[World, Task]:
    """A world, and the first of its tasks that is of this kind."""
    for seed in SEEDS:
        world = generate(seed)
        for task in tasks_of(world, 10, profile).tasks:
            if which(task):
                return world, task
    raise AssertionError("no such task in all these worlds")


def number(task: Task) -> str:
    return task.id.partition("/")[2]


def hiding(task: Task) -> bool:
    """One row or value is hidden, something is to be changed, and nothing else is special about it."""
    simple = task.user is not None and not (task.user.changes or task.user.requests or task.user.deeds)
    return simple and task.card.level in ("L1", "L4") and task.card.hidden == 1 and task.card.writes > 0


def consenting(task: Task) -> bool:
    """A change that is allowed, once the person has said their code and agreed, as only the handbook asks."""
    written = [b for b in task.goal.bans if isinstance(b, NeedsConsent) and not b.enforced]
    writes = [c for c in task.gold if c.writes]
    return bool(task.user and task.user.role and len(writes) == 1 and _needed(task, written) and not task.user.requests)


def _needed(task: Task, bans: list[NeedsConsent]) -> bool:
    changes = {(table, op) for a in task.goal.alternatives for table, op in _touched(a)}
    return any(b.table in ("", table) and b.op in ("", op) for b in bans for table, op in changes)


def _touched(alternative: object) -> Iterator[tuple[str, str]]:
    for op, changes in (("insert", "inserts"), ("update", "updates"), ("delete", "deletes")):
        yield from ((one.table, op) for one in getattr(alternative, changes))


def lines(world: World, task: Task, *, confirm: bool = False) -> list[str]:
    """The gold as a person types it."""
    found = []
    writes = [c.writes for c in task.gold]
    for call, changes in zip(gold_calls(task, world.toolset()), writes, strict=True):
        text = f"{call.name} {json.dumps(call.arguments)}"
        found += [f"confirm {text}"] * (confirm and changes) + [f"call {text}"]
    return found


def chat(world: World, task: Task, profile: str, typed: list[str], *options: object, code: int = 0) -> str:
    given = "".join(f"{line}\n" for line in typed)
    seed = world.recipe.seed
    return run("chat", seed, number(task), "--task-profile", profile, *options, given=given, code=code)


def answer(task: Task) -> str:
    return "submit" if task.plan.asked is None else f"submit {json.dumps(task.answer)}"


def reply(out: str, line: str) -> str:
    """What was said after a line that was typed."""
    return out.partition(f"> {line}\n")[2].partition("\n")[0]


# --- conversations


def test_an_interactive_task_from_the_request_to_the_verdict() -> None:
    world, task = some("interactive", hiding)
    assert task.user is not None
    topic = task.user.hidden[0]
    ask = f"ask Which one, please? | {topic.name}"
    out = chat(
        world, task, "interactive", ["task", ask, *lines(world, task), "tell That is done.", answer(task), "tools"]
    )
    flat = " ".join(out.split())
    assert flat.startswith(" ".join(task.instruction.split()))
    assert "ask_user" in flat.partition(" Type help")[0]
    assert all(secret in reply(out, ask) for secret in topic.secrets)
    assert all(secret not in out.partition(f"> {ask}\n")[0] for secret in topic.secrets)
    assert reply(out, "tell That is done.").startswith("“")
    assert out.rstrip().endswith("success: reward 1, shaped 1.000"), out


def test_a_line_that_begins_with_no_tool_is_said_to_the_user() -> None:
    world, task = some("interactive", hiding)
    assert task.user is not None
    said = f"Which {task.user.hidden[0].words[0]} do you mean?"
    out = chat(world, task, "interactive", [said, "journal"])
    assert reply(out, said).startswith("“")
    assert "tell_user" in out.partition("> journal\n")[2]


def test_who_does_nothing_is_told_what_is_missing() -> None:
    world, task = some("interactive", hiding)
    out = chat(world, task, "interactive", ["submit"])
    assert "failed (never acted): reward 0" in out
    assert "MISSING" in out


@pytest.mark.parametrize("confirm", [True, False])
def test_a_policy_that_is_only_written(confirm: bool) -> None:
    world, task = some("policy", consenting)
    assert task.user is not None
    code = next(p.code for p in staff_of(world) if p.role == task.user.role)
    ask = "What is your sign-in code?"
    typed = [ask, f"sign_in {code}", *lines(world, task, confirm=confirm), "handbook", answer(task)]
    out = chat(world, task, "policy", typed)
    assert code in reply(out, ask)
    say = next(b.say for b in task.goal.bans if isinstance(b, NeedsConsent))
    assert say in out.partition("> handbook\n")[2]
    assert ("success: reward 1" in out) is confirm
    assert ("\nFORBIDDEN " in out) is not confirm
    if not confirm:
        assert say in out.rpartition("\nFORBIDDEN ")[2]


def test_confirming_nothing_and_talking_to_nobody() -> None:
    world, task = some("interactive", hiding)
    assert "say which call" in chat(world, task, "interactive", ["confirm", "confirm no_such_tool a=1"])
    out = run(
        "chat", 12, 1, "--profile", "tiny", given="tell Hello\nask Anyone? | it\nconfirm x\nhandbook\nquit\nsubmit\n"
    )
    assert out.count("this task has no user") == 2
    assert "# " in out
    assert "reward" not in out


def test_help_tells_the_commands_and_a_bad_line_goes_on() -> None:
    world, task = some("interactive", hiding)
    out = chat(world, task, "interactive", ["help", "help no_such_tool", 'call fetch "', "diff", "submit [not json"])
    shown = out.partition("> help\n")[2]
    assert all(c.usage in shown and c.does in shown for c in CHAT.values())
    assert out.count("\nError: ") == 2
    assert "reward 0" in out


def test_faults_can_be_switched_on() -> None:
    world, task = some("interactive", hiding)
    look = next(t.name for t in world.toolset() if t.kind == "list")
    out = chat(world, task, "interactive", [look, "handbook"], "--faults", "transient=1, seed=3")
    assert "UNAVAILABLE" in reply_json(out, look)
    assert "When the service fails" in out
    assert "UNAVAILABLE" not in chat(world, task, "interactive", [look])


def reply_json(out: str, line: str) -> str:
    return out.partition(f"> {line}\n")[2].partition("\n}")[0]


# --- a model's voice


def voiced(fake: FakeEndpoint, *more: object) -> tuple[object, ...]:
    return ("--voice-url", fake.endpoint().url, "--voice-model", "fake", *more)


def test_a_model_rewords_and_offline_the_talk_is_the_same(
    fake: FakeEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "a-secret")
    world, task = some("interactive", hiding)
    fake.answer = lambda messages: f"Well now, {messages[-1]['content']}"
    file = tmp_path / "kept" / "said.jsonl"
    typed = ["Anything else?", "That is all, thank you.", "submit"]
    out = chat(world, task, "interactive", typed, *voiced(fake, "--voice-cache", file))
    assert "Well now, " in out
    assert re.search(r"the model had a part in [1-9] of \d repl", out)
    assert fake.keys
    assert set(fake.keys) == {"Bearer a-secret"}
    assert "a-secret" not in out + file.read_text()
    asked = len(fake.asked)
    again = chat(world, task, "interactive", typed, "--voice-model", "fake", "--voice-cache", file, "--offline")
    assert again == out
    assert len(fake.asked) == asked


def test_where_the_endpoint_fails_the_rules_words_stand(fake: FakeEndpoint) -> None:
    world, task = some("interactive", hiding)
    fake.will(Does(status=401))
    typed = ["That is all, thank you.", "submit"]
    out = chat(world, task, "interactive", typed, *voiced(fake))
    assert reply(out, typed[0]) == reply(chat(world, task, "interactive", typed), typed[0])
    assert "the model had a part in 0 of 1" in out
    assert "call 1: no answer: status 401" in out


@pytest.mark.parametrize("mode", ["understand", "free"])
def test_the_other_modes(fake: FakeEndpoint, mode: str) -> None:
    world, task = some("interactive", hiding)
    assert task.user is not None
    topic = task.user.hidden[0]
    fake.will(says(json.dumps({"about": [topic.name]}) if mode == "understand" else "Sure, just do it."))
    out = chat(world, task, "interactive", ["Hm, so what now?", "submit"], *voiced(fake, "--voice-mode", mode))
    said = reply(out, "Hm, so what now?")
    if mode == "understand":
        assert all(secret in said for secret in topic.secrets)
    else:
        assert said == "“Sure, just do it.”"
    assert "the model had a part in 1 of 1" in out


# --- what is wrong


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--faults", "transient"], "KIND=SHARE"),
        (["--faults", "transient=often"], "KIND=SHARE"),
        (["--faults", "transient=2"], "from 0 to 1"),
        (["--faults", "timeout=nan"], "from 0 to 1"),
        (["--faults", "seed=x"], "KIND=SHARE"),
        (["--faults", "transiet=0.1"], "did you mean 'transient'"),
        (["--voice-url", "http://localhost:1/v1"], "--voice-model"),
        (["--voice-model", "m"], "--voice-url"),
        (["--voice-url", "localhost:1", "--voice-model", "m"], "http://"),
        (["--voice-model", "m", "--offline"], "--voice-cache"),
        (["--voice-model", "m", "--offline", "--voice-cache", "none.jsonl"], "cannot be read"),
        (["--voice-model", "m", "--voice-url", "http://x/", "--voice-cache", "/dev/null/x"], "cannot be written"),
        (["--voice-model", "m", "--voice-url", "http://x/", "--voice-cache", "."], "cannot be written"),
        (["--voice-model", "m", "--voice-url", "http://x/", "--profile", "tiny"], "has no user"),
        (["--task-profile", "nosuch"], "task profile"),
        (["--style", "nosuch"], "style"),
    ],
)  # fmt: skip
def test_a_mistake_gives_one_line(options: list[str], told: str) -> None:
    assert told in refused("chat", 12, 1, *options)


def test_there_is_no_such_task_mode_or_world() -> None:
    assert "99" in refused("chat", 12, 99, "--n", 1)
    assert "data/out" in refused("chat", "hotel-12x", 1)
    assert "data/out" in refused("handbook", "hotel-12x")
    assert "--voice-mode" in run("chat", 12, 1, "--voice-mode", "shout", code=2)
    assert "cannot be read" in refused("report", "none.jsonl")
    Path("bad.jsonl").write_text("{\n")
    assert "bad.jsonl" in refused("report", "bad.jsonl")
    assert "--k takes numbers" in refused("report", "bad.jsonl", "--k", "one")


# --- handbook, report, help


@pytest.mark.parametrize("seed", SEEDS)
def test_the_handbook_has_every_policy_and_says_which_are_enforced(seed: int) -> None:
    out = run("handbook", seed)
    enforced, _, written = out.partition("## Policies")[2].partition("The system does not know")
    policies = policies_of(generate(seed))
    assert policies
    for policy in policies:
        assert f"- {policy.say}\n" in (enforced if policy.enforced else written), policy.name
    assert all(p.code not in out for p in staff_of(generate(seed)))


def test_a_report_from_a_pipe() -> None:
    runs = "".join(
        f'{{"task": "w-1/{t}", "reward": {r}, "level": "L{t}"}}\n' for t, r in ((1, 1), (1, 0), (2, 1), (2, 1))
    )
    out = run("report", "-", "--k", "1,2", given=runs)
    assert re.search(r"^all +2 +4 +0\.75", out, flags=re.M), out
    found = json.loads(run("report", "-", "--k", "2", "--json", given=runs))
    assert found["all"]["pass_all"]["2"] == 0.5


def examples(command: str) -> list[str]:
    """The example lines of a command's help."""
    return [x.strip() for x in run(command, "--help").partition("Examples:\n")[2].split("\n\n")[0].splitlines()]


@pytest.mark.parametrize("command", ["chat", "handbook", "report"])
def test_the_examples_of_the_help_run(command: str, tmp_path: Path) -> None:
    assert len(examples(command)) >= 2
    for name in ("runs", "base", "tuned"):
        rows = (
            f'{{"task": "w-1/{i}", "reward": 1, "model": "{name}", "family": "single", "level": "L1"}}\n'
            for i in range(3)
        )
        (tmp_path / f"{name}.jsonl").write_text("".join(rows))
    (tmp_path / "said.jsonl").write_text("")
    subprocess.run(["gzip", "-k", "runs.jsonl"], cwd=tmp_path, check=True)
    ours = f'worlddb() {{ {shlex.quote(sys.executable)} -m worlddb.cli "$@"; }}; set -e -o pipefail; '
    for line in examples(command):
        done = subprocess.run(
            ["bash", "-c", ours + line], cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert done.stdout.strip() or "> " in line, line
