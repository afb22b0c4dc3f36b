"""Dialects: what a model is trained on says of its tools, byte for byte, what it is told when it acts."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import jsonschema
import orjson
import pytest

import worlddb
from tests.format_readers import BFCL_TYPES
from worlddb.adapters.common import Address
from worlddb.adapters.trl import Environment, environment_class, python_names
from worlddb.attempts import Attempt, gold_attempt
from worlddb.episode.play import SUBMIT, Episode, submit_tool
from worlddb.errors import UnknownName
from worlddb.export.dialects import DIALECTS, declared, names_in
from worlddb.export.examples import Example
from worlddb.export.formats import FORMATS
from worlddb.gate import tasks_of
from worlddb.tools.names import is_reserved, plainest
from worlddb.tools.toolset import Toolset
from worlddb.world.model import World

SEEDS = (2, 3, 5, 12, 21)
STYLES = ("crud", "rest", "camel", "cursor", "compact")
RESERVED = (
    "reset", "get_reward", "step", "state", "close", "verify", "seed_session", "aggregate_metrics", "mcp", "bash", "edit",
    "search",
)  # fmt: skip
"""What one framework or another keeps for itself."""
HERE = Address(world="", task="", seed=0)


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [worlddb.generate(seed, "small") for seed in SEEDS]


@pytest.fixture(scope="module")
def attempts(worlds) -> list[tuple[Attempt, Toolset]]:
    """Gold attempts, and the toolset that an agent of the same task is given; tasks with users among them."""
    tasks = [(w, t) for w in worlds for t in (*w.tasks[:2], *tasks_of(w, 1, "policy").tasks)]
    return [(gold_attempt(w, t), Episode(w, t).reset().tools) for w, t in tasks]


def exported(name: str, attempt: Attempt) -> Any:
    """The row of a format, as it stands in a file."""
    return orjson.loads(orjson.dumps(FORMATS[name].parts[0].row(Example(attempt, HERE))))


def as_bytes(value: Any) -> bytes:
    return orjson.dumps(value)


# --- what acting agents are told


@pytest.mark.parametrize("name", ["openai", "actionstudio"])
def test_openai(attempts, name):
    for attempt, toolset in attempts:
        told = [*toolset.openai(), submit_tool(form(attempt))]
        assert as_bytes(exported(name, attempt)["tools"]) == as_bytes(told)


def form(attempt: Attempt) -> str:
    """How the answer is to be given, as the prompt says."""
    text = next(t for t in attempt.tools if t["function"]["name"] == SUBMIT)["function"]["parameters"]
    found = text["properties"]["answer"]["description"].removesuffix(" Null: it cannot be done.")
    return "" if found.startswith("The answer, where") else found


def test_responses(attempts):
    for attempt, toolset in attempts:
        told = exported("nemo", attempt)["responses_create_params"]["tools"]
        assert as_bytes(told[:-1]) == as_bytes(toolset.responses())
        assert told[-1] == {"type": "function", **submit_tool(form(attempt))["function"], "strict": False}


def test_sharegpt(attempts):
    for attempt, toolset in attempts:
        told = orjson.loads(exported("sharegpt", attempt)["tools"])
        assert as_bytes(told[:-1]) == as_bytes([t["function"] for t in toolset.openai()])


@pytest.mark.parametrize("name", ["trl", "trl-completion"])
def test_trl(attempts, name):
    """The public methods of the environment's class, in TRL's order, described by their signatures and docstrings."""
    for attempt, toolset in attempts:
        known = {n for n, _ in inspect.getmembers(Environment, inspect.isfunction)}
        members = inspect.getmembers(environment_class(toolset.openai()), inspect.isfunction)
        told = [derived(f) for n, f in members if n not in known and not n.startswith("_")]
        assert as_bytes(exported(name, attempt)["tools"]) == as_bytes(told)


def derived(function: Callable[..., str]) -> Any:
    """The schema that a typed function with a Google docstring amounts to, by the rules in transformers' documentation."""
    doc = inspect.getdoc(function) or ""
    arguments = dict(re.findall(r"^ {4}(\w+): (.*)$", doc.partition("Args:")[2].partition("Returns:")[0], re.MULTILINE))
    hints, properties, required = get_type_hints(function), {}, []
    for name, parameter in inspect.signature(function).parameters.items():
        if name != "self":
            properties[name] = {**hinted(hints[name]), "description": arguments[name]}
            required += [name] if parameter.default is inspect.Parameter.empty else []
    parameters = {"type": "object", "properties": properties} | ({"required": required} if required else {})
    returned = {**hinted(hints["return"]), "description": doc.partition("Returns:")[2].strip()}
    text = re.split(r"\n\s*(?:Args|Returns):", doc)[0].strip()
    told = {"name": function.__name__, "description": text, "parameters": parameters, "return": returned}
    return {"type": "function", "function": told}


PLAIN = {int: "integer", float: "number", str: "string", bool: "boolean", dict: "object", list: "array"}


