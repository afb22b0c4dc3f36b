"""Signing in: the tool `sign_in`, who answers it, and whether somebody has signed in.

The person whom an agent works for has a name, a role and a code.  They say the code in their request, or when they are asked;
the agent gives it to the tool, which tells who they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from worlddb.tools.arguments import Reader, Refused
from worlddb.tools.engine import Outcome
from worlddb.tools.model import Error, JsonSchema, Param, Reply, Statement, Tool, Words
from worlddb.tools.session import Altered, Entry, Session
from worlddb.tools.toolset import Nobody, Toolset

SIGN_IN = "user.sign_in"
"""Key of the tool."""
TRIES = 3
"""Wrong codes after which no more are taken."""
_RETURNS: JsonSchema = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "Who has signed in."},
        "role": {"type": "string", "description": "Their role in the business."},
    },
    "required": ["name", "role"],
    "additionalProperties": False,
}


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody of the staff."""

    name: str
    role: str
    """As policies name it ('branch_manager')."""
    code: str


def login_tool(table: str) -> Tool:
    """The tool; `table` is any of the world's."""
    schema = {"type": "string", "minLength": 1, "maxLength": 40, "description": "The person's sign-in code."}
    code = Param(key="code", name="code", schema=schema, required=True)
    return Tool(
        key=SIGN_IN, name="sign_in", kind="user", table=table, words=Words(verb="sign_in"), title="Sign in",
        description="Sign the person in whom you work for, by the code that they give you. Tells their name and role. "
        f"After {TRIES} wrong codes no more are taken.",
        params=(code,), reply=Reply(query=Statement(sql=""), shape="value", fields=()), read_only=True, returns=_RETURNS,
        parameters={"type": "object", "properties": {"code": schema}, "required": ["code"], "additionalProperties": False},
    )  # fmt: skip


def with_login(toolset: Toolset) -> Toolset:
    """The same tools and `sign_in`; made once for each toolset."""
    made: Toolset | None = toolset.__dict__.get("_with_login")
    if made is None:
        tool = login_tool(toolset.tools[0].table)
        tool = replace(tool, name=f"{tool.name}_as_staff" if tool.name in toolset else tool.name)
        special = toolset._special | {SIGN_IN: lambda tool: Nobody()}
        made = toolset.__dict__["_with_login"] = Toolset(toolset.schema, (*toolset.tools, tool), toolset.style, special)
    return made


class Login:
    """Answers `sign_in` for one person; stands beside a session."""

    def __init__(self, code: str, name: str, role: str) -> None:
        self.code, self.name, self.role = code, name, role

    def before(self, session: Session, tool: Tool, arguments: Any) -> Outcome | Altered | None:
        """Who signs in, or why not."""
        if tool.key != SIGN_IN:
            return None
        try:
            given = Reader(tool.params).read(arguments)["code"]
        except Refused as refused:
            return Outcome(None, refused.error)
        if _wrong(session.journal, session.toolset) >= TRIES:
            cure = "Do what you can do without signing in, and say that you cannot do the rest."
            return Outcome(None, Error(code="FORBIDDEN", message="Too many wrong codes; no more are taken.", cure=cure))
        if str(given).strip() != self.code:
            message, cure = (
                "No one has this code.",
                "Give the code that the person has told you; ask for it if need be.",
            )
            return Outcome(None, Error(code="FORBIDDEN", message=message, parameter="code", cure=cure))
        return Outcome({"name": self.name, "role": self.role.replace("_", " ")}, None)

    def after(self, session: Session, tool: Tool, arguments: Any, outcome: Outcome) -> Outcome:
        """Nothing to add."""
        return outcome


def _signs(entry: Entry, toolset: Toolset | None) -> bool:
    return toolset is not None and entry.name in toolset and toolset[entry.name].key == SIGN_IN


def _wrong(journal: Sequence[Entry], toolset: Toolset) -> int:
    """How many wrong codes were given."""
    return sum(
        _signs(e, toolset) and e.result.error is not None and e.result.error.code == "FORBIDDEN" for e in journal
    )


def signed_in(journal: Sequence[Entry], toolset: Toolset | None, number: int | None = None) -> bool:
    """True where somebody has signed in, in a call before that number (None: in any)."""
    return any(e.result.ok and _signs(e, toolset) and (number is None or e.number < number) for e in journal)
