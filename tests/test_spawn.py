"""Spawning: the same store whatever happens, and one clear line for whatever cannot be."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.growing import ROOT, begun, content, run
from worlddb.catalog import catalog_path
from worlddb.check import check_store
from worlddb.errors import BadRequest, StoreError, UnknownName, WorlddbError
from worlddb.parallel import each, worker_count
from worlddb.shards import shard_path
from worlddb.spawner import spawn
from worlddb.store import open_store

N = 130
ARGUMENTS = ["--n", str(N), "--seed", "1000", "--profile", "tiny", "--tasks", "0"]
"""Worlds alone; test_task_store.py has the tasks."""


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The store that every way of growing it must give."""
    home = tmp_path_factory.mktemp("reference") / "out"
    done = run("spawn", *ARGUMENTS, "--workers", 1, "--out", home, PYTHONHASHSEED="1")
    assert done.returncode == 0, done.stderr
    assert f"{N} worlds in" in done.stdout
    return home


@pytest.fixture(scope="module")
def reference_content(reference):
    return content(reference)


def test_two_workers_and_another_hash_seed_give_the_same_store(reference_content, tmp_path):
    done = run("spawn", *ARGUMENTS, "--workers", 2, "--out", tmp_path / "out", PYTHONHASHSEED="2")
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "out") == reference_content


