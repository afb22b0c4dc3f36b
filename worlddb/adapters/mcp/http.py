"""Streamable HTTP: one MCP endpoint per episode for the agent, and plain routes beside it for whoever trains it.

    POST   /worlds/{world}/episodes/{episode}/mcp       the agent's: MCP, stateless, answered with JSON
    POST   /worlds/{world}/episodes/{episode}/reset     back to the start; the body may give one: {"clock": 0, "ids": 0}
    GET    /worlds/{world}/episodes/{episode}/state     rows by table, net changes, the clock, how many calls there were
    GET    /worlds/{world}/episodes/{episode}/journal   every call with its result and changes
    GET    /worlds/{world}/episodes/{episode}/score     the net changes, and a reward; null: no task is judged here yet
    DELETE /worlds/{world}/episodes/{episode}           forget it
    GET    /worlds?offset=0&limit=1000                  ids of the worlds
    GET    /health                                      how many episodes there are

An episode begins with its first call.  `/worlds/{world}` may be left out where the server has a world of its own.  No
session of the protocol is kept: the address is all that says which episode is meant.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any

import msgspec
import orjson
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from worlddb.adapters.mcp.episodes import Crowded, Episodes, Place
from worlddb.adapters.mcp.gate import Gate, bears, refusal
from worlddb.adapters.mcp.server import make_server
from worlddb.errors import BadRequest, UnknownName
from worlddb.schema.model import Schema
from worlddb.tools.session import Entry, Session, Start
from worlddb.world.diff import Change
from worlddb.world.model import World

LISTED = 1000
"""Worlds that one answer names, unless told otherwise."""
_PLACE = "worlddb.place"


def http_app(
    episodes: Episodes, world: str = "", *, token: str = "", admin_token: str = "", loopback: bool = True
) -> ASGIApp:
    """The ASGI application.

    `world` is meant where a path names none.  `token` lets in to everything, or where there is an `admin_token` to the
    agent's endpoints only.  `loopback` says that the server is reached from this machine only.
    """
    manager = StreamableHTTPSessionManager(app=make_server(episodes, _located), json_response=True, stateless=True)
    routes = _Routes(episodes, world, manager, admin_token)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with manager.run():
            yield

    handlers: dict[Any, Any] = {
        HTTPException: _no_route, UnknownName: _unknown, Crowded: _crowded, BadRequest: _bad, msgspec.MsgspecError: _bad,
    }  # fmt: skip
    app = Starlette(routes=routes.all(), lifespan=lifespan, exception_handlers=handlers)
    tokens = [t for t in (token, admin_token) if t] if token else []
    return Gate(app, tokens=tokens, loopback=loopback)


def _located(request: Request) -> Place:
    place: Place = request.scope[_PLACE]
    return place


class _Agent:
    """The agent's endpoints, as an ASGI application: finds the place, and leaves the rest to the SDK."""

    def __init__(self, routes: _Routes) -> None:
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":  # a stream of news, which a server may refuse to have; there never are any
            await refusal(405, "METHOD_NOT_ALLOWED", "send MCP requests by POST")(scope, receive, send)
            return
        scope[_PLACE] = self.routes.place(scope["path_params"])
        await self.routes.manager.handle_request(scope, receive, send)


