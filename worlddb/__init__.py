"""Procedural database worlds in which language-model agents learn to use tools.

A world is a random relational database that looks like a real business: a schema, the rules of the business, and the
rows that obey them.  It grows from a seed, and the same recipe gives the same bytes on every machine.

>>> import worlddb
>>> world = worlddb.generate(42, profile="tiny")
>>> world.digest == worlddb.generate(42, profile="tiny").digest
True
>>> world.image[:15]
b'SQLite format 3'
>>> with world.connect() as db:
...     list(db.execute("PRAGMA foreign_key_check"))
[]

An agent acts in it through the tools that its staff would use; what it changed is a diff of rows.

>>> session = world.session()
>>> tool = next(t for t in session.toolset if t.kind == "list")
>>> session.call(tool.name, {"limit": "all"}).error.code
'INVALID_ARGUMENT'
>>> session.call(tool.name).ok, len(session.diff())
(True, 0)

Every world has tasks, with a gold that was carried out and proved, and a verifier that compares what changed.

>>> world = worlddb.generate(42)
>>> task = world.tasks[0]
>>> worlddb.Episode(world, task).submit().reward
0.0

Names are imported when they are first used, so `import worlddb` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from worlddb.version import __version__

if TYPE_CHECKING:
    from worlddb.episode.play import Episode, judge
    from worlddb.episode.verdict import Verdict
    from worlddb.errors import WorlddbError
    from worlddb.schema.model import Schema
    from worlddb.spawner import spawn
    from worlddb.store import Store, open_store
    from worlddb.tasks.model import Task
    from worlddb.tools.model import Result, Tool
    from worlddb.tools.perturb import Perturbation
    from worlddb.tools.plugin import Access, ToolError, plugin
    from worlddb.tools.session import Session, Start, resume
    from worlddb.tools.toolset import Toolset
    from worlddb.world.diff import Change, Diff
    from worlddb.world.generate import generate
    from worlddb.world.model import Recipe, World

_HOMES = {
    "Access": "worlddb.tools.plugin",
    "Change": "worlddb.world.diff",
    "Diff": "worlddb.world.diff",
    "Episode": "worlddb.episode.play",
    "Perturbation": "worlddb.tools.perturb",
    "Recipe": "worlddb.world.model",
    "Result": "worlddb.tools.model",
    "Schema": "worlddb.schema.model",
    "Session": "worlddb.tools.session",
    "Start": "worlddb.tools.session",
    "Store": "worlddb.store",
    "Task": "worlddb.tasks.model",
    "Tool": "worlddb.tools.model",
    "ToolError": "worlddb.tools.plugin",
    "Toolset": "worlddb.tools.toolset",
    "Verdict": "worlddb.episode.verdict",
    "World": "worlddb.world.model",
    "WorlddbError": "worlddb.errors",
    "generate": "worlddb.world.generate",
    "judge": "worlddb.episode.play",
    "open_store": "worlddb.store",
    "plugin": "worlddb.tools.plugin",
    "resume": "worlddb.tools.session",
    "spawn": "worlddb.spawner",
}

__all__ = [
    "Access",
    "Change",
    "Diff",
    "Episode",
    "Perturbation",
    "Recipe",
    "Result",
    "Schema",
    "Session",
    "Start",
    "Store",
    "Task",
    "Tool",
    "ToolError",
    "Toolset",
    "Verdict",
    "World",
    "WorlddbError",
    "__version__",
    "generate",
    "judge",
    "open_store",
    "plugin",
    "resume",
    "spawn",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'worlddb' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
