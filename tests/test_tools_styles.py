"""API styles and perturbations: names are legal and schemas complete, and they change how an API looks, never what it does."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from typing import Any

import jsonschema
import pytest
from msgspec.structs import replace

import worlddb
from tests.calls import draw_call
from worlddb.errors import BadRequest, UnknownName
from worlddb.rng import Stream
from worlddb.tools import build
from worlddb.tools.choose import Keys
from worlddb.tools.keys import call_of, rows_of
from worlddb.tools.model import Param, Tool
from worlddb.tools.names import LEGAL, NO_ARGUMENT, api, is_reserved, plainest
from worlddb.tools.perturb import Perturbation, first_clause
from worlddb.tools.session import Session
from worlddb.tools.styles import Style, draw_style
from worlddb.tools.toolset import Toolset
from worlddb.world.model import World

STYLES: tuple[str | None, ...] = (None, *api().presets)
SEEDS = range(500, 506)
WORDS = {"rename_tools": 1, "rename_params": 1, "distractors": 9, "terse": 1}
SHORT = {"rename_tools": 2, "rename_params": 2, "terse": 2, "shuffled": True}
OPAQUE = {"rename_tools": 3, "rename_params": 3, "terse": 3, "distractors": 12, "shuffled": True}
PERTURBATIONS = tuple(Perturbation(**levels) for levels in (WORDS, SHORT, OPAQUE))  # type: ignore[arg-type]


@cache
def world(seed: int) -> World:
    return worlddb.generate(seed, profile="tiny" if seed % 3 else "default")


def api_of(seed: int, style: Style | str | None = None, **options: Any) -> Toolset:
    return build.toolset(world(seed), style, **options)


@cache
def apis(seed: int) -> list[Toolset]:
    """One world's API in every style and under every perturbation."""
    found = [api_of(seed, style) for style in STYLES]
    return found + [api_of(seed, s, perturb=p) for p in PERTURBATIONS for s in (None, "rest", "nested")]


def draw(session: Session, tool: Tool, dice: random.Random) -> dict[str, Any]:
    """Arguments of a tool of a flat style, by name."""
    offered = replace(tool, params=tuple(p for p in tool.params if not p.hidden))
    if tool.kind == "distractor" and "@" not in tool.key:
        asked = sorted(offered.params, key=lambda p: not p.required)
        return {p.name: made(p.schema) for at, p in enumerate(asked) if p.required or at < tool.least}
    return draw_call(session, offered, dice)


def made(schema: dict[str, Any]) -> Any:
    """A value that meets a schema."""
    kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    if kind == "array":
        return [made(schema["items"])]
    if kind == "object":
        return {n: made(schema["properties"][n]) for n in schema.get("required", ())}
    if "enum" in schema:
        return schema["enum"][0]
    pattern, shape = schema.get("pattern", ""), schema.get("format", "")
    texts = {
        "date": "2025-03-01", "uuid": "123e4567-e89b-42d3-a456-426614174000", "email": "a@example.org", "uri": "https://example.org",
    }  # fmt: skip
    if pattern.endswith("-[0-9]+$"):
        return f"{pattern[1:].partition('-[')[0]}-7"
    if ("{" in pattern and "[A-Z]" in pattern) or "[a-z]" in pattern:
        return {"^[A-Z]{3}$": "EUR", "^[A-Z]{2}$": "DE", "^[a-z]{2}$": "de", "^[a-z]{2}_[A-Z]{2}$": "de_DE"}[pattern]
    text = "10:30" if "[01]" in pattern else "2025-03-01 10:00:00" if pattern else texts.get(shape, "some words")
    return {"integer": schema.get("minimum", 7), "number": schema.get("minimum", 7.5), "boolean": True, "string": text}[
        kind
    ]


def flat(params: tuple[Param, ...]) -> list[Param]:
    return [p for one in params for p in (one, *flat(one.fields)) if not one.hidden]


# --- names


