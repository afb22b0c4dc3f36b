"""Who grows a store does not matter: processes, parts of it by several calls, or a cluster that is not there."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.growing import ROOT, begun, content, run
from worlddb.catalog import catalog_path
from worlddb.check import check_store
from worlddb.cli import cli
from worlddb.errors import BadRequest, StoreError, UnknownName
from worlddb.files import claimed, write_first
from worlddb.parallel import BACKLOG, Crew, crew, each
from worlddb.request import Request, plan
from worlddb.shards import shard_numbers, shard_path
from worlddb.spawner import Job, Places, grow_shard, spawn, world_at
from worlddb.store import open_store

N, PARTS = 100, 3
"""Four shards: two parts have one, one has two."""
WORLDS = {"n": N, "seed": 500, "profile": "tiny", "tasks": 0}
ARGUMENTS = ["--n", N, "--seed", 500, "--profile", "tiny", "--tasks", 0]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The content of the store that one process grows."""
    home = tmp_path_factory.mktemp("reference") / "out"
    spawn(home, **WORLDS, workers=1)
    return content(home)


def part(home: Path, i: int, of: int = PARTS) -> subprocess.CompletedProcess[str]:
    return run("spawn", *ARGUMENTS, "--out", home, "--shard", f"{i}/{of}", "--workers", 1)


# --- parts


def test_parts_at_once_give_the_same_store(reference: dict[str, object], tmp_path: Path) -> None:
    home = tmp_path / "out"
    with ThreadPoolExecutor(PARTS) as at_once:
        done = list(at_once.map(lambda i: part(home, i), range(PARTS)))
    assert [d.returncode for d in done] == [0] * PARTS, [d.stderr for d in done]
    assert content(home) == reference


def test_parts_one_after_the_other_are_joined_by_the_last(reference: dict[str, object], tmp_path: Path) -> None:
    home, seen = tmp_path / "out", []
    for i in (2, 0):
        store = spawn(
            home, **WORLDS, part=(i, PARTS), workers=1, progress=lambda done, total: seen.append((done, total))
        )
        assert not store.finished
        assert not catalog_path(home).exists()
    assert open_store(home).shards == (0, 2, 3)
    assert seen == [(0, 32), (32, 32), (0, 36), (32, 36), (36, 36)]
    assert spawn(home, part=(1, PARTS), workers=1).finished
    assert content(home) == reference


