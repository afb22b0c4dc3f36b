"""Shapes: the structure that a task is to have, drawn from a profile before anything is planned.

Profiles are data (schemas/task-profiles.yaml).  What is requested is what is measured: a plan is kept for a shape only where
the card of its executed gold meets it.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

import msgspec

from worlddb.errors import BrokenFile, UnknownName
from worlddb.library import folder
from worlddb.rng import Stream
from worlddb.schema.domains import read_yaml
from worlddb.tasks.model import Card

Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What the card of one task must say."""

    least: int
    """Calls of the gold."""
    most: int
    writes: bool
    width: int = 1
    """At least."""
    fan_in: int = 0
    fan_out: int = 0

    def met_by(self, card: Card) -> bool:
        """True where a card is of this shape."""
        return (
            self.least <= card.calls <= self.most
            and (card.writes > 0) == self.writes
            and card.width >= self.width
            and card.fan_in >= self.fan_in
            and card.fan_out >= self.fan_out
        )

    def distance(self, card: Card) -> int:
        """Calls by which a card is too long or too short; far off, where one writes and the other does not."""
        beyond = max(self.least - card.calls, card.calls - self.most, 0)
        return beyond if (card.writes > 0) == self.writes else beyond + 100

    @property
    def demand(self) -> tuple[int, int]:
        """The greater, the harder to meet."""
        return self.fan_in + self.fan_out + self.width, self.least


class TaskProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One profile of schemas/task-profiles.yaml; its head describes the fields."""

    summary: str
    families: dict[str, Annotated[int, msgspec.Meta(ge=1)]]
    calls: dict[str, Annotated[int, msgspec.Meta(ge=1)]]
    depth: tuple[int, ...]
    writes: Percent
    wide: Percent = 0
    fan_in: dict[str, Percent] = {}
    fan_out: dict[str, Percent] = {}
    levels: dict[str, Annotated[int, msgspec.Meta(ge=1)]] = {}
    """Level of tasks/user.py -> weight; empty: nobody is there to be asked."""
    things: Percent = 0
    """Share of the tasks with a user that change something, in which the user must do something on their own side first."""
    policies: Percent = 0
    """Share of the tasks in which a policy of the world is at stake."""
    faults: dict[str, Annotated[float, msgspec.Meta(ge=0, le=1)]] = {}
    """Kind of tools/faults.py -> how often it comes; empty: the API never fails."""

    def draw(self, stream: Stream) -> Shape:
        """The shape of one task."""
        ranges = [_range(text) for text in self.calls]
        least, most = stream.weighted(ranges, list(self.calls.values()))
        fan_in = self._floor(stream, self.fan_in, 1, least)
        fan_out = self._floor(stream, self.fan_out, 2, least)
        wide = stream.chance(self._chance(self.wide, 3, least))
        writes = stream.chance(self._chance(self.writes, 2, least))
        return Shape(least=least, most=most, writes=writes, width=2 if wide else 1, fan_in=fan_in, fan_out=fan_out)

    def _floor(self, stream: Stream, shares: dict[str, int], more: int, least: int) -> int:
        """The greatest number whose share the draw falls into; a gold needs so many calls and `more`."""
        drawn = [int(n) for n, s in sorted(shares.items()) if stream.chance(self._chance(s, int(n) + more, least))]
        return max(drawn, default=0)

    def _chance(self, share: int, needed: int, least: int) -> float:
        """The share among the tasks that are long enough, such that it is `share` percent of all."""
        fit = sum(weight for text, weight in self.calls.items() if _range(text)[0] >= needed)
        return min(1.0, share * sum(self.calls.values()) / (100 * fit)) if least >= needed and fit else 0.0


def _range(text: str) -> tuple[int, int]:
    first, _, last = str(text).partition("-")
    return int(first), int(last or first)


@cache
def task_profiles() -> dict[str, TaskProfile]:
    """All profiles of tasks by name.

    Raises:
        BrokenFile: schemas/task-profiles.yaml does not follow its head.
    """
    path = folder("schemas") / "task-profiles.yaml"
    found: dict[str, TaskProfile] = {}
    for name, row in read_yaml(path).items():
        texts: dict[str, Any] = {
            k: {str(a): b for a, b in v.items()} if isinstance(v, dict) else v for k, v in row.items()
        }
        try:
            found[name] = msgspec.convert(texts, TaskProfile)
        except msgspec.ValidationError as error:
            raise BrokenFile(f"{path}: {name}: {error}; its head describes the fields") from None
    return found


def task_profile(name: str) -> TaskProfile:
    """The profile of that name.

    Raises:
        UnknownName: there is none.
    """
    if name not in task_profiles():
        raise UnknownName("task profile", name, task_profiles())
    return task_profiles()[name]
