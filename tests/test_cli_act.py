"""Acting in a world from the shell and at the prompt: tools, call, play.

No test names a generated tool: tools are taken from the toolset by kind, calls are drawn from the world's rows.
"""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import worlddb
from tests.calls import draw_call
from worlddb.cli import cli
from worlddb.cli.complete import Choice, Completions, as_completer
from worlddb.cli.line import parameters, read_text, read_words, split, typed
from worlddb.cli.play import COMMANDS, Player, on_terminal
from worlddb.errors import BadRequest
from worlddb.tools.build import SETS
from worlddb.tools.model import KINDS, Tool, Words
from worlddb.tools.show import (
    SIGNS,
    TABLE,
    answer_lines,
    change_data,
    diff_lines,
    diff_summary,
    schema_text,
    table_lines,
    tool_lines,
    tools_lines,
)  # fmt: skip
from worlddb.tools.words import sentence

ROOT = Path(worlddb.__file__).parent.parent
SEED = 21
WORLD = worlddb.generate(SEED)
TOOLS = WORLD.toolset()
STYLE = ("--style", "crud")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


def run(*arguments: object, code: int = 0, given: str = "") -> str:
    """The output of a command that ends with the given status."""
    result: Result = CliRunner().invoke(cli, [str(a) for a in arguments], input=given)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def of_kind(kind: str) -> Tool:
    return next(t for t in TOOLS if t.kind == kind)


def a_write(kind: str = "") -> tuple[Tool, dict[str, Any]]:
    """A call that changes rows of the world as it was grown."""
    draw = random.Random(5)
    for _ in range(30):
        for tool in TOOLS:
            if tool.read_only or (kind and tool.kind != kind):
                continue
            session = WORLD.session(TOOLS)
            arguments = draw_call(session, tool, draw)
            if session.call(tool.name, arguments).ok and session.journal[-1].changes:
                return tool, arguments
    raise AssertionError(f"no call of kind {kind!r} succeeds")


def a_refused() -> tuple[Tool, dict[str, Any]]:
    """A call of something that is not there."""
    tool = of_kind("get")
    key = tool.params[0]
    missing = 10**9 if key.schema["type"] == "integer" else "nothing-like-it"
    return tool, {key.name: missing}


# --- tools


def test_tools_shows_every_tool_and_counts_them():
    said = run("tools", SEED)
    lines = said.splitlines()
    assert lines[0].split()[:2] == ["tool", "kind"]
    assert [line.split()[0] for line in lines[2 : 2 + len(TOOLS)]] == list(TOOLS.names)
    assert lines[-1].startswith(f"{len(TOOLS)} tools: ")
    assert sum(map(int, re.findall(r"(\d+) \w+(?:,|$)", lines[-1].partition(":")[2]))) == len(TOOLS)


def test_tools_of_one_kind():
    said = run("tools", SEED, "--kind", "get", "--kind", "create").splitlines()
    chosen = [t.name for t in TOOLS if t.kind in ("get", "create")]
    assert [line.split()[0] for line in said[2:-2]] == chosen
    assert said[-1].startswith(f"{len(chosen)} tools: ")
    assert "did you mean 'create'" in run("tools", SEED, "--kind", "creat", code=1)
    assert run("tools", SEED, "--kind", "plugin") == "no tools\n"


def test_tools_shows_what_a_tool_may_change():
    tool = next(t for t in TOOLS if t.writes)
    said = " ".join(run("tools", SEED, "--name", tool.name).splitlines()[:3])
    for table, op in tool.writes:
        assert re.search(rf"{re.escape(SIGNS[op])}[+~-]*{WORLD.schema[table].name}\b", said), (table, op)


@pytest.mark.parametrize("seed", [SEED, 7, 8, 42])
def test_a_table_of_tools_is_as_wide_as_a_page(seed):
    world = worlddb.generate(seed, "tiny")
    tools = world.toolset()
    said = run("tools", seed, "--profile", "tiny").splitlines()
    assert max(map(len, said[:-1])) <= TABLE
    assert [line.split()[0] for line in said[2 : 2 + len(tools)]] == list(tools.names), "no name is cut"
    assert "what it does" in said[0]
    for width in (50, 60, 80, 200, 400):
        lines = tools_lines(tools, world.schema, width)
        names = max(len(f"{t.name}  {t.kind}") for t in tools) + len("transition")
        assert max(len(x) for x in lines if not x.startswith("(not shown")) <= max(width, names)
        shown = set(re.split(r"  +", lines[0]))
        hidden = set(lines[-1][12:-1].split(", ")) if lines[-1].startswith("(not shown") else set()
        assert shown | hidden == {"tool", "kind", "writes", "required", "what it does"}


