"""Every tool of many worlds, called right and called wrong.  `make campaign` does it at the size that docs/tools.md quotes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

import worlddb
from tests.calls import draw_call, spoil
from worlddb.schema.rules import quote
from worlddb.tools.engine import TOO_LARGE
from worlddb.tools.model import CODES, Each, Find, Guard, Param, Tool
from worlddb.tools.session import Session
from worlddb.tools.toolset import Toolset
from worlddb.world.model import World

FEW, MANY = range(300, 308), range(200)
TRIES, ROWS = 60, 300
ABSENT = {"integer": 987654321, "uuid": "00000000-0000-4000-8000-000000000000"}


def declared(tool: Tool) -> set[str]:
    """Names of the rules that a tool says may refuse it."""

    def faults(steps: Any) -> Iterator[str]:
        for step in steps:
            if isinstance(step, Each):
                yield from faults(step.steps)
            elif isinstance(step, Find):
                yield step.missing.rule
            elif isinstance(step, Guard):
                yield step.fault.rule

    return set(tool.rules) | set(faults(tool.steps))


def check_error(tool: Tool, result: Any) -> None:
    """An error is typed, worded, and one that the tool has declared."""
    error = result.error
    assert error.code in CODES
    assert error.message
    assert "Traceback" not in error.message
    if error.rule and tool.kind != "sql" and not error.rule.startswith(("unique:", "range", "reference")):
        assert error.rule in declared(tool), (tool.key, error)
    if error.code in ("RULE_VIOLATION", "CONFLICT", "FORBIDDEN"):
        assert error.rule or error is TOO_LARGE, (tool.key, error)
        assert error.cure, (tool.key, error)


def absent(param: Param) -> Any:
    """A key that no row has."""
    schema = param.schema
    if "integer" in schema["type"]:
        return ABSENT["integer"]
    return (
        ABSENT["uuid"]
        if schema.get("format") == "uuid"
        else f"{schema.get('pattern', '^X-').lstrip('^').partition('-')[0]}-987654"
    )


def draws(world: World, toolset: Toolset, tool: Tool, dice: random.Random) -> Iterator[dict[str, Any]]:
    """Arguments to try: drawn ones, then with every key that the world has for what the tool is about."""
    session = world.session(toolset)
    for _ in range(TRIES):
        yield draw_call(session, tool, dice)
    keys = [p for p in tool.params if p.role == "key" and p.required and "array" not in p.schema["type"]]
    if keys and (table := world.schema[keys[0].table]).primary_key == (keys[0].column,):
        column, name = quote(table[keys[0].column].name), quote(table.name)
        for (key,) in session.rows(f"SELECT {column} FROM {name} ORDER BY 1 LIMIT {ROWS}"):
            yield {**draw_call(session, tool, dice), keys[0].name: key}


def call_every_tool(world: World) -> tuple[Counter[str], list[str]]:
    """Each tool called with arguments from the world: tools that succeeded, by kind, and those that never did, with the codes."""
    toolset = world.toolset()
    dice, good, never = random.Random(world.recipe.seed), Counter[str](), []
    for tool in toolset:
        jsonschema.Draft202012Validator.check_schema(tool.parameters)
        jsonschema.Draft202012Validator.check_schema(tool.returns)
        answer, codes = jsonschema.Draft202012Validator(tool.returns), set()
        for arguments in draws(world, toolset, tool, dice):
            session = world.session(toolset)
            result = session.call(tool.name, arguments)
            if result.ok:
                answer.validate(result.data)
                again = session.call(tool.name, arguments)
                if tool.read_only:
                    assert again.json == result.json
                    assert not len(session.diff())
                for rule in world.schema.rules if not tool.read_only else ():
                    assert not session.rows(rule.violations(world.schema)), (tool.key, rule.say)
                good[tool.kind] += 1
                break
            check_error(tool, result)
            assert not len(session.diff())
            codes.add(result.error.code)  # type: ignore[union-attr]
        else:
            assert codes & {"RULE_VIOLATION", "CONFLICT", "FORBIDDEN", "NOT_FOUND"}, (tool.key, codes)
            never.append(f"{world.id} {tool.key}: {', '.join(sorted(codes))}")
    return good, never


@pytest.mark.parametrize("seed", FEW)
def test_every_tool_can_be_called(seed):
    world = worlddb.generate(seed)
    good, never = call_every_tool(world)
    assert sum(good.values()) >= 0.9 * (sum(good.values()) + len(never)), never


@pytest.mark.campaign
@pytest.mark.parametrize("block", range(20))
def test_every_tool_of_two_hundred_worlds_can_be_called(block):
    good, never = Counter[str](), []
    for seed in MANY[block * 10 : block * 10 + 10]:
        found, lost = call_every_tool(worlddb.generate(seed))
        good += found
        never += lost
    print(f"tools that succeeded, by kind: {dict(good)}; never: {never}")
    assert sum(good.values()) >= 0.9 * (sum(good.values()) + len(never)), never


@pytest.mark.parametrize("seed", FEW)
def test_a_key_that_no_row_has_is_not_found(seed):
    world = worlddb.generate(seed)
    toolset, dice, asked = world.toolset(), random.Random(seed), 0
    for tool in toolset:
        for param in tool.params:
            if param.role != "key" or not param.required or "array" in param.schema["type"]:
                continue
            if param.column not in world.schema[param.table].primary_key or tool.kind == "predicate":
                continue
            session = world.session(toolset)
            arguments = draw_call(session, tool, dice)
            result = session.call(tool.name, {**arguments, param.name: absent(param)})
            if (
                len([p for p in tool.params if p.role == "key"]) > 1
                and not result.ok
                and result.error.code != "NOT_FOUND"
            ):
                continue  # another argument was refused first
            asked += 1
            assert not result.ok, (tool.key, param.name, result.data)
            assert result.error is not None
            assert result.error.code == "NOT_FOUND", (tool.key, param.name, result.error)
    assert asked > 5


SECRET = "Secretly-Zanzibar"


def fuzz(seed: int, calls: int) -> Counter[str]:
    """Malformed calls beside a second episode whose rows must never show; the codes that came back."""
    world = worlddb.generate(seed)
    toolset, dice = world.toolset(sets="both"), random.Random(seed)
    victim, attacker, codes = world.session(toolset), world.session(toolset), Counter[str]()
    victims_tools = [t for t in toolset if t.kind in ("create", "update")]
    for number in range(calls):
        if number % 10 == 0 and victims_tools:
            tool = dice.choice(victims_tools)
            given = draw_call(victim, tool, dice)
            victim.call(
                tool.name,
                {k: SECRET if isinstance(v, str) and v.startswith(("words", "Newly")) else v for k, v in given.items()},
            )
        tool = dice.choice(toolset.tools)
        name: Any = (
            tool.name if dice.random() < 0.95 else dice.choice((None, "", tool.name.upper(), "__init__", 3, "reset"))
        )
        before, state = attacker.diff(), victim.diff()
        result = attacker.call(name, spoil(draw_call(attacker, tool, dice), tool, dice))
        assert SECRET.encode() not in result.json
        if result.ok:
            codes["ok"] += 1
        else:
            codes[result.error.code] += 1  # type: ignore[union-attr]
            if name == tool.name:
                check_error(tool, result)
            assert attacker.diff() == before
        assert victim.diff() == state
    assert attacker.journal[-1].number == calls
    return codes


@pytest.mark.parametrize("seed", FEW)
def test_malformed_calls_are_answered_with_typed_errors(seed):
    codes = fuzz(seed, 150)
    assert codes["INVALID_ARGUMENT"] > 50


@pytest.mark.campaign
def test_ten_thousand_malformed_calls():
    codes = Counter[str]()
    for seed in range(400, 450):
        codes += fuzz(seed, 200)
    print(f"codes of 10,000 malformed calls: {dict(codes)}")
    assert sum(codes.values()) == 10_000
    assert codes["INVALID_ARGUMENT"] > 4_000


@pytest.mark.campaign
@pytest.mark.parametrize("block", range(10))
def test_net_diffs_of_a_thousand_episodes(block):
    from tests.test_session import act, contents

    for seed in range(500 + block * 10, 510 + block * 10):
        world = worlddb.generate(seed, "small" if seed % 2 else "default")
        toolset, start = world.toolset(), contents(world, world.connect().execute)
        for number in range(10):
            session = Session(world, toolset)
            act(session, random.Random(f"{seed} {number}"), 20, junk=0.3)
            after, changes = contents(world, session.rows), session.diff().changes
            for table in world.schema.tables:
                own = [c for c in changes if c.table == table.key]
                assert {c.before for c in own if c.before is not None} == start[table.key] - after[table.key]
                assert {c.after for c in own if c.after is not None} == after[table.key] - start[table.key]
