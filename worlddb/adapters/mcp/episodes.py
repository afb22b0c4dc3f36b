"""Live episodes by world and name: begun on first use, put to sleep where there are too many, woken when they are called.

No protocol here.  All of it belongs to one thread: a call takes microseconds, and episodes of one world share a connection.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

from worlddb.errors import BadRequest, UnknownName
from worlddb.store import Store
from worlddb.tools.handbook import handbook, schema_text
from worlddb.tools.model import Error, Result
from worlddb.tools.session import Session, Start, resume
from worlddb.tools.toolset import Toolset
from worlddb.world.model import World

LIVE = 10_000
"""Episodes kept awake, unless told otherwise; one is some kilobytes."""
CALLS = 10_000
"""Calls of one episode; who makes more of them has lost the way, and its journal would grow without end."""
KNOWN = 1_000_000
"""Episodes known at all, asleep ones included."""
WORLDS = 128
"""Worlds kept ready; one is some megabytes with its tools and its connection."""
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")

Make = Callable[[World], Toolset]


class Crowded(BadRequest):
    """There are too many episodes; those that are finished should be deleted."""


class LiveWorld:
    """A world that is ready to be acted in."""

    def __init__(self, world: World, toolset: Toolset) -> None:
        self.world, self.toolset = world, toolset
        self.listing: Any = None
        """The tools in the protocol's own form, kept here by the server that made it."""

    @cached_property
    def texts(self) -> dict[str, str]:
        """What there is to read: 'handbook' and 'schema'."""
        return {name: make(self.world.schema, self.toolset) for name, make in _TEXTS.items()}


_OVER = Error(
    code="CONFLICT", message=f"This episode is over: it has had its {CALLS} calls.", rule="calls",
    cure="Nothing more can be done in it.",
)  # fmt: skip
_TEXTS = {"handbook": handbook, "schema": schema_text}


class Place(NamedTuple):
    """Where a request belongs: a world, and the name of an episode in it."""

    live: LiveWorld
    episode: str

    @property
    def key(self) -> tuple[str, str]:
        """The same as text."""
        return self.live.world.id, self.episode


class Episodes:
    """All episodes of a store's worlds."""

    def __init__(self, store: Store, make: Make, *, live: int = LIVE) -> None:
        """`make` gives a world its toolset; at most `live` episodes are awake at a time."""
        if live < 1:
            raise BadRequest(f"{live} live episodes are too few; allow at least one")
        self.store = store
        self._make, self._most = make, live
        self._worlds: OrderedDict[str, LiveWorld] = OrderedDict()
        self._awake: OrderedDict[tuple[str, str], Session] = OrderedDict()
        self._asleep: dict[tuple[str, str], bytes] = {}

    def __len__(self) -> int:
        return len(self._awake) + len(self._asleep)

    @property
    def awake(self) -> int:
        """How many episodes are live; the others lie suspended."""
        return len(self._awake)

    def world(self, name: str) -> LiveWorld:
        """The world of that id, ready.

        Raises:
            UnknownName: the store has none of that id.
            StoreError: its bytes are damaged.
        """
        found = self._worlds.get(name)
        if found is None:
            world = self.store[name]
            if world.id != name:  # a seed or an index: one world has one address
                raise UnknownName("world", name, [world.id])
            found = self._worlds[name] = LiveWorld(world, self._make(world))
            while len(self._worlds) > WORLDS:
                gone, _ = self._worlds.popitem(last=False)
                for key in [k for k in self._awake if k[0] == gone]:
                    self._suspend(key)
        self._worlds.move_to_end(name)
        return found

    def place(self, world: str, episode: str) -> Place:
        """Where an episode of that name has its place, begun or not.

        Raises:
            UnknownName: the store has no world of that id.
            StoreError: its bytes are damaged.
            BadRequest: that is no name for an episode.
            Crowded: it would be one too many.
        """
        found = Place(self.world(world), episode)
        if not _NAME.fullmatch(episode):
            raise BadRequest("an episode's name has 1 to 64 letters, digits, dots, dashes and underscores")
        if len(self) >= KNOWN and found.key not in self._awake and found.key not in self._asleep:
            raise Crowded(f"there are {len(self)} episodes; delete those that are finished")
        return found

    def call(self, place: Place, name: str, arguments: Any) -> Result:
        """A call in an episode, which begins here where it is new."""
        session = self._find(place)
        if session is None:
            session = self._keep(place, Session(place.live.world, place.live.toolset))
        if len(session.journal) >= CALLS:
            return Result(ok=False, error=_OVER)
        return session.call(name, arguments)

    def look(self, place: Place) -> Session:
        """The episode, to be read; one that has not begun stands at its start, and still has not begun."""
        return self._find(place) or Session(place.live.world, place.live.toolset)

    def reset(self, place: Place, start: Start | None = None) -> Session:
        """Begin an episode, or begin it anew.

        Raises:
            BadRequest: that is no start.
        """
        fresh = Session(place.live.world, place.live.toolset, start)
        self.delete(place)
        return self._keep(place, fresh)

    def delete(self, place: Place) -> bool:
        """Forget an episode; False where there was none."""
        awake, asleep = self._awake.pop(place.key, None), self._asleep.pop(place.key, None)
        return awake is not None or asleep is not None

    def _find(self, place: Place) -> Session | None:
        session = self._awake.get(place.key)
        if session is not None:
            self._awake.move_to_end(place.key)
            return session
        kept = self._asleep.get(place.key)
        if kept is None:
            return None
        session = resume(place.live.world, place.live.toolset, kept)
        del self._asleep[place.key]
        return self._keep(place, session)

    def _keep(self, place: Place, session: Session) -> Session:
        self._awake[place.key] = session
        while len(self._awake) > self._most:
            self._suspend(next(iter(self._awake)))
        return session

    def _suspend(self, key: tuple[str, str]) -> None:
        self._asleep[key] = self._awake.pop(key).suspend()
