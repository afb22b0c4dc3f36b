"""Work spread over a Ray cluster: one that is there, or one of this machine's cores for as long as the work takes.

A job is a Ray task.  Ray gives the job of a lost worker or machine to another, RETRIES times, so jobs must be such that being
done twice, even at once, does no harm.  A task costs Ray about a millisecond: give jobs of 0.1 s or more.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from worlddb.errors import BadRequest, WorlddbError
from worlddb.parallel import BACKLOG, Crew, work_calmly

Job = TypeVar("Job")
Result = TypeVar("Result")

RETRIES = 5
"""Of a job whose worker died: enough for machines that are taken away, few enough for a job that kills each of its workers."""
LOOPBACK = "127.0.0.2" if sys.platform == "linux" else None
"""Ray takes 127.0.0.1 for the machine's address in the network; on systems other than Linux there is no second one."""
REACH = 10.0
"""Seconds within which somebody must answer at an address."""
CORES_EVERY = 5.0
"""Seconds after which a cluster is asked again how many cores it has: it may grow with the work that waits."""


def each_on_ray(work: Callable[[Job], Result], jobs: Iterable[Job], crew: Crew) -> Iterator[Result]:
    """`work(job)` for every job, in the order of the jobs.

    Raises:
        BadRequest: Ray is not installed.
        WorlddbError: there is no cluster at the address, or a job lost its worker RETRIES + 1 times; and whatever `work` raises.
    """
    with _cluster(crew) as ray:
        task = ray.remote(work_calmly).options(num_cpus=1, max_retries=RETRIES)
        places, under_way = _Places(ray, crew), deque[Any]()
        try:
            for job in jobs:
                under_way.append(task.remote(work, job))
                if len(under_way) >= places.count():
                    yield _result(ray, under_way.popleft())
            while under_way:
                yield _result(ray, under_way.popleft())
        finally:
            for reference in under_way:  # of a cluster that stays: nobody waits for these any more
                ray.cancel(reference, force=True)


class _Places:
    """How many jobs may be under way."""

    def __init__(self, ray: Any, crew: Crew) -> None:
        self._ray, self._fixed = ray, crew.workers * BACKLOG
        self._count, self._asked = 0, float("-inf")

    def count(self) -> int:
        """BACKLOG for each core that the cluster has by now, or for the one that it may start."""
        if self._fixed:
            return self._fixed
        if time.monotonic() - self._asked > CORES_EVERY:
            self._asked = time.monotonic()
            self._count = BACKLOG * max(1, int(self._ray.cluster_resources().get("CPU", 0)))
        return self._count


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, WorlddbError):
            raise error.cause from None
        raise  # a bug of ours: it tells where, on the other machine
    except ray.exceptions.RayError as error:
        reason = str(error).strip().partition("\n")[0]
        cure = "give its workers more memory, or look into Ray's logs; what is finished is kept"
        raise WorlddbError(
            f"a job lost its worker {RETRIES + 1} times or cannot be run on Ray ({reason}); {cure}"
        ) from None


@contextmanager
def _cluster(crew: Crew) -> Iterator[Any]:
    """Ray, connected; a cluster that the caller is connected to already is used, and stays connected."""
    try:
        ray = import_module("ray")
    except ImportError:
        raise BadRequest("backend ray needs Ray; install it with: pip install 'worlddb[ray]'") from None
    if ray.is_initialized():
        there = ray.get_runtime_context().gcs_address
        if crew.address not in ("", "auto", there):
            raise WorlddbError(
                f"Ray is connected to {there} already; call ray.shutdown() before you use {crew.address}"
            )
        yield ray
        return
    folder = None if crew.address else tempfile.mkdtemp(prefix="worlddb-ray-", dir=_short_folder())
    try:
        _connect(ray, crew, folder)
        yield ray
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _short_folder() -> str | None:
    """Where Ray's sockets may lie: their paths have at most 107 characters, which a folder of TMPDIR can exceed."""
    return "/tmp" if Path("/tmp").is_dir() else None


def _connect(ray: Any, crew: Crew, folder: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if folder is None:
            _reach(crew.address)
            ray.init(address=crew.address, **quiet)
            return
        _begin_quietly()
        ray.init(
            address="local", num_cpus=crew.workers, include_dashboard=False, _node_ip_address=LOOPBACK, _temp_dir=folder, **quiet
        )  # fmt: skip
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        reason = str(error).strip().partition("\n")[0]
        what = (
            f"there is no Ray cluster at {crew.address} to work on"
            if crew.address
            else "no Ray cluster can be started here"
        )
        raise WorlddbError(f"{what} ({reason}); mend that, or leave out backend ray") from None


def _reach(address: str) -> None:
    """Raise OSError where nobody listens at HOST:PORT: Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH).close()


def _begin_quietly() -> None:
    """Settings of a cluster of our own: nothing is reported to Ray's makers, and nobody else may give it work."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or it warns of how it will treat GPUs one day
    if not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ):
        # its ports are open to the network; it would ask for a token by itself, and leave it in a file in the user's home.
        # It keeps the first one for as long as this process lives, so the variable stays
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
