"""The second gold's statements against the tools' programs: equal net changes for thousands of calls drawn over many worlds."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import apsw
import orjson
import pytest
from msgspec.structs import replace

from tests.calls import draw_call
from worlddb import generate
from worlddb.schema.ddl import formula_tokens
from worlddb.schema.model import Schema
from worlddb.schema.rules import quote
from worlddb.tasks.effects import effect_of
from worlddb.tasks.effects.desk import Lost, formulas
from worlddb.tasks.effects.run import Worker, covered, facts_of, run_by_sql
from worlddb.tasks.plan import Asked, Const, Do, Find, Fold, Item, Of, Plan, Test, Where
from worlddb.tasks.sql import evaluate, look_at, prove
from worlddb.tools.kinds import propose
from worlddb.tools.model import Param, Tool
from worlddb.tools.names import Names
from worlddb.tools.perturb import Perturbation
from worlddb.tools.session import Session
from worlddb.tools.site import Site
from worlddb.tools.styles import dress
from worlddb.tools.toolset import Toolset
from worlddb.world.diff import Change, Diff
from worlddb.world.host import Broken
from worlddb.world.mint import is_minted
from worlddb.world.model import World

TRIES, WANTED = 30, 4
"""Calls drawn for each tool of a world at most, and comparisons that are enough."""


# --- arguments as stored


def stored(tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
    """What a call gives, by parameter key and as stored."""
    names = {p.name: p for p in tool.params}
    found: dict[str, Any] = {}
    for name, value in arguments.items():
        param = names[name]
        if param.convert == "spread":
            found |= {f.key: one(f, value[f.name]) for f in param.fields if f.name in value}
        else:
            found[param.key] = one(param, value)
    return found


def one(param: Param, value: Any) -> Any:
    if value is None:
        return None
    if param.fields:
        fields = {f.name: f for f in param.fields}
        return [{fields[n].key: one(fields[n], v) for n, v in item.items()} for item in value]
    if param.values:
        value = [param.values.get(v, v) for v in value] if isinstance(value, list) else param.values.get(value, value)
    if param.convert == "flag":
        return int(value)
    if param.convert == "text":
        return value.strip()
    if param.convert == "json":
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    if param.convert in ("datetime", "datetime_end") and len(value) == 10:
        return f"{value} {'00:00:00' if param.convert == 'datetime' else '23:59:59'}"
    return value


# --- changes compared


def same_change(schema: Schema, one: Diff, other: Diff) -> bool:
    """Equal net changes, up to the keys and minted values of new rows."""
    return seen(schema, one) == seen(schema, other)


def seen(schema: Schema, diff: Diff) -> Counter[str]:
    """The changes as a bag, new rows by what they hold."""
    fresh = {(c.table, c.key): c for c in diff.changes if c.op == "insert"}
    return Counter(repr(_sight(schema, fresh, c)) for c in diff.changes)


def _sight(schema: Schema, fresh: dict[Any, Change], change: Change, depth: int = 0) -> Any:
    """A change with new keys replaced by the rows that bear them."""
    table = schema[change.table]
    if change.after is None:
        return (table.key, change.key, "deleted")
    refers = {f.columns[0]: f for f in table.foreign_keys if len(f.columns) == 1}
    values = []
    for column, value in zip(table.columns, change.after, strict=True):
        parent = fresh.get((refers[column.key].table, (value,))) if column.key in refers else None
        if parent is not None and depth < 3:
            values.append(_sight(schema, fresh, parent, depth + 1))
        elif change.before is None and is_minted(table, column) and column.key not in refers:
            values.append("minted" if value is not None else None)
        else:
            values.append(value)
    return (table.key, None if change.before is None else change.key, values)


# --- calls drawn


class Outcome(NamedTuple):
    """What a comparison came to: 'same', or what differs."""

    tool: Tool
    world: str
    arguments: dict[str, Any]
    verdict: str


def pattern(tool: Tool) -> str:
    tail = tool.key.rpartition(".")[2]
    if tool.kind == "action":
        return f"action {tail}"
    if tool.kind in ("create", "bulk", "link", "update"):
        for start in ("create_with", "reassign", "bulk_create", "bulk_update", "set_", "adjust", "delete", "bulk_"):
            if tail.startswith(start):
                return f"{tool.kind} {start}"
    return f"{tool.kind} {tail if tail in ('advance', 'get_or_create', 'put') else ''}".strip()


def aimed(session: Session, tool: Tool, arguments: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """The arguments with times that lie ahead, and lines that belong to the row: what is drawn blindly is mostly refused."""
    params = {p.key: p for p in tool.params}
    given = dict(arguments)
    begin = datetime.fromtimestamp(session.now, UTC) + timedelta(days=dice.randint(1, 700), hours=dice.randint(0, 9))
    for key, days in (("start", 0), ("end", dice.randint(1, 4)), ("until", dice.randint(0, 900)), ("before", -700)):
        param = params.get(key)
        if param is not None and param.name in given and given[param.name] is not None:
            text = (begin + timedelta(days=days)).strftime("%Y-%m-%d %H:%M:00")
            given[param.name] = text[:10] if param.schema.get("format") == "date" else text
    if tool.key.endswith(".split"):
        schema = session.world.schema
        child, home = schema[params["lines"].table], schema[tool.table]
        link = next(f for f in child.foreign_keys if f.table == home.key and not f.nullable)
        key, up = quote(child[child.primary_key[0]].name), quote(child[link.columns[0]].name)
        rows = session.rows(
            f"SELECT {up}, min({key}) FROM {quote(child.name)} GROUP BY 1 HAVING count(*) > 1 ORDER BY 1"
        )
        if rows:
            parent, line = dice.choice(rows)
            given |= {params["id"].name: parent, params["lines"].name: [line]}
    return given


def compare(world: World, session: Session, tool: Tool, dice: random.Random) -> Outcome | None:
    """One call by tool and by effect; None where the tool refuses it."""
    arguments = aimed(session, tool, draw_call(session, tool, dice), dice)
    worker = Worker(world, facts_of(session.toolset))
    worker.log = session._log.copy()
    if not session.call(tool.name, arguments).ok:
        session.undo()
        return None
    given = stored(tool, arguments)
    try:
        answered = worker.do(tool, given)
    except (Lost, Broken, apsw.Error) as error:
        return Outcome(tool, world.id, given, f"{type(error).__name__}: {error}")
    told = session.journal[-1].result.data
    wrong = _misanswered(tool, told, answered)
    if wrong:
        return Outcome(tool, world.id, given, wrong)
    if same_change(world.schema, session.diff(), worker.log.diff):
        return Outcome(tool, world.id, given, "same")
    a, b = seen(world.schema, session.diff()), seen(world.schema, worker.log.diff)
    return Outcome(tool, world.id, given, f"tool only {sorted(a - b)}\n      effect only {sorted(b - a)}")


def _misanswered(tool: Tool, told: Any, answered: dict[str, Any]) -> str:
    """Where the effect names another row as the answer than the tool shows, in what is no new key."""
    if tool.reply.shape != "row":
        return "an answer without a row" if answered else ""
    if not answered:
        return "no answer"
    shown = told[tool.reply.envelope] if tool.reply.envelope else told
    home = tool.reply.fields[0].table
    for field in tool.reply.fields:
        plain = field.table == home and field.column and field.key == field.column and field.convert == ""
        if plain and field.column in answered and shown[field.name] != answered[field.column]:
            return f"answers {field.column} {shown[field.name]!r}, not {answered[field.column]!r}"
    return ""


def drawn(seeds: Iterable[int], *, tries: int = TRIES, wanted: int = WANTED, keep: float = 0.15) -> Iterable[Outcome]:
    """Comparisons of every tool of these worlds, see `drawn_in`."""
    for seed in seeds:
        world = generate(seed)
        yield from drawn_in(world, world.toolset(), seed, tries=tries, wanted=wanted, keep=keep)


def drawn_in(
    world: World, toolset: Toolset, seed: int, *, tries: int = TRIES, wanted: int = WANTED, keep: float = 0.15
) -> Iterable[Outcome]:
    """Comparisons of every tool that has an effect: so many, as far as so many tries yield them."""
    dice = random.Random(seed)
    session = world.session(toolset)
    for tool in toolset:
        if effect_of(tool) is None:
            continue
        done = 0
        for _ in range(tries):
            outcome = compare(world, session, tool, dice)
            if outcome is None:
                continue
            yield outcome
            done += 1
            if done == wanted:
                break
            if dice.random() > keep or len(session._log.redo) > 60:  # now and then calls build on one another
                session.reset()


def everything(world: World) -> Toolset:
    """All writing tools that the world's API could have, chosen or not."""
    site, style = Site(world.schema), world.toolset().style
    drafts = {t.key: t for t in propose(site) if not t.read_only}
    return Toolset(world.schema, dress(tuple(drafts.values()), style, site.words, names=Names()), style)


