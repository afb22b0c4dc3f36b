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

Names are imported when they are first used, so `import worlddb` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from worlddb.version import __version__

if TYPE_CHECKING:
    from worlddb.errors import WorlddbError
    from worlddb.schema.model import Schema
    from worlddb.spawner import spawn
    from worlddb.store import Store, open_store
    from worlddb.world.generate import generate
    from worlddb.world.model import Recipe, World

_HOMES = {
    "Recipe": "worlddb.world.model",
    "Schema": "worlddb.schema.model",
    "Store": "worlddb.store",
    "World": "worlddb.world.model",
    "WorlddbError": "worlddb.errors",
    "generate": "worlddb.world.generate",
    "open_store": "worlddb.store",
    "spawn": "worlddb.spawner",
}

__all__ = [
    "Recipe",
    "Schema",
    "Store",
    "World",
    "WorlddbError",
    "__version__",
    "generate",
    "open_store",
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
