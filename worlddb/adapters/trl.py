"""TRL: tasks as rows, APIs as environment classes, verdicts as one reward function, for `GRPOTrainer(environment_factory=…)`.

    from trl import GRPOConfig, GRPOTrainer
    from worlddb.adapters.trl import load

    rows, environments, reward = load("data/out", split="train")
    GRPOTrainer("Qwen/Qwen3-0.6B", train_dataset=rows, environment_factory=environments, reward_funcs=reward,
                args=GRPOConfig(max_completion_length=4096, max_tool_calling_iterations=20)).train()

What TRL asks of an environment: a class whose public methods are its tools, and `reset(**row)`.  The schemas that the model sees
are made from the methods' signatures and docstrings (transformers' `get_json_schema`), which know less than JSON Schema does.
`declarations` says what comes out of it, so that examples for supervised training show the very same schemas.
"""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from worlddb.adapters.common import Address, find, tasks_in
from worlddb.attempts import Attempt, Message, prompt
from worlddb.episode.play import OVER, SUBMIT, Episode, submit_tool
from worlddb.episode.verdict import Verdict
from worlddb.episode.verify import UNANSWERED
from worlddb.errors import BadRequest
from worlddb.tools.forms import identifier, takes_null, type_of
from worlddb.tools.model import JsonSchema, Result

if TYPE_CHECKING:
    from datasets import Dataset

SUBMITTED = '{"submitted":true}'
"""What a call of `submit` answers.  TRL lets the model speak once more; nothing that it does then counts."""
CLOSING = "Done."
"""What an agent says then, in examples."""
ENVIRONMENT = "environment"
"""The column by which TRL knows the environment of a row."""
Row: TypeAlias = dict[str, Any]
"""A task as a row: `prompt`, `environment`, `family`, `calls` and `writes` of its gold, and the columns of its `Address`."""


# --- tools as TRL declares them


def declarations(tools: Iterable[JsonSchema]) -> list[JsonSchema]:
    """Tools of the Chat Completions API as TRL puts them into a prompt: sorted by name, and reduced to what a signature and
    a docstring can say.  `submit` is declared without the form of one task's answer: that stands in the task's prompt.
    """
    some = [submit_tool() if t["function"]["name"] == SUBMIT else t for t in tools]
    names = python_names(some)
    return sorted((_declared(t, names[t["function"]["name"]]) for t in some), key=lambda t: str(t["function"]["name"]))


def python_names(tools: Iterable[JsonSchema]) -> dict[str, str]:
    """The names of tools -> the names of their methods, which differ where a name is no identifier of Python."""
    found: dict[str, str] = {}
    for tool in tools:
        name = identifier(tool["function"]["name"])
        while name in found.values():
            name += "_"
        found[tool["function"]["name"]] = name
    return found


def _declared(tool: JsonSchema, name: str) -> JsonSchema:
    function = tool["function"]
    properties, required = function["parameters"]["properties"], function["parameters"].get("required", ())
    parameters: JsonSchema = {"type": "object", "properties": {n: _reduced(s, n) for n, s in properties.items()}}
    asked = [n for n in properties if n in required]
    if asked:
        parameters["required"] = asked
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": _line(function["description"]),
            "parameters": parameters,
            "return": {"type": "string", "description": _RETURNS},
        },
    }


_RETURNS = "The result as JSON text."


def _reduced(schema: JsonSchema, name: str) -> JsonSchema:
    """A parameter's schema: type, choices, items, whether null has a meaning; all else has to be in the description."""
    return {**_plain(schema), "description": _described(schema, name)}


def _plain(schema: JsonSchema) -> JsonSchema:
    if "type" not in schema:
        return {}
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    found: JsonSchema = {"type": next(n for n in names if n != "null")}
    if "enum" in schema:
        found["enum"] = [v for v in schema["enum"] if v is not None]
    elif found["type"] == "array" and "type" in schema.get("items", {}):
        found["items"] = _plain(schema["items"])
    return found | ({"nullable": True} if "null" in names else {})


def _described(schema: JsonSchema, name: str) -> str:
    """The description, with the fields of an object (or of a list's objects), which a type hint has no room for."""
    text, inner = _line(schema.get("description") or name), schema.get("items", schema)
    fields = inner.get("properties") if isinstance(inner, dict) else None
    if not fields:
        return text
    required = inner.get("required", ())
    told = (f"{n} ({_kind(s)}{'' if n in required else ', optional'}): {_described(s, n)}" for n, s in fields.items())
    return f"{text} Fields: {' '.join(told)}"


def _kind(schema: JsonSchema) -> str:
    """A schema's type in a few words."""
    if "enum" in schema:
        return " | ".join(orjson.dumps(v).decode() for v in schema["enum"])
    names = schema.get("type", "any")
    return " | ".join(names) if isinstance(names, list) else str(names)


