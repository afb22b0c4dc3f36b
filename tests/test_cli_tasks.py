"""Tasks from the shell: tasks, solve, verify, diff.

No test names a task: they are taken from a store by what they are.
"""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import worlddb
from worlddb.cli import cli
from worlddb.cli.line import read_words
from worlddb.episode.databases import compared
from worlddb.episode.play import judge
from worlddb.episode.show import (
    call_text,
    goal_lines,
    gold_lines,
    instruction_lines,
    result_lines,
    submitted_text,
    task_data,
    task_lines,
)
from worlddb.episode.solve import gold_calls, solve, submitted
from worlddb.episode.verify import UNANSWERED
from worlddb.errors import BadRequest, UnknownName
from worlddb.gate import tasks_of
from worlddb.schema.rules import quote
from worlddb.tasks.goal import Alternative, AtMost, Delete, Equal, Goal, Insert, Need, Never, Pool, Row, Update
from worlddb.tasks.model import Task
from worlddb.tools.show import answer_data, answer_lines, change_data
from worlddb.world.diff import Diff
from worlddb.world.model import World

SEED, N, TASKS = 21, 4, 8


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A store with tasks, not to be changed."""
    path = tmp_path_factory.mktemp("tasks") / "out"
    worlddb.spawn(path, N, seed=SEED, profile="small", tasks=TASKS, workers=1)
    return path


@pytest.fixture(scope="module")
def worlds(home) -> list[World]:
    return list(worlddb.open_store(home))


@pytest.fixture(scope="module")
def all_tasks(worlds) -> list[tuple[World, Task]]:
    return [(w, t) for w in worlds for t in w.tasks]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: object, code: int = 0, given: str = "") -> str:
    """The output of a command that ends with the given status."""
    result = CliRunner().invoke(cli, [str(a) for a in arguments], input=given)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def refused(*arguments: object, code: int = 1, given: str = "") -> str:
    """The one line that a mistake gives."""
    said = run(*arguments, code=code, given=given)
    assert said.startswith("Error: ")
    assert said.count("\n") == 1, said
    return said


def writing(all_tasks) -> tuple[World, Task]:
    return next((w, t) for w, t in all_tasks if t.card.writes)


def asking(all_tasks) -> tuple[World, Task]:
    return next((w, t) for w, t in all_tasks if t.plan.asked and t.plan.asked.shape != "none" and not t.card.writes)


def number(task: Task) -> str:
    return task.id.rpartition("/")[2]


# --- tasks


def test_tasks_lists_them_with_their_structure(home, worlds):
    for world in worlds:
        lines = run("tasks", world.id, "--store", home).splitlines()
        assert lines[0].split() == ["task", "family", "calls", "writes", "depth/width", "instruction"]
        assert len(lines) == 2 + len(world.tasks)
        assert set(lines[1]) == {"─", " "}
        assert len(lines[1]) <= 80 < max(map(len, lines)), (
            "where there is no terminal, rows are whole, and the rule is short"
        )
        for line, task in zip(lines[2:], world.tasks, strict=True):
            card = task.card
            first = [number(task), task.family, str(card.calls), str(card.writes), f"{card.depth}/{card.width}"]
            assert line.split()[:5] == first
            assert line.endswith(" ".join(task.instruction.split()))


def test_a_task_is_shown_whole(home, all_tasks):
    for world, task in all_tasks[:6]:
        said = run("tasks", world.id, number(task), "--store", home)
        assert said == run("tasks", world.id, task.id, "--store", home)
        flat = " ".join(said.split())
        assert " ".join(task.instruction.split()) in flat
        for call in gold_calls(task, world.toolset()):
            assert call_text(call.name, call.arguments) in said
        for sql in (*task.proofs.values(), *task.sql):
            assert sql in said
        for title in ("Card", "Gold", "Goal", "Answer of the gold", "The gate"):
            assert f"\n{title}" in said
        assert f"calls {task.card.calls}, writes {task.card.writes}" in said
        assert task.card.structure in said


def test_tasks_as_json(home, worlds):
    data = json.loads(run("tasks", worlds[0].id, "--store", home, "--json"))
    assert [d["id"] for d in data] == [t.id for t in worlds[0].tasks]
    one = json.loads(run("tasks", worlds[0].id, "1", "--store", home, "--json"))
    assert one == data[0]
    task = worlds[0].tasks[0]
    assert [c["name"] for c in one["gold"]] == [c.name for c in gold_calls(task, worlds[0].toolset())]
    assert set(one) == set(Task.__struct_fields__)
    assert one["card"]["hidden"] == task.card.hidden


def test_tasks_of_a_profile_are_made_anew():
    said = json.loads(run("tasks", SEED, "--profile", "small", "--task-profile", "easy", "--n", 3, "--json"))
    world = worlddb.generate(SEED, "small")
    assert [d["instruction"] for d in said] == [t.instruction for t in tasks_of(world, 3, "easy").tasks]


def test_what_tasks_does_not_find(home, tmp_path):
    worlddb.spawn(tmp_path / "bare", 1, seed=SEED, profile="tiny", tasks=0, workers=1)
    assert "make some with --n 10" in refused("tasks", "#0", "--store", tmp_path / "bare")
    assert "no task named" in refused("tasks", "#0", "99", "--store", home)
    assert "no world named" in refused("tasks", "nothing", "--store", home)
    assert "did you mean 'hard'" in refused("tasks", "#0", "--store", home, "--task-profile", "hrad")


# --- solve


def test_every_task_of_a_world_is_solved(home, worlds):
    for world in worlds:
        lines = run("solve", world.id, "--all", "--store", home).splitlines()[2:]
        assert [line.split()[0] for line in lines] == [number(t) for t in world.tasks]
        assert all("success: reward 1" in line for line in lines)


def test_solve_shows_calls_changes_answer_and_verdict(home, all_tasks):
    for world, task in (writing(all_tasks), asking(all_tasks)):
        said = run("solve", world.id, number(task), "--store", home)
        for at, call in enumerate(gold_calls(task, world.toolset()), start=1):
            assert f"\n{at}> {call_text(call.name, call.arguments)}\n" in said
        shown = re.findall(r"^[+~-] (\S+ \S+)", said, flags=re.M)
        diff = solve(world, task).session.diff()
        rows = {f"{world.schema[c.table].name} {'/'.join(map(str, c.key))}" for c in diff}
        assert {row.rstrip(":") for row in shown} == rows
        assert f"submitted: {submitted_text(submitted(task))}\n" in said
        assert said.endswith("success: reward 1, shaped 1.000\n") or "\nNOTE " in said


def test_solve_without_a_call_says_what_is_missing(home, all_tasks):
    world, task = writing(all_tasks)
    at = next(i for i, c in enumerate(task.gold, start=1) if c.writes)
    said = run("solve", world.id, number(task), "--drop", at, "--store", home, code=1)
    assert f"\nleft out: {gold_lines(task, world.toolset())[at - 1].strip()}\n" in said
    assert "\nfailed (" in said
    assert re.search(r"^(MISSING|WRONG|ANSWER|EXTRA) ", said, flags=re.M)
    data = json.loads(run("solve", world.id, number(task), "--drop", at, "--store", home, "--json", code=1))
    assert data["verdict"]["success"] is False
    assert data["verdict"]["lines"]
    assert len(data["calls"]) == len(task.gold) - 1


def test_solve_as_json(home, all_tasks):
    world, task = writing(all_tasks)
    data = json.loads(run("solve", world.id, task.id, "--store", home, "--json"))
    episode = solve(world, task)
    assert [c["tool"] for c in data["calls"]] == [e.name for e in episode.session.journal]
    assert data["changes"] == [json.loads(json.dumps(change_data(world.schema, c))) for c in episode.session.diff()]
    assert data["verdict"]["reward"] == 1
    both = json.loads(run("solve", world.id, "--all", "--store", home, "--json"))
    assert data in both


def test_solve_in_another_style(home, all_tasks):
    world, task = writing(all_tasks)
    said = run("solve", world.id, number(task), "--style", "rest", "--store", home)
    for call in gold_calls(task, world.toolset("rest")):
        assert f"> {call.name}" in said
    assert "success" in said


def test_mistakes_of_solve(home, all_tasks):
    world, task = writing(all_tasks)
    where = ("--store", home)
    assert f"has the calls 1 to {len(task.gold)}" in refused("solve", world.id, number(task), "--drop", 99, *where)
    assert "either a TASK or --all" in run("solve", world.id, *where, code=2)
    assert "either a TASK or --all" in run("solve", world.id, "1", "--all", *where, code=2)
    assert "leave out --all" in run("solve", world.id, "--all", "--drop", "1", *where, code=2)
    Path("there.json").write_text("{}")
    assert "exists already" in refused("solve", world.id, "1", "--record", "there.json", *where)


# --- verify: trajectories


def recorded(home: Path, world: World, task: Task, *more: object, code: int = 0) -> Path:
    file = Path(f"{number(task)}.json")
    file.unlink(missing_ok=True)
    run("solve", world.id, number(task), "--store", home, "--record", file, *more, code=code)
    return file


def test_recorded_golds_are_verified(home, all_tasks):
    for world, task in all_tasks[:TASKS]:
        file = recorded(home, world, task)
        assert run("verify", file, "--store", home).startswith("success: reward 1")
        assert json.loads(run("verify", file, "--store", home, "--json"))["reward"] == 1
        assert judge(file.read_bytes(), world, task).success


def test_a_failure_has_status_1_and_its_lines(home, all_tasks):
    world, task = writing(all_tasks)
    at = next(i for i, c in enumerate(task.gold, start=1) if c.writes)
    file = recorded(home, world, task, "--drop", at, code=1)
    said = run("verify", file, "--store", home, code=1)
    assert said.startswith("failed (")
    shown = run("solve", world.id, number(task), "--drop", at, "--store", home, code=1)
    assert said in shown
    assert json.loads(run("verify", file, "--store", home, "--json", code=1))["lines"]


def test_messages_are_a_trajectory_too(home, all_tasks):
    for world, task in (writing(all_tasks), asking(all_tasks)):
        calls = [(c.name, c.arguments) for c in gold_calls(task, world.toolset())]
        answer = submitted(task)
        calls.append(("submit", {} if answer is UNANSWERED else {"answer": answer}))
        messages: list[dict[str, Any]] = [{"role": "user", "content": task.instruction}]
        for at, (name, arguments) in enumerate(calls):
            function = {"name": name, "arguments": json.dumps(arguments)}
            made = {"id": f"call_{at}", "type": "function", "function": function}
            messages += [
                {"role": "assistant", "tool_calls": [made]},
                {"role": "tool", "tool_call_id": f"call_{at}", "content": "…"},
            ]
        text = json.dumps(messages)
        assert "success" in run("verify", "-", "--task", task.id, "--store", home, given=text)
        assert "add --task" in refused("verify", "-", "--store", home, given=text, code=2)
        whole = json.dumps({"messages": messages, "task": task.id, "world": world.id})
        assert "success" in run("verify", "-", "--store", home, given=whole)


def test_a_record_tells_how_its_task_was_made():
    world = worlddb.generate(SEED, "small")
    (task,) = tasks_of(world, 1, "easy").tasks[:1]
    run(
        "solve",
        SEED,
        "1",
        "--profile",
        "small",
        "--task-profile",
        "easy",
        "--n",
        1,
        "--style",
        "camel",
        "--record",
        "a.json",
    )
    data = json.loads(Path("a.json").read_text())
    assert (data["profile"], data["task_profile"], data["n"], data["style"]) == ("small", "easy", 1, "camel")
    assert data["task"] == task.id
    assert run("verify", "a.json").startswith("success")


def test_a_record_of_another_task_of_that_number_is_refused(home, all_tasks):
    world, task = all_tasks[0]
    file = recorded(home, world, task)
    said = refused("verify", file, "--store", home, "--task-profile", "hard", "--n", 3, code=2)
    assert "another task than this" in said or "no task named" in said


def test_what_cannot_be_judged_has_status_2(home, all_tasks):
    world, task = writing(all_tasks)
    where = ("--store", home)
    assert "cannot be read" in refused("verify", "nothing.json", code=2)
    for text in ("no JSON", "3", '{"calls": 5}', '[{"role": "assistant", "tool_calls": [{}]}]', '{"calls": [{}]}'):
        assert "no recorded trajectory" in refused("verify", "-", "--task", task.id, *where, given=text, code=2)
    record = {"world": world.id, "task": task.id, "calls": []}
    other = json.dumps({**record, "world": "other-1"})
    assert "other-1" in refused("verify", "-", *where, given=other, code=2)
    lost = json.dumps({**record, "task": f"{world.id}/99"})
    assert "no task named" in refused("verify", "-", *where, given=lost, code=2)
    assert "as in hotel-12/3" in refused("verify", "-", "--task", "3", *where, given=json.dumps(record), code=2)
    assert "either a TRAJECTORY.json or --after" in run("verify", code=2)
    assert "either a TRAJECTORY.json or --after" in run("verify", "a.json", "--after", "b.sqlite", code=2)
    assert "go with --after" in run("verify", "a.json", "--answer", "3", code=2)
    idle = json.loads(run("verify", "-", *where, "--json", given=json.dumps(record), code=1))
    assert (idle["reward"], idle["ring"]) == (0, "never acted")


# --- verify: snapshots


def saved(world: World, diff: Diff, name: str) -> Path:
    """A file with the world as it is after some changes."""
    file = world.save(Path(name))
    db = sqlite3.connect(file)
    for change in diff:
        table = world.schema[change.table]
        keys = " AND ".join(f"{quote(table[k].name)} = ?" for k in table.primary_key)
        if change.before is not None:
            assert db.execute(f"DELETE FROM {quote(table.name)} WHERE {keys}", change.key).rowcount == 1
    for change in diff:
        if change.after is not None:
            marks = ", ".join("?" * len(change.after))
            table = world.schema[change.table]
            columns = ", ".join(quote(c.name) for c in table.columns)
            db.execute(f"INSERT INTO {quote(table.name)} ({columns}) VALUES ({marks})", change.after)
    db.commit()
    db.close()
    return file


def test_snapshots_of_golds_are_verified(home, all_tasks):
    for world, task in all_tasks[: 2 * TASKS]:
        name = task.id.replace("/", "-")
        before, after = (
            world.save(Path(f"{name}-a.sqlite")),
            saved(world, solve(world, task).session.diff(), f"{name}-b.sqlite"),
        )
        answer = submitted(task)
        given = () if answer is UNANSWERED else ("--answer", json.dumps(answer))
        said = run("verify", "--task", task.id, "--before", before, "--after", after, *given, "--store", home)
        assert said.startswith("success")
        assert said == run("verify", "--task", task.id, "--after", after, *given, "--store", home)
        assert ("not judged: evidence" in said) == bool(task.goal.needs)
        if not task.goal.changes_nothing:
            failed = run(
                "verify", "--task", task.id, "--before", before, "--after", before, *given, "--store", home, code=1
            )
            assert "MISSING" in failed


def test_an_answer_may_be_plain_text(home, all_tasks):
    found = [(w, t) for w, t in all_tasks if isinstance(t.answer, str) and not t.card.writes]
    for world, task in found:
        after = world.save(Path(f"{task.id.replace('/', '-')}.sqlite"))
        assert "success" in run("verify", "--task", task.id, "--after", after, "--answer", task.answer, "--store", home)
        assert "ANSWER" in run("verify", "--task", task.id, "--after", after, "--answer", "x", "--store", home, code=1)
        assert "ANSWER" in run("verify", "--task", task.id, "--after", after, "--store", home, code=1)
    assert found


def test_what_snapshots_cannot_be_judged(home, all_tasks):
    world, task = writing(all_tasks)
    world.save(Path("a.sqlite"))
    Path("b.sqlite").write_text("no database")
    where = ("--store", home)
    assert "say which task" in refused("verify", "--after", "a.sqlite", *where, code=2)
    assert "b.sqlite" in refused("verify", "--task", task.id, "--after", "b.sqlite", *where, code=2)
    assert "c.sqlite" in refused(
        "verify", "--task", task.id, "--after", "a.sqlite", "--before", "c.sqlite", *where, code=2
    )


# --- diff


def test_the_diff_of_files_is_that_of_the_episode(all_tasks):
    for world, task in all_tasks[:TASKS]:
        name = task.id.replace("/", "-")
        diff = solve(world, task).session.diff()
        files = world.save(Path(f"{name}-a.sqlite")), saved(world, diff, f"{name}-b.sqlite")
        wanted = [json.loads(json.dumps(change_data(world.schema, c))) for c in diff]
        found = json.loads(run("diff", *files, "--json"))
        order = lambda c: (c["table"], repr(c["key"]))  # noqa: E731
        assert sorted(found, key=order) == sorted(wanted, key=order)
        back = json.loads(run("diff", *reversed(files), "--json"))
        assert [(c["before"], c["after"]) for c in back] == [(c["after"], c["before"]) for c in found]
        assert f"{len(wanted)} row{'s' * (len(wanted) != 1)} changed" in run("diff", *files) or not wanted


def database(name: str, *statements: str) -> Path:
    file = Path(name)
    file.unlink(missing_ok=True)
    db = sqlite3.connect(file)
    for sql in statements:
        db.execute(sql)
    db.commit()
    db.close()
    return file


PARTS = (
    "CREATE TABLE part (id INTEGER PRIMARY KEY, label TEXT, image BLOB)",
    'CREATE TABLE "bill of" (part INT, "of" TEXT, n REAL, PRIMARY KEY (part, "of")) WITHOUT ROWID',
    "INSERT INTO part VALUES (1, 'nut', x'00ff'), (2, 'bolt', NULL)",
    "INSERT INTO \"bill of\" VALUES (1, 'a', 2.5), (2, 'a', 1)",
)


def test_diff_of_any_database():
    one = database("one.db", *PARTS)
    changes = (
        "UPDATE part SET label = 'Nut', image = x'01' WHERE id = 1",
        "DELETE FROM part WHERE id = 2",
        "INSERT INTO \"bill of\" VALUES (3, 'b', 4)",
    )
    two = database("two.db", *PARTS, *changes)
    said = run("diff", one, two)
    assert said.splitlines() == [
        "+ bill of 3/b: n: 4.0",
        '~ part 1: label: "nut" -> "Nut"',
        next(line for line in said.splitlines() if line.startswith("~ part 1: image: ")),
        '- part 2: label: "bolt"',
        "3 rows changed: 1 inserted, 1 updated, 1 deleted",
    ]
    data = json.loads(run("diff", one, two, "--table", "part", "--json"))
    assert [(c["op"], c["key"]) for c in data] == [("update", {"id": 1}), ("delete", {"id": 2})]
    assert (data[0]["before"]["image"], data[0]["after"]["image"]) == ("x'00ff'", "x'01'")
    assert run("diff", one, one) == "no rows changed\n"
    assert sqlite3.connect(one).execute("SELECT count(*) FROM part").fetchone() == (2,)


def test_a_diff_reads_what_is_in_a_log():
    one = database("one.db", *PARTS)
    two = database("two.db", *PARTS)
    db = sqlite3.connect(two)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("UPDATE part SET label = 'logged' WHERE id = 1")
    db.commit()
    assert '~ part 1: label: "nut" -> "logged"' in run("diff", one, two)
    db.execute("UPDATE part SET label = 'open' WHERE id = 1")
    assert "logged" in run("diff", one, two)
    db.close()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ((PARTS[0],), "only one has the table bill of, not the one after"),
        (
            ("CREATE TABLE part (id INTEGER PRIMARY KEY, name TEXT, image BLOB)", PARTS[1]),
            r"part has other columns \(label, name\)",
        ),
        (("CREATE TABLE part (label TEXT, id INTEGER PRIMARY KEY, image BLOB)", PARTS[1]), "in another order"),
        (("CREATE TABLE part (id INTEGER, label TEXT PRIMARY KEY, image BLOB)", PARTS[1]), "keys in another order"),
    ],
)
def test_schemas_that_differ(other, message):
    one, two = database("one.db", *PARTS), database("two.db", *other)
    assert re.search(message, refused("diff", one, two))
    with pytest.raises(BadRequest, match="the schemas differ"):
        compared(one, two)


def test_rows_without_keys():
    bare = database("bare.db", *PARTS, "CREATE TABLE log (line TEXT)")
    assert "log has no primary key" in refused("diff", bare, bare)
    assert run("diff", bare, bare, "--table", "part") == "no rows changed\n"
    empty = database("empty.db", "CREATE TABLE t (code TEXT PRIMARY KEY)", "INSERT INTO t VALUES (NULL), (NULL)")
    assert "t has rows whose primary key is NULL" in refused("diff", empty, empty)


def test_files_that_are_none():
    one = database("one.db", *PARTS)
    Path("text.db").write_text("no database at all, but long enough to be read as one")
    assert "no file missing.db" in refused("diff", one, "missing.db")
    assert "text.db" in refused("diff", one, "text.db")
    assert "did you mean 'part'" in refused("diff", one, one, "--table", "prat")
    with pytest.raises(UnknownName):
        compared(one, one, ["nothing"])


# --- export


def test_export_of_questions(home):
    said = run("export", home, "--format", "nestful", "--out", "questions.jsonl")
    lines = Path("questions.jsonl").read_text().splitlines()
    assert said.startswith(f"{len(lines)} samples are in questions.jsonl; tasks left out: ")
    assert len(lines) + sum(map(int, re.findall(r"(\d+) because", said))) == N * TASKS
    assert "exists already" in refused("export", home, "--format", "nestful", "--out", "questions.jsonl")


# --- lines


def test_a_call_is_shown_as_one_types_it(all_tasks):
    for world, task in all_tasks:
        for call in gold_calls(task, world.toolset()):
            name, *words = shlex.split(call_text(call.name, call.arguments))
            assert name == call.name
            assert read_words(world.toolset()[name], words) == call.arguments


def test_long_answers_are_shortened(all_tasks):
    for world, task in all_tasks:
        for entry in solve(world, task).session.journal:
            items = world.toolset()[entry.name].reply.items
            lines, whole = result_lines(entry.result, items), answer_lines(answer_data(entry.result), 110, items)
            assert lines == (whole if len(whole) <= 9 else [*whole[:8], f"(… {len(whole) - 8} more lines)"])


def test_prose_is_as_wide_as_the_page(all_tasks):
    for world, task in all_tasks:
        lines = task_lines(task, world.toolset(), 80)
        prose = lines[: lines.index("Card")] + instruction_lines(task, 80)
        assert all(len(line) <= 80 for line in prose)
        assert task_data(task, world.toolset())["instruction"] == task.instruction


def test_goals_in_words(worlds):
    world = worlds[0]
    table = next(t for t in world.schema.tables if len(t.primary_key) == 1)
    column = next(c for c in table.columns if c.key not in table.primary_key)
    wanted = {column.key: Equal("x")}
    ways = (
        Alternative(inserts=(Insert(var="new1", table=table.key, values={}),), deletes=(Delete(table=table.key, key=(7,)),)),
        Alternative(updates=(Update(table=table.key, key=(3,), values=wanted),)),
        Alternative(pools=(Pool(table=table.key, keys=((1,), (2,)), count=1, values=wanted),)),
        Alternative(pools=(Pool(table=table.key, keys=((1,), (2,)), count=1, values=None),)),
    )  # fmt: skip
    goal = Goal(
        alternatives=ways, tolerated=((table.key, column.key), (table.key, "")),
        needs=(Need(ways=((Row(table.key, (5,)),), (Row(table.key, (6,)),))),),
        bans=(Never(table=table.key, op="delete", say="Nothing is thrown away."), AtMost(count=2)),
    )  # fmt: skip
    name = table.name
    assert goal_lines(world.schema, goal) == [
        "must change in one of 4 ways, and nothing else:",
        "1.", f"+ {name} new1: a new row", f"- {name} 7",
        "2.", f"~ {name} 3: {column.name}: 'x'",
        "3.", f"~ 1 of {name} 1, 2: {column.name}: 'x'",
        "… and 1 more ways",
        f"may change as it likes: {name}.{column.name}", f"may change as it likes: {name}",
        f"read before answering: {name} 5, or 1 other ways to know it",
        "forbidden: Nothing is thrown away.", "forbidden: AtMost (count 2)",
    ]  # fmt: skip
    assert goal_lines(world.schema, Goal()) == ["nothing may change"]
