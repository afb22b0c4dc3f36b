"""The MCP server, by the official client: over stdio, over HTTP, and in process."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner
from mcp import Client, MCPError, StdioServerParameters, types
from mcp.client.streamable_http import streamable_http_client

import worlddb
from tests.mcp_matrix.calls import draw, mixed
from worlddb.adapters.mcp import episodes as rooms
from worlddb.adapters.mcp.episodes import Episodes
from worlddb.adapters.mcp.gate import MOST, is_loopback
from worlddb.adapters.mcp.http import changes, http_app
from worlddb.adapters.mcp.server import make_server, result_dict
from worlddb.cli import cli
from worlddb.errors import BadRequest
from worlddb.store import Store
from worlddb.tools.model import Call
from worlddb.tools.toolset import Toolset
from worlddb.world.model import World

ROOT = Path(worlddb.__file__).parent.parent
N = 32


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("mcp") / "store"
    return worlddb.spawn(path, N, seed=50, profile="tiny", workers=1)


_sets: dict[str, Toolset] = {}


def plain_set(world: World) -> Toolset:
    """The world's toolset, made once: it is frozen."""
    if world.digest not in _sets:
        _sets[world.digest] = world.toolset()
    return _sets[world.digest]


def with_sql(world: World) -> Toolset:
    """The world's toolset and free SQL."""
    return world.toolset(sets="both_read")


def made(store: Store, make: Callable[[World], Toolset] = plain_set, *, live: int = rooms.LIVE) -> Episodes:
    return Episodes(store, make, live=live)


def test_an_episode_ends_after_its_calls(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "CALLS", 3)
    episodes = made(store)
    place = episodes.place(store[0].id, "e")
    assert [episodes.call(place, "nothing", {}).error.code for _ in range(3)] == ["UNKNOWN_TOOL"] * 3  # type: ignore[union-attr]
    over = episodes.call(place, "nothing", {})
    assert over.error is not None
    assert over.error.rule == "calls"
    assert len(episodes.look(place).journal) == 3
    episodes.reset(place)
    assert episodes.call(place, "nothing", {}).error.code == "UNKNOWN_TOOL"  # type: ignore[union-attr]


def texts(result: Any) -> tuple[bool, str, Any]:
    """What a client got: whether it is an error, the text, the structured content."""
    [block] = result.content
    return result.is_error, block.text, result.structured_content


def expected(
    world: World, calls: list[Call], toolset: Toolset | None = None
) -> tuple[list[tuple[bool, str, Any]], Any]:
    """The same calls in process: their results as clients get them, and the net changes as the trainer gets them."""
    session = world.session(toolset or plain_set(world))
    results = [session.call(c.name, c.arguments) for c in calls]
    answers = [(not r.ok, r.text, json.loads(r.text) if r.ok else None) for r in results]
    return answers, json.loads(json.dumps(changes(session.diff().changes, world.schema)))


async def play(client: Client, calls: list[Call]) -> list[tuple[bool, str, Any]]:
    return [texts(await client.call_tool(c.name, c.arguments)) for c in calls]


# --- every world, in process


@pytest.mark.campaign
def test_the_client_takes_the_tools_and_answers_of_two_hundred_worlds(tmp_path):
    many = worlddb.spawn(tmp_path / "store", 200, seed=0, workers=2)
    assert taken(many) == 200


def test_the_client_takes_the_tools_and_answers_of_every_world(store):
    assert taken(store) == N


def taken(store: Store) -> int:
    """The official client lists and calls the tools of every world of a store, and gets what a session gives.

    Gives the number of worlds.
    """
    kinds: dict[str, set[bool]] = {}

    async def one(world: World) -> None:
        episodes = made(store, with_sql)
        live = episodes.world(world.id)
        calls = draw(world, Random(world.recipe.seed), live.toolset)
        server = make_server(episodes, lambda request: episodes.place(world.id, "a"))
        async with Client(server) as client:
            tools = (await client.list_tools()).tools
            got = await play(client, calls)
        told = [t.model_dump(by_alias=True, mode="json", exclude_unset=True) for t in tools]
        assert told == json.loads(json.dumps(live.toolset.mcp()))
        assert got == expected(world, calls, live.toolset)[0]
        for call, (bad, _, _) in zip(calls, got, strict=True):
            kinds.setdefault(live.toolset[call.name].kind if call.name in live.toolset else "", set()).add(not bad)

    for world in store:
        asyncio.run(one(world))
    assert kinds.pop("") == {False}
    succeeded = {kind for kind, outcomes in kinds.items() if True in outcomes}
    assert {"get", "list", "create", "sql"} <= succeeded
    assert 3 * len(succeeded) >= 2 * len(kinds), set(kinds) - succeeded  # some need a row in a state that is rare
    return len(store)


