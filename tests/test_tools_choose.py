"""The choice of tools: what an API of the default size holds, over many worlds; closed, without twins, and always the same."""

from __future__ import annotations

from collections import Counter
from functools import cache
from statistics import median

import pytest
from msgspec.structs import replace

from worlddb.rng import Stream
from worlddb.schema.grow import grow
from worlddb.schema.model import Schema
from worlddb.tools.choose import LEAST, MOST, Keys, apportion, choose, draw_size, rules_of, touches_several
from worlddb.tools.kinds import propose
from worlddb.tools.model import READ_KINDS, WRITE_KINDS, Tool
from worlddb.tools.site import Site
from worlddb.world.profiles import profile

WORLDS = 200
ALL_KINDS = {*READ_KINDS, *WRITE_KINDS}


@cache
def chosen(seed: int) -> tuple[Schema, list[Tool], tuple[Tool, ...]]:
    """The schema of a world of the default size, every tool that it could have, and those that it has."""
    stream = Stream(seed, "default")
    schema = grow(stream.child("schema"), stream.child("tables").pick(profile("default").tables), "")
    drafts = propose(Site(schema))
    return schema, drafts, choose(schema, drafts, Stream(seed, "tools"))


def table() -> str:
    """What the APIs of all worlds hold, for people."""
    every = [chosen(seed)[2] for seed in range(WORLDS)]
    tools = [t for some in every for t in some]
    kinds = Counter(t.kind for t in tools)
    lines = [f"{k:12} {100 * n / len(tools):5.1f} %" for k, n in kinds.most_common()]
    writes = [t for t in tools if not t.read_only]
    sizes = sorted(len(some) for some in every)
    lines += [
        f"tools        {sizes[0]} / {median(sizes):g} / {sizes[-1]}",
        f"reading      {100 - 100 * len(writes) / len(tools):5.1f} %",
        f"cross        {100 * sum(t.cross for t in tools) / len(tools):5.1f} %",
        f"several      {100 * sum(map(touches_several, writes)) / len(writes):5.1f} % of what writes",
        f"writes       {min(sum(not t.read_only for t in some) for some in every)} at least",
        f"rules        {min(len(met(some)) for some in every)} at least",
    ]
    return "\n".join(lines)


def met(tools: tuple[Tool, ...]) -> frozenset[str]:
    return frozenset().union(*map(rules_of, tools))


def test_apis_meet_the_bars() -> None:
    """The bars that toolsets are held to, over 200 worlds of the default size; the table is printed with -s."""
    offered = {t.kind for seed in range(20) for t in chosen(seed)[1]}
    assert offered >= ALL_KINDS
    print(f"\n{table()}")
    every = [chosen(seed)[2] for seed in range(WORLDS)]
    tools = [t for some in every for t in some]
    kinds = Counter(t.kind for t in tools)
    share = {k: 100 * n / len(tools) for k, n in kinds.items()}
    assert min(map(len, every)) >= 19
    assert median(map(len, every)) >= 30
    assert max(map(len, every)) <= MOST
    assert min(sum(not t.read_only for t in some) for some in every) >= 8
    assert min(len(met(some)) for some in every) >= 10
    assert share["transition"] >= 10
    assert 100 * sum(t.cross for t in tools) / len(tools) >= 8
    assert share["aggregate"] >= 6
    assert share["bulk"] >= 2
    writes = [t for t in tools if not t.read_only]
    assert sum(map(touches_several, writes)) >= len(writes) / 4
    assert 50 <= 100 - 100 * len(writes) / len(tools) <= 56
    assert 14 <= share["get"] <= 24
    assert 20 <= share["list"] + share["search"] + share["find"] <= 32
    assert set(kinds) == ALL_KINDS


@pytest.mark.parametrize("seed", range(0, WORLDS, 4))
def test_every_key_that_a_tool_takes_can_be_looked_up(seed: int) -> None:
    schema, drafts, tools = chosen(seed)
    assert not Keys(schema).unobtainable(tools)
    batched = choose(schema, drafts, Stream(seed, "tools"), batched=True)
    assert not Keys(schema).unobtainable(batched)
    assert {t.key for t in tools} <= {t.key for t in batched}
    assert {t.key for t in batched} - {t.key for t in tools} <= {f"{t.key}.get_many" for t in schema.tables}


def test_a_tool_without_what_tells_its_keys_is_stranded() -> None:
    schema, _, tools = chosen(0)
    keys = Keys(schema)
    reads = [t for t in tools if not keys.gives(t)]
    assert keys.unobtainable(reads).keys() == {t.key for t in reads if keys.needs(t)}
    assert keys.unobtainable(reads)


@pytest.mark.parametrize("seed", range(0, WORLDS, 10))
def test_the_choice_depends_on_the_stream_and_the_proposals_alone(seed: int) -> None:
    schema, drafts, tools = chosen(seed)
    assert choose(schema, propose(Site(schema)), Stream(seed, "tools")) == tools
    assert choose(schema, drafts, Stream(seed, "other")) != tools
    assert len({t.key for t in tools}) == len(tools)
    assert {t.key for t in tools} <= {t.key for t in drafts}


def test_no_two_tools_do_the_same() -> None:
    schema, drafts, tools = chosen(1)
    twins = [*drafts, *(replace(t, key=f"{t.key}_again") for t in drafts)]
    keys = [t.key.removesuffix("_again") for t in choose(schema, twins, Stream(1, "tools"))]
    assert len(set(keys)) == len(keys) >= len(tools) - 1


def test_few_proposals_give_what_there_is() -> None:
    schema, drafts, _ = chosen(2)
    lists = [t for t in drafts if t.key.endswith(".list")]
    assert len(choose(schema, lists, Stream(2, "tools"))) == len(lists)
    assert choose(schema, [], Stream(2, "tools")) == ()
    creates = [t for t in drafts if t.kind == "create" and Keys(schema).needs(t)]
    assert choose(schema, creates, Stream(2, "tools")) == ()


def test_sizes_grow_with_the_schema() -> None:
    sizes = {n: [draw_size(Stream(s, "size"), n) for s in range(300)] for n in (3, 6, 10, 16, 40)}
    middles = [median(some) for some in sizes.values()]
    assert middles == sorted(middles)
    assert 32 <= median(sizes[10]) <= 37
    assert all(LEAST <= s <= MOST for some in sizes.values() for s in some)


def test_shares_are_whole_and_without_rest() -> None:
    assert apportion(10, {"a": 1, "b": 1, "c": 1}) == {"a": 4, "b": 3, "c": 3}
    assert apportion(7, {"a": 5, "b": 0}) == {"a": 7, "b": 0}
    assert apportion(7, {}) == {}
    assert sum(apportion(34, {str(n): n for n in range(9)}).values()) == 34