@pytest.mark.parametrize("kind", sorted({t.kind for t in TOOLS}))
def test_one_tool_in_full(kind):
    tool = of_kind(kind)
    said = run("tools", SEED, "--name", tool.name)
    assert said.startswith(f"{tool.name} ({kind}; ")
    assert tool.description.split(".")[0] in " ".join(said.split())
    for name in tool.parameters["properties"]:
        assert re.search(
            rf"^  {name}{re.escape('*' * (name in tool.parameters.get('required', ())))}( |$)", said, re.M
        ), name
    for name in tool.returns["properties"]:
        assert re.search(rf"^  {name}\b", said, re.M), name
    if tool.read_only and tool.reply.missing:
        assert tool.reply.missing.code in said
    assert "{" not in re.sub(r"\[[^\]]*\]", "", said), "the holes of messages are named"


@pytest.mark.parametrize("seed", range(8))
def test_rules_and_types_are_told_in_words(seed):
    world = worlddb.generate(seed, "tiny")
    says = {sentence(r.say) for r in world.schema.rules}
    for tool in world.toolset(sets="both"):
        lines = tool_lines(tool, world.schema)
        told = lines[lines.index("Rules") + 1 :] if "Rules" in lines else []
        rules = re.sub(r"\n +", " ", "\n".join(x[2:] for x in told)).split("\n") if told else []
        assert len(rules) == len(tool.rules), tool.key
        for rule, text in zip(tool.rules, rules, strict=True):
            if ":" in rule:
                assert re.fullmatch(rf"[A-Z<].+ .+[.?] \[{rule}\]", text), (tool.key, text)
            else:
                assert text in says
        assert not re.search(r"<(why|ways|at|n|lost|was_\w+|item_\w+)>|\{\w+\}|matches \^", "\n".join(lines)), tool.key
        assert max(map(len, lines)) <= 150


def test_a_tool_that_is_not_there():
    name = TOOLS.names[0]
    assert f"did you mean '{name}'" in run("tools", SEED, "--name", f"{name}x", code=1)


def test_the_forms_of_frameworks():
    assert json.loads(run("tools", SEED, "--format", "openai")) == TOOLS.openai()
    assert json.loads(run("tools", SEED, "--format", "mcp")) == TOOLS.mcp()
    assert json.loads(run("tools", SEED, "--format", "json")) == json.loads(TOOLS.json())
    one = of_kind("list")
    [form] = json.loads(run("tools", SEED, "--format", "openai", "--name", one.name))
    assert form["function"]["name"] == one.name
    some = json.loads(run("tools", SEED, "--format", "mcp", "--kind", "list"))
    assert [t["name"] for t in some] == [t.name for t in TOOLS if t.kind == "list"]


def test_style_and_sets():
    crud = json.loads(run("tools", SEED, "--format", "openai", *STYLE))
    assert [t["function"]["name"] for t in crud] == list(WORLD.toolset("crud").names)
    assert "no API style named 'crudd'" in run("tools", SEED, "--style", "crudd", code=1)
    [sql] = json.loads(run("tools", SEED, "--sets", "sql", "--format", "json"))
    assert sql["kind"] == "sql"
    assert len(json.loads(run("tools", SEED, "--sets", "both", "--format", "openai"))) == len(TOOLS) + 1
    [option] = [p for p in cli.commands["tools"].params if p.name == "sets"]
    assert list(option.type.choices) == list(SETS)


def test_the_world_is_named_as_elsewhere(tmp_path):
    store = worlddb.spawn(tmp_path / "small", 2, seed=SEED, profile="tiny", workers=1)
    tiny = store[0].toolset().names
    for name in (store[0].id, str(SEED), "#0"):
        said = json.loads(run("tools", name, "--store", tmp_path / "small", "--format", "openai"))
        assert [t["function"]["name"] for t in said] == list(tiny)
    assert json.loads(run("tools", SEED, "--profile", "tiny", "--format", "mcp")) == store[0].toolset().mcp()
    assert "no world named" in run("tools", f"nothing-{SEED}", code=1)


# --- call


def test_call_shows_the_result_and_the_changes():
    tool, arguments = a_write()
    session = WORLD.session(TOOLS)
    result = session.call(tool.name, arguments)
    changes = session.journal[-1].changes
    said = run("call", SEED, tool.name, json.dumps(arguments))
    data, rest = json.JSONDecoder().raw_decode(said)
    assert data == result.data
    assert said[rest:].split("\n")[1:-1] == [*diff_lines(WORLD.schema, changes), diff_summary(changes)]


