"""Formats of whole conversations, for supervised training.

trl             {messages, tools, wrong_turns, worlddb}: TRL, transformers, axolotl; arguments are objects
trl-completion  {prompt, completion, tools, worlddb}: the same, cut behind the last wrong turn, for a loss that leaves it out
openai          {messages, tools, parallel_tool_calls}: fine-tuning of OpenAI and Azure; arguments are JSON text
sharegpt        [{conversations, system, tools, worlddb}]: LLaMA-Factory
actionstudio    [{unique_trajectory_id, task_instruction, tools, conversation, wrong_turns, worlddb}]: xLAM
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import orjson

from worlddb.attempts import Message
from worlddb.export.dialects import declared
from worlddb.export.examples import ABOUT, Example, Row, about, arguments_object, arguments_text, renamed, wrong_turns

MESSAGES = 'STRUCT("role" VARCHAR, "content" VARCHAR, "name" VARCHAR, "tool_call_id" VARCHAR, "tool_calls" JSON[])[]'
TRL = {"messages": MESSAGES, "tools": "JSON[]", "wrong_turns": "BIGINT[]", "worlddb": ABOUT}
TRL_COMPLETION = {"prompt": MESSAGES, "completion": MESSAGES, "tools": "JSON[]", "worlddb": ABOUT}
"""Columns of Parquet files, as DuckDB calls their types."""


def trl(example: Example) -> Row:
    """A row of the format trl."""
    messages, names = renamed(example, "trl")
    return {
        "messages": [_object(m) for m in messages], "tools": declared(example.attempt.tools, "trl"),
        "wrong_turns": wrong_turns(messages), "worlddb": about(example, names),
    }  # fmt: skip


def trl_completion(example: Example) -> Row:
    """A row of the format trl-completion: everything up to the answer to the last wrong turn is prompt."""
    row = trl(example)
    messages, wrong = row["messages"], row["wrong_turns"]
    first = next((at for at, m in enumerate(messages) if m["role"] == "assistant"), len(messages))
    if wrong:
        behind = range(wrong[-1] + 1, len(messages))
        first = next((at for at in behind if messages[at]["role"] != "tool"), len(messages))
    head = {"prompt": messages[:first], "completion": messages[first:]}
    return head | {"tools": row["tools"], "worlddb": row["worlddb"]}


def _object(message: Message) -> Message:
    """A message whose arguments are objects."""
    if "tool_calls" not in message:
        return message
    calls = [{**c, "function": _with(c, arguments_object(c["function"]["arguments"]))} for c in message["tool_calls"]]
    return {**message, "tool_calls": calls}


def _with(call: dict[str, Any], arguments: Any) -> dict[str, Any]:
    return {"name": call["function"]["name"], "arguments": arguments}


def openai(example: Example) -> Row:
    """A row of the format openai.  It has no room for anything else; a wrong turn has the weight 0."""
    messages, _ = renamed(example, "openai")
    wrong = set(wrong_turns(messages))
    several = any(len(m.get("tool_calls", ())) > 1 for m in messages)
    return {
        "messages": [_text(m, wrong=at in wrong) for at, m in enumerate(messages)],
        "tools": declared(example.attempt.tools, "openai"), "parallel_tool_calls": several,
    }  # fmt: skip


def _text(message: Message, *, wrong: bool) -> Message:
    """A message whose arguments are JSON text."""
    found = {k: v for k, v in message.items() if k in ("role", "content", "tool_call_id")}
    if "tool_calls" in message:
        found["tool_calls"] = [
            {**c, "function": _with(c, arguments_text(c["function"]["arguments"]))} for c in message["tool_calls"]
        ]
        if not found["content"]:
            del found["content"]
    return found | ({"weight": 0} if wrong else {})


def sharegpt(example: Example) -> Row | None:
    """A row of the format sharegpt; None where the assistant never has the last word.

    The two sides take turns: calls made at once are one turn, and so are their answers.  Words beside a call stand before it
    between <think> and </think>, where LLaMA-Factory looks for them.
    """
    messages, names = renamed(example, "openai")
    system = "\n".join(m["content"] for m in messages if m["role"] == "system")
    sides = groupby((m for m in messages if m["role"] != "system"), key=lambda m: m["role"])
    turns = [turn for role, some in sides for turn in _turns(role, list(some))]
    turns = turns[: len(turns) // 2 * 2]
    if not turns or [t["from"] in _OURS for t in turns] != [False, True] * (len(turns) // 2):
        return None
    tools = orjson.dumps(declared(example.attempt.tools, "plain")).decode()
    return {"conversations": turns, "system": system, "tools": tools, "worlddb": about(example, names)}


_OURS = ("gpt", "function_call")


def _turns(role: str, messages: list[Message]) -> list[dict[str, str]]:
    if role == "tool":
        answers = [m["content"] for m in messages]
        return [{"from": "observation", "value": answers[0] if len(answers) == 1 else f"[{','.join(answers)}]"}]
    return [{"from": "human" if role == "user" else _speaker(m), "value": _said(m)} for m in messages]


def _speaker(message: Message) -> str:
    return "function_call" if message.get("tool_calls") else "gpt"


def _said(message: Message) -> str:
    made = [_with(c, arguments_object(c["function"]["arguments"])) for c in message.get("tool_calls", ())]
    made = [{"name": c["name"], "arguments": c["arguments"]} for c in made]
    if not made:
        return str(message["content"])
    calls = orjson.dumps(made[0] if len(made) == 1 else made).decode()
    return f"<think>\n{message['content']}\n</think>\n\n{calls}" if message["content"] else calls


def actionstudio(example: Example) -> Row:
    """A row of the format actionstudio: messages without the system's, which is the instruction."""
    messages, names = renamed(example, "openai")
    talk = [_object(m) for m in messages if m["role"] != "system"]
    return {
        "unique_trajectory_id": f"{example.attempt.task}/{example.attempt.agent}/{example.attempt.run}",
        "task_instruction": "\n".join(m["content"] for m in messages if m["role"] == "system"),
        "tools": declared(example.attempt.tools, "openai"), "conversation": talk,
        "wrong_turns": wrong_turns(talk), "worlddb": about(example, names),
    }  # fmt: skip


# --- what stands beside a file


def llamafactory_info(name: str) -> Row:
    """The entry of dataset_info.json by which LLaMA-Factory reads a file of the format sharegpt."""
    columns = {"messages": "conversations", "system": "system", "tools": "tools"}
    return {name.partition(".")[0]: {"file_name": name, "formatting": "sharegpt", "columns": columns}}