def agreed(outcomes: Iterable[Outcome]) -> int:
    """How many comparisons there were; all must have come to the same."""
    found = list(outcomes)
    wrong = [o for o in found if o.verdict != "same"]
    assert not wrong, "\n".join(f"{o.world} {o.tool.key} {o.arguments}: {o.verdict}" for o in wrong[:5])
    return len(found)


@pytest.mark.parametrize("block", range(8))
def test_effects_change_what_tools_change(block: int) -> None:
    assert agreed(drawn(range(4 * block, 4 * block + 4))) > 150


@pytest.mark.parametrize("seed", range(40, 52))
def test_effects_of_tools_that_are_seldom_chosen(seed: int) -> None:
    world = generate(seed)
    assert agreed(drawn_in(world, everything(world), seed, tries=10, wanted=1)) > 20


def test_neither_names_nor_distractors_matter() -> None:
    for seed in (3, 8):
        world = generate(seed)
        harder = world.toolset(perturb=Perturbation(rename_tools=3, rename_params=3, terse=3, distractors=8))
        assert agreed(drawn_in(world, harder, seed)) > 30
        assert all(covered(harder).values())


def test_hardly_a_tool_is_without_an_effect() -> None:
    known = [is_known for seed in range(0, 200, 8) for is_known in covered(generate(seed).toolset()).values()]
    assert len(known) > 300
    assert sum(known) >= 0.95 * len(known)