def test_what_the_client_would_refuse_is_never_sent(store):
    session = store[0].session(plain_set(store[0]))
    for call in draw(store[0], Random(1), session.toolset):
        result = session.call(call.name, call.arguments)
        told = result_dict(result)
        assert told["isError"] is not result.ok
        assert ("structuredContent" in told) is result.ok
        assert json.loads(told["content"][0]["text"]) == (json.loads(result.text))
        types.CallToolResult.model_validate(told)


def test_resources(store):
    async def read(make: Callable[[World], Toolset], name: str) -> str:
        episodes = made(store, make)
        async with Client(make_server(episodes, lambda request: episodes.place(store[0].id, "a"))) as client:
            listed = (await client.list_resources()).resources
            assert {str(r.uri) for r in listed} == {"worlddb://handbook", "worlddb://schema"}
            with pytest.raises(MCPError, match="no resource"):
                await client.read_resource("worlddb://nothing")
            [found] = (await client.read_resource(f"worlddb://{name}")).contents
            return found.text

    world, toolset = store[0], plain_set(store[0])
    handbook = asyncio.run(read(plain_set, "handbook"))
    assert handbook.startswith(f"# {world.schema.title}")
    assert all(r.say[1:].rstrip(".") in handbook for r in world.schema.rules)
    for table in world.schema.tables:
        for state in table.lifecycle.states if table.lifecycle else ():
            assert f"'{state}'" in handbook
    plain, sql = asyncio.run(read(plain_set, "schema")), asyncio.run(read(with_sql, "schema"))
    shown = {f.name for t in toolset for f in t.reply.fields if f.table == t.table and f.column}
    assert shown
    assert all(f"- {name} (" in plain for name in shown)
    assert "CREATE TABLE" in sql
    assert "CREATE TABLE" not in plain
    assert all(t.name in sql for t in world.schema.tables)


# --- stdio


def test_stdio(store):
    world = store[3]
    calls = mixed(world, plain_set(world), Random(3), 30)
    parameters = StdioServerParameters(
        command=sys.executable, cwd=ROOT,
        args=["-m", "worlddb.cli", "serve", str(store.path), "--mcp", "stdio", "--world", world.id],
    )  # fmt: skip

    async def act() -> None:
        async with Client(parameters) as client:
            assert {t.name for t in (await client.list_tools()).tools} == set(plain_set(world).names)
            assert await play(client, calls) == expected(world, calls)[0]
            assert (await client.read_resource("worlddb://handbook")).contents

    asyncio.run(act())


# --- HTTP


@contextmanager
def serving(store: Store, *options: str) -> Iterator[str]:
    """The URL of a server in a process of its own, which must end well on Ctrl-C."""
    command = [sys.executable, "-m", "worlddb.cli", "serve", str(store.path), "--mcp", "http", "--port", "0", *options]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("serving http://127.0.0.1:"), line
        try:
            yield line.split()[1].partition("/worlds")[0].partition("/episodes")[0]
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
            assert (process.wait(10), rest) == (0, "stopped\n")


