"""The agent loop with verl itself: its own state machine, tokenizer handling and parser, and a scripted server of tokens."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import hydra
import orjson
import pytest
from omegaconf import OmegaConf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from verl.experimental.agent_loop.agent_loop import DictConfigWrap, ToolListWrap, _agent_loop_registry
from verl.experimental.agent_loop.tool_agent_loop import ToolAgentLoop
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl.workers.rollout.replica import TokenOutput

import worlddb
from worlddb.adapters import verl as adapter
from worlddb.adapters.common import Address, find, tasks_in
from worlddb.attempts import gold_attempt
from worlddb.episode.play import Episode
from worlddb.export.rows import Order, export_rows

END = "<|im_end|>"
TEMPLATE = """\
{%- if tools %}{{ '<|im_start|>system\\n' + messages[0].content + '\\n<tools>' }}
{%- for tool in tools %}{{ '\\n' + (tool | tojson) }}{% endfor %}{{ '\\n</tools><|im_end|>\\n' }}
{%- set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}
{%- for m in rest %}
{%- if m.role == 'tool' %}{{ '<|im_start|>user\\n<tool_response>\\n' + m.content + '\\n</tool_response><|im_end|>\\n' }}
{%- else %}{{ '<|im_start|>' + m.role + '\\n' + m.content }}
{%- for c in m.tool_calls or [] %}
{{- '<tool_call>\\n{"name": "' + c.function.name + '", "arguments": ' + (c.function.arguments | tojson) + '}\\n</tool_call>' }}
{%- endfor %}{{ '<|im_end|>\\n' }}{% endif %}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""


def tokenizer() -> PreTrainedTokenizerFast:
    """Bytes, and the marks of a chat."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<|endoftext|>", "<|im_start|>", END])
    made.add_tokens(["<tool_call>", "</tool_call>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token=END, pad_token="<|endoftext|>", chat_template=TEMPLATE
    )


CONFIG = OmegaConf.create(
    {
        "actor_rollout_ref": {
            "rollout": {
                "prompt_length": 100_000, "response_length": 100_000, "full_determinism": False,
                "multi_turn": {
                    "max_user_turns": 40, "max_assistant_turns": 40, "max_parallel_calls": 8, "format": "hermes",
                    "max_tool_response_length": 256, "tool_response_truncate_side": "middle",
                },
            }
        },
        "data": {},
    }
)  # fmt: skip


class Script:
    """Stands where verl's client of the inference servers stands: it says one prepared text after another."""

    def __init__(self, words: PreTrainedTokenizerFast, texts: list[str]) -> None:
        self.words, self.texts, self.prompts = words, list(texts), list[str]()

    async def generate(self, request_id: str, *, prompt_ids: list[int], **more: Any) -> TokenOutput:
        self.prompts.append(self.words.decode(prompt_ids))
        ids = self.words(self.texts.pop(0) + END, add_special_tokens=False)["input_ids"]
        return TokenOutput(token_ids=ids, log_probs=[-0.1] * len(ids))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What verl's own dataset makes of the exported Parquet file."""
    home = tmp_path_factory.mktemp("verl")
    worlddb.spawn(home / "store", 3, seed=30, profile="tiny", tasks=5, workers=1)
    export_rows(home / "store", Order("verl"), home / "train.parquet")
    config = OmegaConf.create({"cache_dir": str(home / "cache"), "max_prompt_length": 100_000, "return_raw_chat": True})
    data = RLHFDataset(str(home / "train.parquet"), tokenizer(), config)
    assert len(data) == sum(1 for _ in tasks_in(home / "store"))
    return [data[i] for i in range(len(data))]


def gold(row: dict[str, Any]) -> list[str]:
    said = [m for m in gold_attempt(*find(Address.of(row["extra_info"]))).messages if m["role"] == "assistant"]
    calls = [c["function"] for m in said for c in m["tool_calls"]]
    return [written(c["name"], c["arguments"]) for c in calls]


def written(name: str, arguments: Any) -> str:
    return f"<tool_call>\n{orjson.dumps({'name': name, 'arguments': arguments}).decode()}\n</tool_call>"


def documented() -> str:
    """agent_loop.yaml as docs/training.md has it."""
    text = (Path(__file__).parents[3] / "docs" / "training.md").read_text()
    return re.search(r"echo '(.*)' > agent_loop.yaml", text)[1]


async def rolled_out(row: dict[str, Any], texts: list[str]) -> tuple[Any, Script]:
    """One trajectory, its loop made as verl's workers make it: by the target that the configuration names."""
    words = tokenizer()
    script = Script(words, texts)
    (found,) = OmegaConf.create(documented())
    assert found.name == row["agent_name"]
    loop = hydra.utils.instantiate(
        found, trainer_config=DictConfigWrap(CONFIG), server_manager=script,
        tokenizer=words, processor=None, hf_model_type="qwen3", dataset_cls=RLHFDataset,
        data_config=DictConfigWrap(CONFIG.data), tools=ToolListWrap([]),
    )  # fmt: skip
    assert isinstance(loop, ToolAgentLoop)
    return await loop.run({}, **row), script


def test_gold_is_paid_and_ends_with_its_submission(rows: list[dict[str, Any]]) -> None:
    assert len(rows) >= 10

    async def all_at_once() -> list[tuple[Any, Script]]:
        return await asyncio.gather(*(rolled_out(row, [*gold(row), "More."]) for row in rows))

    for row, (output, script) in zip(rows, asyncio.run(all_at_once()), strict=True):
        assert output.reward_score == 1.0
        assert _agent_loop_registry[adapter.NAME]["_target_"] == "worlddb.adapters.verl.WorldAgentLoop"
        assert script.texts == ["More."], "the loop goes on after submit"
        figures = output.extra_fields["reward_extra_info"]
        assert (figures["worlddb_success"], figures["worlddb_refused"]) == (1.0, 0.0)
        assert figures["worlddb_calls"] == len(gold(row)) - 1
        assert len(output.response_ids) == len(output.response_mask) == len(output.response_logprobs)
        own = [i for i, m in zip(output.response_ids, output.response_mask, strict=True) if m]
        assert tokenizer().decode(own).count("<tool_call>") == len(gold(row)), "the mask covers what the model said"


def test_each_trajectory_sees_the_tools_of_its_own_world(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        _, script = asyncio.run(rolled_out(row, ["No."]))
        told = Episode(*find(Address.of(row["extra_info"]))).reset()
        lines = script.prompts[0].partition("<tools>\n")[2].partition("\n</tools>")[0].splitlines()
        assert [orjson.loads(line) for line in lines[:-1]] == told.tools.openai()
        assert orjson.loads(lines[-1])["function"]["name"] == "submit"


def test_long_results_come_whole_and_broken_calls_are_answered(rows: list[dict[str, Any]]) -> None:
    row = rows[0]
    told = Episode(*find(Address.of(row["extra_info"]))).reset()
    listing = next(t for t in told.tools if t.kind == "list")
    texts = [written(listing.name, {}), written("no_such_tool", {}), written(listing.name, [1]), "I give up."]
    output, script = asyncio.run(rolled_out(row, texts))
    whole = Episode(*find(Address.of(row["extra_info"]))).call(listing.name, {}).text
    assert len(whole) > 256
    assert whole in script.prompts[1]
    assert "UNKNOWN_TOOL" in script.prompts[2]
    assert "INVALID_ARGUMENT" in script.prompts[3]
    assert output.reward_score == 0.0
    assert output.extra_fields["reward_extra_info"]["worlddb_refused"] == 2.0
