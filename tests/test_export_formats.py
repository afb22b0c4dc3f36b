"""Exports of attempts: every row is read by a reader of its format, which takes gold and refuses what was tampered with."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from click.testing import CliRunner

import worlddb
from tests.format_readers import READERS, Wrong
from worlddb.adapters.common import Address, find
from worlddb.attempts import Talk, gold_attempt, write_attempts
from worlddb.cli import cli
from worlddb.cli.data import ATTEMPTS
from worlddb.episode.play import SUBMIT, Episode, judge
from worlddb.errors import BadRequest, StoreError, UnknownName
from worlddb.export.examples import ABOUT, Example, about, arguments_object, refusal, wrong_turns
from worlddb.export.formats import FORMATS
from worlddb.export.golds import _MENDED, _SENTENCES, Manner, acted
from worlddb.export.rows import Order, export_rows
from worlddb.export.splits import Splits, splits_of

WORLDS, TASKS = 5, 5
HARD = Manner(recoveries=0.5, thoughts="template")
PLAIN, MENDING = Manner(), Manner(recoveries=1.0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of worlds with tasks, not to be changed."""
    path = tmp_path_factory.mktemp("formats") / "out"
    worlddb.spawn(path, WORLDS, seed=40, profile="small", tasks=TASKS, workers=1)
    return path


