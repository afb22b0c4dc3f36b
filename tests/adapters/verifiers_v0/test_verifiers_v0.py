"""The environment beside the real verifiers 0.3, through its own command, with a model that knows the gold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from worlddb_verifiers_v0 import load_environment

from tests.adapters.documents import commands
from tests.adapters.fake_openai import fake_openai
from worlddb.errors import BadRequest
from worlddb.store import open_store

COMMAND = Path(sys.executable).with_name("vf-eval")


def evaluate(fake, out: Path, n: int, **arguments) -> list[dict]:
    """Run vf-eval against the fake model; the results."""
    began = time.perf_counter()
    done = subprocess.run(
        [
            COMMAND, "worlddb_verifiers_v0", "-n", str(n), "-r", "1", "-c", "16", "-m", "fake", "-b", fake.url,
            "-k", "FAKE_KEY", "-s", "-a", json.dumps(arguments), "-C", "success,shaped,calls,verdict",
        ],
        env=os.environ | {"FAKE_KEY": "x"}, capture_output=True, text=True, timeout=300, cwd=out,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = [json.loads(line) for path in out.rglob("results.jsonl") for line in path.read_text().splitlines()]
    took = time.perf_counter() - began
    print(f"{len(found)} rollouts in {took:.1f} s, start of the command included: {len(found) / took:.1f}/s")
    return found


def task_of(row: dict) -> str:
    info = row["info"]
    return (json.loads(info) if isinstance(info, str) else info)["address"]["task"]


def test_vf_eval_pays_gold_and_nothing_else(store, tmp_path):
    tasks = [t for w in open_store(store) for t in w.tasks]
    wrong = {t.id for t in tasks[::4]}
    with fake_openai(store, wrong) as fake:
        rows = evaluate(fake, tmp_path, 40, store=store)
    assert {task_of(r): r["reward"] for r in rows} == {t.id: float(t.id not in wrong) for t in tasks}
    assert all("failed" in r["verdict"] for r in rows if task_of(r) in wrong)


def test_a_rollout_ends_at_its_limit_with_its_last_call_made(store, tmp_path):
    tasks = [t for w in open_store(store) for t in w.tasks]
    with fake_openai(store) as fake:
        rows = evaluate(fake, tmp_path, 10, store=store, max_turns=1)
    assert len(rows) == 10
    assert set(fake.told.values()) == {1}
    assert {r["calls"] for r in rows} <= {0, 1}
    assert len(tasks) == 40


def test_the_command_of_the_page(store, place):
    _, command = commands("verifiers 0.3")
    with fake_openai(store) as fake:
        named = {"MODEL": "fake", "URL": fake.url, "KEY": "FAKE_KEY", "40": "4"}
        words = [named.get(w, w) for w in command]
        done = subprocess.run(
            [COMMAND, *words[1:], "-s"], env=os.environ | {"FAKE_KEY": "x"}, capture_output=True, text=True, timeout=300
        )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    rows = [json.loads(line) for path in place.rglob("results.jsonl") for line in path.read_text().splitlines()]
    assert {r["reward"] for r in rows} == {1.0}


def test_the_dataset(store):
    rows = load_environment(store=store, num_tasks=7).get_dataset()
    assert len(rows) == 7
    assert rows[0]["prompt"][1]["content"] == open_store(store)[0].tasks[0].instruction
    assert len(load_environment(profile="tiny", num_tasks=3, first_seed=5).get_dataset()) == 3


def test_mistakes_are_told(store):
    with pytest.raises(BadRequest, match="split"):
        load_environment(store=store, split="nowhere")
