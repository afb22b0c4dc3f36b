"""BFCL's form (Berkeley function calling leaderboard, v4): questions in one file, accepted calls in another.

    multiple        tasks whose gold is one call: the function is chosen among all of the API, its arguments are compared
    multi_turn_base all others: the gold as Python calls, judged by the state that they lead to

Only what succeeded has such a form: the calls of the attempt are the accepted ones.
"""

from __future__ import annotations

from typing import Any

from worlddb.episode.play import SUBMIT
from worlddb.export.dialects import declared, names_in
from worlddb.export.examples import Example, Row, arguments_object, wrong_turns
from worlddb.export.prompts import opening
from worlddb.tools.model import JsonSchema

CLASS = "World"
"""What stands for the API where BFCL wants the name of a class."""


def question(example: Example) -> Row | None:
    """A question of the category multiple."""
    if len(_calls(example)) != 1:
        return None
    functions = declared(example.attempt.tools, "bfcl")
    return {"id": _id("multiple", example), "question": [opening(example)], "function": functions}


def accepted(example: Example) -> Row | None:
    """The answer to it: every argument with the values that are right; '' stands for one that may be left out."""
    calls = _calls(example)
    if len(calls) != 1:
        return None
    name, arguments = calls[0]
    functions = {f["name"]: f for f in declared(example.attempt.tools, "bfcl")}
    parameters = functions[name]["parameters"]
    told = {n: _values(v, n, parameters) for n, v in arguments.items()}
    return {"id": _id("multiple", example), "ground_truth": [{name: told}]}


def turns(example: Example) -> Row | None:
    """A question of the category multi_turn_base, of one turn."""
    calls = _calls(example)
    if len(calls) < 2:
        return None
    return {
        "id": _id("multi_turn_base", example), "question": [opening(example)],
        "initial_config": {CLASS: example.address.columns()}, "path": [f"{CLASS}.{name}" for name, _ in calls],
        "involved_classes": [CLASS], "excluded_function": [],
    }  # fmt: skip


def turns_accepted(example: Example) -> Row | None:
    """The answer to it."""
    calls = _calls(example)
    if len(calls) < 2:
        return None
    said = [f"{name}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})" for name, arguments in calls]
    return {"id": _id("multi_turn_base", example), "ground_truth": [said]}


def _calls(example: Example) -> list[tuple[str, Row]]:
    """Names and arguments of all calls but the wrong ones and the last, by which the agent submits."""
    names, messages = names_in(example.attempt.tools, "bfcl"), example.attempt.messages
    wrong = set(wrong_turns(messages))
    made = [c["function"] for at, m in enumerate(messages) if at not in wrong for c in m.get("tool_calls", ())]
    return [(names.get(f["name"], f["name"]), arguments_object(f["arguments"])) for f in made if f["name"] != SUBMIT]


def _id(category: str, example: Example) -> str:
    """BFCL reads the category up to the last '_', and behind it three numbers."""
    return f"{category}_{example.attempt.seed}-{example.attempt.task.rpartition('/')[2]}-{example.attempt.run}"


def _values(value: Any, name: str, parameters: JsonSchema) -> list[Any]:
    schema = parameters["properties"].get(name, {})
    left_out = name not in parameters["required"] and schema.get("default") == value and value is not None
    return [_nested(value), *([""] if left_out else [])]


def _nested(value: Any) -> Any:
    """A value as an accepted one: within objects every field has a list of its own."""
    if isinstance(value, dict):
        return {k: [_nested(v)] for k, v in value.items()}
    return [_nested(v) if isinstance(v, dict) else v for v in value] if isinstance(value, list) else value
