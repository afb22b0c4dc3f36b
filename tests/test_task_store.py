"""Tasks in a store: what was made comes back, whoever asks for it and however it was grown."""

from __future__ import annotations

import pickle
import shutil
import sqlite3
from pathlib import Path

import msgspec
import pytest

from tests.growing import begun, content, run
from worlddb import gate
from worlddb.catalog import catalog_path, differences, task_counts, worlds
from worlddb.check import check_store
from worlddb.codecs import DICTIONARIES
from worlddb.errors import BadRequest, BrokenPromise, StoreError, UnknownName
from worlddb.request import Request, plan, shard_size, shipped_dictionaries, task_version
from worlddb.shards import pack_task, read_shard, shard_path
from worlddb.spawner import make_tasks, spawn
from worlddb.store import open_store
from worlddb.world.generate import generate

N, SEED, TASKS = 24, 700, 4
ARGUMENTS = ["--n", N, "--seed", SEED, "--profile", "small", "--tasks", TASKS]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A store with tasks, not to be changed."""
    path = tmp_path_factory.mktemp("tasks") / "out"
    spawn(path, N, seed=SEED, profile="small", tasks=TASKS, workers=1)
    return path


@pytest.fixture
def copy(home, tmp_path):
    """A copy of that store, to damage."""
    return Path(shutil.copytree(home, tmp_path / "copy"))


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A store without tasks."""
    path = tmp_path_factory.mktemp("bare") / "out"
    spawn(path, 3, seed=SEED, profile="tiny", tasks=0, workers=1)
    return path


# --- what comes back


def test_stored_tasks_are_those_of_the_gate(home):
    for world in open_store(home)[:4]:
        batch = gate.tasks_of(generate(world.recipe.seed, "small"), TASKS)
        assert world.tasks == batch.tasks
        assert [pack_task(t) for t in world.tasks] == [pack_task(t) for t in batch.tasks]
        assert {t.world for t in world.tasks} == {world.id}


def test_what_the_gate_noted_comes_back(home):
    for entry in list(open_store(home).entries())[:4]:
        batch = gate.tasks_of(entry.world(), TASKS)
        assert entry.gated == (batch.proposed, batch.rejected, batch.figures)


def test_all_tasks_of_a_store(home):
    store = open_store(home)
    listed = [(world.id, task) for world in store for task in world.tasks]
    assert list(store.tasks()) == listed
    assert store.count_tasks() == len(listed) > N * TASKS // 2
    assert [t for e in store.entries() for t in e.tasks] == [t for _, t in listed]


def test_tasks_are_read_without_unpacking_worlds(home, monkeypatch):
    monkeypatch.setattr("worlddb.shards.Entry.world", lambda self: pytest.fail("a world was unpacked"))
    assert sum(1 for _ in open_store(home).tasks()) == open_store(home).count_tasks()


def test_a_task_by_number_or_id(home):
    world = next(w for w in open_store(home) if w.tasks)
    task = world.tasks[-1]
    number = task.id.rpartition("/")[2]
    assert world.task(number) == world.task(int(number)) == world.task(task.id) == task
    with pytest.raises(UnknownName, match=rf"no task named '{world.id}/99'"):
        world.task(99)
    with pytest.raises(UnknownName, match="no task named 'other-1/1'"):
        world.task("other-1/1")


def test_a_generated_world_grows_ten_tasks_once(monkeypatch):
    world, made = generate(SEED, "small"), []
    whole = gate.tasks_of
    monkeypatch.setattr(gate, "tasks_of", lambda *a, **k: made.append(a) or whole(*a, **k))
    assert not world.holds_tasks
    assert world.tasks is world.tasks
    assert world.holds_tasks
    assert len(made) == 1
    assert world.tasks == whole(world, 10, "default").tasks


def test_a_world_of_a_store_without_tasks_has_none(bare, monkeypatch):
    monkeypatch.setattr(gate, "tasks_of", lambda *a, **k: pytest.fail("tasks were made"))
    assert [w.tasks for w in open_store(bare)] == [()] * 3
    assert list(open_store(bare).tasks()) == []
    assert open_store(bare).count_tasks() == 0


def test_worlds_with_tasks_compare_and_pickle_as_before(home):
    world, grown = open_store(home)[0], generate(SEED, "small")
    assert world == grown
    again = pickle.loads(pickle.dumps(world))
    assert again == world
    assert again.holds_tasks
    assert again.tasks == world.tasks
    assert not pickle.loads(pickle.dumps(grown)).holds_tasks
    shutil.copytree(home, home.parent / "gone")
    lone = open_store(home.parent / "gone")[0]
    shutil.rmtree(home.parent / "gone")
    assert pickle.loads(pickle.dumps(lone)).tasks == world.tasks