def _line(text: str) -> str:
    """Text as a docstring of one line keeps it."""
    found = " ".join(text.split())
    for word in _SECTIONS:  # would end the section that it stands in
        found = found.replace(f"{word}:", word)
    return found


_SECTIONS = ("Args", "Returns", "Raises")


def example(attempt: Attempt) -> dict[str, Any]:
    """An attempt as SFTTrainer takes it: `messages` and `tools`, in the words of the environments' prompts."""
    names = python_names(attempt.tools)
    messages: list[Message] = []
    for message in attempt.messages:
        told = dict(message)
        if "name" in told:
            told["name"] = names.get(told["name"], told["name"])
        if "tool_calls" in told:
            made = [(c, c["function"]) for c in told["tool_calls"]]
            told["tool_calls"] = [{**c, "function": {**f, "name": names.get(f["name"], f["name"])}} for c, f in made]
        messages.append(told)
    return {"messages": closed(messages), "tools": declarations(attempt.tools)}


def closed(messages: Sequence[Message]) -> list[Message]:
    """A conversation that ends as TRL's rollouts do: behind a call of `submit` come its answer and a last message."""
    found = list(messages)
    last = found[-1].get("tool_calls", ()) if found else ()
    if last and last[-1]["function"]["name"] == SUBMIT:
        found.append({"role": "tool", "tool_call_id": last[-1]["id"], "name": SUBMIT, "content": SUBMITTED})
        found.append({"role": "assistant", "content": CLOSING})
    return found


# --- environment classes


class Environment:
    """One rollout of a task.  Subclasses have the tools of one API as methods; TRL makes, resets and pools their instances."""

    _episode: Episode | None = None
    _verdict: Verdict | None = None

    def reset(self, **row: Any) -> None:
        """Begin the task of a row.  The prompt is in the row, so nothing is added to it."""
        world, task = find(Address.of(row))
        self._verdict, self._episode = None, Episode(world, task)
        self._episode.reset()

    def _call(self, tool: str, given: dict[str, Any]) -> str:
        if self._episode is None or self._episode.done:
            return Result(ok=False, error=OVER).text
        return self._episode.call(tool, given).text

    def _submit(self, given: dict[str, Any]) -> str:
        if self._episode is None or self._episode.done:
            return Result(ok=False, error=OVER).text
        self._episode.submit(given.get("answer", UNANSWERED))
        return SUBMITTED

    def _judged(self) -> Verdict:
        """The verdict; an episode that is not over ends here without an answer.  The world is let go: instances live as long as
        the trainer does, one and more for every API."""
        if self._episode is not None:
            self._verdict, self._episode = self._episode.submit(), None
        if self._verdict is None:
            raise BadRequest("this environment has no episode to judge; call reset(**row) first")
        return self._verdict


def verdict_of(environment: Environment) -> Verdict:
    """The verdict on a rollout, for reward functions of your own; it ends the episode."""
    return environment._judged()


def environment_class(tools: Sequence[JsonSchema], name: str = "WorldEnvironment") -> type[Environment]:
    """The class of an API, from its tools as the Chat Completions API takes them (`submit` included or not)."""
    own = [t for t in tools if t["function"]["name"] != SUBMIT]
    names = python_names(own)
    methods = {names[t["function"]["name"]]: _method(t, names[t["function"]["name"]]) for t in own}
    methods[SUBMIT] = _method(submit_tool(), SUBMIT)
    return type(name, (Environment,), {"__module__": __name__, **methods})


def _method(tool: JsonSchema, name: str) -> Callable[..., str]:
    function, said = tool["function"], _declared(tool, name)["function"]
    called, properties = function["name"], function["parameters"]["properties"]
    required = said["parameters"].get("required", ())
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    parameters = [_parameter(n, s, n in required) for n, s in properties.items()]
    empty = {n for n, s in properties.items() if n not in required and "type" in s and not takes_null(s)}

    def call(self: Environment, /, **arguments: Any) -> str:
        given = {n: v for n, v in arguments.items() if v is not None or n not in empty}
        return self._submit(given) if called == SUBMIT else self._call(called, given)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = _docstring(said)
    call.__signature__ = inspect.Signature([own, *parameters], return_annotation=str)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": str}
    return call


def _parameter(name: str, schema: JsonSchema, required: bool) -> inspect.Parameter:
    hint = type_of(schema) if "type" in schema else Any
    default = inspect.Parameter.empty if required else schema.get("default")
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _docstring(said: JsonSchema) -> str:
    properties = said["parameters"]["properties"]
    lines = [said["description"], ""]
    if properties:
        lines += ["Args:", *(f"    {n}: {s['description']}" for n, s in properties.items()), ""]
    return "\n".join([*lines, "Returns:", f"    {_RETURNS}"])


