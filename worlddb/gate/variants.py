"""Variants of a scenario: one task, asked for in other ways.  Whoever solves a task only as it was worded has not solved it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from worlddb.gate.interactive import Interviewer, Unproved
from worlddb.rng import Stream
from worlddb.tasks.ground import Ground
from worlddb.tasks.model import Task
from worlddb.tasks.say import Lexicon
from worlddb.world.model import World

LEVELS = ("L0", "L1", "L2", "L3", "L4")


def variants_of(world: World, task: Task, n: int = 4, *, levels: Sequence[str] = LEVELS) -> tuple[Task, ...]:
    """Up to `n` tasks of the same plan, at levels in turn, each in words of its own: 'hotel-12/3~1' and on.

    All have the scenario of the task, so that reports can tell where all variants were solved.  There are fewer where the plan
    does not admit a level.  The same ones for the same task, on every machine.
    """
    ground = Ground(world)
    lexicon = Lexicon(world.schema, ground.words, world.locale, world.now)
    stream = Stream(world.recipe.seed, "variants", task.id)
    interviewer = Interviewer(ground, lexicon, {}, 0, stream)
    found: list[Task] = []
    seen = {task.instruction}
    for turn in range(2 * n if not any(d.refused for d in task.plan.dos) else 0):
        if len(found) == n:
            break
        level = levels[turn % len(levels)]
        try:
            made = interviewer.interactive(task, level, stream.child(str(turn)))
        except Unproved:
            continue
        if made.instruction not in seen:
            seen.add(made.instruction)
            found.append(replace(made, id=f"{task.id}~{len(found) + 1}", scenario=task.id, twin=""))
    return tuple(found)
