"""Work spread over processes or a cluster: ordered results, a bounded backlog, and no process left behind.

The processes are started afresh ("spawn"), so a script that calls worlddb with more than one worker needs the usual
`if __name__ == "__main__":` around its own code.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import NamedTuple, TypeVar

from worlddb.errors import BadRequest, UnknownName, WorlddbError

Job = TypeVar("Job")
Result = TypeVar("Result")

BACKENDS = ("process", "ray")
BACKLOG = 3
"""Jobs under way per worker: enough to keep it busy, few enough that memory stays flat."""
GC_THRESHOLDS = (50_000, 20, 20)
"""Of the garbage collector in worker processes: Python's own (700, 10, 10) look through the same long-lived schemas, pools and
wordings again and again, an eighth of the time of a world with tasks.  gc.freeze() on top gained nothing."""


class Crew(NamedTuple):
    """Who does the work."""

    workers: int
    """Processes; 0 on a cluster that is there already: all its cores."""
    backend: str = "process"
    address: str = ""
    """Of the Ray cluster; empty: one that is started on this machine and stopped afterwards."""

    def for_jobs(self, jobs: int) -> Crew:
        """No more workers than there are jobs, and no cluster where there are none."""
        return self._replace(workers=min(self.workers, jobs)) if jobs else Crew(1)

    @property
    def elsewhere(self) -> bool:
        """True where workers may have another working directory, or be on another machine."""
        return self.backend != "process"


def worker_count(workers: int | None) -> int:
    """How many processes to use: `workers`, or as many as this process has cores.

    Raises:
        BadRequest: fewer than one.
    """
    if workers is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers < 1:
        raise BadRequest(f"workers is {workers}; give 1 or more, or leave it out to use every core")
    return workers


def crew(workers: int | None = None, backend: str = "process", address: str | None = None) -> Crew:
    """The crew that a caller asked for; None where they did not say.

    Raises:
        UnknownName: there is no such backend.
        BadRequest: fewer workers than one, or arguments that do not go together.
    """
    if backend not in BACKENDS:
        raise UnknownName("backend", backend, BACKENDS)
    if not address:
        return Crew(worker_count(workers), backend)
    if backend != "ray":
        raise BadRequest(f"address is of a Ray cluster ({address}); add backend ray, or leave it out")
    if workers is not None:
        raise BadRequest(f"the cluster at {address} uses all its cores; leave out the number of workers")
    return Crew(0, backend, address)


def each(work: Callable[[Job], Result], jobs: Iterable[Job], workers: int | Crew) -> Iterator[Result]:
    """`work(job)` for every job, in the order of the jobs; jobs are taken from their iterable as they are needed.

    One worker does them here.  More do them in processes of their own, and a crew's may be on other machines, so `work`
    must be a module's function, jobs and results must pickle, and files must lie where all workers see them.  A job may be
    done twice where a machine of a cluster is lost, so it must come to the same both times.

    Raises:
        WorlddbError: a worker process was killed, for instance for want of memory; and whatever `work` raises.
    """
    hands = workers if isinstance(workers, Crew) else Crew(workers)
    if hands.backend == "ray":
        from worlddb.backends.ray import each_on_ray

        yield from each_on_ray(work, jobs, hands)
    elif hands.workers == 1:
        yield from map(work, jobs)
    else:
        yield from _each_by_processes(work, jobs, hands.workers)


def _each_by_processes(work: Callable[[Job], Result], jobs: Iterable[Job], workers: int) -> Iterator[Result]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
        under_way: deque[Future[Result]] = deque()
        try:
            for job in jobs:
                under_way.append(pool.submit(work_calmly, work, job))
                if len(under_way) >= BACKLOG * workers:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        except BrokenProcessPool:
            reasons = "for want of memory, or because the calling script lacks its __main__ guard"
            raise WorlddbError(f"a worker process died ({reasons}); mend that or use fewer workers") from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


# --- in a worker process


def work_calmly(work: Callable[[Job], Result], job: Job) -> Result:
    """`work(job)`, in a process of our own, whose garbage collector may be told to be calmer."""
    gc.set_threshold(*GC_THRESHOLDS)
    return work(job)


def _start_worker() -> None:
    """Ctrl-C is the parent's to handle; and a worker must not outlive a parent that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent.sentinel,), daemon=True).start()


def _leave_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