@pytest.fixture(scope="module")
def peopled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of tasks with users and policies."""
    path = tmp_path_factory.mktemp("peopled") / "out"
    worlddb.spawn(path, 2, seed=7, profile="small", tasks=4, task_profile="policy", workers=1)
    return path


@pytest.fixture(scope="module")
def files(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """'format.part' -> the rows that were written."""
    folder = tmp_path_factory.mktemp("rows")
    found = {}
    for name, form in FORMATS.items():
        done = export_rows(home, Order(name, manner=HARD), folder / f"{name}{form.ending}")
        assert not done.left_out
        for part, (path, rows) in zip(form.parts, done.rows.items(), strict=True):
            found[f"{name}.{part.name}"] = list(rows_in(path))
            assert len(found[f"{name}.{part.name}"]) == rows
    CliRunner().invoke(cli, ["export", str(home), "--format", "nestful", "--out", str(folder / "nestful.jsonl")])
    return found | {"nestful.": list(rows_in(folder / "nestful.jsonl"))}


def rows_in(path: Path) -> Iterator[Any]:
    if path.suffix == ".parquet":
        with duckdb.connect() as db:
            told = db.execute(f"SELECT to_json(t)::VARCHAR FROM '{path}' t").fetchall()
        return (json.loads(text) for (text,) in told)
    text = path.read_text()
    return iter(json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()])


# --- readers


@pytest.mark.parametrize("name", READERS)
def test_gold_is_read(files, name):
    assert files[name], "nothing to read"
    for row in files[name]:
        READERS[name](row)


@pytest.mark.parametrize(
    "name", ["trl", "trl-completion", "openai", "sharegpt", "actionstudio", "verl", "skyrl", "nemo"]
)
def test_every_task_has_a_row(files, name):
    assert len(files[f"{name}."]) == WORLDS * TASKS


def test_every_task_has_one_form_of_bfcl(files):
    assert len(files["bfcl.multiple"]) + len(files["bfcl.multi_turn"]) == WORLDS * TASKS
    for part in ("multiple", "multi_turn"):
        ids = [row["id"] for row in files[f"bfcl.{part}"]]
        assert ids == [row["id"] for row in files[f"bfcl.{part}_answers"]]
        assert len(set(ids)) == len(ids)


def chats(row: Any) -> list[Any]:
    return row.get("messages") or row.get("conversation") or row["prompt"] + row["completion"]


def first_call(row: Any) -> Any:
    return next(m for m in chats(row) if m.get("tool_calls"))["tool_calls"][0]


def drop_answer(row: Any) -> None:
    messages = next(v for k, v in row.items() if k in ("messages", "conversation", "completion"))
    messages.pop(next(i for i, m in enumerate(messages) if m["role"] == "tool"))


def swap_arguments(row: Any) -> None:
    call = first_call(row)["function"]
    text = call["arguments"]
    call["arguments"] = json.loads(text) if isinstance(text, str) else json.dumps(text)


def rename_call(row: Any) -> None:
    for message in chats(row):
        for call in message.get("tool_calls", ()):
            call["function"]["name"] = "nothing_of_the_kind"


def set_at(*path: Any, value: Any) -> Callable[[Any], None]:
    def mutate(row: Any) -> None:
        for step in path[:-1]:
            row = row[step]
        row[path[-1]] = value

    return mutate


def pop_at(*path: Any) -> Callable[[Any], None]:
    def mutate(row: Any) -> None:
        for step in path[:-1]:
            row = row[step]
        row.pop(path[-1])

    return mutate


CHAT = [drop_answer, swap_arguments, rename_call, pop_at("tools"), set_at("tools", value=[])]
RL = [pop_at("prompt"), pop_at("data_source"), set_at("prompt", 0, "content", value=None), pop_at("extra_info", "seed")]
MUTATIONS: dict[str, list[Callable[[Any], None]]] = {
    "trl.": [*CHAT, pop_at("wrong_turns"), set_at("messages", -1, "role", value="user"),
             set_at("wrong_turns", value=[0]), lambda r: r["tools"].reverse()],
    "trl-completion.": [*CHAT, lambda r: r["completion"].insert(0, r["prompt"].pop()), pop_at("prompt")],
    "openai.": [*CHAT, set_at("weight", value=0), set_at("messages", 2, "weight", value=0.5),
                set_at("messages", 1, "weight", value=0)],
    "actionstudio.": [*CHAT, pop_at("unique_trajectory_id"), set_at("conversation", 0, "role", value="system")],
    "sharegpt.": [pop_at("tools"), set_at("tools", value="[{}]"), lambda r: r["conversations"].pop(),
                  lambda r: r["conversations"].insert(1, r["conversations"][0]),
                  set_at("conversations", 1, "value", value="{'name': 1}"), set_at("conversations", 0, "from", value="gpt")],
    "bfcl.multiple": [pop_at("function"), set_at("id", value="multiple_x"), set_at("question", value=[]),
                      set_at("function", 0, "parameters", "type", value="object"),
                      set_at("function", 0, "parameters", "properties", value={"a": {"type": ["integer", "null"]}})],
    "bfcl.multiple_answers": [pop_at("ground_truth"), set_at("ground_truth", 0, value={"f": {"a": 1}})],
    "bfcl.multi_turn": [pop_at("initial_config"), set_at("path", 0, value="Other.f"), set_at("id", value="x")],
    "bfcl.multi_turn_answers": [set_at("ground_truth", 0, 0, value="f(a=)"), set_at("ground_truth", 0, 0, value="f(1)")],
    "verl.": [*RL, set_at("reward_model", "ground_truth", value=3), pop_at("agent_name")],
    "skyrl.": [*RL, pop_at("env_class"), set_at("reward_spec", value={})],
    "nemo.": [pop_at("agent_ref"), set_at("responses_create_params", "tools", 0, "strict", value=True),
              lambda r: r["responses_create_params"]["tools"][0].pop("name"), pop_at("verifier_metadata", "task")],
    "nestful.": [set_at("gold_answer", value=3), set_at("output", value="[]"), pop_at("tools")],
}  # fmt: skip


@pytest.mark.parametrize(("name", "number"), [(n, i) for n, some in MUTATIONS.items() for i in range(len(some))])
def test_what_was_tampered_with_is_refused(files, name, number):
    assert set(MUTATIONS) == set(READERS)
    for row in files[name][:4]:
        mutant = copy.deepcopy(row)
        MUTATIONS[name][number](mutant)
        with pytest.raises(Wrong):
            READERS[name](mutant)


# --- what the rows say


def test_a_row_plays_to_its_verdict(files):
    """The messages of an export, the wrong turns included, are a trajectory that is judged as the row says."""
    for row in files["trl."]:
        told = row["worlddb"]
        world, task = find(
            Address(world=told["world"], task=told["task"], seed=told["seed"], profile=told["profile"], n=TASKS)
        )
        names = {r["shown"]: r["tool"] for r in told["renamed"]}
        messages = copy.deepcopy(row["messages"])
        for message in messages:
            for call in message.get("tool_calls", ()):
                call["function"]["name"] = names.get(call["function"]["name"], call["function"]["name"])
        assert judge(messages, world, task).reward == told["verdict"]["reward"] == 1.0
        assert told["card"]["structure"] == task.card.structure
        assert told["family"] == task.family


def test_the_address_leads_to_the_task(files):
    for name in ("verl.", "skyrl."):
        for row in files[name]:
            world, task = find(Address.of(row["extra_info"]))
            assert row["prompt"] == list(gold_attempt(world, task).messages[:2])
    for row in files["nemo."]:
        assert find(Address.of(row["verifier_metadata"]))[1].id == row["verifier_metadata"]["task"]


@pytest.mark.parametrize("name", ["trl", "trl-completion", "verl", "skyrl"])
def test_parquet_says_what_json_lines_say(home, tmp_path, name):
    order = Order(name, manner=HARD)
    export_rows(home, order, tmp_path / "a.jsonl")
    export_rows(home, order, tmp_path / "a.parquet")
    lines, table = list(rows_in(tmp_path / "a.jsonl")), list(rows_in(tmp_path / "a.parquet"))
    assert [bare(row) for row in table] == [bare(row) for row in lines]


def bare(value: Any) -> Any:
    """Without what is null: a column that a row lacks is null in a table."""
    if isinstance(value, dict):
        return {k: bare(v) for k, v in value.items() if v is not None}
    return [bare(v) for v in value] if isinstance(value, list) else value


def test_about_has_the_columns_of_its_type(home):
    world = worlddb.open_store(home)[0]
    told = about(Example(gold_attempt(world, world.tasks[0]), Address(world="", task="", seed=0)), {"a": "b"})
    with duckdb.connect() as db:
        text = orjson.dumps(told).decode()
        (back,) = db.execute(f"SELECT to_json(from_json(?, '{json_type(ABOUT)}'))::VARCHAR", [text]).fetchone()
    assert json.loads(back) == told


def json_type(type_: str) -> str:
    """A DuckDB type as the structure that from_json takes."""
    found = re.sub(r"STRUCT\(", "{", type_).replace(")", "}")
    found = re.sub(r'("\w+") (?=\{)', r"\1:", found)
    found = re.sub(r'("\w+") (\w+(?:\[\])?)', lambda m: f"{m[1]}:{listed(m[2])}", found)
    return re.sub(r"(\{[^{}]*\})\[\]", r"[\1]", found)


def listed(type_: str) -> str:
    return f'["{type_[:-2]}"]' if type_.endswith("[]") else f'"{type_}"'


def test_sharegpt_says_how_it_is_read(home, tmp_path):
    export_rows(home, Order("sharegpt"), tmp_path / "talks.json")
    told = json.loads((tmp_path / "talks.dataset_info.json").read_text())
    assert told["talks"]["file_name"] == "talks.json"
    assert set(told["talks"]["columns"].values()) <= set(json.loads((tmp_path / "talks.json").read_text())[0])


# --- recoveries and thoughts


def test_mistakes_are_refused_and_mended(home, peopled):
    codes, plain, made = Counter[str](), 0, 0
    for world in (*worlddb.open_store(home), *worlddb.open_store(peopled)):
        for task in world.tasks:
            gold, attempt = acted(world, task, PLAIN), acted(world, task, MENDING)
            assert attempt.reward == 1
            assert attempt == acted(world, task, MENDING), "the same every time"
            wrong = wrong_turns(attempt.messages)
            made += 1
            plain += not wrong
            assert len(wrong) <= 1
            left = [m for i, m in enumerate(attempt.messages) if not {i, i - 1} & set(wrong)]
            assert [said(m) for m in left] == [said(m) for m in gold.messages], "without it, the gold"
            for at in wrong:
                codes[refusal(attempt.messages[at + 1]["content"])] += 1
    assert plain <= made // 10
    assert set(codes) >= {"INVALID_ARGUMENT", "UNKNOWN_TOOL"}


def said(message: Any) -> Any:
    return message["role"], message["content"], [c["function"] for c in message.get("tool_calls", ())]


def test_mistakes_are_of_several_kinds(home):
    """Over some seeds there are calls out of order too, which the rules of the business refuse."""
    codes = Counter[str]()
    for world in worlddb.open_store(home)[:3]:
        for task in world.tasks:
            for seed in range(8):
                attempt = acted(world, task, Manner(recoveries=1.0, seed=seed))
                codes.update(refusal(attempt.messages[at + 1]["content"]) for at in wrong_turns(attempt.messages))
    assert set(codes) >= {"INVALID_ARGUMENT", "UNKNOWN_TOOL"}
    assert set(codes) & {"RULE_VIOLATION", "NOT_FOUND", "CONFLICT", "FORBIDDEN"}


def test_the_probability_of_mistakes(home):
    tasks = [(w, t) for w in worlddb.open_store(home) for t in w.tasks]
    for p, low, high in ((0.0, 0, 0), (0.5, 0.3, 0.7)):
        share = sum(
            bool(wrong_turns(acted(w, t, Manner(recoveries=p, seed=s)).messages)) for w, t in tasks for s in range(3)
        )
        assert low <= share / (3 * len(tasks)) <= high
    assert acted(*tasks[0], PLAIN) == gold_attempt(*tasks[0])


def test_thoughts_come_from_the_structure_alone(home):
    patterns = [re.escape(s).replace(r"\{\}", "(.*)") for s in {*_SENTENCES.values(), _MENDED}]
    for world in worlddb.open_store(home):
        titles = {t.title.lower() for t in world.toolset()}
        for task in world.tasks:
            attempt = acted(world, task, HARD)
            for message in (m for m in attempt.messages if m["role"] == "assistant"):
                text = message["content"]
                assert text.endswith(".")
                if message["tool_calls"][0]["function"]["name"] != SUBMIT:
                    (match,) = (m for p in patterns if (m := re.fullmatch(p, text)))
                    assert not match.groups() or match[1].lower() in titles, text
            assert all(not m["content"] for m in gold_attempt(world, task).messages if m["role"] == "assistant")


def test_masks(files):
    """What a loss should leave out is marked where the format has a mark, and cut off where it has none."""
    wrong = {r["worlddb"]["task"]: r["wrong_turns"] for r in files["trl."]}
    assert any(wrong.values())
    assert not all(wrong.values())
    for row, chat in zip(files["trl."], files["openai."], strict=True):
        assert [i for i, m in enumerate(chat["messages"]) if m.get("weight") == 0] == row["wrong_turns"]
    for row in files["trl-completion."]:
        last = wrong[row["worlddb"]["task"]]
        assert not last or len(row["prompt"]) == last[-1] + 2
        assert not wrong_turns(row["completion"])


# --- splits


def test_splits_share_no_structure(home, tmp_path):
    done = export_rows(home, Order("trl", splits_of("train=0.6,dev=0.2,eval=0.2")), tmp_path / "a.jsonl")
    sides = {p.stem: list(rows_in(p)) for p in done.rows}
    assert set(sides) == {"a-train", "a-dev", "a-eval"}
    assert sum(map(len, sides.values())) == WORLDS * TASKS
    structures = [{r["worlddb"]["card"]["structure"] for r in rows} for rows in sides.values()]
    assert sum(map(len, structures)) == len(set.union(*structures))


def test_shares_are_what_they_say():
    splits = splits_of("train=0.7,eval=0.1")
    found = Counter(splits.place(f"{i:016x}", bool) for i in range(20_000))
    assert {n: round(found[n] / 20_000, 1) for n in ("train", "eval", None)} == {"train": 0.7, "eval": 0.1, None: 0.2}


def test_sides_are_those_of_the_suites(home, tmp_path):
    from worlddb.adapters.common import tasks_in

    for side in ("train", "eval"):
        done = export_rows(home, Order("verl", splits_of(side)), tmp_path / f"{side}.jsonl")
        rows = list(rows_in(tmp_path / f"{side}.jsonl"))
        assert [r["extra_info"]["task"] for r in rows] == [t.id for _, t, _ in tasks_in(home, side)]
        assert done.left_out.get("it is in no split", 0) + len(rows) == WORLDS * TASKS


@pytest.mark.parametrize("text", ["test", "a=2", "a=0.5,a=0.5", "a=0.6,b=0.6", "=0.5", "a=0", "a b=0.1"])
def test_splits_that_are_none(text):
    with pytest.raises(BadRequest):
        splits_of(text)


def test_no_split_is_all():
    assert splits_of(None) == splits_of("all") == Splits()


# --- recorded attempts


@pytest.fixture(scope="module")
def runs(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gold, and for each task an attempt of an agent that does nothing, and one that says something wrong at first."""
    path = tmp_path_factory.mktemp("runs") / "runs.jsonl"
    with path.open("wb") as file:
        for world in worlddb.open_store(home):
            for task in world.tasks:
                idle = Talk(Episode(world, task))
                idle.act("Done.")
                file.writelines(write_attempts([gold_attempt(world, task), idle.attempt("idle")]))
    return path