# --- the same bytes, however it was grown


def test_workers_and_kills_make_no_difference(home, tmp_path):
    wanted = content(home)
    two = run("spawn", *ARGUMENTS, "--workers", 2, "--out", tmp_path / "two", PYTHONHASHSEED="3")
    assert two.returncode == 0, two.stderr
    assert f"{N} worlds in {tmp_path / 'two'} with {open_store(home).count_tasks()} tasks: " in two.stdout
    assert content(tmp_path / "two") == wanted
    process = begun(tmp_path / "killed", *ARGUMENTS, "--workers", 1)
    process.kill()
    process.wait()
    assert not (tmp_path / "killed" / "shards" / "00001.sqlite").exists()
    done = run("spawn", "--resume", "--out", tmp_path / "killed")
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "killed") == wanted


def test_lost_shards_and_catalogues_are_made_again(home, copy):
    shard_path(copy, 0).unlink()
    catalog_path(copy).unlink()
    spawn(copy, resume=True, workers=1)
    assert content(copy) == content(home)


# --- the recipe


def test_the_recipe_says_what_makes_tasks(home, bare):
    recipe = open_store(home).recipe
    assert (recipe.tasks, recipe.task_profile, recipe.task_version) == (TASKS, "default", task_version())
    recipe = open_store(bare).recipe
    assert (recipe.tasks, recipe.task_profile, recipe.task_version) == (0, "", "")
    asked = plan(Request(n=1), "0" * 16)
    assert (asked.tasks, asked.task_profile, asked.scope) == (10, "default", None)
    assert plan(Request(n=1, task_profile="hard"), "0" * 16).task_profile == "hard"


def test_the_task_version_follows_words_and_tools(tmp_path, monkeypatch):
    files = {"api.yaml": "naming/api.yaml", "lexicon": "wording/lexicon.yaml", "no": "domains/hotel.yaml"}
    for path in files.values():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("a")
    monkeypatch.setattr("worlddb.request.folder", lambda name: tmp_path)
    before = task_version.__wrapped__()
    (tmp_path / files["no"]).write_text("b")
    assert task_version.__wrapped__() == before
    for name in ("api.yaml", "lexicon"):
        (tmp_path / files[name]).write_text("b")
        after = task_version.__wrapped__()
        assert after != before
        before = after


def test_shards_are_smaller_with_tasks():
    assert shard_size(("tiny",), 0) == 32 > shard_size(("tiny",), 10) == 8
    assert shard_size(("huge",), 0) == shard_size(("huge",), 1000) == 1


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"tasks": -1}, BadRequest, "tasks is -1; ask for 1 or more for each world, or for 0"),
        ({"task_profile": "hrad"}, UnknownName, "no task profile named 'hrad'; did you mean 'hard'"),
    ],
)
def test_bad_requests(tmp_path, arguments, kind, message):
    with pytest.raises(kind, match=message):
        spawn(tmp_path / "out", 1, **arguments)
    assert not (tmp_path / "out").exists()


def test_a_store_of_other_tasks_is_not_completed(home):
    with pytest.raises(StoreError, match="tasks is 4 there, 5 here"):
        spawn(home, tasks=5, resume=True)
    with pytest.raises(StoreError, match="task_profile is default there, hard here"):
        spawn(home, task_profile="hard", resume=True)
    assert len(spawn(home, resume=True)) == N


def test_a_store_of_another_version_of_tasks(home, monkeypatch):
    monkeypatch.setattr("worlddb.request.task_version", lambda: "next")
    with pytest.raises(StoreError, match=r"task_version is .* there, next here\); complete it with the worlddb"):
        spawn(home, resume=True)


@pytest.mark.parametrize("wrong", [["x-1/1"], ["{id}/2", "{id}/1"], ["{id}/1", "{id}/1"]])
def test_a_gate_that_gives_wrong_ids_is_a_bug(home, monkeypatch, wrong):
    world = open_store(home)[0]
    batch = gate.tasks_of(world, 1)
    tasks = tuple(msgspec.structs.replace(batch.tasks[0], id=w.format(id=world.id)) for w in wrong)
    monkeypatch.setattr(gate, "tasks_of", lambda *a, **k: msgspec.structs.replace(batch, tasks=tasks))
    with pytest.raises(BrokenPromise, match="have the ids"):
        make_tasks(world, open_store(home).recipe)


# --- size


