"""Serving until Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import anyio
import uvicorn
from mcp.server.stdio import stdio_server

from worlddb.adapters.mcp.episodes import Episodes
from worlddb.adapters.mcp.gate import is_loopback
from worlddb.adapters.mcp.http import http_app
from worlddb.adapters.mcp.server import make_server
from worlddb.errors import BadRequest

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""
_BACKLOG = 2048
_GRACE = 3
"""Seconds that open requests have when the server is to stop."""


def serve_stdio(episodes: Episodes, world: str, say: Callable[[str], None]) -> None:
    """Serve one episode of a world on stdin and stdout, until stdin ends."""
    place = episodes.place(world, "stdio")
    live = place.live
    server = make_server(episodes, lambda request: place)

    async def serve() -> None:
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    def stop(*_: Any) -> None:
        os._exit(INTERRUPTED)  # the SDK reads stdin in a thread that would keep the process until a line comes

    signal.signal(signal.SIGINT, stop)
    say(f"serving {live.world.id} with {len(live.toolset)} tools on stdin and stdout (Ctrl-C ends it)")
    anyio.run(serve)


def serve_http(
    episodes: Episodes, world: str, say: Callable[[str], None], *, host: str, port: int, token: str, admin_token: str
) -> None:
    """Serve over HTTP until Ctrl-C; `world` (an id, or nothing) is meant where a path names none, port 0 is any free one.

    Raises:
        BadRequest: the host is not this machine alone and there is no token, or the port is taken.
    """
    if not is_loopback(host) and not token:
        raise BadRequest(f"{host} can be reached from elsewhere; give a --token, or set WORLDDB_TOKEN")
    first = world or next(iter(episodes.store.ids()))
    episodes.world(first)  # what is wrong with it, or with the toolset asked for, is told now
    app = http_app(episodes, world, token=token, admin_token=admin_token, loopback=is_loopback(host))
    with _listen(host, port) as listener:
        at = f"[{host}]" if ":" in host else host
        url = f"http://{at}:{listener.getsockname()[1]}"
        path, here = ("", "") if world else ("/worlds/{world}", f"/worlds/{first}")
        say(
            f"serving {url}{path}/episodes/{{episode}}/mcp (Ctrl-C ends it); in Python: "
            f'async with mcp.Client("{url}{here}/episodes/1/mcp") as client: await client.list_tools()'
        )
        config = uvicorn.Config(app, log_level="warning", access_log=False, ws="none", timeout_graceful_shutdown=_GRACE)
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # the protocol is named: asyncio asks for it before it switches off Nagle's delay, which is 40 ms an answer
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise BadRequest(f"there is no address {host} ({error.strerror}); choose another --host") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise BadRequest(f"cannot listen on {host} port {port} ({error.strerror}); choose another --port") from None
    return listener