def test_a_hundred_episodes_at_once_never_meet(store):
    """Interleaved over three worlds, most of them asleep at any time, each ends as it does alone in process."""
    worlds = [store[i] for i in (0, 1, 2)]

    def plan(number: int) -> tuple[World, list[Call]]:
        """Few tools, each called several times: the client takes milliseconds over the first answer of a tool."""
        world, random = worlds[number % 3], Random(number)
        tools = list(plain_set(world))
        some = [
            random.choice([t for t in tools if t.read_only]),
            *random.sample([t for t in tools if not t.read_only], 2),
        ]
        return world, draw(world, random, some * 2)

    plans = [plan(i) for i in range(100)]
    wanted = [expected(w, calls) for w, calls in plans]
    assert len({json.dumps(w) for w in wanted}) > 60  # they differ, so a mix-up would show
    assert sum(bool(net) for _, net in wanted) > 40

    async def act(http: httpx2.AsyncClient, url: str, number: int) -> tuple[Any, Any]:
        world, calls = plans[number]
        at = f"{url}/worlds/{world.id}/episodes/run.{number}"
        async with Client(streamable_http_client(f"{at}/mcp", http_client=http)) as client:
            answers = await play(client, calls)
        return answers, (await http.get(f"{at}/score")).json()

    async def everybody(url: str) -> list[tuple[Any, Any]]:
        async with (
            AsyncExitStack() as stack
        ):  # a pool of a hundred connections would be slow, as would be a hundred pools
            wires = [await stack.enter_async_context(httpx2.AsyncClient(timeout=30)) for _ in range(10)]
            return await asyncio.gather(*[act(wires[i % 10], url, i) for i in range(100)])

    with serving(store, "--max-episodes", "10") as url:
        found = asyncio.run(everybody(url))
        health = httpx2.get(f"{url}/health").json()
    for (answers, score), (own, net) in zip(found, wanted, strict=True):
        assert answers == own
        assert score == {"reward": None, "changes": net}
    assert health == {"ok": True, "episodes": 100, "awake": 10}


Ask = Callable[..., Awaitable[httpx2.Response]]


def asked(app: Any, act: Callable[[Ask], Awaitable[None]], host: str = "127.0.0.1:8000") -> None:
    """Run a conversation with an application in process."""

    @asynccontextmanager
    async def running() -> Any:
        begin, end, stop = asyncio.Event(), asyncio.Event(), iter(("lifespan.startup", "lifespan.shutdown"))

        async def receive() -> Any:
            message = next(stop)
            if message == "lifespan.shutdown":
                await end.wait()
            return {"type": message}

        async def send(message: Any) -> None:
            assert "failed" not in message["type"], message
            begin.set()

        task = asyncio.create_task(app({"type": "lifespan", "asgi": {}, "state": {}}, receive, send))
        await begin.wait()
        yield
        end.set()
        await task

    async def main() -> None:
        transport = httpx2.ASGITransport(app=app)
        async with running(), httpx2.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            await act(client.request)

    asyncio.run(main())


