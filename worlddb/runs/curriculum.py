"""What to train on next: the shapes that a model solves sometimes, and a profile of tasks that asks for them.

What is always solved teaches nothing, what is never solved gives no reward: from attempts that all end alike there is nothing to
learn.  So shapes are taken from a band of pass rates, and the harder ones within it more often.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import msgspec

from worlddb.errors import BadRequest
from worlddb.runs.figures import tallied
from worlddb.runs.folder import Run
from worlddb.tasks.shapes import TaskProfile, task_profile, task_profiles

BAND = (0.2, 0.8)
PERCENT = 100
Weights: TypeAlias = dict[tuple[str, int], float]
"""(family, calls of the gold) -> share of the tasks, in sum 1."""


def curriculum(run: Run, band: tuple[float, float] = BAND) -> Weights:
    """The shapes whose pass rate lies within a band, weighted by how often they fail and by how many tasks of the run have them.

    Rates are means over a shape's tasks.  A band of (0, 0.5) takes what is hard, even what is never solved.

    Raises:
        BadRequest: the band is none, or no shape of the run lies in it.
    """
    low, high = band
    if not 0 <= low < high <= 1:
        raise BadRequest(
            f"a band of pass rates goes from 0 to 1, not from {low:g} to {high:g}; give one such as 0.2,0.8"
        )
    rates: dict[tuple[str, int], list[float]] = {}
    for one in tallied(run).values():
        rates.setdefault((one.family, one.calls), []).append(one.rate)
    found = {shape: math.fsum(1 - r for r in some) for shape, some in rates.items() if low <= _mean(some) <= high}
    whole = math.fsum(found.values())
    if not whole:
        known = sorted(_mean(some) for some in rates.values())
        told = f"they go from {known[0]:.2f} to {known[-1]:.2f}" if known else "nothing was attempted"
        raise BadRequest(f"no shape of {run.path} has a pass rate from {low:g} to {high:g} that leaves room ({told})")
    return {shape: weight / whole for shape, weight in sorted(found.items())}


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def harder(run: Run, band: tuple[float, float] = BAND) -> TaskProfile:
    """A profile of tasks like the run's, but with families and lengths as `curriculum` weighs them.

    A profile draws the two one by one, so that a store has each in its share, and of their combinations also some that lie
    outside of the band.

    Raises:
        BadRequest: no shape lies in the band.
    """
    weights = curriculum(run, band)
    name = run.manifest.task_profile
    base = task_profile(name if name in task_profiles() else "default")
    told = f"What {run.manifest.label} solves {band[0]:g} to {band[1]:g} of the time."
    return msgspec.structs.replace(base, summary=told, families=_shares(weights, 0), calls=_shares(weights, 1))


def _shares(weights: Weights, side: int) -> dict[str, int]:
    """Percent by family (side 0) or by length (1), at least 1 each."""
    found: dict[str, float] = {}
    for shape, weight in weights.items():
        found[str(shape[side])] = found.get(str(shape[side]), 0.0) + weight
    order = sorted(found, key=lambda key: key.zfill(4) if key.isdecimal() else key)
    return {key: max(1, round(PERCENT * found[key])) for key in order}


def profile_text(profile: TaskProfile, name: str = "harder") -> str:
    """A profile as YAML, as schemas/task-profiles.yaml has them."""
    import yaml

    data = {k: v for k, v in msgspec.to_builtins(profile).items() if v not in ({}, 0) or k in ("writes",)}
    return yaml.safe_dump({name: data}, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
