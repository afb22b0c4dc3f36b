"""Exports read by the frameworks' own readers.

datasets and transformers are in requirements.txt.  LLaMA-Factory's converters and BFCL's checker are run where these packages are
installed (`pip install --no-deps llamafactory==0.9.5 bfcl-eval==2026.3.23`): with all that they declare, they are gigabytes.
"""

from __future__ import annotations

import copy
import importlib.util
import inspect
import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from datasets import Json, List, load_dataset
from transformers.utils import get_json_schema
from transformers.utils.chat_template_utils import render_jinja_template

import worlddb
from worlddb.adapters.trl import Environment, environment_class
from worlddb.cli import cli
from worlddb.episode.play import Episode
from worlddb.export.formats import FORMATS
from worlddb.export.golds import Manner
from worlddb.export.rows import Order, export_rows

HARD = Manner(recoveries=0.5, thoughts="template")


@pytest.fixture(scope="session")
def exported(store: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the gold of a store in all formats, in every kind of file that they have."""
    folder = tmp_path_factory.mktemp("exported")
    for name, form in FORMATS.items():
        for ending in {form.ending, *([".jsonl", ".parquet"] if form.parts[0].columns else [])}:
            export_rows(store, Order(name, manner=HARD), folder / f"{name}{ending}")
    return folder


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def bare(value: Any) -> Any:
    """Without what is null: a column that a row lacks is null in a table."""
    if isinstance(value, dict):
        return {k: bare(v) for k, v in value.items() if v is not None}
    return [bare(v) for v in value] if isinstance(value, list) else value


# --- datasets


@pytest.mark.parametrize("name", ["trl", "trl-completion", "verl", "skyrl"])
def test_datasets_reads_parquet(exported: Path, tmp_path: Path, name: str) -> None:
    found = load_dataset(
        "parquet", data_files=str(exported / f"{name}.parquet"), split="train", cache_dir=str(tmp_path)
    )
    assert [bare(row) for row in found] == bare(lines(exported / f"{name}.jsonl"))
    if "tools" in found.features:
        assert found.features["tools"] == List(Json())


@pytest.mark.parametrize("name", ["trl", "trl-completion", "openai", "nemo"])
def test_datasets_reads_json_lines(exported: Path, tmp_path: Path, name: str) -> None:
    found = load_dataset("json", data_files=str(exported / f"{name}.jsonl"), split="train", cache_dir=str(tmp_path))
    for row, told in zip(found, lines(exported / f"{name}.jsonl"), strict=True):
        assert bare(row) == bare(told)


@pytest.mark.parametrize("name", ["sharegpt", "actionstudio"])
def test_datasets_reads_arrays(exported: Path, tmp_path: Path, name: str) -> None:
    found = load_dataset("json", data_files=str(exported / f"{name}.json"), split="train", cache_dir=str(tmp_path))
    told = json.loads((exported / f"{name}.json").read_text())
    assert len(found) == len(told)
    assert bare(list(found)) == bare(told)


# --- transformers

CHATML = """\
{%- for tool in tools %}{{ tool | tojson }}
{% endfor %}{%- for m in messages %}<|{{ m.role }}|>{%- if m.role == 'assistant' %}{% generation %}{{ m.content }}\
{%- for c in m.tool_calls or [] %}{{ c.function.name }}({{ c.function.arguments | tojson }}){% endfor %}{% endgeneration %}\
{%- else %}{{ m.content }}{% endif %}
{% endfor %}"""


def test_a_chat_template_renders_it_with_a_mask(exported: Path, tmp_path: Path) -> None:
    """`assistant_only_loss`: the spans that a template marks as generated are the assistant's messages, no more."""
    found = load_dataset("parquet", data_files=str(exported / "trl.parquet"), split="train", cache_dir=str(tmp_path))
    for row in found:
        told, spans = render_jinja_template(
            [row["messages"]], tools=row["tools"], chat_template=CHATML, return_assistant_tokens_mask=True
        )
        text = told[0] if isinstance(told, list) else told
        said = [m for m in row["messages"] if m["role"] == "assistant"]
        assert len(spans[0]) == len(said)
        for (start, end), message in zip(spans[0], said, strict=True):
            call = message["tool_calls"][0]["function"]
            assert (
                text[start:end]
                == f"{message['content']}{call['name']}({json.dumps(call['arguments'], ensure_ascii=False)})"
            )


def test_tools_are_what_transformers_derives(store: str, exported: Path) -> None:
    """The schemas of the examples for TRL, and those that it makes of the environment's methods: the same bytes."""
    rows = {row["worlddb"]["task"]: row for row in lines(exported / "trl.jsonl")}
    for world in worlddb.open_store(store):
        for task in world.tasks:
            made = environment_class(Episode(world, task).reset().tools.openai())
            methods = [f for n, f in inspect.getmembers(made, inspect.isfunction) if not n.startswith("_")]
            derived = [get_json_schema(f) for f in methods if not hasattr(Environment, f.__name__)]
            assert json.dumps(rows[task.id]["tools"]) == json.dumps(derived)


# --- LLaMA-Factory


@pytest.fixture(scope="module")
def converters() -> Any:
    """The module with LLaMA-Factory's converters, without the packages that its others import."""
    pytest.importorskip("llamafactory", reason="see above: installed without what it declares")
    found = importlib.util.find_spec("llamafactory")
    assert found is not None
    assert found.origin is not None
    peft = ModuleType("peft.utils")  # of which it wants two names of files
    peft.SAFETENSORS_WEIGHTS_NAME = peft.WEIGHTS_NAME = ""  # type: ignore[attr-defined]
    sys.modules.setdefault("peft.utils", peft)
    sys.modules.setdefault("peft", ModuleType("peft"))
    for name in ("data", "extras"):
        package = ModuleType(f"llamafactory.{name}")
        package.__path__ = [str(Path(found.origin).parent / name)]
        sys.modules[package.__name__] = package
    return pytest.importorskip("llamafactory.data.converter", reason="llamafactory lacks what it imports")


COMMON = {"images": None, "videos": None, "audios": None, "kto_tag": None, "ranking": False, "chosen": None, "rejected": None,
          "load_from": "file"}  # fmt: skip
SHAREGPT = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt", "system_tag": "system",
            "observation_tag": "observation", "function_tag": "function_call"}  # fmt: skip
