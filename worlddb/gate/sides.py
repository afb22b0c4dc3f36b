"""The user's own side: a thing of theirs that must be put right, by themselves, before anything is changed."""

from __future__ import annotations

from functools import cache

import msgspec
from msgspec.structs import replace

from worlddb.errors import BrokenFile
from worlddb.library import folder
from worlddb.rng import Stream
from worlddb.schema.domains import read_yaml
from worlddb.tasks.goal import UserFirst
from worlddb.tasks.model import Task
from worlddb.tasks.user import Deed, Script


class Thing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of schemas/wording/things.yaml; its head describes the fields."""

    broken: str
    mended: str
    deed: str
    says: str
    request: str


@cache
def things() -> dict[str, Thing]:
    """schemas/wording/things.yaml.

    Raises:
        BrokenFile: it does not follow the format at its head.
    """
    path = folder("schemas") / "wording" / "things.yaml"
    try:
        return msgspec.convert(read_yaml(path), dict[str, Thing])
    except msgspec.ValidationError as error:
        raise BrokenFile(f"{path}: {error}; the head of the file describes the format") from None


def with_thing(task: Task, stream: Stream) -> Task:
    """The task, where the user must do something on their own side before anything is changed."""
    name = stream.pick(list(things()))
    thing = things()[name]
    deed = Deed(name=thing.deed, thing=name, before=(thing.broken,), after=thing.mended, says=thing.says)
    script = replace(task.user or Script(), things={name: thing.broken}, deeds=(deed,))
    ban = UserFirst(table="", deed=thing.deed, say=thing.request)
    return replace(
        task, user=script, instruction=f"{task.instruction}\n\n{thing.request}",
        goal=replace(task.goal, bans=(*task.goal.bans, ban)),
    )  # fmt: skip