def test_recorded_attempts(home, runs, tmp_path):
    done = export_rows(home, Order("trl"), tmp_path / "runs.jsonl", runs=runs)
    export_rows(home, Order("trl"), tmp_path / "gold.jsonl")
    assert (tmp_path / "runs.jsonl").read_bytes() == (tmp_path / "gold.jsonl").read_bytes()
    assert done.left_out == {"its reward is below 1": WORLDS * TASKS}
    done = export_rows(home, Order("trl", min_reward=0.0), tmp_path / "all.jsonl", runs=runs)
    assert list(done.rows.values()) == [2 * WORLDS * TASKS]
    assert {r["worlddb"]["agent"] for r in rows_in(tmp_path / "all.jsonl")} == {"gold", "idle"}
    done = export_rows(home, Order("trl", splits_of("eval")), tmp_path / "some.jsonl", runs=runs.parent)
    gold = export_rows(home, Order("trl", splits_of("eval")), tmp_path / "same.jsonl")
    assert list(done.rows.values()) == list(gold.rows.values())


def test_all_formats_take_recorded_attempts(home, runs, tmp_path):
    for name, form in FORMATS.items():
        done = export_rows(home, Order(name), tmp_path / f"{name}{form.ending}", runs=runs)
        for part, path in zip(form.parts, done.rows, strict=True):
            for row in rows_in(path):
                READERS[f"{name}.{part.name}"](row)


