"""Check: a task that is not what it should be is told, with its id and in one line."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from click.testing import CliRunner

from worlddb.check import check_store
from worlddb.check_tasks import REASONS, meaning
from worlddb.cli import cli
from worlddb.gate import admit, interactive, policed, trials
from worlddb.shards import family_and_reason, pack_task, shard_path
from worlddb.spawner import spawn
from worlddb.store import open_store
from worlddb.tasks import enact, propose, withhold
from worlddb.tasks.model import GoldCall, Task

N, TASKS = 6, 4


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A store with tasks, not to be changed."""
    path = tmp_path_factory.mktemp("check") / "out"
    spawn(path, N, seed=800, profile="small", tasks=TASKS, workers=1)
    return path


@pytest.fixture
def copy(home, tmp_path):
    """A copy of that store, to damage."""
    return Path(shutil.copytree(home, tmp_path / "copy"))


def change(home: Path, name: str, how: Callable[[Task], Task]) -> None:
    """Store another task in the place of one."""
    store = open_store(home)
    task = next(t for _, t in store.tasks() if t.id == name)
    packed = store.codecs.tasks.pack(pack_task(how(task)))
    with sqlite3.connect(shard_path(home, 0)) as db:
        assert db.execute("UPDATE tasks SET task = ? WHERE id = ?", (packed, name)).rowcount == 1
    db.close()


def replace(**changes: object) -> Callable[[Task], Task]:
    return lambda task: msgspec.structs.replace(task, **changes)


def find(home: Path, wanted: Callable[[Task], bool]) -> Task:
    return next(t for _, t in open_store(home).tasks() if wanted(t))


def told(home: Path) -> dict[str, str]:
    """Where -> what of all faults but the catalogue's, which differs as well from a store that was tampered with."""
    return {f.where: f.what for f in check_store(home, workers=1).faults if f.where != "catalog"}


