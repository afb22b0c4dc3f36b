"""Episodes: an agent acts on a task and submits; and recorded trajectories, acted again and judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec
import orjson

from worlddb.episode.behaviour import Confirmed
from worlddb.episode.company import Company, Voice
from worlddb.episode.verdict import Verdict
from worlddb.episode.verify import UNANSWERED, verify
from worlddb.errors import BadRequest
from worlddb.tasks.forms import clock_text
from worlddb.tasks.goal import Goal
from worlddb.tasks.model import Task
from worlddb.tools.faults import Faults
from worlddb.tools.model import Call, Error, JsonSchema, Result
from worlddb.tools.people import TELL
from worlddb.tools.session import Session, Start
from worlddb.tools.toolset import Toolset
from worlddb.world.model import World

SUBMIT = "submit"
"""Name of the call that ends an episode, where an agent makes it as a tool call."""
OVER = Error(
    code="FORBIDDEN", message="The episode is over: an answer has been submitted.", cure="Reset it to begin anew."
)


def form_of(goal: Goal) -> str:
    """How the answer is to be given, in a sentence; '' where none is asked for (or where the thing cannot be done, as the agent
    is to find out)."""
    kinds = {a.kind for a in goal.answers}
    if not kinds or "none" in kinds:
        return ""
    first = goal.answers[0]
    if first.kind == "record":
        return f"Answer with an object of {', '.join(first.value)}, or with these values as a list in this order."
    return "Answer with a list." if first.kind in ("set", "list") else "Answer with one value."


def submit_tool(form: str = "") -> JsonSchema:
    """The tool that ends an episode, as the Chat Completions API takes it: for agents that answer by a call.

    `form`: how the answer is to be given, as the observation of the episode says.
    """
    usual = "The answer, where the task asks for one: a value, a list or an object."
    answer = {"description": f"{form or usual} Null: it cannot be done."}
    schema = {"type": "object", "properties": {"answer": answer}, "additionalProperties": False}
    text = "Say that the task is finished, and give the answer if it asks for one. Nothing can be done afterwards."
    return {"type": "function", "function": {"name": SUBMIT, "description": text, "parameters": schema}}


class Observation(NamedTuple):
    """What an agent is told when an episode begins."""

    instruction: str
    tools: Toolset
    """`tools.openai()` and its kin give them as frameworks take them, `tools.handbook()` the rules of the business."""
    now: str
    """The world's clock, 'YYYY-MM-DD HH:MM:SS' UTC."""
    form: str = ""
    """How the answer is to be given: which values of several, in which order; '' where there is nothing to say."""
    briefing: str = ""
    """That a user is there to talk with, that policies hold; '' where there is nothing of the kind."""
    rules: str = ""
    """The policies in force and how the service fails, in Markdown; '' where there is nothing of the kind."""


class Episode:
    """One agent's attempt at one task.

    >>> import worlddb
    >>> from worlddb.tasks.goal import Answer, Goal
    >>> world = worlddb.generate(12, "tiny")
    >>> goal = Goal(answers=(Answer(kind="number", value=3),))
    >>> episode = Episode(world, goal)
    >>> episode.submit(3).success
    True
    """

    def __init__(
        self,
        world: World,
        task: Task | Goal,
        toolset: Toolset | None = None,
        start: Start | None = None,
        *,
        confirmed: Confirmed | None = None,
        faults: Faults | None = None,
        voice: Voice | None = None,
    ) -> None:
        """`task` may be a mere goal, where there is no instruction.  `faults` stand in for the task's, `voice` for the user.

        Raises:
            BadRequest: the task belongs to another world.
        """
        if isinstance(task, Task) and task.world != world.id:
            raise BadRequest(f"{task.id} is a task of the world {task.world}, not of {world.id}")
        self.world, self.task = world, task
        self.goal = task.goal if isinstance(task, Task) else task
        self.faults = faults
        """Those that stand in for the task's."""
        self.company = Company.of(world, task, toolset, faults, voice)
        """Who stands beside the session."""
        self.session: Session = world.session(self.company.toolset, start=start, beside=self.company.beside)
        """What the agent did: its journal, its net changes."""
        self.verdict: Verdict | None = None
        """None until an answer has been submitted."""
        self._confirmed = confirmed

    @property
    def done(self) -> bool:
        """True once an answer has been submitted."""
        return self.verdict is not None

    def reset(self) -> Observation:
        """Begin anew."""
        self.session.reset()
        self.verdict = None
        instruction = self.task.instruction if isinstance(self.task, Task) else ""
        now = clock_text(self.session.now)
        return Observation(
            instruction, self.session.toolset, now, form_of(self.goal), self.company.briefing, self.company.rules
        )

    def call(self, name: str, arguments: Any = None) -> Result:
        """One tool call; see `Session.call`.  After the submission it is refused, and leaves no trace in the journal."""
        return Result(ok=False, error=OVER) if self.done else self.session.call(name, arguments)

    def submit(self, answer: Any = UNANSWERED) -> Verdict:
        """End the episode, with an answer (any JSON value, None included) or without one; a second time changes nothing."""
        if self.verdict is None:
            confirmed = self._confirmed or self.company.confirmed(self.session)
            self.verdict = verify(
                self.goal, self.session, answer, confirmed=confirmed, done=self.company.did(self.session)
            )
        return self.verdict

    def say(self, message: str) -> str:
        """Say something to the user, for agents whose plain messages go to them; the reply, '' where no user is there."""
        tool = self.session.toolset.by_key(TELL)
        result = self.call(tool.name, {"message": message}) if tool is not None else None
        return str(result.data["reply"]) if result is not None and result.ok else ""

    def handbook(self) -> str:
        """What staff of the business are handed, the policies of the house included."""
        return self.company.handbook(self.session.toolset)


