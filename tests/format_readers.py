"""Readers of the export formats, each written from the format's own documentation: they raise Wrong at what it does not allow.

A reader takes one row as Python values, as `json.loads` gives it.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from typing import Any

import jsonschema


class Wrong(Exception):
    """The row is not of the format."""


def need(met: object, what: str) -> None:
    if not met:
        raise Wrong(what)


def keys(row: Any, required: set[str], optional: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    need(isinstance(row, dict), "no object")
    need(required <= set(row), f"lacks {sorted(required - set(row))}")
    need(set(row) <= required | optional, f"has {sorted(set(row) - required - optional)}")


def texts(row: dict[str, Any], *names: str) -> None:
    for name in names:
        need(isinstance(row.get(name), str), f"{name} is no text")


# --- Chat Completions


def conversation(messages: Any, *, objects: bool, last: str = "assistant") -> list[tuple[str, Any]]:
    """Names and arguments of all calls of a conversation, which must be one that a chat template takes."""
    need(isinstance(messages, list) and messages, "no messages")
    made: list[tuple[str, Any]] = []
    waiting: list[str] = []
    for at, message in enumerate(messages):
        role = message.get("role")
        need(role in ("system", "user", "assistant", "tool"), f"role {role}")
        need(role != "system" or at == 0, "a system message in between")
        if role == "tool":
            need(waiting, "an answer to no call")
            need(message.get("tool_call_id") == waiting.pop(0), "an answer to another call")
            texts(message, "content")
            continue
        need(not waiting, "a call without an answer")
        if role == "assistant" and message.get("tool_calls"):
            waiting = [tool_call(c, objects=objects, made=made) for c in message["tool_calls"]]
            need(isinstance(message.get("content"), str | None), "content")
        else:
            texts(message, "content")
    need(messages[-1]["role"] == last, f"ends with {messages[-1]['role']}")
    return made


def tool_call(call: Any, *, objects: bool, made: list[tuple[str, Any]]) -> str:
    keys(call, {"id", "type", "function"})
    need(call["type"] == "function", "type of a call")
    keys(call["function"], {"name", "arguments"})
    texts(call, "id")
    arguments = call["function"]["arguments"]
    need(isinstance(arguments, dict if objects else str), "arguments of the wrong form")
    arguments = arguments if objects else parsed(arguments)
    need(isinstance(arguments, dict), "arguments that are no object")
    made.append((call["function"]["name"], arguments))
    return str(call["id"])


def parsed(text: Any) -> Any:
    need(isinstance(text, str), "no text")
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise Wrong("text that is no JSON") from None


def openai_tools(tools: Any, extra: set[str] = frozenset()) -> dict[str, Any]:  # type: ignore[assignment]
    """Name -> parameters of tools of the Chat Completions API."""
    need(isinstance(tools, list) and tools, "no tools")
    found = {}
    for tool in tools:
        keys(tool, {"type", "function"})
        need(tool["type"] == "function", "type of a tool")
        keys(tool["function"], {"name", "description", "parameters"}, extra)
        named(tool["function"], found)
    return found


def named(function: dict[str, Any], found: dict[str, Any]) -> None:
    texts(function, "name", "description")
    need(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", function["name"]), f"name {function['name']}")
    need(function["name"] not in found, "a name twice")
    parameters = function["parameters"]
    need(parameters.get("type") == "object" and isinstance(parameters.get("properties"), dict), "parameters")
    jsonschema.Draft202012Validator.check_schema({k: v for k, v in parameters.items() if k != "nullable"})
    found[function["name"]] = parameters


def calls_known(made: list[tuple[str, Any]], tools: dict[str, Any], wrong: int = 0) -> None:
    """All calls but so many are of the tools, with arguments that their schemas know."""
    bad = 0
    for name, arguments in made:
        known = name in tools and set(arguments) <= set(tools[name]["properties"])
        bad += not (known and set(tools[name].get("required", ())) <= set(arguments))
    need(bad <= wrong, f"{bad} calls that the tools do not know")


def trl(row: Any) -> None:
    keys(row, {"messages", "tools", "wrong_turns", "worlddb"})
    made = conversation(row["messages"], objects=True)
    calls_known(made, openai_tools(row["tools"], {"return"}), len(row["wrong_turns"]))
    need([t["function"]["name"] for t in row["tools"]] == sorted(t["function"]["name"] for t in row["tools"]), "order")
    for message in row["messages"]:
        need(set(message) <= {"role", "content", "name", "tool_call_id", "tool_calls"}, "a column that A has not")
        texts(message, "content")
    for at in row["wrong_turns"]:
        need(row["messages"][at]["role"] == "assistant", "a wrong turn of somebody else")
        need("error" in parsed(row["messages"][at + 1]["content"]), "a wrong turn that was not refused")


def trl_completion(row: Any) -> None:
    keys(row, {"prompt", "completion", "tools", "worlddb"})
    need(row["completion"] and row["completion"][0]["role"] == "assistant", "the completion is not the assistant's")
    need(row["prompt"] and row["prompt"][-1]["role"] in ("user", "tool"), "the prompt ends with the assistant")
    made = conversation(row["prompt"] + row["completion"], objects=True)
    tools = openai_tools(row["tools"], {"return"})
    calls_known(made, tools, sum(m["role"] == "assistant" for m in row["prompt"]))
    calls_known(made[sum(len(m.get("tool_calls", ())) for m in row["prompt"]) :], tools)


def openai(row: Any) -> None:
    keys(row, {"messages", "tools"}, {"parallel_tool_calls"})
    made = conversation(row["messages"], objects=False)
    weights = [m for m in row["messages"] if "weight" in m]
    need(all(m["role"] == "assistant" and m["weight"] in (0, 1) for m in weights), "weight")
    calls_known(made, openai_tools(row["tools"]), sum(m["weight"] == 0 for m in weights))
    for message in row["messages"]:
        need(set(message) <= {"role", "content", "tool_calls", "tool_call_id", "weight"}, "a key that the API has not")


# --- others


def sharegpt(row: Any) -> None:
    keys(row, {"conversations", "system", "tools"}, {"worlddb"})
    texts(row, "system", "tools")
    tools: dict[str, Any] = {}
    for tool in parsed(row["tools"]):
        keys(tool, {"name", "description", "parameters"})
        named(tool, tools)
    turns = row["conversations"]
    need(turns and len(turns) % 2 == 0, "an odd number of turns")
    for at, turn in enumerate(turns):
        keys(turn, {"from", "value"})
        texts(turn, "value")
        sides = (("human", "observation"), ("gpt", "function_call"))
        need(turn["from"] in sides[at % 2], f"{turn['from']} at place {at}")
        if turn["from"] == "function_call":
            said = parsed(re.sub(r"^<think>.*?</think>\s*", "", turn["value"], flags=re.DOTALL))
            for call in said if isinstance(said, list) else [said]:
                keys(call, {"name", "arguments"})
                need(isinstance(call["arguments"], dict), "arguments that are no object")


def actionstudio(row: Any) -> None:
    wanted = {"unique_trajectory_id", "task_instruction", "tools", "conversation"}
    keys(row, wanted, {"wrong_turns", "worlddb"})
    texts(row, "unique_trajectory_id", "task_instruction")
    need(all(m["role"] != "system" for m in row["conversation"]), "a system message")
    made = conversation(row["conversation"], objects=True)
    calls_known(made, openai_tools(row["tools"]), len(row["wrong_turns"]))


def nestful(row: Any) -> None:
    keys(row, {"sample_id", "input", "output", "tools", "gold_answer"})
    texts(row, *row)
    tools = {t["name"]: t for t in parsed(row["tools"])}
    parsed(row["gold_answer"])
    labels: list[str] = []
    for call in parsed(row["output"]):
        keys(call, {"name", "label", "arguments"})
        need(call["name"] in tools, "a call of no tool")
        need(set(call["arguments"]) == set(tools[call["name"]]["parameters"]), "arguments")
        for reference in re.findall(r"\$var_\d+", json.dumps(call["arguments"])):
            need(reference in labels, "a reference to what comes later")
        labels.append(call["label"])
    need(labels == [f"$var_{i}" for i in range(1, len(labels) + 1)] and labels, "labels")


BFCL_TYPES = ("string", "integer", "float", "boolean", "array", "tuple", "dict", "any")


def bfcl(row: Any) -> None:
    keys(row, {"id", "question", "function"})
    need(re.fullmatch(r"multiple_\d+-\d+-\d+", row["id"]), "id")
    bfcl_question(row["question"])
    for function in row["function"]:
        keys(function, {"name", "description", "parameters"})
        need(function["name"].isidentifier(), "name")
        need(function["parameters"]["type"] == "dict", "parameters are no dict")
        need(isinstance(function["parameters"].get("required"), list), "required")
        for one in function["parameters"]["properties"].values():
            bfcl_type(one)


def bfcl_type(schema: Any) -> None:
    need(schema.get("type") in BFCL_TYPES, f"type {schema.get('type')}")
    if schema["type"] == "array":
        need("items" in schema, "an array of nothing")
        bfcl_type(schema["items"])
    for one in schema.get("properties", {}).values():
        bfcl_type(one)


def bfcl_question(question: Any) -> None:
    need(isinstance(question, list) and question, "no question")
    for turn in question:
        for message in turn:
            keys(message, {"role", "content"})
            texts(message, "content")
            need(message["role"] in ("system", "user"), "role")


def bfcl_answer(row: Any) -> None:
    keys(row, {"id", "ground_truth"})
    for call in row["ground_truth"]:
        need(isinstance(call, dict) and len(call) == 1, "no single call")
        ((_, arguments),) = call.items()
        need(all(isinstance(v, list) and v for v in arguments.values()), "an argument without accepted values")


def bfcl_turns(row: Any) -> None:
    keys(row, {"id", "question", "initial_config", "path", "involved_classes"}, {"excluded_function"})
    need(re.fullmatch(r"multi_turn_base_\d+-\d+-\d+", row["id"]), "id")
    bfcl_question(row["question"])
    need(set(row["initial_config"]) == set(row["involved_classes"]), "classes")
    need(all(p.partition(".")[0] in row["involved_classes"] for p in row["path"]), "path")


def bfcl_turns_answer(row: Any) -> None:
    keys(row, {"id", "ground_truth"})
    for turn in row["ground_truth"]:
        for said in turn:
            try:
                call = ast.parse(said, mode="eval").body
            except SyntaxError:
                raise Wrong("no Python") from None
            need(isinstance(call, ast.Call) and not call.args, "no call by keywords")
            for keyword in call.keywords:  # type: ignore[union-attr]
                ast.literal_eval(keyword.value)


def prompt(messages: Any) -> None:
    need(isinstance(messages, list) and messages, "no prompt")
    for message in messages:
        keys(message, {"role", "content"})
        texts(message, "role", "content")
    need([m["role"] for m in messages] == ["system", "user"], "roles of the prompt")


def address(row: Any) -> None:
    need(isinstance(row, dict), "no address")
    texts(row, "world", "task", "profile", "store")
    need(isinstance(row.get("seed"), int), "seed")


def verl(row: Any) -> None:
    keys(row, {"data_source", "agent_name", "prompt", "ability", "reward_model", "extra_info"})
    texts(row, "data_source", "agent_name", "ability")
    prompt(row["prompt"])
    keys(row["reward_model"], {"style", "ground_truth"})
    need(row["reward_model"]["style"] in ("rule", "model"), "style")
    address(parsed(row["reward_model"]["ground_truth"]))
    need(isinstance(row["extra_info"].get("index"), int), "index")
    address(row["extra_info"])


def skyrl(row: Any) -> None:
    keys(row, {"data_source", "prompt", "env_class", "reward_spec", "extra_info"})
    texts(row, "data_source", "env_class")
    prompt(row["prompt"])
    keys(row["reward_spec"], {"method", "ground_truth"})
    address(parsed(row["reward_spec"]["ground_truth"]))
    address(row["extra_info"])


def nemo(row: Any) -> None:
    keys(row, {"responses_create_params", "verifier_metadata", "agent_ref"})
    keys(row["responses_create_params"], {"input", "tools"})
    prompt(row["responses_create_params"]["input"])
    found: dict[str, Any] = {}
    for tool in row["responses_create_params"]["tools"]:
        keys(tool, {"type", "name", "description", "parameters", "strict"})
        need(tool["type"] == "function" and tool["strict"] is False, "type")
        named(tool, found)
    keys(row["agent_ref"], {"type", "name"})
    address(row["verifier_metadata"])


READERS: dict[str, Callable[[Any], None]] = {
    "trl.": trl, "trl-completion.": trl_completion, "openai.": openai, "sharegpt.": sharegpt,
    "actionstudio.": actionstudio, "bfcl.multiple": bfcl, "bfcl.multiple_answers": bfcl_answer,
    "bfcl.multi_turn": bfcl_turns, "bfcl.multi_turn_answers": bfcl_turns_answer, "verl.": verl, "skyrl.": skyrl,
    "nemo.": nemo, "nestful.": nestful,
}  # fmt: skip
"""'format.part' -> its reader."""