def test_a_task_takes_little_room(home, tmp_path):
    """Beside what the same store takes without tasks; 2 KB are the budget."""
    spawn(tmp_path / "bare", N, seed=SEED, profile="small", tasks=0, workers=1)
    sizes = [sum(p.stat().st_size for p in (path / "shards").iterdir()) for path in (home, tmp_path / "bare")]
    assert (sizes[0] - sizes[1]) / open_store(home).count_tasks() <= 2048


def test_the_dictionary_of_tasks_is_kept_beside_the_others(home):
    recipe = open_store(home).recipe
    assert len(recipe.dictionaries) == len(DICTIONARIES) == 3
    assert [(home / name).read_bytes() for name in DICTIONARIES] == shipped_dictionaries()


# --- the catalogue


def test_the_catalogue_lists_the_tasks(home):
    store = open_store(home)
    assert differences(store) == []
    assert task_counts(store) == {e.position: len(e.tasks) for e in store.entries() if e.tasks}
    db = sqlite3.connect(catalog_path(home))
    sql = (
        "SELECT world || '/' || number, family, instruction, calls, structure FROM tasks JOIN worlds USING (position) "
        "ORDER BY position, number"
    )
    stated = [(t.id, t.family, t.instruction, t.card.calls, t.card.structure) for _, t in store.tasks()]
    assert db.execute(sql).fetchall() == stated
    rejected = db.execute("SELECT sum(rejected) FROM rejections").fetchone()[0] or 0
    assert rejected == sum(sum(e.gated.rejected.values()) for e in store.entries())
    db.close()


# --- damage, and stores of other versions


def test_a_flipped_bit_in_a_task(copy):
    position = next(e.position for e in open_store(copy).entries() if e.tasks)
    with sqlite3.connect(shard_path(copy, 0)) as db:
        (task,) = db.execute("SELECT task FROM tasks WHERE position = ?", (position,)).fetchone()
        flipped = task[:100] + bytes([task[100] ^ 1]) + task[101:]
        db.execute("UPDATE tasks SET task = ? WHERE position = ? AND task = ?", (flipped, position, task))
    db.close()
    world = open_store(copy)[position]
    for _ in range(2):  # the second time, too: no tasks are made in their place
        with pytest.raises(StoreError, match="is damaged"):
            _ = world.tasks
    with pytest.raises(StoreError, match="is damaged"):
        list(open_store(copy).tasks())
    assert any("is damaged" in f.what for f in check_store(copy, workers=1).faults)


def as_format_1(home: Path) -> None:
    """Turn a store without tasks into one as it was written before there were any."""
    file = home / "store.json"
    recipe = msgspec.json.decode(file.read_bytes())
    for name in ("domains", "tasks", "task_profile", "task_version", "scope"):
        del recipe[name]
    file.write_bytes(msgspec.json.encode(recipe | {"format": 1, "dictionaries": recipe["dictionaries"][:2]}))
    (home / "tasks.zdict").unlink()
    for path, gone in [(p, ("tasks", "gates")) for p in (home / "shards").iterdir()] + [
        (catalog_path(home), ("tasks", "rejections"))
    ]:
        with sqlite3.connect(path) as db:
            for table in gone:
                db.execute(f"DROP TABLE {table}")
            if gone[1] == "gates":
                db.execute("PRAGMA user_version = 1")
        db.close()


def test_a_store_of_format_1_opens_and_is_completed(tmp_path):
    old = tmp_path / "old"
    spawn(old, 40, profile="tiny", tasks=0, workers=1)
    digests = [w.digest for w in open_store(old)]
    as_format_1(old)
    store = open_store(old)
    assert [w.digest for w in store] == digests
    assert [w.tasks for w in store[:2]] == [(), ()]
    assert list(store.tasks()) == []
    assert len(worlds(store)) == 40
    assert task_counts(store) == {}
    assert check_store(old, regrow=True, workers=1).ok
    before = shard_path(old, 0).read_bytes()
    shard_path(old, 1).unlink()
    spawn(old, resume=True, workers=1)
    assert check_store(old, workers=1).ok
    assert shard_path(old, 0).read_bytes() == before
    assert open_store(old).recipe.format == 1
    with sqlite3.connect(shard_path(old, 1)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    db.close()
    assert [w.digest for w in open_store(old)] == digests


def test_entries_of_a_shard_carry_their_own_tasks(home):
    store = open_store(home)
    for number in store.shards:
        for entry in read_shard(shard_path(home, number), store.codecs):
            assert {t.world for t in entry.tasks} <= {entry.id}