# --- recorded trajectories


class Trajectory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An episode as a record: what was called, and what was answered."""

    world: str = ""
    """Id of the world; empty: not said."""
    task: str = ""
    style: str = ""
    """The style and the sets of the API that the calls were made in; empty: the world's usual one."""
    sets: str = ""
    start: Start = Start()
    faults: Faults | None = None
    """Faults that stood in for those of the task."""
    calls: tuple[Call, ...] = ()
    answer: Any = UNANSWERED


Record: TypeAlias = Mapping[str, Any] | Sequence[Any] | bytes | str


def trajectory_of(record: Record) -> Trajectory:
    """A trajectory from JSON (text, or what it spells) in either of two forms.

    its own     {world, task, start: {clock, ids}, style, sets, calls: [{name, arguments}], answer}
    messages    a list of Chat Completions messages, or an object that has it as `messages` beside world, task and the rest;
                calls are the assistant's `tool_calls`

    In both, a call of `submit` ends the episode, and its `answer` is the answer.

    Raises:
        BadRequest: it is neither.
    """
    try:
        found: Any = orjson.loads(record) if isinstance(record, bytes | str) else record
        head: dict[str, Any] = dict(found) if isinstance(found, Mapping) else {"messages": found}
        made = _in_messages(head.pop("messages")) if "messages" in head else head.pop("calls", ())
        calls: list[Call] = []
        for one in made:
            if one["name"] == SUBMIT:
                given = _spelt(one.get("arguments"))
                head["answer"] = given.get("answer", UNANSWERED) if isinstance(given, dict) else UNANSWERED
                break
            calls.append(Call(one["name"], one.get("arguments", {})))
        known = msgspec.convert({k: v for k, v in head.items() if k in Trajectory.__struct_fields__}, Trajectory)
        return msgspec.structs.replace(known, calls=tuple(calls))
    except (orjson.JSONDecodeError, msgspec.ValidationError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadRequest(
            f"this is no recorded trajectory ({type(error).__name__}: {error}); give {{world, task, calls, answer}} or messages"
        ) from None


def _in_messages(messages: Sequence[Any]) -> Iterator[Any]:
    """The functions that the assistant called: name and arguments."""
    for message in messages:
        if message.get("role") == "assistant":
            yield from (one["function"] for one in message.get("tool_calls") or ())


def _spelt(arguments: Any) -> Any:
    try:
        return orjson.loads(arguments) if isinstance(arguments, str) else arguments
    except orjson.JSONDecodeError:
        return None


def judge(record: Record | Trajectory, world: World, task: Task | Goal, toolset: Toolset | None = None) -> Verdict:
    """The verdict on a recorded trajectory: its calls are made again, and judged as they come out.

    Raises:
        BadRequest: it is no trajectory, or one of another world or task.
    """
    found = record if isinstance(record, Trajectory) else trajectory_of(record)
    if found.world and found.world != world.id:
        raise BadRequest(f"the trajectory is one of the world {found.world}, not of {world.id}")
    if found.task and isinstance(task, Task) and found.task != task.id:
        raise BadRequest(f"the trajectory is one of the task {found.task}, not of {task.id}")
    if toolset is None and (found.style or found.sets):
        toolset = world.toolset(found.style or None, sets=found.sets or "crud")
    episode = Episode(world, task, toolset, found.start, faults=found.faults)
    for call in found.calls:
        episode.call(call.name, call.arguments)
    return episode.submit(found.answer)


def record_of(episode: Episode, answer: Any = UNANSWERED) -> Trajectory:
    """An episode as a record that `judge` takes; style and sets are left to the caller."""
    calls = tuple(Call(e.name, e.arguments) for e in episode.session.journal)
    task = episode.task.id if isinstance(episode.task, Task) else ""
    return Trajectory(
        world=episode.world.id, task=task, start=episode.session.start, faults=episode.faults, calls=calls, answer=answer
    )  # fmt: skip