def test_call_for_scripts():
    tool, arguments = a_write()
    session = WORLD.session(TOOLS)
    result = session.call(tool.name, arguments)
    found = json.loads(run("call", SEED, tool.name, json.dumps(arguments), "--json"))
    assert (found["tool"], found["ok"], found["result"]) == (tool.name, True, result.data)
    assert found["changes"] == [change_data(WORLD.schema, c) for c in session.journal[-1].changes]
    assert {"op", "table", "key", "before", "after"} == set(found["changes"][0])


def test_a_refused_call_ends_with_1():
    tool, arguments = a_refused()
    result = WORLD.session(TOOLS).call(tool.name, arguments)
    assert not result.ok
    said = run("call", SEED, tool.name, json.dumps(arguments), code=1)
    assert json.loads(said) == json.loads(result.json)
    found = json.loads(run("call", SEED, tool.name, json.dumps(arguments), "--json", code=1))
    assert (found["ok"], found["changes"], found["result"]) == (False, [], json.loads(result.json))


@pytest.mark.parametrize("given", ["{", '{"nothing": 1}', "[1]"])
def test_malformed_arguments_are_the_tools_business(given):
    said = json.loads(run("call", SEED, of_kind("list").name, given, code=1))
    assert said["error"]["code"] == "INVALID_ARGUMENT"


def test_an_unknown_tool_is_told_as_to_an_agent():
    for arguments in ((), ("x=1",), ("17", "18"), ("{}",)):
        said = json.loads(run("call", SEED, "nothing_like_it", *arguments, code=1))
        assert said["error"]["code"] == "UNKNOWN_TOOL"


def test_arguments_as_names_and_values_as_json_and_from_stdin():
    tool = next(t for t in TOOLS if t.kind == "list" and not t.parameters.get("required") and t.param("limit"))
    limit = tool.param("limit").name
    expected = WORLD.session(TOOLS).call(tool.name, {limit: 2}).data
    for arguments, given in (((f"{limit}=2",), ""), ((json.dumps({limit: 2}),), ""), (("-",), json.dumps({limit: 2}))):
        assert json.loads(run("call", SEED, tool.name, *arguments, given=given)) == expected
    get = of_kind("get")
    key = WORLD.session(TOOLS).call(tool.name, {limit: 1})
    assert key.ok
    row = draw_call(WORLD.session(TOOLS), get, random.Random(1))
    assert json.loads(run("call", SEED, get.name, *(str(v) for v in row.values()))) == (
        WORLD.session(TOOLS).call(get.name, row).data
    )
    assert "belongs to no parameter" in run("call", SEED, get.name, *map(str, row.values()), "1", code=1)


def test_several_calls_in_one_episode():
    tool, arguments = a_write()
    refused, wrong = a_refused()
    words = " ".join(f"{k}={shlex.quote(str(v))}" for k, v in wrong.items())
    line = ("call", SEED, tool.name, json.dumps(arguments), "--then", refused.name, words, "--then", tool.name, "{}")
    first, second, third = json.loads(run(*line, "--json", code=1))
    assert first["ok"]
    assert first["changes"]
    assert (second["result"]["error"]["code"], third["result"]["error"]["code"]) == ("NOT_FOUND", "INVALID_ARGUMENT")
    said = run(*line, code=1)
    assert [x for x in said.splitlines() if x.startswith("> ")] == [
        f"> {n}" for n in (tool.name, refused.name, tool.name)
    ]


def test_an_episode_in_a_file(tmp_path):
    tool, arguments = a_write("create")
    file = tmp_path / "episode.bin"
    once, twice = WORLD.session(TOOLS), WORLD.session(TOOLS)
    once.call(tool.name, arguments)
    twice.call(tool.name, arguments)
    twice.call(*(again := (TOOLS.names[0], {"nothing": 1})))
    first = json.loads(run("call", SEED, tool.name, json.dumps(arguments), "--session", file, "--json"))
    assert first["changes"] == [change_data(WORLD.schema, c) for c in once.journal[-1].changes]
    assert file.read_bytes() == once.suspend()
    run("call", SEED, again[0], json.dumps(again[1]), "--session", file, code=1)
    assert file.read_bytes() == twice.suspend()
    assert [p.name for p in tmp_path.iterdir()] == ["episode.bin"]


