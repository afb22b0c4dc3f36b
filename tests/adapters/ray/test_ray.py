"""Real Ray on a cluster of this machine: the same store as from processes, whoever dies on the way."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import ray

from tests.adapters.ray.workers import Doomed, die, double, grow_or_die, identity, refuse, stumble
from tests.growing import content, run
from worlddb.check import check_store
from worlddb.errors import UnknownName, WorlddbError
from worlddb.parallel import BACKLOG, Crew, crew, each
from worlddb.shards import shard_path
from worlddb.spawner import Job, Places, spawn
from worlddb.store import open_store

WORLDS = int(os.environ.get("WORLDDB_RAY_WORLDS", "600"))
"""Of the store that both backends grow; the figures of docs/scale.md are of 5,000."""
ON_RAY = Crew(2, "ray")


def children() -> dict[str, psutil.Process]:
    """The processes below this one, by their command line and number."""
    return {f"{' '.join(p.cmdline())} {p.pid}": p for p in psutil.Process().children(recursive=True) if p.is_running()}


@pytest.fixture(scope="module", autouse=True)
def _no_cluster_is_left() -> Iterator[None]:
    """Of any test, not even a token in the user's home."""
    token = Path.home() / ".ray" / "auth_token"
    there = token.exists()
    yield
    assert token.exists() == there
    deadline = time.monotonic() + 30
    while (left := [line for line in children() if "resource_tracker" not in line]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not left
    assert not list(Path("/tmp").glob("worlddb-ray-*"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster that stays, as a caller's own would; each test but those of `spawn` uses it, for a start takes seconds."""
    os.environ.setdefault("RAY_AUTH_TOKEN", "0" * 64)  # or Ray writes one to the user's home
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


# --- stores; each on a cluster of its own


@pytest.mark.parametrize(("n", "profile", "tasks"), [(WORLDS, "tiny", 0), (16, "default", 3)])
def test_the_store_is_the_one_that_processes_grow(tmp_path: Path, n: int, profile: str, tasks: int) -> None:
    took = {}
    for backend in ("process", "ray"):
        began = time.perf_counter()
        store = spawn(tmp_path / backend, n, profile=profile, tasks=tasks, workers=2, backend=backend)
        took[backend] = time.perf_counter() - began
        assert store.finished
    assert content(tmp_path / "ray") == content(tmp_path / "process")
    print(f"\n{n} {profile} worlds, {tasks} tasks each:", {b: f"{n / s:.1f} worlds/s" for b, s in took.items()})


def test_a_killed_worker_does_not_change_the_store(tmp_path: Path) -> None:
    """Killed from outside, again and again while the store grows."""
    spawn(tmp_path / "process", 300, profile="tiny", tasks=0, workers=2)
    killed: list[int] = []

    def kill_one(done: int, total: int) -> None:
        busy = [process for line, process in children().items() if "ray::work_calmly" in line]
        if busy and len(killed) < 3 and done < total:
            busy[0].kill()
            killed.append(busy[0].pid)

    spawn(tmp_path / "ray", 300, profile="tiny", tasks=0, workers=2, backend="ray", progress=kill_one)
    assert killed
    assert content(tmp_path / "ray") == content(tmp_path / "process")


def test_interrupted_and_resumed_on_the_other_backend(tmp_path: Path) -> None:
    whole = spawn(tmp_path / "whole", 130, profile="tiny", tasks=0, workers=1)

    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        spawn(tmp_path / "out", 130, profile="tiny", tasks=0, workers=2, backend="ray", progress=stop)
    assert 0 < len(open_store(tmp_path / "out")) <= 130
    assert not ray.is_initialized()
    spawn(tmp_path / "out", resume=True, workers=1)
    assert content(tmp_path / "out") == content(whole.path)


def test_no_cluster_at_the_address() -> None:
    with pytest.raises(
        WorlddbError, match=r"^there is no Ray cluster at 127.0.0.1:1 to work on \(.*\); mend that"
    ) as told:
        list(each(double, [1], crew(None, "ray", "127.0.0.1:1")))
    assert "\n" not in str(told.value)
    assert not ray.is_initialized()


# --- on a cluster that is there


@pytest.mark.usefixtures("cluster")
def test_a_worker_that_dies_while_it_writes(tmp_path: Path) -> None:
    whole, home = spawn(tmp_path / "whole", 96, profile="tiny", tasks=0, workers=1), tmp_path / "out"
    spawn(home, 96, profile="tiny", tasks=0, part=(3, 4), workers=1)  # lays out the folder, and has no shard to grow
    jobs = [Doomed(Job(whole.recipe, k, Places(home, None, "")), tmp_path / f"mark{k}") for k in range(3)]
    assert list(each(grow_or_die, jobs, ON_RAY)) == [0, 1, 2]
    assert all(job.mark.exists() for job in jobs)
    assert all(shard_path(home, k).read_bytes() == shard_path(whole.path, k).read_bytes() for k in range(3))
    spawn(home, resume=True, workers=1)
    assert content(home) == content(whole.path)


@pytest.mark.usefixtures("cluster")
def test_check_on_ray_finds_what_check_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spawn("out", 40, profile="tiny", tasks=1, workers=2, backend="ray")  # a relative path, and workers elsewhere
    assert check_store("out", regrow=True, backend="ray", workers=2).ok
    shard_path(tmp_path / "out", 1).write_bytes(b"?" * 5000)
    home = tmp_path / "out"
    assert check_store(home, backend="ray", workers=2) == check_store(home, workers=1)


@pytest.mark.usefixtures("cluster")
def test_results_come_in_order_and_jobs_are_taken_as_needed() -> None:
    assert list(each(double, range(50), ON_RAY)) == [2 * x for x in range(50)]
    taken: list[int] = []
    results = each(double, (taken.append(k) or k for k in range(200)), ON_RAY)
    assert next(results) == 0
    assert len(taken) == 2 * BACKLOG
    results.close()
    pids = {pid for pid, _ in each(identity, range(20), ON_RAY)}
    assert os.getpid() not in pids
    assert ray.is_initialized(), "a cluster of the caller's was stopped"


@pytest.mark.usefixtures("cluster")
def test_errors_cross_machines() -> None:
    with pytest.raises(UnknownName, match=r"^no thing named '1'; choose one of: one$"):
        list(each(refuse, [1, 2], ON_RAY))
    with pytest.raises(ZeroDivisionError, match="stumble"):  # a bug of ours tells where
        list(each(stumble, [1], ON_RAY))


@pytest.mark.usefixtures("cluster")
def test_a_job_that_kills_its_workers_ends() -> None:
    with pytest.raises(WorlddbError, match=r"^a job lost its worker 6 times .*; give its workers more memory") as told:
        list(each(die, [1], ON_RAY))
    assert "\n" not in str(told.value)


@pytest.mark.usefixtures("cluster")
def test_an_address_leads_to_the_cluster_that_is_there(tmp_path: Path) -> None:
    address = ray.get_runtime_context().gcs_address
    where = ("--backend", "ray", "--address", address, "--out", tmp_path / "out")
    done = run("spawn", "--n", 40, "--profile", "tiny", "--tasks", 0, *where)
    assert done.returncode == 0, done.stderr
    spawn(tmp_path / "process", 40, profile="tiny", tasks=0, workers=1)
    assert content(tmp_path / "out") == content(tmp_path / "process")
    assert ray.get(ray.remote(double).remote(2)) == 4, "the cluster was stopped"


@pytest.mark.usefixtures("cluster")
def test_another_address_than_that_of_the_callers_cluster() -> None:
    assert list(each(double, [1], crew(None, "ray", "auto"))) == [2]
    with pytest.raises(
        WorlddbError, match=r"^Ray is connected to .* already; call ray.shutdown\(\) before you use 127.0.0.1:1"
    ):
        list(each(double, [1], crew(None, "ray", "127.0.0.1:1")))
    assert ray.is_initialized()
