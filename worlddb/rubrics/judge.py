"""A rubric of an episode: every element, and what they come to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from worlddb.episode.behaviour import Confirmed
from worlddb.episode.verdict import Verdict
from worlddb.rubrics import conduct, outcome
from worlddb.rubrics.facts import Act, Facts
from worlddb.rubrics.model import Found, Line, Preset, Rubric, score_of
from worlddb.rubrics.presets import ELEMENTS, PRESETS, preset_of
from worlddb.tasks.model import Task
from worlddb.tools.session import Session

LOG = logging.getLogger("worlddb.rubrics")

_SEEN: dict[str, Callable[[Facts], Found]] = {
    name: getattr(outcome, name, None) or getattr(conduct, name) for name in ELEMENTS
}
"""Element -> the function of its name."""


def rubric(
    task: Task,
    session: Session,
    verdict: Verdict,
    acts: Sequence[Act] = (),
    preset: str | Mapping[str, float] = "binary",
    *,
    confirmed: Confirmed | None = None,
) -> Rubric:
    """What an episode is worth by a formula, and why, element by element.

    Args:
        task: what was to be done.
        session: what was done.
        verdict: of this session.
        acts: what happened in the calls to the user, as `User.acts(session.journal)` tells it; none: nobody was asked.
        preset: name of a preset (`PRESETS`), or weights: element -> weight, below 0 for penalties.
        confirmed: whether the user had agreed to a call; if not given, an act that agreed to the same call tells it.

    Raises:
        UnknownName, BadRequest: there is no such preset, or these are no weights.

    >>> import worlddb
    >>> from worlddb.episode.solve import solve
    >>> world = worlddb.generate(12, "tiny")
    >>> episode = solve(world, world.tasks[0])
    >>> rubric(episode.task, episode.session, episode.verdict, preset={"subgoals": 1, "collateral": -0.1}).score
    1.0
    """
    formula = preset_of(preset)
    return _scored(formula, _seen(task, session, verdict, acts, confirmed), verdict)


def under_presets(
    task: Task,
    session: Session,
    verdict: Verdict,
    acts: Sequence[Act] = (),
    *,
    confirmed: Confirmed | None = None,
) -> dict[str, Rubric]:
    """One episode under every preset, by its name; `rubric` has the arguments.  The elements are looked at once."""
    found = _seen(task, session, verdict, acts, confirmed)
    return {name: _scored(preset, found, verdict) for name, preset in PRESETS.items()}


def _seen(
    task: Task, session: Session, verdict: Verdict, acts: Sequence[Act], confirmed: Confirmed | None
) -> dict[str, Found] | str:
    """Every element, or why they cannot be told."""
    if verdict.invalid:
        return str(verdict.lines[0]) if verdict.lines else "the verdict is invalid"
    try:
        facts = Facts(task, session, verdict, acts, confirmed)
        return {name: see(facts) for name, see in _SEEN.items()}
    except Exception as failure:  # as the verifier: an agent must neither crash its judge nor be paid for trying
        LOG.warning("a rubric failed", exc_info=True)
        return f"the rubric failed, so that nothing is paid: {type(failure).__name__}: {failure}"


def _scored(preset: Preset, found: dict[str, Found] | str, verdict: Verdict) -> Rubric:
    if isinstance(found, str):
        line = Line(element="success", value=0.0, whole=True, says=found)
        return Rubric(preset=preset.name, score=0.0, lines=(line,), invalid=True)
    score = score_of(preset, {name: one.value for name, one in found.items()})
    lines = tuple(
        Line(
            element=name, value=one.value, weight=preset.weights.get(name, 0.0), whole=name in preset.whole,
            says=one.says, step=one.step,
        )
        for name, one in found.items()
    )  # fmt: skip
    return Rubric(preset=preset.name, score=score, lines=lines)
