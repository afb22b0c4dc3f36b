"""Rubrics: what a verdict costs with and without one, of agents that are right and of agents that are not; and reports."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from tests.bench.budgets import BUDGETS
from tests.bench.measure import Figure, Row, Way, side_by_side
from tests.bench.stages import Effort, scaled
from tests.calls import draw_call
from worlddb.episode.solve import solve, submitted
from worlddb.episode.verify import UNANSWERED, verify
from worlddb.report import Runs
from worlddb.rubrics import rubric, under_presets
from worlddb.tasks.model import Task
from worlddb.tools.session import Session
from worlddb.world.generate import generate

WORLDS, RUNS = 20, 100_000
STRAY = 5
"""Calls that an agent makes beside the gold."""


class Play(NamedTuple):
    """What an agent did."""

    task: Task
    session: Session
    answer: Any = UNANSWERED


def rubric_(effort: Effort) -> Iterator[Row]:
    """All measurements."""
    worlds = [generate(seed) for seed in range(WORLDS if effort.n >= 50 else 2)]
    agents: dict[str, list[Play]] = {"gold": [], "half": [], "stray": []}
    for world in worlds:
        for n, task in enumerate(world.tasks):
            agents["gold"].append(Play(task, solve(world, task).session, submitted(task)))
            agents["half"].append(Play(task, solve(world, task, without=len(task.gold)).session))
            agents["stray"].append(_stray(Play(task, solve(world, task).session, submitted(task)), random.Random(n)))
    says = {"gold": "the gold", "half": "half done", "stray": f"the gold and {STRAY} calls beside it"}
    for who, plays in agents.items():
        yield from _costs(who, f"{says[who]}, {len(plays)} tasks of {len(worlds)} worlds", plays, effort)
    yield from _reports(effort)


def _stray(play: Play, dice: random.Random) -> Play:
    tools = [t for t in play.session.toolset if t.kind not in ("sql", "plugin")]
    for _ in range(STRAY):
        tool = dice.choice(tools)
        play.session.call(tool.name, draw_call(play.session, tool, dice))
    return play


def _costs(who: str, what: str, plays: Sequence[Play], effort: Effort) -> Iterator[Row]:
    def over(judge: Callable[[Play], Any]) -> Way:
        return Way(lambda _: [judge(p) for p in plays] and None, per=len(plays))

    ways = {"verdict": over(_verdict), "rubric": over(_with_rubric), "presets": over(_with_presets)}
    found = {name: scaled(figure, 1e3) for name, figure in side_by_side(ways, effort.repeats).items()}
    without = {"verdict alone": found["verdict"]}
    yield _row(f"rubric.{who}", f"verdict with rubric: {what}", found["rubric"], "µs", naive=without)
    yield _row(f"rubric.{who}.presets", f"verdict under every preset: {what}", found["presets"], "µs", naive=without)


def _verdict(play: Play) -> Any:
    return verify(play.task.goal, play.session, play.answer)


def _with_rubric(play: Play) -> Any:
    return rubric(play.task, play.session, _verdict(play), preset="synthagent")


def _with_presets(play: Play) -> Any:
    return under_presets(play.task, play.session, _verdict(play))


def _reports(effort: Effort) -> Iterator[Row]:
    """Runs counted and reported, eight attempts at each task."""
    count, dice = RUNS if effort.n >= 50 else 8_000, random.Random(7)
    runs = [
        msgspec.json.encode(
            {
                "task": f"w-{n // 80}/{n // 8 % 10}",
                "run": n % 8,
                "reward": float(dice.random() < 0.5),
                "family": "abcdef"[n // 8 % 6],
            }
        )
        for n in range(count)
    ]
    report = partial(_report, runs)
    figure = side_by_side({"report": Way(lambda _: report(), per=count)}, effort.repeats)["report"]
    yield _row("rubric.report", f"report over {count:,} runs, per run", scaled(figure, 1e3), "µs")


def _report(runs: Sequence[bytes]) -> Any:
    found = Runs().read(runs).report()
    assert found.all.runs == len(runs)
    return found


def _row(key: str, what: str, ours: Figure, unit: str, **more: Any) -> Row:
    return Row(key=key, what=what, unit=unit, ours=ours, budget=BUDGETS.get(key), **more)