def test_a_file_that_is_no_episode_of_this_world(tmp_path):
    other = tmp_path / "other.bin"
    other.write_bytes(WORLD.session(TOOLS).suspend())
    line = ("call", SEED + 1, "x", "--session", other)
    assert "suspended in another world" in run(*line, code=1)
    assert "another toolset" in run("call", SEED, "x", "--sets", "both", "--session", other, code=1)
    assert other.read_bytes() == WORLD.session(TOOLS).suspend(), "left as it was"
    junk = tmp_path / "junk.txt"
    junk.write_text("letters")
    assert f"{junk}: these bytes are no suspended session" in run("call", SEED, "x", "--session", junk, code=1)
    assert junk.read_text() == "letters"
    assert "cannot be written" in run("call", SEED, "x", "--session", tmp_path / "no" / "x.bin", code=1)


def test_a_terminal_gets_colours(monkeypatch, capsys):
    from worlddb.cli.act import painted, print_answer

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    print_answer('{"a": 1}')
    assert "\x1b[" in capsys.readouterr().out
    assert "\x1b[32m" in painted("+ room 1: floor: 2")
    assert "\x1b[" not in painted("2 rows changed: 2 inserted") + painted("-1 is a number")


# --- what is typed


def made(properties: dict[str, Any], required: tuple[str, ...] = ()) -> Tool:
    """A tool with these parameters, for what reads its schema only."""
    reply = TOOLS.tools[0].reply
    return Tool(
        key="x.x", name="x", kind="get", table="x", words=Words(verb="x"), description="x", reply=reply,
        parameters={"type": "object", "properties": properties, "required": list(required)},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "integer"}, "5", 5),
        ({"type": "integer"}, "five", "five"),
        ({"type": "integer"}, "1.5", 1.5),
        ({"type": "integer"}, "null", None),
        ({"type": "number"}, "5", 5),
        ({"type": "number"}, "-1.5", -1.5),
        ({"type": "string"}, "5", "5"),
        ({"type": "string"}, "true", "true"),
        ({"type": "string"}, "null", "null"),
        ({"type": ["string", "null"]}, "null", None),
        ({"type": ["string", "null"]}, '"null"', "null"),
        ({"type": "string"}, '"5"', "5"),
        ({"type": "string"}, "", ""),
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, "yes", "yes"),
        ({"type": "array", "items": {"type": "integer"}}, "1, 2", [1, 2]),
        ({"type": "array", "items": {"type": "integer"}}, "1", [1]),
        ({"type": "array", "items": {"type": "string"}}, "a,b", ["a", "b"]),
        ({"type": "array", "items": {"type": "string"}}, '["a,b"]', ["a,b"]),
        ({"type": "object"}, '{"a": 1}', {"a": 1}),
        ({}, "5", 5),
        ({}, "five", "five"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "5", 5),
    ],
)
def test_values_are_typed_by_their_schema(schema, text, value):
    found = typed(schema, text)
    assert (found, type(found)) == (value, type(value))


def test_names_values_and_bare_values():
    number, text = {"type": "integer"}, {"type": "string"}
    tool = made(
        {"id": number, "to": number, "note": text, "filters": {"type": "object", "properties": {"n": number}}},
        ("id", "to"),
    )
    assert set(parameters(tool)) == {"id", "to", "note", "filters", "filters.n"}
    assert read_text(tool, "7 8 note='a b=c'") == {"id": 7, "to": 8, "note": "a b=c"}
    assert read_text(tool, "to=8 7") == {"to": 8, "id": 7}
    assert read_text(tool, "filters.n=3") == {"filters": {"n": 3}}
    assert read_text(tool, "") == {}
    assert read_text(tool, ' {"id": 1}') == {"id": 1}
    assert read_text(tool, '{"id": ') == '{"id": '
    assert read_text(None, "3 a=b") == {"a": "b"}
    with pytest.raises(BadRequest, match="to is given twice"):
        read_text(tool, "to=1 to=1")
    with pytest.raises(BadRequest, match=r"filters\.n is given twice"):
        read_text(tool, "filters.n=1 filters.n=2")
    with pytest.raises(BadRequest, match="filters is given twice"):
        read_text(tool, "filters.n=1 filters={}")
    with pytest.raises(BadRequest, match="'9' belongs to no parameter"):
        read_text(tool, "7 8 9")
    with pytest.raises(BadRequest, match="quotes do not close"):
        read_text(tool, "note='a")
    with pytest.raises(BadRequest, match="filters has a value already"):
        read_text(tool, "filters=3 filters.n=3")