@pytest.mark.parametrize("seed", SEEDS)
def test_names_are_legal_and_there_once(seed: int) -> None:
    for toolset in apis(seed):
        names = toolset.names
        assert len({plainest(n) for n in names}) == len(toolset.tools)
        assert len({t.key for t in toolset}) == len(toolset.tools)
        for tool in toolset:
            assert LEGAL.fullmatch(tool.name)
            assert not is_reserved(tool.name)
            shown = [p.name for p in tool.params if not p.hidden]
            assert len(set(shown)) == len(shown) == len(tool.parameters["properties"])
            for param in flat(tool.params):
                assert param.name.isidentifier()
                assert param.name.lower() not in NO_ARGUMENT
                assert LEGAL.fullmatch(param.name)


def test_names_are_short() -> None:
    lengths = [len(n) for seed in SEEDS for style in STYLES for n in api_of(seed, style).names]
    assert sum(n > 40 for n in lengths) < len(lengths) / 20


def test_an_api_speaks_one_way() -> None:
    for seed in SEEDS:
        assert all(n[0].islower() and "_" not in n for n in api_of(seed, "camel").names)
        assert all(n[0].isupper() for n in api_of(seed, "pascal").names)
        assert all("_" not in n for n in api_of(seed, "kebab").names)
        for tool in api_of(seed, "rest"):
            assert tool.name.split("_")[0] in ("get", "post", "patch", "delete")
            assert tool.name.startswith("get_") == tool.read_only


def test_styles_vary_as_the_data_says() -> None:
    styles = [draw_style(Stream(seed, "style")) for seed in range(600)]
    assert 0.62 < sum(s.case == "snake" for s in styles) / 600 < 0.78
    for option, choices in api().options.items():
        if option not in ("total", "batched"):
            assert {getattr(s, option) for s in styles} == set(choices)
    assert len({s.verbs["get"] for s in styles}) > 2
    pairs = {(s.verbs["link"], s.verbs["unlink"]) for s in styles}
    assert {("link", "unlink"), ("attach", "detach")} <= pairs
    assert len(pairs) == len({a for a, _ in pairs})
    assert all(s.verbs["create"] not in api().avoided["create"] for s in styles)


def test_a_style_by_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownName, match="no API style named 'rests'; did you mean 'rest'"):
        api_of(500, "rests")


def test_a_style_can_be_ones_own() -> None:
    toolset = api_of(500, Style(name="mine", verbs={"list": "show_all"}, items="rows"))
    assert any(n.startswith("show_all_") for n in toolset.names)
    assert all(t.reply.items == "rows" for t in toolset if t.reply.shape == "page")


# --- JSON Schemas


