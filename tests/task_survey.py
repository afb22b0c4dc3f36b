"""Every task of many worlds, put to the test and counted: `python -m tests.task_survey --help`.

Worlds are grown and their tasks made and proved in processes of their own, world by world; only figures come back.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import click
import msgspec

from tests.task_proofs import Proofs, types_used
from worlddb.gate import Batch, tasks_of
from worlddb.parallel import each, worker_count
from worlddb.rng import Stream
from worlddb.shards import family_and_reason
from worlddb.tasks.ground import Ground
from worlddb.tasks.model import Card, Task
from worlddb.tasks.say import measure
from worlddb.tasks.shapes import TaskProfile, task_profile, task_profiles
from worlddb.world.generate import generate

SLOWEST, SHOWN = 8, 10
LARGEST_SHARE = 0.05
"""Of all answers, what the best constant guess may hit."""


class Job(NamedTuple):
    """One world of one profile of tasks."""

    seed: int
    profile: str
    tasks: int
    proofs: bool


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one task."""

    id: str
    family: str
    instruction: str
    answer: str
    """As JSON; '' where nothing is asked, 'null' where it cannot be done."""
    card: Card
    tools: tuple[str, ...]
    types: tuple[str, ...]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What one world gave."""

    job: Job
    world: str
    tasks: tuple[Brief, ...]
    batch: Batch
    """Without its tasks."""
    faults: tuple[str, ...]
    """'task id: what does not hold'."""
    judged: dict[str, int]
    """Agent -> runs that must not be paid."""
    seconds: dict[str, float]
    """CPU: grow, tools, gate, proofs."""

    @property
    def short(self) -> int:
        """Tasks that are lacking."""
        return self.job.tasks - len(self.tasks)


def look(job: Job) -> Found:
    """Grow a world, make its tasks and prove them."""
    clock = [time.process_time()]
    world = generate(job.seed)
    clock.append(time.process_time())
    toolset = world.toolset()
    clock.append(time.process_time())
    batch = tasks_of(world, job.tasks, job.profile)
    clock.append(time.process_time())
    ground = Ground(world, toolset)
    proofs = Proofs(ground)
    faults = tuple(f"{t.id}: {f}" for t in batch.tasks for f in proofs.faults(t)) if job.proofs else ()
    clock.append(time.process_time())
    steps = zip(("grow", "tools", "gate", "proofs"), clock, clock[1:], strict=False)
    return Found(
        job=job, world=world.id, tasks=tuple(brief(ground, t) for t in batch.tasks), faults=faults,
        batch=msgspec.structs.replace(batch, tasks=()), judged=dict(proofs.judged),
        seconds={name: end - start for name, start, end in steps},
    )  # fmt: skip


def brief(ground: Ground, task: Task) -> Brief:
    """What is kept of a task."""
    answer = "" if task.plan.asked is None else msgspec.json.encode(task.answer).decode()
    return Brief(
        id=task.id, family=task.family, instruction=task.instruction, answer=answer, card=task.card,
        tools=tuple(sorted({c.tool for c in task.gold})), types=tuple(sorted(types_used(ground.schema, ground, task))),
    )  # fmt: skip


# --- figures of many worlds


def summary(profile: str, found: Sequence[Found], wall: float) -> dict[str, Any]:
    """All figures of one profile."""
    tasks = [t for f in found for t in f.tasks]
    cpu = {name: round(sum(f.seconds[name] for f in found), 2) for name in ("grow", "tools", "gate", "proofs")}
    slow = sorted(found, key=lambda f: -f.seconds["gate"])[:SLOWEST]
    texts = [t.instruction for t in tasks]
    return {
        "profile": profile,
        "worlds": len(found),
        "wanted": sum(f.job.tasks for f in found),
        "admitted": len(tasks),
        "proposed": sum(f.batch.proposed for f in found),
        "wall_seconds": round(wall, 2),
        "cpu_seconds": cpu,
        "gate_ms_per_task": round(cpu["gate"] * 1e3 / max(1, len(tasks)), 2),
        "short_worlds": {f.world: f.short for f in found if f.short},
        "slowest_worlds": {f.world: round(f.seconds["gate"] * 1e3) for f in slow},
        "families": families(found),
        "rejected": dict(_total(f.batch.rejected for f in found).most_common()),
        "figures": dict(sorted(_total(f.batch.figures for f in found).items())),
        "judged": dict(_total(f.judged for f in found).most_common()),
        "faults": dict(Counter(_kind(text) for f in found for text in f.faults).most_common()),
        "fault_examples": [text for f in found for text in f.faults][:20],
        "duplicates": duplicates(found),
        "answers": answers(tasks),
        "structure": structure(task_profile(profile), tasks),
        "wording": msgspec.to_builtins(measure.variety(texts, Stream(0, "survey", profile))) if texts else {},
        "examples": Stream(1, "survey", profile).sample(texts, min(SHOWN, len(texts))),
    }  # fmt: skip


def _total(counts: Iterable[dict[str, Any]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in counts:
        found.update(one)
    return found


def _kind(fault: str) -> str:
    return fault.split(": ")[1]


def families(found: Sequence[Found]) -> dict[str, dict[str, float]]:
    """Family -> admitted tasks, candidates, and the share of the candidates that were admitted (a pair of twins is one)."""
    admitted = Counter(t.family for f in found for t in f.tasks)
    rejected: Counter[str] = Counter()
    elsewhere: Counter[str] = Counter()
    for text, n in _total(f.batch.rejected for f in found).items():
        family, reason = family_and_reason(text)
        (elsewhere if reason == "another shape" else rejected)[family] += n
    made = {}
    for name in sorted({*admitted, *rejected, *elsewhere}):
        good = admitted[name] / (2 if name == "denied" else 1)
        tried = good + rejected[name] + elsewhere[name]
        made[name] = {
            "admitted": admitted[name], "share": round(admitted[name] / max(1, admitted.total()), 3), "candidates": tried,
            "rate": round(good / tried, 3), "sound": round((good + elsewhere[name]) / tried, 3),
        }  # fmt: skip
    return made


def duplicates(found: Sequence[Found]) -> dict[str, int]:
    """Skeletons that a world has twice; instructions that stand twice anywhere."""
    skeletons = sum(len(f.tasks) - len({t.card.skeleton for t in f.tasks}) for f in found)
    texts = [" ".join(t.instruction.casefold().split()) for f in found for t in f.tasks]
    return {"skeletons": skeletons, "instructions": len(texts) - len(set(texts))}


def answers(tasks: Sequence[Brief]) -> dict[str, Any]:
    """How far the best constant guess would get.  'It cannot be done' is counted by itself: nobody is paid for it who has
    not read the rows that it is about."""
    given = Counter(t.answer for t in tasks if t.answer not in ("", "null"))
    refused = sum(t.answer == "null" for t in tasks)
    value, n = given.most_common(1)[0] if given else ("", 0)
    return {
        "asked": given.total() + refused, "impossible": refused, "distinct": len(given), "modal": value,
        "modal_share": round(n / max(1, given.total()), 4),
    }  # fmt: skip


def structure(profile: TaskProfile, tasks: Sequence[Brief]) -> dict[str, Any]:
    """The figures of the table of reference tasks, with what the profile asks for."""
    cards = [t.card for t in tasks]
    if not cards:
        return {}
    calls = sorted(c.calls for c in cards)

    def share(holds: Iterable[bool]) -> float:
        return round(mean(holds), 4)

    total = sum(profile.calls.values())
    return {
        "calls": {"mean": round(mean(calls), 2), "median": median(calls), "p90": calls[len(calls) * 9 // 10], "max": calls[-1]},
        "calls_by_bucket": {
            text: {"requested": round(weight / total, 3), "measured": share(low <= n <= high for n in calls)}
            for text, weight in profile.calls.items() for low, high in [_range(text)]
        },
        "depth": {"mean": round(mean(c.depth for c in cards), 2), "max": max(c.depth for c in cards)},
        "shares": {
            "writes": {"requested": profile.writes / 100, "measured": share(c.writes > 0 for c in cards)},
            "width >= 2": {"requested": profile.wide / 100, "measured": share(c.width >= 2 for c in cards)},
            **{
                f"fan-{way} >= {n}": {
                    "requested": asked.get(str(n), 0) / 100, "measured": share(getattr(c, f"fan_{way}") >= n for c in cards),
                }
                for way, asked in (("in", profile.fan_in), ("out", profile.fan_out))
                for n in (2, 3)
            },
        },
        "distractors_per_tool": round(mean(c.distractors for c in cards), 2),
        "traps": round(mean(c.traps for c in cards), 2),
        "tools": len({k for t in tasks for k in t.tools}),
        "types": len({k for t in tasks for k in t.types}),
        "operators": dict(Counter(o for c in cards for o in c.operators).most_common()),
        "structures": len({c.structure for c in cards}),
        "skeletons": len({c.skeleton for c in cards}),
    }  # fmt: skip


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)


# --- the command


def survey(profile: str, worlds: range, tasks: int, workers: int, *, proofs: bool = True) -> dict[str, Any]:
    """All figures of the tasks of these worlds."""
    began = time.perf_counter()
    jobs = (Job(seed, profile, tasks, proofs) for seed in worlds)
    found = list(each(look, jobs, workers))
    return summary(profile, found, time.perf_counter() - began)


def told(one: dict[str, Any]) -> str:
    """The figures of one profile, as Markdown."""
    s, a = one["structure"], one["answers"]
    lines = [
        f"## {one['profile']}: {one['admitted']:,} of {one['wanted']:,} tasks of {one['worlds']:,} worlds",
        f"{one['proposed']:,} candidates; {one['wall_seconds']} s in all; CPU {one['cpu_seconds']}; "
        f"gate {one['gate_ms_per_task']} ms a task",
        f"worlds that lack tasks: {len(one['short_worlds'])} {dict(list(one['short_worlds'].items())[:8])}; "
        f"slowest (ms): {one['slowest_worlds']}",
        f"faults: {one['faults'] or 0}; duplicates: {one['duplicates']}",
        *(f"  {text}" for text in one["fault_examples"]),
        f"agents that went unpaid (runs): {one['judged']}",
        f"trials of the gate: {one['figures']}",
        f"answers: {a['asked']:,} asked, {a['impossible']:,} impossible, {a['distinct']:,} distinct; "
        f"best constant guess {a['modal']} hits {a['modal_share']:.2%}",
        "",
        "| family | admitted | share | candidates | admission | sound |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {f['admitted']:,} | {f['share']:.1%} | {f['candidates']:,.0f} | {f['rate']:.0%} | {f['sound']:.0%} |"
            for name, f in one["families"].items()
        ),
        "",
        f"calls mean/median/p90/max {'/'.join(f'{v:g}' for v in s['calls'].values())}; depth mean/max "
        f"{'/'.join(f'{v:g}' for v in s['depth'].values())}; {s['structures']:,} structures, {s['skeletons']:,} skeletons; "
        f"{s['tools']:,} tools, {s['types']:,} types; {s['distractors_per_tool']} distractors a tool, {s['traps']} traps",
        "| | " + " | ".join([*s["calls_by_bucket"], *s["shares"]]) + " |",
        "|---|" + "---|" * (len(s["calls_by_bucket"]) + len(s["shares"])),
        *(
            f"| {side} | " + " | ".join(f"{v[side]:.1%}" for v in [*s["calls_by_bucket"].values(), *s["shares"].values()]) + " |"
            for side in ("requested", "measured")
        ),
        f"operators: {s['operators']}",
        f"wording: {one['wording']}",
        "",
        *(f"- {text}" for text in one["examples"]),
        "",
        "rejected: " + "; ".join(f"{n} {why}" for why, n in list(one["rejected"].items())[:40]),
        "",
    ]  # fmt: skip
    return "\n".join(lines)


@click.command()
@click.option("--worlds", default=200, show_default=True, type=click.IntRange(min=1), help="How many worlds.")
@click.option("--seed", default=0, show_default=True, help="Seed of the first.")
@click.option("--tasks", default=10, show_default=True, type=click.IntRange(min=1), help="Tasks of each world.")
@click.option("--profile", "names", multiple=True, help="Profile of tasks; may be repeated.  [default: all]")
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: one a core]")
@click.option("--proofs/--no-proofs", default=True, help="Put every task to the test, or only count.")
@click.option("--json", "target", default="data/tasks.json", show_default=True, help="Where to write.")
def main(
    worlds: int, seed: int, tasks: int, names: tuple[str, ...], workers: int | None, proofs: bool, target: str
) -> None:
    """Make the tasks of many worlds, prove each, and say what they are like."""
    found = []
    for name in names or task_profiles():
        task_profile(name)
        found.append(survey(name, range(seed, seed + worlds), tasks, worker_count(workers), proofs=proofs))
        click.echo(told(found[-1]))
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    click.echo(f"written to {target}; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