def test_a_list_may_be_json():
    ids = {"type": "array", "items": {"type": "integer"}}
    names = {"type": "array", "items": {"type": "string"}}
    tool = made({"ids": ids, "names": names, "note": {"type": "string"}}, ("ids",))
    for text in ("[104,105]", "104,105", "[104, 105]", "ids=104,105", "ids=[104, 105]", " [104,\t105] "):
        assert read_text(tool, text) == {"ids": [104, 105]}, text
        if " " not in text:
            assert read_words(tool, [text]) == {"ids": [104, 105]}
    assert read_text(tool, "[104] note=x") == read_words(tool, ["[104]", "note=x"]) == {"ids": [104], "note": "x"}
    assert read_text(tool, """note='a "b"' [1, 2] names=["a b", "c]"]""") == {
        "ids": [1, 2], "names": ["a b", "c]"], "note": 'a "b"',
    }  # fmt: skip
    assert read_text(made({"ids": ids}), "[1, 2]") == [1, 2], "no parameter takes it: the tool says what it expects"
    assert read_text(tool, "[" * 100_000) == {"ids": ["[" * 100_000]}
    assert read_text(tool, "[1,2") == {"ids": ["[1", 2]}
    with pytest.raises(BadRequest, match="'2' belongs to no parameter"):
        read_text(tool, "[1] 2")


@pytest.mark.parametrize("text", ["a 'b c' d", 'x="a b" y=\'c"d\'', r"a\ b c\"d", '""', "a''b", "é=ü  z\n w"])
def test_lines_are_split_as_a_shell_does(text):
    assert split(text) == shlex.split(text)


# --- what is shown


def test_schemas_in_words():
    assert schema_text({"type": "integer", "minimum": 1, "maximum": 5, "default": 2}) == "integer, 1 to 5, default 2"
    assert schema_text({"type": ["string", "null"], "enum": ["a", "b", None]}) == "one of a, b or null"
    assert schema_text({"type": "string", "format": "date"}) == "date"
    assert schema_text({"type": "array", "items": {"type": "string"}, "minItems": 1}) == "list of text, at least 1 item"
    assert schema_text({"type": ["integer", "null"], "minimum": 1}) == "integer or null, at least 1"
    assert schema_text({"type": "string", "pattern": "^ORD-[0-9]+$"}) == "text, such as ORD-12"
    assert schema_text({"type": "string", "pattern": r"^([01]\d|2[0-3]):[0-5]\d$"}) == "time of day"
    assert schema_text({"type": ["string", "null"], "format": "email"}) == "e-mail address or null"
    assert schema_text({"type": "string", "pattern": "^x$"}) == "text, matches ^x$"
    item = {"type": "object", "properties": {"n": {}, "m": {}}, "required": ["n"]}
    assert schema_text({"type": "array", "items": item}) == "list of {n*, m}"
    assert schema_text({"anyOf": [{"type": "integer"}, {"type": "null"}]}) == "integer or null"
    assert schema_text({}) == "anything"


def test_tables_fit_the_terminal():
    rows = [[1, "a" * 60, None], [22, "b", 3.5]]
    whole = table_lines(["id", "text", "n"], rows)
    assert whole[0].split() == ["id", "text", "n"]
    assert whole[2].startswith(" 1  aaa")
    assert "…" in whole[2]
    narrow = table_lines(["id", "text", "n"], rows, width=20)
    assert narrow[-1] == "(not shown: text, n)"
    assert narrow[0] == "id"


def test_answers_as_tables_and_fields():
    page = {"rooms": [{"id": 1, "tags": ["a"]}, {"id": 2, "tags": []}], "has_more": False}
    assert answer_lines(page, items="rooms") == ["id  tags", "──  ─────", ' 1  ["a"]', " 2  []", "(has_more: false)"]
    assert answer_lines({"rooms": []}, items="rooms") == ["(none)"]
    order = {"id": 1, "note": "x", "lines": [{"n": 5}]}
    assert answer_lines(order) == ["id    1", "note  x", "lines:", "  n", "  ─", "  5"]
    assert answer_lines({"order": order}) == answer_lines(order)
    compact = {"columns": ["a", "b"], "rows": [[1, None]], "truncated": False}
    assert answer_lines(compact) == ["a  b", "─  ─", "1", "(truncated: false)"]
    assert answer_lines({"name": "a\x1b[31m\nb"}) == ["name  a�[31m b"], "nothing steers the terminal"
    assert answer_lines([1]) == ["[", "  1", "]"]


# --- play


def player() -> Player:
    return Player(WORLD.session(TOOLS))


def as_line(tool: Tool, arguments: dict[str, Any]) -> str:
    return f"{tool.name} {json.dumps(arguments)}"


