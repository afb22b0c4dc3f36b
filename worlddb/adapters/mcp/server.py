"""The protocol, on the official SDK's low-level server: one source for its versions 1.28 to 2.x.

What a server answers is made from camelCase dicts by `model_validate`, which all versions take.  What differs between them is
how handlers are registered and what these are given, and that stands in `_server_1` and `_server_2` alone.

Nobody but `Session.call` judges arguments.  What an agent did wrong is a result with `isError`, whose text is our JSON; it
never is an error of the protocol, and it has no structuredContent, because clients hold that against the outputSchema.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from mcp import types
from mcp.server.lowlevel import Server

from worlddb.adapters.mcp.episodes import Episodes, Place
from worlddb.tools.model import Result
from worlddb.version import __version__

INSTRUCTIONS = "The tools of one business's system. The resource worlddb://handbook tells how the business works."
RESOURCES = (
    ("handbook", "Handbook", "What the business is, its entities, states and rules, the units, and how errors look."),
    ("schema", "Schema", "How the data is shaped."),
)
_SCHEME = "worlddb://"
_NO_RESOURCE = -32002
"""The protocol's code for a resource that is not there."""


Locate = Callable[[Any], Place]
"""Starlette's request, or None over stdio -> where it belongs."""


class Answers:
    """What the server answers, as models of the SDK."""

    def __init__(self, episodes: Episodes, locate: Locate) -> None:
        self.episodes, self.locate = episodes, locate

    def list_tools(self, place: Place) -> types.ListToolsResult:
        """All tools of the world."""
        live = place.live
        if live.listing is None:
            live.listing = types.ListToolsResult.model_validate({"tools": live.toolset.mcp()})
        return live.listing

    def call_tool(self, place: Place, name: str, arguments: Any) -> types.CallToolResult:
        """One call of the agent."""
        return types.CallToolResult.model_validate(result_dict(self.episodes.call(place, name, arguments or {})))

    def list_resources(self) -> types.ListResourcesResult:
        """The handbook and the schema."""
        found = [
            {"uri": _SCHEME + n, "name": n, "title": title, "description": text, "mimeType": "text/markdown"}
            for n, title, text in RESOURCES
        ]
        return types.ListResourcesResult.model_validate({"resources": found})

    def read_resource(self, place: Place, uri: str) -> types.ReadResourceResult | None:
        """The text of a resource; None where there is none of that address."""
        text = place.live.texts.get(uri.removeprefix(_SCHEME)) if uri.startswith(_SCHEME) else None
        if text is None:
            return None
        contents = [{"uri": uri, "mimeType": "text/markdown", "text": text}]
        return types.ReadResourceResult.model_validate({"contents": contents})


def result_dict(result: Result) -> dict[str, Any]:
    """A result in the protocol's form."""
    found: dict[str, Any] = {"content": [{"type": "text", "text": result.text}], "isError": not result.ok}
    if result.ok and isinstance(result.data, dict):
        found["structuredContent"] = result.data
    return found


def make_server(episodes: Episodes, locate: Locate) -> Server[Any]:
    """The server; `locate` finds where a request belongs."""
    make = _server_2 if int(version("mcp").partition(".")[0]) >= 2 else _server_1
    server: Server[Any] = make(Answers(episodes, locate))
    return server


def _server_1(answers: Answers) -> Any:
    """For mcp 1.x: handlers are given whole requests, and find their context in the server."""
    import mcp

    sdk: Any = mcp
    server: Any = Server("worlddb", version=__version__, instructions=INSTRUCTIONS)

    def place() -> Place:
        return answers.locate(server.request_context.request)

    async def list_tools(request: Any) -> Any:
        return sdk.types.ServerResult(answers.list_tools(place()))

    async def call_tool(request: Any) -> Any:
        return sdk.types.ServerResult(answers.call_tool(place(), request.params.name, request.params.arguments))

    async def list_resources(request: Any) -> Any:
        return sdk.types.ServerResult(answers.list_resources())

    async def read_resource(request: Any) -> Any:
        found = answers.read_resource(place(), str(request.params.uri))
        if found is None:
            raise sdk.McpError(sdk.types.ErrorData(code=_NO_RESOURCE, message=f"no resource {request.params.uri}"))
        return sdk.types.ServerResult(found)

    # not by the decorators: that of tools/call would list all tools before each call of an unknown one
    server.request_handlers |= {
        sdk.types.ListToolsRequest: list_tools, sdk.types.CallToolRequest: call_tool,
        sdk.types.ListResourcesRequest: list_resources, sdk.types.ReadResourceRequest: read_resource,
    }  # fmt: skip
    return server


def _server_2(answers: Answers) -> Any:
    """For mcp 2.x: handlers are given the context and the parameters."""
    from mcp import MCPError

    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        return answers.list_tools(answers.locate(context.request))

    async def call_tool(context: Any, params: Any) -> types.CallToolResult:
        return answers.call_tool(answers.locate(context.request), params.name, params.arguments)

    async def list_resources(context: Any, params: Any) -> types.ListResourcesResult:
        return answers.list_resources()

    async def read_resource(context: Any, params: Any) -> types.ReadResourceResult:
        found = answers.read_resource(answers.locate(context.request), str(params.uri))
        if found is None:
            raise MCPError(code=_NO_RESOURCE, message=f"no resource {params.uri}")
        return found

    server: Server[Any] = Server(
        "worlddb", version=__version__, instructions=INSTRUCTIONS, on_list_tools=list_tools, on_call_tool=call_tool,
        on_list_resources=list_resources, on_read_resource=read_resource,
    )  # fmt: skip
    if hasattr(server, "get_tool_input_schema"):  # else every call over HTTP lists all tools first, to check headers
        server.get_tool_input_schema = lambda name: None  # and no parameter of ours travels in a header
    return server