class _Routes:
    """The endpoints over one set of episodes."""

    def __init__(self, episodes: Episodes, world: str, manager: StreamableHTTPSessionManager, admin_token: str) -> None:
        self.episodes, self.default, self.manager, self.admin_token = episodes, world, manager, admin_token

    def all(self) -> list[Route]:
        """Every route; those without a world in their path only where there is one by default."""
        found = []
        for prefix in ("/worlds/{world}", "") if self.default else ("/worlds/{world}",):
            base = f"{prefix}/episodes/{{episode}}"
            found += [
                Route(f"{base}/mcp", _Agent(self)),
                Route(f"{base}/reset", self.trainer(self.reset), methods=["POST"]),
                Route(f"{base}/state", self.trainer(self.state)),
                Route(f"{base}/journal", self.trainer(self.journal)),
                Route(f"{base}/score", self.trainer(self.score)),
                Route(base, self.trainer(self.delete), methods=["DELETE"]),
            ]
        return [*found, Route("/worlds", self.trainer(self.worlds)), Route("/health", self.trainer(self.health))]

    def place(self, path: dict[str, str]) -> Place:
        """Where the parameters of a path lead; see `Episodes.place`."""
        return self.episodes.place(path.get("world", self.default), path["episode"])

    def trainer(self, answer: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
        """A route that agents must not take: checked for the admin token, answered with JSON."""

        async def endpoint(request: Request) -> Response:
            if self.admin_token and not bears(request.headers, [self.admin_token]):
                return refusal(401, "UNAUTHORIZED", "this route needs the server's admin token")
            return Response(orjson.dumps(await answer(request), default=repr), media_type="application/json")

        return endpoint

    def session(self, request: Request) -> Session:
        """The episode of a request, to be read."""
        return self.episodes.look(self.place(request.path_params))

    async def reset(self, request: Request) -> Any:
        """POST reset."""
        start = msgspec.json.decode(await request.body() or b"{}", type=_Begin)
        place = self.place(request.path_params)
        return state(place.live.world, self.episodes.reset(place, Start(clock=start.clock, ids=start.ids)))

    async def state(self, request: Request) -> Any:
        """GET state."""
        session = self.session(request)
        return state(session.world, session)

    async def journal(self, request: Request) -> Any:
        """GET journal."""
        session = self.session(request)
        return {"journal": [entry(e, session.world.schema) for e in session.journal]}

    async def score(self, request: Request) -> Any:
        """GET score."""
        session = self.session(request)
        return {"reward": None, "changes": changes(session.diff().changes, session.world.schema)}

    async def delete(self, request: Request) -> Any:
        """DELETE an episode."""
        return {"deleted": self.episodes.delete(self.place(request.path_params))}

    async def worlds(self, request: Request) -> Any:
        """GET worlds."""
        asked = msgspec.convert(dict(request.query_params), _Pages, strict=False)
        ids = islice(self.episodes.store.ids(), asked.offset, asked.offset + asked.limit)
        return {"count": len(self.episodes.store), "worlds": list(ids)}

    async def health(self, request: Request) -> Any:
        """GET health."""
        return {"ok": True, "episodes": len(self.episodes), "awake": self.episodes.awake}


class _Begin(msgspec.Struct, forbid_unknown_fields=True):
    clock: int = 0
    ids: int = 0


class _Pages(msgspec.Struct):
    offset: Annotated[int, msgspec.Meta(ge=0)] = 0
    limit: Annotated[int, msgspec.Meta(ge=0)] = LISTED


# --- what the trainer reads


def state(world: World, session: Session) -> dict[str, Any]:
    """The state of an episode in short."""
    counts, found = dict(world.counts), session.diff().changes
    for change in found:
        counts[change.table] = counts.get(change.table, 0) + (change.before is None) - (change.after is None)
    return {
        "world": world.id, "now": moment(session.now), "calls": len(session.journal), "counts": counts,
        "changes": changes(found, world.schema),
    }  # fmt: skip


def changes(found: Sequence[Change], schema: Schema) -> list[dict[str, Any]]:
    """Net changes with rows as objects by column key; of an update only the columns that differ, and the primary key."""
    return [_change(c, schema) for c in found]


def _change(change: Change, schema: Schema) -> dict[str, Any]:
    keys = [c.key for c in schema[change.table].columns]
    before, after = (None if r is None else dict(zip(keys, r, strict=True)) for r in (change.before, change.after))
    if before is not None and after is not None:
        differ = [k for k in keys if before[k] != after[k]]
        before, after = {k: before[k] for k in differ}, {k: after[k] for k in differ}
    return {"table": change.table, "key": change.key, "op": change.op, "before": before, "after": after}


def entry(found: Entry, schema: Schema) -> dict[str, Any]:
    """One line of the journal."""
    return {
        "number": found.number, "tool": found.name, "arguments": found.arguments, "ok": found.result.ok,
        "result": orjson.Fragment(found.result.json), "now": moment(found.now),
        "changes": changes(found.changes, schema),
    }  # fmt: skip


def moment(seconds: int) -> str:
    """Unix seconds as the worlds write them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


# --- what goes wrong


async def _no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:
        return refusal(405, "METHOD_NOT_ALLOWED", f"{request.url.path} is not for {request.method}")
    return refusal(status, "UNKNOWN_PATH", f"nothing is at {request.url.path}; see GET /worlds")


async def _unknown(request: Request, error: Exception) -> Response:
    return refusal(404, "UNKNOWN_WORLD", str(error))


async def _bad(request: Request, error: Exception) -> Response:
    return refusal(400, "BAD_REQUEST", str(error))


async def _crowded(request: Request, error: Exception) -> Response:
    return refusal(503, "TOO_MANY_EPISODES", str(error))
