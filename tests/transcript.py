"""Writes the session that docs/tools.md shows.  Run `python -m tests.transcript` after a change of worlds or tools."""

from __future__ import annotations

import random
import re
import shlex
from pathlib import Path
from typing import Any

from tests.calls import draw_call
from worlddb.cli.play import Player
from worlddb.tools.model import Tool
from worlddb.tools.session import Session
from worlddb.world.generate import generate

PAGE = Path(__file__).parent.parent / "docs" / "tools.md"
SEED = 12
"""A hotel, as long as the domains stay as they are."""
WIDTH = 118
MARKS = re.compile(r"(<!-- session -->\n```text\n)(.*?)(```\n<!-- /session -->)", re.DOTALL)
TRIES = 300


def draw(session: Session, tool: Tool, code: str) -> dict[str, Any] | None:
    """The fewest arguments found with which the tool now answers with this error code; '' is success with changes."""
    source = random.Random(SEED)
    found: list[dict[str, Any]] = []
    for _ in range(TRIES):
        arguments = draw_call(session, tool, source)
        trial = session.fork()
        result = trial.call(tool.name, arguments)
        got = result.error.code if result.error else ""
        plain = all(isinstance(v, int | float | str) for v in arguments.values())
        if got == code and plain and (code or trial.journal[-1].changes):
            found.append(arguments)
    return min(found, key=len, default=None)


def line(tool: Tool, arguments: dict[str, Any]) -> str:
    """The call as a person types it."""
    values = (str(v).lower() if isinstance(v, bool) else str(v) for v in arguments.values())
    return " ".join([tool.name, *(f"{k}={shlex.quote(v)}" for k, v in zip(arguments, values, strict=True))])


def transcript() -> str:
    """What a person sees who looks around, is refused, changes something, and takes it back."""
    player = Player(generate(SEED).session())
    player.width = WIDTH
    session = player.session
    tools = list(session.toolset)
    act, wrong = next(
        (t, code) for kind in ("transition", "update") for t in tools if t.kind == kind and draw(session, t, "")
        for code in ("RULE_VIOLATION", "CONFLICT", "NOT_FOUND") if draw(session, t, code)
    )  # fmt: skip
    browse = next(t for t in tools if t.kind == "list" and t.table == act.table and not t.parameters.get("required"))
    limit = next(p.name for p in browse.params if p.role == "limit")
    refused, fine = draw(session, act, wrong), draw(session, act, "")
    assert refused is not None
    assert fine is not None
    lines = [
        f"tools {act.kind}", f"{browse.name} {limit}=3", line(act, refused), line(act, fine), "diff", "undo", "diff", "quit",
    ]  # fmt: skip
    shown = [f"$ worlddb play {SEED}", *player.greeting.splitlines()]
    for typed in lines:
        shown.append(f"{player.prompt}{typed}")
        shown += player.answer(typed).splitlines()
    return "".join(f"{text.rstrip()}\n" for text in shown)


def page(text: str) -> str:
    """The document with the session of today in its place."""
    assert MARKS.search(text), "the page has no place for the session"
    return MARKS.sub(lambda m: f"{m[1]}{transcript()}{m[3]}", text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
