"""The checks that OpenEnv 0.10 lists without grading them, under its own ids, made over the wire against a running server.

    python -m worlddb.adapters.openenv_check data/out --tasks 50

A generated world can prove them: the oracle is the task's gold, the canaries are what gold becomes when something is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import orjson
from openenv.core.generic_client import GenericEnvClient

from worlddb.adapters.common import find
from worlddb.adapters.openenv import serving, supply_of
from worlddb.attempts import gold_attempt
from worlddb.episode.play import SUBMIT, judge

MARGIN = 0.1
"""How far above the floor the oracle is to be at least, as in OpenEnv's policy."""
NOBODY = "no answer that anybody would give"


class Call(NamedTuple):
    """A call of a trajectory."""

    name: str
    arguments: dict[str, Any]


class Case(NamedTuple):
    """A task, with its oracle and its canaries."""

    split: str
    number: int
    """Its index in the split."""
    task: str
    oracle: tuple[Call, ...]
    canaries: dict[str, tuple[Call, ...]]


class Check(NamedTuple):
    """The outcome of one check."""

    id: str
    passed: bool
    evidence: str
    seconds: float


class Played(NamedTuple):
    """What a trajectory brought: the observations as JSON, and the last reward."""

    observations: tuple[bytes, ...]
    reward: float


def cases(store: str, split: str = "all", tasks: int = 50) -> tuple[Case, ...]:
    """The first tasks of a split."""
    found = []
    for index, address in enumerate(supply_of(store, split).addresses[:tasks]):
        world, task = find(address)
        said = [c["function"] for m in gold_attempt(world, task).messages for c in m.get("tool_calls", ())]
        oracle = tuple(Call(c["name"], c["arguments"]) for c in said)
        readers = {t.name for t in world.toolset() if t.read_only}
        found.append(Case(split, index, task.id, oracle, dict(canaries(oracle, readers))))
    return tuple(found)


def canaries(oracle: Sequence[Call], readers: set[str]) -> Iterator[tuple[str, tuple[Call, ...]]]:
    """Trajectories that are worth nothing: no deed, looking only, and another answer where one is asked for."""
    nothing = Call(SUBMIT, {})
    yield "nothing", (nothing,)
    yield "looks only", (*(c for c in oracle[:-1] if c.name in readers), nothing)
    if "answer" in oracle[-1].arguments:
        yield "another answer", (*oracle[:-1], Call(SUBMIT, {"answer": NOBODY}))


# --- playing


async def play(url: str, case: Case, calls: Sequence[Call]) -> Played:
    """A trajectory in a session of its own."""
    async with GenericEnvClient(base_url=url) as client:
        begun = await client.reset(split=case.split, index=case.number)
        return Played(*await _act(client, calls, [_spelt(begun)]))


async def _act(client: Any, calls: Sequence[Call], seen: list[bytes]) -> tuple[tuple[bytes, ...], float]:
    reward = 0.0
    for call in calls:
        got = await client.step({"type": "call_tool", "tool_name": call.name, "arguments": call.arguments})
        seen.append(_spelt(got))
        reward = float(got.reward or 0.0)
    return tuple(seen), reward


def _spelt(result: Any) -> bytes:
    return orjson.dumps([result.observation, result.reward, result.done], option=orjson.OPT_SORT_KEYS)


# --- the checks; each returns what is wrong, '' where nothing is, and what was seen


Told: TypeAlias = tuple[str, str]
Checker: TypeAlias = Callable[[str, Sequence[Case]], Coroutine[Any, Any, Told]]


async def seed_control(url: str, all_cases: Sequence[Case]) -> Told:
    """A seed draws the same task each time, and other seeds draw others."""
    drawn: dict[int, set[bytes]] = {}
    async with GenericEnvClient(base_url=url) as client:
        for seed in (*range(8), *range(8)):
            drawn.setdefault(seed, set()).add(_spelt(await client.reset(seed=seed)))
    unsteady = [s for s, found in drawn.items() if len(found) > 1]
    different = len(set.union(*drawn.values()))
    wrong = (
        f"seeds {unsteady} draw now this and now that"
        if unsteady
        else ""
        if different > 1
        else "all seeds draw one task"
    )
    return wrong, f"8 seeds twice, {different} tasks"


async def episode_determinism(url: str, all_cases: Sequence[Case]) -> Told:
    """The same calls get the same observations, byte for byte."""
    wrong = [c.task for c in all_cases if await play(url, c, c.oracle) != await play(url, c, c.oracle)]
    return _among(wrong, "differ from one run to the next"), f"{len(all_cases)} tasks twice"