def test_acting_taking_back_and_starting_over():
    tool, arguments = a_write()
    one = player()
    start = one.prompt
    said = one.answer(as_line(tool, arguments))
    lines = diff_lines(WORLD.schema, one.session.diff().changes)
    assert lines
    assert said.splitlines()[-len(lines) - 1 : -1] == lines
    assert one.prompt != start, "the clock moved on"
    assert one.answer("diff").splitlines() == [*lines, diff_summary(one.session.diff())]
    assert json.loads(one.answer("last")) == one.session.journal[0].result.data
    assert one.answer("undo").startswith(f"took back call 1, {tool.name} (")
    assert (one.answer("diff"), one.answer("undo"), one.prompt) == ("no rows changed", "nothing to take back", start)
    one.answer(as_line(tool, arguments))
    one.answer("reset")
    assert (one.session.journal, one.answer("diff"), one.answer("last")) == ([], "no rows changed", "no call yet")


def test_undo_goes_back_to_the_last_change():
    tool, arguments = a_write()
    refused, wrong = a_refused()
    one = player()
    one.answer(of_kind("list").name)
    assert one.answer("undo") == "nothing to take back"
    one.answer(as_line(tool, arguments))
    one.answer(as_line(refused, wrong))
    one.answer(of_kind("list").name)
    said = one.answer("undo")
    assert said.startswith(f"took back call 2, {tool.name} (")
    assert said.endswith("), and 2 calls after it that changed nothing")
    assert [e.name for e in one.session.journal] == [of_kind("list").name]
    assert (one.answer("diff"), one.answer("undo")) == ("no rows changed", "nothing to take back")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sets", ["crud", "both", "sql"])
def test_the_examples_of_the_prompts_help_run(seed, sets):
    world = worlddb.generate(seed, "tiny")
    one = Player(world.session(world.toolset(sets=sets)))
    _, _, below = one.answer("help").partition("A tool is called")
    examples = [re.split(r" {3,}", x.strip())[0] for x in below.splitlines() if x.startswith("  ")]
    assert len(examples) == {"crud": 3, "both": 4, "sql": 1}[sets]
    for line in examples:
        one.answer(line)
        assert one.session.journal[-1].result.ok, line


def test_lists_are_tables():
    tool = next(t for t in TOOLS if t.kind == "list" and not t.parameters.get("required"))
    one = player()
    said = one.answer(tool.name).splitlines()
    data = one.session.journal[0].result.data
    items = data[tool.reply.items]
    assert len(items) > 1
    assert said[0].split() == list(items[0])
    assert len([x for x in said[2:] if not x.startswith("(")]) == len(items)


def test_help_and_tools():
    one = player()
    for command in COMMANDS:
        assert re.search(rf"^  {command}\b", one.answer("help"), re.M)
    tool = of_kind("create")
    assert one.answer(f"help {tool.name}").startswith(f"{tool.name} (create; writes ")
    assert "no tool named 'nothing'" in one.answer("help nothing")
    assert one.answer("tools").splitlines()[-1].startswith(f"{len(TOOLS)} tools: ")
    some = one.answer(f"tools {tool.name}").splitlines()
    assert any(x.startswith(tool.name) for x in some)
    assert one.answer("tools no such words") == "no tools"


def test_refusals_and_junk_change_nothing():
    one = player()
    tool, arguments = a_refused()
    assert json.loads(one.answer(as_line(tool, arguments)))["error"]["code"] == "NOT_FOUND"
    assert json.loads(one.answer("xyzzy"))["error"]["code"] == "UNKNOWN_TOOL"
    assert one.answer("") == one.answer("   ") == ""
    assert one.answer(f"{tool.name} 'a").startswith("Error: the quotes do not close")
    assert one.answer("call") == "say which tool: call TOOL ARGUMENTS"
    assert "no free SQL" in one.answer("sql SELECT 1")
    draw = random.Random(3)
    for _ in range(300):
        words = [
            draw.choice((*TOOLS.names, *COMMANDS, "=", "{", "id=", "'", "\0", "[1", "é", "x=1", "-")) for _ in range(3)
        ]
        if words[0] not in ("save", "load") and all(TOOLS[w].read_only for w in words if w in TOOLS):
            assert isinstance(one.answer(" ".join(words)), str)
    assert not len(one.session.diff())


def test_the_journal_shows_every_call():
    one = player()
    tool, arguments = a_refused()
    one.answer(as_line(tool, arguments))
    one.answer(f"call {of_kind('list').name}")
    lines = one.answer("journal").splitlines()
    assert len(lines) == 4
    assert lines[2].split()[:2] == ["1", tool.name]
    assert "NOT_FOUND" in lines[2]


def test_free_sql_at_the_prompt():
    one = Player(WORLD.session(WORLD.toolset(sets="both")))
    table = WORLD.schema.tables[0].name
    said = one.answer(f'sql SELECT count(*) AS n FROM "{table}"').splitlines()
    assert said[0].strip() == "n"
    assert int(said[2]) == WORLD.counts[WORLD.schema.tables[0].key]
    assert "SQL_" in one.answer("sql DROP TABLE x")