def rpc(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A call of a tool as an older client sends it, for requests that no client would make."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
    return {"json": body, "headers": headers}


def test_the_trainers_routes(store):
    world = store[1]
    toolset = plain_set(world)
    seeds = (mixed(world, toolset, Random(i), 12) for i in range(50))
    calls = next(c for c in seeds if len(expected(world, c)[1]) > 1)
    answers, net = expected(world, calls)
    base = f"/worlds/{world.id}/episodes/x"

    async def act(ask: Ask) -> None:
        async def get(path: str, method: str = "GET", **more: Any) -> Any:
            response = await ask(method, path, **more)
            assert response.status_code == 200, response.text
            return response.json()

        fresh = await get(f"{base}/state")
        assert fresh["changes"] == []
        assert fresh["counts"] == world.counts
        assert (await get("/health"))["episodes"] == 0  # to look begins nothing
        for call in calls:
            await get(f"{base}/mcp", "POST", **rpc(call.name, call.arguments))
        state, journal = await get(f"{base}/state"), (await get(f"{base}/journal"))["journal"]
        assert state["changes"] == net == (await get(f"{base}/score"))["changes"]
        assert state["calls"] == len(calls)
        grown = sum(c["op"] == "insert" for c in net) - sum(c["op"] == "delete" for c in net)
        assert sum(state["counts"].values()) == world.rows + grown
        assert state["now"] > fresh["now"]
        assert [(not e["ok"], e["result"]) for e in journal] == [(bad, json.loads(text)) for bad, text, _ in answers]
        assert [(e["tool"], e["arguments"]) for e in journal] == [(c.name, c.arguments) for c in calls]
        assert await get(f"{base}/reset", "POST") == fresh
        later = await get(f"{base}/reset", "POST", content=b'{"clock": 3600}')
        assert later["now"] > fresh["now"]
        assert await get(base, "DELETE") == {"deleted": True}
        assert await get(base, "DELETE") == {"deleted": False}
        assert await get(f"{base}/state") == fresh
        assert (await get("/worlds", params={"offset": 1, "limit": 2})) == {
            "count": N, "worlds": [store[1].id, store[2].id],
        }  # fmt: skip

    asked(http_app(made(store)), act)


def test_what_leads_nowhere_is_refused_as_json(store):
    here = f"/worlds/{store[0].id}/episodes"
    cases = [
        ("GET", "/nothing", 404, "UNKNOWN_PATH"),
        ("GET", "/worlds/hotel-99999/episodes/a/state", 404, "UNKNOWN_WORLD"),
        ("POST", "/worlds/hotel-99999/episodes/a/mcp", 404, "UNKNOWN_WORLD"),
        ("GET", "/worlds/50/episodes/a/state", 404, "UNKNOWN_WORLD"),  # a seed: one world has one address
        ("GET", "/episodes/a/state", 404, "UNKNOWN_PATH"),  # no world by default
        ("GET", f"{here}/{'a' * 65}/state", 400, "BAD_REQUEST"),
        ("POST", f"{here}/a%20b/mcp", 400, "BAD_REQUEST"),
        ("GET", f"{here}/a/mcp", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", f"{here}/a/mcp", 405, "METHOD_NOT_ALLOWED"),
        ("POST", f"{here}/a/state", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/worlds?limit=x", 400, "BAD_REQUEST"),
    ]

    async def act(ask: Ask) -> None:
        for method, path, status, code in cases:
            response = await ask(method, path)
            assert (response.status_code, response.json()["error"]["code"]) == (status, code), path
        for body in (b'{"clock": -1}', b'{"clok": 1}', b"[", b'{"clock": "x"}'):
            response = await ask("POST", f"{here}/a/reset", content=body)
            assert (response.status_code, response.json()["error"]["code"]) == (400, "BAD_REQUEST"), body
        large = await ask("POST", f"{here}/a/mcp", content=b" " * (MOST + 1))
        assert large.status_code == 413

        async def endless() -> Any:
            for _ in range(20):
                yield b" " * 100_000

        assert (await ask("POST", f"{here}/a/mcp", content=endless())).status_code == 413

    asked(http_app(made(store)), act)


def test_tokens(store):
    here = f"/worlds/{store[0].id}/episodes/a"

    async def status(ask: Ask, method: str, path: str, token: str) -> int:
        call = rpc(plain_set(store[0]).names[0], {}) if path.endswith("/mcp") else {}
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        response = await ask(method, path, **{**call, "headers": {**call.get("headers", {}), **bearer}})
        if response.status_code == 401:
            assert response.json()["error"]["code"] == "UNAUTHORIZED"
        return response.status_code

    routes = [
        ("POST", f"{here}/mcp"),
        ("GET", f"{here}/score"),
        ("POST", f"{here}/reset"),
        ("GET", "/worlds"),
        ("DELETE", here),
    ]
    for own, admin, table in (
        ("t", "", {"": (401, 401), "x": (401, 401), "t": (200, 200)}),
        ("t", "a", {"": (401, 401), "x": (401, 401), "t": (200, 401), "a": (200, 200)}),
        ("", "a", {"": (200, 401), "x": (200, 401), "a": (200, 200)}),
    ):
        for token, (agent, trainer) in table.items():

            async def act(ask: Ask, token: str = token, agent: int = agent, trainer: int = trainer) -> None:
                assert [await status(ask, *r, token) for r in routes] == [agent, *[trainer] * 4]
                if agent == 401:
                    assert await status(ask, "GET", "/nothing", token) == 401

            asked(http_app(made(store), token=own, admin_token=admin), act)

    async def strange(ask: Ask) -> None:
        for value in ("t", "Basic t", "Bearer", "Bearer t t", "Bearer \xe4"):
            response = await ask("GET", "/health", headers={"Authorization": value.encode("latin-1")})
            assert response.status_code == 401, value
        assert (await ask("GET", "/health", headers={"Authorization": "bearer t"})).status_code == 200

    asked(http_app(made(store), token="t"), strange)


def test_an_episode_named_like_a_route_is_only_an_episode(store):
    async def act(ask: Ask) -> None:
        for path in ("/episodes/mcp", f"/worlds/{store[0].id}/episodes/mcp"):
            assert (await ask("DELETE", path)).status_code == 401

    asked(http_app(made(store), store[0].id, admin_token="a"), act)


def test_web_pages_of_others_get_nothing_on_loopback(store):
    async def act(ask: Ask) -> None:
        for host in (
            "evil.example",
            "evil@127.0.0.1",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "",
            "[",
            "localhost.evil.example:80",
        ):
            assert (await ask("GET", "/health", headers={"Host": host})).status_code == 421, host
        for host in ("localhost", "127.0.0.1", "[::1]:8000", "localhost:99"):
            assert (await ask("GET", "/health", headers={"Host": host})).status_code == 200, host
        for origin, status in (("http://evil.example", 403), ("null", 403), ("http://localhost:3000", 200)):
            assert (await ask("GET", "/health", headers={"Origin": origin})).status_code == status, origin

    async def open_to_all(ask: Ask) -> None:
        assert (await ask("GET", "/health", headers={"Authorization": "Bearer t"})).status_code == 200

    asked(http_app(made(store)), act)
    asked(http_app(made(store), token="t", loopback=False), open_to_all, host="worlds.example")


def test_what_is_loopback():
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.com", "")))


# --- episodes


def test_episodes_that_sleep_wake_as_they_were(store):
    world = store[2]
    plans = [mixed(world, plain_set(world), Random(i), 10) for i in range(8)]
    episodes = made(store, live=2)
    place = [episodes.place(world.id, str(i)) for i in range(8)]
    got: list[list[str]] = [[] for _ in plans]
    for step in range(11):
        for i, calls in enumerate(plans):
            got[i].append(episodes.call(place[i], calls[step].name, calls[step].arguments).text)
            assert episodes.awake <= 2
    for i, calls in enumerate(plans):
        answers, net = expected(world, calls)
        assert got[i] == [text for _, text, _ in answers]
        assert json.loads(json.dumps(changes(episodes.look(place[i]).diff().changes, world.schema))) == net
        assert len(episodes.look(place[i]).journal) == len(calls)


def test_worlds_that_give_way_take_no_episode_with_them(store, monkeypatch):
    monkeypatch.setattr(rooms, "WORLDS", 2)
    episodes = made(store)
    for turn in range(3):
        for i in range(4):
            world = store[i]
            place = episodes.place(world.id, "a")
            episodes.call(place, place.live.toolset.names[0], {})
            assert len(episodes.look(place).journal) == turn + 1
    assert episodes.awake <= 2
    assert len(episodes) == 4


def test_there_may_be_too_many_episodes(store, monkeypatch):
    monkeypatch.setattr(rooms, "KNOWN", 2)
    here = f"/worlds/{store[0].id}/episodes"

    async def act(ask: Ask) -> None:
        for name, status in (("a", 200), ("b", 200), ("c", 503), ("a", 200)):
            assert (await ask("POST", f"{here}/{name}/mcp", **rpc("no_such_tool", {}))).status_code == status
        assert (await ask("DELETE", f"{here}/a")).status_code == 200
        assert (await ask("POST", f"{here}/c/mcp", **rpc("no_such_tool", {}))).status_code == 200

    asked(http_app(made(store)), act)
    with pytest.raises(BadRequest, match="allow at least one"):
        made(store, live=0)


# --- the command


def test_the_command_refuses_in_one_line(store, tmp_path):
    def refused(*arguments: str) -> str:
        result = CliRunner().invoke(cli, ["serve", *arguments], env={"WORLDDB_TOKEN": ""})
        assert result.exit_code == 1
        assert result.output.startswith("Error: ")
        assert result.output.count("\n") == 1
        return result.output

    path = str(store.path)
    assert "holds no store" in refused(str(tmp_path / "none"), "--mcp", "http")
    assert "--token" in refused(path, "--mcp", "http", "--host", "0.0.0.0")
    assert "no world named" in refused(path, "--mcp", "stdio", "--world", "nowhere")
    assert "no address" in refused(path, "--mcp", "http", "--host", "nowhere.invalid", "--token", "t")
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} (Address already in use)" in refused(path, "--mcp", "http", "--port", str(port))


def test_without_the_sdk_the_command_says_what_to_install(store):
    code = "import sys; sys.modules['mcp'] = None; from worlddb.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", str(store.path), "--mcp", "stdio"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "Error: serving needs the package 'mcp'; install it with: pip install 'worlddb[mcp]'\n"


def test_stdio_ends_on_ctrl_c_while_it_waits(store):
    command = [sys.executable, "-m", "worlddb.cli", "serve", str(store.path), "--mcp", "stdio"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(f"serving {store[0].id} with ")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
