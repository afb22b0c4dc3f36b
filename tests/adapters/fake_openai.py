"""A server on this machine that speaks the Chat Completions API in the part of an agent that knows the gold.

It finds the task by the instruction, and answers a conversation by the call of the gold that is next, whole or as a stream.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from tests.adapters.gold import Turn, gold_turns
from worlddb.store import open_store

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


class Fake(NamedTuple):
    """A running server."""

    url: str
    """With /v1."""
    asked: list[dict[str, Any]]
    """The bodies of all requests."""
    told: Counter[str]
    """Assistant's turns by task."""


class Script(NamedTuple):
    """What it says in one task."""

    task: str
    turns: Sequence[Turn]


def scripts(store: str, wrong: Collection[str]) -> dict[str, Script]:
    """Instruction -> script; of the tasks in `wrong` the submission stands alone, and has no answer."""
    found = {}
    for world in open_store(store):
        for task in world.tasks:
            turns = [Turn("submit", {})] if task.id in wrong else gold_turns(world, task)
            found[task.instruction] = Script(task.id, turns)
    return found


@contextmanager
def fake_openai(store: str, wrong: Collection[str] = ()) -> Iterator[Fake]:
    """A server that knows the tasks of a store."""
    known = scripts(store, wrong)
    asked: list[dict[str, Any]] = []
    told: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_body(json.dumps({"object": "list", "data": [{"id": "fake", "object": "model"}]}).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body)
            message = answer(known, body, told)
            self.send_body(*(streamed(body, message) if body.get("stream") else whole(body, message)))

        def send_body(self, body: bytes, kind: str = "application/json") -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 256

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Fake(f"http://127.0.0.1:{server.server_port}/v1", asked, told)
    finally:
        server.shutdown()
        server.server_close()


def answer(known: Mapping[str, Script], body: dict[str, Any], told: Counter[str]) -> dict[str, Any]:
    """The assistant's next message."""
    script = known[next(text(m) for m in body["messages"] if m["role"] == "user")]
    said = sum(m["role"] == "assistant" for m in body["messages"])
    turn = script.turns[said]
    assert turn.name in {t["function"]["name"] for t in body["tools"]}
    told[script.task] += 1
    function = {"name": turn.name, "arguments": json.dumps(turn.arguments)}
    return {
        "role": "assistant", "content": None,
        "tool_calls": [{"id": f"call_{said}", "type": "function", "function": function}],
    }  # fmt: skip


def text(message: dict[str, Any]) -> str:
    """The text of a message, whose content may be a list of parts."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def whole(body: dict[str, Any], message: dict[str, Any]) -> tuple[bytes, str]:
    """The answer in one piece."""
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    made = {"id": "c", "created": 0, "model": body["model"], "object": "chat.completion", "usage": USAGE}
    return json.dumps(made | {"choices": [choice]}).encode(), "application/json"


def streamed(body: dict[str, Any], message: dict[str, Any]) -> tuple[bytes, str]:
    """The answer as server-sent events."""
    delta = message | {"tool_calls": [call | {"index": i} for i, call in enumerate(message["tool_calls"])]}
    parts: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        {"choices": [], "usage": USAGE},
    ]
    head = {"id": "c", "created": 0, "model": body["model"], "object": "chat.completion.chunk"}
    lines = [f"data: {json.dumps(head | part)}\n\n" for part in parts]
    return "".join([*lines, "data: [DONE]\n\n"]).encode(), "text/event-stream"