@pytest.mark.parametrize("seed", range(5))
def test_every_tool_of_other_worlds_can_be_told_played_and_completed(seed):
    world = worlddb.generate(seed, "tiny")
    one = Player(world.session(world.toolset(sets="both")))
    one.width = 100
    draw = random.Random(seed)
    completions = Completions(lambda: one.session, tuple(COMMANDS))
    for tool in one.session.toolset:
        assert one.answer(f"help {tool.name}").startswith(f"{tool.name} ({tool.kind}; ")
        said = one.answer(as_line(tool, draw_call(one.session, tool, draw)))
        entry = one.session.journal[-1]
        assert said.startswith("{\n") is not entry.result.ok
        assert all(line in said.splitlines() for line in diff_lines(world.schema, entry.changes))
        assert {c.text for c in completions.of(f"{tool.name} ")} <= {f"{n}=" for n in parameters(tool)}
    one.width = 0
    assert len(one.answer("journal").splitlines()) == len(one.session.toolset) + 2


def test_save_and_load(tmp_path):
    tool, arguments = a_write()
    one, two = player(), player()
    one.answer(as_line(tool, arguments))
    assert one.answer("save") == "say where: save FILE"
    assert one.answer("save a.bin") == "1 calls are in a.bin"
    assert one.answer("save") == "1 calls are in a.bin"
    assert two.answer("load") == "say what: load FILE"
    assert two.answer("save a.bin").startswith("Error: a.bin exists already")
    assert two.answer("load a.bin").startswith("1 calls made again")
    assert two.session.diff() == one.session.diff()
    assert two.answer("load b.bin").startswith("Error: there is no file b.bin")
    (tmp_path / "c.bin").write_text("c")
    assert two.answer("load c.bin").startswith("Error: c.bin: these bytes")
    assert two.session.diff() == one.session.diff()


def test_lines_from_a_pipe():
    tool, arguments = a_write()
    said = run("play", SEED, given=f"{as_line(tool, arguments)}\n\ndiff\nundo\ndiff\nquit\nhelp\n")
    assert said.startswith(WORLD.schema.title)
    asked = [x for x in said.splitlines() if x.startswith(f"{WORLD.id} ")]
    assert [x.partition("> ")[2].split(" ")[0] for x in asked] == [tool.name, "", "diff", "undo", "diff", "quit"]
    assert "no rows changed" in said
    assert "Commands:" not in said, "nothing is read after quit"
    run("call", SEED, TOOLS.names[0], "{", "--session", "e.bin", code=1)
    assert "INVALID_ARGUMENT" in run("play", SEED, "--session", "e.bin", given="journal\n")


def test_a_terminal_asks_completes_and_survives_ctrl_c(capsys, tmp_path):
    from prompt_toolkit.input import create_pipe_input
    from prompt_toolkit.output import DummyOutput

    tool, arguments = a_write()
    one = player()
    with create_pipe_input() as pipe:
        pipe.send_text(f"{as_line(tool, arguments)}\rhalf a line\x03journal\r\x04")
        on_terminal(one, input=pipe, output=DummyOutput())
    assert [e.name for e in one.session.journal] == [tool.name]
    assert "rows changed" in capsys.readouterr().out
    assert not one.over
    with create_pipe_input() as pipe:
        pipe.send_text("quit\r")
        on_terminal(one, input=pipe, output=DummyOutput())
    assert one.over
    assert [p.name for p in tmp_path.rglob("play_history")] == ["play_history"]


def test_without_a_place_for_the_history(monkeypatch, tmp_path):
    from prompt_toolkit.history import InMemoryHistory

    from worlddb.cli.play import _history

    (tmp_path / "file").write_text("")
    monkeypatch.setattr("click.get_app_dir", lambda name: str(tmp_path / "file" / name))
    assert isinstance(_history(), InMemoryHistory)


# --- completion


def choices(text: str) -> list[Choice]:
    session = WORLD.session(TOOLS)
    return Completions(lambda: session, tuple(COMMANDS)).of(text)


def test_tools_and_commands_complete():
    name = of_kind("list").name
    assert {c.text for c in choices("")} == {*COMMANDS, *TOOLS.names}
    found = choices(name[:3])
    assert found[0].text.startswith(name[:3])
    assert name in [c.text for c in found]
    assert {c.replaces for c in found} == {3}
    assert choices(f"help {name}")[0] == choices(f"call {name}")[0] == Choice(name, len(name), "list")
    word = name.replace("-", "_").split("_")[-1]
    assert name in [c.text for c in choices(word)], "also by a later word"


