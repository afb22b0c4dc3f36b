"""A client of any OpenAI-compatible endpoint: Chat Completions with tools, over connections that are kept.

Each thread has a connection of its own.  What may be better a little later is asked for again: what is refused with 408, 409, 429
or 5xx, what comes too late, what breaks off, what is no JSON.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import orjson

from worlddb.agents.model import Stopped, Unanswered
from worlddb.errors import BadRequest

AGAIN = frozenset({408, 409, 429})
"""Statuses below 500 after which it is worth trying again."""
LARGEST = 16_000_000
"""Bytes of an answer."""
PAUSE, PAUSE_MOST = 0.5, 30.0
"""Seconds before the second try, doubled before each that follows; and the longest pause, whatever a server asks for."""
_CHUNK = 65_536


class Refused(Exception):
    """An answer with a status that trying again does not mend."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"status {status}: {text}" if text else f"status {status}")
        self.status = status


class Client:
    """Asks one endpoint; safe among threads."""

    def __init__(
        self, base_url: str, key: str = "", *, timeout: float = 120.0, tries: int = 6, pause: float = PAUSE
    ) -> None:
        """`base_url` goes up to, and without, '/chat/completions'; `timeout` (seconds) bounds one try as a whole.

        Raises:
            BadRequest: that is no address, or there is not one try.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadRequest(f"'{base_url}' is no address of an endpoint; give one such as http://localhost:8000/v1")
        if tries < 1 or timeout <= 0:
            raise BadRequest(f"an endpoint is asked {tries} times for {timeout:g} s; give numbers above 0")
        self._secure, self._host = parts.scheme == "https", parts.hostname
        self._port, self._path = parts.port, f"{parts.path.rstrip('/')}/chat/completions"
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self.timeout, self.tries, self.pause = timeout, tries, pause
        self._own = threading.local()

    def ask(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The endpoint's answer, an object that has a choice with a message.

        Raises:
            Refused: it will not answer this.
            Unanswered: it did not answer in all tries.
        """
        data, why = orjson.dumps(body, default=str), ""
        for attempt in range(self.tries):
            wait = 0.0
            try:
                status, headers, text = self._post(data)
                if status == 200:
                    found = orjson.loads(text)
                    if _has_message(found):
                        return found
                    why = _told(text) or "no choice with a message"
                else:
                    why, wait = f"status {status}: {_told(text)}", _seconds(headers.get("retry-after", ""))
                    if status < 500 and status not in AGAIN:
                        raise Refused(status, _told(text))
            except (OSError, HTTPException, ValueError) as error:  # timeouts are OSErrors, broken JSON a ValueError
                self._drop()
                why = f"{type(error).__name__}: {error}".rstrip(": ")
            if attempt + 1 < self.tries:
                drawn = self.pause * 2**attempt * (0.5 + random.random() / 2)  # so that not all come back at once
                time.sleep(min(max(drawn, wait), PAUSE_MOST))
        raise Unanswered(f"no answer in {self.tries} tries; the last: {why}")

    def _post(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """One try: status, headers and body.  A kept connection that the server has closed meanwhile is opened anew, once."""
        kept: HTTPConnection | None = getattr(self._own, "connection", None)
        if kept is not None:
            try:
                return self._exchange(kept, data)
            except (ConnectionError, HTTPException):
                self._drop()
        make = HTTPSConnection if self._secure else HTTPConnection
        self._own.connection = make(self._host, self._port, timeout=self.timeout)
        return self._exchange(self._own.connection, data)

    def _exchange(self, connection: HTTPConnection, data: bytes) -> tuple[int, dict[str, str], bytes]:
        deadline = time.monotonic() + self.timeout
        connection.request("POST", self._path, data, self._headers)
        with connection.getresponse() as answer:
            body = _read(answer, deadline)
            headers = {k.lower(): v for k, v in answer.getheaders()}
        if headers.get("connection", "").lower() == "close":
            self._drop()
        return answer.status, headers, body

    def _drop(self) -> None:
        """Close this thread's connection."""
        connection: HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is not None:
            connection.close()
        self._own.connection = None


def _read(answer: HTTPResponse, deadline: float) -> bytes:
    """The body; a server that drips must not hold us for longer than one that is silent."""
    read = bytearray()
    while chunk := answer.read1(_CHUNK):
        read += chunk
        if len(read) > LARGEST:
            raise HTTPException(f"an answer of more than {LARGEST} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("timed out")
    if answer.length:
        raise HTTPException("the answer broke off")
    return bytes(read)


def _has_message(found: Any) -> bool:
    choices = found.get("choices") if isinstance(found, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return isinstance(first, dict) and isinstance(first.get("message"), dict)


def _told(text: bytes) -> str:
    """What an endpoint says of a failure, on one line."""
    try:
        found = orjson.loads(text)
        error = found.get("error", found.get("message", "")) if isinstance(found, dict) else ""
        said = error.get("message", "") if isinstance(error, dict) else error
    except orjson.JSONDecodeError:
        said = text.decode(errors="replace")
    return " ".join(str(said).split())[:200]


def _seconds(text: str) -> float:
    """What a server asks to wait."""
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0


class Completions:
    """A model behind an endpoint, as `rollout` wants it: messages and tools in, an answer of Chat Completions out."""

    def __init__(self, client: Client, model: str, options: Mapping[str, Any] | None = None) -> None:
        """`options`: further fields of the request, such as temperature or max_tokens."""
        self.client, self.model, self.options = client, model, dict(options or {})

    def __call__(self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Ask for the next message.

        Raises:
            Stopped: the conversation is one that the endpoint no longer takes: too long, most often.
            Unanswered: the endpoint does not answer, or not even to a conversation that has just begun.
        """
        body = {"model": self.model, "messages": list(messages), "tools": list(tools), **self.options}
        try:
            return self.client.ask(body)
        except Refused as refused:
            begun = any(m["role"] == "assistant" for m in messages)
            if begun and refused.status in (400, 413, 422):
                raise Stopped(f"refused ({refused})") from None
            raise Unanswered(str(refused)) from None