OPENAI = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
          "system_tag": "system", "observation_tag": "tool", "function_tag": "function_call"}  # fmt: skip


def test_llamafactory_converts_sharegpt(converters: Any, exported: Path) -> None:
    columns = json.loads((exported / "sharegpt.dataset_info.json").read_text())["sharegpt"]["columns"]
    convert = converters.SharegptDatasetConverter(SimpleNamespace(**COMMON, **SHAREGPT, **columns), None)
    for row in json.loads((exported / "sharegpt.json").read_text()):
        done = convert(row)
        assert len(done["_prompt"]) + 1 == len(row["conversations"])
        assert done["_response"][0]["role"] == "function"
        assert done["_tools"] == row["tools"]
        broken = copy.deepcopy(row)
        broken["conversations"].insert(1, broken["conversations"][0])
        assert not convert(broken)["_response"], "its reader passes over what does not alternate"


def test_llamafactory_converts_messages(converters: Any, exported: Path) -> None:
    columns = {"messages": "messages", "system": None, "tools": "tools"}
    convert = converters.OpenAIDatasetConverter(SimpleNamespace(**COMMON, **OPENAI, **columns), None)
    for row in lines(exported / "trl.jsonl"):
        done = convert(row)
        assert len(done["_prompt"]) + 2 == len(row["messages"])
        broken = copy.deepcopy(row)
        broken["messages"].insert(2, broken["messages"][1])
        assert not convert(broken)["_response"]


# --- BFCL


@pytest.fixture(scope="module")
def check() -> Any:
    """BFCL's checker of calls, without the clients of all vendors, which it imports for one flag."""
    pytest.importorskip("bfcl_eval", reason="see above: installed without what it declares")
    stub = ModuleType("bfcl_eval.constants.model_config")
    stub.MODEL_CONFIG_MAPPING = {"any": SimpleNamespace(underscore_to_dot=False)}  # type: ignore[attr-defined]
    sys.modules[stub.__name__] = stub
    checker = pytest.importorskip(
        "bfcl_eval.eval_checker.ast_eval.ast_checker", reason="bfcl_eval lacks what it imports"
    )
    language = importlib.import_module("bfcl_eval.constants.enums").Language.PYTHON
    return lambda question, calls, truth: checker.ast_checker(question, calls, truth, language, "multiple", "any")[
        "valid"
    ]


def test_bfcl_accepts_gold_and_nothing_else(check: Any, exported: Path) -> None:
    questions, answers = lines(exported / "bfcl.multiple.jsonl"), lines(exported / "bfcl.multiple_answers.jsonl")
    assert questions
    for question, answer in zip(questions, answers, strict=True):
        ((name, accepted),) = answer["ground_truth"][0].items()
        gold = {n: plain(v[0]) for n, v in accepted.items()}
        assert check(question["function"], [{name: gold}], answer["ground_truth"])
        assert not check(question["function"], [{"submit": {}}], answer["ground_truth"])
        assert not check(question["function"], [{name: {**gold, "nothing": 1}}], answer["ground_truth"])
        for argument, value in gold.items():
            other = value + 1 if isinstance(value, int) and not isinstance(value, bool) else [["another"]]
            assert not check(question["function"], [{name: {**gold, argument: other}}], answer["ground_truth"])


def plain(value: Any) -> Any:
    """An accepted value as a model would give it."""
    if isinstance(value, dict):
        return {k: plain(v[0]) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list) else value


# --- the page of the documentation


def test_the_page_on_exports_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Its commands run, in order, and so does its Python with `datasets`."""
    page = (Path(worlddb.__file__).parent.parent / "docs" / "exports.md").read_text()
    monkeypatch.chdir(tmp_path)
    ran = 0
    for language, block in re.findall(r"```(sh|python)\n(.*?)```", page, flags=re.DOTALL):
        if language == "sh":
            for line in block.splitlines():
                done = CliRunner().invoke(cli, [*line.split()[1:], "--workers", "1"])
                assert done.exit_code == 0, f"{line}\n{done.output}"
        elif "from datasets" in block:
            exec(compile(block, "docs/exports.md", "exec"), {"__name__": "page"})
            assert capsys.readouterr().out.strip(), block
            ran += 1
    assert ran >= 2
