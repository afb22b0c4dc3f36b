"""Splits: which file a task goes into.  Tasks of one structure are never on two sides.

train, eval             one side of the line that the suites draw (seeds/suites/held-out.yaml)
train=0.9,eval=0.1      several files at once, by a hash of the structure; what the shares leave over is in none
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256

import msgspec

from worlddb.adapters.common import in_split
from worlddb.errors import BadRequest
from worlddb.heldout import SIDES
from worlddb.schema.model import Schema
from worlddb.tasks.model import Task


class Splits(msgspec.Struct, frozen=True):
    """What `--split` says.  Without anything: all tasks, in one file."""

    side: str = ""
    """'train' or 'eval': that side alone."""
    shares: tuple[tuple[str, float], ...] = ()
    """Name and share of each file."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the files' splits; '' where all is in one."""
        return tuple(name for name, _ in self.shares) or (self.side,)

    def place(self, structure: str, inside: Callable[[str], bool]) -> str | None:
        """The split of a task of that structure (`Card.structure`), None where it is in none.

        `inside` says whether it is on a side of the suites' line.
        """
        if self.side:
            return self.side if inside(self.side) else None
        if not self.shares:
            return ""
        left = int(sha256(f"split:{structure}".encode()).hexdigest()[:13], 16) / 16**13
        for name, share in self.shares:
            left -= share
            if left < 0:
                return name
        return None


def place_of(splits: Splits, task: Task, schema: Schema) -> str | None:
    """The split of a task; None where it is in none."""
    return splits.place(task.card.structure, lambda side: in_split(task, schema, side))


def keepers(splits: Splits) -> Iterator[tuple[str, Callable[[Task, Schema], bool]]]:
    """Each split with the test of the tasks that are in it."""
    for name in splits.names:
        yield name, partial(_is_in, splits, name)


def _is_in(splits: Splits, name: str, task: Task, schema: Schema) -> bool:
    return place_of(splits, task, schema) == name


def splits_of(text: str | None) -> Splits:
    """What a user wrote: nothing or 'all', a side, or names with shares.

    Raises:
        BadRequest: it is none of these.
    """
    if not text or text == "all":
        return Splits()
    if text in SIDES:
        return Splits(side=text)
    shares = [_share(part) for part in text.split(",")]
    if len({name for name, _ in shares}) < len(shares) or sum(share for _, share in shares) > 1 + 1e-9:
        raise BadRequest(f"split is '{text}'; give each name once, and shares that add up to at most 1")
    return Splits(shares=tuple(shares))


def _share(part: str) -> tuple[str, float]:
    match = re.fullmatch(r"\s*([A-Za-z0-9][A-Za-z0-9_-]*)\s*=\s*(\d*\.?\d+)\s*", part)
    if match is None or not 0 < float(match[2]) <= 1:
        raise BadRequest(
            f"split has the part '{part.strip()}'; give {', '.join(SIDES)}, all, or shares as in train=0.9,eval=0.1"
        )
    return match[1], float(match[2])
