"""The verifier: what an episode changed, read and answered, judged by its task's goal.

It reads the net row changes, the journal and the submitted answer, never what was said on the way, and replays nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from worlddb.episode.answers import accepts, said
from worlddb.episode.behaviour import Conduct, Confirmed, Covered, key_text, uncalled, unread
from worlddb.episode.compare import Comparison, compare
from worlddb.episode.evidence import Evidence
from worlddb.episode.explain import Steps, lines_of, notes_of, ring_of
from worlddb.episode.match import Made, Ready, Way, fits, made_of, ready
from worlddb.episode.matchers import shown
from worlddb.episode.policing import Done, deed_done
from worlddb.episode.rows import TooSymmetric
from worlddb.episode.verdict import Line, Verdict, broken
from worlddb.schema.model import Schema
from worlddb.tasks.forms import Window, forms_of, window_in
from worlddb.tasks.goal import Goal
from worlddb.tools.session import Entry, Session
from worlddb.tools.toolset import Toolset
from worlddb.world.diff import Diff

LOG = logging.getLogger("worlddb.verify")
COMPARED = 200
"""Alternatives that are compared in detail where none fits."""
UNANSWERED: Any = msgspec.UNSET
"""Stands for the answer of an episode that ended without one."""


def nobody(entry: Entry) -> bool:
    """The user who confirms nothing."""
    return False


class Trail(NamedTuple):
    """All that a verdict is about."""

    schema: Schema
    diff: Diff
    window: Window
    answer: Any = UNANSWERED
    journal: Sequence[Entry] | None = None
    """None: only the states before and after are known."""
    tools: Toolset | None = None
    covered: Covered = lambda entry, wanted, column: ()
    confirmed: Confirmed = nobody
    done: Done = deed_done
    """Whether the user had done something on their own side."""
    breaches: tuple[Line, ...] = ()
    """Where the database itself is not as it should be."""


def verify(
    goal: Goal,
    session: Session,
    answer: Any = UNANSWERED,
    *,
    confirmed: Confirmed | None = None,
    done: Done = deed_done,
) -> Verdict:
    """The verdict on an episode.

    `answer` is any JSON value, None included; leave it out where the agent gave none.  `confirmed` tells of an entry whether
    the user had agreed to it; by default nobody has agreed to anything.  `done` tells what they did on their own side.
    """

    def trail() -> Trail:
        return Trail(
            session.world.schema, session.diff(), window_in(session), answer, session.journal,
            session.toolset, Evidence(session), confirmed or nobody, done,
        )  # fmt: skip

    return verdict_on(goal, trail)


def verdict_on(goal: Goal, trail: Callable[[], Trail]) -> Verdict:
    """The verdict on a trail, made within: whatever fails in the making is the verifier's failure, and pays nothing."""
    try:
        found = trail()
        return _judged(ready(found.schema, goal), found)
    except Exception as failure:  # the one boundary: an agent must neither crash its judge nor be paid for trying
        LOG.warning("a verdict failed", exc_info=True)
        return broken(f"{type(failure).__name__}: {failure}")


def _judged(goal: Ready, trail: Trail) -> Verdict:
    made = made_of(trail.schema, trail.diff, trail.window, goal.goal.tolerated)
    answered = _answered(goal.goal, trail.answer)
    forbidden = _forbidden(goal.goal, trail)
    missing = _unread(goal.goal, trail)
    reached, unsure = _reached(goal, made, trail.window, answered)
    state = reached is not None
    replied = any(answered) if goal.goal.answers else True
    if reached is not None and reached.source.answer is not None:
        replied = answered[reached.source.answer]
    success = state and replied and not (forbidden or missing or trail.breaches)
    if success:
        notes = tuple(notes_of(trail.schema, made.passed, Steps(trail.journal or ()))) if made.passed else ()
        return Verdict(success=True, reward=1.0, shaped=1.0, lines=notes, not_judged=_not_judged(goal.goal, trail))
    steps = Steps(trail.journal or ())
    nearest = None if state else _nearest(goal, made, trail.window)
    lines: list[Line] = [] if nearest is None else list(lines_of(trail.schema, nearest.differences, steps))
    lines += [*forbidden, *missing]
    if not replied:
        lines.append(_answer_line(goal.goal, trail.answer, reached))
    lines += trail.breaches
    if unsure:
        lines.append(Line(kind="NOTE", text=f"{len(made.inserts)} new rows are too much alike to be told apart"))
    ring, step = ring_of(lines, made, trail.journal, trail.tools, acts=not goal.goal.changes_nothing)
    jaccard = nearest.jaccard if nearest is not None else 0.0 if made.nothing else 1.0
    return Verdict(
        success=False, reward=0.0, shaped=_shaped(goal.goal, made, jaccard, replied and not missing, bool(forbidden)),
        lines=(*lines, *notes_of(trail.schema, made.passed, steps)), ring=ring, step=step,
        not_judged=_not_judged(goal.goal, trail),
    )  # fmt: skip