async def episode_isolation(url: str, all_cases: Sequence[Case]) -> Told:
    """What is done in a session is not seen in another one of the same task, call by call side by side."""
    wrong = []
    for case in all_cases:
        alone = await play(url, case, case.oracle)
        async with GenericEnvClient(base_url=url) as one, GenericEnvClient(base_url=url) as two:
            seen = [[_spelt(await c.reset(split=case.split, index=case.number))] for c in (one, two)]
            rewards = []
            for call in case.oracle:
                rewards = [(await _act(c, [call], s))[1] for c, s in zip((one, two), seen, strict=True)]
        if any(tuple(s) != alone.observations for s in seen) or rewards != [alone.reward] * 2:
            wrong.append(case.task)
    return _among(wrong, "are not as they are alone"), f"{len(all_cases)} tasks, two sessions in step"


async def oracle_max(url: str, all_cases: Sequence[Case]) -> Told:
    """The oracle gets the highest reward."""
    rewards = {c.task: (await play(url, c, c.oracle)).reward for c in all_cases}
    wrong = [t for t, r in rewards.items() if r != 1.0]
    return _among(wrong, "do not pay their oracle"), f"least {min(rewards.values()):g} of {len(rewards)} tasks"


async def floor_gap(url: str, all_cases: Sequence[Case]) -> Told:
    """The oracle is far above an agent that does nothing."""
    gaps = [
        (await play(url, c, c.oracle)).reward - (await play(url, c, c.canaries["nothing"])).reward for c in all_cases
    ]
    wrong = [c.task for c, gap in zip(all_cases, gaps, strict=True) if gap < MARGIN]
    return _among(wrong, f"have a gap below {MARGIN}"), f"least gap {min(gaps):g}"


async def canary_floor(url: str, all_cases: Sequence[Case]) -> Told:
    """No canary is paid."""
    paid = [
        f"{c.task} ({name})"
        for c in all_cases
        for name, calls in c.canaries.items()
        if (await play(url, c, calls)).reward > 0
    ]
    return _among(paid, "are paid"), f"{sum(len(c.canaries) for c in all_cases)} canaries"


async def verifier_determinism(url: str, all_cases: Sequence[Case]) -> Told:
    """A final state gets the same reward and the same verdict whenever it is judged, for oracles and for canaries."""
    wrong = []
    for case in all_cases:
        for calls in (case.oracle, *case.canaries.values()):
            if len({(await play(url, case, calls)).observations[-1] for _ in range(2)}) > 1:
                wrong.append(case.task)
    return _among(wrong, "are judged now so and now otherwise"), f"{len(all_cases)} tasks"


def replayability(store: str) -> Checker:
    """A recorded trajectory is worth in another process what it was worth on the server."""

    async def check(url: str, all_cases: Sequence[Case]) -> Told:
        wrong, made = [], 0
        for case in all_cases:
            world, task = find(supply_of(store, case.split).addresses[case.number])
            for calls in (case.oracle, *case.canaries.values()):
                record = {"task": case.task, "calls": [c._asdict() for c in calls]}
                made += 1
                if judge(record, world, task).reward != (await play(url, case, calls)).reward:
                    wrong.append(case.task)
        return _among(wrong, "are worth something else when replayed"), f"{made} trajectories"

    return check


def _among(wrong: Sequence[str], what: str) -> str:
    return f"{len(wrong)} {what}: {', '.join(wrong[:5])}" if wrong else ""


def checks(store: str, split: str = "all", tasks: int = 50) -> list[Check]:
    """Serve a store on this machine and make all the checks.

    Raises:
        BadRequest: the store has no task in that split.
        StoreError: there is no store, or it is damaged.
    """
    listed: dict[str, Checker] = {
        "runtime.seed_control": seed_control,
        "runtime.episode_determinism": episode_determinism,
        "runtime.episode_isolation": episode_isolation,
        "semantic.oracle_max": oracle_max,
        "semantic.floor_gap": floor_gap,
        "semantic.canary_floor": canary_floor,
        "semantic.verifier_determinism": verifier_determinism,
        "semantic.replayability": replayability(store),
    }
    given, found = cases(store, split, tasks), []
    with serving(store, split=split) as url:
        for id, check in listed.items():
            start = time.perf_counter()
            wrong, seen = asyncio.run(check(url, given))
            found.append(Check(id, not wrong, wrong or seen, time.perf_counter() - start))
    return found


def main() -> int:
    """Print a line per check; 1 where one failed."""
    parser = argparse.ArgumentParser(
        prog="python -m worlddb.adapters.openenv_check", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("store")
    parser.add_argument("--split", default="all")
    parser.add_argument("--tasks", type=int, default=50, help="how many of the split (50)")
    asked = parser.parse_args()
    found = checks(asked.store, asked.split, asked.tasks)
    for c in found:
        print(f"{'PASS' if c.passed else 'FAIL'}  {c.id:32} {c.seconds:6.1f} s  {c.evidence}")
    return int(not all(c.passed for c in found))


if __name__ == "__main__":
    sys.exit(main())
