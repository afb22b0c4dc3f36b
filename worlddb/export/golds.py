"""Gold as somebody would have acted it: with a reason before each call, and with a mistake that is refused and mended.

A mistake is a call that the API refuses with a typed error: nothing is changed by it, and the attempt is as good as without.  It
is made only where that holds: an attempt in which it came out otherwise is thrown away, and another mistake is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from worlddb.agents.oracle import Oracle
from worlddb.attempts import Attempt, Said, Talk
from worlddb.episode.play import SUBMIT, Episode
from worlddb.errors import BadRequest
from worlddb.rng import Stream
from worlddb.tasks.model import Task
from worlddb.tools.model import READ_KINDS, Call, JsonSchema, Result, Tool
from worlddb.tools.toolset import Toolset
from worlddb.world.model import World

THOUGHTS = ("none", "template")


class Manner(msgspec.Struct, frozen=True):
    """How gold is acted."""

    recoveries: float = 0.0
    """With this probability an attempt has a mistake."""
    thoughts: str = "none"
    """`template`: a sentence before each call, from the structure of the gold alone."""
    seed: int = 0
    """Of the mistakes."""

    def __post_init__(self) -> None:
        if not 0 <= self.recoveries <= 1:
            raise BadRequest(f"recoveries is {self.recoveries}; it is a probability, from 0 to 1")
        if self.thoughts not in THOUGHTS:
            raise BadRequest(f"thoughts is '{self.thoughts}'; choose one of: {', '.join(THOUGHTS)}")


class Mistake(NamedTuple):
    """A call that should be refused."""

    before: int
    """The right call that it comes before, from 0."""
    call: Call
    codes: tuple[str, ...]
    """With which of these codes."""


def acted(world: World, task: Task, manner: Manner) -> Attempt:
    """The attempt of an agent that knows the gold and keeps to the handbook, acted in that manner.

    The same arguments give the same attempt.
    """
    plain = _played(world, task, manner, None)
    assert plain is not None
    stream = Stream(manner.seed, "export", "recoveries", task.id)
    if plain.reward == 1 and stream.chance(manner.recoveries):
        for mistake in mistakes(_calls(plain), task_tools(world, task), stream):
            attempt = _played(world, task, manner, mistake)
            if attempt is not None and attempt.reward == 1:
                return attempt
    return plain


def task_tools(world: World, task: Task) -> Toolset:
    """The tools that the agent of a task has, those to talk with the user included."""
    return Episode(world, task).session.toolset


def _played(world: World, task: Task, manner: Manner, mistake: Mistake | None) -> Attempt | None:
    """The attempt; None where the mistake was not refused as it should be."""
    talk = _Mannered(world, task, manner, mistake)
    try:
        Oracle().play(talk)
    except _Accepted:
        return None
    return talk.attempt()


class _Accepted(Exception):
    """A mistake that was carried out, or refused for another reason."""


class _Mannered(Talk):
    """A talk that says why, and makes a mistake on the way; who leads it knows nothing of it."""

    def __init__(self, world: World, task: Task, manner: Manner, mistake: Mistake | None) -> None:
        super().__init__(Episode(world, task))
        self.made = 0
        self.mistake = mistake
        self.reasons = _Reasons(task, self.episode.session.toolset) if manner.thoughts == "template" else None

    def act(self, content: str = "", calls: Sequence[Said] = ()) -> list[Result]:
        """As Talk does, with the reason for the first of the calls."""
        if calls and self.reasons:
            content = self.reasons.of(calls[0])
        if calls and self.mistake is not None and self.mistake.before == self.made:
            self._err(content, self.mistake)
            content = _MENDED if self.reasons else ""
        self.made += 1
        return super().act(content, calls)

    def _err(self, content: str, mistake: Mistake) -> None:
        result = super().act(content, [Said(mistake.call.name, mistake.call.arguments)])[0]
        if result.error is None or result.error.code not in mistake.codes:
            raise _Accepted


def _calls(attempt: Attempt) -> list[Call]:
    """The calls of an attempt that makes one a message, the submission left out."""
    made = [c["function"] for m in attempt.messages for c in m.get("tool_calls", ())]
    return [Call(f["name"], f["arguments"]) for f in made if f["name"] != SUBMIT]


# --- mistakes


def mistakes(calls: Sequence[Call], toolset: Toolset, stream: Stream) -> Iterator[Mistake]:
    """Mistakes that somebody could make on the way, in the order in which to try them."""
    places = [at for at, call in enumerate(calls) if toolset[call.name].kind != "user"]
    if not places:
        return
    at = stream.pick(places)
    kinds = stream.shuffled(list(_MISTAKES))
    for kind in kinds:
        make, codes = _MISTAKES[kind]
        made = make(calls, at, toolset, stream.child(kind))
        if made is not None:
            yield Mistake(at, made, codes)


def _mistyped(calls: Sequence[Call], at: int, toolset: Toolset, stream: Stream) -> Call | None:
    """An argument of a wrong type."""
    call = calls[at]
    if not call.arguments:
        return None
    name = stream.pick(sorted(call.arguments))
    schema = toolset[call.name].parameters["properties"].get(name, {})
    return Call(call.name, {**call.arguments, name: _wrong(call.arguments[name], schema)})


def _wrong(value: Any, schema: JsonSchema) -> Any:
    """A value of another type than a schema wants, as somebody might write it by mistake."""
    if isinstance(value, bool):
        return "as before"
    if isinstance(value, int | float):
        return f"no. {value}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) if value else "none"
    if "enum" in schema:
        return f"{value} (if possible)"
    return {"value": value}


def _missing(calls: Sequence[Call], at: int, toolset: Toolset, stream: Stream) -> Call | None:
    """A required argument left out."""
    call = calls[at]
    required = [n for n in toolset[call.name].parameters.get("required", ()) if n in call.arguments]
    if not required:
        return None
    name = stream.pick(required)
    return Call(call.name, {n: v for n, v in call.arguments.items() if n != name})


def _unknown_parameter(calls: Sequence[Call], at: int, toolset: Toolset, stream: Stream) -> Call | None:
    """An argument under a name that the tool does not know."""
    call = calls[at]
    if not call.arguments:
        return None
    name = stream.pick(sorted(call.arguments))
    return Call(call.name, {(f"{n}_value" if n == name else n): v for n, v in call.arguments.items()})


def _unknown_tool(calls: Sequence[Call], at: int, toolset: Toolset, stream: Stream) -> Call | None:
    """A tool that is not there."""
    call = calls[at]
    name = f"{call.name}{stream.pick(('_v2', '_record', 's', '_by_name'))}"
    return None if name in toolset else Call(name, call.arguments)


def _out_of_order(calls: Sequence[Call], at: int, toolset: Toolset, stream: Stream) -> Call | None:
    """A later change, made too early; where nothing forbids that, it will not be taken for a mistake."""
    later = [c for c in calls[at + 1 :] if not toolset[c.name].read_only and toolset[c.name].kind != "user"]
    return stream.pick(later) if later else None


_Maker = Callable[[Sequence[Call], int, Toolset, Stream], Call | None]
_MISTAKES: dict[str, tuple[_Maker, tuple[str, ...]]] = {
    "mistyped": (_mistyped, ("INVALID_ARGUMENT",)),
    "missing": (_missing, ("INVALID_ARGUMENT",)),
    "unknown parameter": (_unknown_parameter, ("INVALID_ARGUMENT",)),
    "unknown tool": (_unknown_tool, ("UNKNOWN_TOOL",)),
    "out of order": (_out_of_order, ("NOT_FOUND", "RULE_VIOLATION", "CONFLICT", "FORBIDDEN")),
}
"""Kind of mistake -> what makes one of a gold's call, and the codes with which it must be refused."""