def test_a_part_that_was_killed_is_completed_by_the_same_call(reference: dict[str, object], tmp_path: Path) -> None:
    home = tmp_path / "out"
    process = begun(home, *ARGUMENTS, "--shard", "0/3", "--workers", 1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (home / "shards" / ".00003.sqlite.1-ab.partial").write_bytes(b"what a kill leaves")
    assert not shard_path(home, 1).exists()
    said = [part(home, i) for i in (1, 0, 0, 2)]
    assert [d.returncode for d in said] == [0] * 4
    assert "of 100 worlds are in" in said[1].stdout
    assert said[3].stdout.startswith("100 worlds in")
    assert content(home) == reference


def test_a_lost_part_is_grown_by_resume(reference: dict[str, object], tmp_path: Path) -> None:
    home = tmp_path / "out"
    spawn(home, **WORLDS, part=(1, PARTS), workers=1)
    with pytest.raises(StoreError, match="add --resume to complete it"):
        spawn(home, **WORLDS, workers=1)
    spawn(home, resume=True, workers=1)
    assert content(home) == reference


def test_parts_of_machines_that_share_nothing_are_copied_together(reference: dict[str, object], tmp_path: Path) -> None:
    for i in range(PARTS):
        spawn(tmp_path / str(i), **WORLDS, part=(i, PARTS), workers=1)
        shutil.copytree(tmp_path / str(i), tmp_path / "out", dirs_exist_ok=True)
    spawn(tmp_path / "out", resume=True, workers=1)
    assert content(tmp_path / "out") == reference


def test_more_parts_than_shards(reference: dict[str, object], tmp_path: Path) -> None:
    home = tmp_path / "out"
    assert len(spawn(home, **WORLDS, part=(7, 8), workers=1)) == 0
    for i in range(7):
        spawn(home, **WORLDS, part=(i, 8), workers=1)
    assert content(home) == reference


def test_a_whole_spawn_and_parts_keep_out_of_one_anothers_way(tmp_path: Path) -> None:
    home = tmp_path / "out"
    spawn(home, **WORLDS, part=(0, PARTS), workers=1)
    for place in (home, home / "store.json"):  # the second is what another machine may see
        with claimed(place, alone=False), pytest.raises(StoreError, match="another spawn is writing"):
            spawn(home, resume=True, workers=1)
        with claimed(place, alone=True), pytest.raises(StoreError, match="another spawn is writing"):
            spawn(home, part=(0, PARTS), workers=1)
    with claimed(home, alone=False):  # another part
        assert len(spawn(home, part=(1, PARTS), workers=1)) == 68


def test_the_last_part_leaves_the_catalogue_to_one_that_is_still_there(tmp_path: Path) -> None:
    home = tmp_path / "out"
    spawn(home, **WORLDS, part=(0, 2), workers=1)
    with claimed(home, alone=False):
        assert spawn(home, part=(1, 2), workers=1).finished
        assert not catalog_path(home).exists()
    spawn(home, part=(0, 2), workers=1)
    assert catalog_path(home).exists()


def test_parts_of_different_stores_do_not_mix(tmp_path: Path) -> None:
    home = tmp_path / "out"
    spawn(home, **WORLDS, part=(0, PARTS), workers=1)
    with pytest.raises(StoreError, match="seed is 500 there, 501 here"):
        spawn(home, **{**WORLDS, "seed": 501}, part=(1, PARTS), workers=1)


def test_of_several_who_write_a_file_first_one_does(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with ThreadPoolExecutor(8) as at_once:
        list(at_once.map(lambda i: write_first(file, bytes([i]) * 9), range(8)))
    assert file.read_bytes() in {bytes([i]) * 9 for i in range(8)}
    there = file.read_bytes()
    write_first(file, b"late")
    assert file.read_bytes() == there
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_system_without_links_and_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    monkeypatch.setattr(fcntl, "flock", refuse)
    assert spawn(tmp_path / "out", 2, profile="tiny", tasks=0, workers=1).finished
    assert not list((tmp_path / "out").glob(".*"))


# --- recipes


def test_a_store_of_recipes_grows_any_of_its_worlds(tmp_path: Path) -> None:
    asked = {"seed": 70, "profile": "tiny", "tasks": 2}
    done = run(
        "spawn",
        "--n",
        10**9,
        "--seed",
        70,
        "--profile",
        "tiny",
        "--tasks",
        2,
        "--recipe-only",
        "--out",
        tmp_path / "all",
    )
    assert done.stdout == f"0 of {10**9} worlds are in {tmp_path / 'all'}; other parts, or --resume, grow the others\n"
    recipe = open_store(tmp_path / "all").recipe
    for stored, position in zip(spawn(tmp_path / "some", 3, **asked, workers=1), range(3), strict=True):
        world = world_at(recipe, position)
        assert (world.digest, world.recipe, world.tasks) == (stored.digest, stored.recipe, stored.tasks)
        assert world.tasks
    assert world_at(recipe, 10**9 - 1).recipe.seed == 10**9 + 69
    with pytest.raises(IndexError, match=r"position 1000000000 is not in 0 to 999999999"):
        world_at(recipe, 10**9)


def test_a_store_of_recipes_is_grown_like_any_other(reference: dict[str, object], tmp_path: Path) -> None:
    home = tmp_path / "out"
    assert len(spawn(home, **WORLDS, recipe_only=True)) == 0
    assert sum(p.stat().st_size for p in home.rglob("*")) < 300_000
    spawn(home, resume=True, workers=1)
    assert content(home) == reference


# --- docs/scale.md


def test_the_page_about_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "scale.md").read_text().replace("$SLURM_ARRAY_TASK_ID", "7")
    lines = [
        part
        for part in re.split(r"\n|&&", "".join(re.findall(r"```sh\n(.*?)```", page, flags=re.S)))
        if "worlddb spawn" in part
    ]
    assert len(lines) == 5
    for line in lines:  # as they are, they would run for hours
        words = shlex.split(line)
        above = cli.make_context("worlddb", [words[1]], resilient_parsing=True)
        context = cli.commands["spawn"].make_context("spawn", words[2:], parent=above)
        assert context.params["out"].name in {"many", "million", "billion"}
    monkeypatch.chdir(tmp_path)
    cli.commands["spawn"].invoke(context)
    found: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", page, flags=re.S)[0], found)
    assert found["world"].recipe.seed == 123_456_789


# --- what is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shard", "3/3"], "Error: there is no part 3/3; parts are counted from 0, so of 3 parts they are 0/3, 1/3"),
        (["--shard", "0/0"], "Error: there is no part 0/0; parts are counted from 0"),
        (["--shard", "-1/3"], "'-1/3' is not of the form I/K"),
        (["--shard", "1"], "'1' is not of the form I/K, as 0/8 is the first of eight parts"),
        (["--backend", "dask"], "'dask' is not one of 'process', 'ray'"),
        (["--address", "auto"], "Error: address is of a Ray cluster (auto); add backend ray, or leave it out"),
        (
            ["--backend", "ray", "--address", "auto", "--workers", "2"],
            "Error: the cluster at auto uses all its cores; leave",
        ),
        (["--backend", "ray", "--workers", "0"], "Error: workers is 0; give 1 or more"),
    ],
)
def test_bad_arguments_are_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = run("spawn", "--n", 1, *arguments, "--out", tmp_path / "out")
    assert done.returncode in (1, 2)
    assert message in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_without_ray_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BadRequest, match=r"needs Ray; install it with: pip install 'worlddb\[ray\]'"):
        spawn(tmp_path / "out", 1, profile="tiny", tasks=0, backend="ray")
    with pytest.raises(UnknownName, match="no backend named 'rai'; did you mean 'ray'"):
        check_store(tmp_path / "out", backend="rai")


