"""A model behind an endpoint on this machine that knows the gold of some tasks, and errs as a test tells it to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.endpoint import Does
from worlddb.attempts import gold_attempt
from worlddb.tasks.model import Task
from worlddb.world.model import World

Body = dict[str, Any]
USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}


def saying(message: Body, **more: Any) -> Does:
    """A proper answer with that message."""
    body = {"choices": [{"index": 0, "message": {"role": "assistant", **message}}], "usage": USAGE}
    return Does(body=json.dumps(body).encode(), **more)


def calling(name: str, arguments: Any, id: str = "c1") -> Body:
    """A message with one call; arguments become JSON text."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {
        "content": None,
        "tool_calls": [{"id": id, "type": "function", "function": {"name": name, "arguments": text}}],
    }


class FakeModel:
    """Plays the gold of the tasks that it knows, told apart by their instructions; `errs` may meet a request otherwise.

    Connections are kept, as servers of models keep them.
    """

    def __init__(self) -> None:
        self.gold: dict[str, list[Body]] = {}
        self.errs: Callable[[int, Body], Does | None] = lambda number, body: None
        """Number of the request from 0, and its body -> how it is met; None: with the gold."""
        self.asked: list[Body] = []
        self.keys: list[str] = []
        self.paths: list[str] = []
        self.connections = 0
        self._lock = threading.Lock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each answer waits 40 ms for the client's acknowledgement of its headers

            def setup(self) -> None:
                fake.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with fake._lock:
                    number = len(fake.asked)
                    fake.asked.append(body)
                    fake.keys.append(self.headers.get("Authorization") or "")
                    fake.paths.append(self.path)
                fake.meet(self, fake.errs(number, body) or fake.right(body))

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.server.server_port}/v1"

    def learn(self, world: World, tasks: Iterable[Task]) -> None:
        """Know the gold of these tasks."""
        for task in tasks:
            gold = gold_attempt(world, task)
            self.gold[str(gold.messages[1]["content"])] = [m for m in gold.messages if m["role"] == "assistant"]

    def right(self, body: Body) -> Does:
        """The gold's next message."""
        messages = body["messages"]
        said = self.gold[messages[1]["content"]]
        message = said[sum(m["role"] == "assistant" for m in messages)]
        calls = [
            {**c, "function": {**c["function"], "arguments": json.dumps(c["function"]["arguments"])}}
            for c in message["tool_calls"]
        ]
        return saying({"content": None, "tool_calls": calls})

    def meet(self, handler: BaseHTTPRequestHandler, does: Does) -> None:
        """Answer a request."""
        time.sleep(does.wait)
        with suppress(OSError):  # the client has gone
            handler.send_response(does.status)
            for name, value in does.headers:
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(does.body) + does.cut))
            handler.end_headers()
            for part in [bytes([b]) for b in does.body] if does.drip else [does.body]:
                handler.wfile.write(part)
                time.sleep(does.drip)
            if does.cut:
                handler.close_connection = True

    def close(self) -> None:
        """End it."""
        self.server.shutdown()
        self.server.server_close()
