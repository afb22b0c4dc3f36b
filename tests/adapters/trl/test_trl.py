"""The TRL adapter with the real trainers: SFT on gold, then GRPO whose rollouts act in worlds; nothing is downloaded."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import torch
from datasets import Dataset, Features, Json, List, Value
from transformers.utils import get_json_schema
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

import worlddb
from tests.adapters.trl import tiny
from worlddb.adapters import trl as adapter
from worlddb.adapters.common import Address, find
from worlddb.attempts import gold_attempt
from worlddb.episode.play import Episode, submit_tool
from worlddb.export.rows import Order, export_rows
from worlddb.gate import tasks_of

STEPS = 66
FEATURES = Features(
    messages=List(
        {k: Value("string") for k in ("role", "content", "name", "tool_call_id")} | {"tool_calls": List(Json())}
    ),
    tools=List(Json()),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trl") / "store"
    worlddb.spawn(path, 2, seed=282, profile="tiny", tasks=10, workers=1)
    return path


def options(out: Path, **more: Any) -> dict[str, Any]:
    return {
        "output_dir": str(out), "use_cpu": True, "bf16": False, "report_to": [], "save_strategy": "no", "disable_tqdm": True,
        "logging_steps": 1, "seed": 0, **more,
    }  # fmt: skip


def declared(environment: adapter.Environment) -> list[dict[str, Any]]:
    """The schemas as TRL finds them."""
    methods = [n for n, _ in inspect.getmembers(type(environment), predicate=inspect.isfunction)]
    return [get_json_schema(getattr(environment, n)) for n in methods if n != "reset" and not n.startswith("_")]


@pytest.mark.parametrize("profile", ["default", "interactive"])
def test_schemas_are_those_that_transformers_derives(profile: str) -> None:
    compared = 0
    for seed in range(12):
        world = worlddb.generate(seed, "tiny")
        for task in tasks_of(world, 3, profile).tasks:
            told = Episode(world, task).reset()
            tools = [*told.tools.openai(), submit_tool(told.form)]
            found = declared(adapter.environment_class(tools)())
            assert orjson.dumps(found) == orjson.dumps(adapter.declarations(tools))
            compared += len(found)
    assert compared > 500


def test_examples_begin_with_the_prompts_of_the_environments(store: Path) -> None:
    """Supervised examples and rollouts show the model the same characters up to its first word."""
    words = tiny.bare()
    rows, environments, _ = adapter.load(store, "all")
    for row in rows:
        made = adapter.example(gold_attempt(*find(Address.of(row))))
        told = made["messages"][: len(row["prompt"])]
        tools = declared(environments[row["environment"]]())
        shown = words.apply_chat_template(told, tools=made["tools"], tokenize=False, add_generation_prompt=True)
        assert shown == words.apply_chat_template(
            row["prompt"], tools=tools, tokenize=False, add_generation_prompt=True
        )
        assert words.apply_chat_template(made["messages"], tools=made["tools"], tokenize=False).startswith(shown)


def test_exported_examples_begin_so_too(store: Path, tmp_path: Path) -> None:
    export_rows(store, Order("trl"), tmp_path / "gold.jsonl")
    exported = {row["worlddb"]["task"]: row for row in map(orjson.loads, (tmp_path / "gold.jsonl").open("rb"))}
    rows, environments, _ = adapter.load(store, "all")
    assert set(exported) == set(rows["task"])
    for row in rows:
        made = exported[row["task"]]
        assert made["messages"][: len(row["prompt"])] == row["prompt"]
        assert orjson.dumps(made["tools"]) == orjson.dumps(declared(environments[row["environment"]]()))


def test_the_lines_of_the_documentation_train(store: Path, tmp_path: Path) -> None:
    first, second = re.findall(r"```python\n(.*?)```", section("TRL"), flags=re.S)
    found = [dict(row) for row in adapter.load(store, "train")[0]]
    made = [adapter.example(gold_attempt(*find(Address.of(row)))) for row in found]
    words = tiny.tokenizer(
        [tiny.bare().apply_chat_template(e["messages"], tools=e["tools"], tokenize=False) for e in made]
    )
    words.save_pretrained(tmp_path / "model")
    tiny.model(words, width=32).save_pretrained(tmp_path / "model")
    more = options(tmp_path / "grpo", max_steps=1, per_device_train_batch_size=8)
    for old, new in (
        ('"data/out"', repr(str(store))), ('"Qwen/Qwen3-0.6B"', repr(str(tmp_path / "model"))),
        ("GRPOConfig(", f"GRPOConfig(**{more!r}, "), ("max_completion_length=8192", "max_completion_length=24"),
    ):  # fmt: skip
        assert old in first
        first = first.replace(old, new)
    names: dict[str, Any] = {}
    exec(first, names)
    assert names["trainer"].state.global_step == 1
    exec(second, names)
    shaped = names["shaped"](names["trainer"].environments)
    assert len(shaped) == 8
    assert all(0.0 <= value <= 0.5 for value in shaped)


def section(title: str) -> str:
    """A section of docs/training.md."""
    text = (Path(__file__).parents[3] / "docs" / "training.md").read_text()
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_sft_then_grpo(store: Path, tmp_path: Path) -> None:
    """A model that has learnt two tasks by heart, one in each world, acts in both; and what it earns is what TRL logs."""
    torch.set_num_threads(1)  # of matrices this small a second thread makes nothing faster
    easiest: dict[str, dict[str, Any]] = {}  # question of each world
    for row in adapter.rows(store, "all"):
        if row["family"] == "question" and row["calls"] < easiest.get(row["world"], {"calls": 99})["calls"]:
            easiest[row["world"]] = row
    wanted = {row["task"] for row in easiest.values()}
    rows, environments, reward = adapter.load(store, "all", where=lambda row: row["task"] in wanted)
    assert isinstance(rows, Dataset)
    assert (len(rows), len(environments)) == (2, 2)
    examples = [adapter.example(gold_attempt(*find(Address.of(row)))) for row in rows]
    texts = [tiny.bare().apply_chat_template(e["messages"], tools=e["tools"], tokenize=False) for e in examples]
    words = tiny.tokenizer(texts)
    model = tiny.model(words)
    SFTTrainer(
        model=model, processing_class=words, train_dataset=Dataset.from_list(examples, features=FEATURES),
        args=SFTConfig(
            **options(tmp_path / "sft", max_steps=STEPS, per_device_train_batch_size=2, learning_rate=5e-3),
            lr_scheduler_type="constant", assistant_only_loss=True, max_length=2_048, activation_checkpointing=False,
        ),
    ).train()  # fmt: skip
    words.chat_template = tiny.TEMPLATE  # SFTTrainer has put its own variant there
    calls: list[int] = []
    rewards: list[float] = []

    def watched(environments: list[Any], **columns: Any) -> list[float | None]:
        calls.extend(len(e._episode.session.journal) for e in environments)
        found = reward(environments, **columns)
        rewards.extend(found)
        return found

    trainer = GRPOTrainer(
        model=model, processing_class=words, train_dataset=rows, environment_factory=environments, reward_funcs=watched,
        args=GRPOConfig(
            **options(tmp_path / "grpo", max_steps=3, per_device_train_batch_size=8, learning_rate=1e-5), num_generations=4,
            max_completion_length=700, max_tool_calling_iterations=4, beta=0.0, temperature=1.0,
        ),
    )  # fmt: skip
    trainer.train()
    logs = [entry for entry in trainer.state.log_history if "reward" in entry]
    print(
        *(
            {k: v for k, v in e.items() if k.split("/")[0] in ("reward", "reward_std", "tools", "worlddb")}
            for e in logs
        ),
        sep="\n",
    )
    assert len(logs) == 3
    assert len(rewards) == 24
    assert any(calls), "no rollout reached a world"
    assert {1.0} <= set(rewards) <= {0.0, 1.0}, "after so much practice some rollout is paid"
    assert [e["reward"] for e in logs] == pytest.approx([sum(rewards[i : i + 8]) / 8 for i in (0, 8, 16)])
    assert [e["worlddb/success"] for e in logs] == pytest.approx([e["reward"] for e in logs])
    assert all(e["grad_norm"] > 0 for e in logs if e["frac_reward_zero_std"] < 1), (
        "a difference in reward moves the model"
    )
    pools = trainer._environment_pool.values()
    assert all(e._episode is None for pool in pools for e in pool), "a pooled environment holds on to its world"
