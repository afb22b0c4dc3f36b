"""A language model behind an OpenAI-compatible endpoint, asked at most once for anything: replies are kept, and kept in a file
where one is named, so that an episode is the same again without an endpoint.

Nothing that an endpoint does is raised.  What it failed to answer is kept as well: an episode must not go on otherwise when it
is forked or resumed later.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

import msgspec
import orjson

from worlddb.tasks.say.paraphrase import Endpoint

LOG = logging.getLogger("worlddb.users")
TRIES = 3
PAUSE, PAUSE_MOST = 0.5, 5.0
"""Seconds before the second try (twice as long before each that follows), and what a server may ask for at most."""
LARGEST = 1_000_000
"""Bytes of an answer."""
Message: TypeAlias = dict[str, str]
"""{"role": …, "content": …} of the Chat Completions API."""


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the file: what was answered to what."""

    key: str
    mode: str
    model: str
    reply: str | None = None
    """None: the endpoint failed."""
    why: str = ""
    """How it failed."""


class Heard(NamedTuple):
    """The model's reply, or None and why there is none."""

    reply: str | None
    why: str = ""


class Cache:
    """Replies by what was asked: in memory, and in a JSONL file where there is one.  Safe among threads of one process."""

    def __init__(self, path: Path | str | None = None, *, offline: bool = False) -> None:
        """`offline`: no endpoint is ever asked; what is not kept is missed.  Lines that cannot be read are passed over."""
        self.path = None if path is None else Path(path)
        self.offline = offline
        self._lock = threading.Lock()
        self._kept: dict[str, Kept] = {}
        for line in self.path.read_bytes().splitlines() if self.path is not None and self.path.exists() else ():
            try:
                one = msgspec.json.decode(line, type=Kept)
            except (msgspec.DecodeError, UnicodeDecodeError):
                LOG.warning("a line of %s is no kept reply", self.path)
                continue
            self._kept.setdefault(one.key, one)

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str) -> Heard | None:
        """What was heard of that question before."""
        found = self._kept.get(key)
        return None if found is None else Heard(found.reply, found.why)

    def put(self, one: Kept) -> Heard:
        """Keep a reply, unless another thread has kept one meanwhile; the one that stands."""
        with self._lock:
            stands = self._kept.setdefault(one.key, one)
            if stands is one and self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("ab") as file:
                    file.write(msgspec.json.encode(one) + b"\n")
        return Heard(stands.reply, stands.why)


def key_of(mode: str, model: str, messages: Sequence[Message]) -> str:
    """The name of a question: what it is for, who is asked, and all that is said."""
    return sha256(orjson.dumps([mode, model, list(messages)])).hexdigest()


def heard(mode: str, messages: Sequence[Message], endpoint: Endpoint, cache: Cache, pause: float = PAUSE) -> Heard:
    """The model's reply to these messages, from the cache or else from the endpoint."""
    messages = [
        {k: v.encode(errors="replace").decode() for k, v in m.items()} for m in messages
    ]  # half surrogates are no text
    key = key_of(mode, endpoint.model, messages)
    known = cache.get(key)
    if known is not None:
        return known
    if cache.offline:
        return Heard(None, "offline, and never asked before")
    found = _asked(messages, endpoint, pause)
    return cache.put(Kept(key=key, mode=mode, model=endpoint.model, reply=found.reply, why=found.why))


def _asked(messages: Sequence[Message], endpoint: Endpoint, pause: float) -> Heard:
    """The reply of the endpoint, tried again where that may help."""
    why = ""
    for attempt in range(TRIES):
        try:
            return Heard(_reply(messages, endpoint))
        except HTTPError as error:
            error.close()
            why, wait = f"status {error.code}", _wait_of(error)
            if error.code < 500 and error.code not in (408, 429):
                break
        except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:  # timeouts are OSErrors
            why, wait = type(error).__name__, 0.0
        if attempt + 1 < TRIES:
            time.sleep(min(max(pause * 2**attempt, wait), PAUSE_MOST))
    return Heard(None, f"no answer: {why}")


def _wait_of(error: HTTPError) -> float:
    """Seconds that the server asks to wait."""
    text = (error.headers.get("Retry-After") or "") if error.headers else ""
    return float(text) if text.isascii() and text.isdigit() else 0.0


class _Stay(HTTPRedirectHandler):
    """Follows nobody: the key is for the endpoint alone."""

    def redirect_request(self, *args: Any) -> None:
        """Where to go on: nowhere."""


def _reply(messages: Sequence[Message], endpoint: Endpoint) -> str:
    if not endpoint.url.startswith(("http://", "https://")):
        raise ValueError("not a web address")
    body = {"model": endpoint.model, "temperature": endpoint.temperature, "messages": list(messages)}
    headers = {"Content-Type": "application/json"}
    if endpoint.key:
        headers["Authorization"] = f"Bearer {endpoint.key}"
    request = Request(f"{endpoint.url.rstrip('/')}/chat/completions", orjson.dumps(body), headers)
    deadline = time.monotonic() + endpoint.timeout
    read = bytearray()
    with build_opener(_Stay).open(request, timeout=endpoint.timeout) as answer:
        while chunk := answer.read1(65_536):  # a server that drips must not hold us for longer than one that is silent
            read += chunk
            if len(read) > LARGEST:
                raise ValueError("too large")
            if time.monotonic() > deadline:
                raise TimeoutError
    content = orjson.loads(bytes(read))["choices"][0]["message"]["content"]
    if not isinstance(content, str):
        raise TypeError("no text")
    return content.strip()
