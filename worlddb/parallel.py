"""Work spread over processes: ordered results, a bounded backlog, and no process left behind.

The processes are started afresh ("spawn"), so a script that calls worlddb with more than one worker needs the usual
`if __name__ == "__main__":` around its own code.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

from worlddb.errors import BadRequest, WorlddbError

Job = TypeVar("Job")
Result = TypeVar("Result")

BACKLOG = 3
"""Jobs under way per worker: enough to keep it busy, few enough that memory stays flat."""


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


def each(work: Callable[[Job], Result], jobs: Iterable[Job], workers: int) -> Iterator[Result]:
    """`work(job)` for every job, in the order of the jobs.

    One worker does them here.  More do them in processes of their own, so `work` must be a module's function, and jobs
    and results must pickle.

    Raises:
        WorlddbError: a worker process was killed, for instance for want of memory; and whatever `work` raises.
    """
    if workers == 1:
        yield from map(work, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
        under_way: deque[Future[Result]] = deque()
        try:
            for job in jobs:
                under_way.append(pool.submit(work, job))
                if len(under_way) >= BACKLOG * workers:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        except BrokenProcessPool:
            reasons = "for want of memory, or because the calling script lacks its __main__ guard"
            raise WorlddbError(f"a worker process died ({reasons}); mend that or use fewer workers") from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Ctrl-C is the parent's to handle; and a worker must not outlive a parent that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent.sentinel,), daemon=True).start()


def _leave_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
