"""Examples: attempts on their way into a file, and what every format says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec
import orjson

from worlddb.adapters.common import Address
from worlddb.attempts import Attempt, Message
from worlddb.export.dialects import names_in
from worlddb.tasks.model import Card

Row: TypeAlias = dict[str, Any]
"""A row of a file: JSON values by column."""


class Example(NamedTuple):
    """An attempt, and where its task is found."""

    attempt: Attempt
    address: Address


_OF_THE_API = ("UNAVAILABLE", "TIMEOUT", "RATE_LIMITED")
"""Codes of refusals that are no fault of the agent's."""


def wrong_turns(messages: Sequence[Message]) -> list[int]:
    """Positions of the assistant's messages of which every call was refused, and not for want of a working API.

    What a model should not learn to say: a loss mask leaves these out, and keeps the turn that recovers.
    """
    refused = {m["tool_call_id"]: refusal(m["content"]) for m in messages if m["role"] == "tool"}
    found = []
    for at, message in enumerate(messages):
        codes = [refused.get(call["id"], "") for call in message.get("tool_calls", ())]
        if codes and all(code and code not in _OF_THE_API for code in codes):
            found.append(at)
    return found


def refusal(content: str) -> str:
    """The code of the error that a tool's message tells; '' where it tells none."""
    if not content.startswith('{"error":'):
        return ""
    found = orjson.loads(content)["error"]
    return str(found["code"]) if isinstance(found, dict) and "code" in found else ""


def renamed(example: Example, dialect: str) -> tuple[list[Message], dict[str, str]]:
    """The messages with the names that a dialect gives to tools, and these names by the API's own, where they differ."""
    names = {n: shown for n, shown in names_in(example.attempt.tools, dialect).items() if n != shown}
    messages = list(example.attempt.messages)
    return ([_renamed(m, names) for m in messages] if names else messages), names


def _renamed(message: Message, names: dict[str, str]) -> Message:
    found = dict(message)
    if "name" in found:
        found["name"] = names.get(found["name"], found["name"])
    if "tool_calls" in found:
        calls = [(c, c["function"]) for c in found["tool_calls"]]
        found["tool_calls"] = [{**c, "function": {**f, "name": names.get(f["name"], f["name"])}} for c, f in calls]
    return found


def arguments_text(arguments: Any) -> str:
    """Arguments as a JSON string; an agent's text that is no JSON stays as it is."""
    return arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()


def arguments_object(arguments: Any) -> Row:
    """Arguments as an object; text that is none is kept under `text`, so that it reads as the mistake that it was."""
    if isinstance(arguments, str):
        try:
            arguments = orjson.loads(arguments)
        except orjson.JSONDecodeError:
            return {"text": arguments}
    return arguments if isinstance(arguments, dict) else {"value": arguments}


# --- what is said of an attempt beside its messages


def about(example: Example, names: dict[str, str] | None = None) -> Row:
    """Where an attempt comes from and what it is worth: the column `worlddb` of formats that have room for it.

    It has the same keys and types in every row, as ABOUT says.
    """
    one, verdict = example.attempt, example.attempt.verdict
    return {
        "world": one.world, "task": one.task, "seed": one.seed, "profile": one.profile, "family": one.family,
        "scenario": one.scenario, "agent": one.agent, "run": one.run, "calls": one.calls,
        "verdict": {
            "success": verdict.success, "reward": verdict.reward, "shaped": verdict.shaped, "ring": verdict.ring,
            "step": verdict.step,
        },
        "card": {name: _value(getattr(one.card, name)) for name in CARD},
        "renamed": [{"tool": tool, "shown": shown} for tool, shown in (names or {}).items()],
    }  # fmt: skip


def _value(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


_TYPES = {int: "BIGINT", str: "VARCHAR", tuple[str, ...]: "VARCHAR[]"}
CARD = {field.name: _TYPES[field.type] for field in msgspec.structs.fields(Card)}
"""Column of a card -> type in Parquet, as DuckDB calls it."""


def struct(fields: dict[str, str]) -> str:
    """The type of a structure, as DuckDB calls it."""
    return f"STRUCT({', '.join(f'{chr(34)}{n}{chr(34)} {t}' for n, t in fields.items())})"


ABOUT = struct({
    "world": "VARCHAR", "task": "VARCHAR", "seed": "BIGINT", "profile": "VARCHAR", "family": "VARCHAR",
    "scenario": "VARCHAR", "agent": "VARCHAR", "run": "BIGINT", "calls": "BIGINT",
    "verdict": struct({
        "success": "BOOLEAN", "reward": "DOUBLE", "shaped": "DOUBLE", "ring": "VARCHAR", "step": "BIGINT",
    }),
    "card": struct(CARD),
    "renamed": struct({"tool": "VARCHAR", "shown": "VARCHAR"}) + "[]",
})  # fmt: skip
"""The type of `about` in Parquet."""
ADDRESS = {field.name: _TYPES[field.type] for field in msgspec.structs.fields(Address)}
"""Column of an address -> type."""