def described(schema: Any, path: str) -> None:
    """Every property has a description, and every object says which properties it has."""
    if schema.get("type") == "object" and "properties" in schema:
        assert schema["additionalProperties"] is False, path
        for name, inner in schema["properties"].items():
            assert inner.get("description") or "items" in inner, f"{path}.{name}"
            described(inner, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        described(schema["items"], f"{path}[]")


@pytest.mark.parametrize("seed", SEEDS)
def test_schemas_are_valid_and_say_all(seed: int) -> None:
    for style in STYLES:
        for tool in api_of(seed, style):
            for schema in (tool.parameters, tool.returns):
                jsonschema.Draft202012Validator.check_schema(schema)
                described(schema, tool.name)
            assert all(s["description"] for s in tool.parameters["properties"].values())
            assert tool.title[:1].isupper()
            assert "_" not in tool.title
            assert tool.description


# --- the same calls in any style


def by_key(params: tuple[Param, ...], arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of the plain style, by parameter key."""
    found = {}
    for param in params:
        if param.name in arguments:
            value = arguments[param.name]
            found[param.key] = [by_key(param.fields, one) for one in value] if param.fields else value
    return found


def outcome(session: Session, tool: Tool, name: str, arguments: Any) -> Any:
    result = session.call(name, arguments)
    if result.error:
        return result.error.code, result.error.rule
    jsonschema.Draft202012Validator(tool.returns).validate(result.data)
    return rows_of(tool.reply, result.data)


@pytest.mark.parametrize("seed", SEEDS)
def test_styles_and_perturbations_change_nothing_that_happens(seed: int) -> None:
    plain = api_of(seed, "crud")
    dice = random.Random(seed)
    first = Session(world(seed), plain)
    gold = []
    for tool in (t for _ in range(2) for t in plain):
        arguments = draw(first, tool, dice)
        values = by_key(tool.params, arguments) | ({"offset": 0} if "offset" in arguments else {})
        gold.append((tool.key, values, outcome(first, tool, *astuple(plain, tool.key, values))))
    assert any(isinstance(o, list) and not plain.by_key(k).read_only for k, _, o in gold)  # type: ignore[union-attr]
    for toolset in apis(seed):
        session = Session(world(seed), toolset)
        for key, values, expected in gold:
            same = toolset.by_key(key)
            assert same is not None
            assert outcome(session, same, *astuple(toolset, key, values)) == expected, (toolset.style.name, key)
        assert session.diff().changes == first.diff().changes


def astuple(toolset: Toolset, key: str, values: dict[str, Any]) -> tuple[str, Any]:
    call = call_of(toolset, key, values)
    return call.name, call.arguments


@pytest.mark.parametrize("style", ["crud", "rest", "cursor", "camel"])
def test_pages_lead_through_all_rows(style: str) -> None:
    one = world(501)
    toolset = api_of(501, style)
    tool = next(t for t in toolset if t.key.endswith(".list") and one.counts[t.table] > 7)
    session, seen, place = Session(one, toolset), [], 0
    while True:
        data = session.call(*astuple(toolset, tool.key, {"limit": 3, "offset": place})).data
        rows = rows_of(tool.reply, data)
        seen += [tuple(r[k] for k in one.schema[tool.table].primary_key) for r in rows]
        if "total" in data:
            assert data["total"] == one.counts[tool.table]
        place += 3
        if not data[tool.reply.names.get("has_more", "has_more")]:
            break
    assert len(set(seen)) == len(seen) == one.counts[tool.table]


def test_pages_begin_where_pages_begin() -> None:
    toolset = api_of(501, "rest")
    tool = next(t for t in toolset if t.key.endswith(".list"))
    with pytest.raises(BadRequest, match="pages of 5"):
        call_of(toolset, tool.key, {"limit": 5, "offset": 7})
    with pytest.raises(BadRequest, match="takes no colour"):
        call_of(toolset, tool.key, {"colour": 7})


# --- perturbations


@pytest.mark.parametrize("seed", SEEDS)
def test_a_perturbed_api_is_another_one(seed: int) -> None:
    plain = api_of(seed)
    for perturbation in PERTURBATIONS:
        other = api_of(seed, perturb=perturbation)
        same = [t.key for t in plain if t.name == other.by_key(t.key).name]  # type: ignore[union-attr]
        assert len(same) < len(plain) / 4
        assert sum(t.kind == "distractor" for t in other) == perturbation.distractors
        assert {t.key for t in plain} <= {t.key for t in other}


def test_levels_hide_more_and_more() -> None:
    one, two, three = (api_of(500, perturb=p) for p in PERTURBATIONS)
    assert all(t.description for t in one)
    assert not any(t.description for t in two)
    assert any("description" in s for t in two for s in t.parameters["properties"].values())
    assert '"description":"' not in str(three.openai()).replace("'", '"').replace('"description": ""', "")
    assert all(t.name.startswith("tool_") for t in three)
    assert all(n.startswith("arg_") for t in three for n in t.parameters["properties"])


def test_terse_descriptions_are_whole_sentences() -> None:
    conjunctions = ("and", "or", "but", "nor", "which", "that", "than", "if", "while", "the", "a", "an")
    for seed in range(600, 620):
        one = worlddb.generate(seed, "tiny")
        for tool in build.toolset(one, sets="both", perturb=Perturbation(terse=1, distractors=6)):
            text = tool.description
            assert re.fullmatch(r"[A-Z].*[^\s.;,:]\.", text), (tool.key, text)
            assert text.rstrip(".").split()[-1] not in conjunctions, (tool.key, text)
            assert text.count("(") == text.count(")"), (tool.key, text)
    for text, first in (
        ("List rooms; all of them.", "List rooms."), ("Get rooms (a; b. c) now. More.", "Get rooms (a; b. c) now."),
        ("Count", "Count."), ("Take 1.5 of it. More", "Take 1.5 of it."), ("", ""), ("Split by ; or not.", "Split by ; or not."),
        ("A (b; c", "A (b."), ("Is it so?", "Is it so?"),
    ):  # fmt: skip
        assert first_clause(text) == first


@pytest.mark.parametrize("seed", SEEDS)
def test_distractors_find_nothing_and_change_nothing(seed: int) -> None:
    toolset = api_of(seed, "crud", perturb=Perturbation(distractors=24))
    session, dice = Session(world(seed), toolset), random.Random(seed)
    kinds = Counter[str]()
    for tool in toolset:
        if tool.kind == "distractor":
            result = session.call(tool.name, draw(session, tool, dice))
            twin = "@" in tool.key
            kinds[f"{'twin' if twin else 'stranger'} {'read' if tool.read_only else 'write'}"] += 1
            if result.ok:
                assert tool.read_only
                jsonschema.validate(result.data, tool.returns)
                assert twin or rows_of(tool.reply, result.data) == []
            else:
                assert result.error
                assert result.error.code == "NOT_FOUND", (tool.key, result.error)
    assert not session.diff().changes
    assert kinds["stranger read"] >= 4
    assert kinds["stranger write"] >= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_removed_tools_strand_nobody_unless_asked_to(seed: int) -> None:
    plain, keys = api_of(seed), Keys(world(seed).schema)
    fewer = api_of(seed, perturb=Perturbation(removed=8))
    assert len(fewer) == len(plain) - 8
    assert not keys.unobtainable(fewer.tools)
    assert not any(t.kind == "get" for t in api_of(seed, perturb=Perturbation(removed=("get",))))
    lists = Perturbation(removed=("list", "search", "find"))
    kept = api_of(seed, perturb=lists)
    assert not keys.unobtainable(kept.tools)
    assert any(t.kind == "list" for t in kept)
    bare = api_of(seed, perturb=Perturbation(removed=("list", "search", "find"), strand=True))
    assert not any(t.kind in ("list", "search", "find") for t in bare)


def test_a_perturbation_that_cannot_be_is_refused() -> None:
    for bad, text in (
        (Perturbation(terse=4), "terse is 0 to 3, got 4"), (Perturbation(removed=-1), "removes 0 tools or more"),
        (Perturbation(removed=("nothing.get",)), "no tool and there is no kind 'nothing.get'"),
    ):  # fmt: skip
        with pytest.raises(BadRequest, match=text):
            api_of(500, perturb=bad)


def test_salt_draws_anew() -> None:
    digests = {api_of(500, perturb=Perturbation(distractors=6, salt=n)).digest for n in range(4)}
    assert len(digests) == 4


# --- determinism

PROGRAM = """
import worlddb
from worlddb.tools.build import toolset
from worlddb.tools.perturb import Perturbation, first_clause
for seed in (500, 503):
    world = worlddb.generate(seed, profile="tiny")
    print(toolset(world).digest, toolset(world, "rest", sets="both").digest,
          toolset(world, perturb=Perturbation(rename_tools=1, rename_params=1, distractors=9, removed=3, shuffled=True)).digest)
"""


def test_equal_arguments_give_equal_bytes_in_every_process() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, check=True, text=True,
        ).stdout
        for seed in ("0", "1", "77")
    }  # fmt: skip
    assert len(found) == 1
    assert len(found.pop().split()) == 6