def test_the_comparison_sees_a_difference() -> None:
    world, done = grown_change()
    assert same_change(world.schema, done, done.copy())
    assert not same_change(world.schema, done, Diff())
    for change in done.changes:
        if change.after is None:
            continue
        table = world.schema[change.table]
        for at, column in enumerate(table.columns):
            if change.before is None and is_minted(table, column):
                continue
            other = done.copy()
            altered = (*change.after[:at], "something else", *change.after[at + 1 :])
            other.add(change.table, change.key, change.after, altered)
            assert not same_change(world.schema, done, other), column


def grown_change() -> tuple[World, Diff]:
    """The change that a call which makes a header with its lines, or any new row, led to."""
    world = generate(3)
    session, dice = world.session(), random.Random(1)
    tools = sorted((t for t in session.toolset if t.kind == "create"), key=lambda t: "create_with" not in t.key)
    for tool in tools * 5:
        if session.call(tool.name, draw_call(session, tool, dice)).ok:
            return world, session.diff()
    raise AssertionError("no call succeeded")


# --- whole plans


def plan_of(world: World, seed: int) -> tuple[Plan, Diff, list[Any]] | None:
    """A plan of calls that tools have just carried out one after the other, the change, and the rows that were answered."""
    dice = random.Random(seed)
    session = world.session()
    tools = [t for t in session.toolset if effect_of(t) is not None]
    dos, told = list[Do](), list[Any]()
    for _ in range(120):
        tool = dice.choice(tools)
        arguments = aimed(session, tool, draw_call(session, tool, dice), dice)
        given = stored(tool, arguments)
        if any(isinstance(v, list) and not (v and isinstance(v[0], dict)) for v in given.values()):
            continue
        if session.call(tool.name, arguments).ok:
            dos.append(
                Do(name=f"d{len(dos)}", tool=tool.key, arguments={k: expression(tool, v) for k, v in given.items()})
            )
            told.append((tool, session.journal[-1].result.data))
        if len(dos) == 4:
            return Plan(family="drawn", nodes=tuple(dos)), session.diff(), told
    return None


def expression(tool: Tool, value: Any) -> Any:
    if isinstance(value, list):
        return tuple({k: Const(value=v, table=tool.table, column="") for k, v in record.items()} for record in value)
    return Const(value=value, table=tool.table, column="")


def test_plans_of_several_changes_lead_where_the_tools_led() -> None:
    compared = 0
    for seed in range(40):
        world = generate(seed % 20)
        found = plan_of(world, seed)
        if found is None:
            continue
        plan, diff, told = found
        run = run_by_sql(world, world.toolset(), plan)
        assert same_change(world.schema, run.diff, diff), (seed, plan)
        for do, (tool, data) in zip(plan.dos, told, strict=True):
            rows = run.known[do.name].rows
            if tool.reply.shape == "row":
                assert not _misanswered(tool, data, rows[0]), (seed, do)
            else:
                assert rows == ()
        compared += 1
        _replays(world, run.statements, run.diff)
    assert compared >= 35


def _replays(world: World, statements: tuple[str, ...], diff: Diff) -> None:
    """The statements that are told are the ones that were made: run as text, they lead to the very same change."""
    worker = Worker(world, facts_of(world.toolset()))
    host = worker.host
    host.turn_to(worker.log)
    host.begin()
    for statement in statements:
        host.write(statement, ())
    host.settle()
    host.commit()
    assert worker.log.diff == diff


