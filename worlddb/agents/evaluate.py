"""Evaluation: an agent plays the tasks of a store, k times each, into a run.

Agents that only compute are made anew in several processes and play world by world, so that their runs are the same line by line.
All others play in threads, each attempt by itself, and are written down as they come.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from worlddb.agents.field import Plan, Unit, plan
from worlddb.agents.make import LOCAL, Spec, make_agent
from worlddb.agents.model import Agent, Stopped, Unanswered
from worlddb.attempts import Talk
from worlddb.episode.play import Episode
from worlddb.errors import BadRequest, WorlddbError
from worlddb.parallel import Crew, crew, each
from worlddb.runs.folder import Run, Writer, begin_run
from worlddb.runs.model import Kept, Manifest, kept
from worlddb.tasks.model import Task
from worlddb.version import __version__
from worlddb.world.model import World

CONCURRENCY = 32
IN_VAIN = 2
"""Attempts in a row, for each thread, after which an endpoint that answers none of them is taken to be down."""
Progress: TypeAlias = Callable[[int, int], None]
"""Called with the attempts that are done and the attempts in all."""


class Missed(NamedTuple):
    """An attempt that nobody made, and why."""

    task: str
    run: int
    why: str


class Outcome(NamedTuple):
    """What came of an evaluation."""

    run: Run
    missed: tuple[Missed, ...] = ()
    """Attempts that the same call will try again."""


def evaluate(
    source: str | Path, out: str | Path, agent: Agent | Spec | str, *, k: int = 1, tasks: int | None = None,
    task_profile: str = "", profile: str = "default", concurrency: int = CONCURRENCY, workers: int | None = None,
    backend: str = "process", address: str | None = None, progress: Progress | None = None,
) -> Outcome:  # fmt: skip
    """Have an agent play the tasks of a store (a folder) or of a world (its id or seed), `k` times each, into the run `out`.

    A run that is there already is gone on with; one that is finished is left as it is.

    Args:
        agent: a name of `agents.make.NAMES`, a Spec, or any object with a `name` and `play`.
        tasks: at most so many, the first ones.
        task_profile: make tasks of this profile, instead of taking the stored ones.
        profile: size of the world, where it is grown by its name.
        concurrency: attempts at the same time, for agents that wait for a model.
        workers: processes, for agents that compute; None for one per core.
        backend: 'process', or 'ray' for a cluster whose machines see the store (of these agents, too); `address` is its own.

    Raises:
        UnknownName: there is no such agent, world or profile.
        BadRequest: there are no tasks, or k is below 1.
        StoreError: `out` holds something else, or cannot be written.
        WorlddbError: the endpoint is down.
    """
    if k < 1 or concurrency < 1:
        raise BadRequest(f"k is {k}, concurrency {concurrency}; give 1 or more")
    spec = Spec(agent) if isinstance(agent, str) else agent if isinstance(agent, Spec) else None
    hands = crew(workers, backend, address)
    if hands.elsewhere and not (spec is not None and spec.local):
        known = ", ".join(LOCAL)
        raise BadRequest(f"a cluster is for the agents {known}; others wait for a model, so leave out the backend")
    player: Agent = make_agent(spec) if spec is not None else agent  # type: ignore[assignment]
    planned = plan(_seen(source, hands), tasks=tasks, task_profile=task_profile, profile=profile)
    run = begin_run(out, _manifest(planned, spec, player, k))
    with run.writing() as writer:
        units = list(planned.units(k, done := run.done()))
        local = spec is not None and spec.local
        if spec is not None and local:
            jobs = (Job(unit, spec) for unit in units)
            made = _flat(each(play_unit, jobs, hands.for_jobs(len(units))))
        else:
            made = _in_threads(player, units, concurrency)
        with closing(made):
            patience = run.total + 1 if local else IN_VAIN * concurrency
            missed = _written(made, writer, done.count, run.total, progress, patience)
    return Outcome(run, tuple(missed))


def _seen(source: str | Path, hands: Crew) -> str:
    """The source as the workers see it."""
    return str(Path(source).resolve()) if hands.elsewhere and Path(source).exists() else str(source)


def _manifest(planned: Plan, spec: Spec | None, player: Agent, k: int) -> Manifest:
    options = dict(spec.options) if spec is not None else {}
    return Manifest(
        source=planned.field.source, digest=planned.digest, agent=spec.name if spec is not None else player.name,
        model=str(options.pop("model", "")), options=options, k=k, tasks=planned.tasks, task_profile=planned.task_profile,
        made=bool(planned.field.task_profile), version=__version__,
    )  # fmt: skip


def _written(
    made: Iterator[Kept | Missed], writer: Writer, done: int, total: int, progress: Progress | None, patience: int
) -> list[Missed]:
    """Put down what comes; the attempts that were not made.  `patience`: so many of them in a row are too many."""
    missed: list[Missed] = []
    in_vain = 0
    for one in made:
        if isinstance(one, Missed):
            missed.append(one)
            in_vain += 1
            if in_vain >= patience:
                cure = "see to the endpoint, and run the same command again"
                raise WorlddbError(f"{in_vain} attempts in a row were not answered ({one.why}); {cure}")
            continue
        in_vain = 0
        writer.put(one)
        done += 1
        if progress:
            progress(done, total)
    return missed


# --- one attempt


def attempt(agent: Agent, world: World, task: Task, run: int) -> Kept | Missed:
    """One attempt, packed; its seconds are those of the whole."""
    began = time.monotonic()
    talk = Talk(Episode(world, task))
    stopped = ""
    try:
        agent.play(talk, run)
    except Stopped as bound:
        stopped = str(bound)
    except Unanswered as why:
        return Missed(task.id, run, str(why))
    talk.usage = replace(talk.usage, seconds=round(time.monotonic() - began, 4))
    return kept(talk.attempt(agent.name, run), stopped)


# --- in processes


class Job(NamedTuple):
    """One world for one process."""

    unit: Unit
    agent: Spec


def play_unit(job: Job) -> list[Kept | Missed]:
    """All attempts that are wanted of one world; tools that several of them share stand with the first."""
    agent = _made(job.agent.name, msgspec.json.encode(job.agent.options))
    world = job.unit.field.world(job.unit.position)
    found: list[Kept | Missed] = []
    known = set[str]()
    for task, run in job.unit.wanted(world):
        one = attempt(agent, world, task, run)
        if isinstance(one, Kept):
            one = replace(one, tools=b"") if one.digest in known else one
            known.add(one.digest)
        found.append(one)
    return found


@lru_cache(1)
def _made(name: str, options: bytes) -> Agent:
    """An agent, made once in a process: one that replays reads all that was recorded."""
    return make_agent(Spec(name, msgspec.json.decode(options)))


def _flat(made: Iterator[list[Kept | Missed]]) -> Generator[Kept | Missed, None, None]:
    for some in made:
        yield from some


# --- in threads


def _in_threads(agent: Agent, units: list[Unit], concurrency: int) -> Generator[Kept | Missed, None, None]:
    """Attempts as they are finished, so many at the same time.  The threads end with the process, or once this is closed."""
    wanted, door = _attempts(units), threading.Lock()
    found: queue.SimpleQueue[Kept | Missed | BaseException | None] = queue.SimpleQueue()
    closed = threading.Event()

    def work() -> None:
        try:
            while not closed.is_set():
                with door:
                    turn = next(wanted, None)
                if turn is None:
                    break
                found.put(attempt(agent, *turn))
        except BaseException as error:
            found.put(error)
        found.put(None)

    for _ in range(concurrency):
        threading.Thread(target=work, daemon=True).start()
    try:
        left = concurrency
        while left:
            one = found.get()
            if isinstance(one, BaseException):
                raise one
            left -= one is None
            if one is not None:
                yield one
    finally:
        closed.set()


def _attempts(units: list[Unit]) -> Iterator[tuple[World, Task, int]]:
    for unit in units:
        world = unit.field.world(unit.position)
        world.toolset()  # made once, not by several threads at the same time
        for task, run in unit.wanted(world):
            yield world, task, run
