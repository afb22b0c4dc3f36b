"""Scripts for tests: the user behind a generated task, who holds back all that its plan states."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from msgspec.structs import replace

import worlddb
from worlddb.tasks.ground import Ground, flat
from worlddb.tasks.model import GoldCall, Task
from worlddb.tasks.plan import Const, Do, Find
from worlddb.tasks.say import Lexicon
from worlddb.tasks.say.constants import spellings
from worlddb.tasks.user import Script, Topic
from worlddb.tools.session import Session
from worlddb.tools.toolset import Toolset
from worlddb.users.simulate import User
from worlddb.world.model import World

KINDS = {
    "money": "quantity",
    "number": "quantity",
    "real": "quantity",
    "date": "date",
    "datetime": "date",
    "time": "date",
}
"""What a column holds -> the kind of a topic; states, categories and flags are choices, all else is a value."""
CHOICES = ("state", "enum", "flag")


@cache
def ground_of(seed: int) -> Ground:
    """A world, ready for planning."""
    return Ground(worlddb.generate(seed))


@cache
def lexicon_of(seed: int) -> Lexicon:
    """How its people speak."""
    ground = ground_of(seed)
    return Lexicon(ground.schema, ground.words, ground.world.locale, ground.world.now)


def script_of(
    seed: int,
    task: Task,
    *,
    persona: str = "normal",
    draw: int = 0,
    hides: Callable[[Topic], bool] = lambda t: True,
    **more: Any,
) -> Script:
    """The user of a task of world `seed`: topics are the constants of its changes and the rows that are named by constants.

    Args:
        seed: of the world.
        task: one of its tasks.
        persona: how the user talks.
        draw: the script's own seed.
        hides: which topics the user holds back; all.
        more: other fields of the Script.
    """
    found: dict[str, Topic] = {}
    for node in task.plan.nodes:
        if isinstance(node, Find) and not node.many and any(isinstance(w.value, Const) for w in node.where):
            _add(found, _identity(seed, node))
        elif isinstance(node, Do):
            for key, given in node.arguments.items():
                if isinstance(given, Const) and given.value is not None:
                    _add(found, _slot(seed, node, key, given))
    topics = tuple(replace(t, hidden=hides(t)) for t in found.values())
    return Script(level="L2", persona=persona, seed=draw, topics=topics, **more)


def _add(found: dict[str, Topic], topic: Topic) -> None:
    """Under a name of its own: that of the table before it, or a number behind it, where the plain one is taken."""
    name, number = topic.name, 2
    while name in found:
        name, number = f"{topic.name}_{number}", number + 1
    found[name] = replace(topic, name=name)


def _identity(seed: int, node: Find) -> Topic:
    words, lexicon = ground_of(seed).words, lexicon_of(seed)
    said = [
        spellings(lexicon, (node.table, w.column), w.value.value)[0] for w in node.where if isinstance(w.value, Const)
    ]
    label = words.label(node.table)
    return Topic(
        name=words.noun(node.table), kind="identity", table=node.table, node=node.name, words=(label,),
        says=f"the {label} with {' and '.join(said)}", vague=f"the {label} we talked about", secrets=tuple(said),
    )  # fmt: skip


def _slot(seed: int, node: Do, key: str, given: Const) -> Topic:
    ground, lexicon = ground_of(seed), lexicon_of(seed)
    place = (given.table, given.column)
    tool = ground.toolset.by_key(node.tool)
    assert tool is not None
    param = next((p for p in flat(tool.params) if p.key == key), None)
    held = lexicon.kind(place)
    kind = "choice" if held in CHOICES else KINDS.get(held, "value")
    said = spellings(lexicon, place, given.value)[0]
    label = lexicon.label(place) if given.column in ground.schema[given.table] else key.replace("_", " ")
    return Topic(
        name=ground.words.field(*place), kind=kind, table=given.table, column=given.column, node=node.name, part=key,
        words=tuple(dict.fromkeys([label, *([param.name] if param else [])])), says=said, vague=f"the {label} we agreed on",
        secrets=(said,),
    )  # fmt: skip


def writes_of(task: Task) -> tuple[GoldCall, ...]:
    """The gold's changes."""
    return tuple(c for c in task.gold if c.writes)


def people_of(world: World, script: Script) -> Toolset:
    """The world's tools and those by which one talks with this user."""
    return world.toolset().with_people(tuple(d.name for d in script.deeds))


def user_of(seed: int, task: Task, script: Script) -> tuple[User, Session]:
    """The user, and a new session with them beside it."""
    world = ground_of(seed).world
    toolset = people_of(world, script)
    user = User(script, writes_of(task), world, toolset)
    return user, world.session(toolset, beside=(user,))