def invoke(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(cli, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done.output


def test_a_sound_store_and_its_figures(home):
    store = open_store(home)
    report = check_store(home, regrow=True, workers=1)
    assert report.ok, report.faults
    tasks = [t for _, t in store.tasks()]
    figures = report.tasks
    assert figures.asked == N * TASKS
    assert figures.admitted == figures.sound == len(tasks) > 0
    assert figures.short == sum(len(e.tasks) < TASKS for e in store.entries())
    assert figures.structures == len({t.card.structure for t in tasks})
    assert figures.proposed == sum(e.gated.proposed for e in store.entries())
    assert sum(f.tasks for f in figures.families) == len(tasks)
    assert sum(r.proposals for r in figures.rejected) == sum(sum(e.gated.rejected.values()) for e in store.entries())
    for family in figures.families:
        mine = [t for t in tasks if t.family == family.family]
        assert family.admitted == len(mine) - sum(bool(t.twin) for t in mine) // 2
        assert family.rate == (family.admitted / family.proposed if family.proposed else 0)


def test_two_workers_find_the_same(home):
    assert check_store(home, workers=2) == check_store(home, workers=1)


def test_a_gold_that_goes_wrong(copy):
    task = find(copy, lambda t: bool(t.goal.answers) and t.answer is not None and not t.twin)
    change(copy, task.id, replace(answer="something else altogether"))
    assert list(told(copy)) == [task.id]
    assert told(copy)[task.id].startswith("its gold earns 0: ")


def test_a_gold_call_that_is_refused(copy):
    task = find(copy, lambda t: not t.twin)
    unknown = GoldCall(tool=task.gold[0].tool, arguments={"nonsense": 1})
    change(copy, task.id, replace(gold=(*task.gold, unknown)))
    assert "takes no nonsense" in told(copy)[task.id]
    change(copy, task.id, replace(gold=(*task.gold, GoldCall(tool="nothing.get", arguments={}))))
    assert "this API has no tool 'nothing.get'" in told(copy)[task.id]


def test_a_goal_that_idleness_meets(copy):
    task = find(copy, lambda t: not t.twin)
    change(
        copy, task.id, replace(goal=msgspec.structs.replace(task.goal, alternatives=(), answers=(), needs=(), bans=()))
    )
    assert told(copy).keys() == {task.id}


def test_two_tasks_of_one_skeleton(copy):
    world = next(w for w in open_store(copy) if len(w.tasks) > 1)
    one, other = world.tasks[:2]
    change(copy, other.id, lambda t: replace(card=msgspec.structs.replace(t.card, skeleton=one.card.skeleton))(t))
    assert told(copy)[world.id] == f"2 tasks have the skeleton '{one.card.skeleton}'"


def test_a_task_of_another_world(copy):
    task = find(copy, lambda t: not t.twin)
    change(copy, task.id, replace(id="elsewhere-1/1"))
    assert told(copy)["elsewhere-1/1"] == f"it is stored with {task.world}"


def test_a_twin_that_is_none(copy):
    task = find(copy, lambda t: not t.twin)
    change(copy, task.id, replace(twin=f"{task.world}/99"))
    assert f"its twin '{task.world}/99' is not its twin" in told(copy)[task.id]


def test_more_tasks_than_were_asked_for(copy):
    file = copy / "store.json"
    recipe = json.loads(file.read_text())
    file.write_text(json.dumps(recipe | {"tasks": 1}))
    assert any("tasks, the store is to have 1 a world" in what for what in told(copy).values())


def test_made_again_they_must_be_the_same(copy):
    task = find(copy, lambda t: not t.twin)
    change(copy, task.id, replace(persona="somebody else"))
    assert check_store(copy, workers=1).tasks.sound == check_store(copy, workers=1).tasks.admitted
    faults = {f.where: f.what for f in check_store(copy, regrow=True, workers=1).faults}
    assert faults[task.world] == f"made again, its tasks differ: {task.id}"


def test_made_again_the_gate_must_note_the_same(copy):
    with sqlite3.connect(shard_path(copy, 0)) as db:
        db.execute("UPDATE gates SET proposed = proposed + 1 WHERE position = 0")
    db.close()
    faults = {f.where: f.what for f in check_store(copy, regrow=True, workers=1).faults}
    assert faults[open_store(copy)[0].id] == "made again, the gate notes other figures"


def test_tasks_of_another_version_are_not_made_again(home, monkeypatch):
    for module in ("check", "check_tasks"):
        monkeypatch.setattr(f"worlddb.{module}.task_version", lambda: "next")
    monkeypatch.setattr("worlddb.check_tasks.make_tasks", lambda *a: pytest.fail("tasks were made"))
    (fault,) = check_store(home, regrow=True, workers=1).faults
    assert fault.where == "store"
    assert "makes tasks of version next" in fault.what
    assert check_store(home, workers=1).ok


def test_tasks_of_a_broken_world_are_left_alone(copy):
    with sqlite3.connect(shard_path(copy, 0)) as db:
        db.execute("UPDATE worlds SET digest = 'x' WHERE position = 1")
    db.close()
    report = check_store(copy, workers=1)
    assert report.sound == N - 1
    assert report.tasks.asked == (N - 1) * TASKS


def test_families_and_reasons():
    assert family_and_reason("repair: no words: none") == ("repair", "no words: none")
    assert family_and_reason("odd") == ("", "odd")


def reasons_in(*modules: ModuleType) -> set[str]:
    """What the source of the gate gives as reasons; … stands for what is filled in."""
    found: set[str] = set()
    for module in modules:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                if ast.unparse(node.exc.func) in ("Rejected", "Stuck", "Failed", "Unheld", "Unproved"):
                    found |= texts_of(node.exc.args[0])
            elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and len(node.value.elts) == 2:
                if ast.unparse(node.value.elts[0]) == "family":  # of the proposer: (family, why there is no candidate)
                    found |= texts_of(node.value.elts[1])
            elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "self.rejected":
                found |= {t.removeprefix("…: ") for t in texts_of(node.slice)} - {"…"}
    return found


def texts_of(node: ast.expr) -> set[str]:
    """The texts that an expression may have."""
    if isinstance(node, ast.IfExp):
        return texts_of(node.body) | texts_of(node.orelse)
    if isinstance(node, ast.JoinedStr):
        parts = (str(p.value) if isinstance(p, ast.Constant) else "…" for p in node.values)
        return {re.sub("…+", "…", "".join(parts))}
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def test_every_reason_of_the_gate_is_explained_and_no_other():
    found = reasons_in(admit, trials, propose, enact, withhold, interactive, policed)
    assert {"a tie", "another shape", "nobody is there", "a dead call", "… is paid"} <= found, (
        "the scan has lost its way"
    )
    assert found == set(REASONS)


def test_a_reason_with_words_filled_in_is_explained():
    assert meaning("the gold with a change left out is paid") == REASONS["the gold with … is paid"]
    assert meaning("doing nothing is paid") == REASONS["… is paid"]
    assert meaning("another order is not paid") == REASONS["… is not paid"]
    assert meaning("deleting gets 0.31 of the shaped reward") == REASONS["… gets … of the shaped reward"]
    assert meaning("a reason of another version") == ""


# --- the command


def test_the_command_shows_the_figures(home):
    said = invoke("check", home, "--workers", 1)
    assert said.startswith(f"{N} of {N} worlds are sound\n")
    figures = check_store(home, workers=1).tasks
    assert f"{figures.sound} of {figures.admitted} tasks are sound, {N * TASKS} were asked for" in said
    assert all(f.family in said for f in figures.families)
    assert figures.rejected
    assert all(
        re.search(rf"^{re.escape(r.reason)}  +{re.escape(r.means)}$", said, flags=re.M) for r in figures.rejected
    )
    report = json.loads(invoke("check", home, "--json", "--workers", 1))
    assert report["tasks"] == json.loads(msgspec.json.encode(figures))


def test_the_command_compares_stores(home, tmp_path):
    other = tmp_path / "other"
    spawn(other, 2, seed=5, profile="tiny", tasks=0, workers=1)
    said = invoke("check", home, other, "--workers", 1)
    assert f"{home}: {N} of {N} worlds are sound" in said
    assert f"{home} and {other}" in said
    said = invoke("check", home, home, "--workers", 1, code=1)
    assert f"{N} worlds are the same; grow one of the stores from other seeds" in said
    report = json.loads(invoke("check", home, other, "--json", "--workers", 1))
    assert [s["worlds"] for s in report["content"]] == [N, 2]
    assert report["in_common"][0]["worlds"] == 0
    assert len(report["stores"]) == 2


def test_the_other_commands_know_tasks(home):
    tasks = [t for _, t in open_store(home).tasks()]
    rows = json.loads(invoke("list", home, "--json"))
    assert sum(row["tasks"] for row in rows) == len(tasks)
    assert "tasks" in invoke("list", home).splitlines()[0]
    said = invoke("show", tasks[0].world, "--store", home, "--rows", 0)
    assert tasks[0].id in said
    assert " ".join(tasks[0].instruction.split()) in said