def test_runs_that_are_none(home, runs, tmp_path):
    with pytest.raises(StoreError, match="no recorded attempts"):
        export_rows(home, Order("trl"), tmp_path / "a.jsonl", runs=tmp_path / "nowhere")
    (tmp_path / "bad.jsonl").write_bytes(runs.read_bytes()[:-40])
    with pytest.raises(StoreError, match=r"bad\.jsonl, line \d+, is no recorded attempt"):
        export_rows(home, Order("trl"), tmp_path / "a.jsonl", runs=tmp_path / "bad.jsonl")
    with pytest.raises(BadRequest, match="needs the store of these runs"):
        export_rows(tmp_path, Order("trl", splits_of("eval")), tmp_path / "a.jsonl", runs=runs)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.jsonl"], "nothing is left behind"


def test_calls_at_once_and_text_that_is_no_json(home):
    """What agents do and gold does not: several calls in one message, arguments that are no JSON, words between calls."""
    world = worlddb.open_store(home)[0]
    task = world.tasks[0]
    talk, read = Talk(Episode(world, task)), next(t for t in world.toolset() if t.kind == "list")
    from worlddb.attempts import Said

    talk.act("Two at once.", [Said(read.name, {}), Said(read.name, '{"half')])
    talk.act(calls=[Said(SUBMIT, {"answer": 3})])
    example = Example(talk.attempt("odd"), Address(world=world.id, task=task.id, seed=1))
    for name in ("openai", "sharegpt", "actionstudio"):
        row = json.loads(orjson.dumps(FORMATS[name].parts[0].row(example)))
        if name == "sharegpt":
            READERS["sharegpt."](row)
            assert len(json.loads(row["conversations"][2]["value"])) == 2
        elif name == "openai":
            assert row["parallel_tool_calls"] is True
            assert row["messages"][2]["tool_calls"][1]["function"]["arguments"] == '{"half'
    assert arguments_object('{"half') == {"text": '{"half'}
    assert wrong_turns(talk.messages) == [], "one of the two calls was carried out"


