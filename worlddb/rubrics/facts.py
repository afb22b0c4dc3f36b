"""What the elements of a rubric look at, gathered once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import orjson

from worlddb.episode.behaviour import Confirmed, tool_of
from worlddb.episode.compare import Comparison, compare
from worlddb.episode.match import Made, Ready, Way, fits, made_of, ready
from worlddb.episode.rows import TooSymmetric
from worlddb.episode.verdict import Line, Verdict
from worlddb.episode.verify import COMPARED
from worlddb.tasks.forms import Form, Window, forms_of, window_in
from worlddb.tasks.goal import Key
from worlddb.tasks.model import Task
from worlddb.tools.model import Tool
from worlddb.tools.people import ASK, CONFIRM, DO, TELL
from worlddb.tools.session import Entry, Session

PEOPLE = (ASK, CONFIRM, TELL, DO)
"""Keys of the tools that are calls to the user; to sign in is none."""


class Act(Protocol):
    """What happened in one call to the user, as `worlddb.users` recomputes it from the journal; what rubrics read of it."""

    @property
    def number(self) -> int:
        """Of the journal entry."""
        ...

    @property
    def kind(self) -> str:
        """ask, confirm, tell or do."""
        ...

    @property
    def told(self) -> Sequence[str]:
        """Hidden topics that this reply answered for the first time."""
        ...

    @property
    def repeated(self) -> Sequence[str]:
        """Topics asked for although told before."""
        ...

    @property
    def visible(self) -> Sequence[str]:
        """Topics asked for although the instruction says them."""
        ...

    @property
    def readable(self) -> Sequence[str]:
        """Fields of the world asked for that can be looked up."""
        ...

    @property
    def irrelevant(self) -> bool:
        """Nothing was recognised."""
        ...

    @property
    def unknown(self) -> Sequence[str]:
        """Topics answered by a description, because the user does not know them either."""
        ...

    @property
    def agreed(self) -> bool | None:
        """Of a confirm: whether the user agreed."""
        ...


class Step(NamedTuple):
    """A journal entry with its tool; None where there is none of that name."""

    entry: Entry
    tool: Tool | None

    @property
    def to_user(self) -> bool:
        """True for a call by which the agent talks with the user."""
        return self.tool is not None and self.tool.key in PEOPLE


class Facts:
    """An episode and its verdict."""

    def __init__(
        self, task: Task, session: Session, verdict: Verdict, acts: Sequence[Act], confirmed: Confirmed | None
    ) -> None:
        self.task, self.session, self.verdict, self.acts = task, session, verdict, acts
        self.steps = tuple(Step(e, tool_of(session.toolset, e)) for e in session.journal)
        self._confirmed = confirmed

    # --- the outcome

    @property
    def forms(self) -> dict[str, Form]:
        """By table key."""
        return forms_of(self.session.world.schema)

    def of_kind(self, *kinds: str) -> tuple[Line, ...]:
        """The verdict's lines of these kinds."""
        return tuple(line for line in self.verdict.lines if line.kind in kinds)

    @cached_property
    def _goal(self) -> Ready:
        return ready(self.session.world.schema, self.task.goal)

    @cached_property
    def _window(self) -> Window:
        return window_in(self.session)

    @cached_property
    def made(self) -> Made:
        """What the episode changed, apart from what is not judged."""
        return made_of(self.session.world.schema, self.session.diff(), self._window, self.task.goal.tolerated)

    @cached_property
    def reached(self) -> Way | None:
        """An alternative that fits; None where none does."""
        return next((way for way in self._goal.ways if self._fits(way)), None)

    def _fits(self, way: Way) -> bool:
        try:
            return fits(way, self.made, self._window)
        except TooSymmetric:
            return False

    @cached_property
    def nearest(self) -> Comparison:
        """The alternative that was reached, else the one of which most was done."""
        ways = self._goal.ways[:COMPARED] if self.reached is None else (self.reached,)
        compared = [compare(self._goal.schema, way, self.made, self._window) for way in ways]
        return max(compared, key=lambda c: (c.jaccard, c.matched, -len(c.differences)))

    # --- the user

    @cached_property
    def hidden(self) -> tuple[str, ...]:
        """Names of the topics that must be asked for."""
        return () if self.task.user is None else tuple(t.name for t in self.task.user.hidden)

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """Names of those that must be asked for: the sign-in code only where the card counts it, too."""
        found = () if self.task.user is None else self.task.user.hidden
        held = [t for t in found if t.kind != "credential"]
        return tuple(t.name for t in (found if self.task.card.hidden > len(held) else held))

    @cached_property
    def known(self) -> dict[str, int]:
        """Hidden topic -> number of the first entry in which the user answered it."""
        found: dict[str, int] = {}
        for act in self.acts:
            for name in act.told:
                if name in self.hidden:
                    found.setdefault(name, act.number)
        return found

    @cached_property
    def answered(self) -> frozenset[str]:
        """Hidden topics that the user has answered, if only by a description of what they do not know either."""
        return frozenset(name for act in self.acts for name in (*act.told, *act.unknown)).intersection(self.hidden)

    def confirmed(self, entry: Entry) -> bool:
        """True where the user had agreed to a call before it was made: to this tool with these arguments."""
        if self._confirmed is not None:
            return self._confirmed(entry)
        call = (entry.name, _spelt(entry.arguments))
        return any(plan == call and number < entry.number for number, plan in self._agreed)

    @cached_property
    def _agreed(self) -> tuple[tuple[int, tuple[str, bytes]], ...]:
        journal = {e.number: e for e in self.session.journal}
        found = []
        for act in self.acts:
            given = journal[act.number].arguments if act.agreed and act.number in journal else None
            if isinstance(given, dict):
                found.append((act.number, (str(given.get("action")), _spelt(given.get("arguments") or {}))))
        return tuple(found)

    # --- the journal

    @cached_property
    def shown(self) -> dict[tuple[str, Key], int]:
        """Table and key of the rows that calls showed -> number of the first call that did."""
        found: dict[tuple[str, Key], int] = {}
        for step in self.steps:
            for table, at, rows in step.entry.seen:
                for row in rows:
                    found.setdefault((table, tuple([row[i] for i in at])), step.entry.number)
        return found


def _spelt(arguments: Any) -> bytes:
    """Arguments, so that equal ones are equal however their names are ordered."""
    return orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS)