class Api:
    """A factory of environments of one API; its class is made, from the packed tools, when the first one is asked for."""

    def __init__(self, name: str, tools: bytes) -> None:
        """`tools`: as the Chat Completions API takes them, in JSON."""
        self.name = name
        self._packed = zlib.compress(tools)
        self._class: type[Environment] | None = None

    def __call__(self) -> Environment:
        """A new environment."""
        if self._class is None:
            self._class = environment_class(orjson.loads(zlib.decompress(self._packed)), self.name)
        return self._class()


# --- rows and the reward


def rows(path: str | Path = "data/out", split: str = "train") -> Iterator[Row]:
    """The tasks of a store's split as rows, in order; a stream.

    Raises:
        BadRequest: there is no such split.
        StoreError: there is no store at `path`, or it is damaged.
    """
    return (row for row, _ in _rows(path, split))


def _rows(path: str | Path, split: str) -> Iterator[tuple[Row, bytes]]:
    """Rows, each with the tools of its API as JSON."""
    known: dict[int, bytes] = {}
    last = ""
    for world, task, address in tasks_in(path, split):
        if world.id != last:
            last, known = world.id, {}
        told = Episode(world, task).reset()
        if id(told.tools) not in known:  # tasks with the same company share their toolset, which the world keeps
            known[id(told.tools)] = orjson.dumps(told.tools.openai())
        tools = known[id(told.tools)]
        row = {
            "prompt": list(prompt(world, told)), ENVIRONMENT: api_name(tools), "family": task.family,
            "calls": task.card.calls, "writes": task.card.writes, **address.columns(),
        }  # fmt: skip
        yield row, tools


def api_name(tools: bytes) -> str:
    """Name of the environment of these tools, given as JSON: the same for the same tools, whatever world has them."""
    return f"Api{sha256(tools).hexdigest()[:16]}"


def load(
    path: str | Path = "data/out",
    split: str = "train",
    *,
    limit: int | None = None,
    where: Callable[[Mapping[str, Any]], bool] | None = None,
) -> tuple[list[Row] | Dataset, dict[str, Api], Callable[..., list[float | None]]]:
    """What GRPOTrainer wants of a store: `train_dataset`, `environment_factory` and `reward_funcs`.

    Args:
        path: the folder of a store, on a disk that every process of the training reads.
        split: 'train', 'eval' or 'all'; see `worlddb.adapters.common.in_split`.
        limit: take the first so many rows.
        where: take the rows of which it is true.

    Returns:
        The rows, as a `datasets.Dataset` where that package is installed; the environments by name; the reward function.

    Raises:
        BadRequest: there is no such split, or no row is left.
        StoreError: there is no store at `path`, or it is damaged.
    """
    chosen = islice((r for r in _rows(path, split) if where is None or where(r[0])), limit)
    apis: dict[str, Api] = {}
    table = _table(_noting(chosen, apis))
    if not apis:
        raise BadRequest(f"{path} has no tasks for the split '{split}'; spawn it with --tasks, or choose another split")
    return table, apis, reward


def _noting(found: Iterable[tuple[Row, bytes]], apis: dict[str, Api]) -> Iterator[Row]:
    """The rows, as they come; their environments are put into `apis`."""
    for row, tools in found:
        name = row[ENVIRONMENT]
        if name not in apis:
            apis[name] = Api(name, tools)
        yield row


def _table(found: Iterator[Row]) -> list[Row] | Dataset:
    """Rows as a Dataset, a block at a time, so that they never stand in memory as Python objects all at once."""
    try:
        from datasets import Dataset, concatenate_datasets
    except ImportError:
        return list(found)
    blocks = [Dataset.from_list(block) for block in iter(lambda: list(islice(found, _BLOCK)), [])]
    return concatenate_datasets(blocks) if blocks else []


_BLOCK = 2_000


def reward(
    environments: Sequence[object], log_metric: Callable[[str, float], None] | None = None, **columns: Any
) -> list[float | None]:
    """The rewards of a batch's rollouts, whatever APIs they have: one reward function, one column in TRL's logs.

    None, which TRL passes over, for an environment that is none of worlddb's, and where the verifier itself failed.
    """
    verdicts = [e._judged() if isinstance(e, Environment) else None for e in environments]
    own = [v for v in verdicts if v is not None]
    if log_metric is not None and own:
        log_metric("worlddb/success", sum(v.success for v in own) / len(own))
    return [None if v is None or v.invalid else v.reward for v in verdicts]