# --- reasons


class _Reasons:
    """A sentence for each call, told from what the call is and whether it depends on others, never from what was read."""

    def __init__(self, task: Task, toolset: Toolset) -> None:
        self.toolset, self.made = toolset, 0
        self.left = list(task.gold)

    def of(self, call: Said) -> str:
        """The reason for the next call."""
        if call.name == SUBMIT:
            return _ENDS[_ending(call)]
        tool = self.toolset[call.name]
        place = "first" if not self.made else "depends" if self._depends(tool.key) else "next"
        self.made += 1
        return _SENTENCES[_role(tool), place].format(_phrase(tool))

    def _depends(self, key: str) -> bool:
        """Does the gold's next call of that tool use the results of others?"""
        at = next((i for i, gold in enumerate(self.left) if gold.tool == key), None)
        return at is not None and bool(self.left.pop(at).uses)


def _ending(call: Said) -> str:
    if "answer" not in call.arguments:
        return "done"
    return "impossible" if call.arguments["answer"] is None else "answer"


_ENDS = {
    "done": "Everything that was asked for is done, so I finish.",
    "impossible": "This cannot be done, so I say so and finish.",
    "answer": "I have what was asked for, so I answer.",
}
_MENDED = "That call was refused; I mend what the error names and make it again."
_SENTENCES = {
    ("read", "first"): "I begin by looking at the data: {}.",
    ("read", "next"): "There is something else to look up: {}.",
    ("read", "depends"): "What I have found leads on: {}.",
    ("write", "first"): "The request says all that this needs: {}.",
    ("write", "next"): "The request says all that this needs too: {}.",
    ("write", "depends"): "I know now what this needs: {}.",
    ("user", "first"): "Only the user can tell me this: {}.",
    ("user", "next"): "Only the user can tell me this: {}.",
    ("user", "depends"): "Before I go on, the user has to be asked: {}.",
}


def _role(tool: Tool) -> str:
    return "user" if tool.kind == "user" else "read" if tool.kind in READ_KINDS or tool.read_only else "write"


def _phrase(tool: Tool) -> str:
    title = tool.title or tool.name
    return title[:1].lower() + title[1:]