def test_parameters_complete():
    tool = of_kind("create")
    required = tool.parameters["required"]
    assert [c.text for c in choices(f"{tool.name} ")] == [f"{n}=" for n in tool.parameters["properties"]]
    assert [c.text for c in choices(f"call {tool.name} ")] == [f"{n}=" for n in tool.parameters["properties"]]
    rest = [c.text for c in choices(f"{tool.name} {required[0]}='a b' ")]
    assert f"{required[0]}=" not in rest
    start = required[0][:2]
    found = next(c for c in choices(f"{tool.name} {start}") if c.text == f"{required[0]}=")
    assert found.replaces == 2
    assert found.note.startswith("required")
    assert choices(f'{tool.name} {{"{start}') == choices("xyzzy ") == choices(f"{tool.name} xyzzy=") == []


def test_choices_complete():
    tool = next(t for t in TOOLS if any("enum" in s for s in t.parameters["properties"].values()))
    name, schema = next((n, s) for n, s in tool.parameters["properties"].items() if "enum" in s)
    wanted = [str(v) for v in schema["enum"] if v is not None]
    assert [c.text for c in choices(f"{tool.name} {name}=")] == wanted
    assert choices(f"{tool.name} {name}={wanted[-1]}")[0] == Choice(wanted[-1], len(wanted[-1]))


def test_keys_of_the_world_complete():
    tool = next(t for t in TOOLS if t.kind == "get" and t.params[0].schema["type"] == "integer")
    key = tool.params[0].name
    found = choices(f"{tool.name} {key}=")
    assert len(found) > 1
    for choice in found:
        assert WORLD.session(TOOLS).call(tool.name, {key: int(choice.text)}).ok
    assert all(c.text.startswith("1") for c in choices(f"{tool.name} {key}=1"))


def test_every_completed_value_is_a_word_that_fits():
    """Whatever is offered for a parameter is read back as a value that its tool takes."""
    from worlddb.tools.arguments import compile_check

    offered = 0
    for tool in TOOLS:
        for name, schema in parameters(tool).items():
            for choice in choices(f"{tool.name} {name}=")[:3]:
                found = read_text(tool, f"{name}={choice.text}")
                value = found[name] if name in found else found[name.partition(".")[0]][name.partition(".")[2]]
                assert compile_check(schema)(value) is None, (tool.name, name, choice)
                offered += 1
    assert offered > 50


def test_a_list_completes_its_last_item():
    tools = [(t, n) for t in TOOLS for n, s in parameters(t).items() if s.get("type") == "array"]
    tool, name = next((t, n) for t, n in tools if len(choices(f"{t.name} {n}=")) > 1)
    first, second = choices(f"{tool.name} {name}=")[:2]
    assert second in choices(f"{tool.name} {name}={first.text},")


def test_prompt_toolkit_gets_the_choices():
    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    session = WORLD.session(TOOLS)
    completer = as_completer(Completions(lambda: session, tuple(COMMANDS)))
    [found] = completer.get_completions(Document("jour"), CompleteEvent())
    assert (found.text, found.start_position) == ("journal", -4)


# --- the commands themselves


def examples(command: str) -> list[str]:
    """The example lines of a command's help."""
    return [x.strip() for x in run(command, "--help").partition("Examples:\n")[2].split("\n\n")[0].splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store that examples name."""
    home = tmp_path_factory.mktemp("examples")
    worlddb.spawn(home / "data" / "small", 2, seed=SEED, profile="tiny", workers=1)
    return home


@pytest.mark.parametrize("line", [x for command in ("tools", "call", "play") for x in examples(command)])
def test_the_examples_of_help_run(line, place):
    """As a newcomer would paste them; files that one leaves are there for the next."""
    ours = f'worlddb() {{ {shlex.quote(sys.executable)} -m worlddb.cli "$@"; }}; set -o pipefail; {line}'
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", ours], cwd=place, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    assert done.stdout.strip() or ">" in line


def test_help_has_examples_and_loads_nothing_heavy():
    for name in ("tools", "call", "play"):
        assert "worlddb " in run(name, "--help").partition("Example")[2]
    code = (
        "import sys; from worlddb.cli import cli\n"
        "try: cli(['play', '-h'])\nexcept SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"prompt_toolkit", "msgspec", "apsw", "rich"} & {m.partition(".")[0] for m in done.stderr.split()}


def test_every_kind_has_a_place_in_the_summary():
    assert {t.kind for t in TOOLS} <= set(KINDS)
