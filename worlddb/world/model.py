"""The World noun: a schema, the image of a database that obeys it, and the recipe that makes both again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from worlddb.errors import StoreError, UnknownName
from worlddb.schema.model import Schema

if TYPE_CHECKING:
    import apsw

    from worlddb.tasks.model import Task
    from worlddb.tools.perturb import Perturbation
    from worlddb.tools.plugin import Plugin
    from worlddb.tools.session import Beside, Session, Start
    from worlddb.tools.styles import Style
    from worlddb.tools.toolset import Toolset


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides a world's bytes.  Equal recipes give equal images on every machine."""

    seed: int
    """0 <= seed < 2**63."""
    profile: str
    generator: str
    """Version of the generator: of the code, and the digest of schemas/ ('1-3fa94c12')."""
    pools: str
    """The first 16 hex digits of the value pools' digest."""
    domain: str = ""
    """The domain, where the caller chose it ('id@digest' for a file of the caller's); empty: drawn from the seed."""

    def __str__(self) -> str:
        """The recipe as text of at most 64 bytes (a chosen domain adds its name): 'default/42/1/0a6b18e2c3d4f506'."""
        parts = (self.profile, str(self.seed), self.generator, self.pools, self.domain)
        return "/".join(p for p in parts if p)


class World(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A grown world.  Frozen: sessions work on copies of its image."""

    recipe: Recipe
    schema: Schema
    image: bytes
    """A SQLite database file."""
    now: int
    """The frozen world clock, Unix seconds UTC; nothing in the data happened later, bookings and deadlines aside."""
    locale: str
    """Locale of its people and places, such as 'de_DE'."""
    counts: dict[str, int]
    """Table key -> rows."""

    @property
    def id(self) -> str:
        """Name of the world: its domain and seed ('hotel-42'), unique in a store."""
        return f"{self.schema.domain}-{self.recipe.seed}"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the image, in hex."""
        return sha256(self.image).hexdigest()

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(self.counts.values())

    def connect(self) -> apsw.Connection:
        """A private, writable copy of the database in memory, foreign keys enforced."""
        import apsw

        connection = apsw.Connection(":memory:")
        connection.deserialize("main", self.image)
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def save(self, path: str | Path) -> Path:
        """Write the database to `path`, which must not exist yet.

        Raises:
            StoreError: the file exists or cannot be written.
        """
        target = Path(path)
        try:
            with target.open("xb") as file:
                file.write(self.image)
        except FileExistsError:
            raise StoreError(f"{target} exists already; choose another name, or remove it first") from None
        except OSError as error:
            raise StoreError(f"{target} cannot be written: {error.strerror}") from None
        return target

    def models(self) -> dict[str, Any]:
        """Real SQLModel classes of the world's tables, by table key, on a MetaData of their own."""
        from worlddb.schema.models import models

        return models(self.schema)

    # --- doors to the rooms above: what people do with a world

    def toolset(
        self,
        style: Style | str | None = None,
        *,
        sets: str = "crud",
        perturb: Perturbation | None = None,
        plugins: Sequence[Plugin | Callable[..., object]] = (),
    ) -> Toolset:
        """The API that this world's staff would use, the same one for the same arguments; see `worlddb.tools.build.toolset`."""
        from worlddb.tools.build import toolset

        if style is not None or perturb is not None or plugins:
            return toolset(self, style, sets=sets, perturb=perturb, plugins=plugins)
        made: dict[str, Toolset] = self.__dict__.setdefault("_toolsets", {})
        if sets not in made:
            made[sets] = toolset(self, sets=sets)
        return made[sets]

    def session(
        self, toolset: Toolset | None = None, *, start: Start | None = None, beside: Sequence[Beside] = ()
    ) -> Session:
        """An episode in which an agent calls the tools of `toolset` (the world's usual one); see `worlddb.tools.session`."""
        from worlddb.tools.session import Session

        return Session(self, self.toolset() if toolset is None else toolset, start, beside)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Its tasks: of a world from a store the stored ones (none where the store has none), else ten of the profile
        'default', made on first use; see `worlddb.gate.tasks_of` for others.

        Raises:
            StoreError: the store's bytes of them are damaged.
        """
        if "_tasks" not in self.__dict__:
            source: Callable[[], tuple[Task, ...]] | None = self.__dict__.get("_task_source")
            self.__dict__["_tasks"] = self._made_tasks() if source is None else source()
        made: tuple[Task, ...] = self.__dict__["_tasks"]
        return made

    def _made_tasks(self) -> tuple[Task, ...]:
        from worlddb.gate import tasks_of

        return tasks_of(self).tasks

    def task(self, name: str | int) -> Task:
        """One of its tasks, by number (3 or '3') or id ('hotel-12/3').

        Raises:
            UnknownName: it has no such task.
        """
        known = {task.id: task for task in self.tasks}
        wanted = str(name) if "/" in str(name) else f"{self.id}/{name}"
        if wanted not in known:
            raise UnknownName("task", wanted, known)
        return known[wanted]

    def hold_tasks(self, source: Callable[[], tuple[Task, ...]]) -> None:
        """Take the tasks from `source`, which is called when they are first asked for."""
        self.__dict__["_task_source"] = source

    @property
    def holds_tasks(self) -> bool:
        """True where the tasks are at hand and need not be made."""
        return not {"_tasks", "_task_source"}.isdisjoint(self.__dict__)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled with the tasks that it holds: those of a store are not to be had from the world alone."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return _again, (fields, self.tasks if self.holds_tasks else None)


def _again(fields: dict[str, Any], tasks: tuple[Task, ...] | None) -> World:
    world = World(**fields)
    if tasks is not None:
        world.hold_tasks(lambda: tasks)
    return world
