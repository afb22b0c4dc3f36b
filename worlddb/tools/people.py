"""The tools by which an agent talks with the user: ask_user, confirm, tell_user, and ask_user_to where the user has a side
of their own.  They are no programs: whoever stands beside the session answers them (`worlddb.tools.session.Beside`).
"""

from __future__ import annotations

from typing import Any

from worlddb.tools.model import JsonSchema, Param, Reply, Statement, Tool, Words

ASK, CONFIRM, TELL, DO = "user.ask", "user.confirm", "user.tell", "user.do"
"""Keys of the tools."""
LONGEST = 2_000
"""Characters of one message."""
RETURNS: JsonSchema = {
    "type": "object",
    "properties": {"reply": {"type": "string", "description": "What the user says."}},
    "required": ["reply"],
    "additionalProperties": False,
}


def people_tools(table: str, deeds: tuple[str, ...] = ()) -> tuple[Tool, ...]:
    """The tools; `table` is any of the world's, `deeds` the names of what the user can do themselves."""
    text = {"type": "string", "minLength": 1, "maxLength": LONGEST}
    names = {"type": "array", "items": {"type": "string", "maxLength": 100}, "maxItems": 20, "default": []}
    ask = (
        Param(key="question", name="question", schema={**text, "description": "The question, in a sentence."}, required=True),
        Param(key="about", name="about", schema={
            **names, "description": "What it is about: names of parameters, fields or entities, such as 'due_date'.",
        }),
        Param(key="options", name="options", schema={**names, "description": "Answers to choose from, where there are some."}),
    )  # fmt: skip
    confirm = (
        Param(key="action", name="action", required=True, schema={**text, "description": "Name of the tool you would call."}),
        Param(key="arguments", name="arguments", required=True, schema={
            "type": "object", "description": "The arguments that you would give it, all of them.", "additionalProperties": True,
        }),
    )  # fmt: skip
    tell = (Param(key="message", name="message", schema={**text, "description": "What you say."}, required=True),)
    found = [
        _tool(ASK, "ask_user", table, "Ask the user for something that only they know. They answer what you name in 'about', or "
              "else what they understand of the question; what can be looked up, look up.", ask),
        _tool(CONFIRM, "confirm", table, "Tell the user which call you are about to make, and ask whether they want it. "
              "Nothing is done by it.", confirm),
        _tool(TELL, "tell_user", table, "Tell the user something in your own words: that you are done, that something cannot be "
              "done. They may answer with something new, so do it before you finish.", tell),
    ]  # fmt: skip
    if deeds:
        do = (
            Param(key="action", name="action", required=True, schema={
                "type": "string", "enum": list(deeds), "description": "What they should do.",
            }),
        )  # fmt: skip
        found.append(
            _tool(DO, "ask_user_to", table, "Ask the user to do something on their side that you cannot do.", do)
        )
    return tuple(found)


def _tool(key: str, name: str, table: str, description: str, params: tuple[Param, ...]) -> Tool:
    properties: dict[str, Any] = {p.name: p.schema for p in params}
    return Tool(
        key=key, name=name, kind="user", table=table, words=Words(verb=name), title=name.replace("_", " ").capitalize(),
        description=description, params=params, reply=Reply(query=Statement(sql=""), shape="value", fields=()),
        read_only=True, returns=RETURNS,
        parameters={
            "type": "object", "properties": properties, "required": [p.name for p in params if p.required],
            "additionalProperties": False,
        },
    )  # fmt: skip
