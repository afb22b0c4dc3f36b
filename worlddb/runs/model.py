"""What a run is, and one line of it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from worlddb.attempts import Attempt

FORMAT = 1
"""Version of the folder's layout; raised when an older worlddb could not read it."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """run.json: all that decides what is attempted, and by whom."""

    format: int = FORMAT
    source: str
    """The store or world, as it was given."""
    digest: str
    """Of what the source holds: the first 16 hex digits of the SHA-256 of the store's recipe, or of the world's image."""
    agent: str
    model: str = ""
    options: dict[str, Any] = {}
    """Of the agent: temperature, turns, seed …"""
    k: int
    """Attempts at each task."""
    tasks: int
    """Tasks in all; of tasks that are made for the run, at most so many."""
    task_profile: str = ""
    """The profile of the tasks."""
    made: bool = False
    """True where the tasks were made for this run, not taken from the store."""
    version: str
    """Of worlddb."""

    @property
    def label(self) -> str:
        """Who it was, in a few words."""
        return self.model or self.agent

    def same_as(self, other: Manifest) -> tuple[str, ...]:
        """Names of the fields in which two runs differ, where the source lies aside."""
        fields = (f for f in self.__struct_fields__ if f != "source")
        return tuple(f for f in fields if getattr(self, f) != getattr(other, f))


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt in figures: what reports are made of.  `worlddb report` reads it as well."""

    task: str
    run: int
    reward: float
    shaped: float = 0.0
    family: str
    level: str | None = None
    """How much the user holds back; None where nobody is there to be asked."""
    scenario: str = ""
    calls: int
    """Calls of the gold."""
    writes: int = 0
    """Of these, those that change something."""
    ring: str = ""
    """Where it failed first, one of `verdict.RINGS`; '' for a success."""
    stopped: str = ""
    """Why the agent was stopped before it had finished."""
    used: int = 0
    """Calls of the agent."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    tools: str = ""
    """Digest of the tools, by which tools.jsonl has them."""

    @property
    def world(self) -> str:
        """The id of its world."""
        return self.task.rpartition("/")[0]

    @property
    def passed(self) -> bool:
        """True for a success."""
        return self.reward >= 1.0


class Record(Brief, frozen=True, kw_only=True):
    """One line of a part: the figures, and the attempt as a whole, but for the tools, which many attempts share."""

    attempt: Attempt


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """One line of tools.jsonl."""

    digest: str
    tools: tuple[dict[str, Any], ...]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt as it goes to disk."""

    task: str
    run: int
    passed: bool
    line: bytes
    """A Record as JSON, with its newline."""
    tools: bytes
    """Its tools as JSON."""
    digest: str


def kept(attempt: Attempt, stopped: str = "") -> Kept:
    """An attempt, packed."""
    tools = msgspec.json.encode(attempt.tools, order="deterministic")
    digest = sha256(tools).hexdigest()[:16]
    card, usage, verdict = attempt.card, attempt.usage, attempt.verdict
    record = Record(
        task=attempt.task, run=attempt.run, reward=verdict.reward, shaped=verdict.shaped, family=attempt.family,
        level=card.level or None, scenario=attempt.scenario, calls=card.calls, writes=card.writes, ring=verdict.ring,
        stopped=stopped, used=attempt.calls, prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens,
        seconds=usage.seconds, tools=digest, attempt=msgspec.structs.replace(attempt, tools=()),
    )  # fmt: skip
    line = msgspec.json.encode(record) + b"\n"
    return Kept(task=attempt.task, run=attempt.run, passed=record.passed, line=line, tools=tools, digest=digest)