LONG = ("--n", 100_000, "--profile", "tiny", "--tasks", 0, "--workers", 2)
"""More than any test waits for."""


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_and_resumed_it_is_the_same_store(reference_content, tmp_path, workers):
    home = tmp_path / "out"
    process = begun(home, *ARGUMENTS, "--workers", workers, shard=1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    store = open_store(home)
    assert 0 < len(store) < N
    assert [w.digest for w in store[:3]]
    (home / "shards" / ".00004.sqlite.1.partial").write_bytes(b"what a kill leaves")
    refused = run("spawn", *ARGUMENTS, "--out", home)
    assert refused.returncode == 1
    assert "add --resume" in refused.stderr
    done = run("spawn", "--resume", "--out", home)
    assert done.returncode == 0, done.stderr
    assert content(home) == reference_content


def test_workers_leave_when_their_parent_is_killed(tmp_path):
    home = tmp_path / "out"
    process = begun(home, *LONG, start_new_session=True)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(process.pid), "a worker outlived its parent"


def alive(group: int) -> bool:
    """True while a process of the group runs."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_interrupted_it_says_how_to_go_on(tmp_path):
    home = tmp_path / "out"
    process = begun(home, *LONG)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in said
    assert "Traceback" not in said
    assert not list(home.rglob("*.partial"))


def test_what_is_missing_or_behind_is_made_again(reference, reference_content, tmp_path):
    home = Path(shutil.copytree(reference, tmp_path / "copy"))
    shard_path(home, 2).unlink()
    catalog_path(home).unlink()
    spawn(home, resume=True, workers=1)
    assert content(home) == reference_content
    shard_path(home, 3).unlink()
    spawn(home, resume=True, workers=1)
    assert content(home) == reference_content


def test_resuming_a_finished_store_changes_nothing(reference, reference_content):
    before = {p: p.stat().st_mtime_ns for p in (reference / "shards").iterdir()}
    assert len(spawn(reference, N, resume=True)) == N
    assert {p: p.stat().st_mtime_ns for p in (reference / "shards").iterdir()} == before
    assert content(reference) == reference_content


def test_progress_counts_worlds(tmp_path):
    seen = []
    spawn(
        tmp_path / "out",
        40,
        profile="tiny",
        tasks=0,
        workers=1,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(32, 40), (40, 40)]


def test_one_domain_only(tmp_path):
    store = spawn(tmp_path / "out", 3, profile="tiny", domain="hotel", tasks=0, workers=1)
    assert [w.id for w in store] == ["hotel-0", "hotel-1", "hotel-2"]


# --- what is refused


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"n": 0}, BadRequest, "n is 0; ask for 1 world or more"),
        ({"n": -3}, BadRequest, "n is -3"),
        ({}, BadRequest, "say how many worlds"),
        ({"n": 1, "seed": -1}, BadRequest, "choose another seed"),
        ({"n": 2, "seed": 2**63 - 1}, BadRequest, "choose another seed"),
        ({"n": 1, "workers": 0}, BadRequest, "workers is 0; give 1 or more"),
        ({"n": 1, "profile": "tinny"}, UnknownName, "no profile named 'tinny'; did you mean 'tiny'"),
        ({"n": 1, "suite": "evil"}, UnknownName, "no suite named 'evil'; did you mean 'eval'"),
        ({"n": 1, "domain": "hotels"}, UnknownName, "no domain named 'hotels'; did you mean 'hotel'"),
        ({"suite": "eval", "profile": "tiny"}, BadRequest, "brings its own profiles"),
        ({"suite": "eval", "seed": 5}, BadRequest, "within them"),
        ({"suite": "eval", "n": 0}, BadRequest, "n is 0"),
        ({"suite": "smoke", "n": 10**9}, BadRequest, "within them"),
    ],
)
def test_bad_requests(tmp_path, arguments, kind, message):
    with pytest.raises(kind, match=message):
        spawn(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_else(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(StoreError, match=r"holds something else \('thesis.txt'\)"):
        spawn(tmp_path, 1, profile="tiny", workers=1)
    with pytest.raises(StoreError, match="cannot be written"):
        spawn(tmp_path / "thesis.txt", 1, profile="tiny", workers=1)
    with pytest.raises(StoreError, match="cannot be written"):
        spawn(tmp_path / "thesis.txt" / "out", 1, profile="tiny", workers=1)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot be written"):
        spawn(tmp_path / "out", 1, profile="tiny", workers=1)


def test_a_store_that_is_there(reference, reference_content):
    same = {"n": N, "seed": 1000, "profile": "tiny", "tasks": 0}
    with pytest.raises(StoreError, match="holds this store already"):
        spawn(reference, **same)
    with pytest.raises(StoreError, match=r"another recipe \(seed is 1000 there, 5 here\)"):
        spawn(reference, **{**same, "seed": 5})
    with pytest.raises(StoreError, match=r"n is 130 there, 300 here"):
        spawn(reference, **{**same, "n": 300}, resume=True)
    with pytest.raises(StoreError, match="profile is tiny there, small here"):
        spawn(reference, profile="small", resume=True)
    assert content(reference) == reference_content


def test_a_store_of_another_generator(reference, tmp_path, monkeypatch):
    home = Path(shutil.copytree(reference, tmp_path / "copy"))
    monkeypatch.setattr("worlddb.request.generator", lambda: "next")
    with pytest.raises(StoreError, match=r"generator is .* there, next here\); complete it with the worlddb and pools"):
        spawn(home, resume=True)


def test_a_damaged_shard_is_not_passed_over(reference, tmp_path):
    home = Path(shutil.copytree(reference, tmp_path / "copy"))
    shard_path(home, 1).write_bytes(b"?" * 5000)
    with pytest.raises(StoreError, match=r"00001\.sqlite is damaged .*; remove it"):
        spawn(home, resume=True)
    assert shard_path(home, 1).read_bytes() == b"?" * 5000


def test_two_spawns_at_once(reference, tmp_path):
    home = Path(shutil.copytree(reference, tmp_path / "copy"))
    handle = os.open(home, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(StoreError, match="another spawn is writing"):
        spawn(home, resume=True)
    os.close(handle)


@pytest.mark.parametrize(("workers", "limit"), [(1, 400_000), (2, 150_000)])
def test_a_full_disk(reference_content, tmp_path, workers, limit):
    """A limit on the size of files stands in for the disk: SQLite and the system meet it in the same places."""
    home = tmp_path / "out"
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
    arguments = ["spawn", *ARGUMENTS, "--workers", str(workers), "--out", str(home)]
    code = f"{limit} from worlddb.cli import cli; cli({arguments!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 1
    *progress, told = done.stderr.splitlines()  # a slow machine tells how far it is
    assert told.startswith("Error: ")
    assert "cannot be written" in told
    assert all(line.startswith("growing worlds: ") for line in progress)
    assert not list(home.rglob("*.partial"))
    assert run("spawn", "--resume", "--out", home).returncode == 0
    assert content(home) == reference_content


# --- processes


def _double(x: int) -> int:
    return 2 * x


def _fail(x: int) -> int:
    raise UnknownName("thing", str(x), ["one"])


def _die(x: int) -> int:
    os._exit(9)


def test_results_come_in_order():
    assert list(each(_double, range(20), 2)) == list(each(_double, range(20), 1)) == [2 * x for x in range(20)]


def test_errors_cross_processes():
    with pytest.raises(WorlddbError, match="no thing named '1'"):
        list(each(_fail, [1, 2], 2))


def test_a_worker_that_dies_is_no_hang():
    with pytest.raises(WorlddbError, match="a worker process died"):
        list(each(_die, [1], 2))


def test_workers_default_to_the_cores():
    assert worker_count(None) >= 1
    assert worker_count(3) == 3


def test_a_domain_file_of_ones_own(tmp_path: Path) -> None:
    file, text = tmp_path / "reading_room.yaml", (ROOT / "schemas" / "domains" / "library.yaml").read_text()
    file.write_text(text.replace("id: library", "id: reading_room"))
    store = spawn(tmp_path / "out", 3, profile="tiny", domain=str(file), tasks=2, workers=1)
    assert {w.schema.domain for w in store} == {"reading_room"}
    assert check_store(tmp_path / "out", regrow=True, domain=str(file), workers=1).ok
    assert "give that file" in check_store(tmp_path / "out", regrow=True, workers=1).faults[0].what
    with pytest.raises(BadRequest, match="give that file"):
        spawn(tmp_path / "out", resume=True, workers=1)
    assert len(spawn(tmp_path / "out", domain=str(file), resume=True, workers=1)) == 3