# --- files


@pytest.mark.parametrize("name", ["sharegpt", "bfcl"])
def test_two_workers_write_the_same(home, tmp_path, name):
    order = Order(name, splits_of("train=0.8,eval=0.2"), HARD)
    one = export_rows(home, order, tmp_path / f"one{FORMATS[name].ending}", workers=1)
    two = export_rows(home, order, tmp_path / f"two{FORMATS[name].ending}", workers=2)
    assert [p.read_bytes() for p in one.rows] == [p.read_bytes() for p in two.rows]


def test_several_shards_are_put_together_in_order(tmp_path):
    worlddb.spawn(tmp_path / "out", 40, profile="tiny", tasks=1, workers=1)
    store = worlddb.open_store(tmp_path / "out")
    assert len(store.shards) > 1
    seen: list[tuple[int, int]] = []
    done = export_rows(store.path, Order("sharegpt"), progress=lambda n, of: seen.append((n, of)))
    (path,) = done.rows
    assert path == store.path / "sharegpt.json"
    rows = json.loads(path.read_text())
    assert [r["worlddb"]["task"] for r in rows] == [task.id for _, task in store.tasks()]
    assert seen[-1] == (40, 40)
    assert not [p for p in store.path.iterdir() if p.name.endswith(".partial")]


def test_what_is_refused(home, tmp_path):
    (tmp_path / "there.jsonl").write_text("precious")
    with pytest.raises(StoreError, match="exists already"):
        export_rows(home, Order("trl"), tmp_path / "there.jsonl")
    assert (tmp_path / "there.jsonl").read_text() == "precious"
    with pytest.raises(UnknownName, match="no format named 'xml'"):
        export_rows(home, Order("xml"), tmp_path / "a.jsonl")
    with pytest.raises(BadRequest, match="ends with"):
        export_rows(home, Order("trl"), tmp_path / "a.xml")
    with pytest.raises(BadRequest, match="no Parquet"):
        export_rows(home, Order("openai"), tmp_path / "a.parquet")
    with pytest.raises(StoreError, match="cannot be written"):
        export_rows(home, Order("trl"), tmp_path / "no" / "where.jsonl")
    worlddb.spawn(tmp_path / "bare", 1, profile="tiny", tasks=0, workers=1)
    with pytest.raises(StoreError, match="has no tasks"):
        export_rows(tmp_path / "bare", Order("trl"))
    for manner in ({"recoveries": 1.5}, {"thoughts": "deep"}):
        with pytest.raises(BadRequest):
            Manner(**manner)


