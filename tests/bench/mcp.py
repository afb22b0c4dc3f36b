"""How long a call takes over MCP, with the official client: `python -m tests.bench.mcp [--json FILE]`.

Client and server share the machine.  Times are milliseconds, memory kilobytes.  The world is hotel 42 of the default profile.

    in process   Session.call alone, and the same under the protocol without a wire
    stdio        connecting (the start of Python included), one call after the other
    http         one episode, one call after the other; 100 episodes at once; the server alone (POST without a client)
    memory       what an episode of 10 calls keeps, awake and asleep
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import click
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

import worlddb
from tests.mcp_matrix.calls import mixed
from worlddb.adapters.mcp.episodes import Episodes
from worlddb.adapters.mcp.server import make_server
from worlddb.store import Store
from worlddb.tools.model import Call
from worlddb.world.model import World

CALLS = 1000
EPISODES, EACH = 100, 20
KEPT, LONG = 500, 10
ROOT = Path(worlddb.__file__).parent.parent


def spread(seconds: list[float]) -> dict[str, float]:
    """The median and the 95th percentile, in ms."""
    ordered = sorted(1000 * s for s in seconds)
    return {"p50": round(ordered[len(ordered) // 2], 3), "p95": round(ordered[int(0.95 * len(ordered))], 3)}


def good_calls(world: World, count: int) -> list[Call]:
    """Calls as agents make them, half of which write; those with bad arguments, too."""
    return mixed(world, world.toolset(), Random(7), count)


async def one_by_one(target: Any, calls: list[Call]) -> dict[str, Any]:
    """Connect, list the tools, and call."""
    begun = time.perf_counter()
    async with Client(target) as client:
        connected = time.perf_counter()
        await client.list_tools()
        listed = time.perf_counter()
        times = []
        for call in calls:
            at = time.perf_counter()
            await client.call_tool(call.name, call.arguments)
            times.append(time.perf_counter() - at)
    found = {"connect": round(1000 * (connected - begun), 1), "list_tools": round(1000 * (listed - connected), 1)}
    # the client makes a validator at the first answer of each tool; the calls after that are what an episode feels
    return {**found, "call": spread(times[len(times) // 4 :])}


def alone(world: World, calls: list[Call]) -> dict[str, float]:
    """Session.call with nothing around it."""
    session = world.session()
    for call in calls:
        session.call(call.name, call.arguments)
    session.reset()
    times = []
    for call in calls:
        at = time.perf_counter()
        session.call(call.name, call.arguments).text  # noqa: B018 - making the JSON is part of it
        times.append(time.perf_counter() - at)
    return spread(times)


@contextmanager
def serving(store: Store) -> Iterator[str]:
    """The URL of a server in a process of its own."""
    command = [sys.executable, "-m", "worlddb.cli", "serve", str(store.path), "--mcp", "http", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        try:
            yield line.split()[1].partition("/worlds")[0]
        finally:
            process.send_signal(signal.SIGINT)


async def at_once(url: str, world: World, calls: list[Call]) -> dict[str, Any]:
    """Many episodes, each a client of its own."""
    times: list[float] = []
    connects: list[float] = []
    ready = asyncio.Barrier(EPISODES + 1)

    async def episode(number: int, wire: httpx2.AsyncClient) -> None:
        at = time.perf_counter()
        transport = streamable_http_client(f"{url}/worlds/{world.id}/episodes/many.{number}/mcp", http_client=wire)
        async with Client(transport) as client:
            await client.list_tools()
            connects.append(time.perf_counter() - at)
            for call in calls:  # once unmeasured, so that the validators are there
                await client.call_tool(call.name, call.arguments)
            await ready.wait()
            for call in calls:
                at = time.perf_counter()
                await client.call_tool(call.name, call.arguments)
                times.append(time.perf_counter() - at)

    async with httpx2.AsyncClient(timeout=60, limits=httpx2.Limits(max_connections=EPISODES)) as wire:
        running = [asyncio.create_task(episode(i, wire)) for i in range(EPISODES)]
        await ready.wait()
        begun = time.perf_counter()
        await asyncio.gather(*running)
    rate = len(times) / (time.perf_counter() - begun)
    return {
        "episodes": EPISODES,
        "connect_and_list": spread(connects),
        "call": spread(times),
        "calls_per_second": round(rate),
    }


def posted(url: str, world: World, calls: list[Call]) -> dict[str, float]:
    """What the server alone takes: requests without a client, on one connection."""
    host = url.removeprefix("http://")
    wire = http.client.HTTPConnection(host)
    path = f"/worlds/{world.id}/episodes/posted/mcp"
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    }  # fmt: skip
    headers = {
        "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call",
    }  # fmt: skip
    times = []
    for call in calls:
        params = {"name": call.name, "arguments": call.arguments, "_meta": meta}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
        at = time.perf_counter()
        wire.request("POST", path, body, {**headers, "Mcp-Name": call.name})
        answer = wire.getresponse()
        text = answer.read()
        times.append(time.perf_counter() - at)
        assert answer.status == 200, text
    return spread(times)


def memory(store: Store, world: World, calls: list[Call]) -> dict[str, float]:
    """KB per episode, by what Python allocates."""
    found = {}
    for state, live in (("awake", KEPT), ("asleep", 1)):
        episodes = Episodes(store, lambda w: w.toolset(), live=live)
        for number in range(-1, KEPT):
            if number == 0:
                tracemalloc.start()
            place = episodes.place(world.id, f"e{number}")
            for call in calls[:LONG]:
                episodes.call(place, call.name, call.arguments)
        found[state] = round(tracemalloc.get_traced_memory()[0] / KEPT / 1024, 2)
        tracemalloc.stop()
    return found


def measure() -> dict[str, Any]:
    """All figures."""
    with tempfile.TemporaryDirectory() as home:
        store = worlddb.spawn(Path(home) / "store", 1, seed=42, domain="hotel", workers=1)
        world = store[0]
        calls, few = good_calls(world, CALLS), good_calls(world, EACH)
        episodes = Episodes(store, lambda w: w.toolset())
        server = make_server(episodes, lambda request: episodes.place(world.id, "bench"))
        command = ["-m", "worlddb.cli", "serve", str(store.path), "--mcp", "stdio"]
        parameters = StdioServerParameters(command=sys.executable, args=command, cwd=ROOT, env=dict(os.environ))

        def run(act: Callable[[], Awaitable[Any]]) -> Any:
            async def main() -> Any:
                return await act()

            return asyncio.run(main())

        found: dict[str, Any] = {
            "world": world.id, "rows": world.rows, "tools": len(world.toolset()), "calls": len(calls),
            "session": alone(world, calls),
            "in_process": run(lambda: one_by_one(server, calls)),
            "stdio": run(lambda: one_by_one(parameters, calls)),
        }  # fmt: skip
        with serving(store) as url:
            found["http"] = run(lambda: one_by_one(f"{url}/worlds/{world.id}/episodes/one/mcp", calls))
            found["http_server_alone"] = posted(url, world, calls)
            found["http_at_once"] = run(lambda: at_once(url, world, few))
        found["kb_per_episode"] = memory(store, world, few)
        return found


@click.command()
@click.option("--json", "target", default="-", show_default=True, help="Where to write; - for stdout.")
def main(target: str) -> None:
    """Measure, and write JSON."""
    text = json.dumps(measure(), indent=2)
    if target == "-":
        click.echo(text)
    else:
        Path(target).write_text(text + "\n")


if __name__ == "__main__":
    main()
