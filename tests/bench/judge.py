"""Judging: verdicts by size of the change and of the world, episodes with their verdict, and what a gated task costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from typing import Any

import apsw

from tests.bench.act import SIZES, STEPS, Scene
from tests.bench.budgets import BUDGETS
from tests.bench.measure import Figure, Row, Way, cpu_seconds, plain, side_by_side
from tests.bench.naive_act import Excepts
from tests.bench.stages import Effort, Watch, scaled
from tests.bench.subject import replaced
from worlddb.episode.play import Episode
from worlddb.episode.solve import gold_calls, submitted
from worlddb.episode.verify import verify
from worlddb.gate import admit, tasks_of
from worlddb.gate.trials import Trials
from worlddb.schema.model import Schema, Table
from worlddb.schema.rules import quote
from worlddb.semantics.types import semantic_type
from worlddb.tasks import propose
from worlddb.tasks.compile import goal_of
from worlddb.tasks.forms import window_in
from worlddb.tasks.goal import Goal
from worlddb.tools.session import Session
from worlddb.world.generate import generate
from worlddb.world.model import World

CHANGES = (0, 1, 5, 20, 100, 1000)
AT_ONCE = 50
"""Rows that one statement changes."""
SAID = "Looked at again, and all is well."
WORLDS, TASKS = 20, 10
SLOW = {"default": 40, "large": 4, "huge": 1}
"""How often a naive way is run in one measurement."""


def judge(effort: Effort) -> Iterator[Row]:
    """All measurements; the larger sizes only in a full run."""
    for profile in ["default"] if effort.n < 50 else list(SIZES):
        yield from _verdicts(generate(7, profile), profile, effort)
    yield from _scripted(Scene("default"), effort)
    yield from _golds(effort)
    yield from _gate(effort)


def _row(key: str, what: str, ours: Figure, unit: str = "µs", **more: Any) -> Row:
    return Row(key=key, what=what, unit=unit, ours=ours, budget=BUDGETS.get(key), **more)


def _micro(ways: dict[str, Way], repeats: int) -> dict[str, Figure]:
    return {name: scaled(figure, 1e3) for name, figure in side_by_side(ways, repeats).items()}


def _repeat(run: Callable[[], Any], times: int) -> Way:
    return Way(lambda _: [run() for _ in range(times)] and None, per=times)


# --- verdicts


def changed(world: World, rows: int) -> Session:
    """A session in which so many rows have another text, or as many as have one that may be changed."""
    session = world.session(world.toolset(sets="both"))
    for table in sorted(world.schema.tables, key=lambda t: -world.counts[t.key]):
        column = _free(world.schema, table)
        if column is None:
            continue
        key, name = quote(table[table.primary_key[0]].name), quote(table.name)
        for first, last in _spans(session.rows(f"SELECT {key} FROM {name} ORDER BY 1")):
            left = rows - len(session.diff())
            if left <= 0:
                return session
            some = f"SELECT {key} FROM {name} WHERE {key} BETWEEN ? AND ? ORDER BY 1 LIMIT {left}"
            sql = f"UPDATE {name} SET {quote(column)} = '{SAID}' WHERE {key} IN ({some})"
            session.call("run_sql", {"sql": sql, "parameters": [first, last]})
    return session


def _spans(keys: list[tuple[Any, ...]]) -> Iterator[tuple[Any, Any]]:
    for at in range(0, len(keys), AT_ONCE):
        some = keys[at : at + AT_ONCE]
        yield some[0][0], some[-1][0]


def _free(schema: Schema, table: Table) -> str | None:
    """The name of a column of free text, which no rule speaks of."""
    if len(table.primary_key) != 1:
        return None
    texts = [c for c in table.columns if semantic_type(c.type).compare == "text.free" and not c.unique]
    return texts[0].name if texts else None


class Hashes:
    """Verdict by a hash of all that the database holds, which is compared with that of the state that is wanted."""

    def __init__(self, connection: apsw.Connection, schema: Schema) -> None:
        self._db = connection
        self._queries = [
            f"SELECT * FROM {quote(t.name)} ORDER BY {', '.join(quote(t[k].name) for k in t.primary_key)}"
            for t in schema.tables
        ]

    def hash(self) -> str:
        """Of every row of every table."""
        made = sha256()
        for query in self._queries:
            for row in self._db.execute(query):
                made.update(repr(row).encode())
        return made.hexdigest()


def _verdicts(world: World, size: str, effort: Effort) -> Iterator[Row]:
    """By the number of rows that differ, beside ways that look at all rows."""
    sessions = {n: changed(world, n) for n in CHANGES}
    goals = {n: _goal(world, s) for n, s in sessions.items()}
    ways: dict[str, Way] = {}
    for n, session in sessions.items():
        assert verify(goals[n], session).reward == 1
        ways[f"{n}"] = _repeat(partial(verify, goals[n], session), max(3, 2000 // (n + 10)))
    assert verify(goals[5], sessions[1]).reward == 0
    ways["wrong"] = _repeat(lambda: verify(goals[5], sessions[1]), 50)
    excepts = Excepts(world, sessions[5])
    ways["except"] = _repeat(excepts.diff, SLOW[size])
    ways["hash"] = _repeat(Hashes(excepts._db, world.schema).hash, max(1, SLOW[size] // 4))
    found = _micro(ways, min(effort.repeats, 3) if size == "huge" else effort.repeats)
    naive = {"EXCEPT over all tables": found["except"], "hash of all rows": found["hash"]}
    note = f"{SIZES[size]} ({world.rows:,})"
    for n, session in sessions.items():
        yield _row(
            f"judge.verdict.{n}.{size}", f"verdict on {len(session.diff()):,} changed rows, {note}", found[f"{n}"],
            naive=naive if n == 5 else {},
        )  # fmt: skip
    yield _row(f"judge.wrong.{size}", f"verdict with its explanation: 1 row of 5 changed, {note}", found["wrong"])


def _goal(world: World, session: Session) -> Goal:
    return goal_of(world.schema, [session.diff()], [], windows=[window_in(session)])


# --- episodes


def _scripted(scene: Scene, effort: Effort) -> Iterator[Row]:
    """Nine calls, JSON text in to JSON text out, between a reset and a verdict."""
    scripts = [scene.script(seed) for seed in range(8)]
    episodes = []
    for script in scripts:
        session = scene.world.session(scene.toolset)
        for call in script:
            assert session.call(*call).ok
        episodes.append(Episode(scene.world, _goal(scene.world, session), scene.toolset))

    def play() -> None:
        for episode, script in zip(episodes, scripts, strict=True):
            episode.reset()
            for call in script:
                episode.call(*call).json  # noqa: B018
            episode.submit()

    play()
    assert all(e.verdict is not None and e.verdict.reward == 1 for e in episodes)
    per = scaled(_micro({"play": _repeat(play, 20)}, effort.repeats)["play"], 1 / len(scripts))
    assert per.cpu is not None
    yield _row("judge.episode", f"episode of {STEPS} calls with reset and verdict", per)
    yield _row(
        "judge.rate", "such episodes per second and core", plain([round(1e6 / per.cpu.median)]), unit="1/s", by="value"
    )


def _golds(effort: Effort) -> Iterator[Row]:
    """The golds of real tasks, each in an episode with its verdict."""
    worlds = [generate(seed) for seed in range(WORLDS if effort.n >= 50 else 2)]
    plays = []
    for world in worlds:
        toolset = world.toolset()
        for task in tasks_of(world, TASKS).tasks:
            calls = [(c.name, c.arguments) for c in gold_calls(task, toolset)]
            plays.append((Episode(world, task, toolset), calls, submitted(task)))

    def play() -> None:
        for episode, calls, answer in plays:
            episode.reset()
            for call in calls:
                episode.call(*call).json  # noqa: B018
            episode.submit(answer)

    def verdicts() -> None:
        for episode, _, answer in plays:
            verify(episode.goal, episode.session, answer)

    play()
    assert all(e.verdict is not None and e.verdict.reward == 1 for e, _, _ in plays)
    found = _micro({"episode": _repeat(play, 2), "verdict": _repeat(verdicts, 2)}, effort.repeats)
    mean = sum(len(calls) for _, calls, _ in plays) / len(plays)
    of = f"{len(plays)} tasks of {len(worlds)} worlds"
    yield _row(
        "judge.gold", f"gold with reset and verdict, {mean:.1f} calls on average, {of}",
        scaled(found["episode"], 1 / len(plays)),
    )  # fmt: skip
    yield _row("judge.gold.verdict", f"its verdict alone, {of}", scaled(found["verdict"], 1 / len(plays)))


# --- the gate

PARTS: tuple[tuple[Any, str, str], ...] = (
    (propose.Proposer, "_plans", "propose: plans"), (propose.Proposer, "carry_out", "propose: golds and cards"),
    (admit, "say", "wording"), (admit._Gate, "_goal", "goals"), (admit, "proof_of", "proofs"), (Trials, "run", "trials"),
)  # fmt: skip
"""What the gate does for a task, part by part."""


def _gate(effort: Effort) -> Iterator[Row]:
    """From a world with its tools to tasks that have passed every trial."""
    for profile in ("default", "hard") if effort.n >= 50 else ("default",):
        worlds = [generate(seed) for seed in range(max(2, effort.worlds))]
        admitted = sum(len(tasks_of(w, TASKS, profile).tasks) for w in worlds)
        assert admitted
        way = Way(_gating(worlds, profile), per=admitted)
        made = side_by_side({"gate": way}, min(effort.repeats, 3), warmups=0)["gate"]
        key = f"judge.task.{profile}"
        yield _row(
            key, f"an admitted task, profile {profile}, {admitted} of {len(worlds)} worlds", made, unit="ms/task",
            extra={"split": _split(worlds, profile, admitted)},
        )  # fmt: skip


def _gating(worlds: list[World], profile: str) -> Callable[[Any], None]:
    def run(_: Any) -> None:
        for world in worlds:
            tasks_of(world, TASKS, profile)

    return run


def _split(worlds: list[World], profile: str, admitted: int) -> dict[str, Any]:
    """Milliseconds of CPU per admitted task in each part, and how often it was done."""
    watches = {what: Watch() for _, _, what in PARTS}

    def timed(what: str) -> Callable[[Any], Any]:
        def by(real: Any) -> Any:
            def call(*args: Any, **named: Any) -> Any:
                with watches[what].timing():
                    return real(*args, **named)

            return call

        return by

    start = cpu_seconds()
    with ExitStack() as stack:
        for place, name, what in PARTS:
            stack.enter_context(replaced(place, name, timed(what)))
        for world in worlds:
            tasks_of(world, TASKS, profile)
    whole = cpu_seconds() - start
    found = {
        what: {
            "ms": _ms(w.seconds, admitted),
            "share": round(w.seconds / whole, 3),
            "calls": round(w.calls / admitted, 2),
        }
        for what, w in watches.items()
    }
    rest = whole - sum(w.seconds for w in watches.values())
    return found | {"rest": {"ms": _ms(rest, admitted), "share": round(rest / whole, 3)}}


def _ms(seconds: float, tasks: int) -> float:
    return round(seconds * 1e3 / tasks, 3)