def test_a_machine_with_another_worlddb_does_not_work_on_it(tmp_path: Path) -> None:
    recipe = plan(Request(1, 0, "tiny", tasks=0), "pools")
    other = type(recipe)(**{**{f: getattr(recipe, f) for f in recipe.__struct_fields__}, "generator": "elder"})
    with pytest.raises(StoreError, match=r"has version .* instead of elder; install the same one on all machines"):
        grow_shard(Job(other, 0, Places(tmp_path, None, "")))


# --- crews


def test_a_crew_is_what_was_asked_for() -> None:
    assert crew(3) == Crew(3, "process", "")
    assert crew(None, "ray", "10.0.0.1:6379") == Crew(0, "ray", "10.0.0.1:6379")
    assert crew(8).for_jobs(3) == Crew(3)
    assert crew(8).for_jobs(0) == crew(None, "ray", "auto").for_jobs(0) == Crew(1)
    assert crew(None, "ray", "auto").for_jobs(5).workers == 0
    assert crew(2, "ray").elsewhere
    assert not crew(2).elsewhere


def test_places_are_absolute_for_workers_with_other_working_directories() -> None:
    here = Places(Path("out"), Path("pools"), "own/library.yaml")
    assert here.for_crew(Crew(2)) == here
    there = here.for_crew(Crew(2, "ray"))
    assert there == Places(Path("out").absolute(), Path("pools").absolute(), str(Path("own/library.yaml").absolute()))
    assert Places(Path("/out"), None, "hotel").for_crew(Crew(2, "ray")) == Places(Path("/out"), None, "hotel")


def _pid(_: int) -> int:
    return os.getpid()


def test_jobs_are_taken_as_they_are_needed() -> None:
    """Memory stays flat in their number."""
    taken = 0

    def jobs() -> Iterator[int]:
        nonlocal taken
        for k in range(200):
            taken += 1
            yield k

    results = each(_pid, jobs(), Crew(2))
    assert next(results) != os.getpid()
    assert taken == 2 * BACKLOG
    results.close()


def test_shards_are_listed_whatever_else_lies_there(tmp_path: Path) -> None:
    assert shard_numbers(tmp_path, 9) == []
    (tmp_path / "shards").mkdir()
    for name in ("00003.sqlite", "00001.sqlite", "00009.sqlite", ".00002.sqlite.1-a.partial", "x.sqlite", "00004.txt"):
        (tmp_path / "shards" / name).touch()
    assert shard_numbers(tmp_path, 9) == [1, 3]
    shard_path(tmp_path, 123_456).touch()
    assert shard_numbers(tmp_path, 10**6) == [1, 3, 9, 123_456]


def test_check_by_two_workers_is_check_by_one(tmp_path: Path) -> None:
    spawn(tmp_path / "out", **WORLDS, workers=1)
    shard_path(tmp_path / "out", 1).write_bytes(b"?" * 5000)
    one, two = (check_store(tmp_path / "out", workers=k) for k in (1, 2))
    assert one == two
    assert one.sound == N - 32
