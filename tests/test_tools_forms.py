"""The forms in which frameworks want tools, and plug-in tools."""

from __future__ import annotations

import inspect
import json
import re
from functools import cache
from typing import Any, Literal, get_args, get_origin

import jsonschema
import pytest
from mcp import types as mcp_types
from msgspec.structs import replace

import worlddb
from worlddb.errors import BadRequest
from worlddb.schema.rules import quote
from worlddb.tools import build
from worlddb.tools.forms import docstring, identifier, takes_null, type_of
from worlddb.tools.names import api
from worlddb.tools.plugin import Access, Plugin, ToolError, plugin, read_docstring
from worlddb.tools.session import Session
from worlddb.world.model import World


@cache
def world(seed: int = 7) -> World:
    return worlddb.generate(seed, profile="tiny")


def act(*plugins: Any, seed: int = 7) -> Session:
    return Session(world(seed), build.toolset(world(seed), "crud", plugins=plugins))


# --- OpenAI, MCP


@pytest.mark.parametrize("style", list(api().presets))
def test_every_framework_gets_every_tool(style: str) -> None:
    toolset = build.toolset(world(), style)
    for chat, flat, mcp, tool in zip(toolset.openai(), toolset.responses(), toolset.mcp(), toolset, strict=True):
        assert chat == {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        assert flat == {"type": "function", **chat["function"], "strict": False}
        read = mcp_types.Tool.model_validate(mcp)
        assert read.name == tool.name
        assert mcp["annotations"]["readOnlyHint"] is tool.read_only
    json.dumps(toolset.openai()), json.dumps(toolset.mcp())


# --- Python functions


def parsed(text: str) -> tuple[str, dict[str, str], str]:
    """A Google docstring as chat templates read it: description, arguments, what is returned."""
    match = re.fullmatch(
        r"(?P<about>.+?)\n\n(?:Args:\n(?P<args>(?:    .+\n)+)\n)?Returns:\n    (?P<returns>.+)", text, re.DOTALL
    )
    assert match, text
    lines = [re.fullmatch(r"    (\w+): (.+)", line) for line in (match["args"] or "").splitlines()]
    assert all(lines)
    return match["about"], {m[1]: m[2] for m in lines if m}, match["returns"]


@pytest.mark.parametrize("style", list(api().presets))
def test_functions_have_names_types_and_docstrings(style: str) -> None:
    toolset = build.toolset(world(), style)
    found = toolset.callables(Session(world(), toolset))
    assert len(found) == len(toolset)
    for (name, function), tool in zip(found.items(), toolset, strict=True):
        assert function.__name__ == name == identifier(tool.name)
        assert name.isidentifier()
        signature = inspect.signature(function)
        properties, required = tool.parameters["properties"], tool.parameters.get("required", [])
        assert list(signature.parameters) == list(properties)
        assert signature.return_annotation is str
        assert function.__annotations__.keys() == {*properties, "return"}
        about, told, returned = parsed(function.__doc__ or "")
        assert about == " ".join(tool.description.split())
        assert told == {n: " ".join(s["description"].split()) for n, s in properties.items()}
        assert returned
        for param in signature.parameters.values():
            assert param.kind is inspect.Parameter.KEYWORD_ONLY
            assert (param.default is inspect.Parameter.empty) == (param.name in required)
            if "default" in properties[param.name]:
                assert param.default == properties[param.name]["default"]
            if param.default is None:
                assert type(None) in get_args(param.annotation)


def test_types_follow_the_schema() -> None:
    assert type_of({"type": "integer"}) is int
    assert type_of({"type": "number"}) is float
    assert type_of({"type": "boolean"}) is bool
    assert type_of({"type": ["string", "null"], "format": "date"}) == str | None
    assert type_of({"type": "array", "items": {"type": "integer"}}) == list[int]
    assert type_of({"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}) == list[Literal["a", "b"]]
    assert type_of({"type": "object"}) is dict
    hint = type_of({"type": ["string", "null"], "enum": ["a", None]})
    assert get_args(hint) == (Literal["a"], type(None))
    assert get_origin(get_args(hint)[0]) is Literal


def test_functions_act_in_their_session() -> None:
    toolset = build.toolset(world(), "kebab")
    session, other = Session(world(), toolset), Session(world(), toolset)
    found = toolset.callables(session)
    for tool in toolset:
        if tool.kind == "list" and not tool.parameters.get("required"):
            text = found[identifier(tool.name)]()
            assert isinstance(text, str)
            assert json.loads(text) == other.call(tool.name, {}).data
            nothing = {n: None for n, s in tool.parameters["properties"].items() if not takes_null(s)}
            assert found[identifier(tool.name)](**nothing) == text
    assert session.journal
    get = next(t for t in toolset if t.key.endswith(".get"))
    refused = json.loads(found[identifier(get.name)](**{get.params[0].name: True}))
    assert refused["error"]["code"] == "INVALID_ARGUMENT"
    with pytest.raises(BadRequest, match="another toolset"):
        build.toolset(world(), "rest").callables(session)


def test_functions_raise_nothing_for_what_an_agent_does_wrong() -> None:
    """Missing, unknown, mistyped and nameless arguments come back as the error that every other wrong call gets."""
    toolset = build.toolset(world(), "crud", sets="both")
    session = Session(world(), toolset)
    for name, function in toolset.callables(session).items():
        tool = next(t for t in toolset if identifier(t.name) == name)
        wrong: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
            ((), {"colour": 1}), ((1,), {}), (({"id": 1},), {"colour": 2}), ((), {"values": 1, "arguments": 2, "self": 3}),
            ((), {n: object() for n in tool.parameters["properties"]} or {"x": object()}),
        ]  # fmt: skip
        wrong += [((), {})] * bool(tool.parameters.get("required"))
        for values, arguments in wrong:
            error = json.loads(function(*values, **arguments))["error"]
            assert error["code"] == "INVALID_ARGUMENT", (name, arguments, error)
            assert error["message"]
            assert session.journal[-1].name == tool.name
    assert not session.diff().changes


def test_a_docstring_without_arguments_reads_well() -> None:
    bare = replace(build.toolset(world(), "crud").tools[0], parameters={"type": "object", "properties": {}})
    assert parsed(docstring(bare))[1] == {}


# --- plug-ins: what becomes of a function


def echo(
    db: Access, number: int, word: str = "x", flag: bool = False, share: float | None = None, kind: Literal["a", "b"] = "a",
    ids: list[int] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Give everything back.

    It does no more
    than that.

    Args:
        number: A number,
            with a second line.
        word (str): A word.
        share: From 0 to 1.

    Returns:
        All of it.
    """
    return {"number": number, "word": word, "flag": flag, "share": share, "kind": kind, "ids": ids, "now": db.now}


def test_a_function_becomes_a_tool() -> None:
    session = act(echo)
    tool = session.toolset["echo"]
    assert (tool.kind, tool.key, tool.title, tool.read_only) == ("plugin", "plugin.echo", "Echo", True)
    assert tool.description == "Give everything back. It does no more than that."
    schema = tool.parameters
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["required"] == ["number"]
    assert schema["properties"] == {
        "number": {"type": "integer", "description": "A number, with a second line."},
        "word": {"type": "string", "description": "A word.", "default": "x"},
        "flag": {"type": "boolean", "description": "Flag.", "default": False},
        "share": {"type": ["number", "null"], "description": "From 0 to 1."},
        "kind": {"type": "string", "enum": ["a", "b"], "description": "Kind.", "default": "a"},
        "ids": {"type": ["array", "null"], "items": {"type": "integer"}, "description": "IDs."},
    }
    result = session.call("echo", {"number": 3.0, "share": 1, "ids": [1, 2]})
    assert result.data == {
        "number": 3, "word": "x", "flag": False, "share": 1.0, "kind": "a", "ids": [1, 2], "now": result.data["now"],
    }  # fmt: skip
    assert isinstance(result.data["number"], int)
    assert isinstance(result.data["share"], float)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", result.data["now"])
    for wrong in ({}, {"number": "3"}, {"number": 1, "kind": "c"}, {"number": 1, "ids": ["x"]}, {"number": 1, "db": 2}):
        error = session.call("echo", wrong).error
        assert error
        assert error.code == "INVALID_ARGUMENT"


def test_the_plug_ins_name_is_its_own() -> None:
    usual = build.toolset(world(), "crud")

    def taken(db: Access) -> int:
        return 1

    taken.__name__ = usual.names[0]
    toolset = build.toolset(world(), "crud", plugins=[taken])
    assert toolset[usual.names[0]].kind == "plugin"
    assert len(set(toolset.names)) == len(usual) + 1


def test_answers_are_objects_that_meet_their_schema() -> None:
    def number(db: Access) -> int:
        return 4

    def wrong(db: Access) -> int:
        return "four"  # type: ignore[return-value]

    def untyped(db: Access):  # type: ignore[no-untyped-def]
        return [1, None]

    def strange(db: Access) -> Any:
        return object()

    session = act(number, wrong, untyped, strange)
    assert session.call("number").data == {"result": 4}
    assert session.call("untyped").data == {"result": [1, None]}
    assert session.toolset["number"].returns["properties"] == {"result": {"type": "integer"}}
    for name in ("wrong", "strange"):
        error = session.call(name).error
        assert error
        assert error.code == "PLUGIN_ERROR"


def bad_varargs(db: Access, *more: int) -> int:
    return 0


def bad_untyped(db: Access, x) -> int:  # type: ignore[no-untyped-def]
    return 0


def bad_type(db: Access, x: bytes) -> int:
    return 0


def bad_private(db: Access, _x: int) -> int:
    return 0


def bad_world() -> int:
    return 0


def bad_return(db: Access) -> re.Pattern[str]:
    return re.compile("")


def reset(db: Access) -> int:
    return 0


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (bad_varargs, "any number of values"), (bad_untyped, "no type hint"), (bad_type, "a type that no tool takes"),
        (bad_private, "another name"), (bad_world, "the first one is the world"), (bad_return, "JSON cannot hold"),
        (reset, "cannot be the name of a tool"),
    ],
)  # fmt: skip
def test_functions_that_cannot_be_tools_are_refused(function: Any, text: str) -> None:
    with pytest.raises(BadRequest, match=text):
        plugin(function)


def test_two_plug_ins_of_a_name_are_refused() -> None:
    with pytest.raises(BadRequest, match="two plug-ins named 'echo'"):
        build.toolset(world(), plugins=[echo, plugin(echo)])


def test_docstrings_are_read() -> None:
    assert read_docstring("") == ("", {})
    assert read_docstring("Do it.\n\nArgs:\n    a: One: two.\n    b (int, optional): B.\nRaises:\n    c: No.") == (
        "Do it.", {"a": "One: two.", "b": "B."},
    )  # fmt: skip


# --- plug-ins: what a call does


def target() -> tuple[str, str, str]:
    """SQL names of a table with rows, of its key and of a text column without rules."""
    for table in world().schema.tables:
        free = [c for c in table.columns if c.type in ("note", "comment", "description", "text")]
        if free and len(table.primary_key) == 1 and world().counts[table.key] > 1:
            return quote(table.name), quote(table[table.primary_key[0]].name), quote(free[0].name)
    raise AssertionError("no table with text")


def writer(way: str) -> Plugin:
    table, key, text = target()

    def rewrite(db: Access, words: str) -> int:
        """Write words into every row."""
        changed = db.write(f"UPDATE {table} SET {text} = :words", {"words": words})
        if way == "refuse":
            raise ToolError("CONFLICT", "Not today.", cure="Try tomorrow.", parameter="words", rule="day")
        if way == "crash":
            raise KeyError("the secret of the server")
        if way == "swallow":
            try:
                db.write(f"UPDATE {table} SET {key} = (SELECT min({key}) FROM {table})")
            except Exception:
                return -1
        if way == "strange":
            return object()  # type: ignore[return-value]
        if way == "bad sql":
            db.write("UPDATE nothing SET x = 1")
        if way == "ddl":
            db.write("DROP TABLE x")
        if way == "sneak":
            try:
                db.rows(f"WITH x AS (SELECT 1) UPDATE {table} SET {text} = 'y' RETURNING 1")
            except BadRequest:
                return -1
        return changed

    return plugin(rewrite, read_only=False, destructive=True)


def test_a_plug_in_writes_like_any_tool() -> None:
    session = act(writer("fine"))
    result = session.call("rewrite", {"words": "hello"})
    assert result.ok, result.error
    assert len(session.journal[0].changes) == len(session.diff().changes) == result.data["result"] > 1
    assert session.journal[0].wrote
    table, _, text = target()
    assert session.rows(f"SELECT DISTINCT {text} FROM {table}") == [("hello",)]
    twin = session.fork()
    session.undo()
    assert not session.diff().changes
    assert len(twin.diff().changes) == result.data["result"]
    tool = session.toolset["rewrite"]
    assert (tool.read_only, tool.destructive, tool.idempotent) == (False, True, False)
    assert tool.writes


@pytest.mark.parametrize(
    ("way", "code", "text"),
    [
        ("refuse", "CONFLICT", "Not today."), ("crash", "PLUGIN_ERROR", "rewrite failed with KeyError."),
        ("swallow", "CONFLICT", "already"), ("strange", "PLUGIN_ERROR", "ValidationError|TypeError"),
        ("bad sql", "PLUGIN_ERROR", "SQLError"), ("ddl", "PLUGIN_ERROR", "BadRequest|SQLError"),
        ("sneak", "PLUGIN_ERROR", "BadRequest"),
    ],
)  # fmt: skip
def test_a_plug_in_that_fails_changes_nothing(way: str, code: str, text: str) -> None:
    session = act(writer(way))
    before = session.now
    result = session.call("rewrite", {"words": "hello"})
    assert result.error
    assert result.error.code == code
    assert re.search(text, result.error.message)
    assert "secret" not in result.text
    assert "Traceback" not in result.text
    assert not session.diff().changes
    table, _, text_column = target()
    assert session.rows(f"SELECT count(*) FROM {table} WHERE {text_column} = 'hello'") == [(0,)]
    assert session.now == before
    if way == "refuse":
        assert (result.error.cure, result.error.parameter, result.error.rule) == ("Try tomorrow.", "words", "day")


def test_a_reading_plug_in_cannot_write() -> None:
    table, _, text = target()

    def sly(db: Access, how: Literal["write", "rows"]) -> int:
        sql = f"UPDATE {table} SET {text} = 'z' RETURNING 1"
        return db.write(sql) if how == "write" else len(db.rows(sql))

    session = act(sly)
    for how in ("write", "rows"):
        error = session.call("sly", {"how": how}).error
        assert error
        assert error.code == "PLUGIN_ERROR"
    assert not session.diff().changes


def test_a_reading_plug_in_leaves_the_clock() -> None:
    table, key, _ = target()

    def keys_of(db: Access, most: int = 2) -> list[int | str]:
        return [k for (k,) in db.rows(f"SELECT {key} FROM {table} ORDER BY 1 LIMIT ?", (most,))]

    session = act(keys_of)
    before = session.now
    assert len(session.call("keys_of", {}).data["result"]) == 2
    assert session.now == before
    assert not session.journal[0].wrote


def forbidden_move(one: World) -> tuple[str, str, str, str] | None:
    """SQL names of a table and its state column, a state that rows are in, and one that no move leads to from there."""
    rows = Session(one, build.toolset(one)).rows
    for table in one.schema.tables:
        if table.lifecycle:
            name, column = quote(table.name), quote(table[table.lifecycle.column].name)
            there = [s for (s,) in rows(f"SELECT DISTINCT {column} FROM {name}")]
            for a in there:
                for b in table.lifecycle.states:
                    if a != b and (a, b) not in table.lifecycle.moves:
                        return name, column, a, b
    return None


def test_the_laws_hold_for_plug_ins_too() -> None:
    """A state that no move leads to is refused, whatever the SQL."""
    for seed in range(20):
        if found := forbidden_move(world(seed)):
            break
    assert found
    name, column, a, b = found

    def force(db: Access, state: str) -> int:
        return db.write(f"UPDATE {name} SET {column} = ? WHERE {column} = ?", (state, a))

    session = act(plugin(force, read_only=False), seed=seed)
    error = session.call("force", {"state": b}).error
    assert error
    assert error.code in ("RULE_VIOLATION", "FORBIDDEN")
    assert not session.diff().changes


def test_an_unknown_code_is_the_authors_mistake() -> None:
    with pytest.raises(BadRequest, match="'TEAPOT' is no error code"):
        ToolError("TEAPOT", "Short and stout.")
