"""Agents by name, from options that a command line or a manifest can hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from worlddb.agents.baselines import FirstRow, Null, Random
from worlddb.agents.model import Agent
from worlddb.agents.oracle import Oracle
from worlddb.attempts import Attempt, read_attempt
from worlddb.errors import BadRequest, UnknownName

LOCAL = ("oracle", "null", "random", "first-row", "replay")
"""Agents that cost nothing but processor time."""
NAMES = (*LOCAL, "chat")


class Spec(NamedTuple):
    """An agent by name, with all that makes it."""

    name: str
    options: Mapping[str, Any] = {}

    @property
    def local(self) -> bool:
        """True where it asks nobody, and can be made anew in any process."""
        return self.name in LOCAL


def make_agent(spec: Spec) -> Agent:
    """The agent.

    Options: of random `seed`; of replay `attempts`, a path; of chat `model`, `base_url`, `key_env` (the name of the variable of
    the environment that holds the key), `turns`, `tokens`, `timeout`, `tries`, and further fields of each request as `request`.

    Raises:
        UnknownName: there is none of that name.
        BadRequest: it lacks an option, or the variable of the environment is not set.
    """
    if spec.name not in NAMES:
        raise UnknownName("agent", spec.name, NAMES)
    return _MAKERS[spec.name](spec.options)


def _chat(options: Mapping[str, Any]) -> Agent:
    from worlddb.agents.chat import Chat
    from worlddb.agents.conversation import TURNS

    if not options.get("model") or not options.get("base_url"):
        raise BadRequest("the agent 'chat' is a model behind an endpoint; give --model and --base-url")
    name = options.get("key_env", "")
    if name and name not in os.environ:
        raise BadRequest(f"the variable {name} is not set; put the endpoint's key there, or leave out --key-env")
    return Chat(
        options["model"], options["base_url"], os.environ.get(name, "") if name else "", options=options.get("request"),
        turns=options.get("turns", TURNS), tokens=options.get("tokens", 0), timeout=options.get("timeout", 120.0),
        tries=options.get("tries", 6),
    )  # fmt: skip


def _replay(options: Mapping[str, Any]) -> Agent:
    from worlddb.agents.replay import Replay

    if not options.get("attempts"):
        raise BadRequest(
            "the agent 'replay' does again what was recorded; give --attempts, a run or a file of attempts"
        )
    return Replay(read_attempts(Path(options["attempts"])))


_MAKERS: dict[str, Callable[[Mapping[str, Any]], Agent]] = {
    "oracle": lambda options: Oracle(),
    "null": lambda options: Null(),
    "random": lambda options: Random(options.get("seed", 0)),
    "first-row": lambda options: FirstRow(),
    "replay": _replay,
    "chat": _chat,
}


def read_attempts(path: Path) -> Iterator[Attempt]:
    """The attempts of a run, or of a file of JSON lines, an attempt each.

    Raises:
        StoreError: there is no such run.
        BadRequest: the file cannot be read, or a line of it is no attempt.
    """
    if path.is_dir():
        from worlddb.runs import open_run

        yield from (record.attempt for record in open_run(path).records())
        return
    number = 0
    try:
        with path.open("rb") as file:
            for line in file:
                number += 1
                yield read_attempt(line)
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"{path}, line {number} is no attempt: {' '.join(str(error).split())}") from None