def _shaped(goal: Goal, made: Made, jaccard: float, informed: bool, forbidden: bool) -> float:
    """Part of the way: the state counts twice as much as the answer with its evidence."""
    if forbidden or (goal.changes_nothing and not made.nothing):
        return 0.0
    if not goal.answers:
        return 0.5 * jaccard
    return 0.5 * (2 * jaccard + informed) / 3


# --- state


def _reached(goal: Ready, made: Made, window: Window, answered: Sequence[bool]) -> tuple[Way | None, bool]:
    """The alternative that fits, one whose answer was given if there is one; and whether a search gave up."""
    best, unsure = None, False
    for way in goal.ways:
        try:
            fit = fits(way, made, window)
        except TooSymmetric:
            unsure = True
            continue
        if fit and (way.source.answer is None or answered[way.source.answer]):
            return way, unsure
        if fit:
            best = best or way
    return best, unsure


def _nearest(goal: Ready, made: Made, window: Window) -> Comparison:
    """The alternative of which most was done."""
    compared = [compare(goal.schema, way, made, window) for way in goal.ways[:COMPARED]]
    return max(compared, key=lambda c: (c.jaccard, c.matched, -len(c.differences)))


# --- answer, evidence, behaviour


def _answered(goal: Goal, answer: Any) -> list[bool]:
    """Which of the goal's answers was given."""
    if answer is UNANSWERED:
        return [False] * len(goal.answers)
    return [accepts(wanted, answer) for wanted in goal.answers]


def _answer_line(goal: Goal, answer: Any, reached: Way | None) -> Line:
    wanted = goal.answers
    if reached is not None and reached.source.answer is not None:
        wanted = (wanted[reached.source.answer],)
    given = "none was given" if answer is UNANSWERED else shown(answer)
    return Line(kind="ANSWER", text=f"{given[:200]}, expected {' or '.join(said(w) for w in wanted[:3])}")


def _forbidden(goal: Goal, trail: Trail) -> list[Line]:
    if not goal.bans or trail.journal is None:
        return []
    conduct = Conduct(trail.schema, trail.journal, trail.tools, trail.window, trail.confirmed, trail.done)
    lines = []
    for ban in goal.bans:
        for step, deed in conduct.offences(ban):
            lines.append(Line(kind="FORBIDDEN", text=f"{deed}: {ban.say}" if ban.say else deed, step=step))
            break  # one hit is enough
    return lines


def _unread(goal: Goal, trail: Trail) -> list[Line]:
    if not goal.needs or trail.journal is None:
        return []
    forms = forms_of(trail.schema)
    lines = []
    for need, rows in unread(goal.needs, trail.journal, trail.covered, trail.tools):
        some = ", ".join(f"{forms[r.table].table.name} {key_text(r.key)}" for r in rows[:5])
        more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
        text = f"{need.say + ': ' if need.say else ''}{some}{more} was never read"
        lines.append(Line(kind="UNREAD", text=text, table=rows[0].table, key=rows[0].key))
    uncalled_ones = uncalled(goal.needs, trail.journal, trail.tools)
    return lines + [Line(kind="UNREAD", text=f"{n.say or n.tool} was never done") for n in uncalled_ones]


def _not_judged(goal: Goal, trail: Trail) -> tuple[str, ...]:
    if trail.journal is not None:
        return ()
    bans = [f"forbidden: {b.say or type(b).__name__}" for b in goal.bans]
    return (*bans, *(["evidence: which rows were read before the answer"] if goal.needs else []))