def test_a_table_that_cannot_be_written_leaves_nothing(home, tmp_path, monkeypatch):
    monkeypatch.setattr("worlddb.export.tables.MEMORY", "10 parsecs")
    with pytest.raises(StoreError, match="cannot be written"):
        export_rows(home, Order("trl"), tmp_path / "a.parquet")
    assert not list(tmp_path.iterdir())


# --- the command


def command(*words: Any) -> Any:
    return CliRunner().invoke(cli, ["export", *map(str, words)])


def test_the_command(home, runs, tmp_path):
    assert set(ATTEMPTS) == set(FORMATS)
    out = tmp_path / "a.jsonl"
    said = command(home, "--format", "trl", "--out", out, "--recoveries", 0.5, "--thoughts", "template", "--workers", 1)
    assert said.exit_code == 0, said.output
    assert said.stdout == f"{WORLDS * TASKS} rows are in {out}; attempts left out: none\n"
    assert [r["wrong_turns"] for r in rows_in(out)] == [
        wrong_turns(acted(w, t, HARD).messages) for w in worlddb.open_store(home) for t in w.tasks
    ]
    said = command(
        home, "--format", "openai", "--from", runs, "--out", tmp_path / "b.jsonl", "--split", "train=0.5,eval=0.5"
    )
    assert f"{WORLDS * TASKS} because its reward is below 1" in said.stdout
    assert sorted(p.name for p in tmp_path.glob("b*")) == ["b-eval.jsonl", "b-train.jsonl"]
    assert "exists already" in command(home, "--format", "trl", "--out", out).stderr


