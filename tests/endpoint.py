"""A server on this machine that speaks the Chat Completions API, well or badly, as a test tells it to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from worlddb.tasks.say.paraphrase import Endpoint


class Does(NamedTuple):
    """How one request is met."""

    status: int = 200
    body: bytes = b""
    wait: float = 0.0
    """Seconds of silence before it."""
    headers: tuple[tuple[str, str], ...] = ()
    drip: float = 0.0
    """Seconds between the bytes of the body."""
    cut: int = 0
    """Bytes that were promised and do not come."""


def says(content: Any, **more: Any) -> Does:
    """A proper answer with that content."""
    return Does(body=json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}).encode(), **more)


class FakeEndpoint:
    """Meets requests as `script` lists them, the last again and again; or as `answer` does for what was asked."""

    def __init__(self) -> None:
        self.script: list[Does] = [says("Certainly.")]
        self.answer: Callable[[list[dict[str, str]]], str] | None = None
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fake.asked.append(body | {"path": self.path})
                fake.keys.append(self.headers.get("Authorization") or "")
                fake.meet(self, body)

            def do_GET(self) -> None:
                fake.asked.append({"path": self.path})
                fake.keys.append(self.headers.get("Authorization") or "")
                self.send_error(404)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def meet(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        """Answer one request."""
        does = says(self.answer(body["messages"])) if self.answer else self.script[0]
        if len(self.script) > 1:
            self.script.pop(0)
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

    def will(self, *script: Does) -> None:
        """Meet the next requests so, the last way for good."""
        self.script, self.answer = list(script), None

    def endpoint(self, **options: Any) -> Endpoint:
        """Where it is."""
        return Endpoint(url=f"http://127.0.0.1:{self.server.server_port}/v1", model="fake", **options)


@contextmanager
def fake_endpoint() -> Iterator[FakeEndpoint]:
    """A server that runs meanwhile."""
    made = FakeEndpoint()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