def test_what_a_change_made_is_used_by_the_next_one_and_asked_for() -> None:
    done = 0
    for seed in range(80):
        world = generate(seed)
        toolset, schema = world.toolset(), world.schema
        for table in schema.tables:
            make, drop = toolset.by_key(f"{table.key}.create"), toolset.by_key(f"{table.key}.delete")
            if make is None or drop is None:
                continue
            session = world.session()
            arguments = draw_call(session, make, random.Random(seed))
            if not session.call(make.name, arguments).ok:
                continue
            key = table.primary_key[0]
            given = {k: expression(make, v) for k, v in stored(make, arguments).items()}
            asked = Asked(shape="value", what=(Of(node="made", column=key),))
            nodes = (
                Do(name="made", tool=make.key, arguments=given),
                Do(name="gone", tool=drop.key, arguments={"id": Of(node="made", column=key)}),
            )
            kept = run_by_sql(world, toolset, Plan(family="t", nodes=nodes[:1], asked=asked))
            assert same_change(schema, kept.diff, session.diff())
            fresh = next(c for c in kept.diff.changes if c.table == table.key)
            assert (kept.answer,) == fresh.key
            both = run_by_sql(world, toolset, Plan(family="t", nodes=nodes, asked=asked))
            assert len(both.diff) == 0 or all(c.table != table.key for c in both.diff.changes)
            assert len(both.statements) > len(kept.statements)
            done += 1
    assert done > 20


def test_a_change_for_each_row_of_a_set_happens_where_its_test_holds() -> None:
    done = 0
    for seed in range(40):
        world = generate(seed)
        toolset, schema = world.toolset(), world.schema
        for tool in toolset:
            table = schema[tool.table]
            machine = table.lifecycle
            if tool.kind != "transition" or machine is None or tool.key.endswith(".advance"):
                continue
            sets = Find(
                name="all", table=table.key, many=True, sort=table.primary_key[0], take=2,
                where=(Where(column=machine.column, value=Const(value=machine.initial, table="", column="")),),
            )  # fmt: skip
            look = look_at(world)
            if prove(look, schema, Plan(family="t", nodes=(sets,))) is not None:
                continue
            keys = [
                r[table.primary_key[0]] for r in evaluate(look, schema, Plan(family="t", nodes=(sets,)))["all"].rows
            ]
            session = world.session()
            param = next(p for p in tool.params if p.role == "key")
            if not all(session.call(tool.name, {param.name: k}).ok for k in keys):
                continue
            count = Fold(name="n", of="all")
            test = Test(name="two", left=Of(node="n"), op="eq", right=Const(value=2, table="", column=""))
            do = Do(
                name="d", tool=tool.key, arguments={"id": Item(column=table.primary_key[0])}, each="all", when="two"
            )
            run = run_by_sql(world, toolset, Plan(family="t", nodes=(sets, count, test, do)))
            assert same_change(schema, run.diff, session.diff())
            assert len(run.diff) >= 2
            turned = replace(do, when="", unless="two")
            assert len(run_by_sql(world, toolset, Plan(family="t", nodes=(sets, count, test, turned))).diff) == 0
            refused = replace(do, refused="RULE_VIOLATION")
            assert run_by_sql(world, toolset, Plan(family="t", nodes=(sets, count, test, refused))).statements == ()
            done += 1
    assert done > 20


def test_episodes_of_the_second_gold_leave_no_trace() -> None:
    world = generate(5)
    session = world.session()
    before = [session.rows(f"SELECT * FROM {quote(t.name)}") for t in world.schema.tables]
    found = plan_of(world, 5)
    assert found is not None
    run_by_sql(world, world.toolset(), found[0])
    assert [session.rows(f"SELECT * FROM {quote(t.name)}") for t in world.schema.tables] == before


def test_what_cannot_be_done_says_so_and_changes_nothing() -> None:
    world = generate(5)
    toolset = world.toolset()
    tool = next(t for t in toolset if t.kind == "update" and t.key.endswith(".update"))
    lost = Plan(
        family="t", nodes=(Do(name="d", tool=tool.key, arguments={"id": Const(value=-5, table="", column="")}),)
    )
    with pytest.raises(Lost, match="there is no"):
        run_by_sql(world, toolset, lost)
    unknown = Plan(family="t", nodes=(Do(name="d", tool="nothing.at_all", arguments={}),))
    with pytest.raises(Lost, match="nothing is known"):
        run_by_sql(world, toolset, unknown)


def test_formulas_are_reckoned_as_sqlite_does() -> None:
    checked = 0
    for seed in range(60):
        world = generate(seed)
        connection = world.connect()
        for table in world.schema.tables:
            for column in table.columns:
                if not column.formula:
                    continue
                names = ", ".join(quote(c.name) for c in table.columns)
                for values in connection.execute(f"SELECT {names} FROM {quote(table.name)} LIMIT 5"):
                    row = dict(zip([c.key for c in table.columns], values, strict=True))
                    changed = [t for t in formula_tokens(column.formula) if t in table]
                    assert formulas(table, row | {column.key: None}, changed)[column.key] == row[column.key]
                    checked += 1
    assert checked > 40
