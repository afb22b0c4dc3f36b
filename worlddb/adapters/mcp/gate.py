"""Who may come in over HTTP: the right host and origin, a token, and a body of sensible size."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST = 1 << 20
"""Bytes that the body of a request may have; the arguments of a call have fewer."""


def is_loopback(host: str) -> bool:
    """Whether that host is this machine and can be reached from it only."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def refusal(status: int, code: str, message: str) -> Response:
    """An error as JSON."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {"Allow": "POST"} if status == 405 else None
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


def bears(headers: Headers, tokens: Sequence[str]) -> bool:
    """Whether a request carries one of these tokens, found out in a time that tells nothing about them."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    fits = [hmac.compare_digest(given.strip().encode(), t.encode()) for t in tokens]
    return any(fits) and scheme.lower() == "bearer"


class Gate:
    """Stands before the whole application."""

    def __init__(self, app: ASGIApp, *, tokens: Sequence[str], loopback: bool) -> None:
        """`tokens`: any of these lets in; none: everybody.  `loopback`: only requests that were meant for this machine.

        The latter keeps out web pages whose name was made to point here (DNS rebinding); from elsewhere the token does.
        """
        self.app, self.tokens, self.loopback = app, tokens, loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refused = self._refused(Headers(scope=scope))
        if refused is None:
            body = await _body(receive)
            if body is not None:
                await self.app(scope, _again(body, receive), send)
                return
            refused = refusal(413, "TOO_LARGE", f"the body of a request may have {MOST} bytes")
        await refused(scope, receive, send)

    def _refused(self, headers: Headers) -> Response | None:
        if self.loopback and not _is_here("//" + headers.get("host", "")):
            return refusal(421, "WRONG_HOST", "this server answers to localhost and 127.0.0.1 only")
        if self.loopback and "origin" in headers and not _is_here(headers["origin"]):
            return refusal(403, "WRONG_ORIGIN", "this server answers no web page of another origin")
        if self.tokens and not bears(headers, self.tokens):
            return refusal(401, "UNAUTHORIZED", "send the header 'Authorization: Bearer TOKEN' with the server's token")
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > MOST:
            return refusal(413, "TOO_LARGE", f"the body of a request may have {MOST} bytes")
        return None


def _is_here(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.username is None and is_loopback(parts.hostname or "")
    except ValueError:
        return False


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None where it is too large."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > MOST:
            return None
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Hands out a body that was read, then what follows it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