def test_questions_have_splits_too(home, tmp_path):
    out = tmp_path / "q.jsonl"
    assert command(home, "--format", "nestful", "--out", out).exit_code == 0
    assert command(home, "--format", "nestful", "--out", out, "--split", "train=0.5,eval=0.5").exit_code == 0
    parts = [(tmp_path / f"q-{name}.jsonl").read_text().splitlines() for name in ("train", "eval")]
    assert sorted([*parts[0], *parts[1]]) == sorted(out.read_text().splitlines())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--split", "train"), "--format parquet takes no --split"),
        (("--format", "nestful", "--from", "x"), "--format nestful takes no --from"),
        (("--format", "trl", "--from", "x", "--thoughts", "template"), "--thoughts is of the gold"),
        (("--format", "xml"), "is not one of"),
        (("--format", "trl", "--recoveries", "2"), "recoveries is 2"),
    ],
)
def test_options_that_do_not_go_together(home, words, told):
    said = command(home, *words)
    assert said.exit_code != 0
    assert told in said.stderr


# --- the page of the documentation

PAGE = (Path(worlddb.__file__).parent.parent / "docs" / "exports.md").read_text()


def test_the_page_on_exports_is_true(tmp_path, monkeypatch, capsys):
    """Its commands run, in order, and so does all Python that needs no framework; tests/adapters/formats runs the rest."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(FORMATS, "pairs", FORMATS["trl"])
    for language, block in re.findall(r"```(sh|python)\n(.*?)```", PAGE, flags=re.DOTALL):
        if language == "sh":
            for line in block.splitlines():
                done = CliRunner().invoke(cli, [*line.split()[1:], "--workers", "1"])
                assert done.exit_code == 0, f"{line}\n{done.output}"
        elif "from datasets" not in block:
            exec(compile(block, "docs/exports.md", "exec"), {"__name__": "page"})
            assert capsys.readouterr().out.strip(), block
    assert set(re.findall(r"--format ([a-z-]+)", PAGE)) >= set(FORMATS) - {"pairs"}


def test_the_page_names_every_format():
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
    assert named == {*ATTEMPTS, "nestful", "parquet"}