def hinted(hint: Any) -> dict[str, Any]:
    if hint is Any:
        return {}
    if get_origin(hint) in (Union, types.UnionType):
        (kind,) = (k for k in get_args(hint) if k is not type(None))
        return {**hinted(kind), "nullable": True}
    if get_origin(hint) is Literal:
        (kind,) = {type(v) for v in get_args(hint)}
        return {"type": PLAIN[kind], "enum": list(get_args(hint))}
    if get_origin(hint) is list:
        return {"type": "array", "items": hinted(get_args(hint)[0])}
    return {"type": PLAIN[hint]}


def test_the_derived_schema_notices_a_difference(attempts):
    attempt, toolset = attempts[0]
    tools = toolset.openai()
    tools[0]["function"]["description"] += " Or not."
    members = inspect.getmembers(environment_class(tools), inspect.isfunction)
    told = [derived(f) for n, f in members if n != "reset" and not n.startswith("_")]
    assert as_bytes(exported("trl", attempt)["tools"]) != as_bytes(told)


def test_calls_of_an_example_are_of_its_tools(attempts):
    """Whatever a dialect calls a tool, the messages call it the same, and its arguments meet the API's own schema."""
    for attempt, toolset in attempts:
        own = {t["function"]["name"]: t["function"]["parameters"] for t in toolset.openai()}
        for name in ("trl", "openai", "actionstudio"):
            row = exported(name, attempt)
            shown = {t["function"]["name"] for t in row["tools"]}
            back = {s: n for n, s in names_in(attempt.tools, "trl" if name == "trl" else "openai").items()}
            for message in row.get("messages") or row["conversation"]:
                for call in message.get("tool_calls", ()):
                    assert call["function"]["name"] in shown
                    tool = own.get(back[call["function"]["name"]])
                    given = call["function"]["arguments"]
                    if tool is not None:
                        jsonschema.validate(orjson.loads(given) if isinstance(given, str) else given, tool)


# --- BFCL


def test_bfcl_has_one_type_each(attempts):
    seen = set()
    for attempt, toolset in attempts:
        told = declared(attempt.tools, "bfcl")
        assert [t["name"] for t in told[:-1]] == [re.sub(r"\W", "_", t.name) for t in toolset]
        for function in told:
            assert function["parameters"]["type"] == "dict"
            seen |= typed(function["parameters"])
    assert seen <= set(BFCL_TYPES)
    assert {"dict", "integer", "string", "boolean", "array"} <= seen


def typed(schema: dict[str, Any]) -> set[str]:
    assert isinstance(schema["type"], str)
    assert None not in schema.get("enum", ())
    inner = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    return {schema["type"]}.union(*map(typed, inner))


# --- names


def test_no_generated_tool_has_a_reserved_name():
    for seed in range(25):
        world = worlddb.generate(seed, "tiny")
        for style in (None, *STYLES):
            names = world.toolset(style, sets="both").names
            assert not {plainest(n) for n in names} & set(map(plainest, RESERVED))
            assert SUBMIT not in names
            assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", n) for n in names)
    assert all(map(is_reserved, RESERVED))


def test_names_are_the_environments(worlds):
    """Of names that are no identifiers, as of all others, an export makes what the environment's methods are called."""
    renamed = 0
    for world in [*worlds, *(worlddb.generate(seed, "tiny") for seed in range(60, 90))]:
        tools = world.toolset().openai()
        assert names_in(tools, "trl") == python_names(tools)
        assert all(n.isidentifier() for n in names_in(tools, "trl").values())
        renamed += any(n != s for n, s in names_in(tools, "trl").items())
        assert all(n == s for n, s in names_in(tools, "openai").items())
    assert renamed, "some style has names that Python could not take"


def test_a_changed_name_is_recorded():
    kebab = next(w for s in range(60, 90) if "-" in (w := worlddb.generate(s, "small")).toolset().names[0])
    attempt = gold_attempt(kebab, kebab.tasks[0])
    row = exported("trl", attempt)
    told = {r["tool"]: r["shown"] for r in row["worlddb"]["renamed"]}
    assert told == {n: n.replace("-", "_") for n in kebab.toolset().names if "-" in n}
    own = [c["function"]["name"] for m in attempt.messages for c in m.get("tool_calls", ())]
    shown = [c["function"]["name"] for m in row["messages"] for c in m.get("tool_calls", ())]
    assert [told.get(n, n) for n in own] == shown != own
    answers = [m["name"] for m in row["messages"] if m["role"] == "tool"]
    assert answers == shown[: len(answers)]
    assert exported("openai", attempt)["messages"][2]["tool_calls"][0]["function"]["name"] == own[0]


def test_no_two_tools_have_one_name():
    tools = [{"type": "function", "function": {"name": n}} for n in ("get-x", "get_x", "class", "a")]
    assert names_in(tools, "bfcl") == {"get-x": "get_x", "get_x": "get_x_", "class": "class_", "a": "a"}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialect_leaves_the_tools_alone(attempts, dialect):
    attempt, _ = attempts[0]
    before = as_bytes(attempt.tools)
    told = declared(attempt.tools, dialect)
    assert len(told) == len(attempt.tools)
    assert as_bytes(attempt.tools) == before


def test_a_dialect_that_is_none(attempts):
    with pytest.raises(UnknownName, match="no dialect named 'opneai'; did you mean 'openai'"):
        declared(attempts[0][0].tools, "opneai")
