"""Plays calls with the SDK of its interpreter, of any version, and prints what came back as JSON.

`python client.py TARGET CALLS`: TARGET is a URL or a command as a JSON list, CALLS a JSON list of [tool, arguments].
It needs nothing but the SDK.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from importlib.metadata import version
from typing import Any

FIRST = int(version("mcp").partition(".")[0]) == 1


async def play(session: Any, calls: list[tuple[str, Any]]) -> dict[str, Any]:
    """List, call, read."""

    def plain(model: Any) -> Any:
        return model.model_dump(by_alias=True, mode="json")

    tools = plain(await session.list_tools())["tools"]
    results, times = [], []
    for name, arguments in calls:
        begun = time.perf_counter()
        found = plain(await session.call_tool(name, arguments))
        times.append(time.perf_counter() - begun)
        results.append([found["isError"], found["content"][0]["text"], found["structuredContent"]])
    listed = plain(await session.list_resources())["resources"]
    texts = {r["uri"]: plain(await session.read_resource(r["uri"]))["contents"][0]["text"] for r in listed}
    try:
        await session.read_resource("worlddb://nothing")
        refused = ""
    except Exception as error:  # its class differs between versions
        refused = str(error)
    return {
        "tools": [[t["name"], t["inputSchema"], t["outputSchema"], t["annotations"]["readOnlyHint"]] for t in tools],
        "results": results, "texts": texts, "refused": refused, "p50": 1000 * sorted(times)[len(times) // 2],
    }  # fmt: skip


async def first(target: Any, calls: list[tuple[str, Any]]) -> dict[str, Any]:
    """With a client of 1.x."""
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client
    from mcp.client.streamable_http import streamable_http_client

    if isinstance(target, str):
        opened = streamable_http_client(target)
    else:
        opened = stdio_client(StdioServerParameters(command=target[0], args=target[1:], env=dict(os.environ)))
    async with opened as streams, ClientSession(streams[0], streams[1]) as session:
        protocol = (await session.initialize()).protocolVersion
        return {"protocol": protocol, **await play(session, calls)}


async def later(target: Any, calls: list[tuple[str, Any]]) -> dict[str, Any]:
    """With a client of 2.x."""
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client

    if not isinstance(target, str):
        target = stdio_client(StdioServerParameters(command=target[0], args=target[1:], env=dict(os.environ)))
    async with Client(target) as session:
        return {"protocol": session.protocol_version, **await play(session, calls)}


if __name__ == "__main__":
    where, what = sys.argv[1:]
    where = json.loads(where) if where.startswith("[") else where
    print(json.dumps(asyncio.run((first if FIRST else later)(where, json.loads(what)))))
